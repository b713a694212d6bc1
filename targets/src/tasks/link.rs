//! The calls of a link, those that must be tasks sent as such.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::tasks::{self, Created, Place};
use sessiongate_protocol::{Message, RawJson, Request, RequestId, Response, ResponseBody, jsonrpc, meta};

use super::sink::TaskSink;
use super::{REQUESTS, TaskTools, own_id};
use crate::error::TargetError;
use crate::http::link::until;
use crate::link::{CallReply, Link, LinkEvent, LinkSink, Listening, SavedLink};

/// A task is kept for longer than anyone waits for it.
const SPARE: Duration = Duration::from_secs(60);
/// Between two requests for the same answer, where the target names no time, and its bounds where it does.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// How many of our own requests for a call are not for its result.
const OTHERS: i64 = 2;
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
}

// === impl TaskLink ===

impl TaskLink {
    pub(super) fn new(link: Arc<dyn Link>, tools: Arc<dyn TaskTools>, sink: Arc<TaskSink>) -> Self {
        Self { link, tools, sink }
    }

    fn sent(&self, body: &Bytes, deadline: Instant) -> Sent {
        if !self.tools.any() {
            return Sent::Same;
        }
        let Ok(Message::Request(Request { id, method, params: Some(params) })) = Message::parse(body) else {
            return Sent::Same;
        };
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
    async fn follow(&self, call: i64, reply: CallReply, deadline: Instant) -> Result<CallReply, TargetError> {
        let created = match &reply.response.body {
            ResponseBody::Result(result) => tasks::created(result),
            ResponseBody::Error(_) => None,
        };
        let Some(Created { id, poll_ms }) = created else { return Ok(reply) };
        let place = Place { task: id, request: None, event: None };
        self.sink.running.begin(call, &place.task);
        let position = LinkEvent::Position { call, event_id: place.write(), interrupted: true };
        self.sink.deliver(position).await.map_err(|_| TargetError::Closed)?;
        self.result(call, place, poll_ms, deadline).await
    }

    /// The answer of the tool. Dropped, the task stays known, so that it can be cancelled.
    async fn result(
        &self,
        call: i64,
        mut place: Place,
        poll_ms: Option<u64>,
        deadline: Instant,
    ) -> Result<CallReply, TargetError> {
        let pause = poll_ms.map_or(PAUSE, |poll| Duration::from_millis(poll).clamp(PAUSES.0, PAUSES.1));
        let mut number = place.request.and_then(super::call_of).map_or(0, |(_, number)| number);
        loop {
            let id = own_id(call, number);
            let asked = match place.event.take() {
                Some(event) => self.link.resume(id, &event, deadline).await,
                None => {
                    let params = tasks::params(&place.task);
                    let body = jsonrpc::request(&RequestId::integer(id), "tasks/result", Some(&params));
                    self.link.call(id, body, deadline).await
                }
            };
            number += 1;
            // The last numbers are for other requests.
            if let Err(TargetError::OutcomeUnknown { detail }) = &asked
                && number < REQUESTS - OTHERS
                && Instant::now() + pause < deadline
            {
                tracing::debug!(detail, "the stream of a task's result broke; it is asked for again");
                tokio::time::sleep(pause).await;
                continue;
            }
            let answer = match asked {
                Ok(reply) if is_empty(&reply) => Ok(self.empty(call, &place.task, deadline).await),
                Ok(reply) => Ok(as_answer(call, reply.response.body)),
                Err(error) => Err(error),
            };
            self.sink.running.end(call);
            return answer;
        }
    }

    /// Some servers say in the task alone why there is no result.
    async fn empty(&self, call: i64, task: &str, deadline: Instant) -> CallReply {
        let id = own_id(call, REQUESTS - 2);
        let body = jsonrpc::request(&RequestId::integer(id), "tasks/get", Some(&tasks::params(task)));
        let shown = self.link.call(id, body, deadline).await;
        let words = match shown {
            Ok(CallReply { response: Response { body: ResponseBody::Result(shown), .. }, .. }) => tasks::words(&shown),
            _ => None,
        };
        let text = words.as_deref().unwrap_or("the task ended without a result");
        let result = serde_json::json!({"content": [{"type": "text", "text": text}], "isError": true});
        as_answer(call, ResponseBody::Result(RawJson::from_serialize(&result).unwrap_or(RawJson::EMPTY_OBJECT)))
    }

    async fn cancel(&self, call: i64, task: &str, deadline: Instant) {
        let id = own_id(call, REQUESTS - 1);
        let body = jsonrpc::request(&RequestId::integer(id), "tasks/cancel", Some(&tasks::params(task)));
        let deadline = deadline.min(Instant::now() + CANCEL_TIME);
        if let Err(error) = until(deadline, self.link.call(id, body, deadline)).await {
            tracing::debug!(error = error.code(), detail = ?error, "a task was not cancelled");
        }
    }

    /// The task that a notification cancels.
    fn cancelled(&self, body: &Bytes) -> Option<(i64, Box<str>)> {
        if self.sink.running.is_empty() {
            return None;
        }
        let Ok(Message::Notification(note)) = Message::parse(body) else { return None };
        if &*note.method != "notifications/cancelled" {
            return None;
        }
        let call = meta::request_id_of(note.params.as_ref()?).ok()?.as_i64()?;
        Some((call, self.sink.running.end(call)?))
    }
}

#[async_trait]
impl Link for TaskLink {
    async fn call(&self, id: i64, body: Bytes, deadline: Instant) -> Result<CallReply, TargetError> {
        match self.sent(&body, deadline) {
            Sent::Same => self.link.call(id, body, deadline).await,
            Sent::Task(body) => {
                let reply = self.link.call(id, body, deadline).await?;
                self.follow(id, reply, deadline).await
            }
        }
    }

    async fn resume(&self, id: i64, last_event_id: &str, deadline: Instant) -> Result<CallReply, TargetError> {
        match Place::read(last_event_id) {
            Some(place) => {
                self.sink.running.begin(id, &place.task);
                self.result(id, place, None, deadline).await
            }
            None => {
                let reply = self.link.resume(id, last_event_id, deadline).await?;
                self.follow(id, reply, deadline).await
            }
        }
    }

    async fn post(&self, body: Bytes, deadline: Instant) -> Result<(), TargetError> {
        if let Some((call, task)) = self.cancelled(&body) {
            self.cancel(call, &task, deadline).await;
            return Ok(());
        }
        self.link.post(body, deadline).await
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
    CallReply { response: Response { id: Some(RequestId::integer(call)), body }, event_id: None }
}
