//! Targets that fail.

use serde_json::json;
use sessiongate_targets::{LinkEvent, TargetError};

use super::fixture::{NEW, World, name};
use crate::session::core::{Effect, Generation, Input};

fn unknown() -> TargetError {
    TargetError::OutcomeUnknown { detail: "x".into() }
}

#[test]
fn a_forgotten_session_is_opened_again_and_the_call_sent_once_more() {
    let mut world = World::new(NEW);
    let (call, id) = world.running(1, "cart___add");
    let out = world.failed(call, 1, TargetError::SessionGone);
    assert!(out.answers().is_empty());
    let (target, generation) = out.opens().remove(0);
    assert!(generation > 1);
    let sent = world.opened(&target, generation).sent();
    assert_eq!((sent[0].0, &sent[0].1["id"]), (call, &json!(id)));
    let out = world.failed(call, generation, TargetError::SessionGone);
    assert!(out.opens().is_empty(), "once is enough");
    assert_eq!(out.outcome(), "session_gone");
}

#[test]
fn a_call_that_the_target_took_is_never_sent_again() {
    for event in [Some("e1"), None] {
        let mut world = World::new(NEW);
        let (call, id) = world.running(1, "cart___add");
        world.progress("cart", id, event, 1.0);
        let out = world.failed(call, 1, TargetError::SessionGone);
        assert!(out.opens().is_empty() && out.sent().is_empty());
        assert_eq!(out.outcome(), "outcome_unknown");
        assert_eq!(out.shown()[0]["result"]["_meta"]["sessiongate.dev/reason"], "outcome_unknown");
    }
}

#[test]
fn an_unknown_outcome_is_told_and_not_tried_again() {
    let mut world = World::new(NEW);
    let (call, _) = world.running(1, "cart___add");
    let out = world.failed(call, 1, unknown());
    assert!(out.sent().is_empty() && out.opens().is_empty());
    assert_eq!(out.answer()["result"]["isError"], true);
    let (_, out) = world.tool(2, "cart___add");
    assert_eq!(out.sent().len(), 1, "the link is still good");
}

#[test]
fn a_link_that_cannot_open_fails_only_what_waits_for_it() {
    let mut world = World::new(NEW);
    let (mail, _) = world.running(9, "mail___send");
    let (_, out) = world.tool(1, "cart___add");
    assert_eq!(out.opens().len(), 1);
    let (prompt, _) = world.request(2, "prompts/get", json!({"name":"cart___greet"}), true);
    let error = TargetError::Unreachable { detail: "secret address".into() };
    let stale = Input::LinkFailed { target: name("cart"), generation: Generation(0), error: error.clone() };
    assert!(world.step(stale).answers().is_empty());
    let out = world.step(Input::LinkFailed { target: name("cart"), generation: Generation(1), error });
    let mut answers = out.answers();
    answers.sort_by_key(|(call, _)| *call);
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0].1["result"]["isError"], true);
    assert_eq!(answers[1].0, prompt);
    assert_eq!(answers[1].1["error"]["data"]["reason"], "unreachable");
    assert!(!answers[1].1.to_string().contains("secret"));
    assert_eq!(world.done(mail, 1, json!({})).answer()["id"], 9);
    assert_eq!(world.tool(3, "cart___add").1.opens().len(), 1, "the next call tries again");
}

#[test]
fn calls_on_a_lost_link_end_on_their_own_and_do_not_fall_with_the_next() {
    let mut world = World::new(NEW);
    let (old, _) = world.running(1, "cart___add");
    let closed = LinkEvent::Closed { error: TargetError::SessionGone };
    let out = world.step(Input::Link { target: name("cart"), generation: Generation(1), event: closed });
    assert!(out.has(|effect| matches!(effect, Effect::CloseLink { goodbye: false, .. })));
    let (_, out) = world.tool(2, "cart___add");
    let (_, generation) = out.opens().remove(0);
    let error = TargetError::Unreachable { detail: String::new() };
    let failed = Input::LinkFailed { target: name("cart"), generation: Generation(generation), error };
    assert_eq!(world.step(failed).answer()["id"], 2);
    assert_eq!(world.failed(old, 1, unknown()).answer()["id"], 1);
}

