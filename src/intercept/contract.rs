//! The JSON between the gateway and an interceptor: the contract of AgentCore's interceptors, input and output version
//! 1.0, MCP form. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sessiongate_protocol::json::too_deep;
use sessiongate_protocol::{Message, RequestId};

/// The version of both sides.
const VERSION: &str = "1.0";

/// What an interceptor is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Input<'a> {
    interceptor_input_version: &'static str,
    mcp: McpInput<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct McpInput<'a> {
    raw_gateway_request: RawRequest<'a>,
    gateway_request: RequestInput<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway_response: Option<ResponseInput<'a>>,
}

#[derive(Serialize)]
struct RawRequest<'a> {
    body: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestInput<'a> {
    path: &'a str,
    http_method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Headers<'a>>,
    body: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseInput<'a> {
    status_code: u16,
    headers: Headers<'a>,
    body: Option<&'a RawValue>,
    is_streaming_response: bool,
}

/// Names as they came; a name that is there more than once has its values joined, as HTTP allows.
type Headers<'a> = BTreeMap<&'a str, String>;

/// A request on its way in.
#[derive(Clone, Copy, Debug)]
pub struct AsRequest<'a> {
    /// The path of the URL.
    pub path: &'a str,
    /// In upper case.
    pub method: &'a str,
    /// Its headers, or what became of them.
    pub headers: &'a HeaderMap,
    /// As the client sent it; empty where there is none.
    pub raw: &'a [u8],
    /// As it is now; empty where there is none.
    pub body: &'a [u8],
}

/// An answer on its way out, or one message of it.
#[derive(Clone, Copy, Debug)]
pub struct AsResponse<'a> {
    /// The HTTP status.
    pub status: StatusCode,
    /// The HTTP headers.
    pub headers: &'a HeaderMap,
    /// One JSON value.
    pub body: &'a [u8],
    /// It is one of the messages of a stream.
    pub streaming: bool,
}

