//! Targets that are tried before they are served, and what is said of those that cannot be.

use serde_json::{Value, json};

use super::offer::{Offer, many};
use super::{Shop, reason, refused};
use crate::client::Client;
use crate::control_client::target;
use crate::either::{ERAS, Either};
use crate::harness::reference_server;
use crate::scripted::{Reply, Scripted, result, text};

const METADATA: &str = "http://169.254.169.254/mcp";
const DEAD: &str = "http://127.0.0.1:1/mcp";
const SERVER: &str = "/targetConfiguration/mcp/mcpServer";

fn with(name: &str, endpoint: &str, more: Value) -> Value {
    let mut members = target(name, endpoint);
    let server = members.pointer_mut(SERVER).unwrap();
    for (name, value) in more.as_object().unwrap() {
        server[name] = value.clone();
    }
    members
}

fn fixed() -> Value {
    let tools = json!([{"name": "s", "inputSchema": {"type": "object"}}]);
    json!({"mcpToolSchema": {"inlinePayload": tools.to_string()}})
}

#[tokio::test]
async fn a_target_that_can_never_work_is_not_ready() {
    let shop = Shop::open("").await;
    let (ugly, not_mcp) = (Offer::new(many(1)), Scripted::raw(|_| Reply::Json("\"hello\"".into())));
    ugly.answers(Some(500));
    let dynamic = json!({"listingMode": "DYNAMIC"});
    let default = json!({});
    for (endpoint, more, says) in [
        (METADATA, &default, "169.254.169.254 is not a public address"),
        (METADATA, &dynamic, "169.254.169.254 is not a public address"),
        (METADATA, &fixed(), "169.254.169.254 is not a public address"),
        (DEAD, &default, "refused"),
        (DEAD, &dynamic, "refused"),
        (&ugly.url, &dynamic, "HTTP 500"),
        (&not_mcp.url, &dynamic, "not MCP"),
        ("http://no-such-host.invalid/mcp", &dynamic, "could not be reached: "),
    ] {
        let members = with("t", endpoint, more.clone());
        let id = shop.create(&members).await;
        let failed = shop.control.settled(&shop.path(&id), "FAILED").await;
        assert!(reason(&failed).contains(says), "{endpoint} {more}: {failed}");
        // Nor does a change make it so.
        let failed = shop.update(&id, &members, "UPDATE_UNSUCCESSFUL").await;
        assert!(reason(&failed).contains(says), "{endpoint} {more}: {failed}");
        shop.control.ok("DELETE", &shop.path(&id), None).await;
        crate::harness::eventually("it is gone", async || {
            (shop.control.send("GET", &shop.path(&id), None).await.status == 404).then_some(())
        })
        .await;
    }
    // One with a schema is not asked: it may be what only callers can ask.
    let id = shop.create(&with("fixed", DEAD, fixed())).await;
    shop.control.settled(&shop.path(&id), "READY").await;
}

#[tokio::test]
async fn a_live_target_that_wants_its_callers_is_there() {
    let offer = Offer::new(many(2));
    let shop = Shop::open("").await;
    for (at, status) in [401, 403].into_iter().enumerate() {
        offer.answers(Some(status));
        let members = |more| with(&format!("t{at}"), &offer.url, more);
        let id = shop.create(&members(json!({"listingMode": "DYNAMIC"}))).await;
        shop.control.settled(&shop.path(&id), "READY").await;
        // Whose lists are kept is read by the gateway itself.
        let failed = shop.update(&id, &members(json!({})), "UPDATE_UNSUCCESSFUL").await;
        assert!(reason(&failed).contains(&status.to_string()), "{failed}");
    }
    offer.answers(None);
    assert_eq!(shop.shown().await.len(), 4);
}

#[tokio::test]
async fn targets_of_either_era_are_live() {
    let shop = Shop::open("").await;
    for era in ERAS {
        let server = reference_server(&["--era", era]);
        let id = shop.create(&with(era, &server.url, json!({"listingMode": "DYNAMIC"}))).await;
        shop.control.settled(&shop.path(&id), "READY").await;
        let mut client = Client::ready(&shop.url, json!({})).await;
        assert!(client.tools().await.contains(&format!("{era}___sg_echo")), "{era}");
    }
}

