//! Rules that a schema cannot say: ranges of durations, names, and what must be unique.

mod inbound;
mod outgoing;
mod pass;
mod places;

use std::collections::HashMap;
use std::time::Duration;

use sessiongate_protocol::Revision;

use super::error::{ConfigError, KeyPath};
use super::model::{
    Affinity, Config, GatewayConfig, HttpTarget, Listing, McpConfig, Sessions, StdioTarget, TargetConfig,
};
use super::passing::is_token;
use super::tools;
use super::units::{duration_text, size_text};

pub use inbound::exposed;
pub use outgoing::unsigned;

/// Paths that the process answers itself.
const RESERVED_PATHS: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/.well-known"];

/// Headers that the gateway sets itself on requests to targets.
const OWN_HEADERS: [&str; 9] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
    "transfer-encoding",
];

/// The room that a cut name needs: the separator, a hash and some of the tool's own name.
const NAME_ROOM: usize = 16;

/// All that is wrong with a configuration; empty when it is fine.
#[must_use]
pub fn validate(config: &Config) -> Vec<ConfigError> {
    let mut rules = Rules::default();
    let root = KeyPath::default();
    rules.process(config, &root);
    rules.outgoing(config, &root);
    rules.inbound(config, &root);
    if config.gateways.is_empty() && config.control.is_none() {
        rules.say(root.key("gateways"), "there is no gateway", "add one with a name and a target");
    }
    let mut names = HashMap::new();
    let mut paths = HashMap::new();
    for (at, gateway) in config.gateways.iter().enumerate() {
        let path = root.key("gateways").index(at);
        rules.unique(&mut names, gateway.name.clone(), at, &path.key("name"), "gateway name");
        let key = if gateway.path.is_some() { path.key("path") } else { path.key("name") };
        rules.unique(&mut paths, gateway.endpoint_path().into_owned(), at, &key, "path");
        rules.gateway(gateway, &path);
    }
    rules.errors
}

/// What is allowed but probably not meant, for `check` and the log.
#[must_use]
pub fn advice(config: &Config) -> Vec<String> {
    let mut all = places::remarks(config);
    for gateway in &config.gateways {
        for key in gateway.api_keys.iter().filter(|key| !key.is_hashed() && key.key.expose().len() < 16) {
            all.push(format!(
                "the api key `{}` of gateway `{}` is short: `openssl rand -hex 32` makes a good one",
                key.name, gateway.name
            ));
        }
        all.extend(inbound::unreachable_issuer(config, gateway));
        for target in &gateway.targets {
            if let McpConfig::Http(http) = &target.mcp
                && let Some(address) = literal_address(http)
                && is_private(address)
                && !config.allow_private_networks.iter().any(|network| network.contains(&address))
            {
                all.push(format!(
                    "target `{}` of gateway `{}` is at {address}, which allow_private_networks does not hold: it will be refused",
                    target.name, gateway.name
                ));
            }
        }
    }
    all
}

#[derive(Default)]
struct Rules {
    errors: Vec<ConfigError>,
}

// === impl Rules ===

impl Rules {
    fn say(&mut self, key: KeyPath, message: impl Into<String>, remedy: impl Into<String>) {
        self.errors.push(ConfigError::at(key, message).remedy(remedy));
    }

    fn unique(&mut self, seen: &mut HashMap<String, usize>, value: String, at: usize, key: &KeyPath, what: &str) {
        if let Some(first) = seen.get(&value) {
            self.say(
                key.clone(),
                format!("the {what} `{value}` is taken by item {first} of the list"),
                "choose another",
            );
        } else {
            seen.insert(value, at);
        }
    }

    fn within<T: PartialOrd + Copy>(&mut self, key: KeyPath, value: T, range: (T, T), show: impl Fn(T) -> String) {
        if value < range.0 || value > range.1 {
            let message = format!("{} is out of range", show(value));
            self.say(key, message, format!("choose {} to {}", show(range.0), show(range.1)));
        }
    }

