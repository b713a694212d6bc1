//! Who may call a gateway changes while streams are open: they end in order, and whoever comes back is checked.

use serde_json::{Value, json};

use crate::client::{Client, Event, Stream};
use crate::control_client::Control;
use crate::harness::{Home, Program, eventually, http_target, reference_server};
use crate::issuer::Issuer;
use crate::modern_client::{ModernClient, ModernStream};

const ADA: &str = "key-of-ada-0123456789";
const BOB: &str = "key-of-bob-0123456789";
const NEW: &str = "another-key-0123456789";
const CHANGED: &str = "notifications/tools/list_changed";

/// About three seconds, of which nothing hangs.
fn slow() -> Value {
    json!({"steps": 150, "delay_ms": 20})
}

/// What one client has open.
struct Open {
    client: Client,
    standing: Stream,
    /// It goes on until its question is answered.
    call: Stream,
    asked: Asked,
    /// The last event of the call that was read.
    last: String,
    listens: ModernStream,
}

/// A call that asks, and what it asks.
struct Asked {
    id: Value,
    question: Value,
}

impl Open {
    async fn new(url: &str, key: Option<&str>, prefix: &str) -> Self {
        let (mut client, mut modern) = match key {
            Some(key) => (Client::with_key(url, key), ModernClient::with_key(url, key)),
            None => (Client::new(url), ModernClient::new(url)),
        };
        client.initialize(json!({"elicitation": {}})).await.unwrap();
        let standing = client.listen(None).await;
        let (id, mut call) = client.start(&format!("{prefix}sg_elicit_form"), json!({})).await;
        let (question, last) = loop {
            let event = call.next().await.unwrap().expect("a question before the end");
            if let Some(question) = event.data.filter(|data| data["method"] == "elicitation/create") {
                break (question, event.id.unwrap());
            }
        };
        let asked = Asked { id, question };
        let mut listens =
            modern.open("subscriptions/listen", json!({"notifications": {"promptsListChanged": true}})).await;
        assert_eq!(listens.next().await.unwrap()["method"], "notifications/subscriptions/acknowledged");
        Self { client, standing, call, asked, last, listens }
    }

    /// All of it ends with a hint to come back; gives what the call's stream said last.
    async fn cut(self) -> (Client, Asked, String) {
        let events = cut(self.call).await;
        assert!(events.iter().all(|event| event.data.as_ref().is_none_or(|data| data.get("id").is_none())));
        cut(self.standing).await;
        let answer = self.listens.finish().await;
        assert_eq!(answer.result()["resultType"], "complete", "{answer:?}");
        let last = events.iter().rev().find_map(|event| event.id.clone());
        (self.client, self.asked, last.unwrap_or(self.last))
    }

    /// All of it goes on: the call comes to its end, and what `change` does to the tools is told.
    async fn goes_on(mut self, change: impl AsyncFnOnce(&mut Client)) {
        self.asked.answer(&self.client, &mut self.call).await;
        change(&mut self.client).await;
        self.standing.message(CHANGED).await;
    }
}

impl Asked {
    /// Answers the question, and reads the call's end on `stream`.
    async fn answer(&self, client: &Client, stream: &mut Stream) {
        assert_eq!(client.answer(&self.question, json!({"action": "decline"})).await, 202);
        let response = stream.response().await;
        assert_eq!((&response["id"], response.get("error")), (&self.id, None), "{response}");
        assert_eq!(response["result"]["structuredContent"]["action"], "decline", "{response}");
    }
}

/// Events until the end, which is a hint to come back.
async fn cut(mut stream: Stream) -> Vec<Event> {
    let events = stream.rest().await;
    let last = events.last().expect("a hint");
    assert!(last.retry.is_some() && last.data.is_none(), "{last:?}");
    events
}

/// Reads the call's stream on, to its end.
async fn read_on(client: &Client, asked: &Asked, last: &str) {
    let mut stream = client.listen(Some(last)).await;
    asked.answer(client, &mut stream).await;
}

async fn toggle(client: &mut Client) {
    assert_eq!(client.call("sg_toggle_tool", json!({})).await["result"]["isError"], Value::Null);
}

async fn may_begin(url: &str, key: &str) {
    eventually("the change is served", async || {
        let mut client = Client::with_key(url, key);
        let body = client.request(
            "initialize",
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}),
        );
        (client.send(&body).await.0 == 200).then_some(())
    })
    .await;
}

fn keys(all: &[(&str, &str)], target: &Program) -> String {
    let all: Vec<String> = all.iter().map(|(name, key)| format!("{{name: {name}, key: {key}}}")).collect();
    format!("naming: plain\napi_keys: [{}]\ntargets:\n{}", all.join(", "), http_target("ref", &target.url, ""))
}

