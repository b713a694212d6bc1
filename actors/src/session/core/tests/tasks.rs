//! Tasks of 2025-11-25: handles, requests about them, and who knows which.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fixture::{NEW, OLD, Out, World, listed, raw, target};
use crate::catalogue::{Snapshot, TargetState};
use crate::session::core::{CallId, Effect};

const RELATED: &str = "io.modelcontextprotocol/related-task";

/// `cart` takes calls of `add` as tasks, `mail` is of the other era and makes tasks of what it likes, `post` has none.
fn catalogue(world: &World) -> Snapshot {
    let change = |state: &mut TargetState, revision: &str, capabilities: Value, tools: &[Value]| {
        let mut catalogue = (**state.catalogue.as_ref().unwrap()).clone();
        catalogue.revision = revision.into();
        catalogue.capabilities = raw(&capabilities);
        catalogue.tools = tools.iter().map(raw).collect();
        state.catalogue = Some(Arc::new(catalogue));
    };
    let mut states = [target("cart", &[]), target("mail", &[]), target("post", &["send"])];
    let all = json!({"tools":{},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}});
    let tools = [
        json!({"name":"add","execution":{"taskSupport":"required"}}),
        json!({"name":"sum","execution":{"taskSupport":"optional"}}),
        json!({"name":"get"}),
    ];
    change(&mut states[0], "2025-11-25", all, &tools);
    let extension = json!({"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}}});
    change(&mut states[1], "2026-07-28", extension, &[json!({"name":"send"})]);
    Snapshot::build(&world.settings, states.into())
}

fn world_of(revision: sessiongate_protocol::Revision) -> World {
    let mut world = World::new(revision);
    world.catalogue = catalogue(&world);
    world
}

fn handle(id: &str) -> Value {
    json!({"task":{"taskId":id,"status":"working","ttl":1.5,"x":[1]}})
}

/// A call as a task, answered with the target's id; gives the client's.
fn begin(world: &mut World, id: i64, tool: &str, task: &str) -> String {
    let out = call(world, id, tool, json!({"ttl": 5}));
    let (owner, body) = out.sent().remove(0);
    assert_eq!(body["params"]["task"], json!({"ttl": 5}));
    let out = world.done(owner, 1, handle(task));
    let answer = out.answer();
    assert!(
        out.stores() && out.0.now.iter().all(|effect| !matches!(effect, Effect::Answer(..))),
        "shown before stored"
    );
    assert_eq!((&answer["result"]["task"]["ttl"], &answer["result"]["task"]["x"]), (&json!(1.5), &json!([1])));
    let token = answer["result"]["task"]["taskId"].as_str().unwrap().to_owned();
    assert_ne!(token, task);
    token
}

fn call(world: &mut World, id: i64, tool: &str, task: Value) -> Out {
    let (_, out) = world.request(id, "tools/call", json!({"name":tool,"task":task}), true);
    match out.opens().first().cloned() {
        Some((target, generation)) => world.opened(&target, generation),
        None => out,
    }
}

fn about(world: &mut World, id: i64, method: &str, token: &str) -> Out {
    let (_, out) = world.request(id, method, json!({"taskId":token}), true);
    match out.opens().first().cloned() {
        Some((target, generation)) => world.opened(&target, generation),
        None => out,
    }
}

fn sent(out: &Out) -> (CallId, Value) {
    let mut sent = out.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent.remove(0)
}

fn error(out: &Out) -> (i64, String) {
    let answer = out.answer();
    (answer["error"]["code"].as_i64().unwrap(), answer["error"]["data"]["reason"].as_str().unwrap_or_default().into())
}

#[test]
fn a_task_goes_by_another_name() {
    let mut world = world_of(NEW);
    let token = begin(&mut world, 1, "cart___add", "t1");
    for method in ["tasks/get", "tasks/cancel"] {
        let (call, body) = sent(&about(&mut world, 2, method, &token));
        assert_eq!((&body["method"], &body["params"]), (&json!(method), &json!({"taskId":"t1"})));
        let out = world.done(call, 1, json!({"taskId":"t1","status":"working","ttl":null}));
        assert_eq!(out.answer()["result"], json!({"taskId":token,"status":"working","ttl":null}));
    }
    let (call, body) = sent(&about(&mut world, 3, "tasks/result", &token));
    let stream = world.says(
        "cart",
        1,
        body["id"].as_i64(),
        None,
        json!({"id":"q","method":"roots/list","params":{"_meta":{RELATED:{"taskId":"t1"}}}}),
    );
    let question = stream.shown().into_iter().find(|shown| shown["method"] == "roots/list").unwrap();
    assert_eq!(question["params"]["_meta"][RELATED]["taskId"], json!(token));
    let answer = json!({"roots":[],"_meta":{RELATED:{"taskId":token}}});
    let (_, out) = world.reply(question["id"].as_i64().unwrap(), answer);
    assert_eq!(out.posts()[0].2["result"], json!({"roots":[],"_meta":{RELATED:{"taskId":"t1"}}}));
    let out = world.done(call, 1, json!({"content":[],"_meta":{RELATED:{"taskId":"t1"},"a":1}}));
    let result = &out.shown()[0]["result"];
    assert_eq!(result, &json!({"content":[],"_meta":{RELATED:{"taskId":token},"a":1}}));
}

#[test]
fn what_names_no_task_of_the_client_names_none() {
    let mut world = world_of(NEW);
    let token = begin(&mut world, 1, "cart___add", "t1");
    let (call, id) = world.running(2, "cart___get");
    let other =
        json!({"_meta":{RELATED:{"taskId":"t2"}},"message":"?","requestedSchema":{"type":"object","properties":{}}});
    let out = world.says("cart", 1, Some(id), None, json!({"id":9,"method":"elicitation/create","params":other}));
    let question = out.shown().remove(0);
    assert_eq!(question["params"]["_meta"].get(RELATED), None, "{question}");
    // Another target's task is not this target's business.
    let (_, out) =
        world.reply(question["id"].as_i64().unwrap(), json!({"action":"cancel","_meta":{RELATED:{"taskId":"x"}}}));
    assert_eq!(out.posts()[0].2["result"], json!({"action":"cancel"}));
    let out = world.done(call, 1, json!({"content":[],"_meta":{RELATED:{"taskId":"t1"}}}));
    assert_eq!(out.shown()[0]["result"]["_meta"][RELATED]["taskId"], json!(token));
}

#[test]
fn an_id_is_its_principals_alone_and_outlives_the_process() {
    let mut world = world_of(NEW);
    let token = begin(&mut world, 1, "cart___add", "t1");
    let changed = format!("{}{}{}", &token[..20], if &token[20..21] == "A" { "B" } else { "A" }, &token[21..]);
    for bad in ["t1", "", changed.as_str()] {
        for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
            let out = about(&mut world, 2, method, bad);
            assert!(out.sent().is_empty());
            assert_eq!(error(&out), (-32602, "unknown_task".into()), "{method} {bad}");
        }
    }
    assert_eq!(error(&world.request(2, "tasks/get", json!({"taskId":7}), true).1).0, -32602);
    world.restart();
    let (_, out) = world.request(3, "tasks/get", json!({"taskId":token}), true);
    assert_eq!(out.opens().len(), 1);
    assert_eq!(sent(&world.link_opened("cart", 1, None)).1["params"]["taskId"], "t1");
    // The way back is known too.
    let status = json!({"method":"notifications/tasks/status","params":{"taskId":"t1","status":"completed"}});
    world.attach(None);
    assert_eq!(world.says("cart", 1, None, None, status).shown()[0]["params"]["taskId"], json!(token));
    let mut other = world_of(NEW);
    let out = about(&mut other, 1, "tasks/get", &token);
    assert_eq!(sent(&out).1["params"]["taskId"], "t1", "another session of the same principal");
}

