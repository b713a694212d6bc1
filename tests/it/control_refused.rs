//! What the control plane says where it says no.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Client, LIMIT};
use crate::control_client::{Control, gateway, target};
use crate::harness::reference_server;

const DOMAIN: &str = "x-amzn-bedrock-agentcore-gateway-domain";

/// Members of an update.
fn update(name: &str, more: Value) -> Value {
    let mut members = gateway(name, more);
    members.as_object_mut().unwrap().remove("clientToken");
    members
}

fn message(body: &Value) -> &str {
    body["message"].as_str().unwrap()
}

/// Places are few: who cannot sign does not keep one.
#[tokio::test]
async fn a_connection_without_a_good_signature_ends_with_its_answer() {
    let control = Control::new("", "");
    let _program = control.start();
    let host = control.address();
    let authorization = "authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLEEXAMPLE/20261121/us-east-1/bedrock-agentcore/\
                         aws4_request, SignedHeaders=host;x-amz-date, Signature=00\r\nx-amz-date: 20261121T000000Z\r\n";
    let signed = format!("GET /gateways/ HTTP/1.1\r\nhost: {host}\r\n{authorization}\r\n");
    let body = format!("POST /gateways/ HTTP/1.1\r\nhost: {host}\r\ncontent-length: 100000\r\n{authorization}\r\n");
    for request in [format!("GET /gateways/ HTTP/1.1\r\nhost: {host}\r\n\r\n"), signed, body] {
        let mut connection = TcpStream::connect(host).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(LIMIT, connection.read_to_string(&mut answer)).await.expect("the connection ends").unwrap();
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("connection: close"), "{answer}");
    }
    // Who is known keeps theirs, refused or not.
    for path in ["/gateways/", "/gateways/nobody-0123456789/"] {
        let answer = control.raw("GET", path).await;
        assert!(!answer.headers().contains_key("connection"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_domain_is_given_once() {
    let control = Control::new("", "");
    let _program = control.start();
    for (domains, at) in [
        (json!({"default": "a.example", "alternateDomains": ["b.example", "A.example"]}), 1),
        (json!({"default": "a.example", "alternateDomains": ["b.example", "c.example", "B.EXAMPLE"]}), 2),
    ] {
        let answer =
            control.send("POST", "/gateways/", Some(&gateway("shop", json!({"domainOverride": domains})))).await;
        assert_eq!(answer.error.as_deref(), Some("ValidationException"), "{answer:?}");
        let fields: Vec<_> = answer.body["fieldList"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
        assert_eq!(fields, [&json!(format!("domainOverride.alternateDomains[{at}]"))]);
    }
}

#[tokio::test]
async fn a_request_chooses_among_the_domains_that_there_are() {
    let control = Control::new("", "");
    let _program = control.start();
    let id = control.gateway("shop", json!({})).await;
    let url = control.ok("GET", &format!("/gateways/{id}/"), None).await["gatewayUrl"].as_str().unwrap().to_owned();
    let client = Client::new(&url);
    let answer = client.post(&json!({})).header(DOMAIN, "shop.example").send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json::<Value>().await.unwrap()["error"]["data"]["reason"], "unknown_domain");
}

#[tokio::test]
async fn an_arn_of_elsewhere_is_told_apart_from_one_that_is_not_there() {
    let control = Control::new("", "");
    let _program = control.start();
    let id = control.gateway("shop", json!({})).await;
    let arn = |region: &str, account: &str, id: &str| {
        format!("/gateways/arn%3Aaws%3Abedrock-agentcore%3A{region}%3A{account}%3Agateway%2F{id}/")
    };
    control.ok("GET", &arn("us-east-1", "123456789012", &id), None).await;
    for (region, account) in [("eu-west-1", "123456789012"), ("us-east-1", "999999999999")] {
        let answer = control.send("GET", &arn(region, account, &id), None).await;
        assert_eq!(answer.error.as_deref(), Some("ResourceNotFoundException"), "{answer:?}");
        let said = message(&answer.body);
        assert!(said.contains(region) && said.contains(account), "whose it is: {said}");
        assert!(said.contains("us-east-1") && said.contains("123456789012"), "what is here: {said}");
    }
}

#[tokio::test]
async fn sessions_do_not_go_with_a_target_that_passes_their_header() {
    let (control, server) = (Control::new("", ""), reference_server(&[]));
    let _program = control.start();
    let without = json!({"protocolConfiguration": {"mcp": {}}});
    let id = control.gateway("shop", without).await;
    let mut members = target("ref", &server.url);
    members["metadataConfiguration"] = json!({"allowedRequestHeaders": ["Mcp-Session-Id"]});
    let made = control.ok("POST", &format!("/gateways/{id}/targets/"), Some(&members)).await;
    let made = made["targetId"].as_str().unwrap();
    control.settled(&format!("/gateways/{id}/targets/{made}/"), "READY").await;
    let answer = control.send("PUT", &format!("/gateways/{id}/"), Some(&update("shop", json!({})))).await;
    assert_eq!(answer.error.as_deref(), Some("ValidationException"), "{answer:?}");
    let field = &answer.body["fieldList"][0];
    assert_eq!(field["name"], "protocolConfiguration.mcp.sessionConfiguration");
    let said = field["message"].as_str().unwrap();
    assert!(said.contains("`ref`") && said.contains("`metadataConfiguration.allowedRequestHeaders[0]`"), "{said}");
}

#[tokio::test]
async fn what_is_wrong_with_a_policy_is_said_in_the_words_of_policies() {
    let control = Control::new("", "");
    let _program = control.start();
    let id = control.gateway("shop", json!({})).await;
    let arn = format!("arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A123456789012%3Agateway%2F{id}");
    let good = json!({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"});
    let with = |name: &str, value: Value| {
        let mut statement = good.clone();
        statement[name] = value;
        json!({"Statement": [good, statement]})
    };
    for (policy, words) in [
        (json!(3), &["JSON object"][..]),
        (json!({"Statement": 3}), &["`Statement`"]),
        (json!({"Version": 3, "Statement": good}), &["`Version`"]),
        (json!({"Statment": good}), &["`Statment`", "`Statement`"]),
        (json!({}), &["`Statement`"]),
        (with("Action", json!({"a": 1})), &["statement 2", "`Action`", "list of strings"]),
        (with("Effect", json!("Maybe")), &["statement 2", "`Effect`", "`Allow`", "`Deny`"]),
        (with("Effect", Value::Null), &["statement 2", "`Effect`"]),
        (with("Principal", json!(7)), &["statement 2", "`Principal`"]),
        (with("Condition", json!([])), &["statement 2", "`Condition`"]),
        (with("Prinzipal", json!("*")), &["statement 2", "`Prinzipal`"]),
        (json!({"Statement": [good, "x"]}), &["statement 2"]),
    ] {
        let body = json!({"policy": policy.to_string()});
        let answer = control.send("PUT", &format!("/resourcepolicy/{arn}"), Some(&body)).await;
        assert_eq!(answer.error.as_deref(), Some("ValidationException"), "{policy}: {answer:?}");
        let said = message(&answer.body);
        for word in words {
            assert!(said.contains(word), "{policy}: {said}");
        }
        for word in ["variant", "enum", "struct", "Written", "OneOrMany", "invalid type"] {
            assert!(!said.contains(word), "{policy}: {said}");
        }
    }
}

#[tokio::test]
async fn how_long_names_and_calls_may_be_is_the_operators_choice() {
    let (control, server) = (Control::new("", ""), reference_server(&[]));
    control.configure("quotas: {", "quotas: {tool_name: 40, invocation_timeout: 1s, ");
    let _program = control.start();
    let id = control.gateway("shop", json!({})).await;
    control.target(&id, "ref", &server.url).await;
    // With the target and the separator before it.
    for (name, fits) in [("n".repeat(34), true), ("n".repeat(35), false)] {
        let tools = json!([{"name": name, "inputSchema": {"type": "object"}}]).to_string();
        let mut members = target(&format!("t-{fits}")[..3], &server.url);
        members["targetConfiguration"]["mcp"]["mcpServer"]["mcpToolSchema"] = json!({"inlinePayload": tools});
        let answer = control.send("POST", &format!("/gateways/{id}/targets/"), Some(&members)).await;
        assert_eq!(answer.status.is_success(), fits, "{answer:?}");
        assert!(fits || message(&answer.body).contains("40"), "{answer:?}");
    }
    let url = control.ok("GET", &format!("/gateways/{id}/"), None).await["gatewayUrl"].as_str().unwrap().to_owned();
    let mut client = Client::ready(&url, json!({})).await;
    let late = client.call("ref___sg_wait", json!({"ms": 60_000})).await;
    assert!(late["result"]["isError"] == true && late.to_string().contains("within 1s"), "{late}");
    control.configure("invocation_timeout: 1s", "invocation_timeout: 9h");
    let checked =
        crate::harness::sessiongate(&["check", "--offline", "--config", control.home.file().to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&checked.stderr).contains("control.quotas.invocation_timeout"), "{checked:?}");
}
