//! Synchronisation of targets of the control plane: what of it is served, what is refused, who hears of it.

mod bounds;
mod lists;
mod offer;
mod parallel;
mod reach;
mod told;

use reqwest::StatusCode;
use serde_json::{Value, json};

use self::offer::{Offer, many, tools};
use crate::client::Client;
use crate::control_client::{Answer, Control, gateway, target};
use crate::harness::{Program, eventually};

/// A gateway of the control plane.
struct Shop {
    control: Control,
    program: Program,
    id: String,
    url: String,
}

// === impl Shop ===

impl Shop {
    /// With these quotas besides those of all tests, like `tools_per_target: 3, `.
    async fn open(quotas: &str) -> Self {
        let control = Control::new("", "");
        control.configure("quotas: {", &format!("quotas: {{{quotas}"));
        let program = control.start();
        let id = control.gateway("shop", json!({})).await;
        let url = control.ok("GET", &format!("/gateways/{id}/"), None).await["gatewayUrl"].as_str().unwrap().to_owned();
        Self { control, program, id, url }
    }

    fn targets(&self) -> String {
        format!("/gateways/{}/targets/", self.id)
    }

    fn path(&self, target: &str) -> String {
        format!("{}{target}/", self.targets())
    }

    /// Asks for a target; its id.
    async fn create(&self, members: &Value) -> String {
        let created = self.control.ok("POST", &self.targets(), Some(members)).await;
        created["targetId"].as_str().unwrap().to_owned()
    }

    /// A target `t` that is READY; its id.
    async fn target(&self, offer: &Offer) -> String {
        self.control.target(&self.id, "t", &offer.url).await
    }

    /// Asks for a change of a target and waits for its end.
    async fn update(&self, id: &str, members: &Value, status: &str) -> Value {
        self.control.ok("PUT", &self.path(id), Some(members)).await;
        self.control.settled(&self.path(id), status).await
    }

    /// Asks for a synchronisation.
    async fn synchronise(&self, id: &str) -> Answer {
        let path = format!("/gateways/{}/synchronizeTargets", self.id);
        self.control.send("PUT", &path, Some(&json!({"targetIdList": [id]}))).await
    }

    /// The same, and waits for its end.
    async fn synchronised(&self, id: &str, status: &str) -> Value {
        let answer = self.synchronise(id).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        self.control.settled(&self.path(id), status).await
    }

    /// The tools that a new client is shown.
    async fn shown(&self) -> Vec<String> {
        Client::ready(&self.url, json!({})).await.tools().await
    }

    async fn get(&self, id: &str) -> Value {
        self.control.ok("GET", &self.path(id), None).await
    }
}

/// The only reason for a status.
fn reason(object: &Value) -> &str {
    let reasons = object["statusReasons"].as_array().unwrap_or_else(|| panic!("{object}"));
    assert_eq!(reasons.len(), 1, "{object}");
    reasons[0].as_str().unwrap()
}

