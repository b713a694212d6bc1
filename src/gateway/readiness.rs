//! Whether the gateway can serve.

use std::sync::Arc;

use serde::Serialize;
use sessiongate_actors::sync::TargetView;

use super::Runtime;

/// The answer of `/readyz`.
#[derive(Debug, Serialize)]
pub struct Readiness {
    /// Traffic may come.
    pub ready: bool,
    /// The gateway is going down.
    pub shutting_down: bool,
    /// The store takes writes; after a failed one it does not until the next start.
    pub store: bool,
    /// All targets of all gateways.
    pub targets: Vec<TargetReadiness>,
}

/// One target.
#[derive(Debug, Serialize)]
pub struct TargetReadiness {
    /// Its gateway.
    pub gateway: Arc<str>,
    /// How it is.
    #[serde(flatten)]
    pub view: TargetView,
}

// === impl Runtime ===

impl Runtime {
    /// A required target that was never synchronised makes the gateway not ready; one that is down now and has a
    /// catalogue does not, because its lists are still served.
    pub async fn readiness(&self) -> Readiness {
        let mut targets = Vec::new();
        for supervisor in self.supervisors() {
            for view in supervisor.views().await {
                targets.push(TargetReadiness { gateway: supervisor.gateway().name.clone(), view });
            }
        }
        let shutting_down = self.is_shutting_down();
        let missing = targets.iter().any(|target| target.view.required && target.view.synced_at.is_none());
        let store = self.is_store_healthy();
        Readiness { ready: store && !shutting_down && !missing, shutting_down, store, targets }
    }
}
