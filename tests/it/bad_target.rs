//! A target that misbehaves: the call ends with an error that names it, its session lives on, nobody else notices,
//! and the gateway's memory stays bounded.

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Home, Program, eventually, http_target, reference_server};
use crate::scripted::{Reply, Request, SSE, Scripted, head, result, text};

/// What the gateway may grow by, whatever a target sends: 96 MiB in KiB.
const GROWTH: u64 = 96 * 1024;

struct Behaviour {
    name: &'static str,
    reply: fn(&Request) -> Reply,
    /// What the client is told; none where the call succeeds nevertheless.
    told: Option<&'static str>,
}

fn json_head() -> Vec<u8> {
    head("application/json", 1_000_000_000)
}

fn with_type(request: &Request, content_type: &str) -> Vec<u8> {
    let body = result(request, r#"{"content":[]}"#);
    [head(content_type, body.len() as u64), body.into_bytes()].concat()
}

const NOT_MCP: Option<&str> = Some("not MCP");
const BROKE: Option<&str> = Some("outcome is unknown");

/// Each is a tool of the target.
const BEHAVIOURS: [Behaviour; 22] = [
    Behaviour { name: "invalid_json", reply: |_| Reply::Json("{\"jsonrpc\":".into()), told: NOT_MCP },
    Behaviour { name: "no_message", reply: |_| Reply::Json("[1, 2]".into()), told: NOT_MCP },
    Behaviour { name: "a_string", reply: |_| Reply::Json("\"hunter2\"".into()), told: NOT_MCP },
    Behaviour {
        name: "a_long_string",
        reply: |_| Reply::Json(format!("\"{}\"", "hunter2".repeat(100_000))),
        told: NOT_MCP,
    },
    Behaviour { name: "empty", reply: |_| Reply::Json(String::new()), told: NOT_MCP },
    Behaviour {
        name: "invalid_utf8",
        reply: |_| Reply::Raw([head("application/json", 30), vec![0xff; 30]].concat()),
        told: NOT_MCP,
    },
    Behaviour {
        name: "deep",
        reply: |request| Reply::Json(result(request, &format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)))),
        told: NOT_MCP,
    },
    Behaviour {
        name: "gigabyte",
        reply: |_| Reply::Endless(json_head(), vec![b' '; 1 << 16]),
        told: Some("more than 1048576 bytes"),
    },
    Behaviour {
        name: "gigabyte_unannounced",
        reply: |_| {
            Reply::Endless(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec(), vec![b' '; 1 << 16])
        },
        told: Some("more than 1048576 bytes"),
    },
    Behaviour {
        name: "endless_event",
        reply: |_| Reply::Endless([SSE, b"data: "].concat(), vec![b'x'; 1 << 16]),
        told: Some("more than 1048576 bytes"),
    },
    Behaviour {
        name: "endless_lines",
        reply: |_| Reply::Endless(SSE.to_vec(), b"data: x\n".repeat(1000)),
        told: Some("more than 1048576 bytes"),
    },
    Behaviour {
        name: "endless_comments",
        reply: |_| Reply::Endless(SSE.to_vec(), b": x\n\n".repeat(1000)),
        told: Some("did not answer within"),
    },
    Behaviour { name: "silence", reply: |_| Reply::Hang(SSE.to_vec()), told: Some("did not answer within") },
    Behaviour {
        name: "half_a_head",
        reply: |_| Reply::Hang(b"HTTP/1.1 200".to_vec()),
        told: Some("did not answer within"),
    },
    Behaviour { name: "status_500", reply: |_| Reply::Status(500), told: Some("HTTP 500") },
    Behaviour { name: "accepted", reply: |_| Reply::Status(202), told: NOT_MCP },
    Behaviour {
        name: "redirect",
        reply: |_| {
            Reply::Raw(
                b"HTTP/1.1 307 Elsewhere\r\nlocation: http://169.254.169.254/\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec(),
            )
        },
        told: Some("target `bad`"),
    },
    Behaviour { name: "html", reply: |request| Reply::Raw(with_type(request, "text/html")), told: NOT_MCP },
    Behaviour {
        name: "half_a_body",
        reply: |_| Reply::Raw([head("application/json", 100), b"{\"json".to_vec()].concat()),
        told: BROKE,
    },
    Behaviour { name: "no_response", reply: |_| Reply::Events(": nothing\n\n".into()), told: BROKE },
    Behaviour {
        name: "twice",
        reply: |request| {
            let answer = result(request, r#"{"content":[],"structuredContent":{"which":"first"}}"#);
            let again = answer.replace("first", "second");
            Reply::Events(format!("data: {answer}\n\ndata: {again}\n\n"))
        },
        told: None,
    },
    Behaviour {
        name: "to_nothing",
        reply: |request| {
            let answer = result(request, r#"{"content":[],"structuredContent":{"which":"first"}}"#);
            let strange = r#"{"jsonrpc":"2.0","id":987654321,"result":{"content":[]}}"#;
            let text = r#"{"jsonrpc":"2.0","id":"987654321","error":{"code":1,"message":"x"}}"#;
            Reply::Events(format!("data: {strange}\n\ndata: {text}\n\ndata: {answer}\n\n"))
        },
        told: None,
    },
];

fn bad_target() -> Scripted {
    let mut names: Vec<&str> = BEHAVIOURS.iter().map(|behaviour| behaviour.name).collect();
    names.extend(["good", "flood"]);
    Scripted::named(&names, |tool, request| match BEHAVIOURS.iter().find(|behaviour| behaviour.name == tool) {
        Some(behaviour) => (behaviour.reply)(request),
        None if tool == "flood" => {
            let note = br#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}"#;
            Reply::Endless(SSE.to_vec(), [b"data: ", &note[..], b"\n\n"].concat().repeat(100))
        }
        None => text(request, "good"),
    })
}

struct Scene {
    _home: Home,
    _good: Program,
    bad: Scripted,
    gateway: Program,
}

fn scene() -> Scene {
    let (home, good, bad) = (Home::new(), reference_server(&[]), bad_target());
    let targets = [
        http_target("good", &good.url, ""),
        http_target("bad", &bad.url, "timeout: 1s, idle_timeout: 30s, message_limit: 1MiB"),
    ];
    let gateway = home.configured(&format!("targets:\n{}", targets.concat()));
    Scene { _home: home, _good: good, bad, gateway }
}

/// Calls another target over and over; the number of calls that went well.
async fn neighbour(url: String, mut done: tokio::sync::oneshot::Receiver<()>) -> u32 {
    let mut client = Client::ready(&url, json!({})).await;
    for calls in 0.. {
        let answer = client.call("good___sg_echo", json!({"n": calls})).await;
        assert_eq!(answer["result"]["structuredContent"]["n"], calls, "{answer}");
        if done.try_recv().is_ok() {
            return calls;
        }
    }
    unreachable!()
}

fn told(answer: &Value) -> String {
    let result = &answer["result"];
    let said = if result["isError"] == true { &result["content"][0]["text"] } else { &answer["error"]["message"] };
    said.as_str().unwrap_or_default().to_owned()
}

/// Whether a text says what a target said, or how this program is written.
fn quotes(said: &str) -> bool {
    said.len() > 300 || ["hunter2", "struct", "Envelope"].iter().any(|word| said.contains(word))
}

#[tokio::test]
async fn each_misbehaviour_ends_its_call_and_nothing_else() {
    let scene = scene();
    let mut client = Client::ready(&scene.gateway.url, json!({})).await;
    let (finish, finished) = tokio::sync::oneshot::channel();
    let other = tokio::spawn(neighbour(scene.gateway.url.clone(), finished));
    let before = scene.gateway.memory();
    let mut wrong = Vec::new();
    for behaviour in &BEHAVIOURS {
        let answer = client.call(&format!("bad___{}", behaviour.name), json!({})).await;
        let said = told(&answer);
        let right = match behaviour.told {
            Some(what) => said.contains(what) && said.contains("target `bad`") && !quotes(&said),
            None => answer["result"]["structuredContent"]["which"] == "first",
        };
        if !right {
            wrong.push(format!("{}: {answer}", behaviour.name));
        }
        let after = client.call("bad___good", json!({})).await;
        if after["result"]["content"][0]["text"] != "good" {
            wrong.push(format!("after {}: {after}", behaviour.name));
        }
    }
    finish.send(()).unwrap();
    assert!(other.await.unwrap() > 10, "the neighbour waited");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!scene.gateway.log().contains("hunter2"));
    let grown = scene.gateway.memory().saturating_sub(before);
    assert!(grown < GROWTH, "{grown} KiB more");
    assert!(scene.bad.written() < 1 << 30, "{} bytes were taken of what never ends", scene.bad.written());
}

