//! What a call waits for.

use serde_json::json;
use sessiongate_protocol::RequestId;

use super::fixture::{NEW, World};

/// The methods and ids of what waits in the call that the client gave this id.
fn waits(world: &World, call: i64) -> Option<Vec<(String, i64)>> {
    let questions = world.core.questions_of(&RequestId::integer(call))?;
    Some(questions.iter().map(|one| (one.method.to_string(), one.id.as_i64().unwrap())).collect())
}

#[test]
fn the_questions_of_a_call_are_known_until_they_are_answered_over_a_restart_too() {
    let mut world = World::new(NEW);
    assert_eq!(waits(&world, 1), None);
    let (call, id) = world.running(1, "cart___add");
    let (_, other) = world.running(2, "cart___add");
    assert_eq!(waits(&world, 1), Some(Vec::new()));
    let asked = |out: super::fixture::Out| {
        let shown = out.shown();
        shown.iter().find(|shown| shown["method"] == "elicitation/create").unwrap()["id"].as_i64().unwrap()
    };
    let first = asked(world.asks("cart", Some(id), Some("e1"), 70));
    let second = asked(world.asks("cart", Some(id), Some("e2"), 71));
    asked(world.asks("cart", Some(other), Some("e3"), 72));
    let question = |number: i64| ("elicitation/create".to_owned(), number);
    assert_eq!(waits(&world, 1), Some(vec![question(first), question(second)]));
    world.reply(first, json!({"action":"accept","content":{"name":"ann"}}));
    assert_eq!(waits(&world, 1), Some(vec![question(second)]));
    assert_eq!(waits(&world, 2).map(|waits| waits.len()), Some(1));
    world.restart();
    assert_eq!(waits(&world, 2).map(|waits| waits.len()), Some(1));
    assert_eq!(waits(&world, 1), Some(vec![question(second)]));
    world.link_opened("cart", 1, None);
    world.done(call, 1, json!({"content":[]}));
    assert_eq!(waits(&world, 1), None);
    assert_eq!(waits(&world, 2).map(|waits| waits.len()), Some(1));
}
