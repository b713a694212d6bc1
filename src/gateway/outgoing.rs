//! What the gateway itself asks elsewhere, other than targets and issuers: functions, hooks, objects.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use sessiongate_targets::aws::{AwsIdentity, LambdaInvoker, S3Reader};
use sessiongate_targets::{AddressPolicy, HostMap, HttpOptions, Outbound};

use crate::config::{AwsConfig, Config, Endpoint};

/// The ways out, as the configuration says now. Whoever holds it sees a reload.
pub struct Outgoing {
    ways: ArcSwap<Ways>,
}

struct Ways {
    networks: Vec<IpNet>,
    endpoints: BTreeMap<String, Endpoint>,
    aws: Option<AwsConfig>,
    /// Made when first needed: most processes ask nobody.
    made: OnceLock<Option<(LambdaInvoker, S3Reader)>>,
}

// === impl Outgoing ===

impl Outgoing {
    /// For a configuration.
    pub fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self { ways: ArcSwap::from_pointee(Ways::of(config)) })
    }

    /// Follows a reload.
    pub fn apply(&self, config: &Config) {
        let ways = self.ways.load();
        let same = ways.networks == config.allow_private_networks
            && ways.endpoints == config.endpoints
            && ways.aws == config.aws;
        if !same {
            self.ways.store(Arc::new(Ways::of(config)));
        }
    }

    /// Invokes functions and asks hooks. None where this host cannot: the log says why.
    pub fn lambda(&self) -> Option<LambdaInvoker> {
        self.ways.load().made().map(|(lambda, _)| lambda.clone())
    }

    /// Reads objects. None where this host cannot: the log says why.
    pub fn objects(&self) -> Option<S3Reader> {
        self.ways.load().made().map(|(_, objects)| objects.clone())
    }
}

// === impl Ways ===

impl Ways {
    fn of(config: &Config) -> Self {
        Self {
            networks: config.allow_private_networks.clone(),
            endpoints: config.endpoints.clone(),
            aws: config.aws.clone(),
            made: OnceLock::new(),
        }
    }

    fn made(&self) -> Option<&(LambdaInvoker, S3Reader)> {
        self.made.get_or_init(|| self.make()).as_ref()
    }

    fn make(&self) -> Option<(LambdaInvoker, S3Reader)> {
        let hosts = self.endpoints.iter().map(|(host, url)| (host.clone(), url.url().clone()));
        let hosts = HostMap::new(hosts)
            .inspect_err(|error| tracing::error!(%error, "no function and no object can be reached"))
            .ok()?;
        let policy = AddressPolicy { allowed: self.networks.clone() };
        let outbound = Outbound::new(HttpOptions { policy, ..HttpOptions::default() }, hosts)
            .inspect_err(|error| tracing::error!(%error, detail = ?error, "no function and no object can be reached"))
            .ok()?;
        let identity = self.identity();
        Some((LambdaInvoker::new(outbound.clone(), identity.clone()), S3Reader::new(outbound, identity)))
    }

    fn identity(&self) -> AwsIdentity {
        let variable = |name: &str| std::env::var(name).ok();
        match &self.aws {
            Some(aws) => aws.identity(variable),
            None => AwsIdentity::from_env(variable),
        }
    }
}
