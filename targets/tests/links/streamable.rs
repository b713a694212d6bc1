//! Streamable HTTP as it should be.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use serde_json::json;
use sessiongate_protocol::{ResponseBody, Revision, jsonrpc};
use sessiongate_targets::{LinkEvent, Listening, Target, TargetError};

use crate::support::*;

#[actix_rt::test]
async fn a_json_answer_and_the_headers_of_every_step() {
    let server = Server::mcp(|seen| match seen.method.as_str() {
        "DELETE" => HttpResponse::MethodNotAllowed().finish(),
        _ => HttpResponse::Ok().json(result(seen.id(), "done")),
    });
    let target = server.target();
    let (link, welcome) = target.open(hello(), Sink::default().share()).await.unwrap();
    assert_eq!((welcome.revision, welcome.transport), (Revision::V2025_11_25, "streamable-http"));
    let reply = call(&link, 1).await.unwrap();
    assert_eq!((text(&reply).as_str(), reply.event_id), ("done", None));

    let saved = link.save().unwrap();
    let again = target.reattach(&saved, Sink::default().share()).unwrap();
    assert_eq!(text(&call(&again, 2).await.unwrap()), "done");
    link.close().await;
    assert!(matches!(call(&link, 3).await, Err(TargetError::Closed)));

    let seen = server.seen.lock().clone();
    let steps: Vec<&str> = seen.iter().map(|seen| seen.rpc()).collect();
    assert_eq!(steps, ["initialize", "notifications/initialized", "tools/call", "tools/call", ""]);
    assert_eq!((seen[0].header("mcp-session-id"), seen[0].header("mcp-protocol-version")), (None, None));
    for later in &seen[1..] {
        assert_eq!(later.header("mcp-session-id"), Some("s-1"));
        assert_eq!(later.header("mcp-protocol-version"), Some("2025-11-25"));
    }
    for all in &seen {
        assert_eq!(all.header("x-team"), Some("cart"));
        assert_eq!(all.header("accept-encoding"), None);
    }
    for post in &seen[..4] {
        assert_eq!(post.header("accept"), Some("application/json, text/event-stream"));
        assert_eq!(post.header("content-type"), Some("application/json"));
    }
    assert_eq!(seen[4].method, "DELETE");
}

#[actix_rt::test]
async fn an_sse_answer_delivers_what_comes_before_the_response() {
    let server = Server::mcp(|seen| {
        let asks = json!({"jsonrpc": "2.0", "id": 7, "method": "elicitation/create", "params": {}});
        sse(vec![
            "id: 1-0\nretry: 10\ndata: \n\n: comment\n\n".into(),
            "event: other\ndata: not json\n\n".into(),
            event("1-1", &progress(1)),
            event("1-2", &json!([progress(2), asks])),
            event("1-3", &json!({"jsonrpc": "2.0", "id": 4711, "result": {}})),
            event("1-4", &result(seen.id(), "first")),
            event("1-5", &result(seen.id(), "second")),
        ])
    });
    let (link, mut sink) = server.open().await;
    let reply = call(&link, 1).await.unwrap();
    assert_eq!((text(&reply).as_str(), reply.event_id.as_deref()), ("first", Some("1-4")));
    assert_eq!(sink.line().await, "position 1-0 false");
    assert_eq!(sink.line().await, "Call(1) notifications/progress 1-1");
    assert_eq!(sink.line().await, "Call(1) notifications/progress 1-2");
    assert_eq!(sink.line().await, "Call(1) elicitation/create 1-2");
    assert!(sink.try_next().is_none());
}

#[actix_rt::test]
async fn a_lost_session_is_told_apart_from_a_wrong_address() {
    let server = Server::mcp(|_| HttpResponse::NotFound().finish());
    let (link, _sink) = server.open().await;
    let error = call(&link, 1).await.unwrap_err();
    assert!(matches!(error, TargetError::SessionGone) && error.not_executed());
    assert!(matches!(link.post(request(2, "x"), in_secs(5)).await, Err(TargetError::SessionGone)));

    let nowhere = Server::start(|_| HttpResponse::NotFound().body("no such page"));
    let error = nowhere.target().open(hello(), Sink::default().share()).await.err().unwrap();
    assert!(matches!(&error, TargetError::Status { status: 404, detail, .. } if detail == "no such page"), "{error:?}");
}

