//! The one place where a refusal becomes an HTTP status and a JSON-RPC error.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, ResponseError};
use sessiongate_actors::SessionError;
use sessiongate_protocol::{ParseError, RequestId, codes, jsonrpc};

use crate::auth::challenge::{Challenge, ErrorCode};
use crate::auth::jwt::JwtError;
use crate::auth::sigv4::SigV4Error;
use crate::gateway::OverRate;
use crate::intercept::InterceptError;

/// Chooses one of a gateway's domains for the URLs that it tells (AgentCore's `domainOverride`).
pub const DOMAIN: &str = "x-amzn-bedrock-agentcore-gateway-domain";
/// What AWS's clients make their exceptions of.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Why a request was not served. The displayed text is for the client.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No gateway has this path.
    #[error("no gateway is served at this path")]
    NoGateway,
    /// `Host` or `Origin` is not one that this listener serves (DNS rebinding).
    #[error("`{header}` {value} is not allowed here; see `allowed_hosts` and `allowed_origins`")]
    Forbidden {
        /// Which header.
        header: &'static str,
        /// What it said.
        value: String,
    },
    /// No credential.
    #[error("a valid API key is needed: send `Authorization: Bearer …`")]
    Unauthorized,
    /// An unknown one.
    #[error("the API key is not one of this gateway")]
    UnknownKey,
    /// A token is missing, or does not open the gateway.
    #[error("{error}")]
    Token {
        /// Why.
        error: Box<JwtError>,
        /// `WWW-Authenticate`.
        challenge: Option<Box<str>>,
    },
    /// A token stands in the URL, where logs and histories keep it.
    #[error("a token in the URL is not accepted: send it as `Authorization: Bearer …`")]
    TokenInQuery {
        /// `WWW-Authenticate`.
        challenge: Option<Box<str>>,
    },
    /// The signature of the request is missing or not good.
    #[error("{0}")]
    Signature(Box<SigV4Error>),
    /// It is known who calls, and they may not.
    #[error("{0}")]
    AccessDenied(String),
    /// The gateway's authorizer cannot be used.
    #[error("the authorizer of this gateway cannot be used at the moment; its operator finds the reason in the log")]
    NoAuthorizer,
    /// The header that chooses one of a gateway's domains names another one.
    #[error("`{DOMAIN}` must be one of the domains of this gateway")]
    Domain,
    /// There is no such document: no gateway there asks for tokens.
    #[error("no gateway with an authorization server is served there")]
    NoMetadata,
    /// The method is not offered.
    #[error("{method} is not offered here")]
    Method {
        /// Which.
        method: String,
        /// What is.
        allow: &'static str,
    },
    /// `Accept` leaves nothing that could be sent.
    #[error("`Accept` must list {0}")]
    NotAcceptable(&'static str),
    /// `Content-Type` is not JSON.
    #[error("`Content-Type` must be `application/json`")]
    UnsupportedMedia,
    /// The body is larger than allowed.
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// The body could not be read.
    #[error("the body could not be read")]
    BodyBroken,
    /// The body is no message.
    #[error("{0}")]
    Parse(#[from] ParseError),
    /// A header is missing or wrong.
    #[error("{0}")]
    Header(String),
    /// The message is not allowed here.
    #[error("{reason}")]
    Invalid {
        /// Why.
        reason: String,
        /// The id to echo.
        id: Option<RequestId>,
    },
    /// The session refused.
    #[error("{error}")]
    Session {
        /// Why.
        error: SessionError,
        /// The id to echo.
        id: Option<RequestId>,
    },
    /// More requests than the gateway takes.
    #[error("{error}")]
    OverRate {
        /// Which way.
        error: OverRate,
        /// The id to echo.
        id: Option<RequestId>,
    },
    /// An interceptor did not say what is to become of the request.
    #[error("{error}")]
    Intercepted {
        /// Why.
        error: InterceptError,
        /// The id to echo.
        id: Option<RequestId>,
    },
    /// The request came through this gateway before, or through very many.
    #[error(
        "the request came through this gateway before, or through too many others: a target leads back to the gateway that \
         asks it; take that target away"
    )]
    Loop,
    /// The gateway is going down.
    #[error("the gateway is shutting down: try again in a second")]
    ShuttingDown,
}

// === impl HttpError ===

impl HttpError {
    /// A refusal of a session while a request with this id was handled.
    pub fn session(error: SessionError, id: Option<&RequestId>) -> Self {
        Self::Session { error, id: id.cloned() }
    }

    /// Requests, one of them with this id, are over a rate.
    pub fn over_rate(error: OverRate, id: Option<&RequestId>) -> Self {
        Self::OverRate { error, id: id.cloned() }
    }

    /// The same for a message with this id.
    pub fn with_id(self, id: Option<&RequestId>) -> Self {
        match self {
            Self::Session { error, id: None } => Self::Session { error, id: id.cloned() },
            Self::Header(reason) => Self::Invalid { reason, id: id.cloned() },
            other => other,
        }
    }

    /// The body that an answer to a part of a batch has.
    pub fn body(&self) -> Bytes {
        let data = serde_json::json!({"reason": self.code()});
        let body = jsonrpc::error_body(self.rpc_code(), &self.to_string(), Some(&data));
        jsonrpc::response(self.id(), &body)
    }

