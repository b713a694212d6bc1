//! One process for all sessions of a gateway.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use sessiongate_protocol::meta::{ProgressToken, progress_token, request_id_of, with_progress_token, with_request_id};
use sessiongate_protocol::{Message, RequestId, jsonrpc};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::Launcher;
use super::connection::Connection;
use super::mux::{ANSWERS, LinkKey, Mux, QUEUE};
use crate::error::TargetError;
use crate::http::link::until;
use crate::link::{CallReply, Hello, Link, LinkEvent, LinkSink, Welcome};
use crate::passed::Passed;

/// For answers that the gateway gives a process by itself.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// The process of a target, once one was needed.
#[derive(Default)]
pub(super) struct Shared(Mutex<Option<Running>>);

#[derive(Clone)]
struct Running {
    connection: Arc<Connection>,
    mux: Arc<Mux>,
    welcome: Welcome,
}

/// What a session's queue holds.
pub(super) enum Queued {
    Event(LinkEvent),
    /// Answered when everything before it was delivered.
    Barrier(oneshot::Sender<()>),
}

struct SharedLink {
    running: Running,
    key: LinkKey,
}

/// Takes a call out of the table, also when its future is dropped.
struct OnWire<'a> {
    mux: &'a Mux,
    id: i64,
    answered: bool,
}

// === impl Shared ===

impl Shared {
    /// Joins the running process, or starts one. Only one is started at a time.
    pub(super) async fn open(
        &self,
        launcher: &Launcher,
        hello: &Hello,
        sink: Arc<dyn LinkSink>,
    ) -> Result<(Arc<dyn Link>, Welcome), TargetError> {
        let mut slot = self.0.lock().await;
        let running = match slot.as_ref().filter(|running| running.connection.is_open()) {
            Some(running) => running.clone(),
            None => {
                *slot = None;
                slot.insert(Running::start(launcher, hello).await?).clone()
            }
        };
        drop(slot);
        let welcome = running.welcome.clone();
        let (queue, queued) = mpsc::channel(QUEUE);
        let key = running.mux.attach(queue);
        tokio::spawn(forward(queued, sink, Arc::clone(&running.mux), key));
        Ok((Arc::new(SharedLink { running, key }), welcome))
    }
}

impl Running {
    async fn start(launcher: &Launcher, hello: &Hello) -> Result<Self, TargetError> {
        let (sender, answers) = mpsc::channel(ANSWERS);
        let mux = Arc::new(Mux::new(Arc::clone(&launcher.spec.name), sender));
        let (connection, welcome) = launcher.start(hello, Arc::clone(&mux) as Arc<dyn LinkSink>).await?;
        let connection = Arc::new(connection);
        tokio::spawn(answer(answers, Arc::downgrade(&connection)));
        Ok(Self { connection, mux, welcome })
    }
}

/// Sends the mux's own answers; ends with the connection.
async fn answer(mut answers: mpsc::Receiver<Bytes>, connection: std::sync::Weak<Connection>) {
    while let Some(body) = answers.recv().await {
        let Some(connection) = connection.upgrade() else { return };
        let _ = connection.post(body, Instant::now() + ANSWER_TIME).await;
    }
}

/// Delivers a session's queue in order.
async fn forward(mut queued: mpsc::Receiver<Queued>, sink: Arc<dyn LinkSink>, mux: Arc<Mux>, key: LinkKey) {
    while let Some(next) = queued.recv().await {
        match next {
            Queued::Barrier(passed) => {
                let _ = passed.send(());
            }
            Queued::Event(event) => {
                if sink.deliver(event).await.is_err() {
                    break;
                }
            }
        }
    }
    // The mux let go of the queue: the link was detached and nobody listens, or it was too slow.
    mux.detach(key);
    if mux.overflowed(key) {
        let error = TargetError::Exhausted { what: "undelivered messages", limit: QUEUE };
        let _ = sink.deliver(LinkEvent::Closed { error }).await;
    }
}

// === impl SharedLink ===

