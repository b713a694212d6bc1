//! MCP revisions and the two eras they fall into.

use std::fmt;

/// How a leg talks: with an `initialize` handshake and sessions, or request by request.
///
/// The era is a property of each leg (client to gateway, gateway to target), never of a session as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// Revisions up to 2025-11-25.
    Legacy,
    /// 2026-07-28 and later.
    Modern,
}

/// A published revision of the specification, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// HTTP+SSE.
    V2024_11_05,
    /// Streamable HTTP, batching.
    V2025_03_26,
    /// Elicitation, structured output, the version header; no batching.
    V2025_06_18,
    /// URL elicitation, SSE polling.
    V2025_11_25,
    /// No sessions; questions travel in results.
    V2026_07_28,
}

// === impl Revision ===

impl Revision {
    /// Every revision this crate knows, oldest first.
    pub const ALL: [Self; 5] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];

    /// The newest revision with an `initialize` handshake: what the gateway offers to targets and answers to a
    /// client that asks for something it does not know (2025-11-25, lifecycle, version negotiation).
    pub const LATEST_LEGACY: Self = Self::V2025_11_25;

    /// The date as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The revision of a wire date.
    pub fn parse(date: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.as_str() == date)
    }

    /// The era this revision belongs to.
    pub fn era(self) -> Era {
        if self >= Self::V2026_07_28 { Era::Modern } else { Era::Legacy }
    }

    /// What an `initialize` that asks for `requested` is answered with: the same revision where it has a
    /// handshake, else the newest that has.
    pub fn negotiate(requested: &str) -> Self {
        match Self::parse(requested) {
            Some(revision) if revision.era() == Era::Legacy => revision,
            _ => Self::LATEST_LEGACY,
        }
    }

    /// Arrays of messages are accepted (2025-03-26 only; 2024-11-05 does not speak of them over this transport).
    pub fn allows_batches(self) -> bool {
        self == Self::V2025_03_26
    }

    /// Clients of this revision understand an SSE event with an id and empty data (SEP-1699).
    pub fn has_sse_polling(self) -> bool {
        self >= Self::V2025_11_25
    }

    /// The revision has `elicitation/create` at all.
    pub fn has_elicitation(self) -> bool {
        self >= Self::V2025_06_18
    }

    /// The revision has URL mode elicitation and -32042.
    pub fn has_url_elicitation(self) -> bool {
        self == Self::V2025_11_25
    }

    /// The client must send `MCP-Protocol-Version` after `initialize`.
    pub fn has_version_header(self) -> bool {
        self >= Self::V2025_06_18
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiation_echoes_what_has_a_handshake_and_answers_the_newest_to_all_else() {
        assert_eq!(Revision::negotiate("2025-03-26"), Revision::V2025_03_26);
        assert_eq!(Revision::negotiate("2025-11-25"), Revision::V2025_11_25);
        assert_eq!(Revision::negotiate("2026-07-28"), Revision::V2025_11_25);
        assert_eq!(Revision::negotiate("1999-01-01"), Revision::V2025_11_25);
    }
}
