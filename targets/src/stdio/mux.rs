//! Which session a message of a shared process is for.
//!
//! The process sees one client. Ids and progress tokens are drawn from one sequence, and each message goes to the
//! session whose call it belongs to; what belongs to no call goes to all sessions (changed lists, updated resources) or,
//! where it could show one session's data to another (log messages, questions), to the only one that has calls running.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use sessiongate_protocol::meta::{ProgressToken, request_id_of};
use sessiongate_protocol::progress::{Progress, with_token};
use sessiongate_protocol::{Message, Notification, RequestId, codes, jsonrpc};
use tokio::sync::mpsc;

use super::shared::Queued;
use crate::link::{LinkEvent, LinkSink, Origin, SinkClosed};

/// A session that lets so many messages lie loses its link: the others must not wait for it.
pub(super) const QUEUE: usize = 1024;
/// Questions of the process that wait for an answer, over all sessions.
const MAX_ASKED: usize = 256;
/// Answers of the gateway itself on their way to the process.
pub(super) const ANSWERS: usize = 64;
/// Abandoned calls that can still be cancelled.
const MAX_ABANDONED: usize = 1024;

/// One number for each link.
pub(super) type LinkKey = u64;

/// The routing table of one shared process.
pub(super) struct Mux {
    name: Arc<str>,
    state: Mutex<State>,
    /// Answers that the gateway gives itself.
    answers: mpsc::Sender<Bytes>,
}

#[derive(Default)]
struct State {
    last_id: i64,
    last_link: LinkKey,
    links: HashMap<LinkKey, mpsc::Sender<Queued>>,
    /// Let go because their queue was full.
    overflowed: HashSet<LinkKey>,
    calls: HashMap<i64, Call>,
    abandoned: VecDeque<(i64, Call)>,
    asked: HashMap<RequestId, LinkKey>,
}

struct Call {
    link: LinkKey,
    /// The link's own id.
    id: i64,
    /// The link's own token.
    token: Option<ProgressToken>,
}

// === impl Mux ===

impl Mux {
    pub(super) fn new(name: Arc<str>, answers: mpsc::Sender<Bytes>) -> Self {
        Self { name, state: Mutex::default(), answers }
    }

    /// Adds a session.
    pub(super) fn attach(&self, queue: mpsc::Sender<Queued>) -> LinkKey {
        let mut state = self.state.lock();
        state.last_link += 1;
        let key = state.last_link;
        state.links.insert(key, queue);
        key
    }

    /// Forgets a session. Its open questions are answered with an error, for the process waits for them.
    pub(super) fn detach(&self, link: LinkKey) {
        let orphans: Vec<RequestId> = {
            let mut state = self.state.lock();
            state.links.remove(&link);
            state.abandoned.retain(|(_, call)| call.link != link);
            state.asked.extract_if(|_, owner| *owner == link).map(|(id, _)| id).collect()
        };
        for id in orphans {
            self.refuse(&id, "the session ended");
        }
    }

    /// Whether the session was let go because its queue was full; true once.
    pub(super) fn overflowed(&self, link: LinkKey) -> bool {
        self.state.lock().overflowed.remove(&link)
    }

    /// The queue of a session that is still attached.
    pub(super) fn queue(&self, link: LinkKey) -> Option<mpsc::Sender<Queued>> {
        self.state.lock().links.get(&link).cloned()
    }

    /// Draws the id of a call, which is also its token.
    pub(super) fn begin(&self, link: LinkKey, id: i64, token: Option<ProgressToken>) -> i64 {
        let mut state = self.state.lock();
        state.last_id += 1;
        let wire = state.last_id;
        state.calls.insert(wire, Call { link, id, token });
        wire
    }

    /// The call has its response.
    pub(super) fn finish(&self, wire: i64) {
        self.state.lock().calls.remove(&wire);
    }

    /// Nobody waits for the call any more, but it may still be cancelled.
    pub(super) fn abandon(&self, wire: i64) {
        let mut state = self.state.lock();
        if let Some(call) = state.calls.remove(&wire) {
            if state.abandoned.len() >= MAX_ABANDONED {
                state.abandoned.pop_front();
            }
            state.abandoned.push_back((wire, call));
        }
    }

    /// The wire id of a session's call.
    pub(super) fn wire_id(&self, link: LinkKey, id: i64) -> Option<i64> {
        let state = self.state.lock();
        let mut all = state
            .calls
            .iter()
            .map(|(wire, call)| (*wire, call))
            .chain(state.abandoned.iter().map(|(wire, call)| (*wire, call)));
        all.find(|(_, call)| call.link == link && call.id == id).map(|(wire, _)| wire)
    }

