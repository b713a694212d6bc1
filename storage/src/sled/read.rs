//! Reading. All of it blocks, so it runs on the blocking pool, under the gate that keeps a half applied batch out of
//! sight.

use std::ops::Bound;

use ::sled::{Db, IVec};
use bytes::Bytes;
use sessiongate_protocol::StreamId;

use super::keys::{self, Part};
use super::stage::upper_bound;
use super::value::{self, Damage, Head};
use super::writer::Row;
use crate::model::{Op, Replay, SessionKey, SessionSummary, StoredSession, StreamExtent, Timestamp};
use crate::store::{REPLAY_BYTES, StoreError};

/// Why something was not read.
#[derive(Debug)]
pub(super) enum ReadError {
    Store(StoreError),
    /// The heads of the values that cannot be read.
    Damaged(Vec<Vec<u8>>),
}

/// A list, and what was found damaged on the way.
pub(super) struct Listing<T> {
    pub rows: Vec<T>,
    pub damaged: Vec<Vec<u8>>,
    /// Entries of the expiry index that lead nowhere.
    pub stale: Vec<Vec<u8>>,
}

/// The tree, read only.
#[derive(Clone, Copy)]
pub(super) struct View<'a>(pub &'a Db);

enum ValueError {
    Store(StoreError),
    Damage,
}

// === impl View ===

