//! The engine that forgets: for tests, and for a gateway that keeps nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use sessiongate_protocol::StreamId;

use crate::control::{ControlBatch, ControlStore, ObjectKey, StoredObject};
use crate::model::{
    Acquired, Batch, ItemKind, Lease, NodeId, Op, Replay, SessionKey, SessionSummary, StoredSession, StreamExtent,
    Timestamp,
};
use crate::store::{CatalogueStore, REPLAY_BYTES, SessionStore, StoreError, check_names};

/// Everything in memory, nothing after the process. It is gone with the value, so it promises no more than
/// [`crate::Durability::None`].
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sessions: BTreeMap<SessionKey, Session>,
    expiries: BTreeSet<(Timestamp, SessionKey)>,
    /// Only leases that are held; what is not here is fenced.
    leases: HashMap<SessionKey, u64>,
    last_fence: u64,
    catalogues: BTreeMap<(String, String), Bytes>,
    metas: BTreeMap<String, Bytes>,
    objects: BTreeMap<ObjectKey, (u64, Bytes)>,
    last_version: u64,
}

#[derive(Debug, Default)]
struct Session {
    record: Option<(Bytes, Timestamp)>,
    items: BTreeMap<(ItemKind, u64), Bytes>,
    streams: BTreeMap<StreamId, Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    events: BTreeMap<u64, (Timestamp, Bytes)>,
    /// The newest event that was trimmed.
    trimmed: Option<u64>,
}

// === impl MemoryStore ===

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn acquire(&self, key: SessionKey, _node: &NodeId, _ttl: Duration) -> Result<Acquired, StoreError> {
        let mut state = self.state.lock();
        state.last_fence += 1;
        let fence = state.last_fence;
        state.leases.insert(key, fence);
        Ok(Acquired::Granted(Lease { key, fence }))
    }

    async fn renew(&self, lease: &Lease, _ttl: Duration) -> Result<(), StoreError> {
        self.state.lock().check(lease)
    }

    async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if state.check(&lease).is_ok() {
            state.leases.remove(&lease.key);
        }
        Ok(())
    }

    async fn load(&self, key: SessionKey) -> Result<Option<StoredSession>, StoreError> {
        let state = self.state.lock();
        Ok(state.sessions.get(&key).and_then(Session::stored))
    }

    fn commit(
        &self,
        lease: &Lease,
        batch: Batch,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'static>> {
        let outcome = self.state.lock().commit(lease, batch);
        Box::pin(std::future::ready(outcome))
    }

    async fn replay(&self, key: SessionKey, stream: StreamId, after: u64, limit: usize) -> Result<Replay, StoreError> {
        let state = self.state.lock();
        let stream = state.sessions.get(&key).and_then(|session| session.streams.get(&stream));
        Ok(stream.map_or(Replay::Unknown, |stream| stream.replay(after, limit)))
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionKey>, StoreError> {
        let state = self.state.lock();
        let over = state.expiries.iter().take_while(|(expires, _)| *expires <= now);
        Ok(over.map(|(_, key)| *key).take(limit).collect())
    }

    async fn list(&self, after: Option<SessionKey>, limit: usize) -> Result<Vec<SessionSummary>, StoreError> {
        let state = self.state.lock();
        let later = state.sessions.iter().filter(|(key, _)| after.is_none_or(|after| **key > after));
        let rows = later.filter_map(|(key, session)| {
            let (record, expires) = session.record.clone()?;
            Some(SessionSummary { key: *key, record, expires })
        });
        Ok(rows.take(limit).collect())
    }

    async fn delete(&self, key: SessionKey) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        state.op(key, Op::DeleteSession);
        state.leases.remove(&key);
        Ok(())
    }
}

#[async_trait]
impl CatalogueStore for MemoryStore {
    async fn load_catalogue(&self, gateway: &str, target: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state.lock().catalogues.get(&(gateway.to_owned(), target.to_owned())).cloned())
    }

    async fn put_catalogue(&self, gateway: &str, target: &str, value: Bytes) -> Result<(), StoreError> {
        check_names(&[gateway, target])?;
        self.state.lock().catalogues.insert((gateway.to_owned(), target.to_owned()), value);
        Ok(())
    }

    async fn delete_catalogue(&self, gateway: &str, target: &str) -> Result<(), StoreError> {
        self.state.lock().catalogues.remove(&(gateway.to_owned(), target.to_owned()));
        Ok(())
    }

    async fn load_meta(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state.lock().metas.get(name).cloned())
    }

    async fn put_meta(&self, name: &str, value: Bytes) -> Result<(), StoreError> {
        check_names(&[name])?;
        self.state.lock().metas.insert(name.to_owned(), value);
        Ok(())
    }
}

#[async_trait]
impl ControlStore for MemoryStore {
    async fn load_object(&self, key: &ObjectKey) -> Result<Option<StoredObject>, StoreError> {
        key.check()?;
        let found = self.state.lock().objects.get(key).cloned();
        Ok(found.map(|(version, value)| StoredObject { key: key.clone(), version, value }))
    }

