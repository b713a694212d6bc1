//! The same for tasks, which are several requests.

use serde_json::{Map, Value, json};

use super::{Echo, QUERY, SENT, asks, passed, send, task, with_headers, yaml};
use crate::either::Either;
use crate::harness::{Home, eventually};
use crate::modern_client::ModernClient;

/// A tool that runs as a task only is several requests of one call.
#[tokio::test]
async fn every_request_of_a_task_has_what_passes() {
    let (home, echo) = (Home::new(), Echo::new());
    let gateway = home.configured(&yaml(&echo, "legacy", ""));
    let mut client = Either::new("modern", &format!("{}?{QUERY}", gateway.url)).await;
    let got = send(&mut client, "tools/call", json!({"name": "t___slow"}), &SENT).await;
    assert_eq!(got.json["result"]["content"][0]["text"], "done", "{got:?}");
    passed(&echo.of("tools/call")[0], "the call");
    passed(&echo.of("tasks/result")[0], "the question for its result");
}

/// A client of the extension asks about a task that it was handed.
#[tokio::test]
async fn every_request_about_a_task_has_what_passes() {
    let echo = Echo::with(|body| {
        let said = match body["method"].as_str()? {
            "tasks/get" => task("input_required"),
            "tasks/cancel" => task("cancelled"),
            "tasks/result" => return Some(asks()),
            _ => return None,
        };
        let said = json!({"jsonrpc": "2.0", "id": body["id"], "result": said});
        Some(with_headers("application/json", &said.to_string()))
    });
    let home = Home::new();
    let gateway = home.configured(&yaml(&echo, "legacy", ""));
    let capabilities = json!({"elicitation": {"form": {}}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
    let url = format!("{}?{QUERY}", gateway.url);
    let mut client = Either::Modern(ModernClient::new(&url).capabilities(capabilities));
    let begun = send(&mut client, "tools/call", json!({"name": "t___slow"}), &SENT).await;
    let id = begun.json["result"]["taskId"].clone();
    assert!(id.is_string(), "{begun:?}");

    let asked = send(&mut client, "tasks/get", json!({"taskId": id}), &SENT).await;
    assert_eq!(asked.header("x-trace"), ["one", "two"], "{asked:?}");
    passed(&echo.of("tasks/get")[0], "where it stands");
    passed(&echo.of("tasks/result")[0], "what it asks");

    let questions = asked.json["result"]["inputRequests"].as_object().unwrap();
    let answers: Value =
        questions.keys().map(|key| (key.clone(), json!({"action": "decline"}))).collect::<Map<_, _>>().into();
    send(&mut client, "tasks/update", json!({"taskId": id, "inputResponses": answers}), &SENT).await;
    let told = eventually("the answer is there", async || echo.told()).await;
    passed(&told, "an answer");

    let ended = send(&mut client, "tasks/cancel", json!({"taskId": id}), &SENT).await;
    assert_eq!(ended.header("x-trace"), ["one", "two"], "{ended:?}");
    passed(&echo.of("tasks/cancel")[0], "the end");

    // One that brings nothing has nothing of those before it.
    send(&mut client, "tasks/get", json!({"taskId": id}), &[]).await;
    assert_eq!(echo.of("tasks/get").last().unwrap().header("x-tenant"), [""; 0]);
}
