//! A target whose every answer the test gives, and an owner that notes what it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use sessiongate_protocol::{Message, Notification, RawJson, RequestId, Response, ResponseBody, Revision, jsonrpc};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use crate::error::TargetError;
use crate::link::{CallReply, Hello, Link, LinkEvent, LinkSink, Origin, SavedLink, SinkClosed};
use crate::modern::link::{ModernLink, ModernTarget, ModernWelcome};
use crate::modern::{Exchange, ModernRequest, NoteSink};

/// Hands each request to the test.
struct Scripted(mpsc::UnboundedSender<Seen>);

/// One request at the target.
pub(super) struct Seen {
    pub(super) request: ModernRequest,
    pub(super) params: Value,
    acts: mpsc::Sender<Act>,
}

enum Act {
    Note(Notification),
    End(Result<ResponseBody, TargetError>),
}

struct Owner {
    events: mpsc::UnboundedSender<LinkEvent>,
    settled: Arc<AtomicUsize>,
}

/// What an owner was told, in words that tests can compare.
#[derive(Debug, PartialEq)]
pub(super) enum Told {
    Position(i64, Value),
    Asked(i64, String, String, Value),
    Noted(Origin, String, Value),
    Closed(&'static str),
}

pub(super) struct World {
    pub(super) link: Arc<dyn Link>,
    pub(super) target: ModernTarget,
    pub(super) settled: Arc<AtomicUsize>,
    requests: Mutex<mpsc::UnboundedReceiver<Seen>>,
    events: Mutex<mpsc::UnboundedReceiver<LinkEvent>>,
}

pub(super) type Reply = Result<Value, TargetError>;

#[async_trait]
impl Exchange for Scripted {
    async fn exchange(
        &self,
        request: ModernRequest,
        notes: &dyn NoteSink,
        _: Instant,
    ) -> Result<Response, TargetError> {
        let (acts, mut script) = mpsc::channel(8);
        let params = request.params.get().unwrap();
        self.0.send(Seen { request, params, acts }).map_err(|_| TargetError::Closed)?;
        loop {
            match script.recv().await {
                Some(Act::Note(note)) => notes.note(note).await.map_err(|_| TargetError::Closed)?,
                Some(Act::End(end)) => return end.map(|body| Response { id: Some(RequestId::integer(77)), body }),
                None => return Err(TargetError::OutcomeUnknown { detail: "the test let go".into() }),
            }
        }
    }
}

#[async_trait]
impl LinkSink for Owner {
    async fn deliver(&self, event: LinkEvent) -> Result<(), SinkClosed> {
        self.events.send(event).map_err(|_| SinkClosed)
    }

