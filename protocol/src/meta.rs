//! Reading and changing the few members of `params` that a hop owns; all others keep their bytes and their order.
//!
//! Objects with duplicate members are refused everywhere: the gateway must not decide on one value and pass on another.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json::RawJson;
use crate::jsonrpc::RequestId;
use crate::members::Members;

/// A progress token: string or integer, kept as its JSON text (section "progress").
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProgressToken(RequestId);

/// Why `params` could not be read. The texts are for the sender: -32602.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// Not an object, or one with a duplicate member.
    #[error("`{at}` cannot be read: {reason}")]
    Unreadable {
        /// Which object.
        at: &'static str,
        /// What the parser said; it names members, never values.
        reason: String,
    },
    /// A member is not there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A member has the wrong type.
    #[error("`{member}` must be {expected}")]
    WrongType {
        /// Which one.
        member: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// What a `completion/complete` completes (section "completion").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `ref/prompt`: the name of a prompt.
    Prompt(String),
    /// `ref/resource`: a URI or URI template.
    Resource(String),
}

// === impl ProgressToken ===

impl ProgressToken {
    /// A token of the gateway's own.
    pub fn integer(value: i64) -> Self {
        Self(RequestId::integer(value))
    }

    /// Reads a token from its JSON text: a string, or an integer without fraction or exponent.
    pub fn from_raw(raw: &str) -> Option<Self> {
        RequestId::from_raw(raw).map(Self)
    }

    /// The JSON text to put on the wire.
    pub fn as_raw(&self) -> &str {
        self.0.as_raw()
    }

    /// The integer, where it is one that fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.0.as_i64()
    }
}

impl fmt::Debug for ProgressToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_raw())
    }
}

// === reading ===

/// `params._meta.progressToken`; none where it is absent or `null`.
///
/// # Errors
/// Where `params` or `_meta` is no object or has duplicates, and where the token is neither string nor integer.
pub fn progress_token(params: &RawJson) -> Result<Option<ProgressToken>, ParamsError> {
    let Some(meta) = meta_of(&members(params)?)? else { return Ok(None) };
    match meta.get("progressToken").map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(raw) => ProgressToken::from_raw(raw).map(Some).ok_or(TOKEN_TYPE),
    }
}

/// `params.name`, by which `tools/call` and `prompts/get` are routed.
///
/// # Errors
/// Where it is missing or no string, or `params` cannot be read.
pub fn name_of(params: &RawJson) -> Result<Cow<'_, str>, ParamsError> {
    text_of(&members(params)?, "name")
}

/// `params.uri`, by which `resources/read` and subscriptions are routed.
///
/// # Errors
/// As [`name_of`].
pub fn uri_of(params: &RawJson) -> Result<Cow<'_, str>, ParamsError> {
    text_of(&members(params)?, "uri")
}

/// `params.requestId` of `notifications/cancelled`. The caller ignores a notification without one: the schema of
/// 2025-11-25 makes it optional for tasks, which the gateway does not relay.
///
/// # Errors
/// Where it is missing or no id, or `params` cannot be read.
pub fn request_id_of(params: &RawJson) -> Result<RequestId, ParamsError> {
    let raw = members(params)?.get("requestId").ok_or(ParamsError::Missing("requestId"))?;
    RequestId::from_raw(raw.get())
        .ok_or(ParamsError::WrongType { member: "requestId", expected: "a string or an integer" })
}

/// `params.ref` of `completion/complete`.
///
/// # Errors
/// Where it is not one of the two kinds of reference.
pub fn reference_of(params: &RawJson) -> Result<Reference, ParamsError> {
    let params = members(params)?;
    let reference = object_of(&params, "ref")?.ok_or(ParamsError::Missing("ref"))?;
    match text_of(&reference, "type")?.as_ref() {
        "ref/prompt" => Ok(Reference::Prompt(text_of(&reference, "name")?.into_owned())),
        "ref/resource" => Ok(Reference::Resource(text_of(&reference, "uri")?.into_owned())),
        _ => Err(ParamsError::WrongType { member: "type", expected: "`ref/prompt` or `ref/resource`" }),
    }
}

// === changing ===

