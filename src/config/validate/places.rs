//! Where things are said to be: by which URL clients know the process, and where it finds the services that it calls.

use sessiongate_targets::host_map::{SIGNED, service_in};

use crate::config::model::{Config, GatewayConfig};
use crate::gateway::jwt_rules;
use crate::similar::nearest;

/// What is allowed there and probably not meant.
pub(super) fn remarks(config: &Config) -> Vec<String> {
    let mut all: Vec<String> = config.endpoints.keys().filter_map(|key| misspelt(key)).collect();
    if config.public_url.is_some() || config.listen.ip().is_loopback() {
        return all;
    }
    let url = format!("http://localhost:{}", config.listen.port());
    for gateway in config.gateways.iter().filter(|gateway| takes_own_tokens_only(gateway)) {
        all.push(format!(
            "gateway `{}` takes tokens for its own URL only, and without `public_url` that is one of this machine ({url}{}): \
             clients elsewhere sign in and are refused; say in `public_url` under which URL they know this process",
            gateway.name,
            gateway.endpoint_path()
        ));
    }
    if config.control.is_some() {
        all.push(format!(
            "without `public_url` the `gatewayUrl` of created gateways is one of this machine ({url}/…): say under which URL \
             clients know this process"
        ));
    }
    all
}

/// Without an audience of its issuer's, or a host of its own whose URL is known.
fn takes_own_tokens_only(gateway: &GatewayConfig) -> bool {
    gateway.hosts.is_empty()
        && gateway.authorizer.tokens().is_some_and(|jwt| {
            let authenticate_only = matches!(gateway.authorizer, crate::config::Authorizer::AuthenticateOnly(_));
            let rules = jwt_rules(jwt, authenticate_only);
            rules.strict_audience && rules.allowed_audience.is_empty()
        })
}

/// A service that nobody asks for may be a slip of the finger.
fn misspelt(key: &str) -> Option<String> {
    let name = service_in(key).filter(|name| !SIGNED.contains(&name.as_str()))?;
    let meant = nearest(&name, SIGNED)?;
    Some(format!("`endpoints`: the gateway calls no service `{name}` (key `{key}`): is `{meant}` meant?"))
}
