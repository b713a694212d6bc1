//! A store in memory: for gateways without sessions, and for tests.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use sessiongate_protocol::StreamId;

use crate::model::{
    Acquired, Batch, ItemKind, Lease, NodeId, Op, Replay, SessionKey, SessionSummary, StoredSession, StreamExtent,
    Timestamp,
};
use crate::store::{CatalogueStore, SessionStore, StoreError};

#[derive(Default)]
struct Session {
    record: Option<(Bytes, Timestamp)>,
    items: BTreeMap<(ItemKind, u64), Bytes>,
    streams: BTreeMap<StreamId, BTreeMap<u64, (Timestamp, Bytes)>>,
}

#[derive(Default)]
struct Inner {
    sessions: BTreeMap<SessionKey, Session>,
    fences: BTreeMap<SessionKey, u64>,
    next_fence: u64,
    values: BTreeMap<String, Bytes>,
}

/// The store.
#[derive(Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

impl MemoryStore {
    fn apply(&self, lease: &Lease, batch: Batch) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        if inner.fences.get(&lease.key).is_some_and(|fence| *fence > lease.fence) {
            return Err(StoreError::Fenced);
        }
        for op in batch.ops {
            let session = inner.sessions.entry(lease.key).or_default();
            match op {
                Op::PutRecord { value, expires } => session.record = Some((value, expires)),
                Op::PutItem { kind, id, value } => {
                    session.items.insert((kind, id), value);
                }
                Op::DeleteItem { kind, id } => {
                    session.items.remove(&(kind, id));
                }
                Op::Append { stream, seq, at, frame } => {
                    session.streams.entry(stream).or_default().insert(seq, (at, frame));
                }
                Op::Trim { stream, through } => {
                    if let Some(events) = session.streams.get_mut(&stream) {
                        *events = events.split_off(&(through + 1));
                    }
                }
                Op::DropStream { stream } => {
                    session.streams.remove(&stream);
                }
                Op::DeleteSession => {
                    inner.sessions.remove(&lease.key);
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn acquire(&self, key: SessionKey, _: &NodeId, _: Duration) -> Result<Acquired, StoreError> {
        let mut inner = self.inner.lock();
        inner.next_fence += 1;
        let fence = inner.next_fence;
        inner.fences.insert(key, fence);
        Ok(Acquired::Granted(Lease { key, fence }))
    }

    async fn renew(&self, _: &Lease, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        self.inner.lock().fences.remove(&lease.key);
        Ok(())
    }

    async fn load(&self, key: SessionKey) -> Result<Option<StoredSession>, StoreError> {
        let inner = self.inner.lock();
        let Some(session) = inner.sessions.get(&key) else { return Ok(None) };
        let Some((record, expires)) = session.record.clone() else { return Ok(None) };
        let items = session.items.iter().map(|((kind, id), value)| (*kind, *id, value.clone())).collect();
        let streams = session
            .streams
            .iter()
            .filter_map(|(stream, events)| {
                Some(StreamExtent {
                    stream: *stream,
                    first: *events.first_key_value()?.0,
                    last: *events.last_key_value()?.0,
                    bytes: events.values().map(|(_, frame)| frame.len() as u64).sum(),
                    last_at: events.last_key_value()?.1.0,
                })
            })
            .collect();
        Ok(Some(StoredSession { record, expires, items, streams }))
    }

    fn commit(
        &self,
        lease: &Lease,
        batch: Batch,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'static>> {
        Box::pin(ready(self.apply(lease, batch)))
    }

    async fn replay(
        &self,
        key: SessionKey,
        stream: StreamId,
        after: u64,
        limit: usize,
    ) -> Result<Replay, StoreError> {
        let inner = self.inner.lock();
        let Some(events) = inner.sessions.get(&key).and_then(|session| session.streams.get(&stream)) else {
            return Ok(Replay::Unknown);
        };
        if let Some((first, _)) = events.first_key_value()
            && after + 1 < *first
        {
            return Ok(Replay::Trimmed { first: *first });
        }
        let events = events.range(after + 1..).take(limit).map(|(seq, (_, frame))| (*seq, frame.clone()));
        Ok(Replay::Events(events.collect()))
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionKey>, StoreError> {
        let inner = self.inner.lock();
        let over = inner.sessions.iter().filter(|(_, session)| session.record.as_ref().is_some_and(|(_, at)| *at <= now));
        Ok(over.map(|(key, _)| *key).take(limit).collect())
    }

    async fn list(&self, after: Option<SessionKey>, limit: usize) -> Result<Vec<SessionSummary>, StoreError> {
        let inner = self.inner.lock();
        let all = inner.sessions.iter().filter(|(key, _)| after.is_none_or(|after| **key > after));
        let summaries = all.filter_map(|(key, session)| {
            let (record, expires) = session.record.clone()?;
            Some(SessionSummary { key: *key, record, expires })
        });
        Ok(summaries.take(limit).collect())
    }

    async fn delete(&self, key: SessionKey) -> Result<(), StoreError> {
        self.inner.lock().sessions.remove(&key);
        Ok(())
    }
}

#[async_trait]
impl CatalogueStore for MemoryStore {
    async fn load_catalogue(&self, gateway: &str, target: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.inner.lock().values.get(&format!("c/{gateway}/{target}")).cloned())
    }

    async fn put_catalogue(&self, gateway: &str, target: &str, value: Bytes) -> Result<(), StoreError> {
        self.inner.lock().values.insert(format!("c/{gateway}/{target}"), value);
        Ok(())
    }

    async fn delete_catalogue(&self, gateway: &str, target: &str) -> Result<(), StoreError> {
        self.inner.lock().values.remove(&format!("c/{gateway}/{target}"));
        Ok(())
    }

    async fn load_meta(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.inner.lock().values.get(&format!("m/{name}")).cloned())
    }

    async fn put_meta(&self, name: &str, value: Bytes) -> Result<(), StoreError> {
        self.inner.lock().values.insert(format!("m/{name}"), value);
        Ok(())
    }
}
