//! Streams: who reads them, how they are taken up again, and what is too late.

use serde_json::json;

use crate::client::{Client, Stream};
use crate::harness::{Home, Program, eventually, http_target, reference_server};
use crate::scripted::{Reply, Scripted, result};

async fn one(settings: &str) -> (Home, Program, Program) {
    let (home, target) = (Home::new(), reference_server(&[]));
    let text = format!("naming: plain\n{settings}\ntargets:\n{}", http_target("ref", &target.url, ""));
    let gateway = home.configured(&text);
    (home, target, gateway)
}

#[tokio::test]
async fn the_newest_get_takes_over() {
    let (_home, _target, gateway) = one("").await;
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let mut first = client.listen(None).await;
    let mut second = client.listen(None).await;
    let rest = first.rest().await;
    assert!(rest.iter().all(|event| event.data.is_none()), "{rest:?}");
    client.call("sg_toggle_tool", json!({})).await;
    second.message("notifications/tools/list_changed").await;
}

#[tokio::test]
async fn what_comes_while_nobody_listens_waits() {
    let (_home, _target, gateway) = one("").await;
    let mut client = Client::ready(&gateway.url, json!({})).await;
    client.call("sg_toggle_tool", json!({})).await;
    eventually("the tool is listed", async || client.tools().await.contains(&"sg_toggled".to_owned()).then_some(()))
        .await;
    client.listen(None).await.message("notifications/tools/list_changed").await;
}

#[tokio::test]
async fn a_stream_is_resumed_where_it_was_left_and_only_that_stream() {
    let (_home, _target, gateway) = one("").await;
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let (_, mut a) = client.start("sg_progress", json!({"steps": 5, "delay_ms": 1})).await;
    let (_, mut b) = client.start("sg_progress", json!({"steps": 7, "delay_ms": 1})).await;
    let (a, b) = (a.rest().await, b.rest().await);
    for (events, at) in [(&a, 0), (&a, 3), (&b, 2), (&b, b.len() - 1)] {
        let rest = client.listen(events[at].id.as_deref()).await.rest().await;
        assert_eq!(rest, events[at + 1..], "after {:?}", events[at].id);
    }
    let mut other = Client::ready(&gateway.url, json!({})).await;
    other.call("sg_echo", json!({})).await;
    let foreign = other.get(a[3].id.as_deref()).await.unwrap();
    assert_eq!(foreign.status(), 400, "another session's event means nothing here");
}

#[tokio::test]
async fn an_evicted_event_is_a_clear_error() {
    let (_home, _target, gateway) = one("sessions: {events: {count: 8}}").await;
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let (_, mut stream) = client.start("sg_progress", json!({"steps": 40, "delay_ms": 1})).await;
    let events = stream.rest().await;
    assert_eq!(events.len(), 42, "priming, 40 steps, the response");
    let response = client.get(events[2].id.as_deref()).await.unwrap();
    assert_eq!(response.status(), 400);
    let body: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(body["error"]["data"]["reason"], "evicted_event_id", "{body}");
    assert!(body["error"]["message"].as_str().unwrap().contains("no longer kept"), "{body}");
    let rest = client.listen(events[40].id.as_deref()).await.rest().await;
    assert_eq!(rest, events[41..], "what is kept can be had");
}

#[tokio::test]
async fn priming_events_are_for_clients_that_know_them() {
    let (_home, _target, gateway) = one("").await;
    for (revision, primes) in [("2025-11-25", true), ("2025-06-18", false), ("2025-03-26", false)] {
        let mut client = Client::new(&gateway.url);
        client.revision = revision;
        client.initialize(json!({})).await.unwrap();
        let (_, mut stream) = client.start("sg_progress", json!({"steps": 2, "delay_ms": 1})).await;
        let events = stream.rest().await;
        assert!(events.iter().all(|event| event.id.is_some()), "{events:?}");
        assert_eq!(events[0].data.is_none() && events[0].retry.is_some(), primes, "{revision}: {events:?}");
        let silent = events.iter().filter(|event| event.data.is_none()).count();
        assert_eq!(silent, usize::from(primes), "{revision}: {events:?}");
    }
}

