//! A request for a target of the same era: passed through. Questions, answers and the state between them are the target's
//! and the client's own, byte for byte; what belongs to a hop (the envelope, headers, progress tokens, names) is written
//! anew.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use async_trait::async_trait;
use sessiongate_actors::meters::OTHER;
use sessiongate_protocol::jsonrpc::ErrorShape;
use sessiongate_protocol::meta::{ProgressToken, Reference};
use sessiongate_protocol::modern::envelope::{self, HopEnvelope};
use sessiongate_protocol::modern::input_required::{InputRequired, ResultType};
use sessiongate_protocol::modern::tasks as protocol_tasks;
use sessiongate_protocol::modern::{errors, ladder, results};
use sessiongate_protocol::text::short;
use sessiongate_protocol::{Notification, RawJson, Response, ResponseBody, Revision, codes, jsonrpc, meta, progress};
use sessiongate_targets::modern::{Exchange, ModernRequest, NoteSink};
use sessiongate_targets::{SinkClosed, TargetError};
use tokio::sync::mpsc;

use super::context::Context;
use super::reply::Reply;
use super::route::{Routed, arguments};
use super::stale;
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
    notes: mpsc::Receiver<Notification>,
    token: ProgressToken,
    /// The target may answer with a task.
    tasks: bool,
    keep_alive: Duration,
    /// When the client last heard anything.
    said: tokio::time::Instant,
    started: Instant,
    /// For the log and the metrics: none while it runs.
    outcome: Option<&'static str>,
    /// Held for its drop.
    _place: Place,
}

struct Notes(mpsc::Sender<Notification>);

#[async_trait]
impl NoteSink for Notes {
    async fn note(&self, notification: Notification) -> Result<(), SinkClosed> {
        self.0.send(notification).await.map_err(|_| SinkClosed)
    }
}

// === impl Pass ===

impl Pass {
    /// Sends the request when it is first asked for what comes.
    ///
    /// # Errors
    /// When this principal has as many under way as it may: HTTP 429.
    pub fn new(
        caller: &Caller<'_>,
        context: Context,
        params: &RawJson,
        routed: Routed,
        exchange: Arc<dyn Exchange>,
    ) -> Result<Self, HttpError> {
        let place = caller.runtime.passes().enter(&caller.gateway.gateway.name, &caller.principal);
        let place = place.map_err(|error| HttpError::session(error, Some(&context.id)))?;
        let token = ProgressToken::integer(TOKENS.fetch_add(1, Ordering::Relaxed));
        let tasks = tasks::carried(&context, &routed.target);
        let request = outgoing(&context, params, &routed, &token, tasks);
        let gateway = &context.served.gateway;
        let timeout = gateway.catalogue().target(&routed.target).map(|target| target.settings.call_timeout);
        let deadline = Instant::now() + timeout.unwrap_or(Duration::from_secs(60));
        let (sender, notes) = mpsc::channel(NOTES);
        let answer = Box::pin(async move { stale::exchange(exchange, request, &Notes(sender), deadline).await });
        let keep_alive = context.served.timing.keep_alive;
        let (said, started) = (tokio::time::Instant::now(), Instant::now());
        Ok(Self {
            context,
            routed,
            answer,
            notes,
            token,
            tasks,
            keep_alive,
            said,
            started,
            outcome: None,
            _place: place,
        })
    }

    /// What comes next. Nothing is lost where the future is dropped.
    pub async fn next(&mut self) -> Said {
        loop {
            tokio::select! {
                biased;
                Some(note) = self.notes.recv() => {
                    if let Some(note) = self.note(&note) {
                        self.said = tokio::time::Instant::now();
                        return Said::Note(note);
                    }
                }
                answer = &mut self.answer => {
                    // What was said before the end is heard before it.
                    let mut last = Vec::new();
                    while let Ok(note) = self.notes.try_recv() {
                        last.extend(self.note(&note));
                    }
                    let reply = self.end(answer);
                    return Said::End { last, reply };
                }
                // Counted from what the client heard, not from what was left out.
                () = tokio::time::sleep_until(self.said + self.keep_alive) => {
                    self.said = tokio::time::Instant::now();
                    return Said::Comment(sessiongate_protocol::sse::KEEP_ALIVE);
                }
            }
        }
    }

