//! Complete results, with what the era of their request adds to them.

use rmcp::{ErrorData, RoleServer, service::RequestContext};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{catalogue::model, era::is_modern};

/// For how long modern clients may keep a list, in milliseconds.
const LIST_TTL_MS: u64 = 60_000;

/// How long a modern client may keep a result, and for whom.
#[derive(Clone, Copy)]
pub enum Cache {
    /// Not a result that can be kept.
    None,
    /// The same for everybody.
    List,
    /// Stale at once, and this client's own.
    Read,
}

/// A complete result, with what the request's era adds to it.
pub fn complete<T: DeserializeOwned>(
    context: &RequestContext<RoleServer>,
    mut value: Value,
    cache: Cache,
) -> Result<T, ErrorData> {
    // rmcp takes it off again for a legacy client.
    value["resultType"] = json!("complete");
    if is_modern(context) {
        let hints = match cache {
            Cache::None => None,
            Cache::List => Some((LIST_TTL_MS, "public")),
            Cache::Read => Some((0, "private")),
        };
        if let Some((ttl, scope)) = hints {
            (value["ttlMs"], value["cacheScope"]) = (json!(ttl), json!(scope));
        }
    }
    model(value)
}
