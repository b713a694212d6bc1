//! What passes between clients and targets besides messages: headers and query parameters on the way there, headers on the way
//! back.

mod tasks;

use std::sync::{Arc, Mutex};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sessiongate_targets::VIA;

use crate::client::{Client, LIMIT, Stream};
use crate::control_client::{Control, target as target_members};
use crate::either::{ERAS, Either};
use crate::eras_parked::park;
use crate::eras_player::{everything, tool};
use crate::harness::{Home, eventually, http_target};
use crate::hook::Hook;
use crate::modern_client::{ModernClient, REVISION};
use crate::scripted::{Reply, Scripted};

/// A request as the target got it.
#[derive(Clone, Debug)]
struct Seen {
    path: String,
    lines: Vec<(String, String)>,
    body: Value,
}

/// A target of either era that keeps what it gets, and says something in headers of its own.
struct Echo {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Held for its thread.
    _server: Scripted,
}

/// What a client got back.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: HeaderMap,
    streamed: bool,
    json: Value,
}

// === impl Echo ===

impl Echo {
    fn new() -> Self {
        Self::with(|_| None)
    }

    /// One that has answers of its own to some requests.
    fn with(own: impl Fn(&Value) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let kept = seen.clone();
        let server = Scripted::raw(move |request| {
            let one = Seen { path: request.path.clone(), lines: request.lines.clone(), body: request.body.clone() };
            kept.lock().unwrap().push(one);
            own(&request.body).unwrap_or_else(|| answer(&request.method, &request.body))
        });
        Self { url: server.url.clone(), seen, _server: server }
    }

    /// The answer to the question `ask`, if it has come.
    fn told(&self) -> Option<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().find(|one| one.body["id"] == "ask" && one.body.get("method").is_none()).cloned()
    }

    /// Whether a request of this method came through two gateways before this one.
    fn came_through(&self, method: &str) -> bool {
        let through = |seen: &Seen| seen.header(VIA).first().is_some_and(|via| via.starts_with("one, two, "));
        self.of(method).iter().any(through)
    }

    /// Requests of this method.
    fn of(&self, method: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.body["method"] == method).cloned().collect()
    }
}

fn answer(http: &str, body: &Value) -> Reply {
    let complete = |mut result: Value| {
        result["resultType"] = json!("complete");
        json!({"jsonrpc": "2.0", "id": body["id"], "result": result})
    };
    let text = || complete(json!({"content": [{"type": "text", "text": "done"}]}));
    let can = json!({"tools": {"listChanged": true}, "resources": {}, "completions": {}, "tasks": {"cancel": {}, "requests": {"tools": {"call": {}}}}});
    let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
    let mut tools: Vec<Value> = ["plain", "streams", "rounds"].map(tool).to_vec();
    tools.push(json!({"name": "slow", "inputSchema": {"type": "object"}, "execution": {"taskSupport": "required"}}));
    let said = match (http, body["method"].as_str().unwrap_or_default()) {
        ("POST", "initialize") => complete(json!({
            "protocolVersion": "2025-11-25", "capabilities": can, "serverInfo": {"name": "echo", "version": "1"},
        })),
        ("POST", "server/discover") => complete(json!({
            "supportedVersions": [REVISION], "capabilities": can, "ttlMs": 0, "cacheScope": "private",
        })),
        ("POST", "tools/list") => complete(json!({"tools": tools, "ttlMs": 0, "cacheScope": "private"})),
        ("POST", "resources/list") => {
            complete(json!({"resources": [{"uri": "r://1", "name": "r"}], "ttlMs": 0, "cacheScope": "private"}))
        }
        ("POST", "resources/templates/list") => {
            complete(json!({"resourceTemplates": [], "ttlMs": 0, "cacheScope": "private"}))
        }
        ("POST", "resources/read") => {
            complete(json!({"contents": [{"uri": "r://1", "text": "r"}], "ttlMs": 0, "cacheScope": "private"}))
        }
        ("POST", "completion/complete") => complete(json!({"completion": {"values": ["v"]}})),
        ("POST", "tools/call") => match body["params"]["name"].as_str().unwrap() {
            "streams" => {
                let token = &body["params"]["_meta"]["progressToken"];
                let params = json!({"progressToken": token, "progress": 1});
                let note = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
                return with_headers("text/event-stream", &format!("data: {note}\n\ndata: {}\n\n", text()));
            }
            "rounds" if body["params"]["requestState"].is_null() => {
                let result = json!({"resultType": "input_required", "requestState": "s", "inputRequests": {}});
                json!({"jsonrpc": "2.0", "id": body["id"], "result": result})
            }
            "slow" => json!({"jsonrpc": "2.0", "id": body["id"], "result": {"task": task("working")}}),
            _ => text(),
        },
        ("POST", "tasks/result") => text(),
        ("POST", _) if body.get("id").is_none() || body.get("method").is_none() => return Reply::Status(202),
        ("POST", _) => complete(json!({})),
        _ => return Reply::Status(405),
    };
    with_headers("application/json", &said.to_string())
}

