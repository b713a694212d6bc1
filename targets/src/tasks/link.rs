//! The calls of a link, those that must be tasks sent as such.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use memchr::memmem;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::tasks::{self, Created, Place};
use sessiongate_protocol::{Message, RawJson, Request, RequestId, Response, ResponseBody, jsonrpc, meta};

use super::sink::TaskSink;
use super::{REQUESTS, TaskTools, own_id};
use crate::error::TargetError;
use crate::http::link::until;
use crate::link::{CallReply, Link, LinkEvent, LinkSink, Listening, SavedLink};
use crate::passed::Passed;

/// What asks for the answer of a task.
const RESULT: &str = "tasks/result";
/// A task is kept for longer than anyone waits for it.
const SPARE: Duration = Duration::from_secs(60);
/// Between two requests for the same answer, where the target names no time, and its bounds where it does.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// Whoever cancels waits no longer for the target to take note.
const CANCEL_TIME: Duration = Duration::from_secs(10);

pub(super) struct TaskLink {
    link: Arc<dyn Link>,
    tools: Arc<dyn TaskTools>,
    sink: Arc<TaskSink>,
}

/// What becomes of a call.
enum Sent {
    /// It is sent as it came.
    Same,
    Task(Bytes),
    /// It asks for the result of a task whose handle the client has.
    Watched {
        task: Box<str>,
        params: RawJson,
    },
}

/// What becomes of a notification that cancels.
enum Cancelled {
    Task(Box<str>),
    /// The target knows the request under another id.
    Request(Bytes),
}

// === impl TaskLink ===

impl TaskLink {
    pub(super) fn new(link: Arc<dyn Link>, tools: Arc<dyn TaskTools>, sink: Arc<TaskSink>) -> Self {
        Self { link, tools, sink }
    }

    fn sent(&self, body: &Bytes, deadline: Instant) -> Sent {
        let watches = memmem::find(body, RESULT.as_bytes()).is_some();
        if !watches && !self.tools.any() {
            return Sent::Same;
        }
        let Ok(Message::Request(Request { id, method, params: Some(params) })) = Message::parse(body) else {
            return Sent::Same;
        };
        if &*method == RESULT {
            let task = Members::of(&params).ok().and_then(|members| Some(members.get_str("taskId")?.as_ref().into()));
            return task.map_or(Sent::Same, |task| Sent::Watched { task, params });
        }
        if &*method != "tools/call" {
            return Sent::Same;
        }
        // Where the caller asks for a task itself, the handle is what it waits for.
        if !tasks::asks_for_task(&params) && meta::name_of(&params).is_ok_and(|name| self.tools.has(&name)) {
            let ttl = deadline.saturating_duration_since(Instant::now()) + SPARE;
            let params = tasks::as_task(&params, u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
            return Sent::Task(jsonrpc::request(&id, &method, Some(&params)));
        }
        Sent::Same
    }

    /// From the answer to the call to that of the tool. A target may answer at once.
    async fn follow(
        &self,
        call: i64,
        reply: CallReply,
        passed: Option<&Arc<Passed>>,
        deadline: Instant,
    ) -> Result<CallReply, TargetError> {
        let created = match &reply.response.body {
            ResponseBody::Result(result) => tasks::created(result),
            ResponseBody::Error(_) => None,
        };
        let Some(Created { id, poll_ms }) = created else { return Ok(reply) };
        let place = Place { task: id, request: None, event: None, watched: false };
        self.sink.running.begin(call, &place);
        let position = LinkEvent::Position { call, event_id: place.write(), interrupted: true };
        self.sink.deliver(position).await.map_err(|_| TargetError::Closed)?;
        let params = tasks::params(&place.task);
        self.result(call, place, &params, poll_ms, passed, deadline).await
    }

    /// The answer of the tool. Dropped, the task stays known, so that it can be cancelled.
    async fn result(
        &self,
        call: i64,
        mut place: Place,
        params: &RawJson,
        poll_ms: Option<u64>,
        passed: Option<&Arc<Passed>>,
        deadline: Instant,
    ) -> Result<CallReply, TargetError> {
        let pause = poll_ms.map_or(PAUSE, |poll| Duration::from_millis(poll).clamp(PAUSES.0, PAUSES.1));
        let mut broke = place.request.is_some();
        let mut tries = 0;
        loop {
            let asked = match place.event.take().zip(place.request) {
                Some((event, request)) => {
                    self.sink.running.ask(call, request);
                    self.link.resume(request, &event, deadline).await
                }
                None => {
                    let id = own_id();
                    self.sink.running.ask(call, id);
                    let body = jsonrpc::request(&RequestId::integer(id), RESULT, Some(params));
                    self.link.call_with(id, body, passed, deadline).await
                }
            };
            tries += 1;
            broke |= matches!(asked, Err(TargetError::OutcomeUnknown { .. }));
            if let Err(error) = &asked
                && broke
                && may_pass(error)
                && tries < REQUESTS
                && Instant::now() + pause < deadline
            {
                tracing::debug!(error = error.code(), "the stream of a task's result broke; it is asked for again");
                tokio::time::sleep(pause).await;
                continue;
            }
            let answer = match asked {
                Ok(reply) if place.watched => Ok(as_reply(call, reply.response.body)),
                Ok(reply) if is_empty(&reply) => Ok(self.empty(call, &place.task, passed, deadline).await),
                Ok(reply) => Ok(as_answer(call, reply.response.body)),
                Err(error) => Err(error),
            };
            self.sink.running.end(call);
            return answer;
        }
    }

    /// Some servers say in the task alone why there is no result.
    async fn empty(&self, call: i64, task: &str, passed: Option<&Arc<Passed>>, deadline: Instant) -> CallReply {
        let id = own_id();
        self.sink.running.ask(call, id);
        let body = jsonrpc::request(&RequestId::integer(id), "tasks/get", Some(&tasks::params(task)));
        let shown = self.link.call_with(id, body, passed, deadline).await;
        let words = match shown {
            Ok(CallReply { response: Response { body: ResponseBody::Result(shown), .. }, .. }) => tasks::words(&shown),
            _ => None,
        };
        let text = words.as_deref().unwrap_or("the task ended without a result");
        let result = serde_json::json!({"content": [{"type": "text", "text": text}], "isError": true});
        as_answer(call, ResponseBody::Result(RawJson::from_serialize(&result).unwrap_or(RawJson::EMPTY_OBJECT)))
    }

    async fn cancel(&self, task: &str, deadline: Instant) {
        let id = own_id();
        let body = jsonrpc::request(&RequestId::integer(id), "tasks/cancel", Some(&tasks::params(task)));
        let deadline = deadline.min(Instant::now() + CANCEL_TIME);
        if let Err(error) = until(deadline, self.link.call(id, body, deadline)).await {
            tracing::debug!(error = error.code(), detail = ?error, "a task was not cancelled");
        }
    }

    /// What a notification cancels that the target knows otherwise.
    fn cancelled(&self, body: &Bytes) -> Option<Cancelled> {
        if self.sink.running.is_empty() {
            return None;
        }
        let Ok(Message::Notification(note)) = Message::parse(body) else { return None };
        if &*note.method != "notifications/cancelled" {
            return None;
        }
        let params = note.params.as_ref()?;
        let call = meta::request_id_of(params).ok()?.as_i64()?;
        let run = self.sink.running.end(call)?;
        if !run.watched {
            return Some(Cancelled::Task(run.task));
        }
        let params = meta::with_request_id(params, &RequestId::integer(run.request?)).ok()?;
        Some(Cancelled::Request(jsonrpc::notification(&note.method, Some(&params))))
    }
}

#[async_trait]
impl Link for TaskLink {
    async fn call_with(
        &self,
        id: i64,
        body: Bytes,
        passed: Option<&Arc<Passed>>,
        deadline: Instant,
    ) -> Result<CallReply, TargetError> {
        match self.sent(&body, deadline) {
            Sent::Same => self.link.call_with(id, body, passed, deadline).await,
            Sent::Task(body) => {
                let reply = self.link.call_with(id, body, passed, deadline).await?;
                self.follow(id, reply, passed, deadline).await
            }
            Sent::Watched { task, params } => {
                let place = Place { task, request: None, event: None, watched: true };
                self.sink.running.begin(id, &place);
                self.result(id, place, &params, None, passed, deadline).await
            }
        }
    }

