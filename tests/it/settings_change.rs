//! The settings of a gateway change while clients are there: what they are told, how they are answered, and what becomes of
//! what they have open.

use serde_json::{Value, json};

use crate::client::{Client, Event, Stream};
use crate::control_client::{Control, gateway};
use crate::either::{ERAS, Either};
use crate::harness::{Home, Program, http_target, reference_server};
use crate::modern_client::{ModernClient, ModernStream};

/// A gateway of the control plane in front of a reference server `t`.
struct Scene {
    control: Control,
    _program: Program,
    target: Program,
    id: String,
    url: String,
}

/// What is on.
#[derive(Clone, Copy)]
struct On {
    sessions: bool,
    streaming: bool,
}

const BOTH: On = On { sessions: true, streaming: true };
const JSON_ONLY: On = On { sessions: true, streaming: false };
const SESSIONLESS: On = On { sessions: false, streaming: true };

fn members(on: On, more: Value) -> Value {
    let mut mcp = json!({});
    if on.sessions {
        mcp["sessionConfiguration"] = json!({"sessionTimeoutInSeconds": 900});
    }
    if on.streaming {
        mcp["streamingConfiguration"] = json!({"enableResponseStreaming": true});
    }
    let mut members = gateway("shop", json!({"protocolConfiguration": {"mcp": mcp}}));
    members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    members.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    members
}

impl Scene {
    async fn new(on: On) -> Self {
        let (control, target) = (Control::new("", ""), reference_server(&[]));
        let program = control.start();
        let created = control.ok("POST", "/gateways/", Some(&members(on, json!({})))).await;
        let text = |name: &str| created[name].as_str().unwrap().to_owned();
        let scene = Self { control, _program: program, target, id: text("gatewayId"), url: text("gatewayUrl") };
        scene.control.settled(&scene.path(), "READY").await;
        scene.control.target(&scene.id, "t", &scene.target.url).await;
        scene
    }

    fn path(&self) -> String {
        format!("/gateways/{}/", self.id)
    }

    /// Replaces the gateway's members, and waits until they are served.
    async fn update(&self, on: On, more: Value) {
        self.control.ok("PUT", &self.path(), Some(&members(on, more))).await;
        self.control.settled(&self.path(), "READY").await;
    }
}

/// Events until the end, which is a hint to come back.
async fn cut(mut stream: Stream) -> Vec<Event> {
    let events = stream.rest().await;
    let last = events.last().expect("a hint");
    assert!(last.retry.is_some() && last.data.is_none(), "{last:?}");
    events
}

/// A stream of a modern client that listens for changes.
async fn listening(client: &mut ModernClient) -> ModernStream {
    let mut stream = client.open("subscriptions/listen", json!({"notifications": {"promptsListChanged": true}})).await;
    assert_eq!((stream.status, stream.is_stream()), (200, true));
    assert_eq!(stream.next().await.unwrap()["method"], "notifications/subscriptions/acknowledged");
    stream
}

async fn ended(stream: ModernStream) {
    let answer = stream.finish().await;
    assert_eq!(answer.result()["resultType"], "complete", "{answer:?}");
}

#[tokio::test]
async fn clients_that_are_there_are_told_of_failures_as_the_gateway_says_now() {
    let mut scene = Scene::new(BOTH).await;
    let mut clients = Vec::new();
    for era in ERAS {
        let mut client = Either::new(era, &scene.url).await;
        assert_eq!(client.call("t___sg_counter", json!({})).await["result"]["isError"], Value::Null);
        clients.push(client);
    }
    scene.target.kill();
    for level in ["DEBUG", "", "DEBUG", ""] {
        let said = if level.is_empty() { Value::Null } else { json!(level) };
        scene.update(BOTH, json!({"exceptionLevel": said})).await;
        for client in &mut clients {
            let answer = client.call("t___sg_echo", json!({})).await;
            assert_eq!(answer["result"]["isError"], true, "{level}: {answer}");
            let debug = &answer["result"]["_meta"]["debug"];
            assert_eq!(debug.is_object(), !level.is_empty(), "{level}: {answer}");
            assert_eq!(answer.to_string().contains("target `t`"), !level.is_empty(), "{level}: {answer}");
        }
    }
}

