//! Sessions that no client named: a modern client (2026-07-28) has none, and its requests to targets that do are carried
//! by a session of the gateway's own.

use std::sync::Arc;

use sessiongate_storage::SessionKey;

use super::slot::Slot;
use super::{NewSession, Principal, SessionDirectory, facts, session_key};
use crate::error::SessionError;
use crate::gateway::Gateway;
use crate::session::SessionHandle;
use crate::session::core::{EndReason, SessionFacts};

/// Stands before a binding in the derivation of its key. No `Mcp-Session-Id` begins with it: a header has no such byte,
/// so that a client cannot name a conversation as its session.
const CONVERSATION: char = '\0';

// === impl SessionDirectory ===

impl SessionDirectory {
    /// The conversation of a principal under a binding: in memory, from the store, or a new one. `binding` stands for
    /// what its requests have in common (mcp-protocol 4.9, P1 to P3): what the client can be asked, and whatever keeps
    /// one conversation apart from others.
    pub async fn conversation(
        self: &Arc<Self>,
        gateway: &Arc<Gateway>,
        principal: &Principal,
        binding: &str,
        new: impl FnOnce() -> NewSession,
    ) -> Result<Arc<SessionHandle>, SessionError> {
        let key = conversation_key(&gateway.name, principal, binding);
        // Most requests find it in memory.
        if let Some(live) = self.slots.live(key) {
            return Ok(live);
        }
        let mut new = Some(new());
        for _ in 0..3 {
            let place = self.slots.enter(key);
            let slot = place.slot();
            let begin = async {
                // A client that hangs up takes its request with it: what was begun is finished apart from it.
                let (directory, slot, gateway) = (self.clone(), slot.clone(), gateway.clone());
                let (principal, new) = (principal.clone(), new.take());
                let begun = actix_rt::spawn(async move {
                    match (directory.resume(&slot, &gateway, key).await, new) {
                        (Err(SessionError::NotFound), Some(new)) => {
                            directory.begin(&slot, &gateway, &principal, key, new).await
                        }
                        (resumed, _) => resumed,
                    }
                });
                begun.await.unwrap_or(Err(SessionError::Crashed))
            };
            let handle = slot.handle.get_or_try_init(|| begin).await?;
            if handle.is_alive() {
                return Ok(handle.clone());
            }
            self.slots.remove(key, slot);
        }
        Err(SessionError::Overloaded)
    }

    /// The conversation of a principal under a binding, if there is one.
    pub async fn find_conversation(
        self: &Arc<Self>,
        gateway: &Arc<Gateway>,
        principal: &Principal,
        binding: &str,
    ) -> Result<Arc<SessionHandle>, SessionError> {
        self.find_key(gateway, conversation_key(&gateway.name, principal, binding)).await
    }

    /// Ends the conversation of a principal under a binding, in memory or in the store. False if there is none.
    ///
    /// # Errors
    /// Where it comes and goes meanwhile, or the store does not let go of it.
    pub async fn end_conversation(
        &self,
        gateway: &Gateway,
        principal: &Principal,
        binding: &str,
        reason: EndReason,
    ) -> Result<bool, SessionError> {
        self.end(conversation_key(&gateway.name, principal, binding), reason).await
    }

    async fn begin(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        gateway: &Arc<Gateway>,
        principal: &Principal,
        key: SessionKey,
        new: NewSession,
    ) -> Result<Arc<SessionHandle>, SessionError> {
        let settings = gateway.settings();
        if gateway.store.load(key).await?.is_some() {
            // One that expired and was not swept yet: nothing of it may come back in the new one.
            gateway.store.delete(key).await?;
            self.uncount(&gateway.name, principal.as_str());
        }
        self.admit(&gateway.name, principal, settings.sessions.max_per_principal)?;
        let facts = SessionFacts { conversation: true, ..facts(gateway, principal, new) };
        let begun = self.start(slot, gateway, key, facts).await;
        if begun.is_err() {
            self.uncount(&gateway.name, principal.as_str());
        }
        begun
    }
}

fn conversation_key(gateway: &str, principal: &Principal, binding: &str) -> SessionKey {
    session_key(gateway, principal, &format!("{CONVERSATION}{binding}"))
}
