//! `subscriptions/listen`: what a modern client hears, what it does not, and how it ends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Home, Program, eventually, http_target, reference_server, sessiongate};
use crate::modern_client::{ModernClient, ModernStream};
use crate::scripted::{Reply, Scripted, result};

const LISTEN: &str = "subscriptions/listen";
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
const TOOLS: &str = "notifications/tools/list_changed";
const UPDATED: &str = "notifications/resources/updated";
const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
const WATCHED: &str = "test://watched-resource";

struct Scene {
    home: Home,
    target: Program,
    gateway: Program,
    client: ModernClient,
    /// The target.
    modern: bool,
}

async fn scene(settings: &str, target: &[&str]) -> Scene {
    let modern = target.contains(&"modern");
    let (home, target) = (Home::new(), reference_server(target));
    let text = format!("naming: plain\n{settings}\ntargets:\n{}", http_target("ref", &target.url, ""));
    let gateway = home.configured(&text);
    let client = ModernClient::new(&gateway.url);
    Scene { home, target, gateway, client, modern }
}

impl Scene {
    /// An open stream and what of it is honoured.
    async fn listen(&self, id: Value, notifications: Value) -> (ModernStream, Value) {
        listen(&self.client, id, notifications).await
    }

    /// The target changes its list of tools, at the word of somebody else.
    async fn toggle(&mut self) {
        if self.modern {
            ModernClient::new(&self.target.url).call("sg_toggle_tool", json!({})).await.result();
        } else {
            let mut other = Client::ready(&self.target.url, json!({})).await;
            assert_eq!(other.call("sg_toggle_tool", json!({})).await["result"]["isError"], Value::Null);
        }
    }

    /// The target changes a resource, and somebody hears of it.
    async fn touch(&self, uri: &str) {
        let url = format!("{}/control/touch", self.target.base());
        eventually("somebody watches", async || {
            let answer = reqwest::Client::new().post(&url).body(uri.to_owned()).send().await.unwrap();
            let told: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
            (told["told"] != 0).then_some(())
        })
        .await;
    }

    async fn sessions(&self) -> f64 {
        self.gateway.metric("sessiongate_sessions", "").await
    }
}

async fn listen(client: &ModernClient, id: Value, notifications: Value) -> (ModernStream, Value) {
    let body = client.message_with(id.clone(), LISTEN, json!({"notifications": notifications}));
    let mut stream = client.send(&body).await;
    assert_eq!((stream.status, stream.is_stream()), (200, true));
    let first = stream.next().await.expect("an acknowledgement");
    assert_eq!(first["method"], ACKNOWLEDGED, "{first}");
    assert_eq!(tag(&first), &id);
    let honoured = first["params"]["notifications"].clone();
    (stream, honoured)
}

fn tag(note: &Value) -> &Value {
    &note["params"]["_meta"][SUBSCRIPTION_ID]
}

/// The rest of a stream that the gateway ends: methods, with the result last.
async fn ended(mut stream: ModernStream) -> Vec<String> {
    let mut methods = Vec::new();
    while let Some(said) = stream.next().await {
        match said["method"].as_str() {
            Some(method) => {
                assert_eq!(tag(&said), &stream.id);
                methods.push(method.to_owned());
            }
            None => {
                assert_eq!(said["id"], stream.id);
                assert_eq!(said["result"]["resultType"], "complete", "{said}");
                let meta = &said["result"]["_meta"];
                assert_eq!(meta[SUBSCRIPTION_ID], stream.id);
                assert_eq!(meta["io.modelcontextprotocol/serverInfo"]["name"], "sessiongate");
                methods.push("result".to_owned());
            }
        }
    }
    methods
}

/// What both eras of targets have in common.
async fn changes_are_told(target: &[&str]) {
    let mut scene = scene("", target).await;
    let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": [WATCHED, WATCHED]});
    let (mut a, honoured) = scene.listen(json!(7), wanted).await;
    assert_eq!(honoured, json!({"toolsListChanged": true, "resourceSubscriptions": [WATCHED]}));
    let (mut b, honoured) = scene.listen(json!("7"), json!({"toolsListChanged": true})).await;
    assert_eq!(honoured, json!({"toolsListChanged": true}));
    let (other, honoured) = scene.listen(json!("other"), json!({"promptsListChanged": true})).await;
    assert_eq!(honoured, json!({"promptsListChanged": true}));

    scene.toggle().await;
    assert_eq!(tag(&a.message(TOOLS).await), 7);
    assert_eq!(tag(&b.message(TOOLS).await), "7");
    scene.touch(WATCHED).await;
    let update = a.message(UPDATED).await;
    assert_eq!((tag(&update), &update["params"]["uri"]), (&json!(7), &json!(WATCHED)));

    scene.gateway.signal(Signal::SIGTERM);
    assert_eq!(ended(a).await.last().unwrap(), "result");
    let b = ended(b).await;
    assert!(!b.iter().any(|method| method == UPDATED) && b.last().unwrap() == "result", "{b:?}");
    assert_eq!(ended(other).await, ["result"], "nothing that was not asked for");
    assert!(scene.gateway.terminate().success());
    let again = scene.home.again();
    assert_eq!(again.metric("sessiongate_sessions", "").await, 0.0, "nothing of them is stored");
}

