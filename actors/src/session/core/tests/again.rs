//! Questions that are put once more, because nobody reads the stream where they are.

use std::time::Duration;

use serde_json::{Value, json};
use sessiongate_protocol::StreamId;
use sessiongate_storage::Timestamp;

use super::fixture::{NEW, OLD, Out, World, target};
use crate::catalogue::Snapshot;
use crate::session::core::{CallId, ConnId, Input};

const GRACE: u64 = 10_000;

/// The question numbers that are shown, with their streams.
fn questions(out: &Out) -> Vec<(u32, Value)> {
    let frames = out.frames().into_iter().filter(|(_, _, message)| message["method"] == "elicitation/create");
    frames.map(|(stream, _, message)| (stream, message)).collect()
}

struct Asked {
    world: World,
    call: CallId,
    stream: u32,
    question: Value,
}

/// A call that asked something.
fn asked(revision: sessiongate_protocol::Revision) -> Asked {
    let mut world = World::new(revision);
    let mut cart = target("cart", &["add"]);
    cart.settings.call_timeout = Duration::from_secs(3600);
    world.catalogue = Snapshot::build(&world.settings, vec![cart]);
    let (call, id) = world.running(1, "cart___add");
    let (stream, question) = questions(&world.asks("cart", Some(id), Some("e1"), 70)).remove(0);
    Asked { world, call, stream, question }
}

impl Asked {
    /// The call's connection is lost.
    fn lose(&mut self) {
        self.world.step(Input::ConnClosed { stream: StreamId(self.stream), conn: ConnId(self.call.0) });
    }

    fn later(&mut self, millis: u64) {
        self.world.now += millis;
    }

    fn answered_once(&mut self) {
        let number = self.question["id"].as_i64().unwrap();
        let answer = json!({"action": "accept", "content": {"name": "ann"}});
        let (_, out) = self.world.reply(number, answer.clone());
        let taken_up = out.opens().first().cloned();
        let mut posts = out.posts();
        if let Some((target, generation)) = taken_up {
            posts.extend(self.world.link_opened(&target, generation, None).posts());
        }
        assert_eq!(posts.len(), 1);
        assert_eq!((&posts[0].2["id"], &posts[0].2["result"]), (&json!(70), &answer));
        assert!(self.world.reply(number, answer).1.posts().is_empty(), "taken once");
    }
}

#[test]
fn a_fresh_get_stream_gets_what_nobody_reads() {
    for revision in [NEW, OLD] {
        let mut asked = asked(revision);
        asked.lose();
        asked.later(GRACE);
        let shown = questions(&asked.world.attach(None).1);
        assert_eq!(shown.len(), 1);
        assert_ne!(shown[0].0, asked.stream);
        assert_eq!(shown[0].1, asked.question, "the same, under the same id");
        // Not again on this stream.
        asked.later(10 * GRACE);
        assert!(questions(&asked.world.tick(Timestamp(asked.world.now))).is_empty());
        asked.answered_once();
    }
}

#[test]
fn within_the_grace_time_it_waits_for_the_resumption() {
    let mut asked = asked(NEW);
    asked.lose();
    asked.later(3_000);
    assert!(questions(&asked.world.attach(None).1).is_empty());
    // The client comes back to its call: it found the question in the log.
    asked.later(3_000);
    asked.world.attach(Some(&format!("{}-1", asked.stream)));
    asked.later(10 * GRACE);
    let next = asked.world.core.next_deadline();
    assert!(next.0 > asked.world.now && questions(&asked.world.tick(Timestamp(asked.world.now))).is_empty());
    asked.answered_once();
}

#[test]
fn the_grace_time_ends_while_the_get_stream_is_open() {
    let mut asked = asked(NEW);
    asked.world.attach(None);
    let lost_at = asked.world.now + 1000;
    asked.later(1000);
    asked.lose();
    assert_eq!(asked.world.core.next_deadline(), Timestamp(lost_at + GRACE));
    assert!(questions(&asked.world.tick(Timestamp(lost_at + GRACE - 1))).is_empty());
    assert_eq!(questions(&asked.world.tick(Timestamp(lost_at + GRACE))).len(), 1);
    asked.answered_once();
}

#[test]
fn each_fresh_get_stream_gets_it_once() {
    let mut asked = asked(NEW);
    asked.lose();
    asked.later(GRACE);
    for _ in 0..3 {
        let (conn, out) = asked.world.attach(None);
        assert_eq!(questions(&out).len(), 1);
        let stream = asked.world.core.standing().unwrap();
        asked.later(1000);
        asked.world.step(Input::ConnClosed { stream, conn });
        asked.later(GRACE);
    }
    // Taken over while it is read: its reader may come back to the rest, and gets the time for it.
    asked.world.attach(None);
    let first = asked.world.core.standing().unwrap();
    assert!(questions(&asked.world.attach(None).1).is_empty());
    asked.later(1000);
    asked.world.attach(Some(&format!("{}-0", first.0)));
    asked.later(10 * GRACE);
    assert!(questions(&asked.world.tick(Timestamp(asked.world.now))).is_empty(), "it was read there");
    // But the next process of the client never saw it.
    assert!(questions(&asked.world.attach(None).1).is_empty());
    let next = asked.world.core.next_deadline();
    assert_eq!(questions(&asked.world.tick(next)).len(), 1);
    asked.answered_once();
}

