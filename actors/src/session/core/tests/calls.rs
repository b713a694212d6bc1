//! Requests and their answers.

use serde_json::json;

use super::fixture::{NEW, World};
use crate::session::core::{Answer, Effect, Input};

#[test]
fn a_json_answer_touches_no_disk_and_ids_come_back() {
    let mut world = World::new(NEW);
    world.running(1, "cart___add");
    for (id, raw) in [(7, json!(7)), (8, json!(8))] {
        let (call, out) = world.tool(id, "cart___add");
        assert!(!out.stores());
        let (owner, body) = out.sent().remove(0);
        assert_eq!(owner, call);
        assert_eq!(body["params"]["name"], "add");
        assert_eq!(body["params"]["_meta"]["progressToken"], body["id"]);
        assert_ne!(body["id"], raw);
        let out = world.done(call, 1, json!({"content":[]}));
        assert!(!out.stores());
        assert_eq!(out.answer(), json!({"jsonrpc":"2.0","id":raw,"result":{"content":[]}}));
        assert_eq!(out.outcome(), "ok");
    }
}

#[test]
fn a_call_without_a_token_sends_none() {
    let mut world = World::new(NEW);
    world.running(1, "cart___add");
    let (_, out) = world.request(2, "tools/call", json!({"name":"cart___add"}), true);
    assert_eq!(out.sent()[0].1["params"], json!({"name":"add"}));
}

#[test]
fn calls_wait_while_their_link_opens_and_only_one_is_opened() {
    let mut world = World::new(NEW);
    let (one, out) = world.tool(1, "cart___add");
    assert_eq!(out.opens().len(), 1);
    assert!(out.sent().is_empty());
    let (two, out) = world.tool(2, "cart___add");
    assert!(out.opens().is_empty() && out.sent().is_empty());
    let (gone, _) = world.tool(3, "cart___add");
    let out = world.notify("notifications/cancelled", json!({"requestId":3}));
    assert!(out.posts().is_empty(), "the target never heard of it");
    assert!(out.has(|effect| matches!(effect, Effect::Answer(call, Answer::Cancelled) if *call == gone)));
    let sent: Vec<_> = world.opened("cart", 1).sent().into_iter().map(|(call, _)| call).collect();
    assert_eq!(sent, [one, two]);
}

#[test]
fn several_calls_run_at_once_on_several_targets() {
    let mut world = World::new(NEW);
    let (a, a_id) = world.running(1, "cart___add");
    let (b, b_id) = world.running(2, "cart___add");
    let (c, _) = world.running(3, "mail___send");
    assert_ne!(a_id, b_id);
    world.progress("cart", b_id, None, 1.0);
    assert_eq!(world.done(c, 1, json!({})).answer()["id"], 3);
    assert_eq!(world.done(a, 1, json!({})).answer()["id"], 1);
    let out = world.done(b, 1, json!({"x":1}));
    assert_eq!(out.shown(), [json!({"jsonrpc":"2.0","id":2,"result":{"x":1}})]);
    assert!(out.has(|effect| matches!(effect, Effect::EndStream(_))));
}

#[test]
fn an_id_in_use_is_refused() {
    let mut world = World::new(NEW);
    let (first, _) = world.running(1, "cart___add");
    let (_, out) = world.tool(1, "cart___add");
    assert!(out.has(|effect| matches!(effect, Effect::Answer(_, Answer::Refused { status: 400, .. }))));
    assert_eq!(out.answer()["id"], 1);
    world.done(first, 1, json!({}));
    assert_eq!(world.tool(1, "cart___add").1.sent().len(), 1);
}

#[test]
fn a_cancelled_call_is_cancelled_at_its_target_and_its_late_answer_dropped() {
    let mut world = World::new(NEW);
    let (call, id) = world.running(1, "cart___add");
    assert!(world.notify("notifications/cancelled", json!({"requestId":9})).posts().is_empty());
    assert!(world.notify("notifications/cancelled", json!({})).posts().is_empty());
    let out = world.notify("notifications/cancelled", json!({"requestId":1,"reason":"no"}));
    let (target, _, body) = out.posts().remove(0);
    assert_eq!(&*target, "cart");
    assert_eq!(body["params"], json!({"requestId":id,"reason":"no"}));
    assert_eq!(out.outcome(), "cancelled");
    assert!(out.has(|effect| matches!(effect, Effect::Answer(_, Answer::Cancelled))));
    assert!(world.done(call, 1, json!({})).answers().is_empty());
}

#[test]
fn a_late_call_times_out_alone() {
    let mut world = World::new(NEW);
    let (_, id) = world.running(1, "cart___add");
    world.now += 30_000;
    let (other, _) = world.running(2, "cart___add");
    let at = world.core.next_deadline();
    let out = world.tick(at);
    assert_eq!(out.outcome(), "timed_out");
    let answer = out.answer();
    assert_eq!((&answer["id"], &answer["result"]["isError"]), (&json!(1), &json!(true)));
    assert_eq!(out.posts()[0].2["params"]["requestId"], id);
    assert!(world.core.next_deadline() > at);
    assert_eq!(world.done(other, 1, json!({})).answer()["id"], 2);
}

#[test]
fn what_the_gateway_answers_itself() {
    let mut world = World::new(NEW);
    let mut answer = |method: &str, params| world.request(5, method, params, true).1.answer();
    assert_eq!(answer("ping", json!({}))["result"], json!({}));
    assert_eq!(answer("nope", json!({}))["error"]["code"], -32601);
    assert_eq!(answer("tools/call", json!({"name":"cart___nope"}))["error"]["code"], -32602);
    assert_eq!(answer("tools/call", json!({}))["error"]["code"], -32602);
    assert_eq!(answer("resources/read", json!({"uri":"x://y"}))["error"]["code"], -32002);
    assert_eq!(answer("logging/setLevel", json!({"level":"loud"}))["error"]["code"], -32602);
    assert_eq!(answer("completion/complete", json!({"ref":{"type":"ref/tool"}}))["error"]["code"], -32602);
    assert!(world.core.calls.is_empty());
}

#[test]
fn a_call_whose_client_left_goes_on_without_a_stream() {
    let mut world = World::new(NEW);
    let (call, id) = world.running(1, "cart___add");
    let out = world.step(Input::ReplyGone(call));
    assert!(out.has(|effect| matches!(effect, Effect::Answer(_, Answer::Cancelled))), "the shell forgets the way back");
    assert!(world.progress("cart", id, Some("e1"), 1.0).frames().is_empty());
    let out = world.done(call, 1, json!({}));
    assert!(out.answers().is_empty() && !out.stores());
    assert_eq!(out.outcome(), "ok");
    assert!(world.core.is_quiet());
}
