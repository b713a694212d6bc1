//! Targets behind TLS, and what HTTP/2 means for calls and streams that stay open.

use std::process::Command;
use std::time::Duration;

use axum::http::{Method, Version};
use serde_json::{Value, json};

use crate::client::{Client, Stream};
use crate::harness::{Home, Program, eventually, http_target, reference_server};
use crate::tls_front::{Authority, Front, Settings};

/// Long enough for a question that is only asked.
const ENOUGH: Duration = Duration::from_secs(10);

/// A gateway's command on this configuration, that trusts this authority and nobody else.
fn command(home: &Home, arguments: &[&str], trusted: &Authority) -> Command {
    let file = home.path().join("authorities.pem");
    std::fs::write(&file, trusted.pem()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessiongate"));
    command.args(arguments).arg("--config").arg(home.file());
    command.env("SSL_CERT_FILE", file).env_remove("SSL_CERT_DIR");
    command
}

fn gateway(home: &Home, front: &Front, trusted: &Authority) -> Program {
    home.write(&format!("naming: plain\ntargets:\n{}", http_target("ref", &front.url, "")));
    Program::start(command(home, &["serve"], trusted)).expect("the gateway starts")
}

struct World {
    _home: Home,
    target: Program,
    front: Front,
    gateway: Program,
}

/// A gateway in front of a reference server behind TLS.
fn world(settings: Settings) -> World {
    let (home, target, authority) = (Home::new(), reference_server(&[]), Authority::new());
    let front = Front::start(&authority, &target.url, settings);
    let gateway = gateway(&home, &front, &authority);
    World { _home: home, target, front, gateway }
}

/// What a client and an operator are told of a target that cannot be trusted.
async fn refused(trusted: &Authority, front: &Front, reason: &str) {
    let home = Home::new();
    let gateway = gateway(&home, front, trusted);
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let answer = client.call("sg_echo", json!({})).await;
    let said = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(answer["result"]["isError"] == true && said.contains("target `ref`"), "{said}");
    let ready = gateway.page("/readyz").await;
    assert_eq!(ready.status(), 503);
    let text = ready.text().await.unwrap();
    assert!(text.contains("ref"), "{text}");
    eventually("the log names the target and the reason", async || {
        let log = gateway.log();
        log.lines().any(|line| line.contains("ref") && line.contains(reason)).then_some(())
    })
    .await;
    assert!(front.passed().is_empty(), "nothing is sent to whom nobody trusts");

    let text = check(&home, trusted);
    assert!(text.contains("ref") && text.contains(reason), "{text}");
}

/// What `check` says of a configuration that is not as it should be.
fn check(home: &Home, trusted: &Authority) -> String {
    let output = command(home, &["check"], trusted).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{text}");
    text
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let (target, known, unknown) = (reference_server(&[]), Authority::new(), Authority::new());
    let front = Front::start(&unknown, &target.url, Settings::default());
    refused(&known, &front, "UnknownIssuer").await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (target, authority) = (reference_server(&[]), Authority::new());
    let settings = Settings { subject: "elsewhere.example", ..Settings::default() };
    let front = Front::start(&authority, &target.url, settings);
    refused(&authority, &front, "not valid for name").await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let (target, authority) = (reference_server(&[]), Authority::new());
    let front = Front::start(&authority, &target.url, Settings { expired: true, ..Settings::default() });
    refused(&authority, &front, "expired").await;
}

#[tokio::test]
async fn check_says_why_a_target_is_not_trusted() {
    let (home, target, known, unknown) = (Home::new(), reference_server(&[]), Authority::new(), Authority::new());
    let front = Front::start(&unknown, &target.url, Settings::default());
    home.write(&format!("targets:\n{}", http_target("ref", &front.url, "")));
    let text = check(&home, &known);
    assert!(text.contains("UnknownIssuer"), "{text}");
}

#[tokio::test]
async fn a_trusted_target_is_a_target_like_any_other() {
    for alpn in [&["h2", "http/1.1"] as &[&str], &["http/1.1"], &[]] {
        let world = world(Settings { alpn, ..Settings::default() });
        let mut client = Client::ready(&world.gateway.url, json!({"elicitation": {}})).await;
        assert!(client.tools().await.contains(&"sg_counter".to_owned()));
        assert_eq!((client.count("sg_counter").await, client.count("sg_counter").await), (1, 2));
        let (_, mut stream) = client.start("sg_progress", json!({"steps": 5})).await;
        assert_eq!(stream.rest().await.iter().filter_map(crate::client::Event::progress).count(), 5);
        let (_, mut form) = client.start("sg_elicit_form", json!({})).await;
        let question = form.message("elicitation/create").await;
        assert_eq!(client.answer(&question, json!({"action": "decline"})).await, 202);
        assert_eq!(form.response().await["result"]["structuredContent"]["action"], "decline");
        let posts = world.front.passed().into_iter().filter(|passed| passed.method == Method::POST);
        // Chosen even where the target offers HTTP/2: its concurrent streams would be used up by calls that wait.
        assert!(posts.clone().all(|passed| passed.version == Version::HTTP_11), "{:?}", world.front.passed());
        client.end().await;
        let deleted = async || world.front.passed().iter().any(|one| one.method == Method::DELETE).then_some(());
        eventually("the session ends there too", deleted).await;
    }
}

#[tokio::test]
async fn where_http2_is_offered_calls_and_standing_streams_do_not_wait_for_each_other() {
    let world = world(Settings::default());
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Client::ready(&world.gateway.url, json!({})).await;
        let standing = client.listen(None).await;
        assert_eq!(client.count("sg_counter").await, 1);
        clients.push((client, standing));
    }
    eventually("standing streams at the target", async || {
        (world.front.passed().iter().filter(|one| one.method == Method::GET).count() >= 4).then_some(())
    })
    .await;
    // A call that waits, calls that come after it, and what the standing streams say meanwhile.
    let (id, mut waiting) = clients[0].0.start("sg_progress", json!({"steps": 10_000, "delay_ms": 5})).await;
    waiting.message("notifications/progress").await;
    for (client, _) in &mut clients {
        assert_eq!(client.count("sg_counter").await, 2);
    }
    clients[1].0.call("sg_toggle_tool", json!({})).await;
    for (_, standing) in &mut clients {
        standing.message("notifications/tools/list_changed").await;
    }
    waiting.message("notifications/progress").await;
    clients[0].0.notify("notifications/cancelled", json!({"requestId": id})).await;
    eventually("cancelled", async || (world.target.stats().await["cancelled"] == 1).then_some(())).await;
}

