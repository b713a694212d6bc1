//! Questions of targets to the person: elicitation, sampling, roots.
//!
//! A question is stored before it is shown; its answer is stored before it is passed on; both go when the target has
//! the answer. After a restart a question that waits is still known under its id, and an answer that was not passed
//! on yet is passed on: the target tells a repetition by the JSON-RPC id.
//!
//! A client that lost a stream comes back to it, and finds its question there. One that does not, because its process
//! is another one by now or because it cannot, has a GET stream sooner or later: a question whose stream nobody has
//! read for a while is put there once more, under the same id.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sessiongate_protocol::elicitation::{self, Answer, AnswerError, Mode};
use sessiongate_protocol::members::Members;
use sessiongate_protocol::meta::{self, ProgressToken};
use sessiongate_protocol::{RawJson, Request, RequestId, ResponseBody, StreamId, codes, jsonrpc};
use sessiongate_storage::{Op, Timestamp};
use sessiongate_targets::TargetError;

use super::downstream::Source;
use super::followed::NO_STREAM;
use super::links::LinkState;
use super::record::QUESTION;
use super::{CallId, Effect, Env, Generation, SessionCore, Step};
use crate::settings::Naming;

/// An answer that a target does not take is offered again this often, after waits that double.
const MAX_REFUSALS: u32 = 10;
/// First and longest of these waits.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A client that comes back to a stream does so earlier, if it was not told to wait for longer.
const GRACE: Duration = Duration::from_secs(10);
/// Larger questions, in bytes, are not kept to be put again: a session's memory is bounded.
const KEPT: usize = 256 << 10;

/// One question.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Question {
    pub(super) target: Arc<str>,
    /// The target's id for it.
    pub(super) downstream_id: RequestId,
    pub(super) kind: QuestionKind,
    /// Where it was shown last; none while it waits in the queue for a GET stream.
    pub(super) stream: Option<StreamId>,
    /// The downstream id of the call it belongs to.
    pub(super) call: Option<i64>,
    /// The token under which the target wants progress of the answer.
    pub(super) progress_token: Option<ProgressToken>,
    /// The answer as it goes to the target, once there is one.
    pub(super) answer: Option<String>,
    /// What the client is shown, until there is an answer, to be put again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    /// On which downstream session it was asked; an earlier process's is older than all.
    #[serde(skip)]
    pub(super) generation: Generation,
    /// How often the answer could not be passed on.
    #[serde(skip)]
    pub(super) refusals: u32,
    /// When that is tried again.
    #[serde(skip)]
    pub(super) retry_at: Option<Timestamp>,
}

/// What is asked.
#[derive(Clone, Serialize, Deserialize)]
// Not internally tagged: raw JSON cannot be read back out of a buffered value.
#[serde(rename_all = "snake_case")]
pub(super) enum QuestionKind {
    /// A form: answers are checked against the schema that the client was shown.
    Form { schema: Option<RawJson> },
    /// A page to visit.
    Url,
    /// A model to ask.
    Sampling,
    /// Roots.
    Roots,
}

/// What a target is told whose question nobody will answer.
const CALL_ENDED: &str = "the call that the question belongs to has ended";

// === impl QuestionKind ===

impl QuestionKind {
    /// The answer of somebody who did not choose.
    fn unanswered(&self) -> ResponseBody {
        match self {
            Self::Form { .. } | Self::Url => ResponseBody::Result(super::object_with("action", "\"cancel\"")),
            Self::Sampling | Self::Roots => call_ended(),
        }
    }
}

fn call_ended() -> ResponseBody {
    jsonrpc::error_body(codes::INTERNAL_ERROR, CALL_ENDED, None)
}

/// The id that the client sees.
pub(super) fn client_id(question: u64) -> RequestId {
    RequestId::integer(i64::try_from(question).unwrap_or(i64::MAX))
}

// === impl SessionCore ===