    async fn list_objects(
        &self,
        collection: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<StoredObject>, StoreError> {
        let state = self.state.lock();
        let wanted = state
            .objects
            .iter()
            .filter(|(key, _)| &*key.collection == collection && after.is_none_or(|after| *key > after));
        let rows = wanted.map(|(key, (version, value))| StoredObject {
            key: key.clone(),
            version: *version,
            value: value.clone(),
        });
        Ok(rows.take(limit).collect())
    }

    async fn write_objects(&self, batch: ControlBatch) -> Result<u64, StoreError> {
        batch.check()?;
        let mut state = self.state.lock();
        let mut next = state.objects.clone();
        let version = state.last_version + 1;
        for write in batch.objects {
            if !write.expect.met(next.get(&write.key).map(|(version, _)| *version)) {
                return Err(StoreError::Conflict { key: format!("{:?}", write.key) });
            }
            match write.value {
                Some(value) => next.insert(write.key, (version, value)),
                None => next.remove(&write.key),
            };
        }
        state.objects = next;
        for write in batch.catalogues {
            let key = (write.gateway.into(), write.target.into());
            match write.value {
                Some(value) => state.catalogues.insert(key, value),
                None => state.catalogues.remove(&key),
            };
        }
        state.last_version = version;
        Ok(version)
    }
}

// === impl State ===

impl State {
    fn check(&self, lease: &Lease) -> Result<(), StoreError> {
        if self.leases.get(&lease.key) == Some(&lease.fence) { Ok(()) } else { Err(StoreError::Fenced) }
    }

    fn commit(&mut self, lease: &Lease, batch: Batch) -> Result<(), StoreError> {
        self.check(lease)?;
        let mut gone = false;
        for op in batch.ops {
            match op {
                Op::PutRecord { .. } => gone = false,
                Op::DeleteSession => gone = true,
                _ => {}
            }
            self.op(lease.key, op);
        }
        if gone {
            self.leases.remove(&lease.key);
        }
        Ok(())
    }

    fn op(&mut self, key: SessionKey, op: Op) {
        match op {
            Op::PutRecord { value, expires } => {
                let before = self.sessions.entry(key).or_default().record.replace((value, expires));
                if let Some((_, before)) = before {
                    self.expiries.remove(&(before, key));
                }
                self.expiries.insert((expires, key));
            }
            Op::PutItem { kind, id, value } => {
                self.sessions.entry(key).or_default().items.insert((kind, id), value);
            }
            Op::DeleteItem { kind, id } => {
                if let Some(session) = self.sessions.get_mut(&key) {
                    session.items.remove(&(kind, id));
                }
            }
            Op::Append { stream, seq, at, frame } => {
                let session = self.sessions.entry(key).or_default();
                session.streams.entry(stream).or_default().events.insert(seq, (at, frame));
            }
            Op::Trim { stream, through } => {
                let stream = self.sessions.get_mut(&key).and_then(|session| session.streams.get_mut(&stream));
                if let Some(stream) = stream {
                    stream.trim(through);
                }
            }
            Op::DropStream { stream } => {
                if let Some(session) = self.sessions.get_mut(&key) {
                    session.streams.remove(&stream);
                }
            }
            Op::DeleteSession => {
                if let Some((_, expires)) = self.sessions.remove(&key).and_then(|session| session.record) {
                    self.expiries.remove(&(expires, key));
                }
            }
        }
    }
}

// === impl Session ===

impl Session {
    fn stored(&self) -> Option<StoredSession> {
        let (record, expires) = self.record.clone()?;
        let items = self.items.iter().map(|((kind, id), value)| (*kind, *id, value.clone())).collect();
        let streams = self.streams.iter().filter_map(|(id, stream)| stream.extent(*id)).collect();
        Some(StoredSession { record, expires, items, streams })
    }
}

// === impl Stream ===

impl Stream {
    fn extent(&self, stream: StreamId) -> Option<StreamExtent> {
        let (first, _) = self.events.first_key_value()?;
        let (last, (last_at, _)) = self.events.last_key_value()?;
        let bytes = self.events.values().map(|(_, frame)| frame.len() as u64).sum();
        Some(StreamExtent { stream, first: *first, last: *last, bytes, last_at: *last_at })
    }

    fn trim(&mut self, through: u64) {
        let Some((newest, _)) = self.events.range(..=through).next_back() else { return };
        self.trimmed = self.trimmed.max(Some(*newest));
        self.events.retain(|seq, _| *seq > through);
    }

    fn replay(&self, after: u64, limit: usize) -> Replay {
        if let Some(trimmed) = self.trimmed
            && after < trimmed
        {
            let first = self.events.first_key_value().map_or_else(|| trimmed.saturating_add(1), |(first, _)| *first);
            return Replay::Trimmed { first };
        }
        let mut events = Vec::new();
        let Some(from) = after.checked_add(1) else { return Replay::Events(events) };
        let mut bytes = 0;
        for (seq, (_, frame)) in self.events.range(from..).take(limit) {
            if !events.is_empty() && bytes + frame.len() > REPLAY_BYTES {
                break;
            }
            bytes += frame.len();
            events.push((*seq, frame.clone()));
        }
        Replay::Events(events)
    }
}