impl View<'_> {
    pub(super) fn load(self, key: SessionKey) -> Result<Option<StoredSession>, ReadError> {
        let record_key = keys::record(key);
        let Some((head, record)) = self.value(&record_key)? else { return Ok(None) };
        let mut session =
            StoredSession { record, expires: Timestamp(head.number), items: Vec::new(), streams: Vec::new() };
        let mut damaged = Vec::new();
        for entry in self.0.scan_prefix(keys::data(key)) {
            let (at, entry) = entry.map_err(super::engine)?;
            match keys::read_data(&at) {
                Some((_, Part::Item(kind, id))) => match self.decode(&at, &entry) {
                    Ok((_, value)) => session.items.push((kind, id, value)),
                    Err(ValueError::Damage) => damaged.push(at.to_vec()),
                    Err(ValueError::Store(error)) => return Err(error.into()),
                },
                Some((_, Part::Event(stream, seq))) => match value::head(&entry) {
                    Ok(head) => extend(&mut session.streams, stream, seq, head),
                    Err(_) => damaged.push(at.to_vec()),
                },
                Some((_, Part::Trim(_))) if value::head(&entry).is_err() => damaged.push(at.to_vec()),
                Some((_, Part::Trim(_) | Part::Chunk)) | None => {}
            }
        }
        if damaged.is_empty() { Ok(Some(session)) } else { Err(ReadError::Damaged(damaged)) }
    }

    pub(super) fn replay(
        self,
        key: SessionKey,
        stream: StreamId,
        after: u64,
        limit: usize,
    ) -> Result<Replay, ReadError> {
        let prefix = keys::events(key, stream);
        let end = upper_bound(&prefix);
        let oldest = match self.0.range::<Vec<u8>, _>((Bound::Included(prefix), end.clone())).keys().next() {
            Some(at) => match keys::read_data(&at.map_err(super::engine)?) {
                Some((_, Part::Event(_, seq))) => Some(seq),
                _ => None,
            },
            None => None,
        };
        let mark = self.trim_mark(key, stream)?;
        match (mark, oldest) {
            (None, None) => return Ok(Replay::Unknown),
            (Some(mark), oldest) if after < mark => {
                return Ok(Replay::Trimmed { first: oldest.unwrap_or_else(|| mark.saturating_add(1)) });
            }
            _ => {}
        }
        let mut events: Vec<(u64, Bytes)> = Vec::new();
        let Some(from) = after.checked_add(1) else { return Ok(Replay::Events(events)) };
        let mut bytes = 0;
        for entry in self.0.range((Bound::Included(keys::event(key, stream, from)), end)) {
            if events.len() >= limit {
                break;
            }
            let (at, entry) = entry.map_err(super::engine)?;
            let Some((_, Part::Event(_, seq))) = keys::read_data(&at) else { continue };
            let len = value::head(&entry).map_err(|_| ReadError::Damaged(vec![at.to_vec()]))?.len;
            if !events.is_empty() && bytes + len > REPLAY_BYTES {
                break;
            }
            let (_, frame) = self.decode(&at, &entry).map_err(|error| error.at(&at))?;
            bytes += len;
            events.push((seq, frame));
        }
        Ok(Replay::Events(events))
    }

    /// The newest sequence that was trimmed from a stream.
    pub(super) fn trim_mark(self, key: SessionKey, stream: StreamId) -> Result<Option<u64>, ReadError> {
        let at = keys::trim(key, stream);
        let Some(entry) = self.0.get(&at).map_err(super::engine)? else { return Ok(None) };
        match value::head(&entry) {
            Ok(head) => Ok(Some(head.number)),
            Err(_) => Err(ReadError::Damaged(vec![at])),
        }
    }

    pub(super) fn expired(self, now: Timestamp, limit: usize) -> Result<Listing<SessionKey>, StoreError> {
        let mut listing = Listing::default();
        for at in self.0.scan_prefix(keys::EXPIRIES).keys() {
            if listing.rows.len() >= limit {
                break;
            }
            let at = at.map_err(super::engine)?;
            let Some((expires, key)) = keys::read_expiry(&at) else { continue };
            if expires > now {
                break;
            }
            let record = keys::record(key);
            match self.0.get(&record).map_err(super::engine)?.map(|entry| value::head(&entry)) {
                Some(Ok(head)) if head.number == expires.0 => listing.rows.push(key),
                Some(Err(_)) => listing.damaged.push(record),
                Some(Ok(_)) | None => listing.stale.push(at.to_vec()),
            }
        }
        Ok(listing)
    }

    pub(super) fn list(self, after: Option<SessionKey>, limit: usize) -> Result<Listing<SessionSummary>, StoreError> {
        let mut listing = Listing::default();
        for entry in self.0.range(records_after(after)) {
            if listing.rows.len() >= limit {
                break;
            }
            let (at, entry) = entry.map_err(super::engine)?;
            let Some(key) = keys::read_record(&at) else { continue };
            match self.decode(&at, &entry) {
                Ok((head, record)) => {
                    listing.rows.push(SessionSummary { key, record, expires: Timestamp(head.number) });
                }
                Err(ValueError::Damage) => listing.damaged.push(at.to_vec()),
                Err(ValueError::Store(error)) => return Err(error),
            }
        }
        Ok(listing)
    }

    /// Keys of sessions after `after`, for an export.
    pub(super) fn session_keys(self, after: Option<SessionKey>, limit: usize) -> Result<Vec<SessionKey>, StoreError> {
        let mut found = Vec::new();
        for at in self.0.range(records_after(after)).keys() {
            if found.len() >= limit {
                break;
            }
            found.extend(keys::read_record(&at.map_err(super::engine)?));
        }
        Ok(found)
    }

    /// What makes a session anew: its record first; nothing if it is gone.
    pub(super) fn session_rows(self, key: SessionKey) -> Result<Vec<Row>, ReadError> {
        let Some((head, value)) = self.value(&keys::record(key))? else { return Ok(Vec::new()) };
        let mut rows = vec![Row::Op(key, Op::PutRecord { value, expires: Timestamp(head.number) })];
        let mut damaged = Vec::new();
        for entry in self.0.scan_prefix(keys::data(key)) {
            let (at, entry) = entry.map_err(super::engine)?;
            let Some((_, part)) = keys::read_data(&at) else { continue };
            if part == Part::Chunk {
                continue;
            }
            let (head, value) = match self.decode(&at, &entry) {
                Ok(read) => read,
                Err(ValueError::Damage) => {
                    damaged.push(at.to_vec());
                    continue;
                }
                Err(ValueError::Store(error)) => return Err(error.into()),
            };
            rows.push(match part {
                Part::Item(kind, id) => Row::Op(key, Op::PutItem { kind, id, value }),
                Part::Event(stream, seq) => {
                    Row::Op(key, Op::Append { stream, seq, at: Timestamp(head.number), frame: value })
                }
                Part::Trim(stream) => Row::Mark(key, stream, head.number),
                Part::Chunk => continue,
            });
        }
        if damaged.is_empty() { Ok(rows) } else { Err(ReadError::Damaged(damaged)) }
    }

    /// All catalogues, all named values, or all objects.
    pub(super) fn named_rows(self, prefix: &[u8]) -> Result<Vec<Row>, ReadError> {
        let mut rows = Vec::new();
        let mut damaged = Vec::new();
        for entry in self.0.scan_prefix(prefix) {
            let (at, entry) = entry.map_err(super::engine)?;
            let row = if keys::read_object(&at).is_some() {
                Row::Object
            } else if keys::read_catalogue(&at).is_some() || keys::read_meta(&at).is_some() {
                Row::Named
            } else {
                continue;
            };
            match self.decode(&at, &entry) {
                Ok((_, value)) => rows.push(row(at.to_vec(), value)),
                Err(ValueError::Damage) => damaged.push(at.to_vec()),
                Err(ValueError::Store(error)) => return Err(error.into()),
            }
        }
        if damaged.is_empty() { Ok(rows) } else { Err(ReadError::Damaged(damaged)) }
    }

    /// Reads the value at `key`.
    pub(super) fn value(self, key: &[u8]) -> Result<Option<(Head, Bytes)>, ReadError> {
        let Some(entry) = self.0.get(key).map_err(super::engine)? else { return Ok(None) };
        self.decode(key, &entry).map(Some).map_err(|error| error.at(key))
    }

    fn decode(self, key: &[u8], entry: &[u8]) -> Result<(Head, Bytes), ValueError> {
        value::decode::<ValueError, IVec>(entry, |number| {
            self.0.get(keys::chunk(key, number)).map_err(|error| ValueError::Store(super::engine(error)))
        })
    }
}

// === impl Listing ===

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), damaged: Vec::new(), stale: Vec::new() }
    }
}

// === impl ReadError ===

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

// === impl ValueError ===

impl ValueError {
    fn at(self, key: &[u8]) -> ReadError {
        match self {
            Self::Store(error) => ReadError::Store(error),
            Self::Damage => ReadError::Damaged(vec![key.to_vec()]),
        }
    }
}

impl From<Damage> for ValueError {
    fn from(_: Damage) -> Self {
        Self::Damage
    }
}

fn records_after(after: Option<SessionKey>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let from = match after {
        Some(key) => Bound::Excluded(keys::record(key)),
        None => Bound::Included(keys::RECORDS.to_vec()),
    };
    (from, upper_bound(keys::RECORDS))
}

/// Adds an event to the extents, which come in order of stream and sequence.
fn extend(streams: &mut Vec<StreamExtent>, stream: StreamId, seq: u64, head: Head) {
    let (bytes, at) = (head.len as u64, Timestamp(head.number));
    match streams.last_mut() {
        Some(last) if last.stream == stream => {
            last.last = seq;
            last.bytes += bytes;
            last.last_at = at;
        }
        _ => streams.push(StreamExtent { stream, first: seq, last: seq, bytes, last_at: at }),
    }
}
