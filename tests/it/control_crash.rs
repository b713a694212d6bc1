//! The process is killed at every step of a change of the control plane: after it starts again, each object is what it
//! was or what it was to become, and what was accepted is carried out.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::client::Client;
use crate::control_client::{Control, gateway, target};
use crate::harness::{eventually, reference_server};

async fn first_tool(url: &str) -> Option<String> {
    Client::ready(url, json!({})).await.tools().await.into_iter().next()
}

/// Starts the gateway so that it dies at `point`, sends what leads there, and starts it again.
async fn killed_at(
    control: &Control,
    point: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> crate::harness::Program {
    let mut program = control.home.again_until(&format!("{point}:1")).expect("it dies later");
    let _ = control.try_send(method, path, body).await;
    eventually(&format!("it dies at {point}"), async || (!program.is_alive()).then_some(())).await;
    control.start()
}

#[tokio::test]
async fn creation_is_carried_out() {
    for point in ["gateway-accepted", "gateway-activated", "gateway-served"] {
        let control = Control::new("", "");
        let _program = killed_at(&control, point, "POST", "/gateways/", Some(&gateway("shop", json!({})))).await;
        let listed = control.ok("GET", "/gateways/", None).await;
        let id = listed["items"][0]["gatewayId"].as_str().unwrap().to_owned();
        control.settled(&format!("/gateways/{id}/"), "READY").await;
    }
}

#[tokio::test]
async fn a_change_is_carried_out() {
    for point in ["gateway-accepted", "gateway-activated", "gateway-served"] {
        let control = Control::new("", "");
        let program = control.start();
        let id = control.gateway("shop", json!({})).await;
        drop(program);
        let path = format!("/gateways/{id}/");
        let next = gateway("shop", json!({"description": "after"}));
        let _program = killed_at(&control, point, "PUT", &path, Some(&next)).await;
        assert_eq!(control.settled(&path, "READY").await["description"], "after");
    }
}

#[tokio::test]
async fn deletion_is_carried_out() {
    for point in ["gateway-delete-accepted", "gateway-delete-deactivated", "gateway-delete-unserved"] {
        let control = Control::new("", "");
        let program = control.start();
        let id = control.gateway("shop", json!({})).await;
        drop(program);
        let path = format!("/gateways/{id}/");
        let _program = killed_at(&control, point, "DELETE", &path, None).await;
        eventually("the gateway is gone", async || {
            (control.send("GET", &path, None).await.status == StatusCode::NOT_FOUND).then_some(())
        })
        .await;
        control.gateway("shop", json!({})).await;
    }
}

#[tokio::test]
async fn targets_are_made_changed_and_removed_whole() {
    let server = reference_server(&[]);
    let control = Control::new("", "");
    let program = control.start();
    let id = control.gateway("shop", json!({})).await;
    let url = control.ok("GET", &format!("/gateways/{id}/"), None).await["gatewayUrl"].as_str().unwrap().to_owned();
    drop(program);
    let targets = format!("/gateways/{id}/targets/");
    let made = ["target-accepted", "target-tried", "target-activated", "target-served"];
    for (round, point) in made.iter().enumerate() {
        let name = format!("new{round}");
        let program = killed_at(&control, point, "POST", &targets, Some(&target(&name, &server.url))).await;
        let listed = control.ok("GET", &targets, None).await;
        let target_id = listed["items"][0]["targetId"].as_str().unwrap().to_owned();
        let path = format!("{targets}{target_id}/");
        control.settled(&path, "READY").await;
        assert!(first_tool(&url).await.is_some_and(|tool| tool.starts_with(&name)), "{point}");
        drop(program);

        let changed = format!("changed{round}");
        let program = killed_at(&control, point, "PUT", &path, Some(&target(&changed, &server.url))).await;
        assert_eq!(control.settled(&path, "READY").await["name"], *changed);
        assert!(first_tool(&url).await.is_some_and(|tool| tool.starts_with(&changed)), "{point}");
        drop(program);

        let sync = json!({"targetIdList": [target_id]});
        let point = ["sync-accepted", "sync-read"][round % 2];
        let synchronise = format!("/gateways/{id}/synchronizeTargets");
        let program = killed_at(&control, point, "PUT", &synchronise, Some(&sync)).await;
        control.settled(&path, "READY").await;
        drop(program);

        let point = ["target-delete-accepted", "target-delete-deactivated", "target-delete-unserved"][round % 3];
        let program = killed_at(&control, point, "DELETE", &path, None).await;
        eventually("the target is gone", async || {
            (control.send("GET", &path, None).await.status == StatusCode::NOT_FOUND).then_some(())
        })
        .await;
        assert_eq!(first_tool(&url).await, None, "{point}");
        drop(program);
    }
}
