//! Who may call, and at which hosts.

use std::collections::HashMap;

use url::Host;

use super::Rules;
use crate::auth::jwt::RulesError;
use crate::config::error::{ConfigError, KeyPath};
use crate::config::model::{ApiKey, Authorizer, Config, GatewayConfig};
use crate::gateway::{WayOut, jwt_rules};

/// The gateways that everyone who reaches the listener could call, although nobody said that this is meant. Besides what
/// [`validate`](super::validate) finds in a file: a flag may open the listener later.
#[must_use]
pub fn exposed(config: &Config) -> Vec<ConfigError> {
    let mut rules = Rules::default();
    rules.exposed(config, &KeyPath::default());
    rules.errors
}

/// That a gateway's issuer is where the gateway never asks: nobody could get in. What a name leads to is seen only when it
/// is asked.
pub(super) fn unreachable_issuer(config: &Config, gateway: &GatewayConfig) -> Option<String> {
    let url = gateway.authorizer.tokens()?.discovery_url.url();
    if matches!(url.host(), None | Some(Host::Domain(_))) {
        return None;
    }
    let error = WayOut::new(config).outbound()?.route(url).err()?;
    let origin = url.origin().ascii_serialization();
    Some(format!("the issuer of gateway `{}` is at {origin}, and will be refused: {error}", gateway.name))
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
        if gateway.authorizer == Authorizer::Iam && !keys {
            let message = "`iam` knows nobody: there are no access keys";
            self.say(path.key("type"), message, "give some in `control.credentials`");
        }
        let Some(jwt) = gateway.authorizer.tokens() else { return };
        let authenticate_only = matches!(gateway.authorizer, Authorizer::AuthenticateOnly(_));
        match jwt_rules(jwt, authenticate_only).validate() {
            Ok(()) => {}
            Err(RulesError::Decides { .. }) => {
                for key in jwt.deciding() {
                    let message =
                        "decides who may call, and `authenticate-only` decides nothing but `allowed_audience`";
                    self.say(path.key(key), message, "take it away, or take `type: jwt`");
                }
            }
            Err(error) => self.say(path.clone(), error.to_string(), "see `authorizer` in docs/configuration.md"),
        }
    }

    pub(super) fn api_keys(&mut self, gateway: &GatewayConfig, path: &KeyPath) {
        let mut names = HashMap::new();
        let mut keys = HashMap::new();
        for (at, api_key) in gateway.api_keys.iter().enumerate() {
            let path = path.index(at);
            self.unique(&mut names, api_key.name.clone(), at, &path.key("name"), "key name");
            if api_key.name.trim().is_empty() {
                self.say(path.key("name"), "is empty", "name the person or program that holds the key");
            }
            let text = api_key.key.expose();
            // RFC 6750, section 2.1: what may stand behind `Bearer`.
            let sendable = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
            let Some(digest) = api_key.digest() else {
                let message = "begins with `sha256:`, and not with 64 hexadecimal digits behind it";
                self.say(path.key("key"), message, "`printf %s \"$KEY\" | sha256sum` writes them");
                continue;
            };
            if text.is_empty() || !(sendable || api_key.is_hashed()) {
                let remedy = "use letters, digits and -._~+/= ; `openssl rand -hex 32` makes a good one";
                self.say(path.key("key"), "is empty, or has characters that a bearer token cannot have", remedy);
            } else if digest == ApiKey::digest_of("") {
                let remedy = "`printf %s \"$KEY\" | sha256sum` needs `KEY` to be set";
                self.say(path.key("key"), "is the hash of an empty text", remedy);
            } else if let Some(first) = keys.insert(digest, at) {
                self.say(path.key("key"), format!("is the same key as item {first} of the list"), "give each its own");
            }
        }
    }
}
