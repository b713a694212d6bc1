//! What the configuration says, as the actors need it.

use std::sync::Arc;
use std::time::Duration;

pub use crate::exception::ExceptionLevel;

/// The longest that a session may last.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(8 * 3600);
/// A conversation counts as so many sessions.
const CROWD: usize = 16;
/// Subscriptions that one connection may have on their way.
const SUBSCRIBING: usize = 64;

/// How the names of targets' tools and prompts look to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// `target___name`.
    Prefixed,
    /// As the target calls it, where only one target offers that name; a name that several offer is prefixed.
    Plain,
}

/// Where lists come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// From the synchronised catalogue, without touching targets.
    Default,
    /// Live from the targets, page by page, for each caller.
    Dynamic,
}

/// One gateway.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// Its name.
    pub name: Arc<str>,
    /// How names look.
    pub naming: Naming,
    /// Where the lists of targets come from that do not say so themselves.
    pub listing: Listing,
    /// Lists of the catalogue come in pages; else each comes whole.
    pub pagination: bool,
    /// What clients are told of failures.
    pub exceptions: ExceptionLevel,
    /// Exposed names longer than this are cut and get a hash; none leaves them.
    pub max_name_length: Option<usize>,
    /// Clients get a tool that finds tools.
    pub search: bool,
    /// Its sessions.
    pub sessions: SessionSettings,
}

/// Times and bounds of a session.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// From `initialize` to the end.
    pub timeout: Duration,
    /// Without a request, open stream or running call.
    pub idle_timeout: Duration,
    /// Idle for this long, a session leaves memory; the next request brings it back.
    pub passivate_after: Duration,
    /// Live sessions of one principal.
    pub max_per_principal: usize,
    /// Answers may be SSE.
    pub streaming: bool,
    /// Requests of the client that run at once.
    pub calls_in_flight: usize,
    /// SSE streams with a connection at once.
    pub open_streams: usize,
    /// Questions that wait for the client.
    pub pending_questions: usize,
    /// Messages outside calls that wait for a GET stream.
    pub queued_notifications: usize,
    /// The event log.
    pub events: EventLogBounds,
    /// What the client is told to wait before it reconnects.
    pub retry: Duration,
}

/// Bounds of one session's event log.
#[derive(Clone, Copy, Debug)]
pub struct EventLogBounds {
    /// Events kept.
    pub count: u64,
    /// Bytes kept.
    pub bytes: u64,
    /// A finished stream is kept this long.
    pub age: Duration,
}

/// Which requests of a client without sessions share a session with a target that has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// All of one principal.
    #[default]
    Principal,
    /// None: each has a session of its own.
    Call,
    /// Those that name the same conversation in their arguments.
    Handle,
    /// Those with the same value in this header, in lower case.
    Header(Arc<str>),
}

/// One target.
#[derive(Clone, Debug)]
pub struct TargetSettings {
    /// Its name.
    pub name: Arc<str>,
    /// Longest time of a call.
    pub call_timeout: Duration,
    /// Lowest wins where two targets offer the same resource URI.
    pub resource_priority: u16,
    /// The gateway is not ready while this target has never been synchronised.
    pub required: bool,
    /// How clients without sessions use its sessions.
    pub affinity: Affinity,
    /// Where its lists come from; none is as the gateway says.
    pub listing: Option<Listing>,
    /// Characters of what clients call a tool by, with its own name before it: others are not shown where its lists come
    /// from itself.
    pub tool_name: usize,
}

impl SessionSettings {
    /// For a session that carries the requests of many modern clients of one principal, which have no session of their
    /// own: as long as sessions may last at all, with bounds for many calls at once.
    pub fn for_conversation(&self) -> Self {
        Self {
            timeout: MAX_TIMEOUT,
            calls_in_flight: self.calls_in_flight * CROWD,
            open_streams: self.calls_in_flight * CROWD,
            pending_questions: self.pending_questions * CROWD,
            events: EventLogBounds {
                count: self.events.count * CROWD as u64,
                bytes: self.events.bytes * CROWD as u64,
                age: self.events.age,
            },
            ..self.clone()
        }
    }

    /// For a session that lives as long as one connection, on which a modern client listens: as long as sessions may last
    /// at all, with room for its subscriptions.
    pub fn for_connection(&self) -> Self {
        Self {
            timeout: MAX_TIMEOUT,
            calls_in_flight: self.calls_in_flight.max(SUBSCRIBING),
            open_streams: self.open_streams.max(1),
            ..self.clone()
        }
    }
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(3600),
            idle_timeout: Duration::from_secs(30 * 60),
            passivate_after: Duration::from_secs(60),
            max_per_principal: 1000,
            streaming: true,
            calls_in_flight: 64,
            open_streams: 16,
            pending_questions: 32,
            queued_notifications: 256,
            events: EventLogBounds { count: 1024, bytes: 4 << 20, age: Duration::from_secs(30 * 60) },
            retry: Duration::from_secs(1),
        }
    }
}