#[test]
fn only_who_has_tasks_uses_them() {
    let mut world = world_of(NEW);
    for (tool, code) in [("cart___get", -32601), ("post___send", -32601)] {
        let out = call(&mut world, 1, tool, json!({}));
        assert_eq!(error(&out), (code, "task_forbidden".into()), "{tool}");
    }
    assert_eq!(error(&call(&mut world, 1, "cart___add", json!(7))).0, -32602);
    // An older client has no such word, and without any tasks it means nothing.
    let mut old = world_of(OLD);
    assert_eq!(sent(&call(&mut old, 1, "cart___get", json!({}))).1["params"], json!({"name":"get"}));
    let mut none = World::new(NEW);
    assert_eq!(sent(&call(&mut none, 1, "cart___add", json!({}))).1["params"], json!({"name":"add"}));
    for world in [&mut old, &mut none] {
        for method in ["tasks/get", "tasks/result", "tasks/cancel", "tasks/list"] {
            assert_eq!(error(&world.request(9, method, json!({"taskId":"x"}), true).1).0, -32601, "{method}");
        }
    }
}

#[test]
fn a_failed_call_is_no_handle() {
    let mut world = world_of(NEW);
    let (owner, _) = sent(&call(&mut world, 1, "cart___add", json!({})));
    let out = world.failed(owner, 1, sessiongate_targets::TargetError::Closed);
    assert_eq!(error(&out).0, -32603, "no result with `isError`, which would be read as a handle");
}

