//! Public hosts that are somewhere else here (`endpoints` of the configuration).
//!
//! Clients of a cloud hard-code its host names. An installation without that cloud has the same services under other
//! URLs: LocalStack, moto, a mirror in the company's network. Names stay what they are in everything that is compared or
//! shown (an `issuer`, an ARN, a discovery URL); only the connection goes elsewhere.

use std::collections::BTreeMap;

use url::Url;

use crate::aws::LambdaArn;

/// Which public host is reached under which base URL.
///
/// A key is one of
/// * a host name, `cognito-idp.us-east-1.amazonaws.com`, for the default ports of HTTP and HTTPS;
/// * a host name with a port, `auth.example:8443`, for that port only, and before the host name alone: `auth.example:443` is
///   what `https://auth.example` asks for;
/// * the name of a service, `lambda`, for `lambda.{region}.amazonaws.com` and `lambda.amazonaws.com`. The full host name
///   goes before;
/// * the ARN of a function, `arn:aws:lambda:eu-west-1:123456789012:function:check`, for that function alone: its URL is
///   asked as it stands.
///
/// The operator wrote the base URLs: they may be `http` and may be private addresses. What a cloud serves credentials at
/// (instance metadata) stays refused where a name leads to it.
///
/// Whoever may name a URL (a discovery document, the keys in it) reaches every path below the base of a host that is
/// mapped. So the services that the gateway itself calls with a signature (`lambda`, `s3`, `sts`) are no hosts for such URLs, under
/// whichever key they are mapped: what stands in their place is reached by those calls only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostMap {
    /// For URLs that anyone wrote.
    bases: BTreeMap<Box<str>, Url>,
    /// For the gateway's own signed calls.
    services: BTreeMap<Box<str>, Url>,
    functions: BTreeMap<Box<str>, Url>,
}

/// Why an entry cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostMapError {
    /// The key is no host.
    #[error(
        "`endpoints`: `{0}` is neither a host name, a host name with a port, the name of a service, nor the ARN of a function"
    )]
    Key(String),
    /// The value is no base URL.
    #[error("`endpoints.{key}` must be an http or https url without credentials, query and fragment")]
    Base {
        /// Of which entry.
        key: String,
    },
}

/// The services that the gateway itself calls with a signature.
pub const SIGNED: [&str; 3] = ["lambda", "s3", "sts"];

/// Where the services of the map's short names are.
const CLOUD: [&str; 2] = ["amazonaws.com", "amazonaws.com.cn"];

// === impl HostMap ===

impl HostMap {
    /// From keys and base URLs.
    ///
    /// # Errors
    /// The first entry that cannot be used.
    pub fn new(entries: impl IntoIterator<Item = (String, Url)>) -> Result<Self, HostMapError> {
        let mut map = Self::default();
        for (key, base) in entries {
            let folded = key.to_ascii_lowercase();
            let function = key.parse::<LambdaArn>().ok();
            let (host, port) = split(&folded);
            let signed = SIGNED.contains(&service_of(host).unwrap_or(host));
            // The port of a service is the one that its host has.
            let no_host = port.is_some() && SIGNED.contains(&host);
            if function.is_none() && (!is_key(host, port) || no_host) {
                return Err(HostMapError::Key(key));
            }
            let plain = (base.query().is_none() || function.is_some())
                && base.fragment().is_none()
                && base.username().is_empty()
                && base.password().is_none()
                && base.has_host();
            if !plain || !matches!(base.scheme(), "http" | "https") {
                return Err(HostMapError::Base { key });
            }
            match function {
                Some(_) => map.functions.insert(key.into(), base),
                None if signed => map.services.insert(folded.into(), base),
                None => map.bases.insert(folded.into(), base),
            };
        }
        Ok(map)
    }

