//! Questions to the person.

use serde_json::{Value, json};
use sessiongate_storage::Timestamp;
use sessiongate_targets::TargetError;

use super::fixture::{NEW, OLD, Out, World};
use crate::session::core::{Effect, Input};

fn accept(name: &str) -> Value {
    json!({"action":"accept","content":{"name":name}})
}

fn question_of(out: &Out) -> i64 {
    let shown = out.shown();
    let question = shown.iter().find(|message| message["method"] == "elicitation/create").unwrap();
    question["id"].as_i64().unwrap()
}

fn posted(world: &mut World, question: i64, result: Result<(), TargetError>) -> Out {
    world.step(Input::AnswerPosted { question: question.try_into().unwrap(), result })
}

#[test]
fn a_question_is_stored_before_it_is_shown_and_its_answer_before_it_is_passed_on() {
    let mut world = World::new(NEW);
    let (call, id) = world.running(1, "cart___add");
    let out = world.asks("cart", Some(id), Some("e1"), 70);
    let number = question_of(&out);
    assert_ne!(number, 70);
    let question = &out.shown()[0];
    assert!(question["params"]["message"].as_str().unwrap().contains("cart"), "names the target");
    assert!(world.disk.items.contains_key(&(2, number.try_into().unwrap())));
    let (ack, out) = world.reply(number, accept("ann"));
    assert!(out.stores());
    assert!(out.0.durable.iter().any(|effect| matches!(effect, Effect::Accepted(call) if *call == ack)));
    let (target, asked, body) = out.posts().remove(0);
    assert_eq!((&*target, asked), ("cart", Some(number.try_into().unwrap())));
    assert_eq!(body, json!({"jsonrpc":"2.0","id":70,"result":accept("ann")}));
    posted(&mut world, number, Ok(()));
    assert!(!world.disk.items.contains_key(&(2, number.try_into().unwrap())));
    assert_eq!(world.done(call, 1, json!({"ok":1})).shown()[0]["id"], 1);
    assert!(world.disk.items.is_empty());
}

#[test]
fn an_answer_is_accepted_again_but_posted_once() {
    let mut world = World::new(NEW);
    let (_, id) = world.running(1, "cart___add");
    let number = question_of(&world.asks("cart", Some(id), None, 70));
    assert_eq!(world.reply(number, accept("a")).1.posts().len(), 1);
    let (ack, out) = world.reply(number, accept("b"));
    assert!(out.posts().is_empty());
    assert!(out.0.durable.iter().any(|effect| matches!(effect, Effect::Accepted(call) if *call == ack)));
    posted(&mut world, number, Ok(()));
    for unknown in [number, 12345, -1] {
        let (_, out) = world.reply(unknown, accept("c"));
        assert!(out.posts().is_empty() && out.has(|effect| matches!(effect, Effect::Accepted(_))));
    }
}

#[test]
fn decline_and_cancel_pass_as_they_are() {
    for action in ["decline", "cancel"] {
        let mut world = World::new(NEW);
        let (_, id) = world.running(1, "cart___add");
        let number = question_of(&world.asks("cart", Some(id), None, 70));
        let (_, out) = world.reply(number, json!({"action":action}));
        assert_eq!(out.posts()[0].2["result"], json!({"action":action}));
    }
}

#[test]
fn an_answer_that_does_not_fit_is_refused_and_the_target_told() {
    for answer in [json!({"action":"accept","content":{"name":5}}), json!({"action":"accept"}), json!({"action":"eat"})]
    {
        let mut world = World::new(NEW);
        let (_, id) = world.running(1, "cart___add");
        let number = question_of(&world.asks("cart", Some(id), None, 70));
        let (_, out) = world.reply(number, answer);
        assert!(out.has(|effect| matches!(effect, Effect::Rejected(..))));
        assert_eq!(out.posts()[0].2["error"]["code"], -32602);
    }
}

#[test]
fn an_answer_is_offered_again_until_the_target_takes_it() {
    let mut world = World::new(NEW);
    let (_, id) = world.running(1, "cart___add");
    let number = question_of(&world.asks("cart", Some(id), None, 70));
    let body = world.reply(number, accept("ann")).1.posts().remove(0).2;
    for _ in 0..3 {
        posted(&mut world, number, Err(TargetError::Unreachable { detail: String::new() }));
        let at = world.core.next_deadline();
        assert!(at > Timestamp(world.now));
        let out = world.tick(at);
        assert_eq!(out.posts(), [("cart".into(), Some(number.try_into().unwrap()), body.clone())]);
    }
    posted(&mut world, number, Ok(()));
    assert!(world.core.questions.is_empty());
}

#[test]
fn an_answer_is_given_up_when_nobody_waits_for_it() {
    let mut world = World::new(NEW);
    let (call, id) = world.running(1, "cart___add");
    let number = question_of(&world.asks("cart", Some(id), None, 70));
    world.reply(number, accept("ann"));
    posted(&mut world, number, Err(TargetError::Unreachable { detail: String::new() }));
    world.done(call, 1, json!({}));
    let at = world.core.questions.values().next().unwrap().retry_at.unwrap();
    assert!(world.tick(at).posts().is_empty());
    assert!(world.core.questions.is_empty());
    let (_, id) = world.running(2, "cart___add");
    let number = question_of(&world.asks("cart", Some(id), None, 71));
    world.reply(number, accept("ann"));
    posted(&mut world, number, Err(TargetError::SessionGone));
    assert!(world.core.questions.is_empty());
}

