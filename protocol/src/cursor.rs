//! The cursors of the gateway's own lists (section "pagination" of every revision): opaque, bound to the caller.
//!
//! A wrong one is answered with [`crate::codes::INVALID_PARAMS`]; a downstream cursor goes back to its target only.

use serde::{Deserialize, Serialize};

use crate::sealer::{SealError, Sealer, context};

/// A paginated list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ListKind {
    /// `tools/list`.
    #[serde(rename = "t")]
    Tools,
    /// `prompts/list`.
    #[serde(rename = "p")]
    Prompts,
    /// `resources/list`.
    #[serde(rename = "r")]
    Resources,
    /// `resources/templates/list`.
    #[serde(rename = "m")]
    ResourceTemplates,
}

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cursor {
    /// In the gateway's own catalogue.
    #[serde(rename = "p")]
    Page {
        /// The list it belongs to.
        #[serde(rename = "l")]
        list: ListKind,
        /// The catalogue snapshot that the page before came from.
        #[serde(rename = "v")]
        version: u64,
        /// The first entry of the next page, counted in entries.
        #[serde(rename = "o")]
        offset: u32,
    },
    /// In the list of a target that is asked live.
    #[serde(rename = "d")]
    Downstream {
        /// The list it belongs to.
        #[serde(rename = "l")]
        list: ListKind,
        /// The target that is asked next.
        #[serde(rename = "t")]
        target: String,
        /// The target's own cursor: none asks for its first page, and an empty one is a cursor like any other.
        #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
}

/// Whose cursor it is and for which list: another caller, gateway or list cannot use it.
#[derive(Clone, Copy, Debug)]
pub struct CursorScope<'a> {
    /// The gateway's name.
    pub gateway: &'a str,
    /// A hash of the principal.
    pub principal: &'a [u8],
    /// The list that is asked for.
    pub list: ListKind,
}

// === impl ListKind ===

impl ListKind {
    /// Every list.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::ResourceTemplates];

    /// The method that asks for it.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::ResourceTemplates => "resources/templates/list",
        }
    }

    /// The member of the result that holds the entries.
    pub const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::ResourceTemplates => "resourceTemplates",
        }
    }

    /// The list that a method asks for.
    pub fn of_method(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|list| list.method() == method)
    }
}

// === impl Cursor ===

impl Cursor {
    /// The list it belongs to.
    pub fn list(&self) -> ListKind {
        match self {
            Self::Page { list, .. } | Self::Downstream { list, .. } => *list,
        }
    }

    /// The cursor as a client sees it.
    ///
    /// # Errors
    /// [`SealError::TooLong`] where a downstream cursor is too long to be carried (about 3000 bytes).
    pub fn seal(&self, sealer: &Sealer, scope: CursorScope<'_>) -> Result<String, SealError> {
        // Strings and integers: cannot fail.
        let plain = serde_json::to_vec(self).map_err(|_| SealError::Crypto)?;
        sealer.seal(&scope.context(), &plain)
    }

    /// Reads what a client sent; none for anything that was not sealed for this scope.
    pub fn open(sealer: &Sealer, scope: CursorScope<'_>, token: &str) -> Option<Self> {
        let plain = sealer.open(&scope.context(), token)?;
        serde_json::from_slice::<Self>(&plain).ok().filter(|cursor| cursor.list() == scope.list)
    }
}

// === impl CursorScope ===

impl CursorScope<'_> {
    fn context(&self) -> Vec<u8> {
        context(&[b"cursor", self.gateway.as_bytes(), self.principal, self.list.method().as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealer::Key;

    const SCOPE: CursorScope<'_> = CursorScope { gateway: "shop", principal: b"alice", list: ListKind::Tools };

    fn sealer() -> Sealer {
        Sealer::new(Key::new(1, [5; 32]), Vec::new()).unwrap()
    }

    fn downstream(cursor: Option<&str>) -> Cursor {
        Cursor::Downstream { list: ListKind::Tools, target: "cart".into(), cursor: cursor.map(Into::into) }
    }

    #[test]
    fn cursors_come_back_as_they_were_and_an_empty_one_is_not_none() {
        let sealer = sealer();
        let page = Cursor::Page { list: ListKind::Tools, version: u64::MAX, offset: u32::MAX };
        for cursor in [page, downstream(None), downstream(Some("")), downstream(Some("x\"\u{1f600}"))] {
            let token = cursor.seal(&sealer, SCOPE).unwrap();
            assert_eq!(Cursor::open(&sealer, SCOPE, &token), Some(cursor));
        }
    }

    #[test]
    fn another_caller_gateway_or_list_cannot_use_it() {
        let sealer = sealer();
        let token = downstream(None).seal(&sealer, SCOPE).unwrap();
        for scope in [
            CursorScope { gateway: "bank", ..SCOPE },
            CursorScope { principal: b"bob", ..SCOPE },
            CursorScope { list: ListKind::Prompts, ..SCOPE },
        ] {
            assert_eq!(Cursor::open(&sealer, scope, &token), None);
        }
    }

    #[test]
    fn lists_are_found_by_method() {
        for list in ListKind::ALL {
            assert_eq!(ListKind::of_method(list.method()), Some(list));
        }
        assert_eq!(ListKind::of_method("tools/call"), None);
    }
}
