//! The gateway's own tool that finds tools: listed, answered without a target, to clients of both eras.

use serde_json::{Value, json};

use crate::client::Client;
use crate::control_client::{Control, gateway as members};
use crate::either::{ERAS, Either};
use crate::harness::{Home, eventually, http_target, reference_server};
use crate::hook::Hook;
use crate::modern_client::ModernClient;
use crate::scripted::{Reply, Scripted, result, text};

const TOOL: &str = "x_amz_bedrock_agentcore_search";

const SHOP: &str = r#"tools: [{name: processRefund, description: "Refund an order", inputSchema: {type: object, properties: {orderId: {type: string, description: "Number on the invoice"}}}}, {name: listOrders, description: "Orders of a customer", inputSchema: {type: object}}]"#;

async fn search(client: &mut Either, query: &str) -> Value {
    client.call(TOOL, json!({"query": query})).await
}

/// The tools that were found, from both places where clients look for them.
fn found(answer: &Value) -> Vec<Value> {
    let tools = &answer["result"]["structuredContent"]["tools"];
    let text: Value = serde_json::from_str(answer["result"]["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(*tools, text["tools"], "{answer}");
    assert!(answer["result"].get("isError").is_none_or(|failed| *failed == false), "{answer}");
    tools.as_array().unwrap_or_else(|| panic!("{answer}")).clone()
}

fn names(tools: &[Value]) -> Vec<&str> {
    tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn tools_are_found_as_they_are_listed_and_can_be_called() {
    let (home, target, modern) = (Home::new(), reference_server(&[]), reference_server(&["--era", "modern"]));
    let targets = http_target("a", &target.url, "") + &http_target("b", &modern.url, "");
    let gateway = home.configured(&format!("search: true\ntargets:\n{targets}"));
    for era in ERAS {
        let mut client = Either::new(era, &gateway.url).await;
        let page = client.ask("tools/list", json!({})).await;
        let listed = page["result"]["tools"].as_array().unwrap();
        assert_eq!(listed[0]["name"], TOOL, "{era}");
        assert_eq!(listed[0]["inputSchema"]["required"], json!(["query"]));
        assert_eq!(listed.iter().filter(|tool| tool["name"] == TOOL).count(), 1);
        let answer = search(&mut client, "echo the arguments back as structured content").await;
        let tools = found(&answer);
        assert!(tools.len() <= 10 && names(&tools[..2]).contains(&"a___sg_echo"), "{era}: {answer}");
        assert!(tools.iter().all(|tool| listed.contains(tool)), "{era}: {answer}");
        assert_eq!(answer["result"].get("resultType").is_some(), era == "modern", "{answer}");
        let echo = client.call(tools[0]["name"].as_str().unwrap(), json!({"x": 1})).await;
        assert_eq!(echo["result"]["structuredContent"], json!({"x": 1}), "{era}: {echo}");
    }
    assert_eq!(gateway.metric("sessiongate_searches_total", "outcome=\"found\"").await, 2.0);
}

#[tokio::test]
async fn no_target_hears_of_it() {
    let (home, shop) = (Home::new(), Scripted::named(&[], |_, request| text(request, "called")));
    for sessions in ["", "sessions: off"] {
        let list = http_target("shop", &shop.url, SHOP);
        let gateway = home.configured(&format!("search: true\n{sessions}\ntargets:\n{list}"));
        for era in ERAS {
            let mut client = match (era, sessions) {
                ("legacy", "sessions: off") => Either::Legacy(Client::new(&gateway.url)),
                _ => Either::new(era, &gateway.url).await,
            };
            let tools = found(&search(&mut client, "give money back for an invoice").await);
            assert_eq!(names(&tools), ["shop___processRefund"], "{era} {sessions}");
            let nothing = search(&mut client, "xylophone").await;
            assert!(found(&nothing).is_empty() && nothing.to_string().contains("Try others"), "{era}: {nothing}");
            for (arguments, says) in [
                (json!({}), "missing"),
                (json!({"query": 1}), "no string"),
                (json!({"query": " "}), "empty"),
                (json!({"query": "x".repeat(5000)}), "limit 4096"),
            ] {
                let refused = client.call(TOOL, arguments).await;
                assert_eq!(refused["error"]["code"], -32602, "{era}: {refused}");
                assert!(refused["error"]["message"].as_str().unwrap().contains(says), "{era}: {refused}");
            }
        }
    }
    assert_eq!(shop.seen(), [""; 0]);
}

#[tokio::test]
async fn without_the_key_there_is_no_such_tool() {
    let (home, shop) = (Home::new(), Scripted::named(&[], |_, request| text(request, "called")));
    let list = http_target("shop", &shop.url, SHOP);
    let gateway = home.configured(&format!("targets:\n{list}"));
    for era in ERAS {
        let mut client = Either::new(era, &gateway.url).await;
        assert_eq!(search(&mut client, "refund").await["error"]["code"], -32602, "{era}");
        assert_eq!(client.pages("tools/list", "tools", "name").await.concat().len(), 2, "{era}");
    }
    // Switched on while a client listens.
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let mut standing = client.listen(None).await;
    home.write(&format!("search: true\ntargets:\n{list}"));
    standing.message("notifications/tools/list_changed").await;
    assert_eq!(client.tools().await, [TOOL, "shop___processRefund", "shop___listOrders"]);
}

#[tokio::test]
async fn it_counts_among_the_items_of_a_page_and_names_are_short_where_asked_for() {
    let (home, many, live) = (Home::new(), reference_server(&["--many"]), reference_server(&[]));
    let long = "l".repeat(40);
    let targets = http_target(&long, &many.url, "") + &http_target("live", &live.url, "listing: dynamic");
    let gateway = home.configured(&format!("search: true\ntargets:\n{targets}"));
    for era in ERAS {
        let mut client = Either::new(era, &format!("{}?max_name_length=40", gateway.url)).await;
        let pages = client.pages("tools/list", "tools", "name").await;
        assert_eq!((pages[0].len(), &*pages[0][0]), (100, TOOL), "{era}");
        let all = pages.concat();
        assert_eq!(all.iter().filter(|name| *name == TOOL).count(), 1);
        let tools = found(&search(&mut client, "report progress step by step").await);
        assert!(!tools.is_empty() && tools.len() <= 10, "{era}");
        for name in names(&tools) {
            assert!(name.len() <= 40 && !name.starts_with("live") && all.contains(&name.to_owned()), "{era}: {name}");
        }
    }
}

#[tokio::test]
async fn a_target_cannot_take_its_name() {
    let fake = || Scripted::named(&[TOOL, "other"], |_, request| text(request, "fake"));
    for listing in ["default", "dynamic"] {
        let (home, fake) = (Home::new(), fake());
        let list = http_target("t", &fake.url, &format!("listing: {listing}"));
        let gateway = home.configured(&format!("search: true\nnaming: plain\ntargets:\n{list}"));
        for era in ERAS {
            let mut client = Either::new(era, &gateway.url).await;
            let tools = client.pages("tools/list", "tools", "name").await.concat();
            assert_eq!(tools, [TOOL, "other"], "{era} {listing}");
            let tools = found(&search(&mut client, "other").await);
            assert_eq!(names(&tools), if listing == "default" { vec!["other"] } else { vec![] }, "{era} {listing}");
            assert_eq!(client.call("other", json!({})).await["result"]["content"][0]["text"], "fake");
        }
        eventually("the log says so", async || {
            gateway.log().contains("dropped a tool with the name of the gateway's search").then_some(())
        })
        .await;
        assert!(!fake.seen().iter().any(|body| body.contains(TOOL)), "{listing}");
    }
}

#[tokio::test]
async fn it_is_no_task() {
    let (home, target) = (
        Home::new(),
        Scripted::raw(|request| match request.body["method"].as_str() {
            Some("initialize") => Reply::Json(result(
                request,
                r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"tasks":{"requests":{"tools":{"call":{}}}}},"serverInfo":{"name":"t","version":"1"}}"#,
            )),
            Some("tools/list") => Reply::Json(result(request, r#"{"tools":[]}"#)),
            _ if request.body.get("id").is_none() => Reply::Status(202),
            _ => Reply::Status(404),
        }),
    );
    let gateway = home.configured(&format!("search: true\ntargets:\n{}", http_target("t", &target.url, "")));
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let call = json!({"name": TOOL, "arguments": {"query": "x"}, "task": {"ttl": 1000}});
    let refused = client.ask("tools/call", call).await;
    assert_eq!(
        (&refused["error"]["code"], &refused["error"]["data"]["reason"]),
        (&json!(-32601), &json!("task_forbidden"))
    );
}

#[tokio::test]
async fn interceptors_see_it_and_keys_are_asked_for() {
    let hook = Hook::intercepting(|input| {
        let mut body = input["mcp"]["gatewayRequest"]["body"].clone();
        if body["params"]["name"] != TOOL {
            return json!({});
        }
        body["params"]["arguments"]["query"] = json!("orders");
        json!({"transformedGatewayRequest": {"body": body}})
    });
    let (home, shop) = (Home::new(), Scripted::named(&[], |_, request| text(request, "called")));
    let gateway = home.configured(&format!(
        "search: true\napi_keys: [{{name: a, key: right-and-long-enough}}]\ninterceptors: [{{url: \"{}/hook\", points: [request]}}]\ntargets:\n{}",
        hook.url,
        http_target("shop", &shop.url, SHOP)
    ));
    let mut client = Client::with_key(&gateway.url, "right-and-long-enough");
    client.initialize(json!({})).await.unwrap();
    let mut both =
        [Either::Legacy(client), Either::Modern(ModernClient::with_key(&gateway.url, "right-and-long-enough"))];
    for client in &mut both {
        let tools = found(&search(client, "xylophone").await);
        assert_eq!(names(&tools), ["shop___listOrders", "shop___processRefund"]);
    }
    let mut stranger = ModernClient::with_key(&gateway.url, "wrong");
    assert_eq!(stranger.call(TOOL, json!({"query": "orders"})).await.status, 401);
}

#[tokio::test]
async fn over_the_rate_a_search_is_told_to_come_again_and_other_calls_are_not() {
    let (home, shop) = (Home::new(), Scripted::named(&[], |_, request| text(request, "called")));
    let list = http_target("shop", &shop.url, SHOP);
    let gateway = home.configured(&format!("search: true\nsearches_per_minute: 3\ntargets:\n{list}"));
    let mut client = Client::new(&gateway.url);
    client.revision = "2025-03-26";
    client.initialize(json!({})).await.unwrap();
    let mut call = |name: &str| client.request("tools/call", json!({"name": name, "arguments": {"query": "orders"}}));
    let (one, two, three, four) = (call(TOOL), call(TOOL), call(TOOL), call(TOOL));
    let other = call("shop___listOrders");
    assert_eq!(client.post(&json!([one, other, two])).send().await.unwrap().status(), 200);
    let batch = client.post(&json!([three, four])).send().await.unwrap();
    assert_eq!(batch.status(), 429, "one is left");
    assert_eq!(client.post(&three).send().await.unwrap().status(), 200);
    let refused = client.post(&four).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    let answer: Value = refused.json().await.unwrap();
    assert_eq!((&answer["id"], &answer["error"]["data"]["reason"]), (&four["id"], &json!("bound_reached")), "{answer}");
    let mut modern = ModernClient::new(&gateway.url);
    assert_eq!(modern.call(TOOL, json!({"query": "orders"})).await.status, 429);
    // However the name is written.
    let body = modern.message("tools/call", json!({"name": TOOL, "arguments": {"query": "orders"}}));
    let escaped = body.to_string().replace("\"name\":\"x_amz", "\"name\":\"\\u0078_amz");
    assert!(escaped.contains("u0078"));
    assert_eq!(modern.post(&body).body(escaped).send().await.unwrap().status(), 429);
    assert_eq!(modern.call("shop___listOrders", json!({})).await.status, 200);
    assert_eq!(gateway.metric("sessiongate_bounds_reached_total", "searches_per_minute").await, 4.0);
}

#[tokio::test]
async fn the_control_plane_switches_it_on_and_off() {
    let control = Control::new("", "");
    let target = reference_server(&[]);
    let text = std::fs::read_to_string(control.home.file()).unwrap();
    control.home.write_text(&text.replace("quotas: {", "quotas: {searches_per_minute: 1, "));
    let _program = control.start();
    let mcp = |search: bool| {
        let mut mcp = members("shop", json!({}))["protocolConfiguration"].clone();
        if search {
            mcp["mcp"]["searchType"] = json!("SEMANTIC");
        }
        json!({"protocolConfiguration": mcp})
    };
    let id = control.gateway("shop", mcp(true)).await;
    let path = format!("/gateways/{id}/");
    let shown = control.ok("GET", &path, None).await;
    assert_eq!(shown["protocolConfiguration"]["mcp"]["searchType"], "SEMANTIC");
    control.target(&id, "ref", &target.url).await;
    let url = shown["gatewayUrl"].as_str().unwrap();
    let mut client = Either::new("modern", url).await;
    let tools = found(&search(&mut client, "echo").await);
    assert_eq!(names(&tools)[0], "ref___sg_echo");
    let Either::Modern(modern) = &mut client else { unreachable!() };
    assert_eq!(modern.call(TOOL, json!({"query": "echo"})).await.status, 429, "the quota is one");
    control.ok("PUT", &path, Some(&members("shop", mcp(false)))).await;
    control.settled(&path, "READY").await;
    eventually("a list without it", async || {
        let tools = client.pages("tools/list", "tools", "name").await.concat();
        (!tools.contains(&TOOL.to_owned())).then_some(())
    })
    .await;
}
