//! Where `tasks/list` over several targets goes on: opaque, and bound to the caller.

use serde::{Deserialize, Serialize};

use crate::modern::tasks::Owner;
use crate::sealer::{SealError, Sealer, context};

/// The next page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCursor {
    /// The target that is asked next.
    #[serde(rename = "t")]
    pub target: Box<str>,
    /// The target's own cursor: none asks for its first page, and an empty one is a cursor like any other.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Box<str>>,
}

// === impl TaskCursor ===

impl TaskCursor {
    /// The cursor as a client sees it.
    ///
    /// # Errors
    /// [`SealError::TooLong`] where the target's is too long to be carried (about 3000 bytes).
    pub fn seal(&self, sealer: &Sealer, owner: Owner<'_>) -> Result<String, SealError> {
        // Strings: serialising them cannot fail.
        sealer.seal(&of(owner), &serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads what a client sent; none for anything that was not sealed for this owner.
    pub fn open(sealer: &Sealer, owner: Owner<'_>, token: &str) -> Option<Self> {
        serde_json::from_slice(&sealer.open(&of(owner), token)?).ok()
    }
}

fn of(owner: Owner<'_>) -> Vec<u8> {
    context(&[b"cursor", owner.gateway.as_bytes(), owner.principal, b"tasks/list"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealer::Key;

    #[test]
    fn a_cursor_comes_back_to_its_owner_alone() {
        let sealer = Sealer::new(Key::new(1, [1; 32]), Vec::new()).unwrap();
        let alice = Owner { gateway: "g", principal: b"alice" };
        for cursor in [None, Some(""), Some("c")] {
            let cursor = TaskCursor { target: "t".into(), cursor: cursor.map(Into::into) };
            let token = cursor.seal(&sealer, alice).unwrap();
            assert_eq!(TaskCursor::open(&sealer, alice, &token), Some(cursor));
            for other in [Owner { principal: b"bob", ..alice }, Owner { gateway: "h", ..alice }] {
                assert_eq!(TaskCursor::open(&sealer, other, &token), None);
            }
        }
        assert_eq!(TaskCursor::open(&sealer, alice, "c"), None);
    }
}
