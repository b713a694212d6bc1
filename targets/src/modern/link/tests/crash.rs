//! Another process goes on: positions, and answers that come before or after.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::support::{Told, World, deadline, form, page};
use crate::error::TargetError;

const DONE: &str = r#"{"resultType":"complete","content":[]}"#;

/// A call with two questions whose process dies; all positions that it told, oldest first.
async fn killed(answered: usize) -> (Vec<Value>, World) {
    let world = World::new();
    let call = world.tool(3);
    world.seen("tools/call").await.asks(json!({"a":form("a"),"b":page("https://p/")}), "st\u{e9}te").await;
    let mut positions = vec![world.position().await];
    world.asked("elicitation/create").await;
    world.asked("elicitation/create").await;
    for id in ["sg-3-1-0", "sg-3-1-1"].into_iter().take(answered) {
        world.answer(id, json!({"action":"accept","content":{"x":id}})).await;
        positions.push(world.position().await);
    }
    if answered == 2 {
        positions.push(world.position().await);
        world.seen("tools/call").await;
    }
    let next = World::resumed(&world.link.save().unwrap());
    call.abort();
    (positions, next)
}

/// Lets the call end and checks what the target was sent.
async fn finish(world: &World, call: tokio::task::JoinHandle<Result<Value, TargetError>>) {
    let request = world.seen("tools/call").await;
    assert_eq!(request.params["requestState"], "st\u{e9}te");
    assert_eq!(request.params["name"], "buy");
    assert_eq!(request.params["arguments"], json!({"n":1}));
    assert_eq!(request.params["_meta"]["progressToken"], 3);
    let accepted = |id: &str| json!({"action":"accept","content":{"x":id}});
    assert_eq!(request.params["inputResponses"], json!({"a":accepted("sg-3-1-0"),"b":accepted("sg-3-1-1")}));
    let capabilities = &request.params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(capabilities["elicitation"], json!({"form":{},"url":{}}));
    request.result_text(DONE).await;
    assert_eq!(call.await.unwrap().unwrap(), json!({"result":{"content":[]}}));
}

fn given(id: &str) -> Value {
    json!({"action":"accept","content":{"x":id}})
}

#[tokio::test(start_paused = true)]
async fn answers_may_come_after_the_call_is_taken_up() {
    let (positions, world) = killed(0).await;
    let call = world.resume(3, &positions[0]);
    // The owner knows by their ids that it has them.
    assert_eq!(world.asked("elicitation/create").await.0, "sg-3-1-0");
    let (id, params) = world.asked("elicitation/create").await;
    assert_eq!(id, "sg-3-1-1");
    assert_eq!(params["elicitationId"], positions[0]["questions"][1]["page"]["elicitation_id"]);
    world.answer("sg-3-1-1", given("sg-3-1-1")).await;
    world.position().await;
    world.answer("sg-3-1-0", given("sg-3-1-0")).await;
    finish(&world, call).await;
}

#[tokio::test(start_paused = true)]
async fn answers_may_come_before_the_call_is_taken_up() {
    let (positions, world) = killed(1).await;
    // Given up to another process before, and again.
    world.answer("sg-3-1-0", json!({"action":"cancel"})).await;
    world.answer("sg-3-1-1", given("sg-3-1-1")).await;
    world.nothing_told().await;
    let call = world.resume(3, &positions[1]);
    finish(&world, call).await;
    let answered = world.position().await;
    assert_eq!(answered["questions"][0]["answer"]["given"], given("sg-3-1-0"), "the first answer counts");
    assert_eq!(answered["questions"][1]["answer"]["given"], given("sg-3-1-1"));
    assert_eq!(world.position().await["stage"], "sent");
}

