//! The GET stream.

use std::time::Duration;

use serde_json::json;

use super::fixture::{NEW, OLD, World};
use crate::session::core::{Effect, Input};
use sessiongate_protocol::StreamId;
use sessiongate_targets::Listening;

fn changed(world: &mut World, uri: &str) -> super::fixture::Out {
    let update = json!({"method":"notifications/resources/updated","params":{"uri":uri}});
    world.says("cart", 1, None, None, update)
}

fn with_link(revision: sessiongate_protocol::Revision) -> World {
    let mut world = World::with(revision, |settings| settings.sessions.queued_notifications = 3);
    let (call, _) = world.running(1, "cart___add");
    world.done(call, 1, json!({}));
    world
}

#[test]
fn messages_wait_bounded_and_coalesced_for_the_get_stream() {
    let mut world = with_link(NEW);
    for uri in ["a", "b", "a", "c"] {
        assert!(!changed(&mut world, uri).reached("queued_notifications"));
    }
    assert!(changed(&mut world, "d").reached("queued_notifications"));
    let (conn, out) = world.attach(None);
    let uris: Vec<_> = out.shown().iter().map(|message| message["params"]["uri"].clone()).collect();
    assert_eq!(uris, ["a", "c", "d"]);
    assert!(
        matches!(&out.0.durable[0], Effect::Attached { conn: attached, after: 0, done: false, .. } if *attached == conn)
    );
    assert_eq!(out.frames()[0].1, 0, "priming comes first");
    assert!(out.has(|effect| matches!(effect, Effect::Listen { listening: Listening::On, .. })));
    assert_eq!(changed(&mut world, "e").shown().len(), 1);
}

#[test]
fn a_question_is_never_pushed_out_of_the_queue() {
    let mut world = with_link(NEW);
    world.asks("cart", None, None, 70);
    for uri in 0..9 {
        changed(&mut world, &uri.to_string());
    }
    let shown = world.attach(None).1.shown();
    assert_eq!(shown.iter().filter(|message| message["method"] == "elicitation/create").count(), 1);
    assert_eq!(shown.len(), 3);
}

#[test]
fn the_newest_get_takes_over() {
    let mut world = with_link(OLD);
    let (old, out) = world.attach(None);
    assert!(out.frames().is_empty(), "no priming event before 2025-11-25");
    changed(&mut world, "a");
    let first = world.core.standing().unwrap();
    let (_, out) = world.attach(None);
    let second = world.core.standing().unwrap();
    assert_ne!(first, second);
    let end = out.at(|effect| matches!(effect, Effect::EndStream(stream) if *stream == first));
    assert!(end < out.at(|effect| matches!(effect, Effect::Attached { .. })));
    world.step(Input::ConnClosed { stream: first, conn: old });
    assert_eq!(changed(&mut world, "b").frames()[0].0, second.0);
    let (_, out) = world.attach(Some(&format!("{}-1", first.0)));
    assert!(out.has(|effect| matches!(effect, Effect::Attached { done: true, after: 1, .. })), "it can still be read");
}

#[test]
fn a_lost_connection_comes_back_to_the_same_stream() {
    let mut world = with_link(NEW);
    let (conn, _) = world.attach(None);
    let stream = world.core.standing().unwrap();
    changed(&mut world, "a");
    let out = world.step(Input::ConnClosed { stream, conn });
    assert!(out.has(|effect| matches!(effect, Effect::Listen { listening: Listening::Off, .. })));
    assert!(changed(&mut world, "b").frames().is_empty());
    let (_, out) = world.attach(Some(&format!("{}-0", stream.0)));
    assert!(matches!(out.0.durable[0], Effect::Attached { after: 0, done: false, .. }));
    assert_eq!(out.frames()[0].1, 2, "what waited comes live, after what is replayed");
    let out = world.step(Input::ConnClosed { stream, conn });
    assert!(out.effects().next().is_none(), "the old connection's end means nothing now");
    assert_eq!(changed(&mut world, "c").shown().len(), 1);
}

#[test]
fn the_standing_stream_goes_on_after_a_restart_and_targets_are_heard_again() {
    let mut world = with_link(NEW);
    world.attach(None);
    let stream = world.core.standing().unwrap();
    changed(&mut world, "a");
    world.restart();
    assert_eq!(world.core.standing(), Some(stream));
    assert!(!world.core.streams.any_attached());
    let (_, out) = world.attach(Some(&format!("{}-1", stream.0)));
    assert!(out.has(|effect| matches!(effect, Effect::Attached { done: false, after: 1, .. })));
    let (_, generation) = out.opens().remove(0);
    let out = world.link_opened("cart", generation, None);
    assert!(out.has(|effect| matches!(effect, Effect::Listen { listening: Listening::On, .. })));
}

#[test]
fn stream_numbers_are_never_used_twice() {
    let mut world = World::new(NEW);
    let mut used = std::collections::BTreeSet::new();
    for round in 0..4 {
        for _ in 0..40 + round {
            world.attach(None);
            assert!(used.insert(world.core.standing().unwrap()));
        }
        world.restart();
    }
}

#[test]
fn without_streaming_nothing_waits() {
    let mut world = World::with(NEW, |settings| settings.sessions.streaming = false);
    let (call, id) = world.running(1, "cart___add");
    changed(&mut world, "a");
    assert!(world.core.queue.is_empty());
    let out = world.asks("cart", Some(id), None, 70);
    assert_eq!(out.posts()[0].2["error"]["code"], -32603);
    assert_eq!(world.done(call, 1, json!({})).answer()["id"], 1);
}

#[test]
fn an_idle_session_is_counted_from_the_end_of_its_stream() {
    let mut world = with_link(NEW);
    let (conn, _) = world.attach(None);
    let stream = world.core.standing().unwrap();
    // The timer of an earlier call fires meanwhile.
    let at = world.core.expires();
    world.now += 61_000;
    world.step(Input::Tick);
    assert_eq!(world.core.next_deadline(), at);
    world.now += 40 * 60_000;
    let out = world.step(Input::ConnClosed { stream, conn });
    assert!(out.has(|effect| matches!(effect, Effect::WakeAt(_))), "the shell sleeps until the end of the session");
    let passivate = world.settings.sessions.passivate_after;
    assert_eq!(world.core.next_deadline().0, world.now + u64::try_from(passivate.as_millis()).unwrap());
    assert!(passivate > Duration::ZERO && stream >= StreamId(0));
}
