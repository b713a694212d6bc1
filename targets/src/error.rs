//! What can go wrong on the way to a target.

use std::time::Duration;

/// Why a target did not answer. Displayed texts go to clients: they name what failed, never an address, a header or
/// a token; `detail` fields are for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The request never reached the target: safe to send again.
    #[error("the target could not be reached")]
    Unreachable {
        /// For the log.
        detail: String,
    },
    /// The address is not one that targets may have (promise 6).
    #[error("the target's address is not allowed; see `allow_private_networks`")]
    AddressRefused {
        /// For the log.
        detail: String,
    },
    /// The target does not know the downstream session any more (404): open a new one. The request was not accepted,
    /// so it is safe to send again.
    #[error("the target ended its session")]
    SessionGone,
    /// The target refused with an HTTP status; the request was not executed as far as HTTP tells.
    #[error("the target answered HTTP {status}")]
    Status {
        /// The status.
        status: u16,
        /// For the log: the start of the body.
        detail: String,
        /// `Retry-After`, where given.
        retry_after: Option<Duration>,
    },
    /// The connection broke, or the stream ended, after the request was sent: whether it was executed is unknown.
    #[error("the connection to the target broke after the request was sent: its outcome is unknown")]
    OutcomeUnknown {
        /// For the log.
        detail: String,
    },
    /// No answer within the target's time.
    #[error("the target did not answer within {:?}", round(.0))]
    TimedOut(Duration),
    /// What came back is not MCP.
    #[error("the target sent something that is not MCP: {detail}")]
    Protocol {
        /// What is wrong; safe for clients.
        detail: String,
    },
    /// An answer, an event or a line is larger than allowed.
    #[error("the target sent more than {limit} bytes in one message")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// `initialize` was answered with a JSON-RPC error, or with a revision that the gateway does not speak.
    #[error("the target refused to initialize: {detail}")]
    Refused {
        /// What it said; safe for clients.
        detail: String,
    },
    /// A list was answered with a JSON-RPC error.
    #[error("the target refused `{method}` with error {code}")]
    ListRefused {
        /// Which.
        method: &'static str,
        /// The code.
        code: i64,
        /// For the log: what it said.
        detail: String,
    },
    /// It offers more than it may.
    #[error("the target has more than {limit} {what}, which is the limit")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// The process could not be started, or ended.
    #[error("the target's process is not running: {detail}")]
    Process {
        /// What happened; safe for clients.
        detail: String,
    },
    /// A bound of the gateway is reached.
    #[error("too many {what} are open (limit {limit}); try again later")]
    Exhausted {
        /// What there are too many of.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// The link was closed by the gateway.
    #[error("the connection to the target was closed")]
    Closed,
}

impl TargetError {
    /// What happened, for the operator: it may name addresses, never a header or a token. None where the displayed text
    /// says it all.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Unreachable { detail }
            | Self::AddressRefused { detail }
            | Self::Status { detail, .. }
            | Self::ListRefused { detail, .. }
            | Self::OutcomeUnknown { detail } => Some(detail.as_str()).filter(|detail| !detail.is_empty()),
            _ => None,
        }
    }

    /// The request certainly was not executed, so that it may be sent again.
    pub fn not_executed(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::AddressRefused { .. }
                | Self::SessionGone
                | Self::Refused { .. }
                | Self::Exhausted { .. }
        )
    }

    /// A stable word for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::AddressRefused { .. } => "address_refused",
            Self::SessionGone => "session_gone",
            Self::Status { .. } => "status",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::TimedOut(_) => "timed_out",
            Self::Protocol { .. } => "protocol",
            Self::TooLarge { .. } => "too_large",
            Self::Refused { .. } => "refused",
            Self::ListRefused { .. } => "list_refused",
            Self::TooMany { .. } => "too_many",
            Self::Process { .. } => "process",
            Self::Exhausted { .. } => "exhausted",
            Self::Closed => "closed",
        }
    }
}

/// What is left of a time looks odd: a person reads whole milliseconds.
fn round(time: &Duration) -> Duration {
    Duration::from_millis(u64::try_from((time.as_micros() + 500) / 1000).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_milliseconds() {
        for (nanos, says) in [(29_999_997_386, "30s"), (1_500_000_000, "1.5s"), (250_400_000, "250ms"), (0, "0ns")] {
            let error = TargetError::TimedOut(Duration::from_nanos(nanos));
            assert_eq!(error.to_string(), format!("the target did not answer within {says}"));
        }
    }
}