    fn lasts(&mut self, key: KeyPath, value: Duration, min: Duration, max: Duration) {
        self.within(key, value, (min, max), duration_text);
    }

    fn process(&mut self, config: &Config, root: &KeyPath) {
        self.lasts(root.key("shutdown_timeout"), config.shutdown_timeout, Duration::ZERO, minutes(10));
        self.within(root.key("body_limit"), config.body_limit, (1024, 1 << 30), size_text);
        if config.data_dir.as_os_str().is_empty() {
            self.say(root.key("data_dir"), "is empty", "name a folder");
        }
        if let Some(url) = config.public_url.as_ref().map(|endpoint| endpoint.url())
            && (url.query().is_some() || url.fragment().is_some() || has_user(url))
        {
            let remedy = "keep the scheme, the host, and the path if a proxy adds one";
            self.say(root.key("public_url"), "has a query, a fragment or a user", remedy);
        }
        for (at, origin) in config.allowed_origins.iter().enumerate() {
            let is_origin = url::Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
            if origin != "*" && !is_origin {
                let remedy = "write scheme, host and port only, without a slash at the end: https://app.example";
                self.say(root.key("allowed_origins").index(at), format!("`{origin}` is not an origin"), remedy);
            }
        }
        for (at, host) in config.allowed_hosts.iter().enumerate() {
            let is_host = url::Url::parse(&format!("http://{host}/"))
                .is_ok_and(|url| url.path() == "/" && url.query().is_none() && !has_user(&url) && !host.ends_with('/'));
            if host != "*" && !is_host {
                let remedy = "write a host, with a port if the port matters: gw.example or gw.example:8443";
                self.say(root.key("allowed_hosts").index(at), format!("`{host}` is not a host"), remedy);
            }
        }
        if let Some(control) = &config.control {
            let path = root.key("control").key("quotas").key("invocation_timeout");
            self.lasts(path, control.quotas.invocation_timeout, seconds(1), minutes(8 * 60));
        }
        if config.log.level.trim().is_empty() {
            self.say(root.key("log").key("level"), "is empty", "write a level such as info");
        }
    }

    fn gateway(&mut self, gateway: &GatewayConfig, path: &KeyPath) {
        if !is_gateway_name(&gateway.name) {
            let remedy = "use 1 to 48 lower-case letters, digits and hyphens, with a letter or digit at both ends";
            self.say(path.key("name"), format!("`{}` is not a gateway name", gateway.name), remedy);
        }
        if let Some(text) = &gateway.path {
            self.endpoint_path(text, path.key("path"));
        }
        self.lasts(path.key("keep_alive"), gateway.keep_alive, seconds(1), minutes(10));
        if let Some(polling) = &gateway.sse_polling {
            let path = path.key("sse_polling");
            self.lasts(path.key("close_after"), polling.close_after, seconds(1), minutes(60));
            self.lasts(path.key("retry"), polling.retry, Duration::ZERO, minutes(5));
        }
        self.sessions(gateway, path);
        self.api_keys(gateway, &path.key("api_keys"));
        self.interceptors(gateway, &path.key("interceptors"));
        for (at, version) in gateway.supported_versions.iter().enumerate() {
            if Revision::parse(version).is_none() {
                let known: Vec<&str> = Revision::ALL.iter().map(|revision| revision.as_str()).collect();
                let path = path.key("supported_versions").index(at);
                self.say(path, format!("`{version}` is no revision of MCP"), format!("take {}", known.join(", ")));
            }
        }
        if gateway.targets.is_empty() {
            self.say(path.key("targets"), "there is no target", "add one with a name and `mcp`");
        }
        let mut names = HashMap::new();
        for (at, target) in gateway.targets.iter().enumerate() {
            let path = path.key("targets").index(at);
            self.unique(&mut names, target.name.clone(), at, &path.key("name"), "target name");
            if let Some(max) = gateway.max_name_length
                && target.name.len() + NAME_ROOM > usize::from(max)
            {
                let message = format!("`{}` leaves no room for tool names in {max} characters", target.name);
                self.say(path.key("name"), message, "shorten it, or raise max_name_length");
            }
            self.target(target, &path);
            let listing = if target.tools.is_some() { Listing::Default } else { gateway.listing };
            self.affinity(target, target.listing.unwrap_or(listing), &path.key("affinity"));
            self.pass(target, gateway.sessions.settings().is_some(), &path.key("pass"));
        }
    }

