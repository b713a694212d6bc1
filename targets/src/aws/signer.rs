//! Signing what the gateway itself sends: Lambda, S3, STS, targets behind IAM.

use std::fmt;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// What a signature consists of. An earlier attempt may have left some, which must not be signed beside the new.
const OF_SIGNATURE: [&str; 4] = ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];

/// Signs requests for one service in one region.
#[derive(Clone)]
pub struct Signer {
    credentials: Credentials,
    region: Box<str>,
    service: Box<str>,
}

/// Why a request was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A header cannot be signed.
    #[error("the header {0} has other characters than printable ASCII and cannot be signed")]
    Header(HeaderName),
    /// The body is a stream.
    #[error("a body that is streamed cannot be signed")]
    Stream,
    /// The signing library refused.
    #[error("the request could not be signed")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A request that is to be signed.
#[derive(Clone, Copy)]
pub struct ToSign<'a> {
    /// In upper case.
    pub method: &'a str,
    /// Absolute. For S3 the path is signed as it stands: give it in the spelling of
    /// [`encode_path`].
    pub url: &'a Url,
    /// All of them are signed but `authorization`, `user-agent`, `transfer-encoding` and `x-amzn-trace-id`.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
}

/// All but the unreserved characters of RFC 3986, and the slash.
const RESERVED_IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Encodes a text for a path whose spelling is signed as it stands (S3 keys): all but unreserved characters and `/`.
#[must_use]
pub fn encode_path(text: &str) -> String {
    percent_encode(text.as_bytes(), RESERVED_IN_PATH).to_string()
}

// === impl Signer ===

impl Signer {
    /// A signer with static or temporary credentials.
    #[must_use]
    pub fn new(
        access_key_id: &str,
        secret: &SecretString,
        session_token: Option<&SecretString>,
        region: &str,
        service: &str,
    ) -> Self {
        let token = session_token.map(|token| token.expose_secret().to_owned());
        let credentials = Credentials::new(access_key_id, secret.expose_secret(), token, None, "sessiongate");
        Self { credentials, region: region.into(), service: service.into() }
    }

    /// The headers that make a request a signed one, in place of those that an earlier attempt left. Each attempt is
    /// signed anew.
    pub fn sign(&self, request: &ToSign<'_>, now: SystemTime) -> Result<HeaderMap, SignError> {
        let refused = |error: Box<dyn std::error::Error + Send + Sync>| SignError::Refused(error);
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(now)
            .settings(self.settings())
            .build()
            .map_err(|error| refused(error.into()))?
            .into();
        let mut headers = Vec::with_capacity(request.headers.len());
        for (name, value) in request.headers {
            if OF_SIGNATURE.contains(&name.as_str()) {
                continue;
            }
            headers.push((name.as_str(), value.to_str().map_err(|_| SignError::Header(name.clone()))?));
        }
        let signable = SignableRequest::new(
            request.method,
            request.url.as_str(),
            headers.into_iter(),
            SignableBody::Bytes(request.body),
        )
        .map_err(|error| refused(error.into()))?;
        let (instructions, _) = sign(signable, &params).map_err(|error| refused(error.into()))?.into_parts();
        let mut signed = HeaderMap::new();
        for (name, text) in instructions.headers() {
            let name = HeaderName::try_from(name).map_err(|error| refused(error.into()))?;
            let mut value = HeaderValue::try_from(text).map_err(|error| refused(error.into()))?;
            value.set_sensitive(true);
            signed.insert(name, value);
        }
        Ok(signed)
    }

    /// Signs a request in place. Its body must be whole, not a stream.
    pub fn apply(&self, request: &mut reqwest::Request, now: SystemTime) -> Result<(), SignError> {
        let body = match request.body() {
            None => &[],
            Some(body) => body.as_bytes().ok_or(SignError::Stream)?,
        };
        let outbound =
            ToSign { method: request.method().as_str(), url: request.url(), headers: request.headers(), body };
        let signed = self.sign(&outbound, now)?;
        let headers = request.headers_mut();
        OF_SIGNATURE.iter().for_each(|name| drop(headers.remove(*name)));
        headers.extend(signed);
        Ok(())
    }

    /// S3 alone takes the path as it stands and wants to be told the hash of the body.
    fn settings(&self) -> SigningSettings {
        let mut settings = SigningSettings::default();
        if matches!(&*self.service, "s3" | "s3express" | "s3-outposts" | "s3-object-lambda") {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        settings
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("access_key_id", &self.credentials.access_key_id())
            .field("region", &self.region)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}
