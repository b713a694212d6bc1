//! Sessions that live as long as one connection of a modern client, which listens (2026-07-28, `subscriptions/listen`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use aws_lc_rs::rand;
use sessiongate_storage::{SessionKey, StoreError};
use tokio::sync::oneshot;

use super::slot::Slot;
use super::{NewSession, Principal, SessionDirectory, facts};
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
        self.admit(&gateway.name, principal, gateway.settings().sessions.max_per_principal)?;
        // A client that hangs up takes its request with it: what was begun is finished apart from it.
        let (sender, made) = oneshot::channel();
        let (directory, gateway, principal) = (self.clone(), gateway.clone(), principal.clone());
        actix_rt::spawn(async move {
            let made = directory.make_transient(&gateway, &principal, new).await;
            if made.is_err() {
                directory.uncount(&gateway.name, principal.as_str());
            }
            if let Err(Ok(handle)) = sender.send(made) {
                let _ = handle.end(EndReason::Deleted).await;
            }
        });
        let handle = made.await.unwrap_or(Err(SessionError::Crashed))?;
        // A shutdown that did not see it among the live ones would wait for its connection.
        if self.closing.load(Ordering::Relaxed) {
            let _ = handle.end(EndReason::Deleted).await;
            return Err(SessionError::Overloaded);
        }
        Ok(handle)
    }

    async fn make_transient(
        self: &Arc<Self>,
        gateway: &Arc<Gateway>,
        principal: &Principal,
        new: NewSession,
    ) -> Result<Arc<SessionHandle>, SessionError> {
        let mut random = [0u8; 16];
        rand::fill(&mut random)
            .map_err(|_| StoreError::Unavailable("the operating system gives no random numbers".into()))?;
        let key = SessionKey(random);
        let facts = SessionFacts { transient: true, ..facts(gateway, principal, new) };
        let slot = Arc::new(Slot::default());
        let handle = self.start(&slot, gateway, key, facts).await?;
        let _ = slot.handle.set(handle.clone());
        self.slots.insert(key, slot);
        Ok(handle)
    }
}
