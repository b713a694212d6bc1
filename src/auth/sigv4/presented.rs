//! What a client presents: the parts of the Authorization header or of a presigned query, read strictly.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use super::canonical::{Headers, Query};
use super::error::{Malformed, SigV4Error};
use super::instant;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Holds sixty-four signed headers with long names, and some room.
const MAX_AUTHORIZATION: usize = 8 * 1024;
const MAX_CREDENTIAL: usize = 512;
const MAX_SIGNED_HEADERS: usize = 64;
const MAX_HEADER_NAME: usize = 128;
const MAX_REGION: usize = 64;

/// Where the signature stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In the `Authorization` header.
    Header,
    /// In the query: whoever has the URL may send the request until it expires.
    Presigned,
}

/// The pieces as texts. A presigned query is percent-decoded, so they may be owned.
pub(super) struct Presented<'a> {
    pub form: Form,
    credential: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    pub signature: Cow<'a, str>,
    pub signed_at: SystemTime,
    /// How long a presigned request says it is good.
    pub lifetime: Option<Duration>,
    /// The header that gave the date; it must be signed.
    pub date_header: Option<&'static str>,
    pub session_token: Option<Cow<'a, str>>,
    /// What is claimed about the body.
    pub content_sha256: Option<Cow<'a, str>>,
}

/// Access key id and credential scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Credential<'a> {
    pub access_key_id: &'a str,
    pub date: &'a str,
    pub region: &'a str,
    pub service: &'a str,
}

// === impl Presented ===

impl<'a> Presented<'a> {
    pub(super) fn find(headers: &Headers<'a>, query: &'a Query) -> Result<Self, SigV4Error> {
        let mut authorizations = headers.all("authorization");
        let authorization = authorizations.next();
        if authorizations.next().is_some() {
            return Err(Malformed::TwoAuthorizations.into());
        }
        let presigned = query.has("x-amz-signature") || query.has("x-amz-credential") || query.has("x-amz-algorithm");
        // Bearer tokens and the like are no signature, whatever else is wrong about them.
        let signature = authorization.filter(|value| starts_with_ignore_case(value, b"AWS4-"));
        match (signature, presigned) {
            (None, false) => Err(SigV4Error::Missing),
            (None, true) if authorization.is_some() => Err(Malformed::TwoForms.into()),
            (Some(_), true) => Err(Malformed::TwoForms.into()),
            (Some(value), false) => Self::of_header(value, headers),
            (None, true) => Self::of_query(headers, query),
        }
    }

    fn of_header(value: &'a [u8], headers: &Headers<'a>) -> Result<Self, SigV4Error> {
        let text = std::str::from_utf8(value).map_err(|_| Malformed::Authorization)?;
        if text.len() > MAX_AUTHORIZATION {
            return Err(Malformed::Authorization.into());
        }
        let (algorithm, parts) = text.trim().split_once(' ').ok_or(Malformed::Authorization)?;
        if algorithm != ALGORITHM {
            return Err(Malformed::Algorithm.into());
        }
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in parts.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or(Malformed::Authorization)?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(Malformed::Authorization.into()),
            };
            if place.replace(Cow::Borrowed(value)).is_some() {
                return Err(Malformed::Authorization.into());
            }
        }
        let (Some(credential), Some(signed_headers), Some(signature)) = (credential, signed_headers, signature) else {
            return Err(Malformed::Authorization.into());
        };
        let (date_header, signed_at) = match headers.single("x-amz-date")? {
            Some(date) => ("x-amz-date", instant::parse_amz(date)),
            None => ("date", headers.single("date")?.and_then(instant::parse_date_header)),
        };
        Ok(Self {
            form: Form::Header,
            credential,
            signed_headers,
            signature,
            signed_at: signed_at.ok_or(Malformed::Date)?,
            lifetime: None,
            date_header: Some(date_header),
            session_token: headers.single("x-amz-security-token")?.map(Cow::Borrowed),
            content_sha256: headers.single("x-amz-content-sha256")?.map(Cow::Borrowed),
        })
    }

    fn of_query(headers: &Headers<'a>, query: &'a Query) -> Result<Self, SigV4Error> {
        let needed = |name| query.single(name)?.ok_or(Malformed::Presigned);
        if needed("x-amz-algorithm")? != ALGORITHM {
            return Err(Malformed::Algorithm.into());
        }
        let expires = needed("x-amz-expires")?;
        // `parse` would take a sign.
        let digits = !expires.is_empty() && expires.bytes().all(|byte| byte.is_ascii_digit());
        let lifetime = expires.parse().ok().filter(|_| digits).ok_or(Malformed::Expires)?;
        // Some signers move every header they would have signed into the query.
        let either = |name| -> Result<Option<Cow<'a, str>>, Malformed> {
            match (headers.single(name)?, query.single(name)?) {
                (Some(_), Some(_)) => Err(Malformed::Twice),
                (Some(sent), None) => Ok(Some(Cow::Borrowed(sent))),
                (None, moved) => Ok(moved),
            }
        };
        Ok(Self {
            form: Form::Presigned,
            credential: needed("x-amz-credential")?,
            signed_headers: needed("x-amz-signedheaders")?,
            signature: needed("x-amz-signature")?,
            signed_at: instant::parse_amz(&needed("x-amz-date")?).ok_or(Malformed::Date)?,
            lifetime: Some(Duration::from_secs(lifetime)),
            date_header: None,
            session_token: either("x-amz-security-token")?,
            content_sha256: either("x-amz-content-sha256")?,
        })
    }

    pub(super) fn credential(&self) -> Result<Credential<'_>, Malformed> {
        Credential::parse(&self.credential)
    }

    /// The names, sorted.
    pub(super) fn signed_headers(&self) -> Result<Vec<&str>, Malformed> {
        let names: Vec<&str> = self.signed_headers.split(';').take(MAX_SIGNED_HEADERS + 1).collect();
        let is_name = |name: &&str| {
            (1..=MAX_HEADER_NAME).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte))
        };
        if names.len() > MAX_SIGNED_HEADERS || !names.iter().all(is_name) || !names.is_sorted_by(|one, two| one < two) {
            return Err(Malformed::SignedHeaders);
        }
        Ok(names)
    }

    /// The signature if it looks like one.
    pub(super) fn signature(&self) -> Result<&str, Malformed> {
        let is_hex = self.signature.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_hex && self.signature.len() == 64 { Ok(&self.signature) } else { Err(Malformed::Signature) }
    }
}

