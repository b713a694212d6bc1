//! The gateway is killed while a person thinks, on each of the three legs on which a call outlives one request, and at
//! every named point of a parked call.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, Stream};
use crate::crash::{POINTS, Stubborn};
use crate::eras_player::{Player, answer, everything, retry, tool};
use crate::harness::{Home, Program, eventually, http_target, reference_server};
use crate::modern_client::{ModernClient, ModernStream, REVISION};

/// A server that writes down what it does.
fn server(home: &Home, era: &str) -> Program {
    reference_server(&["--era", era, "--journal", home.path().join("journal").to_str().unwrap()])
}

fn journal(home: &Home, event: &str) -> usize {
    let text = std::fs::read_to_string(home.path().join("journal")).unwrap_or_default();
    text.lines().filter(|line| serde_json::from_str::<Value>(line).unwrap()["event"] == event).count()
}

fn configured(home: &Home, target: &Program) -> Program {
    home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "")))
}

fn accepted(questions: &Value) -> Value {
    let questions = questions.as_object().unwrap();
    questions.iter().map(|(key, question)| (key.clone(), answer(question, "accept"))).collect()
}

/// A modern client that is asked, and comes back after the gateway was killed.
async fn killed_before_the_retry(era: &str, starts: usize) {
    let home = Home::new();
    let target = server(&home, era);
    let mut gateway = configured(&home, &target);
    let mut client = ModernClient::new(&gateway.url).capabilities(everything(REVISION));
    let call = tool("sg_rounds", json!({"rounds": 2}));
    let mut next = call.clone();
    for _ in 0..2 {
        let asked = client.request("tools/call", next).await;
        let asked = asked.result();
        assert_eq!(asked["resultType"], "input_required", "{asked}");
        next = retry(&call, asked.get("requestState"), accepted(&asked["inputRequests"]));
        gateway.kill();
        gateway = home.again();
        client.reconnect();
    }
    let done = client.request("tools/call", next).await;
    assert_eq!(done.result()["structuredContent"]["names"], json!(["my name", "my name"]), "{done:?}");
    assert_eq!((journal(&home, "answer"), journal(&home, "start")), (2, starts), "each answer reaches the target once");
}

#[tokio::test]
async fn a_parked_call_of_a_legacy_server_goes_on_after_a_kill() {
    killed_before_the_retry("legacy", 1).await;
}

/// What the reference server was told on the questions of its calls.
fn answers(home: &Home) -> Vec<Value> {
    let text = std::fs::read_to_string(home.path().join("journal")).unwrap_or_default();
    // The last line may be half written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == "answer").map(|line| line["detail"]["action"].clone()).collect()
}

/// Nobody says a word to the gateway after it was killed; `down` is how long it stays away.
async fn killed_and_forgotten(timeout: &str, down: Duration) {
    let home = Home::new();
    let target = server(&home, "legacy");
    let line = http_target("ref", &target.url, &format!("timeout: {timeout}"));
    let mut gateway = home.configured(&format!("naming: plain\ntargets:\n{line}"));
    let mut client = ModernClient::new(&gateway.url).capabilities(everything(REVISION));
    let call = tool("sg_elicit_form", json!({}));
    let asked = client.request("tools/call", call.clone()).await;
    let asked = asked.result();
    // Another caller's conversation in which nothing waits is left alone.
    let mut other = ModernClient::new(&gateway.url);
    other.call("sg_echo", json!({})).await.result();
    let asked_at = Instant::now();
    gateway.kill();
    eventually("the time passes", async || (asked_at.elapsed() >= down).then_some(())).await;
    gateway = home.again();
    eventually("the target has its question back", async || answers(&home).pop()).await;
    assert_eq!(answers(&home), [json!({"action": "cancel"})]);
    eventually("nothing waits", async || {
        (gateway.metric("sessiongate_questions_pending", "").await == 0.0).then_some(())
    })
    .await;
    assert_eq!(gateway.metric("sessiongate_sessions_resumed_total", "").await, 1.0, "only the one that must");
    let late = retry(&call, asked.get("requestState"), accepted(&asked["inputRequests"]));
    let mut client = ModernClient::new(&gateway.url).capabilities(everything(REVISION));
    let late = client.request("tools/call", late).await;
    assert!(late.result()["content"][0]["text"].as_str().unwrap().contains("did not answer within"), "{late:?}");
    assert_eq!(answers(&home).len(), 1, "the late answer goes nowhere");
}

#[tokio::test]
async fn a_parked_call_that_nobody_comes_back_for_ends_after_a_kill_too() {
    killed_and_forgotten("4s", Duration::ZERO).await;
}

#[tokio::test]
async fn a_parked_call_whose_time_ended_while_the_gateway_was_away_is_ended_by_the_next_process() {
    // Longer than the call may take: what passes is the time itself.
    killed_and_forgotten("1s", Duration::from_millis(1200)).await;
}

#[tokio::test]
async fn rounds_of_two_modern_sides_do_not_notice_a_kill() {
    killed_before_the_retry("modern", 3).await;
}

