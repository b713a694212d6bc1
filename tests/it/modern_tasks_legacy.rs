//! Tasks of servers with sessions (2025-11-25), for clients of the extension.

use serde_json::{Value, json};

use crate::harness::{Home, Program, eventually, http_target, reference_server};
use crate::modern_client::{ModernAnswer, ModernClient};
use crate::scripted::{Reply, Scripted, result};
use crate::tasks_legacy::Shop;

const KEYS: &str = "api_keys: [{name: ada, key: key-of-ada-0123456789}, {name: bob, key: key-of-bob-0123456789}]";
const ADA: &str = "key-of-ada-0123456789";
const EXTENSION: &str = "io.modelcontextprotocol/tasks";

struct Scene {
    home: Home,
    target: Program,
    gateway: Program,
    ada: ModernClient,
}

fn scene(more: &str) -> Scene {
    scene_with("", more)
}

fn scene_with(gateway: &str, target_more: &str) -> Scene {
    let (home, target) = (Home::new(), reference_server(&["--tasks"]));
    let target_line = http_target("ref", &target.url, target_more);
    let gateway = home.configured(&format!("naming: plain\n{KEYS}\n{gateway}\ntargets:\n{target_line}"));
    let ada = client(&gateway, ADA);
    Scene { home, target, gateway, ada }
}

fn client(gateway: &Program, key: &str) -> ModernClient {
    ModernClient::with_key(&gateway.url, key)
        .capabilities(json!({"elicitation": {"form": {}}, "extensions": {EXTENSION: {}}}))
}

/// The handle that this call was answered with.
async fn begin(client: &mut ModernClient, tool: &str, arguments: Value) -> (String, Value) {
    let answer = client.call(tool, arguments).await;
    let handle = answer.result().clone();
    assert_eq!(handle["resultType"], "task", "{handle}");
    (handle["taskId"].as_str().unwrap().to_owned(), handle)
}

async fn get(client: &mut ModernClient, id: &str) -> Value {
    let answer = client.request("tasks/get", json!({"taskId": id})).await;
    let task = answer.result().clone();
    assert_eq!((task["resultType"].as_str(), task["taskId"].as_str()), (Some("complete"), Some(id)), "{task}");
    task
}

async fn until(client: &mut ModernClient, id: &str, status: &str) -> Value {
    eventually(status, async || {
        let task = get(client, id).await;
        (task["status"] == status).then_some(task)
    })
    .await
}

async fn update(client: &mut ModernClient, id: &str, responses: Value) -> ModernAnswer {
    client.request("tasks/update", json!({"taskId": id, "inputResponses": responses})).await
}

fn code(answer: &ModernAnswer) -> (u16, i64) {
    (answer.status, answer.error()["code"].as_i64().unwrap())
}

fn reason(answer: &ModernAnswer) -> &str {
    answer.error()["data"]["reason"].as_str().unwrap_or_else(|| panic!("{answer:?}"))
}

