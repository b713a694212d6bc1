//! Clients that take JSON only, and gateways that cannot tell anybody anything: what is answered, announced, and refused
//! at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::client::{Client, Stream};
use crate::harness::{Home, Program, http_target, reference_server};
use crate::modern_client::ModernClient;

/// Sessions and streaming, all ways.
const WAYS: [(&str, bool, bool); 4] = [
    ("", true, true),
    ("streaming: false", true, false),
    ("sessions: off", false, true),
    ("sessions: off\nstreaming: false", false, false),
];

fn scene(settings: &str) -> (Home, Program, Program) {
    let (home, target) = (Home::new(), reference_server(&[]));
    let text = format!("naming: plain\n{settings}\ntargets:\n{}", http_target("ref", &target.url, ""));
    let gateway = home.configured(&text);
    (home, target, gateway)
}

/// A client of a gateway with or without sessions.
async fn client(url: &str, sessions: bool, capabilities: Value) -> Client {
    let mut client = Client::new(url);
    match sessions {
        true => drop(client.initialize(capabilities).await.unwrap()),
        // Where there are none the header means nothing.
        false => client.session = Some("x".into()),
    }
    client
}

fn accepting(request: reqwest::RequestBuilder, accept: &str) -> reqwest::Request {
    let mut request = request.build().unwrap();
    request.headers_mut().insert("accept", accept.parse().unwrap());
    request
}

#[tokio::test]
async fn who_takes_json_only_is_answered_in_json() {
    for (settings, sessions, _) in WAYS {
        let (_home, _target, gateway) = scene(settings);
        let mut legacy = client(&gateway.url, sessions, json!({})).await;
        let arguments = json!({"steps": 3, "delay_ms": 1});
        let params = json!({"name": "sg_progress", "arguments": arguments, "_meta": {"progressToken": "p"}});
        for (accept, status) in [
            ("application/json", 200),
            ("application/json;q=1, text/event-stream;q=0", 200),
            ("application/*", 200),
            ("text/event-stream", 406),
            ("text/html", 406),
        ] {
            let body = legacy.request("tools/call", params.clone());
            let answer = legacy.http.execute(accepting(legacy.post(&body), accept)).await.unwrap();
            assert_eq!(answer.status(), status, "{settings} {accept}");
            assert_eq!(answer.headers()["content-type"], "application/json", "{settings} {accept}");
            let said: Value = answer.json().await.unwrap();
            assert_eq!(said.get("result").is_some(), status == 200, "{settings} {accept}: {said}");
        }
        let mut modern = ModernClient::new(&gateway.url);
        let body = modern.message("tools/call", params.clone());
        let answer = modern.http.execute(accepting(modern.post(&body), "application/json")).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"application/json".parse().unwrap())
        );
        let said: Value = answer.json().await.unwrap();
        assert_eq!(said["result"]["resultType"], "complete", "{settings}: {said}");
        // There is nothing but a stream that this could be answered with.
        let body = modern.message("subscriptions/listen", json!({"notifications": {}}));
        let answer = modern.http.execute(accepting(modern.post(&body), "application/json")).await.unwrap();
        assert_eq!(answer.status(), if settings.contains("streaming") { 404 } else { 406 }, "{settings}");
    }
}

#[tokio::test]
async fn who_takes_json_only_is_asked_nothing() {
    let (_home, _target, gateway) = scene("");
    let mut legacy = client(&gateway.url, true, json!({"elicitation": {}})).await;
    let body = legacy.request("tools/call", json!({"name": "sg_elicit_form", "arguments": {}}));
    let answer = legacy.http.execute(accepting(legacy.post(&body), "application/json")).await.unwrap();
    let said: Value = answer.json().await.unwrap();
    assert!(said.to_string().contains("stream"), "{said}");
    assert_eq!(said["result"]["isError"], true, "{said}");
}

#[tokio::test]
async fn without_sessions_a_session_id_means_nothing_to_any_method() {
    let (_home, _target, gateway) = scene("sessions: off");
    let mut legacy = client(&gateway.url, false, json!({})).await;
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    for (method, params) in [("initialize", params), ("ping", json!({})), ("tools/list", json!({}))] {
        let body = legacy.request(method, params);
        let (status, answer) = legacy.send(&body).await;
        assert_eq!((status, answer.get("error")), (200, None), "{method}: {answer}");
    }
}

#[tokio::test]
async fn only_what_can_be_told_is_announced() {
    for (settings, sessions, streaming) in WAYS {
        let (_home, _target, gateway) = scene(settings);
        let mut legacy = Client::new(&gateway.url);
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let announced = legacy.ask("initialize", params).await["result"]["capabilities"].clone();
        let mut modern = ModernClient::new(&gateway.url);
        let discovered = modern.request("server/discover", json!({})).await.result()["capabilities"].clone();
        for (era, announced, told) in [("legacy", announced, sessions && streaming), ("modern", discovered, streaming)]
        {
            for list in ["tools", "prompts", "resources"] {
                let said = announced[list].get("listChanged") == Some(&json!(true));
                assert_eq!((announced[list].is_object(), said), (true, told), "{settings} {era}: {announced}");
            }
            assert_eq!(announced["resources"]["subscribe"], told, "{settings} {era}: {announced}");
        }
        let mut legacy = client(&gateway.url, sessions, json!({})).await;
        let answer = legacy.ask("resources/subscribe", json!({"uri": "test://watched-resource"})).await;
        match sessions && streaming {
            true => assert_eq!(answer["result"], json!({}), "{settings}"),
            false => assert_eq!(answer["error"]["code"], -32601, "{settings}: {answer}"),
        }
    }
}

