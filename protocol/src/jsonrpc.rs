//! The JSON-RPC 2.0 envelope, parsed once.
//!
//! `params`, `result` and `error` stay raw. Duplicate members of the envelope are refused, so that what the
//! gateway decided on is what the other side reads.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{RawJson, push_quoted, text_of, too_deep};
use crate::unreadable::Unreadable;

/// A request id: string or integer, kept as its JSON text so that `1` and `"1"` differ and both come back as they were.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(Box<str>);

/// Longest id as JSON text, in bytes: it is kept for as long as its request runs, and is echoed in logs.
const MAX_ID: usize = 1024;

/// One JSON-RPC message.
#[derive(Clone, Debug)]
pub enum Message {
    /// Expects a response.
    Request(Request),
    /// Expects none.
    Notification(Notification),
    /// Answers a request.
    Response(Response),
}

/// `{jsonrpc, id, method, params?}`.
#[derive(Clone, Debug)]
pub struct Request {
    /// Chosen by the sender.
    pub id: RequestId,
    /// For example `tools/call`.
    pub method: Box<str>,
    /// An object where present.
    pub params: Option<RawJson>,
}

/// `{jsonrpc, method, params?}`.
#[derive(Clone, Debug)]
pub struct Notification {
    /// For example `notifications/progress`.
    pub method: Box<str>,
    /// An object where present.
    pub params: Option<RawJson>,
}

/// `{jsonrpc, id, result}` or `{jsonrpc, id, error}`.
#[derive(Clone, Debug)]
pub struct Response {
    /// The id of the request it answers; none where the sender could not read it.
    pub id: Option<RequestId>,
    /// What came of it.
    pub body: ResponseBody,
}

/// The two ways a request ends.
#[derive(Clone, Debug)]
pub enum ResponseBody {
    /// `result`, raw.
    Result(RawJson),
    /// `error`, raw: `{code, message, data?}`, code and message checked.
    Error(RawJson),
}

/// Why a body is not a message. The texts are for the sender and for logs: they quote nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or not UTF-8: -32700.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// JSON nested over [`crate::json::MAX_DEPTH`] levels: -32600.
    #[error("the body nests deeper than {} levels", crate::json::MAX_DEPTH)]
    TooDeep,
    /// JSON, but not a message: -32600. The id is kept where it could be read.
    #[error("not a JSON-RPC 2.0 message: {reason}")]
    NotAMessage {
        /// What is wrong.
        reason: Cow<'static, str>,
        /// The id to echo.
        id: Option<RequestId>,
    },
    /// An array: allowed on 2025-03-26 sessions only: -32600.
    #[error("the body is an array; batches exist in revision 2025-03-26 only: send one message")]
    Batch,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// `null` is a value here, not an absence: `"id": null` must not read as a notification.
fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

// === impl RequestId ===

impl RequestId {
    /// An integer id of the gateway's own.
    pub fn integer(value: i64) -> Self {
        Self(value.to_string().into_boxed_str())
    }

    /// A string id of the gateway's own.
    pub fn string(value: &str) -> Self {
        // Serialising a str cannot fail.
        Self(serde_json::to_string(value).unwrap_or_default().into_boxed_str())
    }

    /// Reads an id from its JSON text: a string, or an integer without fraction or exponent.
    pub fn from_raw(raw: &str) -> Option<Self> {
        match raw.as_bytes().first()? {
            b'"' if raw.len() <= MAX_ID => {
                serde_json::from_str::<Cow<'_, str>>(raw).ok().map(|text| Self::string(&text))
            }
            b'-' | b'0'..=b'9' if raw.len() <= 40 && raw.bytes().all(|b| b == b'-' || b.is_ascii_digit()) => {
                Some(Self(raw.into()))
            }
            _ => None,
        }
    }

    /// The JSON text to put on the wire.
    pub fn as_raw(&self) -> &str {
        &self.0
    }

    /// The integer, where it is one that fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for RequestId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_raw(raw.get()).ok_or_else(|| serde::de::Error::custom("an id is a string or an integer"))
    }
}

// === impl Message ===

impl Message {
    /// Parses one message; slices of `body` are shared, not copied.
    pub fn parse(body: &Bytes) -> Result<Self, ParseError> {
        let text = check_text(body)?;
        if is_array(text) {
            serde_json::from_str::<&RawValue>(text).map_err(not_json)?;
            return Err(ParseError::Batch);
        }
        parse_one(body, text)
    }