#[tokio::test]
async fn a_task_of_a_session_lives_through_the_gateway() {
    let Scene { home: _home, target, gateway, mut ada } = scene("");
    let found = ada.request("server/discover", json!({})).await;
    assert_eq!(found.result()["capabilities"]["extensions"], json!({EXTENSION: {}}));
    let tools = ada.request("tools/list", json!({})).await;
    assert!(tools.result()["tools"].as_array().unwrap().iter().all(|tool| tool.get("execution").is_none()));

    let (id, handle) = begin(&mut ada, "slow_compute", json!({"seconds": 0.3, "label": "x"})).await;
    assert_eq!((&handle["status"], &handle["pollIntervalMs"]), (&json!("working"), &json!(250)));
    assert!(handle["ttlMs"].as_u64().is_some_and(|ttl| ttl > 3_600_000 && ttl <= 8 * 3_600_000), "{handle}");
    assert!(handle["createdAt"].is_string() && handle["lastUpdatedAt"].is_string());
    assert_eq!((handle.get("ttl"), handle.get("pollInterval"), handle.get("task")), (None, None, None));
    assert_eq!(handle["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "sessiongate");
    let working = get(&mut ada, &id).await;
    assert_eq!((&working["status"], &working["ttlMs"]), (&json!("working"), &handle["ttlMs"]));
    let done = until(&mut ada, &id, "completed").await;
    assert_eq!(done["result"]["content"][0]["text"], "x took 0.3 s");
    assert_eq!(done["result"]["resultType"], "complete");
    assert_eq!(done["result"]["_meta"].get("io.modelcontextprotocol/related-task"), None);
    // As often as the client likes.
    assert_eq!(get(&mut ada, &id).await["result"], done["result"]);
    let acknowledged = ada.request("tasks/cancel", json!({"taskId": id})).await;
    assert_eq!(acknowledged.result()["resultType"], "complete");

    let (failing, _) = begin(&mut ada, "failing_job", json!({})).await;
    let failed = until(&mut ada, &failing, "completed").await;
    assert_eq!((&failed["result"]["isError"], failed.get("error")), (&json!(true), None));
    let (broken, _) = begin(&mut ada, "protocol_error_job", json!({})).await;
    let failed = until(&mut ada, &broken, "failed").await;
    assert_eq!((&failed["error"]["code"], failed.get("result")), (&json!(-32603), None));

    let (long, _) = begin(&mut ada, "slow_compute", json!({"seconds": 600})).await;
    let acknowledged = ada.request("tasks/cancel", json!({"taskId": long})).await;
    assert_eq!(acknowledged.result().as_object().unwrap().len(), 2, "{acknowledged:?}");
    assert_eq!(until(&mut ada, &long, "cancelled").await.get("result"), None);
    assert_eq!(target.stats().await["tasks"], 0);

    // Whoever knows of no tasks waits, and what the client itself says of the older kind is not heard.
    let mut plain = ModernClient::with_key(&gateway.url, ADA);
    let params = json!({"name": "slow_compute", "arguments": {"seconds": 0.1}, "task": {"ttl": 1}});
    let answer = plain.request("tools/call", params).await;
    assert_eq!(answer.result()["content"][0]["text"], "slow_compute took 0.1 s");
    assert_eq!(plain.call("failing_job", json!({})).await.result()["isError"], true);
    assert_eq!(ada.call("sg_echo", json!({})).await.result()["resultType"], "complete");
}

#[tokio::test]
async fn a_task_of_a_session_asks_and_is_answered() {
    let Scene { home: _home, target, gateway, mut ada } = scene("");
    let (id, _) = begin(&mut ada, "multi_input", json!({})).await;
    let asks = until(&mut ada, &id, "input_required").await;
    let requests = asks["inputRequests"].as_object().unwrap().clone();
    assert_eq!(requests.len(), 2, "{asks}");
    for request in requests.values() {
        assert_eq!(request["method"], "elicitation/create");
        assert_eq!(request["params"].get("_meta"), None, "{request}");
        assert!(request["params"]["requestedSchema"].is_object());
    }
    // They are asked under the same keys, by whoever comes.
    let mut again = client(&gateway, ADA);
    assert_eq!(get(&mut again, &id).await["inputRequests"], asks["inputRequests"]);
    let mut deaf = ModernClient::with_key(&gateway.url, ADA).capabilities(json!({"extensions": {EXTENSION: {}}}));
    let undeclared = deaf.request("tasks/get", json!({"taskId": id})).await;
    assert_eq!(code(&undeclared), (400, -32021));

    let missing = ada.request("tasks/update", json!({"taskId": id})).await;
    assert_eq!((code(&missing), reason(&missing)), ((200, -32602), "invalid_input_responses"));
    let ignored = update(&mut ada, &id, json!({"other": {"action": "accept"}})).await;
    assert_eq!(ignored.result()["resultType"], "complete");
    let mut keys = requests.keys();
    let first = keys.next().unwrap();
    update(&mut ada, &id, json!({first: {"action": "accept", "content": {"value": "one"}}})).await.result();
    let left = eventually("one is answered", async || {
        let asks = get(&mut ada, &id).await;
        asks["inputRequests"].as_object().filter(|left| left.len() == 1).cloned()
    })
    .await;
    let second = keys.next().unwrap();
    assert!(left.contains_key(second), "{left:?}");
    update(&mut ada, &id, json!({second: {"action": "accept", "content": {"value": "two"}}})).await.result();
    let done = until(&mut ada, &id, "completed").await;
    let text = done["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("one") && text.contains("two"), "{text}");
    assert_eq!(target.stats().await["answers"], json!({"first": 1, "second": 1}));
    // Too late is no error.
    update(&mut ada, &id, json!({first: {"action": "decline"}})).await.result();
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_refused() {
    let Scene { home: _home, target: _target, gateway: _gateway, mut ada } = scene("");
    let (id, _) = begin(&mut ada, "confirm_delete", json!({"filename": "x"})).await;
    let asks = until(&mut ada, &id, "input_required").await;
    let key = asks["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    let refused = update(&mut ada, &id, json!({key: {"action": "accept", "content": {"confirm": "perhaps"}}})).await;
    assert_eq!((code(&refused), reason(&refused)), ((200, -32602), "invalid_answer"));
}

#[tokio::test]
async fn a_task_of_a_session_is_its_owners_alone() {
    let Scene { home: _home, target, gateway, mut ada } = scene("");
    let (id, _) = begin(&mut ada, "slow_compute", json!({"seconds": 600})).await;
    let mut bob = client(&gateway, "key-of-bob-0123456789");
    let changed = format!("{}{}{}", &id[..20], if &id[20..21] == "A" { "B" } else { "A" }, &id[21..]);
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let of = |id: &str| json!({"taskId": id, "inputResponses": {}});
        let refused = bob.request(method, of(&id)).await;
        assert_eq!((code(&refused), reason(&refused)), ((200, -32602), "unknown_task"), "{method}");
        for bad in [changed.as_str(), "x"] {
            assert_eq!(code(&ada.request(method, of(bad)).await), (200, -32602), "{method}");
        }
        let mut plain = ModernClient::with_key(&gateway.url, ADA);
        assert_eq!(code(&plain.request(method, of(&id)).await), (400, -32021), "{method}");
    }
    assert_eq!(get(&mut ada, &id).await["status"], "working");
    // The target forgets its sessions, and with them their tasks.
    let forget = format!("{}/control/forget-sessions", target.base());
    reqwest::Client::new().post(forget).send().await.unwrap();
    for method in ["tasks/get", "tasks/cancel"] {
        let gone = ada.request(method, json!({"taskId": id})).await;
        assert_eq!((code(&gone), reason(&gone)), ((200, -32602), "unknown_task"), "{gone:?}");
    }
}

#[tokio::test]
async fn a_task_and_its_questions_survive_the_gateway() {
    let Scene { home, target, mut gateway, mut ada } = scene("");
    let (slow, _) = begin(&mut ada, "slow_compute", json!({"seconds": 0.5, "label": "x"})).await;
    // A handle that was given is good.
    gateway.kill();
    gateway = home.again();
    ada = client(&gateway, ADA);
    let (asking, _) = begin(&mut ada, "confirm_delete", json!({"filename": "x"})).await;
    assert_eq!(until(&mut ada, &slow, "completed").await["result"]["content"][0]["text"], "x took 0.5 s");
    let asks = until(&mut ada, &asking, "input_required").await;
    gateway.kill();
    gateway = home.again();
    ada = client(&gateway, ADA);
    let again = until(&mut ada, &asking, "input_required").await;
    assert_eq!(again["inputRequests"], asks["inputRequests"]);
    let key = asks["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    update(&mut ada, &asking, json!({key: {"action": "accept", "content": {"confirm": true}}})).await.result();
    let done = until(&mut ada, &asking, "completed").await;
    assert!(done["result"]["content"][0]["text"].as_str().unwrap().contains("true"), "{done}");
    assert_eq!(target.stats().await["answers"], json!({"confirm": 1}));
    drop(gateway);
}

#[tokio::test]
async fn an_answer_reaches_a_target_whose_streams_cannot_be_taken_up() {
    let (home, shop) = (Home::new(), Shop::default());
    let target = shop.serve();
    let mut gateway =
        home.configured(&format!("naming: plain\n{KEYS}\ntargets:\n{}", http_target("shop", &target.url, "")));
    let mut ada = client(&gateway, ADA);
    let (id, _) = begin(&mut ada, "ask", json!({})).await;
    shop.is_now("ask-0", "input_required");
    let asks = eventually("a question", async || {
        let task = get(&mut ada, &id).await;
        task["inputRequests"].as_object().filter(|asks| asks.len() == 1).cloned()
    })
    .await;
    gateway.kill();
    shop.breaks();
    gateway = home.again();
    ada = client(&gateway, ADA);
    assert_eq!(get(&mut ada, &id).await["inputRequests"], json!(asks));
    assert_eq!(shop.answers(), Vec::<Value>::new(), "nobody has answered");
    let key = asks.keys().next().unwrap();
    update(&mut ada, &id, json!({key: {"action": "accept", "content": {"name": "Ada"}}})).await.result();
    let told = eventually("the answer", async || shop.answers().first().cloned()).await;
    assert_eq!((&told["id"], &told["result"]["content"]), (&json!(77), &json!({"name": "Ada"})));
    shop.is_now("ask-0", "completed");
    assert_eq!(until(&mut ada, &id, "completed").await["result"]["content"][0]["text"], "\"Ada\"");
    drop(gateway);
}

#[tokio::test]
async fn a_task_keeps_the_conversation_of_its_call() {
    let Scene { home: _home, target: _target, gateway: _gateway, mut ada } = scene("affinity: call");
    let (id, _) = begin(&mut ada, "multi_input", json!({})).await;
    let asks = until(&mut ada, &id, "input_required").await;
    let keys = asks["inputRequests"].as_object().unwrap().keys();
    let answers: Value =
        keys.map(|key| (key.clone(), json!({"action": "decline"}))).collect::<serde_json::Map<_, _>>().into();
    update(&mut ada, &id, answers).await.result();
    until(&mut ada, &id, "completed").await;
}

#[tokio::test]
async fn a_task_ends_with_its_conversation() {
    let Scene { home: _home, target, gateway: _gateway, mut ada } = scene("affinity: handle");
    let opened = ada.call("ref___gw_open_session", json!({})).await;
    let session = opened.result()["structuredContent"]["gw_session"].clone();
    let (id, _) = begin(&mut ada, "slow_compute", json!({"seconds": 600, "gw_session": session})).await;
    assert_eq!(get(&mut ada, &id).await["status"], "working");
    ada.call("ref___gw_close_session", json!({"gw_session": session})).await.result();
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let gone = ada.request(method, json!({"taskId": id, "inputResponses": {}})).await;
        assert_eq!((code(&gone), reason(&gone)), ((200, -32602), "task_gone"), "{method}");
        assert!(gone.error()["message"].as_str().unwrap().contains("`ref`"), "{gone:?}");
    }
    drop(target);
}

#[tokio::test]
async fn a_conversation_that_follows_knows_nothing_of_the_task() {
    let Scene { home: _home, target, gateway: _gateway, mut ada } = scene_with("sessions: {idle_timeout: 1s}", "");
    let (id, _) = begin(&mut ada, "slow_compute", json!({"seconds": 600})).await;
    eventually("the conversation ends", async || (target.stats().await["sessions"] == 1).then_some(())).await;
    ada.call("sg_echo", json!({})).await.result();
    let gone = ada.request("tasks/get", json!({"taskId": id})).await;
    assert_eq!((code(&gone), reason(&gone)), ((200, -32602), "task_gone"));
}

#[tokio::test]
async fn news_of_a_task_of_a_session_comes_to_who_listens_for_it() {
    let Scene { home: _home, target: _target, gateway, mut ada } = scene("");
    let (id, handle) = begin(&mut ada, "confirm_delete", json!({"filename": "x"})).await;
    let wanted = json!({"notifications": {"taskIds": [id, "x"]}});
    let mut stream = ada.send(&ada.message_with(json!("l"), "subscriptions/listen", wanted)).await;
    let first = stream.next().await.unwrap();
    assert_eq!(first["params"]["notifications"], json!({"taskIds": [id]}));
    let asks = stream.message("notifications/tasks").await;
    assert_eq!((&asks["params"]["taskId"], &asks["params"]["status"]), (&json!(id), &json!("input_required")));
    assert_eq!(asks["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "l");
    assert_eq!((&asks["params"]["ttlMs"], asks["params"].get("resultType")), (&handle["ttlMs"], None));
    let key = asks["params"]["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    let mut other = client(&gateway, ADA);
    update(&mut other, &id, json!({key: {"action": "accept", "content": {"confirm": true}}})).await.result();
    let done = loop {
        let news = stream.message("notifications/tasks").await;
        if news["params"]["status"] == "completed" {
            break news;
        }
    };
    assert!(done["params"]["result"]["content"][0]["text"].as_str().unwrap().contains("true"), "{done}");
}

/// A target of 2025-11-25 whose tool `t` can be a task; what it says of tasks is the script's.
fn odd_target(script: impl Fn(&str) -> &'static str + Send + Sync + 'static) -> Scripted {
    Scripted::raw(move |request| match (request.method.as_str(), request.body["method"].as_str().unwrap_or_default()) {
        ("POST", "initialize") => Reply::Json(result(
            request,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"tasks":{"requests":{"tools":{"call":{}}}}},"serverInfo":{"name":"scripted","version":"1"}}"#,
        )),
        ("POST", "tools/list") => Reply::Json(result(
            request,
            r#"{"tools":[{"name":"t","inputSchema":{"type":"object"},"execution":{"taskSupport":"optional"}}]}"#,
        )),
        ("POST", "server/discover") => Reply::Json(format!(
            r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32601,"message":"not known"}}}}"#,
            request.body["id"]
        )),
        ("POST", _) if request.body.get("id").is_none() => Reply::Status(202),
        ("POST", method) => match script(method) {
            error if error.starts_with(r#"{"code""#) => {
                Reply::Json(format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, request.body["id"]))
            }
            answer => Reply::Json(result(request, answer)),
        },
        _ => Reply::Status(405),
    })
}

