//! Calls of a modern client that wait in a legacy server for an answer: how they are found again, and by whom.

use serde_json::{Value, json};

use crate::eras_player::{answer, everything, retry, tool};
use crate::harness::{Home, Program, eventually, http_target, reference_server, sessiongate};
use crate::modern_client::{ModernAnswer, ModernClient, REVISION};

const KEYS: &str = "api_keys: [{name: ada, key: key-of-ada-0123456789}, {name: bob, key: key-of-bob-0123456789}]";
const ADA: &str = "key-of-ada-0123456789";
const BOB: &str = "key-of-bob-0123456789";

struct Scene {
    home: Home,
    target: Program,
    gateway: Program,
    client: ModernClient,
}

/// A call that waits.
pub struct Parked {
    pub call: Value,
    pub state: Value,
    pub asked: Value,
}

fn scene(settings: &str, more: &str) -> Scene {
    let (home, target) = (Home::new(), reference_server(&[]));
    let gateway =
        home.configured(&format!("naming: plain\n{settings}\ntargets:\n{}", http_target("ref", &target.url, more)));
    let client = match settings.contains("api_keys") {
        true => ModernClient::with_key(&gateway.url, ADA),
        false => ModernClient::new(&gateway.url),
    };
    Scene { home, target, gateway, client: client.capabilities(everything(REVISION)) }
}

impl Scene {
    async fn park(&mut self, name: &str, arguments: Value) -> Parked {
        park(&mut self.client, tool(name, arguments)).await
    }

    async fn answers(&self, key: &str) -> Value {
        self.target.stats().await["answers"][key].clone()
    }
}

/// A call that the client is asked something for.
pub async fn park(client: &mut ModernClient, call: Value) -> Parked {
    let answer = client.request("tools/call", call.clone()).await;
    Parked::of(call, &answer)
}

impl Parked {
    pub fn of(call: Value, answer: &ModernAnswer) -> Self {
        let result = answer.result();
        assert_eq!(result["resultType"], "input_required", "{result}");
        assert!(result["requestState"].is_string(), "{result}");
        Self { call, state: result["requestState"].clone(), asked: result["inputRequests"].clone() }
    }

    pub fn keys(&self) -> Vec<&String> {
        self.asked.as_object().unwrap().keys().collect()
    }

    fn accepted(&self) -> Value {
        let asked = self.asked.as_object().unwrap();
        asked.iter().map(|(key, question)| (key.clone(), answer(question, "accept"))).collect()
    }

    /// The retry with good answers.
    pub fn answered(&self) -> Value {
        retry(&self.call, Some(&self.state), self.accepted())
    }
}

/// A refusal of a state: a request that was understood.
pub fn refused(answer: &ModernAnswer, reason: &str) {
    assert_eq!((answer.status, answer.streamed), (200, false), "{answer:?}");
    let error = answer.error();
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32602), &json!(reason)), "{answer:?}");
}

fn name(answer: &ModernAnswer) -> &Value {
    &answer.result()["structuredContent"]["content"]["name"]
}

