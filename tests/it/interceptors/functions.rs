//! Functions: how they are invoked, what they can be given, and what is said where they cannot be invoked at all.

use std::process::{Command, Output};

use serde_json::{Value, json};

use super::{at, calls, marks_arguments, scene};
use crate::client::Client;
use crate::control_client::{Control, gateway as members};
use crate::harness::{Home, eventually, http_target, reference_server};
use crate::hook::{Hook, KEY, SECRET};
use crate::modern_client::ModernClient;

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
    let request = &seen[0]["mcp"]["gatewayRequest"];
    assert_eq!((&request["headers"]["Mcp-Method"], &request["path"]), (&json!("tools/call"), &json!("/mcp")));
    assert_eq!(seen[1]["mcp"]["gatewayResponse"]["body"], Value::Null);
    // An update that leaves them out takes them away.
    control.ok("PUT", &path, Some(&members("shop", json!({})))).await;
    control.settled(&path, "READY").await;
    let answer = client.call("ref___sg_echo", json!({"a": 1})).await;
    assert_eq!(answer.result()["structuredContent"], json!({"a": 1}));
    assert_eq!(lambda.seen().len(), 2);
}

/// A gateway with a function at a URL of its own.
fn own(points: &str, own: &Hook) -> (String, String) {
    let interceptors = format!("[{{lambda: \"{FUNCTION}\", points: [{points}]}}]");
    (interceptors, format!("! endpoints: {{\"{FUNCTION}\": \"{}/own\"}}", own.url))
}

#[tokio::test]
async fn what_a_function_cannot_be_given_is_too_large() {
    let word = "x".repeat(4_000_000);
    for points in ["request", "response"] {
        let hook = Hook::intercepting(|_| json!({}));
        let (interceptors, endpoints) = own(points, &hook);
        let scene = scene(&interceptors, &endpoints);
        let mut client = Client::ready(&scene.gateway.url, json!({})).await;
        let body = client.request("tools/call", json!({"name": "sg_echo", "arguments": {"word": word}}));
        let (status, answer) = client.send(&body).await;
        let error = &answer["error"];
        assert_eq!((status, &error["data"]["reason"]), (413, &json!("interceptor_request_too_large")), "{points}");
        assert_eq!((&answer["id"], &error["code"]), (&body["id"], &json!(-32600)), "{answer}");
        assert!(error["message"].as_str().unwrap().contains("6291556"), "{answer}");
        // Nor is done what could not be shown.
        assert_eq!((calls(&hook).len(), scene.target.stats().await["calls"].as_u64()), (0, Some(0)), "{points}");
    }
    let hook = Hook::intercepting(|_| json!({}));
    let (interceptors, endpoints) = own("response", &hook);
    let scene = scene(&interceptors, &endpoints);
    let answer = ModernClient::new(&scene.gateway.url).call("sg_big", json!({"bytes": 6_400_000})).await;
    let reason = &answer.json["error"]["data"]["reason"];
    assert_eq!((answer.status, reason), (502, &json!("interceptor_answer_too_large")));
}

#[tokio::test]
async fn a_hook_can_be_given_what_the_gateway_takes() {
    let hook = Hook::intercepting(|input| match input["mcp"].get("gatewayResponse") {
        None => json!({"transformedGatewayRequest": {"body": input["mcp"]["gatewayRequest"]["body"]}}),
        Some(response) => json!({"transformedGatewayResponse": {"body": response["body"]}}),
    });
    let scene = scene(&format!("[{}]", at(&hook, "request, response", "")), "");
    let mut client = Client::ready(&scene.gateway.url, json!({})).await;
    let word = "x".repeat(5_800_000);
    let answer = client.call("sg_echo", json!({"word": word})).await;
    assert!(answer["result"]["structuredContent"]["word"] == word, "{:.300}", answer.to_string());
    assert_eq!(calls(&hook).len(), 2);
}

fn check(home: &Home) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessiongate"));
    command.args(["check", "--offline", "--config"]).arg(home.file());
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    command.output().unwrap()
}

#[tokio::test]
async fn a_function_that_cannot_be_invoked_is_said_before_it_is_needed() {
    let server = reference_server(&[]);
    let gateway = |endpoints: &str| {
        let list = http_target("ref", &server.url, "");
        format!("interceptors: [{{lambda: \"{FUNCTION}\", points: [request]}}]\n{endpoints}\ntargets:\n{list}")
    };
    let home = Home::new();
    let program = home.configured(&gateway(""));
    let checked = check(&home);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(2), "{said}");
    assert!(said.contains("gateways[0].interceptors[0].lambda: ") && said.contains("AWS_ACCESS_KEY_ID"), "{said}");
    let told =
        async || program.log().lines().any(|line| line.contains("WARN") && line.contains(FUNCTION)).then_some(());
    eventually("the operator is told", told).await;

    let home = Home::new();
    let program = home.configured(&gateway(&format!("! endpoints: {{\"{FUNCTION}\": \"http://127.0.0.1:1/\"}}")));
    assert_eq!(check(&home).status.code(), Some(0));
    assert!(!program.log().contains("WARN"), "{}", program.log());
    home.write(&gateway(&format!("! aws: {{access_key_id: {KEY}, secret_access_key: {SECRET}}}")));
    assert_eq!(check(&home).status.code(), Some(0));
}

#[tokio::test]
async fn the_control_plane_refuses_a_function_that_cannot_be_invoked() {
    let other = FUNCTION.replace(":check:", ":other:");
    let control = Control::new("", &format!("endpoints: {{\"{other}\": \"http://127.0.0.1:1/\"}}\n"));
    let _program = control.start();
    let with = |arn: &str| {
        let interceptor = json!({"interceptor": {"lambda": {"arn": arn}}, "interceptionPoints": ["REQUEST"]});
        json!({"interceptorConfigurations": [interceptor]})
    };
    let id = control.gateway("shop", with(&other)).await;
    let foreign = FUNCTION.replace("arn:aws:", "arn:awsx:");
    for (arn, says) in [(FUNCTION, "AWS_ACCESS_KEY_ID"), (&foreign, "not the ARN of a function")] {
        for (method, path, name) in
            [("POST", "/gateways/".to_owned(), "b"), ("PUT", format!("/gateways/{id}/"), "shop")]
        {
            let answer = control.send(method, &path, Some(&members(name, with(arn)))).await;
            assert_eq!((answer.status.as_u16(), answer.error.as_deref()), (400, Some("ValidationException")), "{arn}");
            let field = &answer.body["fieldList"][0];
            assert_eq!(field["name"], "interceptorConfigurations[0].interceptor.lambda.arn");
            assert!(field["message"].as_str().unwrap().contains(says), "{field}");
        }
    }
    let all = control.ok("GET", "/gateways/", None).await;
    assert_eq!((all["items"].as_array().map(Vec::len), &all["items"][0]["status"]), (Some(1), &Value::from("READY")));
}
