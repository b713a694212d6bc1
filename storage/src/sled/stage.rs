//! The writes of one group before they reach the tree: an overlay that later commits of the group see, so that a
//! deletion also covers what an earlier commit of the same group wrote.

use std::collections::BTreeMap;
use std::ops::Bound;

use ::sled::{Db, IVec};

use super::keys::{self, Part};
use super::value::{self, Damage, Head};
use crate::model::{Batch, Op, SessionKey, Timestamp};
use crate::store::StoreError;

/// See the module.
pub(super) struct Stage<'a> {
    db: &'a Db,
    writes: BTreeMap<Vec<u8>, Option<IVec>>,
    /// What the writes of the commit at hand replaced in `writes`.
    undo: Vec<(Vec<u8>, Option<Option<IVec>>)>,
}

/// The answer to a look at one entry.
pub(super) enum Found {
    Nothing,
    Good(Head),
    Damaged,
}

/// Either the value or the engine is at fault.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Damage(#[from] Damage),
    #[error(transparent)]
    Store(#[from] StoreError),
}

// === impl Stage ===

impl<'a> Stage<'a> {
    pub(super) fn new(db: &'a Db) -> Self {
        Self { db, writes: BTreeMap::new(), undo: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Everything staged, as the engine's own batch.
    pub(super) fn into_batch(self) -> ::sled::Batch {
        let mut batch = ::sled::Batch::default();
        for (key, value) in self.writes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        batch
    }

    /// Runs the writes of one commit; if they fail, the stage is as it was before.
    pub(super) fn atomically<T>(
        &mut self,
        writes: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.undo.clear();
        let outcome = writes(self);
        if outcome.is_err() {
            for (key, before) in std::mem::take(&mut self.undo).into_iter().rev() {
                match before {
                    Some(before) => self.writes.insert(key, before),
                    None => self.writes.remove(&key),
                };
            }
        }
        outcome
    }

    /// Applies a batch; says whether the session is gone at its end.
    pub(super) fn batch(&mut self, key: SessionKey, batch: &Batch) -> Result<bool, StoreError> {
        let mut gone = false;
        for op in &batch.ops {
            self.op(key, op)?;
            match op {
                Op::PutRecord { .. } => gone = false,
                Op::DeleteSession => gone = true,
                _ => {}
            }
        }
        Ok(gone)
    }

    pub(super) fn op(&mut self, key: SessionKey, op: &Op) -> Result<(), StoreError> {
        match op {
            Op::PutRecord { value, expires } => {
                let record = keys::record(key);
                if let Found::Good(old) = self.look(&record)?
                    && old.number != expires.0
                {
                    self.set(keys::expiry(Timestamp(old.number), key), None);
                }
                self.set(keys::expiry(*expires, key), Some(IVec::from(&[value::VERSION])));
                self.put(record, expires.0, value)
            }
            Op::PutItem { kind, id, value } => self.put(keys::item(key, *kind, *id), 0, value),
            Op::DeleteItem { kind, id } => self.remove(&keys::item(key, *kind, *id)),
            Op::Append { stream, seq, at, frame } => self.put(keys::event(key, *stream, *seq), at.0, frame),
            Op::Trim { stream, through } => {
                let from = keys::events(key, *stream);
                let to = match through.checked_add(1) {
                    Some(next) => Bound::Excluded(keys::event(key, *stream, next)),
                    None => upper_bound(&from),
                };
                let doomed = self.keys(Bound::Included(from), to)?;
                let newest = doomed.iter().filter_map(|entry| match keys::read_data(entry) {
                    Some((_, Part::Event(_, seq))) => Some(seq),
                    _ => None,
                });
                // The mark only ever names an event that was there: a later one may be appended below `through`.
                if let Some(newest) = newest.max() {
                    self.mark(key, *stream, newest)?;
                }
                self.drop_keys(doomed);
                Ok(())
            }
            Op::DropStream { stream } => {
                self.remove_prefix(&keys::events(key, *stream))?;
                self.remove(&keys::trim(key, *stream))
            }
            Op::DeleteSession => {
                let record = keys::record(key);
                if let Found::Good(old) = self.look(&record)? {
                    self.set(keys::expiry(Timestamp(old.number), key), None);
                }
                self.remove(&record)?;
                self.remove_prefix(&keys::data(key))
            }
        }
    }

    /// Remembers that the events of a stream up to `through` are gone.
    pub(super) fn mark(
        &mut self,
        key: SessionKey,
        stream: sessiongate_protocol::StreamId,
        through: u64,
    ) -> Result<(), StoreError> {
        let mark = keys::trim(key, stream);
        match self.look(&mark)? {
            Found::Good(old) if old.number >= through => Ok(()),
            _ => self.put(mark, through, &[]),
        }
    }

    /// Sets a value and removes the chunks that it no longer needs.
    pub(super) fn put(&mut self, key: Vec<u8>, number: u64, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > value::MAX_VALUE {
            return Err(StoreError::Engine(format!("a value of {} bytes is over the limit", bytes.len())));
        }
        self.remove_chunks(&key)?;
        for (index, entry) in value::encode(number, bytes).enumerate() {
            let at = match u32::try_from(index).unwrap_or(u32::MAX) {
                0 => key.clone(),
                number => keys::chunk(&key, number),
            };
            self.set(at, Some(entry.into()));
        }
        Ok(())
    }

    /// Removes a value; it need not be there.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<(), StoreError> {
        if self.get(key)?.is_some() {
            self.remove_chunks(key)?;
            self.set(key.to_vec(), None);
        }
        Ok(())
    }

    pub(super) fn remove_prefix(&mut self, prefix: &[u8]) -> Result<(), StoreError> {
        let doomed = self.keys(Bound::Included(prefix.to_vec()), upper_bound(prefix))?;
        self.drop_keys(doomed);
        Ok(())
    }

    /// Moves an unreadable value aside; says whether there was one. A session whose record is lost is lost whole; a
    /// stream that lost an event is trimmed through it, so that a replay says so and does not skip it.
    pub(super) fn quarantine(&mut self, head: &[u8]) -> Result<bool, StoreError> {
        let Some(entry) = self.get(head)? else { return Ok(false) };
        let read = value::decode::<ReadError, IVec>(&entry, |number| Ok(self.get(&keys::chunk(head, number))?));
        match read {
            Ok(_) => return Ok(false),
            Err(ReadError::Store(error)) => return Err(error),
            Err(ReadError::Damage(_)) => {}
        }
        for key in self.keys(Bound::Included(head.to_vec()), upper_bound(head))? {
            let entry = self.get(&key)?;
            self.set(keys::quarantine(&key), entry);
            self.set(key, None);
        }
        if let Some(session) = keys::read_record(head) {
            self.remove_prefix(&keys::data(session))?;
        }
        match keys::read_data(head) {
            Some((session, Part::Event(stream, seq))) => {
                self.op(session, &Op::Trim { stream, through: seq })?;
                self.mark(session, stream, seq)?;
            }
            Some((session, Part::Trim(stream))) => {
                let prefix = keys::events(session, stream);
                let kept = self.keys(Bound::Included(prefix.clone()), upper_bound(&prefix))?;
                if let Some((_, Part::Event(_, first))) = kept.first().and_then(|key| keys::read_data(key)) {
                    self.mark(session, stream, first.saturating_sub(1))?;
                }
            }
            _ => {}
        }
        Ok(true)
    }

    /// Removes an entry of the expiry index unless the record still says the same.
    pub(super) fn drop_stale_expiry(&mut self, index: &[u8]) -> Result<(), StoreError> {
        let Some((expires, key)) = keys::read_expiry(index) else { return Ok(()) };
        match self.look(&keys::record(key))? {
            Found::Good(head) if head.number == expires.0 => {}
            _ => self.set(index.to_vec(), None),
        }
        Ok(())
    }

    pub(super) fn look(&self, key: &[u8]) -> Result<Found, StoreError> {
        Ok(match self.get(key)? {
            None => Found::Nothing,
            Some(entry) => match value::head(&entry) {
                Ok(head) => Found::Good(head),
                Err(_) => Found::Damaged,
            },
        })
    }

    fn get(&self, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        match self.writes.get(key) {
            Some(staged) => Ok(staged.clone()),
            None => self.db.get(key).map_err(super::engine),
        }
    }

    fn set(&mut self, key: Vec<u8>, entry: Option<IVec>) {
        let before = self.writes.insert(key.clone(), entry);
        self.undo.push((key, before));
    }

    fn remove_chunks(&mut self, key: &[u8]) -> Result<(), StoreError> {
        match self.look(key)? {
            Found::Nothing => {}
            Found::Good(old) => {
                for number in 1..=old.chunks() {
                    self.set(keys::chunk(key, number), None);
                }
            }
            // Its length is not known: look for them.
            Found::Damaged => self.remove_prefix(key)?,
        }
        Ok(())
    }

    fn drop_keys(&mut self, doomed: Vec<Vec<u8>>) {
        for key in doomed {
            self.set(key, None);
        }
    }

    /// The keys of a range that exist, staged or stored, in order.
    fn keys(&self, from: Bound<Vec<u8>>, to: Bound<Vec<u8>>) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut found = Vec::new();
        for key in self.db.range::<Vec<u8>, _>((from.clone(), to.clone())).keys() {
            let key = key.map_err(super::engine)?.to_vec();
            if !self.writes.contains_key(&key) {
                found.push(key);
            }
        }
        let staged = self.writes.range((from, to)).filter(|(_, entry)| entry.is_some());
        found.extend(staged.map(|(key, _)| key.clone()));
        found.sort_unstable();
        Ok(found)
    }
}

/// The end of the keys that start with `prefix`.
pub(super) fn upper_bound(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if let Some(next) = last.checked_add(1) {
            *last = next;
            return Bound::Excluded(end);
        }
        end.pop();
    }
    Bound::Unbounded
}