/// Sets `params._meta.progressToken`, or drops it; a `_meta` that held nothing else goes with it. Params without a
/// token to drop come back as they are.
///
/// # Errors
/// Where `params` or `_meta` is no object or has duplicates.
pub fn with_progress_token(params: &RawJson, token: Option<&ProgressToken>) -> Result<RawJson, ParamsError> {
    let members = members(params)?;
    let meta = meta_of(&members)?;
    match (meta, token) {
        (None, None) => Ok(params.clone()),
        (Some(meta), None) if meta.get("progressToken").is_none() => Ok(params.clone()),
        (Some(meta), None) if meta.iter().count() == 1 => Ok(members.with(&[("_meta", None)])),
        (meta, token) => {
            let meta = with_member(meta, "progressToken", token.map(ProgressToken::as_raw));
            Ok(members.with(&[("_meta", Some(meta.as_str()))]))
        }
    }
}

/// Sets one key of `params._meta` to a JSON value; `raw` must be valid JSON.
///
/// # Errors
/// As [`with_progress_token`].
pub fn with_meta(params: &RawJson, key: &str, raw: &RawJson) -> Result<RawJson, ParamsError> {
    let members = members(params)?;
    let meta = with_member(meta_of(&members)?, key, Some(raw.as_str()));
    Ok(members.with(&[("_meta", Some(meta.as_str()))]))
}

/// Sets `params.name`.
///
/// # Errors
/// Where `params` is no object or has duplicates.
pub fn with_name(params: &RawJson, name: &str) -> Result<RawJson, ParamsError> {
    with_text(params, "name", name)
}

/// Sets `params.uri`.
///
/// # Errors
/// As [`with_name`].
pub fn with_uri(params: &RawJson, uri: &str) -> Result<RawJson, ParamsError> {
    with_text(params, "uri", uri)
}

/// Sets `params.requestId` of `notifications/cancelled`.
///
/// # Errors
/// As [`with_name`].
pub fn with_request_id(params: &RawJson, id: &RequestId) -> Result<RawJson, ParamsError> {
    Ok(members(params)?.with(&[("requestId", Some(id.as_raw()))]))
}

/// Sets the name or URI in `params.ref` of `completion/complete`; the reference keeps its kind, which the caller has
/// read with [`reference_of`].
///
/// # Errors
/// Where `params` or `ref` is no object or has duplicates.
pub fn with_reference(params: &RawJson, new: &Reference) -> Result<RawJson, ParamsError> {
    let params = members(params)?;
    let reference = object_of(&params, "ref")?.ok_or(ParamsError::Missing("ref"))?;
    let (member, text) = match new {
        Reference::Prompt(name) => ("name", name),
        Reference::Resource(uri) => ("uri", uri),
    };
    let reference = reference.with(&[(member, Some(&quoted(text)))]);
    Ok(params.with(&[("ref", Some(reference.as_str()))]))
}

// === helpers ===

const TOKEN_TYPE: ParamsError = ParamsError::WrongType { member: "progressToken", expected: "a string or an integer" };

/// The members of `params`.
pub(crate) fn members(params: &RawJson) -> Result<Members<'_>, ParamsError> {
    Members::of(params).map_err(|error| ParamsError::Unreadable { at: "params", reason: reason(&error) })
}

/// A member that is a string.
pub(crate) fn text_of<'a>(object: &Members<'a>, member: &'static str) -> Result<Cow<'a, str>, ParamsError> {
    object.get(member).ok_or(ParamsError::Missing(member))?;
    object.get_str(member).ok_or(ParamsError::WrongType { member, expected: "a string" })
}

/// The token of an object that has it at the top: the params of a progress notification.
pub(crate) fn token_at_top(object: &Members<'_>) -> Result<ProgressToken, ParamsError> {
    let raw = object.get("progressToken").ok_or(ParamsError::Missing("progressToken"))?;
    ProgressToken::from_raw(raw.get()).ok_or(TOKEN_TYPE)
}

/// The JSON text of a string.
pub(crate) fn quoted(text: &str) -> String {
    // Serialising a str cannot fail.
    serde_json::to_string(text).unwrap_or_default()
}

fn meta_of<'a>(params: &Members<'a>) -> Result<Option<Members<'a>>, ParamsError> {
    object_of(params, "_meta")
}

/// A member that is an object; none where it is absent or `null`, as several SDKs write what is absent.
fn object_of<'a>(params: &Members<'a>, member: &'static str) -> Result<Option<Members<'a>>, ParamsError> {
    match params.get(member).map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(raw) => Members::of_str(raw)
            .map(Some)
            .map_err(|error| ParamsError::Unreadable { at: member, reason: reason(&error) }),
    }
}

