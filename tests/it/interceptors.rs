//! Interceptors: what they see, what they may change, and that nothing passes where they do not say so.

use serde_json::{Value, json};

use crate::client::{Client, Event, Stream};
use crate::control_client::{Control, gateway as members};
use crate::harness::{Home, Program, eventually, http_target, reference_server};
use crate::hook::{Hook, KEY, SECRET, Says, says};
use crate::modern_client::ModernClient;
use crate::scripted::{Reply, SSE, Scripted};

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
async fn headers_are_told_only_where_that_is_wanted() {
    let (told, untold) = (Hook::intercepting(|_| json!({})), Hook::intercepting(|_| json!({})));
    let (yes, no) = (at(&told, "request", ", pass_request_headers: true"), at(&untold, "response", ""));
    let scene = scene(&format!("[{yes}, {no}]"), "api_keys: [{name: ada, key: key-of-ada-0123456789}]");
    let mut client = Client::with_key(&scene.gateway.url, "key-of-ada-0123456789");
    client.initialize(json!({})).await.unwrap();
    let session = client.session.clone().unwrap();
    assert_eq!(text(&client.call("sg_echo", json!({})).await), "{}");
    let headers = &calls(&told)[0]["mcp"]["gatewayRequest"]["headers"];
    assert_eq!(headers["authorization"], "Bearer key-of-ada-0123456789");
    assert_eq!(headers["mcp-session-id"], session);
    let all = untold.inputs();
    assert!(all.iter().all(|input| input["mcp"]["gatewayRequest"].get("headers").is_none()));
    let shown = &all[0]["mcp"]["gatewayResponse"]["headers"];
    assert_eq!(shown["content-type"], "application/json");
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

/// What was shown of the messages of streams: results and questions.
fn events(hook: &Hook) -> Vec<String> {
    let streaming = |input: &Value| input["mcp"]["gatewayResponse"]["isStreamingResponse"] == true;
    let kind = |input: Value| match input["mcp"]["gatewayResponse"]["body"]["method"].as_str() {
        Some(method) => method.to_owned(),
        None => "response".to_owned(),
    };
    hook.inputs().into_iter().filter(streaming).map(kind).collect()
}

#[tokio::test]
async fn a_stream_is_seen_message_by_message() {
    let hook = Hook::intercepting(|input| {
        let mut body = input["mcp"]["gatewayResponse"]["body"].clone();
        if input["mcp"]["gatewayResponse"]["isStreamingResponse"] != true {
            return json!({});
        }
        match body.get("method") {
            Some(_) => body["params"]["message"] = json!("stamped question"),
            None => body["result"]["_meta"] = json!({"stamp": "yes"}),
        }
        json!({"transformedGatewayResponse": {"statusCode": 203, "headers": {"x-stamp": "yes"}, "body": body}})
    });
    let scene = scene(&format!("[{}]", at(&hook, "response", "")), "");
    let mut client = Client::ready(&scene.gateway.url, json!({"elicitation": {}})).await;
    // Progress comes first: it is not seen, and the head is gone with it.
    let params =
        json!({"name": "sg_progress", "arguments": {"steps": 3, "delay_ms": 1}, "_meta": {"progressToken": "p"}});
    let body = client.request("tools/call", params);
    let answer = client.post(&body).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().get("x-stamp")), (200, None));
    let all = Stream::of(answer).rest().await;
    assert_eq!(all.iter().filter_map(Event::progress).count(), 3, "{all:?}");
    let last = all.iter().rev().find(|event| event.data.is_some()).unwrap();
    assert_eq!(last.data.as_ref().unwrap()["result"]["_meta"]["stamp"], "yes");
    assert_eq!(events(&hook), ["response"]);
    // It is seen again where it is read again: there is no way around.
    let from = all.iter().find(|event| event.progress().is_some()).and_then(|event| event.id.clone());
    let again = client.listen(from.as_deref()).await.rest().await;
    let last_again = again.iter().rev().find(|event| event.data.is_some()).unwrap();
    assert_eq!(last_again, last);
    assert_eq!(events(&hook), ["response", "response"]);
    // A question that comes first can still change the head; the answer after it cannot.
    let body = client.request("tools/call", json!({"name": "sg_elicit_form", "arguments": {}}));
    let answer = client.post(&body).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-stamp"]), (203, &"yes".parse().unwrap()));
    let mut stream = Stream::of(answer);
    let question = stream.message("elicitation/create").await;
    assert_eq!(question["params"]["message"], "stamped question");
    let accepted = client.answer(&question, json!({"action": "accept", "content": {"name": "x"}})).await;
    assert_eq!(accepted, 202);
    assert_eq!(stream.response().await["result"]["_meta"]["stamp"], "yes");
    assert_eq!(events(&hook), ["response", "response", "elicitation/create", "response"]);
}

