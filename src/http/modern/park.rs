//! Calls that wait for their client: how they are left, and how they are found again.

use std::time::Duration;

use sessiongate_actors::{SessionError, clock};
use sessiongate_protocol::modern::input_required::{InputRequest, InputRequired, RequestState, input_responses};
use sessiongate_protocol::modern::request_state::{Park, StateError};
use sessiongate_protocol::modern::{envelope, url_required};
use sessiongate_protocol::{EventId, RawJson, Request, RequestId, Response, ResponseBody};

use super::affinity::Carrier;
use super::context::Context;
use super::converse;
use super::reply::Reply;
use super::route::Routed;
use super::turn::{Begun, Running, Translator, Turn};
use crate::http::HttpError;
use crate::http::caller::{Caller, Session};

/// The longest that a state opens: no conversation lasts longer. Of pages that a person visits there is no other end.
const LIFE: Duration = Duration::from_secs(8 * 3600);
/// A call follows its conversation out of memory and back this often.
const MAX_MOVES: u32 = 3;

/// A question of the target, on its way to the client.
pub struct Question {
    /// Its id in the session.
    pub id: RequestId,
    key: Box<str>,
    method: Box<str>,
    params: Option<RawJson>,
}

/// What a request that takes a call up again knows of what went before.
pub struct Parked {
    /// Questions that the client was asked.
    pub asked: Vec<RequestId>,
    /// Those of them that it answers.
    pub answered: Vec<RequestId>,
    /// The last event that an earlier request has seen.
    pub through: u64,
}

// === impl Parked ===

impl Parked {
    /// Whether a question, which the stream has at this place, needs no answer any more. What an earlier request saw
    /// and did not ask was answered before that, or taken back.
    pub fn knows_answered(&self, question: &RequestId, seq: u64) -> bool {
        self.answered.contains(question) || (seq <= self.through && !self.asked.contains(question))
    }
}

// === impl Question ===

impl Question {
    pub fn new(request: Request) -> Self {
        // Checked by the session: what cannot be read was refused there.
        let params = request.params.and_then(|params| url_required::to_modern_params(&params).ok());
        let params = params.map(|params| envelope::remove(&params));
        // Unique in the session, and the same each time the question is asked.
        let key = format!("q{}", request.id.as_raw().trim_matches('"'));
        Self { id: request.id, key: key.into(), method: request.method, params }
    }
}

/// Leaves a call with its questions.
///
/// # Errors
/// The refusal where this client cannot be asked: then the call does not wait either.
pub fn questions(
    translator: &Translator,
    questions: &[Question],
    before: EventId,
    last: EventId,
) -> Result<Reply, Reply> {
    let context = &translator.context;
    for question in questions {
        if let Some(refused) = context.undeclared(&question.method, question.params.as_ref()) {
            return Err(refused);
        }
    }
    let park = Park {
        session: translator.carrier.binding.clone(),
        stream: format!("{before} {} {}", last.seq, translator.began).into(),
        call: translator.call.as_raw().into(),
        questions: questions.iter().map(|question| (question.key.clone(), question.id.clone())).collect(),
        expires_ms: clock::now().plus(life(translator)).0,
        inner: None,
    };
    let requests = questions.iter().map(|question| InputRequest {
        key: question.key.clone(),
        method: question.method.clone(),
        params: question.params.clone(),
    });
    ask(translator, requests.collect(), &park)
}

/// How long a state opens: for as long as its call may wait, and then for as long as the answer to it is kept.
fn life(translator: &Translator) -> Duration {
    let gateway = &translator.context.served.gateway;
    let timeout = gateway.catalogue().target(&translator.target).map(|target| target.settings.call_timeout);
    timeout.unwrap_or_default().saturating_add(gateway.settings().sessions.events.age).min(LIFE)
}

/// A target that wants pages opened first (-32042): the call is over, and the retry is a new one. It goes to the same
/// session where that was the call's own, because the target may have kept there what it asked for.
pub fn pages(translator: &Translator, wanted: InputRequired) -> Reply {
    let context = &translator.context;
    let own = translator.carrier.alone.as_ref().map(|_| translator.carrier.binding.clone());
    for request in &wanted.requests {
        if let Some(refused) = context.undeclared(&request.method, request.params.as_ref()) {
            return refused;
        }
    }
    let park = Park {
        session: own.unwrap_or_default(),
        stream: "".into(),
        call: "".into(),
        questions: wanted.requests.iter().map(|request| (request.key.clone(), RequestId::integer(0))).collect(),
        expires_ms: clock::now().plus(LIFE).0,
        inner: None,
    };
    ask(translator, wanted.requests, &park).unwrap_or_else(|refused| refused)
}

fn ask(translator: &Translator, requests: Vec<InputRequest>, park: &Park) -> Result<Reply, Reply> {
    let context = &translator.context;
    let sealed = park.seal(&context.served.gateway.sealer, &context.binding());
    let Ok(token) = sealed else { return Err(context.failed("there are too many questions at once")) };
    translator.stays();
    let result = InputRequired { requests, request_state: Some(RequestState::new(&token)) };
    Ok(context.executed(ResponseBody::Result(result.write(context.server_info()))))
}

