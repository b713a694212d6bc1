//! Streams, message by message.

use serde_json::{Value, json};

use super::{at, scene};
use crate::client::{Client, Event, Stream};
use crate::harness::eventually;
use crate::hook::{Hook, Says, says};

/// What was shown of the messages of streams: results and questions.
fn events(hook: &Hook) -> Vec<String> {
    let kind = |input: Value| match input["mcp"]["gatewayResponse"]["body"]["method"].as_str() {
        Some(method) => method.to_owned(),
        None => "response".to_owned(),
    };
    hook.inputs().into_iter().filter(is_streaming).map(kind).collect()
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
    // Of several messages the first one comes with the head.
    let heads: Vec<bool> = hook.inputs().iter().filter(|input| is_streaming(input)).map(has_head).collect();
    assert_eq!(heads, [true, true, true, false]);
}

fn is_streaming(input: &Value) -> bool {
    input["mcp"]["gatewayResponse"]["isStreamingResponse"] == true
}

fn has_head(input: &Value) -> bool {
    let response = &input["mcp"]["gatewayResponse"];
    let there = response.get("statusCode").is_some();
    assert_eq!(response.get("headers").is_some(), there);
    there
}

#[tokio::test]
async fn a_head_that_comes_too_late_is_in_the_log() {
    let hook = Hook::intercepting(|input| match is_streaming(input) {
        true => json!({"transformedGatewayResponse": {"statusCode": 403, "headers": {"x-late": "s3cret"}}}),
        false => json!({}),
    });
    let scene = scene(&format!("[{}]", at(&hook, "response", "")), "! log: {level: debug}");
    let mut client = Client::ready(&scene.gateway.url, json!({})).await;
    let (_, mut stream) = client.start("sg_progress", json!({"steps": 1, "delay_ms": 1})).await;
    assert!(stream.response().await.get("result").is_some());
    let told = "came after the head of the answer";
    eventually("the operator is told", async || scene.gateway.log().contains(told).then_some(())).await;
    assert!(!scene.gateway.log().contains("s3cret"));
}

#[tokio::test]
async fn a_stream_is_kept_alive_while_an_interceptor_thinks() {
    let hook = Hook::new(|asked| if is_streaming(&asked.json()) { Says::Never } else { says(json!({})) });
    let scene = scene(&format!("[{}]", at(&hook, "response", ", timeout: 2500ms")), "keep_alive: 1s");
    let mut client = Client::ready(&scene.gateway.url, json!({})).await;
    let params = json!({"name": "sg_progress", "arguments": {"steps": 1}, "_meta": {"progressToken": "p"}});
    let body = client.request("tools/call", params);
    let text = client.post(&body).send().await.unwrap().text().await.unwrap();
    let (_, after) = text.split_once("notifications/progress").unwrap();
    let (before, _) = after.split_once("interceptor_timeout").unwrap();
    assert_eq!(before.matches(": keep-alive").count(), 2, "{text}");
}
