//! What an interceptor did not let through: it does not happen, nobody waits for it, and the log does not quote it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{at, is_call, scene};
use crate::client::{Client, Event};
use crate::harness::{Home, Program, eventually, http_target};
use crate::hook::{Hook, Says, says};
use crate::modern_client::ModernClient;
use crate::scripted::{Reply, SSE, Scripted};

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
            "status" => Says::Status(500, input.to_string()),
            "redirect" => Says::With("location", "http://127.0.0.1:1/".into(), 307, String::new()),
            "html" => Says::Status(200, "<html>".into()),
            // What is a mistake of many: JSON within JSON.
            "text" => says(json!({"transformedGatewayRequest": {"body": body.to_string()}})),
            "shape" => says(json!({"transformedGatewayRequest": body.to_string()})),
            "header" => says(json!({"transformedGatewayRequest": {"headers": {"x-a": body}}})),
            "empty" => Says::Status(200, String::new()),
            "version" => Says::Status(200, json!({"interceptorOutputVersion": "9", "mcp": {}}).to_string()),
            "function" => {
                let failure = json!({"errorMessage": body.to_string(), "errorType": "ValueError"});
                Says::With("x-amz-function-error", "Unhandled".into(), 200, failure.to_string())
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
        ("text", 502, "interceptor_nonsense"),
        ("shape", 502, "interceptor_nonsense"),
        ("header", 502, "interceptor_nonsense"),
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
        let body = client.request("tools/call", json!({"name": "sg_counter", "arguments": {"word": "s3cret"}}));
        let (got, answer) = client.send(&body).await;
        assert_eq!((got, &answer["error"]["data"]["reason"]), (status, &json!(reason)), "{how}: {answer}");
        assert_eq!(answer["id"], body["id"], "{how}");
        let told = match how {
            "status" => "HTTP 500",
            "function" => "ValueError",
            _ => reason,
        };
        eventually("the operator is told", async || scene.gateway.log().contains(told).then_some(())).await;
        let log = scene.gateway.log();
        assert!(!answer.to_string().contains("s3cret") && !log.contains("s3cret"), "{how}: {answer} {log}");
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

/// A target that reports progress, asks, and says nothing more.
fn asking() -> Scripted {
    Scripted::named(&["ask"], |_, request| {
        let token = &request.body["params"]["_meta"]["progressToken"];
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}});
        let question = json!({"jsonrpc": "2.0", "id": 7, "method": "elicitation/create",
            "params": {"message": "s3cret?", "requestedSchema": {"type": "object", "properties": {}}}});
        Reply::Hang([SSE, format!("data: {progress}\n\ndata: {question}\n\n").as_bytes()].concat())
    })
}

#[tokio::test]
async fn a_question_in_the_middle_that_was_not_seen_ends_the_stream() {
    let hook = failing("status");
    let target = asking();
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
    eventually("the call is cancelled", async || target.seen().iter().any(|body| cancels(body)).then_some(())).await;
    nothing_is_left(&gateway, &mut client, &id).await;
}

fn cancels(body: &str) -> bool {
    body.contains("notifications/cancelled")
}

/// No question waits, and the id of a call is free again.
async fn nothing_is_left(gateway: &Program, client: &mut Client, id: &Value) {
    let (status, answer) = client.send(&json!({"jsonrpc": "2.0", "id": id, "method": "ping"})).await;
    assert_eq!(status, 200, "{answer}");
    no_question_waits(gateway).await;
}

async fn no_question_waits(gateway: &Program) {
    let none = async || (gateway.metric("sessiongate_questions_pending", "").await == 0.0).then_some(());
    eventually("no question waits", none).await;
}

/// Refuses what the client is asked, as long as `on`.
fn refuses_questions(on: &Arc<AtomicBool>) -> Hook {
    let on = on.clone();
    Hook::new(move |asked| {
        let body = &asked.json()["mcp"]["gatewayResponse"]["body"];
        let asks = body["method"] == "elicitation/create" || body["result"]["resultType"] == "input_required";
        match asks && on.load(Ordering::Relaxed) {
            true => Says::Status(200, "{}".into()),
            false => says(json!({})),
        }
    })
}

