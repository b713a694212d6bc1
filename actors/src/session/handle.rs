//! How others reach a session: the only way in. Nobody else sees the actor's address.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::Recipient;
use actix::prelude::SendError;
use sessiongate_protocol::modern::envelope::LogLevel;
use sessiongate_protocol::{EventId, Notification, Request, RequestId, Response, Revision};
use sessiongate_storage::{SessionKey, Timestamp};
use sessiongate_targets::Passed;
use tokio::sync::oneshot;

use super::connection::Attachment;
use super::core::{CallId, ConnId, EndReason, Input, SessionCore, SessionView};
use super::event::{CallAnswer, Event, Unhandled};
use crate::error::SessionError;

/// Messages that may wait in a session's mailbox from all HTTP requests together.
pub(super) const MAILBOX: usize = 256;

/// Longest wait for something that needs no target: an acknowledgement, a stream, a view.
const LOCAL_DEADLINE: Duration = Duration::from_secs(10);

/// A live session.
///
/// There is one address for all requests, never cloned for a request: the mailbox bounds what is sent through one
/// address, so that a session cannot be flooded.
pub struct SessionHandle {
    whose: Whose,
    addr: Recipient<Event>,
    next: AtomicU64,
}

/// What does not change as long as a session lives.
pub(super) struct Whose {
    key: SessionKey,
    revision: Revision,
    /// Of the gateway's own.
    own: bool,
    principal: Box<str>,
    gateway: Arc<str>,
    created: Timestamp,
}

/// A request that was handed to the session. Dropping it says that nobody waits any more; the call goes on.
pub struct PendingCall<'a> {
    handle: &'a SessionHandle,
    call: CallId,
    answer: oneshot::Receiver<Result<CallAnswer, SessionError>>,
    done: bool,
}

// === impl SessionHandle ===

impl SessionHandle {
    pub(super) fn new(whose: Whose, addr: Recipient<Event>, next: CallId) -> Self {
        Self { whose, addr, next: AtomicU64::new(next.0) }
    }

    /// The internal key.
    pub fn key(&self) -> SessionKey {
        self.whose.key
    }

    /// The negotiated revision.
    pub fn revision(&self) -> Revision {
        self.whose.revision
    }

    /// The revision that its client speaks: sessions of the gateway's own are for those who have none.
    pub fn client_revision(&self) -> Revision {
        if self.whose.own { Revision::V2026_07_28 } else { self.whose.revision }
    }

    /// Who owns it, hashed.
    pub fn principal(&self) -> &str {
        &self.whose.principal
    }

    /// The gateway it belongs to.
    pub fn gateway(&self) -> &str {
        &self.whose.gateway
    }

    /// When it began: tells it from one that had the same key before.
    pub fn created(&self) -> Timestamp {
        self.whose.created
    }

    /// The actor runs.
    pub fn is_alive(&self) -> bool {
        self.addr.connected()
    }

    fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends a message and waits for the answer. [`SessionError::Left`] if no actor looked at the message.
    async fn ask<T>(&self, event: impl FnOnce(Unhandled<T>) -> Event) -> Result<T, SessionError> {
        let (reply, answer) = oneshot::channel();
        match self.addr.try_send(event(Unhandled::new(reply))) {
            // What comes back closed is dropped here, and says so by itself.
            Ok(()) | Err(SendError::Closed(_)) => {}
            Err(SendError::Full(_)) => return Err(SessionError::Overloaded),
        }
        match tokio::time::timeout(LOCAL_DEADLINE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(SessionError::Crashed),
            Err(_) => Err(SessionError::Overloaded),
        }
    }

