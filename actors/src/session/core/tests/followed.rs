//! The settings of the gateway change under a session.

use serde_json::json;
use sessiongate_targets::Listening;

use super::fixture::{NEW, Out, World};
use crate::exception::ExceptionLevel;
use crate::session::core::{CallId, ConnId, Effect, Input};
use sessiongate_targets::TargetError;

fn streaming(world: &mut World, on: bool) -> Out {
    world.change(|settings| settings.sessions.streaming = on)
}

fn refused(out: &Out) -> Option<u16> {
    out.effects().find_map(|effect| match effect {
        Effect::AttachRefused(_, error) => Some(error.status()),
        _ => None,
    })
}

fn listens(out: &Out) -> Vec<bool> {
    let on = |effect: &Effect| match effect {
        Effect::Listen { listening, .. } => Some(*listening == Listening::On),
        _ => None,
    };
    out.effects().filter_map(on).collect()
}

/// Without a progress token, and so with an answer in JSON unless something else happens.
fn plain(world: &mut World, id: i64, sse: bool) -> (CallId, i64, Out) {
    let (call, mut out) = world.request(id, "tools/call", json!({"name": "cart___add"}), sse);
    if let Some((target, generation)) = out.opens().first().cloned() {
        out = world.opened(&target, generation);
    }
    let body = out.sent().iter().find(|(owner, _)| *owner == call).unwrap().1.clone();
    (call, body["id"].as_i64().unwrap(), out)
}

#[test]
fn failures_are_told_as_the_settings_say_now() {
    for mut world in [World::new(NEW), World::conversation()] {
        for (id, level, general) in
            [(1, ExceptionLevel::Debug, false), (2, ExceptionLevel::General, true), (3, ExceptionLevel::Debug, false)]
        {
            world.change(|settings| settings.exceptions = level);
            let (call, _) = world.running(id, "cart___add");
            let answer = world.failed(call, 1, TargetError::Protocol { detail: "x".into() }).answer();
            assert_eq!(answer.to_string().contains("target `cart`"), !general, "{answer}");
        }
    }
}

#[test]
fn answers_are_streams_as_the_settings_say_now() {
    let mut world = World::with(NEW, |settings| settings.sessions.streaming = false);
    for (id, on) in [(1, false), (2, true), (3, false)] {
        streaming(&mut world, on);
        let (call, down) = world.running(id, "cart___add");
        assert_eq!(!world.progress("cart", down, None, 1.0).shown().is_empty(), on);
        let out = world.done(call, 1, json!({}));
        assert_eq!(out.answers().len(), usize::from(!on));
        assert_eq!(refused(&world.attach(None).1), (!on).then_some(405));
    }
    // A call that was to be a stream when it came is none any more.
    streaming(&mut world, true);
    let (call, down) = world.running(4, "cart___add");
    streaming(&mut world, false);
    assert!(world.progress("cart", down, None, 1.0).shown().is_empty());
    assert_eq!(world.done(call, 1, json!({})).answer()["id"], 4);
    // Those of modern clients are, whatever their gateway says: their door makes one answer of it.
    let mut world = World::conversation();
    streaming(&mut world, false);
    let (_, down) = world.running(1, "cart___add");
    assert!(!world.progress("cart", down, None, 1.0).shown().is_empty());
}