#[tokio::test]
async fn a_question_that_was_refused_leaves_nothing_behind() {
    let on = Arc::new(AtomicBool::new(true));
    let hook = refuses_questions(&on);
    let scene = scene(&format!("[{}]", at(&hook, "response", "")), "");
    let mut client = Client::ready(&scene.gateway.url, json!({"elicitation": {}})).await;
    // More than a session may have waiting.
    for _ in 0..40 {
        let answer = client.call("sg_elicit_form", json!({})).await;
        assert_eq!(answer["error"]["data"]["reason"], "interceptor_nonsense", "{answer}");
        nothing_is_left(&scene.gateway, &mut client, &answer["id"]).await;
    }
    on.store(false, Ordering::Relaxed);
    let (_, mut stream) = client.start("sg_elicit_form", json!({})).await;
    let question = stream.message("elicitation/create").await;
    assert_eq!(client.answer(&question, json!({"action": "accept", "content": {"name": "x"}})).await, 202);
    assert!(stream.response().await.get("result").is_some());
}

#[tokio::test]
async fn a_call_without_a_session_does_not_wait_for_answers_to_what_was_refused() {
    let on = Arc::new(AtomicBool::new(true));
    let hook = refuses_questions(&on);
    let scene = scene(&format!("[{}]", at(&hook, "response", "")), "");
    let mut client = ModernClient::new(&scene.gateway.url).capabilities(json!({"elicitation": {}}));
    let answer = client.call("sg_elicit_form", json!({})).await;
    assert_eq!(answer.json["error"]["data"]["reason"], "interceptor_nonsense", "{answer:?}");
    no_question_waits(&scene.gateway).await;
    on.store(false, Ordering::Relaxed);
    let answer = client.call("sg_elicit_form", json!({})).await;
    assert_eq!(answer.result()["resultType"], "input_required");
    assert_eq!(scene.gateway.metric("sessiongate_questions_pending", "").await, 1.0, "this one waits");
}

#[tokio::test]
async fn nor_where_an_interceptor_answers_instead() {
    let hook = Hook::intercepting(|input| {
        let body = &input["mcp"]["gatewayResponse"]["body"];
        if body["result"]["resultType"] != "input_required" {
            return json!({});
        }
        let error = json!({"code": -32000, "message": "nobody is asked here"});
        json!({"transformedGatewayResponse": {"body": {"jsonrpc": "2.0", "id": body["id"], "error": error}}})
    });
    let scene = scene(&format!("[{}]", at(&hook, "response", "")), "");
    let mut client = ModernClient::new(&scene.gateway.url).capabilities(json!({"elicitation": {}}));
    let answer = client.call("sg_elicit_form", json!({})).await;
    assert_eq!(answer.json["error"]["message"], "nobody is asked here", "{answer:?}");
    no_question_waits(&scene.gateway).await;
}

#[tokio::test]
async fn a_target_hears_that_its_question_was_refused_on_a_stream_that_is_read_again() {
    let on = Arc::new(AtomicBool::new(false));
    let hook = refuses_questions(&on);
    let target = asking();
    let home = Home::new();
    let (list, interceptors) = (http_target("ref", &target.url, ""), at(&hook, "response", ""));
    let gateway = home.configured(&format!("naming: plain\ninterceptors: [{interceptors}]\ntargets:\n{list}"));
    let mut client = Client::ready(&gateway.url, json!({"elicitation": {}})).await;
    let (_, mut stream) = client.start("ask", json!({})).await;
    let progress = stream.next().await.unwrap().unwrap();
    stream.message("elicitation/create").await;
    drop(stream);
    on.store(true, Ordering::Relaxed);
    let _again = client.listen(progress.id.as_deref()).await;
    let told = |body: &String| {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        body["id"] == 7 && body.get("error").is_some()
    };
    eventually("the target is told", async || target.seen().iter().any(told).then_some(())).await;
    no_question_waits(&gateway).await;
}