#[tokio::test]
async fn clients_that_are_there_are_streamed_to_as_the_gateway_says_now() {
    let scene = Scene::new(JSON_ONLY).await;
    let (mut legacy, mut modern) = (Client::ready(&scene.url, json!({})).await, ModernClient::new(&scene.url));
    for (at, on) in [JSON_ONLY, BOTH, JSON_ONLY, BOTH].into_iter().enumerate() {
        scene.update(on, json!({})).await;
        let (id, mut stream) = legacy.start("t___sg_progress", json!({"steps": 2, "delay_ms": 1})).await;
        let events = stream.rest().await;
        let steps: Vec<i64> = events.iter().filter_map(Event::progress).collect();
        assert_eq!(steps, if on.streaming { vec![1, 2] } else { vec![] }, "{at}: {events:?}");
        assert_eq!(events.last().unwrap().data.as_ref().unwrap()["id"], id, "{at}");
        let params =
            json!({"name": "t___sg_progress", "arguments": {"steps": 2, "delay_ms": 1}, "_meta": {"progressToken": 7}});
        let answer = modern.request("tools/call", params).await;
        assert_eq!((answer.streamed, answer.notes.len()), (on.streaming, if on.streaming { 2 } else { 0 }), "{at}");
        assert!(answer.json.get("result").is_some(), "{at}: {answer:?}");
        let standing = legacy.get(None).await.unwrap().status();
        assert_eq!(standing, if on.streaming { 200 } else { 405 }, "{at}");
    }
    assert_eq!(legacy.count("t___sg_counter").await, 1);
}

#[tokio::test]
async fn what_is_open_when_streaming_is_switched_off_comes_to_its_end() {
    let scene = Scene::new(BOTH).await;
    let (mut client, mut modern) = (Client::ready(&scene.url, json!({})).await, ModernClient::new(&scene.url));
    let slow = json!({"steps": 120, "delay_ms": 20});
    let (stays, mut call) = client.start("t___sg_progress", slow.clone()).await;
    let (breaks, mut broken) = client.start("t___sg_progress", slow.clone()).await;
    let place = broken.next().await.unwrap().unwrap().id;
    drop(broken);
    let mut standing = client.listen(None).await;
    let first = standing.next().await.unwrap().unwrap();
    let listens = listening(&mut modern).await;
    scene.update(JSON_ONLY, json!({})).await;
    assert!(cut(standing).await.iter().all(|event| event.data.is_none()));
    ended(listens).await;
    for last in [None, first.id.as_deref()] {
        assert_eq!(client.get(last).await.unwrap().status(), 405, "{last:?}");
    }
    // Calls began as streams, and end as streams: also those that are read on.
    assert_eq!(call.response().await["id"], stays);
    let rest = client.listen(place.as_deref()).await.response().await;
    assert_eq!((&rest["id"], rest.get("error")), (&breaks, None), "{rest}");
    let (_, mut next) = client.start("t___sg_progress", json!({"steps": 2, "delay_ms": 1})).await;
    assert_eq!(next.rest().await.len(), 1, "JSON");
    let refused = modern.request("subscriptions/listen", json!({"notifications": {}})).await;
    assert_eq!(refused.status, 404, "{refused:?}");
}