    /// A stable word for logs, metrics and `error.data.reason`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoGateway => "no_gateway",
            Self::Forbidden { .. } => "forbidden_origin",
            Self::Unauthorized | Self::UnknownKey => "unauthorized",
            Self::Token { error, .. } => error.code(),
            Self::TokenInQuery { .. } => "token_in_query",
            Self::Signature(_) => "signature_refused",
            Self::AccessDenied(_) => "access_denied",
            Self::NoAuthorizer => "authorizer_unusable",
            Self::Domain => "unknown_domain",
            Self::NoMetadata => "no_metadata",
            Self::Method { .. } => "method_not_allowed",
            Self::NotAcceptable(_) => "not_acceptable",
            Self::UnsupportedMedia => "unsupported_media_type",
            Self::TooLarge(_) => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyBroken => "body_broken",
            Self::Parse(ParseError::NotJson(_)) => "not_json",
            Self::Parse(_) => "not_a_message",
            Self::Header(_) => "bad_header",
            Self::Invalid { .. } => "invalid_request",
            Self::Session { error, .. } => error.code(),
            Self::OverRate { error: OverRate::Now { .. }, .. } => "bound_reached",
            Self::OverRate { error: OverRate::Ever { .. }, .. } => "batch_over_rate",
            Self::Intercepted { error, .. } => error.code(),
            Self::Loop => "loop",
            Self::ShuttingDown => "shutting_down",
        }
    }

    fn rpc_code(&self) -> i64 {
        match self {
            Self::Parse(ParseError::NotJson(_)) => codes::PARSE_ERROR,
            Self::Session { error, .. } => error.rpc_code(),
            Self::ShuttingDown | Self::NoAuthorizer => codes::INTERNAL_ERROR,
            Self::Intercepted { error, .. } => error.rpc_code(),
            Self::Token { error, .. } if error.status() == 503 => codes::INTERNAL_ERROR,
            _ => codes::INVALID_REQUEST,
        }
    }

    fn id(&self) -> Option<&RequestId> {
        match self {
            Self::Parse(ParseError::NotAMessage { id, .. }) | Self::Invalid { id, .. } | Self::Session { id, .. } => {
                id.as_ref()
            }
            Self::Intercepted { id, .. } | Self::OverRate { id, .. } => id.as_ref(),
            _ => None,
        }
    }
}

impl ResponseError for HttpError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NoGateway => StatusCode::NOT_FOUND,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::Unauthorized | Self::UnknownKey => StatusCode::UNAUTHORIZED,
            Self::Token { error, .. } => {
                StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::TokenInQuery { .. } | Self::Domain => StatusCode::BAD_REQUEST,
            Self::Signature(error) => StatusCode::from_u16(error.status()).unwrap_or(StatusCode::FORBIDDEN),
            Self::AccessDenied(_) => StatusCode::FORBIDDEN,
            Self::NoAuthorizer => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoMetadata => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyBroken | Self::Parse(_) | Self::Header(_) | Self::Invalid { .. } => StatusCode::BAD_REQUEST,
            Self::Session { error, .. } => {
                StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::OverRate { error: OverRate::Now { .. }, .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::OverRate { error: OverRate::Ever { .. }, .. } => StatusCode::BAD_REQUEST,
            Self::Intercepted { error, .. } => {
                StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        metrics::counter!("sessiongate_refused_total", "reason" => self.code()).increment(1);
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((CONTENT_TYPE, "application/json"));
        match self {
            Self::Unauthorized => {
                response.insert_header((WWW_AUTHENTICATE, "Bearer"));
            }
            Self::UnknownKey => {
                let challenge = Challenge::new().error(ErrorCode::InvalidToken).description(self.to_string());
                response.insert_header((WWW_AUTHENTICATE, challenge.to_string()));
            }
            Self::Token { error, challenge } => {
                if let Some(text) = challenge {
                    response.insert_header((WWW_AUTHENTICATE, &**text));
                }
                if let Some(after) = error.retry_after() {
                    response.insert_header((RETRY_AFTER, after.as_secs().max(1)));
                }
            }
            Self::TokenInQuery { challenge: Some(text) } => {
                response.insert_header((WWW_AUTHENTICATE, &**text));
            }
            Self::Signature(error) => {
                response.insert_header((ERROR_TYPE, error.error_type()));
                if let Some(after) = error.retry_after() {
                    response.insert_header((RETRY_AFTER, after.as_secs().max(1)));
                }
            }
            Self::AccessDenied(_) => {
                response.insert_header((ERROR_TYPE, "AccessDeniedException"));
            }
            Self::Method { allow, .. } => {
                response.insert_header((ALLOW, *allow));
            }
            Self::OverRate { error, .. } => {
                if let Some(after) = error.retry_after() {
                    response.insert_header((RETRY_AFTER, after));
                }
            }
            Self::ShuttingDown
            | Self::NoAuthorizer
            | Self::Session {
                error:
                    SessionError::Overloaded | SessionError::Left | SessionError::Store(_) | SessionError::Bound { .. },
                ..
            } => {
                response.insert_header((RETRY_AFTER, "1"));
            }
            // What is left of the body is not read: the connection cannot be used again.
            Self::TooLarge(_) | Self::BodyTimeout => {
                response.force_close();
            }
            _ => {}
        }
        response.body(self.body())
    }
}
