//! Lists that are refused, broken, or hold what clients cannot read.

use serde_json::{Value, json};

use super::offer::{Offer, many, tools};
use super::{Shop, reason, refused};
use crate::client::Client;
use crate::control_client::{Control, target};
use crate::either::{ERAS, Either};
use crate::harness::{Home, eventually, http_target, sessiongate};

const ALL: [&str; 4] = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"];

#[tokio::test]
async fn a_list_that_is_refused_fails_and_what_was_read_last_stays() {
    let offer = Offer::new(many(9));
    offer.pages_of(3);
    let shop = Shop::open("").await;
    let id = shop.target(&offer).await;
    let mut before = shop.get(&id).await["lastSynchronizedAt"].clone();
    for (round, (method, page, code)) in [
        ("tools/list", 0, -32603),
        ("tools/list", 1, -32603),
        ("tools/list", 2, -32601),
        // It says that it has tools.
        ("tools/list", 0, -32601),
        ("prompts/list", 0, -32603),
        ("resources/list", 0, -32000),
        ("resources/templates/list", 0, -32602),
    ]
    .into_iter()
    .enumerate()
    {
        offer.refuses(method, Some((page, code)));
        let failed = shop.synchronised(&id, "SYNCHRONIZE_UNSUCCESSFUL").await;
        let why = reason(&failed);
        assert!(why.contains(&format!("`{method}`")) && why.contains(&code.to_string()), "{why}");
        assert!(why.contains(&format!("not page {page}  today")), "its own words, on one line: {why}");
        assert!(why.chars().count() < 350 && why.ends_with('…'), "{why}");
        assert_eq!(failed["lastSynchronizedAt"], before);
        assert_eq!(shop.shown().await.len(), 9, "{method} {page} {code}");
        let failed = shop.update(&id, &target("t", &offer.url), "UPDATE_UNSUCCESSFUL").await;
        assert_eq!(reason(&failed), why);
        assert_eq!(shop.shown().await.len(), 9);
        let created = shop.create(&target(&format!("new{round}"), &offer.url)).await;
        assert_eq!(reason(&shop.control.settled(&shop.path(&created), "FAILED").await), why);
        offer.refuses(method, None);
        let mended = shop.update(&id, &target("t", &offer.url), "READY").await;
        before = mended["lastSynchronizedAt"].clone();
        shop.control.ok("DELETE", &shop.path(&created), None).await;
    }
}

#[tokio::test]
async fn a_list_that_goes_in_a_circle_fails_where_it_begins_again() {
    let offer = Offer::new(many(4));
    offer.pages_of(2);
    let shop = Shop::open("").await;
    let id = shop.target(&offer).await;
    offer.circles(true);
    let asked = offer.asked("tools/list");
    let failed = shop.synchronised(&id, "SYNCHRONIZE_UNSUCCESSFUL").await;
    assert!(reason(&failed).contains("`nextCursor`") && reason(&failed).contains("tools/list"), "{failed}");
    assert_eq!(offer.asked("tools/list"), asked + 2);
    assert_eq!(shop.shown().await.len(), 4);
    offer.circles(false);
    shop.synchronised(&id, "READY").await;
}

#[tokio::test]
async fn a_list_that_a_target_does_not_have_is_empty() {
    let offer = Offer::new(many(2));
    for method in &ALL[1..] {
        offer.refuses(method, Some((0, -32601)));
    }
    let shop = Shop::open("").await;
    let id = shop.target(&offer).await;
    assert_eq!(shop.shown().await.len(), 2);
    assert!(shop.get(&id).await.get("statusReasons").is_none());
    // What it does not declare is not asked for.
    let asked = ALL.map(|method| offer.asked(method));
    offer.can(json!({}));
    shop.synchronised(&id, "READY").await;
    assert_eq!(ALL.map(|method| offer.asked(method)), asked);
    assert_eq!(shop.shown().await, [""; 0]);
}

