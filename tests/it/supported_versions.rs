//! Gateways that serve some revisions only.

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Home, Program, http_target, reference_server};
use crate::modern_client::{ModernClient, REVISION};

fn scene(versions: &str, more: &str) -> (Home, Program, Program) {
    let (home, target) = (Home::new(), reference_server(&[]));
    let targets = http_target("t", &target.url, "");
    let gateway = home.configured(&format!("supported_versions: [{versions}]\n{more}\ntargets:\n{targets}"));
    (home, target, gateway)
}

async fn initialize(client: &Client, version: &str) -> (u16, Value) {
    let params = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    client.send(&json!({"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": params})).await
}

#[tokio::test]
async fn initialize_negotiates_among_them() {
    let (_home, _target, gateway) = scene("2025-06-18, 2024-11-05, 2026-07-28", "");
    let client = Client::new(&gateway.url);
    for (asked, got) in [
        ("2025-06-18", "2025-06-18"),
        ("2024-11-05", "2024-11-05"),
        ("2025-11-25", "2025-06-18"),
        ("2025-03-26", "2025-06-18"),
        ("2026-07-28", "2025-06-18"),
        ("1999-01-01", "2025-06-18"),
    ] {
        let (status, answer) = initialize(&client, asked).await;
        assert_eq!((status, &answer["result"]["protocolVersion"]), (200, &json!(got)), "{asked}: {answer}");
    }
    let mut modern = ModernClient::new(&gateway.url);
    let discovered = modern.request("server/discover", json!({})).await;
    let served = json!(["2026-07-28", "2025-06-18", "2024-11-05"]);
    assert_eq!(discovered.result()["supportedVersions"], served);
    assert_eq!(modern.call("t___sg_echo", json!({"x": 1})).await.result()["structuredContent"], json!({"x": 1}));
}

#[tokio::test]
async fn a_header_that_names_another_is_refused() {
    for more in ["", "sessions: off"] {
        let (_home, _target, gateway) = scene("2025-06-18, 2024-11-05", more);
        let mut client = Client::new(&gateway.url);
        client.revision = "2025-06-18";
        match more {
            "" => drop(client.initialize(json!({})).await.unwrap()),
            _ => client.session = Some("x".into()),
        }
        assert_eq!(client.call("t___sg_echo", json!({})).await["result"]["isError"], Value::Null);
        for refused in ["2025-11-25", "2025-03-26", "2026-07-28", "1999-01-01", ""] {
            let body = client.request("ping", json!({}));
            let request = client.http.post(&client.url).body(body.to_string());
            let request = request.header("accept", "application/json, text/event-stream");
            let request = request.header("content-type", "application/json");
            let request = request.header("mcp-session-id", client.session.as_ref().unwrap());
            let response = request.header("mcp-protocol-version", refused).send().await.unwrap();
            assert_eq!(response.status(), 400, "{more} {refused}");
            let said = response.text().await.unwrap();
            if refused != REVISION {
                assert!(said.contains("supported are 2024-11-05, 2025-06-18"), "{refused}: {said}");
            }
        }
    }
}

#[tokio::test]
async fn without_the_modern_one_its_requests_are_refused_by_their_code() {
    let (_home, _target, gateway) = scene("2025-11-25, 2025-06-18", "");
    let mut modern = ModernClient::new(&gateway.url);
    for (method, params) in [
        ("server/discover", json!({})),
        ("tools/list", json!({})),
        ("tools/call", json!({"name": "t___sg_echo", "arguments": {}})),
        ("subscriptions/listen", json!({"notifications": {}})),
    ] {
        let refused = modern.request(method, params).await;
        assert_eq!((refused.status, &refused.error()["code"]), (400, &json!(-32022)), "{refused:?}");
        let data = json!({"supported": ["2025-11-25", "2025-06-18"], "requested": REVISION});
        assert_eq!(refused.error()["data"], data);
    }
    assert_eq!(Client::ready(&gateway.url, json!({})).await.count("t___sg_counter").await, 1);
}

#[tokio::test]
async fn without_the_others_there_are_no_sessions() {
    let (_home, _target, gateway) = scene("2026-07-28", "");
    let mut client = Client::new(&gateway.url);
    let supported = json!(["2026-07-28"]);
    let (status, refused) = initialize(&client, "2025-11-25").await;
    assert_eq!((status, &refused["error"]["code"], &refused["id"]), (400, &json!(-32022), &json!(7)), "{refused}");
    assert_eq!(refused["error"]["data"], json!({"supported": supported, "requested": "2025-11-25"}));
    client.session = Some("0".repeat(32));
    let list = client.request("tools/list", json!({}));
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    for body in [list, note, json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}])] {
        let (status, refused) = client.send(&body).await;
        assert_eq!((status, &refused["error"]["data"]["supported"]), (400, &supported), "{body}: {refused}");
    }
    assert_eq!(client.get(None).await.unwrap().status(), 400);
    let mut modern = ModernClient::new(&gateway.url);
    assert_eq!(modern.request("server/discover", json!({})).await.result()["supportedVersions"], supported);
    assert_eq!(modern.call("t___sg_echo", json!({"x": 1})).await.result()["structuredContent"], json!({"x": 1}));
    let other = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2025-11-25"}});
    let body = modern.message("tools/list", other);
    let refused = modern.bare(&body).header("mcp-protocol-version", "2025-11-25").header("mcp-method", "tools/list");
    let refused: Value = refused.send().await.unwrap().json().await.unwrap();
    assert_eq!((&refused["error"]["code"], &refused["error"]["data"]["supported"]), (&json!(-32022), &supported));
}
