//! Requests a second and connections at once: a gateway that has as many as it may says so and goes on.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::Client;
use crate::control_client::Control;
use crate::either::{ERAS, Either};
use crate::harness::{Home, eventually, http_target, reference_server};
use crate::hook::Hook;

#[tokio::test]
async fn over_the_rate_a_request_is_told_to_come_again() {
    let (home, target) = (Home::new(), reference_server(&[]));
    let gateway = home.configured(&format!("calls_per_second: 2\ntargets:\n{}", http_target("t", &target.url, "")));
    let mut client = Client::new(&gateway.url);
    let refused = eventually("a refusal", async || {
        let body = client.request("tools/list", json!({}));
        let response = client.post(&body).send().await.unwrap();
        (response.status() == 429).then_some((body, response))
    });
    let (body, response) = refused.await;
    assert_eq!(response.headers()["retry-after"], "1");
    let answer: serde_json::Value = response.json().await.unwrap();
    assert_eq!((&answer["id"], &answer["error"]["data"]["reason"]), (&body["id"], &json!("bound_reached")), "{answer}");
    // It goes on.
    for era in ERAS {
        let answered = eventually("an answer", async || {
            let answer = match era {
                "legacy" => {
                    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}});
                    let body = client.request("initialize", params);
                    client.send(&body).await.1
                }
                _ => Either::new(era, &gateway.url).await.ask("tools/list", json!({})).await,
            };
            answer.get("result").map(drop)
        });
        answered.await;
    }
    assert!(gateway.metric("sessiongate_bounds_reached_total", "requests_per_second").await >= 1.0);
}

#[tokio::test]
async fn an_interceptor_is_not_asked_about_what_is_over_the_rate() {
    let (home, target, hook) = (Home::new(), reference_server(&[]), Hook::intercepting(|_| json!({})));
    let list = http_target("t", &target.url, "");
    let gateway = home.configured(&format!(
        "calls_per_second: 1\ninterceptors: [{{url: \"{}/hook\", points: [request, response]}}]\ntargets:\n{list}",
        hook.url
    ));
    let mut client = Client::new(&gateway.url);
    let (mut sent, mut refused) = (0, 0);
    let count = eventually("refusals", async || {
        let body = client.request("ping", json!({}));
        sent += 1;
        refused += usize::from(client.post(&body).send().await.unwrap().status() == 429);
        (refused >= 3).then_some(sent - refused)
    })
    .await;
    // Whoever is asked about a request is asked about its answer too.
    assert_eq!(hook.seen().len(), 2 * count);
}

#[tokio::test]
async fn gateways_of_the_control_plane_have_the_rate_of_its_quotas() {
    let control = Control::new("", "");
    let text = std::fs::read_to_string(control.home.file()).unwrap();
    control.home.write_text(&text.replace("quotas: {", "quotas: {calls_per_second: 1, connections: 50, "));
    let _program = control.start();
    let id = control.gateway("shop", json!({})).await;
    let url = control.ok("GET", &format!("/gateways/{id}/"), None).await["gatewayUrl"].as_str().unwrap().to_owned();
    let mut client = Client::new(&url);
    eventually("a refusal", async || {
        let body = client.request("ping", json!({}));
        (client.post(&body).send().await.unwrap().status() == 429).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_and_closed() {
    let (home, target) = (Home::new(), reference_server(&[]));
    let gateway =
        home.configured(&format!("! limits: {{connections: 2}}\ntargets:\n{}", http_target("t", &target.url, "")));
    let address = gateway.url.strip_prefix("http://").unwrap().strip_suffix("/mcp").unwrap().to_owned();
    const REQUEST: &[u8] = b"GET /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n";
    // Answered on a connection that stays open.
    let open = async || {
        let mut connection = tokio::net::TcpStream::connect(&address).await.unwrap();
        connection.write_all(REQUEST).await.unwrap();
        let mut bytes = [0; 4096];
        let read = connection.read(&mut bytes).await.unwrap();
        (connection, String::from_utf8_lossy(&bytes[..read]).into_owned())
    };
    // Those of the harness's look at the gateway may still be there.
    let (first, second) = eventually("two connections", async || {
        let (a, b) = (open().await, open().await);
        (a.1.contains(" 400 ") && b.1.contains(" 400 ")).then_some((a, b))
    })
    .await;
    let (mut third, said) = open().await;
    assert!(said.starts_with("HTTP/1.1 429 ") && said.contains("retry-after: 1"), "{said}");
    assert!(said.contains("connections (limit 2)"), "{said}");
    let mut rest = Vec::new();
    third.read_to_end(&mut rest).await.unwrap();
    drop((first, second));
    eventually("room again", async || open().await.1.contains(" 400 ").then_some(())).await;
}

#[tokio::test]
async fn what_can_never_fit_is_not_told_to_come_again() {
    let (home, target) = (Home::new(), reference_server(&[]));
    let list = http_target("t", &target.url, "");
    let gateway =
        home.configured(&format!("calls_per_second: 2\nsearch: true\nsearches_per_minute: 2\ntargets:\n{list}"));
    let mut client = Client::new(&gateway.url);
    client.revision = "2025-03-26";
    eventually("a session", async || {
        let params =
            json!({"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let body = client.request("initialize", params);
        let response = client.post(&body).send().await.unwrap();
        client.session = response.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
        client.session.clone()
    })
    .await;
    let batch: Vec<_> = (0..3).map(|_| client.request("ping", json!({}))).collect();
    let response = client.post(&json!(batch)).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers().get("retry-after")), (400, None));
    let answer: serde_json::Value = response.json().await.unwrap();
    assert_eq!(answer["error"]["data"]["reason"], "batch_over_rate", "{answer}");
    let said = answer["error"]["message"].as_str().unwrap();
    assert!(said.contains("3 ") && said.contains("limit 2"), "{said}");
}

#[tokio::test]
async fn who_searches_too_often_is_told_when_to_come_again() {
    let (home, target) = (Home::new(), reference_server(&[]));
    let list = http_target("t", &target.url, "");
    let gateway = home.configured(&format!("search: true\nsearches_per_minute: 2\ntargets:\n{list}"));
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let mut call = || {
        let params = json!({"name": "x_amz_bedrock_agentcore_search", "arguments": {"query": "echo"}});
        client.request("tools/call", params)
    };
    let bodies = [call(), call(), call()];
    for body in &bodies[..2] {
        assert_eq!(client.post(body).send().await.unwrap().status(), 200);
    }
    let refused = client.post(&bodies[2]).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    let after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((20..=30).contains(&after), "half a minute for one: {after}");
    let answer: serde_json::Value = refused.json().await.unwrap();
    assert!(answer["error"]["message"].as_str().unwrap().contains(&format!("in {after} seconds")), "{answer}");
}