fn task(status: &str) -> Value {
    let time = "2026-01-01T00:00:00Z";
    json!({"taskId": "t-1", "status": status, "createdAt": time, "lastUpdatedAt": time, "ttl": null})
}

/// A stream that stands, with a question.
fn asks() -> Reply {
    let params = json!({"message": "Well?", "requestedSchema": {"type": "object", "properties": {}}});
    let question = json!({"jsonrpc": "2.0", "id": "ask", "method": "elicitation/create", "params": params});
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-trace: one\r\nX-Trace: two\r\n\r\n";
    Reply::Hang(format!("{head}data: {question}\n\n").into_bytes())
}

fn with_headers(kind: &str, body: &str) -> Reply {
    let own = "x-trace: one\r\nX-Trace: two\r\nx-hidden: h\r\nx-accel-buffering: yes\r\nconnection: close";
    let length = body.len();
    Reply::Raw(
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{own}\r\n\r\n{body}")
            .into_bytes(),
    )
}

// === impl Seen ===

impl Seen {
    fn header(&self, name: &str) -> Vec<&str> {
        self.lines.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// Sends a request with headers of its own, and reads it to its end.
async fn send(client: &mut Either, method: &str, params: Value, headers: &[(&str, &str)]) -> Got {
    let (body, mut request) = match client {
        Either::Legacy(client) => {
            let body = client.request(method, params);
            let request = client.post(&body);
            (body, request)
        }
        Either::Modern(client) => {
            let body = client.message(method, params);
            let request = client.post(&body);
            (body, request)
        }
    };
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let streamed = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
    let mut stream = Stream::of(response);
    let json = loop {
        let event = stream.next().await.unwrap().expect("a response before the end");
        match event.data {
            Some(data) if data.get("method").is_none() => break data,
            _ => {}
        }
    };
    assert!(json["id"] == body["id"] || status >= 400, "{json}");
    Got { status, headers, streamed, json }
}

// === impl Got ===

impl Got {
    fn header(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }
}

const PASS: &str =
    "pass: {request_headers: [X-Tenant, x-static], query_parameters: [region, fixed], response_headers: [X-Trace]}";
const SENT: [(&str, &str); 4] =
    [("X-Tenant", "a"), ("x-tenant", "b"), ("x-static", "the client's"), ("x-unlisted", "u")];
const QUERY: &str = "region=eu%20west&region=us&fixed=mine&secret=s3cret";

fn yaml(echo: &Echo, era: &str, more: &str) -> String {
    let url = format!("{}?fixed=theirs", echo.url);
    format!(
        "targets:\n  - {{name: t, era: {era}, mcp: {{url: \"{url}\", headers: {{x-static: theirs}}}}, {PASS}}}\n{more}"
    )
}

/// What the target must have got.
#[track_caller]
fn passed(seen: &Seen, what: &str) {
    assert_eq!(seen.path, "/mcp?fixed=theirs&region=eu+west&region=us", "{what}");
    assert_eq!(seen.header("x-tenant"), ["a", "b"], "{what}");
    assert_eq!(seen.header("x-static"), ["theirs"], "{what}");
    assert_eq!(seen.header("x-unlisted"), [""; 0], "{what}");
}

#[tokio::test]
async fn what_is_named_passes_and_nothing_else() {
    for server in ERAS {
        for era in ERAS {
            let what = format!("{era} client, {server} server");
            let (home, echo, live) = (Home::new(), Echo::new(), Echo::new());
            let live_target = format!(
                "  - {{name: live, era: {server}, listing: dynamic, resource_priority: 1000, mcp: {{url: \"{}\"}}, {PASS}}}\n",
                live.url
            );
            let gateway = home.configured(&yaml(&echo, server, &live_target));
            let mut client = Either::new(era, &format!("{}?{QUERY}", gateway.url)).await;

            let json = send(&mut client, "tools/call", json!({"name": "t___plain"}), &SENT).await;
            assert_eq!((json.status, json.streamed), (200, false), "{what}: {json:?}");
            assert_eq!(json.json["result"]["content"][0]["text"], "done", "{what}: {json:?}");
            assert_eq!(json.header("x-trace"), ["one", "two"], "{what}");
            assert_eq!(json.header("x-hidden"), [""; 0], "{what}");
            passed(&echo.of("tools/call")[0], &what);

            let params = json!({"name": "t___streams", "_meta": {"progressToken": "p"}});
            let stream = send(&mut client, "tools/call", params, &SENT).await;
            assert!(stream.streamed, "{what}: {stream:?}");
            assert_eq!(stream.header("x-trace"), ["one", "two"], "{what}");
            assert_eq!(stream.header("x-accel-buffering"), ["no"], "{what}");
            passed(&echo.of("tools/call")[1], &what);

            let read = send(&mut client, "resources/read", json!({"uri": "r://1"}), &SENT).await;
            assert_eq!(read.header("x-trace"), ["one", "two"], "{what}: {read:?}");
            passed(&echo.of("resources/read")[0], &what);
            let reference = json!({"type": "ref/resource", "uri": "r://1"});
            let params = json!({"ref": reference, "argument": {"name": "a", "value": ""}});
            let completed = send(&mut client, "completion/complete", params, &SENT).await;
            assert_eq!(completed.header("x-trace"), ["one", "two"], "{what}: {completed:?}");
            passed(&echo.of("completion/complete")[0], &what);

            // The page of the catalogue asks nobody.
            let page = send(&mut client, "tools/list", json!({}), &SENT).await;
            assert_eq!(page.header("x-trace"), [""; 0], "{what}: {page:?}");
            let cursor = &page.json["result"]["nextCursor"];
            let page = send(&mut client, "tools/list", json!({"cursor": cursor}), &SENT).await;
            assert_eq!(page.json["result"]["tools"][0]["name"], "live___plain", "{what}: {page:?}");
            assert_eq!(page.header("x-trace"), ["one", "two"], "{what}");
            let asked = live.of("tools/list");
            assert_eq!(asked.last().unwrap().header("x-tenant"), ["a", "b"], "{what}");
            assert_eq!(asked.last().unwrap().path, "/mcp?region=eu+west&region=us&fixed=mine", "{what}");

            // What no request of the client is meant with.
            for method in ["initialize", "server/discover", "tools/list"] {
                for seen in echo.of(method) {
                    assert_eq!(
                        (seen.header("x-tenant").len(), &*seen.path),
                        (0, "/mcp?fixed=theirs"),
                        "{what}: {seen:?}"
                    );
                }
            }
            // A call that brings nothing has nothing of the calls before it.
            let alone = send(&mut client, "tools/call", json!({"name": "t___plain"}), &[]).await;
            assert_eq!(alone.header("x-trace"), ["one", "two"], "{what}");
            assert_eq!(echo.of("tools/call")[2].header("x-tenant"), [""; 0], "{what}");
            assert!(!gateway.log().contains("s3cret") && !gateway.log().contains("eu west"), "{what}");
        }
    }
}

/// A round of a modern target that a legacy client knows nothing of is a request of the same call.
#[tokio::test]
async fn every_round_of_a_call_has_what_passes() {
    let (home, echo) = (Home::new(), Echo::new());
    let gateway = home.configured(&yaml(&echo, "modern", ""));
    let mut client = Either::new("legacy", &format!("{}?{QUERY}", gateway.url)).await;
    let got = send(&mut client, "tools/call", json!({"name": "t___rounds"}), &SENT).await;
    assert_eq!(got.json["result"]["content"][0]["text"], "done", "{got:?}");
    let rounds = echo.of("tools/call");
    assert_eq!(rounds.len(), 2);
    rounds.iter().for_each(|round| passed(round, "a round"));
}

/// What the gateway asks by itself for somebody who came through other gateways came through them too: a target may lead back
/// to one of them.
#[tokio::test]
async fn what_a_session_asks_by_itself_says_where_it_came_through() {
    let headers = [(HeaderName::from_static(VIA), HeaderValue::from_static("one, two"))].into_iter().collect();
    let http = reqwest::Client::builder().timeout(LIMIT).default_headers(headers).build().unwrap();
    for server in ERAS {
        let (home, echo) = (Home::new(), Echo::new());
        let more = format!("era: {server}, listing: dynamic");
        let gateway = home.configured(&format!("targets:\n{}", http_target("t", &echo.url, &more)));
        // A modern target is opened without a word, and listened to.
        let opened = if server == "legacy" { "initialize" } else { "subscriptions/listen" };
        assert!(!echo.came_through(opened), "{server}: the gateway's own came through no other");

        let mut client = Client::new(&gateway.url);
        client.http = http.clone();
        client.initialize(json!({})).await.unwrap();
        client.call("t___plain", json!({})).await;
        let _standing = client.get(None).await.unwrap();
        eventually("a session's", async || echo.came_through(opened).then_some(())).await;
        client.http.delete(&client.url).header("mcp-session-id", client.session.unwrap()).send().await.unwrap();

        echo.seen.lock().unwrap().clear();
        let mut client = ModernClient::new(&gateway.url);
        client.http = http.clone();
        let wanted = json!({"notifications": {"toolsListChanged": true}});
        let mut stream = client.open("subscriptions/listen", wanted).await;
        stream.message("notifications/subscriptions/acknowledged").await;
        for method in [opened, "tools/list"] {
            eventually("a listener's", async || echo.came_through(method).then_some(())).await;
        }
    }
}

/// What an interceptor puts into a request passes like what the client sent.
#[tokio::test]
async fn an_interceptor_may_say_what_passes() {
    let hook = Hook::intercepting(|input| {
        let body = &input["mcp"]["gatewayRequest"]["body"];
        json!({"transformedGatewayRequest": {"headers": {"X-Tenant": "of the hook"}, "body": body}})
    });
    let (home, echo) = (Home::new(), Echo::new());
    let more = format!("interceptors: [{{url: \"{}/hook\", points: [request]}}]", hook.url);
    let gateway = home.configured(&yaml(&echo, "legacy", &more));
    for era in ERAS {
        let mut client = Either::new(era, &gateway.url).await;
        let got = send(&mut client, "tools/call", json!({"name": "t___plain"}), &SENT).await;
        assert_eq!(got.header("x-trace"), ["one", "two"], "{era}: {got:?}");
        assert_eq!(echo.of("tools/call").pop().unwrap().header("x-tenant"), ["of the hook"], "{era}");
    }
}

#[tokio::test]
async fn a_batch_passes_and_gets_nothing_back() {
    let (home, echo) = (Home::new(), Echo::new());
    let gateway = home.configured(&yaml(&echo, "legacy", ""));
    let mut client = Client::new(&format!("{}?{QUERY}", gateway.url));
    client.revision = "2025-03-26";
    client.initialize(json!({})).await.unwrap();
    let two: Vec<Value> = (0..2).map(|_| client.request("tools/call", json!({"name": "t___plain"}))).collect();
    let mut request = client.post(&json!(two));
    for (name, value) in SENT {
        request = request.header(name, value);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("x-trace"));
    let calls = echo.of("tools/call");
    assert_eq!(calls.len(), 2);
    calls.iter().for_each(|call| passed(call, "a part of a batch"));
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let (home, echo) = (Home::new(), Echo::new());
    let gateway = home.configured(&yaml(&echo, "legacy", ""));
    for era in ERAS {
        let mut client = Either::new(era, &gateway.url).await;
        let long = "a".repeat(8 * 1024 + 1);
        let got = send(&mut client, "tools/call", json!({"name": "t___plain"}), &[("x-tenant", &long)]).await;
        assert_eq!(got.status, 400, "{era}");
        let said = got.json["error"]["message"].as_str().unwrap();
        assert!(said.contains("x-tenant") && said.contains("8192"), "{said}");
        let fits = send(&mut client, "tools/call", json!({"name": "t___plain"}), &[("x-tenant", &long[1..])]).await;
        assert_eq!(fits.status, 200, "{era}: {fits:?}");
    }
    assert_eq!(echo.of("tools/call").len(), 2);
}

/// The answer to a question goes to the target with what the answer's own request brought.
#[tokio::test]
async fn an_answer_passes_what_it_brought() {
    let echo = Echo::with(|body| (body["method"] == "tools/call").then(asks));
    let home = Home::new();
    let more = "era: legacy, timeout: 3s, pass: {request_headers: [X-Tenant]}";
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &echo.url, more)));

    let mut client = ModernClient::new(&gateway.url).capabilities(everything(REVISION));
    let parked = park(&mut client, tool("plain", json!({}))).await;
    let retry = client.message("tools/call", parked.answered());
    let retry = tokio::spawn(client.post(&retry).header("x-tenant", "of the retry").send());
    let answer = eventually("the answer is there", async || echo.told()).await;
    assert_eq!(answer.header("x-tenant"), ["of the retry"]);
    retry.abort();

    echo.seen.lock().unwrap().clear();
    let mut client = Client::ready(&gateway.url, json!({"elicitation": {}})).await;
    let (_, mut stream) = client.start("plain", json!({})).await;
    let question = loop {
        let event = stream.next().await.unwrap().expect("a question");
        if let Some(data) = event.data {
            break data;
        }
    };
    let result = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}});
    let response = client.post(&result).header("x-tenant", "of the answer").send().await.unwrap();
    assert_eq!(response.status(), 202);
    let answer = eventually("the answer is there", async || echo.told()).await;
    assert_eq!(answer.header("x-tenant"), ["of the answer"]);
}