/// Fails in these ways, at calls only.
fn failing(how: &'static str) -> Hook {
    Hook::new(move |asked| {
        let input = asked.json();
        if !is_call(&input) {
            return says(json!({}));
        }
        let body = &input["mcp"]["gatewayRequest"]["body"];
        match how {
            "late" => Says::Never,
            "status" => Says::Status(500, "a secret of the hook".into()),
            "redirect" => Says::With("location", "http://127.0.0.1:1/".into(), 307, String::new()),
            "html" => Says::Status(200, "<html>".into()),
            "empty" => Says::Status(200, String::new()),
            "version" => Says::Status(200, json!({"interceptorOutputVersion": "9", "mcp": {}}).to_string()),
            "function" => {
                Says::With("x-amz-function-error", "Unhandled".into(), 200, json!({"errorMessage": "boom"}).to_string())
            }
            "large" => Says::Status(200, format!("\"{}\"", "x".repeat(7_000_000))),
            "id" => {
                let mut body = body.clone();
                body["id"] = json!("other");
                says(json!({"transformedGatewayRequest": {"body": body}, "transformedGatewayResponse": null}))
            }
            "limit" => {
                let mut body = body.clone();
                body["params"]["arguments"]["x"] = json!("x".repeat(100_000));
                says(json!({"transformedGatewayRequest": {"body": body}}))
            }
            other => panic!("{other}"),
        }
    })
}

#[tokio::test]
async fn what_an_interceptor_does_not_allow_does_not_happen() {
    for (how, status, reason) in [
        ("late", 504, "interceptor_timeout"),
        ("status", 502, "interceptor_failed"),
        ("redirect", 502, "interceptor_failed"),
        ("html", 502, "interceptor_nonsense"),
        ("empty", 502, "interceptor_nonsense"),
        ("version", 502, "interceptor_nonsense"),
        ("function", 502, "interceptor_failed"),
        ("large", 502, "interceptor_failed"),
        ("id", 502, "interceptor_nonsense"),
        ("limit", 502, "interceptor_nonsense"),
    ] {
        let hook = failing(how);
        let scene = scene(&format!("[{}]", at(&hook, "request", ", timeout: 500ms")), "! body_limit: 64KiB");
        let mut client = Client::ready(&scene.gateway.url, json!({})).await;
        let body = client.request("tools/call", json!({"name": "sg_counter", "arguments": {}}));
        let (got, answer) = client.send(&body).await;
        assert_eq!((got, &answer["error"]["data"]["reason"]), (status, &json!(reason)), "{how}: {answer}");
        assert_eq!(answer["id"], body["id"], "{how}");
        assert!(!answer.to_string().contains("secret of the hook"), "{how}: {answer}");
        let told = if how == "status" { "a secret of the hook" } else { reason };
        eventually("the operator is told", async || scene.gateway.log().contains(told).then_some(())).await;
        // It never reached the target.
        let stats = scene.target.stats().await;
        assert_eq!(stats["calls"], 0, "{how}: {stats}");
    }
}

#[tokio::test]
async fn an_answer_that_was_not_seen_is_not_given() {
    for (how, reason) in
        [("late", "interceptor_timeout"), ("status", "interceptor_failed"), ("html", "interceptor_nonsense")]
    {
        let hook = failing(how);
        let scene = scene(&format!("[{}]", at(&hook, "response", ", timeout: 500ms")), "");
        let mut client = Client::ready(&scene.gateway.url, json!({"elicitation": {}})).await;
        let whole = client.call("sg_echo", json!({"word": "s3cret"})).await;
        assert_eq!(whole["error"]["data"]["reason"], reason, "{how}");
        assert!(!whole.to_string().contains("s3cret"), "{how}");
        // A stream that has begun says so as its end.
        let (id, mut stream) = client.start("sg_progress", json!({"steps": 2, "delay_ms": 1})).await;
        let all = stream.rest().await;
        assert_eq!(all.iter().filter_map(Event::progress).count(), 2, "{all:?}");
        let last = all.iter().rev().find_map(|event| event.data.clone()).unwrap();
        assert_eq!((&last["id"], &last["error"]["data"]["reason"]), (&id, &json!(reason)), "{how}");
        // Nor is a question asked.
        let body = client.request("tools/call", json!({"name": "sg_elicit_form", "arguments": {}}));
        let (_, refused) = client.send(&body).await;
        assert_eq!(refused["error"]["data"]["reason"], reason, "{how}");
    }
}