    async fn settle(&self) -> Result<(), SinkClosed> {
        self.settled.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

// === impl Seen ===

impl Seen {
    pub(super) async fn note(&self, method: &str, params: Value) {
        let note = Notification { method: method.into(), params: Some(raw(&params)) };
        self.acts.send(Act::Note(note)).await.unwrap_or_else(|_| panic!("the request is gone"));
    }

    pub(super) async fn end(self, end: Result<ResponseBody, TargetError>) {
        self.acts.send(Act::End(end)).await.unwrap_or_else(|_| panic!("the request is gone"));
    }

    pub(super) async fn result(self, result: Value) {
        self.end(Ok(ResponseBody::Result(raw(&result)))).await;
    }

    /// Byte for byte.
    pub(super) async fn result_text(self, result: &str) {
        self.end(Ok(ResponseBody::Result(RawJson::parse(result.to_owned()).unwrap()))).await;
    }

    pub(super) async fn error(self, code: i64, message: &str, data: Value) {
        self.end(Ok(jsonrpc::error_body(code, message, Some(&data)))).await;
    }

    pub(super) async fn asks(self, requests: Value, state: &str) {
        self.result(json!({"resultType":"input_required","inputRequests":requests,"requestState":state})).await;
    }

    /// Waits until nobody waits for the answer.
    pub(super) async fn dropped(self) {
        self.acts.closed().await;
    }
}

// === impl World ===

impl World {
    pub(super) fn new() -> Self {
        Self::with(json!({"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{"listChanged":true}}))
    }

    pub(super) fn with(capabilities: Value) -> Self {
        Self::build(|target, sink| {
            let hello = Hello {
                revision: Revision::V2025_11_25,
                capabilities: raw(&capabilities),
                client_info: raw(&json!({"name":"client","version":"1"})),
                via: None,
            };
            let discover = json!({"supportedVersions":["2026-07-28"],"capabilities":{
                "tools":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"prompts":{}}});
            let welcome = ModernWelcome { revision: Revision::V2026_07_28, discover: raw(&discover) };
            ModernLink::new(target, hello, &welcome, sink)
        })
    }

    pub(super) fn resumed(saved: &SavedLink) -> Self {
        Self::build(|target, sink| ModernLink::resumed(target, saved, sink).expect("a saved link"))
    }

    fn build(open: impl FnOnce(&ModernTarget, Arc<dyn LinkSink>) -> Arc<dyn Link>) -> Self {
        let (requests, seen) = mpsc::unbounded_channel();
        let (events, told) = mpsc::unbounded_channel();
        let target = ModernTarget::new("shop", Arc::new(Scripted(requests)));
        target.learning.listed();
        let settled = Arc::new(AtomicUsize::new(0));
        let sink = Arc::new(Owner { events, settled: Arc::clone(&settled) });
        Self { link: open(&target, sink), target, settled, requests: Mutex::new(seen), events: Mutex::new(told) }
    }

    /// Starts a call in the background.
    pub(super) fn call(&self, id: i64, method: &str, params: Value) -> JoinHandle<Reply> {
        let body = jsonrpc::request(&RequestId::integer(id), method, Some(&raw(&params)));
        let link = Arc::clone(&self.link);
        tokio::spawn(async move { link.call(id, body, deadline()).await.map(|reply| value(id, reply)) })
    }

    pub(super) fn tool(&self, id: i64) -> JoinHandle<Reply> {
        self.call(id, "tools/call", json!({"name":"buy","arguments":{"n":1},"_meta":{"progressToken":id}}))
    }

    pub(super) fn resume(&self, id: i64, position: &Value) -> JoinHandle<Reply> {
        let (link, position) = (Arc::clone(&self.link), position.to_string());
        tokio::spawn(async move { link.resume(id, &position, deadline()).await.map(|reply| value(id, reply)) })
    }

    pub(super) async fn post(&self, message: Value) -> Result<(), TargetError> {
        self.link.post(Bytes::from(message.to_string()), deadline()).await
    }

    pub(super) async fn answer(&self, id: &str, result: Value) {
        self.post(json!({"jsonrpc":"2.0","id":id,"result":result})).await.unwrap();
    }

    pub(super) async fn refuse(&self, id: &str) {
        self.post(json!({"jsonrpc":"2.0","id":id,"error":{"code":-1,"message":"no"}})).await.unwrap();
    }

    /// The next request at the target.
    pub(super) async fn seen(&self, method: &str) -> Seen {
        let seen = self.requests.lock().await.recv().await.expect("a request");
        assert_eq!(&*seen.request.method, method);
        seen
    }

    /// That no request comes within an hour.
    pub(super) async fn nothing_seen(&self) {
        let waited = tokio::time::timeout(Duration::from_secs(3600), async { self.requests.lock().await.recv().await });
        if let Ok(Some(seen)) = waited.await {
            panic!("{:?}", seen.request);
        }
    }

    /// The next event at the owner.
    pub(super) async fn told(&self) -> Told {
        let event = self.events.lock().await.recv().await.expect("an event");
        let params = |params: Option<RawJson>| params.map_or(Value::Null, |params| params.get().unwrap());
        match event {
            LinkEvent::Position { call, event_id, interrupted } => {
                assert!(!interrupted);
                Told::Position(call, serde_json::from_str(&event_id).unwrap())
            }
            LinkEvent::Message { origin: Origin::Call(call), message: Message::Request(request), event_id: None } => {
                let id = serde_json::from_str(request.id.as_raw()).unwrap();
                Told::Asked(call, id, request.method.into(), params(request.params))
            }
            LinkEvent::Message { origin, message: Message::Notification(note), event_id: None } => {
                Told::Noted(origin, note.method.into(), params(note.params))
            }
            LinkEvent::Closed { error } => Told::Closed(error.code()),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn position(&self) -> Value {
        match self.told().await {
            Told::Position(_, position) => position,
            other => panic!("{other:?}"),
        }
    }

    /// The id of the question that comes next.
    pub(super) async fn asked(&self, method: &str) -> (String, Value) {
        match self.told().await {
            Told::Asked(_, id, asked, params) if asked == method => (id, params),
            other => panic!("{other:?}"),
        }
    }

    /// That nothing more was told.
    pub(super) async fn nothing_told(&self) {
        if let Ok(event) = self.events.lock().await.try_recv() {
            panic!("{event:?}");
        }
    }
}

fn value(id: i64, reply: CallReply) -> Value {
    assert_eq!(reply.response.id, Some(RequestId::integer(id)));
    assert_eq!(reply.event_id, None);
    match reply.response.body {
        ResponseBody::Result(result) => json!({"result": result.get::<Value>().unwrap()}),
        ResponseBody::Error(error) => json!({"error": error.get::<Value>().unwrap()}),
    }
}

pub(super) fn raw(value: &Value) -> RawJson {
    RawJson::parse(value.to_string()).unwrap()
}

/// The link counts in the time of the runtime, which tests wind forward.
pub(super) fn deadline() -> Instant {
    tokio::time::Instant::now().into_std() + Duration::from_secs(900)
}

pub(super) fn form(message: &str) -> Value {
    json!({"method":"elicitation/create","params":{"mode":"form","message":message,
        "requestedSchema":{"type":"object","properties":{"x":{"type":"string"}}}}})
}

pub(super) fn page(url: &str) -> Value {
    json!({"method":"elicitation/create","params":{"mode":"url","message":"pay","url":url}})
}
