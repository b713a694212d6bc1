//! The JSON between the gateway and an interceptor: the contract of AgentCore's interceptors, input and output version
//! 1.0, MCP form (docs/interceptors.md). Pure.

mod input;

use std::borrow::Cow;
use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use sessiongate_protocol::json::too_deep;
use sessiongate_protocol::text::short;
use sessiongate_protocol::{Message, ParseError, RequestId, Unreadable};

pub use self::input::{AsRequest, AsResponse, Disclosure, request_input, response_input};
use crate::header_names::{Use, kept};

/// The version of both sides.
const VERSION: &str = "1.0";

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

/// What an interceptor said cannot be done. The text is for the operator's log, and quotes nothing that may be an argument
/// or a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Nonsense(Cow<'static, str>);

// === impl Nonsense ===

impl Nonsense {
    pub(super) fn new(why: &'static str) -> Self {
        Self(why.into())
    }

    fn unreadable(error: &serde_json::Error) -> Self {
        Self(format!("the output cannot be used: {}", Unreadable::from(error)).into())
    }
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
        return Ok(RequestVerdict::Answer { status, headers: settable(answer.headers, Use::SetInResponse)?, body });
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
    Ok(RequestVerdict::GoOn { headers: settable(request.headers, Use::SetInRequest)?, body: changed })
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
        headers: settable(changed.headers, Use::SetInResponse)?,
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
    let messages = Message::parse_batch(body).map_err(|error| {
        Nonsense::new(match error {
            ParseError::TooDeep => "a body is nested too deep",
            _ => "a body is no JSON-RPC message",
        })
    })?;
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
    let output: Output = serde_json::from_slice(output).map_err(|error| Nonsense::unreadable(&error))?;
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
fn settable(headers: Option<BTreeMap<String, String>>, to: Use) -> Result<HeaderMap, Nonsense> {
    let mut set = HeaderMap::new();
    for (name, value) in headers.unwrap_or_default() {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(Nonsense(format!("`{}` is not the name of a header", short(&name).escape_debug()).into()));
        };
        if kept(name.as_str(), to).is_some() {
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