impl SessionCore {
    /// A target asks. It is refused here what the client did not declare: a well-behaved target does not ask, because
    /// the gateway declared only what the client has.
    pub(super) fn ask(&mut self, target: &Arc<str>, source: Source, request: Request, env: &Env<'_>, step: &mut Step) {
        let refuse = |core: &mut Self, code: i64, text: &str, step: &mut Step| {
            let body = jsonrpc::response(Some(&request.id), &jsonrpc::error_body(code, text, None));
            core.post(target, body, None, true, step);
        };
        if self.questions.values().any(|known| known.target == *target && known.downstream_id == request.id) {
            tracing::debug!(target_name = &**target, "a question that waits already was asked again");
            return;
        }
        let limit = self.settings.sessions.pending_questions;
        if self.questions.len() >= limit {
            step.now.push(Effect::BoundReached("pending_questions"));
            let text = format!("too many questions wait for the client (limit {limit}): ask again later");
            return refuse(self, codes::INTERNAL_ERROR, &text, step);
        }
        // A question outside a call belongs to the only call that runs there, or to the newest one.
        let call = match source {
            Source::Call(call) => Some(call),
            Source::EndedCall => return refuse(self, codes::INTERNAL_ERROR, CALL_ENDED, step),
            Source::Standing => self.links.get(target).and_then(|link| {
                if self.streams.live_standing().is_some() { link.only_call() } else { link.newest_call() }
            }),
        };
        if call.is_none() && self.facts.conversation {
            // A modern client is asked in the answer to a request of its own, or not at all.
            return refuse(self, codes::INTERNAL_ERROR, "no call runs that the question could belong to", step);
        }
        let params = request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
        let params = self.related_for_client(target, params);
        let (kind, params) = match self.question_for_client(&request.method, target, &params) {
            Ok(found) => found,
            Err((code, text)) => return refuse(self, code, &text, step),
        };
        let number = self.next_question;
        let stream = call.and_then(|call| self.upgrade(call, env, step));
        let sse = call.and_then(|call| self.calls.get(&call)).is_none_or(|call| call.sse);
        if stream.is_none() && !self.can_be_asked(sse) {
            return refuse(self, codes::INTERNAL_ERROR, NO_STREAM, step);
        }
        self.next_question += 1;
        self.dirty |= number.is_multiple_of(super::record::QUESTION_BLOCK);
        let token = meta::progress_token(&params).ok().flatten();
        let params = match &token {
            Some(_) => {
                let own = ProgressToken::integer(i64::try_from(number).unwrap_or(i64::MAX));
                meta::with_progress_token(&params, Some(&own)).unwrap_or(params)
            }
            None => params,
        };
        if let QuestionKind::Url = kind
            && let Ok(id) = elicitation::elicitation_id(&params)
        {
            self.remember_elicitation(&id, target, step);
        }
        let params = (request.params.is_some() || params != RawJson::EMPTY_OBJECT).then_some(&params);
        let message = jsonrpc::request(&client_id(number), &request.method, params);
        let stream = stream.or_else(|| self.streams.live_standing());
        let question = Question {
            target: target.clone(),
            downstream_id: request.id.clone(),
            kind,
            stream,
            call: call.and_then(|call| self.calls.get(&call)).map(|call| call.downstream_id),
            progress_token: token,
            answer: None,
            message: (stream.is_none() || message.len() <= KEPT)
                .then(|| String::from_utf8_lossy(&message).into_owned()),
            generation: self.links.get(target).map(LinkState::generation).unwrap_or_default(),
            refusals: 0,
            retry_at: None,
        };
        self.questions.insert(number, question);
        self.store_question(number, step);
        match stream {
            Some(stream) => self.append(stream, &message, env, step),
            None => self.queue_question(number, message),
        }
    }

