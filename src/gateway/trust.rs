//! What all gateways of the process share to find out who calls.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use sessiongate_actors::directory::Principal;

use super::way_out::WayOut;
use crate::auth::jwt::{Issuers, JwtOptions, Resources};
use crate::auth::sigv4::{Policy, ReplayGuard, ReplaySettings, Verifier};
use crate::config::{Config, ControlConfig};
use crate::control::access_keys;

/// The permission to call a gateway.
pub const INVOKE: &str = "bedrock-agentcore:InvokeGateway";

/// What all gateways of the process share to find out who calls. It is made anew only where its part of the configuration
/// changes: the keys of issuers and what is known of tokens stay over every other reload.
pub struct Trust {
    way: Arc<WayOut>,
    /// Made when first needed: most processes have no gateway with tokens.
    issuers: OnceLock<Option<Arc<Issuers>>>,
    /// The URLs of all gateways.
    resources: Arc<Resources>,
    /// None without a control plane: it has the access keys.
    iam: Option<Arc<Iam>>,
}

/// Who signs requests to gateways.
pub struct Iam {
    /// Of the data plane: it has its own memory of signatures.
    pub verifier: Verifier,
    /// The account that the gateways belong to.
    pub account: Box<str>,
    /// Hashes of those who may.
    callers: HashSet<Box<str>>,
}

// === impl Trust ===

impl Trust {
    /// For a configuration, with the way out that is right for it. What `last` has that is still right is taken over.
    pub fn new(config: &Config, way: Arc<WayOut>, last: Option<&Self>) -> Self {
        Self {
            way,
            issuers: OnceLock::new(),
            resources: last.map(|last| last.resources.clone()).unwrap_or_default(),
            // Its keys change at the next start only; what signatures were seen must not be forgotten.
            iam: match last {
                Some(last) => last.iam.clone(),
                None => config.control.as_ref().and_then(Iam::new).map(Arc::new),
            },
        }
    }

    /// Whether it is made with this way out.
    pub fn goes(&self, way: &Arc<WayOut>) -> bool {
        Arc::ptr_eq(&self.way, way)
    }

    /// The issuers of tokens. None where this host cannot ask any: the log says why.
    pub fn issuers(&self) -> Option<&Arc<Issuers>> {
        let made = self.issuers.get_or_init(|| {
            let outbound = self.way.outbound()?;
            Some(Issuers::new(outbound.clone(), JwtOptions::default()))
        });
        made.as_ref()
    }

    /// The URLs of all gateways of the process.
    pub fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }

    /// The access keys.
    pub fn iam(&self) -> Option<&Arc<Iam>> {
        self.iam.as_ref()
    }
}

// === impl Iam ===

impl Iam {
    fn new(config: &ControlConfig) -> Option<Self> {
        let keys = access_keys(config)
            .inspect_err(|error| tracing::error!(%error, "`control.credentials` cannot be used: nobody can sign"))
            .ok()?;
        let callers = keys.allowed(INVOKE).map(|arn| Self::principal(arn).as_str().into()).collect();
        // A credential in a URL would stand in logs and histories.
        let policy = Policy { presigned: None, ..Policy::default() };
        let replay = Arc::new(ReplayGuard::new(ReplaySettings::default()).since(SystemTime::now()));
        let verifier = Verifier::new(Arc::new(keys), policy, Some(replay));
        Some(Self { verifier, account: config.account.as_str().into(), callers })
    }

    /// Who has this ARN.
    pub fn principal(arn: &str) -> Principal {
        Principal::named("iam", arn)
    }

    /// Whether a principal with this hash may call.
    pub fn serves(&self, principal: &str) -> bool {
        self.callers.contains(principal)
    }

    /// The hashes of all who may.
    pub fn callers(&self) -> impl Iterator<Item = &str> {
        self.callers.iter().map(|caller| &**caller)
    }
}
