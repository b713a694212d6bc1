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
/// * a host name with a port, `auth.example:8443`, for that port only;
/// * the name of a service, `lambda`, for `lambda.{region}.amazonaws.com` and `lambda.amazonaws.com`. The full host name
///   goes before;
/// * the ARN of a function, `arn:aws:lambda:eu-west-1:123456789012:function:check`, for that function alone: its URL is
///   asked as it stands.
///
/// The operator wrote the base URLs: they may be `http` and may be private addresses. What a cloud serves credentials at
/// (instance metadata) stays refused where a name leads to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostMap {
    bases: BTreeMap<Box<str>, Url>,
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

/// Where the services of the map's short names are.
const CLOUD: [&str; 2] = ["amazonaws.com", "amazonaws.com.cn"];

// === impl HostMap ===

impl HostMap {
    /// From keys and base URLs.
    ///
    /// # Errors
    /// The first entry that cannot be used.
    pub fn new(entries: impl IntoIterator<Item = (String, Url)>) -> Result<Self, HostMapError> {
        let (mut bases, mut functions) = (BTreeMap::new(), BTreeMap::new());
        for (key, base) in entries {
            let folded = key.to_ascii_lowercase();
            let function = key.parse::<LambdaArn>().ok();
            if function.is_none() && !is_key(&folded) {
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
                Some(_) => functions.insert(key.into(), base),
                None => bases.insert(folded.into(), base),
            };
        }
        Ok(Self { bases, functions })
    }

    /// Nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.bases.is_empty() && self.functions.is_empty()
    }

    /// Where a function is asked instead of the service.
    pub fn function(&self, arn: &LambdaArn) -> Option<&Url> {
        self.functions.get(arn.as_str())
    }

    /// The base URL of a service by its short name, for callers that have no public URL to begin with.
    pub fn service(&self, name: &str) -> Option<&Url> {
        self.bases.get(name)
    }

    /// The URL to connect to instead of this one; none where its host is not mapped. Path and query are kept, below
    /// the path of the base.
    pub fn rewrite(&self, url: &Url) -> Option<Url> {
        let base = self.base_of(url)?;
        let mut rewritten = base.clone();
        rewritten.set_path(&format!("{}{}", base.path().trim_end_matches('/'), url.path()));
        rewritten.set_query(url.query());
        Some(rewritten)
    }

    /// This URL is at the server of one of the base URLs, as that server itself would write it.
    pub fn is_base(&self, url: &Url) -> bool {
        self.bases.values().any(|base| base.origin() == url.origin())
    }

    fn base_of(&self, url: &Url) -> Option<&Url> {
        if self.bases.is_empty() || !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let host = url.host_str()?.trim_end_matches('.');
        match url.port() {
            // `Url` leaves the default port of its scheme out.
            Some(port) => self.bases.get(format!("{host}:{port}").as_str()),
            None => self.bases.get(host).or_else(|| self.bases.get(service_of(host)?)),
        }
    }
}

/// `lambda` of `lambda.eu-west-1.amazonaws.com`.
fn service_of(host: &str) -> Option<&str> {
    let name = CLOUD.iter().find_map(|cloud| host.strip_suffix(cloud)?.strip_suffix('.'))?;
    match name.split_once('.') {
        None => Some(name),
        Some((service, region)) => (!region.contains('.')).then_some(service),
    }
}

fn is_key(key: &str) -> bool {
    let host = match key.rsplit_once(':') {
        Some((host, port)) => match port.parse::<u16>() {
            Ok(_) => host,
            Err(_) => return false,
        },
        None => key,
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    host.len() <= 253 && host.split('.').all(label)
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
            ("lambda", "http://localstack:4566/"),
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
            ("https://lambda.eu-west-1.amazonaws.com/2015-03-31/", Some("http://localstack:4566/2015-03-31/")),
            ("https://lambda.cn-north-1.amazonaws.com.cn/x", Some("http://localstack:4566/x")),
            ("https://lambda.amazonaws.com/x", Some("http://localstack:4566/x")),
            ("https://lambda.example/x", None),
            ("https://lambda.a.b.amazonaws.com/x", None),
            ("https://notlambda.eu-west-1.amazonaws.com/x", None),
        ] {
            let rewritten = map.rewrite(&Url::parse(public).unwrap());
            assert_eq!(rewritten.as_ref().map(Url::as_str), there, "{public}");
        }
        assert_eq!(map.service("lambda").unwrap().as_str(), "http://localstack:4566/");
        assert!(map.service("s3").is_none());
        assert!(map.is_base(&Url::parse("http://127.0.0.1:5055/jwks").unwrap()));
        assert!(!map.is_base(&Url::parse("https://127.0.0.1:5055/jwks").unwrap()));
    }

    #[test]
    fn a_function_has_a_place_of_its_own() {
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:Check:PROD";
        let map = map(&[(arn, "http://127.0.0.1:9000/check?stage=test")]).unwrap();
        assert!(!map.is_empty());
        assert_eq!(map.function(&arn.parse().unwrap()).unwrap().as_str(), "http://127.0.0.1:9000/check?stage=test");
        assert!(map.function(&arn.replace(":PROD", "").parse().unwrap()).is_none());
        assert!(map.rewrite(&Url::parse("https://lambda.eu-west-1.amazonaws.com/x").unwrap()).is_none());
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
