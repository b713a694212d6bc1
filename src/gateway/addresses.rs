//! Under which URLs clients reach the gateways.

use std::net::SocketAddr;

use url::Url;

use crate::auth::resource_metadata::canonical;
use crate::config::{Config, Endpoint, GatewayConfig};
use crate::http::guard::{host_name, is_loopback};

/// The path of a gateway at a host of its own.
pub const HOST_PATH: &str = "/mcp";
const LOCALHOST: &str = "localhost";

/// Under which URLs clients reach the gateways of this process.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// `public_url`, or `http://` and the address that is listened on.
    base: Option<Url>,
    /// The operator said what the base is.
    public: bool,
    listen: SocketAddr,
    /// Names of `allowed_hosts`, in lower case and without their ports.
    allowed: Vec<String>,
}

// === impl Addresses ===

impl Addresses {
    /// For a listener.
    pub fn new(config: &Config, listen: SocketAddr) -> Self {
        let said = config.public_url.as_ref().map(Endpoint::url).cloned();
        let public = said.is_some();
        let allowed = config.allowed_hosts.iter().map(|host| host_name(host).to_ascii_lowercase()).collect();
        Self { base: said.or_else(|| local(listen)), public, listen, allowed }
    }

    /// The URL of the endpoint with this path. Without `public_url` it is the one that the client uses, as its `Host` says:
    /// a process on a developer's machine has several names.
    pub fn of_path(&self, path: &str, host: Option<&str>) -> Option<Url> {
        let asked = host.filter(|_| !self.public).and_then(|host| Url::parse(&format!("http://{host}/")).ok());
        let mut url = asked.or_else(|| self.base.clone())?;
        url.set_path(&format!("{}{path}", self.prefix()));
        Some(url)
    }

    /// The URL of a gateway at a host of its own, which may have a port. It is reached as the process is: with the scheme
    /// and the port of `public_url`. Where that does not say, a host without a port is one of this machine with the listener's,
    /// or has TLS in front of it.
    pub fn of_host(&self, host: &str) -> Option<Url> {
        let here = is_loopback(host_name(host));
        let public = self.base.as_ref().filter(|_| self.public);
        let scheme = public.map_or(if here { "http" } else { "https" }, Url::scheme);
        let mut url = Url::parse(&format!("{scheme}://{host}{HOST_PATH}")).ok()?;
        if host_name(host).len() == host.len() {
            url.set_port(public.map_or(here.then_some(self.listen.port()), Url::port)).ok()?;
        }
        Some(url)
    }

    /// The path below that of `public_url`, for a request that a proxy passed on as it came.
    pub fn below<'a>(&self, path: &'a str) -> &'a str {
        match self.prefix() {
            "" => path,
            prefix => path.strip_prefix(prefix).filter(|rest| rest.starts_with('/')).unwrap_or(path),
        }
    }

    /// All URLs that tokens for a gateway may be issued for (RFC 8707). Hosts that only a request knows are not among
    /// them: a token for such a host may be somebody else's. `id`: a gateway of the control plane has a host of this name.
    pub fn resources(&self, gateway: &GatewayConfig, id: Option<&str>) -> Vec<String> {
        let path = gateway.endpoint_path();
        let port = self.listen.port();
        let mut urls = vec![self.of_path(&path, None)];
        if !self.public {
            let six = self.listen.is_ipv6().then_some("[::1]");
            let hosts = ["localhost", "127.0.0.1"].into_iter().chain(six);
            urls.extend(hosts.map(|host| self.of_path(&path, Some(&format!("{host}:{port}")))));
        }
        urls.extend(gateway.hosts.iter().map(|host| self.of_host(host)));
        if let Some(id) = id {
            urls.push(self.of_host(&format!("{id}.{}", self.public_host().unwrap_or(LOCALHOST))));
        }
        let mut resources: Vec<String> = urls.iter().flatten().map(canonical).collect();
        resources.sort();
        resources.dedup();
        resources
    }

    /// The first label of a host that stands for a gateway of the control plane: below the host of `public_url`, or below
    /// `localhost`. Whoever knows a `gatewayId` could have any other such name lead here (DNS rebinding). `name`: in lower
    /// case, without a port.
    pub fn label<'n>(&self, name: &'n str) -> Option<&'n str> {
        let (label, parent) = name.split_once('.')?;
        (parent == LOCALHOST || self.public_host() == Some(parent)).then_some(label)
    }

    /// Why no gateway of the control plane may have this domain: it would take over what other gateways serve there.
    pub fn refuses_domain(&self, domain: &str) -> Option<&'static str> {
        let name = domain.to_ascii_lowercase();
        match url::Host::parse(&name) {
            Ok(url::Host::Domain(_)) => {}
            Ok(_) => return Some("is an address: a gateway's own domain is a name"),
            Err(_) => return Some("is not a domain"),
        }
        if is_loopback(&name) {
            return Some("is a name of this machine, under which all gateways are served");
        }
        if self.public_host() == Some(&*name) || self.allowed.contains(&name) {
            return Some("is a host under which all gateways are served");
        }
        None
    }

    /// The host of `public_url`.
    fn public_host(&self) -> Option<&str> {
        self.base.as_ref().filter(|_| self.public).and_then(Url::host_str)
    }

    fn prefix(&self) -> &str {
        self.base.as_ref().map_or("", Url::path).trim_end_matches('/')
    }
}