#[tokio::test(start_paused = true)]
async fn answers_may_wait_for_the_call_to_be_taken_up() {
    let (positions, world) = killed(0).await;
    let since = Instant::now();
    let link = world.link.clone();
    let both = tokio::spawn(async move {
        for id in ["sg-3-1-0", "sg-3-1-1"] {
            let answer = json!({"jsonrpc":"2.0","id":id,"result":given(id)}).to_string();
            link.post(answer.into(), deadline()).await.unwrap();
        }
    });
    tokio::task::yield_now().await;
    let call = world.resume(3, &positions[0]);
    both.await.unwrap();
    assert_eq!(since.elapsed().as_millis(), 0, "nobody waited in vain");
    finish(&world, call).await;
}

#[tokio::test(start_paused = true)]
async fn a_round_that_is_complete_is_sent() {
    let (positions, world) = killed(2).await;
    let call = world.resume(3, &positions[2]);
    finish(&world, call).await;
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_may_have_been_called_is_not_called_again() {
    let (positions, world) = killed(2).await;
    assert_eq!(positions[3], json!({"stage":"sent","method":"tools/call"}).merged(&positions[3]));
    let outcome = world.resume(3, &positions[3]).await.unwrap();
    assert!(matches!(outcome, Err(TargetError::OutcomeUnknown { .. })));
    world.nothing_seen().await;
}

#[tokio::test(start_paused = true)]
async fn what_only_reads_is_sent_again() {
    let world = World::new();
    let call = world.call(1, "resources/read", json!({"uri":"file:///x"}));
    world.seen("resources/read").await.asks(json!({"k":form("f")}), "s").await;
    world.answer_first().await;
    world.position().await;
    let sent = world.position().await;
    let request = world.seen("resources/read").await;
    assert_eq!(request.request.name.as_deref(), Some("file:///x"));
    call.abort();
    request.dropped().await;
    let world = World::resumed(&world.link.save().unwrap());
    let call = world.resume(1, &sent);
    let request = world.seen("resources/read").await;
    assert_eq!(request.params["inputResponses"]["k"]["action"], "accept");
    request.result(json!({"contents":[],"ttlMs":1,"cacheScope":"public"})).await;
    assert_eq!(call.await.unwrap().unwrap(), json!({"result":{"contents":[]}}));
}

#[tokio::test(start_paused = true)]
async fn a_position_that_cannot_be_read_is_an_unknown_outcome() {
    let (_, world) = killed(0).await;
    for position in [json!(7), json!({}), json!({"stage":"later","method":"x"})] {
        let outcome = world.resume(3, &position).await.unwrap();
        assert!(matches!(outcome, Err(TargetError::OutcomeUnknown { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_calls_that_nobody_takes_up_block_nobody_for_long() {
    let (_, world) = killed(0).await;
    let since = Instant::now();
    world.answer("sg-99-1-0", given("x")).await;
    assert_eq!(since.elapsed().as_secs(), 2);
    // On a link that no other process had, nobody waits.
    let world = World::new();
    let since = Instant::now();
    world.answer("sg-99-1-0", given("x")).await;
    world.post(json!({"jsonrpc":"2.0","id":4,"result":{}})).await.unwrap();
    assert_eq!(since.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_too_large_to_be_stored_runs_all_the_same() {
    let world = World::new();
    let call = world.call(1, "tools/call", json!({"name":"buy","arguments":{"text":"x".repeat(60_000)}}));
    world.seen("tools/call").await.asks(json!({"k":form("f")}), "s").await;
    let Told::Asked(_, id, ..) = world.told().await else { panic!("no position") };
    world.answer(&id, json!({"action":"decline"})).await;
    assert_eq!(world.position().await["stage"], "sent");
    let request = world.seen("tools/call").await;
    assert_eq!(request.params["arguments"]["text"].as_str().unwrap().len(), 60_000);
    request.result_text(DONE).await;
    call.await.unwrap().unwrap();
}

trait Merged {
    fn merged(self, other: &Value) -> Value;
}

impl Merged for Value {
    /// With the counters of the other one, which do not matter here.
    fn merged(mut self, other: &Value) -> Value {
        for name in ["round", "counted", "idle"] {
            self[name] = other[name].clone();
        }
        self
    }
}