/// A target that asks outside its calls, whatever its client declared, as the Python SDK asks for roots: what it has to say
/// while nobody listens is lost, and it waits for the answer all the same.
#[derive(Clone, Default)]
struct Forgetful(Arc<Mutex<HashMap<String, Ear>>>);

/// Who hears one of its sessions.
#[derive(Default)]
struct Ear {
    standing: Option<mpsc::UnboundedSender<String>>,
    waits: Option<oneshot::Sender<Value>>,
    /// It was heard at least once.
    heard: bool,
}

impl Forgetful {
    /// It has a thread of its own, because starting a gateway blocks.
    fn start() -> (Self, String) {
        let (target, listener) = (Self::default(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(target.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::spawn(move || {
            runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await })
        });
        (target, url)
    }

    /// How many of its sessions were heard.
    fn heard(&self) -> usize {
        self.0.lock().unwrap().values().filter(|ear| ear.heard).count()
    }

    /// The standing stream.
    fn listen(&self, session: &str) -> Response {
        let (sender, mut said) = mpsc::unbounded_channel();
        let mut ears = self.0.lock().unwrap();
        let ear = ears.get_mut(session).unwrap();
        (ear.standing, ear.heard) = (Some(sender), true);
        let events = futures_util::stream::poll_fn(move |context| said.poll_recv(context));
        let events = events.map(|said| Ok::<_, std::convert::Infallible>(format!("data: {said}\n\n")));
        ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response()
    }

    /// The roots of the client, or what it says instead.
    async fn roots(&self, session: &str) -> Value {
        let (sender, answer) = oneshot::channel();
        {
            let mut ears = self.0.lock().unwrap();
            let ear = ears.get_mut(session).unwrap();
            ear.waits = Some(sender);
            if let Some(standing) = &ear.standing {
                let _ = standing.send(json!({"jsonrpc": "2.0", "id": "q", "method": "roots/list"}).to_string());
            }
        }
        answer.await.unwrap()
    }
}

async fn answer(State(target): State<Forgetful>, request: Request) -> Response {
    let session = request.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
    if request.method() == Method::GET {
        return target.listen(&session.unwrap());
    }
    let body: Value =
        serde_json::from_slice(&to_bytes(request.into_body(), 1 << 20).await.unwrap()).unwrap_or_default();
    let tools = ["ask", "quick"].map(|name| json!({"name": name, "inputSchema": {"type": "object"}}));
    let result = match (body["method"].as_str(), body.get("id")) {
        (Some("initialize"), _) => {
            let id = format!("s{}", target.0.lock().unwrap().len());
            target.0.lock().unwrap().insert(id.clone(), Ear::default());
            let result = json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "f", "version": "1"}});
            let said = axum::Json(json!({"jsonrpc": "2.0", "id": body["id"], "result": result}));
            return ([("mcp-session-id", id)], said).into_response();
        }
        (Some("tools/list"), _) => json!({"tools": tools}),
        (Some("tools/call"), _) if body["params"]["name"] == "ask" => {
            let said = target.roots(&session.unwrap()).await;
            let failed = said.get("error").is_some();
            json!({"content": [{"type": "text", "text": said.to_string()}], "isError": failed})
        }
        (Some("tools/call"), _) => json!({"content": []}),
        (None, Some(_)) => {
            let waits = target.0.lock().unwrap().get_mut(&session.unwrap()).unwrap().waits.take();
            let _ = waits.unwrap().send(body);
            return StatusCode::ACCEPTED.into_response();
        }
        (Some("server/discover"), _) => return StatusCode::NOT_FOUND.into_response(),
        (_, None) => return StatusCode::ACCEPTED.into_response(),
        _ => json!({}),
    };
    axum::Json(json!({"jsonrpc": "2.0", "id": body["id"], "result": result})).into_response()
}

#[tokio::test]
async fn a_target_that_asks_outside_its_calls_does_not_wait_for_nobody() {
    for (settings, sessions, streaming) in WAYS {
        let (target, url) = Forgetful::start();
        let home = Home::new();
        let text = format!("naming: plain\n{settings}\ntargets:\n{}", http_target("f", &url, "timeout: 10m"));
        let gateway = home.configured(&text);
        // Where the gateway could ask, it is the client that takes no streams.
        let accept = if sessions && streaming { "application/json" } else { "application/json, text/event-stream" };
        let call = async |client: &mut Client, tool: &str| -> Value {
            let body = client.request("tools/call", json!({"name": tool, "arguments": {}}));
            let answer = client.http.execute(accepting(client.post(&body), accept)).await.unwrap();
            Stream::of(answer).response().await
        };
        for capabilities in [json!({}), json!({"roots": {}})] {
            let mut legacy = client(&gateway.url, sessions, capabilities.clone()).await;
            for _ in 0..2 {
                let response = call(&mut legacy, "ask").await;
                assert_eq!(response["result"]["isError"], true, "{settings} {capabilities}: {response}");
            }
            // A tool that answers at once is trusted from then on.
            call(&mut legacy, "quick").await;
            let before = target.heard();
            let mut other = client(&gateway.url, sessions, capabilities).await;
            for _ in 0..3 {
                assert!(call(&mut other, "quick").await.get("result").is_some(), "{settings}");
            }
            assert_eq!(target.heard(), before, "{settings}: no stream for nothing");
        }
    }
}
