//! Which era a message belongs to, and what a modern one must be before it is executed: the rungs in their order, the
//! earlier wins (2026-07-28, transports and versioning; mcp-protocol 4.4).

use std::borrow::Cow;

use serde_json::{Value, json};

use super::envelope::{Envelope, Opened};
use super::headers;
use crate::codes;
use crate::jsonrpc::{Message, Request};
use crate::revision::{Era, Revision};

/// The headers that the ladder looks at, as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderView<'a> {
    /// `MCP-Protocol-Version`.
    pub protocol_version: Option<&'a str>,
    /// `Mcp-Method`.
    pub method: Option<&'a str>,
    /// `Mcp-Name`.
    pub name: Option<&'a str>,
}

/// What a message is.
#[derive(Debug)]
pub enum Class<'a> {
    /// For the rules of sessions.
    Legacy,
    /// A request with a complete envelope, and its parameters as they were read for that.
    Modern(Envelope, Opened<'a>),
    /// A notification of the era, which means nothing over HTTP: accepted.
    Notification,
    /// Neither.
    Refused(Refusal),
}

/// A refusal before execution.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The JSON-RPC code.
    pub code: i64,
    /// For the client.
    pub message: String,
    /// `error.data`.
    pub data: Option<Value>,
}

/// The methods of the era that a server can offer.
const METHODS: [&str; 13] = [
    "server/discover",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "completion/complete",
    "subscriptions/listen",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
];

/// The modern revisions.
fn modern() -> impl Iterator<Item = Revision> {
    Revision::ALL.into_iter().filter(|revision| revision.era() == Era::Modern)
}

/// Body first: a request that names a revision in its envelope is modern, whatever its headers say. `served`: the
/// revisions that the endpoint serves, of both eras, newest first; the error about another one names them.
pub fn classify<'a>(message: &'a Message, headers: &HeaderView<'_>, served: &[Revision]) -> Class<'a> {
    let (params, request) = match message {
        Message::Request(request) => (request.params.as_ref(), Some(request)),
        Message::Notification(notification) => (notification.params.as_ref(), None),
        Message::Response(_) => {
            let modern = headers.protocol_version.is_some_and(|said| modern().any(|one| one.as_str() == said.trim()));
            return match modern {
                true => Class::Refused(Refusal {
                    status: 400,
                    code: codes::INVALID_REQUEST,
                    message: "a response is not taken here: answers travel in `inputResponses` of the repeated request"
                        .into(),
                    data: None,
                }),
                false => Class::Legacy,
            };
        }
    };
    let said = headers.protocol_version.map(str::trim);
    let header_is_modern = said.is_some_and(|said| modern().any(|revision| revision.as_str() == said));
    // Nearly all requests are either: they are read once.
    let opened = params.filter(|params| header_is_modern || Envelope::may_be_in(params)).map(Opened::of);
    let Some(Ok(opened)) = opened.filter(|opened| opened.as_ref().is_ok_and(Opened::names_revision)) else {
        let Some(request) = request else {
            return if header_is_modern { Class::Notification } else { Class::Legacy };
        };
        return match header_is_modern {
            // It begins a session, whatever the header says.
            true if &*request.method == "initialize" => Class::Legacy,
            true => Class::Refused(match Envelope::of(params) {
                Err(error) => invalid(&error.to_string()),
                Ok(_) => invalid("the envelope cannot be read"),
            }),
            false => Class::Legacy,
        };
    };
    if request.is_none() {
        return Class::Notification;
    }
    match Envelope::read(&opened) {
        Err(error) => Class::Refused(invalid(&error.to_string())),
        Ok(envelope) => {
            if let Some(said) = said
                && *said != *envelope.protocol_version
            {
                let text = format!(
                    "`MCP-Protocol-Version` says {}, the body says {}: both must name the same revision",
                    crate::text::short(said).escape_debug(),
                    envelope.protocol_version
                );
                return Class::Refused(header_mismatch(&text));
            }
            let mut here = served.iter().filter(|revision| revision.era() == Era::Modern);
            if !here.any(|revision| *revision.as_str() == *envelope.protocol_version) {
                return Class::Refused(unsupported(&envelope.protocol_version, served));
            }
            Class::Modern(envelope, opened)
        }
    }
}

