//! What one side tells the other without asking: levels, log messages, roots, updates.

use serde_json::{Value, json};
use sessiongate_protocol::modern::envelope::LogLevel;
use sessiongate_protocol::{RawJson, Request, RequestId};
use sessiongate_targets::{LinkEvent, Listening, TargetError};

use super::fixture::{NEW, World, name};
use crate::session::core::{CallId, Effect, Generation, Input};

fn log(level: &str) -> Value {
    json!({"method":"notifications/message","params":{"level":level,"logger":"db","data":1}})
}

#[test]
fn a_level_reaches_open_and_later_targets_and_filters_here_too() {
    let mut world = World::new(NEW);
    let (_, id) = world.running(1, "cart___add");
    let (_, out) = world.request(2, "logging/setLevel", json!({"level":"warning"}), true);
    assert_eq!(out.sent()[0].1["params"], json!({"level":"warning"}));
    assert!(out.0.now.iter().all(|effect| !matches!(effect, Effect::Answer(..))), "stored before it is confirmed");
    let (_, out) = world.tool(3, "mail___send");
    assert_eq!(out.opens().len(), 1);
    let sent = world.opened("mail", 1).sent();
    assert_eq!(sent[0].1["method"], "logging/setLevel");
    assert!(world.says("cart", 1, Some(id), None, log("notice")).frames().is_empty());
    let out = world.says("cart", 1, Some(id), None, log("error"));
    assert_eq!(out.shown()[0]["params"]["logger"], "cart/db");
    world.restart();
    assert_eq!(world.core.log_level.as_deref(), Some("warning"));
}

/// A request of a modern client with a level of its own.
fn asks_at(world: &mut World, id: i64, tool: &str, level: Option<LogLevel>) -> (CallId, Vec<Value>) {
    let call = world.id();
    let params = RawJson::from_serialize(&json!({"name": tool, "arguments": {}})).unwrap();
    let request = Request { id: RequestId::integer(id), method: "tools/call".into(), params: Some(params) };
    let out = world.step(Input::Request { call, request, sse: true, log_level: level });
    let set = out.sent().into_iter().filter(|(_, body)| body["method"] == "logging/setLevel");
    (call, set.map(|(_, body)| body["params"]["level"].clone()).collect())
}

#[test]
fn the_level_of_a_conversation_follows_its_requests() {
    let mut world = World::conversation();
    let none: Vec<Value> = Vec::new();
    let (first, set) = asks_at(&mut world, 1, "cart___add", None);
    assert_eq!(set, none);
    world.opened("cart", 1);
    world.done(first, 1, json!({}));
    let (loud, set) = asks_at(&mut world, 2, "cart___add", Some(LogLevel::Debug));
    assert_eq!(set, ["debug"]);
    let (quiet, set) = asks_at(&mut world, 3, "cart___add", Some(LogLevel::Error));
    assert_eq!(set, none, "one that runs wants more");
    let (deaf, _) = asks_at(&mut world, 4, "cart___add", None);
    let id = |world: &World, call| world.core.calls[&call].downstream_id;
    for (call, heard) in [(loud, 1), (quiet, 0), (deaf, 0)] {
        let at = id(&world, call);
        let out = world.says("cart", 1, Some(at), Some("e"), log("info"));
        let logged = out.shown().into_iter().filter(|message| message["method"] == "notifications/message");
        assert_eq!(logged.count(), heard);
    }
    // It stays what it was over a restart.
    world.step(Input::UpgradeDue(loud));
    world.restart();
    assert_eq!(world.core.calls[&loud].log_level, Some(LogLevel::Debug));
    world.link_opened("cart", 1, None);
    world.done(loud, 1, json!({}));
    let (_, set) = asks_at(&mut world, 5, "cart___add", None);
    assert_eq!(set, ["emergency"], "nobody listens any more");
    let (_, set) = asks_at(&mut world, 6, "cart___add", None);
    assert_eq!(set, none);
    let (_, set) = asks_at(&mut world, 7, "cart___add", Some(LogLevel::Warning));
    assert_eq!(set, ["warning"]);
}