    async fn resume(&self, id: i64, last_event_id: &str, deadline: Instant) -> Result<CallReply, TargetError> {
        match Place::read(last_event_id) {
            Some(place) => {
                self.sink.running.begin(id, &place);
                let params = tasks::params(&place.task);
                self.result(id, place, &params, None, None, deadline).await
            }
            None => {
                let reply = self.link.resume(id, last_event_id, deadline).await?;
                self.follow(id, reply, None, deadline).await
            }
        }
    }

    async fn post_with(&self, body: Bytes, passed: Option<&Arc<Passed>>, deadline: Instant) -> Result<(), TargetError> {
        match self.cancelled(&body) {
            Some(Cancelled::Task(task)) => {
                self.cancel(&task, deadline).await;
                Ok(())
            }
            Some(Cancelled::Request(body)) => self.link.post_with(body, passed, deadline).await,
            None => self.link.post_with(body, passed, deadline).await,
        }
    }

    fn listen(&self, listening: Listening) {
        self.link.listen(listening);
    }

    fn save(&self) -> Option<SavedLink> {
        self.link.save()
    }

    async fn close(&self) {
        self.link.close().await;
    }
}

/// Whether a stream that broke may be asked for again after this: who broke it may be away for a moment.
fn may_pass(error: &TargetError) -> bool {
    matches!(
        error,
        TargetError::OutcomeUnknown { .. } | TargetError::Unreachable { .. } | TargetError::Exhausted { .. }
    )
}

/// A result without the member that results of tools have.
fn is_empty(reply: &CallReply) -> bool {
    let ResponseBody::Result(result) = &reply.response.body else { return false };
    Members::of(result).is_ok_and(|members| members.get("content").is_none())
}

/// The answer of the tool as that of the call.
fn as_answer(call: i64, body: ResponseBody) -> CallReply {
    let body = match body {
        ResponseBody::Result(result) => ResponseBody::Result(tasks::without_related(&result)),
        error @ ResponseBody::Error(_) => error,
    };
    as_reply(call, body)
}

fn as_reply(call: i64, body: ResponseBody) -> CallReply {
    CallReply { response: Response { id: Some(RequestId::integer(call)), body }, event_id: None }
}