    /// Whether this session was asked this, and now answers it. Once only.
    pub(super) fn answered(&self, link: LinkKey, id: &RequestId) -> bool {
        let mut state = self.state.lock();
        if state.asked.get(id) != Some(&link) {
            return false;
        }
        state.asked.remove(id);
        true
    }

    fn send(&self, state: &mut State, link: LinkKey, event: LinkEvent) {
        let Some(queue) = state.links.get(&link) else { return };
        if queue.try_send(Queued::Event(event)).is_err() {
            tracing::warn!(target_name = %self.name, link, "session takes no messages, its link is closed");
            state.links.remove(&link);
            state.overflowed.insert(link);
        }
    }

    fn broadcast(&self, state: &mut State, mut event: impl FnMut() -> LinkEvent) {
        let links: Vec<LinkKey> = state.links.keys().copied().collect();
        for link in links {
            self.send(state, link, event());
        }
    }

    fn notification(&self, state: &mut State, notification: Notification) {
        let standing = |message| LinkEvent::Message { origin: Origin::Standing, message, event_id: None };
        match notification.method.as_ref() {
            "notifications/progress" => self.progress(state, notification),
            "notifications/cancelled" => {
                let id = notification.params.as_ref().and_then(|params| request_id_of(params).ok());
                if let Some(link) = id.and_then(|id| state.asked.remove(&id)) {
                    self.send(state, link, standing(Message::Notification(notification)));
                }
            }
            "notifications/message" => match state.only_caller() {
                Some((link, origin)) => {
                    let message = Message::Notification(notification);
                    self.send(state, link, LinkEvent::Message { origin, message, event_id: None });
                }
                None => {
                    tracing::debug!(target_name = %self.name, "log message of a shared process belongs to no session")
                }
            },
            _ => self.broadcast(state, || standing(Message::Notification(notification.clone()))),
        }
    }

    fn progress(&self, state: &mut State, mut notification: Notification) {
        let Some(params) = &notification.params else { return };
        let wire = Progress::read(params).ok().and_then(|progress| progress.token.as_i64());
        let Some(Call { link, id, token: Some(token) }) = wire.and_then(|wire| state.calls.get(&wire)) else {
            tracing::debug!(target_name = %self.name, "progress of nothing dropped");
            return;
        };
        let Ok(params) = with_token(params, token) else { return };
        notification.params = Some(params);
        let (link, origin) = (*link, Origin::Call(*id));
        let message = Message::Notification(notification);
        self.send(state, link, LinkEvent::Message { origin, message, event_id: None });
    }

    fn refuse(&self, id: &RequestId, why: &str) {
        self.answer(jsonrpc::response(Some(id), &jsonrpc::error_body(codes::METHOD_NOT_FOUND, why, None)));
    }

    fn answer(&self, body: Bytes) {
        if self.answers.try_send(body).is_err() {
            tracing::debug!(target_name = %self.name, "answer to a shared process dropped");
        }
    }
}

#[async_trait]
impl LinkSink for Mux {
    /// Never waits: a session that does not read its queue loses its link.
    async fn deliver(&self, event: LinkEvent) -> Result<(), SinkClosed> {
        let mut state = self.state.lock();
        match event {
            LinkEvent::Closed { error } => {
                self.broadcast(&mut state, || LinkEvent::Closed { error: error.clone() });
                state.links.clear();
            }
            LinkEvent::Message { message: Message::Notification(notification), .. } => {
                self.notification(&mut state, notification);
            }
            // A pipe has no places.
            LinkEvent::Position { .. } => {}
            LinkEvent::Message { message: Message::Request(request), .. } if request.method.as_ref() == "ping" => {
                drop(state);
                let body = sessiongate_protocol::ResponseBody::Result(sessiongate_protocol::RawJson::EMPTY_OBJECT);
                self.answer(jsonrpc::response(Some(&request.id), &body));
            }
            LinkEvent::Message { message: Message::Request(request), .. } => match state.only_caller() {
                Some((link, origin)) if state.asked.len() < MAX_ASKED => {
                    state.asked.insert(request.id.clone(), link);
                    let message = Message::Request(request);
                    self.send(&mut state, link, LinkEvent::Message { origin, message, event_id: None });
                }
                _ => {
                    drop(state);
                    self.refuse(&request.id, "the process is shared, and no single session can be asked");
                }
            },
            LinkEvent::Message { message: Message::Response(_), .. } => {}
        }
        Ok(())
    }
}

// === impl State ===

impl State {
    /// The session that alone has calls running, and the call where it is one.
    fn only_caller(&self) -> Option<(LinkKey, Origin)> {
        let mut calls = self.calls.values();
        let first = calls.next()?;
        let mut origin = Origin::Call(first.id);
        for call in calls {
            if call.link != first.link {
                return None;
            }
            origin = Origin::Standing;
        }
        Some((first.link, origin))
    }
}