async fn ask(client: &mut Client) -> (Value, Stream) {
    let (_, mut stream) = client.start("sg_elicit_form", json!({})).await;
    (stream.message("elicitation/create").await, stream)
}

/// Each call that waits for a person holds a stream at the target for as long as the person thinks; calls of others and
/// the answers need more of them.
async fn more_questions_than_streams(settings: Settings) {
    let world = world(settings);
    let mut asked = Vec::new();
    for number in 1..=6 {
        let mut client = Client::ready(&world.gateway.url, json!({"elicitation": {}})).await;
        let question = tokio::time::timeout(ENOUGH, ask(&mut client)).await;
        let (question, stream) = question.unwrap_or_else(|_| panic!("call {number} waits for the others to end"));
        asked.push((client, question, stream));
    }
    for (client, question, stream) in &mut asked {
        assert_eq!(client.answer(question, json!({"action": "decline"})).await, 202);
        assert_eq!(stream.response().await["result"]["structuredContent"]["action"], "decline");
    }
}

#[tokio::test]
async fn on_http1_calls_that_wait_for_a_person_hold_nobody_up() {
    more_questions_than_streams(Settings { alpn: &["http/1.1"], streams: 2, ..Settings::default() }).await;
}

#[tokio::test]
async fn where_http2_is_offered_calls_that_wait_for_a_person_hold_nobody_up() {
    more_questions_than_streams(Settings { streams: 2, ..Settings::default() }).await;
}

#[tokio::test]
async fn where_http2_is_offered_an_answer_passes_the_call_that_waits_for_it() {
    let world = world(Settings { streams: 1, ..Settings::default() });
    let mut client = Client::ready(&world.gateway.url, json!({"elicitation": {}})).await;
    let (question, mut stream) = ask(&mut client).await;
    assert_eq!(client.answer(&question, json!({"action": "decline"})).await, 202);
    let response = tokio::time::timeout(ENOUGH, stream.response()).await;
    let response = response.expect("the answer waits for the call to end, and the call for the answer");
    assert_eq!(response["result"]["structuredContent"]["action"], "decline");
}
