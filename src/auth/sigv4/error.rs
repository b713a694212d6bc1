//! Why a signature was refused: one sentence for the caller, another for the log.

use std::time::{Duration, SystemTime};

use super::instant;

/// A refused request. `Display` is for the caller: it says what to fix and shows neither a secret nor the signature
/// that would have been right. [`SigV4Error::log_detail`] is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigV4Error {
    /// No signature at all.
    #[error(
        "the request carries no AWS Signature Version 4: sign it for the service bedrock-agentcore and send the \
         signature in the Authorization header"
    )]
    Missing,
    /// The signature is not well formed.
    #[error("the signature is incomplete or not well formed: {0}")]
    Incomplete(Malformed),
    /// The credential scope names another service, region or day.
    #[error("the credential scope does not fit: {0}")]
    Scope(ScopeFault),
    /// Signed too long ago.
    #[error(
        "Signature expired: it was valid until {}, and the clock of the gateway says {}; sign each attempt anew and \
         set the clock of the client", instant::text(*.until), instant::text(*.now)
    )]
    Expired {
        /// The last moment at which it was good.
        until: SystemTime,
        /// The gateway's clock.
        now: SystemTime,
    },
    /// Signed in the future.
    #[error(
        "Signature not yet current: it was made at {}, and the clock of the gateway says {}; at most {} s are allowed: \
         set the clock of the client", instant::text(*.signed_at), instant::text(*.now), .skew.as_secs()
    )]
    NotYetValid {
        /// What the request says.
        signed_at: SystemTime,
        /// The gateway's clock.
        now: SystemTime,
        /// What the policy allows.
        skew: Duration,
    },
    /// A header that matters was sent outside of the signature.
    #[error("the header {0} is sent but not signed: add it to SignedHeaders, or do not send it")]
    UnsignedHeader(Box<str>),
    /// A header was signed but did not arrive.
    #[error("the header {0} is signed but did not arrive: no proxy on the way may remove it")]
    AbsentHeader(Box<str>),
    /// What is said about the body is wrong or not allowed.
    #[error("{0}")]
    Payload(PayloadFault),
    /// The path has empty or dot segments. Signers sign the shortened path, so such a request could be made out of
    /// another one without breaking its signature.
    #[error("the path has an empty, `.` or `..` segment: send it in its shortest form")]
    Path,
    /// No such access key.
    #[error("the access key id is not known to this gateway: check the credentials of the client")]
    UnknownKey {
        /// As the client sent it (of the safe alphabet). For the log.
        access_key_id: Box<str>,
    },
    /// The signature is another one than the secret of this key makes.
    #[error(
        "the signature does not match the request: check the secret access key, and that no proxy on the way changes \
         the method, path, query, body or one of the signed headers ({signed_headers})"
    )]
    Mismatch {
        /// Whose key was named. For the log.
        access_key_id: Box<str>,
        /// What the client says it signed.
        signed_headers: Box<str>,
        /// SHA-256 (hex) of the canonical request as the gateway sees it; a client's debug log shows its own. For the log.
        canonical_hash: Box<str>,
    },
    /// The right signature, but not the session token of the key.
    #[error("the session token of the request is not good: {0}")]
    SessionToken(TokenFault),
    /// The same signature came before, longer ago than a burst of equal requests takes.
    #[error("the signature was used before: sign each attempt anew")]
    Replayed {
        /// Whose key signed. For the log.
        access_key_id: Box<str>,
    },
    /// Made before the process started that has to decide about it: the one before may have taken it.
    #[error(
        "the signature was made at {}, and the gateway started at {}, so that it cannot tell whether the signature was used \
         before: sign each attempt anew; a client whose clock is slow gets in when its clock has come to that time",
        instant::text(*.signed_at), instant::text(*.started)
    )]
    BeforeStart {
        /// Whose key signed. For the log.
        access_key_id: Box<str>,
        /// What the request says.
        signed_at: SystemTime,
        /// Since when the process remembers.
        started: SystemTime,
    },
}

