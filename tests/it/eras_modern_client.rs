//! A modern client that does too much, or too little, and servers that go too far with it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::eras_player::{Player, answer, everything, retry, tool};
use crate::harness::{Home, Program, http_target, reference_server};
use crate::modern_client::{ModernAnswer, ModernClient, REVISION};

/// As the gateway multiplies a session's bounds for a conversation: `SessionSettings::for_conversation`.
const CROWD: usize = 16;

struct Scene {
    _home: Home,
    target: Program,
    gateway: Program,
    client: ModernClient,
}

/// `era` is how the target is taken; it speaks both.
fn scene(era: &str, capabilities: Value, settings: &str) -> Scene {
    let (home, target) = (Home::new(), reference_server(&["--era", "both"]));
    let line = http_target("ref", &target.url, &format!("era: {era}"));
    let gateway = home.configured(&format!("naming: plain\n{settings}\ntargets:\n{line}"));
    let client = ModernClient::new(&gateway.url).capabilities(capabilities);
    Scene { _home: home, target, gateway, client }
}

fn text(answer: &ModernAnswer) -> &str {
    answer.result()["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer:?}"))
}

#[tokio::test]
async fn what_was_not_declared_is_not_asked() {
    for era in ["legacy", "modern"] {
        let mut scene = scene(era, json!({"elicitation": {}}), "");
        // It asks for what it must not ask for; the target is refused, or the call.
        let answer = scene.client.call("sg_undeclared", json!({})).await;
        if era == "modern" {
            assert_eq!((answer.status, &answer.error()["code"]), (400, &json!(-32021)), "{answer:?}");
            assert_eq!(answer.error()["data"]["requiredCapabilities"], json!({"sampling": {}}), "{answer:?}");
        } else {
            assert_eq!((answer.status, &answer.result()["isError"]), (200, &json!(true)), "{answer:?}");
            let words = "the client did not declare what `sampling/createMessage` needs";
            assert!(text(&answer).contains(words), "{answer:?}");
        }
        // It asks for what it may ask for only of those who declared it: the target says so itself.
        for (tool, required, words) in [
            ("sg_sample", json!({"sampling": {}}), "Sampling failed: the client did not declare sampling"),
            ("sg_roots", json!({"roots": {}}), "the client did not declare roots"),
            ("sg_elicit_url", json!({"elicitation": {"url": {}}}), "the client did not declare URL elicitation"),
        ] {
            let answer = scene.client.call(tool, json!({})).await;
            if era == "modern" {
                assert_eq!((answer.status, &answer.error()["code"]), (400, &json!(-32021)), "{answer:?}");
                assert_eq!(answer.error()["data"]["requiredCapabilities"], required, "{answer:?}");
            } else {
                assert_eq!((&answer.result()["isError"], text(&answer)), (&json!(true), words), "{answer:?}");
            }
        }
        // A client that declares more is asked, by the same target, in the same breath.
        let mut able = Player::with(&scene.gateway.url, REVISION, everything(REVISION)).await;
        assert_eq!(able.call("sg_undeclared", json!({})).await.refused(), None);
        let form = scene.client.call("sg_elicit_form", json!({})).await;
        assert_eq!(form.result()["resultType"], "input_required", "{form:?}");
    }
}

/// -32042 of a legacy server never passes.
#[tokio::test]
async fn a_page_that_the_client_cannot_open_is_a_missing_capability() {
    for era in ["modern", "legacy"] {
        let mut scene = scene(era, json!({"elicitation": {}}), "");
        let answer = scene.client.call("sg_url_required", json!({})).await;
        assert_eq!((answer.status, &answer.error()["code"]), (400, &json!(-32021)), "{era}: {answer:?}");
        assert_eq!(answer.error()["data"]["requiredCapabilities"], json!({"elicitation": {"url": {}}}), "{answer:?}");
    }
}