fn refused(answer: &Answer, kind: &str) -> String {
    assert_eq!(answer.error.as_deref(), Some(kind), "{answer:?}");
    answer.body["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_update_reads_the_lists_again_whatever_it_changes() {
    let offer = Offer::new(many(9));
    let shop = Shop::open("").await;
    let id = shop.target(&offer).await;
    let mut linked = Client::ready(&shop.url, json!({})).await;
    assert_eq!(linked.tools().await.len(), 9);

    let mut before = shop.get(&id).await;
    let mut same = target("t", &offer.url);
    for (count, described) in [(12, false), (7, true), (8, true)] {
        offer.tools(many(count));
        if described {
            same["description"] = json!(format!("{count} tools"));
        }
        let after = shop.update(&id, &same, "READY").await;
        assert_ne!(before["lastSynchronizedAt"], after["lastSynchronizedAt"]);
        assert_eq!(shop.shown().await.len(), count);
        assert_eq!(linked.tools().await.len(), count);
        let last = linked.call(&format!("t___t{}", count - 1), json!({})).await;
        assert_eq!(last["result"]["content"][0]["text"], "called", "{last}");
        before = after;
    }
    // What is stored is what is served.
    let Shop { control, mut program, url, .. } = shop;
    program.kill();
    offer.answers(Some(503));
    let _program = control.start();
    assert_eq!(Client::ready(&url, json!({})).await.tools().await.len(), 8);
}

#[tokio::test]
async fn what_was_never_served_is_not_synchronised() {
    let (offer, dead) = (Offer::new(many(3)), "http://127.0.0.1:1/mcp");
    let shop = Shop::open("").await;
    let id = shop.target(&offer).await;
    let schema = json!([{"name": "s", "inputSchema": {"type": "object"}}]).to_string();
    let mut fixed = target("t", "http://127.0.0.1:1/other");
    fixed["targetConfiguration"]["mcp"]["mcpServer"]["mcpToolSchema"] = json!({"inlinePayload": schema});
    // The same target; another name; tools that come from elsewhere, before and after.
    for (served, asked) in [
        (target("t", &offer.url), target("t", dead)),
        (target("t", &offer.url), target("renamed", dead)),
        (fixed.clone(), target("t", dead)),
    ] {
        shop.update(&id, &served, "READY").await;
        let shown = shop.shown().await;
        let failed = shop.update(&id, &asked, "UPDATE_UNSUCCESSFUL").await;
        let message = refused(&shop.synchronise(&id).await, "ConflictException");
        assert!(message.contains("update"), "{message}");
        assert_eq!(shop.get(&id).await, failed, "it still says what it says");
        assert_eq!(shop.shown().await, shown);
    }
    // Once it is what was asked for, it can be.
    shop.update(&id, &target("t", &offer.url), "READY").await;
    shop.synchronised(&id, "READY").await;
    shop.update(&id, &fixed, "READY").await;
    refused(&shop.synchronise(&id).await, "ValidationException");
}

#[tokio::test]
async fn a_target_is_changed_by_one_at_a_time() {
    let offer = Offer::new(many(3));
    let shop = Shop::open("").await;
    let id = shop.target(&offer).await;
    offer.is_silent(true);
    assert_eq!(shop.synchronise(&id).await.status, StatusCode::ACCEPTED);
    eventually("it is asked", async || (offer.waiting() == 1).then_some(())).await;
    let busy = shop.get(&id).await;
    assert_eq!(busy["status"], "SYNCHRONIZING");
    let again = target("t", &offer.url);
    let second = [
        shop.synchronise(&id).await,
        shop.control.send("PUT", &shop.path(&id), Some(&again)).await,
        shop.control.send("DELETE", &shop.path(&id), None).await,
    ];
    for answer in second {
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert!(refused(&answer, "ConflictException").contains("SYNCHRONIZING"), "{answer:?}");
    }
    assert_eq!(shop.get(&id).await, busy);
    assert_eq!(shop.shown().await.len(), 3, "meanwhile all goes on");
}

#[tokio::test]
async fn a_change_of_sessions_does_not_end_a_synchronisation() {
    let offer = Offer::new(many(3));
    let shop = Shop::open("").await;
    let id = shop.target(&offer).await;
    let path = format!("/gateways/{}/", shop.id);
    let without = json!({"protocolConfiguration": {"mcp": {"instructions": "no sessions"}}});
    for (count, members) in [(4, gateway("shop", without)), (5, gateway("shop", json!({})))] {
        offer.is_silent(true);
        assert_eq!(shop.synchronise(&id).await.status, StatusCode::ACCEPTED);
        eventually("it is asked", async || (offer.waiting() > 0).then_some(())).await;
        offer.is_silent(false);
        offer.tools(many(count));
        shop.control.ok("PUT", &path, Some(&members)).await;
        shop.control.settled(&path, "READY").await;
        let after = shop.control.settled(&shop.path(&id), "READY").await;
        assert!(after.get("statusReasons").is_none(), "{after}");
    }
    assert_eq!(shop.shown().await.len(), 5);
}

#[tokio::test]
async fn a_name_that_is_free_again_is_its_next_owners() {
    let (first, second) = (Offer::new(tools(&["old"])), Offer::new(tools(&["new"])));
    let shop = Shop::open("").await;
    let renamed = shop.control.target(&shop.id, "a", &first.url).await;
    shop.control.ok("PUT", &shop.path(&renamed), Some(&target("b", &first.url))).await;
    // As soon as the name is free.
    let next = eventually("the name is free", async || {
        let answer = shop.control.send("POST", &shop.targets(), Some(&target("a", &second.url))).await;
        answer.body["targetId"].as_str().map(str::to_owned)
    })
    .await;
    for id in [renamed, next] {
        shop.control.settled(&shop.path(&id), "READY").await;
    }
    let names = ["a___new", "b___old"].map(str::to_owned);
    let mut shown = shop.shown().await;
    shown.sort();
    assert_eq!(shown, names);
    // So it is stored.
    let Shop { control, mut program, url, .. } = shop;
    program.kill();
    let _program = control.start();
    let mut shown = Client::ready(&url, json!({})).await.tools().await;
    shown.sort();
    assert_eq!(shown, names);
}
