//! Lists in pages.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::control::ControlError;
use crate::control::model::Input;

/// Items of a page where the request does not say.
const DEFAULT: usize = 100;

/// Which page.
pub(super) struct Wanted {
    /// Id of the last item of the page before.
    pub(super) after: Option<String>,
    /// Items at most.
    pub(super) limit: usize,
}

// === impl Wanted ===

impl Wanted {
    /// What `maxResults` and `nextToken` say.
    pub(super) fn of(input: &Input<'_>) -> Result<Self, ControlError> {
        let limit = input.integer("maxResults").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(DEFAULT);
        let after = match input.string("nextToken") {
            None => None,
            Some(token) => {
                let bytes = URL_SAFE_NO_PAD.decode(token).ok();
                let id = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
                Some(id.ok_or_else(|| ControlError::field("nextToken", "is not one that a list of this gateway gave"))?)
            }
        };
        Ok(Self { after, limit })
    }

    /// The page; `items` has one more than wanted if there are more. `id` names the member that tells items apart.
    pub(super) fn page(&self, mut items: Vec<Value>, id: &str) -> Value {
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let mut page = json!({});
        if more && let Some(last) = items.last().and_then(|item| item[id].as_str()) {
            page["nextToken"] = URL_SAFE_NO_PAD.encode(last).into();
        }
        page["items"] = items.into();
        page
    }
}
