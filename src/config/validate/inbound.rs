//! Who may call, and at which hosts.

use std::collections::HashMap;

use super::Rules;
use crate::config::error::{ConfigError, KeyPath};
use crate::config::model::{Authorizer, Config, GatewayConfig};
use crate::gateway::jwt_rules;

/// The gateways that everyone who reaches the listener could call, although nobody said that this is meant. Besides what
/// [`validate`](super::validate) finds in a file: a flag may open the listener later.
#[must_use]
pub fn exposed(config: &Config) -> Vec<ConfigError> {
    let mut rules = Rules::default();
    rules.exposed(config, &KeyPath::default());
    rules.errors
}

impl Rules {
    pub(super) fn inbound(&mut self, config: &Config, root: &KeyPath) {
        self.exposed(config, root);
        let keys = config.control.as_ref().is_some_and(|control| !control.credentials.is_empty());
        let mut hosts = HashMap::new();
        for (at, gateway) in config.gateways.iter().enumerate() {
            let path = root.key("gateways").index(at);
            self.authorizer(gateway, keys, &path.key("authorizer"));
            for (nth, host) in gateway.hosts.iter().enumerate() {
                let key = path.key("hosts").index(nth);
                let lower = host.to_ascii_lowercase();
                let is_host = url::Host::parse(host).is_ok_and(|parsed| parsed.to_string() == lower);
                if !is_host {
                    let remedy = "write a name without scheme, port and path: shop.example";
                    self.say(key, format!("`{host}` is not a host"), remedy);
                } else if let Some(first) = hosts.insert(lower, &gateway.name) {
                    self.say(key, format!("`{host}` is a host of gateway `{first}`"), "give it to one of them");
                }
            }
        }
    }

    fn exposed(&mut self, config: &Config, root: &KeyPath) {
        if config.listen.ip().is_loopback() {
            return;
        }
        for (at, gateway) in config.gateways.iter().enumerate() {
            let open = gateway.authorizer == Authorizer::None && gateway.api_keys.is_empty();
            if open && !gateway.allow_anonymous {
                let message = format!(
                    "everyone who reaches {} could call gateway `{}`: it asks nobody who they are",
                    config.listen, gateway.name
                );
                let remedy = "give it `api_keys` or an `authorizer`, listen on 127.0.0.1, or say `allow_anonymous: true` \
                              (without a file `--allow-anonymous`) if that is meant";
                self.say(root.key("gateways").index(at).key("allow_anonymous"), message, remedy);
            }
        }
    }

    fn authorizer(&mut self, gateway: &GatewayConfig, keys: bool, path: &KeyPath) {
        let (jwt, authenticate_only) = match &gateway.authorizer {
            Authorizer::None => return,
            Authorizer::Iam if keys => return,
            Authorizer::Iam => {
                let message = "`iam` knows nobody: there are no access keys";
                return self.say(path.key("type"), message, "give some in `control.credentials`");
            }
            Authorizer::Jwt(jwt) => (jwt, false),
            Authorizer::AuthenticateOnly(jwt) => (jwt, true),
        };
        if let Err(error) = jwt_rules(jwt, authenticate_only).validate() {
            self.say(path.clone(), error.to_string(), "see `authorizer` in docs/configuration.md");
        }
    }
}