    /// A question that waited is shown with this step.
    pub(super) fn question_shown(&mut self, number: u64, stream: StreamId, step: &mut Step) {
        if let Some(question) = self.questions.get_mut(&number) {
            question.stream = Some(stream);
            question.message.take_if(|message| message.len() > KEPT);
            self.store_question(number, step);
        }
    }

    /// When a question is put on the standing stream because nobody reads the stream where it is; none if it is where
    /// it can be seen, or no standing stream is read.
    pub(super) fn asks_again_at(&self, question: &Question) -> Option<Timestamp> {
        let (stream, standing) = (question.stream?, self.streams.live_standing()?);
        if question.answer.is_some() || question.message.is_none() || stream == standing {
            return None;
        }
        let grace = GRACE.max(self.settings.sessions.retry.saturating_mul(2));
        Some(self.streams.unread_since(stream)?.plus(grace))
    }

    /// Puts questions again that it is time for: see [`Self::asks_again_at`].
    pub(super) fn ask_again(&mut self, env: &Env<'_>, step: &mut Step) {
        let Some(standing) = self.streams.live_standing() else { return };
        let due: Vec<(u64, String)> = self
            .questions
            .iter()
            .filter(|(_, question)| self.asks_again_at(question).is_some_and(|at| at <= env.now))
            .filter_map(|(number, question)| Some((*number, question.message.clone()?)))
            .collect();
        for (number, message) in due {
            tracing::debug!(question = number, "a question whose stream is not read is put on the standing stream");
            self.question_shown(number, standing, step);
            self.append(standing, message.as_bytes(), env, step);
        }
    }

    /// What the client is shown, or why it cannot be asked.
    fn question_for_client(
        &self,
        method: &str,
        target: &str,
        params: &RawJson,
    ) -> Result<(QuestionKind, RawJson), (i64, String)> {
        let lacks = |what: &str| (codes::INVALID_PARAMS, format!("the client did not declare {what}"));
        match method {
            "elicitation/create" => {
                let can = self.elicitation();
                let mode = Mode::of(params).map_err(|error| (codes::INVALID_PARAMS, error.to_string()))?;
                if !can.allows(mode) {
                    return Err(lacks(match mode {
                        Mode::Form => "form mode elicitation",
                        Mode::Url => "URL mode elicitation",
                    }));
                }
                let shown = elicitation::for_client(params, self.facts.revision)
                    .map_err(|error| (codes::INVALID_PARAMS, error.to_string()))?;
                let kind = if mode == Mode::Url {
                    QuestionKind::Url
                } else {
                    let schema = Members::of(params)
                        .ok()
                        .and_then(|members| RawJson::parse(members.get("requestedSchema")?.get().to_owned()).ok());
                    if let Some(schema) = &schema {
                        elicitation::FormSchema::parse(schema)
                            .map_err(|error| (codes::INVALID_PARAMS, error.to_string()))?;
                    }
                    QuestionKind::Form { schema }
                };
                let shown = match self.settings.naming {
                    Naming::Prefixed => elicitation::attributed(&shown, target)
                        .map_err(|error| (codes::INVALID_PARAMS, error.to_string()))?,
                    Naming::Plain => shown,
                };
                Ok((kind, shown))
            }
            "sampling/createMessage" if self.declares("sampling") => Ok((QuestionKind::Sampling, params.clone())),
            "roots/list" if self.declares("roots") => Ok((QuestionKind::Roots, params.clone())),
            other => Err((codes::METHOD_NOT_FOUND, format!("the client did not declare what `{other}` needs"))),
        }
    }

    pub(super) fn declares(&self, capability: &str) -> bool {
        Members::of(&self.facts.capabilities).is_ok_and(|members| members.get(capability).is_some())
    }

    pub(super) fn store_question(&self, number: u64, step: &mut Step) {
        if let Some(value) = self.questions.get(&number).and_then(|question| serde_json::to_vec(question).ok()) {
            step.batch.push(Op::PutItem { kind: QUESTION, id: number, value: value.into() });
        }
    }

