//! Many targets behind one endpoint: names, lists, and what must not be changed on the way.

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Home, eventually, http_target, reference_server, stdio_target};
use crate::scripted::{Reply, SSE, Scripted, result};

fn configuration(head: &str, targets: &[String]) -> String {
    format!("{head}\ntargets:\n{}", targets.concat())
}

#[tokio::test]
async fn three_targets_over_two_transports_have_their_own_names_and_sessions() {
    let (home, a, b) = (Home::new(), reference_server(&[]), reference_server(&[]));
    let targets = [http_target("a", &a.url, ""), http_target("b", &b.url, ""), stdio_target("c", "")];
    let gateway = home.configured(&configuration("", &targets));
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let tools = client.tools().await;
    let prompts = client.list("prompts/list", "prompts").await;
    for target in ["a", "b", "c"] {
        let prefix = format!("{target}___");
        assert_eq!(tools.iter().filter(|tool| tool.starts_with(&prefix)).count(), tools.len() / 3);
        assert!(prompts.iter().any(|prompt| prompt["name"] == format!("{target}___test_simple_prompt")));
        for count in 1..=2 {
            assert_eq!(client.count(&format!("{target}___sg_counter")).await, count);
        }
        let name = format!("{target}___test_prompt_with_arguments");
        let prompt = client.ask("prompts/get", json!({"name": name, "arguments": {"arg1": "x", "arg2": "y"}})).await;
        assert!(prompt.to_string().contains("arg1='x', arg2='y'"), "{prompt}");
        let reference = json!({"type": "ref/prompt", "name": name});
        let params = json!({"ref": reference, "argument": {"name": "arg1", "value": "par"}});
        let completion = client.ask("completion/complete", params).await;
        assert_eq!(completion["result"]["completion"]["values"], json!(["paris", "park", "party"]), "{completion}");
        let (_, mut stream) = client.start(&format!("{target}___sg_progress"), json!({"steps": 3})).await;
        let steps: Vec<i64> = stream.rest().await.iter().filter_map(crate::client::Event::progress).collect();
        assert_eq!(steps, [1, 2, 3], "{target}");
    }
    for unknown in ["sg_counter", "d___sg_counter", "a___nothing"] {
        assert_eq!(client.call(unknown, json!({})).await["error"]["code"], -32602, "{unknown}");
    }
}

#[tokio::test]
async fn plain_names_are_prefixed_only_where_two_targets_offer_them() {
    let home = Home::new();
    let say = |who: &'static str| {
        move |_: &str, request: &_| {
            Reply::Json(result(request, &json!({"content": [], "structuredContent": {"who": who}}).to_string()))
        }
    };
    let a = Scripted::named(&["both", "only_a"], say("a"));
    let b = Scripted::named(&["both", "only_b"], say("b"));
    let targets = [http_target("a", &a.url, ""), http_target("b", &b.url, "")];
    let gateway = home.configured(&configuration("naming: plain", &targets));
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let mut tools = client.tools().await;
    tools.sort_unstable();
    assert_eq!(tools, ["a___both", "b___both", "only_a", "only_b"]);
    for (tool, who) in [("a___both", "a"), ("b___both", "b"), ("only_a", "a"), ("only_b", "b")] {
        let answer = client.call(tool, json!({})).await;
        assert_eq!(answer["result"]["structuredContent"]["who"], who, "{tool}: {answer}");
    }
    assert_eq!(client.call("both", json!({})).await["error"]["code"], -32602);
}

/// A target with one resource that says who read it.
pub fn library(who: &'static str) -> Scripted {
    Scripted::raw(move |request| match (request.method.as_str(), request.body["method"].as_str()) {
        ("POST", Some("initialize")) => Reply::Json(result(
            request,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"resources":{}},"serverInfo":{"name":"l","version":"1"}}"#,
        )),
        ("POST", Some("resources/list")) => {
            Reply::Json(result(request, &json!({"resources": [{"uri": "book://one", "name": who}]}).to_string()))
        }
        ("POST", Some("resources/templates/list")) => Reply::Json(result(request, r#"{"resourceTemplates":[]}"#)),
        ("POST", Some("resources/read")) => {
            Reply::Json(result(request, &json!({"contents": [{"uri": "book://one", "text": who}]}).to_string()))
        }
        ("POST", _) if request.body.get("id").is_none() => Reply::Status(202),
        ("POST", _) => Reply::Json(result(request, "{}")),
        _ => Reply::Status(405),
    })
}

