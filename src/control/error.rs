//! What the control plane answers when it does not do what it was asked, in the words of the service model.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

/// Members that are named in the message itself: many clients show nothing else.
const FIELDS_IN_MESSAGE: usize = 5;

/// One member of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where, like `targetConfiguration.mcp.mcpServer.endpoint` or `interceptorConfigurations[0].interceptor`.
    pub path: String,
    /// What is wrong and what would be right. Never has the value that was sent: it may be a secret.
    pub message: String,
}

/// `ValidationExceptionReason` of the service model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ValidationReason {
    /// The request is no JSON, or not in the form that the operation has.
    CannotParse,
    /// Members break the model's or the gateway's rules.
    FieldValidationFailed,
    /// A `clientToken` that was used before, with other parameters.
    #[serde(rename = "IdempotentParameterMismatchException")]
    IdempotentParameterMismatch,
    /// The event belongs to another session.
    EventInOtherSession,
    /// What the request asks for cannot be together with what is there.
    ResourceConflict,
}

/// Why a request has no valid AWS signature (version 4). None of these is in the service model: they come from the layer before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureFailure {
    /// There is none.
    Missing,
    /// The access key is not known.
    UnknownKey,
    /// It lacks a part, or covers too little.
    Incomplete,
    /// It does not fit the request, or it is too old.
    Invalid,
}

/// A request that was not done. `Display` is for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The request breaks a rule; as it is, it can never succeed.
    #[error("{message}")]
    Validation {
        /// What is wrong, with the names of the members.
        message: String,
        /// Which kind of wrong.
        reason: ValidationReason,
        /// Each wrong member.
        fields: Vec<FieldError>,
    },
    /// A quota of this gateway is used up.
    #[error("{message}")]
    ServiceQuotaExceeded {
        /// Which, how much it is, and what can be done.
        message: String,
    },
    /// The caller may not do this.
    #[error("{message}")]
    AccessDenied {
        /// What may not be done.
        message: String,
    },
    /// The caller is not known to an identity operation.
    #[error("{message}")]
    Unauthorized {
        /// What is missing.
        message: String,
    },
    /// The signature is missing or wrong.
    #[error("{message}")]
    Signature {
        /// Which way.
        failure: SignatureFailure,
        /// What to do about it.
        message: String,
    },
    /// There is no such object.
    #[error("{message}")]
    ResourceNotFound {
        /// Which.
        message: String,
    },
    /// No operation has this method and path.
    #[error("no operation has this method and path")]
    UnknownOperation,
    /// The object's state does not allow it now.
    #[error("{message}")]
    Conflict {
        /// Which state, and what would allow it.
        message: String,
    },
    /// Too many requests; later it may work.
    #[error("{message}")]
    Throttling {
        /// Which limit.
        message: String,
    },
    /// The gateway's own fault. What it was stays in the log.
    #[error("the gateway could not do this because of an internal error; its log has the details")]
    Internal {
        /// For the log only.
        detail: String,
    },
}

/// An error in the form that it has on the wire (rest-json).
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorReply {
    /// HTTP status.
    pub status: u16,
    /// Value of the header `x-amzn-ErrorType`: clients choose the type of their exception by it.
    pub error_type: &'static str,
    /// `{message, reason?, fieldList?}`.
    pub body: Value,
}

// === impl FieldError ===

impl FieldError {
    /// A wrong member.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

// === impl ControlError ===

impl ControlError {
    /// The request could not be read.
    pub fn cannot_parse(message: impl Into<String>) -> Self {
        Self::Validation { message: message.into(), reason: ValidationReason::CannotParse, fields: Vec::new() }
    }