    fn forget_question(&mut self, number: u64, step: &mut Step) -> Option<Question> {
        let question = self.questions.remove(&number)?;
        step.batch.push(Op::DeleteItem { kind: QUESTION, id: number });
        Some(question)
    }

    /// The target took the answer, or never will.
    pub(super) fn on_answer_posted(
        &mut self,
        number: u64,
        result: Result<(), TargetError>,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        if let Err(error) = &result
            && self.retry_later(number, error, env)
        {
            return;
        }
        let Some(question) = self.forget_question(number, step) else { return };
        if let Err(error) = result {
            tracing::warn!(
                target_name = &*question.target,
                error = error.code(),
                "an answer could not be passed on to its target"
            );
            if matches!(error, TargetError::SessionGone | TargetError::Closed | TargetError::Process { .. }) {
                self.on_link_lost(&question.target, env, step);
            }
        }
    }

    /// An answer is not given up because of a moment's trouble on the way: the person is not asked again.
    fn retry_later(&mut self, number: u64, error: &TargetError, env: &Env<'_>) -> bool {
        let passes = match error {
            TargetError::Status { status, .. } => *status == 429 || *status >= 500,
            other => matches!(
                other,
                TargetError::Unreachable { .. }
                    | TargetError::OutcomeUnknown { .. }
                    | TargetError::TimedOut(_)
                    | TargetError::Exhausted { .. }
            ),
        };
        let Some(question) = self.questions.get(&number) else { return false };
        if !passes || question.refusals >= MAX_REFUSALS || !self.is_awaited(question) {
            return false;
        }
        let wait = RETRY.0.saturating_mul(1 << question.refusals.min(5)).min(RETRY.1);
        if let Some(question) = self.questions.get_mut(&number) {
            question.refusals += 1;
            question.retry_at = Some(env.now.plus(wait));
        }
        true
    }

    /// The call that a question belongs to still runs, or it belongs to none.
    fn is_awaited(&self, question: &Question) -> bool {
        question.call.is_none_or(|id| self.links.get(&question.target).is_some_and(|link| link.call_of(id).is_some()))
    }

