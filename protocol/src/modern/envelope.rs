//! What every request of the era says of its sender, in `params._meta` (2026-07-28, lifecycle).

use std::str::FromStr;

use serde_json::value::RawValue;

use super::cheap::{may_have, part_of, said};
use crate::json::RawJson;
use crate::members::Members;
use crate::meta::{ProgressToken, quoted};

/// The revision of the request.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What its sender can be asked.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Who it is, for people.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// What it wants to hear; absent means nothing.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// Of a `subscriptions/listen`.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// Of a task of 2025-11-25.
const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
const PROGRESS_TOKEN: &str = "progressToken";

/// Largest description of a client, in bytes: it is kept with sessions and sent to each target.
const MAX_SAID: usize = 64 * 1024;

/// Longest name of a revision, in bytes: it is echoed.
const MAX_VERSION: usize = 64;

/// How grave a log message is (RFC 5424).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum LogLevel {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

/// The envelope of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The revision, as the sender wrote it.
    pub protocol_version: Box<str>,
    /// An object.
    pub client_capabilities: RawJson,
    /// An object where present.
    pub client_info: Option<RawJson>,
    /// None: no log messages at all.
    pub log_level: Option<LogLevel>,
    /// None: no progress.
    pub progress_token: Option<ProgressToken>,
}

/// What the gateway says on the next hop.
#[derive(Clone, Copy, Debug)]
pub struct HopEnvelope<'a> {
    /// The revision of that hop.
    pub protocol_version: &'a str,
    /// What can be asked over that hop.
    pub client_capabilities: &'a RawJson,
    /// For whom it speaks.
    pub client_info: Option<&'a RawJson>,
    /// What is wanted.
    pub log_level: Option<LogLevel>,
    /// A token of this hop.
    pub progress_token: Option<&'a ProgressToken>,
}

/// What is wrong with an envelope: -32602 with HTTP 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// `params` or `_meta` is no object, or names something twice.
    #[error("`{0}` must be an object without duplicate members")]
    Unreadable(&'static str),
    /// A required member is not there.
    #[error("`params._meta[\"{0}\"]` is missing: every request of 2026-07-28 carries it")]
    Missing(&'static str),
    /// A member has the wrong type.
    #[error("`params._meta[\"{0}\"]` must be {1}")]
    WrongType(&'static str, &'static str),
}

// === impl LogLevel ===

impl LogLevel {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Debug, "debug"),
        (Self::Info, "info"),
        (Self::Notice, "notice"),
        (Self::Warning, "warning"),
        (Self::Error, "error"),
        (Self::Critical, "critical"),
        (Self::Alert, "alert"),
        (Self::Emergency, "emergency"),
    ];

    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(level, _)| *level == self).map_or("emergency", |(_, name)| name)
    }
}

impl FromStr for LogLevel {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(level, _)| *level).ok_or(())
    }
}

// === impl Envelope ===

impl Envelope {
    /// Whether there may be an envelope: a look at the bytes. False is certain.
    pub fn may_be_in(params: &RawJson) -> bool {
        may_have(params, "protocolVersion")
    }

    /// Whether `params` have a member for the revision, of whatever type.
    pub fn is_in(params: &RawJson) -> bool {
        Self::may_be_in(params)
            && Members::of(params)
                .ok()
                .and_then(|members| members.get("_meta"))
                .and_then(|meta| Members::of_str(meta.get()).ok())
                .is_some_and(|meta| meta.get(PROTOCOL_VERSION).is_some())
    }

    /// Reads the envelope.
    ///
    /// # Errors
    /// Where it is not complete; a missing `clientInfo` is fine.
    pub fn of(params: Option<&RawJson>) -> Result<Self, EnvelopeError> {
        let params = params.ok_or(EnvelopeError::Missing(PROTOCOL_VERSION))?;
        let members = Members::of(params).map_err(|_| EnvelopeError::Unreadable("params"))?;
        let meta = members.get("_meta").ok_or(EnvelopeError::Missing(PROTOCOL_VERSION))?;
        let meta = Members::of_str(meta.get()).map_err(|_| EnvelopeError::Unreadable("params._meta"))?;
        let text = |name: &'static str| match said(meta.get(name)) {
            None => Ok(None),
            Some(_) => meta.get_str(name).map(Some).ok_or(EnvelopeError::WrongType(name, "a string")),
        };
        let object = |name: &'static str| match said(meta.get(name)) {
            None => Ok(None),
            Some(raw) if is_object(raw) && raw.get().len() <= MAX_SAID => Ok(Some(part_of(params, raw))),
            Some(_) => Err(EnvelopeError::WrongType(name, "an object of 64 KiB at most")),
        };
        let protocol_version: Box<str> =
            text(PROTOCOL_VERSION)?.ok_or(EnvelopeError::Missing(PROTOCOL_VERSION))?.into();
        if protocol_version.len() > MAX_VERSION {
            return Err(EnvelopeError::WrongType(PROTOCOL_VERSION, "a date"));
        }
        let client_capabilities = object(CLIENT_CAPABILITIES)?.ok_or(EnvelopeError::Missing(CLIENT_CAPABILITIES))?;
        let log_level = match text(LOG_LEVEL)? {
            None => None,
            Some(level) => {
                Some(level.parse().map_err(|()| EnvelopeError::WrongType(LOG_LEVEL, "one of the eight log levels"))?)
            }
        };
        let progress_token = match said(meta.get(PROGRESS_TOKEN)) {
            None => None,
            Some(raw) => Some(
                ProgressToken::from_raw(raw.get())
                    .ok_or(EnvelopeError::WrongType(PROGRESS_TOKEN, "a string or an integer"))?,
            ),
        };
        Ok(Self { protocol_version, client_capabilities, client_info: object(CLIENT_INFO)?, log_level, progress_token })
    }
}

