//! Clients that take JSON only, and gateways that cannot tell anybody anything: what is answered, announced, and refused
//! at once.

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Home, Program, http_target, reference_server};
use crate::modern_client::ModernClient;

/// Sessions and streaming, all ways.
const WAYS: [(&str, bool, bool); 4] = [
    ("", true, true),
    ("streaming: false", true, false),
    ("sessions: off", false, true),
    ("sessions: off\nstreaming: false", false, false),
];

fn scene(settings: &str) -> (Home, Program, Program) {
    let (home, target) = (Home::new(), reference_server(&[]));
    let text = format!("naming: plain\n{settings}\ntargets:\n{}", http_target("ref", &target.url, ""));
    let gateway = home.configured(&text);
    (home, target, gateway)
}

/// A client of a gateway with or without sessions.
async fn client(url: &str, sessions: bool, capabilities: Value) -> Client {
    let mut client = Client::new(url);
    match sessions {
        true => drop(client.initialize(capabilities).await.unwrap()),
        // Where there are none the header means nothing.
        false => client.session = Some("x".into()),
    }
    client
}

fn accepting(request: reqwest::RequestBuilder, accept: &str) -> reqwest::Request {
    let mut request = request.build().unwrap();
    request.headers_mut().insert("accept", accept.parse().unwrap());
    request
}

#[tokio::test]
async fn who_takes_json_only_is_answered_in_json() {
    for (settings, sessions, _) in WAYS {
        let (_home, _target, gateway) = scene(settings);
        let mut legacy = client(&gateway.url, sessions, json!({})).await;
        let arguments = json!({"steps": 3, "delay_ms": 1});
        let params = json!({"name": "sg_progress", "arguments": arguments, "_meta": {"progressToken": "p"}});
        for (accept, status) in [
            ("application/json", 200),
            ("application/json;q=1, text/event-stream;q=0", 200),
            ("application/*", 200),
            ("text/event-stream", 406),
            ("text/html", 406),
        ] {
            let body = legacy.request("tools/call", params.clone());
            let answer = legacy.http.execute(accepting(legacy.post(&body), accept)).await.unwrap();
            assert_eq!(answer.status(), status, "{settings} {accept}");
            assert_eq!(answer.headers()["content-type"], "application/json", "{settings} {accept}");
            let said: Value = answer.json().await.unwrap();
            assert_eq!(said.get("result").is_some(), status == 200, "{settings} {accept}: {said}");
        }
        let mut modern = ModernClient::new(&gateway.url);
        let body = modern.message("tools/call", params.clone());
        let answer = modern.http.execute(accepting(modern.post(&body), "application/json")).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"application/json".parse().unwrap())
        );
        let said: Value = answer.json().await.unwrap();
        assert_eq!(said["result"]["resultType"], "complete", "{settings}: {said}");
        // There is nothing but a stream that this could be answered with.
        let body = modern.message("subscriptions/listen", json!({"notifications": {}}));
        let answer = modern.http.execute(accepting(modern.post(&body), "application/json")).await.unwrap();
        assert_eq!(answer.status(), if settings.contains("streaming") { 404 } else { 406 }, "{settings}");
    }
}

#[tokio::test]
async fn who_takes_json_only_is_asked_nothing() {
    let (_home, _target, gateway) = scene("");
    let mut legacy = client(&gateway.url, true, json!({"elicitation": {}})).await;
    let body = legacy.request("tools/call", json!({"name": "sg_elicit_form", "arguments": {}}));
    let answer = legacy.http.execute(accepting(legacy.post(&body), "application/json")).await.unwrap();
    let said: Value = answer.json().await.unwrap();
    assert!(said.to_string().contains("stream"), "{said}");
    assert_eq!(said["result"]["isError"], true, "{said}");
}

#[tokio::test]
async fn without_sessions_a_session_id_means_nothing_to_any_method() {
    let (_home, _target, gateway) = scene("sessions: off");
    let mut legacy = client(&gateway.url, false, json!({})).await;
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    for (method, params) in [("initialize", params), ("ping", json!({})), ("tools/list", json!({}))] {
        let body = legacy.request(method, params);
        let (status, answer) = legacy.send(&body).await;
        assert_eq!((status, answer.get("error")), (200, None), "{method}: {answer}");
    }
}

#[tokio::test]
async fn only_what_can_be_told_is_announced() {
    for (settings, sessions, streaming) in WAYS {
        let (_home, _target, gateway) = scene(settings);
        let mut legacy = Client::new(&gateway.url);
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let announced = legacy.ask("initialize", params).await["result"]["capabilities"].clone();
        let mut modern = ModernClient::new(&gateway.url);
        let discovered = modern.request("server/discover", json!({})).await.result()["capabilities"].clone();
        for (era, announced, told) in [("legacy", announced, sessions && streaming), ("modern", discovered, streaming)]
        {
            for list in ["tools", "prompts", "resources"] {
                let said = announced[list].get("listChanged") == Some(&json!(true));
                assert_eq!((announced[list].is_object(), said), (true, told), "{settings} {era}: {announced}");
            }
            assert_eq!(announced["resources"]["subscribe"], told, "{settings} {era}: {announced}");
        }
        let mut legacy = client(&gateway.url, sessions, json!({})).await;
        let answer = legacy.ask("resources/subscribe", json!({"uri": "test://watched-resource"})).await;
        match sessions && streaming {
            true => assert_eq!(answer["result"], json!({}), "{settings}"),
            false => assert_eq!(answer["error"]["code"], -32601, "{settings}: {answer}"),
        }
    }
}