    pub(super) fn post_answers_again(&mut self, env: &Env<'_>, step: &mut Step) {
        let due: Vec<u64> = self
            .questions
            .iter()
            .filter(|(_, question)| question.retry_at.is_some_and(|at| at <= env.now))
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            let Some(question) = self.questions.get_mut(&number) else { continue };
            question.retry_at = None;
            let (target, answer) = (question.target.clone(), question.answer.clone());
            match answer {
                Some(answer) if self.questions.get(&number).is_some_and(|question| self.is_awaited(question)) => {
                    self.post(&target, answer.into(), Some(number), true, step);
                }
                _ => {
                    self.forget_question(number, step);
                }
            }
        }
    }

    /// The target takes a question back.
    pub(super) fn withdraw_question(&mut self, target: &str, id: &RequestId, env: &Env<'_>, step: &mut Step) {
        let found = self
            .questions
            .iter()
            .find(|(_, question)| &*question.target == target && question.downstream_id == *id)
            .map(|(number, _)| *number);
        if let Some(number) = found {
            self.withdraw(number, env, step);
        }
    }

    /// A call ended: nobody needs the answers of its questions. Whoever asked is told, in case it still waits.
    pub(super) fn withdraw_orphaned_questions(&mut self, env: &Env<'_>, step: &mut Step) {
        // The call is out of the tables already: questions of calls that are not there are orphans.
        let orphans: Vec<u64> = self
            .questions
            .iter()
            .filter(|(_, question)| question.answer.is_none() && !self.is_awaited(question))
            .map(|(number, _)| *number)
            .collect();
        self.dismiss(&orphans, |_| call_ended(), env, step);
    }

    /// The time of a call is over: what it asks ends as if the person had looked away, before its target hears that
    /// the call is cancelled, so that it can still take note of it.
    pub(super) fn dismiss_questions_of(&mut self, id: CallId, env: &Env<'_>, step: &mut Step) {
        let Some(call) = self.calls.get(&id) else { return };
        // A target without sessions would be sent a round of answers that nobody gave.
        if self.links.get(&call.target).is_some_and(LinkState::is_modern) {
            return;
        }
        let of_call = |question: &Question| {
            question.target == call.target && question.call == Some(call.downstream_id) && question.answer.is_none()
        };
        let numbers: Vec<u64> =
            self.questions.iter().filter(|(_, question)| of_call(question)).map(|(number, _)| *number).collect();
        self.dismiss(&numbers, QuestionKind::unanswered, env, step);
    }

    /// Ends questions that the client cannot be asked any more.
    pub(super) fn refuse_questions(&mut self, numbers: &[u64], reason: &str, env: &Env<'_>, step: &mut Step) {
        self.dismiss(numbers, |_| jsonrpc::error_body(codes::INTERNAL_ERROR, reason, None), env, step);
    }

    /// Ends questions that nobody will answer, on both sides.
    fn dismiss(
        &mut self,
        numbers: &[u64],
        told: impl Fn(&QuestionKind) -> ResponseBody,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        for number in numbers {
            if let Some(question) = self.withdraw(*number, env, step) {
                let body = jsonrpc::response(Some(&question.downstream_id), &told(&question.kind));
                self.post(&question.target, body, None, false, step);
            }
        }
    }

    /// The downstream session is gone, and with it whoever asked.
    pub(super) fn abandon_questions_of(&mut self, target: &str, env: &Env<'_>, step: &mut Step) {
        self.abandon_where(|question| &*question.target == target, env, step);
    }

    /// A new downstream session knows nothing of what was asked on older ones.
    pub(super) fn abandon_older_questions(
        &mut self,
        target: &str,
        generation: Generation,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        self.abandon_where(|question| &*question.target == target && question.generation != generation, env, step);
    }

    fn abandon_where(&mut self, gone: impl Fn(&Question) -> bool, env: &Env<'_>, step: &mut Step) {
        let numbers: Vec<u64> =
            self.questions.iter().filter(|(_, question)| gone(question)).map(|(number, _)| *number).collect();
        for number in numbers {
            self.withdraw(number, env, step);
        }
    }

    fn withdraw(&mut self, number: u64, env: &Env<'_>, step: &mut Step) -> Option<Question> {
        let question = self.forget_question(number, step)?;
        if question.answer.is_some() {
            return Some(question);
        }
        let waiting = self.queue.len();
        self.queue.retain(|queued| queued.question != Some(number));
        if self.queue.len() < waiting {
            return Some(question);
        }
        let params = super::object_with("requestId", client_id(number).as_raw());
        let message = jsonrpc::notification("notifications/cancelled", Some(&params));
        match question.stream {
            Some(stream) if self.streams.is_live(stream) => self.append(stream, &message, env, step),
            _ => self.send_standing(message, None, env, step),
        }
        Some(question)
    }

    /// The answer as it goes downstream, or why it does not fit its question.
    pub(super) fn checked_answer(question: &Question, body: &ResponseBody) -> Result<(), String> {
        let ResponseBody::Result(result) = body else { return Ok(()) };
        match &question.kind {
            QuestionKind::Form { schema } => match (elicitation::parse_answer(result), schema) {
                (Ok(Answer::Accept(Some(content))), Some(schema)) => elicitation::check_answer(schema, &content),
                (Ok(Answer::Accept(None)), Some(_)) => Err(AnswerError::NoContent),
                (Ok(_), _) => Ok(()),
                (Err(error), _) => Err(error),
            }
            .map_err(|error| error.to_string()),
            QuestionKind::Url => elicitation::parse_answer(result).map(|_| ()).map_err(|error| error.to_string()),
            QuestionKind::Sampling | QuestionKind::Roots => Ok(()),
        }
    }
}
