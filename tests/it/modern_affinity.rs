//! Which requests of a client without sessions share a session with a target that has them.

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Home, Program, eventually, http_target, reference_server};
use crate::modern_client::{ModernAnswer, ModernClient};

const KEYS: &str = "api_keys: [{name: ada, key: key-of-ada-0123456789}, {name: bob, key: key-of-bob-0123456789}]";
const OPEN: &str = "ref___gw_open_session";
const CLOSE: &str = "ref___gw_close_session";

struct Scene {
    home: Home,
    target: Program,
    gateway: Program,
    ada: ModernClient,
    bob: ModernClient,
}

async fn scene(affinity: &str, settings: &str) -> Scene {
    let (home, target) = (Home::new(), reference_server(&[]));
    let gateway = home.configured(&text(affinity, settings, &target));
    let [ada, bob] = clients(&gateway);
    Scene { home, target, gateway, ada, bob }
}

fn text(affinity: &str, settings: &str, target: &Program) -> String {
    let target = http_target("ref", &target.url, &format!("affinity: {affinity}"));
    format!("naming: plain\n{KEYS}\n{settings}\ntargets:\n{target}")
}

fn clients(gateway: &Program) -> [ModernClient; 2] {
    ["key-of-ada-0123456789", "key-of-bob-0123456789"].map(|key| {
        ModernClient::with_key(&gateway.url, key).capabilities(json!({"elicitation": {"form": {}, "url": {}}}))
    })
}

fn count(answer: &ModernAnswer) -> i64 {
    answer.result()["structuredContent"]["count"].as_i64().unwrap_or_else(|| panic!("{answer:?}"))
}

fn said(answer: &ModernAnswer) -> &str {
    answer.result()["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer:?}"))
}

fn is_error(answer: &ModernAnswer) -> bool {
    answer.result()["isError"] == true
}

async fn counter(client: &mut ModernClient, arguments: Value) -> i64 {
    count(&client.call("sg_counter", arguments).await)
}

/// The counter in the conversation that this header names.
async fn under(client: &mut ModernClient, value: &str) -> reqwest::Response {
    let body = client.message("tools/call", json!({"name": "sg_counter", "arguments": {}}));
    client.post(&body).header("x-conversation", value).send().await.unwrap()
}

async fn opened(client: &mut ModernClient) -> String {
    let answer = client.call(OPEN, json!({})).await;
    let handle = answer.result()["structuredContent"]["gw_session"].as_str().unwrap().to_owned();
    assert!(said(&answer).contains(&handle) && handle.len() >= 22, "{answer:?}");
    handle
}

/// Calls a tool that asks, and returns what its retry sends.
async fn asked(client: &mut ModernClient, tool: &str, arguments: Value, answer: Value) -> Value {
    let asked = client.call(tool, arguments.clone()).await;
    let result = asked.result();
    assert_eq!(result["resultType"], "input_required", "{asked:?}");
    let keys = result["inputRequests"].as_object().unwrap().keys();
    let responses: Value = keys.map(|key| (key.clone(), answer.clone())).collect::<serde_json::Map<_, _>>().into();
    json!({
        "name": tool, "arguments": arguments,
        "inputResponses": responses, "requestState": result["requestState"],
    })
}

fn accepted() -> Value {
    json!({"action": "accept", "content": {"name": "Ada"}})
}

// === impl Scene ===

impl Scene {
    /// Waits until the gateway has so many sessions of its own.
    async fn sessions(&self, count: f64) {
        eventually(&format!("{count} sessions"), async || {
            (self.gateway.metric("sessiongate_sessions", "").await == count).then_some(())
        })
        .await;
    }

    async fn downstream(&self) -> i64 {
        self.target.stats().await["sessions"].as_i64().unwrap()
    }

