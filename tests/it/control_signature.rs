//! The control plane's signatures at the running gateway: each attack is refused, and nothing is changed by it.

use std::time::{Duration, SystemTime};

use aws_lc_rs::{digest, hmac};
use reqwest::{Method, Request, Response, Url};
use serde_json::{Value, json};
use sessiongate::auth::sigv4::Signer;
use time::OffsetDateTime;

use crate::client::LIMIT;
use crate::control_client::{Control, KEY, SECRET, gateway};
use crate::harness::eventually;

const INVALID: (u16, &str) = (403, "InvalidSignatureException");

fn signer(secret: &str) -> Signer {
    Signer::new(KEY, &secret.to_owned().into(), None, "us-east-1", "bedrock-agentcore")
}

/// A request to the control plane, signed at this time.
fn signed(control: &Control, method: &Method, path: &str, body: Option<&Value>, at: SystemTime) -> Request {
    let url = format!("http://{}{path}", control.address());
    let mut request = reqwest::Client::new().request(method.clone(), url).header("x-tenant", "a");
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let mut request = request.build().unwrap();
    signer(SECRET).apply(&mut request, at).unwrap();
    request
}

fn create(control: &Control, name: &str, at: SystemTime) -> Request {
    signed(control, &Method::POST, "/gateways/", Some(&gateway(name, json!({}))), at)
}

async fn send(request: Request) -> Response {
    // A pooled connection to a process that was killed would fail the next request.
    let client = reqwest::Client::builder().timeout(LIMIT).pool_max_idle_per_host(0).build().unwrap();
    client.execute(request).await.unwrap()
}

async fn answer(request: Request) -> (u16, String) {
    let response = send(request).await;
    let kind = response.headers().get("x-amzn-errortype").map(|kind| kind.to_str().unwrap().to_owned());
    (response.status().as_u16(), kind.unwrap_or_default())
}

