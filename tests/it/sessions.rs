//! Sessions: whose they are, how they end, what they survive, how much one may hold.

use serde_json::{Value, json};

use crate::client::{Client, Stream};
use crate::harness::{Home, Program, eventually, http_target, reference_server, sessiongate};

/// A gateway with plain names in front of one reference server.
async fn one(settings: &str) -> (Home, Program, Program) {
    let (home, target) = (Home::new(), reference_server(&[]));
    let gateway = home.configured(&configuration(settings, &target));
    (home, target, gateway)
}

fn configuration(settings: &str, target: &Program) -> String {
    format!("naming: plain\n{settings}\ntargets:\n{}", http_target("ref", &target.url, ""))
}

async fn status_of(request: reqwest::RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

async fn sessions_of(target: &Program) -> i64 {
    target.stats().await["sessions"].as_i64().unwrap()
}

#[tokio::test]
async fn a_session_belongs_to_the_key_that_began_it() {
    let keys = "api_keys: [{name: ada, key: key-of-ada-0123456789}, {name: bob, key: key-of-bob-0123456789}]";
    let (_home, _target, gateway) = one(keys).await;
    let mut ada = Client::with_key(&gateway.url, "key-of-ada-0123456789");
    ada.initialize(json!({})).await.unwrap();
    assert_eq!(ada.count("sg_counter").await, 1);

    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    for (key, status) in [(None, 401), (Some("wrong"), 401), (Some("key-of-bob-0123456789"), 404)] {
        let mut other = key.map_or_else(|| Client::new(&gateway.url), |key| Client::with_key(&gateway.url, key));
        other.session.clone_from(&ada.session);
        assert_eq!(status_of(other.post(&ping)).await, status, "POST with {key:?}");
        assert_eq!(other.get(None).await.unwrap().status(), status, "GET with {key:?}");
        let delete = other.with_session(other.http.delete(&other.url));
        assert_eq!(status_of(delete).await, status, "DELETE with {key:?}");
        if status == 401 {
            let refused = other.post(&ping).send().await.unwrap();
            assert!(refused.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        }
    }
    assert_eq!(ada.count("sg_counter").await, 2, "it goes on for its owner");
}

#[tokio::test]
async fn delete_ends_the_downstream_session() {
    let (_home, target, gateway) = one("").await;
    let before = sessions_of(&target).await;
    let (mut a, mut b) = (Client::ready(&gateway.url, json!({})).await, Client::ready(&gateway.url, json!({})).await);
    assert_eq!(sessions_of(&target).await, before, "opened on first use");
    assert_eq!((a.count("sg_counter").await, b.count("sg_counter").await), (1, 1));
    assert_eq!(a.count("sg_counter").await, 2, "reused");
    assert_eq!(sessions_of(&target).await, before + 2);
    a.end().await;
    eventually("one is gone", async || (sessions_of(&target).await == before + 1).then_some(())).await;
    assert_eq!(b.count("sg_counter").await, 2);
}

#[tokio::test]
async fn calls_at_once_open_one_downstream_session() {
    let (_home, target, gateway) = one("").await;
    let before = sessions_of(&target).await;
    let client = Client::ready(&gateway.url, json!({})).await;
    let calls = (1..=8).map(|id| {
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "sg_counter"}});
        client.post(&body).send()
    });
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert_eq!(sessions_of(&target).await, before + 1);
}

#[tokio::test]
async fn an_idle_session_ends_with_its_downstream_session() {
    let (_home, target, gateway) = one("sessions: {idle_timeout: 1s}").await;
    let before = sessions_of(&target).await;
    let mut client = Client::ready(&gateway.url, json!({})).await;
    client.count("sg_counter").await;
    eventually("no session", async || (gateway.metric("sessiongate_sessions", "").await == 0.0).then_some(())).await;
    let ping = client.request("ping", json!({}));
    assert_eq!(status_of(client.post(&ping)).await, 404);
    eventually("the target's is gone", async || (sessions_of(&target).await == before).then_some(())).await;
}

#[tokio::test]
async fn an_open_stream_keeps_a_session_alive() {
    let (_home, target, gateway) = one("sessions: {idle_timeout: 1s}").await;
    let mut other = Client::ready(&gateway.url, json!({})).await;
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let _stream = client.listen(None).await;
    other.count("sg_counter").await;
    // The other is idle and ends; by then this one would have ended too.
    eventually("one session", async || (gateway.metric("sessiongate_sessions", "").await == 1.0).then_some(())).await;
    assert_eq!(client.count("sg_counter").await, 1);
    drop(target);
}