#[tokio::test]
async fn what_is_open_when_sessions_are_switched_comes_to_its_end() {
    let scene = Scene::new(BOTH).await;
    let (mut client, mut modern) = (Client::ready(&scene.url, json!({})).await, ModernClient::new(&scene.url));
    let slow = json!({"steps": 400, "delay_ms": 20});
    let (id, mut call) = client.start("t___sg_progress", slow).await;
    call.message("notifications/progress").await;
    let mut standing = client.listen(None).await;
    let listens = listening(&mut modern).await;
    scene.update(SESSIONLESS, json!({})).await;
    let failed = call.response().await;
    assert_eq!(failed["id"], id);
    assert!(failed["result"]["content"][0]["text"].as_str().unwrap().contains("session ended"), "{failed}");
    assert!(standing.rest().await.iter().all(|event| event.data.is_none()));
    ended(listens).await;
    assert_eq!(client.get(None).await.unwrap().status(), 405);

    // The other way round nothing is cut: those calls belong to no session.
    let slow = json!({"steps": 100, "delay_ms": 20});
    let (id, mut call) = client.start("t___sg_progress", slow).await;
    call.message("notifications/progress").await;
    let listens = listening(&mut modern).await;
    scene.update(BOTH, json!({})).await;
    ended(listens).await;
    let response = call.response().await;
    assert_eq!((&response["id"], response.get("error")), (&id, None), "{response}");
    let ping = client.request("ping", json!({}));
    assert_eq!(client.send(&ping).await.0, 404, "a session of before");
    client.initialize(json!({})).await.unwrap();
    assert_eq!(client.count("t___sg_counter").await, 1);
}

fn versions(named: &str, target: &Program) -> String {
    format!("supported_versions: [{named}]\nnaming: plain\ntargets:\n{}", http_target("ref", &target.url, ""))
}

async fn of_revision(url: &str, revision: &'static str) -> Client {
    let mut client = Client::new(url);
    client.revision = revision;
    client.initialize(json!({})).await.unwrap();
    client
}

/// All that a client may ask of a session, and the status that all of it is answered with.
async fn refused(client: &mut Client, status: u16) {
    let ping = client.request("ping", json!({}));
    assert_eq!(client.send(&ping).await.0, status);
    let bare = client.http.post(&client.url).header("mcp-session-id", client.session.as_ref().unwrap());
    let bare = bare.header("accept", "application/json, text/event-stream").header("content-type", "application/json");
    assert_eq!(bare.body(ping.to_string()).send().await.unwrap().status(), status, "without a word about the revision");
    assert_eq!(client.get(None).await.unwrap().status(), status);
    let end = client.with_session(client.http.delete(&client.url));
    assert_eq!(end.send().await.unwrap().status(), status);
}

#[tokio::test]
async fn sessions_of_a_revision_that_is_served_no_more_are_not_found() {
    let (home, target) = (Home::new(), reference_server(&[]));
    let mut program = home.configured(&versions("2025-11-25, 2025-06-18, 2026-07-28", &target));
    let url = program.url.clone();
    let mut old = of_revision(&url, "2025-11-25").await;
    let mut stays = of_revision(&url, "2025-06-18").await;
    let (id, mut call) = old.start("sg_progress", json!({"steps": 400, "delay_ms": 20})).await;
    call.message("notifications/progress").await;
    let mut standing = old.listen(None).await;
    let listens = listening(&mut ModernClient::new(&url)).await;
    assert_eq!(stays.count("sg_counter").await, 1);

    home.write(&versions("2025-06-18, 2024-11-05", &target));
    let failed = call.response().await;
    assert_eq!((&failed["id"], &failed["result"]["isError"]), (&id, &json!(true)), "{failed}");
    standing.rest().await;
    ended(listens).await;
    refused(&mut old, 404).await;
    // What a client does then: it says the revision that it is given.
    old.revision = "2025-06-18";
    assert_eq!(old.initialize(json!({})).await.unwrap()["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(stays.count("sg_counter").await, 2, "others do not notice");

    // A stored session is not found either.
    assert!(program.terminate().success());
    home.write(&versions("2025-11-25, 2024-11-05", &target));
    let program = home.again();
    stays.reconnect();
    refused(&mut stays, 404).await;
    assert_eq!(program.metric("sessiongate_sessions", "").await, 1.0, "it is ended, the other one was not asked for");
    stays.revision = "2025-11-25";
    stays.initialize(json!({})).await.unwrap();
    // A header that names another revision than the session has is no reason to begin again.
    stays.revision = "2025-06-18";
    let ping = stays.request("ping", json!({}));
    assert_eq!(stays.send(&ping).await.0, 400);
}
