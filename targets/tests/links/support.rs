//! A scripted MCP server, a sink that remembers, and a hello.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_web::body::BodyStream;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sessiongate_protocol::{Message, RawJson, RequestId, ResponseBody, Revision, jsonrpc};
use sessiongate_targets::{
    AddressPolicy, CallReply, Hello, HttpClients, HttpOptions, HttpTarget, HttpTargetOptions, Link, LinkEvent,
    LinkLimits, LinkSink, PassNames, SecretHeaders, SinkClosed, Target, TargetEra, TargetError, Transport,
};
use tokio::sync::mpsc;
use url::Url;

/// A request that the server saw.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Value,
    /// The same as it came.
    pub text: String,
    pub at: Instant,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn rpc(&self) -> &str {
        self.body["method"].as_str().unwrap_or("")
    }

    pub fn id(&self) -> &Value {
        &self.body["id"]
    }
}

/// In the extensions of an answer: not even its head is sent.
pub struct NoHead;

pub struct Server {
    pub base: Url,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    pub connections: Arc<AtomicUsize>,
}

impl Server {
    /// Answers every request with `script`.
    pub fn start(script: impl Fn(&Seen) -> HttpResponse + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let script: Arc<dyn Fn(&Seen) -> HttpResponse + Send + Sync> = Arc::new(script);
        let log = Arc::clone(&seen);
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let server = HttpServer::new(move || {
            let (script, log) = (Arc::clone(&script), Arc::clone(&log));
            App::new().app_data(web::PayloadConfig::new(1 << 26)).default_service(web::to(
                move |request: HttpRequest, body: Bytes| {
                    let one = Seen {
                        method: request.method().to_string(),
                        path: request.uri().to_string(),
                        headers: request
                            .headers()
                            .iter()
                            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("").to_owned()))
                            .collect(),
                        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                        text: String::from_utf8_lossy(&body).into_owned(),
                        at: Instant::now(),
                    };
                    log.lock().push(one.clone());
                    let answer = script(&one);
                    async move {
                        if answer.extensions().contains::<NoHead>() {
                            std::future::pending::<()>().await;
                        }
                        answer
                    }
                },
            ))
        })
        .on_connect(move |_, _| {
            counter.fetch_add(1, Ordering::SeqCst);
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(0)
        .bind(("127.0.0.1", 0))
        .unwrap();
        let base = Url::parse(&format!("http://{}/", server.addrs()[0])).unwrap();
        actix_rt::spawn(server.run());
        Self { base, seen, connections }
    }

    /// Does the handshake (2025-11-25, session `s-1`) and answers the rest with `script`.
    pub fn mcp(script: impl Fn(&Seen) -> HttpResponse + Send + Sync + 'static) -> Self {
        Self::start(move |seen| match seen.rpc() {
            "initialize" => initialize_answer(seen, "2025-11-25"),
            method if method.starts_with("notifications/") => HttpResponse::Accepted().finish(),
            _ => script(seen),
        })
    }

    pub fn seen(&self, method: &str) -> Vec<Seen> {
        self.seen.lock().iter().filter(|seen| seen.method == method).cloned().collect()
    }

    pub fn target(&self) -> HttpTarget {
        self.target_with("mcp", Transport::Auto, limits())
    }

    pub fn target_with(&self, path: &str, transport: Transport, limits: LinkLimits) -> HttpTarget {
        target_at(self.base.join(path).unwrap(), transport, limits, &["127.0.0.0/8", "::1/128"]).unwrap()
    }

    pub async fn open(&self) -> (Arc<dyn Link>, Sink) {
        let sink = Sink::default();
        let (link, _) = self.target().open(hello(), sink.share()).await.unwrap();
        (link, sink)
    }
}

/// A target that is taken for a legacy one: nothing is asked.
pub fn target_at(url: Url, transport: Transport, limits: LinkLimits, nets: &[&str]) -> Result<HttpTarget, TargetError> {
    target_of_era(url, transport, limits, nets, TargetEra::Legacy)
}

pub fn target_of_era(
    url: Url,
    transport: Transport,
    limits: LinkLimits,
    nets: &[&str],
    era: TargetEra,
) -> Result<HttpTarget, TargetError> {
    target_that_passes(url, transport, limits, nets, era, PassNames::default())
}

