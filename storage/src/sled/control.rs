//! Objects of the control plane in the tree.

use std::ops::Bound;

use ::sled::IVec;
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::read::{Listing, ReadError, View};
use super::stage::{Found, Stage, upper_bound};
use super::writer::Job;
use super::{SledStore, keys};
use crate::control::{ControlBatch, ControlStore, ObjectKey, StoredObject};
use crate::store::{StoreError, check_names};

// === impl Stage ===

impl Stage<'_> {
    /// Checks and stages the writes of one commit under their new version.
    pub(super) fn objects(&mut self, batch: ControlBatch, version: u64) -> Result<(), StoreError> {
        for write in batch.objects {
            let at = keys::object(&write.key);
            let found = match self.look(&at)? {
                Found::Nothing => None,
                Found::Good(head) => Some(head.number),
                Found::Damaged => {
                    self.quarantine(&at)?;
                    None
                }
            };
            if !write.expect.met(found) {
                return Err(StoreError::Conflict { key: format!("{:?}", write.key) });
            }
            match write.value {
                Some(value) => self.put(at, version, &value)?,
                None => self.remove(&at)?,
            }
        }
        for write in batch.catalogues {
            let at = keys::catalogue(&write.gateway, &write.target);
            match write.value {
                Some(value) => self.put(at, 0, &value)?,
                None => self.remove(&at)?,
            }
        }
        Ok(())
    }
}

// === impl View ===

impl View<'_> {
    /// Objects of a collection.
    pub(super) fn objects(
        self,
        collection: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Listing<StoredObject>, StoreError> {
        let prefix = keys::objects_of(collection);
        let end = upper_bound(&prefix);
        let from = match after {
            Some(key) => Bound::Excluded(keys::object(key)),
            None => Bound::Included(prefix),
        };
        let mut listing = Listing::default();
        for entry in self.0.range::<Vec<u8>, _>((from, end)) {
            if listing.rows.len() >= limit {
                break;
            }
            let (at, _): (IVec, IVec) = entry.map_err(super::engine)?;
            let Some(key) = keys::read_object(&at) else { continue };
            match self.value(&at) {
                Ok(Some((head, value))) => listing.rows.push(StoredObject { key, version: head.number, value }),
                Ok(None) => {}
                Err(ReadError::Damaged(heads)) => listing.damaged.extend(heads),
                Err(ReadError::Store(error)) => return Err(error),
            }
        }
        Ok(listing)
    }
}

// === impl SledStore ===

#[async_trait]
impl ControlStore for SledStore {
    async fn load_object(&self, key: &ObjectKey) -> Result<Option<StoredObject>, StoreError> {
        key.check()?;
        let at = keys::object(key);
        let read = self.read_or_quarantine(move |view| view.value(&at)).await?;
        Ok(read.map(|(head, value): (_, Bytes)| StoredObject { key: key.clone(), version: head.number, value }))
    }

    async fn list_objects(
        &self,
        collection: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<StoredObject>, StoreError> {
        check_names(&[collection])?;
        let (collection, after) = (collection.to_owned(), after.cloned());
        let listing = self.read(move |view| view.objects(&collection, after.as_ref(), limit)).await??;
        self.tidy(listing.damaged, listing.stale);
        Ok(listing.rows)
    }

    async fn write_objects(&self, batch: ControlBatch) -> Result<u64, StoreError> {
        batch.check()?;
        let (reply, answer) = oneshot::channel();
        self.enqueue(Job::Objects { batch, reply })?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Engine("the writer has ended".into())))
    }
}