/// The headers of a modern request against its body, and its method.
///
/// # Errors
/// The first rung that does not hold.
pub fn validate(request: &Request, params: &Opened<'_>, headers: &HeaderView<'_>) -> Result<(), Refusal> {
    if headers.protocol_version.is_none() {
        return Err(header_mismatch("`MCP-Protocol-Version` is missing: it repeats the revision of the body"));
    }
    match headers.method.map(str::trim) {
        None => return Err(header_mismatch("`Mcp-Method` is missing: it repeats the method of the body")),
        Some(method) if *method != *request.method => {
            let (said, meant) = (crate::text::short(method), crate::text::short(&request.method));
            let text = format!("`Mcp-Method` says {}, the body says {meant}", said.escape_debug());
            return Err(header_mismatch(&text));
        }
        Some(_) => {}
    }
    if let Some((member, name)) = named(&request.method, params) {
        let header = headers.name.ok_or_else(|| {
            header_mismatch(&format!("`Mcp-Name` is missing: it repeats `params.{member}` of the body"))
        })?;
        let header = headers::decode(header).map_err(|error| header_mismatch(&format!("`Mcp-Name` {error}")))?;
        if header != name {
            return Err(header_mismatch(&format!("`Mcp-Name` is not `params.{member}` of the body")));
        }
    }
    if !METHODS.contains(&&*request.method) {
        return Err(unknown_method(&request.method));
    }
    Ok(())
}

/// The member that `Mcp-Name` repeats. Where the body has none the method itself will say so.
fn named<'a>(method: &str, params: &Opened<'a>) -> Option<(&'static str, Cow<'a, str>)> {
    let member = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    };
    params.text(member).ok().map(|text| (member, text))
}

/// A method that is not offered: 404.
pub fn unknown_method(method: &str) -> Refusal {
    let message = format!("method {} is not offered here", crate::text::short(method));
    Refusal { status: 404, code: codes::METHOD_NOT_FOUND, message, data: None }
}

/// Headers and body disagree: -32020.
pub fn header_mismatch(message: &str) -> Refusal {
    Refusal { status: 400, code: codes::HEADER_MISMATCH, message: message.to_owned(), data: None }
}

/// The request did not declare what is needed to serve it: -32021. `required` has the shape of `clientCapabilities`.
pub fn missing_capability(required: Value) -> Refusal {
    let message = "the target needs to ask the client something that this request does not declare".to_owned();
    let data = Some(json!({"requiredCapabilities": required}));
    Refusal { status: 400, code: codes::MISSING_CLIENT_CAPABILITY, message, data }
}

/// A revision that is not served in this way: -32022. Clients read those that are from the data.
pub fn unsupported(requested: &str, served: &[Revision]) -> Refusal {
    let message = format!("revision {} is not supported here", crate::text::short(requested));
    let supported: Vec<&str> = served.iter().map(|revision| revision.as_str()).collect();
    let data = Some(json!({"supported": supported, "requested": requested}));
    Refusal { status: 400, code: codes::UNSUPPORTED_PROTOCOL_VERSION, message, data }
}

