//! One client request on the stream of a call: from where it is sent, or taken up again, to its result or to the next
//! questions.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use futures_util::{StreamExt as _, stream};
use sessiongate_actors::session::{Attachment, SessionHandle};
use sessiongate_protocol::modern::{errors, url_required};
use sessiongate_protocol::{
    EventId, Message, Notification, RawJson, Request, RequestId, ResponseBody, codes, jsonrpc, progress, sse,
};
use tokio::time::{Instant, timeout_at};

use super::affinity::Carrier;
use super::context::Context;
use super::converse::QUIET;
use super::park::{self, Parked, Question};
use super::pass::Pass;
use super::reply::Reply;
use super::tasks;
use crate::http::HttpError;
use crate::http::caller::Session;
use crate::http::intercepted::Behind;
use crate::http::stream::{Reader, StreamTiming, event_stream};

/// After a question others of the same call may follow: those that come within so long of each other travel together.
pub const GATHER: Duration = Duration::from_millis(40);

/// What came of sending a request, or of taking it up again.
pub enum Begun {
    /// It is over.
    Done(Reply),
    /// It has a stream.
    Runs(Box<Turn>),
    /// It was passed to a target of the same era.
    Passes(Box<Pass>),
}

/// Cancels the call when the client goes.
pub struct Running(Option<(Arc<SessionHandle>, RequestId)>);

/// Makes what the session says into what this client understands.
pub struct Translator {
    pub context: Context,
    pub target: Arc<str>,
    /// The conversation that carries the call.
    pub carrier: Carrier,
    /// The call's id in the session.
    pub call: RequestId,
    /// When the session began.
    pub began: u64,
}

/// A request on a stream.
pub struct Turn {
    translator: Translator,
    session: Session,
    reader: Reader,
    running: Running,
    resumed: Option<Parked>,
    /// The last event before the questions.
    before: EventId,
    /// The last event that was read.
    last: EventId,
    questions: Vec<Question>,
    gather_until: Option<Instant>,
    /// The reader said when to come back: only this connection ends, not the stream.
    closing: bool,
    /// When the client last heard anything.
    said: Instant,
}

/// What a turn has to say.
pub enum Said {
    /// A comment: the connection lives.
    Comment(Bytes),
    /// A notification for the client.
    Note(Bytes),
    /// The end, and what was said just before.
    End {
        /// Notifications.
        last: Vec<Bytes>,
        /// The response.
        reply: Reply,
    },
}

// === impl Begun ===

impl Begun {
    async fn next(&mut self) -> Said {
        match self {
            Self::Runs(turn) => turn.next().await,
            Self::Passes(pass) => pass.next().await,
            Self::Done(reply) => Said::End { last: Vec::new(), reply: reply.clone() },
        }
    }

    /// The answer: JSON where the end comes first, else a stream.
    pub async fn answer(self, streaming: bool) -> Result<HttpResponse, HttpError> {
        let behind = match &self {
            Self::Runs(turn) if Behind::is_wanted(&turn.translator.context.served) => Some(turn.behind()),
            Self::Runs(_) | Self::Passes(_) | Self::Done(_) => None,
        };
        let mut response = self.answered(streaming).await?;
        if let Some(behind) = behind {
            behind.come_with(&mut response);
        }
        Ok(response)
    }

