//! Progress, and the answer that becomes a stream.

use serde_json::json;

use super::fixture::{NEW, OLD, World};
use crate::session::core::{Effect, Input};

#[test]
fn the_first_progress_makes_the_answer_a_stream() {
    for (revision, first) in [(NEW, 0), (OLD, 1)] {
        let mut world = World::new(revision);
        let (call, id) = world.running(1, "cart___add");
        let out = world.progress("cart", id, Some("e1"), 1.0);
        let frames = out.frames();
        assert_eq!(frames[0].1, first, "only the newest revision knows priming events");
        assert_eq!(frames[0].2.is_null(), first == 0);
        assert_eq!(frames.last().unwrap().2["params"], json!({"progressToken":"t1","progress":1.0}));
        let upgrade = out.at(|effect| matches!(effect, Effect::Upgrade(upgraded, _) if *upgraded == call));
        assert!(upgrade < out.at(|effect| matches!(effect, Effect::Frame { .. })));
        let out = world.done(call, 1, json!({"ok":1}));
        assert_eq!(out.shown()[0]["result"], json!({"ok":1}));
        let frame = out.at(|effect| matches!(effect, Effect::Frame { .. }));
        assert!(frame < out.at(|effect| matches!(effect, Effect::EndStream(_))));
        assert!(world.disk.items.is_empty());
    }
}

#[test]
fn progress_grows_and_belongs_to_the_call_of_its_token() {
    let mut world = World::new(NEW);
    let (_, a) = world.running(1, "cart___add");
    let (_, b) = world.running(2, "cart___add");
    let shown = |out: super::fixture::Out| -> Vec<_> {
        out.shown().iter().map(|message| message["params"]["progressToken"].clone()).collect()
    };
    assert_eq!(shown(world.progress("cart", a, None, 1.0)), ["t1"]);
    assert!(shown(world.progress("cart", a, None, 1.0)).is_empty());
    assert!(shown(world.progress("cart", a, None, 0.5)).is_empty());
    assert_eq!(shown(world.progress("cart", b, None, 0.5)), ["t2"]);
    assert_eq!(shown(world.progress("cart", a, None, 2.0)), ["t1"]);
    assert!(shown(world.progress("cart", 999, None, 3.0)).is_empty());
    assert!(shown(world.progress("mail", a, None, 3.0)).is_empty(), "a token of another target");
}

#[test]
fn progress_after_the_end_is_dropped() {
    let mut world = World::new(NEW);
    let (call, id) = world.running(1, "cart___add");
    world.done(call, 1, json!({}));
    let out = world.progress("cart", id, None, 1.0);
    assert!(out.effects().next().is_none());
}

#[test]
fn a_client_that_takes_json_only_gets_json() {
    let mut world = World::new(NEW);
    world.running(9, "cart___add");
    let params = json!({"name":"cart___add","_meta":{"progressToken":1}});
    let (call, out) = world.request(1, "tools/call", params, false);
    let id = out.sent()[0].1["id"].as_i64().unwrap();
    assert!(!world.progress("cart", id, Some("e"), 1.0).stores());
    assert!(world.step(Input::UpgradeDue(call)).frames().is_empty());
    assert_eq!(world.done(call, 1, json!({})).answer()["id"], 1);
}

#[test]
fn a_quiet_call_becomes_a_stream_when_it_is_due() {
    for revision in [NEW, OLD] {
        let mut world = World::new(revision);
        let (call, _) = world.running(1, "cart___add");
        let out = world.step(Input::UpgradeDue(call));
        assert!(out.has(|effect| matches!(effect, Effect::Upgrade(..))));
        assert!(world.step(Input::UpgradeDue(call)).frames().is_empty());
        assert_eq!(world.done(call, 1, json!({})).shown().len(), 1);
        assert!(!world.step(Input::UpgradeDue(call)).stores());
    }
}

#[test]
fn a_cancelled_stream_without_an_event_leaves_nothing() {
    let mut world = World::new(OLD);
    let (call, _) = world.running(1, "cart___add");
    world.step(Input::UpgradeDue(call));
    let out = world.notify("notifications/cancelled", json!({"requestId":1}));
    assert!(out.has(|effect| matches!(effect, Effect::EndStream(_))));
    assert!(!world.core.streams.any_attached());
    assert!(world.disk.items.is_empty() && world.disk.streams.is_empty());
}
