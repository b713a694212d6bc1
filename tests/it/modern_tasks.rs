//! Tasks: those of the extension pass between clients and targets of 2026-07-28, and tools that run as tasks only are
//! called by clients that know of none.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Home, Program, eventually, http_target, reference_server};
use crate::modern_client::{ModernAnswer, ModernClient};
use crate::scripted::{Reply, Scripted, result};

const KEYS: &str = "api_keys: [{name: ada, key: key-of-ada-0123456789}, {name: bob, key: key-of-bob-0123456789}]";
const EXTENSION: &str = "io.modelcontextprotocol/tasks";

struct Scene {
    home: Home,
    target: Program,
    gateway: Program,
    ada: ModernClient,
}

async fn scene() -> Scene {
    let (home, target) = (Home::new(), reference_server(&["--era", "modern"]));
    let gateway = home.configured(&format!("naming: plain\n{KEYS}\ntargets:\n{}", http_target("ref", &target.url, "")));
    let ada = client(&gateway, "key-of-ada-0123456789");
    Scene { home, target, gateway, ada }
}

fn client(gateway: &Program, key: &str) -> ModernClient {
    ModernClient::with_key(&gateway.url, key)
        .capabilities(json!({"elicitation": {"form": {}}, "extensions": {EXTENSION: {}}}))
}

/// The id of the task that this call became.
async fn begin(client: &mut ModernClient, tool: &str, arguments: Value) -> String {
    let answer = client.call(tool, arguments).await;
    let result = answer.result();
    assert_eq!(result["resultType"], "task", "{result}");
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "sessiongate");
    result["taskId"].as_str().unwrap().to_owned()
}

async fn get(client: &mut ModernClient, id: &str) -> Value {
    let answer = client.request("tasks/get", json!({"taskId": id})).await;
    let result = answer.result().clone();
    assert_eq!((result["resultType"].as_str(), result["taskId"].as_str()), (Some("complete"), Some(id)), "{result}");
    result
}

async fn until(client: &mut ModernClient, id: &str, status: &str) -> Value {
    eventually(status, async || {
        let task = get(client, id).await;
        (task["status"] == status).then_some(task)
    })
    .await
}

fn code(answer: &ModernAnswer) -> (u16, i64) {
    (answer.status, answer.error()["code"].as_i64().unwrap())
}

#[tokio::test]
async fn a_task_lives_through_the_gateway() {
    let Scene { home, target, mut gateway, mut ada } = scene().await;
    let found = ada.request("server/discover", json!({})).await;
    assert_eq!(found.result()["capabilities"]["extensions"], json!({EXTENSION: {}}));

    let id = begin(&mut ada, "slow_compute", json!({"seconds": 0.3, "label": "x"})).await;
    assert_eq!(get(&mut ada, &id).await["status"], "working");
    let done = until(&mut ada, &id, "completed").await;
    assert_eq!(done["result"]["content"][0]["text"], "x took 0.3 s");
    let failing = begin(&mut ada, "failing_job", json!({})).await;
    assert_eq!(until(&mut ada, &failing, "completed").await["result"]["isError"], true);
    let broken = begin(&mut ada, "protocol_error_job", json!({})).await;
    assert_eq!(until(&mut ada, &broken, "failed").await["error"]["code"], -32603);

    let long = begin(&mut ada, "slow_compute", json!({"seconds": 600})).await;
    // What is known of a task is in its id.
    gateway.kill();
    gateway = home.again();
    ada = client(&gateway, "key-of-ada-0123456789");
    assert_eq!(get(&mut ada, &long).await["status"], "working");
    let ended = ada.request("tasks/cancel", json!({"taskId": long})).await;
    assert_eq!(ended.result()["resultType"], "complete");
    until(&mut ada, &long, "cancelled").await;
    assert_eq!(target.stats().await["tasks"], 0);
    drop(gateway);
}