    async fn answered(mut self, streaming: bool) -> Result<HttpResponse, HttpError> {
        let quiet = Instant::now() + QUIET;
        let mut first = Vec::new();
        loop {
            let said = if streaming { timeout_at(quiet, self.next()).await } else { Ok(self.next().await) };
            match said {
                Ok(Said::End { last, reply }) if last.is_empty() || !streaming => return Ok(reply.into_response()),
                Ok(Said::End { last, reply }) => {
                    first.extend(last.iter().map(|note| sse::bare_message(note)));
                    first.push(sse::bare_message(&reply.body));
                    return Ok(event_stream(stream::iter(first.into_iter().map(Ok))));
                }
                Ok(Said::Note(note)) if streaming => {
                    first.push(sse::bare_message(&note));
                    break;
                }
                Ok(Said::Note(_) | Said::Comment(_)) => {}
                Err(_) => {
                    first.push(sse::KEEP_ALIVE);
                    break;
                }
            }
        }
        let rest = stream::unfold(Some(self), |running| async move {
            let mut running = running?;
            Some(match running.next().await {
                Said::Comment(comment) => (comment, Some(running)),
                Said::Note(note) => (sse::bare_message(&note), Some(running)),
                Said::End { last, reply } => {
                    let events = last.iter().chain([&reply.body]).map(|event| sse::bare_message(event));
                    (events.collect::<Vec<_>>().concat().into(), None)
                }
            })
        });
        let all = stream::iter(first).chain(rest);
        Ok(event_stream(all.map(Ok)))
    }
}

// === impl Running ===

impl Running {
    pub fn new(handle: Arc<SessionHandle>, call: RequestId) -> Self {
        Self(Some((handle, call)))
    }

    /// The call ended, or waits for answers.
    pub fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some((handle, call)) = self.0.take() else { return };
        actix_rt::spawn(async move {
            let params = format!("{{\"requestId\":{},\"reason\":\"the client closed the stream\"}}", call.as_raw());
            let params = RawJson::parse(params).ok();
            // A session that is gone has no call to cancel.
            let _ = handle.notification(Notification { method: "notifications/cancelled".into(), params }).await;
        });
    }
}

// === impl Translator ===

impl Translator {
    /// The call goes on after this request, and its conversation with it.
    pub fn stays(&self) {
        if let Some(alone) = &self.carrier.alone {
            alone.stays();
        }
    }

    /// The end of the call, as the session tells it.
    pub fn response(&self, body: &Bytes) -> Reply {
        match Message::parse(body) {
            Ok(Message::Response(response)) => self.ended(&response.body),
            _ => self.context.failed("the session answered with something that is no response"),
        }
    }

    /// The session refused the request.
    pub fn refusal(&self, status: u16, body: &Bytes) -> Reply {
        let status = match status {
            400 | 404 => 200,
            other => other,
        };
        Reply { status, ..self.response(body) }
    }

    fn ended(&self, body: &ResponseBody) -> Reply {
        let error = match body {
            ResponseBody::Result(result) => {
                return tasks::legacy::created(self, result).unwrap_or_else(|| self.context.complete(result));
            }
            ResponseBody::Error(error) => error,
        };
        let code = error.borrow::<jsonrpc::ErrorShape<'_>>().map(|shape| shape.code).unwrap_or_default();
        if code == codes::URL_ELICITATION_REQUIRED
            && let Ok(questions) = url_required::to_input_required(error)
        {
            return park::pages(self, questions);
        }
        self.context.executed(errors::to_modern(&self.target, error))
    }
}

// === impl Turn ===

impl Turn {
    /// Reads from this attachment on. `resumed` is what an earlier request had got to.
    pub fn new(
        translator: Translator,
        session: Session,
        attachment: Attachment,
        running: Running,
        resumed: Option<Parked>,
    ) -> Self {
        let served = translator.context.served.clone();
        let timing = StreamTiming { close_after: None, ..served.timing };
        let start = EventId { stream: attachment.stream, seq: attachment.after };
        Self {
            reader: Reader::new(&served, session.clone(), attachment, timing),
            session,
            translator,
            running,
            resumed,
            before: start,
            last: start,
            questions: Vec::new(),
            gather_until: None,
            closing: false,
            said: Instant::now(),
        }
    }

    fn behind(&self) -> Behind {
        Behind::Parking { session: self.session.clone(), id: self.translator.call.clone() }
    }

