//! What the members of a created gateway do where agents connect, and that an update without them undoes it.

use reqwest::header::WWW_AUTHENTICATE;
use serde_json::{Value, json};

use crate::aggregation::library;
use crate::client::Client;
use crate::control_client::{Control, gateway, target};
use crate::harness::reference_server;
use crate::issuer::Issuer;
use crate::scripted::{Reply, Scripted};

const SEARCH: &str = "x_amz_bedrock_agentcore_search";

/// Replaces all members of a gateway, and waits until it is served so.
async fn updated(control: &Control, id: &str, more: Value) {
    let path = format!("/gateways/{id}/");
    control.ok("PUT", &path, Some(&gateway("shop", more))).await;
    control.settled(&path, "READY").await;
}

async fn url_of(control: &Control, id: &str) -> String {
    let gateway = control.ok("GET", &format!("/gateways/{id}/"), None).await;
    gateway["gatewayUrl"].as_str().unwrap().to_owned()
}

/// What a client of 2025-11-25 is answered to `initialize`.
async fn initialize(client: &mut Client) -> reqwest::Response {
    let info = json!({"name": "t", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info});
    let body = client.request("initialize", params);
    client.post(&body).send().await.unwrap()
}

/// What a client sees of the members of `protocolConfiguration.mcp` and of `exceptionLevel`.
async fn observed(url: &str) -> Value {
    let mut client = Client::new(url);
    let response = initialize(&mut client).await;
    assert_eq!(response.status(), 200);
    let session = response.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
    let answer: Value = crate::client::Stream::of(response).response().await;
    client.session = session.clone();
    client.revision = match answer["result"]["protocolVersion"].as_str() {
        Some("2025-06-18") => "2025-06-18",
        _ => "2025-11-25",
    };
    let page = client.ask("tools/list", json!({})).await;
    let tools = page["result"]["tools"].as_array().unwrap();
    let failed = client.call("many___tool-1", json!({})).await;
    assert_eq!(failed["result"]["isError"], true, "{failed}");
    json!({
        "instructions": answer["result"]["instructions"],
        "version": answer["result"]["protocolVersion"],
        "sessions": session.is_some(),
        "streams": client.get(None).await.unwrap().status().as_u16(),
        "tools": tools.len(),
        "more": page["result"].get("nextCursor").is_some(),
        "search": tools.iter().any(|tool| tool["name"] == SEARCH),
        "detail": failed.to_string().contains("`many`"),
    })
}

/// A target with 120 tools that all break.
fn many() -> Scripted {
    let names: Vec<String> = (0..120).map(|number| format!("tool-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Scripted::named(&names, |_, _| Reply::Raw(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".into()))
}

#[tokio::test]
async fn the_protocol_of_a_gateway_is_as_its_members_say() {
    let (control, many) = (Control::new("", ""), many());
    let _program = control.start();
    let bare = json!({"exceptionLevel": null, "protocolConfiguration": {"mcp": {}}});
    let id = control.gateway("shop", bare.clone()).await;
    control.target(&id, "many", &many.url).await;
    let url = url_of(&control, &id).await;
    let plain = json!({"instructions": null, "version": "2025-11-25", "sessions": false, "streams": 405, "tools": 100,
        "more": true, "search": false, "detail": false});
    assert_eq!(observed(&url).await, plain);
    let mcp =
        |member: &str, value: Value| json!({"exceptionLevel": null, "protocolConfiguration": {"mcp": {member: value}}});
    let streams = |mut more: Value| {
        more["protocolConfiguration"]["mcp"]["streamingConfiguration"] = json!({"enableResponseStreaming": true});
        more
    };
    for (members, seen) in [
        (mcp("instructions", json!("Buy politely.")), json!({"instructions": "Buy politely."})),
        (mcp("supportedVersions", json!(["2025-06-18"])), json!({"version": "2025-06-18"})),
        (mcp("disableMcpListToolsPagination", json!(true)), json!({"tools": 120, "more": false})),
        (mcp("disableMcpListToolsPagination", json!(false)), json!({})),
        (mcp("searchType", json!("SEMANTIC")), json!({"search": true})),
        (mcp("sessionConfiguration", json!({"sessionTimeoutInSeconds": 900})), json!({"sessions": true})),
        (streams(mcp("sessionConfiguration", json!({}))), json!({"sessions": true, "streams": 200})),
        (json!({"protocolConfiguration": {"mcp": {}}}), json!({"detail": true})),
        (bare, json!({})),
    ] {
        // What the update before it asked for is gone.
        updated(&control, &id, members.clone()).await;
        let mut wanted = plain.clone();
        wanted.as_object_mut().unwrap().extend(seen.as_object().unwrap().clone());
        assert_eq!(observed(&url).await, wanted, "{members}");
    }
}

