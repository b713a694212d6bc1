//! What a session's actor is told, and what it answers.

use std::sync::Arc;

use actix::prelude::*;
use bytes::Bytes;
use sessiongate_protocol::{EventId, Request, Response};
use sessiongate_storage::StoreError;
use sessiongate_targets::{Link, SavedLink, Welcome};
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
    /// The session left memory before it looked at the request: find the session again, and hand it over again.
    Left(Box<Request>),
}

/// Room in a link's window, and in that of all links.
pub(super) type Permit = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// A request that no actor has looked at yet. If it is dropped like that, because the session just left memory, it
/// goes back to whoever waits, to be handed to the session's next actor.
pub struct Unhandled(Option<(Request, oneshot::Sender<CallAnswer>)>);

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
        request: Unhandled,
        /// The answer may be a stream.
        sse: bool,
    },
    /// An answer to a question and the way back.
    Response {
        /// Its number.
        call: CallId,
        /// What.
        response: Response,
        /// The way back.
        reply: oneshot::Sender<Result<(), SessionError>>,
    },
    /// A connection wants a stream.
    Attach {
        /// The connection.
        conn: ConnId,
        /// `Last-Event-ID`.
        after: Option<EventId>,
        /// The way back.
        reply: oneshot::Sender<Result<Attachment, SessionError>>,
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
        reply: oneshot::Sender<()>,
    },
    /// Store everything and leave memory.
    ShutDown {
        /// Answered when that is done.
        reply: oneshot::Sender<()>,
    },
    /// A look.
    View(oneshot::Sender<SessionView>),
}

// === impl Unhandled ===

impl Unhandled {
    pub(super) fn new(request: Request, reply: oneshot::Sender<CallAnswer>) -> Self {
        Self(Some((request, reply)))
    }

    pub(super) fn take(mut self) -> Option<(Request, oneshot::Sender<CallAnswer>)> {
        self.0.take()
    }
}

impl Drop for Unhandled {
    fn drop(&mut self) {
        if let Some((request, reply)) = self.0.take() {
            let _ = reply.send(CallAnswer::Left(Box::new(request)));
        }
    }
}