    /// Parses a message or an array of them (2025-03-26). An empty array is not a message.
    pub fn parse_batch(body: &Bytes) -> Result<Vec<Self>, ParseError> {
        let text = check_text(body)?;
        if !is_array(text) {
            return parse_one(body, text).map(|message| vec![message]);
        }
        let parts: Vec<&RawValue> = serde_json::from_str(text).map_err(not_json)?;
        if parts.is_empty() {
            return Err(ParseError::NotAMessage { reason: "the array is empty".into(), id: None });
        }
        parts.into_iter().map(|part| parse_one(body, part.get())).collect()
    }
}

fn check_text(body: &[u8]) -> Result<&str, ParseError> {
    let text = std::str::from_utf8(body).map_err(|_| ParseError::NotJson("it is not UTF-8".into()))?;
    if too_deep(body) {
        return Err(ParseError::TooDeep);
    }
    Ok(text)
}

fn is_array(text: &str) -> bool {
    first(text) == Some(b'[')
}

fn first(text: &str) -> Option<u8> {
    text.bytes().find(|b| !b.is_ascii_whitespace())
}

/// For errors of the grammar, which say what is missing where and quote nothing.
fn not_json(error: serde_json::Error) -> ParseError {
    ParseError::NotJson(error.to_string())
}

fn parse_one(whole: &Bytes, part: &str) -> Result<Message, ParseError> {
    let envelope: Envelope<'_> = match serde_json::from_str(part) {
        Ok(envelope) => envelope,
        Err(error) if error.is_data() => {
            // Data errors may come before the end of the text: is the rest JSON at all?
            serde_json::from_str::<&RawValue>(part).map_err(not_json)?;
            let reason = match first(part) {
                Some(b'{') => Unreadable::from(&error).to_string().into(),
                _ => "it must be an object".into(),
            };
            return Err(ParseError::NotAMessage { reason, id: None });
        }
        Err(error) => return Err(not_json(error)),
    };
    let id = envelope.id.and_then(|raw| RequestId::from_raw(raw.get()));
    let wrong = |reason: &'static str| Err(ParseError::NotAMessage { reason: reason.into(), id: id.clone() });
    if envelope.jsonrpc.and_then(text_of).as_deref() != Some("2.0") {
        return wrong("`jsonrpc` must be \"2.0\"");
    }
    if let Some(raw) = envelope.params
        && !raw.get().starts_with('{')
    {
        return wrong("`params` must be an object");
    }
    let params = envelope.params.map(|raw| RawJson::slice_of(whole, raw));
    match (envelope.method, envelope.result, envelope.error) {
        (Some(method), None, None) => {
            let Some(method) = text_of(method) else {
                return wrong("`method` must be a string");
            };
            let method: Box<str> = method.into();
            match (envelope.id, id.clone()) {
                (None, _) => Ok(Message::Notification(Notification { method, params })),
                (Some(_), Some(id)) => Ok(Message::Request(Request { id, method, params })),
                (Some(_), None) => wrong("`id` must be a string or an integer, of 1024 bytes at most"),
            }
        }
        (None, Some(result), None) => match id {
            Some(id) => Ok(Message::Response(Response {
                id: Some(id),
                body: ResponseBody::Result(RawJson::slice_of(whole, result)),
            })),
            None => wrong("a response needs the `id` of its request"),
        },
        (None, None, Some(error)) => {
            if serde_json::from_str::<ErrorShape<'_>>(error.get()).is_err() {
                return wrong("`error` needs an integer `code` and a string `message`");
            }
            if envelope.id.is_some_and(|raw| raw.get() != "null") && id.is_none() {
                return wrong("`id` must be a string or an integer, of 1024 bytes at most");
            }
            Ok(Message::Response(Response { id, body: ResponseBody::Error(RawJson::slice_of(whole, error)) }))
        }
        (None, None, None) => wrong("it has none of `method`, `result` and `error`"),
        _ => wrong("it has more than one of `method`, `result` and `error`"),
    }
}

/// The part of an error object that the gateway reads.
#[derive(Deserialize, Debug)]
pub struct ErrorShape<'a> {
    /// The JSON-RPC code.
    pub code: i64,
    /// For a person.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// Anything.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

// === writing ===

/// A request on the wire.
pub fn request(id: &RequestId, method: &str, params: Option<&RawJson>) -> Bytes {
    let mut out = Vec::with_capacity(64 + id.as_raw().len() + method.len() + params.map_or(0, RawJson::len));
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.as_raw().as_bytes());
    push_method(&mut out, method, params);
    out.into()
}

