//! Promise 6: outgoing requests are guarded.

use actix_web::HttpResponse;
use sessiongate_targets::{Target, TargetError, Transport};
use url::Url;

use crate::support::*;

#[actix_rt::test]
async fn a_loopback_address_is_refused_unless_it_is_allowed() {
    let server = Server::mcp(|seen| HttpResponse::Ok().json(result(seen.id(), "x")));
    let refused = target_at(server.base.clone(), Transport::Auto, limits(), &[]).err();
    assert!(matches!(refused, Some(TargetError::AddressRefused { .. })), "{refused:?}");
    assert!(server.seen.lock().is_empty());
}

#[actix_rt::test]
async fn a_name_that_resolves_to_loopback_is_refused_when_it_is_resolved() {
    let server = Server::mcp(|seen| HttpResponse::Ok().json(result(seen.id(), "x")));
    let url = Url::parse(&format!("http://localhost:{}/mcp", server.base.port().unwrap())).unwrap();
    for transport in [Transport::Auto, Transport::Sse] {
        let target = target_at(url.clone(), transport, limits(), &["10.0.0.0/8"]).unwrap();
        let refused = target.open(hello(), Sink::default().share()).await.err();
        assert!(matches!(refused, Some(TargetError::AddressRefused { .. })), "{refused:?}");
    }
    assert!(server.seen.lock().is_empty());

    let allowed = target_at(url, Transport::Auto, limits(), &["127.0.0.0/8", "::1/128"]).unwrap();
    assert!(allowed.open(hello(), Sink::default().share()).await.is_ok());
}

#[actix_rt::test]
async fn redirects_are_not_followed() {
    let server =
        Server::start(|_| HttpResponse::TemporaryRedirect().insert_header(("location", "/elsewhere")).finish());
    let refused = server.target().open(hello(), Sink::default().share()).await.err();
    assert!(matches!(refused, Some(TargetError::Status { status: 307, .. })), "{refused:?}");
    assert!(server.seen.lock().iter().all(|seen| seen.path == "/mcp"));
}

#[actix_rt::test]
async fn what_is_not_there_is_unreachable_and_was_not_executed() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = Url::parse(&format!("http://{free}/mcp")).unwrap();
    let target = target_at(url, Transport::Auto, limits(), &["127.0.0.1/32"]).unwrap();
    let error = target.open(hello(), Sink::default().share()).await.err().unwrap();
    assert!(matches!(error, TargetError::Unreachable { .. }) && error.not_executed(), "{error:?}");
}
