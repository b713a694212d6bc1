//! HTTP+SSE (2024-11-05).

use std::sync::Arc;

use actix_web::HttpResponse;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sessiongate_targets::{Target, TargetError, Transport};
use tokio::sync::mpsc;

use crate::support::*;

/// A server of 2024-11-05: `script` says what goes on the stream for each POST; `None` ends the stream.
pub fn old_server(
    endpoint: &'static str,
    script: impl Fn(&Seen) -> Option<Vec<Value>> + Send + Sync + 'static,
) -> Server {
    type Stream = mpsc::UnboundedSender<String>;
    let stream: Arc<Mutex<Option<Stream>>> = Arc::default();
    Server::start(move |seen| match (seen.method.as_str(), seen.path.as_str()) {
        ("GET", "/sse") => {
            let (sender, pieces) = mpsc::unbounded_channel();
            let _ = sender.send(format!("event: endpoint\ndata: {endpoint}\n\n"));
            *stream.lock() = Some(sender);
            sse_stream(stream::unfold(pieces, |mut pieces| async {
                let piece = pieces.recv().await?;
                Some((Ok(Bytes::from(piece)), pieces))
            }))
        }
        ("POST", path) if path.starts_with("/messages?sessionId=7") => {
            let messages = match seen.rpc() {
                "initialize" => Some(vec![json!({
                    "jsonrpc": "2.0", "id": seen.id(),
                    "result": {"protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": {}}
                })]),
                "tools/call" => script(seen),
                _ => Some(vec![]),
            };
            let mut stream = stream.lock();
            match (messages, stream.as_ref()) {
                (Some(messages), Some(open)) => {
                    for message in messages {
                        let _ = open.send(format!("event: message\ndata: {message}\n\n"));
                    }
                }
                _ => *stream = None,
            }
            HttpResponse::Accepted().insert_header(("x-trace", "accepted")).body("Accepted")
        }
        _ => HttpResponse::MethodNotAllowed().finish(),
    })
}

#[actix_rt::test]
async fn auto_finds_the_old_transport_and_calls_are_matched_by_id() {
    let server = old_server("/messages?sessionId=7", |seen| {
        let id = seen.id().as_i64().unwrap();
        Some(vec![progress(1), result(&4711.into(), "nothing"), result(&id.into(), &format!("r{id}"))])
    });
    let target = server.target_with("sse", Transport::Auto, limits());
    let mut sink = Sink::default();
    let (link, welcome) = target.open(hello(), sink.share()).await.unwrap();
    assert_eq!(welcome.transport, "sse");
    assert!(link.save().is_none());
    let (one, two) = futures_util::future::join(call(&link, 1), call(&link, 2)).await;
    assert_eq!((text(&one.unwrap()).as_str(), text(&two.unwrap()).as_str()), ("r1", "r2"));
    assert_eq!(sink.line().await, "Standing notifications/progress -");

    // The second time it does not ask again.
    let before = server.seen("POST").iter().filter(|seen| seen.path == "/sse").count();
    target.open(hello(), Sink::default().share()).await.unwrap();
    assert_eq!(server.seen("POST").iter().filter(|seen| seen.path == "/sse").count(), before);
    let unknown = link.resume(1, "x", in_secs(1)).await;
    assert!(matches!(unknown, Err(TargetError::OutcomeUnknown { .. })));
}

#[actix_rt::test]
async fn the_end_of_the_stream_is_the_end_of_the_session() {
    let server = old_server("messages?sessionId=7", |_| None);
    let target = server.target_with("sse", Transport::Sse, limits());
    let mut sink = Sink::default();
    let (link, _) = target.open(hello(), sink.share()).await.unwrap();
    let error = call(&link, 1).await.unwrap_err();
    assert!(matches!(error, TargetError::OutcomeUnknown { .. }), "{error:?}");
    assert!(matches!(sink.closed().await, TargetError::SessionGone));
    assert!(matches!(call(&link, 2).await, Err(TargetError::SessionGone)));
}

#[actix_rt::test]
async fn an_endpoint_of_another_origin_is_refused() {
    for foreign in ["http://169.254.169.254/messages", "//evil.example/m", "https://127.0.0.1/m", "http://127.0.0.1:1/"]
    {
        let server = old_server(foreign, |_| None);
        let target = server.target_with("sse", Transport::Sse, limits());
        let error = target.open(hello(), Sink::default().share()).await.err().unwrap();
        assert!(matches!(error, TargetError::Protocol { .. }), "{foreign}: {error:?}");
        assert!(server.seen("POST").is_empty());
    }
}

#[actix_rt::test]
async fn a_stream_that_does_not_begin_with_endpoint_is_refused() {
    let server =
        Server::start(|_| sse_stream(stream::iter([Ok(Bytes::from("data: {}\n\n"))]).chain(stream::pending())));
    let target = server.target_with("sse", Transport::Sse, limits());
    let error = target.open(hello(), Sink::default().share()).await.err().unwrap();
    assert!(matches!(error, TargetError::Protocol { .. }), "{error:?}");
}
