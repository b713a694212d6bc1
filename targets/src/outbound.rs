//! The gateway's own requests, those to targets apart: small JSON documents from elsewhere (authorization server
//! metadata, key sets), functions, objects, hooks.
//!
//! Their URLs come from a configuration, from a client of the control plane, or from another document: each step of the way
//! is checked as if an attacker had written it (promise 6). A document that is fetched is public, and nothing secret is
//! sent along; a request that carries something follows no redirect.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AGE, CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method};
use ipnet::IpNet;
use reqwest::{Request, Response};
use url::Url;

use crate::error::TargetError;
use crate::guard::Reach;
use crate::host_map::HostMap;
use crate::http::endpoint::send_error;
use crate::http::{HttpClients, HttpOptions, body, discard};

/// Fetches documents through the guard and the host map. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// HTTPS, wherever the policy permits.
    guarded: HttpClients,
    /// Plain HTTP, into listed networks only: what is read this way decides whom the gateway believes.
    plain: HttpClients,
    /// Base URLs of the host map: the operator wrote them.
    mapped: HttpClients,
    hosts: Arc<HostMap>,
}

/// Where a request goes in the end, and who watches over it on the way.
#[derive(Clone, Debug)]
pub struct Route {
    clients: HttpClients,
    url: Url,
}

/// What came back, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// What a document may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// The most that is read of a body.
    pub bytes: usize,
    /// Redirects that are followed.
    pub redirects: usize,
    /// For everything, redirects and body included.
    pub deadline: Duration,
}

/// A document.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Its bytes; that they are JSON is not yet certain.
    pub body: Bytes,
    /// How much longer its server calls it fresh (`Cache-Control: max-age`, less `Age`; zero for `no-store` and
    /// `no-cache`). None where the server does not say.
    pub max_age: Option<Duration>,
    /// Where it was found in the end, in public names (not rewritten by the host map).
    pub url: Url,
}

/// Why there is no document. Displayed texts name no address; `detail` is for the log.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The address is not one that the gateway may connect to.
    #[error("the address is not allowed; see `allow_private_networks` and `endpoints`")]
    AddressRefused {
        /// For the log.
        detail: String,
    },
    /// A redirect that is not followed.
    #[error("the server redirects to where the gateway does not follow")]
    Redirect {
        /// For the log.
        detail: String,
    },
    /// Another status than 200.
    #[error("the server answered HTTP {status}")]
    Status {
        /// The status.
        status: u16,
        /// `Retry-After`, where given in seconds.
        retry_after: Option<Duration>,
    },
    /// Larger than allowed.
    #[error("the document has more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// `Content-Type` is not JSON.
    #[error("the document is not JSON")]
    NotJson,
    /// It did not arrive in time.
    #[error("the document did not arrive within {0:?}")]
    TimedOut(Duration),
    /// The server could not be reached, or the connection broke.
    #[error("the server could not be reached")]
    Unreachable {
        /// For the log.
        detail: String,
    },
}

const JSON: HeaderValue = HeaderValue::from_static("application/json, application/*+json;q=0.9");

/// Every address; metadata services are an exception of the policy itself.
const ANYWHERE: [&str; 2] = ["0.0.0.0/0", "::/0"];

// === impl Outbound ===

impl Outbound {
    /// With the policy of `options` for everything that `hosts` does not map.
    ///
    /// # Errors
    /// [`TargetError::Unreachable`] where TLS cannot be set up on this host.
    pub fn new(options: HttpOptions, hosts: HostMap) -> Result<Self, TargetError> {
        let mut anywhere = options.clone();
        anywhere.policy.allowed.extend(ANYWHERE.iter().filter_map(|net| net.parse::<IpNet>().ok()));
        Ok(Self {
            guarded: HttpClients::new(options.clone())?,
            plain: HttpClients::reaching(options, Reach::Listed)?,
            mapped: HttpClients::new(anywhere)?,
            hosts: Arc::new(hosts),
        })
    }

    /// The map of public hosts.
    pub fn hosts(&self) -> &HostMap {
        &self.hosts
    }

