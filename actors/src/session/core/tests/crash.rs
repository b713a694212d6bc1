//! Killed at every point, and started again.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::fixture::{Disk, NEW, OLD, World};
use crate::session::core::{CallId, Input};

const RESULT: &str = "done";

/// Runs a call to its end from whatever a killed process left, and checks what the client and the target saw.
fn finish(revision: sessiongate_protocol::Revision, disk: &Disk, restarts: usize) {
    let mut world = World::new(revision);
    world.disk = disk.clone();
    let before: Vec<(u32, Vec<Value>)> = disk.streams.keys().map(|stream| (*stream, disk.messages(*stream))).collect();
    let stored = disk.stored();
    let calls: Vec<(u64, Value)> = stored
        .items
        .iter()
        .filter(|(kind, _, _)| kind.0 == 1)
        .map(|(_, id, value)| (*id, serde_json::from_slice(value).unwrap()))
        .collect();
    let questions: Vec<(u64, Value)> = stored
        .items
        .iter()
        .filter(|(kind, _, _)| kind.0 == 2)
        .map(|(_, id, value)| (*id, serde_json::from_slice(value).unwrap()))
        .collect();
    let mut out = world.restart();
    for _ in 1..restarts {
        // Killed again before the downstream session was taken up.
        world.request(99, "ping", json!({}), true);
        out = world.restart();
    }
    let mut posted = out.posts();
    let mut resumed = Vec::new();
    let mut generations = 0;
    if let Some((target, generation)) = out.opens().first().cloned() {
        generations = generation;
        let out = world.link_opened(&target, generation, None);
        posted.extend(out.posts());
        resumed = out.resumed();
        assert!(out.sent().is_empty(), "never sent again");
    }
    for (id, call) in &calls {
        let stream = u32::try_from(call["stream"].as_u64().unwrap()).unwrap();
        match call["last_event"].as_str() {
            Some(event) => {
                assert!(resumed.contains(&(CallId(*id), event.to_owned())));
                world.done(CallId(*id), generations, json!({"content":RESULT}));
                let messages = world.disk.messages(stream);
                assert_eq!(messages.last().unwrap()["result"]["content"], RESULT);
            }
            None => {
                let messages = world.disk.messages(stream);
                let last = messages.last().unwrap();
                assert_eq!(last["result"]["_meta"]["sessiongate.dev/reason"], "outcome_unknown");
            }
        }
        let messages = world.disk.messages(stream);
        assert_eq!(messages.iter().filter(|message| message.get("result").is_some()).count(), 1);
    }
    assert_eq!(resumed.len(), calls.iter().filter(|(_, call)| call["last_event"].is_string()).count());
    for (number, question) in &questions {
        if let Some(answer) = question["answer"].as_str() {
            let answer: Value = serde_json::from_str(answer).unwrap();
            assert!(posted.iter().any(|(_, asked, body)| *asked == Some(*number) && *body == answer));
            world.step(Input::AnswerPosted { question: *number, result: Ok(()) });
        }
    }
    for (stream, messages) in before {
        assert_eq!(world.disk.messages(stream)[..messages.len()], messages, "what was shown stays as it was");
    }
    assert!(world.disk.items.is_empty(), "{:?}", world.disk.items);
    assert!(world.core.calls.is_empty() && world.core.questions.is_empty());
}

#[test]
fn a_call_with_progress_is_killed_at_every_point() {
    for revision in [NEW, OLD] {
        for events in [true, false] {
            let mut world = World::new(revision);
            let (call, id) = world.running(1, "cart___add");
            for at in 1..4 {
                let event = format!("e{at}");
                world.progress("cart", id, events.then_some(event.as_str()), f64::from(at));
            }
            world.done(call, 1, json!({"content":RESULT}));
            assert!(world.history.len() > 4);
            for disk in &world.history {
                finish(revision, disk, 1);
                finish(revision, disk, 3);
            }
        }
    }
}

#[test]
fn a_call_with_a_question_is_killed_at_every_point() {
    for revision in [NEW, OLD] {
        for events in [true, false] {
            let mut world = World::new(revision);
            let (call, id) = world.running(1, "cart___add");
            world.progress("cart", id, events.then_some("e1"), 1.0);
            let out = world.asks("cart", Some(id), events.then_some("e2"), 70);
            let number = out.shown()[0]["id"].as_i64().unwrap();
            world.reply(number, json!({"action":"accept","content":{"name":"ann"}}));
            world.step(Input::AnswerPosted { question: number.try_into().unwrap(), result: Ok(()) });
            world.done(call, 1, json!({"content":RESULT}));
            for disk in &world.history {
                finish(revision, disk, 1);
                finish(revision, disk, 2);
            }
        }
    }
}

#[test]
fn a_question_keeps_its_id_over_a_restart_and_new_ones_get_new_ids() {
    let mut world = World::new(NEW);
    let (call, id) = world.running(1, "cart___add");
    let number = world.asks("cart", Some(id), Some("e1"), 70).shown()[0]["id"].as_i64().unwrap();
    let mut seen = BTreeSet::from([number]);
    let mut generation = 1;
    for round in 0..3 {
        let (_, opened) = world.restart().opens().remove(0);
        generation = opened;
        world.link_opened("cart", generation, None);
        assert_eq!(world.core.questions.keys().copied().map(u64::cast_signed).next(), Some(number));
        for q in 0..70 {
            let out = world.asks("cart", Some(id), Some("e2"), 1000 * (round + 1) + q);
            if let Some(question) = out.shown().first().filter(|message| message["method"] == "elicitation/create") {
                let next = question["id"].as_i64().unwrap();
                assert!(seen.insert(next), "{next} was used before");
                let (_, out) = world.reply(next, json!({"action":"decline"}));
                assert_eq!(out.posts().len(), 1);
                world.step(Input::AnswerPosted { question: next.try_into().unwrap(), result: Ok(()) });
            }
        }
    }
    let (_, out) = world.reply(number, json!({"action":"decline"}));
    assert_eq!(out.posts()[0].2["id"], 70);
    world.done(call, generation, json!({}));
}

#[test]
fn a_session_that_cannot_be_taken_up_ends_its_calls_and_questions() {
    let mut world = World::new(NEW);
    let (call, id) = world.running(1, "cart___add");
    let out = world.asks("cart", Some(id), Some("e1"), 70);
    let (stream, _, question) = out.frames().pop().unwrap();
    world.asks("cart", Some(id), Some("e2"), 71);
    world.reply(question["id"].as_i64().unwrap(), json!({"action":"decline"}));
    let (_, generation) = world.restart().opens().remove(0);
    let out = world.opened("cart", generation);
    assert!(out.posts().is_empty(), "a new session knows nothing of the old one's questions");
    assert!(out.resumed().is_empty() && out.sent().iter().all(|(sent, _)| *sent != call));
    let messages = world.disk.messages(stream);
    assert_eq!(messages.last().unwrap()["result"]["_meta"]["sessiongate.dev/reason"], "outcome_unknown");
    assert!(messages.iter().any(|message| message["method"] == "notifications/cancelled"));
    assert!(world.disk.items.is_empty());
}

#[test]
fn an_item_that_cannot_be_read_costs_only_itself() {
    let mut world = World::new(NEW);
    let (_, id) = world.running(1, "cart___add");
    world.asks("cart", Some(id), Some("e1"), 70);
    world.disk.items.insert((2, 5000), "garbage".into());
    world.disk.items.insert((9, 1), "garbage".into());
    world.restart();
    assert_eq!((world.core.calls.len(), world.core.questions.len()), (1, 1));
}
