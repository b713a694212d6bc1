//! Tokens that were verified before.
//!
//! Every request is checked, and most bring a token that the last one brought. What is remembered is found by the hash of
//! the whole token and the rules it was checked by, so that changed rules find nothing of the old ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sessiongate_storage::Timestamp;

use super::Verified;
use super::keys::{KeySet, Thumbprint};

/// The verdicts of this process, bounded by memory: what is used least goes first, and tokens that come only once
/// do not push out those that come all the time.
pub(super) struct Verdicts(Cache<VerdictKey, Arc<Verdict>, ByBytes>);

/// A token and the rules that it passed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct VerdictKey {
    token: [u8; 32],
    /// Of the rules.
    generation: u64,
}

struct Verdict {
    verified: Arc<Verified>,
    key: Thumbprint,
    /// The newest set of keys that is known to have the key.
    keys: AtomicU64,
}

#[derive(Clone)]
struct ByBytes;

/// What an entry costs besides its texts.
const OVERHEAD: u64 = 512;

// === impl Verdicts ===

impl Verdicts {
    /// Takes about this much memory.
    pub fn new(bytes: usize) -> Self {
        let items = bytes / 2048;
        Self(Cache::with_weighter(items.max(16), bytes as u64, ByBytes))
    }

    /// What was found out about a token, if it still holds: the token has not expired, and its key is still published.
    pub fn recall(&self, key: &VerdictKey, keys: &KeySet, now: Timestamp) -> Option<Arc<Verified>> {
        let verdict = self.0.get(key)?;
        if now >= verdict.verified.expires_at || !verdict.stands(keys) {
            self.0.remove(key);
            return None;
        }
        Some(verdict.verified.clone())
    }

    #[cfg(test)]
    pub fn size(&self) -> (usize, u64) {
        (self.0.len(), self.0.weight())
    }

    pub fn remember(&self, key: VerdictKey, verified: Arc<Verified>, by: Thumbprint, keys: &KeySet) {
        self.0.insert(key, Arc::new(Verdict { verified, key: by, keys: AtomicU64::new(keys.generation) }));
    }
}

// === impl VerdictKey ===

impl VerdictKey {
    pub fn new(token: &str, generation: u64) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        Self { token: hash, generation }
    }
}

// === impl Verdict ===

impl Verdict {
    fn stands(&self, keys: &KeySet) -> bool {
        let seen = self.keys.load(Ordering::Relaxed);
        if seen == keys.generation {
            return true;
        }
        let stands = self.verified.issuer == keys.issuer && keys.has(&self.key);
        if stands {
            self.keys.fetch_max(keys.generation, Ordering::Relaxed);
        }
        stands
    }
}

// === impl ByBytes ===

impl Weighter<VerdictKey, Arc<Verdict>> for ByBytes {
    fn weight(&self, _: &VerdictKey, verdict: &Arc<Verdict>) -> u64 {
        let verified = &verdict.verified;
        let scopes: usize = verified.scopes.iter().map(|scope| scope.len() + 16).sum();
        // The client and the subject are part of the claims.
        OVERHEAD + (verified.claims.len() * 2 + scopes) as u64
    }
}
