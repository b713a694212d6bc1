//! What the actors refuse, and how it looks to clients.

use sessiongate_protocol::{RequestId, codes, jsonrpc};
use sessiongate_storage::StoreError;

/// Why a session did not do it. The displayed text is for the client.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// No such session for this principal: unknown, expired, ended, or somebody else's. All look the same.
    #[error("session not found: start over with `initialize` and without `Mcp-Session-Id`")]
    NotFound,
    /// A bound is reached.
    #[error("too many {what} (limit {limit}): {remedy}")]
    Bound {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
        /// What the client can do.
        remedy: &'static str,
    },
    /// The session's mailbox is full.
    #[error("the session is overloaded: try again in a second")]
    Overloaded,
    /// The session ended while the request ran.
    #[error("the session ended")]
    Ended,
    /// The session's actor failed; it will be rebuilt from the store.
    #[error("the session failed and was restarted from the store: the outcome of the request is unknown")]
    Crashed,
    /// The session left memory before it looked at what was asked: find it again and ask again. Clients never see this.
    #[error("the session is on its way back from the store: try again in a second")]
    Left,
    /// The request is not allowed in this state.
    #[error("{0}")]
    InvalidRequest(String),
    /// An answer that does not fit its question.
    #[error("{0}")]
    InvalidAnswer(String),
    /// `Last-Event-ID` names nothing that the log knows.
    #[error(
        "`Last-Event-ID` {id} is not an event of this session: open a stream without it; messages may have been missed"
    )]
    UnknownEvent {
        /// What the client sent.
        id: String,
    },
    /// `Last-Event-ID` is older than what the log keeps.
    #[error(
        "the events after `Last-Event-ID` {id} are no longer kept (the oldest is {first}): messages were lost; open a stream without it"
    )]
    EvictedEvent {
        /// What the client sent.
        id: String,
        /// The oldest sequence kept.
        first: u64,
    },
    /// The gateway streams no more than what calls began.
    #[error("this gateway does not stream: GET is not offered")]
    NotStreamed,
    /// The store failed.
    #[error("the gateway's store is not available: try again later")]
    Store(#[from] StoreError),
}

impl SessionError {
    /// A stable word for logs, metrics and `error.data.reason`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "session_not_found",
            Self::Bound { .. } => "bound_reached",
            Self::Overloaded => "session_overloaded",
            Self::Ended => "session_ended",
            Self::Crashed => "session_crashed",
            Self::Left => "session_left",
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidAnswer(_) => "invalid_answer",
            Self::UnknownEvent { .. } => "unknown_event_id",
            Self::EvictedEvent { .. } => "evicted_event_id",
            Self::NotStreamed => "method_not_allowed",
            Self::Store(_) => "store_unavailable",
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotFound | Self::Ended => 404,
            Self::NotStreamed => 405,
            Self::Bound { .. } => 429,
            Self::Overloaded | Self::Left | Self::Store(_) => 503,
            Self::Crashed => 500,
            Self::InvalidRequest(_)
            | Self::InvalidAnswer(_)
            | Self::UnknownEvent { .. }
            | Self::EvictedEvent { .. } => 400,
        }
    }

    /// The JSON-RPC code.
    pub fn rpc_code(&self) -> i64 {
        match self {
            Self::InvalidAnswer(_) => codes::INVALID_PARAMS,
            Self::Crashed | Self::Left | Self::Store(_) | Self::Overloaded => codes::INTERNAL_ERROR,
            _ => codes::INVALID_REQUEST,
        }
    }

    /// The JSON-RPC error response.
    pub fn body(&self, id: Option<&RequestId>) -> bytes::Bytes {
        let data = serde_json::json!({"reason": self.code()});
        jsonrpc::response(id, &jsonrpc::error_body(self.rpc_code(), &self.to_string(), Some(&data)))
    }
}