#[tokio::test]
async fn the_lowest_priority_wins_a_resource() {
    let (home, a, b) = (Home::new(), library("a"), library("b"));
    for (winner, priorities) in [("b", [1000, 10]), ("a", [5, 10])] {
        let line = |name, target: &Scripted, priority| {
            http_target(name, &target.url, &format!("resource_priority: {priority}"))
        };
        let targets = [line("a", &a, priorities[0]), line("b", &b, priorities[1])];
        let gateway = home.configured(&configuration("", &targets));
        let mut client = Client::ready(&gateway.url, json!({})).await;
        let resources = client.list("resources/list", "resources").await;
        assert_eq!(resources, [json!({"uri": "book://one", "name": winner})]);
        let read = client.ask("resources/read", json!({"uri": "book://one"})).await;
        assert_eq!(read["result"]["contents"][0]["text"], winner, "{read}");
    }
}

#[tokio::test]
async fn what_the_gateway_does_not_understand_passes_byte_for_byte() {
    const TOOL: &str = r#"{"zeta":1.0,"name":"odd","icons":[{"src":"x:y"}],"inputSchema":{"type":"object","$schema":"https://json-schema.org/draft/2020-12/schema","$defs":{"b":{},"a":{"const":12345678901234567890123}}},"outputSchema":{"type":"object"},"annotations":{"readOnlyHint":true,"x":1e400},"_meta":{"k/v":[1.50,"\u00e9\/"]}}"#;
    const RESULT: &str = r#"{"structuredContent":{"z":1.10,"a":123456789012345678901234567890},"content":[{"type":"hologram","x":-0.0}],"future":{"b":1,"a":2},"_meta":{"k":1E5}}"#;
    const ARGUMENTS: &str = r#"{"z":1.0,"a":98765432109876543210987,"ä":"\u0041\/","nested":{"b":[],"a":{}}}"#;
    for naming in ["plain", "prefixed"] {
        let home = Home::new();
        let target = Scripted::new(&format!("[{TOOL}]"), |_, request| Reply::Json(result(request, RESULT)));
        let yaml = configuration(&format!("naming: {naming}"), &[http_target("t", &target.url, "")]);
        let gateway = home.configured(&yaml);
        let client = Client::ready(&gateway.url, json!({})).await;
        let text = async |body: String| {
            let request = client.with_session(client.http.post(&client.url)).body(body);
            let request = request.header("content-type", "application/json");
            let request = request.header("accept", "application/json, text/event-stream");
            request.send().await.unwrap().text().await.unwrap()
        };
        let name = if naming == "plain" { "odd" } else { "t___odd" };
        let list = text(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.into()).await;
        let expected = TOOL.replace(r#""odd""#, &format!("\"{name}\""));
        assert!(list.contains(&expected), "{naming}: {list}");
        let params = format!(r#"{{"future":[1.0],"name":"{name}","arguments":{ARGUMENTS},"_meta":{{"x/y":2.0}}}}"#);
        let answer = text(format!(r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{params}}}"#)).await;
        assert!(answer.contains(RESULT), "{naming}: {answer}");
        let sent = params.replace(&format!("\"{name}\""), r#""odd""#);
        let seen = target.seen();
        assert!(seen.iter().any(|body| body.contains(&sent)), "{naming}: {:?}", seen.last());
    }
}

#[tokio::test]
async fn long_lists_come_in_pages_with_cursors_of_the_gateway() {
    let (home, many) = (Home::new(), reference_server(&["--many"]));
    let other = reference_server(&[]);
    for listing in ["default", "dynamic"] {
        let targets = [http_target("many", &many.url, ""), http_target("b", &other.url, "")];
        let gateway = home.configured(&configuration(&format!("listing: {listing}"), &targets));
        let mut client = Client::ready(&gateway.url, json!({})).await;
        let tools = client.tools().await;
        assert_eq!(tools.iter().filter(|tool| tool.starts_with("many___page_")).count(), 250, "{listing}");
        let distinct: std::collections::BTreeSet<_> = tools.iter().collect();
        assert_eq!(distinct.len(), tools.len(), "{listing}: none twice");
        assert!(tools.contains(&"b___sg_counter".to_owned()), "{listing}");
        let first = client.ask("tools/list", json!({})).await;
        let cursor = first["result"]["nextCursor"].as_str().unwrap();
        assert!(!cursor.contains("tools:"), "the target's cursor is not shown: {cursor}");
        for (method, cursor) in [("tools/list", "tools:50"), ("prompts/list", cursor)] {
            let refused = client.ask(method, json!({"cursor": cursor})).await;
            assert_eq!(refused["error"]["code"], -32602, "{listing} {method}: {refused}");
        }
    }
}

#[tokio::test]
async fn a_live_list_goes_on_without_a_dead_target() {
    let (home, a, mut dead, b) = (Home::new(), reference_server(&[]), reference_server(&[]), reference_server(&[]));
    let targets = [("a", &a), ("dead", &dead), ("b", &b)].map(|(name, target)| http_target(name, &target.url, ""));
    let gateway = home.configured(&configuration("listing: dynamic", &targets));
    dead.kill();
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let tools = client.tools().await;
    for (name, there) in [("a___sg_echo", true), ("dead___sg_echo", false), ("b___sg_echo", true)] {
        assert_eq!(tools.iter().any(|tool| tool == name), there, "{name}");
    }
    // Lists are live: a tool that appears is listed at once.
    client.call("b___sg_toggle_tool", json!({})).await;
    assert!(client.tools().await.contains(&"b___sg_toggled".to_owned()));
}

#[tokio::test]
async fn a_changed_list_is_told_and_shown() {
    let (home, a, b) = (Home::new(), reference_server(&[]), reference_server(&[]));
    let targets = [http_target("a", &a.url, ""), http_target("b", &b.url, "")];
    let gateway = home.configured(&configuration("", &targets));
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let bystander = Client::ready(&gateway.url, json!({})).await;
    let (mut standing, mut other) = (client.listen(None).await, bystander.listen(None).await);
    for on in [true, false] {
        let toggled = client.call("a___sg_toggle_tool", json!({})).await;
        assert_eq!(toggled["result"]["structuredContent"]["on"], on);
        standing.message("notifications/tools/list_changed").await;
        other.message("notifications/tools/list_changed").await;
        assert_eq!(client.tools().await.contains(&"a___sg_toggled".to_owned()), on);
    }
}

#[tokio::test]
async fn subscriptions_reach_the_session_that_has_them() {
    let (home, a) = (Home::new(), reference_server(&[]));
    let gateway = home.configured(&configuration("", &[http_target("a", &a.url, "")]));
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let mut standing = client.listen(None).await;
    let uri = json!({"uri": "test://watched-resource"});
    assert_eq!(client.ask("resources/subscribe", uri.clone()).await["result"], json!({}));
    assert_eq!(client.call("a___sg_touch", uri.clone()).await["result"]["structuredContent"]["told"], true);
    let updated = standing.message("notifications/resources/updated").await;
    assert_eq!(updated["params"]["uri"], uri["uri"]);
    let mut other = Client::ready(&gateway.url, json!({})).await;
    assert_eq!(other.call("a___sg_touch", uri.clone()).await["result"]["structuredContent"]["told"], false);
    client.ask("resources/unsubscribe", uri.clone()).await;
    assert_eq!(client.call("a___sg_touch", uri).await["result"]["structuredContent"]["told"], false);
}

#[tokio::test]
async fn a_target_that_hangs_delays_nobody() {
    let (home, a, hung) = (Home::new(), reference_server(&[]), Scripted::raw(|_| Reply::Hang(SSE.to_vec())));
    let more = "required: false, initialize_timeout: 5m, timeout: 8h";
    let targets = [http_target("hung", &hung.url, more), http_target("a", &a.url, "")];
    let gateway = home.launched(&configuration("", &targets), &[]);
    eventually("the one target hangs, the other is known", async || {
        let page = reqwest::get(format!("{}/readyz", gateway.base())).await.ok()?;
        (page.status().is_success() && hung.hanging() > 0).then_some(())
    })
    .await;
    let mut client = Client::ready(&gateway.url, json!({})).await;
    assert!(client.tools().await.contains(&"a___sg_echo".to_owned()));
    assert!(!client.list("prompts/list", "prompts").await.is_empty());
    assert_eq!(client.count("a___sg_counter").await, 1);
    // And while this session's own call waits for it.
    let waits = client.request("tools/call", json!({"name": "hung___x"}));
    let waiting = tokio::spawn(client.post(&waits).send());
    eventually("the call hangs too", async || (hung.hanging() > 1).then_some(())).await;
    assert_eq!(client.count("a___sg_counter").await, 2);
    assert!(!waiting.is_finished() && hung.hanging() > 1, "all that was done while it hung");
    let (_, mut stream) = client.start("a___sg_progress", json!({})).await;
    stream.message("notifications/progress").await;
    waiting.abort();
}

#[tokio::test]
async fn names_are_kept_short_where_asked_and_stay_the_same() {
    let home = Home::new();
    let long: Vec<String> = ["x", "y"].map(|end| format!("{}{end}", "a_very_long_name_".repeat(5))).into();
    let names: Vec<&str> = long.iter().map(String::as_str).collect();
    let target = Scripted::named(&names, |tool, request| crate::scripted::text(request, tool));
    let yaml = configuration("max_name_length: 64", &[http_target("t", &target.url, "")]);
    let mut before: Option<Vec<String>> = None;
    for _ in 0..2 {
        let gateway = home.configured(&yaml);
        let mut client = Client::ready(&gateway.url, json!({})).await;
        let tools = client.tools().await;
        assert!(tools.iter().all(|tool| tool.len() <= 64) && tools[0] != tools[1], "{tools:?}");
        for (tool, real) in tools.iter().zip(&long) {
            let answer: Value = client.call(tool, json!({})).await;
            assert_eq!(answer["result"]["content"][0]["text"], **real);
        }
        assert_eq!(before.get_or_insert_with(|| tools.clone()), &tools);
    }
}

#[tokio::test]
async fn a_client_asks_for_short_names_in_its_url_or_by_a_header() {
    let home = Home::new();
    let long: Vec<String> = ["x", "y"].map(|end| format!("{}{end}", "a_very_long_name_".repeat(5))).into();
    let names: Vec<&str> = long.iter().map(String::as_str).chain(["short"]).collect();
    let target = Scripted::named(&names, |tool, request| crate::scripted::text(request, tool));
    let yaml = configuration("", &[http_target("t", &target.url, "")]);
    let mut gateway = home.configured(&yaml);
    let mut by_url = Client::ready(&format!("{}?max_name_length=64", gateway.url), json!({})).await;
    let mut by_header = Client::new(&gateway.url);
    by_header.http = reqwest::Client::builder()
        .default_headers(
            [("sessiongate-max-name-length".parse().unwrap(), "64".parse().unwrap())].into_iter().collect(),
        )
        .build()
        .unwrap();
    by_header.initialize(json!({})).await.unwrap();
    let tools = by_url.tools().await;
    assert!(tools.iter().all(|tool| tool.len() <= 64) && tools[0] != tools[1], "{tools:?}");
    assert_eq!(tools[2], "t___short");
    assert_eq!(by_header.tools().await, tools);
    // The wish belongs to the session, also in the next process.
    gateway.kill();
    let gateway = home.again();
    by_url.reconnect();
    by_url.url.clone_from(&gateway.url);
    assert_eq!(by_url.tools().await, tools);
    for (tool, real) in tools.iter().zip(&names) {
        let answer = by_url.call(tool, json!({})).await;
        assert_eq!(answer["result"]["content"][0]["text"], **real, "{tool}");
        let answer = by_url.call(&format!("t___{real}"), json!({})).await;
        assert_eq!(answer["result"]["content"][0]["text"], **real, "the whole name");
    }
    let mut other = Client::ready(&gateway.url, json!({})).await;
    assert_eq!(other.tools().await[0], format!("t___{}", long[0]));
    for (query, header, what) in [
        ("?max_name_length=15", None, "`max_name_length`"),
        ("?max_name_length=many", None, "`max_name_length`"),
        ("", Some("257"), "`Sessiongate-Max-Name-Length`"),
    ] {
        let mut client = Client::new(&format!("{}{query}", gateway.url));
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
        let body = client.request("initialize", params);
        let mut request = client.post(&body);
        if let Some(value) = header {
            request = request.header("sessiongate-max-name-length", value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 400, "{query} {header:?}");
        let refused: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert!(refused["error"]["message"].as_str().unwrap().contains(what), "{refused}");
        assert_eq!(refused["id"], body["id"]);
    }
}

#[tokio::test]
async fn without_sessions_each_request_carries_the_wish() {
    let home = Home::new();
    let long = "a_very_long_name_".repeat(5);
    let target = Scripted::named(&[&long], |tool, request| crate::scripted::text(request, tool));
    let gateway = home.configured(&configuration("sessions: off", &[http_target("t", &target.url, "")]));
    let mut client = Client::new(&format!("{}?max_name_length=64", gateway.url));
    let tools = client.tools().await;
    assert_eq!(tools[0].len(), 64, "{tools:?}");
    assert_eq!(client.call(&tools[0], json!({})).await["result"]["content"][0]["text"], *long);
}

/// A target with a tool `look` that mentions a resource which is in no list, and says who read what.
fn librarian(who: &'static str, uri: &'static str) -> Scripted {
    Scripted::raw(move |request| match (request.method.as_str(), request.body["method"].as_str()) {
        ("POST", Some("initialize")) => Reply::Json(result(
            request,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"resources":{"subscribe":true}},"serverInfo":{"name":"l","version":"1"}}"#,
        )),
        ("POST", Some("tools/list")) => {
            Reply::Json(result(request, r#"{"tools":[{"name":"look","inputSchema":{"type":"object"}}]}"#))
        }
        ("POST", Some("tools/call")) => {
            let links = json!([{"type": "resource_link", "uri": uri, "name": who}, {"type": "resource_link", "uri": "shelf:2", "name": "x"}]);
            Reply::Json(result(request, &json!({"content": links}).to_string()))
        }
        ("POST", Some("resources/list")) if who == "b" => {
            Reply::Json(result(request, &json!({"resources": [{"uri": "shelf:2", "name": who}]}).to_string()))
        }
        ("POST", Some("resources/read")) => {
            let uri = &request.body["params"]["uri"];
            Reply::Json(result(request, &json!({"contents": [{"uri": uri, "text": who}]}).to_string()))
        }
        ("POST", Some(list)) if list.ends_with("/list") => {
            let member = if list.contains("templates") { "resourceTemplates" } else { "resources" };
            Reply::Json(result(request, &json!({member: []}).to_string()))
        }
        ("POST", _) if request.body.get("id").is_none() => Reply::Status(202),
        ("POST", _) => Reply::Json(result(request, "{}")),
        _ => Reply::Status(405),
    })
}

#[tokio::test]
async fn a_resource_that_a_result_mentions_is_read_at_its_target() {
    let (home, a, b) = (Home::new(), librarian("a", "book:a"), librarian("b", "book:b"));
    let targets = [http_target("a", &a.url, ""), http_target("b", &b.url, "")];
    let mut gateway = home.configured(&configuration("", &targets));
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let read = async |client: &mut Client, uri: &str| client.ask("resources/read", json!({"uri": uri})).await;
    for who in ["a", "b"] {
        let uri = format!("book:{who}");
        assert_eq!(read(&mut client, &uri).await["error"]["code"], -32002);
        client.call(&format!("{who}___look"), json!({})).await;
        let found = read(&mut client, &uri).await;
        assert_eq!(found["result"]["contents"][0]["text"], who, "{found}");
        assert_eq!(client.ask("resources/subscribe", json!({"uri": uri})).await["result"], json!({}));
        assert!(
            (if who == "a" { &a } else { &b }).seen().iter().any(|body| body.contains("resources/subscribe")),
            "{who} was asked"
        );
    }
    let listed = read(&mut client, "shelf:2").await;
    assert_eq!(listed["result"]["contents"][0]["text"], "b", "a's word takes nothing from b's list: {listed}");
    let mut other = Client::ready(&gateway.url, json!({})).await;
    assert_eq!(read(&mut other, "book:a").await["error"]["code"], -32002, "another session has not seen it");
    other.call("a___look", json!({})).await;
    // A shutdown in order keeps what was seen.
    gateway.terminate();
    let _gateway = home.again();
    other.reconnect();
    let found = read(&mut other, "book:a").await;
    assert_eq!(found["result"]["contents"][0]["text"], "a", "{found}");
}
