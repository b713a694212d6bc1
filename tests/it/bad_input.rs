//! Clients that misbehave: they are refused or let go, memory stays bounded, and nobody else notices.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, LIMIT};
use crate::harness::{Home, Program, eventually, http_target, reference_server};
use crate::scripted::{Reply, Scripted};

/// What the gateway may grow by, whatever a client does: 96 MiB in KiB.
const GROWTH: u64 = 96 * 1024;

struct Scene {
    _home: Home,
    _target: Program,
    gateway: Program,
}

fn scene() -> Scene {
    let (home, target) = (Home::new(), reference_server(&[]));
    let gateway = home.gateway(&target.url, None).unwrap();
    Scene { _home: home, _target: target, gateway }
}

impl Scene {
    async fn connect(&self) -> TcpStream {
        let address = self.gateway.base().strip_prefix("http://").unwrap();
        TcpStream::connect(address).await.unwrap()
    }

    /// Everybody else is served.
    async fn serves_others(&self) {
        let mut client = Client::ready(&self.gateway.url, json!({})).await;
        assert_eq!(client.count("sg_counter").await, 1);
        client.end().await;
    }
}

/// What comes until the other side closes, or until a whole answer to the first request is there.
async fn answer(connection: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = async { while connection.read_buf(&mut text).await.is_ok_and(|length| length > 0) {} };
    tokio::time::timeout(LIMIT, read).await.expect("closed in time");
    String::from_utf8_lossy(&text).into_owned()
}

async fn send(connection: &mut TcpStream, bytes: &[u8]) {
    // Whoever was refused may be cut off while it still sends.
    let _ = connection.write_all(bytes).await;
}