    /// Hands a request over. `sse`: the answer may be a stream.
    pub fn request(&self, request: Request, sse: bool) -> Result<PendingCall<'_>, SessionError> {
        self.request_with(request, sse, None, None)
    }

    /// The same for a request that says itself what it wants to hear of what targets log, as those of 2026-07-28 do, or that
    /// brought what goes along to its target.
    pub fn request_with(
        &self,
        request: Request,
        sse: bool,
        log_level: Option<LogLevel>,
        passed: Option<Arc<Passed>>,
    ) -> Result<PendingCall<'_>, SessionError> {
        let call = CallId(self.next());
        let (reply, answer) = oneshot::channel();
        let reply = Unhandled::new(reply);
        match self.addr.try_send(Event::Request { call, request, sse, log_level, passed, reply }) {
            // A session that just left says so in the answer.
            Ok(()) | Err(SendError::Closed(_)) => {}
            Err(SendError::Full(_)) => return Err(SessionError::Overloaded),
        }
        Ok(PendingCall { handle: self, call, answer, done: false })
    }

    /// Hands a notification over; returns when the session knows it.
    pub async fn notification(&self, notification: Notification) -> Result<(), SessionError> {
        self.ask(|reply| Event::Notification { notification, reply }).await
    }

    /// Hands the answer to a question over; returns when it is stored.
    pub async fn response(&self, response: Response) -> Result<(), SessionError> {
        self.response_with(response, None).await
    }

    /// The same for an answer that brought what goes along to its target.
    pub async fn response_with(&self, response: Response, passed: Option<Arc<Passed>>) -> Result<(), SessionError> {
        let call = CallId(self.next());
        self.ask(|reply| Event::Response { call, response, passed, reply }).await
    }

    /// Opens the standing stream, or the rest of the stream that `after` names.
    pub async fn attach(&self, after: Option<EventId>) -> Result<Attachment, SessionError> {
        let conn = ConnId(self.next());
        self.ask(|reply| Event::Attach { conn, after, reply }).await
    }

    /// A connection ended.
    pub fn connection_closed(&self, attachment: &Attachment) {
        let input = Input::ConnClosed { stream: attachment.stream, conn: attachment.conn };
        self.tell(input);
    }

    /// The same, by the parts of an attachment.
    pub fn closed(&self, stream: sessiongate_protocol::StreamId, conn: ConnId) {
        self.tell(Input::ConnClosed { stream, conn });
    }

    /// Ends the session; returns when it is gone from the store.
    pub async fn end(&self, reason: EndReason) -> Result<(), SessionError> {
        self.ask(|reply| Event::End { reason, reply }).await
    }

    /// The published catalogue changed.
    pub fn catalogue_changed(&self) {
        self.tell(Input::CatalogueChanged);
    }

    /// The gateway's settings changed.
    pub fn settings_changed(&self) {
        self.tell(Input::SettingsChanged);
    }

    /// A target was changed or removed.
    pub fn target_replaced(&self, target: std::sync::Arc<str>) {
        self.tell(Input::TargetReplaced { target });
    }

    /// Closes the connections, flushes and leaves memory; returns when everything is stored.
    pub async fn shut_down(&self) -> Result<(), SessionError> {
        match self.ask(|reply| Event::ShutDown { reply }).await {
            // It left by itself.
            Err(SessionError::Left) => Ok(()),
            done => done,
        }
    }

    /// The questions that wait in a call, as the client was asked them; none if the client has no call with this id.
    pub async fn questions(&self, call: RequestId) -> Result<Option<Vec<Request>>, SessionError> {
        self.ask(|reply| Event::Questions { call, reply }).await
    }

    /// A look at it.
    pub async fn view(&self) -> Result<SessionView, SessionError> {
        self.ask(Event::View).await
    }

    /// For what must not be lost and cannot be refused: waits in the mailbox in the background.
    fn tell(&self, input: Input) {
        if let Err(SendError::Full(event)) = self.addr.try_send(Event::Input(input)) {
            let addr = self.addr.clone();
            actix_rt::spawn(async move {
                let _ = tokio::time::timeout(LOCAL_DEADLINE, addr.send(event)).await;
            });
        }
    }
}

// === impl Whose ===

impl Whose {
    pub(super) fn of(core: &SessionCore, key: SessionKey, gateway: Arc<str>) -> Self {
        let facts = core.facts();
        Self {
            key,
            revision: facts.revision,
            own: facts.conversation || facts.transient,
            principal: facts.principal.clone(),
            gateway,
            created: facts.created,
        }
    }
}

// === impl PendingCall ===

impl PendingCall<'_> {
    /// Waits for the answer. After `quiet` without one, the answer becomes a stream where that is possible, so that
    /// the client gets keep-alives and can resume. [`SessionError::Left`] if no actor looked at the request.
    pub async fn answer(mut self, quiet: Duration) -> Result<CallAnswer, SessionError> {
        let answer = match tokio::time::timeout(quiet, &mut self.answer).await {
            Ok(answer) => answer,
            Err(_) => {
                self.handle.tell(Input::UpgradeDue(self.call));
                (&mut self.answer).await
            }
        };
        self.done = true;
        answer.unwrap_or(Err(SessionError::Crashed))
    }
}

impl Drop for PendingCall<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.handle.tell(Input::ReplyGone(self.call));
        }
    }
}
