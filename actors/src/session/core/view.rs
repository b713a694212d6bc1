//! What a person sees of a session.

use std::sync::Arc;

use sessiongate_storage::Timestamp;

use super::SessionCore;

/// A session as a person sees it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SessionView {
    /// Who owns it, hashed.
    pub principal: Box<str>,
    /// Name and version that the client gave.
    pub client: String,
    /// The negotiated revision.
    pub revision: &'static str,
    /// When it began.
    pub created: Timestamp,
    /// When it ends at the latest.
    pub expires: Timestamp,
    /// When the client was last heard.
    pub last_activity: Timestamp,
    /// Requests that run.
    pub calls: usize,
    /// Streams with a connection.
    pub open_streams: usize,
    /// Questions that wait.
    pub pending_questions: usize,
    /// Targets with an open downstream session.
    pub targets: Vec<Arc<str>>,
}

// === impl SessionCore ===

impl SessionCore {
    /// Numbers for a person who looks at it.
    pub fn view(&self) -> SessionView {
        SessionView {
            principal: self.facts.principal.clone(),
            client: self.facts.client_label(),
            revision: self.facts.revision.as_str(),
            created: self.facts.created,
            expires: self.expires,
            last_activity: self.last_activity,
            calls: self.calls.len(),
            open_streams: self.streams.attached().count(),
            pending_questions: self.questions.len(),
            targets: self.links.iter().filter(|(_, link)| link.is_open()).map(|(name, _)| name.clone()).collect(),
        }
    }
}
