//! The contracts that every engine fulfils. `store_suite!` (tests) holds each engine to them.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sessiongate_protocol::StreamId;

use crate::model::{Acquired, Batch, Lease, NodeId, Replay, SessionKey, SessionSummary, StoredSession, Timestamp};

/// How many bytes of frames one replay returns at most (but at least one frame).
pub const REPLAY_BYTES: usize = 1 << 20;

/// The longest name of a gateway, a target or a named value, in bytes.
pub const MAX_NAME: usize = 1024;

/// Why the store did not do it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The lease is not the newest one: somebody else owns the session. Nothing was written.
    #[error("the session's lease was taken over")]
    Fenced,
    /// An object of the control plane is not as it was expected to be. Nothing was written.
    #[error("the stored object {key} was changed meanwhile")]
    Conflict {
        /// Which one.
        key: String,
    },
    /// The queue of the writer is full, or the store is closed: try again later.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// A stored value cannot be read; it was put aside.
    #[error("a stored record cannot be read: {0}")]
    Unreadable(String),
    /// The engine failed.
    #[error("the store failed: {0}")]
    Engine(String),
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Sessions: record, items, event log, expiry, lease.
///
/// Contract: linearizable for each session; a commit is atomic; a commit whose lease is older than the newest one
/// fails with [`StoreError::Fenced`] and changes nothing; commits of one session become durable in the order in which
/// `commit` was called (the order of the calls, not of the first polls: an implementation enqueues before it returns
/// its future).
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Takes the lease of a session, which need not exist yet. A lease held by the same node is granted again with a
    /// larger fence.
    async fn acquire(&self, key: SessionKey, node: &NodeId, ttl: Duration) -> Result<Acquired, StoreError>;

    /// Keeps a lease.
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<(), StoreError>;

    /// Gives a lease back.
    async fn release(&self, lease: Lease) -> Result<(), StoreError>;

    /// Reads a session; none if there is none.
    async fn load(&self, key: SessionKey) -> Result<Option<StoredSession>, StoreError>;

    /// Writes a batch; resolves when it is as durable as the engine was configured to make it. Enqueued before this
    /// returns, also if the future is never polled.
    fn commit(
        &self,
        lease: &Lease,
        batch: Batch,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'static>>;

    /// Reads up to `limit` events of a stream after sequence `after`, and at most about 1 MiB of frames (but at least
    /// one event where there is one).
    async fn replay(&self, key: SessionKey, stream: StreamId, after: u64, limit: usize) -> Result<Replay, StoreError>;

    /// Sessions whose time is over at `now`, oldest first.
    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionKey>, StoreError>;

    /// Sessions in the order of their keys, after `after`.
    async fn list(&self, after: Option<SessionKey>, limit: usize) -> Result<Vec<SessionSummary>, StoreError>;

    /// Removes a session whoever holds its lease: for the sweeper and for an administrator.
    async fn delete(&self, key: SessionKey) -> Result<(), StoreError>;
}

/// What targets offer, kept so that a restarted gateway serves lists before any target answered; and small named
/// values of the gateway itself (its sealing key).
#[async_trait]
pub trait CatalogueStore: Send + Sync + 'static {
    /// Reads the catalogue of a target.
    async fn load_catalogue(&self, gateway: &str, target: &str) -> Result<Option<Bytes>, StoreError>;

    /// Sets it.
    async fn put_catalogue(&self, gateway: &str, target: &str, value: Bytes) -> Result<(), StoreError>;

    /// Removes it; removing what is not there is no error.
    async fn delete_catalogue(&self, gateway: &str, target: &str) -> Result<(), StoreError>;

    /// Reads a named value.
    async fn load_meta(&self, name: &str) -> Result<Option<Bytes>, StoreError>;

    /// Sets a named value.
    async fn put_meta(&self, name: &str, value: Bytes) -> Result<(), StoreError>;
}

/// Refuses names that are longer than an engine keeps.
pub(crate) fn check_names(names: &[&str]) -> Result<(), StoreError> {
    if names.iter().any(|name| name.len() > MAX_NAME) {
        return Err(StoreError::Engine(format!("a name is longer than {MAX_NAME} bytes")));
    }
    Ok(())
}