#[tokio::test]
async fn what_a_target_says_of_its_tasks_is_put_right_or_refused() {
    let target = odd_target(|method| match method {
        // Times and unknown members as they came; no end of its time, and a state that has yet to be asked for.
        "tools/call" => {
            r#"{"task":{"taskId":"own \u0069d","status":"completed","createdAt":"a","lastUpdatedAt":"b","ttl":null,"x":1.50}}"#
        }
        "tasks/get" => {
            r#"{"taskId":"own id","status":"failed","statusMessage":"kaboom","createdAt":"a","lastUpdatedAt":"b","ttl":7}"#
        }
        "tasks/result" => r#"{"_meta":{}}"#,
        "tasks/cancel" => r#"{"code":-32601,"message":"it cannot"}"#,
        _ => "{}",
    });
    let home = Home::new();
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("odd", &target.url, "")));
    let mut client = ModernClient::new(&gateway.url).capabilities(json!({"extensions": {EXTENSION: {}}}));
    let (id, handle) = begin(&mut client, "t", json!({})).await;
    assert_eq!((&handle["status"], &handle["x"], &handle["createdAt"]), (&json!("working"), &json!(1.5), &json!("a")));
    let failed = get(&mut client, &id).await;
    assert_eq!((&failed["status"], &failed["ttlMs"]), (&json!("completed"), &json!(7)));
    assert_eq!(failed["result"]["content"][0]["text"], "kaboom");
    assert_eq!(failed["result"]["isError"], true);
    client.request("tasks/cancel", json!({"taskId": id})).await.result();
    let seen = target.seen();
    let sent = |method: &str| seen.iter().find(|body| body.contains(&format!(r#""method":"{method}""#))).unwrap();
    assert!(sent("tools/call").contains(r#""task":{"ttl":"#) && !sent("tools/call").contains(EXTENSION));
    assert!(sent("tasks/get").contains(r#""taskId":"own id""#) && !sent("tasks/get").contains(&id));

    let target = odd_target(|method| match method {
        "tools/call" => r#"{"task":{"taskId":"a","status":"working"}}"#,
        _ => r#"{"taskId":"a","status":"odd"}"#,
    });
    let home = Home::new();
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("odd", &target.url, "")));
    let mut client = ModernClient::new(&gateway.url).capabilities(json!({"extensions": {EXTENSION: {}}}));
    let (id, _) = begin(&mut client, "t", json!({})).await;
    let refused = client.request("tasks/get", json!({"taskId": id})).await;
    assert_eq!(code(&refused), (200, -32603));
    assert!(refused.error()["message"].as_str().unwrap().contains("readable `status`"), "{refused:?}");

    // One that answers at once, as some do.
    let target = odd_target(|_| r#"{"content":[]}"#);
    let home = Home::new();
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("odd", &target.url, "")));
    let mut client = ModernClient::new(&gateway.url).capabilities(json!({"extensions": {EXTENSION: {}}}));
    assert_eq!(client.call("t", json!({})).await.result()["resultType"], "complete");
}