    /// Reads the JSON document at `url`. A redirect may not lead from HTTPS to HTTP, and each place on the way is
    /// mapped and guarded like the first.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch_json(&self, url: &Url, limits: &FetchLimits) -> Result<Fetched, FetchError> {
        match tokio::time::timeout(limits.deadline, self.fetch(url.clone(), limits)).await {
            Ok(result) => result,
            Err(_) => Err(FetchError::TimedOut(limits.deadline)),
        }
    }

    async fn fetch(&self, mut url: Url, limits: &FetchLimits) -> Result<Fetched, FetchError> {
        let mut redirects = 0;
        loop {
            let answer = self.get(&url).await?;
            let status = answer.status();
            if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                redirects += 1;
                let next = self.next(&url, answer.headers());
                discard(answer);
                if redirects > limits.redirects {
                    let detail = format!("more than {} redirects", limits.redirects);
                    return Err(FetchError::Redirect { detail });
                }
                url = next?;
                continue;
            }
            if status.as_u16() != 200 {
                let retry_after = seconds(answer.headers());
                discard(answer);
                return Err(FetchError::Status { status: status.as_u16(), retry_after });
            }
            if !is_json(answer.headers()) {
                return Err(FetchError::NotJson);
            }
            let max_age = max_age(answer.headers());
            let body = body::read(answer, limits.bytes).await?;
            return Ok(Fetched { body, max_age, url });
        }
    }

    /// The way to a public URL that anyone may have written: mapped and guarded.
    ///
    /// # Errors
    /// [`FetchError::AddressRefused`] where the URL itself shows that it must not be.
    pub fn route(&self, url: &Url) -> Result<Route, FetchError> {
        if let Some(mapped) = self.hosts.rewrite(url) {
            return Ok(self.trusted(&mapped));
        }
        // A service that knows only its own address names it in its documents.
        if self.hosts.is_base(url) {
            return Ok(self.trusted(url));
        }
        self.unmapped(url)
    }

    /// The way of a signed call of the gateway's own to a service: mapped and guarded. Not for URLs that a client, or a
    /// document, may name.
    ///
    /// # Errors
    /// See [`Outbound::route`].
    pub fn route_signed(&self, url: &Url) -> Result<Route, FetchError> {
        match self.hosts.rewrite_signed(url) {
            Some(mapped) => Ok(self.trusted(&mapped)),
            None => self.unmapped(url),
        }
    }

    fn unmapped(&self, url: &Url) -> Result<Route, FetchError> {
        let clients = if url.scheme() == "https" { &self.guarded } else { &self.plain };
        clients.check_url(url)?;
        Ok(Route { clients: clients.clone(), url: url.clone() })
    }

    /// The way to a URL that the operator wrote: it may be private, and plain HTTP.
    pub fn trusted(&self, url: &Url) -> Route {
        Route { clients: self.mapped.clone(), url: url.clone() }
    }

    async fn get(&self, url: &Url) -> Result<Response, FetchError> {
        let route = self.route(url)?;
        let mut request = route.request(Method::GET);
        request.headers_mut().insert(ACCEPT, JSON);
        route.clients.get().execute(request).await.map_err(|error| send_error(error).into())
    }

    /// Where a redirect leads, if it may be followed.
    fn next(&self, from: &Url, headers: &HeaderMap) -> Result<Url, FetchError> {
        let refuse = |detail: String| Err(FetchError::Redirect { detail });
        let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else {
            return refuse("a redirect without a readable `Location`".into());
        };
        let to = match from.join(location) {
            Ok(to) => to,
            Err(error) => return refuse(format!("`Location` is not a url: {error}")),
        };
        match (from.scheme(), to.scheme()) {
            (_, "https") | ("http", "http") => Ok(to),
            (_, "http") if self.hosts.is_base(&to) => Ok(to),
            (from, to) => refuse(format!("from {from} to {to}")),
        }
    }
}

// === impl Route ===

impl Route {
    /// The URL that is connected to: what a signature is made for.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// A request to it, without headers and body.
    pub fn request(&self, method: Method) -> Request {
        Request::new(method, self.url.clone())
    }