#[tokio::test]
async fn who_gave_the_address_is_told_what_is_wrong_with_it() {
    let shop = Shop::open("").await;
    let (plain, html) = (Offer::new(many(1)), Scripted::raw(|_| Reply::Status(404)));
    for (round, (endpoint, says)) in [
        (plain.url.replace("http:", "https:"), "could not be reached: "),
        (DEAD.to_owned(), "onnection refused"),
        ("http://no-such-host.invalid/mcp".to_owned(), "could not be reached: "),
        (html.url.clone(), "HTTP 404"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = shop.create(&target(&format!("t{round}"), &endpoint)).await;
        let failed = shop.control.settled(&shop.path(&id), "FAILED").await;
        assert!(reason(&failed).contains(says), "{endpoint}: {failed}");
    }
    // At the request, where it can be seen there.
    for (endpoint, says) in [
        ("http://user:pw@127.0.0.1/mcp", "credentials"),
        ("http://user@127.0.0.1/mcp", "credentials"),
        ("https://", "is not a URL"),
        ("https://exa mple/", "is not a URL"),
        ("http://127.0.0.1:99999/", "is not a URL"),
    ] {
        let answer = shop.control.send("POST", &shop.targets(), Some(&target("wrong", endpoint))).await;
        let message = refused(&answer, "ValidationException");
        assert!(message.contains(says) && message.contains("mcpServer.endpoint"), "{endpoint}: {message}");
        assert!(!message.contains("pw"), "{message}");
    }
}

/// An address may lead to what is not for whoever gave it.
#[tokio::test]
async fn nothing_is_quoted_that_is_no_error_of_mcp() {
    let shop = Shop::open("").await;
    let long = format!("\"{}\"", "hunter2".repeat(400_000));
    let bodies = ["\"hunter2\"", &long, r#"{"hunter2":1,"id":1,"id":1}"#].map(str::to_owned);
    let whole = bodies.map(|body| Scripted::raw(move |_| Reply::Json(body.clone())));
    let welcome = Scripted::raw(|request| Reply::Json(result(request, "\"hunter2\"")));
    let lists = ["\"hunter2\"", &long].map(|tools| Scripted::new(tools, |_, request| text(request, "")));
    let page = Scripted::raw(|request| match request.body["method"].as_str() {
        Some("tools/list") => Reply::Json(result(request, "\"hunter2\"")),
        Some("initialize") => {
            let welcome = json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {}});
            Reply::Json(result(request, &welcome.to_string()))
        }
        _ => Reply::Status(202),
    });
    let refusing = Scripted::raw(|_| {
        let head = "HTTP/1.1 500 No\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 7\r\n\r\n";
        Reply::Raw([head.as_bytes(), b"hunter2"].concat())
    });
    for (round, server) in whole.iter().chain(&lists).chain([&welcome, &page, &refusing]).enumerate() {
        let id = shop.create(&target(&format!("t{round}"), &server.url)).await;
        let failed = shop.control.settled(&shop.path(&id), "FAILED").await;
        let why = reason(&failed);
        let says = if server.url == refusing.url { "HTTP 500" } else { "not MCP" };
        assert!(why.contains(says) && why.len() < 300, "{round}: {why}");
        for word in ["hunter2", "struct", "Envelope"] {
            assert!(!why.contains(word), "{round}: {why}");
        }
    }
    // The operator may see how a refusal begins.
    let log = shop.program.log();
    let quoting: Vec<&str> =
        log.lines().filter(|line| line.contains("hunter2") && !line.contains("Status {")).collect();
    assert!(quoting.is_empty(), "{:.2000}", quoting.join("\n"));
}

#[tokio::test]
async fn what_can_be_seen_in_a_request_is_refused_there() {
    let shop = Shop::open("").await;
    for uri in ["s3://bucket", "s3://bucket/", "s3://bucket/../other", "s3://bucket/a/../b", "s3://b/key"] {
        let schema = json!({"mcpToolSchema": {"s3": {"uri": uri}}});
        let answer = shop.control.send("POST", &shop.targets(), Some(&with("t", DEAD, schema))).await;
        let message = refused(&answer, "ValidationException");
        assert!(message.contains("mcpToolSchema.s3.uri"), "{uri}: {message}");
    }
    for name in ["\n", "a\u{0}b"] {
        let mut members = target("t", DEAD);
        members["metadataConfiguration"] = json!({"allowedQueryParameters": ["fine", name]});
        let answer = shop.control.send("POST", &shop.targets(), Some(&members)).await;
        let message = refused(&answer, "ValidationException");
        assert!(message.contains("metadataConfiguration.allowedQueryParameters[1]"), "{message}");
    }
    let listed = shop.control.ok("GET", &shop.targets(), None).await;
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn a_resource_that_two_targets_have_is_one_targets() {
    let named = |who: &str| vec![json!({"uri": "file:///same", "name": who})];
    let template = |who: &str| vec![json!({"uriTemplate": "file:///{same}", "name": who})];
    let [kept, other, live] = ["kept", "other", "live"].map(|who| {
        let offer = Offer::new(Vec::new());
        offer.lists("resources/list", named(who));
        offer.lists("resources/templates/list", template(who));
        offer
    });
    let shop = Shop::open("").await;
    // It cannot be first: what it has is not known before it is asked.
    let mut first = with("live", &live.url, json!({"listingMode": "DYNAMIC", "resourcePriority": 1}));
    let answer = shop.control.send("POST", &shop.targets(), Some(&first)).await;
    let message = refused(&answer, "ValidationException");
    assert!(message.contains("mcpServer.resourcePriority") && message.contains("DYNAMIC"), "{message}");
    first.pointer_mut(SERVER).unwrap()["resourcePriority"] = json!(1000);
    let last = shop.create(&first).await;
    shop.control.settled(&shop.path(&last), "READY").await;
    let add = async |name: &str, url: &str, priority: u16| {
        let id = shop.create(&with(name, url, json!({"resourcePriority": priority}))).await;
        shop.control.settled(&shop.path(&id), "READY").await;
        id
    };
    add("kept", &kept.url, 1000).await;
    for owner in ["kept", "other"] {
        if owner == "other" {
            add("other", &other.url, 999).await;
        }
        for era in ERAS {
            let mut client = Either::new(era, &shop.url).await;
            for (method, member) in [("resources/list", "resources"), ("resources/templates/list", "resourceTemplates")]
            {
                let shown = client.pages(method, member, "name").await.concat();
                assert_eq!(shown, [owner], "{era} {method}");
            }
            for uri in ["file:///same", "file:///else"] {
                let read = client.ask("resources/read", json!({"uri": uri})).await;
                assert_eq!(read["result"]["contents"][0]["uri"], uri, "{era}: {read}");
            }
            let read = client.ask("resources/read", json!({"uri": "file:///same"})).await;
            assert_eq!(read["result"]["contents"][0]["text"], owner, "{era}: {read}");
        }
    }
    assert_eq!(live.asked("resources/read"), 0);
}