#[test]
fn a_target_that_answers_at_once_has_made_a_task_too() {
    let mut world = world_of(NEW);
    let (owner, _) = sent(&call(&mut world, 1, "mail___send", json!({"ttl":1000})));
    let out = world.done(owner, 1, json!({"content":[],"isError":true}));
    let task = out.answer()["result"]["task"].clone();
    assert!(
        out.stores() && out.0.now.iter().all(|effect| !matches!(effect, Effect::Answer(..))),
        "shown before stored"
    );
    assert_eq!(
        (&task["status"], &task["ttl"], &task["createdAt"]),
        (&json!("working"), &json!(1000), &json!("2027-01-15T08:00:00.000Z"))
    );
    let token = task["taskId"].as_str().unwrap().to_owned();
    world.restart();
    let shown = about(&mut world, 2, "tasks/get", &token).answer()["result"].clone();
    assert_eq!((&shown["status"], &shown["taskId"]), (&json!("failed"), &json!(token)));
    assert_eq!(world.request(3, "tasks/list", json!({}), true).1.answer()["result"], json!({"tasks":[shown]}));
    let result = about(&mut world, 4, "tasks/result", &token).answer()["result"].clone();
    assert_eq!(result, json!({"content":[],"isError":true,"_meta":{RELATED:{"taskId":token}}}));
    assert_eq!(error(&about(&mut world, 5, "tasks/cancel", &token)).0, -32602);
    world.now += 1000;
    assert_eq!(error(&about(&mut world, 6, "tasks/get", &token)), (-32602, "unknown_task".into()));
    let mut other = world_of(NEW);
    assert_eq!(error(&about(&mut other, 1, "tasks/get", &token)), (-32602, "unknown_task".into()));
}

#[test]
fn tools_say_what_the_client_can_do() {
    let support = |world: &mut World| -> Vec<Value> {
        let (_, out) = world.request(1, "tools/list", json!({}), true);
        let tools = out.answer()["result"]["tools"].clone();
        tools.as_array().unwrap().iter().map(|tool| tool["execution"]["taskSupport"].clone()).collect()
    };
    // Who must be a task may be called as none: the gateway waits.
    let optional = json!("optional");
    let none = Value::Null;
    assert_eq!(support(&mut world_of(NEW)), [optional.clone(), optional.clone(), none.clone(), optional, none.clone()]);
    assert_eq!(support(&mut world_of(OLD)), vec![none; 5]);
}

#[test]
fn a_live_list_says_the_same() {
    let live = |revision, raw_tools: Value, target: &str| {
        let mut world = World::with(revision, |settings| settings.listing = crate::settings::Listing::Dynamic);
        world.catalogue = catalogue(&world);
        let mut out = world.request(1, "tools/list", json!({}), true).1;
        loop {
            let (opened, _) = out.opens().first().cloned().unwrap();
            let (call, _) = sent(&world.opened(&opened, 1));
            let tools = if *opened == *target { raw_tools.clone() } else { json!([]) };
            let page = world.done(call, 1, json!({"tools":tools})).answer()["result"].clone();
            if *opened == *target {
                return page["tools"][0]["execution"]["taskSupport"].clone();
            }
            out = world.request(1, "tools/list", json!({"cursor":page["nextCursor"]}), true).1;
        }
    };
    let mut required = json!([listed("add")]);
    required[0]["execution"] = json!({"taskSupport":"required"});
    assert_eq!(live(NEW, required.clone(), "cart"), "optional");
    assert_eq!(
        live(NEW, json!([listed("send")]), "mail"),
        "optional",
        "the other era's target makes tasks of any call"
    );
    assert_eq!(live(NEW, required.clone(), "post"), Value::Null, "it takes no tasks, whatever its tools say");
    assert_eq!(live(OLD, required, "cart"), Value::Null);
}

