//! Gateways and targets that a version which allowed more has stored: what is not served says so and why, until it is changed.

use serde_json::{Value, json};
use sessiongate_storage::sled::{SledOptions, SledStore};
use sessiongate_storage::{ControlStore, ObjectWrite};

use crate::addresses::{initialize, title};
use crate::control_client::{Control, gateway, target};
use crate::harness::reference_server;

/// Changes what is asked for and what is served in the one object of a collection that has this name.
async fn stored(control: &Control, collection: &str, name: &str, change: impl Fn(&mut Value)) {
    let store = SledStore::open(&SledOptions::new(control.home.data().join("store"))).unwrap();
    let mut changed = 0;
    for row in store.list_objects(collection, None, 10).await.unwrap() {
        let mut object: Value = serde_json::from_slice(&row.value).unwrap();
        if object["input"]["name"] != name {
            continue;
        }
        for members in ["input", "active"] {
            change(&mut object[members]);
        }
        let write = ObjectWrite::update(row.key, row.version, object.to_string());
        store.write_objects(vec![write].into()).await.unwrap();
        changed += 1;
    }
    assert_eq!(changed, 1);
    store.close().await.unwrap();
}

/// What a list has of this object.
async fn line(control: &Control, path: &str, member: &str, id: &str) -> Value {
    let listed = control.ok("GET", path, None).await;
    listed["items"].as_array().unwrap().iter().find(|item| item[member] == id).unwrap().clone()
}

fn authorizer(kind: &str, rules: Value) -> Value {
    let mut jwt = json!({"discoveryUrl": "https://issuer.example/.well-known/openid-configuration"});
    jwt.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
    json!({"authorizerType": kind, "authorizerConfiguration": {"customJWTAuthorizer": jwt}})
}

#[tokio::test]
async fn a_stored_gateway_that_is_refused_today_is_failed_until_it_is_changed() {
    let control = Control::new("", "");
    let port = std::fs::read_to_string(control.home.file()).unwrap();
    let port = port.lines().find_map(|line| line.strip_prefix("listen: ")).unwrap().to_owned();
    let mut program = control.start();
    let shop = control.gateway("shop", json!({})).await;
    let bank = control.gateway("bank", json!({})).await;
    let path = format!("/gateways/{shop}/");
    let at = async |id: &str| {
        let answer = initialize(&format!("http://{port}/gateways/{id}/mcp"), None, None).await;
        title(answer).await
    };
    for (kind, rules, why) in [
        ("AUTHENTICATE_ONLY", json!({"allowedClients": ["web"]}), "allowedClients"),
        ("CUSTOM_JWT", json!({"allowedScopes": ["a"], "advertisedScopeMapping": {"b": "c"}}), "advertisedScopeMapping"),
    ] {
        drop(program);
        let members = authorizer(kind, rules);
        stored(&control, "gateway", "shop", |object| {
            object.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        })
        .await;
        program = control.start();
        assert_eq!((at(&shop).await.as_str(), at(&bank).await.as_str()), ("404", &*bank), "{why}");
        let shown = control.ok("GET", &path, None).await;
        let reasons = shown["statusReasons"].as_array().unwrap();
        assert!(reasons.len() == 1 && reasons[0].as_str().unwrap().contains(why), "{shown}");
        for shown in [&shown, &line(&control, "/gateways/", "gatewayId", &shop).await] {
            assert_eq!(shown["status"], "FAILED", "{shown}");
        }
        let other = line(&control, "/gateways/", "gatewayId", &bank).await;
        assert_eq!((&other["status"], other.get("statusReasons")), (&json!("READY"), None));

        let mut mended = gateway("shop", json!({}));
        mended.as_object_mut().unwrap().remove("clientToken");
        control.ok("PUT", &path, Some(&mended)).await;
        assert_eq!(control.settled(&path, "READY").await.get("statusReasons"), None);
        assert_eq!(at(&shop).await, shop);
    }
    drop(program);
}

#[tokio::test]
async fn a_stored_target_that_is_refused_today_is_failed_until_it_is_changed() {
    let (control, server) = (Control::new("", ""), reference_server(&[]));
    let program = control.start();
    let shop = control.gateway("shop", json!({})).await;
    let ids = [control.target(&shop, "old", &server.url).await, control.target(&shop, "good", &server.url).await];
    drop(program);
    stored(&control, "target", "old", |members| {
        members["targetConfiguration"]["mcp"]["mcpServer"]["endpoint"] = json!("https://target.example:99999/mcp");
    })
    .await;
    let _program = control.start();
    let all = format!("/gateways/{shop}/targets/");
    let [old, good] = ids.each_ref().map(|id| format!("{all}{id}/"));
    let shown = control.ok("GET", &old, None).await;
    let reasons = shown["statusReasons"].as_array().unwrap();
    assert!(reasons.len() == 1 && reasons[0].as_str().unwrap().contains("mcpServer.endpoint"), "{shown}");
    assert_eq!(shown["status"], "FAILED");
    assert_eq!(line(&control, &all, "targetId", &ids[0]).await["status"], "FAILED");
    assert_eq!(control.ok("GET", &good, None).await["status"], "READY");

    control.ok("PUT", &old, Some(&target("old", &server.url))).await;
    assert_eq!(control.settled(&old, "READY").await.get("statusReasons"), None);
}
