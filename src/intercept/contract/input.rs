//! What an interceptor is told.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Nonsense, VERSION};
use crate::header_names::{Use, kept};

/// Where a gateway's endpoint is for functions: at this path of a host of its own. They compare it.
const PATH: &str = "/mcp";

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
    path: &'static str,
    http_method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Headers>,
    body: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseInput<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Headers>,
    body: Option<&'a RawValue>,
    is_streaming_response: bool,
}

/// By names in the spelling that functions look them up in: `Mcp-Session-Id`. A name that is there more than once has its
/// values joined, as HTTP allows.
type Headers = BTreeMap<String, String>;

/// A request on its way in.
#[derive(Clone, Copy, Debug)]
pub struct AsRequest<'a> {
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
    /// The HTTP status and headers; none where they were shown with an earlier message.
    pub head: Option<(StatusCode, &'a HeaderMap)>,
    /// One JSON value; empty where there is none.
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
            let hidden = |name: &str| !disclosure.request_headers && kept(name, Use::Show).is_some();
            let body = if disclosure.hide_response_body { None } else { raw(response.body)? };
            Some(ResponseInput {
                status_code: response.head.map(|(status, _)| status.as_u16()),
                headers: response.head.map(|(_, map)| headers(map, hidden)),
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
                path: PATH,
                http_method: request.method,
                headers: disclosure.request_headers.then(|| headers(request.headers, |_| false)),
                body: raw(request.body)?,
            },
            gateway_response,
        },
    };
    serde_json::to_vec(&input).map(Bytes::from).map_err(|_| Nonsense("the input could not be written".into()))
}

fn raw(body: &[u8]) -> Result<Option<&RawValue>, Nonsense> {
    if body.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(body).map(Some).map_err(|_| Nonsense("a body that is no JSON was to be shown".into()))
}

fn headers(map: &HeaderMap, hidden: impl Fn(&str) -> bool) -> Headers {
    let mut all = Headers::new();
    for (name, value) in map {
        if hidden(name.as_str()) {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        all.entry(customary(name.as_str()))
            .and_modify(|known| {
                known.push_str(", ");
                known.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    all
}

/// A name of a header with capitals, as HTTP/1.1 is customarily written: `Mcp-Session-Id`.
fn customary(name: &str) -> String {
    let mut first = true;
    let capital = |letter: char| match std::mem::replace(&mut first, letter == '-') {
        true => letter.to_ascii_uppercase(),
        false => letter,
    };
    name.chars().map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_headers_have_the_customary_spelling() {
        for (name, expected) in
            [("te", "Te"), ("mcp-session-id", "Mcp-Session-Id"), ("x--1a-b", "X--1a-B"), ("-x", "-X")]
        {
            assert_eq!(customary(name), expected);
        }
    }
}
