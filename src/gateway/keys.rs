//! Static API keys of a gateway.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sessiongate_actors::directory::Principal;

use super::access::Access;
use crate::config::ApiKey;

/// Keys by their SHA-256: a look-up by hash takes no time that depends on how much of a key was guessed, and the table
/// holds nothing that could be presented.
#[derive(Clone, Default)]
pub struct ApiKeys {
    by_digest: HashMap<[u8; 32], Principal>,
    /// The hashes of those who hold one.
    holders: HashSet<Box<str>>,
}

/// Who may call which gateway.
pub(super) struct KeyRing(HashMap<Arc<str>, Arc<Access>>);

// === impl ApiKeys ===

impl ApiKeys {
    /// The keys of a configuration.
    pub fn new(keys: &[ApiKey]) -> Self {
        // A hash that is none was refused with the configuration; no key could have it.
        let by_digest: HashMap<_, _> =
            keys.iter().filter_map(|key| Some((key.digest()?, Principal::named("api-key", &key.name)))).collect();
        let holders = by_digest.values().map(|principal| principal.as_str().into()).collect();
        Self { by_digest, holders }
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.by_digest.is_empty()
    }

    /// Whether a principal with this hash holds a key.
    pub fn serves(&self, principal: &str) -> bool {
        self.holders.contains(principal)
    }

    /// The hashes of all holders.
    pub fn holders(&self) -> impl Iterator<Item = &str> {
        self.holders.iter().map(|holder| &**holder)
    }

    /// Whether each key by which this principal was known to `before` still is one of theirs.
    pub fn keep(&self, principal: &str, before: &Self) -> bool {
        let mut theirs = before.by_digest.iter().filter(|(_, holder)| holder.as_str() == principal);
        theirs.all(|(digest, holder)| self.by_digest.get(digest) == Some(holder))
    }

    /// Who holds this key.
    pub fn holder(&self, presented: &str) -> Option<Principal> {
        // Requests with tokens come here, too: nothing is hashed in vain.
        (!self.is_empty()).then(|| self.by_digest.get(&ApiKey::digest_of(presented)).cloned()).flatten()
    }
}

// === impl KeyRing ===

impl KeyRing {
    pub fn new(gateways: impl Iterator<Item = (Arc<str>, Arc<Access>)>) -> Self {
        Self(gateways.collect())
    }

    /// The gateway is served, but certainly not to this principal.
    pub fn refuses(&self, gateway: &str, principal: &str) -> bool {
        self.0.get(gateway).is_some_and(|access| access.refuses(principal))
    }
}
