//! What every request of the era says of its sender, in `params._meta` (2026-07-28, lifecycle).

use std::borrow::Cow;
use std::str::FromStr;

use serde_json::value::RawValue;

use super::cheap::{may_have, part_of, said};
use crate::json::RawJson;
use crate::members::Members;
use crate::meta::{ParamsError, ProgressToken, quoted, text_of};

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

/// `params` and their `_meta`, read once for everybody who looks at them.
#[derive(Debug)]
pub struct Opened<'a> {
    params: &'a RawJson,
    members: Members<'a>,
    meta: Meta<'a>,
}

#[derive(Debug)]
enum Meta<'a> {
    Absent,
    /// No object, or one with a duplicate member.
    Unreadable,
    Read(Members<'a>),
}

/// The envelope of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The revision, as the sender wrote it.
    pub protocol_version: Box<str>,
    /// An object.
    pub client_capabilities: RawJson,
    /// Whether extensions are among them.
    pub has_extensions: bool,
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
        Self::may_be_in(params) && Opened::of(params).is_ok_and(|opened| opened.names_revision())
    }

    /// Reads the envelope.
    ///
    /// # Errors
    /// Where it is not complete; a missing `clientInfo` is fine.
    pub fn of(params: Option<&RawJson>) -> Result<Self, EnvelopeError> {
        Self::read(&Opened::of(params.ok_or(EnvelopeError::Missing(PROTOCOL_VERSION))?)?)
    }

    /// The same from what was read before.
    ///
    /// # Errors
    /// As [`Envelope::of`].
    pub fn read(opened: &Opened<'_>) -> Result<Self, EnvelopeError> {
        let meta = match &opened.meta {
            Meta::Absent => return Err(EnvelopeError::Missing(PROTOCOL_VERSION)),
            Meta::Unreadable => return Err(EnvelopeError::Unreadable("params._meta")),
            Meta::Read(meta) => meta,
        };
        let text = |name: &'static str| match said(meta.get(name)) {
            None => Ok(None),
            Some(_) => meta.get_str(name).map(Some).ok_or(EnvelopeError::WrongType(name, "a string")),
        };
        let object = |name: &'static str| {
            let Some(raw) = said(meta.get(name)) else { return Ok(None) };
            let members = Members::of_str(raw.get()).ok().filter(|_| raw.get().len() <= MAX_SAID);
            let members = members.ok_or(EnvelopeError::WrongType(name, "an object of 64 KiB at most"))?;
            Ok(Some((part_of(opened.params, raw), members)))
        };
        let protocol_version: Box<str> =
            text(PROTOCOL_VERSION)?.ok_or(EnvelopeError::Missing(PROTOCOL_VERSION))?.into();
        if protocol_version.len() > MAX_VERSION {
            return Err(EnvelopeError::WrongType(PROTOCOL_VERSION, "a date"));
        }
        let (client_capabilities, declared) =
            object(CLIENT_CAPABILITIES)?.ok_or(EnvelopeError::Missing(CLIENT_CAPABILITIES))?;
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
        Ok(Self {
            protocol_version,
            client_capabilities,
            has_extensions: declared.get("extensions").is_some(),
            client_info: object(CLIENT_INFO)?.map(|(info, _)| info),
            log_level,
            progress_token,
        })
    }
}

// === impl Opened ===

impl<'a> Opened<'a> {
    /// Reads `params`.
    ///
    /// # Errors
    /// Where they are no object, or name something twice. The same of `_meta` is found by who needs it.
    pub fn of(params: &'a RawJson) -> Result<Self, EnvelopeError> {
        let members = Members::of(params).map_err(|_| EnvelopeError::Unreadable("params"))?;
        let meta = match members.get("_meta") {
            None => Meta::Absent,
            Some(meta) => Members::of_str(meta.get()).map_or(Meta::Unreadable, Meta::Read),
        };
        Ok(Self { params, members, meta })
    }