    /// One member is wrong.
    pub fn field(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldError::new(path, message)])
    }

    /// Members are wrong. The first ones are in the message too, as many clients show only that.
    pub fn fields(fields: Vec<FieldError>) -> Self {
        let mut message = String::new();
        for field in fields.iter().take(FIELDS_IN_MESSAGE) {
            let separator = if message.is_empty() { "" } else { "; " };
            let _ = match field.path.as_str() {
                "" => write!(message, "{separator}the request {}", field.message),
                path => write!(message, "{separator}`{path}` {}", field.message),
            };
        }
        match fields.len().saturating_sub(FIELDS_IN_MESSAGE) {
            0 => {}
            more => message.push_str(&format!("; and {more} more, see `fieldList`")),
        }
        Self::Validation { message, reason: ValidationReason::FieldValidationFailed, fields }
    }

    /// An operation of the service that this gateway does not have.
    pub fn not_offered(operation: &str) -> Self {
        Self::Validation {
            message: format!("{operation} is not offered by this gateway yet"),
            reason: ValidationReason::FieldValidationFailed,
            fields: Vec::new(),
        }
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Validation { .. } => 400,
            Self::Unauthorized { .. } => 401,
            Self::ServiceQuotaExceeded { .. } => 402,
            Self::AccessDenied { .. } | Self::Signature { .. } => 403,
            Self::ResourceNotFound { .. } | Self::UnknownOperation => 404,
            Self::Conflict { .. } => 409,
            Self::Throttling { .. } => 429,
            Self::Internal { .. } => 500,
        }
    }

    /// The shape's name in the service model, for `x-amzn-ErrorType`.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Validation { .. } => "ValidationException",
            Self::Unauthorized { .. } => "UnauthorizedException",
            Self::ServiceQuotaExceeded { .. } => "ServiceQuotaExceededException",
            Self::AccessDenied { .. } => "AccessDeniedException",
            Self::Signature { failure: SignatureFailure::Missing, .. } => "MissingAuthenticationTokenException",
            Self::Signature { failure: SignatureFailure::UnknownKey, .. } => "UnrecognizedClientException",
            Self::Signature { failure: SignatureFailure::Incomplete, .. } => "IncompleteSignatureException",
            Self::Signature { failure: SignatureFailure::Invalid, .. } => "InvalidSignatureException",
            Self::ResourceNotFound { .. } => "ResourceNotFoundException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::Conflict { .. } => "ConflictException",
            Self::Throttling { .. } => "ThrottlingException",
            Self::Internal { .. } => "InternalServerException",
        }
    }

    /// What only the log may say.
    pub fn log_detail(&self) -> Option<&str> {
        match self {
            Self::Internal { detail } => Some(detail),
            _ => None,
        }
    }

    /// Everything that the client gets.
    pub fn reply(&self) -> ErrorReply {
        let mut body = json!({"message": self.to_string()});
        if let Self::Validation { reason, fields, .. } = self {
            body["reason"] = json!(reason);
            if !fields.is_empty() {
                let list = fields.iter().map(|field| json!({"name": field.path, "message": field.message}));
                body["fieldList"] = list.collect();
            }
        }
        ErrorReply { status: self.status(), error_type: self.error_type(), body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validation_error_names_its_members_in_the_message_and_in_the_list() {
        let reply = ControlError::field("name", "is required").reply();
        assert_eq!(reply.status, 400);
        assert_eq!(reply.error_type, "ValidationException");
        assert_eq!(
            reply.body,
            json!({
                "message": "`name` is required",
                "reason": "FieldValidationFailed",
                "fieldList": [{"name": "name", "message": "is required"}],
            })
        );
    }

    #[test]
    fn a_long_list_of_members_is_cut_in_the_message_only() {
        let fields: Vec<_> = (0..7).map(|at| FieldError::new(format!("m{at}"), "is wrong")).collect();
        let body = ControlError::fields(fields).reply().body;
        assert_eq!(body["fieldList"].as_array().map(Vec::len), Some(7));
        let message = body["message"].as_str().unwrap();
        assert!(message.contains("`m4` is wrong") && !message.contains("m5"), "{message}");
        assert!(message.ends_with("; and 2 more, see `fieldList`"), "{message}");
    }

    #[test]
    fn an_internal_error_keeps_its_detail_for_the_log() {
        let error = ControlError::Internal { detail: "no space on /var/lib".to_owned() };
        assert!(!error.reply().body.to_string().contains("/var/lib"));
        assert!(!error.to_string().contains("/var/lib"));
        assert_eq!(error.log_detail(), Some("no space on /var/lib"));
        assert_eq!((error.status(), error.error_type()), (500, "InternalServerException"));
    }

    #[test]
    fn reasons_have_the_words_of_the_model() {
        assert_eq!(json!(ValidationReason::IdempotentParameterMismatch), json!("IdempotentParameterMismatchException"));
        assert_eq!(json!(ValidationReason::CannotParse), json!("CannotParse"));
    }
}
