//! Gateways with static API keys: written as they are, or as their hashes.

use aws_lc_rs::digest;
use reqwest::header::WWW_AUTHENTICATE;
use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Home, eventually, http_target, reference_server, sessiongate};

const ADA: &str = "key-of-ada-0123456789abcdef";
const BOB: &str = "key-of-bob-0123456789abcdef";

/// What `sha256sum` says.
fn hash(key: &str) -> String {
    digest::digest(&digest::SHA256, key.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn settings(ada: &str, bob: &str, target: &str) -> String {
    format!(
        "! log: {{level: trace}}\nnaming: plain\napi_keys: [{{name: ada, key: \"{ada}\"}}, {{name: bob, key: \"{bob}\"}}]\n\
         targets:\n{}",
        http_target("ref", target, "")
    )
}

/// What `initialize` is answered with: status, challenge, `error.data.reason`.
async fn initialize(client: &mut Client) -> (u16, String, Value) {
    let body = client.request(
        "initialize",
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}),
    );
    let response = client.post(&body).send().await.unwrap();
    let challenge = response.headers().get(WWW_AUTHENTICATE).map(|text| text.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    (status, challenge.unwrap_or_default(), body["error"]["data"]["reason"].clone())
}

#[tokio::test]
async fn a_key_may_stand_in_the_configuration_as_its_hash() {
    let (home, target) = (Home::new(), reference_server(&[]));
    let hashed = format!("sha256:{}", hash(ADA));
    let gateway = home.configured(&settings(&hashed, BOB, &target.url));
    let url = &gateway.url;
    for key in [ADA, BOB] {
        assert_eq!(initialize(&mut Client::with_key(url, key)).await.0, 200, "{key}");
    }
    // Who has read the configuration has no key.
    for wrong in [&*hashed, &hash(ADA), &hash(BOB), &hash(&hash(ADA)), "key-of-eve-0123456789abcdef"] {
        let (status, challenge, reason) = initialize(&mut Client::with_key(url, wrong)).await;
        assert_eq!((status, reason), (401, json!("unauthorized")), "{wrong}");
        assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{wrong}: {challenge}");
    }
    // Who sent no key is told of no error (RFC 6750, 3.1).
    let (status, challenge, _) = initialize(&mut Client::new(url)).await;
    assert_eq!((status, challenge.as_str()), (401, "Bearer"));
    let basic = Client::new(url).post(&json!({})).basic_auth("ada", Some(ADA)).send().await.unwrap();
    assert_eq!((basic.status().as_u16(), &basic.headers()[WWW_AUTHENTICATE]), (401, &"Bearer".parse().unwrap()));
    let log = gateway.log();
    assert!(log.contains("ref"), "{log}");
    for secret in [ADA, BOB, &hash(ADA), &hash(BOB)] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[tokio::test]
async fn a_session_stays_when_its_key_becomes_a_hash() {
    let (home, target) = (Home::new(), reference_server(&[]));
    let gateway = home.configured(&settings(ADA, BOB, &target.url));
    let mut ada = Client::with_key(&gateway.url, ADA);
    ada.initialize(json!({})).await.unwrap();
    let mut standing = ada.listen(None).await;
    home.write(&settings(&format!("sha256:{}", hash(ADA).to_uppercase()), "another-key-of-bob-01234", &target.url));
    eventually("bob has another key", async || {
        (initialize(&mut Client::with_key(&gateway.url, BOB)).await.0 == 401).then_some(())
    })
    .await;
    ada.call("sg_toggle_tool", json!({})).await;
    standing.message("notifications/tools/list_changed").await;
}

#[test]
fn hashes_are_checked_like_keys() {
    let home = Home::new();
    let check = |ada: &str, bob: &str| {
        home.write(&settings(ada, bob, "http://127.0.0.1:1/mcp"));
        let checked = sessiongate(&["check", "--offline", "--config", home.file().to_str().unwrap()]);
        let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
        (checked.status.code().unwrap(), said)
    };
    let good = format!("sha256:{}", hash(ADA));
    let (code, said) = check(&good, BOB);
    assert!(code == 0 && !said.contains("short"), "{said}");
    // The same key twice, however it is written.
    for other in [ADA, &good, &good.to_uppercase().replace("SHA256", "sha256")] {
        let (code, said) = check(&good, other);
        assert!(code == 2 && said.contains("same key as item 0"), "{other}: {said}");
    }
    for bad in ["sha256:", &good[..40], &format!("{good}00"), &good.replace(':', ":x"), "sha512:00", "SHA256:00"] {
        let (code, said) = check(bad, BOB);
        assert_eq!(code, 2, "{bad}: {said}");
        assert!(bad == "sha256:" || !said.contains(bad), "{said}");
    }
    let (_, said) = check(&good[..40], BOB);
    assert!(said.contains("64 hexadecimal digits"), "{said}");
    let (_, said) = check("short", BOB);
    assert!(said.contains("short: `openssl rand -hex 32`"), "{said}");
}
