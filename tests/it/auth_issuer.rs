//! Issuers at a running gateway: their keys change, their servers fail, or they were never there.

use reqwest::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Home, Program, http_target, reference_server, sessiongate};
use crate::issuer::{Issuer, ready};

struct Scene {
    home: Home,
    issuer: Issuer,
    _target: Program,
    gateway: Program,
}

async fn scene() -> Scene {
    let (home, target, issuer) = (Home::new(), reference_server(&[]), Issuer::start().await);
    let gateway = home.configured(&settings(&issuer.authorizer(""), &target));
    Scene { home, issuer, _target: target, gateway }
}

fn settings(authorizer: &str, target: &Program) -> String {
    format!("naming: plain\n{authorizer}\ntargets:\n{}", http_target("ref", &target.url, ""))
}

/// What a request with this token is answered: status, `error.data.reason`, seconds of `Retry-After`.
async fn knock(url: &str, token: &str) -> (u16, String, Option<u64>) {
    let mut client = Client::with_key(url, token);
    let body = client.request(
        "initialize",
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}),
    );
    let response = client.post(&body).send().await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(status == 401, response.headers().contains_key(WWW_AUTHENTICATE));
    let wait = response.headers().get(RETRY_AFTER).map(|text| text.to_str().unwrap().parse().unwrap());
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    (status, body["error"]["data"]["reason"].as_str().unwrap_or_default().to_owned(), wait)
}

#[tokio::test]
async fn a_new_key_of_the_issuer_works_at_once_and_the_old_one_no_more() {
    let scene = scene().await;
    let (url, issuer) = (&scene.gateway.url, &scene.issuer);
    let old = issuer.token("ada");
    let mut ada = ready(url, &old).await;
    assert_eq!(issuer.fetched(), 1);
    // A moment after the gateway has looked.
    issuer.rotates();
    let new = issuer.token("ada");
    let burst = futures_util::future::join_all((0..20).map(|_| knock(url, &new))).await;
    assert!(burst.iter().all(|(status, ..)| *status == 200), "{burst:?}");
    assert_eq!(issuer.fetched(), 2, "one look is enough for all");
    // The old key is gone, for tokens that were checked before, too; the client is sent for a new one.
    let (status, reason, _) = knock(url, &old).await;
    assert_eq!((status, &*reason), (401, "token_key_unknown"));
    let stale = ada.request("ping", json!({}));
    assert_eq!(ada.post(&stale).send().await.unwrap().status(), 401);
    ada.http = Client::with_key(url, &new).http;
    assert_eq!(ada.call("sg_echo", json!({})).await["result"]["isError"], Value::Null, "the session is the same");
    // Once more so soon: nobody is told that the token is no good, for nobody knows.
    issuer.rotates();
    let newest = issuer.token("ada");
    let (status, reason, wait) = knock(url, &newest).await;
    assert_eq!((status, &*reason), (503, "token_key_pending"));
    assert!(wait.is_some_and(|wait| (1..=30).contains(&wait)), "{wait:?}");
    assert_eq!(issuer.fetched(), 2);
    // What could be no token of this issuer's is told so all the same.
    let unknown = |changes: Value| issuer.signed(&json!({"alg": "ES256", "kid": "other"}), &changes);
    assert_eq!(knock(url, &unknown(json!({"iss": "https://elsewhere.example"}))).await.1, "token_issuer");
    assert_eq!(knock(url, &unknown(json!({"exp": 1}))).await.1, "token_expired");
    assert_eq!(knock(url, &unknown(json!({}))).await.0, 503);
}

#[tokio::test]
async fn without_the_key_set_known_keys_serve_and_others_wait() {
    let scene = scene().await;
    let (url, issuer) = (&scene.gateway.url, &scene.issuer);
    let mut ada = ready(url, &issuer.token("ada")).await;
    issuer.keys_go_down();
    issuer.rotates();
    let new = issuer.token("ada");
    for _ in 0..3 {
        let (status, reason, wait) = knock(url, &new).await;
        assert_eq!((status, &*reason), (503, "issuer_unavailable"));
        assert!(wait.is_some_and(|wait| wait >= 1), "{wait:?}");
    }
    assert_eq!(issuer.fetched(), 2, "it is asked once, and then left in peace");
    assert_eq!(ada.call("sg_echo", json!({})).await["result"]["isError"], Value::Null, "known tokens go on");
}

#[tokio::test]
async fn check_asks_the_issuers() {
    let scene = scene().await;
    let issuer = &scene.issuer;
    let file = scene.home.file();
    let check = async |more: &'static [&'static str]| {
        let file = file.clone();
        // The issuer is in this process: its runtime must go on.
        let run = move || sessiongate(&[&["check", "--config", file.to_str().unwrap()][..], more].concat());
        let checked = tokio::task::spawn_blocking(run).await.unwrap();
        let said = String::from_utf8(checked.stdout).unwrap() + &String::from_utf8(checked.stderr).unwrap();
        (checked.status.code().unwrap(), said)
    };
    let (code, said) = check(&[]).await;
    assert_eq!(code, 0, "{said}");
    let row = |said: &str| said.lines().find(|line| line.contains(&issuer.url)).map(str::to_owned);
    let words: Vec<String> = row(&said).expect(&said).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words[..4], ["test", &*issuer.discovery_url(), "ok", "1"], "{said}");
    let (_, lines) = check(&["--output", "json"]).await;
    let lines: Value = serde_json::from_str(&lines).unwrap();
    let of_issuer = lines.as_array().unwrap().iter().find(|line| line.get("issuer").is_some()).unwrap();
    assert_eq!((&of_issuer["ok"], &of_issuer["keys"]), (&json!(true), &json!(1)), "{lines}");
    assert_eq!(of_issuer["issuer"], issuer.url, "{lines}");

    issuer.keys_go_down();
    let (code, said) = check(&[]).await;
    assert!(code == 1 && said.contains("key set: the server answered HTTP 502"), "{said}");
    let (code, said) = check(&["--offline"]).await;
    assert_eq!(code, 0, "{said}");
    // An address that the gateway would never ask.
    let text = std::fs::read_to_string(&file).unwrap();
    for address in ["https://169.254.169.254", "https://10.0.0.1", "http://192.0.2.1"] {
        scene.home.write_text(&text.replace(&issuer.url, address));
        let (code, said) = check(&[]).await;
        assert!(code == 1 && said.contains("address is not allowed"), "{address}: {said}");
        let (_, said) = check(&["--offline"]).await;
        assert!(said.contains("remark") && said.contains(address) && said.contains("refused"), "{address}: {said}");
    }
}
