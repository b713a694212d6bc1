//! Tool schemas that the control plane fetches from S3.

use serde_json::{Value, json};

use crate::client::Client;
use crate::control_client::Control;
use crate::harness::reference_server;
use crate::hook::{Asked, Hook, KEY, SECRET, Says};

const OWNER: &str = "210987654321";

/// A store with a bucket of [`OWNER`] in eu-west-2, which takes signed requests only.
fn store() -> Hook {
    Hook::new(|asked: &Asked| {
        let no = |status, code: &str| Says::Status(status, format!("<Error><Code>{code}</Code></Error>"));
        let region = match asked.signed_for("s3") {
            Ok(region) => region,
            Err(error) => return no(403, &error),
        };
        if region != "eu-west-2" {
            return Says::With("x-amz-bucket-region", "eu-west-2".into(), 301, "<Error/>".into());
        }
        if asked.header("x-amz-expected-bucket-owner").is_some_and(|owner| owner != OWNER) {
            return no(403, "AccessDenied");
        }
        match (asked.method.as_str(), asked.target.as_str()) {
            ("GET", "/schemas/shop/tools.json") => {
                let tool = json!({"name": "add", "description": "Adds", "inputSchema": {"type": "object"}});
                Says::Status(200, json!({"tools": [tool]}).to_string())
            }
            ("GET", "/schemas/large.json") => Says::Status(200, " ".repeat(2_000_000)),
            ("GET", "/schemas/none.json") => Says::Status(200, "hello".into()),
            _ => no(404, "NoSuchKey"),
        }
    })
}

fn members(uri: &str, owner: Option<&str>, endpoint: &str) -> Value {
    let mut s3 = json!({"uri": uri});
    if let Some(owner) = owner {
        s3["bucketOwnerAccountId"] = json!(owner);
    }
    json!({"name": "cart", "targetConfiguration": {"mcp": {"mcpServer": {
        "endpoint": endpoint, "mcpToolSchema": {"s3": s3}}}}})
}

fn process(store: &Hook, key: &str) -> String {
    format!("{key}endpoints: {{s3: \"{}\"}}\n", store.url)
}

#[tokio::test]
async fn a_schema_is_fetched_and_its_tools_are_listed() {
    let (store, server) = (store(), reference_server(&[]));
    let key = format!("aws: {{region: eu-west-1, access_key_id: {KEY}, secret_access_key: {SECRET}}}\n");
    let control = Control::new("", &process(&store, &key));
    // One that is fetched may be larger than one in a request, and has a bound too.
    let text = std::fs::read_to_string(control.home.file()).unwrap();
    control.home.write_text(&text.replace("quotas: {", "quotas: {fetched_schema: 1MB, "));
    let _program = control.start();
    let gateway = control.gateway("shop", json!({})).await;
    let path = format!("/gateways/{gateway}/targets/");
    let asked = members("s3://schemas/shop/tools.json", Some(OWNER), &server.url);
    let created = control.ok("POST", &path, Some(&asked)).await;
    let target = format!("{path}{}/", created["targetId"].as_str().unwrap());
    let ready = control.settled(&target, "READY").await;
    assert_eq!(ready["targetConfiguration"], asked["targetConfiguration"]);
    let url =
        control.ok("GET", &format!("/gateways/{gateway}/"), None).await["gatewayUrl"].as_str().unwrap().to_owned();
    assert_eq!(Client::ready(&url, json!({})).await.tools().await, ["cart___add"]);

    // A change that does not work leaves what worked.
    for (uri, owner, why) in [
        ("s3://schemas/missing.json", None, "no such object"),
        ("s3://schemas/shop/tools.json", Some("111111111111"), "another account"),
        ("s3://schemas/large.json", None, "1000000 bytes"),
        ("s3://schemas/none.json", None, "no JSON"),
    ] {
        control.ok("PUT", &target, Some(&members(uri, owner, &server.url))).await;
        let failed = control.settled(&target, "UPDATE_UNSUCCESSFUL").await;
        let reason = failed["statusReasons"][0].as_str().unwrap();
        assert!(reason.contains(why) && !reason.contains("127.0.0.1"), "{uri}: {reason}");
        assert_eq!(Client::ready(&url, json!({})).await.tools().await, ["cart___add"]);
    }
}

#[tokio::test]
async fn without_a_key_nothing_is_fetched() {
    let (store, server) = (store(), reference_server(&[]));
    let control = Control::new("", &process(&store, ""));
    let _program = control.start();
    let gateway = control.gateway("shop", json!({})).await;
    let path = format!("/gateways/{gateway}/targets/");
    let created = control.ok("POST", &path, Some(&members("s3://schemas/shop/tools.json", None, &server.url))).await;
    let failed = control.settled(&format!("{path}{}/", created["targetId"].as_str().unwrap()), "FAILED").await;
    let reason = failed["statusReasons"][0].as_str().unwrap();
    assert!(reason.contains("AWS_ACCESS_KEY_ID"), "{reason}");
    assert!(store.seen().is_empty());
}