#[tokio::test]
async fn a_page_that_the_person_does_not_open_ends_the_call() {
    for era in ["legacy", "modern"] {
        let scene = scene(era, json!({}), "");
        for action in ["decline", "cancel"] {
            let mut player = Player::with(&scene.gateway.url, REVISION, everything(REVISION)).await;
            let call = tool("sg_url_required", json!({"key": action}));
            let played = player.play("tools/call", call, |_| json!({"action": action})).await;
            let words = match era {
                "legacy" => "tool error: the person did not open the page that the target asks for",
                _ => "tool error: the page was not visited",
            };
            assert_eq!(played.refused().as_deref(), Some(words), "{played:?}");
            assert_eq!(played.rounds, [1]);
        }
        assert_eq!(scene.gateway.metric("sessiongate_questions_pending", "").await, 0.0);
    }
}

#[tokio::test]
async fn a_server_without_end_has_its_client_for_as_long_as_it_comes_back() {
    for era in ["legacy", "modern"] {
        let mut scene = scene(era, everything(REVISION), "");
        let call = tool("sg_endless", json!({}));
        let mut next = call.clone();
        let mut keys = std::collections::BTreeSet::new();
        for _ in 0..25 {
            let answer = scene.client.request("tools/call", next).await;
            let result = answer.result();
            assert_eq!(result["resultType"], "input_required", "{answer:?}");
            let asked = result["inputRequests"].as_object().unwrap();
            assert_eq!(asked.len(), 1);
            let key = asked.keys().next().unwrap().clone();
            assert!(keys.insert(key.clone()), "a new question each time: {key}");
            let said = json!({key: {"action": "accept", "content": {"name": "again"}}});
            next = retry(&call, result.get("requestState"), said);
        }
        let waiting = scene.gateway.metric("sessiongate_questions_pending", "").await;
        assert_eq!(waiting, if era == "legacy" { 1.0 } else { 0.0 });
        assert_eq!(scene.client.call("sg_echo", json!({})).await.result()["isError"], Value::Null);
    }
}

