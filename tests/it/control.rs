//! The control plane over HTTP: gateways and targets from their creation to their end, and what is refused.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::client::Client;
use crate::control_client::{Control, ROLE, gateway, target};
use crate::harness::{eventually, reference_server};

async fn tools(url: &str) -> Vec<String> {
    Client::ready(url, json!({})).await.tools().await
}

#[tokio::test]
async fn a_gateway_lives_from_creation_to_deletion() {
    let server = reference_server(&[]);
    let control = Control::new("", "");
    let program = control.start();
    let created = control.ok("POST", "/gateways/", Some(&gateway("Shop", json!({"tags": {"team": "a"}})))).await;
    assert_eq!(created["status"], "CREATING");
    let id = created["gatewayId"].as_str().unwrap();
    let arn = created["gatewayArn"].as_str().unwrap();
    let path = format!("/gateways/{id}/");
    let ready = control.settled(&path, "READY").await;
    for (member, value) in gateway("Shop", json!({})).as_object().unwrap() {
        assert_eq!(&ready[member], value, "{member} is echoed");
    }
    // An ARN is as good as an id, and a slash at the end makes no difference.
    let encoded = arn.replace(':', "%3A").replace('/', "%2F");
    assert_eq!(control.ok("GET", &format!("/gateways/{encoded}"), None).await, ready);
    let foreign = encoded.replace("123456789012", "999999999999");
    assert_eq!(control.send("GET", &format!("/gateways/{foreign}/"), None).await.status, StatusCode::NOT_FOUND);

    let target_id = control.target(id, "ref", &server.url).await;
    let url = ready["gatewayUrl"].as_str().unwrap();
    assert!(tools(url).await.iter().any(|name| name == "ref___test_simple_text"));

    // It outlives the process.
    drop(program);
    let _program = control.start();
    assert_eq!(control.ok("GET", &path, None).await, ready);
    assert!(tools(url).await.iter().any(|name| name == "ref___test_simple_text"));
    assert_eq!(control.ok("GET", &format!("/tags/{encoded}"), None).await, json!({"tags": {"team": "a"}}));

    let refused = control.send("DELETE", &path, None).await;
    assert_eq!((refused.status, refused.error.as_deref()), (StatusCode::CONFLICT, Some("ConflictException")));
    let deleted = control.ok("DELETE", &format!("{path}targets/{target_id}/"), None).await;
    assert_eq!(deleted["status"], "DELETING");
    eventually("the target is gone", async || {
        let answer = control.send("GET", &format!("{path}targets/{target_id}/"), None).await;
        (answer.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    assert_eq!(tools(url).await, [""; 0]);
    assert_eq!(control.ok("DELETE", &path, None).await["status"], "DELETING");
    eventually("the gateway is gone", async || {
        (control.send("GET", &path, None).await.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    let answer = reqwest::Client::new().post(url).body("{}").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    // The name is free again.
    control.gateway("Shop", json!({})).await;
}

#[tokio::test]
async fn a_client_token_is_good_once() {
    let control = Control::new("", "");
    let _program = control.start();
    let token = "0123456789-0123456789-0123456789-0123";
    let first = gateway("one", json!({"clientToken": token}));
    let created = control.ok("POST", "/gateways/", Some(&first)).await;
    let again = control.ok("POST", "/gateways", Some(&first)).await;
    assert_eq!(created["gatewayId"], again["gatewayId"]);
    let other = control.send("POST", "/gateways/", Some(&gateway("two", json!({"clientToken": token})))).await;
    assert_eq!(other.status, StatusCode::BAD_REQUEST);
    assert_eq!(other.body["reason"], "IdempotentParameterMismatchException");
    let same_name = control.send("POST", "/gateways/", Some(&gateway("one", json!({})))).await;
    assert_eq!(same_name.error.as_deref(), Some("ConflictException"));
}

#[tokio::test]
async fn an_update_replaces_everything() {
    let server = reference_server(&[]);
    let control = Control::new("", "");
    let _program = control.start();
    let id = control.gateway("shop", json!({"description": "before"})).await;
    let path = format!("/gateways/{id}/");
    let bare = json!({"name": "shop", "roleArn": ROLE, "authorizerType": "NONE"});
    assert_eq!(control.ok("PUT", &path, Some(&bare)).await["status"], "UPDATING");
    let after = control.settled(&path, "READY").await;
    assert!(after.get("description").is_none() && after.get("protocolConfiguration").is_none(), "{after}");
    let renamed = json!({"name": "shop2", "roleArn": ROLE, "authorizerType": "NONE"});
    assert_eq!(control.send("PUT", &path, Some(&renamed)).await.status, StatusCode::BAD_REQUEST);

    // Without sessions, none is minted.
    let url = after["gatewayUrl"].as_str().unwrap();
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let answer = reqwest::Client::new()
        .post(url)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .body(initialize.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers().get("mcp-session-id").is_none());

    // A change of a target that does not work leaves what worked.
    control.ok("PUT", &path, Some(&gateway("shop", json!({})))).await;
    control.settled(&path, "READY").await;
    let target_id = control.target(&id, "ref", &server.url).await;
    let target_path = format!("{path}targets/{target_id}/");
    control.ok("PUT", &target_path, Some(&target("ref", "http://127.0.0.1:1/mcp"))).await;
    let failed = control.settled(&target_path, "UPDATE_UNSUCCESSFUL").await;
    assert!(failed["statusReasons"][0].as_str().is_some_and(|why| !why.is_empty()), "{failed}");
    assert!(tools(url).await.iter().any(|name| name == "ref___test_simple_text"));
    control.ok("PUT", &target_path, Some(&target("renamed", &server.url))).await;
    control.settled(&target_path, "READY").await;
    assert!(tools(url).await.iter().all(|name| name.starts_with("renamed___")));
}

#[tokio::test]
async fn targets_are_synchronised_on_request() {
    let server = reference_server(&[]);
    let control = Control::new("", "");
    let _program = control.start();
    let id = control.gateway("shop", json!({})).await;
    let target_id = control.target(&id, "ref", &server.url).await;
    let path = format!("/gateways/{id}/targets/{target_id}/");
    let before = control.ok("GET", &path, None).await;
    let sync = json!({"targetIdList": [target_id]});
    let answer = control.ok("PUT", &format!("/gateways/{id}/synchronizeTargets"), Some(&sync)).await;
    assert_eq!(answer["targets"][0]["status"], "SYNCHRONIZING");
    let after = control.settled(&path, "READY").await;
    assert_ne!(before["lastSynchronizedAt"], after["lastSynchronizedAt"]);
    drop(server);
    control.ok("PUT", &format!("/gateways/{id}/synchronizeTargets"), Some(&sync)).await;
    let failed = control.settled(&path, "SYNCHRONIZE_UNSUCCESSFUL").await;
    assert!(failed["statusReasons"][0].as_str().is_some(), "{failed}");
    // What was read last is still listed.
    let url = control.ok("GET", &format!("/gateways/{id}/"), None).await["gatewayUrl"].as_str().unwrap().to_owned();
    assert!(!tools(&url).await.is_empty());
    let unknown = json!({"targetIdList": ["0000000000"]});
    let answer = control.send("PUT", &format!("/gateways/{id}/synchronizeTargets"), Some(&unknown)).await;
    assert_eq!(answer.error.as_deref(), Some("ResourceNotFoundException"));
}

#[tokio::test]
async fn a_target_that_cannot_be_reached_fails_and_can_be_mended() {
    let server = reference_server(&[]);
    let control = Control::new("", "");
    let _program = control.start();
    let id = control.gateway("shop", json!({})).await;
    let body = target("ref", "http://127.0.0.1:1/mcp");
    let created = control.ok("POST", &format!("/gateways/{id}/targets/"), Some(&body)).await;
    let path = format!("/gateways/{id}/targets/{}/", created["targetId"].as_str().unwrap());
    control.settled(&path, "FAILED").await;
    let sync = json!({"targetIdList": [created["targetId"]]});
    let answer = control.send("PUT", &format!("/gateways/{id}/synchronizeTargets"), Some(&sync)).await;
    assert_eq!(answer.error.as_deref(), Some("ConflictException"));
    control.ok("PUT", &path, Some(&target("ref", &server.url))).await;
    control.settled(&path, "READY").await;
}

#[tokio::test]
async fn lists_come_in_pages() {
    let control = Control::new("", "");
    let _program = control.start();
    let mut names = Vec::new();
    for number in 0..5 {
        let name = format!("shop{number}");
        control.gateway(&name, json!({})).await;
        names.push(name);
    }
    let mut found = Vec::new();
    let mut query = "?maxResults=2".to_owned();
    loop {
        let page = control.ok("GET", &format!("/gateways/{query}"), None).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        found.extend(items.iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        match page["nextToken"].as_str() {
            Some(token) => query = format!("?maxResults=2&nextToken={token}"),
            None => break,
        }
    }
    found.sort();
    assert_eq!(found, names);
    let wrong = control.send("GET", "/gateways/?nextToken=%21", None).await;
    assert_eq!(wrong.error.as_deref(), Some("ValidationException"));
}

#[tokio::test]
async fn who_may_not_learns_nothing() {
    let more = "    - {access_key_id: AKIDREADERREADER00, secret_access_key: reader, permissions: [\"bedrock-agentcore:Get*\", \
                \"bedrock-agentcore:List*\"]}\n";
    let mut control = Control::new(more, "");
    let _program = control.start();
    let id = control.gateway("shop", json!({})).await;
    control.signed_by("AKIDREADERREADER00", "reader");
    assert_eq!(control.send("GET", &format!("/gateways/{id}/"), None).await.status, StatusCode::OK);
    let refused = control.send("DELETE", &format!("/gateways/{id}/"), None).await;
    assert_eq!((refused.status, refused.error.as_deref()), (StatusCode::FORBIDDEN, Some("AccessDeniedException")));
    control.signed_by("AKIDREADERREADER00", "wrong");
    let refused = control.send("GET", "/gateways/", None).await;
    assert_eq!((refused.status, refused.error.as_deref()), (StatusCode::FORBIDDEN, Some("InvalidSignatureException")));
    control.signed_by("AKIDNOBODYNOBODY00", "wrong");
    let refused = control.send("GET", "/nothing", None).await;
    assert_eq!(refused.error.as_deref(), Some("UnrecognizedClientException"));
}

#[tokio::test]
async fn tags_and_policies_belong_to_their_gateway() {
    let control = Control::new("", "");
    let _program = control.start();
    let id = control.gateway("shop", json!({})).await;
    let arn = format!("arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A123456789012%3Agateway%2F{id}");
    control.ok("POST", &format!("/tags/{arn}"), Some(&json!({"tags": {"a": "1", "b": "2"}}))).await;
    control.ok("DELETE", &format!("/tags/{arn}?tagKeys=a&tagKeys=c"), None).await;
    assert_eq!(control.ok("GET", &format!("/tags/{arn}"), None).await["tags"], json!({"b": "2"}));
    let unknown = control.send("GET", &format!("/tags/{arn}x"), None).await;
    assert_eq!(unknown.error.as_deref(), Some("ResourceNotFoundException"));

    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "bedrock-agentcore:InvokeGateway", "Resource": "*"}]});
    let path = format!("/resourcepolicy/{arn}");
    assert_eq!(control.ok("GET", &path, None).await, json!({}), "clients read no policy in it, and no error");
    let put = control.send("PUT", &path, Some(&json!({"policy": policy.to_string()}))).await;
    assert_eq!(put.status, StatusCode::CREATED);
    let read: Value = control.ok("GET", &path, None).await;
    assert_eq!(serde_json::from_str::<Value>(read["policy"].as_str().unwrap()).unwrap(), policy);
    let wrong = control.send("PUT", &path, Some(&json!({"policy": "{}"}))).await;
    assert_eq!(wrong.error.as_deref(), Some("ValidationException"));
    assert_eq!(control.send("DELETE", &path, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(control.send("DELETE", &path, None).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn gateways_of_the_file_are_objects_too() {
    let server = reference_server(&[]);
    let gateways =
        |targets: &str| format!("gateways:\n  - name: desk\n    instructions: hello\n    targets:\n{targets}");
    let good = format!("      - {{name: ref, mcp: {{url: \"{}\"}}}}\n", server.url);
    let bad = "      - {name: bad, mcp: {url: \"http://127.0.0.1:1/mcp\"}, required: false}\n";
    let control = Control::new("", &gateways(&format!("{good}{bad}")));
    let _program = control.start();
    let listed = control.ok("GET", "/gateways/", None).await;
    let desk = &listed["items"][0];
    assert_eq!((&desk["name"], &desk["status"]), (&json!("desk"), &json!("READY")));
    let path = format!("/gateways/{}/", desk["gatewayId"].as_str().unwrap());
    let read = control.ok("GET", &path, None).await;
    assert_eq!(read["protocolConfiguration"]["mcp"]["instructions"], "hello");
    assert!(!tools(read["gatewayUrl"].as_str().unwrap()).await.is_empty());
    let targets = control.ok("GET", &format!("{path}targets/"), None).await;
    let find =
        |name: &str| targets["items"].as_array().unwrap().iter().find(|item| item["name"] == name).unwrap().clone();
    let (ready, failed) = (find("ref"), find("bad"));
    let target = |item: &Value| format!("{path}targets/{}/", item["targetId"].as_str().unwrap());
    control.settled(&target(&ready), "READY").await;
    control.settled(&target(&failed), "FAILED").await;
    let sync = json!({"targetIdList": [ready["targetId"]]});
    control.ok("PUT", &format!("{path}synchronizeTargets"), Some(&sync)).await;
    control.settled(&target(&ready), "READY").await;
    for (method, path, body) in [
        ("DELETE", path.clone(), None),
        ("PUT", path.clone(), Some(gateway("desk", json!({})))),
        ("DELETE", target(&ready), None),
        ("POST", format!("{path}targets/"), Some(super::control_client::target("new", &server.url))),
    ] {
        let answer = control.send(method, &path, body.as_ref()).await;
        assert_eq!(answer.error.as_deref(), Some("ConflictException"), "{method} {path}: {answer:?}");
    }
    // The file is changed: so are the objects.
    let text = std::fs::read_to_string(control.home.file()).unwrap();
    control.home.write_text(&text.replace(bad, ""));
    eventually("the target is gone", async || {
        (control.send("GET", &target(&failed), None).await.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_half_made() {
    let control = Control::new("", "");
    let _program = control.start();
    let id = control.gateway("shop", json!({})).await;
    let path = format!("/gateways/{id}/");
    for round in 0..40 {
        control.send_and_reset("PUT", &path, &gateway("shop", json!({"description": format!("round {round}")})));
        control.settled(&path, "READY").await;
    }
    // What was stored is what is seen: the next change fits.
    eventually("the next change is taken", async || {
        let answer = control.send("PUT", &path, Some(&gateway("shop", json!({"description": "last"})))).await;
        let busy = answer.body["message"].as_str().is_some_and(|why| why.contains("wait until"));
        assert!(busy || answer.status.is_success(), "{answer:?}");
        (!busy).then_some(())
    })
    .await;
    assert_eq!(control.settled(&path, "READY").await["description"], "last");
}

#[tokio::test]
async fn a_name_is_taken_as_long_as_it_is_served() {
    let server = reference_server(&[]);
    let control = Control::new("", "");
    let _program = control.start();
    let id = control.gateway("shop", json!({})).await;
    let targets = format!("/gateways/{id}/targets/");
    let first = control.target(&id, "a", &server.url).await;
    let path = format!("{targets}{first}/");
    control.ok("PUT", &path, Some(&target("b", "http://127.0.0.1:1/mcp"))).await;
    control.settled(&path, "UPDATE_UNSUCCESSFUL").await;
    for name in ["a", "b"] {
        let answer = control.send("POST", &targets, Some(&target(name, &server.url))).await;
        assert_eq!(answer.error.as_deref(), Some("ConflictException"), "{name}: {answer:?}");
    }
    control.ok("PUT", &path, Some(&target("b", &server.url))).await;
    control.settled(&path, "READY").await;
    control.target(&id, "a", &server.url).await;
    let url = control.ok("GET", &format!("/gateways/{id}/"), None).await["gatewayUrl"].as_str().unwrap().to_owned();
    let names = tools(&url).await;
    assert!(names.iter().any(|name| name.starts_with("a___")) && names.iter().any(|name| name.starts_with("b___")));
}

#[tokio::test]
async fn a_policy_holds_whatever_becomes_of_its_gateway() {
    let nowhere = "    targets: [{name: x, mcp: {url: \"http://127.0.0.1:1/mcp\"}, required: false}]\n";
    let gateways = |more: &str| format!("gateways:\n  - name: desk\n{nowhere}{more}");
    let other = &format!("  - name: other\n{nowhere}");
    let control = Control::new("", &gateways(other));
    let _program = control.start();
    let listed = control.ok("GET", "/gateways/", None).await;
    let other_id =
        listed["items"].as_array().unwrap().iter().find(|item| item["name"] == "other").unwrap()["gatewayId"]
            .as_str()
            .unwrap()
            .to_owned();
    let url =
        control.ok("GET", &format!("/gateways/{other_id}/"), None).await["gatewayUrl"].as_str().unwrap().to_owned();
    let arn = format!("arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A123456789012%3Agateway%2F{other_id}");
    let deny = json!({"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}]}).to_string();
    // Another spelling of the partition names nothing.
    let alias = arn.replace("arn%3Aaws", "arn%3Aaws-cn");
    let answer = control.send("PUT", &format!("/resourcepolicy/{alias}"), Some(&json!({"policy": deny}))).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    control.ok("PUT", &format!("/resourcepolicy/{arn}"), Some(&json!({"policy": deny}))).await;
    let refused = async || {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
        let request = reqwest::Client::new().post(&url).header("accept", "application/json, text/event-stream");
        request.header("content-type", "application/json").body(body).send().await.unwrap().status()
    };
    assert_eq!(refused().await, StatusCode::FORBIDDEN);
    let text = std::fs::read_to_string(control.home.file()).unwrap();
    control.home.write_text(&text.replace(other, ""));
    eventually("it is gone", async || (refused().await == StatusCode::NOT_FOUND).then_some(())).await;
    control.home.write_text(&text);
    eventually("it is back", async || (refused().await != StatusCode::NOT_FOUND).then_some(())).await;
    assert_eq!(refused().await, StatusCode::FORBIDDEN);
    eventually("it is an object again", async || {
        let answer = control.send("GET", &format!("/resourcepolicy/{arn}"), None).await;
        (answer.body["policy"] == *deny).then_some(())
    })
    .await;
}
