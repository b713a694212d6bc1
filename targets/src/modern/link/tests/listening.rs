//! What is heard outside calls.

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::support::{Reply, Seen, Told, World};
use crate::link::{Listening, Origin};

fn noted(method: &str, params: Value) -> Told {
    Told::Noted(Origin::Standing, method.into(), params)
}

impl World {
    fn subscribe(&self, id: i64, uri: &str) -> JoinHandle<Reply> {
        self.call(id, "resources/subscribe", json!({"uri":uri}))
    }

    /// The next listen, with this filter; all of it is honoured.
    async fn listened(&self, filter: Value) -> Seen {
        let listen = self.seen("subscriptions/listen").await;
        assert_eq!(listen.params["notifications"], filter);
        assert!(listen.params["_meta"]["io.modelcontextprotocol/clientCapabilities"].is_object());
        listen.acknowledge(filter).await;
        listen
    }
}

impl Seen {
    async fn acknowledge(&self, filter: Value) {
        let params = json!({"notifications":filter,"_meta":{"io.modelcontextprotocol/subscriptionId":1}});
        self.note("notifications/subscriptions/acknowledged", params).await;
    }

    async fn updated(&self, uri: &str) {
        let params = json!({"uri":uri,"_meta":{"io.modelcontextprotocol/subscriptionId":1}});
        self.note("notifications/resources/updated", params).await;
    }
}

