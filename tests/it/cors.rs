//! Pages in browsers call a gateway of another origin, as the TypeScript SDK does it there.

use nix::sys::signal::Signal;
use reqwest::header::ORIGIN;
use serde_json::{Value, json};

use crate::browser::Page;
use crate::client::{Client, Stream};
use crate::harness::{Home, eventually, http_target, reference_server};
use crate::issuer::Issuer;
use crate::modern_client::{ModernClient, REVISION};

const APP: &str = "https://app.example";
const BOTH: &str = "application/json, text/event-stream";
/// What `fetch` of the SDK asks for, in either era.
const HEADERS: &str = "authorization,content-type,last-event-id,mcp-method,mcp-name,mcp-param-region,mcp-protocol-version,\
                       mcp-session-id";

fn initialize() -> Value {
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "page", "version": "1"}});
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
}

#[tokio::test]
async fn a_page_signs_in_and_calls_in_either_era() {
    let (home, target, issuer) = (Home::new(), reference_server(&[]), Issuer::start().await);
    let gateway = home.configured(&format!(
        "! allowed_origins: [\"{APP}\"]\nnaming: plain\n{}\ntargets:\n{}",
        issuer.authorizer(""),
        http_target("ref", &target.url, "")
    ));
    let (page, url) = (Page::of(APP), &*gateway.url);
    let plain = [("accept", BOTH), ("content-type", "application/json")];

    // The challenge is there to be read, and what it leads to.
    let refused = page.fetch("POST", url, &plain, Some(&initialize())).await.unwrap();
    assert_eq!(refused.status, 401);
    let challenge = refused.headers["www-authenticate"].to_str().unwrap();
    let metadata = challenge.split("resource_metadata=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let found = page.fetch("GET", metadata, &[("mcp-protocol-version", "2025-11-25")], None).await.unwrap();
    assert_eq!(found.status, 200);
    let document: Value = found.response.json().await.unwrap();
    assert_eq!(document["resource"], url);
    // The SDK goes on from one well-known path to the next by the status.
    let base = gateway.base();
    for path in ["/.well-known/oauth-protected-resource/other", "/.well-known/oauth-authorization-server"] {
        let missing = page.fetch("GET", &format!("{base}{path}"), &[("mcp-protocol-version", "x")], None).await;
        assert_eq!(missing.unwrap().status, 404, "{path}");
    }

    let token = format!("Bearer {}", issuer.token("ada"));
    let signed = [&plain[..], &[("authorization", &*token)]].concat();
    let begun = page.fetch("POST", url, &signed, Some(&initialize())).await.unwrap();
    assert_eq!(begun.status, 200);
    let session = begun.headers["mcp-session-id"].to_str().unwrap().to_owned();
    let within = [&signed[..], &[("mcp-session-id", &*session), ("mcp-protocol-version", "2025-11-25")]].concat();
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(page.fetch("POST", url, &within, Some(&note)).await.unwrap().status, 202);
    // A stream, and its rest.
    let params = json!({"name": "sg_progress", "arguments": {"steps": 2}, "_meta": {"progressToken": "p"}});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let streamed = page.fetch("POST", url, &within, Some(&call)).await.unwrap();
    assert_eq!((streamed.status, &streamed.headers["content-type"]), (200, &"text/event-stream".parse().unwrap()));
    let events = Stream::of(streamed.response).rest().await;
    let (first, last) = (events.first().unwrap(), events.last().unwrap());
    let resumed = [&within[..], &[("last-event-id", first.id.as_deref().unwrap())]].concat();
    let resumed = page.fetch("GET", url, &resumed, None).await.unwrap();
    assert_eq!(Stream::of(resumed.response).rest().await.last(), Some(last));
    // Refusals are read too.
    let stray = [&signed[..], &[("mcp-session-id", "nobodys"), ("mcp-protocol-version", "2025-11-25")]].concat();
    assert_eq!(page.fetch("POST", url, &stray, Some(&call)).await.unwrap().status, 404);
    assert_eq!(page.fetch("POST", &format!("{base}/other"), &signed, Some(&call)).await.unwrap().status, 404);
    assert_eq!(page.fetch("DELETE", url, &within, None).await.unwrap().status, 204);

    // Without a session, with the headers that repeat the body.
    let mut modern = ModernClient::new(url);
    let call = modern.message("tools/call", json!({"name": "sg_echo", "arguments": {"region": "eu"}}));
    let mirrored = [
        ("mcp-protocol-version", REVISION),
        ("mcp-method", "tools/call"),
        ("mcp-name", "sg_echo"),
        ("mcp-param-region", "eu"),
    ];
    let answer = page.fetch("POST", url, &[&signed[..], &mirrored[..]].concat(), Some(&call)).await.unwrap();
    assert_eq!(answer.status, 200);
    let answer: Value = answer.response.json().await.unwrap();
    assert_eq!(answer["result"]["structuredContent"], json!({"region": "eu"}), "{answer}");
}

#[tokio::test]
async fn a_preflight_is_answered_before_anybody_is_asked_who_they_are() {
    let (home, target, issuer) = (Home::new(), reference_server(&[]), Issuer::start().await);
    let list = http_target("ref", &target.url, "");
    let config = |origins: &str| format!("! allowed_origins: {origins}\n{}\ntargets:\n{list}", issuer.authorizer(""));
    let gateway = home.configured(&config("[\"https://app.example\"]"));
    let answer = Page::of(APP).preflight("POST", &gateway.url, HEADERS).await;
    assert_eq!(answer.status(), 204);
    let said = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_ascii_lowercase());
    assert_eq!(said("access-control-allow-origin").as_deref(), Some(APP));
    assert_eq!(said("access-control-allow-headers").as_deref(), Some(HEADERS));
    assert_eq!(said("access-control-allow-methods").as_deref(), Some("post, get, delete"));
    assert_eq!(said("access-control-allow-credentials"), None, "what a browser keeps for a page is not asked for");
    let vary = said("vary").unwrap();
    for name in ["origin", "access-control-request-method", "access-control-request-headers"] {
        assert!(vary.split(", ").any(|one| one == name), "{vary}");
    }

    // Others learn nothing, neither by asking nor by trying.
    for origin in ["https://evil.example", "http://app.example", "https://app.example.evil.example", "null"] {
        let stranger = Page::of(origin);
        let tried = Client::new(&gateway.url).post(&initialize()).header(ORIGIN, origin).send().await.unwrap();
        for answer in [stranger.preflight("POST", &gateway.url, HEADERS).await, tried] {
            assert_eq!(answer.status(), 403, "{origin}");
            let told = answer.headers().keys().find(|name| name.as_str().starts_with("access-control-"));
            assert_eq!(told, None, "{origin}");
        }
    }
    // A name that leads here for an attacker (DNS rebinding).
    let page = reqwest::Client::new().request(reqwest::Method::OPTIONS, &gateway.url).header(ORIGIN, APP);
    let page = page.header("host", "evil.example").header("access-control-request-method", "POST");
    assert_eq!(page.send().await.unwrap().status(), 403);
    // Who is no page gets nothing that is for pages.
    let answer = Client::new(&gateway.url).post(&initialize()).send().await.unwrap();
    let for_pages = |name: &str| name.starts_with("access-control-") || name == "vary";
    assert_eq!(answer.headers().keys().find(|name| for_pages(name.as_str())), None);
    let bare = reqwest::Client::new().request(reqwest::Method::OPTIONS, &gateway.url).send().await.unwrap();
    assert_eq!(bare.status(), 401);

    // A list that changed holds at once, for preflights that a browser remembers too.
    home.write(&config("[\"*\"]"));
    gateway.signal(Signal::SIGHUP);
    let other = Page::of("https://other.example");
    eventually("any origin may", async || {
        let answer = other.preflight("POST", &gateway.url, HEADERS).await;
        (answer.status() == 204).then_some(())
    })
    .await;
    let seen = other.fetch("POST", &gateway.url, &[("accept", BOTH)], None).await.unwrap();
    assert_eq!(seen.response.headers()["access-control-allow-origin"], "https://other.example");
    assert!(!seen.response.headers().contains_key("access-control-allow-credentials"));
}
