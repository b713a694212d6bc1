//! Why a token does not open a gateway, and what its bearer is told.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::challenge::{Challenge, ErrorCode};

/// Why a token does not open a gateway. Displayed texts are for the client: they name the check and the remedy, never a
/// part of the token; [`JwtError::detail`] is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// No token came.
    #[error("an access token is needed: send `Authorization: Bearer …`")]
    Missing,
    /// Longer than any token should be.
    #[error("the token has more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// No JWT (RFC 7519) in compact form, or a claim that is not what its registration says.
    #[error("the token is not a signed JWT: {0}")]
    Malformed(&'static str),
    /// `alg` is `none`, symmetric, or unknown.
    #[error("the token must be signed with RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA")]
    Algorithm,
    /// `crit` asks for something that is not understood (RFC 7515, 4.1.11).
    #[error("the token's header has critical extensions, and none is supported")]
    Critical,
    /// An ID token, a logout token or the like (RFC 9068, 4; RFC 8725, 3.11).
    #[error("the token is not an access token")]
    Kind,
    /// The key is not known, and it is too early to ask the issuer for newer ones.
    #[error(
        "the token is signed with a key that is not known yet, and the authorization server was asked a moment ago; try \
         again in {} s", .retry_after.as_secs().max(1)
    )]
    KeyPending {
        /// When it may be asked again.
        retry_after: Duration,
    },
    /// The issuer has no such key.
    #[error("the token is signed with a key that its issuer does not publish")]
    UnknownKey,
    /// The issuer's key of that name is for another algorithm.
    #[error("the token's algorithm is not the one of its key")]
    KeyMismatch,
    /// Forged, damaged, or signed by somebody else.
    #[error("the token's signature is wrong")]
    Signature,
    /// `iss` is not the issuer of the discovery document.
    #[error("the token was not issued by this gateway's authorization server")]
    Issuer,
    /// `exp` is past.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// A claim that must be there is not.
    #[error("the token has no `{0}` claim")]
    MissingClaim(&'static str),
    /// `aud` names somebody else.
    #[error("the token was not issued for this gateway: its audience is another one")]
    Audience,
    /// The client may not call this gateway.
    #[error("the token was issued to a client that may not call this gateway")]
    Client,
    /// A custom claim does not match.
    #[error("the token's claim `{name}` does not allow calling this gateway")]
    Claim {
        /// Which.
        name: Box<str>,
    },
    /// None of the allowed scopes was granted.
    #[error("the token lacks a scope that this gateway needs")]
    Scope {
        /// What to ask for, as it is advertised.
        needed: Arc<[Box<str>]>,
    },
    /// The keys of the issuer cannot be had, so that nothing can be said about the token.
    #[error("the authorization server cannot be reached at the moment, so tokens cannot be checked; try again later")]
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
        /// For the log.
        detail: Arc<str>,
    },
}

// === impl JwtError ===

impl JwtError {
    /// The HTTP status: 401 where another token is needed, 403 where this one is good and not enough, 503 where nothing
    /// can be said (RFC 6750, 3.1).
    pub fn status(&self) -> u16 {
        match self {
            Self::Claim { .. } | Self::Scope { .. } => 403,
            Self::Unavailable { .. } | Self::KeyPending { .. } => 503,
            _ => 401,
        }
    }

    /// What stands in `WWW-Authenticate`; none where a challenge would help nobody.
    pub fn challenge(&self) -> Option<Challenge> {
        let challenge = match self {
            // RFC 6750, 3.1: who sent no credential is not told of an error.
            Self::Missing => Challenge::new(),
            // `insufficient_scope` would send clients for scopes that do not help, and their users through a sign-in each time.
            Self::Claim { .. } => Challenge::new().error(ErrorCode::AccessDenied).description(self.to_string()),
            Self::Scope { needed } => {
                Challenge::new().error(ErrorCode::InsufficientScope).description(self.to_string()).scopes(needed)
            }
            Self::Unavailable { .. } | Self::KeyPending { .. } => return None,
            _ => Challenge::new().error(ErrorCode::InvalidToken).description(self.to_string()),
        };
        Some(challenge)
    }

    /// For `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } | Self::KeyPending { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// What happened, for the operator.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Unavailable { detail, .. } => Some(detail),
            _ => None,
        }
    }

    /// A stable word for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::TooLarge { .. } => "token_too_large",
            Self::Malformed(_) => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::Critical => "token_critical_header",
            Self::Kind => "token_kind",
            Self::KeyPending { .. } => "token_key_pending",
            Self::UnknownKey => "token_key_unknown",
            Self::KeyMismatch => "token_key_mismatch",
            Self::Signature => "token_signature",
            Self::Issuer => "token_issuer",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::MissingClaim(_) => "token_claim_missing",
            Self::Audience => "token_audience",
            Self::Client => "token_client",
            Self::Claim { .. } => "token_claim",
            Self::Scope { .. } => "token_scope",
            Self::Unavailable { .. } => "issuer_unavailable",
        }
    }
}