#[tokio::test]
async fn a_task_asks_and_is_answered() {
    let Scene { home: _home, target: _target, gateway: _gateway, mut ada } = scene().await;
    let id = begin(&mut ada, "multi_input", json!({})).await;
    let asks = until(&mut ada, &id, "input_required").await;
    assert_eq!(asks["inputRequests"]["first"]["method"], "elicitation/create");
    for key in ["first", "second"] {
        let answer = json!({"action": "accept", "content": {"value": key}});
        let params = json!({"taskId": id, "inputResponses": {key: answer}});
        let taken = ada.request("tasks/update", params).await;
        assert_eq!(taken.result()["resultType"], "complete");
    }
    let done = until(&mut ada, &id, "completed").await;
    let text = done["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("first") && text.contains("second"), "{text}");
}

#[tokio::test]
async fn a_task_is_its_owners_alone() {
    let Scene { home: _home, target: _target, gateway, mut ada } = scene().await;
    let id = begin(&mut ada, "slow_compute", json!({"seconds": 600})).await;
    let mut bob = client(&gateway, "key-of-bob-0123456789");
    let changed = format!("{}{}{}", &id[..20], if &id[20..21] == "A" { "B" } else { "A" }, &id[21..]);
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let of = |id: &str| json!({"taskId": id, "inputResponses": {}});
        let refused = bob.request(method, of(&id)).await;
        assert_eq!(code(&refused), (200, -32602), "{method}");
        assert_eq!(refused.error()["data"]["reason"], "unknown_task");
        for bad in [changed.as_str(), "x"] {
            assert_eq!(code(&ada.request(method, of(bad)).await), (200, -32602), "{method}");
        }
        let headers = ada.message(method, json!({"taskId": id}));
        let other = ada.bare(&headers).header("mcp-protocol-version", "2026-07-28").header("mcp-method", method);
        assert_eq!(other.header("mcp-name", "other").send().await.unwrap().status(), 400);
        let nothing = ada.message(method, json!({"inputResponses": {}}));
        assert_eq!(code(&ada.send(&nothing).await.finish().await), (200, -32602));
        let mut plain = ModernClient::with_key(&gateway.url, "key-of-ada-0123456789");
        let undeclared = plain.request(method, of(&id)).await;
        assert_eq!(code(&undeclared), (400, -32021), "{method}");
        let required = json!({"requiredCapabilities": {"extensions": {EXTENSION: {}}}});
        assert_eq!(undeclared.error()["data"], required);
    }
    assert_eq!(code(&ada.request("tasks/result", json!({"taskId": id})).await), (404, -32601));
    assert_eq!(get(&mut ada, &id).await["status"], "working");
}

/// A modern target with one tool; the rest is the script's.
fn modern(
    capabilities: &'static str,
    script: impl Fn(&str, &crate::scripted::Request) -> Reply + Send + Sync + 'static,
) -> Scripted {
    Scripted::raw(move |request| match request.body["method"].as_str().unwrap_or_default() {
        "server/discover" => Reply::Json(result(
            request,
            &format!(
                r#"{{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{capabilities},"ttlMs":0,"cacheScope":"private"}}"#
            ),
        )),
        "tools/list" => Reply::Json(result(
            request,
            r#"{"resultType":"complete","tools":[{"name":"t","inputSchema":{"type":"object"}}],"ttlMs":0,"cacheScope":"private"}"#,
        )),
        "initialize" => Reply::Status(400),
        method => script(method, request),
    })
}

