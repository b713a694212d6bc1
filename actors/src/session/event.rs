//! What a session's actor is told, and what it answers.

use std::sync::Arc;

use actix::prelude::*;
use bytes::Bytes;
use sessiongate_protocol::modern::envelope::LogLevel;
use sessiongate_protocol::{EventId, Notification, Request, RequestId, Response};
use sessiongate_storage::StoreError;
use sessiongate_targets::{Link, Passed, SavedLink, Welcome};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::connection::Attachment;
use super::core::{CallId, ConnId, EndReason, Generation, Input, SessionView};
use crate::error::SessionError;

/// What a request was answered with.
#[derive(Debug)]
pub enum CallAnswer {
    /// A JSON-RPC response.
    Json(Bytes),
    /// A JSON-RPC error with an HTTP status of its own.
    Refused {
        /// HTTP status.
        status: u16,
        /// The body.
        body: Bytes,
    },
    /// A stream.
    Stream(Attachment),
    /// The client cancelled it: no response.
    Cancelled,
}

/// Room in a link's window, and in that of all links.
pub(super) type Permit = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// The way back of a message that no actor has looked at yet. If it is dropped like that, because the session just left
/// memory, whoever waits is told so ([`SessionError::Left`]) and hands the message to the session's next actor.
pub struct Unhandled<T>(Option<oneshot::Sender<Result<T, SessionError>>>);

/// The way back of a request that is being handled. Dropped, it says that the outcome is not known.
pub(super) struct CallReply(oneshot::Sender<Result<CallAnswer, SessionError>>);

/// What the actor is told.
#[derive(Message)]
#[rtype(result = "()")]
pub enum Event {
    /// Something for the rules.
    Input(Input),
    /// What a link reports, and its place in the link's window.
    Link {
        /// For the rules.
        input: Input,
        /// Held until what comes of it is durable.
        permit: Permit,
    },
    /// A request and the way back.
    Request {
        /// Its number.
        call: CallId,
        /// What.
        request: Request,
        /// The answer may be a stream.
        sse: bool,
        /// From which level on its own sender wants to hear what targets log.
        log_level: Option<LogLevel>,
        /// What goes along to the target beside it.
        passed: Option<Arc<Passed>>,
        /// The way back.
        reply: Unhandled<CallAnswer>,
    },
    /// A notification of the client and the way back.
    Notification {
        /// What.
        notification: Notification,
        /// Answered when the rules know it.
        reply: Unhandled<()>,
    },
    /// An answer to a question and the way back.
    Response {
        /// Its number.
        call: CallId,
        /// What.
        response: Response,
        /// What goes along to the target beside it.
        passed: Option<Arc<Passed>>,
        /// The way back.
        reply: Unhandled<()>,
    },
    /// A connection wants a stream.
    Attach {
        /// The connection.
        conn: ConnId,
        /// `Last-Event-ID`.
        after: Option<EventId>,
        /// The way back.
        reply: Unhandled<Attachment>,
    },
    /// A downstream session is open: the link itself, for the actor.
    LinkOpened {
        /// The target.
        target: Arc<str>,
        /// Which opening.
        generation: Generation,
        /// The link.
        link: Arc<dyn Link>,
        /// What the target said.
        welcome: Option<Box<Welcome>>,
        /// What another process would need.
        saved: Option<SavedLink>,
    },
    /// A batch is stored, or is not.
    Committed {
        /// Its number.
        number: u64,
        /// How it went.
        result: Result<(), StoreError>,
    },
    /// End the session.
    End {
        /// Why.
        reason: EndReason,
        /// Answered when it is gone from the store.
        reply: Unhandled<()>,
    },
    /// Store everything and leave memory.
    ShutDown {
        /// Answered when that is done.
        reply: Unhandled<()>,
    },
    /// A look.
    View(Unhandled<SessionView>),
    /// A look at what waits in a call.
    Questions {
        /// The client's id of the call.
        call: RequestId,
        /// The way back: none if no such call runs.
        reply: Unhandled<Option<Vec<Request>>>,
    },
}

// === impl Event ===

impl Event {
    /// Whether somebody waits for an answer who can ask the session's next actor.
    pub(super) fn can_follow(&self) -> bool {
        match self {
            Self::Request { .. }
            | Self::Notification { .. }
            | Self::Response { .. }
            | Self::Attach { .. }
            | Self::End { .. }
            | Self::ShutDown { .. }
            | Self::View(_)
            | Self::Questions { .. } => true,
            Self::Input(_) | Self::Link { .. } | Self::LinkOpened { .. } | Self::Committed { .. } => false,
        }
    }
}

// === impl Unhandled ===

impl<T> Unhandled<T> {
    pub(super) fn new(reply: oneshot::Sender<Result<T, SessionError>>) -> Self {
        Self(Some(reply))
    }

    /// From here on the message counts as handled.
    pub(super) fn take(mut self) -> Option<oneshot::Sender<Result<T, SessionError>>> {
        self.0.take()
    }
}

impl<T> Drop for Unhandled<T> {
    fn drop(&mut self) {
        if let Some(reply) = self.0.take() {
            let _ = reply.send(Err(SessionError::Left));
        }
    }
}

// === impl CallReply ===

impl CallReply {
    pub(super) fn new(reply: oneshot::Sender<Result<CallAnswer, SessionError>>) -> Self {
        Self(reply)
    }

    /// An error if nobody waits any more.
    pub(super) fn send(self, answer: CallAnswer) -> Result<(), CallAnswer> {
        self.0.send(Ok(answer)).map_err(|unsent| unsent.unwrap_or(CallAnswer::Cancelled))
    }
}