fn is_object(raw: &RawValue) -> bool {
    Members::of_str(raw.get()).is_ok()
}

/// `params` for the next hop: its own envelope instead of the one that came; all other members stay.
pub fn write(params: Option<&RawJson>, hop: &HopEnvelope<'_>) -> RawJson {
    let version = quoted(hop.protocol_version);
    let level = hop.log_level.map(|level| quoted(level.as_str()));
    let meta = with_meta(
        params,
        &[
            (PROTOCOL_VERSION, Some(&version)),
            (CLIENT_CAPABILITIES, Some(hop.client_capabilities.as_str())),
            (CLIENT_INFO, hop.client_info.map(RawJson::as_str)),
            (LOG_LEVEL, level.as_deref()),
            (PROGRESS_TOKEN, hop.progress_token.map(ProgressToken::as_raw)),
            (SUBSCRIPTION_ID, None),
            (RELATED_TASK, None),
        ],
    );
    // What cannot be read is not passed on: it would keep the sender's own envelope.
    let empty = RawJson::EMPTY_OBJECT;
    let members = Members::of(params.unwrap_or(&empty)).or_else(|_| Members::of(&empty));
    members.map(|members| members.with(&[("_meta", Some(meta.as_str()))])).unwrap_or(RawJson::EMPTY_OBJECT)
}

/// `params` for a hop of the legacy era: without the envelope.
pub fn remove(params: &RawJson) -> RawJson {
    let Ok(members) = Members::of(params) else { return params.clone() };
    if members.get("_meta").is_none() {
        return params.clone();
    }
    let meta = with_meta(
        Some(params),
        &[
            (PROTOCOL_VERSION, None),
            (CLIENT_CAPABILITIES, None),
            (CLIENT_INFO, None),
            (LOG_LEVEL, None),
            (PROGRESS_TOKEN, None),
            (SUBSCRIPTION_ID, None),
        ],
    );
    let meta = Some(meta.as_str()).filter(|meta| *meta != "{}");
    members.with(&[("_meta", meta)])
}

fn with_meta(params: Option<&RawJson>, changes: &[(&str, Option<&str>)]) -> RawJson {
    let meta = params
        .and_then(|params| Members::of(params).ok()?.get("_meta"))
        .and_then(|meta| Members::of_str(meta.get()).ok());
    match meta {
        Some(meta) => meta.with(changes),
        None => Members::of(&RawJson::EMPTY_OBJECT).map(|empty| empty.with(changes)).unwrap_or(RawJson::EMPTY_OBJECT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    const FULL: &str = r#"{"name":"x","_meta":{"traceparent":"00-1","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots" : {}},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/logLevel":"info","progressToken":7},"arguments":{"big":12345678901234567890}}"#;

    #[test]
    fn an_envelope_is_read() {
        let envelope = Envelope::of(Some(&raw(FULL))).unwrap();
        assert_eq!(&*envelope.protocol_version, "2026-07-28");
        assert_eq!(envelope.client_capabilities.as_str(), r#"{"roots" : {}}"#);
        assert_eq!(envelope.log_level, Some(LogLevel::Info));
        assert_eq!(envelope.progress_token.unwrap().as_raw(), "7");
        assert!(Envelope::is_in(&raw(FULL)));
        assert!(!Envelope::is_in(&raw(r#"{"protocolVersion":"2026-07-28"}"#)));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (text, expected) in [
            ("[]", "`params`"),
            ("{}", "protocolVersion"),
            (r#"{"_meta":7}"#, "`params._meta`"),
            (r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":7}}"#, "must be a string"),
            (r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#, "clientCapabilities"),
            (
                r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":[]}}"#,
                "clientCapabilities",
            ),
            (
                r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/logLevel":"loud"}}"#,
                "logLevel",
            ),
            (
                r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"progressToken":{}}}"#,
                "progressToken",
            ),
        ] {
            let error = Envelope::of(Some(&raw(text))).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(Envelope::of(None).is_err());
    }

    #[test]
    fn the_next_hop_gets_its_own_envelope_and_all_else_as_it_came() {
        let token = ProgressToken::integer(41);
        let capabilities = raw(r#"{"elicitation":{}}"#);
        let hop = HopEnvelope {
            protocol_version: "2026-07-28",
            client_capabilities: &capabilities,
            client_info: None,
            log_level: None,
            progress_token: Some(&token),
        };
        let out = write(Some(&raw(FULL)), &hop);
        let read = Envelope::of(Some(&out)).unwrap();
        assert_eq!(read.client_capabilities, capabilities);
        assert_eq!((read.client_info, read.log_level), (None, None));
        assert_eq!(read.progress_token.as_ref(), Some(&token));
        assert!(out.as_str().contains("traceparent") && out.as_str().contains("12345678901234567890"));
        let gone = remove(&raw(FULL));
        assert_eq!(
            gone.as_str(),
            r#"{"name":"x","_meta":{"traceparent":"00-1"},"arguments":{"big":12345678901234567890}}"#
        );
        assert!(Envelope::of(Some(&write(None, &hop))).is_ok());
        let only = raw(r#"{"_meta":{"progressToken":1}}"#);
        assert_eq!(remove(&only).as_str(), "{}");
    }
}