#[test]
fn who_resumes_one_stream_gets_time_for_the_others() {
    let mut asked = asked(NEW);
    let (conn, _) = asked.world.attach(None);
    let standing = asked.world.core.standing().unwrap();
    asked.world.step(Input::ConnClosed { stream: standing, conn });
    asked.lose();
    // A laptop that slept.
    asked.later(20 * GRACE);
    assert!(questions(&asked.world.attach(Some(&format!("{}-0", standing.0))).1).is_empty());
    asked.later(100);
    asked.world.attach(Some(&format!("{}-1", asked.stream)));
    asked.later(5 * GRACE);
    assert!(questions(&asked.world.tick(Timestamp(asked.world.now))).is_empty());
}

#[test]
fn after_a_restart_the_grace_time_counts_from_the_load() {
    for revision in [NEW, OLD] {
        let mut asked = asked(revision);
        asked.later(100 * 1000);
        asked.world.restart();
        let loaded = asked.world.now;
        asked.world.link_opened("cart", 1, None);
        let (_, out) = asked.world.attach(None);
        assert!(questions(&out).is_empty());
        let next = asked.world.core.next_deadline();
        assert_eq!(next, Timestamp(loaded + GRACE));
        let shown = questions(&asked.world.tick(next));
        assert_eq!((shown.len(), &shown[0].1), (1, &asked.question));
        // Killed again: the GET stream is resumed, and the question is on it.
        let standing = asked.world.core.standing().unwrap();
        asked.world.restart();
        asked.world.link_opened("cart", 1, None);
        asked.later(5 * GRACE);
        let out = asked.world.attach(Some(&format!("{}-1", standing.0))).1;
        assert!(questions(&out).is_empty());
        asked.later(5 * GRACE);
        assert!(questions(&asked.world.tick(Timestamp(asked.world.now))).is_empty());
        let there = asked.world.disk.messages(standing.0);
        assert_eq!(there.iter().filter(|message| **message == asked.question).count(), 1);
        asked.answered_once();
    }
}

#[test]
fn what_was_answered_or_withdrawn_is_not_asked_again() {
    for how in ["answered", "withdrawn", "ended"] {
        let mut asked = asked(NEW);
        asked.lose();
        match how {
            "answered" => asked.answered_once(),
            "withdrawn" => {
                let cancel = json!({"method": "notifications/cancelled", "params": {"requestId": 70}});
                asked.world.says("cart", 1, None, None, cancel);
            }
            _ => drop(asked.world.done(asked.call, 1, json!({}))),
        }
        asked.later(GRACE);
        assert!(questions(&asked.world.attach(None).1).is_empty(), "{how}");
    }
}

#[test]
fn a_withdrawal_follows_the_question_and_the_answer_stays_on_its_call() {
    let mut asked = asked(NEW);
    asked.lose();
    asked.later(GRACE);
    let standing = questions(&asked.world.attach(None).1)[0].0;
    let out = asked.world.done(asked.call, 1, json!({"ok": 1}));
    let frames = out.frames();
    let of = |wanted: u32| frames.iter().filter(move |(stream, ..)| *stream == wanted).map(|(.., message)| message);
    assert!(of(standing).any(|message| message["params"]["requestId"] == asked.question["id"]));
    assert!(of(asked.stream).any(|message| message["result"]["ok"] == 1));
}

#[test]
fn a_very_large_question_is_not_kept() {
    let mut asked = asked(NEW);
    let params = json!({"messages": ["x".repeat(300 << 10)], "maxTokens": 1});
    let ask = json!({"id": 71, "method": "sampling/createMessage", "params": params});
    asked.world.says("cart", 1, Some(1), Some("e2"), ask);
    let kept: Vec<bool> = asked.world.core.questions.values().map(|question| question.message.is_some()).collect();
    assert_eq!(kept, [true, false]);
    asked.lose();
    asked.later(GRACE);
    assert_eq!(asked.world.attach(None).1.shown().len(), 1);
}

#[test]
fn a_stored_question_from_before_is_still_answered() {
    let mut asked = asked(NEW);
    for ((kind, _), value) in &mut asked.world.disk.items {
        if *kind == 2 {
            let mut question: Value = serde_json::from_slice(value).unwrap();
            question.as_object_mut().unwrap().remove("message").unwrap();
            *value = question.to_string().into();
        }
    }
    asked.world.restart();
    asked.world.link_opened("cart", 1, None);
    asked.world.attach(None);
    asked.later(5 * GRACE);
    assert!(questions(&asked.world.tick(Timestamp(asked.world.now))).is_empty(), "its text is not known");
    asked.answered_once();
}