impl SharedLink {
    async fn run(&self, id: i64, body: &Bytes, deadline: Instant) -> Result<CallReply, TargetError> {
        let Running { connection, mux, .. } = &self.running;
        let unreadable = |_| TargetError::Protocol { detail: "the request cannot be read".into() };
        let Ok(Message::Request(request)) = Message::parse(body) else {
            return Err(TargetError::Protocol { detail: "a call needs a request".into() });
        };
        let token = request.params.as_ref().map(progress_token).transpose().map_err(unreadable)?.flatten();
        let has_token = token.is_some();
        let mut on_wire = OnWire { mux, id: mux.begin(self.key, id, token), answered: false };
        let params = match request.params {
            Some(params) if has_token => {
                let token = ProgressToken::integer(on_wire.id);
                Some(with_progress_token(&params, Some(&token)).map_err(unreadable)?)
            }
            params => params,
        };
        let body = jsonrpc::request(&RequestId::integer(on_wire.id), &request.method, params.as_ref());
        let mut reply = connection.call(on_wire.id, body, deadline).await?;
        on_wire.answered = true;
        reply.response.id = Some(RequestId::integer(id));
        // What the process said before must be with the owner before the response is.
        if let Some(queue) = mux.queue(self.key) {
            let (passed, done) = oneshot::channel();
            if queue.send(Queued::Barrier(passed)).await.is_ok() {
                drop(queue);
                let _ = done.await;
            }
        }
        Ok(reply)
    }

    fn check_attached(&self) -> Result<(), TargetError> {
        if self.running.mux.queue(self.key).is_some() { Ok(()) } else { Err(TargetError::SessionGone) }
    }
}

#[async_trait]
impl Link for SharedLink {
    async fn call_with(
        &self,
        id: i64,
        body: Bytes,
        _passed: Option<&Arc<Passed>>,
        deadline: Instant,
    ) -> Result<CallReply, TargetError> {
        self.check_attached()?;
        until(deadline, self.run(id, &body, deadline)).await
    }

    async fn resume(&self, _id: i64, _last_event_id: &str, _deadline: Instant) -> Result<CallReply, TargetError> {
        Err(TargetError::OutcomeUnknown { detail: "the process of an earlier call is gone".into() })
    }

    async fn post_with(
        &self,
        body: Bytes,
        _passed: Option<&Arc<Passed>>,
        deadline: Instant,
    ) -> Result<(), TargetError> {
        self.check_attached()?;
        let Running { connection, mux, .. } = &self.running;
        let body = match Message::parse(&body) {
            Ok(Message::Response(response)) => {
                match &response.id {
                    Some(id) if mux.answered(self.key, id) => body,
                    // Asked of another session, or not any more.
                    _ => return Ok(()),
                }
            }
            Ok(Message::Notification(notification)) => match (notification.method.as_ref(), &notification.params) {
                ("notifications/cancelled", Some(params)) => {
                    let id = request_id_of(params).ok().and_then(|id| id.as_i64());
                    let Some(wire) = id.and_then(|id| mux.wire_id(self.key, id)) else { return Ok(()) };
                    match with_request_id(params, &RequestId::integer(wire)) {
                        Ok(params) => jsonrpc::notification("notifications/cancelled", Some(&params)),
                        Err(_) => return Ok(()),
                    }
                }
                // True of one session, and the process knows only one client.
                ("notifications/initialized" | "notifications/roots/list_changed" | "notifications/cancelled", _) => {
                    return Ok(());
                }
                _ => body,
            },
            Ok(Message::Request(_)) | Err(_) => {
                return Err(TargetError::Protocol { detail: "neither a notification nor a response".into() });
            }
        };
        connection.post(body, deadline).await
    }

    /// The process stays for the other sessions.
    async fn close(&self) {
        self.running.mux.detach(self.key);
    }
}

impl Drop for SharedLink {
    fn drop(&mut self) {
        self.running.mux.detach(self.key);
    }
}

impl Drop for OnWire<'_> {
    fn drop(&mut self) {
        if self.answered { self.mux.finish(self.id) } else { self.mux.abandon(self.id) }
    }
}
