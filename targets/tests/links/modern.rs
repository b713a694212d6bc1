//! Requests to modern targets (2026-07-28) over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sessiongate_protocol::{Notification, RawJson, Response, ResponseBody};
use sessiongate_targets::{
    Exchange, HttpTarget, ModernRequest, NoteSink, SinkClosed, Target, TargetEra, TargetError, Transport,
};

use crate::support::*;

/// Keeps the methods of what it is given; is closed after so many.
pub struct Notes(pub Mutex<Vec<Notification>>, usize);

impl Notes {
    pub fn all() -> Self {
        Self(Mutex::default(), usize::MAX)
    }

    pub fn methods(&self) -> Vec<String> {
        self.0.lock().iter().map(|note| note.method.to_string()).collect()
    }
}

#[async_trait]
impl NoteSink for Notes {
    async fn note(&self, notification: Notification) -> Result<(), SinkClosed> {
        let mut notes = self.0.lock();
        if notes.len() >= self.1 {
            return Err(SinkClosed);
        }
        notes.push(notification);
        Ok(())
    }
}

pub fn modern_request(method: &str, params: Value) -> ModernRequest {
    let params = RawJson::parse(params.to_string()).unwrap();
    ModernRequest { method: method.into(), params, name: None, param_headers: Vec::new(), passed: None }
}

pub fn body(response: &Response) -> Value {
    match &response.body {
        ResponseBody::Result(raw) | ResponseBody::Error(raw) => raw.get().unwrap(),
    }
}

pub fn modern_target(server: &Server, era: TargetEra) -> HttpTarget {
    target_of_era(server.base.join("mcp").unwrap(), Transport::Auto, limits(), &["127.0.0.0/8"], era).unwrap()
}

fn exchange(server: &Server) -> Arc<dyn Exchange> {
    modern_target(server, TargetEra::Modern).modern().unwrap()
}

async fn run(exchange: &dyn Exchange, notes: &Notes) -> Result<Response, TargetError> {
    exchange.exchange(modern_request("tools/list", json!({})), notes, in_secs(10)).await
}

