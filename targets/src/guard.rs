//! Which addresses targets may have (promise 6).
//!
//! A configured URL, an `endpoint` event and a DNS answer are all outside input: any of them could lead the gateway to
//! its own neighbourhood. The check is made on the address that is connected to, so that a name cannot resolve to
//! one thing when it is checked and to another when it is used.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::error::TargetError;

/// Public addresses, and the networks that the configuration adds (`allow_private_networks`).
///
/// Addresses where clouds serve credentials to whoever asks (instance metadata) need an entry of exactly that
/// address: a wide network such as `169.254.0.0/16` does not open them.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    /// Allowed besides public addresses.
    pub allowed: Vec<IpNet>,
}

/// How much of what a policy permits a client may connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All of it.
    Policy,
    /// Only what the configuration listed: for plain HTTP, which nobody should speak across the Internet.
    Listed,
}

/// The resolver of guarded clients: whoever knows the names, it answers only addresses that the policy permits.
#[derive(Clone, Debug)]
pub(crate) struct GuardedResolver<N = System> {
    names: N,
    policy: Arc<AddressPolicy>,
    reach: Reach,
}

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct System;

/// Every address of a name is refused. A type of its own so that it can be found again inside a `reqwest::Error`.
#[derive(Debug, thiserror::Error)]
#[error("`{host}` resolves to {address}, which targets may not have")]
pub(crate) struct Refused {
    host: String,
    address: IpAddr,
}

/// Serve credentials without authentication.
const METADATA: [IpAddr; 8] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

// === impl AddressPolicy ===

impl AddressPolicy {
    /// Whether a target may have this address.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if self.lists(address) {
            return true;
        }
        if METADATA.contains(&address) {
            return false;
        }
        match address {
            IpAddr::V4(v4) => public_v4(v4),
            IpAddr::V6(v6) => match carried_v4(v6) {
                Some(inner) => self.permits(IpAddr::V4(inner)),
                None => public_v6(v6),
            },
        }
    }

    /// Whether the configuration opened this address by name.
    fn lists(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let carried = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => carried_v4(v6),
        };
        let exactly = METADATA.contains(&address) || carried.is_some_and(|v4| METADATA.contains(&IpAddr::V4(v4)));
        let fits = |net: &&IpNet| net.contains(&address) && (!exactly || net.prefix_len() == net.max_prefix_len());
        self.allowed.iter().any(|net| fits(&net))
    }

    fn permits_within(&self, address: IpAddr, reach: Reach) -> bool {
        match reach {
            Reach::Policy => self.permits(address),
            Reach::Listed => self.lists(address),
        }
    }

    /// Checks what can be seen without resolving: the scheme, credentials in the URL, and an address written as
    /// the host, which never comes before a resolver.
    ///
    /// # Errors
    /// [`TargetError::AddressRefused`].
    pub fn check_url(&self, url: &Url) -> Result<(), TargetError> {
        self.check_url_within(url, Reach::Policy)
    }

    pub(crate) fn check_url_within(&self, url: &Url, reach: Reach) -> Result<(), TargetError> {
        let refuse = |detail: String| Err(TargetError::AddressRefused { detail });
        if !matches!(url.scheme(), "http" | "https") {
            return refuse(format!("scheme `{}` is neither http nor https", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("credentials do not belong into a url: use headers".into());
        }
        let address = match url.host() {
            None => return refuse("the url has no host".into()),
            Some(Host::Domain(_)) => return Ok(()),
            Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
            Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
        };
        match (self.permits_within(address, reach), reach) {
            (true, _) => Ok(()),
            (false, Reach::Policy) => refuse(format!("{address} is not a public address")),
            (false, Reach::Listed) => refuse(format!("{address} is not listed, and http is for listed networks only")),
        }
    }
}

/// The IPv4 address that a translated or tunnelled IPv6 address leads to.
fn carried_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = v6.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        // NAT64 (RFC 6052) and IPv4-compatible (deprecated).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(v4(high, low)),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

fn public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    !(a == 0
        || a == 10
        || a == 127
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 169 && b == 254)
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 168)
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113))
}

