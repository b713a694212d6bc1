//! Questions to the person behind a client: `elicitation/create` and what belongs to it, in every revision.
//!
//! The gateway reads a question to protect the client (flat schemas, bounded sizes, modes that were declared) and an
//! answer to protect the target; it never rewrites an answer, and never rewrites, opens or logs a URL.

pub mod answer;
pub mod attribution;
pub mod capability;
pub mod downgrade;
pub mod schema;
pub mod url_required;
pub mod validate;

pub use answer::{Answer, AnswerError, parse_answer};
pub use attribution::attributed;
pub use capability::ElicitationCapability;
pub use downgrade::{DowngradeError, for_client};
pub use schema::{Field, FieldKind, FormSchema, SchemaError};
pub use url_required::UrlRequired;
pub use validate::check_answer;

use crate::json::RawJson;
use crate::meta::{ParamsError, members, text_of};

/// How a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The client shows a form.
    Form,
    /// The client opens a page, with the person's consent.
    Url,
}

// === impl Mode ===

impl Mode {
    /// The mode of the params of an `elicitation/create`; without one it is a form (2025-11-25, elicitation).
    ///
    /// # Errors
    /// Where `params` cannot be read or the mode is unknown: -32602.
    pub fn of(params: &RawJson) -> Result<Self, ParamsError> {
        let members = members(params)?;
        if members.get("mode").is_none_or(|raw| raw.get() == "null") {
            return Ok(Self::Form);
        }
        match text_of(&members, "mode")?.as_ref() {
            "form" => Ok(Self::Form),
            "url" => Ok(Self::Url),
            _ => Err(ParamsError::WrongType { member: "mode", expected: "`form` or `url`" }),
        }
    }
}

/// `params.elicitationId` of a URL elicitation and of `notifications/elicitation/complete`.
///
/// # Errors
/// Where it is missing or no string, or `params` cannot be read.
pub fn elicitation_id(params: &RawJson) -> Result<String, ParamsError> {
    Ok(text_of(&members(params)?, "elicitationId")?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mode_is_a_form() {
        let of = |text: &str| Mode::of(&RawJson::parse(text.to_owned()).unwrap());
        assert_eq!(of("{}"), Ok(Mode::Form));
        assert_eq!(of(r#"{"mode":"form"}"#), Ok(Mode::Form));
        assert_eq!(of(r#"{"mode":"url"}"#), Ok(Mode::Url));
        assert!(of(r#"{"mode":"voice"}"#).is_err());
        assert!(of(r#"{"mode":1}"#).is_err());
        assert!(of(r#"{"mode":"form","mode":"url"}"#).is_err());
    }
}
