//! Why an interceptor refused a request without wanting to.

use std::time::Duration;

use sessiongate_protocol::codes;
use sessiongate_targets::aws::{InvokeError, PAYLOAD_LIMIT};

use super::contract::Nonsense;

/// An interceptor did not say what to do, so that nothing is done. The displayed text is for the client and names neither
/// the interceptor nor what it said; [`InterceptError::detail`] is for the log, where arguments and results do not belong
/// either.
#[derive(Debug, thiserror::Error)]
pub enum InterceptError {
    /// It did not answer in time.
    #[error(
        "the gateway's interceptor did not answer within {0:?}: the request is refused; tell the gateway's operator"
    )]
    Late(Duration),
    /// It could not be asked, or failed.
    #[error("the gateway's interceptor failed: the request is refused; tell the gateway's operator")]
    Failed(#[source] InvokeError),
    /// It answered something that cannot be done.
    #[error(
        "the gateway's interceptor gave an answer that cannot be used: the request is refused; tell the gateway's operator"
    )]
    Nonsense(#[from] Nonsense),
    /// The request is more than a function can be given.
    #[error(
        "the request is larger than the gateway's interceptor can be given: {PAYLOAD_LIMIT} bytes, in which a request is \
         twice; send less"
    )]
    RequestTooLarge,
    /// The answer is.
    #[error(
        "the answer is larger than the gateway's interceptor can be given: it is refused; ask for less, or tell the \
         gateway's operator"
    )]
    AnswerTooLarge,
    /// The gateway cannot ask it.
    #[error("the gateway's interceptor cannot be asked: the request is refused; tell the gateway's operator")]
    NotSetUp,
}

// === impl InterceptError ===

impl InterceptError {
    /// What it said cannot be carried out.
    pub(super) fn unusable(why: &'static str) -> Self {
        Self::Nonsense(Nonsense::new(why))
    }

    /// A stable word for logs, metrics and `error.data.reason`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Late(_) => "interceptor_timeout",
            Self::Failed(_) => "interceptor_failed",
            Self::Nonsense(_) => "interceptor_nonsense",
            Self::RequestTooLarge => "interceptor_request_too_large",
            Self::AnswerTooLarge => "interceptor_answer_too_large",
            Self::NotSetUp => "interceptor_not_set_up",
        }
    }

    /// The code of the JSON-RPC error.
    pub fn rpc_code(&self) -> i64 {
        match self {
            Self::RequestTooLarge => codes::INVALID_REQUEST,
            _ => codes::INTERNAL_ERROR,
        }
    }

    /// Nothing is wrong with the interceptor.
    pub(super) fn is_of_client(&self) -> bool {
        matches!(self, Self::RequestTooLarge)
    }

    /// The HTTP status, where an answer has not begun.
    pub fn status(&self) -> u16 {
        match self {
            Self::Late(_) => 504,
            Self::Failed(_) | Self::Nonsense(_) | Self::AnswerTooLarge => 502,
            Self::RequestTooLarge => 413,
            Self::NotSetUp => 500,
        }
    }

    /// What happened, for the operator.
    pub fn detail(&self) -> String {
        match self {
            Self::Failed(error) => match error.detail() {
                Some(detail) => format!("{error}: {detail}"),
                None => error.to_string(),
            },
            Self::Nonsense(what) => what.to_string(),
            Self::Late(_) => "it was too late".into(),
            Self::RequestTooLarge | Self::AnswerTooLarge => {
                format!("a function takes {PAYLOAD_LIMIT} bytes; a hook (`url`) takes more")
            }
            Self::NotSetUp => "it could not be set up when the gateway was".into(),
        }
    }
}