fn public_v6(v6: Ipv6Addr) -> bool {
    let s = v6.segments();
    // Only 2000::/3 is handed out for unicast on the Internet; all else (::, ::1, fc00::/7, fe80::/10, fec0::/10,
    // ff00::/8, 64:ff9b:1::/48, 100::/64) is local or reserved.
    (s[0] & 0xe000) == 0x2000
        // 2001::/23 holds protocol assignments: Teredo, benchmarking, ORCHID.
        && !(s[0] == 0x2001 && s[1] < 0x200)
        && !(s[0] == 0x2001 && s[1] == 0xdb8)
        && !(s[0] == 0x3fff && s[1] < 0x1000)
}

// === impl GuardedResolver ===

impl GuardedResolver {
    pub(crate) fn new(policy: Arc<AddressPolicy>, reach: Reach) -> Self {
        Self::over(System, policy, reach)
    }
}

impl<N> GuardedResolver<N> {
    pub(crate) fn over(names: N, policy: Arc<AddressPolicy>, reach: Reach) -> Self {
        Self { names, policy, reach }
    }
}

impl<N: Resolve> Resolve for GuardedResolver<N> {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        let reach = self.reach;
        let host = name.as_str().to_owned();
        let found = self.names.resolve(name);
        Box::pin(async move {
            let (permitted, refused): (Vec<SocketAddr>, Vec<SocketAddr>) =
                found.await?.partition(|address| policy.permits_within(address.ip(), reach));
            match refused.first() {
                Some(address) if permitted.is_empty() => Err(Refused { host, address: address.ip() }.into()),
                _ => Ok(Box::new(permitted.into_iter()) as Addrs),
            }
        })
    }
}

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(nets: &[&str]) -> AddressPolicy {
        AddressPolicy { allowed: nets.iter().map(|net| net.parse().unwrap()).collect() }
    }

    #[test]
    fn only_public_addresses_pass_by_default() {
        let policy = policy(&[]);
        for refused in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.7",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:0:53aa:64c::1",
            "2001:db8::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!policy.permits(refused.parse().unwrap()), "{refused}");
        }
        for public in ["1.1.1.1", "172.32.0.1", "192.0.1.1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700::1111"] {
            assert!(policy.permits(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn the_configuration_opens_networks_but_metadata_only_by_its_exact_address() {
        let wide = policy(&["127.0.0.0/8", "169.254.0.0/16", "fd00::/8", "0.0.0.0/0"]);
        assert!(wide.permits("127.0.0.1".parse().unwrap()));
        assert!(wide.permits("::ffff:127.0.0.1".parse().unwrap()));
        assert!(wide.permits("169.254.1.1".parse().unwrap()));
        assert!(!wide.permits("169.254.169.254".parse().unwrap()));
        assert!(!wide.permits("::ffff:169.254.169.254".parse().unwrap()));
        assert!(!policy(&["::/0"]).permits("64:ff9b::a9fe:a9fe".parse().unwrap()));
        assert!(!wide.permits("fd00:ec2::254".parse().unwrap()));
        assert!(policy(&["169.254.169.254/32"]).permits("169.254.169.254".parse().unwrap()));
    }

    #[test]
    fn plain_http_reaches_listed_networks_only() {
        let policy = policy(&["10.0.0.0/8", "0.0.0.0/0"]);
        let listed = |address: &str| policy.permits_within(address.parse().unwrap(), Reach::Listed);
        assert!(listed("10.1.2.3") && listed("::ffff:10.1.2.3"));
        assert!(!listed("169.254.169.254") && !listed("2606:4700::1111"));
        let none = AddressPolicy::default();
        assert!(!none.permits_within("1.1.1.1".parse().unwrap(), Reach::Listed));
        let url = Url::parse("http://1.1.1.1/").unwrap();
        assert!(none.check_url_within(&url, Reach::Listed).is_err() && none.check_url(&url).is_ok());
    }

    #[test]
    fn urls_are_checked_in_every_spelling_of_an_address() {
        let policy = policy(&[]);
        for refused in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://user:pass@example.com/",
            "file:///etc/passwd",
            "unix:/run/x",
        ] {
            let url = Url::parse(refused).unwrap();
            assert!(matches!(policy.check_url(&url), Err(TargetError::AddressRefused { .. })), "{refused}");
        }
        assert!(policy.check_url(&Url::parse("https://example.com/mcp").unwrap()).is_ok());
    }
}
