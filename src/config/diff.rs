//! What differs between two configurations, so that a reload touches only that.

use std::collections::BTreeSet;
use std::fmt;

use super::model::{Config, GatewayConfig, TargetConfig};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A key of the process that takes effect at the next start only.
    NeedsRestart {
        /// Which.
        key: &'static str,
    },
    /// A key of the process that takes effect at once.
    SettingChanged {
        /// Which.
        key: &'static str,
    },
    /// A gateway that is new.
    GatewayAdded {
        /// Its name.
        gateway: String,
    },
    /// A gateway that is gone, with its targets.
    GatewayRemoved {
        /// Its name.
        gateway: String,
    },
    /// Settings of a gateway, its targets apart.
    GatewayChanged {
        /// Its name.
        gateway: String,
        /// Which keys.
        keys: Vec<&'static str>,
    },
    /// A target that is new in a gateway that stays.
    TargetAdded {
        /// The gateway's name.
        gateway: String,
        /// The target's.
        target: String,
    },
    /// A target that is gone from a gateway that stays.
    TargetRemoved {
        /// The gateway's name.
        gateway: String,
        /// The target's.
        target: String,
    },
    /// A target that is otherwise configured.
    TargetChanged {
        /// The gateway's name.
        gateway: String,
        /// The target's.
        target: String,
        /// Which keys.
        keys: Vec<&'static str>,
    },
}

/// The keys whose fields differ, by name.
macro_rules! differing {
    ($old:expr, $new:expr, [$($field:ident),* $(,)?]) => {{
        let mut keys: Vec<&'static str> = Vec::new();
        $(if $old.$field != $new.$field { keys.push(stringify!($field)); })*
        keys
    }};
}

/// All differences: those of the process first, then gateway by gateway, what goes before what comes. Empty exactly
/// when the two mean the same; the order of gateways and targets means nothing.
#[must_use]
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    let restart = differing!(old, new, [listen, public_url, data_dir, durability, log, limits, control]);
    changes.extend(restart.into_iter().map(|key| Change::NeedsRestart { key }));
    let at_once = differing!(
        old,
        new,
        [allow_private_networks, allowed_origins, allowed_hosts, body_limit, shutdown_timeout, endpoints, aws]
    );
    changes.extend(at_once.into_iter().map(|key| Change::SettingChanged { key }));
    for gateway in names(old.gateways.iter().map(|one| &one.name), new.gateways.iter().map(|one| &one.name)) {
        match (old.gateway(gateway), new.gateway(gateway)) {
            (Some(old), Some(new)) => same_gateway(old, new, &mut changes),
            (Some(_), None) => changes.push(Change::GatewayRemoved { gateway: gateway.to_owned() }),
            (None, _) => changes.push(Change::GatewayAdded { gateway: gateway.to_owned() }),
        }
    }
    changes
}

fn same_gateway(old: &GatewayConfig, new: &GatewayConfig, changes: &mut Vec<Change>) {
    let gateway = || new.name.clone();
    let mut keys = differing!(
        old,
        new,
        [
            naming,
            listing,
            sessions,
            streaming,
            keep_alive,
            sse_polling,
            instructions,
            authorizer,
            allow_anonymous,
            exception_level,
            supported_versions,
            pagination,
            hosts,
            api_keys,
            interceptors,
            max_name_length,
            calls_per_second,
            search,
            searches_per_minute
        ]
    );
    // Writing the default path out changes nothing.
    if old.endpoint_path() != new.endpoint_path() {
        keys.insert(0, "path");
    }
    if !keys.is_empty() {
        changes.push(Change::GatewayChanged { gateway: gateway(), keys });
    }
    for name in names(old.targets.iter().map(|one| &one.name), new.targets.iter().map(|one| &one.name)) {
        let target = name.to_owned();
        match (old.target(name), new.target(name)) {
            (Some(old), Some(new)) => {
                let keys = target_keys(old, new);
                if !keys.is_empty() {
                    changes.push(Change::TargetChanged { gateway: gateway(), target, keys });
                }
            }
            (Some(_), None) => changes.push(Change::TargetRemoved { gateway: gateway(), target }),
            (None, _) => changes.push(Change::TargetAdded { gateway: gateway(), target }),
        }
    }
}

fn target_keys(old: &TargetConfig, new: &TargetConfig) -> Vec<&'static str> {
    differing!(
        old,
        new,
        [
            mcp,
            era,
            affinity,
            timeout,
            connect_timeout,
            initialize_timeout,
            idle_timeout,
            message_limit,
            resource_priority,
            synchronisation,
            listing,
            tools,
            pass,
            required
        ]
    )
}