#[tokio::test]
async fn a_flood_of_messages_ends_with_its_call_and_nobody_else_notices() {
    let scene = scene();
    let before = scene.gateway.memory();
    let (finish, finished) = tokio::sync::oneshot::channel();
    let url = scene.gateway.url.clone();
    // Somebody whose calls have streams, so that they need the store too.
    let other = tokio::spawn(async move {
        let mut client = Client::ready(&url, json!({})).await;
        let mut finished = finished;
        while finished.try_recv().is_err() {
            let (_, mut stream) = client.start("good___sg_progress", json!({"steps": 5, "delay_ms": 1})).await;
            let events = stream.rest().await;
            let steps: Vec<i64> = events.iter().filter_map(crate::client::Event::progress).collect();
            assert_eq!(steps, [1, 2, 3, 4, 5]);
        }
    });
    let floods = (0..3).map(|_| {
        let url = scene.gateway.url.clone();
        tokio::spawn(async move {
            let mut client = Client::ready(&url, json!({})).await;
            let (_, mut stream) = client.start("bad___flood", json!({})).await;
            let events = stream.rest().await;
            let last = events.iter().rfind(|event| event.id.is_some()).unwrap();
            let answer = last.data.as_ref().filter(|data| data.get("method").is_none());
            if let Some(answer) = answer {
                let said = told(answer);
                assert!(said.contains("target `bad`") && said.contains("did not answer within"), "{said}");
            } else {
                // Too slow for what the event log keeps: told when it comes back.
                let refused = client.get(last.id.as_deref()).await.unwrap();
                assert_eq!(refused.status(), 400, "after {last:?}");
                assert!(refused.text().await.unwrap().contains("evicted_event_id"));
            }
            let after = client.call("bad___good", json!({})).await;
            assert_eq!(after["result"]["content"][0]["text"], "good");
        })
    });
    for flood in floods.collect::<Vec<_>>() {
        flood.await.unwrap();
    }
    finish.send(()).unwrap();
    other.await.unwrap();
    let failures = scene.gateway.metric("sessiongate_store_failures_total", "").await;
    assert!(failures == 0.0, "{failures} times a session left memory because the store was busy");
    let grown = scene.gateway.memory().saturating_sub(before);
    assert!(grown < GROWTH, "{grown} KiB more");
}