#[test]
fn a_list_is_of_the_sessions_own_tasks_over_all_targets() {
    let mut world = world_of(NEW);
    assert_eq!(world.request(1, "tasks/list", json!({}), true).1.answer()["result"], json!({"tasks":[]}));
    let one = begin(&mut world, 2, "cart___add", "t1");
    let two = begin(&mut world, 3, "mail___send", "t2");
    let (call, body) = sent(&world.request(4, "tasks/list", json!({}), true).1);
    assert_eq!((&body["method"], body.get("params")), (&json!("tasks/list"), None));
    let page = json!({"tasks":[{"taskId":"t9"},{"taskId":"t1","status":"working"}],"nextCursor":"c"});
    let answer = world.done(call, 1, page).answer()["result"].clone();
    assert_eq!(answer["tasks"], json!([{"taskId":one,"status":"working","ttl":null}]), "nobody sees a task of another");
    let next = |world: &mut World, cursor: &Value| world.request(5, "tasks/list", json!({"cursor":cursor}), true).1;
    let (call, body) = sent(&next(&mut world, &answer["nextCursor"]));
    assert_eq!(body["params"], json!({"cursor":"c"}));
    // A target that fails hides only its own.
    let answer = world.ended(call, 1, json!({"error":{"code":-32603,"message":"no"}})).answer()["result"].clone();
    assert_eq!(answer["tasks"], json!([]));
    let (call, body) = sent(&next(&mut world, &answer["nextCursor"]));
    assert_eq!(body["params"], json!({"sessiongate.dev/taskIds":["t2"]}));
    let answer = world.done(call, 1, json!({"tasks":[{"taskId":"t2"}]})).answer()["result"].clone();
    assert_eq!(answer, json!({"tasks":[{"taskId":two,"ttl":null}]}));
    assert_eq!(error(&next(&mut world, &json!("c"))).0, -32602);
}

#[test]
fn progress_goes_on_for_as_long_as_the_task_does() {
    let mut world = world_of(NEW);
    let (_, out) =
        world.request(1, "tools/call", json!({"name":"cart___add","task":{},"_meta":{"progressToken":"p"}}), true);
    assert!(out.sent().is_empty());
    let (owner, body) = sent(&world.opened("cart", 1));
    let id = body["id"].as_i64().unwrap();
    let out = world.done(owner, 1, handle("t1"));
    let token = out.answer()["result"]["task"]["taskId"].as_str().unwrap().to_owned();
    assert!(world.progress("cart", id, None, 1.0).shown().is_empty(), "nobody listens");
    let (_, watch) = sent(&about(&mut world, 2, "tasks/result", &token));
    let told = |world: &mut World, token: i64, value: f64| {
        let note = json!({"method":"notifications/progress","params":{"progressToken":token,"progress":value}});
        world.says("cart", 1, watch["id"].as_i64(), None, note).shown()
    };
    let shown = told(&mut world, id, 2.0);
    assert_eq!(shown[0]["params"], json!({"progressToken":"p","progress":2.0}));
    assert!(told(&mut world, id, 2.0).is_empty(), "values grow");
    assert!(told(&mut world, id + 7, 3.0).is_empty(), "nobody's");
}

#[test]
fn a_status_is_told_where_somebody_listens() {
    let mut world = world_of(NEW);
    let token = begin(&mut world, 1, "cart___add", "t1");
    let status = |id: &str| json!({"method":"notifications/tasks/status","params":{"taskId":id,"status":"working"}});
    assert!(world.says("cart", 1, None, None, status("t1")).shown().is_empty());
    world.attach(None);
    let shown = world.says("cart", 1, None, None, status("t1")).shown();
    assert_eq!(shown[0]["params"], json!({"taskId":token,"status":"working","ttl":null}));
    assert_eq!(shown.len(), 1, "nothing waited");
    assert!(world.says("cart", 1, None, None, status("t2")).shown().is_empty(), "somebody else's");
}
