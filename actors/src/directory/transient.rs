//! Sessions that live as long as one connection of a modern client, which listens (2026-07-28, `subscriptions/listen`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sessiongate_storage::SessionKey;

use super::{NewSession, Principal, SessionDirectory, facts, random};
use crate::error::SessionError;
use crate::gateway::Gateway;
use crate::session::SessionHandle;
use crate::session::core::{EndReason, SessionFacts};

// === impl SessionDirectory ===

impl SessionDirectory {
    /// A session that nobody can find. The caller ends it by its key; it ends by itself like all sessions of its gateway
    /// and its principal do, and one that a process left behind is removed by the next one.
    ///
    /// # Errors
    /// Where there is no room for it, or the store does not take it.
    pub async fn transient(
        self: &Arc<Self>,
        gateway: &Arc<Gateway>,
        principal: &Principal,
        new: NewSession,
    ) -> Result<Arc<SessionHandle>, SessionError> {
        let facts = SessionFacts { transient: true, ..facts(gateway, principal, new) };
        let handle = self.make(gateway, principal, SessionKey(random()?), facts).await?;
        // A shutdown that did not see it among the live ones would wait for its connection.
        if self.closing.load(Ordering::Relaxed) {
            let _ = handle.end(EndReason::Deleted).await;
            return Err(SessionError::Overloaded);
        }
        Ok(handle)
    }
}
