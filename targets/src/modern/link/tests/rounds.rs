//! Questions of a target, and their answers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::support::{Told, World, form, page};
use crate::error::TargetError;
use crate::link::Origin;

const DONE: &str = r#"{"resultType":"complete","content":[]}"#;

#[tokio::test(start_paused = true)]
async fn questions_run_together_and_the_call_is_sent_again_with_all_answers() {
    let world = World::new();
    let call = world.tool(5);
    let first = world.seen("tools/call").await;
    assert!(first.params.get("inputResponses").is_none() && first.params.get("requestState").is_none());
    first
        .result_text(
            r#"{"resultType":"input_required","requestState":"a\u0062\/\ud83d\ude00=","inputRequests":{
                "who":{"method":"elicitation/create","params":{"message":"who?","requestedSchema":{"type":"object","properties":{}}}},
                "m":{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1.00}},
                "r":{"method":"roots/list"}}}"#,
        )
        .await;
    let position = world.position().await;
    assert_eq!((&position["stage"], position["questions"].as_array().unwrap().len()), (&json!("asking"), 3));
    let (who, params) = world.asked("elicitation/create").await;
    assert_eq!((who.as_str(), &params["message"]), ("sg-5-1-0", &json!("who?")));
    let (model, _) = world.asked("sampling/createMessage").await;
    let (roots, _) = world.asked("roots/list").await;
    world.nothing_told().await;

    world.answer(&roots, json!({"roots":[{"uri":"file:///a"}]})).await;
    assert_eq!(world.position().await["questions"][2]["answer"]["given"]["roots"][0]["uri"], "file:///a");
    world.answer(&model, json!({"role":"assistant","content":{"type":"text","text":"t"},"model":"m"})).await;
    world.position().await;
    assert_eq!(world.settled.load(Ordering::SeqCst), 0);
    world.answer(&who, json!({"action":"accept","content":{"x":"me"}})).await;
    world.position().await;
    let sent = world.position().await;
    assert_eq!((&sent["stage"], sent.get("params"), sent.get("questions")), (&json!("sent"), None, None));

    let again = world.seen("tools/call").await;
    assert_eq!(world.settled.load(Ordering::SeqCst), 1);
    assert!(again.request.params.as_str().contains(r#""requestState":"a\u0062\/\ud83d\ude00=""#));
    assert_eq!(again.params["arguments"], json!({"n":1}));
    assert_eq!(again.params["_meta"]["progressToken"], 5);
    assert_eq!(again.params["inputResponses"]["who"], json!({"action":"accept","content":{"x":"me"}}));
    assert_eq!(again.params["inputResponses"]["r"], json!({"roots":[{"uri":"file:///a"}]}));
    assert_eq!(again.params["inputResponses"]["m"]["model"], "m");
    again.result_text(DONE).await;
    assert_eq!(call.await.unwrap().unwrap(), json!({"result":{"content":[]}}));
    // Late and doubled answers harm nobody.
    world.answer(&who, json!({"action":"accept"})).await;
    world.nothing_told().await;
}

#[tokio::test(start_paused = true)]
async fn refusals_of_the_client_are_answers_too() {
    let world = World::new();
    let call = world.tool(1);
    let asks = json!({"a":form("a"),"b":form("b"),"c":{"method":"roots/list"}});
    world.seen("tools/call").await.asks(asks, "s").await;
    world.position().await;
    for method in ["elicitation/create", "elicitation/create", "roots/list"] {
        world.asked(method).await;
    }
    world.answer("sg-1-1-0", json!({"action":"decline"})).await;
    world.refuse("sg-1-1-1").await;
    world.refuse("sg-1-1-2").await;
    let again = world.seen("tools/call").await;
    assert_eq!(
        again.params["inputResponses"],
        json!({"a":{"action":"decline"},"b":{"action":"cancel"},"c":{"roots":[]}})
    );
    again.result_text(DONE).await;
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_a_model_the_call_ends() {
    let world = World::new();
    let call = world.tool(1);
    let asks = json!({"f":form("f"),"m":{"method":"sampling/createMessage","params":{}}});
    world.seen("tools/call").await.asks(asks, "s").await;
    world.position().await;
    world.asked("elicitation/create").await;
    world.asked("sampling/createMessage").await;
    // Whatever the person would say.
    world.refuse("sg-1-1-1").await;
    let reply = call.await.unwrap().unwrap();
    assert_eq!(reply["result"]["isError"], true);
    world.nothing_seen().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_client_did_not_declare_is_not_asked() {
    for (asks, feature) in [
        (page("https://x/"), "URL mode elicitation"),
        (json!({"method":"sampling/createMessage","params":{}}), "sampling"),
        (json!({"method":"roots/list"}), "roots"),
    ] {
        let world = World::with(json!({"elicitation":{"form":{}}}));
        let call = world.tool(1);
        world.seen("tools/call").await.asks(json!({"f":form("f"),"k":asks}), "s").await;
        let reply = call.await.unwrap().unwrap();
        assert_eq!(reply["result"]["isError"], true);
        assert!(reply["result"]["content"][0]["text"].as_str().unwrap().contains(feature));
        world.nothing_told().await;
    }
    let world = World::with(json!({}));
    let call = world.call(1, "prompts/get", json!({"name":"p"}));
    world.seen("prompts/get").await.asks(json!({"f":form("f")}), "s").await;
    assert_eq!(call.await.unwrap().unwrap()["error"]["code"], -32603);
}

#[tokio::test(start_paused = true)]
async fn results_that_must_not_come_end_the_call() {
    let world = World::new();
    for (at, result) in [
        json!({"resultType":"task","task":{}}),
        json!({"resultType":"other"}),
        json!({"resultType":"input_required"}),
        json!({"resultType":"input_required","inputRequests":{"x":{"method":"tools/call","params":{}}}}),
    ]
    .into_iter()
    .enumerate()
    {
        let call = world.tool(i64::try_from(at).unwrap());
        world.seen("tools/call").await.result(result).await;
        match call.await.unwrap() {
            Ok(reply) => assert_eq!(reply["result"]["isError"], true),
            Err(error) => assert!(matches!(error, TargetError::Protocol { .. })),
        }
    }
    let call = world.call(9, "resources/list", json!({}));
    world.seen("resources/list").await.asks(json!({"f":form("f")}), "s").await;
    assert_eq!(call.await.unwrap().unwrap()["error"]["code"], -32603);
}

#[tokio::test(start_paused = true)]
async fn rounds_have_an_end() {
    let world = World::new();
    let call = world.tool(1);
    for round in 1..=10 {
        let request = world.seen("tools/call").await;
        if round > 1 {
            assert_eq!(request.params["requestState"], format!("s{}", round - 1));
        }
        request.asks(json!({"k":form("again")}), &format!("s{round}")).await;
        world.position().await;
        let (id, _) = world.asked("elicitation/create").await;
        assert_eq!(id, format!("sg-1-{round}-0"));
        world.answer(&id, json!({"action":"decline"})).await;
        world.position().await;
        world.position().await;
    }
    world.seen("tools/call").await.asks(json!({"k":form("again")}), "s").await;
    let reply = call.await.unwrap().unwrap();
    assert!(reply["result"]["content"][0]["text"].as_str().unwrap().contains("more than 10 times"));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_only_wants_to_be_asked_again_is_not_hurried() {
    let world = World::new();
    let call = world.tool(1);
    let mut waits = Vec::new();
    world.seen("tools/call").await.result(json!({"resultType":"input_required","requestState":"0"})).await;
    for round in 1..=7 {
        let since = Instant::now();
        let request = world.seen("tools/call").await;
        waits.push(since.elapsed().as_millis());
        assert!(request.params.get("inputResponses").is_none());
        request.result(json!({"resultType":"input_required","requestState":round.to_string()})).await;
    }
    assert_eq!(waits, [250, 500, 1000, 2000, 4000, 5000, 5000]);
    world.seen("tools/call").await.result_text(DONE).await;
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_page_is_shown_once_and_waited_for() {
    let world = World::new();
    let call = world.tool(1);
    let url = "https://pay.example/?t=1";
    world.seen("tools/call").await.asks(json!({"k":page(url)}), "s0").await;
    world.position().await;
    let (id, params) = world.asked("elicitation/create").await;
    assert_eq!((&params["url"], &params["mode"]), (&json!(url), &json!("url")));
    let page_id = params["elicitationId"].as_str().unwrap().to_owned();
    world.answer(&id, json!({"action":"accept"})).await;
    for round in 1..=30 {
        let request = world.seen("tools/call").await;
        assert_eq!(
            request.params["inputResponses"],
            json!({format!("k{}", round - 1).replace("k0", "k"):{"action":"accept"}})
        );
        request.asks(json!({format!("k{round}"):page(url)}), &format!("s{round}")).await;
    }
    world.seen("tools/call").await.result_text(DONE).await;
    call.await.unwrap().unwrap();
    let mut told = Vec::new();
    while let Ok(event) = tokio::time::timeout(Duration::from_millis(1), world.told()).await {
        told.push(event);
    }
    assert!(!told.iter().any(|event| matches!(event, Told::Asked(..))), "shown once");
    assert_eq!(
        told.last().unwrap(),
        &Told::Noted(Origin::Call(1), "notifications/elicitation/complete".into(), json!({"elicitationId":page_id}))
    );
}

#[tokio::test(start_paused = true)]
async fn a_page_that_was_declined_or_is_another_one_is_shown() {
    let world = World::new();
    let call = world.tool(1);
    for (url, action) in [("https://a/", "decline"), ("https://a/", "accept"), ("https://b/", "cancel")] {
        world.seen("tools/call").await.asks(json!({"k":page(url)}), "s").await;
        world.position().await;
        let (id, _) = world.asked("elicitation/create").await;
        world.answer(&id, json!({"action":action})).await;
        world.position().await;
        world.position().await;
    }
    world.seen("tools/call").await.result(json!({"content":[],"isError":true})).await;
    assert_eq!(call.await.unwrap().unwrap()["result"]["isError"], true);
    world.nothing_told().await;
}

#[tokio::test(start_paused = true)]
async fn answers_outlast_a_moment_without_the_target() {
    let world = World::new();
    let call = world.tool(1);
    world.seen("tools/call").await.asks(json!({"k":form("f")}), "s").await;
    world.answer_first().await;
    for _ in 0..3 {
        world.seen("tools/call").await.end(Err(TargetError::Unreachable { detail: "x".into() })).await;
    }
    let busy = TargetError::Status { status: 503, detail: "x".into(), retry_after: Some(Duration::from_secs(77)) };
    let since = Instant::now();
    world.seen("tools/call").await.end(Err(busy)).await;
    let request = world.seen("tools/call").await;
    assert!(since.elapsed() >= Duration::from_secs(77));
    assert_eq!(request.params["requestState"], "s");
    request.end(Err(TargetError::OutcomeUnknown { detail: "x".into() })).await;
    assert!(matches!(call.await.unwrap(), Err(TargetError::OutcomeUnknown { .. })));
    world.nothing_seen().await;
}

#[tokio::test(start_paused = true)]
async fn a_person_has_as_long_as_the_call() {
    let world = World::new();
    let call = world.tool(1);
    let since = Instant::now();
    world.seen("tools/call").await.asks(json!({"k":form("f")}), "s").await;
    assert!(matches!(call.await.unwrap(), Err(TargetError::TimedOut(_))));
    assert_eq!(since.elapsed().as_secs(), 900);
}

impl World {
    /// Takes the first question and accepts it.
    pub(super) async fn answer_first(&self) {
        self.position().await;
        let (id, _) = self.asked("elicitation/create").await;
        self.answer(&id, json!({"action":"accept","content":{"x":"1"}})).await;
    }
}