#[tokio::test]
async fn changes_of_a_legacy_target_are_told_to_those_who_asked() {
    changes_are_told(&[]).await;
}

#[tokio::test]
async fn changes_of_a_modern_target_are_told_to_those_who_asked() {
    changes_are_told(&["--era", "modern"]).await;
}

#[tokio::test]
async fn who_leaves_leaves_nothing_behind() {
    let scene = scene("", &[]).await;
    let before = scene.target.stats().await["sessions"].as_i64().unwrap();
    let (stream, _) = scene.listen(json!(1), json!({"resourceSubscriptions": [WATCHED]})).await;
    scene.touch(WATCHED).await;
    assert_eq!(scene.sessions().await, 1.0);
    let shown = sessiongate(&["sessions", "--data-dir", scene.home.data().to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("modern-test"), "{shown:?}");
    stream.close();
    eventually("the session is gone", async || (scene.sessions().await == 0.0).then_some(())).await;
    eventually("the target's is gone", async || {
        (scene.target.stats().await["sessions"].as_i64().unwrap() == before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_crash_leaves_nothing_behind() {
    let mut scene = scene("", &[]).await;
    let (_stream, _) = scene.listen(json!(1), json!({"toolsListChanged": true})).await;
    assert_eq!(scene.sessions().await, 1.0);
    scene.gateway.kill();
    scene.gateway = scene.home.again();
    assert_eq!(scene.sessions().await, 0.0);
    scene.client.reconnect();
    let (mut stream, _) = scene.listen(json!(1), json!({"toolsListChanged": true})).await;
    scene.toggle().await;
    stream.message(TOOLS).await;
}

#[tokio::test]
async fn without_sessions_and_with_live_lists_changes_are_told_too() {
    for settings in ["sessions: off", "listing: dynamic"] {
        let mut scene = scene(settings, &[]).await;
        let (mut stream, _) = scene.listen(json!(1), json!({"toolsListChanged": true})).await;
        // When the target knows the listener cannot be seen from here.
        let note = eventually("the change is told", async || {
            scene.toggle().await;
            tokio::time::timeout(Duration::from_millis(200), stream.message(TOOLS)).await.ok()
        })
        .await;
        assert_eq!(tag(&note), 1, "{settings}");
        scene.gateway.signal(Signal::SIGTERM);
        assert_eq!(ended(stream).await.last().unwrap(), "result");
    }
}

#[tokio::test]
async fn the_end_of_a_gateway_and_of_a_key_is_a_result() {
    let keys = "api_keys: [{name: ada, key: key-of-ada-0123456789}, {name: bob, key: key-of-bob-0123456789}]";
    let scene = scene(keys, &[]).await;
    let ada = ModernClient::with_key(&scene.gateway.url, "key-of-ada-0123456789");
    let bob = ModernClient::with_key(&scene.gateway.url, "key-of-bob-0123456789");
    let wanted = json!({"promptsListChanged": true});
    let (a, _) = listen(&ada, json!("a"), wanted.clone()).await;
    let (b, _) = listen(&bob, json!("b"), wanted).await;
    let target = http_target("ref", &scene.target.url, "");
    scene
        .home
        .write(&format!("naming: plain\napi_keys: [{{name: ada, key: key-of-ada-0123456789}}]\ntargets:\n{target}"));
    assert_eq!(ended(b).await, ["result"]);
    assert_eq!(scene.sessions().await, 1.0);
    let text = std::fs::read_to_string(scene.home.file()).unwrap();
    scene.home.write_text(&text.replace("name: test", "name: other"));
    assert_eq!(ended(a).await, ["result"]);
}

#[tokio::test]
async fn bounds_are_refused_clearly() {
    let scene = scene("", &[]).await;
    let wanted = json!({"toolsListChanged": true});
    let mut streams = Vec::new();
    for id in 0..64 {
        streams.push(scene.listen(json!(id), wanted.clone()).await.0);
    }
    let body = scene.client.message_with(json!("more"), LISTEN, json!({"notifications": wanted}));
    let answer = scene.client.send(&body).await.finish().await;
    assert_eq!((answer.status, &answer.json["id"]), (429, &json!("more")));
    assert!(answer.error()["message"].as_str().unwrap().contains("limit 64"), "{answer:?}");
    assert_eq!(answer.error()["data"]["reason"], "bound_reached");
    assert_eq!(scene.gateway.metric("sessiongate_bounds_reached_total", "bound=\"listens\"").await, 1.0);
    streams.pop();
    eventually("a place is free", async || (scene.client.send(&body).await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn filters_are_checked() {
    let mut scene = scene("", &[]).await;
    let many: Vec<String> = (0..257).map(|at| format!("test://{at}")).collect();
    for (params, expected) in [
        (json!({}), "missing"),
        (json!({"notifications": []}), "object"),
        (json!({"notifications": {"toolsListChanged": "yes"}}), "booleans"),
        (json!({"notifications": {"resourceSubscriptions": [1]}}), "strings"),
        (json!({"notifications": {"resourceSubscriptions": many}}), "256"),
    ] {
        let answer = scene.client.request(LISTEN, params).await;
        assert_eq!((answer.status, answer.streamed), (200, false), "{answer:?}");
        assert_eq!((&answer.headers["content-type"], answer.notes.len()), (&"application/json".parse().unwrap(), 0));
        assert_eq!(answer.error()["code"], -32602);
        assert!(answer.error()["message"].as_str().unwrap().contains(expected), "{answer:?}");
    }
    scene.client = ModernClient::new(&scene.gateway.url).anonymous().capabilities(json!({"roots": {}}));
    let unknown = json!({"taskIds": ["t"], "weather": true, "promptsListChanged": false});
    let (_stream, honoured) = scene.listen(json!(1), unknown).await;
    assert_eq!(honoured, json!({}));
    assert_eq!(scene.sessions().await, 1.0, "what is refused leaves nothing behind");
}

#[tokio::test]
async fn only_what_targets_have_is_honoured() {
    let target = Scripted::named(&["one"], |_, _| Reply::Status(500));
    let home = Home::new();
    let gateway = home.configured(&format!("targets:\n{}", http_target("ref", &target.url, "")));
    let wanted = json!({
        "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": ["test://nowhere"],
    });
    let (_stream, honoured) = listen(&ModernClient::new(&gateway.url), json!(1), wanted.clone()).await;
    assert_eq!(honoured, json!({"toolsListChanged": true}));

    let home = Home::new();
    let gateway = home.configured(&format!("streaming: false\ntargets:\n{}", http_target("ref", &target.url, "")));
    let answer = ModernClient::new(&gateway.url).request(LISTEN, json!({"notifications": wanted})).await;
    assert_eq!((answer.status, &answer.error()["code"]), (404, &json!(-32601)));
}

/// A target with resources that does with subscriptions what `subscribe` says.
fn watched(subscribe: impl Fn(&crate::scripted::Request) -> Reply + Send + Sync + 'static) -> Scripted {
    Scripted::raw(move |request| match (request.method.as_str(), request.body["method"].as_str()) {
        ("POST", Some("initialize")) => Reply::Json(result(
            request,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"resources":{"subscribe":true}},"serverInfo":{"name":"scripted","version":"1"}}"#,
        )),
        ("POST", Some("resources/list")) => Reply::Json(result(request, r#"{"resources":[{"uri":"x:1","name":"x"}]}"#)),
        ("POST", Some("resources/templates/list")) => Reply::Json(result(request, r#"{"resourceTemplates":[]}"#)),
        ("POST", Some("resources/subscribe")) => subscribe(request),
        ("POST", Some("server/discover")) => Reply::Status(404),
        ("POST", _) if request.body.get("id").is_none() => Reply::Status(202),
        ("POST", _) => Reply::Json(result(request, "{}")),
        _ => Reply::Status(405),
    })
}

#[tokio::test]
async fn the_acknowledgement_does_not_wait_for_a_target() {
    let target = watched(|_| Reply::Hang(Vec::new()));
    let home = Home::new();
    let gateway = home.configured(&format!("targets:\n{}", http_target("ref", &target.url, "")));
    let wanted = json!({"resourceSubscriptions": ["x:1"], "promptsListChanged": true});
    let (stream, honoured) = listen(&ModernClient::new(&gateway.url), json!(1), wanted).await;
    assert_eq!(honoured, json!({"resourceSubscriptions": ["x:1"]}));
    eventually("the target is asked", async || (target.hanging() > 0).then_some(())).await;
    stream.close();
    eventually("the session is gone", async || (gateway.metric("sessiongate_sessions", "").await == 0.0).then_some(()))
        .await;
}

#[tokio::test]
async fn what_is_watched_late_counts_as_changed() {
    let attempts = AtomicUsize::new(0);
    let target = watched(move |request| match attempts.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Json(format!(
            r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32603,"message":"not yet"}}}}"#,
            request.body["id"]
        )),
        _ => Reply::Json(result(request, "{}")),
    });
    let home = Home::new();
    let gateway = home.configured(&format!("targets:\n{}", http_target("ref", &target.url, "")));
    let wanted = json!({"resourceSubscriptions": ["x:1"]});
    let (mut stream, _) = listen(&ModernClient::new(&gateway.url), json!("l"), wanted).await;
    let update = stream.message(UPDATED).await;
    assert_eq!((tag(&update), &update["params"]["uri"]), (&json!("l"), &json!("x:1")));
    eventually("the log says so", async || gateway.log().contains("does not tell a listening client").then_some(()))
        .await;
}
