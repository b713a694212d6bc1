//! Every row of the status table of the legacy era, against a running gateway.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Home, Program, reference_server};

struct Row {
    name: &'static str,
    request: fn(&Client) -> reqwest::RequestBuilder,
    status: u16,
    /// Of the JSON-RPC error; 0 where there is none.
    code: i64,
}

const BOTH: &str = "application/json, text/event-stream";

fn raw(client: &Client, body: impl Into<String>) -> reqwest::RequestBuilder {
    client.http.post(&client.url).header("accept", BOTH).header("content-type", "application/json").body(body.into())
}

fn sessioned(client: &Client, body: &str) -> reqwest::RequestBuilder {
    client.with_session(raw(client, body))
}

fn initialize(revision: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": revision,
        "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}})
}

const PING: &str = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;

fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "foreign origin",
            request: |c| sessioned(c, PING).header("origin", "https://evil.example"),
            status: 403,
            code: -32600,
        },
        Row {
            name: "loopback origin",
            request: |c| sessioned(c, PING).header("origin", "http://localhost:3000"),
            status: 200,
            code: 0,
        },
        Row {
            name: "foreign host",
            request: |c| sessioned(c, PING).header("host", "evil.example"),
            status: 403,
            code: -32600,
        },
        Row {
            name: "unknown path",
            request: |c| c.http.post(format!("{}x", c.url)).body(PING),
            status: 404,
            code: -32600,
        },
        Row {
            name: "accept lacks streams",
            request: |c| {
                c.with_session(c.http.post(&c.url))
                    .header("accept", "application/json")
                    .header("content-type", "application/json")
                    .body(PING)
            },
            status: 200,
            code: 0,
        },
        Row {
            name: "accept lacks JSON",
            request: |c| {
                c.with_session(c.http.post(&c.url))
                    .header("accept", "text/event-stream")
                    .header("content-type", "application/json")
                    .body(PING)
            },
            status: 406,
            code: -32600,
        },
        Row {
            name: "not JSON by type",
            request: |c| {
                c.with_session(c.http.post(&c.url))
                    .header("accept", BOTH)
                    .header("content-type", "text/plain")
                    .body(PING)
            },
            status: 415,
            code: -32600,
        },
        Row { name: "not JSON", request: |c| sessioned(c, "{nope"), status: 400, code: -32700 },
        Row {
            name: "not UTF-8",
            request: |c| c.with_session(raw(c, "")).body(vec![b'"', 0xff, b'"']),
            status: 400,
            code: -32700,
        },
        Row { name: "empty body", request: |c| sessioned(c, ""), status: 400, code: -32700 },
        Row {
            name: "not JSON-RPC",
            request: |c| sessioned(c, r#"{"id":1,"method":"ping"}"#),
            status: 400,
            code: -32600,
        },
        Row {
            name: "null id",
            request: |c| sessioned(c, r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#),
            status: 400,
            code: -32600,
        },
        Row {
            name: "fractional id",
            request: |c| sessioned(c, r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#),
            status: 400,
            code: -32600,
        },
        Row {
            name: "duplicate method",
            request: |c| sessioned(c, r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#),
            status: 400,
            code: -32600,
        },
        Row {
            name: "result and error",
            request: |c| sessioned(c, r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"x"}}"#),
            status: 400,
            code: -32600,
        },
        Row { name: "array on 2025-11-25", request: |c| sessioned(c, &format!("[{PING}]")), status: 400, code: -32600 },
        Row {
            name: "129 levels",
            request: |c| {
                sessioned(
                    c,
                    &format!(
                        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{}{}}}}}"#,
                        "[".repeat(127),
                        "]".repeat(127)
                    ),
                )
            },
            status: 400,
            code: -32600,
        },
        Row {
            name: "7 MB",
            request: |c| sessioned(c, &format!("{}{PING}", " ".repeat(7_000_000))),
            status: 413,
            code: -32600,
        },
        Row {
            name: "notification",
            request: |c| sessioned(c, r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#),
            status: 202,
            code: 0,
        },
        Row {
            name: "response to nothing",
            request: |c| sessioned(c, r#"{"jsonrpc":"2.0","id":99,"result":{}}"#),
            status: 202,
            code: 0,
        },
        Row { name: "initialize", request: |c| raw(c, initialize("2025-11-25").to_string()), status: 200, code: 0 },
        Row {
            name: "initialize, unknown revision",
            request: |c| raw(c, initialize("1999-01-01").to_string()),
            status: 200,
            code: 0,
        },
        Row {
            name: "initialize, modern revision",
            request: |c| raw(c, initialize("2026-07-28").to_string()),
            status: 200,
            code: 0,
        },
        Row {
            name: "second initialize",
            request: |c| sessioned(c, &initialize("2025-11-25").to_string()),
            status: 400,
            code: -32600,
        },
        Row {
            name: "initialize in an array",
            request: |c| raw(c, json!([initialize("2025-03-26")]).to_string()),
            status: 400,
            code: -32600,
        },
        Row { name: "no session header", request: |c| raw(c, PING), status: 400, code: -32600 },
        Row {
            name: "unknown session",
            request: |c| raw(c, PING).header("mcp-session-id", "nobody"),
            status: 404,
            code: -32600,
        },
        Row {
            name: "very long session id",
            request: |c| raw(c, PING).header("mcp-session-id", "x".repeat(4000)),
            status: 404,
            code: -32600,
        },
        Row {
            name: "bad revision header",
            request: |c| {
                raw(c, PING)
                    .header("mcp-session-id", c.session.clone().unwrap())
                    .header("mcp-protocol-version", "bogus")
            },
            status: 400,
            code: -32600,
        },
        Row {
            name: "other supported revision header",
            request: |c| {
                raw(c, PING)
                    .header("mcp-session-id", c.session.clone().unwrap())
                    .header("mcp-protocol-version", "2025-06-18")
            },
            status: 200,
            code: 0,
        },
        Row {
            name: "no revision header",
            request: |c| raw(c, PING).header("mcp-session-id", c.session.clone().unwrap()),
            status: 200,
            code: 0,
        },
        Row {
            name: "GET without event streams",
            request: |c| c.with_session(c.http.get(&c.url)).header("accept", "application/json"),
            status: 406,
            code: -32600,
        },
        Row {
            name: "GET without session",
            request: |c| c.http.get(&c.url).header("accept", "text/event-stream"),
            status: 400,
            code: -32600,
        },
        Row {
            name: "GET after an unknown event",
            request: |c| {
                c.with_session(c.http.get(&c.url)).header("accept", "text/event-stream").header("last-event-id", "77-1")
            },
            status: 400,
            code: -32600,
        },
        Row {
            name: "GET after nonsense",
            request: |c| {
                c.with_session(c.http.get(&c.url))
                    .header("accept", "text/event-stream")
                    .header("last-event-id", "nonsense")
            },
            status: 400,
            code: -32600,
        },
        Row { name: "PUT", request: |c| c.with_session(c.http.put(&c.url)), status: 405, code: -32600 },
        Row {
            name: "unknown method",
            request: |c| sessioned(c, r#"{"jsonrpc":"2.0","id":1,"method":"nope"}"#),
            status: 200,
            code: -32601,
        },
        Row {
            name: "unknown tool",
            request: |c| sessioned(c, r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nope"}}"#),
            status: 200,
            code: -32602,
        },
        Row {
            name: "tool without name",
            request: |c| sessioned(c, r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#),
            status: 200,
            code: -32602,
        },
        Row {
            name: "bad cursor",
            request: |c| sessioned(c, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}"#),
            status: 200,
            code: -32602,
        },
        Row {
            name: "bad log level",
            request: |c| {
                sessioned(c, r#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"loud"}}"#)
            },
            status: 200,
            code: -32602,
        },
        Row {
            name: "DELETE of an unknown session",
            request: |c| c.http.delete(&c.url).header("mcp-session-id", "nobody"),
            status: 404,
            code: -32600,
        },
        Row { name: "DELETE without session", request: |c| c.http.delete(&c.url), status: 400, code: -32600 },
    ]
}

async fn ready() -> (Home, Program, Program, Client) {
    let target = reference_server(&[]);
    let home = Home::new();
    let gateway = home.gateway(&target.url, None).unwrap();
    let mut client = Client::new(&gateway.url);
    client.initialize(json!({})).await.unwrap();
    (home, target, gateway, client)
}

#[tokio::test]
async fn every_row_of_the_status_table() {
    let (_home, _target, _gateway, client) = ready().await;
    let mut wrong = Vec::new();
    for row in rows() {
        let response = (row.request)(&client).send().await.unwrap();
        let status = response.status();
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default();
        let code = body["error"]["code"].as_i64().unwrap_or_default();
        if status != row.status || code != row.code {
            wrong.push(format!("{}: {status} {code}, not {} {}: {body}", row.name, row.status, row.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn an_ended_session_is_gone_for_every_method() {
    let (_home, _target, _gateway, client) = ready().await;
    let ended = client.with_session(client.http.delete(&client.url)).send().await.unwrap();
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    for request in [
        sessioned(&client, PING),
        client.with_session(client.http.get(&client.url)).header("accept", "text/event-stream"),
        client.with_session(client.http.delete(&client.url)),
    ] {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn errors_echo_the_id_with_its_type() {
    let (_home, _target, _gateway, client) = ready().await;
    for id in ["7", "\"7\"", "\"a b\"", "12345678901234567"] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"nope"}}"#);
        let text = sessioned(&client, &body).send().await.unwrap().text().await.unwrap();
        assert!(text.contains(&format!(r#""id":{id},"#)), "{text}");
    }
}
