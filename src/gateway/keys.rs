//! Static API keys of a gateway.

use std::collections::HashMap;

use sessiongate_actors::directory::Principal;

use crate::config::ApiKey;

/// Keys by their hash: a look-up by hash takes no time that depends on how much of a key was guessed, and the table
/// holds nothing that could be presented.
#[derive(Clone, Default)]
pub struct ApiKeys(HashMap<Box<str>, Principal>);

// === impl ApiKeys ===

impl ApiKeys {
    /// The keys of a configuration.
    pub fn new(keys: &[ApiKey]) -> Self {
        Self(keys.iter().map(|key| (hash(key.key.expose()), Principal::named("api-key", &key.name))).collect())
    }

    /// No key is needed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a principal with this hash may still call.
    pub fn serves(&self, principal: &str) -> bool {
        match self.0.is_empty() {
            true => principal == Principal::anonymous().as_str(),
            false => self.0.values().any(|known| known.as_str() == principal),
        }
    }

    /// Who holds this key.
    pub fn holder(&self, presented: &str) -> Option<Principal> {
        self.0.get(&hash(presented)).cloned()
    }
}

fn hash(key: &str) -> Box<str> {
    Principal::named("api-key-text", key).as_str().into()
}
