//! What the gateway itself asks elsewhere, other than targets and issuers: functions, hooks, objects.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use sessiongate_targets::Outbound;
use sessiongate_targets::aws::{
    AwsIdentity, AwsKeys, GatewayRole, KeyError, LambdaArn, LambdaInvoker, Roles, S3Reader,
};

use super::way_out::WayOut;
use crate::config::{AwsConfig, Config};

/// The ways out, as the configuration says now. Whoever holds it sees a reload.
pub struct Outgoing {
    ways: ArcSwap<Ways>,
}

struct Ways {
    way: Arc<WayOut>,
    aws: Option<AwsConfig>,
    /// None: roles of gateways say nothing.
    roles: Option<Arc<Roles>>,
    /// Made when first needed: most processes ask nobody. It has the temporary keys.
    keys: OnceLock<Arc<AwsKeys>>,
}

// === impl Outgoing ===

impl Outgoing {
    /// For a configuration.
    pub fn new(config: &Config) -> Arc<Self> {
        let ways = Ways::new(WayOut::new(config), config.aws.clone());
        Arc::new(Self { ways: ArcSwap::from_pointee(ways) })
    }

    /// Follows a reload.
    pub fn apply(&self, config: &Config) {
        let ways = self.ways.load();
        let way = ways.way.following(config);
        if !Arc::ptr_eq(&way, &ways.way) || ways.aws != config.aws {
            self.ways.store(Arc::new(Ways::new(way, config.aws.clone())));
        }
    }

    /// The client that all of it goes through.
    pub fn way(&self) -> Arc<WayOut> {
        self.ways.load().way.clone()
    }

    /// Whether a gateway may have this role.
    pub fn lists(&self, role: &str) -> bool {
        self.ways.load().roles.as_ref().is_none_or(|roles| roles.find(role).is_some())
    }

    /// Invokes functions for a gateway with this role, and asks hooks. None where this host cannot: the log says why.
    pub fn lambda(&self, role: Option<&GatewayRole>) -> Option<LambdaInvoker> {
        let ways = self.ways.load();
        let (outbound, keys) = ways.made()?;
        Some(LambdaInvoker::new(outbound.clone(), keys.caller(role)))
    }

    /// Whether a gateway with this role could invoke a function, as far as that is known without asking anybody.
    ///
    /// # Errors
    /// Where there is no key for it; see [`LambdaInvoker::has_key`].
    pub fn can_invoke(&self, role: Option<&GatewayRole>, function: &LambdaArn) -> Result<(), KeyError> {
        self.lambda(role).map_or(Ok(()), |lambda| lambda.has_key(function))
    }

    /// Reads objects for a gateway with this role. None where this host cannot: the log says why.
    pub fn objects(&self, role: Option<&GatewayRole>) -> Option<S3Reader> {
        let ways = self.ways.load();
        let (outbound, keys) = ways.made()?;
        Some(S3Reader::new(outbound.clone(), keys.caller(role)))
    }
}

// === impl Ways ===

impl Ways {
    fn new(way: Arc<WayOut>, aws: Option<AwsConfig>) -> Self {
        let roles = aws.as_ref().and_then(AwsConfig::roles).map(Arc::new);
        Self { way, aws, roles, keys: OnceLock::new() }
    }

    fn made(&self) -> Option<(&Outbound, &Arc<AwsKeys>)> {
        let outbound = self.way.outbound()?;
        let make = || AwsKeys::new(outbound.clone(), self.identity(), self.roles.clone());
        Some((outbound, self.keys.get_or_init(make)))
    }

    fn identity(&self) -> AwsIdentity {
        let variable = |name: &str| std::env::var(name).ok();
        match &self.aws {
            Some(aws) => aws.identity(variable),
            None => AwsIdentity::from_env(variable),
        }
    }
}
