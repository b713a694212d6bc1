//! Gateways are declared in two places. What the configuration file gives to its own, a created gateway may have already: a
//! file that changes gets none of it, and one that was there first keeps it.

use std::collections::HashMap;
use std::fmt;

use super::Control;
use super::gateways::domains;
use crate::config::{Config, ConfigError, GatewayConfig, KeyPath};
use crate::control::objects::GatewayObject;
use crate::control::translate;
use crate::gateway::Origin;

/// Something of a created gateway that a gateway of the file has too.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Taken {
    /// The name of the gateway of the file.
    by: String,
    /// The created gateway.
    id: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// Its id, for a name.
    Name,
    /// The path of its endpoint.
    Path(String),
    /// A domain of its own.
    Domain(String),
    /// The host that has its id for a first label.
    Label(String),
}

// === impl Control ===

impl Control {
    /// What gateways of a changed file would take from created ones, besides what those of the file as it was have already.
    pub fn newly_taken(&self, current: &Config, next: &Config) -> Vec<ConfigError> {
        let known: Vec<Taken> = self.taken(current).into_iter().map(|(_, taken)| taken).collect();
        let new = self.taken(next).into_iter().filter(|(_, taken)| !known.contains(taken));
        new.map(|(key, taken)| ConfigError::at(key, taken.to_string()).remedy(taken.what.remedy())).collect()
    }

    /// Says in the log what gateways of the file have of created ones.
    pub fn warn_of_taken(&self, config: &Config) {
        for (key, taken) in self.taken(config) {
            tracing::warn!(%key, gateway = taken.id, remedy = taken.what.remedy(), "{taken}");
        }
    }

    fn taken(&self, config: &Config) -> Vec<(KeyPath, Taken)> {
        let rows = self.tables.gateways(None, usize::MAX);
        let created = rows.iter().map(|row| &*row.object).filter(|object| object.declared.is_none());
        let mut theirs: HashMap<String, &str> = HashMap::new();
        for object in created {
            theirs.extend(all_domains(object).into_iter().map(|domain| (domain, object.id.as_str())));
        }
        let addresses = self.runtime.addresses();
        let mut all = Vec::new();
        for (at, gateway) in config.gateways.iter().enumerate() {
            let place = KeyPath::default().key("gateways").index(at);
            let mut add = |key: KeyPath, id: &str, what: What| {
                all.push((key, Taken { by: gateway.name.clone(), id: id.to_owned(), what }));
            };
            if self.is_created(&gateway.name) {
                add(place.key("name"), &gateway.name, What::Name);
            }
            if let Some(id) = id_in(gateway).filter(|id| self.is_created(id)) {
                add(place.key("path"), &id, What::Path(gateway.endpoint_path().into_owned()));
            }
            for (nth, host) in gateway.hosts.iter().enumerate() {
                let (key, name) = (place.key("hosts").index(nth), host.to_ascii_lowercase());
                if let Some(id) = theirs.get(&name) {
                    add(key, id, What::Domain(name));
                } else if let Some(id) = addresses.label(&name).filter(|id| self.is_created(id)) {
                    add(key, id, What::Label(name.clone()));
                }
            }
        }
        all
    }

    /// Whether a created gateway is served where it should be, and where it is not, why.
    pub(super) fn contested(&self, object: &GatewayObject) -> (bool, Vec<String>) {
        let (None, Some(active)) = (&object.declared, &object.active) else { return (true, Vec::new()) };
        let mut reasons = Vec::new();
        let displaced = self.runtime.origin(&object.id) == Some(Origin::File);
        if displaced {
            reasons.push(format!(
                "it is not served: gateway `{}` of the configuration file has its id for a name; rename that one",
                object.id
            ));
        }
        // It was stored by a version that allowed more.
        let refused = translate::gateway(object, active).err();
        reasons.extend(refused.iter().map(|error| format!("it is not served: {error}: update it")));
        let served = !displaced && refused.is_none();
        let (table, addresses) = (self.runtime.table(), self.runtime.addresses());
        let path = format!("/gateways/{}/mcp", object.id);
        if let Some(other) = table.find(&path, || None).map(|found| found.served)
            && *other.gateway.name != *object.id
        {
            reasons.push(format!(
                "gateway `{}` of the configuration file has the path {path}: clients there reach that one",
                other.gateway.name
            ));
        }
        for (_, domain) in domains(active) {
            match table.at_host(&domain) {
                Some(other) if *other.gateway.name != *object.id => reasons.push(format!(
                    "gateway `{}` of the configuration file has the domain `{domain}`: clients there reach that one",
                    other.gateway.name
                )),
                Some(_) => {}
                None => reasons.extend(
                    addresses
                        .refuses_domain(&domain)
                        .map(|why| format!("the domain `{domain}` is not served: it {why}")),
                ),
            }
        }
        (served, reasons)
    }

    fn is_created(&self, id: &str) -> bool {
        self.tables.gateway(id).is_some_and(|row| row.object.declared.is_none())
    }
}

/// The domains that it is asked to have, and those that it has until then.
fn all_domains(object: &GatewayObject) -> Vec<String> {
    let members = [Some(&object.input), object.active.as_ref()];
    members.into_iter().flatten().flat_map(domains).map(|(_, domain)| domain).collect()
}

/// The id in a path that is one of created gateways.
fn id_in(gateway: &GatewayConfig) -> Option<String> {
    let path = gateway.endpoint_path();
    path.strip_prefix("/gateways/")?.strip_suffix("/mcp").map(str::to_owned)
}

// === impl Taken ===

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, id, what } = self;
        match what {
            What::Name => write!(f, "the name of gateway `{by}` is the id of a gateway that was created"),
            What::Path(path) => {
                write!(f, "the path {path} of gateway `{by}` is that of gateway {id}, which was created")
            }
            What::Domain(name) => {
                write!(f, "the host `{name}` of gateway `{by}` is a domain of gateway {id}, which was created")
            }
            What::Label(name) => {
                write!(f, "the host `{name}` of gateway `{by}` is where gateway {id} is, which was created")
            }
        }
    }
}

// === impl What ===

impl What {
    fn remedy(&self) -> &'static str {
        match self {
            Self::Name => "choose another name",
            Self::Path(_) => "choose another path",
            Self::Domain(_) => "choose another host, or take the domain away from that gateway",
            Self::Label(_) => "choose another host",
        }
    }
}