#[tokio::test]
async fn a_forgotten_downstream_session_is_opened_again_unseen() {
    let (_home, target, gateway) = one("").await;
    let mut client = Client::ready(&gateway.url, json!({})).await;
    assert_eq!((client.count("sg_counter").await, client.count("sg_counter").await), (1, 2));
    let forget = reqwest::Client::new().post(format!("{}/control/forget-sessions", target.base()));
    assert_eq!(status_of(forget).await, 200);
    assert_eq!(client.count("sg_counter").await, 1, "on a new session");
    assert_eq!(client.count("sg_counter").await, 2);
}

#[tokio::test]
async fn bounds_are_refused_clearly_and_counted() {
    let limits = "sessions: {max_per_principal: 2, calls_in_flight: 1, open_streams: 1, pending_questions: 1}";
    let (_home, target, gateway) = one(limits).await;
    let form = json!({"elicitation": {}});
    let mut client = Client::ready(&gateway.url, form.clone()).await;
    let mut second = Client::ready(&gateway.url, form.clone()).await;

    let third = Client::new(&gateway.url);
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let (status, body) =
        third.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})).await;
    assert_eq!((status, &body["error"]["data"]["reason"]), (429, &json!("bound_reached")));
    assert!(body["error"]["message"].as_str().unwrap().contains("limit 2"), "{body}");

    let (wait, mut stream) = client.start("sg_progress", json!({"steps": 10_000, "delay_ms": 5})).await;
    stream.message("notifications/progress").await;
    let echo = client.request("tools/call", json!({"name": "sg_echo"}));
    let (status, body) = client.send(&echo).await;
    assert_eq!((status, &body["id"]), (429, &echo["id"]), "{body}");
    assert!(body["error"]["message"].as_str().unwrap().contains("calls in flight"), "{body}");
    let listening = client.get(None).await.unwrap();
    assert_eq!(listening.status(), 429, "the call's stream is the one that may be open");
    assert_eq!(client.ask("ping", json!({})).await["result"], json!({}), "a ping always passes");
    client.notify("notifications/cancelled", json!({"requestId": wait})).await;
    eventually("cancelled", async || (target.stats().await["cancelled"] == 1).then_some(())).await;
    drop(stream);

    let (_, mut two) = second.start("sg_elicit_two", json!({})).await;
    let question = two.message("elicitation/create").await;
    let field = question["params"]["requestedSchema"]["required"][0].as_str().unwrap().to_owned();
    assert_eq!(second.answer(&question, json!({"action": "accept", "content": {field: "x"}})).await, 202);
    let answer = two.response().await;
    let said = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(said.contains("too many questions wait for the client (limit 1)"), "{said}");

    for bound in ["sessions of this principal", "calls_in_flight", "open_streams", "pending_questions"] {
        let counted = gateway.metric("sessiongate_bounds_reached_total", &format!("bound=\"{bound}\"")).await;
        assert!(counted >= 1.0, "{bound}");
    }
    second.end().await;
    let mut third = third;
    third.initialize(json!({})).await.unwrap();
}

#[tokio::test]
async fn without_sessions_each_request_stands_alone() {
    let (_home, target, gateway) = one("sessions: \"off\"").await;
    let before = sessions_of(&target).await;
    let client = Client::new(&gateway.url);
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    let response = client.post(&initialize).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers().get("mcp-session-id").is_none());
    for id in 2..5 {
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "sg_counter"}});
        let (status, body) = client.send(&call).await;
        assert_eq!((status, &body["result"]["structuredContent"]["count"]), (200, &json!(1)), "{body}");
    }
    assert_eq!(client.get(None).await.unwrap().status(), 405);
    assert_eq!(status_of(client.http.delete(&client.url)).await, 405);
    eventually("nothing stays open", async || (sessions_of(&target).await == before).then_some(())).await;
}

#[tokio::test]
async fn batches_are_for_the_revision_that_has_them() {
    let (_home, _target, gateway) = one("").await;
    let mut client = Client::new(&gateway.url);
    client.revision = "2025-03-26";
    client.initialize(json!({})).await.unwrap();
    let call = |id: i64, n: i64| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "sg_echo", "arguments": {"n": n}}});
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let (status, answers) = client.send(&json!([call(1, 10), note, call(2, 20)])).await;
    assert_eq!(status, 200);
    let mut seen: Vec<(i64, i64)> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| (answer["id"].as_i64().unwrap(), answer["result"]["structuredContent"]["n"].as_i64().unwrap()))
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [(1, 10), (2, 20)]);
    assert_eq!(client.send(&json!([note])).await.0, 202);
    assert_eq!(client.send(&json!([])).await.0, 400);
    let too_many: Vec<Value> = (0..101).map(|id| call(id, id)).collect();
    assert_eq!(client.send(&json!(too_many)).await.0, 400);
}