    /// As they came.
    pub fn params(&self) -> &'a RawJson {
        self.params
    }

    /// A member that is a string.
    ///
    /// # Errors
    /// Where it is missing or no string.
    pub fn text(&self, member: &'static str) -> Result<Cow<'a, str>, ParamsError> {
        text_of(&self.members, member)
    }

    /// A member as it came, sharing the bytes.
    pub fn part(&self, member: &str) -> Option<RawJson> {
        self.members.get(member).map(|raw| part_of(self.params, raw))
    }

    /// Whether there is a member for the revision, of whatever type.
    pub(super) fn names_revision(&self) -> bool {
        matches!(&self.meta, Meta::Read(meta) if meta.get(PROTOCOL_VERSION).is_some())
    }

    /// `params` for the next hop: its own envelope instead of the one that came, and this name, where one is given; all
    /// other members stay. What says the same on both hops is not copied.
    pub fn write(&self, hop: &HopEnvelope<'_>, name: Option<&str>) -> RawJson {
        let version = quoted(hop.protocol_version);
        let level = hop.log_level.map(|level| quoted(level.as_str()));
        let own = hop.members(&version, level.as_deref());
        let meta = match &self.meta {
            Meta::Read(meta) if own.iter().all(|(name, value)| meta.get(name).map(RawValue::get) == *value) => None,
            Meta::Read(meta) => Some(meta.with(&own)),
            Meta::Absent | Meta::Unreadable => Some(object(&own)),
        };
        let name = name.filter(|name| self.members.get_str("name").as_deref() != Some(*name)).map(quoted);
        match (&meta, &name) {
            (None, None) => self.params.clone(),
            (Some(meta), None) => self.members.with(&[("_meta", Some(meta.as_str()))]),
            (None, Some(name)) => self.members.with(&[("name", Some(name))]),
            (Some(meta), Some(name)) => self.members.with(&[("name", Some(name)), ("_meta", Some(meta.as_str()))]),
        }
    }
}

// === impl HopEnvelope ===

impl HopEnvelope<'_> {
    /// What of `_meta` belongs to a hop, and what it is on this one.
    fn members<'a>(&'a self, version: &'a str, level: Option<&'a str>) -> [(&'static str, Option<&'a str>); 7] {
        [
            (PROTOCOL_VERSION, Some(version)),
            (CLIENT_CAPABILITIES, Some(self.client_capabilities.as_str())),
            (CLIENT_INFO, self.client_info.map(RawJson::as_str)),
            (LOG_LEVEL, level),
            (PROGRESS_TOKEN, self.progress_token.map(ProgressToken::as_raw)),
            (SUBSCRIPTION_ID, None),
            (RELATED_TASK, None),
        ]
    }
}

/// `params` for the next hop: its own envelope instead of the one that came; all other members stay.
pub fn write(params: Option<&RawJson>, hop: &HopEnvelope<'_>) -> RawJson {
    let empty = RawJson::EMPTY_OBJECT;
    // What cannot be read is not passed on: it would keep the sender's own envelope.
    let opened = Opened::of(params.unwrap_or(&empty)).or_else(|_| Opened::of(&empty));
    opened.map(|opened| opened.write(hop, None)).unwrap_or(RawJson::EMPTY_OBJECT)
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
        None => object(changes),
    }
}

fn object(members: &[(&str, Option<&str>)]) -> RawJson {
    Members::of(&RawJson::EMPTY_OBJECT).map(|empty| empty.with(members)).unwrap_or(RawJson::EMPTY_OBJECT)
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
        assert!(Envelope::of(Some(&write(Some(&raw(r#"{"_meta":[]}"#)), &hop))).is_ok());
        let only = raw(r#"{"_meta":{"progressToken":1}}"#);
        assert_eq!(remove(&only).as_str(), "{}");
    }

    #[test]
    fn what_says_the_same_on_both_hops_is_not_copied() {
        let params = raw(FULL);
        let envelope = Envelope::of(Some(&params)).unwrap();
        let hop = HopEnvelope {
            protocol_version: "2026-07-28",
            client_capabilities: &envelope.client_capabilities,
            client_info: envelope.client_info.as_ref(),
            log_level: envelope.log_level,
            progress_token: envelope.progress_token.as_ref(),
        };
        let opened = Opened::of(&params).unwrap();
        for name in [None, Some("x")] {
            assert!(std::ptr::eq(opened.write(&hop, name).as_bytes(), params.as_bytes()));
        }
        let renamed = opened.write(&hop, Some("y\""));
        assert_eq!(renamed.as_str(), FULL.replacen(r#""x""#, r#""y\"""#, 1));
        let quiet = HopEnvelope { log_level: None, ..hop };
        let changed = opened.write(&quiet, Some("y"));
        assert_eq!(changed.as_str(), write(Some(&renamed), &quiet).as_str().replacen(r#""y\"""#, r#""y""#, 1));
        assert_eq!(Envelope::of(Some(&changed)).unwrap().log_level, None);
        // Nothing of a hop stays that the next one does not say, an empty word neither.
        let said = raw(&FULL.replace("\"info\"", "null").replace("2026-07-28", "2026\\u002d07-28"));
        let opened = Opened::of(&said).unwrap();
        let written = opened.write(&quiet, None);
        assert_eq!(written.as_str(), FULL.replace(r#""io.modelcontextprotocol/logLevel":"info","#, ""));
        let task = raw(r#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#);
        assert!(!write(Some(&task), &hop).as_str().contains("taskId"));
    }
}