/// A notification on the wire.
pub fn notification(method: &str, params: Option<&RawJson>) -> Bytes {
    let mut out = Vec::with_capacity(48 + method.len() + params.map_or(0, RawJson::len));
    out.extend_from_slice(br#"{"jsonrpc":"2.0""#);
    push_method(&mut out, method, params);
    out.into()
}

fn push_method(out: &mut Vec<u8>, method: &str, params: Option<&RawJson>) {
    out.extend_from_slice(br#","method":"#);
    push_quoted(out, method);
    if let Some(params) = params {
        out.extend_from_slice(br#","params":"#);
        out.extend_from_slice(params.as_bytes());
    }
    out.push(b'}');
}

/// A response on the wire; `id` none writes `null`.
pub fn response(id: Option<&RequestId>, body: &ResponseBody) -> Bytes {
    let (member, raw) = match body {
        ResponseBody::Result(raw) => (&br#","result":"#[..], raw),
        ResponseBody::Error(raw) => (&br#","error":"#[..], raw),
    };
    let id = id.map_or("null", RequestId::as_raw);
    let mut out = Vec::with_capacity(40 + id.len() + raw.len());
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(member);
    out.extend_from_slice(raw.as_bytes());
    out.push(b'}');
    out.into()
}

/// An error object of the gateway's own.
pub fn error_body(code: i64, message: &str, data: Option<&serde_json::Value>) -> ResponseBody {
    let mut object = serde_json::json!({"code": code, "message": message});
    if let Some(data) = data {
        object["data"] = data.clone();
    }
    ResponseBody::Error(RawJson::trusted(object.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Message, ParseError> {
        Message::parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn ids_keep_their_json_type() {
        for raw in ["1", "\"1\"", "-7", "12345678901234567890", "\"a b\""] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{raw},"method":"ping"}}"#);
            let Ok(Message::Request(request)) = parse(&text) else { panic!("{raw}") };
            assert_eq!(request.id.as_raw(), raw);
        }
        assert_ne!(RequestId::from_raw("1"), RequestId::from_raw("\"1\""));
        assert_eq!(RequestId::from_raw(r#""\u0061""#), RequestId::from_raw(r#""a""#));
        for raw in ["null", "1.5", "1e3", "true", "{}", "[]"] {
            assert_eq!(RequestId::from_raw(raw), None, "{raw}");
        }
    }

    #[test]
    fn shapes_that_are_no_message_are_refused_with_the_id_where_it_is_readable() {
        for (text, id) in [
            (r#"{"id":3,"method":"x"}"#, Some("3")),
            (r#"{"jsonrpc":"1.0","id":3,"method":"x"}"#, Some("3")),
            (r#"{"jsonrpc":"2.0","id":3,"method":7}"#, Some("3")),
            (r#"{"jsonrpc":"2.0","id":3,"method":"x","params":[1]}"#, Some("3")),
            (r#"{"jsonrpc":"2.0","id":3}"#, Some("3")),
            (r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, None),
            (r#"{"jsonrpc":"2.0","id":3,"result":1,"error":{"code":1,"message":""}}"#, Some("3")),
            (r#"{"jsonrpc":"2.0","id":3,"error":{"code":"1","message":""}}"#, Some("3")),
            (r#"{"jsonrpc":"2.0","method":"x","method":"y"}"#, None),
            (r#""text""#, None),
        ] {
            match parse(text) {
                Err(ParseError::NotAMessage { id: found, .. }) => {
                    assert_eq!(found.as_ref().map(RequestId::as_raw), id, "{text}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(matches!(parse("{"), Err(ParseError::NotJson(_))));
        assert!(matches!(parse("[{}]"), Err(ParseError::Batch)));
        assert!(matches!(parse(&"[".repeat(200)), Err(ParseError::TooDeep)));
    }

    #[test]
    fn what_is_wrong_is_said_without_quoting_it() {
        let long = "hunter2".repeat(100_000);
        for (text, says) in [
            ("\"hunter2\"".to_owned(), "it must be an object"),
            (" 31337".to_owned(), "it must be an object"),
            (format!("\"{long}\""), "it must be an object"),
            (r#"{"method":"hunter2","method":"hunter2"}"#.to_owned(), "duplicate field `method`"),
            (format!("{{\"{long}\":1,\"id\":\"{long}\"}}"), "`jsonrpc` must be"),
            (long, "not JSON"),
        ] {
            let error = parse(&text).unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(said.contains(says) && said.len() < 300, "{said:.500}");
            for word in ["hunter2", "31337", "Envelope"] {
                assert!(!said.contains(word), "{said:.500}");
            }
        }
    }

    #[test]
    fn params_pass_byte_for_byte() {
        let params = r#"{"b":1,"a":12345678901234567890.000,"\u0061x":"é"}"#;
        let text = format!(r#"{{"params":{params},"jsonrpc":"2.0","id":1,"method":"m"}}"#);
        let Ok(Message::Request(got)) = parse(&text) else { panic!() };
        let out = request(&got.id, &got.method, got.params.as_ref());
        assert!(std::str::from_utf8(&out).unwrap().contains(params));
    }
}