#[test]
fn what_the_client_did_not_declare_is_not_asked() {
    let mut world = World::build(NEW, &json!({"elicitation":{}}), |_| {});
    let (_, id) = world.running(1, "cart___add");
    let url = json!({"mode":"url","message":"m","url":"https://x.example/","elicitationId":"e"});
    for (method, params, code) in [
        ("elicitation/create", url, -32602),
        ("sampling/createMessage", json!({"messages":[],"maxTokens":1}), -32601),
        ("roots/list", json!({}), -32601),
        ("tools/secret", json!({}), -32601),
    ] {
        let out = world.says("cart", 1, Some(id), None, json!({"id":5,"method":method,"params":params}));
        assert!(out.shown().is_empty(), "{method}");
        assert_eq!(out.posts()[0].2["error"]["code"], code, "{method}");
    }
    let ping = world.says("cart", 1, None, None, json!({"id":"p","method":"ping"}));
    assert_eq!(ping.posts()[0].2, json!({"jsonrpc":"2.0","id":"p","result":{}}));
    assert_eq!(world.asks("cart", Some(id), None, 6).shown().len(), 1);
}

#[test]
fn sampling_and_roots_pass_through() {
    let mut world = World::new(NEW);
    let (_, id) = world.running(1, "cart___add");
    let out = world.says("cart", 1, Some(id), None, json!({"id":5,"method":"roots/list"}));
    let question = out.shown().remove(0);
    assert_eq!(question.get("params"), None);
    let (_, out) = world.reply(question["id"].as_i64().unwrap(), json!({"roots":[]}));
    assert_eq!(out.posts()[0].2, json!({"jsonrpc":"2.0","id":5,"result":{"roots":[]}}));
}

#[test]
fn a_question_is_withdrawn_by_its_target() {
    let mut world = World::new(NEW);
    let (_, id) = world.running(1, "cart___add");
    let number = question_of(&world.asks("cart", Some(id), None, 70));
    let cancel = json!({"method":"notifications/cancelled","params":{"requestId":70}});
    assert!(world.says("mail", 1, None, None, cancel.clone()).frames().is_empty());
    let out = world.says("cart", 1, Some(id), None, cancel);
    assert_eq!(out.shown()[0]["method"], "notifications/cancelled");
    assert_eq!(out.shown()[0]["params"]["requestId"], number);
    assert!(world.reply(number, accept("late")).1.posts().is_empty());
    assert!(world.core.questions.is_empty());
}

#[test]
fn a_question_goes_with_its_call() {
    for how in ["done", "cancelled", "timeout"] {
        let mut world = World::new(NEW);
        let (call, id) = world.running(1, "cart___add");
        let number = question_of(&world.asks("cart", Some(id), None, 70));
        let out = match how {
            "done" => world.done(call, 1, json!({})),
            "cancelled" => world.notify("notifications/cancelled", json!({"requestId":1})),
            _ => world.tick(world.core.calls[&call].deadline),
        };
        assert_eq!(out.shown()[0]["params"]["requestId"], number, "{how}");
        let posts: Vec<Value> = out.posts().into_iter().map(|(_, _, body)| body).collect();
        let told = posts.iter().position(|body| body["id"] == 70).unwrap();
        match how {
            "timeout" => assert_eq!(posts[told]["result"], json!({"action":"cancel"}), "the person did not choose"),
            _ => assert!(posts[told]["error"].is_object(), "whoever asked hears that nobody will answer"),
        }
        let cancelled = posts.iter().position(|body| body["method"] == "notifications/cancelled");
        match how {
            "done" => assert_eq!(cancelled, None),
            "cancelled" => assert!(cancelled.unwrap() < told, "the client wants nothing more of it"),
            _ => assert!(told < cancelled.unwrap(), "what waits for the answer can still take note of it"),
        }
        assert!(world.core.questions.is_empty() && world.disk.items.is_empty(), "{how}");
    }
}

#[test]
fn a_question_goes_with_its_downstream_session() {
    let mut world = World::new(NEW);
    let (call, id) = world.running(1, "cart___add");
    let number = question_of(&world.asks("cart", Some(id), None, 70));
    let out = world.failed(call, 1, TargetError::SessionGone);
    assert_eq!(out.shown()[0]["params"]["requestId"], number);
    assert!(out.posts().is_empty());
}

#[test]
fn several_questions_wait_at_once_and_a_repeated_one_is_one() {
    let mut world = World::new(NEW);
    let (_, a) = world.running(1, "cart___add");
    let (_, b) = world.running(2, "mail___send");
    let one = question_of(&world.asks("cart", Some(a), None, 70));
    let two = question_of(&world.asks("mail", Some(b), None, 70));
    assert!(world.asks("cart", Some(a), None, 70).frames().is_empty());
    assert_ne!(one, two);
    assert_eq!(&*world.reply(two, accept("x")).1.posts()[0].0, "mail");
    assert_eq!(&*world.reply(one, accept("x")).1.posts()[0].0, "cart");
}

