//! Interceptors: what they see, what they may change, and that nothing passes where they do not say so.

mod documented;
mod functions;
mod refused;
mod streams;

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Home, Program, http_target, reference_server};
use crate::hook::Hook;
use crate::modern_client::ModernClient;

struct Scene {
    _home: Home,
    target: Program,
    gateway: Program,
}

/// A gateway with plain names and these interceptors (flow sequence of YAML), and lines of the process or the gateway, in
/// front of a target with sessions.
fn scene(interceptors: &str, more: &str) -> Scene {
    scene_of("legacy", interceptors, more)
}

/// The same with a target of this era.
fn scene_of(era: &str, interceptors: &str, more: &str) -> Scene {
    let (home, target) = (Home::new(), reference_server(&["--era", era]));
    let list = http_target("ref", &target.url, "");
    let gateway = home.configured(&format!("naming: plain\ninterceptors: {interceptors}\n{more}\ntargets:\n{list}"));
    Scene { _home: home, target, gateway }
}

fn at(hook: &Hook, points: &str, more: &str) -> String {
    format!("{{url: \"{}/hook\", points: [{points}]{more}}}", hook.url)
}

fn is_call(input: &Value) -> bool {
    input["mcp"]["gatewayRequest"]["body"]["method"] == "tools/call"
}

