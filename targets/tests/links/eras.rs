//! Which era a target behind a URL is found to speak.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::{Value, json};
use sessiongate_protocol::Revision;
use sessiongate_targets::{HttpTarget, Target, TargetEra, TargetError};

use crate::modern::modern_target;
use crate::support::*;

fn discovered(seen: &Seen, versions: &Value) -> HttpResponse {
    HttpResponse::Ok().json(json!({"jsonrpc": "2.0", "id": seen.id(), "result": {
        "resultType": "complete", "supportedVersions": versions, "capabilities": {"tools": {}}}}))
}

fn refused(seen: &Seen, status: u16, error: &Value) -> HttpResponse {
    HttpResponse::build(StatusCode::from_u16(status).unwrap())
        .json(json!({"jsonrpc": "2.0", "id": seen.id(), "error": error}))
}

fn unsupported(seen: &Seen, versions: &Value) -> HttpResponse {
    refused(seen, 400, &json!({"code": -32022, "message": "no", "data": {"supported": versions, "requested": "x"}}))
}

/// A legacy server that does this with what it does not know.
fn legacy(unknown: impl Fn(&Seen) -> HttpResponse + Send + Sync + 'static) -> Server {
    Server::mcp(unknown)
}

/// Opens the target; what it turned out to be.
async fn open(target: &HttpTarget) -> Result<Revision, TargetError> {
    let (link, welcome) = target.open(hello(), Sink::default().share()).await?;
    drop(link);
    assert_eq!(target.modern().is_some(), welcome.revision == Revision::V2026_07_28);
    Ok(welcome.revision)
}

fn count(server: &Server, method: &str) -> usize {
    server.seen.lock().iter().filter(|seen| seen.rpc() == method).count()
}

/// Lets time pass for deadlines, not for sockets.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[actix_rt::test]
async fn a_target_that_discovers_is_modern_and_asked_once() {
    let server = Server::start(|seen| discovered(seen, &json!(["2026-07-28", "2025-11-25"])));
    let target = modern_target(&server, TargetEra::Auto);
    assert!(target.modern().is_none());
    for _ in 0..3 {
        assert_eq!(open(&target).await.unwrap(), Revision::V2026_07_28);
    }
    assert_eq!((count(&server, "server/discover"), count(&server, "initialize")), (1, 0));
    let asked = &server.seen("POST")[0];
    assert_eq!(asked.header("mcp-method"), Some("server/discover"));
    assert_eq!(asked.header("mcp-protocol-version"), Some("2026-07-28"));
    let meta = &asked.body["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({}));
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "test");
}

#[actix_rt::test]
async fn a_version_that_is_not_supported_is_negotiated() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |seen| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => unsupported(seen, &json!(["2026-07-28", "2027-01-01"])),
        _ => discovered(seen, &json!(["2026-07-28", "2027-01-01"])),
    });
    assert_eq!(open(&modern_target(&server, TargetEra::Auto)).await.unwrap(), Revision::V2026_07_28);

    let server = legacy(|seen| unsupported(seen, &json!(["2025-11-25", "2025-06-18"])));
    assert_eq!(open(&modern_target(&server, TargetEra::Auto)).await.unwrap(), Revision::V2025_11_25);

    // Modern for certain, and not to be spoken to: no `initialize`.
    for versions in [json!(["2027-01-01"]), json!(["2026-07-28"]), json!("?")] {
        let server = legacy(move |seen| unsupported(seen, &versions));
        let error = open(&modern_target(&server, TargetEra::Auto)).await.unwrap_err();
        assert!(matches!(error, TargetError::Refused { .. }), "{error:?}");
        assert_eq!(count(&server, "initialize"), 0);
    }
    let server = legacy(|seen| refused(seen, 400, &json!({"code": -32020, "message": "no"})));
    assert!(matches!(open(&modern_target(&server, TargetEra::Auto)).await, Err(TargetError::Refused { .. })));
    assert_eq!(count(&server, "initialize"), 0);
}

#[actix_rt::test]
async fn a_target_that_does_not_know_the_question_is_legacy() {
    let answers: [fn(&Seen) -> HttpResponse; 9] = [
        |_| HttpResponse::BadRequest().finish(),
        |_| HttpResponse::BadRequest().body("Bad Request: no session"),
        |_| HttpResponse::NotFound().finish(),
        |_| HttpResponse::MethodNotAllowed().finish(),
        |seen| refused(seen, 400, &json!({"code": -32000, "message": "session required"})),
        |seen| refused(seen, 200, &json!({"code": -32601, "message": "unknown"})),
        |seen| HttpResponse::Ok().json(json!({"jsonrpc": "2.0", "id": seen.id(), "result": {}})),
        |_| HttpResponse::Ok().body("hello"),
        |seen| discovered(seen, &json!(["2025-11-25"])),
    ];
    for answer in answers {
        let server = legacy(answer);
        let target = modern_target(&server, TargetEra::Auto);
        for _ in 0..3 {
            assert_eq!(open(&target).await.unwrap(), Revision::V2025_11_25);
        }
        assert_eq!((count(&server, "server/discover"), count(&server, "initialize")), (1, 3));
    }
}

