//! What can go wrong between a client and the control plane.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::auth::sigv4::SignError;
use crate::client::chain;

/// Why an operation has no result. `Display` is for the person who asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlClientError {
    /// The control plane answered, with an error.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Nobody answered.
    #[error("cannot reach the control plane at {url}: {reason}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why not.
        reason: String,
    },
    /// Something answered that is no control plane.
    #[error("{url} does not answer as a control plane does: {reason}; check the endpoint")]
    Foreign {
        /// Where.
        url: String,
        /// What is not right.
        reason: String,
    },
    /// The request cannot be signed.
    #[error("{0}")]
    Sign(#[from] SignError),
    /// There is no object of this id or name.
    #[error("there is no {kind} `{wanted}`{}", suggestion(.similar))]
    Unknown {
        /// `gateway` or `target`.
        kind: &'static str,
        /// What was asked for.
        wanted: String,
        /// What it may have been.
        similar: Option<String>,
    },
    /// It takes longer than somebody wants to wait.
    #[error("it is still {status} after {}; what was asked for goes on", humantime::format_duration(*.after))]
    NotSettled {
        /// Where it stands.
        status: String,
        /// How long it was waited for.
        after: Duration,
    },
}

/// An error answer of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The shape's name in the service model, such as `ValidationException`.
    pub error_type: String,
    /// The control plane's own words.
    pub message: String,
    /// Members that are wrong.
    pub fields: Vec<FieldFault>,
}

/// One member that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FieldFault {
    /// Where, such as `targetConfiguration.mcp.mcpServer.endpoint`.
    #[serde(default)]
    pub name: String,
    /// What is wrong with it.
    #[serde(default)]
    pub message: String,
}

// === impl ControlClientError ===

impl ControlClientError {
    /// The answer, if it was one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether there is no such object.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.error_type == "ResourceNotFoundException")
    }

    /// Whether the same request may be answered otherwise in a moment.
    #[must_use]
    pub fn is_throttling(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.status == 429)
    }

    /// Whether somebody who only looks may look again: nobody answered, or the control plane is busy or in trouble.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        let in_trouble = |refusal: &Refusal| refusal.status == 429 || refusal.status >= 500;
        matches!(self, Self::Unreachable { .. }) || self.refusal().is_some_and(in_trouble)
    }

    pub(super) fn broken(endpoint: &url::Url, error: &reqwest::Error) -> Self {
        let url = endpoint.to_string();
        if error.is_timeout() && !error.is_connect() {
            return Self::Unreachable { url, reason: "it did not answer in time".into() };
        }
        Self::Unreachable { url, reason: chain(error) }
    }
}

// === impl Refusal ===

impl Refusal {
    /// Reads an error answer; `None` if it has not the form of one.
    pub(super) fn read(status: u16, error_type: Option<&str>, body: &Value) -> Option<Self> {
        // Some servers write `Name:http://…` into the header, or name the error in the body only.
        let error_type = error_type.or_else(|| body["__type"].as_str())?;
        let error_type = error_type.split(':').next().unwrap_or_default();
        let error_type = error_type.rsplit('#').next().unwrap_or_default();
        let message = body["message"].as_str().or_else(|| body["Message"].as_str()).unwrap_or_default();
        let fields = serde_json::from_value(body["fieldList"].clone()).unwrap_or_default();
        Some(Self { status, error_type: error_type.to_owned(), message: message.to_owned(), fields })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.message.as_str(), self.fields.as_slice()) {
            ("", []) => write!(f, "the control plane answered {} ({})", self.error_type, self.status),
            (message, [] | [_]) => f.write_str(message),
            (_, fields) => {
                write!(f, "{} members are wrong:", fields.len())?;
                fields.iter().try_for_each(|field| write!(f, "\n  `{}` {}", field.name, field.message))
            }
        }
    }
}

fn suggestion(similar: &Option<String>) -> String {
    similar.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_listed_where_there_are_several() {
        let field = |name: &str| json!({"name": name, "message": "is required"});
        let one = json!({"message": "`name` is required", "fieldList": [field("name")]});
        let refusal = Refusal::read(400, Some("ValidationException"), &one).unwrap();
        assert_eq!(refusal.to_string(), "`name` is required");
        let two = json!({"message": "`a` is required; `b` is required", "fieldList": [field("a"), field("b")]});
        let refusal = Refusal::read(400, Some("ValidationException"), &two).unwrap();
        assert_eq!(refusal.to_string(), "2 members are wrong:\n  `a` is required\n  `b` is required");
    }

    #[test]
    fn the_type_is_found_in_all_its_spellings() {
        for spelt in ["ConflictException", "ConflictException:http://a/", "com.amazonaws#ConflictException"] {
            let refusal = Refusal::read(409, Some(spelt), &json!({"Message": "taken"})).unwrap();
            assert_eq!((&*refusal.error_type, &*refusal.message), ("ConflictException", "taken"));
        }
        let refusal = Refusal::read(409, None, &json!({"__type": "ConflictException"})).unwrap();
        assert_eq!(refusal.to_string(), "the control plane answered ConflictException (409)");
        assert_eq!(Refusal::read(404, None, &json!("nginx")), None);
    }
}
