use serde_json::{Value, json};

use super::*;

const PLAIN: Disclosure = Disclosure { request_headers: false, hide_response_body: false };
const ALL: Disclosure = Disclosure { request_headers: true, hide_response_body: false };

fn bytes(value: &Value) -> Bytes {
    value.to_string().into()
}

fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    map
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut all: Vec<_> =
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    all.sort();
    all
}

fn call() -> Bytes {
    bytes(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a", "arguments": {"n": 1}}}))
}

fn answered() -> Bytes {
    bytes(&json!({"jsonrpc": "2.0", "id": 1, "result": {"content": []}}))
}

fn output(mcp: Value) -> Vec<u8> {
    json!({"interceptorOutputVersion": "1.0", "mcp": mcp}).to_string().into_bytes()
}

#[test]
fn the_input_has_the_shape_of_the_contract() {
    let raw = r#"{"jsonrpc":"2.0","id":1.0e0,"method":"m","params":{"big":12345678901234567890123}}"#;
    let headers = map(&[("authorization", "Bearer t"), ("x-a", "1"), ("x-a", "2")]);
    let request =
        AsRequest { path: "/mcp", method: "POST", headers: &headers, raw: raw.as_bytes(), body: raw.as_bytes() };
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let expected = format!(
        r#"{{"interceptorInputVersion":"1.0","mcp":{{"rawGatewayRequest":{{"body":{}}},"gatewayRequest":{{"path":"/mcp","httpMethod":"POST","body":{raw}}}}}}}"#,
        json!(raw)
    );
    assert_eq!(text(request_input(request, PLAIN).unwrap()), expected, "numbers keep their spelling");
    let with: Value = serde_json::from_slice(&request_input(request, ALL).unwrap()).unwrap();
    let shown = json!({"authorization": "Bearer t", "x-a": "1, 2"});
    assert_eq!(with["mcp"]["gatewayRequest"]["headers"], shown);
    assert!(with["mcp"].get("gatewayResponse").is_none());
}

#[test]
fn an_answer_is_shown_as_far_as_it_may_be() {
    let (none, headers) =
        (HeaderMap::new(), map(&[("mcp-session-id", "secret"), ("content-type", "application/json")]));
    let (raw, body) = (call(), answered());
    let request = AsRequest { path: "/p", method: "POST", headers: &none, raw: &raw, body: &raw };
    let response = AsResponse { status: StatusCode::OK, headers: &headers, body: &body, streaming: true };
    let shown = |disclosure| -> Value {
        let input = response_input(request, response, disclosure).unwrap();
        serde_json::from_slice::<Value>(&input).unwrap()["mcp"]["gatewayResponse"].clone()
    };
    let plain = json!({"statusCode": 200, "headers": {"content-type": "application/json"},
        "body": {"jsonrpc": "2.0", "id": 1, "result": {"content": []}}, "isStreamingResponse": true});
    assert_eq!(shown(PLAIN), plain);
    assert_eq!(shown(ALL)["headers"]["mcp-session-id"], "secret");
    let hidden = shown(Disclosure { hide_response_body: true, ..PLAIN });
    assert_eq!((&hidden["body"], &hidden["statusCode"]), (&Value::Null, &json!(200)));
}

#[test]
fn a_request_goes_on_as_it_was_or_changed() {
    let go_on = |mcp: Value| match request_verdict(&output(mcp), &call()).unwrap() {
        RequestVerdict::GoOn { headers, body } => (texts(&headers), body),
        answer => panic!("{answer:?}"),
    };
    assert_eq!(go_on(json!({})), (vec![], None));
    assert_eq!(go_on(json!({"transformedGatewayRequest": {}})), (vec![], None));
    assert_eq!(go_on(json!({"transformedGatewayRequest": {"body": null}, "other": 1})), (vec![], None));
    let changed = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "b"}});
    let headers =
        json!({"X-Tenant": "a", "Authorization": "x", "Mcp-Session-Id": "x", "Host": "x", "content-length": "9"});
    let (headers, body) = go_on(json!({"transformedGatewayRequest": {"headers": headers, "body": changed}}));
    assert_eq!(headers, [("x-tenant".to_owned(), "a".to_owned())], "who calls, and where to, stays");
    assert_eq!(serde_json::from_slice::<Value>(&body.unwrap()).unwrap(), changed);
}

#[test]
fn a_batch_keeps_its_messages_in_their_order() {
    let one = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let two = json!({"jsonrpc": "2.0", "method": "notifications/x"});
    let batch = bytes(&json!([one, two]));
    let verdict = |body: Value| request_verdict(&output(json!({"transformedGatewayRequest": {"body": body}})), &batch);
    assert!(verdict(json!([one, two])).is_ok());
    for other in [json!([two, one]), json!([one]), json!([one, two, two]), one, json!([])] {
        assert!(verdict(other.clone()).is_err(), "{other}");
    }
}

#[test]
fn a_batch_is_answered_by_a_batch() {
    let message = |id: i64| json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
    let response = |id: i64| json!({"jsonrpc": "2.0", "id": id, "result": {}});
    let batch = bytes(&json!([message(1), message(2)]));
    let verdict = |body: Value| request_verdict(&output(json!({"transformedGatewayResponse": {"body": body}})), &batch);
    assert!(verdict(json!([response(2), response(1)])).is_ok());
    for other in [response(1), json!([response(3)]), json!([message(1)]), json!([])] {
        assert!(verdict(other.clone()).is_err(), "{other}");
    }
}

