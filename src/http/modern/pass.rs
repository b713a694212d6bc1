//! A request for a target of the same era: passed through. Questions, answers and the state between them are the target's
//! and the client's own, byte for byte; what belongs to a hop (the envelope, headers, progress tokens, names) is written
//! anew.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context as Waiting, Poll};
use std::time::Duration;

use actix_web::web::Bytes;
use async_trait::async_trait;
use parking_lot::Mutex;
use sessiongate_actors::meters::OTHER;
use sessiongate_protocol::jsonrpc::ErrorShape;
use sessiongate_protocol::meta::{ProgressToken, Reference};
use sessiongate_protocol::modern::envelope::{HopEnvelope, Opened};
use sessiongate_protocol::modern::input_required::{InputRequired, ResultType};
use sessiongate_protocol::modern::results::Passing;
use sessiongate_protocol::modern::tasks as protocol_tasks;
use sessiongate_protocol::modern::{errors, ladder};
use sessiongate_protocol::text::short;
use sessiongate_protocol::{Notification, RawJson, Response, ResponseBody, Revision, codes, jsonrpc, meta, progress};
use sessiongate_targets::modern::{Exchange, ModernRequest, NoteSink};
use sessiongate_targets::{SinkClosed, TargetError};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::context::Context;
use super::reply::Reply;
use super::route::{Routed, argument_headers};
use super::tasks;
use super::turn::Said;
use crate::gateway::Place;
use crate::http::HttpError;
use crate::http::caller::Caller;

/// Notifications on their way to the client; a target whose client reads slowly waits.
const NOTES: usize = 16;

/// Tokens of requests to targets: unique in the process.
static TOKENS: AtomicI64 = AtomicI64::new(1);

/// A request under way. Dropping it cancels it at the target.
pub struct Pass {
    context: Context,
    routed: Routed,
    answer: Pin<Box<dyn Future<Output = Result<Response, TargetError>> + Send>>,
    notes: Arc<Notes>,
    /// Of the progress that the client asked for.
    token: Option<ProgressToken>,
    /// The target may answer with a task.
    tasks: bool,
    keep_alive: Duration,
    /// When the client last heard anything.
    said: Instant,
    started: Instant,
    /// It was asked for what comes. Until it is asked again the answer may be one without a stream, which nothing keeps
    /// alive.
    asked: bool,
    /// For the log and the metrics: none while it runs.
    outcome: Option<&'static str>,
    /// Held for its drop.
    _place: Place,
}

/// Notifications between the answer, which hears them, and the [`Pass`] that has it: both are polled by one task, so
/// that whoever polls the answer looks here next. Most calls have none, and then this costs next to nothing, other than
/// a channel.
struct Notes {
    heard: Mutex<VecDeque<Notification>>,
    room: Semaphore,
}

/// What a request comes to next.
enum Came {
    Note(Notification),
    Answer(Result<Response, TargetError>),
}

// === impl Notes ===

impl Notes {
    fn new() -> Arc<Self> {
        Arc::new(Self { heard: Mutex::default(), room: Semaphore::new(NOTES) })
    }

    fn next(&self) -> Option<Notification> {
        let note = self.heard.lock().pop_front()?;
        self.room.add_permits(1);
        Some(note)
    }
}

#[async_trait]
impl NoteSink for Notes {
    async fn note(&self, notification: Notification) -> Result<(), SinkClosed> {
        // Given back when it is taken out.
        self.room.acquire().await.map_err(|_| SinkClosed)?.forget();
        self.heard.lock().push_back(notification);
        Ok(())
    }
}

// === impl Pass ===

impl Pass {
    /// As [`Pass::of`]; what cannot be read of the parameters is not passed on.
    pub fn new(
        caller: &Caller<'_>,
        context: Context,
        params: &RawJson,
        routed: Routed,
        exchange: Arc<dyn Exchange>,
    ) -> Result<Self, HttpError> {
        let unreadable =
            |_| HttpError::Invalid { reason: "`params` cannot be read".into(), id: Some(context.id.clone()) };
        let params = Opened::of(params).map_err(unreadable)?;
        Self::of(caller, context, &params, routed, exchange)
    }

