//! Taking a role on (STS API 2011-06-15, `AssumeRole`).

use std::time::{Duration, SystemTime};

use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use url::form_urlencoded;

use super::identity::{AwsCredentials, AwsIdentity};
use super::keys::{GatewayRole, KeyError};
use super::region::service_url;
use super::signer::SignError;
use crate::outbound::{Answer, FetchError, Outbound};

/// Asks STS with the process's own key.
#[derive(Clone, Debug)]
pub(super) struct Sts {
    outbound: Outbound,
    own: AwsIdentity,
}

/// A temporary key.
#[derive(Debug)]
pub(super) struct Temporary {
    pub credentials: AwsCredentials,
    pub expires: SystemTime,
}

/// Why STS gave no key. Displayed texts name no address and none of what STS said but its code;
/// [`AssumeError::detail`] is for the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssumeError {
    /// The process has no key to ask with.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The question could not be signed.
    #[error("the request to STS could not be signed")]
    Sign(#[from] SignError),
    /// There was no whole answer.
    #[error("STS: {0}")]
    Fetch(#[from] FetchError),
    /// STS says no.
    #[error("STS answered {code} (HTTP {status})")]
    Refused {
        /// The status.
        status: u16,
        /// STS's word, such as `AccessDenied`.
        code: String,
    },
    /// The answer is none.
    #[error("STS gave an answer that cannot be used: {0}")]
    Nonsense(&'static str),
    /// Whoever asked for all is gone.
    #[error("asking STS was cut off")]
    CutOff,
}

/// For one question, answer included.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// How long a key is asked for; the longest that roles allow unless their owner says otherwise.
const DURATION: Duration = Duration::from_secs(3600);
/// Answers have about two kilobytes, as session tokens have one.
const ANSWER: usize = 64 * 1024;
/// The longest name of a session, and what is before the gateway's.
const SESSION: usize = 64;
const PREFIX: &str = "sessiongate-";
/// The longest code that is shown.
const CODE: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    assume_role_result: ResultPart,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResultPart {
    credentials: Credentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorResponse {
    error: ErrorPart,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorPart {
    code: String,
}

// === impl Sts ===

impl Sts {
    pub fn new(outbound: Outbound, own: AwsIdentity) -> Self {
        Self { outbound, own }
    }

    /// A temporary key of a role.
    pub async fn assume(&self, role: &GatewayRole) -> Result<Temporary, AssumeError> {
        let own = self.own.credentials.as_ref().ok_or(KeyError::NoCredentials)?;
        let route = self.outbound.route_signed(&service_url("sts", self.own.region(), "")?)?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "AssumeRole")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", &role.role)
            .append_pair("RoleSessionName", &session_name(&role.gateway))
            .append_pair("DurationSeconds", &DURATION.as_secs().to_string())
            .finish();
        let mut request = route.request(Method::POST);
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        request.headers_mut().insert(CONTENT_TYPE, kind);
        *request.body_mut() = Some(form.into());
        own.signer(self.own.region(), "sts").apply(&mut request, SystemTime::now())?;
        read(&route.send(request, ANSWER, DEADLINE).await?)
    }
}

/// The name of a session: what its end says of a gateway's id is its own.
fn session_name(gateway: &str) -> String {
    let allowed = |letter: &char| letter.is_ascii_alphanumeric() || "_=,.@-".contains(*letter);
    let letters: Vec<char> = gateway.chars().filter(allowed).collect();
    let start = letters.len().saturating_sub(SESSION - PREFIX.len());
    PREFIX.chars().chain(letters[start..].iter().copied()).collect()
}

fn read(answer: &Answer) -> Result<Temporary, AssumeError> {
    let text = std::str::from_utf8(&answer.body).unwrap_or_default();
    if answer.status != 200 {
        let code = quick_xml::de::from_str::<ErrorResponse>(text).map(|said| said.error.code).unwrap_or_default();
        return Err(AssumeError::Refused { status: answer.status, code: word(&code) });
    }
    // What the parser says may quote the answer.
    let said = quick_xml::de::from_str::<Response>(text)
        .map_err(|_| AssumeError::Nonsense("it is not the XML of `AssumeRole`"))?
        .assume_role_result
        .credentials;
    let [id, secret, token] = [said.access_key_id, said.secret_access_key, said.session_token].map(|text| {
        let text = text.trim();
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        plain.then(|| text.to_owned()).ok_or(AssumeError::Nonsense("its credentials are none"))
    });
    let expires = humantime::parse_rfc3339(said.expiration.trim())
        .map_err(|_| AssumeError::Nonsense("its `Expiration` is not a time"))?;
    Ok(Temporary {
        credentials: AwsCredentials {
            access_key_id: id?,
            secret_access_key: secret?.into(),
            session_token: Some(token?.into()),
        },
        expires,
    })
}

/// A code as it may be shown: what stands in STS's place may say anything.
fn word(code: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match (1..=CODE).contains(&code.len()) && code.bytes().all(plain) {
        true => code.to_owned(),
        false => "an error without a code".to_owned(),
    }
}

// === impl AssumeError ===

impl AssumeError {
    /// What happened, for the operator: it may name addresses.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Fetch(error) => error.detail().map(str::to_owned),
            Self::Sign(error) => Some(error.to_string()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn answer(status: u16, body: String) -> Answer {
        Answer { status, headers: HeaderMap::new(), body: Bytes::from(body) }
    }

    fn document(credentials: &str) -> String {
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
            <AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
            <SourceIdentity/><AssumedRoleUser><Arn>arn</Arn></AssumedRoleUser><Credentials>{credentials}</Credentials>
            </AssumeRoleResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></AssumeRoleResponse>"#
        )
    }

    const GOOD: &str = "<AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>a/b+c</SecretAccessKey>
        <SessionToken>\n t0ken&#43;/= </SessionToken><Expiration>2026-11-21T10:00:00Z</Expiration>";

    #[test]
    fn a_key_is_read_and_not_shown() {
        let read = read(&answer(200, document(GOOD))).unwrap();
        use secrecy::ExposeSecret;
        let key = &read.credentials;
        assert_eq!((&*key.access_key_id, key.secret_access_key.expose_secret()), ("ASIA1", "a/b+c"));
        assert_eq!(key.session_token.as_ref().unwrap().expose_secret(), "t0ken+/=");
        assert_eq!(humantime::format_rfc3339(read.expires).to_string(), "2026-11-21T10:00:00Z");
        let shown = format!("{read:?}");
        assert!(!shown.contains("a/b") && !shown.contains("t0ken"), "{shown}");
    }

    #[test]
    fn what_is_no_key_is_refused_without_quoting_it() {
        for wrong in [
            String::new(),
            "{\"AssumeRoleResponse\": {}}".into(),
            "<AssumeRoleResponse>s3cret".into(),
            document(""),
            document(&GOOD.replace("a/b+c", "")),
            document(&GOOD.replace("a/b+c", "s3cret\n")).replace("ASIA1", " "),
            document(&GOOD.replace("t0ken", "to ken")),
            document(&GOOD.replace("2026-11-21T10:00:00Z", "tomorrow")),
            document(&GOOD.replace("ASIA1", "&s3cret;")),
            "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><a>&a;</a>".into(),
        ] {
            let error = read(&answer(200, wrong.clone())).unwrap_err();
            assert!(matches!(error, AssumeError::Nonsense(_)), "{wrong}: {error}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn of_a_refusal_the_code_alone_is_told() {
        let refusal = |code: &str| {
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>s3cret</Message></Error></ErrorResponse>"
            )
        };
        let said = |status, body| read(&answer(status, body)).unwrap_err().to_string();
        assert_eq!(said(403, refusal("AccessDenied")), "STS answered AccessDenied (HTTP 403)");
        let without = "STS answered an error without a code (HTTP 500)";
        assert_eq!(said(500, "s3cret".into()), without);
        assert_eq!(said(500, refusal("http://10.0.0.1/ s3cret")), without);
        assert_eq!(said(500, refusal(&"a".repeat(65))), without);
        assert_eq!(said(302, String::new()), "STS answered an error without a code (HTTP 302)");
    }

    #[test]
    fn a_session_is_named_after_its_gateway() {
        assert_eq!(session_name("shop-0123456789"), "sessiongate-shop-0123456789");
        let long = format!("{}-0123456789", "ab".repeat(50));
        let name = session_name(&long);
        assert!(name.len() == 64 && name.starts_with("sessiongate-ba") && name.ends_with("-0123456789"), "{name}");
    }
}
