//! Resource policies. They are kept by the ids of gateways and not by their names: a gateway of the file may have the id of a
//! created one for a name, and each keeps its own.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Origin, Runtime};
use crate::auth::policy::Policy;
use crate::control::declared_id;

/// A resource policy and what it is attached to.
#[derive(PartialEq, Eq)]
pub struct Attached {
    /// The policy.
    pub policy: Policy,
    /// The ARN of the gateway.
    pub resource: Box<str>,
}

/// `gatewayId` of the gateway that was declared there under this name.
pub(super) fn gateway_id(origin: Origin, name: &str) -> Box<str> {
    match origin {
        Origin::File => declared_id(name).into(),
        Origin::Control => name.into(),
    }
}

// === impl Runtime ===

impl Runtime {
    /// Who may call the gateway with this id and ARN, besides what its authorizer says. It need not be served yet.
    pub fn set_policy(&self, id: &str, arn: &str, policy: Option<Policy>) {
        let policy = policy.map(|policy| Arc::new(Attached { policy, resource: arn.into() }));
        // Policies are read again with the file: most are the same then.
        if self.policy(id) == policy {
            return;
        }
        self.policies.rcu(|policies| {
            let mut next = HashMap::clone(policies);
            match &policy {
                Some(policy) => next.insert(id.to_owned(), policy.clone()),
                None => next.remove(id),
            };
            next
        });
        if let Some(served) = self.table.load().iter().find(|served| &*served.id == id) {
            served.admission.policy_changed();
        }
    }

    /// The resource policy of the gateway with this id.
    pub fn policy(&self, id: &str) -> Option<Arc<Attached>> {
        let policies = self.policies.load();
        if policies.is_empty() { None } else { policies.get(id).cloned() }
    }
}
