//! The answer of a client to a question: `ElicitResult`.

use serde_json::value::RawValue;

use super::schema::SchemaError;
use crate::json::RawJson;
use crate::members::Members;

/// What the person did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Filled in the form, or agreed to open the page (then without content, and the interaction goes on).
    Accept(Option<RawJson>),
    /// Said no.
    Decline,
    /// Closed the question without a choice.
    Cancel,
}

/// What is wrong with an answer. The texts name properties, never values, and are for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not an object, or one with a duplicate member.
    #[error("the answer must be an object without duplicate members")]
    NotAnObject,
    /// `action` is none of the three.
    #[error("`action` must be `accept`, `decline` or `cancel`")]
    Action,
    /// `content` is not an object, or one with duplicates.
    #[error("`content` must be an object without duplicate members")]
    Content,
    /// An accepted form without content.
    #[error("`content` is missing")]
    NoContent,
    /// Longer than [`super::validate::MAX_CONTENT`].
    #[error("`content` has {0} bytes, at most {max} are allowed", max = super::validate::MAX_CONTENT)]
    TooLong(usize),
    /// A property does not fit what was asked.
    #[error("`{property}` {reason}")]
    Property {
        /// Which one; shortened where it is long.
        property: String,
        /// What it must be.
        reason: String,
    },
    /// The content as a whole does not fit what was asked.
    #[error("the content {0}")]
    Whole(String),
    /// The question itself cannot be used: the target's fault, not the client's.
    #[error("the requested schema cannot be used: {0}")]
    Schema(#[from] SchemaError),
}

// === impl Answer ===

impl Answer {
    /// The word on the wire.
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Accept(_) => "accept",
            Self::Decline => "decline",
            Self::Cancel => "cancel",
        }
    }
}

/// Reads the result of an `elicitation/create`. `content` is read with `accept` only; elsewhere it means nothing and
/// passes as it came.
///
/// # Errors
/// Where the shape is wrong; the values are [`super::check_answer`]'s business.
pub fn parse_answer(result: &RawJson) -> Result<Answer, AnswerError> {
    let members = Members::of(result).map_err(|_| AnswerError::NotAnObject)?;
    match members.get_str("action").as_deref() {
        Some("accept") => match members.get("content").map(RawValue::get) {
            // Several SDKs write what is absent as null.
            None | Some("null") => Ok(Answer::Accept(None)),
            Some(raw) => {
                Members::of_str(raw).map_err(|_| AnswerError::Content)?;
                Ok(Answer::Accept(Some(RawJson::trusted(raw.to_owned()))))
            }
        },
        Some("decline") => Ok(Answer::Decline),
        Some("cancel") => Ok(Answer::Cancel),
        _ => Err(AnswerError::Action),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Answer, AnswerError> {
        parse_answer(&RawJson::parse(text.to_owned()).unwrap())
    }

    #[test]
    fn the_three_actions_are_told_apart() {
        let content = RawJson::parse(r#"{ "a":1.50 }"#).unwrap();
        assert_eq!(
            parse(r#"{"action":"accept","content":{ "a":1.50 },"_meta":{}}"#),
            Ok(Answer::Accept(Some(content)))
        );
        assert_eq!(parse(r#"{"action":"accept"}"#), Ok(Answer::Accept(None)));
        assert_eq!(parse(r#"{"action":"decline","content":null}"#), Ok(Answer::Decline));
        assert_eq!(parse(r#"{"action":"cancel"}"#), Ok(Answer::Cancel));
    }

    #[test]
    fn other_shapes_are_refused() {
        assert_eq!(parse("[]"), Err(AnswerError::NotAnObject));
        assert_eq!(parse("{}"), Err(AnswerError::Action));
        assert_eq!(parse(r#"{"action":"Accept"}"#), Err(AnswerError::Action));
        assert_eq!(parse(r#"{"action":"decline","action":"accept"}"#), Err(AnswerError::NotAnObject));
        assert_eq!(parse(r#"{"action":"accept","content":[]}"#), Err(AnswerError::Content));
        assert_eq!(parse(r#"{"action":"accept","content":{"a":1,"a":2}}"#), Err(AnswerError::Content));
    }
}