fn starts_with_ignore_case(value: &[u8], start: &[u8]) -> bool {
    value.trim_ascii_start().get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

// === impl Credential ===

impl<'a> Credential<'a> {
    fn parse(text: &'a str) -> Result<Self, Malformed> {
        if text.len() > MAX_CREDENTIAL {
            return Err(Malformed::Credential);
        }
        let mut parts = text.split('/');
        let mut next = || parts.next().ok_or(Malformed::Credential);
        let credential = Self { access_key_id: next()?, date: next()?, region: next()?, service: next()? };
        let name_like = |text: &str| {
            (1..=MAX_REGION).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let fits = next()? == "aws4_request"
            && next().is_err()
            && is_access_key_id(credential.access_key_id)
            && credential.date.len() == 8
            && credential.date.bytes().all(|byte| byte.is_ascii_digit())
            && name_like(credential.region)
            && name_like(credential.service);
        if fits { Ok(credential) } else { Err(Malformed::Credential) }
    }
}

/// The alphabet of access key ids: what AWS hands out, and what local stacks like to use.
pub(super) fn is_access_key_id(text: &str) -> bool {
    (3..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "AWS4-HMAC-SHA256 Credential=AKID/20260102/us-east-1/s/aws4_request, SignedHeaders=host;x-amz-date, Signature=";

    fn find(authorization: &str) -> Result<Form, SigV4Error> {
        let sent = [("Authorization", authorization.as_bytes()), ("X-Amz-Date", b"20260102T030405Z".as_slice())];
        let headers = Headers::collect(sent).unwrap();
        let query = Query::parse("").unwrap();
        let presented = Presented::find(&headers, &query)?;
        presented.credential()?;
        presented.signed_headers()?;
        presented.signature()?;
        Ok(presented.form)
    }

    #[test]
    fn the_header_is_read_in_any_order_and_spacing() {
        let digits = "0".repeat(64);
        assert_eq!(find(&format!("{GOOD}{digits}")), Ok(Form::Header));
        assert_eq!(find(&format!("{GOOD}{digits}").replace(", ", ",")), Ok(Form::Header));
        let turned = "Signature=SIG,  SignedHeaders=host , Credential=AKID/20260102/us-east-1/s/aws4_request";
        assert_eq!(find(&format!("AWS4-HMAC-SHA256  {turned} ").replace("SIG", &digits)), Ok(Form::Header));
    }

    #[test]
    fn each_fault_has_its_name() {
        let good = format!("{GOOD}{}", "0".repeat(64));
        let long = "x".repeat(MAX_AUTHORIZATION);
        let many = vec!["a"; MAX_SIGNED_HEADERS + 1].join(";");
        for (from, to, fault) in [
            ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", Malformed::Algorithm),
            ("AWS4-HMAC-SHA256", "aws4-hmac-sha256", Malformed::Algorithm),
            ("SHA256 ", "SHA256", Malformed::Algorithm),
            (" ", "", Malformed::Authorization),
            ("Credential=", "credential=", Malformed::Authorization),
            ("Credential=", "Credential=a, Credential=", Malformed::Authorization),
            ("Signature=", "Extra=1, Signature=", Malformed::Authorization),
            ("Signature=", "", Malformed::Authorization),
            ("AKID", &long, Malformed::Authorization),
            ("AKID", "AK", Malformed::Credential),
            ("AKID", "AK/ID", Malformed::Credential),
            ("AKID", "AK ID", Malformed::Credential),
            ("20260102", "2026010", Malformed::Credential),
            ("20260102", "2026010x", Malformed::Credential),
            ("us-east-1", "", Malformed::Credential),
            ("us-east-1", "us_east", Malformed::Credential),
            ("aws4_request", "aws4_requests", Malformed::Credential),
            ("aws4_request", "aws4_request/", Malformed::Credential),
            ("host;x-amz-date", "", Malformed::SignedHeaders),
            ("host;x-amz-date", "x-amz-date;host", Malformed::SignedHeaders),
            ("host;x-amz-date", "host;host", Malformed::SignedHeaders),
            ("host;x-amz-date", "Host", Malformed::SignedHeaders),
            ("host;x-amz-date", "host;", Malformed::SignedHeaders),
            ("host;x-amz-date", &many, Malformed::SignedHeaders),
            ("Signature=0", "Signature=", Malformed::Signature),
            ("Signature=0", "Signature=A", Malformed::Signature),
            ("Signature=0", "Signature=00", Malformed::Signature),
        ] {
            assert!(good.contains(from), "{from}");
            assert_eq!(find(&good.replace(from, to)), Err(fault.into()), "{from} → {to}");
        }
    }

    #[test]
    fn another_scheme_is_no_signature() {
        for other in ["", "Bearer abc", "Basic abc", "AWS akid:sig"] {
            assert_eq!(find(other), Err(SigV4Error::Missing), "{other}");
        }
    }
}