/// What an interceptor may know of what passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disclosure {
    /// Headers of requests, and with them those of answers that are credentials.
    pub request_headers: bool,
    /// Bodies of answers are kept from it.
    pub hide_response_body: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Output {
    interceptor_output_version: String,
    mcp: McpOutput,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct McpOutput {
    #[serde(default)]
    transformed_gateway_request: Option<Transformed>,
    #[serde(default)]
    transformed_gateway_response: Option<Transformed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transformed {
    #[serde(default)]
    status_code: Option<u16>,
    #[serde(default)]
    headers: Option<BTreeMap<String, String>>,
    /// `null` reads as absent: the body stays what it was.
    #[serde(default)]
    body: Option<Box<RawValue>>,
}

/// What an interceptor of requests decided.
#[derive(Clone, Debug)]
pub enum RequestVerdict {
    /// Go on, with these changes.
    GoOn {
        /// Set over the request's own.
        headers: HeaderMap,
        /// Instead of the request's own: the same messages, by id.
        body: Option<Bytes>,
    },
    /// Nothing is done: this is the answer.
    Answer {
        /// The HTTP status.
        status: StatusCode,
        /// Set over the answer's own.
        headers: HeaderMap,
        /// Instead of a body of the gateway's.
        body: Bytes,
    },
}

/// What an interceptor of answers decided. What is absent stays as it was.
#[derive(Clone, Debug, Default)]
pub struct ResponseVerdict {
    /// The HTTP status.
    pub status: Option<StatusCode>,
    /// Set over the answer's own.
    pub headers: HeaderMap,
    /// Instead of the answer's own.
    pub body: Option<Bytes>,
}

/// What an interceptor said cannot be done. The text is for the operator's log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Nonsense(Cow<'static, str>);

// === impl Nonsense ===

impl Nonsense {
    pub(super) fn new(why: &'static str) -> Self {
        Self(why.into())
    }
}

/// Headers of requests that an interceptor cannot set: they belong to HTTP, to MCP, to who the caller is, or to the
/// gateway. A star stands for any end.
const KEPT_REQUEST: [&str; 24] = [
    "accept",
    "accept-*",
    "authorization",
    "connection",
    "content-*",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-*",
    "origin",
    "proxy-*",
    "range",
    "sec-*",
    "sessiongate-*",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-amz-*",
    "x-forwarded-*",
];

/// The same for answers.
const KEPT_RESPONSE: [&str; 20] = [
    "access-control-*",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "keep-alive",
    "mcp-*",
    "proxy-*",
    "server",
    "sessiongate-*",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
];

/// Headers of answers that are credentials.
const SECRET_RESPONSE: [&str; 3] = ["mcp-session-id", "set-cookie", "www-authenticate"];

/// The input at the point REQUEST.
///
/// # Errors
/// Where the body is no JSON.
pub fn request_input(request: AsRequest<'_>, disclosure: Disclosure) -> Result<Bytes, Nonsense> {
    input(request, None, disclosure)
}

/// The input at the point RESPONSE. `request` is what the gateway answered, changed as it was.
///
/// # Errors
/// Where a body is no JSON.
pub fn response_input(
    request: AsRequest<'_>,
    response: AsResponse<'_>,
    disclosure: Disclosure,
) -> Result<Bytes, Nonsense> {
    input(request, Some(response), disclosure)
}

fn input(request: AsRequest<'_>, response: Option<AsResponse<'_>>, disclosure: Disclosure) -> Result<Bytes, Nonsense> {
    let gateway_response = match response {
        Some(response) => {
            let hidden = |name: &str| !disclosure.request_headers && SECRET_RESPONSE.contains(&name);
            let body = if disclosure.hide_response_body { None } else { raw(response.body)? };
            Some(ResponseInput {
                status_code: response.status.as_u16(),
                headers: headers(response.headers, hidden),
                body,
                is_streaming_response: response.streaming,
            })
        }
        None => None,
    };
    let input = Input {
        interceptor_input_version: VERSION,
        mcp: McpInput {
            raw_gateway_request: RawRequest { body: std::str::from_utf8(request.raw).unwrap_or_default() },
            gateway_request: RequestInput {
                path: request.path,
                http_method: request.method,
                headers: disclosure.request_headers.then(|| headers(request.headers, |_| false)),
                body: raw(request.body)?,
            },
            gateway_response,
        },
    };
    serde_json::to_vec(&input).map(Bytes::from).map_err(|error| Nonsense(error.to_string().into()))
}

fn raw(body: &[u8]) -> Result<Option<&RawValue>, Nonsense> {
    if body.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(body).map(Some).map_err(|_| Nonsense("a body that is no JSON was to be shown".into()))
}

fn headers<'a>(map: &'a HeaderMap, hidden: impl Fn(&str) -> bool) -> Headers<'a> {
    let mut all = Headers::new();
    for (name, value) in map {
        if hidden(name.as_str()) {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        all.entry(name.as_str())
            .and_modify(|known| {
                known.push_str(", ");
                known.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    all
}

/// Reads what an interceptor said at the point REQUEST about a request with this body.
///
/// # Errors
/// Where it is not what the contract says, or what it makes of the request is another request.
pub fn request_verdict(output: &[u8], body: &Bytes) -> Result<RequestVerdict, Nonsense> {
    let output = parse(output)?;
    if let Some(answer) = output.transformed_gateway_response {
        let status = match answer.status_code {
            Some(code) => status_of(code)?,
            None => StatusCode::OK,
        };
        let body = match answer.body {
            Some(given) => answer_body(&given, &identities(body)?, status)?,
            None => Bytes::new(),
        };
        return Ok(RequestVerdict::Answer { status, headers: settable(answer.headers, &KEPT_RESPONSE)?, body });
    }
    let Some(request) = output.transformed_gateway_request else {
        return Ok(RequestVerdict::GoOn { headers: HeaderMap::new(), body: None });
    };
    let changed = match request.body {
        Some(given) => {
            let given = Bytes::from(String::from(Box::<str>::from(given)));
            if identities(&given)? != identities(body)? {
                return Err(Nonsense("the transformed request is not the same message: kind and id must stay".into()));
            }
            Some(given)
        }
        None => None,
    };
    Ok(RequestVerdict::GoOn { headers: settable(request.headers, &KEPT_REQUEST)?, body: changed })
}

/// Reads what an interceptor said at the point RESPONSE about an answer with this body.
///
/// # Errors
/// Where it is not what the contract says, or what it makes of the answer answers something else.
pub fn response_verdict(output: &[u8], body: &Bytes) -> Result<ResponseVerdict, Nonsense> {
    let Some(changed) = parse(output)?.transformed_gateway_response else { return Ok(ResponseVerdict::default()) };
    let given = match changed.body {
        Some(given) => {
            let given = Bytes::from(String::from(Box::<str>::from(given)));
            // What is no message (it came from the other interceptor) may become anything.
            if let Ok(before) = identities(body)
                && identities(&given)? != before
            {
                return Err(Nonsense("the transformed response is not the same message: kind and id must stay".into()));
            }
            if too_deep(&given) {
                return Err(Nonsense("the transformed response is nested too deep".into()));
            }
            Some(given)
        }
        None => None,
    };
    Ok(ResponseVerdict {
        status: changed.status_code.map(status_of).transpose()?,
        headers: settable(changed.headers, &KEPT_RESPONSE)?,
        body: given,
    })
}

/// What makes the messages of a body those that they are.
#[derive(Debug, PartialEq, Eq)]
struct Identities {
    /// They are in an array.
    batch: bool,
    all: Vec<Identity>,
}

#[derive(Debug, PartialEq, Eq)]
struct Identity {
    kind: Kind,
    id: Option<RequestId>,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Request,
    Notification,
    Response,
}

fn identities(body: &Bytes) -> Result<Identities, Nonsense> {
    let messages = Message::parse_batch(body).map_err(|error| Nonsense(error.to_string().into()))?;
    let identity = |message| match message {
        Message::Request(request) => Identity { kind: Kind::Request, id: Some(request.id) },
        Message::Notification(_) => Identity { kind: Kind::Notification, id: None },
        Message::Response(response) => Identity { kind: Kind::Response, id: response.id },
    };
    let batch = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    Ok(Identities { batch, all: messages.into_iter().map(identity).collect() })
}

/// An answer in the gateway's place. With success it must be what the client waits for; else it may be any JSON, but no
/// answer to something else.
fn answer_body(given: &RawValue, asked: &Identities, status: StatusCode) -> Result<Bytes, Nonsense> {
    let body = Bytes::from(given.get().to_owned());
    if too_deep(&body) {
        return Err(Nonsense("the transformed response is nested too deep".into()));
    }
    let waits = |id: &Option<RequestId>| asked.all.iter().any(|one| one.kind == Kind::Request && one.id == *id);
    let answers = match identities(&body) {
        Ok(said) => {
            said.batch == asked.batch && said.all.iter().all(|one| one.kind == Kind::Response && waits(&one.id))
        }
        Err(_) => !status.is_success(),
    };
    if !answers {
        return Err(Nonsense(
            "the transformed response does not answer the request: its id must be the request's".into(),
        ));
    }
    Ok(body)
}

fn parse(output: &[u8]) -> Result<McpOutput, Nonsense> {
    let output: Output = serde_json::from_slice(output).map_err(|error| Nonsense(error.to_string().into()))?;
    if output.interceptor_output_version != VERSION {
        return Err(Nonsense("interceptorOutputVersion is not \"1.0\"".into()));
    }
    Ok(output.mcp)
}

/// Not 1xx, which is no answer, and not 204 or 304, which have no body.
fn status_of(code: u16) -> Result<StatusCode, Nonsense> {
    StatusCode::from_u16(code)
        .ok()
        .filter(|status| (200..600).contains(&code) && *status != StatusCode::NO_CONTENT && code != 304)
        .ok_or_else(|| Nonsense(format!("statusCode {code} cannot be answered").into()))
}

/// The headers that are set: those that may not be are passed over, since interceptors hand back what they were given.
fn settable(headers: Option<BTreeMap<String, String>>, kept: &[&str]) -> Result<HeaderMap, Nonsense> {
    let mut set = HeaderMap::new();
    for (name, value) in headers.unwrap_or_default() {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(Nonsense(format!("`{}` is not the name of a header", name.escape_debug()).into()));
        };
        let is_kept = kept.iter().any(|kept| match kept.strip_suffix('*') {
            Some(start) => name.as_str().starts_with(start),
            None => name == *kept,
        });
        if is_kept {
            continue;
        }
        let Ok(value) = HeaderValue::from_str(&value) else {
            return Err(Nonsense(format!("the value of header `{name}` cannot be sent").into()));
        };
        set.insert(name, value);
    }
    Ok(set)
}

#[cfg(test)]
mod tests;
