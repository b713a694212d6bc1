//! Single requests: envelope, headers, notifications, errors, and how they end early.

use std::sync::Arc;

use serde_json::json;
use sessiongate_protocol::{RawJson, ResponseBody};

use super::support::{Seen, Told, World, form};
use crate::error::TargetError;
use crate::link::Origin;
use crate::modern::ModernRequest;
use crate::modern::tools::Unheard;

#[tokio::test(start_paused = true)]
async fn a_request_has_its_envelope_and_a_result_loses_what_is_modern() {
    let world = World::new();
    let set = world.call(1, "logging/setLevel", json!({"level":"warning"})).await.unwrap();
    assert_eq!(set.unwrap(), json!({"result":{}}));
    assert_eq!(world.call(2, "ping", json!({})).await.unwrap().unwrap(), json!({"result":{}}));
    let call = world.tool(3);
    let request = world.seen("tools/call").await;
    assert_eq!(request.request.name.as_deref(), Some("buy"));
    assert_eq!(
        request.params["_meta"],
        json!({
            "progressToken": 3,
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities":
                {"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{}},
            "io.modelcontextprotocol/clientInfo": {"name":"client","version":"1"},
            "io.modelcontextprotocol/logLevel": "warning",
        })
    );
    request.note("notifications/progress", json!({"progressToken":3,"progress":1})).await;
    request.note("notifications/tasks", json!({})).await;
    request.note("notifications/message", json!({"level":"error","data":"x"})).await;
    let server = json!({"name":"s","version":"1"});
    request
        .result(json!({"resultType":"complete","content":[],"_meta":{"io.modelcontextprotocol/serverInfo":server}}))
        .await;
    assert_eq!(call.await.unwrap().unwrap(), json!({"result":{"content":[]}}));
    let progress = json!({"progressToken":3,"progress":1});
    assert_eq!(world.told().await, Told::Noted(Origin::Call(3), "notifications/progress".into(), progress));
    let message = json!({"level":"error","data":"x"});
    assert_eq!(world.told().await, Told::Noted(Origin::Call(3), "notifications/message".into(), message));
    world.nothing_told().await;
}

#[tokio::test(start_paused = true)]
async fn methods_that_are_not_of_this_era_stay_here() {
    let world = World::new();
    for method in ["initialize", "tasks/update"] {
        assert_eq!(world.call(1, method, json!({})).await.unwrap().unwrap()["error"]["code"], -32601);
    }
    world.post(json!({"jsonrpc":"2.0","method":"notifications/initialized"})).await.unwrap();
    world.post(json!({"jsonrpc":"2.0","method":"notifications/roots/list_changed"})).await.unwrap();
    world.nothing_seen().await;
}

#[tokio::test(start_paused = true)]
async fn headers_come_from_the_tools_that_were_listed() {
    let world = World::new();
    let list = world.call(1, "tools/list", json!({}));
    let tool = |name: &str, header: &str| json!({"name":name,"inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":header}}}});
    let plain = json!({"name":"plain","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}});
    let page = json!({"resultType":"complete","tools":[tool("buy","Region"),tool("wrong","a b"),plain.clone()],"ttlMs":5,"cacheScope":"public"});
    world.seen("tools/list").await.result(page).await;
    let shown = list.await.unwrap().unwrap();
    assert_eq!(
        shown,
        json!({"result":{"tools":[tool("buy","Region"),plain]}}),
        "a tool that cannot be called is left out"
    );

    let call = world.call(2, "tools/call", json!({"name":"buy","arguments":{"region":"eu"}}));
    let request = world.seen("tools/call").await;
    assert_eq!(request.request.param_headers, [("Region".into(), "eu".into())]);
    // The tool has changed since.
    request.error(-32020, "headers", json!({})).await;
    let listed = world.seen("tools/list").await;
    assert_eq!(listed.params["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    listed.result(json!({"tools":[],"nextCursor":"2"})).await;
    let listed = world.seen("tools/list").await;
    assert_eq!(listed.params["cursor"], "2");
    listed.result(json!({"tools":[tool("buy","Zone")]})).await;
    let request = world.seen("tools/call").await;
    assert_eq!(request.request.param_headers, [("Zone".into(), "eu".into())]);
    request.error(-32020, "headers", json!({})).await;
    let reply = call.await.unwrap().unwrap();
    assert_eq!(reply["result"]["isError"], true, "once, and never relayed");
    world.nothing_seen().await;
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_refused_meanwhile_wait_for_one_listing() {
    let world = World::new();
    let tool = json!({"name":"buy","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}});
    let call = |id| world.call(id, "tools/call", json!({"name":"buy","arguments":{"region":"eu"}}));
    let calls = [call(1), call(2), call(3)];
    let mut requests = Vec::new();
    for _ in &calls {
        requests.push(world.seen("tools/call").await);
    }
    let refuse = async |request: Seen| request.error(-32020, "headers", json!({})).await;
    refuse(requests.remove(0)).await;
    let listing = world.seen("tools/list").await;
    assert!(listing.params["_meta"].get("progressToken").is_none(), "{}", listing.params);
    for request in requests {
        refuse(request).await;
    }
    // Time goes on when nobody else does.
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    listing.result(json!({"tools":[tool]})).await;
    world.seen("tools/call").await.result(json!({"content":[]})).await;
    // That listing may be older than why the others were refused: theirs is the next one, for both.
    world.seen("tools/list").await.result(json!({"tools":[tool]})).await;
    for _ in 0..2 {
        let request = world.seen("tools/call").await;
        assert_eq!(request.request.param_headers, [("Region".into(), "eu".into())]);
        request.result(json!({"content":[]})).await;
    }
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), json!({"result":{"content":[]}}));
    }
    world.nothing_seen().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_passes_has_the_headers_that_were_learnt() {
    let world = World::new();
    let exchange = Arc::clone(world.target.exchange());
    let params = json!({"name":"buy","arguments":{"region":"eu"},"_meta":{"progressToken":"p","a":1}});
    let request = |headers: &[(&str, &str)]| ModernRequest {
        method: "tools/call".into(),
        params: RawJson::parse(params.to_string()).unwrap(),
        name: Some("buy".into()),
        param_headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        passed: None,
    };
    let deadline = (tokio::time::Instant::now() + std::time::Duration::from_secs(60)).into_std();
    let pass = |request| {
        let exchange = Arc::clone(&exchange);
        tokio::spawn(async move { exchange.exchange(request, &Unheard, deadline).await })
    };
    let old = [("Old".into(), "x".into())];

    let passed = pass(request(&[("Old", "x")]));
    let seen = world.seen("tools/call").await;
    assert_eq!(seen.request.param_headers, old, "nothing was learnt yet");
    seen.error(-32020, "headers", json!({})).await;
    let listing = world.seen("tools/list").await;
    assert_eq!(listing.params, json!({"_meta":{"a":1}}));
    let tool = json!({"name":"buy","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}});
    listing.result(json!({"tools":[tool]})).await;
    let learnt = [("Region".into(), "eu".into())];
    let seen = world.seen("tools/call").await;
    assert_eq!(seen.request.param_headers, learnt);
    seen.result(json!({"content":[]})).await;
    assert!(matches!(passed.await.unwrap().unwrap().body, ResponseBody::Result(_)));

    let passed = pass(request(&[("Old", "x")]));
    let seen = world.seen("tools/call").await;
    assert_eq!(seen.request.param_headers, learnt, "from then on at once");
    // A target that cannot be read has said what it says.
    seen.error(-32020, "headers", json!({})).await;
    world.seen("tools/list").await.error(-32603, "no", json!({})).await;
    assert!(matches!(passed.await.unwrap().unwrap().body, ResponseBody::Error(_)));
    world.nothing_seen().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_before_any_listing_lists_first() {
    let world = World::new();
    world.target.learning.forget();
    let call = world.tool(1);
    world.seen("tools/list").await.end(Err(TargetError::Unreachable { detail: "x".into() })).await;
    world.seen("tools/call").await.result(json!({"content":[]})).await;
    call.await.unwrap().unwrap();
    let call = world.tool(2);
    world.seen("tools/call").await.result(json!({"content":[]})).await;
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_hop_are_not_relayed() {
    let world = World::new();
    let call = world.tool(1);
    let data = json!({"requiredCapabilities":{"extensions":{"x/y":{}}}});
    world.seen("tools/call").await.error(-32021, "missing", data.clone()).await;
    let reply = call.await.unwrap().unwrap();
    assert_eq!(reply["result"]["isError"], true);
    assert!(reply["result"]["content"][0]["text"].as_str().unwrap().contains("extensions.x/y"));

    let call = world.call(2, "prompts/get", json!({"name":"p"}));
    world.seen("prompts/get").await.error(-32021, "missing", data).await;
    assert_eq!(call.await.unwrap().unwrap()["error"]["code"], -32603);

    let call = world.call(3, "resources/read", json!({"uri":"x:y"}));
    world.seen("resources/read").await.error(-32602, "resource not found", json!({"uri":"x:y"})).await;
    assert_eq!(call.await.unwrap().unwrap()["error"]["code"], -32002);

    let call = world.tool(4);
    world.seen("tools/call").await.error(-32022, "version", json!({"supported":["2025-11-25"]})).await;
    assert!(matches!(call.await.unwrap(), Err(TargetError::SessionGone)), "opened again as what it is");
    let call = world.tool(5);
    world.seen("tools/call").await.error(-7, "own", json!({"a":1})).await;
    let error = json!({"error":{"code":-7,"message":"own","data":{"a":1}}});
    assert_eq!(call.await.unwrap().unwrap(), error);
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_a_call_up_ends_its_request() {
    let world = World::new();
    let call = world.tool(1);
    let request = world.seen("tools/call").await;
    call.abort();
    request.dropped().await;

    let call = world.tool(2);
    let request = world.seen("tools/call").await;
    world.post(json!({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}})).await.unwrap();
    request.dropped().await;
    assert!(matches!(call.await.unwrap(), Err(TargetError::OutcomeUnknown { .. })));

    // In the middle of a round there is nothing to end.
    let call = world.tool(3);
    world.seen("tools/call").await.asks(json!({"k":form("f")}), "s").await;
    world.position().await;
    let (id, _) = world.asked("elicitation/create").await;
    call.abort();
    assert!(call.await.is_err());
    world.answer(&id, json!({"action":"accept","content":{}})).await;
    world.nothing_seen().await;
    world.nothing_told().await;

    let call = world.tool(4);
    let request = world.seen("tools/call").await;
    world.link.close().await;
    request.dropped().await;
    assert!(matches!(call.await.unwrap(), Err(TargetError::Closed)));
    assert!(matches!(world.tool(5).await.unwrap(), Err(TargetError::Closed)));
    assert!(matches!(world.post(json!({"jsonrpc":"2.0","method":"x"})).await, Err(TargetError::Closed)));
}
