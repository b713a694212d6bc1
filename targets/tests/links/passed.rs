//! What passes beside messages, on each transport that has room for it.

use std::sync::Arc;

use actix_web::HttpResponse;
use sessiongate_targets::{Link, PassNames, Passed, Target, TargetEra, Transport};

use crate::http_sse::old_server;
use crate::support::*;

fn names() -> PassNames {
    PassNames::new(["x-tenant"], ["region"], ["x-trace"]).unwrap()
}

fn passed() -> Arc<Passed> {
    names().gather([("x-tenant", &b"a"[..])], "region=eu").unwrap().unwrap()
}

async fn open(server: &Server, path: &str, transport: Transport) -> (Arc<dyn Link>, Sink) {
    let (url, sink) = (server.base.join(path).unwrap(), Sink::default());
    let nets = ["127.0.0.0/8", "::1/128"];
    let target = target_that_passes(url, transport, limits(), &nets, TargetEra::Legacy, names()).unwrap();
    let (link, _) = target.open(hello(), sink.share()).await.unwrap();
    (link, sink)
}

/// The gateway between may choose the server by what passes: taking a stream up again must reach the same one.
#[actix_rt::test]
async fn a_stream_that_breaks_is_resumed_with_what_passed() {
    let server = Server::mcp(|seen| match seen.method.as_str() {
        "POST" => sse(vec!["id: p-0\nretry: 20\ndata:\n\n".into(), event("p-1", &progress(1))]),
        _ => sse(vec![event("p-2", &result(&1.into(), "resumed"))]),
    });
    let (link, _sink) = open(&server, "mcp", Transport::StreamableHttp).await;
    let reply = link.call_with(1, request(1, "tools/call"), Some(&passed()), in_secs(10)).await.unwrap();
    assert_eq!(text(&reply), "resumed");
    let (call, get) = (server.seen("POST").pop().unwrap(), server.seen("GET").pop().unwrap());
    for seen in [call, get] {
        assert_eq!((seen.header("x-tenant"), &*seen.path), (Some("a"), "/mcp?region=eu"), "{seen:?}");
    }
    link.post_with(request(2, "answer"), Some(&passed()), in_secs(10)).await.unwrap();
    assert_eq!(server.seen("POST").pop().unwrap().header("x-tenant"), Some("a"));
    link.close().await;
    assert_eq!(server.seen("DELETE").pop().unwrap().header("x-tenant"), None);
}

#[actix_rt::test]
async fn http_sse_has_room_for_it() {
    let server = old_server("/messages?sessionId=7", |seen| Some(vec![result(seen.id(), "done")]));
    let (link, _sink) = open(&server, "sse", Transport::Sse).await;
    let passed = passed();
    let reply = link.call_with(1, request(1, "tools/call"), Some(&passed), in_secs(10)).await.unwrap();
    assert_eq!(text(&reply), "done");
    assert_eq!(passed.take_answered().unwrap()["x-trace"], "accepted");
    let call = server.seen("POST").pop().unwrap();
    assert_eq!((call.header("x-tenant"), &*call.path), (Some("a"), "/messages?sessionId=7&region=eu"));
    assert_eq!(server.seen("GET")[0].path, "/sse");
    link.post_with(request(2, "answer"), Some(&passed), in_secs(10)).await.unwrap();
    assert_eq!(server.seen("POST").pop().unwrap().header("x-tenant"), Some("a"));
}

/// What would pass to other targets of the gateway does not pass to one that does not name it.
#[actix_rt::test]
async fn a_target_that_names_nothing_gets_nothing() {
    let server = Server::mcp(|seen| HttpResponse::Ok().insert_header(("x-trace", "t")).json(result(seen.id(), "done")));
    let (link, _sink) = server.open().await;
    let passed = passed();
    link.call_with(1, request(1, "tools/call"), Some(&passed), in_secs(10)).await.unwrap();
    let call = server.seen("POST").pop().unwrap();
    assert_eq!((call.header("x-tenant"), &*call.path), (None, "/mcp"));
    assert_eq!(passed.take_answered(), None);
}
