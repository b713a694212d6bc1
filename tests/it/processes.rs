//! Targets that are processes: one for each session that uses them, never more than allowed, none left over.

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Home, Program, eventually, stdio_target};

async fn until_processes(gateway: &Program, count: usize) {
    eventually(&format!("{count} processes"), async || (gateway.children("--stdio").len() == count).then_some(()))
        .await;
}

fn one(head: &str, more: &str) -> (Home, Program) {
    let home = Home::new();
    let gateway = home.configured(&format!("{head}\nnaming: plain\ntargets:\n{}", stdio_target("ref", more)));
    (home, gateway)
}

fn alive(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

#[tokio::test]
async fn each_session_has_its_process_and_it_ends_with_the_session() {
    let (_home, mut gateway) = one("", "");
    let mut a = Client::ready(&gateway.url, json!({})).await;
    let mut b = Client::ready(&gateway.url, json!({})).await;
    a.tools().await;
    let idle = gateway.children("--stdio").len();
    assert!(idle <= 1, "only the synchronisation may have one");
    assert_eq!((a.count("sg_counter").await, a.count("sg_counter").await), (1, 2));
    until_processes(&gateway, idle + 1).await;
    assert_eq!(b.count("sg_counter").await, 1, "its own process");
    until_processes(&gateway, idle + 2).await;
    a.end().await;
    until_processes(&gateway, idle + 1).await;
    assert_eq!(b.count("sg_counter").await, 2);
    let left = gateway.children("--stdio");
    assert_eq!(gateway.terminate().code(), Some(0));
    eventually("none is left over", async || (!left.iter().any(|id| alive(*id))).then_some(())).await;
}

#[tokio::test]
async fn a_killed_gateway_leaves_no_process_behind() {
    let (_home, mut gateway) = one("", "");
    let mut client = Client::ready(&gateway.url, json!({})).await;
    assert_eq!(client.count("sg_counter").await, 1);
    let left = gateway.children("--stdio");
    assert!(!left.is_empty());
    gateway.kill();
    eventually("they ended", async || (!left.iter().any(|id| alive(*id))).then_some(())).await;
}

#[tokio::test]
async fn a_process_that_dies_is_named_and_started_again() {
    let (_home, gateway) = one("", "");
    let idle = gateway.children("--stdio");
    let mut client = Client::ready(&gateway.url, json!({})).await;
    assert_eq!(client.count("sg_counter").await, 1);
    let (_, mut stream) = client.start("sg_progress", json!({"steps": 10_000})).await;
    stream.message("notifications/progress").await;
    for id in gateway.children("--stdio").into_iter().filter(|id| !idle.contains(id)) {
        let id = nix::unistd::Pid::from_raw(i32::try_from(id).unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    let answer = stream.response().await;
    let said = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(answer["result"]["isError"] == true && said.contains("target `ref`"), "{answer}");
    eventually("a new one", async || {
        let answer = client.call("sg_counter", json!({})).await;
        (answer["result"]["structuredContent"]["count"] == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn processes_are_bounded_and_the_bound_is_named() {
    let (_home, gateway) = one("! limits: {stdio_processes: 3}", "");
    let mut clients = Vec::new();
    let refused: Value = loop {
        assert!(clients.len() < 4, "no bound is reached");
        let mut client = Client::ready(&gateway.url, json!({})).await;
        let answer = client.call("sg_counter", json!({})).await;
        if answer["result"]["isError"] == true {
            break answer;
        }
        clients.push(client);
    };
    assert!(clients.len() >= 2, "{refused}");
    let said = refused["result"]["content"][0]["text"].as_str().unwrap();
    assert!(said.contains("target `ref`") && said.contains("limit 3"), "{said}");
    assert!(gateway.children("--stdio").len() <= 3);
    // Who has one goes on; who leaves makes room.
    assert_eq!(clients[0].count("sg_counter").await, 2);
    clients.pop().unwrap().end().await;
    let mut late = Client::ready(&gateway.url, json!({})).await;
    eventually("room", async || {
        (late.call("sg_counter", json!({})).await["result"]["structuredContent"]["count"] == 1).then_some(())
    })
    .await;
    let counted = gateway.metric("sessiongate_bounds_reached_total", "process").await;
    assert!(counted >= 1.0, "the metric counts it");
}

#[tokio::test]
async fn a_shared_process_serves_all_sessions() {
    let home = Home::new();
    let program = crate::harness::reference_program();
    let line =
        format!("  - {{name: ref, mcp: {{command: \"{}\", args: [--stdio], mode: shared}}}}\n", program.display());
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{line}"));
    let mut a = Client::ready(&gateway.url, json!({})).await;
    let mut b = Client::ready(&gateway.url, json!({})).await;
    assert_eq!((a.count("sg_counter").await, b.count("sg_counter").await), (1, 2));
    assert_eq!(gateway.children("--stdio").len(), 1);
    let (_, mut x) = a.start("sg_progress", json!({"steps": 5})).await;
    let (_, mut y) = b.start("sg_progress", json!({"steps": 6})).await;
    let steps = |events: Vec<crate::client::Event>| events.iter().filter_map(crate::client::Event::progress).count();
    assert_eq!((steps(x.rest().await), steps(y.rest().await)), (5, 6), "progress goes to its own session");
    a.end().await;
    assert_eq!(b.count("sg_counter").await, 3, "it outlives a session");
}
