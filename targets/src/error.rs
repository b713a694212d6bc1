//! What can go wrong on the way to a target.

use std::time::Duration;

/// Why a target did not answer. Displayed texts go to clients: they name what failed, never an address, a header or
/// a token. A `detail` that is not displayed is for the log, and for whoever configured the target where it says so. What a
/// target says is in them only as the message of a JSON-RPC error, which is meant for clients, cut to one line
/// ([`sessiongate_protocol::text::words`]), and as the start of an HTTP body, which is for the log alone.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The request never reached the target: safe to send again.
    #[error("the target could not be reached")]
    Unreachable {
        /// For the log and whoever configured the target.
        detail: String,
    },
    /// The address is not one that targets may have (promise 6).
    #[error("the target's address is not allowed; see `allow_private_networks`")]
    AddressRefused {
        /// For the log and whoever configured the target.
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
        /// For the log alone: the start of the body.
        detail: String,
        /// `Retry-After`, where given.
        retry_after: Option<Duration>,
    },
    /// The connection broke, or the stream ended, after the request was sent: whether it was executed is unknown.
    #[error("the connection to the target broke after the request was sent: its outcome is unknown")]
    OutcomeUnknown {
        /// For the log and whoever configured the target.
        detail: String,
    },
    /// No answer within the target's time.
    #[error("the target did not answer within {:?}", round(.0))]
    TimedOut(Duration),
    /// What came back is not MCP.
    #[error("the target sent something that is not MCP: {detail}")]
    Protocol {
        /// What is wrong; safe for clients, and without a word of what was sent.
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
        /// The error's message, cut, and its code; safe for clients.
        detail: String,
    },
    /// A list was answered with a JSON-RPC error.
    #[error("the target refused `{method}` with error {code}")]
    ListRefused {
        /// Which.
        method: &'static str,
        /// The code.
        code: i64,
        /// For the log and whoever configured the target: the error's message, cut. Clients did not ask for the list.
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
    /// What happened, for the operator: it may name addresses, never a header or a token, and quote a body. None where the
    /// displayed text says it all.
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

    /// What happened, for whoever configured the target: the displayed text and the detail, but for the body of an HTTP
    /// refusal. The address may lead to what is not theirs to read; a JSON-RPC error is meant for them.
    pub fn for_owner(&self) -> String {
        match self.detail().filter(|_| !matches!(self, Self::Status { .. })) {
            Some(detail) => format!("{self}: {detail}"),
            None => self.to_string(),
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
    fn the_owner_of_a_target_is_told_what_mcp_says_and_no_body() {
        let status = TargetError::Status { status: 403, detail: "hunter2".into(), retry_after: None };
        assert_eq!((status.for_owner(), status.detail()), (status.to_string(), Some("hunter2")));
        let list = TargetError::ListRefused { method: "tools/list", code: -32000, detail: "not today".into() };
        assert_eq!(list.for_owner(), "the target refused `tools/list` with error -32000: not today");
        assert!(!list.to_string().contains("today"), "clients did not ask for it");
        let silent = TargetError::ListRefused { method: "tools/list", code: -32000, detail: String::new() };
        assert_eq!(silent.for_owner(), silent.to_string());
    }

    #[test]
    fn times_are_told_in_milliseconds() {
        for (nanos, says) in [(29_999_997_386, "30s"), (1_500_000_000, "1.5s"), (250_400_000, "250ms"), (0, "0ns")] {
            let error = TargetError::TimedOut(Duration::from_nanos(nanos));
            assert_eq!(error.to_string(), format!("the target did not answer within {says}"));
        }
    }
}
