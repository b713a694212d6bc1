//! Streams that break, and what becomes of their calls.

use std::time::Duration;

use actix_web::HttpResponse;
use sessiongate_targets::TargetError;

use crate::support::*;

#[actix_rt::test]
async fn a_broken_stream_is_resumed_after_its_last_event_and_not_before_retry() {
    let server = Server::mcp(|seen| match (seen.method.as_str(), seen.header("last-event-id")) {
        ("POST", _) => sse(vec!["id: p-0\nretry: 300\ndata:\n\n".into(), event("p-1", &progress(1))]),
        (_, Some("p-1")) => sse(vec![event("p-2", &progress(2))]),
        (_, Some("p-2")) => sse(vec![event("p-3", &result(&1.into(), "resumed"))]),
        _ => HttpResponse::BadRequest().finish(),
    });
    let (link, mut sink) = server.open().await;
    let reply = call(&link, 1).await.unwrap();
    assert_eq!((text(&reply).as_str(), reply.event_id.as_deref()), ("resumed", Some("p-3")));
    for line in [
        "position p-0 false",
        "Call(1) notifications/progress p-1",
        "position p-1 true",
        "Call(1) notifications/progress p-2",
        "position p-2 true",
    ] {
        assert_eq!(sink.line().await, line);
    }
    let (posts, gets) = (server.seen("POST"), server.seen("GET"));
    assert_eq!((posts.len(), gets.len()), (3, 2), "the call is sent once");
    assert!(gets[0].at - posts[2].at >= Duration::from_millis(300));
    assert!(gets[1].at - gets[0].at >= Duration::from_millis(300));
    assert_eq!(gets[0].header("mcp-session-id"), Some("s-1"));
}

#[actix_rt::test]
async fn a_call_of_an_earlier_process_is_resumed_by_its_event_id() {
    let server = Server::mcp(|seen| match seen.header("last-event-id") {
        Some("p-7") => sse(vec![event("p-8", &progress(8)), event("p-9", &result(&5.into(), "late"))]),
        _ => HttpResponse::MethodNotAllowed().finish(),
    });
    let (link, mut sink) = server.open().await;
    let reply = link.resume(5, "p-7", in_secs(5)).await.unwrap();
    assert_eq!(text(&reply), "late");
    assert_eq!(sink.line().await, "Call(5) notifications/progress p-8");
    let lost = link.resume(5, "q-1", in_secs(5)).await;
    assert!(matches!(lost, Err(TargetError::OutcomeUnknown { .. })), "{lost:?}");
}

#[actix_rt::test]
async fn what_cannot_be_resumed_has_an_unknown_outcome_and_is_not_sent_again() {
    let server = Server::mcp(|seen| match (seen.method.as_str(), seen.id().as_i64()) {
        ("POST", Some(1)) => sse(vec![format!("data: {}\n\n", progress(1))]),
        ("POST", _) => sse(vec!["retry: 20\n\n".into(), event("x", &progress(1))]),
        _ => HttpResponse::MethodNotAllowed().finish(),
    });
    let (link, _sink) = server.open().await;
    for id in [1, 2] {
        let error = call(&link, id).await.unwrap_err();
        assert!(matches!(error, TargetError::OutcomeUnknown { .. }) && !error.not_executed(), "{error:?}");
    }
    assert_eq!(server.seen("POST").iter().filter(|seen| seen.rpc() == "tools/call").count(), 2);
}

#[actix_rt::test]
async fn an_outage_is_waited_out() {
    let failures = std::sync::atomic::AtomicU32::new(0);
    let server = Server::mcp(move |seen| match seen.method.as_str() {
        "POST" => sse(vec!["retry: 20\n\n".into(), event("x", &progress(1))]),
        _ if failures.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2 => HttpResponse::BadGateway().finish(),
        _ => sse(vec![event("y", &result(&1.into(), "back"))]),
    });
    let (link, _sink) = server.open().await;
    assert_eq!(text(&call(&link, 1).await.unwrap()), "back");
    assert_eq!(server.seen("GET").len(), 3);
}

#[actix_rt::test]
async fn a_replayed_event_is_delivered_once_and_one_id_for_all_events_loses_no_response() {
    let server = Server::mcp(|seen| match (seen.method.as_str(), seen.id().as_i64()) {
        ("POST", Some(1)) => sse(vec!["retry: 100\n\n".into(), event("x", &progress(1))]),
        ("POST", _) => sse(vec![event("same", &progress(1)), event("same", &result(seen.id(), "same id"))]),
        _ => sse(vec![event("x", &progress(1)), event("y", &result(&1.into(), "replayed"))]),
    });
    let (link, mut sink) = server.open().await;
    assert_eq!(text(&call(&link, 1).await.unwrap()), "replayed");
    assert_eq!(sink.line().await, "Call(1) notifications/progress x");
    assert_eq!(sink.line().await, "position x true");
    assert!(sink.try_next().is_none());
    assert_eq!(text(&call(&link, 2).await.unwrap()), "same id");
}