#[actix_rt::test]
async fn a_refusal_with_our_id_is_the_response_and_any_other_is_a_status() {
    let server = Server::mcp(|seen| match seen.id().as_i64() {
        Some(1) => HttpResponse::BadRequest()
            .json(json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "no"}})),
        Some(2) => HttpResponse::BadRequest()
            .json(json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "no"}})),
        Some(3) => HttpResponse::ServiceUnavailable().insert_header(("retry-after", "7")).finish(),
        Some(4) => HttpResponse::Accepted().finish(),
        Some(5) => HttpResponse::Ok().content_type("text/html").body("<p>hello"),
        _ => HttpResponse::Ok().json(json!({"jsonrpc": "2.0", "id": null, "error": {"code": 1, "message": "n"}})),
    });
    let (link, _sink) = server.open().await;
    assert!(text(&call(&link, 1).await.unwrap()).contains("-32602"));
    assert!(matches!(call(&link, 2).await, Err(TargetError::Status { status: 400, .. })));
    let error = call(&link, 3).await.unwrap_err();
    assert!(
        matches!(&error, TargetError::Status { status: 503, retry_after: Some(after), .. } if after.as_secs() == 7)
    );
    assert!(matches!(call(&link, 4).await, Err(TargetError::Protocol { .. })));
    assert!(matches!(call(&link, 5).await, Err(TargetError::Protocol { .. })));
    let reply = call(&link, 6).await.unwrap();
    assert_eq!(reply.response.id.unwrap().as_i64(), Some(6), "an error without id in a JSON answer is the answer");
    assert!(matches!(reply.response.body, ResponseBody::Error(_)));
}

#[actix_rt::test]
async fn an_older_revision_gets_no_version_header_and_an_unknown_one_is_refused_and_left() {
    let server = Server::start(|seen| match seen.rpc() {
        "initialize" => initialize_answer(seen, "2025-03-26"),
        "tools/call" => HttpResponse::Ok().json(json!([progress(1), result(seen.id(), "batched")])),
        _ => HttpResponse::Accepted().finish(),
    });
    let (link, mut sink) = server.open().await;
    assert_eq!(text(&call(&link, 1).await.unwrap()), "batched");
    assert_eq!(sink.line().await, "Call(1) notifications/progress -");
    assert!(server.seen.lock().iter().all(|seen| seen.header("mcp-protocol-version").is_none()));

    let future = Server::start(|seen| initialize_answer(seen, "2099-01-01"));
    let error = future.target().open(hello(), Sink::default().share()).await.err().unwrap();
    assert!(matches!(error, TargetError::Refused { .. }), "{error:?}");
    eventually("DELETE", || !future.seen("DELETE").is_empty()).await;
    assert_eq!(future.seen("DELETE")[0].header("mcp-session-id"), Some("s-1"));
}

#[actix_rt::test]
async fn the_standing_stream_is_resumed_and_stops_when_it_is_not_wanted() {
    let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
    let server = Server::mcp(move |seen| match seen.header("last-event-id") {
        None => sse(vec!["retry: 20\n\n".into(), event("9-1", &changed)]),
        Some("9-1") => sse(vec![event("9-2", &changed)]),
        Some(_) => sse_open(vec![event("9-3", &changed)]),
    });
    let (link, mut sink) = server.open().await;
    link.listen(Listening::On);
    link.listen(Listening::On);
    for id in ["9-1", "9-2", "9-3"] {
        assert_eq!(sink.line().await, format!("Standing notifications/tools/list_changed {id}"));
    }
    let gets = server.seen("GET");
    assert_eq!(gets.len(), 3);
    assert_eq!(gets[0].header("accept"), Some("text/event-stream"));
    link.listen(Listening::Off);
    assert_eq!(server.seen("GET").len(), 3);
}