#[tokio::test]
async fn the_round_of_a_legacy_client_goes_on_after_a_kill() {
    let home = Home::new();
    let target = server(&home, "modern");
    let mut gateway = configured(&home, &target);
    let mut client = Client::ready(&gateway.url, everything("2025-11-25")).await;
    let (call, mut stream) = client.start("sg_rounds", json!({"rounds": 2})).await;
    let mut last = String::new();
    let mut asked = Vec::new();
    for round in 1..=2 {
        let question = loop {
            let event = stream.next().await.unwrap().expect("a question before the end");
            last = event.id.unwrap_or(last);
            if let Some(data) = event.data.filter(|data| data["method"] == "elicitation/create") {
                break data;
            }
        };
        assert_eq!(question["params"]["message"], format!("Round {round}: who?"), "{question}");
        gateway.kill();
        gateway = home.again();
        client.reconnect();
        assert_eq!(client.answer(&question, answer(&question, "accept")).await, 202);
        asked.push(question);
        stream = Stream::of(client.get(Some(&last)).await.unwrap());
    }
    assert_ne!(asked[0]["id"], asked[1]["id"]);
    let result = stream.response().await;
    assert_eq!(result["id"], call);
    assert_eq!(result["result"]["structuredContent"]["names"], json!(["my name", "my name"]), "{result}");
    assert_eq!((journal(&home, "answer"), journal(&home, "start")), (2, 3), "each retry reaches the target once");
}

/// A modern client that sends the same request again when its connection breaks.
struct Patient<'a> {
    home: &'a Home,
    target: &'a str,
    crash: &'a str,
    gateway: Program,
    deaths: u32,
}

impl<'a> Patient<'a> {
    fn start(home: &'a Home, target: &'a str, crash: &'a str) -> Self {
        let (gateway, deaths) = match home.gateway(target, Some(crash)) {
            Some(gateway) => (gateway, 0),
            None => (home.gateway(target, None).unwrap(), 1),
        };
        Self { home, target, crash, gateway, deaths }
    }

    /// The response.
    async fn request(&mut self, client: &mut ModernClient, params: &Value) -> Value {
        loop {
            let body = client.message("tools/call", params.clone());
            if let Ok(response) = client.post(&body).send().await
                && let Some(answer) = ModernStream::of(body["id"].clone(), response).try_finish().await
            {
                return answer.json;
            }
            assert_eq!(self.deaths, 0, "{}: it dies once", self.crash);
            self.gateway.kill();
            self.gateway = self.home.gateway(self.target, None).unwrap();
            self.deaths += 1;
            client.reconnect();
        }
    }
}

#[tokio::test]
async fn a_parked_call_survives_a_kill_at_every_point() {
    let mut crashes = 0;
    for point in POINTS {
        for time in 1.. {
            let home = Home::new();
            let target = server(&home, "legacy");
            let crash = format!("{point}:{time}");
            let mut patient = Patient::start(&home, &target.url, &crash);
            let mut client = ModernClient::new(&patient.gateway.url).capabilities(everything(REVISION));
            let call = tool("sg_elicit_form", json!({}));
            let asked = patient.request(&mut client, &call).await;
            let asked = &asked["result"];
            assert_eq!(asked["resultType"], "input_required", "{crash}: {asked}");
            let next = retry(&call, asked.get("requestState"), accepted(&asked["inputRequests"]));
            let done = patient.request(&mut client, &next).await;
            assert_eq!(done["result"]["structuredContent"]["content"]["name"], "my name", "{crash}: {done}");
            assert_eq!(journal(&home, "answer"), 1, "{crash}: the answer reaches the target once");
            if patient.deaths == 0 {
                break;
            }
            crashes += 1;
        }
    }
    assert!(crashes >= 6, "only {crashes} kills: the points are not reached");
}

#[tokio::test]
async fn after_a_kill_a_conversation_is_the_same() {
    let home = Home::new();
    let target = server(&home, "legacy");
    let mut gateway = configured(&home, &target);
    let mut player = Player::new(&gateway.url, REVISION).await;
    assert_eq!(player.call("sg_counter", json!({})).await.structured()["count"], 1);
    gateway.kill();
    gateway = home.again();
    let mut player = Player::new(&gateway.url, REVISION).await;
    assert_eq!(player.call("sg_counter", json!({})).await.structured()["count"], 2, "the target's session goes on");
}

/// The answers reach a modern server with the repeated call. Whether it was done when the gateway died cannot be known,
/// and it is never sent twice.
#[tokio::test]
async fn a_round_of_a_legacy_client_survives_a_kill_at_every_point() {
    let (mut crashes, mut unknown) = (0, 0);
    for point in POINTS {
        for time in 1.. {
            let home = Home::new();
            let target = server(&home, "modern");
            let crash = format!("{point}:{time}");
            let mut stubborn = Stubborn::start(&home, &target.url, &crash).await;
            if let Some(seen) = stubborn.call("sg_elicit_form", json!({})).await {
                seen.check_sequence();
                let result = &seen.result.as_ref().unwrap()["result"];
                if result["isError"] == true {
                    let text = result["content"][0]["text"].as_str().unwrap();
                    assert!(text.contains("outcome is unknown"), "{crash}: {text}");
                    unknown += 1;
                } else {
                    assert_eq!(seen.questions.len(), 1, "{crash}: the question keeps its id");
                    assert_eq!(result["structuredContent"]["content"]["name"], "Ada", "{crash}: {result}");
                    assert_eq!(journal(&home, "answer"), 1, "{crash}: the answer reaches the target once");
                }
            }
            assert!(journal(&home, "answer") <= 1, "{crash}: the answer reaches the target once");
            let text = stubborn.plain_call().await;
            assert!(text["result"]["content"].is_array(), "{crash}: {text}");
            if stubborn.deaths == 0 {
                break;
            }
            crashes += 1;
        }
    }
    assert!(crashes >= 10, "only {crashes} kills: the points are not reached");
    assert!(unknown < crashes / 2, "{unknown} of {crashes}: mostly it is known what happened");
}
