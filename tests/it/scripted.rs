//! A target that does what a test says, byte for byte.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One HTTP request.
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    /// The same one by one, as they came.
    pub lines: Vec<(String, String)>,
    pub text: String,
    /// The body as JSON; null where there is none.
    pub body: Value,
}

/// What is done about a request.
pub enum Reply {
    /// 200 with this JSON.
    Json(String),
    /// 200 with these events, and the end of the stream.
    Events(String),
    /// A status without a body.
    Status(u16),
    /// These bytes, whatever they mean, and the connection is closed.
    Raw(Vec<u8>),
    /// The first bytes once, then the second again and again until the other side has enough.
    Endless(Vec<u8>, Vec<u8>),
    /// These bytes; the connection stays open.
    Hang(Vec<u8>),
    /// The first bytes at once, then the second again and again, with a pause before each.
    Drip(Vec<u8>, Vec<u8>, Duration),
}

/// A running target.
pub struct Scripted {
    pub url: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    bodies: Mutex<Vec<String>>,
    written: AtomicU64,
    hanging: AtomicUsize,
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

/// The head of an event stream of unknown length.
pub const SSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// A head with this content type and length.
pub fn head(content_type: &str, length: u64) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n").into_bytes()
}

/// A JSON-RPC response to `request`; `result` is raw.
pub fn result(request: &Request, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, request.body["id"])
}

/// A tool result of one text.
pub fn text(request: &Request, text: &str) -> Reply {
    Reply::Json(result(request, &json!({"content": [{"type": "text", "text": text}]}).to_string()))
}

// === impl Scripted ===

impl Scripted {
    /// A target that leaves everything to the script. It has a thread of its own, because starting a gateway blocks.
    pub fn raw(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let seen = Arc::new(Seen::default());
        let (script, shared): (Arc<Script>, _) = (Arc::new(script), seen.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::spawn(move || runtime.block_on(listen(listener, script, shared)));
        Self { url, seen }
    }

    /// A well-behaved target with these tools (a raw JSON array); calls are the script's, by the tool's name.
    pub fn new(tools: &str, call: impl Fn(&str, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let tools = tools.to_owned();
        Self::raw(move |request| match (request.method.as_str(), request.body["method"].as_str()) {
            ("POST", Some("initialize")) => Reply::Json(result(
                request,
                r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"scripted","version":"1"}}"#,
            )),
            ("POST", Some("tools/list")) => Reply::Json(result(request, &format!(r#"{{"tools":{tools}}}"#))),
            ("POST", Some("tools/call")) => call(request.body["params"]["name"].as_str().unwrap(), request),
            ("POST", _) if request.body.get("id").is_none() => Reply::Status(202),
            ("POST", _) => Reply::Json(result(request, "{}")),
            _ => Reply::Status(405),
        })
    }

    /// Tools that say nothing but their names.
    pub fn named(tools: &[&str], call: impl Fn(&str, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let tools: Vec<Value> =
            tools.iter().map(|name| json!({"name": name, "inputSchema": {"type": "object"}})).collect();
        Self::new(&json!(tools).to_string(), call)
    }

    /// The bodies of all requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.bodies.lock().unwrap().clone()
    }

    /// How many bytes were taken of replies that do not end.
    pub fn written(&self) -> u64 {
        self.seen.written.load(Ordering::Relaxed)
    }

    /// How many requests get no answer now, or one that drips.
    pub fn hanging(&self) -> usize {
        self.seen.hanging.load(Ordering::Relaxed)
    }
}

async fn listen(listener: std::net::TcpListener, script: Arc<Script>, seen: Arc<Seen>) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((connection, _)) = listener.accept().await {
        let (script, seen) = (script.clone(), seen.clone());
        tokio::spawn(async move {
            let _ = serve(connection, &*script, &seen).await;
        });
    }
}

async fn serve(mut connection: TcpStream, script: &Script, seen: &Seen) -> std::io::Result<()> {
    let mut input = Vec::new();
    while let Some(request) = read(&mut connection, &mut input).await? {
        seen.bodies.lock().unwrap().push(request.text.clone());
        match script(&request) {
            Reply::Json(body) => {
                connection.write_all(&head("application/json", body.len() as u64)).await?;
                connection.write_all(body.as_bytes()).await?;
            }
            Reply::Events(events) => {
                connection.write_all(&head("text/event-stream", events.len() as u64)).await?;
                connection.write_all(events.as_bytes()).await?;
            }
            Reply::Status(status) => {
                let head = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n");
                connection.write_all(head.as_bytes()).await?;
            }
            Reply::Raw(bytes) => {
                connection.write_all(&bytes).await?;
                return connection.shutdown().await;
            }
            Reply::Endless(head, piece) => {
                connection.write_all(&head).await?;
                loop {
                    connection.write_all(&piece).await?;
                    seen.written.fetch_add(piece.len() as u64, Ordering::Relaxed);
                }
            }
            Reply::Hang(bytes) => {
                connection.write_all(&bytes).await?;
                seen.hanging.fetch_add(1, Ordering::Relaxed);
                let _ = connection.read(&mut [0]).await;
                seen.hanging.fetch_sub(1, Ordering::Relaxed);
                return Ok(());
            }
            Reply::Drip(head, drop, pause) => {
                connection.write_all(&head).await?;
                seen.hanging.fetch_add(1, Ordering::Relaxed);
                let mut drops = tokio::time::interval(pause);
                let ended = loop {
                    drops.tick().await;
                    if let Err(error) = connection.write_all(&drop).await {
                        break error;
                    }
                    seen.written.fetch_add(drop.len() as u64, Ordering::Relaxed);
                };
                seen.hanging.fetch_sub(1, Ordering::Relaxed);
                return Err(ended);
            }
        }
    }
    Ok(())
}

async fn read(connection: &mut TcpStream, input: &mut Vec<u8>) -> std::io::Result<Option<Request>> {
    let head = loop {
        if let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
            break input.drain(..end + 4).collect::<Vec<u8>>();
        }
        if connection.read_buf(input).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let lines: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let headers: HashMap<String, String> = lines.iter().cloned().collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while input.len() < length {
        if connection.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
    let text = String::from_utf8(input.drain(..length).collect()).unwrap();
    let body = serde_json::from_str(&text).unwrap_or_default();
    Ok(Some(Request { method, path, headers, lines, text, body }))
}
