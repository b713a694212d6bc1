//! What the requests of modern clients have in common that share a session of a legacy server, and what not.

use std::sync::Mutex;

use serde_json::{Value, json};

use crate::client::Client;
use crate::eras_player::{everything, tool};
use crate::harness::{Home, eventually, http_target};
use crate::modern_client::{ModernClient, REVISION};
use crate::scripted::{self, Reply, Scripted, result};

/// The one extension that targets hear of, with these settings.
fn apps(settings: Value) -> Value {
    json!({"elicitation": {}, "extensions": {"io.modelcontextprotocol/ui": settings}})
}

#[tokio::test]
async fn a_client_has_no_more_sessions_by_declaring_what_means_nothing() {
    static DECLARED: Mutex<Vec<Value>> = Mutex::new(Vec::new());
    let target = Scripted::raw(|request| match request.body["method"].as_str() {
        Some("initialize") => {
            DECLARED.lock().unwrap().push(request.body["params"]["capabilities"].clone());
            Reply::Json(result(
                request,
                r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"scripted","version":"1"}}"#,
            ))
        }
        Some("server/discover") => Reply::Status(404),
        Some("tools/list") => {
            Reply::Json(result(request, r#"{"tools":[{"name":"plain","inputSchema":{"type":"object"}}]}"#))
        }
        Some("tools/call") => scripted::text(request, "done"),
        _ => Reply::Status(202),
    });
    let home = Home::new();
    let line = http_target("ref", &target.url, "");
    let gateway = home.configured(&format!("naming: plain\nsessions: {{max_per_principal: 3}}\ntargets:\n{line}"));
    DECLARED.lock().unwrap().clear();
    let known = json!({"mimeTypes": ["text/html;profile=mcp-app"]});
    let call = async |settings: Value| {
        let mut client = ModernClient::new(&gateway.url).capabilities(apps(settings));
        assert_eq!(client.call("plain", json!({})).await.result()["content"][0]["text"], "done");
    };
    for number in 0..20 {
        call(json!({"number": number})).await;
        call(json!({"mimeTypes": [format!("a/{number}"), "text/html;profile=mcp-app"], "number": number})).await;
    }
    assert_eq!(gateway.metric("sessiongate_sessions", "").await, 2.0);
    let declared = DECLARED.lock().unwrap().clone();
    let form = |settings: Value| {
        let mut declared = apps(settings);
        declared["elicitation"] = json!({"form": {}});
        declared
    };
    assert_eq!(declared, [form(json!({})), form(known)], "what changes what the target shows is declared");
}

/// A legacy server with logging, whose calls log at each level that it was told last.
fn logger() -> Scripted {
    Scripted::raw(|request| match request.body["method"].as_str() {
        Some("initialize") => Reply::Json(result(
            request,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"logging":{}},"serverInfo":{"name":"scripted","version":"1"}}"#,
        )),
        Some("server/discover") => Reply::Status(404),
        Some("tools/list") => Reply::Json(result(
            request,
            r#"{"tools":[{"name":"quick","inputSchema":{"type":"object"}},{"name":"slow","inputSchema":{"type":"object"}}]}"#,
        )),
        Some("tools/call") if request.body["params"]["name"] == "slow" => Reply::Hang(scripted::SSE.to_vec()),
        Some("tools/call") => {
            let line = |level: &str| {
                let params = json!({"level": level, "data": level});
                format!("data: {}\n\n", json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params}))
            };
            let end = format!("data: {}\n\n", result(request, r#"{"content":[]}"#));
            Reply::Events([line("debug"), line("info"), line("error"), end].concat())
        }
        Some("logging/setLevel") => Reply::Json(result(request, "{}")),
        _ => Reply::Status(202),
    })
}

fn levels(target: &Scripted) -> Vec<String> {
    let bodies = target.seen().into_iter().filter_map(|body| serde_json::from_str::<Value>(&body).ok());
    let set = bodies.filter(|body| body["method"] == "logging/setLevel");
    set.map(|body| body["params"]["level"].as_str().unwrap().to_owned()).collect()
}

