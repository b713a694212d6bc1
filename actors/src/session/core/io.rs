//! What goes into the core and what comes out.

use std::sync::Arc;

use bytes::Bytes;
use sessiongate_protocol::modern::envelope::LogLevel;
use sessiongate_protocol::sealer::Sealer;
use sessiongate_protocol::{EventId, Notification, Request, Response, StreamId};
use sessiongate_storage::{Batch, Timestamp};
use sessiongate_targets::{CallReply, Hello, LinkEvent, Listening, SavedLink, TargetError, Welcome};

use crate::catalogue::Snapshot;
use crate::error::SessionError;
use crate::settings::GatewaySettings;

/// A request of the client while it runs. Assigned by the shell, never reused within a session's life in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// One connection that reads a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId(pub u64);

/// One downstream session of this session with a target, counted: what an older one reports is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u32);

/// What a step may look at besides its own state.
pub struct Env<'a> {
    /// Now.
    pub now: Timestamp,
    /// The gateway's settings: a session follows some of them at once.
    pub settings: &'a GatewaySettings,
    /// What the gateway publishes.
    pub catalogue: &'a Snapshot,
    /// Seals list cursors.
    pub sealer: &'a Sealer,
}

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// The client asks.
    Request {
        /// How the answer finds its way back.
        call: CallId,
        /// What.
        request: Request,
        /// The answer may be a stream.
        sse: bool,
        /// From which level on this request wants to hear what targets log; none in sessions, which have a level for all.
        log_level: Option<LogLevel>,
    },
    /// The client tells.
    Notification(Notification),
    /// The client answers a question; acknowledged with [`Effect::Accepted`] or [`Effect::Rejected`].
    Response {
        /// How the acknowledgement finds its way back.
        call: CallId,
        /// What.
        response: Response,
    },
    /// The call has been quiet for so long that its answer becomes a stream, for keep-alives and resumption.
    UpgradeDue(CallId),
    /// Nobody waits for the answer of a call any more. Not a cancellation (2025-11-25, transports).
    ReplyGone(CallId),
    /// A connection wants a stream: a new standing one, or the rest of the one that the event id names.
    Attach {
        /// The connection.
        conn: ConnId,
        /// `Last-Event-ID`.
        after: Option<EventId>,
    },
    /// A connection ended.
    ConnClosed {
        /// Its stream.
        stream: StreamId,
        /// The connection.
        conn: ConnId,
    },
    /// A downstream session is open.
    LinkOpened {
        /// The target.
        target: Arc<str>,
        /// Which opening.
        generation: Generation,
        /// What the target said; none if a stored session was taken up.
        welcome: Option<Welcome>,
        /// What another process would need.
        saved: Option<SavedLink>,
    },
    /// A downstream session could not be opened.
    LinkFailed {
        /// The target.
        target: Arc<str>,
        /// Which opening.
        generation: Generation,
        /// Why.
        error: TargetError,
    },
    /// A target says something that is not a response.
    Link {
        /// The target.
        target: Arc<str>,
        /// Of which downstream session.
        generation: Generation,
        /// What.
        event: LinkEvent,
    },
    /// A call ended downstream.
    CallDone {
        /// Which.
        call: CallId,
        /// On which downstream session.
        generation: Generation,
        /// How.
        result: Result<CallReply, TargetError>,
    },
    /// An answer was passed on, or could not be.
    AnswerPosted {
        /// The question it was for.
        question: u64,
        /// How it went.
        result: Result<(), TargetError>,
    },
    /// The gateway's settings are others: see [`Env::settings`].
    SettingsChanged,
    /// The published catalogue is another one.
    CatalogueChanged,
    /// A target was changed or removed in the configuration: its downstream session ends.
    TargetReplaced {
        /// The target.
        target: Arc<str>,
    },
    /// Time passed: see [`Effect::WakeAt`].
    Tick,
    /// The session ends.
    End(EndReason),
    /// Leave memory, if nothing is going on.
    Passivate,
    /// Every connection is to be closed with a hint to come back.
    Disconnect,
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The client sent DELETE.
    Deleted,
    /// Its time is over.
    Expired,
    /// Nothing happened for too long.
    Idle,
    /// An administrator ended it.
    Administrator,
    /// Its gateway was removed from the configuration.
    GatewayRemoved,
}

impl EndReason {
    /// A stable word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Expired => "expired",
            Self::Idle => "idle",
            Self::Administrator => "administrator",
            Self::GatewayRemoved => "gateway_removed",
        }
    }
}