#[test]
fn a_dead_link_is_not_used_again() {
    for error in [TargetError::Closed, TargetError::Process { detail: "ended".into() }] {
        let mut world = World::new(NEW);
        let (call, _) = world.running(1, "cart___add");
        assert_eq!(world.failed(call, 1, error).answer()["id"], 1);
        assert_eq!(world.tool(2, "cart___add").1.opens().len(), 1);
    }
}

#[test]
fn what_an_older_downstream_session_reports_is_dropped() {
    let mut world = World::new(NEW);
    let (call, id) = world.running(1, "cart___add");
    let (_, generation) = world.failed(call, 1, TargetError::SessionGone).opens().remove(0);
    world.opened("cart", generation);
    assert!(world.progress("cart", id, Some("e"), 1.0).effects().next().is_none());
    assert!(world.done(call, 1, json!({})).answers().is_empty());
    let out = world.opened("cart", 1);
    assert!(out.has(|effect| matches!(effect, Effect::CloseLink { goodbye: true, .. })));
    assert_eq!(world.done(call, generation, json!({})).answer()["id"], 1);
}

#[test]
fn a_replaced_target_ends_its_calls_and_its_link() {
    let mut world = World::new(NEW);
    world.running(1, "cart___add");
    let (mail, _) = world.running(2, "mail___send");
    let out = world.step(Input::TargetReplaced { target: name("cart") });
    assert_eq!(out.answer()["result"]["_meta"]["sessiongate.dev/reason"], "target_replaced");
    assert!(out.has(|effect| matches!(effect, Effect::CloseLink { goodbye: true, .. })));
    assert_eq!(world.tool(3, "cart___add").1.opens().len(), 1);
    assert_eq!(world.done(mail, 1, json!({})).answer()["id"], 2);
}

#[test]
fn a_late_message_of_an_ended_call_reaches_no_other_call() {
    let mut world = World::new(NEW);
    let (one, id) = world.running(1, "cart___add");
    world.running(2, "cart___add");
    world.done(one, 1, json!({}));
    let log = json!({"method":"notifications/message","params":{"level":"info","data":"late"}});
    assert!(world.says("cart", 1, Some(id), None, log.clone()).frames().is_empty());
    let out = world.asks("cart", Some(id), None, 70);
    assert!(out.frames().is_empty());
    assert_eq!(out.posts()[0].2["error"]["code"], -32603);
    assert_eq!(world.says("cart", 1, None, None, log).shown().len(), 1, "it can only belong to the call that runs");
}

#[test]
fn in_general_a_client_learns_what_it_means_for_its_call_and_nothing_else() {
    let mut world = World::with(NEW, |settings| settings.exceptions = crate::settings::ExceptionLevel::General);
    let mut references = std::collections::BTreeSet::new();
    for (id, error, known) in [
        (1, TargetError::Protocol { detail: "secret".into() }, true),
        (2, TargetError::Protocol { detail: "secret".into() }, true),
        (3, unknown(), false),
    ] {
        let call = if id == 1 { world.running(id, "cart___add").0 } else { world.tool(id, "cart___add").0 };
        let out = world.failed(call, 1, error.clone());
        assert_eq!(out.outcome(), error.code(), "the log and the metrics know");
        let result = &out.answer()["result"];
        let text = result["content"][0]["text"].as_str().unwrap();
        assert_eq!((&result["isError"], result.get("_meta")), (&json!(true), None));
        assert!(!text.contains("cart") && !text.contains("secret"), "{text}");
        assert_eq!(text.contains("not known"), !known, "{text}");
        references.insert(text[text.len() - 17..text.len() - 1].to_owned());
    }
    assert_eq!(references.len(), 3);
    let (call, _) = world.request(4, "prompts/get", json!({"name": "cart___greet"}), true);
    let error = world.failed(call, 1, unknown()).answer()["error"].clone();
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32603), &json!("internal_error")));
    assert_eq!(error["data"]["reference"].as_str().unwrap().len(), 16);
    // What is wrong with a request, and what a target says itself, is told.
    let unknown = world.tool(5, "cart___nothing").1.answer();
    assert!(unknown["error"]["message"].as_str().unwrap().contains("cart___nothing"));
    let (call, _) = world.tool(6, "cart___add");
    let own = world.ended(call, 1, json!({"error": {"code": -32001, "message": "its own"}})).answer();
    assert_eq!(own["error"], json!({"code": -32001, "message": "its own"}));
}
