//! The shape of a downstream session, whatever carries it.
//!
//! A [`Target`] opens [`Link`]s: one for each client session (and one for the catalogue). A link allocates nothing on
//! the wire by itself: JSON-RPC ids, progress tokens and bodies are the session actor's. Messages that are not the
//! response to a call go to the link's [`LinkSink`], one at a time, each awaited: that is the back pressure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use sessiongate_protocol::{Message, RawJson, Response, Revision};

use crate::error::TargetError;
use crate::modern::Exchange;
use crate::passed::Passed;

/// Something behind the gateway that speaks MCP.
#[async_trait]
pub trait Target: Send + Sync + 'static {
    /// Its configured name.
    fn name(&self) -> &str;

    /// Opens a downstream session: transport, `initialize`, `notifications/initialized`. Bounded by the target's
    /// connect and initialize deadlines. Messages that arrive outside a call go to `sink`.
    async fn open(&self, hello: Hello, sink: Arc<dyn LinkSink>) -> Result<(Arc<dyn Link>, Welcome), TargetError>;

    /// Takes up a downstream session that another process of the gateway opened; no I/O. None where the transport
    /// cannot (a process is gone with its parent).
    fn reattach(&self, saved: &SavedLink, sink: Arc<dyn LinkSink>) -> Option<Arc<dyn Link>>;

    /// For requests without a session, where the target was modern (2026-07-28) when it was last opened; no I/O.
    fn modern(&self) -> Option<Arc<dyn Exchange>> {
        None
    }

    /// Whether nothing is known of its era yet, so that [`Target::modern`] means nothing.
    fn is_era_open(&self) -> bool {
        false
    }

    /// Finds out whether the target is modern, where nothing is known of that: one that was never opened may be. Bounded by
    /// its deadlines. `hello` is whose request it is for.
    ///
    /// # Errors
    /// When it cannot be asked; it could not be opened either.
    async fn find_era(&self, hello: &Hello) -> Result<(), TargetError> {
        let _ = hello;
        Ok(())
    }

    /// Tells what the target spoke when another process of the gateway opened it, so that it need not be asked at once.
    /// Without effect where this process knows it already, or where the configuration decides.
    fn remember(&self, revision: Revision) {
        let _ = revision;
    }
}

/// One downstream session. Cheap to share; all calls may run at once. Dropping the last reference ends local
/// resources (tasks, process) but sends nothing; [`Link::close`] says goodbye.
#[async_trait]
pub trait Link: Send + Sync + 'static {
    /// Sends a request and waits for its response; other messages that come on its stream go to the sink with
    /// [`Origin::Call`] before this returns. A stream that breaks after an event with an id is resumed with
    /// `Last-Event-ID`, honouring `retry`, until `deadline`.
    ///
    /// `passed` goes along where the transport has room for it, and what passes back is noted there before anything of the
    /// answer is handed on. `id` is the integer JSON-RPC id inside `body`, unique on this link for all time.
    /// Dropping the future abandons the call locally; it does not cancel it at the target.
    async fn call_with(
        &self,
        id: i64,
        body: Bytes,
        passed: Option<&Arc<Passed>>,
        deadline: Instant,
    ) -> Result<CallReply, TargetError>;

    /// The same with nothing beside the message.
    async fn call(&self, id: i64, body: Bytes, deadline: Instant) -> Result<CallReply, TargetError> {
        self.call_with(id, body, None, deadline).await
    }

    /// Goes on with a call that an earlier process began: GET with `Last-Event-ID`. Only messages after that event
    /// come. Fails with [`TargetError::OutcomeUnknown`] where the transport or the target cannot.
    async fn resume(&self, id: i64, last_event_id: &str, deadline: Instant) -> Result<CallReply, TargetError>;

    /// Sends a notification or a response, with `passed` where the transport has room for it; returns when the target has
    /// accepted it (202, or written to the pipe).
    async fn post_with(&self, body: Bytes, passed: Option<&Arc<Passed>>, deadline: Instant) -> Result<(), TargetError>;

    /// The same with nothing beside the message.
    async fn post(&self, body: Bytes, deadline: Instant) -> Result<(), TargetError> {
        self.post_with(body, None, deadline).await
    }

    /// Wants messages outside calls (the standing GET stream). Idempotent; runs in the background, reconnects with
    /// backoff, and accepts that the target offers none (405). Where the transport always delivers them (stdio,
    /// HTTP+SSE) this does nothing.
    fn listen(&self, listening: Listening) {
        let _ = listening;
    }

    /// What another process needs to take the session up; none where it cannot.
    fn save(&self) -> Option<SavedLink> {
        None
    }

    /// Ends the downstream session: DELETE where there is a session id, or end of the process group. Bounded in time.
    async fn close(&self);
}

