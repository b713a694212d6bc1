//! The four lists of MCP: what their items are told apart by, and how a change is announced.

use crate::cursor::ListKind;

// === impl ListKind ===

impl ListKind {
    /// The member of an item that tells it from others.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::ResourceTemplates => "uriTemplate",
        }
    }

    /// The notification that says it changed. Templates change with resources.
    pub const fn changed_method(self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
            Self::Resources | Self::ResourceTemplates => "notifications/resources/list_changed",
        }
    }

    /// The list that a `list_changed` notification speaks of.
    pub fn of_changed_method(method: &str) -> Option<Self> {
        [Self::Tools, Self::Prompts, Self::Resources].into_iter().find(|list| list.changed_method() == method)
    }
}