    async fn tools(&mut self) -> Vec<Value> {
        let list = self.ada.request("tools/list", json!({})).await;
        list.result()["tools"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn a_principal_has_one_conversation_unless_said_otherwise() {
    let mut scene = scene("principal", "").await;
    assert_eq!(counter(&mut scene.ada, json!({})).await, 1);
    assert_eq!(counter(&mut scene.ada, json!({})).await, 2);
    assert_eq!(counter(&mut scene.bob, json!({})).await, 1);
    scene.sessions(2.0).await;
    assert!(scene.tools().await.iter().all(|tool| tool["name"] != OPEN));
    assert!(scene.ada.call(OPEN, json!({})).await.error()["message"].as_str().unwrap().contains("unknown tool"));
}

#[tokio::test]
async fn a_call_has_its_own_session_and_takes_it_along() {
    let mut scene = scene("call", "").await;
    let before = scene.downstream().await;
    for _ in 0..3 {
        assert_eq!(counter(&mut scene.ada, json!({})).await, 1);
        assert_eq!(counter(&mut scene.bob, json!({})).await, 1);
    }
    let read = scene.ada.request("resources/read", json!({"uri": "test://static-text"})).await;
    assert!(read.result()["contents"][0]["text"].is_string(), "{read:?}");
    assert!(is_error(&scene.ada.call("test_error_handling", json!({})).await));
    scene.sessions(0.0).await;
    eventually("no session is left at the target", async || (scene.downstream().await == before).then_some(())).await;
}

#[tokio::test]
async fn a_call_that_waits_keeps_its_session_until_its_retry_is_over() {
    let mut scene = scene("call", "").await;
    let before = scene.downstream().await;
    let first = asked(&mut scene.ada, "sg_elicit_form", json!({}), accepted()).await;
    let other = asked(&mut scene.bob, "sg_elicit_form", json!({}), accepted()).await;
    scene.sessions(2.0).await;
    assert!(scene.bob.request("tools/call", first.clone()).await.json["error"].is_object(), "another's call");
    let done = scene.ada.request("tools/call", first.clone()).await;
    assert_eq!(done.result()["structuredContent"]["content"]["name"], "Ada", "{done:?}");
    scene.sessions(1.0).await;
    let late = scene.ada.request("tools/call", first).await;
    assert_eq!(late.error()["data"]["reason"], "call_gone", "{late:?}");
    scene.sessions(1.0).await;

    // The one that waits outlives the process.
    let Scene { home, target, mut gateway, .. } = scene;
    gateway.kill();
    let gateway = home.again();
    let [ada, mut bob] = clients(&gateway);
    let done = bob.request("tools/call", other).await;
    assert_eq!(done.result()["structuredContent"]["content"]["name"], "Ada", "{done:?}");
    let scene = Scene { home, target, gateway, ada, bob };
    scene.sessions(0.0).await;
    // But the one in which the process that was killed had read the catalogue.
    let left = before + 1;
    eventually("no session is left at the target", async || (scene.downstream().await == left).then_some(())).await;
}

#[tokio::test]
async fn pages_are_opened_for_the_session_that_asked_for_them() {
    let mut scene = scene("call", "").await;
    let retry = asked(&mut scene.ada, "sg_url_required", json!({}), json!({"action": "accept"})).await;
    scene.sessions(1.0).await;
    assert_eq!(said(&scene.ada.request("tools/call", retry).await), "the page was visited");
    scene.sessions(0.0).await;
    let retry = asked(&mut scene.ada, "sg_url_required", json!({}), json!({"action": "decline"})).await;
    assert!(is_error(&scene.ada.request("tools/call", retry).await));
    scene.sessions(0.0).await;
}

#[tokio::test]
async fn a_client_that_goes_away_takes_the_session_along() {
    let mut scene = scene("call", "").await;
    let before = scene.downstream().await;
    let long =
        json!({"name": "sg_progress", "arguments": {"steps": 1000, "delay_ms": 60}, "_meta": {"progressToken": 1}});
    let mut stream = scene.ada.open("tools/call", long).await;
    stream.message("notifications/progress").await;
    scene.sessions(1.0).await;
    stream.close();
    scene.sessions(0.0).await;
    eventually("no session is left at the target", async || (scene.downstream().await == before).then_some(())).await;

    // Before there is an answer, in whatever moment that is.
    for _ in 0..8 {
        let body = scene.ada.message("tools/call", json!({"name": "sg_wait", "arguments": {"ms": 60_000}}));
        let seen = scene.target.stats().await["calls"].clone();
        tokio::select! {
            _ = scene.ada.post(&body).send() => panic!("it waits"),
            () = eventually("it was called", async || (scene.target.stats().await["calls"] != seen).then_some(())) => {}
        }
    }
    scene.sessions(0.0).await;
    eventually("no session is left at the target", async || (scene.downstream().await == before).then_some(())).await;
}

#[tokio::test]
async fn a_header_keeps_conversations_apart() {
    let mut scene = scene("{header: X-Conversation}", "").await;
    for (value, expected) in [("one", 1), ("two", 1), ("one", 2), ("two", 2), (&"x".repeat(256), 1)] {
        let answer: Value = serde_json::from_slice(&under(&mut scene.ada, value).await.bytes().await.unwrap()).unwrap();
        assert_eq!(answer["result"]["structuredContent"]["count"], expected, "{answer}");
    }
    let other: Value = serde_json::from_slice(&under(&mut scene.bob, "one").await.bytes().await.unwrap()).unwrap();
    assert_eq!(other["result"]["structuredContent"]["count"], 1, "another's conversation: {other}");
    assert_eq!(counter(&mut scene.ada, json!({})).await, 1, "without it, the default one");
    assert_eq!(counter(&mut scene.ada, json!({})).await, 2);
    for value in ["", "a b", &"x".repeat(257)] {
        let refused = under(&mut scene.ada, value).await;
        assert_eq!(refused.status(), 400, "{value}");
        let refused: Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
        assert!(refused["error"]["message"].as_str().unwrap().contains("`x-conversation` must be"), "{refused}");
        assert!(refused["id"].is_number(), "{refused}");
    }
    scene.sessions(5.0).await;
}

#[tokio::test]
async fn a_handle_names_a_conversation() {
    let mut scene = scene("handle", "").await;
    let tools = scene.tools().await;
    let tool = |name: &str| tools.iter().find(|tool| tool["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(tool(OPEN)["outputSchema"]["required"], json!(["gw_session"]));
    assert_eq!(tool(CLOSE)["inputSchema"]["required"], json!(["gw_session"]));
    let property = &tool("sg_counter")["inputSchema"]["properties"]["gw_session"];
    assert_eq!(property["type"], "string");
    assert!(property["description"].as_str().unwrap().contains(OPEN), "{property}");

    let (one, two) = (opened(&mut scene.ada).await, opened(&mut scene.ada).await);
    assert_ne!(one, two);
    for (handle, expected) in [(&one, 1), (&two, 1), (&one, 2), (&one, 3), (&two, 2)] {
        assert_eq!(counter(&mut scene.ada, json!({"gw_session": handle})).await, expected);
    }
    assert_eq!(counter(&mut scene.ada, json!({})).await, 1, "without it, the default one");
    assert_eq!(counter(&mut scene.ada, json!({"gw_session": null})).await, 2);
    let echo = scene.ada.call("sg_echo", json!({"a": 1, "gw_session": one, "text": "b"})).await;
    assert_eq!(echo.result()["structuredContent"], json!({"a": 1, "text": "b"}), "the target does not see it");

    let long = "x".repeat(100_000);
    for unknown in [json!("nothing"), json!(""), json!(7), json!(long), json!("A".repeat(32))] {
        let refused = scene.ada.call("sg_counter", json!({"gw_session": unknown})).await;
        assert!(is_error(&refused) && said(&refused).contains(OPEN), "{refused:?}");
        assert!(is_error(&scene.ada.call(CLOSE, json!({"gw_session": unknown})).await));
    }
    assert!(is_error(&scene.ada.call(CLOSE, json!({})).await));
    assert!(is_error(&scene.bob.call("sg_counter", json!({"gw_session": one})).await), "another's conversation");
    assert!(is_error(&scene.bob.call(CLOSE, json!({"gw_session": one})).await), "another's conversation");

    // A call that waits is found again by what it says.
    let retry = asked(&mut scene.ada, "sg_elicit_form", json!({"gw_session": two}), accepted()).await;
    let done = scene.ada.request("tools/call", retry).await;
    assert_eq!(done.result()["structuredContent"]["content"]["name"], "Ada", "{done:?}");
    assert_eq!(counter(&mut scene.ada, json!({"gw_session": two})).await, 3);

    scene.sessions(3.0).await;
    assert!(!is_error(&scene.ada.call(CLOSE, json!({"gw_session": one})).await));
    assert!(is_error(&scene.ada.call(CLOSE, json!({"gw_session": one})).await), "only once");
    let ended = scene.ada.call("sg_counter", json!({"gw_session": one})).await;
    assert!(is_error(&ended) && said(&ended).contains("has ended"), "{ended:?}");
    scene.sessions(2.0).await;

    // Handles outlive the process.
    let Scene { home, target, mut gateway, .. } = scene;
    gateway.terminate();
    let gateway = home.again();
    let [mut ada, bob] = clients(&gateway);
    assert_eq!(counter(&mut ada, json!({"gw_session": two})).await, 4);
    assert!(!is_error(&ada.call(CLOSE, json!({"gw_session": two})).await));
    Scene { home, target, gateway, ada, bob }.sessions(1.0).await;
}

#[tokio::test]
async fn open_conversations_count_and_legacy_clients_see_nothing_of_them() {
    let mut scene = scene("handle", "sessions: {max_per_principal: 2}").await;
    let (one, _two) = (opened(&mut scene.ada).await, opened(&mut scene.ada).await);
    let refused = scene.ada.call(OPEN, json!({})).await;
    assert!(is_error(&refused) && said(&refused).contains(CLOSE), "{refused:?}");
    opened(&mut scene.bob).await;
    assert!(!is_error(&scene.ada.call(CLOSE, json!({"gw_session": one})).await));
    opened(&mut scene.ada).await;

    let mut legacy = Client::with_key(&scene.gateway.url, "key-of-bob-0123456789");
    legacy.initialize(json!({})).await.unwrap();
    let list = legacy.ask("tools/list", json!({})).await;
    assert!(!list.to_string().contains("gw_"), "{list}");
    let refused = legacy.call(OPEN, json!({})).await;
    assert!(refused["error"]["message"].is_string(), "{refused}");
}

#[tokio::test]
async fn names_of_the_gateways_own_tools_are_cut_like_all_others() {
    let mut scene = scene("handle", "").await;
    scene.ada.url = format!("{}?max_name_length=20", scene.ada.url);
    let tools = scene.tools().await;
    let names: Vec<_> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert!(names.iter().all(|name| name.len() <= 20), "{names:?}");
    let own: Vec<_> =
        names.iter().filter(|name| name.starts_with("ref___gw_")).map(|name| (*name).to_owned()).collect();
    assert_eq!(own.len(), 2, "{names:?}");
    let handle = scene.ada.call(&own[0], json!({})).await.result()["structuredContent"]["gw_session"].clone();
    assert_eq!(counter(&mut scene.ada, json!({"gw_session": handle})).await, 1);
    assert!(!is_error(&scene.ada.call(&own[1], json!({"gw_session": handle})).await));
    scene.sessions(0.0).await;
}