#[tokio::test]
async fn an_answer_without_a_list_fails_for_tools_and_is_an_empty_list_for_others() {
    let offer = Offer::new(many(3));
    offer.pages_of(2);
    for (method, item) in [
        ("prompts/list", json!({"name": "p"})),
        ("resources/list", json!({"uri": "a:b", "name": "r"})),
        ("resources/templates/list", json!({"uriTemplate": "a:{b}", "name": "t"})),
    ] {
        offer.lists(method, vec![item.clone(), item]);
    }
    let shop = Shop::open("").await;
    let id = shop.target(&offer).await;
    offer.omits(Some("tools/list"));
    let failed = shop.synchronised(&id, "SYNCHRONIZE_UNSUCCESSFUL").await;
    assert!(reason(&failed).contains("`tools`"), "{failed}");
    let mut client = Client::ready(&shop.url, json!({})).await;
    for (method, member) in [
        ("prompts/list", "prompts"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
    ] {
        offer.omits(Some(method));
        let read = shop.synchronised(&id, "READY").await;
        let said = read["statusReasons"].to_string();
        assert!(said.contains(&format!("`{member}`")) && said.contains(method), "{read}");
        assert_eq!(client.list(method, member).await, [json!(null); 0]);
        assert_eq!(shop.shown().await.len(), 3);
    }
    offer.omits(None);
    shop.synchronised(&id, "READY").await;
    assert_eq!(client.list("prompts/list", "prompts").await.len(), 1);
}

/// Tools of which clients can read the first and the last.
fn mixed() -> Vec<Value> {
    let schema = json!({"type": "object"});
    vec![
        json!({"name": "good", "inputSchema": schema, "description": null, "title": null}),
        json!({"name": "noschema"}),
        json!({"name": "", "inputSchema": schema}),
        json!({"inputSchema": schema}),
        json!({"name": "text", "inputSchema": {"type": "string"}}),
        json!({"name": "described", "inputSchema": schema, "description": 5}),
        json!({"name": "good", "inputSchema": schema, "description": "again"}),
        json!({"name": "fine", "inputSchema": schema, "description": "it is"}),
    ]
}

fn says_what_is_left_out(text: &str) -> bool {
    ["6 of 8 tools", "`noschema`", "inputSchema", "number 3", "number 4", "`described`"]
        .iter()
        .all(|part| text.contains(part))
}

/// Asks as SDK clients read: one wrong tool, and all are lost.
async fn readable(url: &str, names: &[&str]) {
    for era in ERAS {
        let mut client = Either::new(era, url).await;
        let mut params = json!({});
        let mut seen: Vec<String> = Vec::new();
        loop {
            let page = client.ask("tools/list", params).await;
            for tool in page["result"]["tools"].as_array().unwrap() {
                assert_eq!(tool["inputSchema"]["type"], "object", "{era}: {tool}");
                assert!(tool.get("description").is_none_or(Value::is_string), "{era}: {tool}");
                seen.push(tool["name"].as_str().unwrap().to_owned());
            }
            match page["result"].get("nextCursor") {
                Some(cursor) => params = json!({"cursor": cursor}),
                None => break,
            }
        }
        assert_eq!(seen, names, "{era}");
    }
}

#[tokio::test]
async fn what_clients_cannot_read_is_left_out_and_said() {
    let offer = Offer::new(mixed());
    let shop = Shop::open("").await;
    let id = shop.create(&target("t", &offer.url)).await;
    let made = shop.control.settled(&shop.path(&id), "READY").await;
    assert!(says_what_is_left_out(reason(&made)), "{made}");
    readable(&shop.url, &["t___good", "t___fine"]).await;
    let again = shop.synchronised(&id, "READY").await;
    assert_eq!(again["statusReasons"], made["statusReasons"]);
    // In a list with others, and in lists of other things.
    offer.tools(tools(&["one"]));
    offer.lists("prompts/list", vec![json!({"name": "p", "arguments": [{"description": "?"}]}), json!({"name": "q"})]);
    offer.lists("resources/list", vec![json!({"uri": "a:b"}), json!({"uri": "a:c", "name": "c"})]);
    offer.lists("resources/templates/list", vec![json!({"name": "nothing"})]);
    let after = shop.synchronised(&id, "READY").await;
    let reasons = after["statusReasons"].as_array().unwrap();
    for (at, says) in ["1 of 2 prompts", "1 of 2 resources", "1 of 1 resource templates"].iter().enumerate() {
        assert!(reasons[at].as_str().unwrap().contains(says), "{after}");
    }
    let mut client = Client::ready(&shop.url, json!({})).await;
    assert_eq!(client.list("prompts/list", "prompts").await, [json!({"name": "t___q"})]);
    assert_eq!(client.list("resources/list", "resources").await, [json!({"uri": "a:c", "name": "c"})]);
    assert_eq!(client.list("resources/templates/list", "resourceTemplates").await, [json!(null); 0]);
    // Once all is well, nothing is said.
    for method in &ALL[1..] {
        offer.lists(method, Vec::new());
    }
    assert!(shop.synchronised(&id, "READY").await.get("statusReasons").is_none());
}

#[tokio::test]
async fn so_it_is_with_lists_that_are_always_the_targets_own() {
    let mut listed = mixed();
    listed.remove(6);
    let offer = Offer::new(listed);
    let shop = Shop::open("").await;
    let mut live = target("t", &offer.url);
    live["targetConfiguration"]["mcp"]["mcpServer"]["listingMode"] = json!("DYNAMIC");
    let id = shop.create(&live).await;
    shop.control.settled(&shop.path(&id), "READY").await;
    readable(&shop.url, &["t___good", "t___fine"]).await;
}

#[tokio::test]
async fn a_schema_with_a_tool_that_clients_cannot_read_is_refused() {
    let control = Control::new("", "");
    let _program = control.start();
    let id = control.gateway("shop", json!({})).await;
    let path = format!("/gateways/{id}/targets/");
    let with = |name: &str, tools: Value| {
        let mut members = target(name, "http://127.0.0.1:1/mcp");
        members["targetConfiguration"]["mcp"]["mcpServer"]["mcpToolSchema"] =
            json!({"inlinePayload": tools.to_string()});
        members
    };
    let schema = json!({"type": "object"});
    for (tool, says) in
        mixed()[1..6].iter().zip(["`inputSchema`", "`name`", "`name`", "`type: object`", "`description`"])
    {
        let good = json!({"name": "good", "inputSchema": schema});
        let answer = control.send("POST", &path, Some(&with("t", json!([good, tool])))).await;
        let message = refused(&answer, "ValidationException");
        assert!(message.contains(says) && message.contains("number 2"), "{message}");
    }
    // A tool's name is what clients call it by, with the name of its target.
    let name = "n".repeat(100);
    for (length, fits) in [(256 - 103, true), (256 - 102, false)] {
        let tool = json!([{"name": "x".repeat(length), "inputSchema": schema}]);
        let answer = control.send("POST", &path, Some(&with(&name, tool))).await;
        assert_eq!(answer.status.is_success(), fits, "{answer:?}");
        assert!(fits || refused(&answer, "ValidationException").contains("256"), "{answer:?}");
    }
}

#[tokio::test]
async fn the_same_holds_for_gateways_of_the_file() {
    let (home, offer) = (Home::new(), Offer::new(mixed()));
    offer.refuses("prompts/list", Some((0, -32601)));
    let gateway = home.configured(&format!("targets:\n{}", http_target("t", &offer.url, "")));
    readable(&gateway.url, &["t___good", "t___fine"]).await;
    eventually("the log says so", async || {
        let log = gateway.log().replace('\\', "");
        log.lines().any(|line| says_what_is_left_out(line) && line.contains("\"t\"")).then_some(())
    })
    .await;

    let (data, file) = (home.data(), home.file());
    let sync = ["sync", "--data-dir", data.to_str().unwrap()];
    let check = ["check", "--config", file.to_str().unwrap()];
    for command in [&sync[..], &check] {
        let asked = sessiongate(command);
        assert!(asked.status.success(), "{asked:?}");
        let said = String::from_utf8_lossy(&asked.stderr);
        assert!(says_what_is_left_out(&said) && said.contains("test/t: "), "{said}");
    }
    offer.refuses("prompts/list", Some((0, -32603)));
    for command in [&sync[..], &check] {
        let asked = sessiongate(command);
        assert!(!asked.status.success(), "{asked:?}");
        let said = String::from_utf8_lossy(&asked.stdout);
        assert!(said.contains("prompts/list") && said.contains("-32603"), "{said}");
    }
    readable(&gateway.url, &["t___good", "t___fine"]).await;
}

#[tokio::test]
async fn a_gateway_of_the_file_cuts_a_list_that_is_far_too_long() {
    let (home, offer) = (Home::new(), Offer::new(many(10_003)));
    let gateway = home.configured(&format!("pagination: false\ntargets:\n{}", http_target("t", &offer.url, "")));
    let tools = Client::ready(&gateway.url, json!({})).await.tools().await;
    assert_eq!(tools.len(), 10_000);
    eventually("the log says so", async || gateway.log().contains("more than 10000 tools").then_some(())).await;
}

#[tokio::test]
async fn a_declared_tool_that_clients_cannot_read_is_refused() {
    for (tool, says) in [
        ("{name: a, inputSchema: {}}", "type: object"),
        ("{name: a, inputSchema: {type: object}, description: 5}", "description"),
    ] {
        let home = Home::new();
        home.write(&format!("targets:\n{}", http_target("t", "http://127.0.0.1:1/mcp", &format!("tools: [{tool}]"))));
        let asked = sessiongate(&["check", "--offline", "--config", home.file().to_str().unwrap()]);
        let said = String::from_utf8_lossy(&asked.stderr).into_owned();
        assert!(!asked.status.success() && said.contains(says), "{said}");
    }
}