#[test]
fn without_streaming_the_standing_stream_ends_and_those_of_calls_go_on() {
    let mut world = World::new(NEW);
    let (call, down) = world.running(1, "cart___add");
    world.progress("cart", down, Some("e1"), 1.0);
    let (conn, _) = world.attach(None);
    let standing = world.core.standing().unwrap();
    world.says("cart", 1, None, None, json!({"method":"notifications/resources/updated","params":{"uri":"a"}}));
    world.says("cart", 1, None, None, json!({"method":"notifications/resources/updated","params":{"uri":"b"}}));
    let out = streaming(&mut world, false);
    let close = out.at(|effect| matches!(effect, Effect::CloseConnection(stream) if *stream == standing));
    assert!(close < out.at(|effect| matches!(effect, Effect::EndStream(stream) if *stream == standing)));
    assert_eq!(listens(&out), [false], "nothing that the target says there has a way to the client");
    assert!(streaming(&mut world, false).effects().next().is_none(), "once");
    world.step(Input::ConnClosed { stream: standing, conn });
    // What was missed can be had, and then there is no more.
    let (_, out) = world.attach(Some(&format!("{}-1", standing.0)));
    assert!(out.has(|effect| matches!(effect, Effect::Attached { done: true, after: 1, .. })));
    for after in [format!("{}-2", standing.0), "77-1".into()] {
        assert_eq!(refused(&world.attach(Some(&after)).1), Some(405), "{after}");
    }
    // The call, on its own connection and on another one.
    assert_eq!(world.progress("cart", down, None, 2.0).shown().len(), 1);
    let stream = sessiongate_protocol::StreamId(0);
    world.step(Input::ConnClosed { stream, conn: ConnId(call.0) });
    let (_, out) = world.attach(Some("0-1"));
    assert!(out.has(|effect| matches!(effect, Effect::Attached { done: false, after: 1, .. })), "{:?}", out.0);
    assert_eq!(world.done(call, 1, json!({})).shown()[0]["id"], 1);
    assert!(streaming(&mut world, true).effects().next().is_none());
    assert!(refused(&world.attach(None).1).is_none());
}

#[test]
fn a_question_that_waits_for_a_stream_is_refused_when_there_will_be_none() {
    for restarted in [false, true] {
        let mut world = World::new(NEW);
        let (call, _) = world.running(1, "cart___add");
        world.done(call, 1, json!({}));
        world.asks("cart", None, None, 70);
        assert_eq!(world.core.pending_questions(), 1);
        let mut out = if restarted {
            std::sync::Arc::make_mut(&mut world.settings).sessions.streaming = false;
            world.restart()
        } else {
            streaming(&mut world, false)
        };
        if let Some((target, generation)) = out.opens().first().cloned() {
            out = world.link_opened(&target, generation, None);
        }
        assert_eq!(world.core.pending_questions(), 0);
        assert!(world.core.queue.is_empty());
        if !restarted {
            let (_, question, body) = out.posts().remove(0);
            assert_eq!((question, &body["id"], &body["error"]["code"]), (None, &json!(70), &json!(-32603)));
        }
    }
}

#[test]
fn a_target_is_told_what_its_client_can_be_asked() {
    let hello = |out: &Out| {
        let found = out.effects().find_map(|effect| match effect {
            Effect::OpenLink { hello, .. } => Some(hello.capabilities.as_str().to_owned()),
            _ => None,
        });
        found.unwrap()
    };
    let can = json!({"elicitation":{},"sampling":{},"roots":{},"extensions":{"io.modelcontextprotocol/ui":{}}});
    let mut world = World::build(NEW, &can, |settings| settings.sessions.streaming = false);
    assert_eq!(hello(&world.tool(1, "cart___add").1), r#"{"extensions":{"io.modelcontextprotocol/ui":{}}}"#);
    streaming(&mut world, true);
    let said = hello(&world.tool(2, "mail___send").1);
    assert!(said.contains("elicitation") && said.contains("sampling") && said.contains("roots"), "{said}");
}

#[test]
fn changes_that_nobody_can_be_told_of_are_not_subscribed_to() {
    let mut world = World::with(NEW, |settings| settings.sessions.streaming = false);
    let (_, out) = world.request(1, "resources/subscribe", json!({"uri": "cart://one"}), true);
    assert_eq!(out.answer()["error"]["code"], -32601);
    streaming(&mut world, true);
    assert_eq!(world.request(2, "resources/subscribe", json!({"uri": "cart://one"}), true).1.opens().len(), 1);
}

#[test]
fn who_takes_json_only_and_has_no_stream_is_asked_nothing() {
    let mut world = World::new(NEW);
    let (_, down, _) = plain(&mut world, 1, false);
    let (_, _, body) = world.asks("cart", Some(down), None, 70).posts().remove(0);
    assert_eq!((&body["id"], &body["error"]["code"]), (&json!(70), &json!(-32603)));
    world.attach(None);
    assert_eq!(world.asks("cart", Some(down), None, 71).shown()[0]["method"], "elicitation/create");
}
