//! What lets callers into a gateway, as it changes. A request is checked once; a stream stays open for hours: when the rules
//! change that let it in, whoever reads it comes back and is checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sessiongate_actors::directory::Principal;
use tokio::sync::watch;

use super::access::Access;

/// What lets callers into one gateway. It outlives each change.
pub struct Admission {
    terms: watch::Sender<Terms>,
    /// As in the terms, to be read without a lock.
    policies: AtomicU64,
}

struct Terms {
    access: Arc<Access>,
    /// How often the resource policy changed.
    policies: u64,
}

/// What let a request in.
#[derive(Clone)]
pub struct Entry {
    /// Who may call, as it was when the request came.
    pub access: Arc<Access>,
    /// [`Admission::policies`], read before the resource policy was asked.
    pub policies: u64,
    /// Who it is.
    pub principal: Principal,
}

// === impl Admission ===

impl Admission {
    /// As it is now.
    pub fn new(access: Arc<Access>) -> Arc<Self> {
        Arc::new(Self { terms: watch::Sender::new(Terms { access, policies: 0 }), policies: AtomicU64::new(0) })
    }

    /// How often the resource policy of the gateway has changed.
    pub fn policies(&self) -> u64 {
        self.policies.load(Ordering::Acquire)
    }

    /// From now on these may call. Tell it after requests are checked by it.
    pub fn set_access(&self, access: &Arc<Access>) {
        self.terms.send_if_modified(|terms| {
            let changed = !Arc::ptr_eq(&terms.access, access);
            terms.access = access.clone();
            changed
        });
    }

    /// The resource policy is another one. Tell it after requests are checked by it.
    pub fn policy_changed(&self) {
        self.terms.send_modify(|terms| {
            terms.policies += 1;
            self.policies.store(terms.policies, Ordering::Release);
        });
    }

    /// Ends when it is not certain any more that a request which was let in would be today; at once if that is so by now.
    pub fn is_over(&self, mut entry: Entry) -> impl Future<Output = ()> + Send + 'static {
        let mut terms = self.terms.subscribe();
        async move {
            // An error says that the gateway is gone, and with it whoever could be let in.
            let _ = terms.wait_for(|terms| !entry.holds(terms)).await;
        }
    }
}

// === impl Entry ===

impl Entry {
    fn holds(&mut self, terms: &Terms) -> bool {
        if self.policies != terms.policies {
            return false;
        }
        let same = Arc::ptr_eq(&self.access, &terms.access);
        if !same && terms.access.keeps(self.principal.as_str(), &self.access) {
            // What was before is not needed any more.
            self.access = terms.access.clone();
            return true;
        }
        same
    }
}
