//! Sessions that must do something though nobody asks for them: calls ran in them when their process was killed, or
//! when they left memory by accident. When the time of such a call is over its session is brought back, and ends the
//! call as one that was never away.
//!
//! What is known of them is a time and a key each, read with the walk through the stored sessions that a new process
//! makes anyway.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use parking_lot::Mutex;
use sessiongate_storage::{SessionKey, Timestamp};

use super::SessionDirectory;
use crate::clock;
use crate::error::SessionError;
use crate::gateway::Gateway;
use crate::session::core::Record;

/// Sessions that are brought back at once: in the background, so that requests go first.
const AT_ONCE: usize = 16;
/// Sessions that are brought back in one go. They stay in memory for a while, so the rest waits for the next go.
const EACH_TIME: usize = 1024;
/// A session that left memory by accident, or could not be brought back, is not tried again sooner.
const AGAIN: Duration = Duration::from_secs(30);

/// What waits to be brought back, the earliest first. What was noted for a session that came back by itself does no
/// harm.
#[derive(Default)]
pub(super) struct Wakes(Mutex<BinaryHeap<Reverse<Wake>>>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Wake {
    at: Timestamp,
    key: SessionKey,
    gateway: Arc<str>,
}

// === impl Wakes ===

impl Wakes {
    pub fn note(&self, at: Timestamp, key: SessionKey, gateway: Arc<str>) {
        self.0.lock().push(Reverse(Wake { at, key, gateway }));
    }

    /// For a session that left memory without being asked to.
    pub fn note_crashed(&self, at: Timestamp, key: SessionKey, gateway: Arc<str>) {
        self.note(at.max(clock::now().plus(AGAIN)), key, gateway);
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    fn due(&self, now: Timestamp) -> Vec<Wake> {
        let mut heap = self.0.lock();
        let mut due = Vec::new();
        while due.len() < EACH_TIME && heap.peek().is_some_and(|Reverse(wake)| wake.at <= now) {
            due.extend(heap.pop().map(|Reverse(wake)| wake));
        }
        due
    }
}

// === impl SessionDirectory ===

impl SessionDirectory {
    /// Brings sessions back in which a stored call is over its time, a bounded number at a time; returns how many.
    /// `gateway` knows the gateways that are configured. Call it now and then.
    pub async fn wake_due(self: &Arc<Self>, gateway: impl Fn(&str) -> Option<Arc<Gateway>>) -> usize {
        let due = self.wakes.due(clock::now());
        let known = due.into_iter().filter_map(|wake| Some((gateway(&wake.gateway)?, wake)));
        let woken = futures_util::stream::iter(known)
            .map(|(gateway, wake)| async move {
                let woken = self.wake(&gateway, wake.key).await;
                match &woken {
                    Ok(_) | Err(SessionError::NotFound) => {}
                    Err(_) if self.closing.load(Ordering::Relaxed) => {}
                    Err(error) => {
                        tracing::warn!(session = %wake.key, %error, "a session could not be brought back");
                        self.wakes.note(clock::now().plus(AGAIN), wake.key, wake.gateway);
                    }
                }
                usize::from(woken.unwrap_or(false))
            })
            .buffer_unordered(AT_ONCE);
        woken.fold(0, async |all, one| all + one).await
    }

    /// Brings a session back if a call in it is over its time. One that is in memory sees to its calls itself.
    async fn wake(self: &Arc<Self>, gateway: &Arc<Gateway>, key: SessionKey) -> Result<bool, SessionError> {
        if self.slots.live(key).is_some() {
            return Ok(false);
        }
        let Some(stored) = gateway.store.load(key).await? else { return Ok(false) };
        // What was noted may speak of a call that ended, and others may have come.
        match Record::calls_end(&stored) {
            None => Ok(false),
            Some(at) if at > clock::now() => {
                self.wakes.note(at, key, gateway.name.clone());
                Ok(false)
            }
            Some(_) => self.find_key(gateway, key).await.map(|_| true),
        }
    }
}
