//! Who hears that lists changed.

use serde_json::{Value, json};

use super::Shop;
use super::offer::{Offer, many};
use crate::client::Client;
use crate::control_client::target;
use crate::modern_client::{ModernClient, ModernStream};

const TOOLS: &str = "notifications/tools/list_changed";
const RESOURCES: &str = "notifications/resources/list_changed";

/// A stream on which a client hears of changes.
enum Ear {
    Legacy(crate::client::Stream),
    Modern(ModernStream),
}

// === impl Ear ===

impl Ear {
    /// The method of the next message.
    async fn next(&mut self) -> String {
        loop {
            let said: Value = match self {
                Self::Legacy(stream) => {
                    let event = stream.next().await.unwrap().expect("the stream goes on");
                    let Some(data) = event.data else { continue };
                    data
                }
                Self::Modern(stream) => stream.next().await.expect("the stream goes on"),
            };
            return said["method"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned();
        }
    }
}

#[tokio::test]
async fn linked_sessions_hear_of_what_changed_once_and_of_nothing_else() {
    let offer = Offer::new(many(3));
    let shop = Shop::open("").await;
    let id = shop.target(&offer).await;

    let mut legacy = Client::ready(&shop.url, json!({})).await;
    // Linked: it has a session with the target.
    assert_eq!(legacy.call("t___t0", json!({})).await["result"]["content"][0]["text"], "called");
    let modern = ModernClient::new(&shop.url);
    let wanted = json!({"notifications": {"toolsListChanged": true, "resourcesListChanged": true}});
    let listening = modern.send(&modern.message_with(json!("l"), "subscriptions/listen", wanted)).await;
    let mut ears = [Ear::Legacy(legacy.listen(None).await), Ear::Modern(listening)];
    assert_eq!(ears[1].next().await, "notifications/subscriptions/acknowledged");

    // Nothing is different, whichever way the lists are read again.
    for _ in 0..2 {
        shop.synchronised(&id, "READY").await;
        shop.update(&id, &target("t", &offer.url), "READY").await;
    }
    offer.refuses("tools/list", Some((0, -32603)));
    shop.synchronised(&id, "SYNCHRONIZE_UNSUCCESSFUL").await;
    offer.refuses("tools/list", None);
    // The first that is heard is the first that changed: each change is told in the list that it is in.
    let resource = |name: &str| vec![json!({"uri": "a:b", "name": name})];
    offer.tools(many(4));
    shop.synchronised(&id, "READY").await;
    shop.synchronised(&id, "READY").await;
    offer.lists("resources/list", resource("one"));
    shop.synchronised(&id, "READY").await;
    offer.tools(many(5));
    shop.update(&id, &target("t", &offer.url), "READY").await;
    offer.lists("resources/list", resource("two"));
    shop.update(&id, &target("t", &offer.url), "READY").await;
    for ear in &mut ears {
        for expected in [TOOLS, RESOURCES, TOOLS, RESOURCES] {
            assert_eq!(ear.next().await, expected);
        }
    }
    assert_eq!(legacy.tools().await.len(), 5);
}