#[actix_rt::test]
async fn a_request_stands_alone_and_its_headers_say_what_its_body_says() {
    let server = Server::start(|seen| {
        HttpResponse::Ok().insert_header(("mcp-session-id", "s-1")).json(result(seen.id(), "done"))
    });
    let exchange = exchange(&server);
    let params = json!({"name": "grüße", "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}});
    let request = ModernRequest {
        name: Some("grüße".into()),
        param_headers: vec![("City".into(), "Kyiv".into())],
        ..modern_request("tools/call", params.clone())
    };
    for _ in 0..2 {
        let response = exchange.exchange(request.clone(), &Notes::all(), in_secs(10)).await.unwrap();
        assert_eq!(body(&response), json!({"text": "done"}));
    }
    let seen = server.seen("POST");
    assert_eq!(seen.len(), 2, "nothing but the requests");
    assert_ne!(seen[0].id(), seen[1].id());
    for one in seen {
        assert_eq!(one.header("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(one.header("mcp-method"), Some("tools/call"));
        assert_eq!(one.header("mcp-name"), Some("=?base64?Z3LDvMOfZQ==?="));
        assert_eq!(one.header("mcp-param-city"), Some("Kyiv"));
        assert_eq!(one.header("x-team"), Some("cart"));
        assert_eq!(one.header("accept"), Some("application/json, text/event-stream"));
        assert_eq!((one.header("mcp-session-id"), one.header("last-event-id")), (None, None));
        assert_eq!(one.body["params"], params);
    }
    let unfit = ModernRequest { param_headers: vec![("a b".into(), "x".into())], ..request };
    let error = exchange.exchange(unfit, &Notes::all(), in_secs(10)).await.unwrap_err();
    assert!(matches!(error, TargetError::Protocol { .. }), "{error:?}");
}

#[actix_rt::test]
async fn a_stream_brings_notifications_and_then_the_response() {
    let server = Server::start(|seen| {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": {}});
        sse(vec![
            ": comment\n\nid: 7\ndata:\n\n".into(),
            event("1", &progress(1)),
            event("2", &request),
            event("3", &result(&json!("other"), "not this one")),
            event("4", &progress(2)),
            event("5", &result(seen.id(), "done")),
        ])
    });
    let notes = Notes::all();
    let response = run(&*exchange(&server), &notes).await.unwrap();
    assert_eq!(body(&response), json!({"text": "done"}));
    assert_eq!(notes.methods(), ["notifications/progress", "notifications/progress"]);
    assert_eq!(server.seen.lock().len(), 1, "nothing was answered or resumed");
}

#[actix_rt::test]
async fn errors_of_the_target_are_answers_and_other_refusals_are_not() {
    for (status, code) in [(200, -32602), (400, -32020), (404, -32601)] {
        let server = Server::start(move |seen| {
            let error = json!({"code": code, "message": "no"});
            HttpResponse::build(StatusCode::from_u16(status).unwrap())
                .json(json!({"jsonrpc": "2.0", "id": seen.id(), "error": error}))
        });
        let response = run(&*exchange(&server), &Notes::all()).await.unwrap();
        assert_eq!(body(&response)["code"], code);
    }
    for status in [401, 403, 429, 500, 503] {
        let server = Server::start(move |seen| {
            HttpResponse::build(StatusCode::from_u16(status).unwrap())
                .json(json!({"jsonrpc": "2.0", "id": seen.id(), "error": {"code": 1, "message": "no"}}))
        });
        let error = run(&*exchange(&server), &Notes::all()).await.unwrap_err();
        assert!(matches!(error, TargetError::Status { status: found, .. } if found == status), "{error:?}");
    }
    let server = Server::start(|_| HttpResponse::Ok().json(result(&json!(99), "of another")));
    assert!(matches!(run(&*exchange(&server), &Notes::all()).await, Err(TargetError::Protocol { .. })));
}

#[actix_rt::test]
async fn a_stream_that_breaks_loses_its_request() {
    let server = Server::start(|_| sse(vec!["retry: 1\n".into(), event("1", &progress(1))]));
    let notes = Notes::all();
    let error = run(&*exchange(&server), &notes).await.unwrap_err();
    assert!(matches!(error, TargetError::OutcomeUnknown { .. }), "{error:?}");
    assert_eq!(notes.methods().len(), 1);
    assert_eq!(server.seen.lock().len(), 1, "there is no way back to it");

    let server = Server::start(|_| sse(vec![format!("data: {}\n\n", "x".repeat(2 << 20))]));
    assert!(matches!(run(&*exchange(&server), &notes).await, Err(TargetError::TooLarge { .. })));
}

/// Sends comments until nobody reads them.
struct Reading(Arc<AtomicBool>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[actix_rt::test]
async fn who_gives_up_closes_the_stream() {
    let reading = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&reading);
    let server = Server::start(move |_| {
        shared.store(true, Ordering::SeqCst);
        let first = Bytes::from(event("1", &progress(1)));
        sse_stream(stream::unfold((Reading(Arc::clone(&shared)), Some(first)), |(reading, first)| async {
            let piece = match first {
                Some(first) => first,
                None => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    Bytes::from_static(b": on\n\n")
                }
            };
            Some((Ok(piece), (reading, None)))
        }))
    });
    let exchange = exchange(&server);
    let request = modern_request("tools/call", json!({}));

    let notes = Notes::all();
    let call = exchange.exchange(request.clone(), &notes, in_secs(60));
    let noted = eventually("the notification", || !notes.methods().is_empty());
    futures_util::future::select(Box::pin(call), Box::pin(noted)).await;
    eventually("the end of the dropped request", || !reading.load(Ordering::SeqCst)).await;

    let late = exchange.exchange(request.clone(), &notes, std::time::Instant::now() + Duration::from_millis(200)).await;
    assert!(matches!(late, Err(TargetError::TimedOut(_))), "{late:?}");
    eventually("the end of the late request", || !reading.load(Ordering::SeqCst)).await;

    let closed = Notes(Mutex::default(), 0);
    let unheard = exchange.exchange(request, &closed, in_secs(60)).await;
    assert!(matches!(unheard, Err(TargetError::Closed)), "{unheard:?}");
    eventually("the end of the request that nobody listens to", || !reading.load(Ordering::SeqCst)).await;
}