/// Without sessions the name of one means nothing to the gateway, and may pass.
#[tokio::test]
async fn a_gateway_without_sessions_may_pass_the_name_of_one() {
    let (home, echo) = (Home::new(), Echo::new());
    let more = "era: legacy, pass: {request_headers: [Mcp-Session-Id]}";
    let gateway = home.configured(&format!("sessions: off\ntargets:\n{}", http_target("t", &echo.url, more)));
    let mut client = Either::Legacy(Client::new(&gateway.url));
    let got = send(&mut client, "tools/call", json!({"name": "t___plain"}), &[("mcp-session-id", "s-1")]).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(echo.of("tools/call")[0].header("mcp-session-id"), ["s-1"]);
}

#[tokio::test]
async fn what_the_control_plane_allows_passes() {
    let (control, echo) = (Control::new("", ""), Echo::new());
    let _program = control.start();
    let id = control.gateway("passes", json!({})).await;
    let path = format!("/gateways/{id}/targets/");
    let mut members = target_members("t", &echo.url);
    for (list, name, refused) in [
        ("allowedRequestHeaders", "Authorization", "allowedRequestHeaders[0]"),
        ("allowedResponseHeaders", "Set-Cookie", "allowedResponseHeaders[0]"),
        ("allowedRequestHeaders", "Mcp-Session-Id", "allowedRequestHeaders[0]"),
    ] {
        members["metadataConfiguration"] = json!({list: [name]});
        let answer = control.send("POST", &path, Some(&members)).await;
        assert_eq!(answer.error.as_deref(), Some("ValidationException"), "{answer:?}");
        assert!(answer.body.to_string().contains(refused), "{answer:?}");
    }
    members["metadataConfiguration"] = json!({
        "allowedRequestHeaders": ["X-Tenant"],
        "allowedQueryParameters": ["region"],
        "allowedResponseHeaders": ["x-trace"],
    });
    let created = control.ok("POST", &path, Some(&members)).await;
    let target = format!("{path}{}/", created["targetId"].as_str().unwrap());
    control.settled(&target, "READY").await;
    let served = control.settled(&format!("/gateways/{id}/"), "READY").await;
    let mut client = Either::new("legacy", &format!("{}?{QUERY}", served["gatewayUrl"].as_str().unwrap())).await;
    let got = send(&mut client, "tools/call", json!({"name": "t___plain"}), &SENT).await;
    assert_eq!(got.header("x-trace"), ["one", "two"], "{got:?}");
    let call = &echo.of("tools/call")[0];
    assert_eq!((call.header("x-tenant"), &*call.path), (vec!["a", "b"], "/mcp?region=eu+west&region=us"));

    // From one moment to the next nothing passes any more.
    members.as_object_mut().unwrap().remove("metadataConfiguration");
    control.ok("PUT", &target, Some(&members)).await;
    control.settled(&target, "READY").await;
    let got = send(&mut client, "tools/call", json!({"name": "t___plain"}), &SENT).await;
    assert_eq!(got.header("x-trace"), [""; 0], "{got:?}");
    let call = &echo.of("tools/call")[1];
    assert_eq!((call.header("x-tenant").len(), &*call.path), (0, "/mcp"));
}
