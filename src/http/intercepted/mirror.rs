//! Headers that repeat what the body says (2026-07-28) follow a body that an interceptor changed.

use std::borrow::Cow;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use serde::Deserialize;
use sessiongate_protocol::modern::headers;
use sessiongate_protocol::{Message, RawJson, Request};

/// What `Mcp-Name` may repeat.
#[derive(Deserialize, Default)]
struct Named {
    name: Option<String>,
    uri: Option<String>,
    #[serde(rename = "taskId")]
    task_id: Option<String>,
}

/// Makes headers that were right for the body before right for the one that is there now. Those that were wrong stay so,
/// and are refused.
pub(super) fn follow(map: &mut HeaderMap, before: &[Message], now: &Bytes) {
    let ([Message::Request(before)], Ok(Message::Request(now))) = (before, Message::parse(now)) else { return };
    replace(map, headers::METHOD, Some(&before.method), Some(&now.method));
    replace(map, headers::NAME, name(before).as_deref(), name(&now).as_deref());
}

fn replace(map: &mut HeaderMap, header: &'static str, before: Option<&str>, now: Option<&str>) {
    let mut sent = map.get_all(header);
    let (Some(value), None) = (sent.next(), sent.next()) else { return };
    let said = value.to_str().ok().and_then(|text| headers::decode(text).ok());
    let (Some(before), Some(now)) = (before, now) else { return };
    if said.as_deref() != Some(before) || before == now {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(&headers::encode(now)) {
        map.insert(HeaderName::from_static(header), value);
    }
}

fn name(request: &Request) -> Option<Cow<'static, str>> {
    let params = request.params.as_ref().map(RawJson::get::<Named>)?.ok()?;
    let name = match &*request.method {
        "tools/call" | "prompts/get" => params.name,
        "resources/read" => params.uri,
        "tasks/get" | "tasks/update" | "tasks/cancel" => params.task_id,
        _ => None,
    };
    name.map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str) -> Bytes {
        let params = serde_json::json!({"name": name});
        serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string().into()
    }

    #[test]
    fn what_was_right_stays_right_and_what_was_wrong_stays_wrong() {
        let before = [Message::parse(&call("a")).unwrap()];
        for (sent, expected) in [("a", "=?base64?w6k=?="), (" a ", "=?base64?w6k=?="), ("x", "x"), ("", "")] {
            let mut map = HeaderMap::new();
            map.insert(HeaderName::from_static(headers::NAME), HeaderValue::from_str(sent).unwrap());
            map.insert(HeaderName::from_static(headers::METHOD), HeaderValue::from_static("tools/call"));
            follow(&mut map, &before, &call("é"));
            assert_eq!(map.get(headers::NAME).unwrap(), expected, "{sent}");
            assert_eq!(map.get(headers::METHOD).unwrap(), "tools/call");
        }
        let mut none = HeaderMap::new();
        follow(&mut none, &before, &call("b"));
        assert!(none.is_empty(), "what the client left out is still missing");
    }
}