pub fn target_that_passes(
    url: Url,
    transport: Transport,
    limits: LinkLimits,
    nets: &[&str],
    era: TargetEra,
    pass: PassNames,
) -> Result<HttpTarget, TargetError> {
    let policy = AddressPolicy { allowed: nets.iter().map(|net| net.parse().unwrap()).collect() };
    let clients = HttpClients::new(HttpOptions { policy, connect: Duration::from_secs(3), ..HttpOptions::default() })?;
    let headers = SecretHeaders::new([("x-team".to_owned(), "cart".to_owned())]).unwrap();
    HttpTarget::new(
        HttpTargetOptions { name: "cart".into(), url, transport, headers, limits, era, known: None, pass, via: None },
        clients,
    )
}

pub fn limits() -> LinkLimits {
    LinkLimits { message_bytes: 1024 * 1024, initialize: Duration::from_secs(10), ..LinkLimits::default() }
}

pub fn initialize_answer(seen: &Seen, revision: &str) -> HttpResponse {
    HttpResponse::Ok().insert_header(("mcp-session-id", "s-1")).json(json!({
        "jsonrpc": "2.0", "id": seen.id(),
        "result": {"protocolVersion": revision, "capabilities": {}, "serverInfo": {"name": "t", "version": "1"}}
    }))
}

pub fn result(id: &Value, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": {"text": text}})
}

pub fn progress(value: u32) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": value}})
}

pub fn event(id: &str, data: &Value) -> String {
    format!("id: {id}\nevent: message\ndata: {data}\n\n")
}

/// An SSE answer that ends after these pieces.
pub fn sse(pieces: Vec<String>) -> HttpResponse {
    sse_stream(stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from(piece)))))
}

/// An SSE answer that stays open after these pieces.
pub fn sse_open(pieces: Vec<String>) -> HttpResponse {
    use futures_util::StreamExt as _;
    sse_stream(stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from(piece)))).chain(stream::pending()))
}

pub fn sse_stream(pieces: impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> + 'static) -> HttpResponse {
    HttpResponse::Ok().content_type("text/event-stream").body(BodyStream::new(Box::pin(pieces)))
}

pub fn hello() -> Hello {
    Hello {
        revision: Revision::LATEST_LEGACY,
        capabilities: RawJson::EMPTY_OBJECT,
        client_info: RawJson::parse(r#"{"name":"test","version":"0"}"#).unwrap(),
        via: None,
    }
}

pub fn request(id: i64, method: &str) -> Bytes {
    jsonrpc::request(&RequestId::integer(id), method, Some(&RawJson::EMPTY_OBJECT))
}

pub fn in_secs(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

pub async fn call(link: &Arc<dyn Link>, id: i64) -> Result<CallReply, TargetError> {
    link.call(id, request(id, "tools/call"), in_secs(10)).await
}

pub fn text(reply: &CallReply) -> String {
    match &reply.response.body {
        ResponseBody::Result(result) => result.get::<Value>().unwrap()["text"].as_str().unwrap().to_owned(),
        ResponseBody::Error(error) => format!("error {}", error.as_str()),
    }
}

/// Remembers what it is given.
pub struct Sink {
    sender: mpsc::UnboundedSender<LinkEvent>,
    events: mpsc::UnboundedReceiver<LinkEvent>,
}

struct Sender(mpsc::UnboundedSender<LinkEvent>);

impl Default for Sink {
    fn default() -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        Self { sender, events }
    }
}

impl Sink {
    pub fn share(&self) -> Arc<dyn LinkSink> {
        Arc::new(Sender(self.sender.clone()))
    }

    pub async fn next(&mut self) -> LinkEvent {
        tokio::time::timeout(Duration::from_secs(10), self.events.recv()).await.expect("an event").unwrap()
    }

    pub fn try_next(&mut self) -> Option<LinkEvent> {
        self.events.try_recv().ok()
    }

    /// The next event as `origin method id`.
    pub async fn line(&mut self) -> String {
        line(self.next().await)
    }

    pub async fn closed(&mut self) -> TargetError {
        loop {
            if let LinkEvent::Closed { error } = self.next().await {
                return error;
            }
        }
    }
}

pub fn line(event: LinkEvent) -> String {
    match event {
        LinkEvent::Message { origin, message, event_id } => {
            let what = match message {
                Message::Request(request) => request.method,
                Message::Notification(notification) => notification.method,
                Message::Response(_) => "response".into(),
            };
            format!("{origin:?} {what} {}", event_id.as_deref().unwrap_or("-"))
        }
        LinkEvent::Position { event_id, interrupted, .. } => format!("position {event_id} {interrupted}"),
        LinkEvent::Closed { error } => format!("closed {}", error.code()),
    }
}

#[async_trait]
impl LinkSink for Sender {
    async fn deliver(&self, event: LinkEvent) -> Result<(), SinkClosed> {
        self.0.send(event).map_err(|_| SinkClosed)
    }
}

/// Waits for a condition that comes about outside this process.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(15);
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
