//! Every queue has a bound.

use serde_json::json;

use super::fixture::{NEW, World};
use crate::session::core::{Answer, Effect};

#[test]
fn calls_in_flight_are_bounded_and_ping_is_not() {
    let mut world = World::with(NEW, |settings| settings.sessions.calls_in_flight = 2);
    let (call, _) = world.running(1, "cart___add");
    world.running(2, "cart___add");
    let (_, out) = world.tool(3, "cart___add");
    assert!(out.reached("calls_in_flight"));
    assert!(out.has(|effect| matches!(effect, Effect::Answer(_, Answer::Refused { status: 429, .. }))));
    assert_eq!(world.request(4, "ping", json!({}), true).1.answer()["result"], json!({}));
    world.done(call, 1, json!({}));
    assert_eq!(world.tool(3, "cart___add").1.sent().len(), 1);
}

#[test]
fn open_streams_are_bounded_but_may_be_replaced() {
    let mut world = World::with(NEW, |settings| settings.sessions.open_streams = 1);
    let (_, id) = world.running(1, "cart___add");
    let stream = world.progress("cart", id, None, 1.0).frames()[0].0;
    let (_, out) = world.attach(None);
    assert!(out.reached("open_streams"));
    assert!(out.has(|effect| matches!(effect, Effect::AttachRefused(..))));
    let (_, out) = world.attach(Some(&format!("{stream}-1")));
    assert!(out.has(|effect| matches!(effect, Effect::Attached { .. })));
}

#[test]
fn pending_questions_are_bounded() {
    let mut world = World::with(NEW, |settings| settings.sessions.pending_questions = 2);
    let (_, id) = world.running(1, "cart___add");
    world.asks("cart", Some(id), None, 1);
    world.asks("cart", Some(id), None, 2);
    let out = world.asks("cart", Some(id), None, 3);
    assert!(out.reached("pending_questions"));
    assert_eq!(out.posts()[0].2["id"], 3);
    assert_eq!(out.posts()[0].2["error"]["code"], -32603);
}

#[test]
fn subscriptions_are_bounded() {
    let mut world = World::new(NEW);
    let (call, _) = world.running(9, "cart___add");
    world.done(call, 1, json!({}));
    for at in 0..256 {
        world.core.subscriptions.insert(format!("x://{at}").into(), "cart".into());
    }
    let (_, out) = world.request(1, "resources/subscribe", json!({"uri":"cart://one"}), true);
    assert!(out.reached("subscriptions"));
    assert!(out.answer()["error"].is_object());
}

#[test]
fn nothing_is_left_of_what_ended() {
    let mut world = World::new(NEW);
    for round in 0..300 {
        let (call, id) = world.running(round, "cart___add");
        if round % 3 == 0 {
            world.asks("cart", Some(id), None, round);
        }
        world.done(call, 1, json!({}));
    }
    assert!(world.core.calls.is_empty() && world.core.questions.is_empty() && world.core.queue.is_empty());
    assert!(world.core.links.values().all(|link| link.only_call().is_none() && link.newest_call().is_none()));
    assert!(world.disk.items.is_empty());
}