fn with_member(object: Option<Members<'_>>, name: &str, value: Option<&str>) -> RawJson {
    match object {
        Some(members) => members.with(&[(name, value)]),
        None => match value {
            Some(value) => RawJson::trusted(format!("{{{}:{value}}}", quoted(name))),
            None => RawJson::EMPTY_OBJECT,
        },
    }
}

fn with_text(params: &RawJson, member: &'static str, text: &str) -> Result<RawJson, ParamsError> {
    Ok(members(params)?.with(&[(member, Some(&quoted(text)))]))
}

/// What the parser said, without the value that it met: `invalid type: string "secret", expected an object`.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("duplicate member") { text } else { "it must be an object".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    fn token(text: &str) -> Option<ProgressToken> {
        ProgressToken::from_raw(text)
    }

    #[test]
    fn a_token_is_swapped_where_it_stands_and_nothing_else_moves() {
        let params = raw(r#"{"name":"x","_meta":{"a":1.0,"progressToken":"t","b":[ ]},"arguments":{"n":1e2}}"#);
        assert_eq!(progress_token(&params), Ok(token("\"t\"")));
        let swapped = with_progress_token(&params, token("7").as_ref()).unwrap();
        assert_eq!(
            swapped.as_str(),
            r#"{"name":"x","_meta":{"a":1.0,"progressToken":7,"b":[ ]},"arguments":{"n":1e2}}"#
        );
        let dropped = with_progress_token(&params, None).unwrap();
        assert_eq!(dropped.as_str(), r#"{"name":"x","_meta":{"a":1.0,"b":[ ]},"arguments":{"n":1e2}}"#);
    }

    #[test]
    fn a_token_is_added_and_taken_away_where_there_was_no_meta() {
        let params = raw(r#"{ "name" : "x" }"#);
        assert_eq!(with_progress_token(&params, None).unwrap(), params);
        let added = with_progress_token(&params, token("7").as_ref()).unwrap();
        assert_eq!(added.as_str(), r#"{"name":"x","_meta":{"progressToken":7}}"#);
        assert_eq!(with_progress_token(&added, None).unwrap().as_str(), r#"{"name":"x"}"#);
        let null = raw(r#"{"_meta":null}"#);
        assert_eq!(progress_token(&null), Ok(None));
        assert_eq!(
            with_progress_token(&null, token("7").as_ref()).unwrap().as_str(),
            r#"{"_meta":{"progressToken":7}}"#
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            r#"{"_meta":{},"_meta":{}}"#,
            r#"{"_meta":{"progressToken":1,"progressToken":2}}"#,
            r#"{"_meta":{"progressToken":1.5}}"#,
            r#"{"_meta":{"progressToken":{}}}"#,
            r#"{"_meta":"secret"}"#,
        ] {
            let error = progress_token(&raw(text)).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(with_name(&raw(r#"{"name":"a","name":"b"}"#), "c").is_err());
        assert!(name_of(&raw(r#"{"name":"a","name":"b"}"#)).is_err());
    }

    #[test]
    fn routing_members_are_read_and_set() {
        let params = raw(r#"{"name":"cart___a\u0064d","uri":"file:///x","requestId":"9"}"#);
        assert_eq!(name_of(&params).unwrap(), "cart___add");
        assert_eq!(uri_of(&params).unwrap(), "file:///x");
        assert_eq!(request_id_of(&params).unwrap(), RequestId::string("9"));
        assert_eq!(
            with_request_id(&with_name(&params, "add").unwrap(), &RequestId::integer(4)).unwrap().as_str(),
            r#"{"name":"add","uri":"file:///x","requestId":4}"#
        );
        assert_eq!(name_of(&raw("{}")), Err(ParamsError::Missing("name")));
        assert_eq!(uri_of(&raw(r#"{"uri":3}"#)), Err(ParamsError::WrongType { member: "uri", expected: "a string" }));
    }

    #[test]
    fn a_completion_reference_is_read_and_renamed() {
        let params = raw(r#"{"ref":{"type":"ref/prompt","name":"cart___p","title":"T"},"argument":{"name":"n"}}"#);
        assert_eq!(reference_of(&params), Ok(Reference::Prompt("cart___p".into())));
        assert_eq!(
            with_reference(&params, &Reference::Prompt("p".into())).unwrap().as_str(),
            r#"{"ref":{"type":"ref/prompt","name":"p","title":"T"},"argument":{"name":"n"}}"#
        );
        assert!(reference_of(&raw(r#"{"ref":{"type":"ref/tool","name":"x"}}"#)).is_err());
    }
}
