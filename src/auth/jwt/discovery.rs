//! What an issuer says about itself, and its keys, fetched in two steps.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use sessiongate_targets::{FetchError, FetchLimits, Outbound};
use url::Url;

use super::keys::ParsedKeys;

/// What is read of an issuer's metadata (OpenID Connect Discovery, 3; RFC 8414, 2).
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub issuer: Arc<str>,
    pub jwks_uri: Url,
    /// How long its server calls it fresh.
    pub max_age: Option<Duration>,
}

/// What an issuer's document must call the issuer (OpenID Connect Discovery, 4.3; RFC 8414, 3.3): whoever could say
/// another name in it would speak for other issuers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ExpectedIssuer {
    pub name: Arc<str>,
    /// The operator says so, to the letter; else the discovery URL does.
    pub said: bool,
}

/// Metadata and keys.
pub(super) struct Discovered {
    pub metadata: Metadata,
    /// The metadata are new, not those of the last time.
    pub renewed: bool,
    pub keys: ParsedKeys,
    /// How long their server calls the keys fresh.
    pub max_age: Option<Duration>,
}

/// Why an issuer's keys cannot be had. For the log: it may name addresses.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum IssuerError {
    #[error("{document}: {error}{}", .error.detail().map(|detail| format!(" ({detail})")).unwrap_or_default())]
    Fetch { document: &'static str, error: FetchError },
    #[error("{document}: {reason}")]
    Document { document: &'static str, reason: &'static str },
    #[error(
        "discovery document: its `issuer` is {said:?}, and must be {:?}, as {}",
        .expected.name,
        if .expected.said { "`issuer` in the gateway's authorizer says" } else {
            "its url says: if that is meant, set `issuer` in the gateway's authorizer"
        }
    )]
    Issuer { said: String, expected: ExpectedIssuer },
    /// More requests wait for the keys than may.
    #[error("too many requests wait for the issuer's keys")]
    Busy,
    #[error("fetching the issuer's keys was cut off")]
    CutOff,
}

#[derive(Deserialize)]
struct Wire {
    issuer: String,
    jwks_uri: String,
}

const METADATA: &str = "discovery document";
const KEYS: &str = "key set";
const MAX_ISSUER: usize = 2048;

// === impl ExpectedIssuer ===

impl ExpectedIssuer {
    fn is(&self, said: &str) -> bool {
        // What the URL says has lost its slash: it is taken off before the well-known part is put on.
        said == &*self.name || (!self.said && said.strip_suffix('/') == Some(&*self.name))
    }
}

/// Fetches the keys, by metadata that are known or new ones. Where new metadata cannot be had, those of the last time
/// do (`fallback`): keys come first.
pub(super) async fn discover(
    outbound: &Outbound,
    discovery_url: &Url,
    expected: &ExpectedIssuer,
    limits: &FetchLimits,
    known: Option<Metadata>,
    fallback: Option<Metadata>,
) -> Result<Discovered, IssuerError> {
    let (metadata, renewed) = match known {
        Some(metadata) => (metadata, false),
        None => match metadata(outbound, discovery_url, expected, limits).await {
            Ok(metadata) => (metadata, true),
            Err(error) => {
                let last = fallback.ok_or_else(|| error.clone())?;
                tracing::warn!(%discovery_url, %error, "an issuer's metadata cannot be renewed");
                (last, false)
            }
        },
    };
    let fetched = outbound
        .fetch_json(&metadata.jwks_uri, limits)
        .await
        .map_err(|error| IssuerError::Fetch { document: KEYS, error })?;
    let keys = ParsedKeys::parse(&fetched.body)
        .ok_or(IssuerError::Document { document: KEYS, reason: "not a JSON object with an array `keys`" })?;
    Ok(Discovered { metadata, renewed, keys, max_age: fetched.max_age })
}

async fn metadata(
    outbound: &Outbound,
    url: &Url,
    expected: &ExpectedIssuer,
    limits: &FetchLimits,
) -> Result<Metadata, IssuerError> {
    let invalid = |reason| IssuerError::Document { document: METADATA, reason };
    let fetched =
        outbound.fetch_json(url, limits).await.map_err(|error| IssuerError::Fetch { document: METADATA, error })?;
    let wire: Wire =
        serde_json::from_slice(&fetched.body).map_err(|_| invalid("not JSON with `issuer` and `jwks_uri`"))?;
    if wire.issuer.is_empty() || wire.issuer.len() > MAX_ISSUER {
        return Err(invalid("`issuer` has 1 to 2048 characters"));
    }
    if !expected.is(&wire.issuer) {
        return Err(IssuerError::Issuer { said: wire.issuer, expected: expected.clone() });
    }
    let jwks_uri = Url::parse(&wire.jwks_uri).map_err(|_| invalid("`jwks_uri` is not a url"))?;
    let hosts = outbound.hosts();
    let trusted = jwks_uri.scheme() == "https"
        // The operator says where this is. Or the operator chose plain HTTP for the document: it came from a listed
        // network, and so must the keys.
        || (jwks_uri.scheme() == "http"
            && (hosts.rewrite(&jwks_uri).is_some() || hosts.is_base(&jwks_uri) || url.scheme() == "http"));
    if !trusted {
        return Err(invalid("`jwks_uri` must be https"));
    }
    Ok(Metadata { issuer: wire.issuer.into(), jwks_uri, max_age: fetched.max_age })
}