#[test]
fn an_older_client_gets_an_older_schema_or_no_question() {
    let mut world = World::new(OLD);
    let (_, id) = world.running(1, "cart___add");
    let ask = |world: &mut World, q: i64, property: Value| {
        let schema = json!({"type":"object","properties":{"x":property}});
        let params = json!({"mode":"form","message":"m","requestedSchema":schema});
        world.says("cart", 1, Some(id), None, json!({"id":q,"method":"elicitation/create","params":params}))
    };
    let out = ask(&mut world, 1, json!({"type":"string","oneOf":[{"const":"a","title":"A"}],"default":"a"}));
    let params = out.shown()[0]["params"].clone();
    assert_eq!(params.get("mode"), None);
    let property = &params["requestedSchema"]["properties"]["x"];
    assert_eq!((&property["enum"], &property["enumNames"]), (&json!(["a"]), &json!(["A"])));
    assert_eq!(property.get("default"), None);
    let out = ask(&mut world, 2, json!({"type":"array","items":{"type":"string","enum":["a"]}}));
    assert!(out.shown().is_empty());
    assert_eq!(out.posts()[0].2["error"]["code"], -32602);
}

#[test]
fn the_end_of_a_page_visit_is_announced_only_if_it_is_known() {
    let mut world = World::new(NEW);
    let (_, id) = world.running(1, "cart___add");
    let url = json!({"mode":"url","message":"m","url":"https://x.example/","elicitationId":"e-1"});
    let out = world.says("cart", 1, Some(id), None, json!({"id":5,"method":"elicitation/create","params":url}));
    assert_eq!(out.shown()[0]["params"]["url"], "https://x.example/");
    let end = |id: &str| json!({"method":"notifications/elicitation/complete","params":{"elicitationId":id}});
    assert!(world.says("cart", 1, None, None, end("e-2")).frames().is_empty());
    assert!(world.says("mail", 1, None, None, end("e-1")).frames().is_empty());
    assert_eq!(world.says("cart", 1, None, None, end("e-1")).shown().len(), 1);
}

#[test]
fn url_required_errors_pass_to_clients_that_can_use_them() {
    let entry = json!({"mode":"url","elicitationId":"e-9","url":"https://x.example/","message":"m"});
    let error = json!({"code":-32042,"message":"visit","data":{"elicitations":[entry]}});
    let mut world = World::new(NEW);
    let (call, _) = world.running(1, "cart___add");
    assert_eq!(world.ended(call, 1, json!({"error":error})).answer()["error"], error);
    let end = json!({"method":"notifications/elicitation/complete","params":{"elicitationId":"e-9"}});
    world.says("cart", 1, None, None, end);
    assert_eq!(world.attach(None).1.shown().len(), 1);
    let (call, _) = world.running(2, "cart___add");
    let broken = json!({"code":-32042,"message":"visit","data":{"elicitations":[{"mode":"form"}]}});
    assert_eq!(world.ended(call, 1, json!({"error":broken})).answer()["error"]["code"], -32603);
    let mut older = World::new(OLD);
    let (call, _) = older.running(1, "cart___add");
    assert_eq!(older.ended(call, 1, json!({"error":error})).answer()["error"]["code"], -32603);
}

#[test]
fn a_question_outside_calls_waits_for_a_get_stream_and_survives_a_restart() {
    let mut world = World::new(NEW);
    let (call, _) = world.running(1, "cart___add");
    world.done(call, 1, json!({}));
    assert!(world.asks("cart", None, None, 70).frames().is_empty());
    world.restart();
    let (_, out) = world.attach(None);
    let number = question_of(&out);
    let frame = out.at(|effect| matches!(effect, Effect::Frame { .. }));
    assert!(out.at(|effect| matches!(effect, Effect::Attached { .. })) < frame);
    world.restart();
    assert!(world.core.queue.is_empty(), "it was shown");
    let (_, out) = world.reply(number, accept("x"));
    let (_, generation) = out.opens().remove(0);
    let out = world.link_opened("cart", generation, None);
    assert_eq!(out.posts()[0].2["id"], 70);
}

#[test]
fn progress_of_an_answer_is_passed_on_under_the_targets_token() {
    let mut world = World::new(NEW);
    let (_, id) = world.running(1, "cart___add");
    let params = json!({"messages":[],"maxTokens":1,"_meta":{"progressToken":"theirs"}});
    let out = world.says("cart", 1, Some(id), None, json!({"id":5,"method":"sampling/createMessage","params":params}));
    let token = out.shown()[0]["params"]["_meta"]["progressToken"].clone();
    let out = world.notify("notifications/progress", json!({"progressToken":token,"progress":1}));
    assert_eq!(out.posts()[0].2["params"]["progressToken"], "theirs");
    assert!(world.notify("notifications/progress", json!({"progressToken":99,"progress":1})).posts().is_empty());
}