    /// Nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.bases.is_empty() && self.services.is_empty() && self.functions.is_empty()
    }

    /// Where a function is asked instead of the service.
    pub fn function(&self, arn: &LambdaArn) -> Option<&Url> {
        self.functions.get(arn.as_str())
    }

    /// The URL to connect to instead of this one, which anyone may have written; none where its host is not mapped. Path
    /// and query are kept, below the path of the base.
    pub fn rewrite(&self, url: &Url) -> Option<Url> {
        within(&self.bases, url)
    }

    /// The same for the URL of a signed call of the gateway's own.
    pub fn rewrite_signed(&self, url: &Url) -> Option<Url> {
        within(&self.services, url)
    }

    /// This URL is one of a server that hosts are mapped to, as that server itself would write it: below its base.
    pub fn is_base(&self, url: &Url) -> bool {
        let below = |base: &Url| {
            let rest = url.path().strip_prefix(base.path().trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.bases.values().any(|base| base.origin() == url.origin() && below(base))
    }
}

fn within(bases: &BTreeMap<Box<str>, Url>, url: &Url) -> Option<Url> {
    let base = base_of(bases, url)?;
    let mut rewritten = base.clone();
    rewritten.set_path(&format!("{}{}", base.path().trim_end_matches('/'), url.path()));
    rewritten.set_query(url.query());
    Some(rewritten)
}

fn base_of<'a>(bases: &'a BTreeMap<Box<str>, Url>, url: &Url) -> Option<&'a Url> {
    if bases.is_empty() || !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let host = url.host_str()?.trim_end_matches('.');
    let exact = bases.get(format!("{host}:{}", url.port_or_known_default()?).as_str());
    exact.or_else(|| match url.port() {
        // `Url` leaves the default port of its scheme out.
        Some(_) => None,
        None => bases.get(host).or_else(|| bases.get(service_of(host)?)),
    })
}

/// The name of the service that a key of the map is for: a short name, or the first part of a public host name. It may be one
/// that the gateway never calls, or a host's.
#[must_use]
pub fn service_in(key: &str) -> Option<String> {
    let folded = key.to_ascii_lowercase();
    let (host, _) = split(&folded);
    let name = service_of(host).or_else(|| (!host.contains('.')).then_some(host));
    name.map(str::to_owned)
}

/// `lambda` of `lambda.eu-west-1.amazonaws.com`.
fn service_of(host: &str) -> Option<&str> {
    let name = CLOUD.iter().find_map(|cloud| host.strip_suffix(cloud)?.strip_suffix('.'))?;
    match name.split_once('.') {
        None => Some(name),
        Some((service, region)) => (!region.contains('.')).then_some(service),
    }
}

/// A host, and its port if there is one.
fn split(key: &str) -> (&str, Option<&str>) {
    key.rsplit_once(':').map_or((key, None), |(host, port)| (host, Some(port)))
}

