//! What the rules want done, done.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use sessiongate_protocol::StreamId;
use sessiongate_protocol::cursor::ListKind;
use sessiongate_protocol::text::short;
use sessiongate_storage::Timestamp;
use sessiongate_targets::tasks::{TaskTools, Tasks};
use sessiongate_targets::{Hello, Link, SavedLink, TargetError};
use tokio::sync::mpsc;

use super::actor::SessionActor;
use super::connection::{Attachment, CONNECTION_QUEUE, StreamItem};
use super::core::{Answer, CallId, CallSummary, ConnId, Effect, Generation, Input};
use super::event::{CallAnswer, Event};
use super::open_link::{OpenLink, Post, report};
use super::sink::SessionSink;
use crate::gateway::Gateway;
use crate::meters::OTHER;
use crate::{clock, crash};

/// Longest wait for a request of the gateway's own.
const OWN_CALL_DEADLINE: Duration = Duration::from_secs(30);
/// A call of the gateway's own has no caller.
const OWN: CallId = CallId(u64::MAX);

// === impl SessionActor ===

impl SessionActor {
    pub(super) fn effect(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Answer(call, answer) => {
                self.passed.ended(call);
                if let Some(reply) = self.replies.remove(&call) {
                    let _ = reply.send(match answer {
                        Answer::Json(body) => CallAnswer::Json(body),
                        Answer::Refused { status, body } => CallAnswer::Refused { status, body },
                        Answer::Cancelled => CallAnswer::Cancelled,
                    });
                }
            }
            Effect::Upgrade(call, stream) => self.upgrade(call, stream, ctx),
            Effect::Accepted(call) => {
                if let Some(reply) = self.acknowledgements.remove(&call) {
                    let _ = reply.send(Ok(()));
                }
                crash::point("answer:accepted");
            }
            Effect::Rejected(call, error) => {
                if let Some(reply) = self.acknowledgements.remove(&call) {
                    let _ = reply.send(Err(error));
                }
            }
            Effect::Attached { conn, stream, after, done } => self.attach(conn, stream, after, done, ctx),
            Effect::AttachRefused(conn, error) => {
                if let Some(reply) = self.attaching.remove(&conn) {
                    let _ = reply.send(Err(error));
                }
            }
            Effect::Frame { stream, seq, frame } => {
                self.durable.insert(stream, seq);
                self.show(stream, StreamItem::Frame { seq, frame });
                crash::point("event:shown");
            }
            Effect::EndStream(stream) => {
                self.show(stream, StreamItem::End);
                self.connections.remove(&stream);
                self.durable.remove(&stream);
            }
            Effect::CloseConnection(stream) => {
                self.show(stream, StreamItem::Close);
                self.connections.remove(&stream);
            }
            Effect::OpenLink { target, generation, hello, saved } => {
                self.open_link(target, generation, hello, saved, ctx);
            }
            Effect::Call { target, generation, call, id, body, deadline } => {
                self.call(target, generation, call, id, Send::Body(body), deadline, ctx);
            }
            Effect::Resume { target, generation, call, id, last_event_id, deadline } => {
                self.call(target, generation, call, id, Send::After(last_event_id), deadline, ctx);
            }
            Effect::Post { target, generation, body, question } => self.post(&target, generation, body, question, ctx),
            Effect::Listen { target, generation, listening } => {
                if let Some(link) = self.link(&target, generation) {
                    link.listen(listening);
                }
            }
            Effect::CloseLink { target, generation, goodbye } => {
                let found = self.links.iter().position(|open| open.target == target && open.generation == generation);
                if let Some(at) = found {
                    let link = self.links.swap_remove(at).link;
                    if goodbye {
                        actix_rt::spawn(async move { link.close().await });
                    }
                }
            }
            Effect::Resync { target } => self.gateway.wants_resync(&target),
            Effect::Finished(summary) => self.finished(*summary),
            Effect::BoundReached(bound) => {
                metrics::counter!("sessiongate_bounds_reached_total", "bound" => bound).increment(1);
                tracing::warn!(session = %self.lease.key, bound, "a bound of a session is reached");
            }
            Effect::WakeAt(at) => self.wake_at(at, ctx),
            Effect::Stop { ended } => self.stop(ended, ctx),
        }
    }

    fn upgrade(&mut self, call: CallId, stream: StreamId, ctx: &mut Context<Self>) {
        let conn = ConnId(call.0);
        let Some(reply) = self.replies.remove(&call) else {
            return self.step(Input::ConnClosed { stream, conn }, ctx);
        };
        let (sender, live) = mpsc::channel(CONNECTION_QUEUE);
        let attachment = Attachment { conn, stream, after: 0, through: 0, live: Some(live) };
        if reply.send(CallAnswer::Stream(attachment)).is_ok() {
            self.connections.insert(stream, (conn, sender));
        } else {
            self.step(Input::ConnClosed { stream, conn }, ctx);
        }
    }

    fn attach(&mut self, conn: ConnId, stream: StreamId, after: u64, done: bool, ctx: &mut Context<Self>) {
        let Some(reply) = self.attaching.remove(&conn) else { return };
        let through = if done { u64::MAX } else { self.durable.get(&stream).copied().unwrap_or(after) };
        let (sender, live) = mpsc::channel(CONNECTION_QUEUE);
        let live = (!done).then_some(live);
        if reply.send(Ok(Attachment { conn, stream, after, through, live })).is_err() {
            self.step(Input::ConnClosed { stream, conn }, ctx);
        } else if !done {
            self.connections.insert(stream, (conn, sender));
        }
    }

    /// Hands an item to the stream's connection. One that is too slow is let go: its reader notices, and attaches
    /// again where it stands.
    fn show(&mut self, stream: StreamId, item: StreamItem) {
        if let Some((_, sender)) = self.connections.get(&stream)
            && sender.try_send(item).is_err()
        {
            self.connections.remove(&stream);
        }
    }

    fn link(&self, target: &str, generation: Generation) -> Option<&Arc<dyn Link>> {
        self.links.iter().find(|open| &*open.target == target && open.generation == generation).map(|open| &open.link)
    }

    fn open_link(
        &mut self,
        target: Arc<str>,
        generation: Generation,
        hello: Hello,
        saved: Option<SavedLink>,
        ctx: &mut Context<Self>,
    ) {
        let addr = ctx.address();
        let sink = Arc::new(SessionSink::new(addr.clone().recipient(), target.clone(), generation));
        let tools = Arc::new(CatalogueTasks { gateway: self.gateway.clone(), target: target.clone() });
        let tasks = Tasks::new(tools, sink);
        let Some(found) = self.gateway.target(&target) else {
            let error = TargetError::Refused { detail: "it is no longer configured".into() };
            let input = Input::LinkFailed { target, generation, error };
            actix_rt::spawn(async move {
                let _ = addr.send(Event::Input(input)).await;
            });
            return;
        };
        let reattached = saved.as_ref().and_then(|saved| {
            let link = found.reattach(saved, tasks.sink())?;
            Some(tasks.link(link, &saved.revision))
        });
        if let Some(link) = reattached {
            // In place at once: what follows in this step may need it.
            self.links.push(OpenLink::new(target.clone(), generation, link, self.core.posts_room()));
            let input = Input::LinkOpened { target, generation, welcome: None, saved };
            actix_rt::spawn(async move {
                let _ = addr.send(Event::Input(input)).await;
            });
            return;
        }
        actix_rt::spawn(async move {
            let event = match found.open(hello, tasks.sink()).await {
                Ok((link, welcome)) => {
                    let link = tasks.link(link, welcome.revision.as_str());
                    let saved = link.save();
                    let opened = link.clone();
                    let welcome = Some(Box::new(welcome));
                    let event = Event::LinkOpened { target, generation, link, welcome, saved };
                    if addr.send(event).await.is_err() {
                        // The session is gone: nobody else will say goodbye.
                        opened.close().await;
                    }
                    return;
                }
                Err(error) => {
                    if let TargetError::Exhausted { what, .. } = &error {
                        metrics::counter!("sessiongate_bounds_reached_total", "bound" => *what).increment(1);
                    }
                    tracing::warn!(target_name = &*target, error = error.code(), detail = ?error, "a downstream session could not be opened");
                    Input::LinkFailed { target, generation, error }
                }
            };
            let _ = addr.send(Event::Input(event)).await;
        });
    }

    #[allow(clippy::too_many_arguments)]
    fn call(
        &mut self,
        target: Arc<str>,
        generation: Generation,
        call: CallId,
        id: i64,
        what: Send,
        deadline: Timestamp,
        ctx: &mut Context<Self>,
    ) {
        let addr = ctx.address();
        let Some(link) = self.link(&target, generation).cloned() else {
            let input = Input::CallDone { call, generation, result: Err(TargetError::Closed) };
            actix_rt::spawn(async move {
                let _ = addr.send(Event::Input(input)).await;
            });
            return;
        };
        let deadline = if call == OWN { clock::now().plus(OWN_CALL_DEADLINE) } else { deadline };
        let deadline = clock::std_instant(deadline);
        let passed = self.passed.of(call);
        let task = actix_rt::spawn(async move {
            let result = match what {
                Send::Body(body) => link.call_with(id, body, passed.as_ref(), deadline).await,
                Send::After(event) => link.resume(id, &event, deadline).await,
            };
            if call != OWN {
                crash::point("call:done");
                if let Err(error) = &result {
                    tracing::debug!(target_name = &*target, error = error.code(), detail = ?error, "a call failed downstream");
                }
                let _ = addr.send(Event::Input(Input::CallDone { call, generation, result })).await;
            }
        });
        if call != OWN {
            self.running.insert(call, task.abort_handle());
        }
    }

    fn post(
        &mut self,
        target: &Arc<str>,
        generation: Generation,
        body: Bytes,
        question: Option<u64>,
        ctx: &mut Context<Self>,
    ) {
        let passed = question.and_then(|question| self.passed.of_answer(question));
        let open = self.links.iter_mut().find(|open| open.target == *target && open.generation == generation);
        match (open, question) {
            (Some(open), question) => open.post(Post { body, question, passed }, &ctx.address().recipient()),
            (None, Some(question)) => report(ctx.address().recipient(), question, Err(TargetError::Closed)),
            (None, None) => {}
        }
    }

    fn finished(&mut self, summary: CallSummary) {
        self.passed.ended(summary.call);
        if let Some(task) = self.running.remove(&summary.call) {
            // Cancelled or timed out: nobody waits for the target any more.
            task.abort();
        }
        let took = clock::now().since(summary.started);
        let target = summary.target.as_deref().unwrap_or(OTHER);
        self.gateway.meters.of(target, self.tool_label(&summary)).record(summary.outcome, took.as_secs_f64());
        tracing::info!(
            session = %self.lease.key,
            principal = &*self.core.facts().principal,
            target_name = summary.target.as_deref(),
            method = &*short(&summary.method),
            name = summary.name.as_deref().map(short).as_deref(),
            id = summary.id,
            outcome = summary.outcome,
            duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "call"
        );
    }
}

impl SessionActor {
    /// A label takes only names of the catalogue: clients can make up others without end.
    fn tool_label<'a>(&self, summary: &'a CallSummary) -> &'a str {
        let known = |name: &str| self.gateway.catalogue().has(ListKind::Tools, name);
        match summary.name.as_deref() {
            Some(name) if &*summary.method == "tools/call" && known(name) => name,
            _ => OTHER,
        }
    }
}

/// The tools of a target that run as tasks only, as the catalogue has them now.
struct CatalogueTasks {
    gateway: Arc<Gateway>,
    target: Arc<str>,
}

impl TaskTools for CatalogueTasks {
    fn any(&self) -> bool {
        self.gateway.catalogue().task_tools(&self.target).is_some()
    }

    fn has(&self, name: &str) -> bool {
        self.gateway.catalogue().task_tools(&self.target).is_some_and(|tools| tools.contains(name))
    }
}

/// What a call puts on the wire.
enum Send {
    Body(Bytes),
    After(Box<str>),
}
