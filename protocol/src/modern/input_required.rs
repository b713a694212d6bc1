//! Questions in results and answers in repeated requests (2026-07-28, multi round-trip requests).

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use super::cheap::{may_have, part_of, said};
use super::results::SERVER_INFO;
use crate::json::RawJson;
use crate::members::Members;
use crate::meta::quoted;

/// Requests that one result may hold.
pub const MAX_REQUESTS: usize = 32;

/// Responses that one request may hold. Unknown ones are ignored, so there may be more than were asked for.
pub const MAX_RESPONSES: usize = 64;

/// Longest key of a request or response, in bytes: keys travel in the gateway's own state.
pub const MAX_KEY: usize = 512;

/// What a result is, by its `resultType`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultType {
    /// The end of the request; also where the member is absent.
    Complete,
    /// The client must answer and repeat the request.
    InputRequired,
    /// A handle of the tasks extension.
    Task,
    /// Anything else, and a result that can be read in two ways: an invalid response. Shortened where it is long.
    Unknown(Box<str>),
}

/// A result that asks the client something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRequired {
    /// In the order they came; may be empty where there is a state.
    pub requests: Vec<InputRequest>,
    /// To be echoed byte for byte. Alone, it means: repeat the request when you like.
    pub request_state: Option<RequestState>,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRequest {
    /// Chosen by the server; unique within the result.
    pub key: Box<str>,
    /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: Box<str>,
    /// An object where present.
    pub params: Option<RawJson>,
}

/// A `requestState`: the string as its author wrote it, and decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestState {
    raw: RawJson,
    text: Box<str>,
}

/// The answers of one round in the order they came: the key of the question, and the result of its request.
pub type InputResponses = Vec<(Box<str>, RawJson)>;

