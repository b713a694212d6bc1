//! Why an interceptor refused a request without wanting to.

use std::time::Duration;

use sessiongate_targets::aws::InvokeError;

use super::contract::Nonsense;

/// An interceptor did not say what to do, so that nothing is done. The displayed text is for the client and names neither
/// the interceptor nor what it said; [`InterceptError::detail`] is for the log.
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
            Self::NotSetUp => "interceptor_not_set_up",
        }
    }

    /// The HTTP status, where an answer has not begun.
    pub fn status(&self) -> u16 {
        match self {
            Self::Late(_) => 504,
            Self::Failed(_) | Self::Nonsense(_) => 502,
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
            Self::NotSetUp => "it could not be set up when the gateway was".into(),
        }
    }
}
