//! `Host` and `Origin`: a page in a browser must not reach a gateway on somebody's own machine (DNS rebinding).

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, ORIGIN};
use url::Url;

use super::HttpError;

/// Which hosts and origins a listener serves.
#[derive(Clone, Debug, Default)]
pub struct OriginGuard {
    /// The listener is on a loopback address: without a list, only loopback names are served.
    loopback: bool,
    hosts: Vec<String>,
    origins: Vec<String>,
}

// === impl OriginGuard ===

impl OriginGuard {
    /// For a listener; `hosts` and `origins` come on top of what is always allowed.
    pub fn new(listen: SocketAddr, public_url: Option<&Url>, hosts: &[String], origins: &[String]) -> Self {
        let lower =
            |list: &[String]| list.iter().map(|entry| entry.trim_end_matches('/').to_ascii_lowercase()).collect();
        let mut guard = Self { loopback: listen.ip().is_loopback(), hosts: lower(hosts), origins: lower(origins) };
        if let Some(url) = public_url {
            guard.hosts.extend(url.host_str().map(str::to_ascii_lowercase));
            guard.origins.push(url.origin().ascii_serialization());
        }
        guard
    }

    /// Checks a request. `serves`: whether a gateway has this `Host` for itself.
    pub fn check(&self, request: &HttpRequest, serves: impl FnOnce(&str) -> bool) -> Result<(), HttpError> {
        self.check_host(request, serves)?;
        let origin = request.headers().get(ORIGIN);
        let origin = origin.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
        match origin {
            Some(origin) if !self.allows_origin(&origin) => {
                Err(HttpError::Forbidden { header: "Origin", value: origin })
            }
            _ => Ok(()),
        }
    }

    /// Checks its host only: for documents that every page may read.
    pub fn check_host(&self, request: &HttpRequest, serves: impl FnOnce(&str) -> bool) -> Result<(), HttpError> {
        let host = request.headers().get(HOST);
        let host = host.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
        match host {
            Some(host) if !self.host_allowed(&host) && !serves(&host) => {
                Err(HttpError::Forbidden { header: "Host", value: host })
            }
            _ => Ok(()),
        }
    }

    fn host_allowed(&self, host: &str) -> bool {
        let name = host_name(host);
        let listed = self.hosts.iter().any(|allowed| allowed == "*" || allowed == host || allowed == name);
        listed || if self.loopback { is_loopback(name) } else { self.hosts.is_empty() }
    }

    /// Whether pages of this origin, in lower case, may call.
    pub fn allows_origin(&self, origin: &str) -> bool {
        if self.origins.iter().any(|allowed| allowed == origin || allowed == "*") {
            return true;
        }
        // A loopback page may talk to a loopback gateway: that is what development looks like.
        self.loopback
            && Url::parse(origin)
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https"))
                .and_then(|url| url.host_str().map(is_loopback))
                .unwrap_or(false)
    }
}

/// The host without its port; IPv6 keeps its brackets off.
pub fn host_name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

/// The name or address is this machine's.
pub fn is_loopback(name: &str) -> bool {
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(listen: &str) -> OriginGuard {
        OriginGuard::new(listen.parse().unwrap(), None, &[], &[])
    }

    #[test]
    fn a_loopback_listener_serves_loopback_names_only() {
        let guard = guard("127.0.0.1:8080");
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "app.localhost"] {
            assert!(guard.host_allowed(host), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "10.0.0.1"] {
            assert!(!guard.host_allowed(host), "{host}");
        }
        for origin in ["http://localhost:6274", "http://127.0.0.1", "http://[::1]:3000"] {
            assert!(guard.allows_origin(origin), "{origin}");
        }
        for origin in ["null", "https://evil.example", "file://localhost", "http://localhost.evil.example"] {
            assert!(!guard.allows_origin(origin), "{origin}");
        }
    }

    #[test]
    fn an_open_listener_serves_every_host_until_a_list_is_given_and_listed_origins_only() {
        let open = guard("0.0.0.0:8080");
        assert!(open.host_allowed("gw.example"));
        assert!(!open.allows_origin("https://app.example"));
        let listed = OriginGuard::new(
            "0.0.0.0:8080".parse().unwrap(),
            Some(&Url::parse("https://gw.example/").unwrap()),
            &[],
            &["https://app.example/".into()],
        );
        assert!(listed.host_allowed("gw.example:443") && !listed.host_allowed("other.example"));
        assert!(listed.allows_origin("https://app.example") && listed.allows_origin("https://gw.example"));
    }
}