#[tokio::test]
async fn a_restart_keeps_the_session_and_its_downstream_session() {
    let (home, target, mut gateway) = one("").await;
    let mut client = Client::ready(&gateway.url, json!({})).await;
    assert_eq!((client.count("sg_counter").await, client.count("sg_counter").await), (1, 2));
    assert_eq!(gateway.terminate().code(), Some(0));
    gateway = home.again();
    client.reconnect();
    assert_eq!(client.count("sg_counter").await, 3);
    gateway.kill();
    let gateway = home.again();
    client.reconnect();
    assert_eq!(client.count("sg_counter").await, 4);
    client.end().await;
    let ping = client.request("ping", json!({}));
    assert_eq!(status_of(client.post(&ping)).await, 404);
    drop((gateway, target));
}

#[tokio::test]
async fn sigterm_ends_streams_with_retry_and_calls_go_on_after_it() {
    let (home, _target, mut gateway) = one("").await;
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let mut standing = client.listen(None).await;
    let first = standing.next().await.unwrap().unwrap();
    let (id, mut stream) = client.start("sg_progress", json!({"steps": 60, "delay_ms": 25})).await;
    let (mut seen, mut last) = (Vec::new(), None);
    take(&mut stream, 10, &mut seen, &mut last).await;
    let ended = tokio::task::spawn_blocking(move || gateway.terminate());
    let tail = stream.rest().await;
    assert!(tail.last().unwrap().retry.is_some(), "{tail:?}");
    for event in tail {
        keep(event, &mut seen, &mut last);
    }
    let tail = standing.rest().await;
    assert!(tail.last().unwrap().retry.is_some(), "{tail:?}");
    assert_eq!(ended.await.unwrap().code(), Some(0));

    let _gateway = home.again();
    client.reconnect();
    let mut stream = client.listen(last.as_deref()).await;
    let answer = loop {
        let event = stream.next().await.unwrap().expect("the response");
        if let Some(data) = event.data.as_ref().filter(|data| data["id"] == id) {
            break data.clone();
        }
        keep(event, &mut seen, &mut last);
    };
    assert_eq!(seen, (1..=60).collect::<Vec<_>>(), "no hole and no double");
    assert_eq!(answer["result"]["structuredContent"]["steps"], 60, "{answer}");
    client.listen(first.id.as_deref()).await;
}

async fn take(stream: &mut Stream, count: usize, seen: &mut Vec<i64>, last: &mut Option<String>) {
    while seen.len() < count {
        let event = stream.next().await.unwrap().unwrap_or_else(|| panic!("only {seen:?}"));
        keep(event, seen, last);
    }
}

fn keep(event: crate::client::Event, seen: &mut Vec<i64>, last: &mut Option<String>) {
    seen.extend(event.progress());
    if event.id.is_some() {
        *last = event.id;
    }
}

