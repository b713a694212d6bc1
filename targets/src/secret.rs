//! Header and environment values that must not appear in logs (promise 5).

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Headers of the configuration that go with every request to a target: often a token. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct SecretHeaders(HeaderMap);

/// Environment variables of a stdio target: often a token. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct SecretEnv(Vec<(String, String)>);

/// Why a configured header cannot be sent. The value is never part of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not a header name.
    #[error("`{0}` is not an HTTP header name")]
    Name(String),
    /// Not a header value.
    #[error("the value of header `{0}` has characters that HTTP does not allow")]
    Value(String),
    /// The transport sets it itself.
    #[error("header `{0}` is set by the gateway and cannot be configured")]
    Reserved(String),
}

/// Owned by HTTP or by the MCP transport: a configured value would break framing, sessions or routing.
const RESERVED: [&str; 15] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

// === impl SecretHeaders ===

impl SecretHeaders {
    /// Checks names and values.
    ///
    /// # Errors
    /// The first header that cannot be sent.
    pub fn new(headers: impl IntoIterator<Item = (String, String)>) -> Result<Self, HeaderError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else { return Err(HeaderError::Name(name)) };
            if RESERVED.contains(&parsed.as_str()) || parsed.as_str().starts_with("mcp-param-") {
                return Err(HeaderError::Reserved(name));
            }
            let Ok(mut value) = HeaderValue::from_str(&value) else { return Err(HeaderError::Value(name)) };
            value.set_sensitive(true);
            map.append(parsed, value);
        }
        Ok(Self(map))
    }

    pub(crate) fn map(&self) -> &HeaderMap {
        &self.0
    }
}

impl fmt::Debug for SecretHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

// === impl SecretEnv ===

impl SecretEnv {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for SecretEnv {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl fmt::Debug for SecretEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_never_shown_and_reserved_names_are_refused() {
        let one = |name: &str, value: &str| SecretHeaders::new([(name.to_owned(), value.to_owned())]);
        let headers = one("Authorization", "Bearer s3cret").unwrap();
        assert!(!format!("{headers:?} {:?}", headers.map()).contains("s3cret"));
        assert_eq!(one("MCP-Session-Id", "x").unwrap_err(), HeaderError::Reserved("MCP-Session-Id".into()));
        let error = one("x-a", "s3cret\n").unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert!(one("x a", "").is_err());
        let env = SecretEnv::from_iter([("TOKEN".to_owned(), "s3cret".to_owned())]);
        assert_eq!(format!("{env:?}"), r#"{"TOKEN"}"#);
    }
}
