//! Places in the table of sessions that are in memory.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sessiongate_storage::SessionKey;
use tokio::sync::OnceCell;

use crate::session::SessionHandle;

/// Locks of the table; more than cores, so that two requests seldom meet.
const SHARDS: usize = 64;

/// A session on its way into memory, or in it. The cell makes many requests wait for one resumption, and keeps a session
/// out of memory while its stored form is removed.
#[derive(Default)]
pub(super) struct Slot {
    pub handle: OnceCell<Arc<SessionHandle>>,
}

/// The sessions in memory by their keys.
pub(super) struct Slots(Vec<Mutex<HashMap<SessionKey, Arc<Slot>>>>);

/// Says that a slot is in use. The last user of one that nobody filled takes it away, also when its request is cut off in
/// the middle.
pub(super) struct InUse<'a> {
    slots: &'a Slots,
    key: SessionKey,
    slot: Arc<Slot>,
}

// === impl Slots ===

impl Slots {
    pub fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }

    fn shard(&self, key: SessionKey) -> &Mutex<HashMap<SessionKey, Arc<Slot>>> {
        &self.0[usize::from(key.0[0]) % SHARDS]
    }

    /// The slot of a session, a new one if its actor is gone or was never there.
    pub fn enter(&self, key: SessionKey) -> InUse<'_> {
        let mut shard = self.shard(key).lock();
        let known = shard.get(&key).filter(|slot| slot.handle.get().is_none_or(|handle| handle.is_alive()));
        let slot = match known {
            Some(slot) => slot.clone(),
            None => {
                let slot = Arc::new(Slot::default());
                shard.insert(key, slot.clone());
                slot
            }
        };
        InUse { slots: self, key, slot }
    }

    pub fn insert(&self, key: SessionKey, slot: Arc<Slot>) {
        self.shard(key).lock().insert(key, slot);
    }

    /// Takes this slot away, not another one of the same session.
    pub fn remove(&self, key: SessionKey, slot: &Arc<Slot>) {
        let mut shard = self.shard(key).lock();
        if shard.get(&key).is_some_and(|known| Arc::ptr_eq(known, slot)) {
            shard.remove(&key);
        }
    }

    /// A session that is in memory.
    pub fn live(&self, key: SessionKey) -> Option<Arc<SessionHandle>> {
        let handle = self.shard(key).lock().get(&key).and_then(|slot| slot.handle.get().cloned());
        handle.filter(|handle| handle.is_alive())
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|shard| shard.lock().is_empty())
    }

    /// All sessions that are in memory.
    pub fn all_live(&self) -> Vec<Arc<SessionHandle>> {
        self.0
            .iter()
            .flat_map(|shard| shard.lock().values().filter_map(|slot| slot.handle.get().cloned()).collect::<Vec<_>>())
            .collect()
    }
}

// === impl InUse ===

impl InUse<'_> {
    pub fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        if self.slot.handle.get().is_some() {
            return;
        }
        let mut shard = self.slots.shard(self.key).lock();
        // An own one in its place, so that this use ends under the lock, and of two users that stop at once one is last.
        drop(std::mem::take(&mut self.slot));
        if shard.get(&self.key).is_some_and(|slot| slot.handle.get().is_none() && Arc::strong_count(slot) == 1) {
            shard.remove(&self.key);
        }
    }
}