#[tokio::test]
async fn a_retry_that_comes_twice_answers_once_and_is_replayed() {
    let mut scene = scene("", "");
    let parked = scene.park("sg_elicit_form", json!({"key": "k"})).await;
    let bodies = [(); 2].map(|()| scene.client.message("tools/call", parked.answered()));
    let both = async |body: &Value| scene.client.send(body).await.finish().await;
    let (a, b) = tokio::join!(both(&bodies[0]), both(&bodies[1]));
    for answer in [&a, &b] {
        let text = answer.result()["content"][0]["text"].as_str().unwrap();
        assert!(name(answer) == "my name" || text.contains("another request took this call over"), "{answer:?}");
    }
    assert!(name(&a) == "my name" || name(&b) == "my name", "{a:?} {b:?}");
    for _ in 0..2 {
        let again = scene.client.request("tools/call", parked.answered()).await;
        assert_eq!(name(&again), "my name", "{again:?}");
    }
    assert_eq!(scene.answers("k").await, 1);
    assert_eq!(scene.target.stats().await["calls"], 1);
    eventually("nothing waits", async || {
        (scene.gateway.metric("sessiongate_questions_pending", "").await == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_not_answered_is_asked_again() {
    let mut scene = scene("", "");
    let parked = scene.park("sg_elicit_two", json!({"key": "k"})).await;
    assert_eq!(parked.keys().len(), 2);
    // Without a word, and with answers to what nobody asked.
    for responses in [json!({}), json!({"nobody": {"action": "accept"}, "q999": {"content": 7}})] {
        let again = scene.client.request("tools/call", retry(&parked.call, Some(&parked.state), responses)).await;
        assert_eq!(Parked::of(parked.call.clone(), &again).asked, parked.asked, "the same under the same keys");
    }
    let again = scene.client.request("tools/call", {
        let mut params = parked.call.clone();
        params["requestState"] = parked.state.clone();
        params
    });
    assert_eq!(Parked::of(parked.call.clone(), &again.await).asked, parked.asked, "without `inputResponses` too");

    let (first, second) = (parked.keys()[0].clone(), parked.keys()[1].clone());
    let part = json!({second.clone(): parked.accepted()[&second], "nobody": {"action": "decline"}});
    let again = scene.client.request("tools/call", retry(&parked.call, Some(&parked.state), part)).await;
    let rest = Parked::of(parked.call.clone(), &again);
    assert_eq!((rest.keys(), &rest.asked[&first]), (vec![&first], &parked.asked[&first]));
    let done = scene.client.request("tools/call", rest.answered()).await;
    let structured = &done.result()["structuredContent"];
    assert_eq!(structured["first"]["content"]["first"], "my first", "{done:?}");
    assert_eq!(structured["second"]["content"]["second"], "my second", "{done:?}");
    assert_eq!(scene.answers("k").await, 2);
    // The older state still names the same call.
    let replayed = scene.client.request("tools/call", parked.answered()).await;
    assert_eq!(replayed.result()["structuredContent"], *structured);
}

#[tokio::test]
async fn a_state_is_good_for_its_caller_and_its_call_alone() {
    let mut scene = scene(KEYS, "");
    let parked = scene.park("sg_elicit_form", json!({"key": "k"})).await;
    let state = parked.state.as_str().unwrap().to_owned();
    let changed = |at: usize| {
        let mut bytes = state.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        json!(String::from_utf8(bytes).unwrap())
    };
    let tampered = [
        changed(0),
        changed(1),
        changed(state.len() / 2),
        changed(state.len() - 2),
        json!(state[..state.len() - 1]),
        json!(format!("{state}A")),
        json!(""),
        json!("made up"),
        json!("x".repeat(100_000)),
        json!("é\u{0}"),
    ];
    for other in tampered {
        let answer = scene.client.request("tools/call", retry(&parked.call, Some(&other), parked.accepted())).await;
        refused(&answer, "invalid_request_state");
    }
    for strange in [json!(7), json!({}), json!([state])] {
        let answer = scene.client.request("tools/call", retry(&parked.call, Some(&strange), parked.accepted())).await;
        refused(&answer, "invalid_request_state");
    }
    for other in [
        tool("sg_elicit_form", json!({"key": "other"})),
        tool("sg_elicit_form", json!({})),
        tool("sg_elicit_two", json!({"key": "k"})),
        tool("sg_echo", json!({"key": "k"})),
    ] {
        let answer = scene.client.request("tools/call", retry(&other, Some(&parked.state), parked.accepted())).await;
        refused(&answer, "invalid_request_state");
    }
    let mut bob = ModernClient::with_key(&scene.gateway.url, BOB).capabilities(everything(REVISION));
    refused(&bob.request("tools/call", parked.answered()).await, "invalid_request_state");
    for responses in [json!(7), json!([]), json!("x"), json!({parked.keys()[0].clone(): "yes"})] {
        let answer = scene.client.request("tools/call", retry(&parked.call, Some(&parked.state), responses)).await;
        refused(&answer, "invalid_input_responses");
    }
    assert_eq!(scene.answers("k").await, Value::Null, "nothing of it reached the target");
    // The order of members and the spelling of numbers are no difference.
    let done = scene.client.request("tools/call", parked.answered()).await;
    assert_eq!(name(&done), "my name", "its owner goes on: {done:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_refused() {
    let mut scene = scene("", "");
    for (wrong, why) in [
        (json!({"action": "accept", "content": {"name": ""}}), "name"),
        (json!({"action": "accept", "content": {"age": 7}}), "name"),
        (json!({"action": "accept"}), "content"),
        (json!({"action": "perhaps"}), "action"),
    ] {
        let parked = scene.park("sg_elicit_form", json!({"key": "k"})).await;
        let responses = json!({parked.keys()[0].clone(): wrong});
        let answer = scene.client.request("tools/call", retry(&parked.call, Some(&parked.state), responses)).await;
        refused(&answer, "invalid_answer");
        assert!(answer.error()["message"].as_str().unwrap().contains(why), "{answer:?}");
        let then = scene.client.request("tools/call", parked.answered()).await;
        let text = then.result()["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("the client's answer does not fit") && text.contains(why), "it is told: {then:?}");
    }
    assert_eq!(scene.answers("k").await, Value::Null);
}

#[tokio::test]
async fn a_retry_for_a_call_that_is_gone_says_so() {
    let mut scene = scene("", "");
    let parked = scene.park("sg_elicit_form", json!({"key": "k"})).await;
    let data = scene.home.data();
    let listed = sessiongate(&["sessions", "--data-dir", data.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("modern-test"), "{listed:?}");
    let forget = format!("{}/control/forget-sessions", scene.target.base());
    reqwest::Client::new().post(forget).send().await.unwrap();
    let lost = eventually("the call ended with its target's session", async || {
        let answer = scene.client.request("tools/call", parked.answered()).await;
        (answer.json["result"]["isError"] == true).then_some(answer)
    })
    .await;
    let text = lost.result()["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("target `ref`") && text.contains("outcome is unknown"), "{text}");
    assert_eq!(scene.client.call("sg_echo", json!({})).await.result()["content"][0]["text"], "{}");
}

#[tokio::test]
async fn with_its_conversation_a_call_is_gone() {
    let mut scene = scene("sessions: {idle_timeout: 1s}", "timeout: 1s");
    let parked = scene.park("sg_elicit_form", json!({"key": "k"})).await;
    eventually("the call timed out, and then its conversation ended", async || {
        (scene.gateway.metric("sessiongate_sessions", "").await == 0.0).then_some(())
    })
    .await;
    let answer = scene.client.request("tools/call", parked.answered()).await;
    refused(&answer, "call_gone");
    assert_eq!(scene.answers("k").await, 1, "`cancel`, of the gateway");
    let parked = scene.park("sg_elicit_form", json!({"key": "k"})).await;
    let done = scene.client.request("tools/call", parked.answered()).await;
    assert_eq!(name(&done), "my name", "the next one works: {done:?}");
}
