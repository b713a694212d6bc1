//! Whose a name is that the file and the control plane both declare: sessions and catalogues are kept under it.

use super::{Origin, Runtime};
use crate::config::GatewayConfig;

impl Runtime {
    /// Of what a source declares and takes away, that which is its own: a name stays with who brought it first. What the control
    /// plane declares in vain waits for its name, and is gone when it says so.
    pub(super) fn own<'a>(
        &self,
        origin: Origin,
        declared: &'a [GatewayConfig],
        gone: &'a [String],
    ) -> (Vec<&'a GatewayConfig>, Vec<&'a String>) {
        let (origins, mut displaced) = (self.origins.lock(), self.displaced.lock());
        let taken = |name: &String| origins.get(name).is_some_and(|holder| *holder != origin);
        if origin == Origin::Control {
            for name in gone {
                displaced.remove(name);
            }
        }
        let mut own = Vec::with_capacity(declared.len());
        for gateway in declared {
            if !taken(&gateway.name) {
                own.push(gateway);
                continue;
            }
            let name = &gateway.name;
            match origin {
                Origin::Control => {
                    tracing::warn!(
                        gateway = name,
                        "a created gateway is not served: a gateway of the configuration file has its id for a name"
                    );
                    displaced.insert(name.clone(), gateway.clone());
                }
                Origin::File => {
                    tracing::error!(
                        gateway = name,
                        "a gateway of the configuration file is not served: its name is the id of a created gateway"
                    );
                }
            }
        }
        (own, gone.iter().filter(|name| !taken(name)).collect())
    }

    /// What waited for one of these names.
    pub(super) fn freed(&self, names: &[&String]) -> Vec<GatewayConfig> {
        let mut displaced = self.displaced.lock();
        names.iter().filter_map(|name| displaced.remove(*name)).collect()
    }
}
