//! How others reach a session: the only way in. Nobody else sees the actor's address.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::Recipient;
use actix::prelude::SendError;
use sessiongate_protocol::{EventId, Notification, Request, Response, Revision};
use sessiongate_storage::SessionKey;
use tokio::sync::oneshot;

use super::connection::Attachment;
use super::core::{CallId, ConnId, EndReason, Input, SessionView};
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
    key: SessionKey,
    revision: Revision,
    principal: Box<str>,
    gateway: std::sync::Arc<str>,
    addr: Recipient<Event>,
    next: AtomicU64,
}

/// A request that was handed to the session. Dropping it says that nobody waits any more; the call goes on.
pub struct PendingCall<'a> {
    handle: &'a SessionHandle,
    call: CallId,
    answer: oneshot::Receiver<CallAnswer>,
    done: bool,
}

// === impl SessionHandle ===

impl SessionHandle {
    pub(super) fn new(
        key: SessionKey,
        revision: Revision,
        principal: Box<str>,
        gateway: std::sync::Arc<str>,
        addr: Recipient<Event>,
        next: CallId,
    ) -> Self {
        Self { key, revision, principal, gateway, addr, next: AtomicU64::new(next.0) }
    }

    /// The internal key.
    pub fn key(&self) -> SessionKey {
        self.key
    }

    /// The negotiated revision.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Who owns it, hashed.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// The gateway it belongs to.
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// The actor runs.
    pub fn is_alive(&self) -> bool {
        self.addr.connected()
    }

    fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn send(&self, event: Event) -> Result<(), SessionError> {
        self.addr.try_send(event).map_err(|error| match error {
            SendError::Full(_) => SessionError::Overloaded,
            SendError::Closed(_) => SessionError::Ended,
        })
    }

    async fn wait<T>(receiver: oneshot::Receiver<T>) -> Result<T, SessionError> {
        match tokio::time::timeout(LOCAL_DEADLINE, receiver).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(SessionError::Crashed),
            Err(_) => Err(SessionError::Overloaded),
        }
    }

    /// Hands a request over. `sse`: the answer may be a stream.
    pub fn request(&self, request: Request, sse: bool) -> Result<PendingCall<'_>, SessionError> {
        let call = CallId(self.next());
        let (reply, answer) = oneshot::channel();
        let request = Unhandled::new(request, reply);
        match self.addr.try_send(Event::Request { call, request, sse }) {
            // A session that just left gives the request back as the answer.
            Ok(()) | Err(SendError::Closed(_)) => {}
            Err(SendError::Full(_)) => return Err(SessionError::Overloaded),
        }
        Ok(PendingCall { handle: self, call, answer, done: false })
    }

    /// Hands a notification over.
    pub fn notification(&self, notification: Notification) -> Result<(), SessionError> {
        self.send(Event::Input(Input::Notification(notification)))
    }

    /// Hands the answer to a question over; returns when it is stored.
    pub async fn response(&self, response: Response) -> Result<(), SessionError> {
        let call = CallId(self.next());
        let (reply, accepted) = oneshot::channel();
        self.send(Event::Response { call, response, reply })?;
        Self::wait(accepted).await?
    }

    /// Opens the standing stream, or the rest of the stream that `after` names.
    pub async fn attach(&self, after: Option<EventId>) -> Result<Attachment, SessionError> {
        let conn = ConnId(self.next());
        let (reply, attached) = oneshot::channel();
        self.send(Event::Attach { conn, after, reply })?;
        Self::wait(attached).await?
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
        let (reply, ended) = oneshot::channel();
        self.send(Event::End { reason, reply })?;
        // A session that ended in between did what was asked.
        Self::wait(ended).await
    }

    /// The published catalogue changed.
    pub fn catalogue_changed(&self) {
        self.tell(Input::CatalogueChanged);
    }

    /// A target was changed or removed.
    pub fn target_replaced(&self, target: std::sync::Arc<str>) {
        self.tell(Input::TargetReplaced { target });
    }

    /// Closes the connections, flushes and leaves memory; returns when everything is stored.
    pub async fn shut_down(&self) -> Result<(), SessionError> {
        let (reply, done) = oneshot::channel();
        self.send(Event::ShutDown { reply })?;
        Self::wait(done).await
    }

    /// A look at it.
    pub async fn view(&self) -> Result<SessionView, SessionError> {
        let (reply, view) = oneshot::channel();
        self.send(Event::View(reply))?;
        Self::wait(view).await
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

// === impl PendingCall ===

impl PendingCall<'_> {
    /// Waits for the answer. After `quiet` without one, the answer becomes a stream where that is possible, so that
    /// the client gets keep-alives and can resume.
    pub async fn answer(mut self, quiet: Duration) -> Result<CallAnswer, SessionError> {
        let answer = match tokio::time::timeout(quiet, &mut self.answer).await {
            Ok(answer) => answer,
            Err(_) => {
                self.handle.tell(Input::UpgradeDue(self.call));
                (&mut self.answer).await
            }
        };
        self.done = true;
        answer.map_err(|_| SessionError::Crashed)
    }
}

impl Drop for PendingCall<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.handle.tell(Input::ReplyGone(self.call));
        }
    }
}