/// Why a result or a repeated request cannot be used. The texts name members, never values, and are for the sender.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not an object, or one with a duplicate member.
    #[error("`{0}` must be an object without duplicate members")]
    NotAnObject(&'static str),
    /// `requestState` is no string.
    #[error("`requestState` must be a string")]
    State,
    /// An `input_required` that asks nothing and has no state.
    #[error("an `input_required` result needs `inputRequests` or `requestState`")]
    Nothing,
    /// More entries than are allowed.
    #[error("`{member}` has {count} entries, at most {max} are allowed")]
    TooMany {
        /// Which member.
        member: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// A key longer than [`MAX_KEY`], or an empty one.
    #[error("a key of `{0}` is empty or longer than {MAX_KEY} bytes")]
    Key(&'static str),
    /// One entry is wrong.
    #[error("entry {at} of `{member}`: {reason}")]
    Entry {
        /// Which member.
        member: &'static str,
        /// Counted from 0.
        at: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

// === impl ResultType ===

impl ResultType {
    /// Reads the type of a result, without parsing one that has no such member.
    pub fn of(result: &RawJson) -> Self {
        if !may_have(result, "resultType") {
            return Self::Complete;
        }
        let Ok(members) = Members::of(result) else { return Self::Unknown("".into()) };
        let Some(raw) = said(members.get("resultType")) else { return Self::Complete };
        match serde_json::from_str::<Cow<'_, str>>(raw.get()) {
            Ok(text) => match text.as_ref() {
                "complete" => Self::Complete,
                "input_required" => Self::InputRequired,
                "task" => Self::Task,
                other => Self::Unknown(crate::text::short(other).into()),
            },
            Err(_) => Self::Unknown("".into()),
        }
    }
}

// === impl RequestState ===

impl RequestState {
    /// A state of the gateway's own.
    pub fn new(text: &str) -> Self {
        Self { raw: RawJson::trusted(quoted(text)), text: text.into() }
    }

    /// Takes the JSON text of a string.
    ///
    /// # Errors
    /// [`Malformed::State`] for anything else.
    pub fn from_raw(raw: RawJson) -> Result<Self, Malformed> {
        let text: Box<str> = raw.get::<String>().map_err(|_| Malformed::State)?.into();
        Ok(Self { raw, text })
    }

    /// The `requestState` of a result or of params; none where it is absent or `null`.
    ///
    /// # Errors
    /// Where `object` cannot be read or the state is no string.
    pub fn of(object: &RawJson) -> Result<Option<Self>, Malformed> {
        if !may_have(object, "requestState") {
            return Ok(None);
        }
        let members = Members::of(object).map_err(|_| Malformed::NotAnObject("params"))?;
        Self::among(object, &members)
    }

    /// The JSON text, to be echoed.
    pub fn raw(&self) -> &RawJson {
        &self.raw
    }

    /// What it says, to be unsealed by whoever sealed it.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn among(whole: &RawJson, members: &Members<'_>) -> Result<Option<Self>, Malformed> {
        said(members.get("requestState")).map(|raw| Self::from_raw(part_of(whole, raw))).transpose()
    }
}

impl fmt::Debug for RequestState {
    // It may hold what its author did not mean for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestState({} bytes)", self.text.len())
    }
}

// === impl InputRequired ===

impl InputRequired {
    /// Reads a result whose type is [`ResultType::InputRequired`]. Params share the bytes of the result.
    ///
    /// # Errors
    /// Where a server must not send it: no question and no state, an embedded request with `id` or `jsonrpc`, a
    /// request that is none of the three, the same key twice, or too many.
    pub fn parse(result: &RawJson) -> Result<Self, Malformed> {
        let members = Members::of(result).map_err(|_| Malformed::NotAnObject("result"))?;
        let request_state = RequestState::among(result, &members)?;
        let requests = match said(members.get(REQUESTS)) {
            None => Vec::new(),
            Some(raw) => {
                let entries = entries(raw, REQUESTS, MAX_REQUESTS)?;
                let read = |(at, (key, raw)): (usize, (&str, &RawValue))| {
                    InputRequest::parse(result, key, raw).map_err(|reason| Malformed::Entry {
                        member: REQUESTS,
                        at,
                        reason,
                    })
                };
                entries.iter().enumerate().map(read).collect::<Result<_, _>>()?
            }
        };
        if requests.is_empty() && request_state.is_none() {
            return Err(Malformed::Nothing);
        }
        Ok(Self { requests, request_state })
    }

    /// The result to send; `server_info` is the `Implementation` of the gateway.
    pub fn write(&self, server_info: &RawJson) -> RawJson {
        let size: usize = self.requests.iter().map(InputRequest::size).sum();
        let mut out = String::with_capacity(160 + size + server_info.len());
        out.push_str(r#"{"resultType":"input_required""#);
        if !self.requests.is_empty() {
            out.push_str(r#","inputRequests":{"#);
            for (at, request) in self.requests.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                request.write(&mut out);
            }
            out.push('}');
        }
        if let Some(state) = &self.request_state {
            out.push_str(r#","requestState":"#);
            out.push_str(state.raw.as_str());
        }
        out.push_str(r#","_meta":{""#);
        out.push_str(SERVER_INFO);
        out.push_str("\":");
        out.push_str(server_info.as_str());
        out.push_str("}}");
        RawJson::trusted(out)
    }
}

// === impl InputRequest ===

impl InputRequest {
    fn parse(whole: &RawJson, key: &str, raw: &RawValue) -> Result<Self, &'static str> {
        let request = Members::of_str(raw.get()).map_err(|_| "it must be an object without duplicate members")?;
        if request.get("id").is_some() || request.get("jsonrpc").is_some() {
            return Err("an embedded request has no `id` and no `jsonrpc`");
        }
        let method = request.get_str("method").ok_or("`method` must be a string")?;
        let needs_params = match method.as_ref() {
            "elicitation/create" | "sampling/createMessage" => true,
            "roots/list" => false,
            _ => return Err("`method` must be `elicitation/create`, `sampling/createMessage` or `roots/list`"),
        };
        let params = said(request.get("params"));
        if params.is_some_and(|raw| !raw.get().starts_with('{')) {
            return Err("`params` must be an object");
        }
        if params.is_none() && needs_params {
            return Err("`params` is missing");
        }
        Ok(Self { key: key.into(), method: method.into(), params: params.map(|raw| part_of(whole, raw)) })
    }

    pub(super) fn write(&self, out: &mut String) {
        out.push_str(&quoted(&self.key));
        out.push_str(r#":{"method":"#);
        out.push_str(&quoted(&self.method));
        if let Some(params) = &self.params {
            out.push_str(r#","params":"#);
            out.push_str(params.as_str());
        }
        out.push('}');
    }

    fn size(&self) -> usize {
        self.key.len() + self.method.len() + self.params.as_ref().map_or(0, RawJson::len) + 32
    }
}

// === repeated requests ===

/// The `inputResponses` of a repeated request, keyed as the questions were; none where there is no such member. The
/// responses are objects, and not checked further: which question a key belongs to is the caller's business.
///
/// # Errors
/// Where `params` or the member cannot be read, a response is no object, or there are too many: -32602.
pub fn input_responses(params: &RawJson) -> Result<Option<InputResponses>, Malformed> {
    if !may_have(params, RESPONSES) {
        return Ok(None);
    }
    let members = Members::of(params).map_err(|_| Malformed::NotAnObject("params"))?;
    let Some(raw) = said(members.get(RESPONSES)) else { return Ok(None) };
    let read = |(at, (key, raw)): (usize, (&str, &RawValue))| {
        if raw.get().starts_with('{') {
            Ok((key.into(), part_of(params, raw)))
        } else {
            Err(Malformed::Entry { member: RESPONSES, at, reason: "a response must be an object" })
        }
    };
    entries(raw, RESPONSES, MAX_RESPONSES)?.iter().enumerate().map(read).collect::<Result<_, _>>().map(Some)
}

/// The params of the repeated request: those of the original with the answers of this round and the state of this
/// round, in place of older ones. Without responses or state the member is left out. Params that are no object, which
/// an earlier hop refuses, come back as they are.
pub fn retry_params(original: &RawJson, responses: &[(Box<str>, RawJson)], state: Option<&RawJson>) -> RawJson {
    let Ok(members) = Members::of(original) else { return original.clone() };
    let responses = (!responses.is_empty()).then(|| object(responses));
    members.with(&[(RESPONSES, responses.as_deref()), (STATE, state.map(RawJson::as_str))])
}

/// The params of a first request: without `inputResponses` and `requestState`.
pub fn without_rounds(params: &RawJson) -> RawJson {
    if !may_have(params, RESPONSES) && !may_have(params, STATE) {
        return params.clone();
    }
    let Ok(members) = Members::of(params) else { return params.clone() };
    if members.get(RESPONSES).is_none() && members.get(STATE).is_none() {
        return params.clone();
    }
    members.with(&[(RESPONSES, None), (STATE, None)])
}

// === helpers ===

const REQUESTS: &str = "inputRequests";
const RESPONSES: &str = "inputResponses";
const STATE: &str = "requestState";

fn entries<'a>(raw: &'a RawValue, member: &'static str, max: usize) -> Result<Members<'a>, Malformed> {
    let entries = Members::of_str(raw.get()).map_err(|_| Malformed::NotAnObject(member))?;
    let count = entries.iter().count();
    if count > max {
        return Err(Malformed::TooMany { member, count, max });
    }
    if entries.iter().any(|(key, _)| key.is_empty() || key.len() > MAX_KEY) {
        return Err(Malformed::Key(member));
    }
    Ok(entries)
}

fn object(entries: &[(Box<str>, RawJson)]) -> String {
    let entries: Vec<String> = entries.iter().map(|(key, raw)| format!("{}:{}", quoted(key), raw.as_str())).collect();
    format!("{{{}}}", entries.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    const RESULT: &str = concat!(
        r#"{"resultType":"input_required","inputRequests":{"k1":{"method":"elicitation/create","params":{ "n":1.0 }},"#,
        r#""k4":{"method":"roots/list"}},"requestState":"a\u0062\/c","_meta":{"io.modelcontextprotocol/serverInfo":{}}}"#
    );

    #[test]
    fn the_type_of_a_result_is_told_and_never_guessed() {
        let of = |text: &str| ResultType::of(&raw(text));
        for complete in
            ["{}", r#"{"resultType":"complete"}"#, r#"{"resultType":null}"#, r#"{"x":{"resultType":"task"}}"#]
        {
            assert_eq!(of(complete), ResultType::Complete, "{complete}");
        }
        assert_eq!(of(r#"{"resultType":"task"}"#), ResultType::Task);
        assert_eq!(of(r#"{"result\u0054ype":"input\u005frequired"}"#), ResultType::InputRequired);
        assert_eq!(of(r#"{"resultType":"later"}"#), ResultType::Unknown("later".into()));
        for broken in [r#"{"resultType":1}"#, r#"{"resultType":"complete","resultType":"task"}"#] {
            assert_eq!(of(broken), ResultType::Unknown("".into()), "{broken}");
        }
    }

    #[test]
    fn questions_and_state_keep_their_bytes() {
        let read = InputRequired::parse(&raw(RESULT)).unwrap();
        assert_eq!(read.requests[0].params.as_ref().unwrap().as_str(), r#"{ "n":1.0 }"#);
        assert_eq!((&*read.requests[1].key, &*read.requests[1].method), ("k4", "roots/list"));
        let state = read.request_state.as_ref().unwrap();
        assert_eq!((state.text(), state.raw().as_str()), ("ab/c", r#""a\u0062\/c""#));
        assert_eq!(read.write(&raw("{}")).as_str(), RESULT);
        assert!(!format!("{state:?}").contains("ab"));
    }

    #[test]
    fn state_alone_is_a_round_and_nothing_is_not() {
        let alone = InputRequired::parse(&raw(r#"{"resultType":"input_required","requestState":""}"#)).unwrap();
        assert!(alone.requests.is_empty() && alone.request_state.is_some());
        for text in ["{}", r#"{"inputRequests":{}}"#, r#"{"inputRequests":null,"requestState":null}"#] {
            assert_eq!(InputRequired::parse(&raw(text)), Err(Malformed::Nothing), "{text}");
        }
    }

    #[test]
    fn what_a_server_must_not_embed_is_refused_without_showing_it() {
        for request in [
            "1",
            "{}",
            r#"{"method":"tools/call","params":{"secret":1}}"#,
            r#"{"method":"roots/list","id":1}"#,
            r#"{"method":"roots/list","jsonrpc":"2.0"}"#,
            r#"{"method":"roots/list","method":"elicitation/create"}"#,
            r#"{"method":"elicitation/create"}"#,
            r#"{"method":"elicitation/create","params":["secret"]}"#,
        ] {
            let error =
                InputRequired::parse(&raw(&format!(r#"{{"inputRequests":{{"secret":{request}}}}}"#))).unwrap_err();
            assert!(matches!(error, Malformed::Entry { at: 0, .. }), "{request}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let parse = |text: &str| InputRequired::parse(&raw(text)).unwrap_err();
        assert_eq!(
            parse(r#"{"inputRequests":{"a":{"method":"roots/list"},"\u0061":{"method":"roots/list"}}}"#),
            Malformed::NotAnObject("inputRequests")
        );
        assert_eq!(parse(r#"{"inputRequests":[]}"#), Malformed::NotAnObject("inputRequests"));
        assert_eq!(parse(r#"{"requestState":7}"#), Malformed::State);
        assert_eq!(parse(r#"{"requestState":"\ud800"}"#), Malformed::State);
        assert_eq!(parse(r#"{"inputRequests":{"":{"method":"roots/list"}}}"#), Malformed::Key("inputRequests"));
        let many: Vec<String> = (0..33).map(|n| format!(r#""{n}":{{"method":"roots/list"}}"#)).collect();
        let many = parse(&format!(r#"{{"inputRequests":{{{}}}}}"#, many.join(",")));
        assert_eq!(many, Malformed::TooMany { member: "inputRequests", count: 33, max: 32 });
    }

    #[test]
    fn a_retry_has_the_answers_of_its_round_only() {
        let first = raw(r#"{"name":"a","arguments":{ "n":1e2 },"_meta":{}}"#);
        assert_eq!(input_responses(&first), Ok(None));
        let state = raw(r#""\u0061""#);
        let second = retry_params(&first, &[("k".into(), raw(r#"{ "action":"accept" }"#))], Some(&state));
        assert_eq!(
            second.as_str(),
            r#"{"name":"a","arguments":{ "n":1e2 },"_meta":{},"inputResponses":{"k":{ "action":"accept" }},"requestState":"\u0061"}"#
        );
        assert_eq!(input_responses(&second).unwrap().unwrap(), [("k".into(), raw(r#"{ "action":"accept" }"#))]);
        assert_eq!(RequestState::of(&second).unwrap().unwrap().raw(), &state);
        let third = retry_params(&second, &[("m".into(), raw("{}"))], None);
        assert!(third.as_str().ends_with(r#""inputResponses":{"m":{}}}"#), "{}", third.as_str());
        assert_eq!(without_rounds(&second), first);
        assert_eq!(without_rounds(&first), first);
        assert_eq!(retry_params(&second, &[], None), first);
    }

    #[test]
    fn broken_answers_are_refused() {
        for text in [
            r#"{"inputResponses":[]}"#,
            r#"{"inputResponses":{"a":1}}"#,
            r#"{"inputResponses":{"a":{},"a":{}}}"#,
            r#"{"inputResponses":{},"inputResponses":{}}"#,
        ] {
            assert!(input_responses(&raw(text)).is_err(), "{text}");
        }
        assert_eq!(input_responses(&raw(r#"{"inputResponses":null}"#)), Ok(None));
        assert_eq!(input_responses(&raw(r#"{"inputResponses":{}}"#)), Ok(Some(Vec::new())));
        assert!(RequestState::of(&raw(r#"{"requestState":{}}"#)).is_err());
    }
}