#[tokio::test(start_paused = true)]
async fn changes_of_lists_are_heard_where_the_target_offers_them() {
    let world = World::new();
    world.link.listen(Listening::On);
    world.link.listen(Listening::On);
    let listen = world.listened(json!({"toolsListChanged":true,"resourcesListChanged":true})).await;
    listen.note("notifications/message", json!({"level":"error","data":1})).await;
    let tag = json!({"io.modelcontextprotocol/subscriptionId":1,"x":2});
    listen.note("notifications/tools/list_changed", json!({"_meta":tag})).await;
    assert_eq!(world.told().await, noted("notifications/tools/list_changed", json!({"_meta":{"x":2}})));
    world.link.listen(Listening::Off);
    listen.dropped().await;
    world.link.listen(Listening::On);
    let listen = world.listened(json!({"toolsListChanged":true,"resourcesListChanged":true})).await;
    world.link.close().await;
    listen.dropped().await;
    world.nothing_seen().await;
    world.nothing_told().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_filter_replaces_the_old_one_without_a_gap() {
    let world = World::new();
    let call = world.subscribe(1, "x:1");
    let first = world.listened(json!({"resourceSubscriptions":["x:1"]})).await;
    assert_eq!(call.await.unwrap().unwrap(), json!({"result":{}}));

    let call = world.subscribe(2, "x:2");
    let second = world.seen("subscriptions/listen").await;
    first.updated("x:1").await;
    assert_eq!(world.told().await, noted("notifications/resources/updated", json!({"uri":"x:1"})), "still heard");
    second.acknowledge(json!({"resourceSubscriptions":["x:1","x:2"]})).await;
    first.dropped().await;
    call.await.unwrap().unwrap();
    // Once more changes nothing.
    assert_eq!(world.subscribe(3, "x:2").await.unwrap().unwrap(), json!({"result":{}}));

    let call = world.call(4, "resources/unsubscribe", json!({"uri":"x:1"}));
    let third = world.listened(json!({"resourceSubscriptions":["x:2"]})).await;
    assert_eq!(call.await.unwrap().unwrap(), json!({"result":{}}));
    second.dropped().await;
    world.link.listen(Listening::On);
    let all = json!({"toolsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["x:2"]});
    let _fourth = world.listened(all).await;
    third.dropped().await;
    world.nothing_told().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_target_does_not_honour_is_refused() {
    let world = World::new();
    let call = world.subscribe(1, "x:1");
    world.seen("subscriptions/listen").await.acknowledge(json!({})).await;
    assert_eq!(call.await.unwrap().unwrap()["error"]["code"], -32602);

    let world = World::new();
    let call = world.subscribe(1, "x:1");
    world.seen("subscriptions/listen").await.error(-32601, "what?", json!({})).await;
    assert_eq!(call.await.unwrap().unwrap()["error"]["code"], -32603);
    world.nothing_seen().await;
    // One that was agreed on stays as it is.
    let call = world.subscribe(2, "x:2");
    let listen = world.listened(json!({"resourceSubscriptions":["x:2"]})).await;
    call.await.unwrap().unwrap();
    let call = world.subscribe(3, "x:3");
    world.seen("subscriptions/listen").await.error(-32602, "no x:3", json!({})).await;
    assert!(call.await.unwrap().unwrap()["error"]["message"].as_str().unwrap().contains("no x:3"));
    listen.updated("x:2").await;
    assert_eq!(world.told().await, noted("notifications/resources/updated", json!({"uri":"x:2"})));
    world.nothing_seen().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_everything_may_have_changed() {
    let world = World::new();
    world.link.listen(Listening::On);
    let lists = json!({"toolsListChanged":true,"resourcesListChanged":true});
    let first = world.listened(lists).await;
    let call = world.subscribe(1, "x:1");
    let all = json!({"toolsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["x:1"]});
    let listen = world.listened(all.clone()).await;
    first.dropped().await;
    call.await.unwrap().unwrap();
    listen.result(json!({"resultType":"complete"})).await;
    // Not at once: the target is away.
    for _ in 0..3 {
        let error = crate::TargetError::Unreachable { detail: "x".into() };
        world.seen("subscriptions/listen").await.end(Err(error)).await;
    }
    world.nothing_told().await;
    let _listen = world.listened(all).await;
    assert_eq!(world.told().await, noted("notifications/tools/list_changed", Value::Null));
    assert_eq!(world.told().await, noted("notifications/resources/list_changed", Value::Null));
    assert_eq!(world.told().await, noted("notifications/resources/updated", json!({"uri":"x:1"})));
}

#[tokio::test(start_paused = true)]
async fn another_process_goes_on_with_level_and_subscriptions() {
    let world = World::new();
    let call = world.subscribe(1, "x:1");
    let listen = world.listened(json!({"resourceSubscriptions":["x:1"]})).await;
    call.await.unwrap().unwrap();
    world.call(2, "logging/setLevel", json!({"level":"info"})).await.unwrap().unwrap();
    let saved = world.link.save().unwrap();
    assert_eq!(&*saved.revision, "2026-07-28");
    drop(world);
    listen.dropped().await;

    let world = World::resumed(&saved);
    let _listen = world.listened(json!({"resourceSubscriptions":["x:1"]})).await;
    assert_eq!(world.told().await, noted("notifications/resources/updated", json!({"uri":"x:1"})));
    let call = world.tool(9);
    let request = world.seen("tools/call").await;
    assert_eq!(request.params["_meta"]["io.modelcontextprotocol/logLevel"], "info");
    request.result(json!({"content":[]})).await;
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_listen_without_an_answer_is_given_up_and_begun_again() {
    let world = World::new();
    let call = world.subscribe(1, "x:1");
    let silent = world.seen("subscriptions/listen").await;
    silent.updated("x:1").await;
    silent.dropped().await;
    let listen = world.listened(json!({"resourceSubscriptions":["x:1"]})).await;
    call.await.unwrap().unwrap();
    listen.error(-32022, "version", json!({"supported":["2025-11-25"]})).await;
    world.seen("subscriptions/listen").await.error(-32022, "version", json!({"supported":["2025-11-25"]})).await;
    assert_eq!(world.told().await, noted("notifications/resources/updated", json!({"uri":"x:1"})), "begun late");
    assert_eq!(world.told().await, Told::Closed("session_gone"));
    world.nothing_seen().await;
}
