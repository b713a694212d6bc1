//! Static API keys of a gateway.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sessiongate_actors::directory::Principal;

use super::access::Access;
use crate::config::ApiKey;

/// Keys by their hash: a look-up by hash takes no time that depends on how much of a key was guessed, and the table
/// holds nothing that could be presented.
#[derive(Clone, Default)]
pub struct ApiKeys {
    by_hash: HashMap<Box<str>, Principal>,
    /// The hashes of those who hold one.
    holders: HashSet<Box<str>>,
}

/// Who may call which gateway.
pub(super) struct KeyRing(HashMap<Arc<str>, Arc<Access>>);

// === impl ApiKeys ===

impl ApiKeys {
    /// The keys of a configuration.
    pub fn new(keys: &[ApiKey]) -> Self {
        let by_hash: HashMap<_, _> =
            keys.iter().map(|key| (hash(key.key.expose()), Principal::named("api-key", &key.name))).collect();
        let holders = by_hash.values().map(|principal| principal.as_str().into()).collect();
        Self { by_hash, holders }
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// Whether a principal with this hash holds a key.
    pub fn serves(&self, principal: &str) -> bool {
        self.holders.contains(principal)
    }

    /// The hashes of all holders.
    pub fn holders(&self) -> impl Iterator<Item = &str> {
        self.holders.iter().map(|holder| &**holder)
    }

    /// Who holds this key.
    pub fn holder(&self, presented: &str) -> Option<Principal> {
        self.by_hash.get(&hash(presented)).cloned()
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

fn hash(key: &str) -> Box<str> {
    Principal::named("api-key-text", key).as_str().into()
}