#[tokio::test]
async fn another_key_ends_the_streams_of_its_holder_and_of_nobody_else() {
    let (home, target) = (Home::new(), reference_server(&[]));
    let gateway = home.configured(&keys(&[("ada", ADA), ("bob", BOB)], &target));
    let url = &gateway.url;
    let (ada, bob) = (Open::new(url, Some(ADA), "").await, Open::new(url, Some(BOB), "").await);
    home.write(&keys(&[("ada", NEW), ("bob", BOB)], &target));
    let (mut ada, asked, last) = ada.cut().await;
    assert_eq!(ada.get(Some(&last)).await.unwrap().status(), 401);
    ada.http = Client::with_key(url, NEW).http;
    read_on(&ada, &asked, &last).await;
    bob.goes_on(toggle).await;
}

#[tokio::test]
async fn a_key_more_disturbs_nobody() {
    let (home, target) = (Home::new(), reference_server(&[]));
    let gateway = home.configured(&keys(&[("ada", ADA)], &target));
    let ada = Open::new(&gateway.url, Some(ADA), "").await;
    home.write(&keys(&[("bob", BOB), ("ada", ADA)], &target));
    may_begin(&gateway.url, BOB).await;
    ada.goes_on(toggle).await;
}

#[tokio::test]
async fn other_rules_end_the_streams_of_those_who_have_tokens() {
    let (home, target, issuer) = (Home::new(), reference_server(&[]), Issuer::start().await);
    let settings = |audience: &str| {
        let authorizer = issuer.authorizer_of("jwt", &format!("allowed_audience: [{audience}]"));
        format!("{authorizer}\n{}", keys(&[("bob", BOB)], &target))
    };
    let gateway = home.configured(&settings("gw"));
    let url = &gateway.url;
    let token = |audience: &str| issuer.token_with(&json!({"sub": "ada", "aud": audience}));
    let (ada, bob) = (Open::new(url, Some(&token("gw")), "").await, Open::new(url, Some(BOB), "").await);
    home.write(&settings("other"));
    let (mut ada, asked, last) = ada.cut().await;
    assert_eq!(ada.get(Some(&last)).await.unwrap().status(), 401);
    ada.http = Client::with_key(url, &token("other")).http;
    read_on(&ada, &asked, &last).await;
    bob.goes_on(toggle).await;
}

#[tokio::test]
async fn another_resource_policy_ends_all_streams() {
    let (control, target) = (Control::new("", ""), reference_server(&[]));
    let program = control.start();
    let created = control.ok("POST", "/gateways/", Some(&crate::control_client::gateway("shop", json!({})))).await;
    let text = |name: &str| created[name].as_str().unwrap().to_owned();
    let (id, arn, url) = (text("gatewayId"), text("gatewayArn"), text("gatewayUrl"));
    control.settled(&format!("/gateways/{id}/"), "READY").await;
    control.target(&id, "ref", &target.url).await;
    let path = format!("/resourcepolicy/{}", arn.replace(':', "%3A").replace('/', "%2F"));
    let put = async |effect: &str| {
        let statement =
            json!({"Effect": effect, "Principal": "*", "Action": "bedrock-agentcore:InvokeGateway", "Resource": arn});
        let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        control.ok("PUT", &path, Some(&json!({"policy": policy}))).await;
    };
    let open = Open::new(&url, None, "ref___").await;
    put("Deny").await;
    let (client, call, last) = open.cut().await;
    assert_eq!(client.get(Some(&last)).await.unwrap().status(), 403);
    control.ok("DELETE", &path, None).await;
    read_on(&client, &call, &last).await;

    // The same once more, and a file that is read again, change nothing.
    put("Allow").await;
    let open = Open::new(&url, None, "ref___").await;
    put("Allow").await;
    control.configure("changes_per_second: 10000", "changes_per_second: 9999");
    eventually("the file is read", async || program.log().contains("configuration changed").then_some(())).await;
    open.goes_on(async |_| drop(control.target(&id, "more", &target.url).await)).await;
}

#[tokio::test]
async fn a_call_that_nobody_could_come_back_to_ends_as_it_would_have() {
    let (home, target, issuer) = (Home::new(), reference_server(&[]), Issuer::start().await);
    let settings = |audience: &str| {
        let authorizer = issuer.authorizer_of("jwt", &format!("allowed_audience: [{audience}]"));
        format!("{authorizer}\nsessions: off\n{}", keys(&[], &target).replace("api_keys: []\n", ""))
    };
    let gateway = home.configured(&settings("gw"));
    let mut client = Client::with_key(&gateway.url, &issuer.token("ada"));
    let (id, mut call) = client.start("sg_progress", slow()).await;
    call.message("notifications/progress").await;
    // One token ends meanwhile, the other is good for nothing any more.
    let mut brief = Client::with_key(&gateway.url, &issuer.token_for("bob", 1.0));
    let (other, mut also) = brief.start("sg_progress", slow()).await;
    home.write(&settings("other"));
    may_begin(&gateway.url, &issuer.token_with(&json!({"aud": "other"}))).await;
    for (id, call) in [(id, &mut call), (other, &mut also)] {
        let response = call.response().await;
        assert_eq!((&response["id"], response.get("error")), (&id, None), "{response}");
    }
}
