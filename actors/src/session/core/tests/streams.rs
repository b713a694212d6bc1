//! Resumption, and the bounds of the event log.

use serde_json::json;
use sessiongate_protocol::StreamId;

use super::fixture::{NEW, World};
use crate::error::SessionError;
use crate::session::core::{ConnId, Effect, Input};
use crate::settings::EventLogBounds;

fn refused(out: &super::fixture::Out) -> Option<&SessionError> {
    out.effects().find_map(|effect| match effect {
        Effect::AttachRefused(_, error) => Some(error),
        _ => None,
    })
}

#[test]
fn a_call_is_taken_up_by_its_event_id_live_and_done() {
    let mut world = World::new(NEW);
    let (call, id) = world.running(1, "cart___add");
    let stream = world.progress("cart", id, None, 1.0).frames()[0].0;
    world.step(Input::ConnClosed { stream: StreamId(stream), conn: ConnId(call.0) });
    world.progress("cart", id, None, 2.0);
    let (conn, out) = world.attach(Some(&format!("{stream}-1")));
    let attached = |effect: &Effect, is_done: bool| matches!(effect, Effect::Attached { conn: c, after: 1, done, .. } if *c == conn && *done == is_done);
    assert!(out.has(|effect| attached(effect, false)));
    assert_eq!(world.progress("cart", id, None, 3.0).frames()[0].1, 3);
    world.done(call, 1, json!({}));
    world.step(Input::ConnClosed { stream: StreamId(stream), conn });
    let (_, out) = world.attach(Some(&format!("{stream}-1")));
    assert!(out.has(|effect| matches!(effect, Effect::Attached { after: 1, done: true, .. })));
    assert!(!world.core.streams.any_attached());
    assert_eq!(world.disk.messages(stream).len(), 4);
}

#[test]
fn a_second_reader_replaces_the_first() {
    let mut world = World::new(NEW);
    let (call, id) = world.running(1, "cart___add");
    let stream = world.progress("cart", id, None, 1.0).frames()[0].0;
    let (conn, out) = world.attach(Some(&format!("{stream}-1")));
    let close = out.at(|effect| matches!(effect, Effect::CloseConnection(_)));
    assert!(close < out.at(|effect| matches!(effect, Effect::Attached { .. })));
    world.step(Input::ConnClosed { stream: StreamId(stream), conn: ConnId(call.0) });
    assert!(world.core.streams.any_attached());
    world.step(Input::ConnClosed { stream: StreamId(stream), conn });
    assert!(!world.core.streams.any_attached());
}

#[test]
fn unknown_and_evicted_ids_are_told_apart() {
    let mut world = World::with(NEW, |settings| settings.sessions.events.count = 4);
    let (_, id) = world.running(1, "cart___add");
    let stream = world.progress("cart", id, None, 1.0).frames()[0].0;
    for value in 2..12 {
        world.progress("cart", id, None, f64::from(value));
    }
    let mut ask = |id: &str| refused(&world.attach(Some(id)).1).map(SessionError::code);
    assert_eq!(ask("99-0"), Some("unknown_event_id"));
    assert_eq!(ask(&format!("{stream}-99")), Some("unknown_event_id"));
    assert_eq!(ask(&format!("{stream}-{}", u64::MAX)), Some("unknown_event_id"));
    assert_eq!(ask(&format!("{stream}-1")), Some("evicted_event_id"));
    assert_eq!(ask(&format!("{stream}-11")), None);
}

#[test]
fn the_log_is_bounded_and_finished_streams_go_first() {
    let bounds = EventLogBounds { count: 6, bytes: 1 << 20, age: std::time::Duration::from_secs(1800) };
    let mut world = World::with(NEW, |settings| settings.sessions.events = bounds);
    let (call, id) = world.running(1, "cart___add");
    let finished = world.progress("cart", id, None, 1.0).frames()[0].0;
    world.done(call, 1, json!({}));
    world.step(Input::ConnClosed { stream: StreamId(finished), conn: ConnId(call.0) });
    let (_, id) = world.running(2, "cart___add");
    for value in 1..20 {
        world.progress("cart", id, None, f64::from(value));
        let kept: usize = world.disk.streams.values().map(std::collections::BTreeMap::len).sum();
        assert!(kept <= 6, "{kept}");
    }
    assert!(!world.disk.streams.contains_key(&finished));
    let out = world.attach(Some(&format!("{finished}-1"))).1;
    assert_eq!(refused(&out).map(SessionError::code), Some("evicted_event_id"));
}

#[test]
fn the_largest_stream_makes_room_for_the_others() {
    let mut world = World::with(NEW, |settings| settings.sessions.events.count = 20);
    let (_, big) = world.running(1, "cart___add");
    let (_, small) = world.running(2, "cart___add");
    for value in 1..40 {
        world.progress("cart", big, None, f64::from(value));
    }
    let stream = world.progress("cart", small, None, 1.0).frames()[0].0;
    for value in 2..6 {
        world.progress("cart", small, None, f64::from(value));
    }
    assert_eq!(world.disk.messages(stream).len(), 5);
}

#[test]
fn the_bounds_hold_by_bytes_too_and_after_a_restart() {
    let mut world = World::with(NEW, |settings| settings.sessions.events.bytes = 2000);
    let (_, id) = world.running(1, "cart___add");
    for value in 1..100 {
        if value == 50 {
            world.restart();
            let (_, id) = world.running(2, "cart___add");
            world.progress("cart", id, None, 1.0);
        }
        world.progress("cart", id, None, f64::from(value));
        let kept: usize = world.disk.streams.values().flat_map(|events| events.values()).map(|(_, f)| f.len()).sum();
        assert!(kept <= 2600, "{kept}");
    }
}

#[test]
fn old_finished_streams_go_with_time() {
    let mut world = World::new(NEW);
    let (call, id) = world.running(1, "cart___add");
    let stream = world.progress("cart", id, None, 1.0).frames()[0].0;
    world.done(call, 1, json!({}));
    world.step(Input::ConnClosed { stream: StreamId(stream), conn: ConnId(call.0) });
    world.now += 29 * 60_000;
    world.request(2, "ping", json!({}), true);
    assert!(world.disk.streams.contains_key(&stream));
    world.now += 2 * 60_000;
    world.step(Input::Tick);
    assert!(world.disk.streams.is_empty());
    assert!(world.core.streams.streams.is_empty());
}