#[tokio::test]
async fn an_answer_is_json_until_there_is_more_to_say() {
    let (_home, _target, gateway) = one("").await;
    let mut client = Client::ready(&gateway.url, json!({})).await;
    for (tool, content_type) in [("sg_echo", "application/json"), ("sg_progress", "text/event-stream")] {
        let params = json!({"name": tool, "arguments": {}, "_meta": {"progressToken": 7}});
        let body = client.request("tools/call", params);
        let response = client.post(&body).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], content_type);
        if tool == "sg_progress" {
            assert_eq!(response.headers()["x-accel-buffering"], "no");
            let progress = Stream::of(response).message("notifications/progress").await;
            assert_eq!(progress["params"]["progressToken"], 7, "the token has its type back");
        }
    }
}

#[tokio::test]
async fn quiet_streams_show_life() {
    let (_home, _target, gateway) = one("keep_alive: 1s").await;
    let client = Client::ready(&gateway.url, json!({})).await;
    let mut stream = client.get(None).await.unwrap();
    let mut text = String::new();
    while !text.contains("\n:") {
        text.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }
}

#[tokio::test]
async fn polling_closes_streams_that_clients_can_take_up() {
    let (_home, _target, gateway) = one("sse_polling: {close_after: 1s, retry: 20ms}").await;
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let (id, mut stream) = client.start("sg_progress", json!({"steps": 30, "delay_ms": 60})).await;
    let (mut steps, mut last, mut connections) = (Vec::new(), None, 1);
    let answer = loop {
        let Some(event) = stream.next().await.unwrap() else {
            connections += 1;
            stream = client.listen(last.as_deref()).await;
            continue;
        };
        steps.extend(event.progress());
        last = event.id.or(last);
        let Some(data) = event.data else { continue };
        if data["id"] == id {
            break data;
        }
    };
    assert_eq!(steps, (1..=30).collect::<Vec<_>>());
    assert_eq!(answer["result"]["structuredContent"]["steps"], 30);
    assert!(connections > 1, "the gateway closed none");
}

#[tokio::test]
async fn polling_closes_streams_that_always_have_something_to_say() {
    const NOTES: usize = 800;
    let target = Scripted::named(&["talk"], |_, request| {
        // More than sockets hold.
        let padding = "x".repeat(16 * 1024);
        let notes = (0..NOTES).map(|at| {
            let params = json!({"level": "info", "data": {"at": at, "padding": padding}});
            format!("data: {}\n\n", json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params}))
        });
        let answer = result(request, r#"{"content": []}"#);
        Reply::Events(notes.chain([format!("data: {answer}\n\n")]).collect())
    });
    let home = Home::new();
    let settings = "naming: plain\nsse_polling: {close_after: 1s, retry: 20ms}\nsessions: {events: {bytes: 64MiB}}";
    let gateway = home.configured(&format!("{settings}\ntargets:\n{}", http_target("ref", &target.url, "")));
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let (_, mut stream) = client.start("talk", json!({})).await;
    let first = stream.next().await.unwrap().unwrap().id;
    drop(stream);
    eventually("all of it is in the log", async || {
        (gateway.metric("sessiongate_calls_total", "").await == 1.0).then_some(())
    })
    .await;
    let (mut last, mut seen, mut connections) = (first, Vec::new(), 0);
    loop {
        let mut stream = client.listen(last.as_deref()).await;
        connections += 1;
        if connections == 1 {
            // Nobody reads for a while: when this other stream is closed, the time of the first is over too.
            Client::ready(&gateway.url, json!({})).await.listen(None).await.rest().await;
        }
        let events = stream.rest().await;
        assert!(events.iter().any(|event| event.id.is_some()), "each connection gets a bit further");
        last = events.iter().rev().find_map(|event| event.id.clone());
        let messages: Vec<_> = events.into_iter().filter_map(|event| event.data).collect();
        seen.extend(messages.iter().filter_map(|message| message["params"]["data"]["at"].as_u64()));
        if messages.iter().any(|message| message.get("result").is_some()) {
            break;
        }
    }
    assert_eq!(seen, (0..NOTES as u64).collect::<Vec<_>>(), "no hole and no double");
    assert!(connections > 1, "a stream that was always ready was not closed");
}
