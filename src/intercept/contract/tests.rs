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
    let request = AsRequest { method: "POST", headers: &headers, raw: raw.as_bytes(), body: raw.as_bytes() };
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let expected = format!(
        r#"{{"interceptorInputVersion":"1.0","mcp":{{"rawGatewayRequest":{{"body":{}}},"gatewayRequest":{{"path":"/mcp","httpMethod":"POST","body":{raw}}}}}}}"#,
        json!(raw)
    );
    assert_eq!(text(request_input(request, PLAIN).unwrap()), expected, "numbers keep their spelling");
    let with: Value = serde_json::from_slice(&request_input(request, ALL).unwrap()).unwrap();
    let shown = json!({"Authorization": "Bearer t", "X-A": "1, 2"});
    assert_eq!(with["mcp"]["gatewayRequest"]["headers"], shown);
    assert!(with["mcp"].get("gatewayResponse").is_none());
}

#[test]
fn an_answer_is_shown_as_far_as_it_may_be() {
    let (none, headers) =
        (HeaderMap::new(), map(&[("mcp-session-id", "secret"), ("content-type", "application/json")]));
    let (raw, body) = (call(), answered());
    let request = AsRequest { method: "POST", headers: &none, raw: &raw, body: &raw };
    let response = AsResponse { head: Some((StatusCode::OK, &headers)), body: &body, streaming: true };
    let show = |response, disclosure| -> Value {
        let input = response_input(request, response, disclosure).unwrap();
        serde_json::from_slice::<Value>(&input).unwrap()["mcp"]["gatewayResponse"].clone()
    };
    let shown = |disclosure| show(response, disclosure);
    let plain = json!({"statusCode": 200, "headers": {"Content-Type": "application/json"},
        "body": {"jsonrpc": "2.0", "id": 1, "result": {"content": []}}, "isStreamingResponse": true});
    assert_eq!(shown(PLAIN), plain);
    assert_eq!(shown(ALL)["headers"]["Mcp-Session-Id"], "secret");
    let hidden = shown(Disclosure { hide_response_body: true, ..PLAIN });
    assert_eq!((&hidden["body"], &hidden["statusCode"]), (&Value::Null, &json!(200)));
    let later = show(AsResponse { head: None, ..response }, PLAIN);
    let members: Vec<&String> = later.as_object().unwrap().keys().collect();
    assert_eq!(members, ["body", "isStreamingResponse"]);
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

#[test]
fn what_is_wrong_is_said_without_quoting_it() {
    let request = |given: Value| output(json!({"transformedGatewayRequest": given}));
    let whole = |text: &str| text.as_bytes().to_vec();
    for (output, says) in [
        (whole(""), "not JSON (line 1, column 0)"),
        (whole("s3cret"), "not JSON (line 1, column 1)"),
        (whole("\"s3cret\""), "another type"),
        (whole(r#"{"statusCode": 200, "body": "s3cret"}"#), "missing field `interceptorOutputVersion`"),
        (whole(r#"{"interceptorOutputVersion": "1.0", "s3cret": 1}"#), "missing field `mcp`"),
        (whole(r#"{"interceptorOutputVersion": "s3cret", "mcp": {}}"#), "is not \"1.0\""),
        (request(json!("s3cret")), "another type"),
        (request(json!({"headers": {"x-a": ["s3cret"]}})), "another type"),
        (request(json!({"headers": {"x-a": "s3cret\n"}})), "the value of header `x-a`"),
        (request(json!({"body": "s3cret"})), "no JSON-RPC message"),
        (request(json!({"body": {"jsonrpc": "s3cret", "id": "s3cret", "method": "s3cret"}})), "no JSON-RPC message"),
        (request(json!({"body": {"jsonrpc": "2.0", "id": "s3cret", "method": "s3cret"}})), "kind and id must stay"),
    ] {
        let error = request_verdict(&output, &call()).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(says) && !text.contains("s3cret"), "{text}");
    }
    let name = "n".repeat(1_000_000) + " ";
    let error = request_verdict(&request(json!({"headers": {name: "x"}})), &call()).unwrap_err();
    assert!(error.to_string().len() < 200, "{error}");
}

/// The JSON of the documentation is that of the contract.
#[test]
fn the_documentation_shows_what_is_asked_and_what_may_be_said() {
    let page = include_str!("../../../docs/interceptors.md");
    let blocks: Vec<&str> = page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let (mut inputs, mut outputs) = (0, 0);
    for block in blocks {
        let value: Value = serde_json::from_str(block).unwrap();
        let mcp = &value["mcp"];
        let Some(request) = mcp.get("gatewayRequest") else {
            let (request, answer) = (call(), bytes(&json!({"jsonrpc": "2.0", "id": 1, "result": {}})));
            request_verdict(block.as_bytes(), &request).unwrap_or_else(|error| panic!("{error}: {block}"));
            response_verdict(block.as_bytes(), &answer).unwrap_or_else(|error| panic!("{error}: {block}"));
            outputs += 1;
            continue;
        };
        let map = |headers: &Value| {
            let mut map = HeaderMap::new();
            for (name, value) in headers.as_object().into_iter().flatten() {
                let value = HeaderValue::from_bytes(value.as_str().unwrap().as_bytes()).unwrap();
                map.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
            }
            map
        };
        let (headers, answered) = (map(&request["headers"]), map(&mcp["gatewayResponse"]["headers"]));
        let (raw, body) = (mcp["rawGatewayRequest"]["body"].as_str().unwrap(), bytes(&request["body"]));
        let asked = AsRequest { method: "POST", headers: &headers, raw: raw.as_bytes(), body: &body };
        let disclosure = Disclosure { request_headers: request.get("headers").is_some(), ..PLAIN };
        let input = match mcp.get("gatewayResponse") {
            None => request_input(asked, disclosure),
            Some(response) => {
                let body = bytes(&response["body"]);
                let shown = AsResponse { head: Some((StatusCode::OK, &answered)), body: &body, streaming: false };
                response_input(asked, shown, disclosure)
            }
        };
        assert_eq!(serde_json::from_slice::<Value>(&input.unwrap()).unwrap(), value);
        inputs += 1;
    }
    assert_eq!((inputs, outputs), (2, 3));
}