impl Default for Addresses {
    fn default() -> Self {
        let config = Config::default();
        Self::new(&config, config.listen)
    }
}

fn local(listen: SocketAddr) -> Option<Url> {
    let host = if listen.ip().is_unspecified() { format!("localhost:{}", listen.port()) } else { listen.to_string() };
    Url::parse(&format!("http://{host}/")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(public: Option<&str>, listen: &str) -> Addresses {
        let public_url = public.map(|url| url.parse().unwrap());
        Addresses::new(&Config { public_url, ..Config::default() }, listen.parse().unwrap())
    }

    #[test]
    fn a_public_url_is_what_clients_use() {
        let public = addresses(Some("https://gw.example/mcp-gateways/"), "127.0.0.1:8080");
        let url = public.of_path("/gateways/shop/mcp", Some("10.0.0.1:8080")).unwrap();
        assert_eq!(url.as_str(), "https://gw.example/mcp-gateways/gateways/shop/mcp");
        assert_eq!(public.below("/mcp-gateways/gateways/shop/mcp"), "/gateways/shop/mcp");
        assert_eq!(public.below("/gateways/shop/mcp"), "/gateways/shop/mcp");
        assert_eq!(public.of_host("shop.example").unwrap().as_str(), "https://shop.example/mcp");
        let plain = addresses(Some("http://gw.internal:8080"), "0.0.0.0:8080");
        assert_eq!(plain.of_host("shop.internal").unwrap().as_str(), "http://shop.internal:8080/mcp");
        let tls = addresses(Some("https://gw.example:8443"), "0.0.0.0:8080");
        assert_eq!(tls.of_host("shop.example").unwrap().as_str(), "https://shop.example:8443/mcp");
        assert_eq!(plain.of_host("shop.internal:81").unwrap().as_str(), "http://shop.internal:81/mcp");
    }

    #[test]
    fn without_one_the_client_says_how_it_calls_the_process() {
        let local = addresses(None, "127.0.0.1:8080");
        assert_eq!(local.of_path("/mcp", Some("localhost:8080")).unwrap().as_str(), "http://localhost:8080/mcp");
        assert_eq!(local.of_path("/mcp", Some("no host")).unwrap().as_str(), "http://127.0.0.1:8080/mcp");
        assert_eq!(local.of_path("/mcp", None).unwrap().as_str(), "http://127.0.0.1:8080/mcp");
        assert_eq!(local.of_host("shop-1.localhost").unwrap().as_str(), "http://shop-1.localhost:8080/mcp");
        assert_eq!(local.of_host("shop.example").unwrap().as_str(), "https://shop.example/mcp");
        assert_eq!(local.of_host("no host"), None);
    }

    #[test]
    fn a_created_gateway_cannot_have_what_all_gateways_are_served_under() {
        let config = Config {
            public_url: Some("https://gw.example".parse().unwrap()),
            allowed_hosts: vec!["Internal.example:8443".into(), "*".into()],
            ..Config::default()
        };
        let addresses = Addresses::new(&config, "0.0.0.0:8080".parse().unwrap());
        let refused = ["localhost", "a.LOCALHOST", "127.0.0.1", "10.1.2.3", "127.1", "0x7f.0.0.1", "[::1]", "a b"];
        for domain in refused.into_iter().chain(["gw.example", "GW.example", "internal.EXAMPLE"]) {
            assert!(addresses.refuses_domain(domain).is_some(), "{domain}");
        }
        for domain in ["shop.example", "shop.gw.example", "localhost.example"] {
            assert_eq!(addresses.refuses_domain(domain), None, "{domain}");
        }
    }

    #[test]
    fn a_label_counts_below_the_hosts_of_the_process_only() {
        let public = addresses(Some("https://GW.example/x"), "0.0.0.0:8080");
        assert_eq!(public.label("shop-1.gw.example"), Some("shop-1"));
        assert_eq!(public.label("shop-1.localhost"), Some("shop-1"));
        for name in ["shop-1.evil.example", "shop-1.a.gw.example", "gw.example", "shop-1"] {
            assert_eq!(public.label(name), None, "{name}");
        }
        assert_eq!(addresses(None, "127.0.0.1:8080").label("shop-1.gw.example"), None);
    }

    #[test]
    fn tokens_are_for_urls_that_the_operator_knows() {
        let mut gateway = GatewayConfig::new("shop-1");
        gateway.hosts = vec!["shop.example".into()];
        assert_eq!(
            addresses(Some("https://gw.example"), "0.0.0.0:8080").resources(&gateway, Some("shop-1")),
            ["https://gw.example/gateways/shop-1/mcp", "https://shop-1.gw.example/mcp", "https://shop.example/mcp"]
        );
        assert_eq!(
            addresses(None, "127.0.0.1:8080").resources(&GatewayConfig::new("a"), None),
            ["http://127.0.0.1:8080/gateways/a/mcp", "http://localhost:8080/gateways/a/mcp"]
        );
        let six = addresses(None, "[::]:8080").resources(&GatewayConfig::new("a"), None);
        assert!(six.contains(&"http://[::1]:8080/gateways/a/mcp".to_owned()) && six.len() == 3, "{six:?}");
    }
}