    /// Sends a request and reads at most `limit` bytes of its answer. Redirects are answers like others. Nothing is sent
    /// twice, other than on a connection that was closed before the request was written.
    ///
    /// # Errors
    /// Where there is no whole answer by the deadline; see [`FetchError`].
    pub async fn send(&self, request: Request, limit: usize, deadline: Duration) -> Result<Answer, FetchError> {
        let whole = async {
            let answer = self.clients.get().execute(request).await.map_err(send_error)?;
            let status = answer.status().as_u16();
            let headers = answer.headers().clone();
            let body = body::read(answer, limit).await?;
            Ok(Answer { status, headers, body })
        };
        match tokio::time::timeout(deadline, whole).await {
            Ok(result) => result,
            Err(_) => Err(FetchError::TimedOut(deadline)),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut found = None;
    for value in headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()) {
        for directive in value.split(',').map(|directive| directive.trim().to_ascii_lowercase()) {
            match directive.split_once('=') {
                None if matches!(directive.as_str(), "no-store" | "no-cache") => return Some(Duration::ZERO),
                Some(("max-age", age)) => {
                    found = age.trim_matches('"').parse().ok().map(Duration::from_secs).or(found);
                }
                _ => {}
            }
        }
    }
    let age = headers.get(AGE).and_then(|value| value.to_str().ok()?.trim().parse().ok()).unwrap_or(0);
    found.map(|found| found.saturating_sub(Duration::from_secs(age)))
}

fn seconds(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

// === impl FetchError ===

impl FetchError {
    /// What happened, for the operator: it may name addresses.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::AddressRefused { detail } | Self::Redirect { detail } | Self::Unreachable { detail } => Some(detail),
            _ => None,
        }
    }
}

impl From<TargetError> for FetchError {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::AddressRefused { detail } => Self::AddressRefused { detail },
            TargetError::TooLarge { limit } => Self::TooLarge { limit },
            TargetError::TimedOut(limit) => Self::TimedOut(limit),
            other => Self::Unreachable { detail: other.detail().map_or_else(|| other.to_string(), str::to_owned) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(entries: &[(http::HeaderName, &str)]) -> HeaderMap {
        entries.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn freshness_is_what_the_server_says_less_its_age() {
        let age = |cache: &str, age: &str| max_age(&headers(&[(CACHE_CONTROL, cache), (AGE, age)]));
        assert_eq!(age("public, max-age=3600", "600"), Some(Duration::from_secs(3000)));
        assert_eq!(age("Max-Age=\"60\"", "600"), Some(Duration::ZERO));
        assert_eq!(age("max-age=60, no-store", "0"), Some(Duration::ZERO));
        assert_eq!(age("s-maxage=9, max-age=x", "0"), None);
        assert_eq!(max_age(&HeaderMap::new()), None);
    }

    #[test]
    fn redirects_stay_on_their_scheme_or_better() {
        let base = ("auth.example".to_owned(), Url::parse("http://mirror.example:81/auth").unwrap());
        let outbound = Outbound::new(HttpOptions::default(), HostMap::new([base]).unwrap()).unwrap();
        let to = |from: &str, location: &str| {
            let from = Url::parse(from).unwrap();
            outbound.next(&from, &headers(&[(LOCATION, location)])).map(String::from).map_err(|_| ())
        };
        let below = "http://mirror.example:81/auth/x";
        assert_eq!(to("https://auth.example/", below), Ok(below.into()));
        assert_eq!(to("https://auth.example/", "http://mirror.example:81/x"), Err(()));
        assert_eq!(to("https://auth.example/", "http://mirror.example/x"), Err(()));
        assert_eq!(to("https://a.example/x/y", "../z"), Ok("https://a.example/z".into()));
        assert_eq!(to("http://a.example/", "https://b.example/"), Ok("https://b.example/".into()));
        assert_eq!(to("http://a.example/", "//b.example/"), Ok("http://b.example/".into()));
        for bad in ["http://a.example/", "file:///etc/passwd", "data:application/json,{}", "http://"] {
            assert_eq!(to("https://a.example/", bad), Err(()), "{bad}");
        }
        assert!(outbound.next(&Url::parse("https://a.example/").unwrap(), &HeaderMap::new()).is_err());
    }

    #[test]
    fn json_is_recognised_by_its_media_type() {
        let json = |media: &str| is_json(&headers(&[(CONTENT_TYPE, media)]));
        assert!(json("application/json; charset=utf-8") && json("Application/JWK-Set+JSON"));
        assert!(!json("text/html") && !json("application/octet-stream") && !is_json(&HeaderMap::new()));
    }
}
