//! Quotas of targets and of what they list.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::offer::{Offer, many};
use super::{Shop, reason, refused};
use crate::control_client::target;
use crate::either::{ERAS, Either};
use crate::harness::{eventually, sessiongate};
use crate::scripted::{Reply, Scripted};

#[tokio::test]
async fn a_target_with_more_tools_than_allowed_is_not_served() {
    let offer = Offer::new(many(4));
    let shop = Shop::open("tools_per_target: 3, ").await;
    let id = shop.create(&target("t", &offer.url)).await;
    let failed = shop.control.settled(&shop.path(&id), "FAILED").await;
    assert!(reason(&failed).contains("more than 3 tools"), "{failed}");
    assert_eq!(shop.shown().await, [""; 0]);

    offer.tools(many(3));
    shop.update(&id, &target("t", &offer.url), "READY").await;
    offer.tools(many(4));
    for page in [usize::MAX, 1, 3] {
        offer.pages_of(page);
        let failed = shop.synchronised(&id, "SYNCHRONIZE_UNSUCCESSFUL").await;
        assert!(reason(&failed).contains("more than 3 tools"), "{failed}");
        assert_eq!(shop.shown().await.len(), 3);
        for changed in [target("t", &offer.url), target("t", &format!("{}?x", offer.url))] {
            let failed = shop.update(&id, &changed, "UPDATE_UNSUCCESSFUL").await;
            assert!(reason(&failed).contains("more than 3 tools"), "{failed}");
            assert_eq!(shop.shown().await.len(), 3);
        }
        offer.tools(many(3));
        shop.update(&id, &target("t", &offer.url), "READY").await;
        offer.tools(many(4));
    }
    // Whoever asks.
    let data = shop.control.home.data();
    let asked = sessiongate(&["sync", "--data-dir", data.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&asked.stdout).contains("more than 3 tools"), "{asked:?}");
    assert_eq!(shop.shown().await.len(), 3);
}

#[tokio::test]
async fn nothing_is_cut_off() {
    let offer = Offer::new(many(1));
    let shop = Shop::open("").await;
    let id = shop.target(&offer).await;
    let prompts: Vec<Value> = (0..10_001).map(|at| json!({"name": format!("p{at}")})).collect();
    offer.lists("prompts/list", prompts);
    let failed = shop.synchronised(&id, "SYNCHRONIZE_UNSUCCESSFUL").await;
    assert!(reason(&failed).contains("more than 10000 prompts"), "{failed}");
}

#[tokio::test]
async fn a_tool_whose_name_is_too_long_is_left_out() {
    let tool = |length: usize| json!({"name": "x".repeat(length), "inputSchema": {"type": "object"}});
    // With `t___` before it.
    let offer = Offer::new(vec![tool(252), tool(253)]);
    let shop = Shop::open("").await;
    let id = shop.target(&offer).await;
    let said = shop.get(&id).await;
    assert!(reason(&said).contains("1 of 2 tools") && reason(&said).contains("256"), "{said}");
    let shown = shop.shown().await;
    assert_eq!(shown, [format!("t___{}", "x".repeat(252))]);

    // Also where nobody reads it but clients.
    let mut live = target("t", &offer.url);
    live["targetConfiguration"]["mcp"]["mcpServer"]["listingMode"] = json!("DYNAMIC");
    shop.update(&id, &live, "READY").await;
    for era in ERAS {
        let page = Either::new(era, &shop.url).await.ask("tools/list", json!({})).await;
        let names: Vec<&Value> = page["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
        assert_eq!(names, [&shown[0]], "{era}");
    }
}

#[tokio::test]
async fn five_targets_are_changed_at_once_and_no_sixth() {
    let (slow, good) = (Scripted::raw(|_| Reply::Hang(Vec::new())), Offer::new(many(1)));
    let shop = Shop::open("").await;
    let ready = shop.target(&good).await;
    for at in 0..5 {
        shop.create(&target(&format!("slow{at}"), &slow.url)).await;
    }
    eventually("all are asked", async || (slow.hanging() == 5).then_some(())).await;
    let sixth = [
        shop.control.send("POST", &shop.targets(), Some(&target("sixth", &good.url))).await,
        shop.control.send("PUT", &shop.path(&ready), Some(&target("t", &good.url))).await,
        shop.control.send("DELETE", &shop.path(&ready), None).await,
        shop.synchronise(&ready).await,
    ];
    for answer in sixth {
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        refused(&answer, "ThrottlingException");
    }
    assert_eq!(shop.get(&ready).await["status"], "READY");
    // Another gateway has five of its own.
    let other = shop.control.gateway("other", json!({})).await;
    shop.control.target(&other, "t", &good.url).await;
}

#[tokio::test]
async fn a_gateway_has_as_many_targets_as_its_quota_says() {
    let offer = Offer::new(many(1));
    let shop = Shop::open("targets_per_gateway: 2, ").await;
    let first = shop.target(&offer).await;
    // One that failed counts too.
    let second = shop.create(&target("dead", "http://127.0.0.1:1/mcp")).await;
    shop.control.settled(&shop.path(&second), "FAILED").await;
    let third = target("third", &offer.url);
    let answer = shop.control.send("POST", &shop.targets(), Some(&third)).await;
    assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED);
    assert!(refused(&answer, "ServiceQuotaExceededException").contains("targets_per_gateway"), "{answer:?}");
    shop.control.ok("DELETE", &shop.path(&first), None).await;
    let made = eventually("there is room again", async || {
        let answer = shop.control.send("POST", &shop.targets(), Some(&third)).await;
        answer.body["targetId"].as_str().map(str::to_owned)
    })
    .await;
    shop.control.settled(&shop.path(&made), "READY").await;
}