#[test]
fn an_interceptor_answers_in_the_gateways_place() {
    let answer = |response: Value| match request_verdict(&output(response), &call()) {
        Ok(RequestVerdict::Answer { status, headers, body }) => {
            Ok((status.as_u16(), texts(&headers), serde_json::from_slice::<Value>(&body).ok()))
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    let body = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "no"}});
    let both = json!({"transformedGatewayRequest": {"body": {}}, "transformedGatewayResponse":
        {"statusCode": 403, "headers": {"X-Why": "a", "Set-Cookie": "x", "Mcp-Session-Id": "x"}, "body": body}});
    let expected = (403, vec![("x-why".to_owned(), "a".to_owned())], Some(body.clone()));
    assert_eq!(answer(both), Ok(expected), "the answer goes before the changed request");
    let says = |status: Value, body: Value| {
        answer(json!({"transformedGatewayResponse": {"statusCode": status, "body": body}})).map(|said| said.0)
    };
    assert_eq!(says(json!(200), body.clone()), Ok(200));
    assert_eq!(says(json!(401), json!({"message": "who are you?"})), Ok(401));
    assert_eq!(says(json!(401), Value::Null), Ok(401));
    let other = json!({"jsonrpc": "2.0", "id": 2, "result": {}});
    for (status, body) in [
        (json!(200), json!({"message": "ok"})),
        (json!(200), other.clone()),
        (json!(403), other),
        (json!(200), call_value()),
        (json!(99), body.clone()),
        (json!(101), body.clone()),
        (json!(204), body.clone()),
        (json!(600), body.clone()),
        (json!("200"), body.clone()),
        (json!(70000), body),
    ] {
        assert!(says(status.clone(), body.clone()).is_err(), "{status} {body}");
    }
}

fn call_value() -> Value {
    serde_json::from_slice(&call()).unwrap()
}

#[test]
fn an_answer_stays_or_is_changed_in_its_parts() {
    let verdict = |mcp: Value| response_verdict(&output(mcp), &answered());
    let nothing = verdict(json!({"transformedGatewayRequest": {"body": {}}})).unwrap();
    assert!(nothing.status.is_none() && nothing.headers.is_empty() && nothing.body.is_none());
    let head = verdict(
        json!({"transformedGatewayResponse": {"statusCode": 418, "headers": {"x-a": "1", "content-type": "x"}}}),
    );
    let head = head.unwrap();
    assert_eq!((head.status.unwrap().as_u16(), texts(&head.headers)), (418, vec![("x-a".into(), "1".into())]));
    let error = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "m"}});
    let body = verdict(json!({"transformedGatewayResponse": {"body": error}})).unwrap().body.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), error, "a result may become an error");
    for other in
        [json!({"jsonrpc": "2.0", "id": "1", "result": {}}), json!({}), json!("x"), call_value(), json!([error])]
    {
        assert!(verdict(json!({"transformedGatewayResponse": {"body": other}})).is_err(), "{other}");
    }
    // What the other interceptor answered need not be a message.
    let free = output(json!({"transformedGatewayResponse": {"body": {"b": 1}}}));
    assert!(response_verdict(&free, &Bytes::from_static(b"{\"a\":1}")).unwrap().body.is_some());
}

#[test]
fn anything_else_is_nonsense() {
    let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    let deep =
        format!(r#"{{"interceptorOutputVersion":"1.0","mcp":{{"transformedGatewayRequest":{{"body":{deep}}}}}}}"#);
    let version = |version: Value| json!({"interceptorOutputVersion": version, "mcp": {}}).to_string();
    for nonsense in [
        String::new(),
        "null".into(),
        "[]".into(),
        "\"ok\"".into(),
        "<html>".into(),
        r#"{"mcp":{}}"#.into(),
        r#"{"interceptorOutputVersion":"1.0"}"#.into(),
        version(json!("2.0")),
        version(json!(1.0)),
        json!({"interceptorOutputVersion": "1.0", "mcp": null}).to_string(),
        json!({"interceptorOutputVersion": "1.0", "http": {}}).to_string(),
        r#"{"interceptorOutputVersion":"1.0","interceptorOutputVersion":"1.0","mcp":{}}"#.into(),
        String::from_utf8(output(json!({"transformedGatewayRequest": "x"}))).unwrap(),
        String::from_utf8(output(json!({"transformedGatewayRequest": {"body": "x"}}))).unwrap(),
        String::from_utf8(output(json!({"transformedGatewayRequest": {"headers": {"x": 1}}}))).unwrap(),
        String::from_utf8(output(json!({"transformedGatewayRequest": {"headers": {"a b": "x"}}}))).unwrap(),
        String::from_utf8(output(json!({"transformedGatewayRequest": {"headers": {"x-a": "x\r\ny: z"}}}))).unwrap(),
        deep,
    ] {
        assert!(request_verdict(nonsense.as_bytes(), &call()).is_err(), "{nonsense}");
    }
    let other = |body: Value| output(json!({"transformedGatewayRequest": {"body": body}}));
    for (what, body) in [
        ("another id", json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call"})),
        ("the id in other words", json!({"jsonrpc": "2.0", "id": "1", "method": "tools/call"})),
        ("no request", json!({"jsonrpc": "2.0", "method": "tools/call"})),
        ("an answer", json!({"jsonrpc": "2.0", "id": 1, "result": {}})),
        ("no message", json!({"id": 1, "method": "tools/call"})),
    ] {
        assert!(request_verdict(&other(body), &call()).is_err(), "{what}");
    }
}