/// The inputs that are about calls of tools.
fn calls(hook: &Hook) -> Vec<Value> {
    hook.inputs().into_iter().filter(is_call).collect()
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

/// Adds `seen: true` to the arguments of calls.
fn marks_arguments(input: &Value) -> Value {
    let mut body = input["mcp"]["gatewayRequest"]["body"].clone();
    if !is_call(input) {
        return json!({});
    }
    body["params"]["arguments"]["seen"] = json!(true);
    json!({"transformedGatewayRequest": {"body": body}})
}

/// Puts a text in place of the first one of results of calls, and a header on the answer.
fn stamps_results(input: &Value) -> Value {
    let mut body = input["mcp"]["gatewayResponse"]["body"].clone();
    if body["result"]["content"][0]["text"].is_string() {
        body["result"]["content"][0]["text"] = json!("stamped");
    }
    json!({"transformedGatewayResponse": {"body": body, "headers": {"x-stamp": "yes", "mcp-session-id": "stolen"}}})
}

#[tokio::test]
async fn requests_and_answers_are_changed_in_both_eras() {
    for era in ["legacy", "modern"] {
        changed_in_both_eras(era).await;
    }
}

async fn changed_in_both_eras(target: &str) {
    let (before, after) = (Hook::intercepting(marks_arguments), Hook::intercepting(stamps_results));
    let scene = scene_of(target, &format!("[{}, {}]", at(&before, "request", ""), at(&after, "response", "")), "");
    let mut legacy = Client::new(&scene.gateway.url);
    let hello = legacy.initialize(json!({})).await.unwrap();
    assert_eq!(hello["result"]["protocolVersion"], "2025-11-25");
    assert_ne!(legacy.session.as_deref(), Some("stolen"), "the gateway's own headers are not to be had");
    let answer = legacy.call("sg_echo", json!({"a": 1})).await;
    assert_eq!(answer["result"]["structuredContent"], json!({"a": 1, "seen": true}));
    assert_eq!(text(&answer), "stamped");

    let mut modern = ModernClient::new(&scene.gateway.url);
    let answer = modern.call("sg_echo", json!({"a": 2})).await;
    assert_eq!(answer.result()["structuredContent"], json!({"a": 2, "seen": true}));
    assert_eq!(text(&answer.json), "stamped");
    assert_eq!(answer.headers["x-stamp"], "yes");

    let first = &before.inputs()[0];
    assert_eq!(first["interceptorInputVersion"], "1.0");
    let request = &first["mcp"]["gatewayRequest"];
    assert_eq!((&request["path"], &request["httpMethod"]), (&json!("/mcp"), &json!("POST")));
    assert_eq!(request["body"]["method"], "initialize");
    let raw: Value = serde_json::from_str(first["mcp"]["rawGatewayRequest"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(raw, request["body"]);
    assert!(request.get("headers").is_none() && first["mcp"].get("gatewayResponse").is_none());
    assert_eq!(before.seen()[0].header("authorization"), None);
    // What is accepted has no answer to be seen; the notification itself is.
    let methods = |hook: &Hook| -> Vec<Value> {
        hook.inputs().iter().map(|input| input["mcp"]["gatewayRequest"]["body"]["method"].clone()).collect()
    };
    assert_eq!(methods(&before), ["initialize", "notifications/initialized", "tools/call", "tools/call"]);
    assert_eq!(methods(&after), ["initialize", "tools/call", "tools/call"]);
    let seen = &calls(&after)[0]["mcp"];
    assert_eq!(seen["gatewayRequest"]["body"]["params"]["arguments"], json!({"a": 1, "seen": true}));
    assert!(!seen["rawGatewayRequest"]["body"].as_str().unwrap().contains("seen"), "raw is what the client sent");
    assert_eq!(
        (&seen["gatewayResponse"]["statusCode"], &seen["gatewayResponse"]["isStreamingResponse"]),
        (&json!(200), &json!(false))
    );
}

#[tokio::test]
async fn a_changed_name_takes_its_header_along() {
    let hook = Hook::intercepting(|input| {
        let mut body = input["mcp"]["gatewayRequest"]["body"].clone();
        body["params"]["name"] = json!("test_simple_text");
        json!({"transformedGatewayRequest": {"body": body}})
    });
    let scene = scene_of("both", &format!("[{}]", at(&hook, "request", "")), "");
    let mut client = ModernClient::new(&scene.gateway.url);
    assert!(text(&client.call("sg_echo", json!({})).await.json).starts_with("This is a simple text"));
    // A client whose header was wrong is refused all the same.
    let body = client.message("tools/call", json!({"name": "sg_echo", "arguments": {}}));
    let wrong = client.bare(&body).header("mcp-protocol-version", "2026-07-28").header("mcp-method", "tools/call");
    let answer = wrong.header("mcp-name", "other").send().await.unwrap();
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn a_changed_argument_counts_more_than_the_header_that_repeated_it() {
    let hook = Hook::intercepting(|input| {
        let mut body = input["mcp"]["gatewayRequest"]["body"].clone();
        body["params"]["arguments"]["value"] = json!("changed");
        json!({"transformedGatewayRequest": {"body": body}})
    });
    let scene = scene_of("both", &format!("[{}]", at(&hook, "request", "")), "");
    let mut client = ModernClient::new(&scene.gateway.url);
    let body = client.message("tools/call", json!({"name": "test_custom_header", "arguments": {"value": "sent"}}));
    let answer = client.post(&body).header("mcp-param-value", "sent").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    // The target got the header that goes with what it got, or it would have refused.
    let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert!(text(&answer).contains("changed"), "{answer}");
}

#[tokio::test]
async fn a_batch_is_seen_whole() {
    let hook = Hook::intercepting(|input| match input["mcp"].get("gatewayResponse") {
        Some(_) => json!({}),
        None => {
            let mut body = input["mcp"]["gatewayRequest"]["body"].clone();
            for call in body.as_array_mut().into_iter().flatten() {
                call["params"]["arguments"]["seen"] = json!(true);
            }
            json!({"transformedGatewayRequest": {"body": body}})
        }
    });
    let scene = scene(&format!("[{}]", at(&hook, "request, response", "")), "");
    let mut client = Client::new(&scene.gateway.url);
    client.revision = "2025-03-26";
    client.initialize(json!({})).await.unwrap();
    let call = |client: &mut Client| client.request("tools/call", json!({"name": "sg_echo", "arguments": {}}));
    let batch = json!([call(&mut client), call(&mut client)]);
    let (status, answers) = client.send(&batch).await;
    assert_eq!(status, 200);
    for (answer, call) in answers.as_array().unwrap().iter().zip(batch.as_array().unwrap()) {
        assert_eq!((&answer["id"], &answer["result"]["structuredContent"]), (&call["id"], &json!({"seen": true})));
    }
    let last = hook.inputs().pop().unwrap();
    assert_eq!(last["mcp"]["gatewayResponse"]["body"], answers);
    // What is no message is refused without asking.
    let asked = hook.seen().len();
    for wrong in [json!([]), json!({"a": 1}), json!("x")] {
        assert_eq!(client.send(&wrong).await.0, 400, "{wrong}");
    }
    assert_eq!(hook.seen().len(), asked);
}

#[tokio::test]
async fn an_interceptor_answers_for_the_gateway_and_the_other_still_sees_it() {
    let refuses = |input: &Value| {
        if !is_call(input) {
            return json!({});
        }
        let id = &input["mcp"]["gatewayRequest"]["body"]["id"];
        let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32000, "message": "not today"}});
        json!({"transformedGatewayResponse": {"statusCode": 403, "headers": {"x-why": "today"}, "body": error}})
    };
    let (before, after) = (
        Hook::intercepting(refuses),
        Hook::intercepting(|input| {
            let mut body = input["mcp"]["gatewayResponse"]["body"].clone();
            if body.get("error").is_some() {
                body["error"]["data"] = json!("seen");
            }
            json!({"transformedGatewayResponse": {"body": body}})
        }),
    );
    let scene = scene(&format!("[{}, {}]", at(&before, "request", ""), at(&after, "response", "")), "");
    let mut client = Client::ready(&scene.gateway.url, json!({})).await;
    let body = client.request("tools/call", json!({"name": "sg_counter", "arguments": {}}));
    let answer = client.post(&body).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["x-why"].to_str().unwrap()), (403, "today"));
    let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(answer["error"], json!({"code": -32000, "message": "not today", "data": "seen"}));
    assert_eq!(answer["id"], body["id"]);
    assert_eq!(calls(&after)[0]["mcp"]["gatewayResponse"]["statusCode"], 403);
}