    /// Sends the request when it is first asked for what comes.
    ///
    /// # Errors
    /// When this principal has as many under way as it may: HTTP 429.
    pub fn of(
        caller: &Caller<'_>,
        context: Context,
        params: &Opened<'_>,
        routed: Routed,
        exchange: Arc<dyn Exchange>,
    ) -> Result<Self, HttpError> {
        let place = caller.runtime.passes().enter(&caller.gateway.gateway.name, &caller.principal);
        let place = place.map_err(|error| HttpError::session(error, Some(&context.id)))?;
        let wanted = context.envelope.progress_token.is_some();
        let token = wanted.then(|| ProgressToken::integer(TOKENS.fetch_add(1, Ordering::Relaxed)));
        let tasks = tasks::carried(&context, &routed.target);
        let request = ModernRequest {
            passed: caller.passed.clone(),
            ..outgoing(&context, params, &routed, token.as_ref(), tasks)
        };
        let gateway = &context.served.gateway;
        let timeout = gateway.catalogue().target(&routed.target).map(|target| target.settings.call_timeout);
        let started = Instant::now();
        let deadline = (started + timeout.unwrap_or(Duration::from_secs(60))).into_std();
        let notes = Notes::new();
        let sink = Arc::clone(&notes);
        let answer = Box::pin(async move { exchange.exchange(request, &*sink, deadline).await });
        let keep_alive = context.served.timing.keep_alive;
        Ok(Self {
            context,
            routed,
            answer,
            notes,
            token,
            tasks,
            keep_alive,
            said: started,
            started,
            asked: false,
            outcome: None,
            _place: place,
        })
    }

    /// What comes next. Nothing is lost where the future is dropped. Who asks once more has a stream to keep alive.
    pub async fn next(&mut self) -> Said {
        let streams = std::mem::replace(&mut self.asked, true);
        loop {
            // Counted from what the client heard, not from what was left out.
            let silent = self.said + self.keep_alive;
            let came = poll_fn(|waiting| self.poll(waiting));
            let came = if streams { timeout_at(silent, came).await } else { Ok(came.await) };
            match came {
                Err(_) => {
                    self.said = Instant::now();
                    return Said::Comment(sessiongate_protocol::sse::KEEP_ALIVE);
                }
                Ok(Came::Note(note)) => {
                    if let Some(note) = self.note(&note) {
                        self.said = Instant::now();
                        return Said::Note(note);
                    }
                }
                Ok(Came::Answer(answer)) => {
                    // What was said before the end is heard before it.
                    let last = std::iter::from_fn(|| self.notes.next()).filter_map(|note| self.note(&note)).collect();
                    return Said::End { last, reply: self.end(answer) };
                }
            }
        }
    }

    fn poll(&mut self, waiting: &mut Waiting<'_>) -> Poll<Came> {
        if let Some(note) = self.notes.next() {
            return Poll::Ready(Came::Note(note));
        }
        if let Poll::Ready(answer) = self.answer.as_mut().poll(waiting) {
            return Poll::Ready(Came::Answer(answer));
        }
        self.notes.next().map_or(Poll::Pending, |note| Poll::Ready(Came::Note(note)))
    }

    fn note(&self, note: &Notification) -> Option<Bytes> {
        let params = note.params.as_ref()?;
        match &*note.method {
            "notifications/progress" => {
                let token = self.context.envelope.progress_token.as_ref()?;
                if progress::Progress::read(params).ok().map(|progress| progress.token) != self.token {
                    return None;
                }
                let params = progress::with_token(params, token).ok()?;
                Some(jsonrpc::notification(&note.method, Some(&params)))
            }
            "notifications/message" => {
                self.context.hears(params).then(|| jsonrpc::notification(&note.method, Some(params)))
            }
            _ => None,
        }
    }

    fn end(&mut self, answer: Result<Response, TargetError>) -> Reply {
        let (outcome, reply) = match answer {
            Ok(Response { body: ResponseBody::Result(result), .. }) => self.result(&result, &Passing::of(&result)),
            Ok(Response { body: ResponseBody::Error(error), .. }) => ("error", self.error(&error)),
            Err(error) => {
                tracing::debug!(target_name = &*self.routed.target, error = error.code(), detail = ?error, "a call failed downstream");
                let text = error.to_string();
                (error.code(), self.context.target_failed(&self.routed.target, &text, error.code(), &error))
            }
        };
        self.outcome = Some(outcome);
        reply
    }

    fn failed(&self, text: &str) -> Reply {
        self.context.target_failed(&self.routed.target, text, "protocol", &text)
    }

