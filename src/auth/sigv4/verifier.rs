//! Keys, policy and memory of one door.

use std::sync::Arc;
use std::time::SystemTime;

use super::error::SigV4Error;
use super::keys::AccessKeys;
use super::replay::ReplayGuard;
use super::verify::{Policy, RequestParts, Verified, precheck, verify};

/// Verifies the requests of one door: the control plane, or the gateways with `AWS_IAM`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verifier {
    keys: Arc<AccessKeys>,
    policy: Arc<Policy>,
    replay: Option<Arc<ReplayGuard>>,
}

// === impl Verifier ===

impl Verifier {
    /// `replay` is shared with the verifier that a reload puts in this one's place, or it would forget. `None` takes
    /// repetitions as AWS does.
    #[must_use]
    pub fn new(keys: Arc<AccessKeys>, policy: Policy, replay: Option<Arc<ReplayGuard>>) -> Self {
        Self { keys, policy: Arc::new(policy), replay }
    }

    /// The access keys.
    #[must_use]
    pub fn keys(&self) -> &AccessKeys {
        &self.keys
    }

    /// Whether it is worth while to read the body of a request: see [`precheck`].
    ///
    /// # Errors
    /// The same as [`Self::verify`] has.
    pub fn precheck<'a, H>(&self, request: RequestParts<'a, H>, now: SystemTime) -> Result<(), SigV4Error>
    where
        H: IntoIterator<Item = (&'a str, &'a [u8])>,
    {
        precheck(&self.policy, request, now)
    }

    /// Decides about a request.
    pub fn verify<'a, H>(&self, request: RequestParts<'a, H>, now: SystemTime) -> Result<Verified, SigV4Error>
    where
        H: IntoIterator<Item = (&'a str, &'a [u8])>,
    {
        let verified = verify(&self.keys, &self.policy, request, now)?;
        match &self.replay {
            None => Ok(verified),
            Some(guard) => guard.admit(&verified, now).map(|()| verified),
        }
    }
}
