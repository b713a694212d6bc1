//! Lists and their changes.

use serde_json::{Value, json};
use sessiongate_protocol::RequestId;
use sessiongate_targets::TargetError;

use super::fixture::{NEW, World, listed, name, raw, target};
use crate::catalogue::Snapshot;
use crate::session::core::{Effect, Generation, Input};
use crate::settings::Listing;

fn names(answer: &Value) -> Vec<&str> {
    answer["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

fn dynamic() -> World {
    World::with(NEW, |settings| settings.listing = Listing::Dynamic)
}

#[test]
fn the_published_list_is_paged_by_cursors_of_one_version() {
    let mut world = World::new(NEW);
    let many: Vec<String> = (0..150).map(|at| format!("t{at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    world.catalogue = Snapshot::build(&world.settings, vec![target("cart", &many), target("mail", &["send"])]);
    let page = world.request(1, "tools/list", json!({}), true).1.answer();
    assert_eq!((names(&page).len(), names(&page)[0]), (100, "cart___t0"));
    let cursor = page["result"]["nextCursor"].clone();
    let page = world.request(2, "tools/list", json!({"cursor":cursor}), true).1.answer();
    assert_eq!((names(&page).len(), page["result"].get("nextCursor")), (51, None));
    for bad in [json!("x"), json!(""), json!(5)] {
        assert_eq!(world.request(3, "tools/list", json!({"cursor":bad}), true).1.answer()["error"]["code"], -32602);
    }
    assert_eq!(world.request(4, "prompts/list", json!({"cursor":cursor}), true).1.answer()["error"]["code"], -32602);
    world.catalogue = Snapshot::build(&world.settings, vec![target("cart", &["other"])]);
    assert_eq!(world.request(5, "tools/list", json!({"cursor":cursor}), true).1.answer()["error"]["code"], -32602);
}

#[test]
fn a_live_list_goes_through_the_targets_page_by_page() {
    let mut world = dynamic();
    let (call, out) = world.request(1, "tools/list", json!({}), true);
    assert_eq!(&*out.opens()[0].0, "cart");
    assert_eq!(world.opened("cart", 1).sent()[0].1.get("params"), None);
    let page = json!({"tools":[listed("add")],"nextCursor":""});
    let page = world.done(call, 1, page).answer();
    assert_eq!(names(&page), ["cart___add"]);
    let cursor = page["result"]["nextCursor"].clone();
    let (call, out) = world.request(2, "tools/list", json!({"cursor":cursor}), true);
    assert_eq!(out.sent()[0].1["params"], json!({"cursor":""}), "an empty cursor is one");
    let page = world.done(call, 1, json!({"tools":[listed("del")]})).answer();
    let cursor = page["result"]["nextCursor"].clone();
    let (call, out) = world.request(3, "tools/list", json!({"cursor":cursor}), true);
    assert_eq!(&*out.opens()[0].0, "mail");
    world.opened("mail", 1);
    let page = world.done(call, 1, json!({"tools":[listed("send")]})).answer();
    assert_eq!((names(&page), page["result"].get("nextCursor")), (vec!["mail___send"], None));
}

#[test]
fn a_live_tool_with_a_longer_name_than_there_may_be_is_left_out() {
    let mut world = dynamic();
    let mut cart = live("cart", true);
    // With `cart___`, and in characters: nine of these are eighteen bytes.
    cart.settings.tool_name = 16;
    world.catalogue = Snapshot::build(&world.settings, vec![cart]);
    let call = world.request(1, "tools/list", json!({}), true).0;
    world.opened("cart", 1);
    let (fits, long) = ("\u{e9}".repeat(9), "\u{e9}".repeat(10));
    let page = json!({"tools":[listed("add"), listed(&long), listed(&fits)]});
    let page = world.done(call, 1, page).answer();
    assert_eq!(names(&page), ["cart___add".to_owned(), format!("cart___{fits}")]);
}

/// `mail` is live and not known, `cart` is of the catalogue.
fn mixed(change: impl FnOnce(&mut crate::settings::GatewaySettings)) -> World {
    let mut world = World::with(NEW, change);
    world.catalogue = Snapshot::build(&world.settings, vec![live("mail", false), target("cart", &["add"])]);
    world
}

fn live(name: &str, known: bool) -> crate::catalogue::TargetState {
    let mut state = target(name, &["send"]);
    state.settings.listing = Some(Listing::Dynamic);
    state.catalogue = state.catalogue.filter(|_| known);
    state
}

#[test]
fn the_catalogue_comes_first_and_live_targets_after_it() {
    let mut world = mixed(|_| {});
    let page = world.request(1, "tools/list", json!({}), true).1.answer();
    assert_eq!(names(&page), ["cart___add"]);
    let cursor = page["result"]["nextCursor"].clone();
    let (call, out) = world.request(2, "tools/list", json!({"cursor": cursor}), true);
    assert_eq!(&*out.opens()[0].0, "mail");
    world.opened("mail", 1);
    let page = world.done(call, 1, json!({"tools": [listed("send")]})).answer();
    assert_eq!((names(&page), page["result"].get("nextCursor")), (vec!["mail___send"], None));
    // Known or not, it is used by its prefix; the other one is not.
    assert_eq!(world.tool(3, "mail___other").1.sent()[0].1["params"]["name"], "other");
    assert_eq!(world.tool(4, "cart___other").1.answer()["error"]["code"], -32602);
    // A target that is not live any more has no page of its own.
    world.catalogue = Snapshot::build(&world.settings, vec![target("mail", &["send"]), target("cart", &["add"])]);
    assert_eq!(world.request(5, "tools/list", json!({"cursor": cursor}), true).1.answer()["error"]["code"], -32602);
}

#[test]
fn what_is_known_of_a_live_target_is_on_no_page_of_the_catalogue_and_ends_none() {
    let mut world = mixed(|settings| settings.pagination = false);
    let many: Vec<String> = (0..150).map(|at| format!("t{at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let build = |world: &World, mail| Snapshot::build(&world.settings, vec![mail, target("cart", &many)]);
    world.catalogue = build(&world, live("mail", true));
    let version = world.catalogue.version(crate::catalogue::ListKind::Tools);
    let page = world.request(1, "tools/list", json!({}), true).1.answer();
    assert_eq!((names(&page).len(), names(&page)[0]), (150, "cart___t0"));
    let before = world.catalogue.hashes();
    world.catalogue = build(&world, live("mail", false));
    assert_eq!(world.catalogue.version(crate::catalogue::ListKind::Tools), version, "cursors stay good");
    assert_ne!(world.catalogue.hashes(), before, "and the client is told");
}

#[test]
fn plain_names_of_live_targets_are_remembered_after_a_restart() {
    let mut world = mixed(|settings| settings.naming = crate::settings::Naming::Plain);
    let (call, _) = world.request(1, "tools/list", json!({}), true);
    assert!(!world.core.calls.contains_key(&call), "the catalogue's page");
    let cursor = world.request(2, "tools/list", json!({}), true).1.answer()["result"]["nextCursor"].clone();
    assert_eq!(world.tool(3, "send").1.answer()["error"]["code"], -32602, "never seen");
    let (call, _) = world.request(4, "tools/list", json!({"cursor": cursor}), true);
    world.opened("mail", 1);
    let out = world.done(call, 1, json!({"tools": [listed("send"), listed("add")]}));
    assert!(out.stores() && !out.0.durable.is_empty(), "shown when it is stored");
    assert_eq!(names(&out.answer()), ["send", "mail___add"], "`add` is cart's");
    let (call, _) = world.request(5, "tools/list", json!({"cursor": cursor}), true);
    let again = world.done(call, 1, json!({"tools": [listed("send")]}));
    assert!(again.0.durable.is_empty(), "it is known");
    world.restart();
    for (id, (tool, target)) in [("send", "mail"), ("mail___add", "mail"), ("add", "cart")].into_iter().enumerate() {
        world.tool(10 + id as i64, tool);
        let call = world.core.calls.values().find(|call| call.client_id == RequestId::integer(10 + id as i64)).unwrap();
        assert_eq!(&*call.target, target, "{tool}");
    }
}

#[test]
fn a_dead_target_hides_only_itself() {
    for how in ["open", "call", "error", "timeout", "garbage"] {
        let mut world = dynamic();
        let (call, _) = world.request(1, "tools/list", json!({}), true);
        let error = TargetError::Unreachable { detail: String::new() };
        let out = if how == "open" {
            world.step(Input::LinkFailed { target: name("cart"), generation: Generation(1), error })
        } else {
            world.opened("cart", 1);
            match how {
                "call" => world.failed(call, 1, error),
                "error" => world.ended(call, 1, json!({"error":{"code":-32603,"message":"no"}})),
                "timeout" => world.tick(world.core.calls[&call].deadline),
                _ => world.done(call, 1, json!({"tools":5})),
            }
        };
        let page = out.answer();
        assert!(names(&page).is_empty(), "{how}");
        let cursor = page["result"]["nextCursor"].clone();
        let (_, out) = world.request(2, "tools/list", json!({"cursor":cursor}), true);
        assert_eq!(&*out.opens()[0].0, "mail", "{how}");
    }
}

#[test]
fn a_refused_downstream_cursor_is_told() {
    let mut world = dynamic();
    let (call, _) = world.request(1, "tools/list", json!({}), true);
    world.opened("cart", 1);
    let out = world.ended(call, 1, json!({"error":{"code":-32602,"message":"bad cursor"}}));
    assert_eq!(out.answer()["error"]["code"], -32602);
}

#[test]
fn a_live_list_keeps_its_kind_over_a_restart() {
    let mut world = dynamic();
    let (call, _) = world.request(1, "tools/list", json!({}), true);
    let id = world.opened("cart", 1).sent()[0].1["id"].as_i64().unwrap();
    let log = json!({"method":"notifications/message","params":{"level":"info","data":1}});
    let stream = world.says("cart", 1, Some(id), Some("e1"), log).frames()[0].0;
    let out = world.restart();
    let (_, generation) = out.opens().remove(0);
    assert_eq!(world.link_opened("cart", generation, None).resumed(), [(call, "e1".to_owned())]);
    world.done(call, generation, json!({"tools":[listed("add")]}));
    assert_eq!(world.disk.messages(stream)[1]["result"]["tools"][0]["name"], "cart___add");
}

#[test]
fn a_change_is_told_only_if_it_can_be_seen() {
    let mut world = World::new(NEW);
    world.attach(None);
    assert!(world.step(Input::CatalogueChanged).frames().is_empty());
    world.catalogue =
        Snapshot::build(&world.settings, vec![target("cart", &["add", "new"]), target("mail", &["send"])]);
    let out = world.step(Input::CatalogueChanged);
    assert_eq!(out.shown(), [json!({"jsonrpc":"2.0","method":"notifications/tools/list_changed"})]);
    assert!(world.step(Input::CatalogueChanged).frames().is_empty());
    world.catalogue = Snapshot::build(&world.settings, vec![target("cart", &["add"])]);
    world.restart();
    let out = world.attach(None).1;
    assert_eq!(out.shown().len(), 3, "what changed while it was stored: tools, prompts, resources");
}

#[test]
fn a_targets_own_change_leads_to_a_synchronisation() {
    let mut world = World::new(NEW);
    world.running(1, "cart___add");
    let changed = json!({"method":"notifications/tools/list_changed"});
    let out = world.says("cart", 1, None, None, changed.clone());
    assert!(out.has(|effect| matches!(effect, Effect::Resync { .. })));
    assert!(out.frames().is_empty());
    let mut live = dynamic();
    live.running(1, "cart___add");
    live.attach(None);
    assert_eq!(live.says("cart", 1, None, None, changed).shown().len(), 1);
    assert_eq!(raw(&json!({})).as_str(), "{}");
}
