//! How often the control plane may be asked.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::ControlError;
use super::model::OperationName;
use crate::config::Quotas;

/// Two rates: one for what changes something, one for what only reads. After a pause, a second's worth may come at once.
pub struct Throttle {
    changes: DefaultDirectRateLimiter,
    reads: DefaultDirectRateLimiter,
}

// === impl Throttle ===

impl Throttle {
    /// With the rates of these quotas.
    pub fn new(quotas: &Quotas) -> Self {
        let limiter = |rate| RateLimiter::direct(Quota::per_second(NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN)));
        Self { changes: limiter(quotas.changes_per_second), reads: limiter(quotas.reads_per_second) }
    }

    /// Lets an operation pass, or not.
    ///
    /// # Errors
    /// [`ControlError::Throttling`].
    pub fn admit(&self, operation: OperationName) -> Result<(), ControlError> {
        let (limiter, setting) = match reads(operation) {
            true => (&self.reads, "reads_per_second"),
            false => (&self.changes, "changes_per_second"),
        };
        limiter.check().map_err(|_| ControlError::Throttling {
            message: format!("too many requests: try again in a second (`control.quotas.{setting}`)"),
        })
    }
}

/// Whether an operation only reads.
fn reads(operation: OperationName) -> bool {
    matches!(
        operation,
        OperationName::GetGateway
            | OperationName::ListGateways
            | OperationName::GetGatewayTarget
            | OperationName::ListGatewayTargets
            | OperationName::ListTagsForResource
            | OperationName::GetResourcePolicy
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rate_is_its_own() {
        let quotas = Quotas { changes_per_second: 2, reads_per_second: 1, ..Quotas::default() };
        let throttle = Throttle::new(&quotas);
        let admit = |operation| throttle.admit(operation).is_ok();
        assert!(admit(OperationName::CreateGateway) && admit(OperationName::DeleteGateway));
        assert!(!admit(OperationName::UpdateGateway));
        assert!(admit(OperationName::GetGateway));
        assert!(!admit(OperationName::ListGateways));
    }
}
