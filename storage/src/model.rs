//! The shapes that are stored. Values are opaque bytes here: the actors own their meaning.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sessiongate_protocol::StreamId;

/// The internal key of a session: 16 bytes. It is derived from gateway, principal and session id (see the session
/// directory), so that somebody else's session id leads to a key that does not exist, and the id itself, which is a
/// secret, is never stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(pub [u8; 16]);

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

/// The node that may hold a lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NodeId(pub Box<str>);

/// The right to write one session. A commit with a lease that is no longer the newest fails with
/// [`crate::StoreError::Fenced`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The session it is for.
    pub key: SessionKey,
    /// Grows with every new owner.
    pub fence: u64,
}

/// The answer to a request for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The caller owns the session now.
    Granted(Lease),
    /// Another node does.
    HeldBy {
        /// Who.
        node: NodeId,
        /// Until when, unless it renews.
        expires: Timestamp,
    },
}

/// A kind of item that belongs to a session; the actors assign the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemKind(pub u8);

/// One write of a [`Batch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Sets the session's record and moves it in the expiry index.
    PutRecord {
        /// Opaque.
        value: Bytes,
        /// When the session ends.
        expires: Timestamp,
    },
    /// Sets an item.
    PutItem {
        /// What kind.
        kind: ItemKind,
        /// Which one of its kind.
        id: u64,
        /// Opaque.
        value: Bytes,
    },
    /// Removes an item; removing what is not there is no error.
    DeleteItem {
        /// What kind.
        kind: ItemKind,
        /// Which one of its kind.
        id: u64,
    },
    /// Appends an event: the session's only writer chose `seq`, larger than any before on this stream.
    Append {
        /// The stream.
        stream: StreamId,
        /// Its place.
        seq: u64,
        /// When it was appended.
        at: Timestamp,
        /// The encoded SSE frame.
        frame: Bytes,
    },
    /// Removes the events of a stream up to and including `through`.
    Trim {
        /// The stream.
        stream: StreamId,
        /// The last one to go.
        through: u64,
    },
    /// Removes a stream whole.
    DropStream {
        /// The stream.
        stream: StreamId,
    },
    /// Removes record, items, events and index entries of the session.
    DeleteSession,
}

/// Writes that become durable together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In order.
    pub ops: Vec<Op>,
}

/// Everything of a session but the frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// The value of the newest [`Op::PutRecord`].
    pub record: Bytes,
    /// When it ends.
    pub expires: Timestamp,
    /// All items, ordered by kind and id.
    pub items: Vec<(ItemKind, u64, Bytes)>,
    /// What each stream still holds, ordered by stream.
    pub streams: Vec<StreamExtent>,
}

/// What the log holds of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamExtent {
    /// The stream.
    pub stream: StreamId,
    /// Oldest event kept.
    pub first: u64,
    /// Newest event.
    pub last: u64,
    /// Bytes of the frames kept.
    pub bytes: u64,
    /// When the newest was appended.
    pub last_at: Timestamp,
}

/// Events of one stream, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Those after the one asked for; empty when there are none yet.
    Events(Vec<(u64, Bytes)>),
    /// Some of them are gone: the oldest kept is `first`. The caller must say so and not skip them.
    Trimmed {
        /// Oldest event kept.
        first: u64,
    },
    /// The log knows nothing of this stream.
    Unknown,
}

/// A line of a listing of sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSummary {
    /// Its key.
    pub key: SessionKey,
    /// Its record.
    pub record: Bytes,
    /// When it ends.
    pub expires: Timestamp,
}

/// How much a commit promises when it returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Nothing: it is in memory.
    None,
    /// It survives the death of the process (written to the operating system).
    #[default]
    ProcessCrash,
    /// It survives a power cut (`fdatasync`).
    Disk,
}

// === impl SessionKey ===

impl SessionKey {
    /// 32 hexadecimal digits.
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads what [`Self::to_hex`] wrote.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.is_ascii() {
            return None;
        }
        let mut key = [0u8; 16];
        for (index, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
        }
        Some(Self(key))
    }

    /// The first eight digits: enough to find a session in the log, too few to be one.
    pub fn short(self) -> String {
        self.0[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

// === impl Timestamp ===

impl Timestamp {
    /// This much later.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to this; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

// === impl Batch ===

impl Batch {
    /// Adds a write.
    pub fn push(&mut self, op: Op) {
        self.ops.push(op);
    }

    /// Nothing to write.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}