fn names<'a>(old: impl Iterator<Item = &'a String>, new: impl Iterator<Item = &'a String>) -> BTreeSet<&'a str> {
    old.chain(new).map(String::as_str).collect()
}

// === impl Change ===

impl Change {
    /// Whether downstream sessions with the target must be opened anew: not for what only the gateway looks at.
    #[must_use]
    pub fn reconnects(&self) -> bool {
        match self {
            Self::TargetChanged { keys, .. } => {
                keys.iter().any(|key| !matches!(*key, "affinity" | "resource_priority" | "required" | "listing"))
            }
            Self::TargetAdded { .. } | Self::TargetRemoved { .. } => true,
            _ => false,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeedsRestart { key } => write!(f, "{key} changed and needs a restart"),
            Self::SettingChanged { key } => write!(f, "{key} changed"),
            Self::GatewayAdded { gateway } => write!(f, "gateway {gateway} added"),
            Self::GatewayRemoved { gateway } => write!(f, "gateway {gateway} removed"),
            Self::GatewayChanged { gateway, keys } => write!(f, "gateway {gateway} changed: {}", keys.join(", ")),
            Self::TargetAdded { gateway, target } => write!(f, "target {gateway}/{target} added"),
            Self::TargetRemoved { gateway, target } => write!(f, "target {gateway}/{target} removed"),
            Self::TargetChanged { gateway, target, keys } => {
                write!(f, "target {gateway}/{target} changed: {}", keys.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::parse;
    use super::*;

    fn config(text: &str) -> Config {
        parse("test.yaml", text, &|_| None).unwrap()
    }

    const BASE: &str = "
gateways:
  - name: a
    targets:
      - {name: one, mcp: {url: 'http://127.0.0.1:1/mcp', headers: {x-key: first}}}
      - {name: two, mcp: {command: two}}
  - name: b
    targets: [{name: one, mcp: {command: one}}]
";

    fn changes(new: &str) -> Vec<String> {
        diff(&config(BASE), &config(new)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_means_the_same_is_no_change() {
        assert_eq!(changes(BASE), [""; 0]);
        assert_eq!(changes(&BASE.replace("name: a\n", "name: a\n    path: /gateways/a/mcp # as before\n")), [""; 0]);
    }

    #[test]
    fn each_change_is_named() {
        let new = "
listen: 127.0.0.1:9090
limits: {sessions: 5}
gateways:
  - name: c
    targets: [{name: one, mcp: {command: one}}]
  - name: a
    instructions: hello
    targets:
      - {name: three, mcp: {command: three}}
      - {name: one, mcp: {url: 'http://127.0.0.1:1/mcp', headers: {x-key: second}}}
";
        assert_eq!(
            changes(new),
            [
                "listen changed and needs a restart",
                "limits changed and needs a restart",
                "gateway a changed: instructions",
                "target a/one changed: mcp",
                "target a/three added",
                "target a/two removed",
                "gateway b removed",
                "gateway c added",
            ]
        );
    }

    #[test]
    fn only_what_the_link_sees_reconnects() {
        let reconnects = |from: &str, to: &str| -> Vec<bool> {
            diff(&config(BASE), &config(&BASE.replace(from, to))).iter().map(Change::reconnects).collect()
        };
        assert_eq!(reconnects("mcp: {command: two}", "mcp: {command: two}, required: false"), [false]);
        assert_eq!(reconnects("mcp: {command: two}", "mcp: {command: two}, timeout: 1m"), [true]);
        assert_eq!(reconnects("x-key: first", "x-key: second"), [true]);
    }

    #[test]
    fn every_field_is_compared() {
        // A field that `diff` forgets would be ignored by hot reload without a word. The schema knows all fields.
        let schema = crate::config::schema();
        let fields = |name: &str| -> Vec<String> {
            schema.pointer(name).and_then(|one| one.as_object()).unwrap().keys().cloned().collect()
        };
        let source = include_str!("diff.rs");
        for name in ["/properties", "/$defs/GatewayConfig/properties", "/$defs/TargetConfig/properties"] {
            for field in fields(name) {
                if matches!(field.as_str(), "name" | "gateways" | "targets") {
                    continue;
                }
                let lists: String = source.split("differing!(").skip(1).collect();
                assert!(lists.contains(&field), "{field} of {name}");
            }
        }
    }
}
