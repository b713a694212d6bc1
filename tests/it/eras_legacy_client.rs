//! A legacy client in front of a modern server that asks strangely, or without end.

use serde_json::{Value, json};

use crate::client::{Client, Stream};
use crate::eras_player::{Player, answer, everything};
use crate::harness::{Home, Program, eventually, http_target, reference_server};

const QUESTION: &str = "elicitation/create";

struct Scene {
    _home: Home,
    target: Program,
    gateway: Program,
    client: Client,
}

/// `era` is how the target is taken; it speaks both.
async fn scene(era: &str, capabilities: Value) -> Scene {
    let (home, target) = (Home::new(), reference_server(&["--era", "both"]));
    let line = http_target("ref", &target.url, &format!("era: {era}"));
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{line}"));
    let client = Client::ready(&gateway.url, capabilities).await;
    Scene { _home: home, target, gateway, client }
}

fn said(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn what_was_not_declared_is_not_asked() {
    let mut scene = scene("modern", json!({})).await;
    for (tool, words) in [
        ("sg_undeclared", "the target asked for sampling, which the client did not declare"),
        ("sg_elicit_form", "target `ref` needs a client with elicitation.form"),
        ("sg_elicit_url", "target `ref` needs a client with elicitation.url"),
        ("sg_url_required", "target `ref` needs a client with elicitation.url"),
        ("sg_sample", "target `ref` needs a client with sampling"),
        ("sg_roots", "target `ref` needs a client with roots"),
        ("test_missing_capability", "target `ref` needs a client with sampling"),
    ] {
        let refused = scene.client.call(tool, json!({})).await;
        assert_eq!((&refused["result"]["isError"], said(&refused)), (&json!(true), words), "{tool}: {refused}");
    }
    let mut legacy = self::scene("legacy", json!({"elicitation": {}})).await;
    let refused = legacy.client.call("sg_undeclared", json!({})).await;
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    assert!(said(&refused).contains("the client did not declare what `sampling/createMessage` needs"), "{refused}");
}

#[tokio::test]
async fn a_modern_server_without_end_is_given_up() {
    let scene = scene("modern", json!({})).await;
    let mut player = Player::new(&scene.gateway.url, "2025-11-25").await;
    let played = player.call("sg_endless", json!({})).await;
    assert_eq!(played.asked.len(), 10, "{played:?}");
    assert_eq!(
        played.refused().as_deref(),
        Some("tool error: the target asked more than 10 times without coming to an end")
    );
    assert_eq!(scene.target.stats().await["input_required"], 11);
    assert_eq!(player.call("sg_echo", json!({})).await.text(), "{}");
}

#[tokio::test]
async fn a_legacy_server_without_end_ends_when_its_client_has_enough() {
    let mut scene = scene("legacy", everything("2025-11-25")).await;
    let (call, mut stream) = scene.client.start("sg_endless", json!({})).await;
    for _ in 0..15 {
        let question = stream.message(QUESTION).await;
        assert_eq!(scene.client.answer(&question, answer(&question, "accept")).await, 202);
    }
    stream.message(QUESTION).await;
    scene.client.notify("notifications/cancelled", json!({"requestId": call})).await;
    assert!(
        stream.rest().await.iter().all(|event| event.data.as_ref().is_none_or(|data| data.get("result").is_none()))
    );
    eventually("nothing waits", async || {
        (scene.gateway.metric("sessiongate_questions_pending", "").await == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn rounds_without_a_question_are_no_business_of_the_client() {
    let scene = scene("modern", json!({})).await;
    let mut player = Player::with(&scene.gateway.url, "2025-11-25", json!({})).await;
    let played = player.call("sg_state_only", json!({})).await;
    assert_eq!((played.text(), played.asked.len()), ("came back", 0));
    let mut player = Player::new(&scene.gateway.url, "2025-11-25").await;
    let prompt = json!({"name": "test_input_required_result_prompt"});
    let played = player.play("prompts/get", prompt, |question| answer(question, "accept")).await;
    let text = &played.answer["result"]["messages"][0]["content"]["text"];
    assert_eq!((text, played.asked.len()), (&json!("The context is my context."), 1), "{played:?}");
    let played = player.call("test_custom_header", json!({"value": "é \n"})).await;
    assert_eq!(played.text(), "value=é \n", "the header is the gateway's business");
    let played = player.call("test_input_required_result_multiple_inputs", json!({})).await;
    assert_eq!(played.asked.len(), 3, "{played:?}");
    assert!(played.text().starts_with("All three answered"), "{played:?}");
}

#[tokio::test]
async fn rounds_of_two_calls_and_sessions_do_not_mix() {
    let mut scene = scene("modern", everything("2025-11-25")).await;
    let mut other = Client::ready(&scene.gateway.url, everything("2025-11-25")).await;
    let (_, mut a) = scene.client.start("sg_elicit_form", json!({})).await;
    let (_, mut b) = scene.client.start("sg_elicit_form", json!({})).await;
    let (_, mut c) = other.start("sg_elicit_form", json!({})).await;
    let answer = |name: &str| json!({"action": "accept", "content": {"name": name}});
    let questions = [a.message(QUESTION).await, b.message(QUESTION).await, c.message(QUESTION).await];
    assert_eq!(other.answer(&questions[2], answer("c")).await, 202);
    assert_eq!(scene.client.answer(&questions[1], answer("b")).await, 202);
    assert_eq!(scene.client.answer(&questions[0], answer("a")).await, 202);
    for (stream, name) in [(&mut a, "a"), (&mut b, "b"), (&mut c, "c")] {
        assert_eq!(stream.response().await["result"]["structuredContent"]["content"]["name"], name);
    }
}

#[tokio::test]
async fn an_answer_counts_once_and_has_to_fit() {
    let mut scene = scene("modern", everything("2025-11-25")).await;
    let (_, mut stream) = scene.client.start("sg_elicit_form", json!({"key": "k"})).await;
    let question = stream.message(QUESTION).await;
    let good = json!({"action": "accept", "content": {"name": "Ada"}});
    assert_eq!(scene.client.answer(&question, good.clone()).await, 202);
    assert_eq!(scene.client.answer(&question, json!({"action": "decline"})).await, 202, "too late");
    assert_eq!(stream.response().await["result"]["structuredContent"]["action"], "accept");
    assert_eq!(scene.target.stats().await["answers"]["k"], 1);

    let (_, mut stream) = scene.client.start("sg_elicit_form", json!({"key": "wrong"})).await;
    let question = stream.message(QUESTION).await;
    let (status, body) = scene
        .client
        .send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": {"name": ""}}}))
        .await;
    assert_eq!(status, 400, "{body}");
    let result = stream.response().await;
    assert_eq!(result["result"]["structuredContent"], json!({"action": "cancel"}), "{result}");

    // A client that cannot show the form: the target is told that the person closed it.
    let (_, mut stream) = scene.client.start("sg_elicit_form", json!({"key": "broken"})).await;
    let question = stream.message(QUESTION).await;
    let error = json!({"code": -32603, "message": "the screen is broken"});
    scene.client.send(&json!({"jsonrpc": "2.0", "id": question["id"], "error": error})).await;
    assert_eq!(stream.response().await["result"]["structuredContent"], json!({"action": "cancel"}));
    let (_, mut stream) = scene.client.start("sg_sample", json!({})).await;
    let question = stream.message("sampling/createMessage").await;
    let error = json!({"code": -1, "message": "the person said no"});
    scene.client.send(&json!({"jsonrpc": "2.0", "id": question["id"], "error": error})).await;
    let result = stream.response().await;
    assert_eq!(said(&result), "the client refused the sampling that the target needs", "{result}");
}

#[tokio::test]
async fn a_call_that_is_cancelled_while_it_asks_never_comes_back() {
    let mut scene = scene("modern", everything("2025-11-25")).await;
    let (call, mut stream) = scene.client.start("sg_elicit_form", json!({"key": "k"})).await;
    let question = stream.message(QUESTION).await;
    scene.client.notify("notifications/cancelled", json!({"requestId": call})).await;
    let withdrawn = stream.message("notifications/cancelled").await;
    assert_eq!(withdrawn["params"]["requestId"], question["id"]);
    assert!(stream.rest().await.iter().all(|event| event.data.is_none()), "a cancelled call has no response");
    assert_eq!(scene.client.answer(&question, answer(&question, "accept")).await, 202);
    assert_eq!(said(&scene.client.call("sg_echo", json!({})).await), "{}");
    let stats = scene.target.stats().await;
    assert_eq!((&stats["answers"], &stats["requests"]["modern"]["tools/call"]), (&json!({}), &json!(2)), "{stats}");
}

#[tokio::test]
async fn a_client_that_lost_its_stream_goes_on_with_the_round() {
    let mut scene = scene("modern", everything("2025-11-25")).await;
    let (_, mut stream) = scene.client.start("sg_rounds", json!({"rounds": 2, "key": "k"})).await;
    let mut last = None;
    let first = loop {
        let event = stream.next().await.unwrap().expect("a question");
        last = event.id.or(last);
        if let Some(data) = event.data {
            break data;
        }
    };
    drop(stream);
    assert_eq!(scene.client.answer(&first, answer(&first, "accept")).await, 202);
    let mut stream: Stream = scene.client.listen(last.as_deref()).await;
    let second = stream.message(QUESTION).await;
    assert_eq!(scene.client.answer(&second, answer(&second, "accept")).await, 202);
    assert_eq!(stream.response().await["result"]["structuredContent"]["names"], json!(["my name", "my name"]));
    assert_eq!(scene.target.stats().await["answers"]["k"], 2);
}