#[actix_rt::test]
async fn who_says_nothing_about_the_era_leaves_it_open() {
    for status in [401, 403, 429, 500, 503] {
        let status = Arc::new(AtomicU16::new(status));
        let shared = Arc::clone(&status);
        let server = legacy(move |seen| match shared.load(Ordering::SeqCst) {
            200 => discovered(seen, &json!(["2026-07-28"])),
            status => HttpResponse::build(StatusCode::from_u16(status).unwrap()).finish(),
        });
        let target = modern_target(&server, TargetEra::Auto);
        let error = open(&target).await.unwrap_err();
        assert!(matches!(error, TargetError::Status { .. }), "{error:?}");
        assert!(target.modern().is_none());
        status.store(200, Ordering::SeqCst);
        assert_eq!(open(&target).await.unwrap(), Revision::V2026_07_28);
        assert_eq!(count(&server, "initialize"), 0);
    }
    // Neither era: nothing is kept of it.
    let server = Server::start(|_| HttpResponse::NotFound().finish());
    let target = modern_target(&server, TargetEra::Auto);
    for asked in 1..3 {
        let error = open(&target).await.unwrap_err();
        assert!(matches!(error, TargetError::Status { status: 404, .. }), "{error:?}");
        assert_eq!(count(&server, "server/discover"), asked);
    }
}

/// A server that is legacy, dual or modern, as the test goes on.
fn growing() -> (Server, Arc<AtomicUsize>) {
    let stage = Arc::new(AtomicUsize::new(0));
    let shared = Arc::clone(&stage);
    let server = Server::start(move |seen| match (shared.load(Ordering::SeqCst), seen.rpc()) {
        (0 | 1 | 3, "initialize") => initialize_answer(seen, "2025-11-25"),
        (0 | 1 | 3, method) if method.starts_with("notifications/") => HttpResponse::Accepted().finish(),
        (1 | 2, "server/discover") => discovered(seen, &json!(["2026-07-28"])),
        (3, "server/discover") => HttpResponse::ServiceUnavailable().finish(),
        _ => HttpResponse::BadRequest().finish(),
    });
    (server, stage)
}

#[actix_rt::test]
async fn a_target_that_still_initialises_is_asked_again_after_a_while() {
    let (server, stage) = growing();
    let target = modern_target(&server, TargetEra::Auto);
    assert_eq!(open(&target).await.unwrap(), Revision::V2025_11_25);
    pass(Duration::from_secs(601)).await;
    // No verdict: what was found before holds, and the next question comes later.
    stage.store(3, Ordering::SeqCst);
    for _ in 0..2 {
        assert_eq!(open(&target).await.unwrap(), Revision::V2025_11_25);
    }
    assert_eq!(count(&server, "server/discover"), 2);
    stage.store(1, Ordering::SeqCst);
    assert_eq!(open(&target).await.unwrap(), Revision::V2025_11_25);
    pass(Duration::from_secs(31)).await;
    assert_eq!(open(&target).await.unwrap(), Revision::V2026_07_28);
}

#[actix_rt::test]
async fn a_target_that_turns_out_to_be_another_is_asked_at_once() {
    let (server, stage) = growing();
    let target = modern_target(&server, TargetEra::Auto);
    assert_eq!(open(&target).await.unwrap(), Revision::V2025_11_25);
    stage.store(2, Ordering::SeqCst);
    assert_eq!(open(&target).await.unwrap(), Revision::V2026_07_28, "in the same opening");

    stage.store(0, Ordering::SeqCst);
    let exchange = target.modern().unwrap();
    let request = crate::modern::modern_request("tools/list", json!({}));
    let error = exchange.exchange(request, &crate::modern::Notes::all(), in_secs(10)).await.unwrap_err();
    assert!(matches!(error, TargetError::Status { status: 400, .. }), "{error:?}");
    assert_eq!(open(&target).await.unwrap(), Revision::V2025_11_25);
}

#[actix_rt::test]
async fn what_is_configured_or_known_is_not_asked() {
    let (server, stage) = growing();
    stage.store(1, Ordering::SeqCst);
    assert_eq!(open(&modern_target(&server, TargetEra::Legacy)).await.unwrap(), Revision::V2025_11_25);
    let target = modern_target(&server, TargetEra::Auto);
    target.remember(Revision::V2025_06_18);
    assert_eq!(open(&target).await.unwrap(), Revision::V2025_11_25);
    assert_eq!(count(&server, "server/discover"), 0);

    let target = modern_target(&server, TargetEra::Auto);
    target.remember(Revision::V2026_07_28);
    assert!(target.modern().is_some(), "usable before it is opened");
    assert_eq!(open(&target).await.unwrap(), Revision::V2026_07_28);

    stage.store(0, Ordering::SeqCst);
    let error = modern_target(&server, TargetEra::Modern).open(hello(), Sink::default().share()).await.err().unwrap();
    assert!(matches!(error, TargetError::Refused { .. }), "{error:?}");
}

#[actix_rt::test]
async fn many_sessions_at_once_ask_once() {
    let server = legacy(|_| HttpResponse::NotFound().finish());
    let target = modern_target(&server, TargetEra::Auto);
    let opened = futures_util::future::join_all((0..8).map(|_| open(&target))).await;
    assert!(opened.into_iter().all(|revision| revision.is_ok()));
    assert_eq!((count(&server, "server/discover"), count(&server, "initialize")), (1, 8));
}
