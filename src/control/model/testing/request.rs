//! Inputs as AWS clients put them on the wire.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::super::{Kind, Location, Model, Operation};

/// RFC 3986's unreserved characters stay; all else is encoded, the slash of an ARN too.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireRequest {
    /// HTTP method.
    pub method: String,
    /// Path, encoded.
    pub path: String,
    /// Query, encoded; empty if there is none.
    pub query: String,
    /// JSON, if the operation has a body.
    pub body: Option<Vec<u8>>,
}

/// The request that says `input`; `None` if no request can (a path without its member, text as a number in a query).
pub fn wire(model: &Model, operation: &Operation, input: &Value) -> Option<WireRequest> {
    let members = model.shape(operation.input).members()?;
    let mut path = operation.uri.clone();
    let mut query = Vec::new();
    let mut body = Map::new();
    for (name, _) in members.iter().filter(|(_, member)| member.location == Location::Path) {
        let value = input.get(name)?.as_str().filter(|value| !value.is_empty())?;
        path = path.replace(&format!("{{{name}}}"), &encoded(value));
    }
    for (name, value) in input.as_object()? {
        match members.get(name) {
            Some(member) if member.location == Location::Path => {}
            Some(member) if member.location == Location::Query => {
                let kind = &model.shape(member.shape).kind;
                match (kind, value) {
                    (_, Value::Null) => {}
                    (Kind::List { .. }, Value::Array(items)) if !items.is_empty() => {
                        for item in items {
                            query.push(format!("{name}={}", encoded(item.as_str()?)));
                        }
                    }
                    (Kind::String { .. }, Value::String(text)) => query.push(format!("{name}={}", encoded(text))),
                    (Kind::Integer { .. }, Value::String(text)) => query.push(format!("{name}={}", encoded(text))),
                    (Kind::Integer { .. }, Value::Number(number)) => query.push(format!("{name}={number}")),
                    _ => return None,
                }
            }
            _ => {
                body.insert(name.clone(), value.clone());
            }
        }
    }
    let takes_body = members.values().any(|member| member.location == Location::Body) || !body.is_empty();
    Some(WireRequest {
        method: operation.method.clone(),
        path,
        query: query.join("&"),
        body: takes_body.then(|| Value::Object(body).to_string().into_bytes()),
    })
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &ENCODED).to_string()
}