/// Whether the standing stream is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// Open it, keep it open.
    On,
    /// Close it.
    Off,
}

/// What the gateway says of its client in `initialize`.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The revision to offer.
    pub revision: Revision,
    /// `capabilities`.
    pub capabilities: RawJson,
    /// `clientInfo`.
    pub client_info: RawJson,
    /// Through which gateways the client came, where it came through any ([`VIA`](crate::VIA)).
    pub via: Option<Box<str>>,
}

// === impl Hello ===

impl Hello {
    /// What goes along with requests that no request of the client causes.
    pub(crate) fn beside(&self) -> Option<Arc<Passed>> {
        Some(Passed::through(None, self.via.as_deref()?.into()))
    }
}

/// What the target answered.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// The negotiated revision; of the modern era where there was no `initialize`.
    pub revision: Revision,
    /// The whole `InitializeResult`, or the whole `DiscoverResult` of a modern target.
    pub result: RawJson,
    /// The transport that was found to work, for people: `streamable-http`, `sse`, `stdio`.
    pub transport: &'static str,
}

/// A downstream session as stored. It holds the target's session id, which is a secret: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SavedLink {
    /// The target's `Mcp-Session-Id`, where it gave one.
    pub session_id: Option<Box<str>>,
    /// The negotiated revision.
    pub revision: Box<str>,
}

impl std::fmt::Debug for SavedLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SavedLink").field("revision", &self.revision).finish_non_exhaustive()
    }
}

/// The end of a call.
#[derive(Debug)]
pub struct CallReply {
    /// The response; its id is the call's.
    pub response: Response,
    /// The SSE event id it came with.
    pub event_id: Option<Box<str>>,
}

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the stream of the call with this downstream id.
    Call(i64),
    /// On the standing stream, or on a transport that has only one.
    Standing,
}

/// What a link reports by itself.
pub enum LinkEvent {
    /// A request or a notification of the target. (Responses are returned by `call`; a response to nothing is logged
    /// and dropped by the link.)
    Message {
        /// Where it came from.
        origin: Origin,
        /// Never a response.
        message: Message,
        /// The SSE event id, to be stored with what is done about the message.
        event_id: Option<Box<str>>,
    },
    /// A call's stream has a place from which it can be taken up, and nothing was said there yet; or it broke and is
    /// being taken up.
    Position {
        /// The call's downstream id.
        call: i64,
        /// The SSE event id.
        event_id: Box<str>,
        /// The target closed the stream, or it broke: the answer takes its time.
        interrupted: bool,
    },
    /// The target ended the session, or the process ended: the link is dead. Running calls fail on their own.
    Closed {
        /// Why.
        error: TargetError,
    },
}

impl std::fmt::Debug for LinkEvent {
    // Without what is said: a position may hold arguments and answers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Message { origin, .. } => f.debug_struct("Message").field("origin", origin).finish_non_exhaustive(),
            Self::Position { call, interrupted, .. } => {
                f.debug_struct("Position").field("call", call).field("interrupted", interrupted).finish_non_exhaustive()
            }
            Self::Closed { error } => f.debug_struct("Closed").field("error", error).finish(),
        }
    }
}

/// Where a link puts its events. A call of `deliver` that waits holds the link's reading back.
#[async_trait]
pub trait LinkSink: Send + Sync + 'static {
    /// Hands over one event.
    async fn deliver(&self, event: LinkEvent) -> Result<(), SinkClosed>;

    /// Waits until everything that was delivered is stored. A link asks for this before it does something that must
    /// not be done twice, whatever happens to the process. Owners that store nothing have nothing to wait for.
    async fn settle(&self) -> Result<(), SinkClosed> {
        Ok(())
    }
}

/// Nobody listens any more: the link should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the owner of the link is gone")]
pub struct SinkClosed;

/// Deadlines and limits of a target.
#[derive(Clone, Debug)]
pub struct LinkLimits {
    /// To connect.
    pub connect: Duration,
    /// For the whole `open`.
    pub initialize: Duration,
    /// For one call, whatever its progress.
    pub call: Duration,
    /// Largest JSON body, SSE event or stdio line, in bytes.
    pub message_bytes: usize,
    /// A stream without a byte (comments count) for this long is broken.
    pub idle: Duration,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            initialize: Duration::from_secs(30),
            call: Duration::from_secs(15 * 60),
            message_bytes: 16 * 1024 * 1024,
            idle: Duration::from_secs(5 * 60),
        }
    }
}