fn invalid(message: &str) -> Refusal {
    let data = Some(json!({"reason": "envelope"}));
    Refusal { status: 400, code: codes::INVALID_PARAMS, message: message.to_owned(), data }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const VERSION: &str = "2026-07-28";

    fn message(method: &str, meta: &str, rest: &str) -> Message {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"_meta":{{{meta}}}{rest}}}}}"#);
        Message::parse(&Bytes::from(body)).unwrap()
    }

    fn enveloped(method: &str, rest: &str) -> Message {
        let meta =
            r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}"#;
        message(method, meta, rest)
    }

    fn served() -> Vec<Revision> {
        Revision::ALL.into_iter().rev().collect()
    }

    fn run(message: &Message, version: Option<&str>, method: Option<&str>, name: Option<&str>) -> (u16, i64) {
        let view = HeaderView { protocol_version: version, method, name };
        match classify(message, &view, &served()) {
            Class::Legacy => (0, 0),
            Class::Notification => (202, 0),
            Class::Refused(refusal) => (refusal.status, refusal.code),
            Class::Modern(_, opened) => match message {
                Message::Request(request) => match validate(request, &opened, &view) {
                    Ok(()) => (200, 0),
                    Err(refusal) => (refusal.status, refusal.code),
                },
                _ => unreachable!("only requests are modern"),
            },
        }
    }

    #[test]
    fn every_rung_in_its_order() {
        let call = enveloped("tools/call", r#","name":"add é""#);
        let list = enveloped("tools/list", "");
        let encoded = headers::encode("add é").into_owned();
        let name = Some(&*encoded);
        let (ok, v) = ((200, 0), Some(VERSION));
        for (at, (got, expected)) in [
            (run(&list, v, Some("tools/list"), None), ok),
            (run(&call, v, Some("tools/call"), name), ok),
            (run(&call, v, Some(" tools/call "), name), ok),
            (run(&call, None, Some("tools/call"), name), (400, -32020)),
            (run(&call, v, None, name), (400, -32020)),
            (run(&call, v, Some("TOOLS/CALL"), name), (400, -32020)),
            (run(&call, v, Some("tools/call"), None), (400, -32020)),
            (run(&call, v, Some("tools/call"), Some("other")), (400, -32020)),
            (run(&call, v, Some("tools/call"), Some("=?base64?***?=")), (400, -32020)),
            (run(&call, Some("2025-11-25"), Some("tools/call"), name), (400, -32020)),
            (run(&enveloped("initialize", ""), v, Some("initialize"), None), (404, -32601)),
            (run(&enveloped("ping", ""), v, Some("ping"), None), (404, -32601)),
            (run(&enveloped("logging/setLevel", ""), v, Some("logging/setLevel"), None), (404, -32601)),
            (run(&message("tools/list", "", ""), v, Some("tools/list"), None), (400, -32602)),
            (run(&message("initialize", "", ""), v, None, None), (0, 0)),
            (run(&enveloped("resources/subscribe", ""), v, Some("resources/subscribe"), None), (404, -32601)),
            (run(&enveloped("prompts/get", r#","name":"p""#), v, Some("prompts/get"), Some("q")), (400, -32020)),
            (run(&enveloped("resources/read", r#","uri":"a:b""#), v, Some("resources/read"), Some("a:b")), ok),
            (run(&enveloped("tasks/get", r#","taskId":"t""#), v, Some("tasks/get"), None), (400, -32020)),
            (run(&message("initialize", "", ""), None, None, None), (0, 0)),
            (run(&message("tools/list", "", ""), Some("2025-11-25"), None, None), (0, 0)),
            (run(&message("tools/list", "", ""), None, None, None), (0, 0)),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(got, expected, "row {at}");
        }
        let only_version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
        assert_eq!(run(&message("tools/list", only_version, ""), v, Some("tools/list"), None), (400, -32602));
        for unsupported in ["1999-01-01", "2025-11-25"] {
            let meta = format!(
                r#""io.modelcontextprotocol/protocolVersion":"{unsupported}","io.modelcontextprotocol/clientCapabilities":{{}}"#
            );
            let got = run(&message("tools/list", &meta, ""), Some(unsupported), Some("tools/list"), None);
            assert_eq!(got, (400, -32022), "{unsupported}");
        }
    }

    #[test]
    fn a_refused_revision_comes_with_those_that_are_served() {
        let Refusal { data: Some(data), .. } = unsupported("1999-01-01", &served()) else { panic!() };
        assert_eq!(data["requested"], "1999-01-01");
        assert_eq!(data["supported"], json!([VERSION, "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]));
        let list = enveloped("tools/list", "");
        let view = HeaderView { protocol_version: Some(VERSION), method: Some("tools/list"), name: None };
        let legacy = [Revision::V2025_11_25];
        let Class::Refused(refusal) = classify(&list, &view, &legacy) else { panic!() };
        assert_eq!(
            (refusal.code, refusal.data),
            (-32022, Some(json!({"supported": ["2025-11-25"], "requested": VERSION})))
        );
    }

    #[test]
    fn notifications_of_the_era_are_let_pass() {
        let body = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
        let note = Message::parse(&Bytes::from(body)).unwrap();
        assert_eq!(run(&note, Some(VERSION), None, None), (202, 0));
        assert_eq!(run(&note, Some("2025-11-25"), None, None), (0, 0));
        let answer = Message::parse(&Bytes::from(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)).unwrap();
        assert_eq!(run(&answer, Some(VERSION), None, None), (400, -32600));
        assert_eq!(run(&answer, None, None, None), (0, 0));
    }
}
