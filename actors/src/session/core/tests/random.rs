//! Anything, in any order: what must always hold, holds.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use sessiongate_protocol::StreamId;
use sessiongate_targets::{LinkEvent, TargetError};

use super::fixture::{NEW, OLD, Out, World, name};
use crate::session::core::{CallId, ConnId, Effect, Generation, Input, Record, Reply};

struct Run {
    world: World,
    /// Calls that went downstream, with their downstream ids and generations.
    sent: Vec<(CallId, i64, u32)>,
    opening: Vec<(String, u32)>,
    /// Connections that read, or did.
    readers: BTreeMap<StreamId, ConnId>,
    ids: i64,
}

impl Run {
    fn take(&mut self, out: &Out) {
        for effect in out.effects() {
            match effect {
                Effect::OpenLink { target, generation, .. } => self.opening.push((target.to_string(), generation.0)),
                Effect::Call { call, id, generation, .. } | Effect::Resume { call, id, generation, .. } => {
                    self.sent.push((*call, *id, generation.0));
                }
                Effect::Attached { conn, stream, .. } => drop(self.readers.insert(*stream, *conn)),
                Effect::Upgrade(call, stream) => drop(self.readers.insert(*stream, ConnId(call.0))),
                _ => {}
            }
        }
        out.frames();
        out.posts();
    }

    fn pick(&self, at: u8) -> Option<(CallId, i64, u32)> {
        (!self.sent.is_empty()).then(|| self.sent[usize::from(at) % self.sent.len()])
    }

    fn act(&mut self, kind: u8, at: u8) {
        let target = if at.is_multiple_of(2) { "cart" } else { "mail" };
        let picked = self.pick(at);
        self.ids += 1;
        let id = self.ids;
        let world = &mut self.world;
        let gone = TargetError::SessionGone;
        let event = format!("e{id}");
        let generation = world.core.links.get(target).map(|link| link.generation().0).unwrap_or_default();
        let out = match (kind % 17, picked) {
            (0 | 1, _) => world.tool(id, if target == "cart" { "cart___add" } else { "mail___send" }).1,
            (2 | 3, _) => match self.opening.pop() {
                Some((target, generation)) if at < 200 => world.opened(&target, generation),
                Some((target, generation)) => {
                    let error = TargetError::Unreachable { detail: String::new() };
                    world.step(Input::LinkFailed { target: name(&target), generation: Generation(generation), error })
                }
                None => return,
            },
            (4, Some((_, downstream, generation))) => {
                let params = json!({"progressToken": downstream, "progress": id});
                let progress = json!({"method":"notifications/progress","params":params});
                world.says(target, generation, Some(downstream), at.is_multiple_of(3).then_some(&*event), progress)
            }
            (5, Some((_, downstream, generation))) => {
                let ask = json!({"id":id,"method":"roots/list"});
                world.says(target, generation, at.is_multiple_of(5).then_some(downstream), Some(&event), ask)
            }
            (6, Some((call, _, generation))) => world.done(call, generation, json!({})),
            (7, Some((call, _, generation))) => world.failed(call, generation, gone),
            (8, _) => world.reply(i64::from(at), json!({"roots":[]})).1,
            (9, _) => {
                let result = if at < 128 { Ok(()) } else { Err(TargetError::Exhausted { what: "x", limit: 1 }) };
                world.step(Input::AnswerPosted { question: u64::from(at % 16), result })
            }
            (10, _) => world.attach(None).1,
            (11, _) => {
                let stream = StreamId(u32::from(at % 8));
                let conn = self.readers.get(&stream).copied().unwrap_or(ConnId(u64::from(at)));
                world.step(Input::ConnClosed { stream, conn })
            }
            (12, _) => world.attach(Some(&format!("{}-{}", at % 8, at / 8))).1,
            (13, _) => {
                let event = LinkEvent::Closed { error: gone };
                world.step(Input::Link { target: name(target), generation: Generation(generation), event })
            }
            (14, Some((call, ..))) => {
                world.step(if at < 128 { Input::ReplyGone(call) } else { Input::UpgradeDue(call) })
            }
            (16, _) => world.change(|settings| settings.sessions.streaming = !at.is_multiple_of(3)),
            (15, _) if at < 100 => {
                self.sent.clear();
                self.opening.clear();
                world.restart()
            }
            (15, _) => {
                let next = world.core.next_deadline();
                let out = world.tick(next);
                if !world.core.ended {
                    assert!(world.core.next_deadline().0 > world.now || out.stores(), "a hot loop");
                }
                out
            }
            _ => return,
        };
        self.take(&out);
    }

    fn check(&self) {
        let core = &self.world.core;
        let disk = &self.world.disk;
        if core.ended {
            return;
        }
        let of =
            |kind: u8| disk.items.keys().filter(|(known, _)| *known == kind).map(|(_, id)| *id).collect::<Vec<_>>();
        let mut streamed: Vec<u64> =
            core.calls.iter().filter(|(_, call)| matches!(call.reply, Reply::Stream(_))).map(|(id, _)| id.0).collect();
        streamed.sort_unstable();
        assert_eq!(of(1), streamed, "a call is stored while its answer is a stream");
        assert_eq!(of(2), core.questions.keys().copied().collect::<Vec<_>>(), "every question is stored");
        let record = Record::parse(disk.record.as_ref().unwrap()).unwrap();
        if let Some(end) = Record::calls_end(&disk.stored()) {
            assert!(record.wake_at.is_some_and(|wake_at| wake_at <= end), "a process that finds it looks in time");
        }
        for call in core.calls.values() {
            if let Reply::Stream(stream) = call.reply {
                assert!(core.streams.is_live(stream));
            }
        }
        let limit = self.world.settings.sessions.events.count;
        let kept: usize = disk.streams.values().map(std::collections::BTreeMap::len).sum();
        let streams = disk.streams.values().filter(|events| !events.is_empty()).count();
        assert!(kept as u64 <= limit.max(streams as u64), "{kept} events in {streams} streams");
        if !self.world.settings.sessions.streaming {
            assert!(core.queue.is_empty() && core.standing().is_none(), "there is no stream for it");
        }
        let waiting = core.queue.iter().filter(|queued| queued.question.is_some()).count();
        assert!(core.queue.len() <= 4 + waiting);
    }

    /// However often a question is put again: on one stream it is once.
    fn check_streams(&self) {
        for stream in self.world.disk.streams.keys() {
            let mut seen = std::collections::BTreeSet::new();
            let messages = self.world.disk.messages(*stream);
            for question in messages.iter().filter(|message| message["method"] == "roots/list") {
                assert!(seen.insert(question["id"].to_string()), "stream {stream}: {question}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(new in any::<bool>(), steps in prop::collection::vec((any::<u8>(), any::<u8>()), 1..120)) {
        let world = World::with(if new { NEW } else { OLD }, |settings| {
            settings.sessions.events.count = 30;
            settings.sessions.pending_questions = 6;
            settings.sessions.queued_notifications = 4;
            settings.sessions.calls_in_flight = 8;
            settings.sessions.open_streams = 6;
        });
        let mut run = Run { world, sent: Vec::new(), opening: Vec::new(), readers: BTreeMap::new(), ids: 0 };
        for (kind, at) in steps {
            run.act(kind, at);
            run.check();
            if run.world.core.ended {
                break;
            }
        }
        run.check_streams();
    }
}
