//! A server of 2024-11-05, as many still run: one stream for all it says, a URL to POST to, and a session for each
//! stream.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// A running server. It has a thread of its own, because starting a gateway blocks.
pub struct OldServer {
    address: SocketAddr,
    newest: &'static str,
    state: Arc<Known>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// What it knows; a server that died forgets it.
#[derive(Default)]
struct Known {
    newest: &'static str,
    sessions: Mutex<HashMap<String, Session>>,
    opened: AtomicUsize,
}

struct Session {
    stream: mpsc::UnboundedSender<Value>,
    client: Value,
    calls: i64,
    questions: HashMap<String, oneshot::Sender<Value>>,
}

/// Takes its session along when the stream ends.
struct Open(Arc<Known>, String);

// === impl OldServer ===

impl OldServer {
    /// Starts one that speaks no revision newer than `newest`.
    pub fn start(newest: &'static str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        // Of the loopback addresses one that nobody else takes, so that the port is free when it comes back.
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let own = u8::try_from(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap();
        let mut server =
            Self { address: ([127, own, high, low.max(1)], 0).into(), newest, state: Arc::default(), running: None };
        server.back();
        server
    }

    /// Its sessions and connections are gone, and nobody answers.
    pub fn die(&mut self) {
        let (stop, thread) = self.running.take().unwrap();
        drop(stop);
        thread.join().unwrap();
    }

    /// It runs again, at the same address, and knows nobody.
    pub fn back(&mut self) {
        let listener = std::net::TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.address = listener.local_addr().unwrap();
        self.state = Arc::new(Known { newest: self.newest, ..Known::default() });
        let router =
            axum::Router::new().route("/sse", get(open)).route("/messages", post(take)).with_state(self.state.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    _ = axum::serve(listener, router).into_future() => {}
                    _ = stopped => {}
                }
            });
        });
        self.running = Some((stop, thread));
    }

    /// The target as a line of a configuration.
    pub fn line(&self, name: &str) -> String {
        format!("  - {{name: {name}, mcp: {{url: \"http://{}/sse\", transport: sse}}}}\n", self.address)
    }

    /// Says this to every session.
    pub fn say(&self, method: &str, params: &Value) {
        for session in self.state.sessions.lock().unwrap().values() {
            let _ = session.stream.send(json!({"jsonrpc": "2.0", "method": method, "params": params}));
        }
    }

    /// Streams that are open now.
    pub fn open(&self) -> usize {
        self.state.sessions.lock().unwrap().len()
    }

    /// Calls in all sessions.
    pub fn calls(&self) -> i64 {
        self.state.sessions.lock().unwrap().values().map(|session| session.calls).sum()
    }

    /// What the clients said of themselves in `initialize`.
    pub fn clients(&self) -> Vec<Value> {
        self.state.sessions.lock().unwrap().values().map(|session| session.client.clone()).collect()
    }
}

// === impl Open ===

impl Drop for Open {
    fn drop(&mut self) {
        self.0.sessions.lock().unwrap().remove(&self.1);
    }
}

/// GET: where to send messages, then all messages.
async fn open(State(known): State<Arc<Known>>) -> Response {
    let id = format!("s{}", known.opened.fetch_add(1, Ordering::Relaxed));
    let (stream, said) = mpsc::unbounded_channel::<Value>();
    let session = Session { stream, client: Value::Null, calls: 0, questions: HashMap::new() };
    known.sessions.lock().unwrap().insert(id.clone(), session);
    let first = format!("event: endpoint\ndata: /messages?session={id}\n\n");
    let open = Open(known, id);
    let messages = stream::unfold((said, open), |(mut said, open)| async {
        let message = said.recv().await?;
        Some((format!("event: message\ndata: {message}\n\n"), (said, open)))
    });
    let events = stream::iter([first]).chain(messages).map(Ok::<_, Infallible>);
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}

/// POST: 202 whatever it is; what there is to say goes to the stream.
async fn take(State(known): State<Arc<Known>>, at: Uri, body: Bytes) -> Result<StatusCode, StatusCode> {
    let message: Value = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let id = at.query().and_then(|query| query.strip_prefix("session=")).ok_or(StatusCode::BAD_REQUEST)?.to_owned();
    let stream = {
        let mut sessions = known.sessions.lock().unwrap();
        let session = sessions.get_mut(&id).ok_or(StatusCode::NOT_FOUND)?;
        if message.get("method").is_none() {
            if let Some(waiting) = message["id"].as_str().and_then(|id| session.questions.remove(id)) {
                let _ = waiting.send(message["result"].clone());
            }
            return Ok(StatusCode::ACCEPTED);
        }
        match message["method"].as_str().unwrap_or_default() {
            "initialize" => session.client = message["params"].clone(),
            "tools/call" => session.calls += 1,
            _ => {}
        }
        session.stream.clone()
    };
    if message.get("id").is_some() {
        tokio::spawn(async move {
            let result = respond(&known, &id, &stream, &message).await;
            let _ = stream.send(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}));
        });
    }
    Ok(StatusCode::ACCEPTED)
}

async fn respond(known: &Known, id: &str, stream: &mpsc::UnboundedSender<Value>, request: &Value) -> Value {
    let params = &request["params"];
    match request["method"].as_str().unwrap_or_default() {
        "initialize" => {
            // Revisions are dates: the older of the two is spoken.
            let revision = params["protocolVersion"].as_str().unwrap().min(known.newest);
            json!({"protocolVersion": revision, "capabilities": {"tools": {}, "logging": {}},
                   "serverInfo": {"name": "old", "version": "1"}})
        }
        "tools/list" => {
            let tools = ["count", "steps", "ask", "never"];
            json!({"tools": tools.map(|name| json!({"name": name, "inputSchema": {"type": "object"}}))})
        }
        "tools/call" => call(known, id, stream, params).await,
        _ => json!({}),
    }
}

async fn call(known: &Known, id: &str, stream: &mpsc::UnboundedSender<Value>, params: &Value) -> Value {
    let structured = match params["name"].as_str().unwrap_or_default() {
        "count" => json!({"count": known.sessions.lock().unwrap()[id].calls}),
        "steps" => {
            let token = &params["_meta"]["progressToken"];
            for step in 1..=params["arguments"]["steps"].as_i64().unwrap() {
                let params = json!({"progressToken": token, "progress": step});
                let _ = stream.send(json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}));
            }
            json!({})
        }
        "ask" => {
            let (sender, answer) = oneshot::channel();
            known.sessions.lock().unwrap().get_mut(id).unwrap().questions.insert("q1".to_owned(), sender);
            let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]});
            let params = json!({"message": "Who are you?", "requestedSchema": schema});
            let question = json!({"jsonrpc": "2.0", "id": "q1", "method": "elicitation/create", "params": params});
            let _ = stream.send(question);
            answer.await.unwrap_or_default()
        }
        _ => std::future::pending().await,
    };
    json!({"content": [{"type": "text", "text": structured.to_string()}], "structuredContent": structured})
}