/// What of a signature is not well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum Malformed {
    #[error("more than one Authorization header")]
    TwoAuthorizations,
    #[error("Authorization header and X-Amz query parameters at the same time")]
    TwoForms,
    #[error("the algorithm must be AWS4-HMAC-SHA256")]
    Algorithm,
    #[error("Authorization needs Credential, SignedHeaders and Signature, each once, parted by commas")]
    Authorization,
    #[error(
        "a presigned request needs X-Amz-Credential, X-Amz-Date, X-Amz-Expires, X-Amz-SignedHeaders and X-Amz-Signature, each once"
    )]
    Presigned,
    #[error("presigned requests are not accepted here: sign with the Authorization header")]
    NoPresigned,
    #[error("X-Amz-Expires must be a number of seconds between 1 and the longest time this gateway accepts")]
    Expires,
    #[error("Credential must be {{access key id}}/{{yyyymmdd}}/{{region}}/{{service}}/aws4_request")]
    Credential,
    #[error("SignedHeaders must be lower-case names in ascending order, each once, parted by semicolons")]
    SignedHeaders,
    #[error("SignedHeaders must contain host")]
    HostNotSigned,
    #[error("the Host header is missing, is there twice, or differs from the authority of the request")]
    Host,
    #[error("Signature must be 64 lower-case hexadecimal digits")]
    Signature,
    #[error("a signed X-Amz-Date (yyyymmddThhmmssZ) or Date header is needed, once")]
    Date,
    #[error("a header that describes the signature is there twice")]
    Twice,
    #[error("method, path, query or a header is too long or has characters that may not be there")]
    Request,
}

/// How a credential scope does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum ScopeFault {
    #[error("its date is not the day of the request's date")]
    Date,
    #[error("its region must be {0}")]
    Region(Box<str>),
    #[error("its service must be {0}")]
    Service(Box<str>),
}

/// What is wrong about the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum PayloadFault {
    #[error("the body is not the one that was signed: its SHA-256 differs from X-Amz-Content-SHA256")]
    Differs,
    #[error("X-Amz-Content-SHA256 must be the SHA-256 of the body in hexadecimal digits")]
    NotAHash,
    #[error("unsigned bodies (UNSIGNED-PAYLOAD) are not accepted here: sign the body")]
    Unsigned,
    #[error("bodies signed in chunks (STREAMING-…) are not accepted here: sign the whole body")]
    Streaming,
}

/// How a session token does not fit its key. Said only after the signature proved right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum TokenFault {
    #[error("this access key needs one, set AWS_SESSION_TOKEN")]
    Missing,
    #[error("this access key has none, unset AWS_SESSION_TOKEN")]
    Unexpected,
    #[error("it is another one than this access key has")]
    Differs,
}

// === impl SigV4Error ===

impl SigV4Error {
    /// The HTTP status: 403, but for what a client of AWS should try again by itself.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::BeforeStart { .. } => 429,
            _ => 403,
        }
    }

    /// For `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::BeforeStart { signed_at, started, .. } => started.duration_since(*signed_at).ok(),
            _ => None,
        }
    }

    /// The value of `x-amzn-ErrorType`.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Incomplete(_) | Self::UnsignedHeader(_) | Self::AbsentHeader(_) => "IncompleteSignatureException",
            Self::UnknownKey { .. } | Self::SessionToken(_) => "UnrecognizedClientException",
            // Each SDK takes this as a reason to sign anew and send again.
            Self::BeforeStart { .. } => "ThrottlingException",
            Self::Scope(_)
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::Payload(_)
            | Self::Path
            | Self::Mismatch { .. }
            | Self::Replayed { .. } => "InvalidSignatureException",
        }
    }

    /// What an operator wants to know beyond the message. Holds no secret.
    #[must_use]
    pub fn log_detail(&self) -> String {
        match self {
            Self::UnknownKey { access_key_id } | Self::Replayed { access_key_id } => {
                format!("access key id {access_key_id}")
            }
            Self::BeforeStart { access_key_id, .. } => format!("access key id {access_key_id}: {self}"),
            Self::Mismatch { access_key_id, signed_headers, canonical_hash } => format!(
                "access key id {access_key_id}, signed headers {signed_headers}, canonical request hash {canonical_hash}"
            ),
            other => other.to_string(),
        }
    }
}

impl From<Malformed> for SigV4Error {
    fn from(fault: Malformed) -> Self {
        Self::Incomplete(fault)
    }
}

impl From<PayloadFault> for SigV4Error {
    fn from(fault: PayloadFault) -> Self {
        Self::Payload(fault)
    }
}

impl From<ScopeFault> for SigV4Error {
    fn from(fault: ScopeFault) -> Self {
        Self::Scope(fault)
    }
}