#[tokio::test]
async fn an_answer_of_an_interceptor_is_seen_without_a_body_too() {
    let hook = Hook::intercepting(|input| match input["mcp"].get("gatewayResponse") {
        None if is_call(input) => json!({"transformedGatewayResponse": {"statusCode": 403}}),
        Some(response) if response["statusCode"] == 403 => {
            let headers = json!({"x-seen": response["body"].to_string()});
            let id = &input["mcp"]["gatewayRequest"]["body"]["id"];
            let body = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32000, "message": "told"}});
            json!({"transformedGatewayResponse": {"headers": headers, "body": body}})
        }
        _ => json!({}),
    });
    let scene = scene(&format!("[{}]", at(&hook, "request, response", "")), "");
    let answer = ModernClient::new(&scene.gateway.url).call("sg_echo", json!({})).await;
    assert_eq!((answer.status, &answer.headers["x-seen"]), (403, &"null".parse().unwrap()));
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.json["error"]["message"], "told");
}

#[tokio::test]
async fn headers_are_told_only_where_that_is_wanted() {
    let (told, untold) = (Hook::intercepting(|_| json!({})), Hook::intercepting(|_| json!({})));
    let (yes, no) = (at(&told, "request", ", pass_request_headers: true"), at(&untold, "response", ""));
    let scene = scene(&format!("[{yes}, {no}]"), "api_keys: [{name: ada, key: key-of-ada-0123456789}]");
    let mut client = Client::with_key(&scene.gateway.url, "key-of-ada-0123456789");
    client.initialize(json!({})).await.unwrap();
    let session = client.session.clone().unwrap();
    assert_eq!(text(&client.call("sg_echo", json!({})).await), "{}");
    let headers = &calls(&told)[0]["mcp"]["gatewayRequest"]["headers"];
    assert_eq!(headers["Authorization"], "Bearer key-of-ada-0123456789", "as functions that exist look them up");
    assert_eq!(headers["Mcp-Session-Id"], session);
    let all = untold.inputs();
    assert!(all.iter().all(|input| input["mcp"]["gatewayRequest"].get("headers").is_none()));
    let shown = &all[0]["mcp"]["gatewayResponse"]["headers"];
    assert_eq!(shown["Content-Type"], "application/json");
    assert!(!json!(all).to_string().contains(&session), "a session's id opens it, as a header of an answer too");
    // Nobody is asked about who may not call.
    let asked = told.seen().len();
    let (status, _) =
        Client::with_key(&scene.gateway.url, "wrong").send(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).await;
    assert_eq!((status, told.seen().len()), (401, asked));
}

#[tokio::test]
async fn bodies_of_answers_can_be_kept_from_it() {
    let hook = Hook::intercepting(|_| json!({"transformedGatewayResponse": {"headers": {"x-a": "1"}, "body": null}}));
    let scene = scene(&format!("[{}]", at(&hook, "response", ", exclude_response_body: true")), "");
    let mut client = ModernClient::new(&scene.gateway.url);
    let answer = client.call("sg_echo", json!({"word": "s3cret"})).await;
    assert_eq!(
        (answer.result()["structuredContent"]["word"].as_str(), &answer.headers["x-a"]),
        (Some("s3cret"), &"1".parse().unwrap())
    );
    let shown = &calls(&hook)[0]["mcp"]["gatewayResponse"];
    assert_eq!((&shown["body"], &shown["statusCode"]), (&Value::Null, &json!(200)));
}