#[tokio::test]
async fn a_question_in_the_middle_that_was_not_seen_ends_the_stream() {
    let hook = failing("status");
    let target = Scripted::named(&["ask"], |_, request| {
        let token = &request.body["params"]["_meta"]["progressToken"];
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}});
        let question = json!({"jsonrpc": "2.0", "id": 7, "method": "elicitation/create",
            "params": {"message": "s3cret?", "requestedSchema": {"type": "object", "properties": {}}}});
        Reply::Hang([SSE, format!("data: {progress}\n\ndata: {question}\n\n").as_bytes()].concat())
    });
    let home = Home::new();
    let list = http_target("ref", &target.url, "");
    let interceptors = at(&hook, "response", "");
    let gateway = home.configured(&format!("naming: plain\ninterceptors: [{interceptors}]\ntargets:\n{list}"));
    let mut client = Client::ready(&gateway.url, json!({"elicitation": {}})).await;
    let (id, mut stream) = client.start("ask", json!({})).await;
    let all: Vec<Value> = stream.rest().await.into_iter().filter_map(|event| event.data).collect();
    assert_eq!((all.len(), &all[0]["method"]), (2, &json!("notifications/progress")), "{all:?}");
    assert_eq!((&all[1]["id"], &all[1]["error"]["data"]["reason"]), (&id, &json!("interceptor_failed")));
    assert!(!json!(all).to_string().contains("s3cret"));
}

const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:check:PROD";

fn aws(endpoints: &str) -> String {
    format!("! aws: {{access_key_id: {KEY}, secret_access_key: {SECRET}}}\n! endpoints: {{{endpoints}}}")
}

#[tokio::test]
async fn a_function_is_invoked_with_a_signature() {
    let lambda = Hook::intercepting(marks_arguments);
    let scene = scene(
        &format!("[{{lambda: \"{FUNCTION}\", points: [request]}}]"),
        &aws(&format!("lambda: \"{}\"", lambda.url)),
    );
    let mut client = ModernClient::new(&scene.gateway.url);
    assert_eq!(client.call("sg_echo", json!({})).await.result()["structuredContent"], json!({"seen": true}));
    let asked = &lambda.seen()[0];
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        (
            "POST",
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Acheck%3APROD/invocations"
        )
    );
    assert_eq!(asked.header("x-amz-invocation-type"), Some("RequestResponse"));
    assert_eq!(asked.signed_for("lambda"), Ok("eu-west-1".to_owned()));
    let mut changed = asked.clone();
    changed.body = bytes::Bytes::from_static(b"{}");
    assert!(changed.signed_for("lambda").is_err() && asked.signed_for("s3").is_err());
}

#[tokio::test]
async fn a_function_has_a_place_of_its_own_without_a_signature() {
    let (lambda, own) = (Hook::intercepting(|_| json!({})), Hook::intercepting(marks_arguments));
    let endpoints = format!("lambda: \"{}\", \"{FUNCTION}\": \"{}/own\"", lambda.url, own.url);
    let scene =
        scene(&format!("[{{lambda: \"{FUNCTION}\", points: [request]}}]"), &format!("! endpoints: {{{endpoints}}}"));
    let mut client = ModernClient::new(&scene.gateway.url);
    assert_eq!(client.call("sg_echo", json!({})).await.result()["structuredContent"], json!({"seen": true}));
    assert!(lambda.seen().is_empty());
    let asked = &own.seen()[0];
    assert_eq!((asked.target.as_str(), asked.header("authorization")), ("/own", None));
}

#[tokio::test]
async fn the_control_plane_gives_a_gateway_interceptors() {
    let lambda = Hook::intercepting(|input| match input["mcp"].get("gatewayResponse") {
        None => marks_arguments(input),
        Some(_) => json!({"transformedGatewayResponse": {"headers": {"x-stamp": "yes"}}}),
    });
    let server = reference_server(&[]);
    let process = format!(
        "aws: {{access_key_id: {KEY}, secret_access_key: {SECRET}}}\nendpoints: {{lambda: \"{}\"}}\n",
        lambda.url
    );
    let control = Control::new("", &process);
    let _program = control.start();
    let interceptors = json!([{"interceptor": {"lambda": {"arn": FUNCTION}}, "interceptionPoints": ["REQUEST", "RESPONSE"],
        "inputConfiguration": {"passRequestHeaders": true, "payloadFilter": {"exclude": [{"field": "RESPONSE_BODY"}]}}}]);
    let id = control.gateway("shop", json!({"interceptorConfigurations": interceptors})).await;
    control.target(&id, "ref", &server.url).await;
    let path = format!("/gateways/{id}/");
    let url = control.ok("GET", &path, None).await["gatewayUrl"].as_str().unwrap().to_owned();
    let mut client = ModernClient::new(&url);
    let answer = client.call("ref___sg_echo", json!({"a": 1})).await;
    assert_eq!(answer.result()["structuredContent"], json!({"a": 1, "seen": true}));
    assert_eq!(answer.headers["x-stamp"], "yes");
    let seen = lambda.inputs();
    assert_eq!(seen[0]["mcp"]["gatewayRequest"]["headers"]["mcp-method"], "tools/call");
    assert_eq!(seen[1]["mcp"]["gatewayResponse"]["body"], Value::Null);
    // An update that leaves them out takes them away.
    control.ok("PUT", &path, Some(&members("shop", json!({})))).await;
    control.settled(&path, "READY").await;
    let answer = client.call("ref___sg_echo", json!({"a": 1})).await;
    assert_eq!(answer.result()["structuredContent"], json!({"a": 1}));
    assert_eq!(lambda.seen().len(), 2);
}
