//! SSE event ids: `<stream>-<sequence>`, so that an id names the stream it belongs to (2025-11-25, transports).

use std::fmt;

/// One SSE stream of a session; never used twice within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct StreamId(pub u32);

/// One event of one stream. Sequence 0 is the priming event; messages count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    /// The stream it was appended to.
    pub stream: StreamId,
    /// Its place there.
    pub seq: u64,
}

// === impl EventId ===

impl EventId {
    /// Reads what a client sent as `Last-Event-ID`; anything but the exact form is not an id of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let (stream, seq) = text.split_once('-')?;
        let canonical = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !canonical(stream) || !canonical(seq) {
            return None;
        }
        Some(Self { stream: StreamId(stream.parse().ok()?), seq: seq.parse().ok()? })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.stream.0, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_foreign_ones_are_refused() {
        let id = EventId { stream: StreamId(7), seq: 42 };
        assert_eq!(EventId::parse(&id.to_string()), Some(id));
        for text in ["", "7", "7-", "-7", "a-1", "7-+1", "7-1-1", "4294967296-1", " 7-1"] {
            assert_eq!(EventId::parse(text), None, "{text:?}");
        }
    }
}