    /// What comes next. Nothing is lost where the future is dropped; after the end there is nothing more.
    pub async fn next(&mut self) -> Said {
        loop {
            let frame = match self.gather_until {
                None => self.reader.next().await,
                Some(until) => match timeout_at(until, self.reader.next()).await {
                    Ok(frame) => frame,
                    Err(_) => return self.park(),
                },
            };
            let Some(frame) = frame else {
                if self.closing {
                    self.translator.stays();
                }
                let context = &self.translator.context;
                let end = match (self.closing, &self.resumed) {
                    (true, _) => context.failed("another request took this call over, or the gateway is shutting down"),
                    // A stream that ends by itself and without a response is that of a cancelled call.
                    (false, Some(_)) => park::gone(context),
                    (false, None) => context.failed("the call was cancelled"),
                };
                return self.end(end);
            };
            self.closing = frame.starts_with(b"retry:");
            let Some((id, data)) = sse::read_back(&frame) else {
                if frame.starts_with(b":") {
                    self.said = Instant::now();
                    return Said::Comment(frame);
                }
                continue;
            };
            let earlier = std::mem::replace(&mut self.last, id);
            match Message::parse(&data) {
                Ok(Message::Response(response)) => {
                    let reply = self.translator.ended(&response.body);
                    return self.end(reply);
                }
                Ok(Message::Request(request)) => self.asked(earlier, request),
                Ok(Message::Notification(notification)) => {
                    let known = self.resumed.as_ref().is_some_and(|parked| id.seq <= parked.through);
                    if let Some(note) = self.note(notification).filter(|_| !known) {
                        self.said = Instant::now();
                        return Said::Note(note);
                    }
                    // Between messages that are not for the client it must hear that the connection lives.
                    if self.said.elapsed() >= self.translator.context.served.timing.keep_alive {
                        self.said = Instant::now();
                        return Said::Comment(sse::KEEP_ALIVE);
                    }
                }
                Err(_) => {}
            }
        }
    }

    fn asked(&mut self, earlier: EventId, request: Request) {
        let answered = self.resumed.as_ref().is_some_and(|parked| parked.knows_answered(&request.id, self.last.seq));
        if answered || self.questions.iter().any(|known| known.id == request.id) {
            return;
        }
        if self.questions.is_empty() {
            self.before = earlier;
        }
        self.questions.push(Question::new(request));
        self.gather_until = Some(Instant::now() + GATHER);
    }

    /// A notification as this client may have it: only of its own request, under its own token.
    fn note(&mut self, notification: Notification) -> Option<Bytes> {
        let params = notification.params.as_ref()?;
        match &*notification.method {
            "notifications/progress" => {
                let token = self.translator.context.envelope.progress_token.as_ref()?;
                let params = progress::with_token(params, token).ok()?;
                Some(jsonrpc::notification(&notification.method, Some(&params)))
            }
            "notifications/message" => {
                let hears = self.translator.context.hears(params);
                hears.then(|| jsonrpc::notification(&notification.method, Some(params)))
            }
            "notifications/cancelled" => {
                // A question that the target takes back is not asked.
                let id = sessiongate_protocol::meta::request_id_of(params).ok()?;
                self.questions.retain(|question| question.id != id);
                if self.questions.is_empty() {
                    self.gather_until = None;
                }
                None
            }
            _ => None,
        }
    }

    /// The questions that have gathered, as the end of this request; the call waits.
    fn park(&mut self) -> Said {
        let questions = std::mem::take(&mut self.questions);
        match park::questions(&self.translator, &questions, self.before, self.last) {
            Ok(reply) => self.end(reply),
            Err(refused) => {
                // Nobody will answer: the call is cancelled when this goes.
                self.gather_until = None;
                Said::End { last: Vec::new(), reply: refused }
            }
        }
    }

    fn end(&mut self, reply: Reply) -> Said {
        self.gather_until = None;
        std::mem::replace(&mut self.running, Running(None)).done();
        Said::End { last: Vec::new(), reply }
    }
}