#[test]
fn changed_roots_reach_every_open_target_of_a_client_that_has_roots() {
    let mut world = World::new(NEW);
    world.running(1, "cart___add");
    world.running(2, "mail___send");
    let posts = world.notify("notifications/roots/list_changed", json!({})).posts();
    let targets: Vec<_> = posts.iter().map(|(target, _, _)| &**target).collect();
    assert_eq!(targets, ["cart", "mail"]);
    let mut without = World::build(NEW, &json!({}), |_| {});
    without.running(1, "cart___add");
    assert!(without.notify("notifications/roots/list_changed", json!({})).posts().is_empty());
}

#[test]
fn subscriptions_are_kept_heard_and_made_again() {
    let mut world = World::new(NEW);
    let (one, _) = world.running(9, "cart___add");
    world.done(one, 1, json!({}));
    let (call, out) = world.request(1, "resources/subscribe", json!({"uri":"cart://one"}), true);
    assert_eq!(out.sent().len(), 1);
    let out = world.done(call, 1, json!({}));
    assert!(out.has(|effect| matches!(effect, Effect::Listen { listening: Listening::On, .. })));
    assert!(out.stores());
    assert!(out.0.durable.iter().any(|effect| matches!(effect, Effect::Answer(..))));
    for _ in 0..3 {
        let update = json!({"method":"notifications/resources/updated","params":{"uri":"cart://one"}});
        world.says("cart", 1, None, None, update);
    }
    assert_eq!(world.core.queue.len(), 1, "one update of a resource is enough");
    assert!(!world.core.is_quiet());
    let lost = LinkEvent::Closed { error: TargetError::SessionGone };
    let out = world.step(Input::Link { target: name("cart"), generation: Generation(1), event: lost });
    assert!(out.opens().is_empty(), "never in a hot loop");
    let out = world.tick(world.core.next_deadline());
    let (_, generation) = out.opens().remove(0);
    let out = world.opened("cart", generation);
    assert_eq!(out.sent()[0].1["method"], "resources/subscribe");
    let out = world.restart();
    assert_eq!(out.opens().len(), 1, "heard again without a call");
    let (_, generation) = out.opens().remove(0);
    let out = world.link_opened("cart", generation, None);
    assert!(out.has(|effect| matches!(effect, Effect::Listen { listening: Listening::On, .. })));
    let (call, _) = world.request(2, "resources/unsubscribe", json!({"uri":"cart://one"}), true);
    let out = world.done(call, generation, json!({}));
    assert!(out.has(|effect| matches!(effect, Effect::Listen { listening: Listening::Off, .. })));
}

#[test]
fn a_target_that_never_stays_is_opened_ever_less_often() {
    let mut world = World::new(NEW);
    let (call, out) = world.request(1, "resources/subscribe", json!({"uri":"cart://one"}), true);
    let (_, mut generation) = out.opens().remove(0);
    world.opened("cart", generation);
    world.done(call, generation, json!({}));
    let mut last = 0;
    for _ in 0..8 {
        let event = LinkEvent::Closed { error: TargetError::SessionGone };
        world.step(Input::Link { target: name("cart"), generation: Generation(generation), event });
        let at = world.core.next_deadline();
        let wait = at.0 - world.now;
        assert!(wait >= last && wait >= 1000, "{wait}");
        last = wait;
        (_, generation) = world.tick(at).opens().remove(0);
        world.opened("cart", generation);
    }
    assert_eq!(last, 60_000);
}

#[test]
fn what_is_related_to_the_only_call_goes_on_its_stream() {
    let mut world = World::new(NEW);
    let (_, id) = world.running(1, "cart___add");
    assert_eq!(world.says("cart", 1, None, None, log("info")).shown().len(), 1);
    world.running(2, "cart___add");
    assert!(world.says("cart", 1, None, None, log("info")).frames().is_empty(), "nobody knows whose it is");
    assert_eq!(world.says("cart", 1, Some(id), None, log("info")).shown().len(), 1);
    assert_eq!(world.core.queue.len(), 1);
}