/// What the client's request is answered with.
#[derive(Debug)]
pub enum Answer {
    /// A JSON-RPC response.
    Json(Bytes),
    /// A JSON-RPC error response with an HTTP status of its own.
    Refused {
        /// HTTP status.
        status: u16,
        /// The body.
        body: Bytes,
    },
    /// The client cancelled: no response.
    Cancelled,
}

/// Something to be done.
#[derive(Debug)]
pub enum Effect {
    /// Answer a request.
    Answer(CallId, Answer),
    /// The answer of a request becomes this stream.
    Upgrade(CallId, StreamId),
    /// A client's response or notification was accepted (202).
    Accepted(CallId),
    /// A client's response was refused.
    Rejected(CallId, SessionError),
    /// A connection gets its stream: everything after `after` from the log, then what is appended.
    Attached {
        /// The connection.
        conn: ConnId,
        /// The stream.
        stream: StreamId,
        /// The last event that the connection has.
        after: u64,
        /// Nothing will be appended any more.
        done: bool,
    },
    /// A connection does not get one.
    AttachRefused(ConnId, SessionError),
    /// Show an event to the stream's connection, if there is one.
    Frame {
        /// The stream.
        stream: StreamId,
        /// The place.
        seq: u64,
        /// The encoded event.
        frame: Bytes,
    },
    /// Close the stream's connection: there is no more.
    EndStream(StreamId),
    /// Close the stream's connection: the stream goes on, the client may come back.
    CloseConnection(StreamId),
    /// Open a downstream session, or take a stored one up.
    OpenLink {
        /// The target.
        target: Arc<str>,
        /// Which opening.
        generation: Generation,
        /// What to say of the client.
        hello: Hello,
        /// A stored session.
        saved: Option<SavedLink>,
    },
    /// Send a request downstream.
    Call {
        /// The target.
        target: Arc<str>,
        /// On which downstream session.
        generation: Generation,
        /// For which call.
        call: CallId,
        /// The JSON-RPC id inside `body`.
        id: i64,
        /// The message.
        body: Bytes,
        /// Until when.
        deadline: Timestamp,
    },
    /// Go on with a request that an earlier process sent.
    Resume {
        /// The target.
        target: Arc<str>,
        /// On which downstream session.
        generation: Generation,
        /// For which call.
        call: CallId,
        /// Its JSON-RPC id.
        id: i64,
        /// The last event that was stored.
        last_event_id: Box<str>,
        /// Until when.
        deadline: Timestamp,
    },
    /// Send a notification or a response downstream.
    Post {
        /// The target.
        target: Arc<str>,
        /// On which downstream session.
        generation: Generation,
        /// The message.
        body: Bytes,
        /// The question that it answers: report with [`Input::AnswerPosted`].
        question: Option<u64>,
    },
    /// Want, or do not want, the target's standing stream.
    Listen {
        /// The target.
        target: Arc<str>,
        /// On which downstream session.
        generation: Generation,
        /// On or off.
        listening: Listening,
    },
    /// End a downstream session.
    CloseLink {
        /// The target.
        target: Arc<str>,
        /// Which one.
        generation: Generation,
        /// Say goodbye to the target, or only let go (the session is stored).
        goodbye: bool,
    },
    /// A target says that its lists changed: synchronise it.
    Resync {
        /// The target.
        target: Arc<str>,
    },
    /// A call ended: for metrics and the log.
    Finished(Box<CallSummary>),
    /// A bound was reached: for metrics.
    BoundReached(&'static str),
    /// Send [`Input::Tick`] not later than this.
    WakeAt(Timestamp),
    /// The session leaves memory. `ended` when it is gone for good, else it is stored.
    Stop {
        /// Why it ended.
        ended: Option<EndReason>,
    },
}

/// How a call went.
#[derive(Debug)]
pub struct CallSummary {
    /// Which.
    pub call: CallId,
    /// The client's id.
    pub id: String,
    /// The method.
    pub method: Box<str>,
    /// The target, where one was found.
    pub target: Option<Arc<str>>,
    /// The tool, prompt or URI, as the client named it.
    pub name: Option<Box<str>>,
    /// `ok`, `tool_error`, `error`, `cancelled`, or a target's error code.
    pub outcome: &'static str,
    /// When it began.
    pub started: Timestamp,
}

/// What came of one input.
#[derive(Debug, Default)]
pub struct Step {
    /// What must be stored; may be empty.
    pub batch: Batch,
    /// What may be done at once.
    pub now: Vec<Effect>,
    /// What must wait until `batch`, and every batch before it, is durable.
    pub durable: Vec<Effect>,
}