/// A URL for GET that is good for so many seconds, by the letter of the specification.
fn presigned(host: &str, path: &str, at: SystemTime, seconds: u64) -> Url {
    let at = OffsetDateTime::from(at);
    let day = format!("{:04}{:02}{:02}", at.year(), u8::from(at.month()), at.day());
    let date = format!("{day}T{:02}{:02}{:02}Z", at.hour(), at.minute(), at.second());
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY}%2F{day}%2Fus-east-1%2Fbedrock-agentcore%2Faws4_request\
         &X-Amz-Date={date}&X-Amz-Expires={seconds}&X-Amz-SignedHeaders=host"
    );
    let canonical = format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\n{}", hex(digest::digest(&digest::SHA256, b"")));
    let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{day}/us-east-1/bedrock-agentcore/aws4_request\n{hash}");
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in [&*day, "us-east-1", "bedrock-agentcore", "aws4_request", &text] {
        key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
    }
    Url::parse(&format!("http://{host}{path}?{query}&X-Amz-Signature={}", hex(key))).unwrap()
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The names of all gateways.
async fn names(control: &Control) -> Vec<String> {
    let listed = control.ok("GET", "/gateways/", None).await;
    let items = listed["items"].as_array().unwrap().iter();
    items.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_request_that_was_changed_on_the_way_changes_nothing() {
    let control = Control::new("", "");
    let _program = control.start();
    let id = control.gateway("kept", json!({})).await;
    let now = SystemTime::now();
    let other = control.gateway("other", json!({})).await;
    let shown = format!("/gateways/{id}/");
    let before = control.ok("GET", &shown, None).await;

    let mut body = create(&control, "evil", now);
    *body.body_mut() = Some(gateway("worse", json!({})).to_string().into());
    let mut without_body = create(&control, "evil", now);
    *without_body.body_mut() = None;
    let mut header = create(&control, "evil", now);
    header.headers_mut().insert("x-tenant", "b".parse().unwrap());
    let mut removed = create(&control, "evil", now);
    removed.headers_mut().remove("x-tenant");
    let mut added = create(&control, "evil", now);
    added.headers_mut().insert("x-amz-security-token", "x".parse().unwrap());
    let mut query = signed(&control, &Method::GET, "/gateways/?maxResults=1", None, now);
    query.url_mut().set_query(Some("maxResults=2"));
    let mut path = signed(&control, &Method::DELETE, &shown, None, now);
    path.url_mut().set_path(&format!("/gateways/{other}/"));
    let mut method = signed(&control, &Method::GET, &shown, None, now);
    *method.method_mut() = Method::DELETE;
    let mut host = create(&control, "evil", now);
    host.headers_mut().insert("host", "elsewhere.example".parse().unwrap());
    let mut secret = create(&control, "evil", now);
    signer("another-secret").apply(&mut secret, now).unwrap();
    for (what, request, expected) in [
        ("body", body, INVALID),
        ("no body", without_body, INVALID),
        ("header", header, INVALID),
        ("header taken away", removed, (403, "IncompleteSignatureException")),
        ("header added", added, (403, "IncompleteSignatureException")),
        ("query", query, INVALID),
        ("path", path, INVALID),
        ("method", method, INVALID),
        ("host", host, INVALID),
        ("secret", secret, INVALID),
    ] {
        let (status, kind) = answer(request).await;
        assert_eq!((status, kind.as_str()), expected, "{what}");
    }
    assert_eq!(control.ok("GET", &shown, None).await, before);
    let mut all = names(&control).await;
    all.sort();
    assert_eq!(all, ["kept", "other"]);
}

#[tokio::test]
async fn a_signature_counts_for_its_time_and_once() {
    let control = Control::new("", "");
    let _program = control.start();
    let now = SystemTime::now();
    for at in [now - Duration::from_secs(400), now + Duration::from_secs(400)] {
        let (status, kind) = answer(create(&control, "late", at)).await;
        assert_eq!((status, kind.as_str()), INVALID);
    }
    assert_eq!(names(&control).await, [""; 0]);

    // A repetition is a client that asks again in the same second; later it is somebody who has seen the request.
    let request = create(&control, "once", now);
    assert_eq!(send(request.try_clone().unwrap()).await.status(), 202);
    eventually("the repetition is refused", async || {
        let (status, kind) = answer(request.try_clone().unwrap()).await;
        // In its grace it is carried out, and there is one already.
        assert!(matches!(status, 403 | 409), "{status}");
        ((status, kind.as_str()) == INVALID).then_some(())
    })
    .await;
    let once = control.ok("GET", "/gateways/", None).await["items"][0]["gatewayId"].as_str().unwrap().to_owned();
    let path = format!("/gateways/{once}/");
    control.settled(&path, "READY").await;
    control.ok("DELETE", &path, None).await;
    eventually("it is gone", async || names(&control).await.is_empty().then_some(())).await;
    let (status, kind) = answer(request).await;
    assert_eq!((status, kind.as_str()), INVALID);
    assert_eq!(names(&control).await, [""; 0]);
}

#[tokio::test]
async fn a_presigned_url_ends_when_it_says() {
    let control = Control::new("", "");
    let _program = control.start();
    control.gateway("shop", json!({})).await;
    let presigned = |at, seconds| presigned(control.address(), "/gateways/", at, seconds);
    let now = SystemTime::now();
    let good = presigned(now - Duration::from_secs(60), 120);
    for _ in 0..2 {
        assert_eq!(send(Request::new(Method::GET, good.clone())).await.status(), 200);
    }
    for (what, url) in [
        ("expired", presigned(now - Duration::from_secs(60), 30)),
        ("made longer", {
            let text = presigned(now - Duration::from_secs(60), 30).to_string();
            text.replace("X-Amz-Expires=30", "X-Amz-Expires=3600").parse::<Url>().unwrap()
        }),
        ("of the future", presigned(now + Duration::from_secs(400), 600)),
    ] {
        let (status, kind) = answer(Request::new(Method::GET, url)).await;
        assert_eq!((status, kind.as_str()), INVALID, "{what}");
    }
    let forever = presigned(now, 3601);
    let (status, kind) = answer(Request::new(Method::GET, forever)).await;
    assert_eq!((status, kind.as_str()), (403, "IncompleteSignatureException"));
    // For another method it is nothing.
    let (status, kind) = answer(Request::new(Method::POST, good)).await;
    assert_eq!((status, kind.as_str()), INVALID);
}

#[tokio::test]
async fn what_was_sent_before_a_restart_is_not_carried_out_again() {
    let control = Control::new("", "");
    let mut program = control.start();
    let now = SystemTime::now();
    let stolen = create(&control, "once", now);
    assert_eq!(send(stolen.try_clone().unwrap()).await.status(), 202);
    let id = control.ok("GET", "/gateways/", None).await["items"][0]["gatewayId"].as_str().unwrap().to_owned();
    let path = format!("/gateways/{id}/");
    control.settled(&path, "READY").await;
    control.ok("DELETE", &path, None).await;
    eventually("it is gone", async || names(&control).await.is_empty().then_some(())).await;
    program.kill();

    let _program = control.start();
    // For some seconds others of that time may be on their way still.
    let mut number = 0;
    eventually("what was signed then is refused", async || {
        number += 1;
        let other = format!("/gateways/?maxResults={}", number % 1000 + 1);
        let (status, kind) = answer(signed(&control, &Method::GET, &other, None, now)).await;
        assert!(matches!(status, 200 | 429), "{status} {kind}");
        (kind == "ThrottlingException").then_some(())
    })
    .await;
    assert_eq!(answer(stolen).await, (429, "ThrottlingException".to_owned()));
    assert_eq!(names(&control).await, [""; 0]);
}

#[tokio::test]
async fn after_a_start_a_slow_clock_is_waited_for() {
    let control = Control::new("", "");
    let _program = control.start();
    let now = SystemTime::now();
    // What everybody's clock does.
    assert_eq!(send(create(&control, "first", now - Duration::from_secs(3))).await.status(), 202);
    // Clients sign anew by themselves when they are throttled, until their clock has come to the start.
    let response = send(create(&control, "second", now - Duration::from_secs(200))).await;
    assert_eq!(response.status().as_u16(), 429);
    assert_eq!(response.headers()["x-amzn-errortype"], "ThrottlingException");
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let message = body["message"].as_str().unwrap();
    assert!(message.contains("started") && message.contains("clock"), "{message}");
    assert_eq!(names(&control).await, ["first"]);
}