#[actix_rt::test]
async fn no_standing_stream_is_accepted_and_a_gone_session_is_told() {
    let none = Server::mcp(|seen| match seen.method.as_str() {
        "GET" => HttpResponse::MethodNotAllowed().finish(),
        _ => HttpResponse::Ok().json(result(seen.id(), "x")),
    });
    let (link, mut sink) = none.open().await;
    link.listen(Listening::On);
    eventually("GET", || none.seen("GET").len() == 1).await;
    assert_eq!(text(&call(&link, 1).await.unwrap()), "x");
    assert!(sink.try_next().is_none());

    // Who had a stream is told that the session ended, also where listening was off meanwhile.
    for off in [false, true] {
        let opened = AtomicBool::new(false);
        let gone = Server::mcp(move |_| match opened.swap(true, Ordering::SeqCst) {
            false if off => sse_open(vec![event("1", &progress(1))]),
            false => sse(vec!["retry: 20\n\n".into(), event("1", &progress(1))]),
            true => HttpResponse::NotFound().finish(),
        });
        let (link, mut sink) = gone.open().await;
        link.listen(Listening::On);
        assert_eq!(sink.line().await, "Standing notifications/progress 1");
        if off {
            link.listen(Listening::Off);
            link.listen(Listening::On);
        }
        assert!(matches!(sink.next().await, LinkEvent::Closed { error: TargetError::SessionGone }));
        drop(link);
    }
}

#[actix_rt::test]
async fn a_target_without_a_get_route_keeps_its_session_and_what_it_asks() {
    let server = Server::mcp(|seen| match (seen.method.as_str(), seen.id().as_i64()) {
        ("GET", _) => HttpResponse::NotFound().body("no such route"),
        (_, Some(1)) => {
            let asks = json!({"jsonrpc": "2.0", "id": 7, "method": "elicitation/create", "params": {}});
            sse_open(vec![event("1-1", &asks)])
        }
        (_, Some(2)) => HttpResponse::Ok().json(result(seen.id(), "it lives")),
        _ => HttpResponse::NotFound().finish(),
    });
    let (link, mut sink) = server.open().await;
    let asking = {
        let link = link.clone();
        actix_rt::spawn(async move { call(&link, 1).await })
    };
    assert_eq!(sink.line().await, "Call(1) elicitation/create 1-1");
    link.listen(Listening::On);
    eventually("GET", || server.seen("GET").len() == 1).await;
    assert_eq!(text(&call(&link, 2).await.unwrap()), "it lives");
    // A call says whether the session lives; nobody asks for the stream again.
    link.listen(Listening::On);
    assert!(matches!(call(&link, 3).await, Err(TargetError::SessionGone)));
    assert!(sink.try_next().is_none() && !asking.is_finished());
    assert_eq!(server.seen("GET").len(), 1);
    asking.abort();
}

#[actix_rt::test]
async fn only_one_wait_for_a_stream_whose_head_does_not_come() {
    let server = Server::mcp(|seen| match seen.method.as_str() {
        "GET" => {
            let mut answer = HttpResponse::Ok().finish();
            answer.extensions_mut().insert(NoHead);
            answer
        }
        _ => HttpResponse::Ok().json(result(seen.id(), "x")),
    });
    let (link, _sink) = server.open().await;
    link.listen(Listening::On);
    // The longest wait is a quarter of a second.
    let began = Instant::now();
    for id in 0..16 {
        call(&link, id).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(server.seen("GET").len(), 1);
}

#[actix_rt::test]
async fn calls_reuse_their_connections() {
    let server = Server::mcp(|seen| match seen.id().as_i64() {
        Some(id) if id % 2 == 0 => sse(vec![event("1", &progress(1)), event("2", &result(seen.id(), "sse"))]),
        Some(_) => HttpResponse::Ok().json(result(seen.id(), "json")),
        None => HttpResponse::Accepted().finish(),
    });
    let (link, _sink) = server.open().await;
    for id in 1..200 {
        call(&link, id).await.unwrap();
        let note = jsonrpc::notification("notifications/x", None);
        link.post(note, in_secs(5)).await.unwrap();
    }
    let connections = server.connections.load(std::sync::atomic::Ordering::SeqCst);
    assert!(connections <= 5, "{connections} connections for 400 requests, one after the other");
}