#[tokio::test]
async fn a_thousand_parked_calls_of_one_caller_meet_a_bound() {
    const MANY: usize = 1000;
    const QUESTIONS: usize = 8;
    let settings = format!("sessions: {{pending_questions: {QUESTIONS}, calls_in_flight: 100}}");
    let mut scene = scene("legacy", everything(REVISION), &settings);
    let call = tool("sg_elicit_form", json!({}));
    let bodies: Vec<Value> = (0..MANY).map(|_| scene.client.message("tools/call", call.clone())).collect();
    let client = &scene.client;
    let answers: Vec<ModernAnswer> = {
        use futures_util::StreamExt as _;
        let sent = bodies.iter().map(|body| async move { client.send(body).await.finish().await });
        futures_util::stream::iter(sent).buffer_unordered(32).collect().await
    };
    let (parked, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.result()["resultType"] == "input_required");
    assert_eq!(parked.len(), QUESTIONS * CROWD, "{:?}", refused.first());
    for answer in &refused {
        assert_eq!((answer.status, &answer.result()["isError"]), (200, &json!(true)), "{answer:?}");
        let words = format!("too many questions wait for the client (limit {})", QUESTIONS * CROWD);
        assert!(text(answer).contains(&words), "{answer:?}");
    }
    let bound = scene.gateway.metric("sessiongate_bounds_reached_total", "pending_questions").await;
    assert_eq!(bound as usize, MANY - QUESTIONS * CROWD);
    // All that wait can go on, in whatever order.
    for answer in parked.iter().rev() {
        let result = answer.result();
        let key = result["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
        let said = json!({key: {"action": "accept", "content": {"name": "Ada"}}});
        let done = scene.client.request("tools/call", retry(&call, result.get("requestState"), said)).await;
        assert_eq!(done.result()["structuredContent"]["content"]["name"], "Ada", "{done:?}");
    }
    assert_eq!(scene.gateway.metric("sessiongate_questions_pending", "").await, 0.0);
    assert_eq!(scene.target.stats().await["answers"]["sg_elicit_form"], QUESTIONS * CROWD);
}

#[tokio::test]
async fn headers_and_envelope_are_checked_before_anything_is_done() {
    let mut scene = scene("legacy", json!({}), "");
    let body = scene.client.message("tools/call", tool("sg_counter", json!({})));
    let post = |body: &Value, headers: &[(&str, &str)]| {
        let request = scene.client.bare(body);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    let good = [("mcp-protocol-version", REVISION), ("mcp-method", "tools/call"), ("mcp-name", "sg_counter")];
    let with = |at: usize, value: &'static str| {
        let mut headers = good;
        headers[at].1 = value;
        headers
    };
    let without = |name: &str| {
        let mut body = body.clone();
        body["params"]["_meta"].as_object_mut().unwrap().remove(&format!("io.modelcontextprotocol/{name}"));
        body
    };
    let mut foreign = body.clone();
    foreign["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2027-01-01");
    for (what, request, code) in [
        ("no Mcp-Method", post(&body, &[good[0], good[2]]), -32020),
        ("no Mcp-Name", post(&body, &good[..2]), -32020),
        ("no revision", post(&body, &good[1..]), -32020),
        ("another method", post(&body, &with(1, "tools/list")), -32020),
        ("another name", post(&body, &with(2, "sg_echo")), -32020),
        ("another revision", post(&body, &with(0, "2025-11-25")), -32020),
        ("no capabilities", post(&without("clientCapabilities"), &good), -32602),
        ("no revision in the body", post(&without("protocolVersion"), &good), -32602),
        ("an unknown revision", post(&foreign, &with(0, "2027-01-01")), -32022),
    ] {
        let response = request.send().await.unwrap();
        let status = response.status();
        let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!((status.as_u16(), &answer["error"]["code"]), (400, &json!(code)), "{what}: {answer}");
        assert_eq!(answer["id"], body["id"], "{what}");
    }
    let first = tokio::time::timeout(Duration::from_secs(20), post(&body, &good).send()).await.unwrap().unwrap();
    let first: Value = serde_json::from_slice(&first.bytes().await.unwrap()).unwrap();
    assert_eq!(first["result"]["structuredContent"]["count"], 1, "nothing was done before: {first}");
}

#[tokio::test]
async fn an_argument_that_travels_as_a_header_is_checked() {
    for era in ["legacy", "modern"] {
        let mut scene = scene(era, json!({}), "");
        let body = scene.client.message("tools/call", tool("test_custom_header", json!({"value": "é"})));
        for (header, status) in [(None, 400), (Some("wrong"), 400), (Some("=?base64?w6k=?="), 200)] {
            let request = scene.client.post(&body);
            let request =
                header.map(|value| request.try_clone().unwrap().header("mcp-param-value", value)).unwrap_or(request);
            let response = request.send().await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{era}: {header:?}");
            let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
            if status == 200 {
                assert_eq!(answer["result"]["content"][0]["text"], "value=é", "{era}: {answer}");
            } else {
                assert_eq!(answer["error"]["code"], -32020, "{era}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn prompts_ask_as_tools_do() {
    for era in ["legacy", "modern"] {
        let scene = scene(era, json!({}), "");
        let mut player = Player::with(&scene.gateway.url, REVISION, everything(REVISION)).await;
        let prompt = json!({"name": "test_input_required_result_prompt"});
        let played = player.play("prompts/get", prompt, |question| answer(question, "accept")).await;
        let text = &played.answer["result"]["messages"][0]["content"]["text"];
        assert_eq!(
            (text, played.rounds.as_slice()),
            (&json!("The context is my context."), [1].as_slice()),
            "{played:?}"
        );
    }
}

/// A client that declares nothing, in the middle of another's call of the same principal, is not asked in its place.
#[tokio::test]
async fn callers_that_can_less_have_a_conversation_of_their_own() {
    let mut scene = scene("legacy", everything(REVISION), "");
    let asked = scene.client.call("sg_elicit_form", json!({})).await;
    assert_eq!(asked.result()["resultType"], "input_required");
    let mut less = ModernClient::new(&scene.gateway.url);
    let refused = less.call("sg_elicit_form", json!({})).await;
    assert_eq!(text(&refused), "the client did not declare elicitation", "{refused:?}");
    // The state of one is nothing to the other: its call is another, or its client is.
    let call = tool("sg_elicit_form", json!({}));
    let result = asked.result();
    let key = result["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    let said = json!({key: {"action": "accept", "content": {"name": "Ada"}}});
    let done = scene.client.request("tools/call", retry(&call, result.get("requestState"), said)).await;
    assert_eq!(done.result()["structuredContent"]["content"]["name"], "Ada", "{done:?}");
}
