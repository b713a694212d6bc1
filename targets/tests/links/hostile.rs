//! Targets that send what nobody should send.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use sessiongate_targets::{LinkLimits, Listening, Target, TargetError, Transport};

use crate::support::*;

const PIECE: usize = 64 * 1024;

fn flood(head: &'static str, sent: Arc<AtomicU64>) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let body = stream::repeat_with(move || {
        sent.fetch_add(PIECE as u64, Ordering::Relaxed);
        Ok(piece.clone())
    });
    stream::iter([Ok(Bytes::from(head))]).chain(body.take((1 << 30) / PIECE))
}

#[actix_rt::test]
async fn a_body_or_an_event_of_a_gigabyte_is_left_at_the_limit() {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let server = Server::mcp(move |seen| {
        let sent = Arc::clone(&counter);
        match seen.id().as_i64() {
            Some(1) => {
                HttpResponse::Ok().content_type("application/json").streaming(Box::pin(flood("{\"a\":\"", sent)))
            }
            Some(2) => sse_stream(flood("data: ", sent)),
            Some(3) => sse_stream(flood(": ", sent)),
            _ => HttpResponse::Ok()
                .content_type("application/json")
                .no_chunking(1 << 30)
                .streaming(Box::pin(flood("{", sent))),
        }
    });
    let (link, _sink) = server.open().await;
    for id in [1, 2, 3, 4] {
        let started = Instant::now();
        let error = call(&link, id).await.unwrap_err();
        assert!(matches!(error, TargetError::TooLarge { limit: 1_048_576 }), "{id}: {error:?}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    // Socket buffers hold a few megabytes for each call; nobody read a gigabyte.
    assert!(sent.load(Ordering::Relaxed) < 200 << 20, "{} bytes were taken", sent.load(Ordering::Relaxed));
}

#[actix_rt::test]
async fn many_small_events_are_no_large_event() {
    let server = Server::mcp(|seen| {
        let mut pieces = vec![format!(": {}\n\n", "c".repeat(60_000)); 40];
        pieces.extend(vec![format!("id: 1\nevent: noise\ndata: {}\n\n", "n".repeat(60_000)); 40]);
        pieces.push(event("2", &result(seen.id(), "after five megabytes")));
        sse(pieces)
    });
    let (link, _sink) = server.open().await;
    assert_eq!(text(&call(&link, 1).await.unwrap()), "after five megabytes");
}

#[actix_rt::test]
async fn what_is_not_mcp_ends_the_call_with_a_clear_error() {
    let server = Server::mcp(|seen| {
        let json = |body: &[u8]| HttpResponse::Ok().content_type("application/json").body(body.to_vec());
        match seen.id().as_i64() {
            Some(1) => json(b"{\"jsonrpc\":"),
            Some(2) => json(b"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":\"\xff\"}"),
            Some(3) => json(b""),
            Some(4) => json(b"{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}"),
            Some(5) => json("[".repeat(100_000).as_bytes()),
            Some(6) => sse(vec!["data: {oops\n\n".into()]),
            Some(7) => sse_stream(stream::iter([Ok(Bytes::from_static(b"data: \xff\xfe\n\n"))])),
            _ => json(b"{\"jsonrpc\":\"2.0\",\"id\":8,\"result\":{},\"error\":{\"code\":1,\"message\":\"\"}}"),
        }
    });
    let (link, _sink) = server.open().await;
    for id in 1..=8 {
        let error = call(&link, id).await.unwrap_err();
        assert!(matches!(error, TargetError::Protocol { .. }), "{id}: {error:?}");
    }
}

#[actix_rt::test]
async fn an_endless_stream_ends_with_the_deadline_and_a_silent_one_with_the_idle_limit() {
    let server = Server::mcp(|seen| match seen.id().as_i64() {
        Some(1) => sse_stream(
            stream::unfold((), |()| async {
                actix_rt::time::sleep(Duration::from_millis(5)).await;
                Some((Ok(Bytes::from(event("1", &progress(1)))), ()))
            })
            .boxed_local(),
        ),
        _ => sse_open(vec![format!("data: {}\n\n", progress(1))]),
    });
    let (link, _sink) = server.open().await;
    let deadline = Instant::now() + Duration::from_millis(400);
    let error = link.call(1, request(1, "tools/call"), deadline).await.unwrap_err();
    assert!(matches!(error, TargetError::TimedOut(_)), "{error:?}");

    let quiet = LinkLimits { idle: Duration::from_millis(200), ..limits() };
    let target = server.target_with("mcp", Transport::StreamableHttp, quiet);
    let sink = Sink::default();
    let (link, _) = target.open(hello(), sink.share()).await.unwrap();
    let error = call(&link, 2).await.unwrap_err();
    assert!(matches!(&error, TargetError::OutcomeUnknown { detail } if detail.contains("nothing came")), "{error:?}");
}

#[actix_rt::test]
async fn a_standing_stream_survives_a_bad_event() {
    let server = Server::mcp(|seen| match seen.method.as_str() {
        "GET" => sse_open(vec!["data: {oops\n\n".into(), event("1", &progress(1))]),
        _ => HttpResponse::Accepted().finish(),
    });
    let (link, mut sink) = server.open().await;
    link.listen(Listening::On);
    assert_eq!(sink.line().await, "Standing notifications/progress 1");
}

#[actix_rt::test]
async fn a_session_id_that_is_no_visible_ascii_is_refused() {
    let server = Server::start(|seen| {
        let mut answer = initialize_answer(seen, "2025-11-25");
        answer.headers_mut().insert(
            actix_web::http::header::HeaderName::from_static("mcp-session-id"),
            actix_web::http::header::HeaderValue::from_static("a b"),
        );
        answer
    });
    let error = server.target().open(hello(), Sink::default().share()).await.err().unwrap();
    assert!(matches!(error, TargetError::Protocol { .. }), "{error:?}");
}