#[tokio::test]
async fn what_a_task_says_passes_byte_for_byte() {
    let target = modern(r#"{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#, |method, request| {
        Reply::Json(result(
            request,
            match method {
                "tools/call" => r#"{"resultType":"task","taskId":"own \u0069d","status":"working","ttlMs":1.50e3}"#,
                // As the examples of the extension have it.
                "tasks/get" => {
                    r#"{"resultType":"task","taskId":"own id","inputRequests":{"k":{ "method":"roots/list" ,"x":1.0}}}"#
                }
                _ => r#"{"resultType":"complete"}"#,
            },
        ))
    });
    let home = Home::new();
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "")));
    let mut client = ModernClient::new(&gateway.url).capabilities(json!({"extensions": {EXTENSION: {}, "a/b": {}}}));
    let id = begin(&mut client, "t", json!({})).await;
    let text = async |client: &mut ModernClient, body: String| {
        let body: Value = serde_json::from_str(&body).unwrap();
        client.post(&body).send().await.unwrap().text().await.unwrap()
    };
    let message = client.message("tasks/get", json!({"taskId": id})).to_string();
    let got = text(&mut client, message).await;
    assert!(got.contains(r#""inputRequests":{"k":{ "method":"roots/list" ,"x":1.0}}"#), "{got}");
    assert!(got.contains(r#""resultType":"complete""#) && got.contains(&id), "{got}");

    let message = client.message("tasks/update", json!({"taskId": id, "inputResponses": {}}));
    let spelled = message.to_string().replace(r#""inputResponses":{}"#, r#""inputResponses":{"k":{ "n":1.0 }}"#);
    client.post(&message).body(spelled).send().await.unwrap();
    let seen = target.seen();
    let sent = |method: &str| seen.iter().find(|body| body.contains(&format!(r#""method":"{method}""#))).unwrap();
    assert!(sent("tasks/update").contains(r#""inputResponses":{"k":{ "n":1.0 }}"#), "{}", sent("tasks/update"));
    for method in ["tasks/get", "tasks/update"] {
        assert!(sent(method).contains(r#""taskId":"own id""#) && !sent(method).contains(&id), "{}", sent(method));
    }
    assert!(sent("tools/call").contains(EXTENSION) && !sent("tools/call").contains("a/b"), "{}", sent("tools/call"));
}

#[tokio::test]
async fn where_nobody_has_tasks_there_are_none() {
    let target = modern(r#"{"tools":{}}"#, |_, request| {
        Reply::Json(result(request, r#"{"resultType":"task","taskId":"x","status":"working"}"#))
    });
    let home = Home::new();
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "")));
    let mut client = ModernClient::new(&gateway.url).capabilities(json!({"extensions": {EXTENSION: {}}}));
    let found = client.request("server/discover", json!({})).await;
    assert_eq!(found.result()["capabilities"].get("extensions"), None);
    assert_eq!(code(&client.request("tasks/get", json!({"taskId": "x"})).await), (404, -32601));
    // It was not offered to the target.
    let answer = client.call("t", json!({})).await;
    assert_eq!(answer.result()["isError"], true, "{answer:?}");
    assert!(target.seen().iter().all(|body| !body.contains(EXTENSION)));
}

#[tokio::test]
async fn news_of_a_task_comes_to_who_listens_for_it() {
    let target = modern(r#"{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#, |method, request| {
        let wanted = &request.body["params"]["notifications"]["taskIds"];
        if method != "subscriptions/listen" {
            return Reply::Json(result(request, r#"{"resultType":"task","taskId":"own","status":"working"}"#));
        }
        let news = ["own", "other"].map(|id| {
            let meta = r#"{"io.modelcontextprotocol/subscriptionId":77}"#;
            let params = format!(r#"{{"taskId":"{id}","status":"working","n":1.0,"_meta":{meta}}}"#);
            format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tasks\",\"params\":{params}}}\n\n")
        });
        match wanted == &json!(["own"]) {
            true => Reply::Hang([crate::scripted::SSE, news.concat().as_bytes()].concat()),
            false => Reply::Hang(crate::scripted::SSE.to_vec()),
        }
    });
    let home = Home::new();
    let text = format!("naming: plain\n{KEYS}\ntargets:\n{}", http_target("ref", &target.url, ""));
    let gateway = home.configured(&text);
    let mut ada = client(&gateway, "key-of-ada-0123456789");
    let id = begin(&mut ada, "t", json!({})).await;
    let wanted = json!({"notifications": {"taskIds": [id, "x"]}});
    let mut stream = ada.send(&ada.message_with(json!("l"), "subscriptions/listen", wanted.clone())).await;
    let first = stream.next().await.unwrap();
    assert_eq!(first["params"]["notifications"], json!({"taskIds": [id]}));
    let news = stream.message("notifications/tasks").await;
    assert_eq!((&news["params"]["taskId"], &news["params"]["n"]), (&json!(id), &json!(1.0)));
    assert_eq!(news["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "l");
    stream.close();
    eventually("nobody listens to the target", async || (target.hanging() <= 1).then_some(())).await;

    let bob = client(&gateway, "key-of-bob-0123456789");
    let mut stream = bob.send(&bob.message_with(json!("l"), "subscriptions/listen", wanted.clone())).await;
    assert_eq!(stream.next().await.unwrap()["params"]["notifications"], json!({}));
    let mut plain = ModernClient::with_key(&gateway.url, "key-of-ada-0123456789");
    assert_eq!(code(&plain.request("subscriptions/listen", wanted).await), (400, -32021));
}

// === clients of sessions ===

#[tokio::test]
async fn a_client_with_a_session_waits_for_a_task_and_answers_it() {
    let (home, target) = (Home::new(), reference_server(&["--era", "modern"]));
    let mut gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "")));
    let mut client = Client::ready(&gateway.url, json!({"elicitation": {"form": {}}})).await;
    let failed = client.call("failing_job", json!({})).await;
    assert_eq!(failed["result"]["content"][0]["text"], "failing_job always fails", "{failed}");
    assert_eq!((&failed["result"]["isError"], failed["result"].get("resultType")), (&json!(true), None));

    let (_, mut stream) = client.start("multi_input", json!({})).await;
    for _ in 0..2 {
        let question = stream.message("elicitation/create").await;
        let answer = json!({"action": "accept", "content": {"value": question["params"]["message"]}});
        assert_eq!(client.answer(&question, answer).await, 202);
    }
    let answer = stream.response().await;
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    assert!(text.contains("The first value") && text.contains("The second value"), "{text}");
    // A question before the task, in the other way of asking.
    let (_, mut stream) = client.start("test_tool_with_task", json!({})).await;
    let question = stream.message("elicitation/create").await;
    client.answer(&question, json!({"action": "accept", "content": {"name": "Ada"}})).await;
    assert_eq!(stream.response().await["result"]["content"][0]["text"], "Hello, Ada!");

    let (id, mut stream) = client.start("confirm_delete", json!({"filename": "x"})).await;
    let question = stream.next().await.unwrap().unwrap();
    assert_eq!(target.stats().await["tasks"], 1);
    gateway.kill();
    gateway = home.again();
    client.reconnect();
    let mut stream = client.listen(question.id.as_deref()).await;
    let question = match question.data.filter(|data| data["method"] == "elicitation/create") {
        Some(question) => question,
        None => stream.message("elicitation/create").await,
    };
    client.answer(&question, json!({"action": "accept", "content": {"confirm": true}})).await;
    let answer = stream.response().await;
    assert_eq!(answer["id"], id);
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("true"), "{answer}");

    let (id, mut stream) = client.start("confirm_delete", json!({"filename": "y"})).await;
    stream.message("elicitation/create").await;
    client.notify("notifications/cancelled", json!({"requestId": id})).await;
    eventually("the task is cancelled", async || (target.stats().await["tasks"] == 0).then_some(())).await;
    drop(gateway);
}

// === tools of 2025-11-25 ===

const DONE: &str =
    r#"{"content":[{"type":"text","text":"done"}],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#;

/// A target of 2025-11-25 whose tool `slow` is a task only; requests about it are the script's.
fn session_target(script: impl Fn(&str, &crate::scripted::Request) -> Reply + Send + Sync + 'static) -> Scripted {
    Scripted::raw(move |request| match (request.method.as_str(), request.body["method"].as_str().unwrap_or_default()) {
        ("POST", "initialize") => Reply::Json(result(
            request,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"tasks":{"cancel":{},"requests":{"tools":{"call":{}}}}},"serverInfo":{"name":"scripted","version":"1"}}"#,
        )),
        ("POST", "tools/list") => Reply::Json(result(
            request,
            r#"{"tools":[{"name":"slow","inputSchema":{"type":"object"},"execution":{"taskSupport":"required"}},{"name":"fast","inputSchema":{"type":"object"}}]}"#,
        )),
        ("POST", "tools/call") if request.body["params"].get("task").is_none() => {
            Reply::Json(result(request, r#"{"content":[{"type":"text","text":"no task"}]}"#))
        }
        ("POST", "tools/call") => Reply::Json(result(
            request,
            r#"{"task":{"taskId":"t","status":"working","createdAt":"2026-01-01T00:00:00Z","lastUpdatedAt":"2026-01-01T00:00:00Z","ttl":null,"pollInterval":100}}"#,
        )),
        ("POST", "server/discover") => {
            let id = &request.body["id"];
            Reply::Json(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"not known"}}}}"#))
        }
        ("POST", _) if request.body.get("id").is_none() => Reply::Status(202),
        ("POST", method) => script(method, request),
        _ => Reply::Status(405),
    })
}

#[tokio::test]
async fn a_tool_that_is_a_task_only_is_called_by_anyone() {
    let asked = AtomicUsize::new(0);
    let target = session_target(move |method, request| match method {
        // The first connection breaks.
        "tasks/result" if asked.fetch_add(1, Ordering::Relaxed) == 0 => {
            Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{".to_vec())
        }
        "tasks/result" => Reply::Json(result(request, DONE)),
        _ => Reply::Json(result(request, "{}")),
    });
    let home = Home::new();
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "")));
    let mut legacy = Client::ready(&gateway.url, json!({})).await;
    assert_eq!(legacy.call("slow", json!({})).await["result"], json!({"content": [{"type": "text", "text": "done"}]}));
    assert_eq!(legacy.call("fast", json!({})).await["result"]["content"][0]["text"], "no task");
    let listed = legacy.ask("tools/list", json!({})).await;
    let optional = json!({"name": "slow", "inputSchema": {"type": "object"}, "execution": {"taskSupport": "optional"}});
    assert_eq!(listed["result"]["tools"][0], optional);
    let mut plain = ModernClient::new(&gateway.url);
    let answer = plain.call("slow", json!({})).await;
    assert_eq!(answer.result()["content"][0]["text"], "done");
    assert_eq!(answer.result()["_meta"].get("io.modelcontextprotocol/related-task"), None);
    // Who has the extension is given the task, under an id of its own.
    let mut modern = ModernClient::new(&gateway.url).capabilities(json!({"extensions": {EXTENSION: {}}}));
    assert_ne!(begin(&mut modern, "slow", json!({})).await, "t");
    assert_eq!(code(&modern.request("tasks/get", json!({"taskId": "t"})).await), (200, -32602));
    let list = modern.request("tools/list", json!({})).await;
    assert!(list.result()["tools"][0].get("execution").is_none());
    let params = json!({"name": "fast", "arguments": {}, "task": {}});
    assert_eq!(modern.request("tools/call", params).await.result()["content"][0]["text"], "no task");
}

#[tokio::test]
async fn a_task_of_a_session_survives_the_gateway_and_is_cancelled_with_its_call() {
    let calm = std::sync::Arc::new(Mutex::new(false));
    let now = calm.clone();
    let target = session_target(move |method, request| match method {
        "tasks/result" if *now.lock().unwrap() => Reply::Json(result(request, DONE)),
        "tasks/result" => Reply::Hang(crate::scripted::SSE.to_vec()),
        _ => Reply::Json(result(request, "{}")),
    });
    let home = Home::new();
    let text = format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, ""));
    let mut gateway = home.configured(&text);
    let mut client = ModernClient::new(&gateway.url);
    let running = client.open("tools/call", json!({"name": "slow", "arguments": {}})).await;
    assert!(running.is_stream());
    eventually("the result is asked for", async || (target.hanging() == 1).then_some(())).await;
    running.close();
    let cancelled = |body: &String| body.contains(r#""method":"tasks/cancel""#) && body.contains(r#""taskId":"t""#);
    eventually("the task is cancelled", async || target.seen().iter().any(cancelled).then_some(())).await;

    let mut legacy = Client::ready(&gateway.url, json!({})).await;
    let mut stream = legacy.start("slow", json!({})).await.1;
    eventually("the result is asked for", async || (target.hanging() == 1).then_some(())).await;
    let place = stream.next().await.unwrap().unwrap().id.unwrap();
    gateway.kill();
    *calm.lock().unwrap() = true;
    gateway = home.again();
    legacy.reconnect();
    let mut again = legacy.listen(Some(&place)).await;
    let answer = again.response().await;
    assert_eq!(answer["result"], json!({"content": [{"type": "text", "text": "done"}]}));
    drop(gateway);
}