#[tokio::test]
async fn clients_that_hang_up_during_initialize_leave_no_count_behind() {
    use tokio::io::AsyncWriteExt;
    let target = reference_server(&[]);
    let home = Home::new();
    let gateway = home.gateway(&target.url, None).unwrap();
    let address = gateway.base().strip_prefix("http://").unwrap().to_owned();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    let head = "accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n";
    let request =
        format!("POST /mcp HTTP/1.1\r\nhost: {address}\r\n{head}content-length: {}\r\n\r\n{body}", body.len());
    for _ in 0..200 {
        let mut connection = tokio::net::TcpStream::connect(&address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        connection.set_zero_linger().unwrap();
    }
    eventually("what was begun is finished or undone, and the counts agree", async || {
        let counted = gateway.metric("sessiongate_sessions", "").await;
        let made = gateway.metric("sessiongate_sessions_created_total", "").await;
        let ended = gateway.metric("sessiongate_sessions_ended_total", "").await;
        (made > 0.0 && counted == made - ended).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_taken_away_takes_stored_sessions_with_it() {
    let ada = "{name: ada, key: key-of-ada-0123456789}";
    let bob = "{name: bob, key: key-of-bob-0123456789}";
    let keys = |keys: &[&str]| format!("api_keys: [{}]", keys.join(", "));
    let (home, target, mut gateway) = one(&keys(&[ada, bob])).await;
    for key in ["key-of-ada-0123456789", "key-of-bob-0123456789"] {
        for _ in 0..3 {
            Client::with_key(&gateway.url, key).initialize(json!({})).await.unwrap();
        }
    }
    // A new process has none of them in memory.
    assert_eq!(gateway.terminate().code(), Some(0));
    gateway = home.again();
    let counts = async |gateway: &Program| {
        let live = gateway.metric("sessiongate_sessions_live", "").await;
        (gateway.metric("sessiongate_sessions", "").await, live)
    };
    assert_eq!(counts(&gateway).await, (6.0, 0.0));
    home.write(&configuration(&keys(&[ada]), &target));
    eventually("those of bob are gone", async || (counts(&gateway).await.0 == 3.0).then_some(())).await;
    eventually("it is told", async || {
        gateway.log().contains("sessions of keys that were taken away are ended").then_some(())
    })
    .await;
    assert_eq!(gateway.metric("sessiongate_sessions_resumed_total", "").await, 0.0, "none came into memory");

    // Taken away while no gateway runs.
    assert_eq!(gateway.terminate().code(), Some(0));
    home.write(&configuration(&keys(&[bob]), &target));
    let gateway = home.again();
    eventually("those of ada are gone", async || (counts(&gateway).await.0 == 0.0).then_some(())).await;
}

/// What a command prints as JSON.
fn printed(arguments: &[&str], data: &std::path::Path) -> Value {
    let output = sessiongate(&[arguments, &["--data-dir", data.to_str().unwrap()]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap_or_default()
}

#[tokio::test]
async fn a_data_folder_with_a_long_path_has_its_control_socket_too() {
    let (home, target) = (Home::new(), reference_server(&[]));
    home.write(&configuration("", &target));
    let long = home.path().join("a-long-name".repeat(20)).join("data");
    let text = std::fs::read_to_string(home.file()).unwrap();
    home.write_text(&text.replace(home.data().to_str().unwrap(), long.to_str().unwrap()));
    for _ in 0..2 {
        let mut gateway = home.again();
        let _client = Client::ready(&gateway.url, json!({})).await;
        let lines = printed(&["sessions", "list", "--output", "json"], &long);
        assert_eq!(lines.as_array().unwrap().iter().filter(|line| line["live"] == true).count(), 1, "{lines}");
        let lines = printed(&["sync", "--output", "json"], &long);
        assert_eq!((&lines[0]["target"], &lines[0]["ok"]), (&json!("ref"), &json!(true)), "{lines}");
        // The socket of a dead process is in nobody's way.
        gateway.kill();
    }
}

#[tokio::test]
async fn a_gateway_serves_its_clients_also_without_a_control_socket() {
    let (home, target) = (Home::new(), reference_server(&[]));
    std::fs::create_dir_all(home.data().join("control.sock").join("in-the-way")).unwrap();
    let gateway = home.configured(&configuration("", &target));
    assert_eq!(Client::ready(&gateway.url, json!({})).await.count("sg_counter").await, 1);
    eventually("the log says so", async || gateway.log().contains("no control socket").then_some(())).await;
}

#[tokio::test]
async fn the_beginning_of_a_key_is_judged_on_all_sessions() {
    use sessiongate_storage::sled::{SledOptions, SledStore};
    use sessiongate_storage::{Acquired, Batch, NodeId, Op, SessionKey, SessionStore};
    const MANY: u64 = 10_050;
    let (home, target, mut gateway) = one("! limits: {sessions: 20000}").await;
    Client::ready(&gateway.url, json!({})).await;
    assert_eq!(gateway.terminate().code(), Some(0));
    let store = SledStore::open(&SledOptions::new(home.data().join("store"))).unwrap();
    let first = store.list(None, 1).await.unwrap().remove(0);
    // Copies whose keys begin with zeros, and two with a common beginning behind all others.
    let mut keys: Vec<SessionKey> = (0..MANY).map(|at| SessionKey(u128::from(at).to_be_bytes())).collect();
    keys.extend([SessionKey([0xff; 16]), SessionKey((u128::MAX - 1).to_be_bytes())]);
    let writes = keys.iter().map(async |key| {
        let lease = store.acquire(*key, &NodeId("local".into()), std::time::Duration::from_secs(1)).await.unwrap();
        let Acquired::Granted(lease) = lease else { panic!("held") };
        let op = Op::PutRecord { value: first.record.clone(), expires: first.expires };
        store.commit(&lease, Batch { ops: vec![op] }).await.unwrap();
        store.release(lease).await.unwrap();
    });
    let writes = futures_util::stream::iter(writes);
    futures_util::StreamExt::for_each_concurrent(writes, 64, |write| write).await;
    store.close().await.unwrap();
    drop(store);

    let data = home.data();
    let list = || printed(&["sessions", "list", "--output", "json"], &data).as_array().unwrap().len();
    let end = |key: &str| {
        let output = sessiongate(&["sessions", "end", key, "--data-dir", data.to_str().unwrap()]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let all = keys.len() + 1;
    assert_eq!(list(), all);
    gateway = home.again();
    assert_eq!(list(), all, "the running gateway says the same");
    let (code, said) = end(&"f".repeat(31));
    assert!(code == Some(1) && said.contains("several"), "{said}");
    assert_eq!(end(&"f".repeat(32)).0, Some(0));
    assert_eq!(end(&"f".repeat(31)).0, Some(0), "the other one is alone now");
    let (code, said) = end(&"f".repeat(30));
    assert!(code == Some(1) && said.contains("no session"), "{said}");
    assert_eq!(gateway.metric("sessiongate_sessions", "").await, (all - 2) as f64);
    drop((gateway, target));
}
