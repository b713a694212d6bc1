//! Names for clients that asked for short ones.

use serde_json::{Value, json};

use super::fixture::{NEW, World, listed, target};
use crate::catalogue::{ListKind, Snapshot};
use crate::session::core::{Record, SessionFacts};
use crate::settings::{GatewaySettings, Listing, Naming};

/// A session whose client asked for a limit, on a catalogue with these tools of `cart`.
fn limited(limit: u16, tools: &[&str], change: impl FnOnce(&mut GatewaySettings)) -> World {
    let mut world = World::with(NEW, change);
    world.core.facts.max_name_length = Some(limit);
    world.disk.apply(&world.core.first_batch());
    world.catalogue = Snapshot::build(&world.settings, vec![target("cart", tools), target("mail", &["send"])]);
    world
}

fn long(end: &str) -> String {
    format!("{}{end}", "a_very_long_name_".repeat(5))
}

fn names(world: &mut World, list: &str) -> Vec<String> {
    let page = world.request(900, &format!("{list}/list"), json!({}), true).1.answer();
    let items = page["result"][list].as_array().unwrap_or_else(|| panic!("{page}"));
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

/// The name that the target is asked by.
fn sent(world: &mut World, method: &str, params: &Value) -> Value {
    let (call, mut out) = world.request(7, method, params.clone(), true);
    if let Some((target, generation)) = out.opens().first().cloned() {
        out = world.opened(&target, generation);
    }
    let sent = out.sent().into_iter().next().unwrap_or_else(|| panic!("{:?}", out.answers())).1;
    world.done(call, 1, json!({}));
    sent["params"].clone()
}

#[test]
fn short_and_whole_names_lead_to_the_same_tool() {
    let (x, y) = (long("x"), long("y"));
    let mut world = limited(64, &["add", &x, &y], |_| {});
    let shown = names(&mut world, "tools");
    assert_eq!((shown.len(), &*shown[0], &*shown[3]), (4, "cart___add", "mail___send"));
    assert!(shown[1].len() == 64 && shown[2].len() == 64 && shown[1] != shown[2], "{shown:?}");
    for restarted in [false, true] {
        if restarted {
            world.restart();
        }
        for (name, tool) in
            [(&shown[1], &x), (&shown[2], &y), (&format!("cart___{x}"), &x), (&shown[0], &"add".to_owned())]
        {
            let params = sent(&mut world, "tools/call", &json!({"name": name, "arguments": {"a": 1.0}}));
            assert_eq!(params, json!({"name": tool, "arguments": {"a": 1.0}}), "{name}");
        }
    }
    let cut = format!("{}x", &shown[1][..63]);
    for unknown in [&*cut, &x, "cart___a_very_long_name_"] {
        let answer = world.request(8, "tools/call", json!({"name": unknown}), true).1.answer();
        assert_eq!(answer["error"]["code"], -32602, "{unknown}");
    }
    let mut whole = World::new(NEW);
    whole.catalogue = world.catalogue;
    assert!(names(&mut whole, "tools").contains(&format!("cart___{x}")), "others see whole names");
    let answer = whole.request(8, "tools/call", json!({"name": shown[1]}), true).1.answer();
    assert_eq!(answer["error"]["code"], -32602, "and short ones mean nothing there");
}

#[test]
fn prompts_and_completions_know_short_names_too() {
    let mut world = limited(16, &["add"], |settings| settings.naming = Naming::Prefixed);
    let mut cart = target("a-cart-with-a-name", &["add"]);
    std::sync::Arc::make_mut(cart.catalogue.as_mut().unwrap()).prompts =
        vec![super::fixture::raw(&json!({"name": "greet", "title": "kept"}))];
    world.catalogue = Snapshot::build(&world.settings, vec![cart]);
    let shown = names(&mut world, "prompts");
    assert_eq!((shown.len(), shown[0].len()), (1, 16));
    assert_eq!(sent(&mut world, "prompts/get", &json!({"name": shown[0]})), json!({"name": "greet"}));
    let reference = |name: &str| json!({"ref": {"type": "ref/prompt", "name": name}, "argument": {"name": "x"}});
    assert_eq!(sent(&mut world, "completion/complete", &reference(&shown[0])), reference("greet"));
}

#[test]
fn the_smaller_limit_counts_and_a_short_name_does_not_depend_on_the_gateways() {
    let x = long("x");
    let mut by_client = limited(40, &[&x], |_| {});
    let mut both = limited(40, &[&x], |settings| settings.max_name_length = Some(64));
    let mut by_gateway = limited(200, &[&x], |settings| settings.max_name_length = Some(40));
    let expected = names(&mut by_client, "tools");
    assert_eq!(expected[0].len(), 40);
    assert_eq!(names(&mut both, "tools"), expected);
    assert_eq!(names(&mut by_gateway, "tools"), expected);
    assert_eq!(sent(&mut both, "tools/call", &json!({"name": expected[0]}))["name"], *x);
}

#[test]
fn a_tool_that_looks_shortened_keeps_its_name() {
    let x = long("x");
    let mut first = limited(40, &[&x], |settings| settings.naming = Naming::Plain);
    let short = names(&mut first, "tools")[0].clone();
    // Another tool really has that name: it is shown, the long one only by its whole name.
    let mut world = limited(40, &[&x, &short], |settings| settings.naming = Naming::Plain);
    assert_eq!(names(&mut world, "tools"), [short.clone(), "send".into()]);
    assert_eq!(sent(&mut world, "tools/call", &json!({"name": short}))["name"], *short);
    assert_eq!(sent(&mut world, "tools/call", &json!({"name": x}))["name"], *x);
}

#[test]
fn pages_and_changes_are_those_of_the_whole_list() {
    let tools: Vec<String> = (0..150).map(|at| long(&at.to_string())).collect();
    let tools: Vec<&str> = tools.iter().map(String::as_str).collect();
    let mut world = limited(64, &tools, |_| {});
    let first = world.request(1, "tools/list", json!({}), true).1.answer();
    assert_eq!(first["result"]["tools"].as_array().unwrap().len(), 100);
    let cursor = first["result"]["nextCursor"].clone();
    let second = world.request(2, "tools/list", json!({"cursor": cursor}), true).1.answer();
    let rest = second["result"]["tools"].as_array().unwrap();
    assert_eq!(rest.len(), 51);
    assert!(rest.iter().all(|tool| tool["name"].as_str().unwrap().len() <= 64));
    assert_eq!(rest[0]["inputSchema"], json!({"type": "object"}), "the rest of an item stays");
}

#[test]
fn many_limits_at_once_stay_right() {
    let x = long("x");
    let mut world = limited(16, &[&x], |_| {});
    for limit in (16..90).chain(16..90) {
        world.core.facts.max_name_length = Some(limit);
        let shown = names(&mut world, "tools");
        assert_eq!(shown[0].len(), usize::from(limit));
        assert_eq!(world.catalogue.unshortened(ListKind::Tools, &shown[0], limit.into()).unwrap().len(), 93);
    }
}

#[test]
fn live_names_are_cut_and_known_after_a_restart() {
    let x = long("x");
    for limit in ["client", "gateway"] {
        let mut world = limited(if limit == "client" { 64 } else { 256 }, &["add"], |settings| {
            settings.listing = Listing::Dynamic;
            settings.max_name_length = (limit == "gateway").then_some(64);
        });
        let (call, _) = world.request(1, "tools/list", json!({}), true);
        world.opened("cart", 1);
        let out = world.done(call, 1, json!({"tools": [listed(&x), listed("add")]}));
        assert!(out.stores() && !out.0.durable.is_empty(), "shown when it is stored");
        let page = out.answer();
        let short = page["result"]["tools"][0]["name"].as_str().unwrap().to_owned();
        assert_eq!((short.len(), &page["result"]["tools"][1]["name"]), (64, &json!("cart___add")));
        // Another tool whose name is that one: it is not shown under it.
        let (call, _) = world.request(2, "tools/list", json!({}), true);
        let fake = short.strip_prefix("cart___").unwrap();
        let page = world.done(call, 1, json!({"tools": [listed(fake), listed(&x)]})).answer();
        assert_eq!(page["result"]["tools"].as_array().unwrap().len(), 1, "{page}");
        for restarted in [false, true] {
            let mut generation = 1;
            if restarted {
                world.restart();
                generation = 0;
            }
            let (call, mut out) = world.request(3, "tools/call", json!({"name": short}), true);
            if let Some((target, opened)) = out.opens().first().cloned() {
                generation = opened;
                out = world.link_opened(&target, generation, None);
            }
            assert_eq!(out.sent()[0].1["params"]["name"], *x, "{limit}");
            world.done(call, generation, json!({}));
        }
    }
}

#[test]
fn a_record_from_before_has_no_limit() {
    let world = World::new(NEW);
    let text = String::from_utf8(world.disk.record.clone().unwrap().to_vec()).unwrap();
    assert!(!text.contains("max_name_length"), "as it always looked");
    assert_eq!(Record::parse(text.as_bytes()).unwrap().facts.max_name_length, None);
    let facts = SessionFacts { max_name_length: Some(64), ..world.core.facts.clone() };
    let text = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<SessionFacts>(&text).unwrap().max_name_length, Some(64));
}