#[tokio::test]
async fn bad_targets_at_once_leave_memory_bounded() {
    let scene = scene();
    let before = scene.gateway.memory();
    let calls =
        ["gigabyte", "gigabyte_unannounced", "endless_event", "endless_lines", "endless_comments"].into_iter().cycle();
    let calls = calls.take(30).map(|tool| {
        let url = scene.gateway.url.clone();
        tokio::spawn(async move {
            let mut client = Client::ready(&url, json!({})).await;
            told(&client.call(&format!("bad___{tool}"), json!({})).await)
        })
    });
    for call in calls.collect::<Vec<_>>() {
        let said = call.await.unwrap();
        assert!(said.contains("target `bad`"), "{said}");
    }
    let grown = scene.gateway.memory().saturating_sub(before);
    assert!(grown < GROWTH, "{grown} KiB more");
}

#[tokio::test]
async fn a_target_that_cannot_initialize_is_named_and_its_neighbour_served() {
    const GARBAGE: [(&str, &str); 4] = [
        ("nonsense", "<html>"),
        ("no-result", r#"{"jsonrpc":"2.0","id":ID,"result":7}"#),
        ("error", r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32000,"message":"no room"}}"#),
        (
            "revision",
            r#"{"jsonrpc":"2.0","id":ID,"result":{"protocolVersion":"1999-01-01","capabilities":{},"serverInfo":{"name":"x","version":"1"}}}"#,
        ),
    ];
    let (home, good) = (Home::new(), reference_server(&[]));
    let mut targets = vec![http_target("good", &good.url, "")];
    let mut scripts = Vec::new();
    for (name, body) in GARBAGE {
        let script = Scripted::raw(move |request| Reply::Json(body.replace("ID", &request.body["id"].to_string())));
        targets.push(http_target(name, &script.url, "required: false, initialize_timeout: 2s"));
        scripts.push(script);
    }
    let gateway = home.configured(&format!("targets:\n{}", targets.concat()));
    let mut client = Client::ready(&gateway.url, json!({})).await;
    for (name, _) in GARBAGE {
        let said = told(&client.call(&format!("{name}___anything"), json!({})).await);
        assert!(said.contains(&format!("target `{name}`")), "{name}: {said}");
    }
    assert_eq!(client.count("good___sg_counter").await, 1);
    let tools = client.tools().await;
    assert!(tools.iter().all(|tool| tool.starts_with("good___")), "{tools:?}");
}

#[tokio::test]
async fn an_error_of_the_target_comes_as_it_was_sent() {
    let home = Home::new();
    let error = r#"{"code":-32123,"message":"not today","data":{"z":12345678901234567890123,"a":[1.0]}}"#;
    let target = Scripted::named(&["fail"], move |_, request| {
        Reply::Json(format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, request.body["id"]))
    });
    let gateway = home.gateway(&target.url, None).unwrap();
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let body = client.request("tools/call", json!({"name": "fail"}));
    let text = client.post(&body).send().await.unwrap().text().await.unwrap();
    assert!(text.contains(error), "{text}");
}

#[tokio::test]
async fn an_endless_reply_is_let_go_when_its_call_is_cancelled() {
    let scene = scene();
    let mut client = Client::ready(&scene.gateway.url, json!({})).await;
    let body = client.request("tools/call", json!({"name": "bad___silence"}));
    let (called, ()) = tokio::join!(client.post(&body).send(), async {
        eventually("the call is at the target", async || (scene.bad.hanging() == 1).then_some(())).await;
        client.notify("notifications/cancelled", json!({"requestId": body["id"]})).await;
    });
    assert_eq!(called.unwrap().status(), 202);
    eventually("the connection is closed", async || (scene.bad.hanging() == 0).then_some(())).await;
    eventually("the target is told", async || {
        scene.bad.seen().iter().any(|body| body.contains("notifications/cancelled")).then_some(())
    })
    .await;
}
