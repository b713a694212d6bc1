//! Finds the gateway of a request.

use std::collections::HashMap;
use std::sync::Arc;

use super::addresses::{Addresses, HOST_PATH};
use super::runtime::{Origin, Served};
use crate::http::guard::host_name;

/// The gateways by path and by host.
#[derive(Default)]
pub struct Table {
    all: Vec<Arc<Served>>,
    by_path: HashMap<Box<str>, Arc<Served>>,
    by_host: HashMap<Box<str>, Arc<Served>>,
    /// Gateways of the control plane, by the first label of a host below one of the process.
    by_label: HashMap<Box<str>, Arc<Served>>,
    addresses: Arc<Addresses>,
}

/// The gateway of a request.
pub struct Found {
    /// The gateway.
    pub served: Arc<Served>,
    /// It was found by its host, not by its path.
    pub by_host: bool,
}

// === impl Table ===

impl Table {
    /// Of these gateways. Where two want the same host or path, those of the file go first, then the order of names counts.
    /// A host that all gateways are served under is nobody's, although one of the control plane may have it from the time
    /// before `public_url` or `allowed_hosts` changed.
    pub fn new(gateways: impl Iterator<Item = Arc<Served>>, addresses: Arc<Addresses>) -> Self {
        let mut gateways: Vec<Arc<Served>> = gateways.collect();
        gateways.sort_by(|a, b| {
            let rank = |served: &Served| (served.origin == Origin::Control, served.gateway.name.clone());
            rank(a).cmp(&rank(b))
        });
        let mut table = Self { addresses, ..Self::default() };
        for served in gateways {
            let created = served.origin == Origin::Control;
            let own = |host: &str| !created || table.addresses.refuses_domain(host).is_none();
            for host in served.hosts.iter().filter(|host| own(host)) {
                table.by_host.entry(host.clone()).or_insert_with(|| served.clone());
            }
            if created {
                table.by_label.insert((&*served.gateway.name).into(), served.clone());
            }
            table.by_path.entry(served.path.clone()).or_insert_with(|| served.clone());
            table.all.push(served);
        }
        table
    }

    /// The gateway of a request with this path and `Host`. At a host of its own a gateway is served under one path; a slash
    /// at the end does not matter.
    pub fn find<'h>(&self, path: &str, host: impl FnOnce() -> Option<&'h str>) -> Option<Found> {
        let plain = path.strip_suffix('/').unwrap_or(path);
        let hosts = plain == HOST_PATH && !(self.by_host.is_empty() && self.by_label.is_empty());
        if let Some(served) = hosts.then(host).flatten().and_then(|host| self.at_host(host)) {
            return Some(Found { served: served.clone(), by_host: true });
        }
        let served = self.by_path.get(path).or_else(|| self.by_path.get(plain))?;
        Some(Found { served: served.clone(), by_host: false })
    }

    /// The gateway that has this `Host` for itself.
    pub fn at_host(&self, host: &str) -> Option<&Arc<Served>> {
        let name = host_name(host).to_ascii_lowercase();
        // A domain must not be what an id stands for.
        let labelled = self.addresses.label(&name).and_then(|label| self.by_label.get(label));
        labelled.or_else(|| self.by_host.get(name.as_str()))
    }

    /// All gateways.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.all.iter()
    }
}