fn is_key(host: &str, port: Option<&str>) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
        && host.len() <= 253
        && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> Result<HostMap, HostMapError> {
        HostMap::new(entries.iter().map(|(key, base)| ((*key).to_owned(), Url::parse(base).unwrap())))
    }

    #[test]
    fn the_connection_goes_elsewhere_and_path_and_query_stay() {
        let map = map(&[
            ("Cognito-IDP.us-east-1.amazonaws.com", "http://127.0.0.1:5055"),
            ("auth.example:8443", "https://mirror.internal/auth/"),
            ("kms", "http://localstack:4566/"),
            ("login.example:443", "http://127.0.0.1:5056/login"),
            ("login.example", "http://127.0.0.1:5056/plain"),
        ])
        .unwrap();
        for (public, there) in [
            (
                "https://cognito-idp.us-east-1.amazonaws.com/pool/.well-known/openid-configuration",
                Some("http://127.0.0.1:5055/pool/.well-known/openid-configuration"),
            ),
            ("https://COGNITO-IDP.us-east-1.amazonaws.com./a?b=c", Some("http://127.0.0.1:5055/a?b=c")),
            ("https://cognito-idp.us-east-1.amazonaws.com:8443/", None),
            ("https://cognito-idp.eu-west-1.amazonaws.com/", None),
            ("https://auth.example:8443/jwks?x=%20", Some("https://mirror.internal/auth/jwks?x=%20")),
            ("https://auth.example/jwks", None),
            ("https://login.example/keys", Some("http://127.0.0.1:5056/login/keys")),
            ("https://login.example:443/keys", Some("http://127.0.0.1:5056/login/keys")),
            ("http://login.example/keys", Some("http://127.0.0.1:5056/plain/keys")),
            ("http://login.example:443/keys", Some("http://127.0.0.1:5056/login/keys")),
            ("https://login.example:8443/keys", None),
            ("https://kms.eu-west-1.amazonaws.com/2015-03-31/", Some("http://localstack:4566/2015-03-31/")),
            ("https://kms.cn-north-1.amazonaws.com.cn/x", Some("http://localstack:4566/x")),
            ("https://kms.amazonaws.com/x", Some("http://localstack:4566/x")),
            ("https://kms.example/x", None),
            ("https://kms.a.b.amazonaws.com/x", None),
            ("https://notkms.eu-west-1.amazonaws.com/x", None),
        ] {
            let rewritten = map.rewrite(&Url::parse(public).unwrap());
            assert_eq!(rewritten.as_ref().map(Url::as_str), there, "{public}");
        }
        for (url, is) in [
            ("http://127.0.0.1:5055/jwks", true),
            ("https://127.0.0.1:5055/jwks", false),
            ("https://mirror.internal/auth/jwks", true),
            ("https://mirror.internal/auth", true),
            ("https://mirror.internal/authority", false),
            ("https://mirror.internal/auth/../admin", false),
        ] {
            assert_eq!(map.is_base(&Url::parse(url).unwrap()), is, "{url}");
        }
    }

    #[test]
    fn what_is_called_with_a_signature_is_no_host_for_other_urls() {
        let url = |text: &str| Url::parse(text).unwrap();
        let mapped = map(&[
            ("lambda", "http://127.0.0.1:5055"),
            ("s3.us-east-1.amazonaws.com", "http://127.0.0.1:9000/store"),
            ("STS.cn-north-1.amazonaws.com.cn", "http://127.0.0.1:9001"),
            ("keys.s3.us-east-1.amazonaws.com", "http://127.0.0.1:9002"),
            ("s3.eu-west-1.amazonaws.com:443", "http://127.0.0.1:9003"),
        ])
        .unwrap();
        for (public, there) in [
            ("https://lambda.us-east-1.amazonaws.com/evil", "http://127.0.0.1:5055/evil"),
            ("https://s3.us-east-1.amazonaws.com/bucket/key", "http://127.0.0.1:9000/store/bucket/key"),
            ("https://sts.cn-north-1.amazonaws.com.cn/", "http://127.0.0.1:9001/"),
            ("https://s3.eu-west-1.amazonaws.com/b", "http://127.0.0.1:9003/b"),
        ] {
            assert_eq!(mapped.rewrite(&url(public)), None, "{public}");
            assert_eq!(mapped.rewrite_signed(&url(public)).unwrap().as_str(), there);
            assert!(!mapped.is_base(&url(there)), "{there}");
        }
        assert_eq!(mapped.rewrite(&url("https://lambda/evil")), None);
        // A bucket under a name of its own may be where an issuer has its keys.
        let keys = url("https://keys.s3.us-east-1.amazonaws.com/jwks");
        assert_eq!(mapped.rewrite(&keys).unwrap().as_str(), "http://127.0.0.1:9002/jwks");
        assert_eq!(mapped.rewrite_signed(&keys), None);
    }

    #[test]
    fn a_function_has_a_place_of_its_own() {
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:Check:PROD";
        let map = map(&[(arn, "http://127.0.0.1:9000/check?stage=test")]).unwrap();
        assert!(!map.is_empty());
        assert_eq!(map.function(&arn.parse().unwrap()).unwrap().as_str(), "http://127.0.0.1:9000/check?stage=test");
        assert!(map.function(&arn.replace(":PROD", "").parse().unwrap()).is_none());
        assert!(map.rewrite_signed(&Url::parse("https://lambda.eu-west-1.amazonaws.com/x").unwrap()).is_none());
    }

    #[test]
    fn an_entry_that_cannot_be_meant_is_refused() {
        for key in [
            "arn:aws:s3:::bucket",
            "arn:aws:lambda:eu-west-1:1:function:x",
            "",
            "https://a.example",
            "a b",
            "a..b",
            "a.example:x",
            "a.example:0",
            "a.example:",
            "lambda:443",
            "a/b",
            "*.example",
        ] {
            assert_eq!(map(&[(key, "http://x/")]).unwrap_err(), HostMapError::Key(key.into()), "{key}");
        }
        for base in ["ftp://x/", "http://user:secret@x/", "http://x/?a=b", "http://x/#f", "data:text/plain,x"] {
            let error = map(&[("a.example", base)]).unwrap_err();
            assert_eq!(error, HostMapError::Base { key: "a.example".into() }, "{base}");
            assert!(!error.to_string().contains("secret"));
        }
    }
}