#[tokio::test]
async fn the_lowest_priority_wins_a_resource() {
    let (control, a, b) = (Control::new("", ""), library("a"), library("b"));
    let _program = control.start();
    let id = control.gateway("shop", json!({})).await;
    control.target(&id, "a", &a.url).await;
    let second = control.target(&id, "b", &b.url).await;
    let (url, path) = (url_of(&control, &id).await, format!("/gateways/{id}/targets/{second}/"));
    for (priority, winner) in [(Some(0), "b"), (None, "a"), (Some(999), "b"), (Some(1000), "a")] {
        let mut members = target("b", &b.url);
        if let Some(priority) = priority {
            members["targetConfiguration"]["mcp"]["mcpServer"]["resourcePriority"] = json!(priority);
        }
        control.ok("PUT", &path, Some(&members)).await;
        control.settled(&path, "READY").await;
        let mut client = Client::ready(&url, json!({})).await;
        let read = client.ask("resources/read", json!({"uri": "book://one"})).await;
        assert_eq!(read["result"]["contents"][0]["text"], winner, "{priority:?}: {read}");
    }
}

/// A gateway for tokens with the audience `gw`, and more rules.
fn guarded(issuer: &Issuer, more: Value) -> Value {
    let mut jwt = json!({"discoveryUrl": issuer.discovery_url(), "allowedAudience": ["gw"]});
    jwt.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"authorizerType": "CUSTOM_JWT", "authorizerConfiguration": {"customJWTAuthorizer": jwt}})
}

/// The status and the challenge that somebody with this token gets.
async fn knock(url: &str, token: Option<&str>) -> (u16, String) {
    let mut client = token.map_or_else(|| Client::new(url), |token| Client::with_key(url, token));
    let response = initialize(&mut client).await;
    let challenge = response.headers().get(WWW_AUTHENTICATE).map(|text| text.to_str().unwrap().to_owned());
    (response.status().as_u16(), challenge.unwrap_or_default())
}

#[tokio::test]
async fn claims_of_a_token_are_compared_as_the_gateway_says() {
    let (control, issuer, server) = (Control::new("", ""), Issuer::start().await, reference_server(&[]));
    let _program = control.start();
    let id = control.gateway("shop", guarded(&issuer, json!({}))).await;
    control.target(&id, "ref", &server.url).await;
    let url = url_of(&control, &id).await;
    let one = json!({"matchValueString": "gold"});
    for (kind, operator, value, good, bad) in [
        ("STRING", "EQUALS", &one, vec![json!("gold")], vec![json!("golden"), json!(["gold"]), Value::Null]),
        (
            "STRING_ARRAY",
            "CONTAINS",
            &one,
            vec![json!(["gold"]), json!(["tin", "gold"])],
            vec![json!("gold"), json!(["golden"]), json!([]), Value::Null],
        ),
        (
            "STRING_ARRAY",
            "CONTAINS_ANY",
            &json!({"matchValueStringList": ["gold", "tin"]}),
            vec![json!(["tin"]), json!(["lead", "gold"])],
            vec![json!(["lead"]), json!("tin"), json!([]), Value::Null],
        ),
    ] {
        let claim = json!({"inboundTokenClaimName": "tier", "inboundTokenClaimValueType": kind,
            "authorizingClaimMatchValue": {"claimMatchOperator": operator, "claimMatchValue": value}});
        updated(&control, &id, guarded(&issuer, json!({"customClaims": [claim]}))).await;
        for tier in &good {
            let token = issuer.token_with(&json!({"tier": tier}));
            assert_eq!(knock(&url, Some(&token)).await.0, 200, "{operator} {tier}");
        }
        let bad: Vec<String> = bad.iter().map(|tier| issuer.token_with(&json!({"tier": tier}))).collect();
        for token in &bad {
            assert_eq!(knock(&url, Some(token)).await.0, 403, "{operator} {token}");
        }
        updated(&control, &id, guarded(&issuer, json!({}))).await;
        for token in &bad {
            assert_eq!(knock(&url, Some(token)).await.0, 200, "nothing is asked: {operator} {token}");
        }
    }
}

#[tokio::test]
async fn clients_are_told_the_scope_that_is_advertised() {
    let (control, issuer) = (Control::new("", ""), Issuer::start().await);
    let _program = control.start();
    let id = control.gateway("shop", guarded(&issuer, json!({"allowedScopes": ["shop/write"]}))).await;
    let url = url_of(&control, &id).await;
    let without = json!({"allowedScopes": ["shop/write"]});
    let mapped = json!({"allowedScopes": ["shop/write"], "advertisedScopeMapping": {"shop/write": "api://shop/write"}});
    for (rules, shown) in [(mapped, "api://shop/write"), (without, "shop/write")] {
        updated(&control, &id, guarded(&issuer, rules)).await;
        let scope = format!("scope=\"{shown}\"");
        let (status, first) = knock(&url, None).await;
        assert!(status == 401 && first.contains(&scope), "{status} {first}");
        let (status, more) = knock(&url, Some(&issuer.token("ada"))).await;
        assert!(status == 403 && more.contains("insufficient_scope") && more.contains(&scope), "{status} {more}");
        let metadata = first.split("resource_metadata=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let document: Value = reqwest::get(metadata).await.unwrap().json().await.unwrap();
        assert_eq!(document["scopes_supported"], json!([shown]));
        // A token has the scope itself, whatever clients are told to ask for.
        let good = issuer.token_with(&json!({"scope": "shop/write"}));
        assert_eq!(knock(&url, Some(&good)).await.0, 200);
    }
    updated(&control, &id, guarded(&issuer, json!({}))).await;
    assert_eq!(knock(&url, Some(&issuer.token("ada"))).await.0, 200);
}
