//! Code of the operator's that sees each request and each answer of a gateway.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{self, Endpoint};

/// Code of the operator's that sees messages on their way through a gateway, and may change or refuse them: an AWS Lambda
/// function (`lambda`), or a hook that is asked over HTTP with the same JSON (`url`). One that fails, is late or answers
/// nonsense refuses the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InterceptorConfig {
    /// The ARN of a function, with or without a version or alias. It is invoked with the credentials of `aws`, at its
    /// public endpoint or at what `endpoints` says for `lambda` or for this ARN. Since 0.1.
    #[serde(default)]
    pub lambda: Option<String>,
    /// The URL of a hook; it may be private, and plain HTTP. Since 0.1.
    #[serde(default)]
    pub url: Option<Endpoint>,
    /// What it sees. Each point has one interceptor at most. Since 0.1.
    #[schemars(length(min = 1, max = 2))]
    pub points: Vec<InterceptionPoint>,
    /// Whether it is told the headers of requests, credentials and session ids among them. Since 0.1.
    #[serde(default)]
    pub pass_request_headers: bool,
    /// Whether the bodies of answers are kept from it; it can still change their status and headers. Since 0.1.
    #[serde(default)]
    pub exclude_response_body: bool,
    /// How long one invocation may take, connecting included: 100ms to 15m. Since 0.1.
    #[serde(default = "timeout", with = "units::duration")]
    #[schemars(with = "units::duration::Text")]
    pub timeout: Duration,
}

/// What an interceptor sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InterceptionPoint {
    /// Requests, after it is clear who calls and before anything is done.
    Request,
    /// Answers, before the client gets them.
    Response,
}

// === impl InterceptorConfig ===

impl InterceptorConfig {
    /// A function at these points, with defaults.
    #[must_use]
    pub fn lambda(arn: impl Into<String>, points: Vec<InterceptionPoint>) -> Self {
        Self {
            lambda: Some(arn.into()),
            url: None,
            points,
            pass_request_headers: false,
            exclude_response_body: false,
            timeout: timeout(),
        }
    }
}

impl fmt::Display for InterceptionPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Response => "response",
        })
    }
}

fn timeout() -> Duration {
    Duration::from_secs(10)
}
