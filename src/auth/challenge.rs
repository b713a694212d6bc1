//! `WWW-Authenticate`: what a client must do to be let in (RFC 6750, 3; RFC 9728, 5.1; MCP authorization).

use std::fmt;

/// A `Bearer` challenge. Its text is one header value: printable ASCII, everything quoted, whatever it was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    error: Option<ErrorCode>,
    description: Option<String>,
    scope: String,
    resource_metadata: Option<String>,
}

/// `error` (RFC 6750, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// With 400.
    InvalidRequest,
    /// With 401: another token is needed.
    InvalidToken,
    /// With 403: the same with more scopes is needed.
    InsufficientScope,
    /// With 403: no scope would help (RFC 6749, 4.1.2.1; RFC 6750 has no word for it).
    AccessDenied,
}

// === impl Challenge ===

impl Challenge {
    /// Says only that a bearer token is needed.
    pub fn new() -> Self {
        Self::default()
    }

    /// With an error code.
    #[must_use]
    pub fn error(mut self, error: ErrorCode) -> Self {
        self.error = Some(error);
        self
    }

    /// With a sentence for the developer of the client.
    #[must_use]
    pub fn description(mut self, text: String) -> Self {
        self.description = Some(text);
        self
    }

    /// With the scopes to ask for, where it has none yet. None are added for an empty list.
    #[must_use]
    pub fn scopes<S: AsRef<str>>(mut self, scopes: &[S]) -> Self {
        if self.scope.is_empty() {
            self.scope = scopes.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
        }
        self
    }

    /// With the URL of the protected resource metadata.
    #[must_use]
    pub fn resource_metadata(mut self, url: impl Into<String>) -> Self {
        self.resource_metadata = Some(url.into());
        self
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("error", self.error.map(ErrorCode::as_str)),
            ("error_description", self.description.as_deref()),
            ("scope", Some(self.scope.as_str()).filter(|scope| !scope.is_empty())),
            ("resource_metadata", self.resource_metadata.as_deref()),
        ];
        f.write_str("Bearer")?;
        let mut separator = " ";
        for (name, value) in parts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            write!(f, "{separator}{name}=\"")?;
            // RFC 6750 allows neither quotes nor backslashes in its values, escaped or not.
            for char in value.chars() {
                f.write_str(match char {
                    '"' => "'",
                    '\\' => "/",
                    ' '..='~' => {
                        fmt::Write::write_char(f, char)?;
                        continue;
                    }
                    _ => "?",
                })?;
            }
            f.write_str("\"")?;
            separator = ", ";
        }
        Ok(())
    }
}

// === impl ErrorCode ===

impl ErrorCode {
    /// As it stands in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::AccessDenied => "access_denied",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_said_and_quoted() {
        assert_eq!(Challenge::new().to_string(), "Bearer");
        assert_eq!(
            Challenge::new()
                .error(ErrorCode::InvalidToken)
                .scopes(&["shop/read", "shop/write"])
                .resource_metadata("https://gw.example/.well-known/oauth-protected-resource/gateways/shop/mcp")
                .to_string(),
            "Bearer error=\"invalid_token\", scope=\"shop/read shop/write\", \
             resource_metadata=\"https://gw.example/.well-known/oauth-protected-resource/gateways/shop/mcp\""
        );
        assert_eq!(Challenge::new().scopes::<&str>(&[]).to_string(), "Bearer");
        assert_eq!(Challenge::new().scopes(&["needed"]).scopes(&["all"]).to_string(), "Bearer scope=\"needed\"");
    }

    #[test]
    fn no_value_can_leave_its_quotes_or_its_line() {
        let text = Challenge::new()
            .description("a \"quoted\\\" \r\nX-Evil: ü".into())
            .resource_metadata("https://gw.example/\", error=\"x")
            .to_string();
        assert_eq!(
            text,
            "Bearer error_description=\"a 'quoted/' ??X-Evil: ?\", \
             resource_metadata=\"https://gw.example/', error='x\""
        );
        assert!(actix_web::http::header::HeaderValue::from_str(&text).is_ok());
    }
}