/// The refusal of answers that nobody waits for any more.
pub fn gone(context: &Context) -> Reply {
    context.invalid("the call that waited for these answers is over: repeat it without `requestState`", "call_gone")
}

/// Takes a call up again.
pub async fn resume(
    caller: &Caller<'_>,
    context: Context,
    params: &RawJson,
    state: &RequestState,
    routed: Routed,
) -> Result<Begun, HttpError> {
    let opened = Park::open(&context.served.gateway.sealer, &context.binding(), state.text(), clock::now().0);
    let park = match opened {
        Ok(park) => park,
        Err(error @ StateError::Expired) => {
            return Ok(Begun::Done(context.invalid(&error.to_string(), "expired_request_state")));
        }
        Err(error) => return Ok(Begun::Done(context.invalid(&error.to_string(), "invalid_request_state"))),
    };
    let responses = match input_responses(params) {
        Ok(responses) => responses.unwrap_or_default(),
        Err(error) => return Ok(Begun::Done(context.invalid(&error.to_string(), "invalid_input_responses"))),
    };
    if park.stream.is_empty() {
        return after_pages(caller, context, params, &park, &responses, routed).await;
    }
    let (Some((after, through, began)), Some(call)) = (place(&park.stream), RequestId::from_raw(&park.call)) else {
        return Ok(Begun::Done(gone(&context)));
    };
    let directory = caller.runtime.directory();
    let mut answers = Vec::new();
    for (key, value) in &responses {
        // Unknown keys are ignored; what is missing is asked again.
        if let Some((_, id)) = park.questions.iter().find(|(known, _)| known == key) {
            answers.push(Response { id: Some(id.clone()), body: ResponseBody::Result(value.clone()) });
        }
    }
    'moves: for _ in 0..MAX_MOVES {
        let found = directory.find_conversation(&caller.gateway.gateway, &caller.principal, &park.session).await;
        let handle = match found {
            Ok(handle) => handle,
            Err(SessionError::NotFound) => return Ok(Begun::Done(gone(&context))),
            Err(error) => return Err(HttpError::session(error, Some(&context.id))),
        };
        if handle.created().0 != began {
            // One that ended was followed by another under the same binding: its calls and questions are other ones.
            return Ok(Begun::Done(gone(&context)));
        }
        for answer in &answers {
            match handle.response_with(answer.clone(), caller.passed.clone()).await {
                Ok(()) => {}
                Err(SessionError::Left) => continue 'moves,
                Err(SessionError::InvalidAnswer(reason)) => {
                    return Ok(Begun::Done(context.invalid(&reason, "invalid_answer")));
                }
                Err(SessionError::Ended) => return Ok(Begun::Done(gone(&context))),
                Err(error) => return Err(HttpError::session(error, Some(&context.id))),
            }
        }
        return Ok(match handle.attach(Some(after)).await {
            Ok(attachment) => {
                let running = Running::new(handle.clone(), call.clone());
                let answered = answers.into_iter().filter_map(|answer| answer.id).collect();
                let asked = park.questions.iter().map(|(_, id)| id.clone()).collect();
                let parked = Parked { asked, answered, through };
                let carrier = Carrier::again(caller, &park.session);
                let translator = Translator { context, target: routed.target, carrier, call, began };
                Begun::Runs(Box::new(Turn::new(translator, Session::of(handle), attachment, running, Some(parked))))
            }
            Err(SessionError::Left) => continue 'moves,
            Err(SessionError::UnknownEvent { .. } | SessionError::EvictedEvent { .. } | SessionError::Ended) => {
                // A session of this call alone has nothing to do any more.
                drop(Carrier::again(caller, &park.session));
                Begun::Done(gone(&context))
            }
            Err(error) => return Err(HttpError::session(error, Some(&context.id))),
        });
    }
    Err(HttpError::session(SessionError::Overloaded, Some(&context.id)))
}

/// The person opened the pages, or did not.
async fn after_pages(
    caller: &Caller<'_>,
    context: Context,
    params: &RawJson,
    park: &Park,
    responses: &[(Box<str>, RawJson)],
    routed: Routed,
) -> Result<Begun, HttpError> {
    let again = (!park.session.is_empty()).then(|| Carrier::again(caller, &park.session));
    for (key, _) in &park.questions {
        let action = responses.iter().find(|(answered, _)| answered == key).and_then(|(_, answer)| {
            let members = sessiongate_protocol::members::Members::of(answer).ok()?;
            members.get_str("action").map(std::borrow::Cow::into_owned)
        });
        match action.as_deref() {
            Some("accept") => {}
            Some(_) => {
                return Ok(Begun::Done(context.failed("the person did not open the page that the target asks for")));
            }
            // What is missing is asked again, by the target itself.
            None => break,
        }
    }
    converse::begin(caller, context, params, routed, again).await
}

/// The event after which to go on, the last one that was seen, and when the session began.
fn place(text: &str) -> Option<(EventId, u64, u64)> {
    let mut parts = text.split(' ');
    Some((EventId::parse(parts.next()?)?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
