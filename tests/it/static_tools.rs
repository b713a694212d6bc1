//! Targets whose tools are declared: they are not asked what they offer, and used like all others.

use serde_json::{Value, json};

use crate::client::Client;
use crate::either::{ERAS, Either};
use crate::eras_player::{answer, everything, retry, tool};
use crate::harness::{Home, eventually, http_target, reference_server, sessiongate};
use crate::modern_client::{ModernClient, REVISION};
use crate::scripted::{Scripted, text};

const TOOLS: &str = r#"tools: [{name: sg_echo, description: declared, inputSchema: {type: object}}, {name: sg_elicit_form, inputSchema: {type: object, properties: {key: {type: string}}}}]"#;

#[tokio::test]
async fn what_is_declared_is_no_live_list() {
    let (home, target) = (Home::new(), reference_server(&[]));
    let live = http_target("live", &target.url, "synchronisation: manual, required: false");
    let gateway = home.configured(&format!("listing: dynamic\n{}{live}", configuration(&target.url, TOOLS)));
    let mut client = Either::new("legacy", &gateway.url).await;
    let pages = client.pages("tools/list", "tools", "name").await;
    assert_eq!(pages[0], ["t___sg_echo", "t___sg_elicit_form"]);
    assert!(pages.len() == 2 && pages[1].iter().all(|name| name.starts_with("live___")), "{pages:?}");
}

fn configuration(url: &str, tools: &str) -> String {
    format!("targets:\n{}", http_target("t", url, tools))
}

#[tokio::test]
async fn the_target_hears_nothing_before_it_is_called() {
    let (home, target) = (Home::new(), Scripted::named(&["sg_echo", "other"], |_, request| text(request, "called")));
    let gateway = home.configured(&configuration(&target.url, TOOLS));
    assert_eq!(gateway.page("/readyz").await.status(), 200);
    for era in ERAS {
        let mut client = Either::new(era, &gateway.url).await;
        let page = client.ask("tools/list", json!({})).await;
        let tools = page["result"]["tools"].as_array().unwrap();
        assert_eq!(tools.len(), 2, "{era}: {page}");
        let declared = json!({"name": "t___sg_echo", "description": "declared", "inputSchema": {"type": "object"}});
        assert_eq!(tools[0], declared, "{era}");
        assert_eq!(client.ask("prompts/list", json!({})).await["result"]["prompts"], json!([]), "{era}");
    }
    // Asked to synchronise, the gateway says what there is.
    let data = home.data();
    let asked = sessiongate(&["sync", "--data-dir", data.to_str().unwrap(), "--output", "json"]);
    let lines: Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert_eq!((&lines[0]["ok"], &lines[0]["tools"]), (&json!(true), &json!(2)), "{lines}");
    assert_eq!(target.seen(), [""; 0]);
    let mut client = Client::ready(&gateway.url, json!({})).await;
    assert_eq!(client.call("t___sg_echo", json!({})).await["result"]["content"][0]["text"], "called");
    assert_eq!(client.call("t___other", json!({})).await["error"]["code"], -32602, "only what is declared");
    assert!(!target.seen().iter().any(|body| body.contains("/list")), "{:?}", target.seen());
}

#[tokio::test]
async fn targets_of_both_eras_are_found_out_at_the_first_call() {
    for server in ["legacy", "modern", "both"] {
        // A question in the very first call: what was begun with one era must end with it.
        let (home, target) = (Home::new(), reference_server(&["--era", server]));
        let gateway = home.configured(&configuration(&target.url, TOOLS));
        let mut client = ModernClient::new(&gateway.url).capabilities(everything(REVISION));
        let call = tool("t___sg_elicit_form", json!({"key": "k"}));
        let asked = client.request("tools/call", call.clone()).await;
        assert_eq!(asked.result()["resultType"], "input_required", "{server}: {asked:?}");
        let questions = asked.result()["inputRequests"].as_object().unwrap();
        let said = questions.iter().map(|(key, question)| (key.clone(), answer(question, "accept")));
        let said = Value::Object(said.collect());
        let done = client.request("tools/call", retry(&call, asked.result().get("requestState"), said)).await;
        assert_eq!(done.result()["resultType"], "complete", "{server}: {done:?}");
        assert_eq!(target.stats().await["answers"]["k"], 1, "{server}");

        let gateway = {
            drop(gateway);
            home.again()
        };
        let mut client = Client::ready(&gateway.url, json!({})).await;
        let echo = client.call("t___sg_echo", json!({"a": 1})).await;
        assert_eq!(echo["result"]["structuredContent"], json!({"a": 1}), "{server}: {echo}");
    }
}

#[tokio::test]
async fn they_are_there_after_a_restart_and_while_the_target_is_down() {
    let (home, mut target) = (Home::new(), reference_server(&[]));
    let mut gateway = home.configured(&configuration(&target.url, TOOLS));
    target.kill();
    for restarted in [false, true] {
        if restarted {
            gateway.kill();
            gateway = home.again();
        }
        for era in ERAS {
            let mut client = Either::new(era, &gateway.url).await;
            let pages = client.pages("tools/list", "tools", "name").await;
            assert_eq!(pages, [["t___sg_echo", "t___sg_elicit_form"]], "{era}");
            let failed = client.call("t___sg_echo", json!({})).await;
            assert_eq!(failed["result"]["isError"], true, "{era}: {failed}");
            assert!(failed.to_string().contains("target `t`"), "{era}: {failed}");
        }
    }
}

#[tokio::test]
async fn other_tools_in_the_file_are_told_and_shown() {
    let (home, target) = (Home::new(), reference_server(&[]));
    let gateway = home.configured(&configuration(&target.url, TOOLS));
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let mut standing = client.listen(None).await;
    home.write(&configuration(&target.url, "tools: [{name: sg_counter, inputSchema: {type: object}}]"));
    standing.message("notifications/tools/list_changed").await;
    assert_eq!(client.tools().await, ["t___sg_counter"]);
    assert_eq!(client.count("t___sg_counter").await, 1);
    // And none: it is asked again.
    home.write(&configuration(&target.url, ""));
    eventually("its own tools", async || (client.tools().await.len() > 10).then_some(())).await;
}

#[test]
fn what_is_no_list_of_tools_is_refused() {
    let home = Home::new();
    for (tools, says) in [
        ("tools: [{name: a}]", "inputSchema"),
        ("tools: [{name: a, inputSchema: {}}, {name: a, inputSchema: {}}]", "twice"),
        ("tools: [{name: a, inputSchema: {}}], listing: dynamic", "take one of them away"),
    ] {
        home.write(&configuration("http://127.0.0.1:1/mcp", tools));
        let checked = sessiongate(&["check", "--config", home.file().to_str().unwrap()]);
        let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
        assert!(!checked.status.success() && said.contains(says), "{tools}: {said}");
    }
}