    fn result(&self, result: &RawJson, passing: &Passing<'_>) -> (&'static str, Reply) {
        let may_ask = matches!(&*self.context.method, "tools/call" | "prompts/get" | "resources/read");
        match passing.result_type() {
            ResultType::Complete | ResultType::Task if protocol_tasks::is_method(&self.context.method) => {
                ("ok", self.passed(&Passing::of(&protocol_tasks::told(result, &self.routed.exposed))))
            }
            ResultType::Task if self.tasks && &*self.context.method == "tools/call" => {
                match tasks::created(&self.context, &self.routed.target, result) {
                    Ok(handle) => ("task", self.passed(&Passing::of(&handle))),
                    Err(error) => ("protocol", self.failed(&format!("it answered with {error}"))),
                }
            }
            ResultType::Complete => {
                let failed = &*self.context.method == "tools/call" && passing.is_error();
                (if failed { "tool_error" } else { "ok" }, self.passed(passing))
            }
            ResultType::InputRequired if may_ask => match InputRequired::parse(result) {
                Ok(asked) => {
                    let undeclared =
                        asked.requests.iter().find_map(|one| self.context.undeclared(&one.method, one.params.as_ref()));
                    match undeclared {
                        Some(refused) => ("undeclared", refused),
                        None => ("input_required", self.passed(passing)),
                    }
                }
                Err(error) => ("protocol", self.failed(&error.to_string())),
            },
            _ => ("protocol", self.failed("it answered with a kind of result that was not offered to it")),
        }
    }

    fn passed(&self, result: &Passing<'_>) -> Reply {
        self.context.executed(ResponseBody::Result(result.pass(self.context.server_info())))
    }

    /// Errors of this hop say nothing to the client, but for a capability that it could have declared.
    fn error(&self, error: &RawJson) -> Reply {
        let Ok(shape) = error.borrow::<ErrorShape<'_>>() else { return self.failed("its error cannot be read") };
        if !errors::hop_error(shape.code) {
            return self.context.executed(errors::to_modern(&self.routed.target, error));
        }
        if shape.code == codes::MISSING_CLIENT_CAPABILITY
            && let Some(required) = self.context.required_of(error)
        {
            return Reply::refused(&self.context.id, &ladder::missing_capability(required));
        }
        // The catalogue's copy of the tool is old, or the target is another one now: it is read again.
        self.context.served.gateway.wants_resync(&self.routed.target);
        self.failed("what the gateway knows of it is out of date; it is being read again, try once more")
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let outcome = self.outcome.unwrap_or("cancelled");
        let took = self.started.elapsed();
        let tool = if &*self.context.method == "tools/call" { &*self.routed.exposed } else { OTHER };
        self.context.served.gateway.meters.of(&self.routed.target, tool).record(outcome, took.as_secs_f64());
        tracing::info!(
            principal = &*self.context.principal,
            target_name = &*self.routed.target,
            method = &*self.context.method,
            name = &*short(&self.context.name),
            id = self.context.id.as_raw(),
            outcome,
            duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "call"
        );
    }
}

/// The request on the next hop.
fn outgoing(
    context: &Context,
    params: &Opened<'_>,
    routed: &Routed,
    token: Option<&ProgressToken>,
    tasks: bool,
) -> ModernRequest {
    let hop = HopEnvelope {
        protocol_version: Revision::V2026_07_28.as_str(),
        client_capabilities: &context.relayed_capabilities(tasks),
        client_info: context.envelope.client_info.as_ref(),
        log_level: context.envelope.log_level,
        progress_token: token,
    };
    let named = matches!(&*context.method, "tools/call" | "prompts/get").then_some(&*routed.name);
    let written = params.write(&hop, named);
    let renamed = match &*context.method {
        method if protocol_tasks::is_method(method) => Some(protocol_tasks::with_id(&written, &routed.name)),
        "completion/complete" => match meta::reference_of(&written) {
            Ok(Reference::Prompt(_)) => {
                meta::with_reference(&written, &Reference::Prompt(routed.name.to_string())).ok()
            }
            _ => None,
        },
        _ => None,
    };
    let name = match &*context.method {
        "completion/complete" => None,
        _ => Some(routed.name.clone()),
    };
    ModernRequest {
        method: context.method.clone(),
        params: renamed.unwrap_or(written),
        name,
        param_headers: argument_headers(routed, params),
        passed: None,
    }
}
