//! Resources that only results mention.

use serde_json::{Value, json};

use super::fixture::{NEW, World, raw, target};
use crate::catalogue::Snapshot;
use crate::session::core::Input;

/// Reads or subscribes; the target that is asked, or the error.
fn owner(world: &mut World, method: &str, uri: &str) -> Result<String, i64> {
    let (call, out) = world.request(900, method, json!({"uri": uri}), true);
    let found = match out.answers().into_iter().next() {
        Some((_, answer)) => Err(answer["error"]["code"].as_i64().unwrap()),
        None => Ok(world.core.calls[&call].target.to_string()),
    };
    world.notify("notifications/cancelled", json!({"requestId": 900}));
    found
}

fn read(world: &mut World, uri: &str) -> Result<String, i64> {
    owner(world, "resources/read", uri)
}

const NOT_FOUND: i64 = -32002;

fn link(uri: &str) -> Value {
    json!({"type": "resource_link", "uri": uri, "name": "n"})
}

fn says(world: &mut World, tool: &str, content: Value) {
    let (call, _) = world.running(1, tool);
    world.done(call, 1, json!({"content": content}));
}

#[test]
fn a_mentioned_resource_is_read_where_it_was_mentioned() {
    let mut world = World::new(NEW);
    assert_eq!(read(&mut world, "cart://7"), Err(NOT_FOUND));
    let embedded = json!({"type": "resource", "resource": {"uri": "cart://8", "text": "t"}});
    says(&mut world, "cart___add", json!([{"type": "text", "text": "\"uri\""}, link("cart://7"), embedded, 5, null]));
    says(&mut world, "mail___send", json!([link("any:thing"), {"type": "hologram", "uri": "mail://no"}]));
    for method in ["resources/read", "resources/subscribe", "resources/unsubscribe"] {
        assert_eq!(owner(&mut world, method, "cart://7").as_deref(), Ok("cart"), "{method}");
        assert_eq!(owner(&mut world, method, "cart://8").as_deref(), Ok("cart"), "{method}");
        assert_eq!(owner(&mut world, method, "any:thing").as_deref(), Ok("mail"), "{method}");
        assert_eq!(owner(&mut world, method, "mail://no"), Err(NOT_FOUND), "{method}");
    }
}

#[test]
fn prompts_and_reads_mention_too() {
    let mut world = World::new(NEW);
    let messages = json!([
        {"role": "user", "content": {"type": "text", "text": "x"}},
        {"role": "user", "content": {"type": "resource", "resource": {"uri": "p://1", "text": ""}}},
        {"role": "user", "content": [link("p://2")]},
    ]);
    let (call, _) = world.request(1, "prompts/get", json!({"name": "cart___greet"}), true);
    world.opened("cart", 1);
    world.done(call, 1, json!({"messages": messages}));
    let (call, _) = world.request(2, "resources/read", json!({"uri": "p://1"}), true);
    world.done(call, 1, json!({"contents": [{"uri": "p://1", "text": ""}, {"uri": "r://1", "text": ""}]}));
    for uri in ["p://1", "p://2", "r://1"] {
        assert_eq!(read(&mut world, uri).as_deref(), Ok("cart"), "{uri}");
    }
    // Completions, lists and errors do not.
    let (call, _) = world.running(3, "cart___add");
    world.ended(call, 1, json!({"error": {"code": 1, "message": "m", "data": {"content": [link("e://1")]}}}));
    assert_eq!(read(&mut world, "e://1"), Err(NOT_FOUND));
}

#[test]
fn nobody_takes_over_a_resource() {
    let mut world = World::new(NEW);
    let mut mail = target("mail", &["send"]);
    std::sync::Arc::make_mut(mail.catalogue.as_mut().unwrap()).templates =
        vec![raw(&json!({"uriTemplate": "mail://box/{id}", "name": "box"}))];
    world.catalogue = Snapshot::build(&world.settings, vec![target("cart", &["add"]), mail]);
    says(&mut world, "cart___add", json!([link("mail://one"), link("mail://box/5"), link("x:1")]));
    says(&mut world, "mail___send", json!([link("x:1"), link("cart://one")]));
    for (uri, owner) in [("mail://one", "mail"), ("mail://box/5", "mail"), ("x:1", "cart"), ("cart://one", "cart")] {
        assert_eq!(read(&mut world, uri).as_deref(), Ok(owner), "{uri}");
    }
    // A list that comes later wins as well, and a target that is gone keeps nothing.
    let mut mail = target("mail", &["send"]);
    std::sync::Arc::make_mut(mail.catalogue.as_mut().unwrap()).resources.push(raw(&json!({"uri": "x:1", "name": "x"})));
    let other = target("other", &["add"]);
    world.catalogue = Snapshot::build(&world.settings, vec![target("cart", &["add"]), mail, other.clone()]);
    assert_eq!(read(&mut world, "x:1").as_deref(), Ok("mail"));
    world.catalogue = Snapshot::build(&world.settings, vec![target("mail", &["send"]), other]);
    assert_eq!(read(&mut world, "x:1"), Err(NOT_FOUND));
    says(&mut world, "mail___send", json!([link("x:1")]));
    assert_eq!(read(&mut world, "x:1").as_deref(), Ok("mail"));
}

#[test]
fn a_target_without_resources_is_not_asked_for_any() {
    let mut world = World::new(NEW);
    let mut mail = target("mail", &["send"]);
    std::sync::Arc::make_mut(mail.catalogue.as_mut().unwrap()).capabilities = raw(&json!({"tools": {}}));
    world.catalogue = Snapshot::build(&world.settings, vec![target("cart", &["add"]), mail, target("c", &[])]);
    says(&mut world, "mail___send", json!([link("x:1")]));
    assert_eq!(read(&mut world, "x:1"), Err(NOT_FOUND));
}

#[test]
fn a_json_answer_touches_no_disk_and_the_rest_comes_later() {
    let mut world = World::new(NEW);
    let (call, _) = world.running(1, "cart___add");
    let out = world.done(call, 1, json!({"content": [link("x:1")]}));
    assert!(!out.stores());
    let at = world.core.next_deadline();
    assert!(world.tick(at).stores(), "before the session leaves memory");
    while !world.core.ended {
        let at = world.core.next_deadline();
        world.tick(at);
    }
    world.restart();
    assert_eq!(read(&mut world, "x:1").as_deref(), Ok("cart"));
}

#[test]
fn a_streamed_answer_takes_it_along_and_a_shutdown_writes_it() {
    let mut world = World::new(NEW);
    let (call, id) = world.running(1, "cart___add");
    world.progress("cart", id, None, 1.0);
    world.done(call, 1, json!({"content": [link("x:1")]}));
    says(&mut world, "cart___add", json!([link("x:2")]));
    let before = world.disk.clone();
    world.restart();
    assert_eq!(read(&mut world, "x:1").as_deref(), Ok("cart"));
    assert_eq!(read(&mut world, "x:2"), Err(NOT_FOUND), "a killed process forgets what only a JSON answer mentioned");
    world.disk = before;
    world.restart();
    let (call, out) = world.tool(5, "cart___add");
    let generation = out.opens()[0].1;
    world.opened("cart", generation);
    world.done(call, generation, json!({"content": [link("x:2")]}));
    world.step(Input::Disconnect);
    world.restart();
    assert_eq!(read(&mut world, "x:2").as_deref(), Ok("cart"));
}
