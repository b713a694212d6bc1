//! The one client for all that the gateway itself asks elsewhere, targets apart.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use ipnet::IpNet;
use sessiongate_targets::{AddressPolicy, HostMap, HttpOptions, Outbound};

use crate::config::{Config, Endpoint};

/// The way out of the process for its own requests: issuers, functions, hooks, objects, STS. They share its connections.
pub struct WayOut {
    networks: Vec<IpNet>,
    endpoints: BTreeMap<String, Endpoint>,
    /// Made when first needed: most processes ask nobody.
    made: OnceLock<Option<Outbound>>,
}

// === impl WayOut ===

impl WayOut {
    /// As a configuration says.
    pub fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self {
            networks: config.allow_private_networks.clone(),
            endpoints: config.endpoints.clone(),
            made: OnceLock::new(),
        })
    }

    /// For another configuration: itself, where nothing that it is made of has changed.
    pub fn following(self: &Arc<Self>, config: &Config) -> Arc<Self> {
        match self.endpoints == config.endpoints && self.networks == config.allow_private_networks {
            true => self.clone(),
            false => Self::new(config),
        }
    }

    /// The client. None where this host cannot have one: the log says why.
    pub fn outbound(&self) -> Option<&Outbound> {
        self.made.get_or_init(|| self.make()).as_ref()
    }

    fn make(&self) -> Option<Outbound> {
        const MESSAGE: &str = "no issuer, function, hook or object can be reached";
        let hosts = self.endpoints.iter().map(|(host, url)| (host.clone(), url.url().clone()));
        let hosts = HostMap::new(hosts).inspect_err(|error| tracing::error!(%error, "{MESSAGE}")).ok()?;
        let policy = AddressPolicy { allowed: self.networks.clone() };
        Outbound::new(HttpOptions { policy, ..HttpOptions::default() }, hosts)
            .inspect_err(|error| tracing::error!(%error, detail = ?error, "{MESSAGE}"))
            .ok()
    }
}