    fn endpoint_path(&mut self, text: &str, key: KeyPath) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        let dotted = text.split('/').any(|part| matches!(part, "." | ".."));
        let slashes = text.contains("//") || (text.len() > 1 && text.ends_with('/'));
        if !text.starts_with('/') || slashes || dotted || !text.bytes().all(plain) {
            let remedy = "begin with one `/`, end without, and use letters, digits and -._~ in between: /mcp";
            self.say(key, format!("`{text}` is not a path"), remedy);
        } else if let Some(taken) = RESERVED_PATHS.iter().find(|one| is_under(text, one)) {
            self.say(key, format!("`{taken}` is answered by the process itself"), "choose another path, such as /mcp");
        }
    }

    fn sessions(&mut self, gateway: &GatewayConfig, path: &KeyPath) {
        let path = path.key("sessions");
        let settings = match &gateway.sessions {
            Sessions::On(settings) => settings,
            Sessions::Off => return,
        };
        self.lasts(path.key("timeout"), settings.timeout, minutes(15), minutes(8 * 60));
        self.lasts(path.key("idle_timeout"), settings.idle_timeout, seconds(1), minutes(8 * 60));
        let path = path.key("events");
        self.within(path.key("bytes"), settings.events.bytes, (1024, 1 << 30), size_text);
        self.lasts(path.key("age"), settings.events.age, seconds(1), minutes(8 * 60));
    }

    fn target(&mut self, target: &TargetConfig, path: &KeyPath) {
        if !is_target_name(&target.name) {
            let remedy = "use 1 to 100 letters, digits and hyphens, with a letter or digit first; `___` separates it from the tool";
            self.say(path.key("name"), format!("`{}` is not a target name", target.name), remedy);
        }
        self.lasts(path.key("timeout"), target.timeout, seconds(1), minutes(8 * 60));
        self.lasts(path.key("connect_timeout"), target.connect_timeout, Duration::from_millis(100), minutes(5));
        self.lasts(path.key("initialize_timeout"), target.initialize_timeout, seconds(1), minutes(10));
        self.lasts(path.key("idle_timeout"), target.idle_timeout, seconds(1), minutes(8 * 60));
        self.within(path.key("message_limit"), target.message_limit, (1024, 1 << 30), size_text);
        self.within(path.key("resource_priority"), target.resource_priority, (0, 1000), |value| value.to_string());
        let declared: Vec<_> = target.tools.iter().flat_map(|tools| tools.values()).collect();
        for (at, what, remedy) in tools::faults(&declared) {
            self.say(path.key("tools").index(at), what, remedy);
        }
        if target.tools.is_some() && target.listing == Some(Listing::Dynamic) {
            let message = "is dynamic, and `tools` says what there is";
            self.say(path.key("listing"), message, "take one of them away");
        }
        match &target.mcp {
            McpConfig::Http(http) => self.http(http, &path.key("mcp")),
            McpConfig::Stdio(stdio) => self.stdio(stdio, &path.key("mcp")),
        }
    }

    fn affinity(&mut self, target: &TargetConfig, listing: Listing, path: &KeyPath) {
        match &target.affinity {
            Affinity::Principal | Affinity::Call => {}
            Affinity::Handle => {
                if listing == Listing::Dynamic {
                    let message = "`handle` adds to the tools of the catalogue, which `listing: dynamic` does not show";
                    self.say(path.clone(), message, "take `listing: default`, or another affinity");
                }
            }
            Affinity::Header(name) => {
                let path = path.key("header");
                let lower = name.to_ascii_lowercase();
                if !(1..=64).contains(&name.len()) || !name.bytes().all(is_token) {
                    self.say(path, "is not a header name", "use 1 to 64 letters, digits and hyphens: x-conversation");
                } else if lower.starts_with("mcp-") || lower == "authorization" || OWN_HEADERS.contains(&lower.as_str())
                {
                    let message = format!("`{name}` has a meaning of its own");
                    self.say(path, message, "choose one that says nothing else: x-conversation");
                }
            }
        }
    }

    fn http(&mut self, http: &HttpTarget, path: &KeyPath) {
        let url = http.url.url();
        if has_user(url) {
            let remedy = "send it as a header: headers: {authorization: \"Basic ${CREDENTIALS}\"}";
            self.say(path.key("url"), "has a user or a password", remedy);
        }
        if url.fragment().is_some() {
            self.say(path.key("url"), "has a fragment", "take away what begins with `#`");
        }
        let mut seen = HashMap::new();
        for (at, (name, value)) in http.headers.iter().enumerate() {
            let path = path.key("headers").key(name);
            let lower = name.to_ascii_lowercase();
            if name.is_empty() || !name.bytes().all(is_token) {
                self.say(path.clone(), "is not a header name", "use letters, digits and hyphens");
            } else if OWN_HEADERS.contains(&lower.as_str()) {
                self.say(path.clone(), "is a header that the gateway sets itself", "take it away");
            }
            if !value.expose().bytes().all(|byte| byte == b'\t' || (byte >= 0x20 && byte != 0x7f)) {
                self.say(path.clone(), "has a line break or a control character", "check the variable it comes from");
            }
            self.unique(&mut seen, lower, at, &path, "header");
        }
    }

    fn stdio(&mut self, stdio: &StdioTarget, path: &KeyPath) {
        if stdio.command.trim().is_empty() {
            self.say(path.key("command"), "is empty", "name the program");
        } else if stdio.args.is_empty() && stdio.command.contains(' ') && !stdio.command.contains(['/', '\\']) {
            let message = "has spaces, and no shell splits it";
            self.say(path.key("command"), message, "put the program here and each argument into `args`");
        }
        self.no_nul(&path.key("command"), &stdio.command);
        for (at, arg) in stdio.args.iter().enumerate() {
            self.no_nul(&path.key("args").index(at), arg);
        }
        for (name, value) in &stdio.env {
            let path = path.key("env").key(name);
            if name.is_empty() || name.contains(['=', '\0']) {
                self.say(path.clone(), "is not the name of a variable", "use letters, digits and underscores");
            }
            self.no_nul(&path, value.expose());
        }
    }

    fn no_nul(&mut self, key: &KeyPath, text: &str) {
        if text.contains('\0') {
            self.say(key.clone(), "has a NUL character", "take it away");
        }
    }
}

/// `[a-z0-9-]{1,48}`, no hyphen at the ends.
#[must_use]
pub fn is_gateway_name(name: &str) -> bool {
    (1..=48).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// `[A-Za-z0-9-]{1,100}`, no hyphen first. No underscore, so that `___` always separates it from the tool.
#[must_use]
pub fn is_target_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !name.starts_with('-')
}

fn is_under(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn has_user(url: &url::Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn literal_address(http: &HttpTarget) -> Option<std::net::IpAddr> {
    match http.url.url().host()? {
        url::Host::Ipv4(address) => Some(address.into()),
        url::Host::Ipv6(address) => Some(address.into()),
        url::Host::Domain("localhost") => Some(std::net::Ipv4Addr::LOCALHOST.into()),
        url::Host::Domain(_) => None,
    }
}

fn is_private(address: std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        std::net::IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}