#[tokio::test]
async fn too_many_and_too_large_headers_are_refused() {
    let scene = scene();
    let before = scene.gateway.memory();
    let many: String = (0..10_000).map(|number| format!("x-{number}: {number}\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(1 << 20));
    let session = format!("mcp-session-id: {}\r\n", "y".repeat(60_000));
    for headers in [many, long, session] {
        let mut connection = scene.connect().await;
        send(
            &mut connection,
            format!("POST /mcp HTTP/1.1\r\nhost: localhost\r\n{headers}connection: close\r\n\r\n").as_bytes(),
        )
        .await;
        let text = answer(&mut connection).await;
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{}", &text[..text.len().min(200)]);
        scene.serves_others().await;
    }
    let mut endless = scene.connect().await;
    send(&mut endless, b"POST /mcp HTTP/1.1\r\n").await;
    let mut sent = 0_u64;
    while sent < 1 << 28 && endless.write_all(&b"x: y\r\n".repeat(10_000)).await.is_ok() {
        sent += 60_000;
    }
    assert!(sent < 1 << 24, "{sent} bytes of headers were taken");
    let grown = scene.gateway.memory().saturating_sub(before);
    assert!(grown < GROWTH, "{grown} KiB more");
}

#[tokio::test]
async fn slow_and_half_open_connections_are_let_go() {
    let scene = scene();
    let began = Instant::now();
    // Nothing at all, a head without end, and a head that grows.
    let silent = join_all((0..100).map(|_| scene.connect())).await;
    let mut half = scene.connect().await;
    send(&mut half, b"POST /mcp HTTP/1.1\r\nhost: localhost\r\n").await;
    let mut drip = scene.connect().await;
    send(&mut drip, b"POST /mcp HTTP/1.1\r\nhost: localhost\r\nx: ").await;
    let (mut reader, mut writer) = drip.into_split();
    let dripping = async {
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        let mut byte = [0];
        loop {
            tokio::select! {
                read = reader.read(&mut byte) => if !matches!(read, Ok(1..)) { return },
                _ = pace.tick() => if writer.write_all(b"y").await.is_err() { return },
            }
        }
    };
    scene.serves_others().await;
    tokio::time::timeout(LIMIT, dripping).await.expect("a slow head is cut off");
    assert!(began.elapsed() < Duration::from_secs(8), "after {:?}", began.elapsed());
    let text = answer(&mut half).await;
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    for mut connection in silent {
        let text = answer(&mut connection).await;
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    }
    scene.serves_others().await;
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing_behind() {
    let scene = scene();
    let client = Client::ready(&scene.gateway.url, json!({})).await;
    let session = client.session.clone().unwrap();
    let head = |length: usize| {
        format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\nmcp-session-id: {session}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    // Half a body, and then it is gone.
    let mut connection = scene.connect().await;
    send(&mut connection, format!("{}{{\"jsonrpc\"", head(1000)).as_bytes()).await;
    drop(connection);
    // A whole call, and gone before the answer. The call goes on: the client may come back for it.
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"sg_progress","arguments":{"steps":20,"delay_ms":10},"_meta":{"progressToken":1}}}"#;
    let mut connection = scene.connect().await;
    send(&mut connection, format!("{}{body}", head(body.len())).as_bytes()).await;
    let mut first = vec![0; 15];
    connection.read_exact(&mut first).await.unwrap();
    assert_eq!(first, b"HTTP/1.1 200 OK");
    drop(connection);
    eventually("the call ended", async || {
        let done = scene.gateway.metric("sessiongate_calls_total", "tool=\"sg_progress\"").await;
        (done == 1.0).then_some(())
    })
    .await;
    eventually("no stream is open", async || {
        (scene.gateway.metric("sessiongate_streams_open", "").await == 0.0).then_some(())
    })
    .await;
    scene.serves_others().await;
}

/// A gateway in front of a tool that says `count` times 10 kB of log at once.
fn talkative(settings: &str, count: usize) -> (Home, Scripted, Program) {
    let home = Home::new();
    let target = Scripted::named(&["talk", "idle"], move |tool, request| {
        if tool == "idle" {
            return crate::scripted::text(request, "idle");
        }
        let word = "x".repeat(10_000);
        let mut events = String::new();
        for number in 0..count {
            let params = json!({"level": "info", "data": {"number": number, "word": word}});
            let message = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params});
            events.push_str(&format!("data: {message}\n\n"));
        }
        events.push_str(&format!("data: {}\n\n", crate::scripted::result(request, r#"{"content":[]}"#)));
        Reply::Events(events)
    });
    let yaml = format!("naming: plain\n{settings}\ntargets:\n{}", http_target("t", &target.url, ""));
    let gateway = home.configured(&yaml);
    (home, target, gateway)
}

#[tokio::test]
async fn a_client_that_does_not_read_costs_little_and_reads_everything_later() {
    // Three times what the sockets' buffers hold.
    const COUNT: usize = 2000;
    let (_home, _target, gateway) = talkative("sessions: {events: {count: 100000, bytes: 200MB}}", COUNT);
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let before = gateway.memory();
    let (_, mut unread) = client.start("talk", json!({})).await;
    let mut other = Client::ready(&gateway.url, json!({})).await;
    eventually("the call is done, and others are served meanwhile", async || {
        assert!(other.call("idle", json!({})).await["result"]["content"].is_array());
        (gateway.metric("sessiongate_calls_total", "tool=\"talk\"").await == 1.0).then_some(())
    })
    .await;
    let grown = gateway.memory().saturating_sub(before);
    assert!(grown < GROWTH, "{grown} KiB more");
    let messages: Vec<Value> = unread.rest().await.into_iter().filter_map(|event| event.data).collect();
    assert_eq!(messages.len(), COUNT + 1);
    for (number, message) in messages[..COUNT].iter().enumerate() {
        assert_eq!(message["params"]["data"]["number"], number, "in order, no hole, no double");
    }
    assert!(messages[COUNT]["result"]["content"].is_array());
}

#[tokio::test]
async fn a_client_that_is_too_slow_for_the_log_gets_everything_or_is_told_when_it_comes_back() {
    let (_home, _target, gateway) = talkative("", 2000);
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let (_, mut unread) = client.start("talk", json!({})).await;
    eventually("the call is done", async || {
        (gateway.metric("sessiongate_calls_total", "tool=\"talk\"").await == 1.0).then_some(())
    })
    .await;
    // A last `retry` without an id says that the client should come back.
    let events: Vec<_> = unread.rest().await.into_iter().filter(|event| event.id.is_some()).collect();
    for (seq, event) in events.iter().enumerate() {
        let id = event.id.as_deref().unwrap();
        assert!(id.ends_with(&format!("-{seq}")), "event {seq} of {}: {id}", events.len());
    }
    let last = events.last().unwrap();
    // Where the system's buffers took everything, the client was not too slow after all.
    if last.data.as_ref().is_none_or(|data| data.get("result").is_none()) {
        let refused = client.get(last.id.as_deref()).await.unwrap();
        assert_eq!(refused.status(), 400, "after {} events", events.len());
        assert!(refused.text().await.unwrap().contains("evicted_event_id"));
    }
    assert!(client.call("idle", json!({})).await["result"]["content"].is_array(), "the session lives on");
}

#[tokio::test]
async fn strange_bodies_are_refused_quickly() {
    let scene = scene();
    let client = Client::ready(&scene.gateway.url, json!({})).await;
    let before = scene.gateway.memory();
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let call = |params: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
    let members = |count: usize| (0..count).map(|at| format!(r#""k{at}":{at}"#)).collect::<Vec<_>>().join(",");
    let mut bodies = vec![
        (call(&format!(r#"{{"name":"sg_echo","arguments":{{"a":{}}}}}"#, deep(2_000_000))), 400),
        (deep(2_500_000), 400),
        (r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}"#.to_owned(), 400),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#.to_owned(), 400),
        (call(r#"{"name":"sg_echo","name":"sg_big"}"#), 200),
        (call(&format!(r#"{{"name":"sg_echo","arguments":{{{}}}}}"#, members(50_000))), 200),
        (format!(r#"{{"jsonrpc":"2.0","id":{},"method":"ping"}}"#, "9".repeat(5_000_000)), 400),
        ("[".to_owned() + &r#"{"jsonrpc":"2.0","method":"x"},"#.repeat(150_000) + "0]", 400),
        ("\u{feff}{}".to_owned(), 400),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#.to_owned(), 400),
    ];
    bodies.extend([("null".to_owned(), 400), ("{}".to_owned(), 400), ("\"x\"".to_owned(), 400), ("7".to_owned(), 400)]);
    for (body, expected) in bodies {
        let start: String = body.chars().take(80).collect();
        let request = client.with_session(client.http.post(&client.url));
        let request =
            request.header("accept", "application/json, text/event-stream").header("content-type", "application/json");
        let response = request.body(body).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        assert_eq!(status, expected, "{start}: {}", &text[..text.len().min(300)]);
        assert!(status == 200 || text.len() < 2000, "{start}: a refusal of {} bytes", text.len());
    }
    scene.serves_others().await;
    let grown = scene.gateway.memory().saturating_sub(before);
    assert!(grown < GROWTH, "{grown} KiB more");
}

#[tokio::test]
async fn duplicate_names_never_choose_between_two_tools() {
    let scene = scene();
    let client = Client::ready(&scene.gateway.url, json!({})).await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"sg_echo","name":"sg_counter","arguments":{}}}"#;
    let request = client.with_session(client.http.post(&client.url));
    let request =
        request.header("accept", "application/json, text/event-stream").header("content-type", "application/json");
    let text = request.body(body).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("\"error\"") && text.contains("-32602"), "{text}");
}

#[tokio::test]
async fn names_that_are_books_are_repeated_neither_in_answers_nor_in_the_log() {
    let scene = scene();
    let mut client = Client::ready(&scene.gateway.url, json!({})).await;
    let book = "x".repeat(1 << 20);
    let bodies = [
        json!({"jsonrpc": "2.0", "id": 1, "method": book}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": book}}),
        json!({"jsonrpc": "2.0", "id": 3, "method": "resources/read", "params": {"uri": book}}),
        json!({"jsonrpc": "2.0", "id": 4, "method": "completion/complete", "params": {
            "ref": {"type": "ref/prompt", "name": book}, "argument": {"name": "a", "value": "b"}}}),
        json!({"jsonrpc": "2.0", "id": 5, "method": "completion/complete", "params": {"ref": book}}),
        json!({"jsonrpc": "2.0", "id": book, "method": "tools/call", "params": {"name": "sg_echo"}}),
        json!(book),
    ];
    for (at, body) in bodies.iter().enumerate() {
        let answer = client.post(body).send().await.unwrap().text().await.unwrap();
        // An id that is accepted is echoed, whatever it is.
        let id = if answer.contains("\"result\"") { body["id"].to_string().len() } else { 0 };
        assert!(answer.len() - id < 4096, "body {at}: {} bytes", answer.len());
    }
    client.call("sg_echo", json!({})).await;
    let longest = scene.gateway.log().lines().map(str::len).max().unwrap_or_default();
    assert!(longest < 16 * 1024, "a line of {longest} bytes in the log");
}
