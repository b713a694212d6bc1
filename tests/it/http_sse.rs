//! Targets over HTTP+SSE through the whole gateway, and notifications that nobody reads.

use serde_json::json;

use crate::client::{Client, Event};
use crate::harness::{Home, Program, eventually, http_target, reference_server};
use crate::old_server::OldServer;

fn one(settings: &str, newest: &'static str) -> (Home, OldServer, Program) {
    let (home, target) = (Home::new(), OldServer::start(newest));
    let gateway = home.configured(&format!("naming: plain\n{settings}\ntargets:\n{}", target.line("old")));
    (home, target, gateway)
}

#[tokio::test]
async fn an_old_server_is_a_target_like_any_other() {
    let (_home, target, gateway) = one("", "2024-11-05");
    let mut a = Client::ready(&gateway.url, json!({"elicitation": {}})).await;
    let mut b = Client::ready(&gateway.url, json!({})).await;
    assert_eq!(a.tools().await, ["count", "steps", "ask", "never"]);
    assert_eq!((a.count("count").await, a.count("count").await), (1, 2));
    assert_eq!(b.count("count").await, 1, "a stream of its own for each session");

    let (_, mut x) = a.start("steps", json!({"steps": 5})).await;
    let (_, mut y) = b.start("steps", json!({"steps": 7})).await;
    let steps = |events: &[Event]| events.iter().filter_map(Event::progress).collect::<Vec<_>>();
    assert_eq!(steps(&x.rest().await), [1, 2, 3, 4, 5], "progress goes to its own session, in its order");
    assert_eq!(steps(&y.rest().await), [1, 2, 3, 4, 5, 6, 7]);

    let mut standing = a.listen(None).await;
    target.say("notifications/message", &json!({"level": "info", "data": "hello"}));
    assert_eq!(standing.message("notifications/message").await["params"]["data"], "hello");

    let open = target.open();
    a.end().await;
    eventually("the stream ends with the session", async || (target.open() == open - 1).then_some(())).await;
    assert_eq!(b.count("count").await, 3);
}

#[tokio::test]
async fn an_old_transport_with_a_newer_revision_can_ask() {
    let (_home, target, gateway) = one("", "2025-06-18");
    let mut client = Client::ready(&gateway.url, json!({"elicitation": {}})).await;
    for (action, result) in [
        ("accept", json!({"action": "accept", "content": {"name": "Ada"}})),
        ("decline", json!({"action": "decline"})),
        ("cancel", json!({"action": "cancel"})),
    ] {
        let (_, mut stream) = client.start("ask", json!({})).await;
        let question = stream.message("elicitation/create").await;
        assert!(question["params"]["message"].as_str().unwrap().contains("Who are you?"), "{question}");
        assert_eq!(client.answer(&question, result.clone()).await, 202);
        assert_eq!(stream.response().await["result"]["structuredContent"], result, "{action}");
    }
    assert!(target.clients().iter().any(|one| one["capabilities"].get("elicitation").is_some()));
}

#[tokio::test]
async fn a_server_that_dies_is_named_and_used_again_when_it_is_back() {
    let (home, mut target) = (Home::new(), OldServer::start("2024-11-05"));
    let other = reference_server(&[]);
    let lines = format!("{}{}", target.line("old"), http_target("ref", &other.url, ""));
    let gateway = home.configured(&format!("targets:\n{lines}"));
    let mut client = Client::ready(&gateway.url, json!({})).await;
    assert_eq!(client.count("old___count").await, 1);
    assert_eq!(client.count("old___count").await, 2);
    let (_, mut waiting) = {
        let calls = target.calls();
        let mut own = Client::ready(&gateway.url, json!({})).await;
        let body = own.request("tools/call", json!({"name": "old___never", "_meta": {"progressToken": 1}}));
        let http = own.post(&body);
        let call = tokio::spawn(async move { crate::client::Stream::of(http.send().await.unwrap()).response().await });
        eventually("the call is there", async || (target.calls() > calls).then_some(())).await;
        (own, call)
    };

    target.die();
    let answer = (&mut waiting).await.unwrap();
    let said = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(answer["result"]["isError"] == true && said.contains("target `old`"), "{said}");
    eventually("it cannot be reached", async || {
        let dead = client.call("old___count", json!({})).await;
        let said = dead["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{dead}"));
        assert!(dead["result"]["isError"] == true && said.contains("target `old`"), "{said}");
        // What goes out on a connection while it is closed has an outcome that nobody knows.
        said.contains("could not be reached").then_some(())
    })
    .await;
    assert!(client.tools().await.contains(&"old___count".to_owned()), "its last good copy is listed");
    assert_eq!(client.count("ref___sg_counter").await, 1, "the others go on");

    target.back();
    let count = eventually("a new session there", async || {
        client.call("old___count", json!({})).await["result"]["structuredContent"]["count"].as_i64()
    })
    .await;
    assert_eq!(count, 1, "the server knows nobody");
    assert_eq!(client.count("old___count").await, 2, "and the new session stays");
}

#[tokio::test]
async fn notifications_that_nobody_reads_are_bounded_and_the_newest_stay() {
    let (_home, target, gateway) = one("sessions: {queued_notifications: 4}", "2025-06-18");
    let mut client = Client::ready(&gateway.url, json!({})).await;
    assert_eq!(client.count("count").await, 1);
    let reached = async || gateway.metric("sessiongate_bounds_reached_total", "bound=\"queued_notifications\"").await;
    let say = |number: i64| target.say("notifications/message", &json!({"level": "info", "data": number}));

    // No call runs meanwhile: the notifications would go to its stream.
    for (last, counted) in [(5, 1.0), (10, 6.0)] {
        for number in last - 4..=last {
            say(number);
        }
        eventually("the metric counts each that is pushed out", async || (reached().await == counted).then_some(()))
            .await;
    }
    assert_eq!(client.count("count").await, 2, "calls go on");

    let mut standing = client.listen(None).await;
    for number in 7..=10 {
        assert_eq!(standing.message("notifications/message").await["params"]["data"], number);
    }
    say(11);
    assert_eq!(standing.message("notifications/message").await["params"]["data"], 11);
    assert_eq!(reached().await, 6.0, "what is read does not count");

    // Another session has a queue of its own.
    let mut other = Client::ready(&gateway.url, json!({})).await;
    assert_eq!(other.count("count").await, 1);
    say(12);
    assert_eq!(standing.message("notifications/message").await["params"]["data"], 12);
    assert_eq!(other.listen(None).await.message("notifications/message").await["params"]["data"], 12);
}