    fn note(&self, note: &Notification) -> Option<Bytes> {
        let params = note.params.as_ref()?;
        match &*note.method {
            "notifications/progress" => {
                let token = self.context.envelope.progress_token.as_ref()?;
                if progress::Progress::read(params).ok()?.token != self.token {
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
            Ok(Response { body: ResponseBody::Result(result), .. }) => self.result(&result),
            Ok(Response { body: ResponseBody::Error(error), .. }) => ("error", self.error(&error)),
            Err(error) => {
                tracing::debug!(target_name = &*self.routed.target, error = error.code(), detail = ?error, "a call failed downstream");
                (error.code(), self.failed(&error.to_string()))
            }
        };
        self.outcome = Some(outcome);
        reply
    }

    fn failed(&self, text: &str) -> Reply {
        self.context.failed(&format!("target `{}`: {text}", self.routed.target))
    }

    fn result(&self, result: &RawJson) -> (&'static str, Reply) {
        let may_ask = matches!(&*self.context.method, "tools/call" | "prompts/get" | "resources/read");
        match ResultType::of(result) {
            ResultType::Complete | ResultType::Task if protocol_tasks::is_method(&self.context.method) => {
                ("ok", self.passed(&protocol_tasks::told(result, &self.routed.exposed)))
            }
            ResultType::Task if self.tasks && &*self.context.method == "tools/call" => {
                match tasks::created(&self.context, &self.routed.target, result) {
                    Ok(handle) => ("task", self.passed(&handle)),
                    Err(error) => ("protocol", self.failed(&format!("it answered with {error}"))),
                }
            }
            ResultType::Complete => {
                let failed = &*self.context.method == "tools/call" && is_tool_error(result);
                (if failed { "tool_error" } else { "ok" }, self.passed(result))
            }
            ResultType::InputRequired if may_ask => match InputRequired::parse(result) {
                Ok(asked) => {
                    let undeclared =
                        asked.requests.iter().find_map(|one| self.context.undeclared(&one.method, one.params.as_ref()));
                    match undeclared {
                        Some(refused) => ("undeclared", refused),
                        None => ("input_required", self.passed(result)),
                    }
                }
                Err(error) => ("protocol", self.failed(&error.to_string())),
            },
            _ => ("protocol", self.failed("it answered with a kind of result that was not offered to it")),
        }
    }

    fn passed(&self, result: &RawJson) -> Reply {
        let result = results::pass_modern(result, self.context.server_info());
        self.context.executed(ResponseBody::Result(result))
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

fn is_tool_error(result: &RawJson) -> bool {
    let members = sessiongate_protocol::members::Members::of(result);
    members.is_ok_and(|members| members.get("isError").is_some_and(|raw| raw.get() == "true"))
}

/// The request on the next hop.
fn outgoing(context: &Context, params: &RawJson, routed: &Routed, token: &ProgressToken, tasks: bool) -> ModernRequest {
    let hop = HopEnvelope {
        protocol_version: Revision::V2026_07_28.as_str(),
        client_capabilities: &context.relayed_capabilities(tasks),
        client_info: context.envelope.client_info.as_ref(),
        log_level: context.envelope.log_level,
        progress_token: context.envelope.progress_token.as_ref().map(|_| token),
    };
    let params = envelope::write(Some(params), &hop);
    let renamed = match &*context.method {
        "tools/call" | "prompts/get" => meta::with_name(&params, &routed.name).ok(),
        method if protocol_tasks::is_method(method) => Some(protocol_tasks::with_id(&params, &routed.name)),
        "completion/complete" => match meta::reference_of(&params) {
            Ok(Reference::Prompt(_)) => meta::with_reference(&params, &Reference::Prompt(routed.name.to_string())).ok(),
            _ => None,
        },
        _ => None,
    };
    let params = renamed.unwrap_or(params);
    let name = match &*context.method {
        "completion/complete" => None,
        _ => Some(routed.name.clone()),
    };
    let param_headers = match &routed.headers {
        Some(headers) => headers.derive(arguments(&params).as_ref()),
        None => Vec::new(),
    };
    ModernRequest { method: context.method.clone(), params, name, param_headers }
}