fn at(level: &str, name: &str) -> Value {
    let mut call = tool(name, json!({}));
    if !level.is_empty() {
        call["_meta"]["io.modelcontextprotocol/logLevel"] = json!(level);
    }
    call
}

#[tokio::test]
async fn the_level_of_a_target_follows_the_requests_that_run() {
    let target = logger();
    let home = Home::new();
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "")));
    let mut client = ModernClient::new(&gateway.url);
    let told = async |expected: &[&str]| {
        let what = format!("levels {expected:?}");
        eventually(&what, async || (levels(&target) == expected).then_some(())).await;
    };
    let mut said = Vec::new();
    // Nobody asked for anything yet: the target keeps its own level.
    for (level, heard, new) in [
        ("", 0, None),
        ("error", 1, Some("error")),
        ("error", 1, None),
        ("debug", 3, Some("debug")),
        ("info", 2, Some("info")),
        ("", 0, Some("emergency")),
        ("", 0, None),
    ] {
        let answer = client.request("tools/call", at(level, "quick")).await;
        assert_eq!(answer.notes.len(), heard, "{level}: {answer:?}");
        said.extend(new);
        told(&said).await;
    }
    // While one that wants more still runs, it gets it, and the others do not.
    let slow = client.open("tools/call", at("debug", "slow"));
    let slow = tokio::spawn(slow_headers(slow.await));
    said.push("debug");
    told(&said).await;
    let answer = client.request("tools/call", at("error", "quick")).await;
    assert_eq!(answer.notes.len(), 1, "{answer:?}");
    told(&said).await;
    slow.abort();
    eventually("the slow call is cancelled", async || {
        target.seen().iter().any(|body| body.contains("notifications/cancelled")).then_some(())
    })
    .await;
    client.request("tools/call", at("error", "quick")).await.result();
    said.push("error");
    told(&said).await;
}

/// Keeps a request open for as long as the task runs.
async fn slow_headers(stream: crate::modern_client::ModernStream) {
    stream.finish().await;
}

const ARRAY: &str = r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}"#;

#[tokio::test]
async fn live_lists_are_in_the_words_of_the_clients_era() {
    let modern = Scripted::raw(|request| {
        let complete = |text: &str| Reply::Json(result(request, text));
        match request.body["method"].as_str().unwrap_or_default() {
            "server/discover" => complete(
                r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#,
            ),
            "tools/list" => complete(&format!(
                r#"{{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[{ARRAY},{{"name":"wrong","inputSchema":{{"type":"object","properties":{{"a":{{"type":"string","x-mcp-header":"a b"}}}}}}}}]}}"#
            )),
            _ => Reply::Status(400),
        }
    });
    let legacy = Scripted::new(
        r#"[{"name":"job","inputSchema":{"type":"object"},"execution":{"taskSupport":"optional"}}]"#,
        |_, request| scripted::text(request, "done"),
    );
    let home = Home::new();
    let lines = [http_target("new", &modern.url, ""), http_target("old", &legacy.url, "")].concat();
    for listing in ["default", "dynamic"] {
        let gateway = home.configured(&format!("listing: {listing}\ntargets:\n{lines}"));
        let client = ModernClient::new(&gateway.url).capabilities(everything(REVISION));
        let mut client = crate::eras_player::Player::Modern(client);
        let (tools, _) = client.list("tools/list", "tools").await;
        let mut whole: Value = serde_json::from_str(ARRAY).unwrap();
        whole["name"] = json!("new___t");
        assert!(tools.contains(&whole), "{listing}: {tools:?}");
        let job = tools.iter().find(|tool| tool["name"] == "old___job").unwrap();
        assert_eq!(job.get("execution"), None, "{listing}: tasks of 2025-11-25");
        assert_eq!(tools.len(), 2, "{listing}: one that cannot be called is not shown: {tools:?}");
        let client = Client::ready(&gateway.url, json!({})).await;
        let (tools, _) = crate::eras_player::Player::Legacy(client).list("tools/list", "tools").await;
        let tool = tools.iter().find(|tool| tool["name"] == "new___t").unwrap();
        assert_eq!(tool.get("outputSchema"), None, "{listing}: strict readers want an object");
    }
}
