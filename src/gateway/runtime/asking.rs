//! What targets are asked that nobody calls: whether they are there, and what they offer.

use sessiongate_actors::catalogue::TargetCatalogue;
use sessiongate_actors::sync::{self, Bounds, SyncOutcome};
use sessiongate_targets::TargetError;

use super::{Origin, Runtime};
use crate::config::{Config, Listing, TargetConfig};

/// Changes that may come in the way of one synchronisation.
const CHANGES: usize = 8;

/// How much the targets may offer of gateways that were declared there.
pub(super) fn bounds(process: &Config, origin: Origin) -> Bounds {
    match (&process.control, origin) {
        (Some(control), Origin::Control) => Bounds {
            tools: usize::try_from(control.quotas.tools_per_target).unwrap_or(usize::MAX),
            tool_name: usize::try_from(control.quotas.tool_name).unwrap_or(usize::MAX),
            strict: true,
        },
        _ => Bounds::default(),
    }
}

// === impl Runtime ===

impl Runtime {
    /// Looks at a target of the control plane that is not served yet, as far as the gateway itself will ask it: what it offers,
    /// where its lists are kept; that it is there, where they are always its own; where it is, in any case.
    ///
    /// # Errors
    /// Where it cannot be reached, does not answer as it should, or offers more than it may.
    pub async fn try_target(&self, target: &TargetConfig) -> Result<Option<TargetCatalogue>, TargetError> {
        let process = self.process.load_full();
        let made = self.builder.lock().probe(&process, target)?;
        if target.tools.is_some() {
            return Ok(None);
        }
        if target.listing != Some(Listing::Dynamic) {
            return sync::probe(&*made, bounds(&process, Origin::Control)).await.map(Some);
        }
        match sync::reach(&*made).await {
            // It may want to know the caller, and that is not the gateway.
            Ok(()) | Err(TargetError::Status { status: 401 | 403, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads again what a target offers, and waits for that. A change of its gateway that comes in the way does not end it. None
    /// where it is not served.
    pub async fn synchronise(&self, gateway: &str, target: &str) -> Option<SyncOutcome> {
        for change in 0..=CHANGES {
            if change > 0 {
                // What comes in its place is there when the change is made.
                drop(self.changing.lock().await);
            }
            let outcome = match self.supervisor_of(gateway) {
                Some(supervisor) => supervisor.sync(Some(target)).await.pop().map(|(_, outcome)| outcome),
                None => None,
            };
            match outcome {
                None if change == 0 => {}
                Some(Err(TargetError::Closed)) => {}
                outcome => return outcome,
            }
        }
        Some(Err(TargetError::Closed))
    }
}
