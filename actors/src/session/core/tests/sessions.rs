//! The session as a whole: time, passivation, the end.

use std::time::Duration;

use serde_json::json;
use sessiongate_storage::Timestamp;

use super::fixture::{NEW, World};
use crate::session::core::{Answer, Effect, EndReason, Input};

fn stop(out: &super::fixture::Out) -> Option<Option<EndReason>> {
    out.effects().find_map(|effect| match effect {
        Effect::Stop { ended } => Some(*ended),
        _ => None,
    })
}

#[test]
fn delete_ends_everything() {
    let mut world = World::new(NEW);
    let (_, id) = world.running(1, "cart___add");
    world.asks("cart", Some(id), None, 70);
    world.running(2, "mail___send");
    world.attach(None);
    let out = world.step(Input::End(EndReason::Deleted));
    assert_eq!(stop(&out), Some(Some(EndReason::Deleted)));
    assert!(world.disk.deleted && world.disk.items.is_empty());
    assert_eq!(out.answers().len(), 1);
    let goodbyes = out.effects().filter(|effect| matches!(effect, Effect::CloseLink { goodbye: true, .. })).count();
    assert_eq!(goodbyes, 2);
    assert!(matches!(out.0.durable.last(), Some(Effect::Stop { .. })));
    let (_, out) = world.request(3, "ping", json!({}), true);
    assert!(out.has(|effect| matches!(effect, Effect::Answer(_, Answer::Refused { status: 404, .. }))));
    assert!(world.attach(None).1.has(|effect| matches!(effect, Effect::AttachRefused(..))));
    assert!(world.reply(1, json!({})).1.has(|effect| matches!(effect, Effect::Rejected(..))));
    assert!(!world.step(Input::Tick).stores());
}

#[test]
fn a_stored_downstream_session_is_taken_up_to_be_ended() {
    let mut world = World::new(NEW);
    let (call, _) = world.running(1, "cart___add");
    world.done(call, 1, json!({}));
    world.restart();
    let out = world.step(Input::End(EndReason::Administrator));
    assert_eq!(out.opens().len(), 1);
    assert!(out.has(|effect| matches!(effect, Effect::CloseLink { goodbye: true, .. })));
}

#[test]
fn a_quiet_session_leaves_memory_and_comes_back() {
    let mut world = World::new(NEW);
    let (call, _) = world.running(1, "cart___add");
    world.done(call, 1, json!({}));
    let at = world.core.next_deadline();
    assert!(stop(&world.tick(Timestamp(at.0 - 1))).is_none());
    let out = world.tick(at);
    assert!(stop(&out).is_none() && out.stores(), "the store counts the idle time from here on");
    let idle_end = at.0 - 60_000 + world.settings.sessions.idle_timeout.as_millis() as u64;
    assert_eq!(world.disk.expires, Timestamp(idle_end));
    let out = world.tick(at);
    assert_eq!(stop(&out), Some(None));
    assert!(!out.stores(), "no request can come in between");
    assert!(out.has(|effect| matches!(effect, Effect::CloseLink { goodbye: false, .. })));
    let out = world.restart();
    assert!(out.effects().next().is_none());
    assert!(out.stores() && world.disk.expires == world.core.expires(), "it has its own end again");
    let (call, out) = world.tool(2, "cart___add");
    assert!(out.has(|effect| matches!(effect, Effect::OpenLink { saved: Some(_), .. })));
    let (_, generation) = out.opens().remove(0);
    let sent = world.link_opened("cart", generation, None).sent();
    assert!(sent[0].1["id"].as_i64().unwrap() > 1_000_000, "above all ids of the earlier process");
    let out = world.done(call, generation, json!({}));
    assert!(!out.stores());
    assert_eq!(out.answer()["id"], 2);
}

#[test]
fn a_session_with_something_open_stays() {
    let mut world = World::new(NEW);
    let (call, id) = world.running(1, "cart___add");
    assert!(stop(&world.step(Input::Passivate)).is_none());
    world.asks("cart", None, None, 5);
    assert!(stop(&world.step(Input::Passivate)).is_none());
    world.done(call, 1, json!({}));
    assert_eq!(id, 1);
    let (_, _) = world.attach(None);
    assert!(stop(&world.step(Input::Passivate)).is_none());
}

#[test]
fn idle_and_expired_sessions_end() {
    let mut world = World::with(NEW, |settings| settings.sessions.passivate_after = Duration::from_secs(7200));
    let idle = world.core.next_deadline();
    assert_eq!(stop(&world.tick(idle)), Some(Some(EndReason::Idle)));
    let mut world = World::new(NEW);
    world.attach(None);
    let expires = world.core.expires();
    assert_eq!(world.core.next_deadline(), expires);
    assert_eq!(stop(&world.tick(expires)), Some(Some(EndReason::Expired)));
    assert!(world.disk.deleted);
}

#[test]
fn the_next_deadline_is_never_missed_and_never_a_hot_loop() {
    let mut world = World::with(NEW, |settings| settings.sessions.queued_notifications = 2);
    let (_, id) = world.running(1, "cart___add");
    world.asks("cart", Some(id), None, 70);
    world.running(2, "mail___send");
    let mut last = Timestamp(0);
    let mut ticks = 0;
    loop {
        let at = world.core.next_deadline();
        assert!(at > last || ticks == 0, "woken at {} for nothing", at.0);
        let out = world.tick(at);
        ticks += 1;
        assert!(ticks < 20);
        if stop(&out).is_some() {
            break;
        }
        last = Timestamp(world.now);
    }
}

#[test]
fn a_wake_up_is_asked_for_only_when_it_is_earlier() {
    let mut world = World::new(NEW);
    let (call, _) = world.running(1, "cart___add");
    world.done(call, 1, json!({}));
    let wakes = |out: &super::fixture::Out| out.effects().filter(|effect| matches!(effect, Effect::WakeAt(_))).count();
    let mut all = 0;
    for id in 2..20 {
        let (call, out) = world.tool(id, "cart___add");
        all += wakes(&out) + wakes(&world.done(call, 1, json!({})));
    }
    assert_eq!(all, 0);
}

#[test]
fn connections_are_closed_when_the_process_goes() {
    let mut world = World::new(NEW);
    let (_, id) = world.running(1, "cart___add");
    world.progress("cart", id, None, 1.0);
    world.attach(None);
    let out = world.step(Input::Disconnect);
    assert_eq!(out.effects().filter(|effect| matches!(effect, Effect::CloseConnection(_))).count(), 2);
}
