//! Gateways.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{TOKEN, armed, assert_members, deaths, die, url_of};
use crate::client::Client;
use crate::control_client::{Control, gateway};
use crate::harness::eventually;

const MADE: [(&str, ()); 3] = [("gateway-accepted", ()), ("gateway-activated", ()), ("gateway-served", ())];
const DELETED: [(&str, ()); 3] =
    [("gateway-delete-accepted", ()), ("gateway-delete-deactivated", ()), ("gateway-delete-unserved", ())];

/// Instructions and revision: two members of a gateway that one answer shows.
type Shown = (&'static str, &'static str);

const OLD: Shown = ("as it was", "2025-11-25");
const NEW: Shown = ("as it is to be", "2025-06-18");

fn members((instructions, version): Shown) -> Value {
    let mut members = gateway("shop", json!({"description": instructions, "tags": {"team": "shop"}}));
    members["protocolConfiguration"]["mcp"]["instructions"] = json!(instructions);
    members["protocolConfiguration"]["mcp"]["supportedVersions"] = json!([version]);
    members
}

/// The same, as a client creates it.
fn created(shown: Shown) -> Value {
    let mut members = members(shown);
    members["clientToken"] = json!(TOKEN);
    members
}

/// What a client is told that comes now; none where there is no gateway.
async fn served(url: &str) -> Option<Shown> {
    let mut client = Client::new(url);
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    let body = client.request("initialize", params);
    let (status, answer) = client.send(&body).await;
    if status == 404 {
        return None;
    }
    let (told, version) = (&answer["result"]["instructions"], &answer["result"]["protocolVersion"]);
    let found = [OLD, NEW].into_iter().find(|shown| *told == shown.0 && *version == shown.1);
    assert!(found.is_some(), "neither the old nor the new: {status} {answer}");
    found
}

/// Reads the object, then asks the gateway: what is served is the old or the new, and the new once the status says so.
async fn look(control: &Control, path: &str, url: &str, asked: &Value, [old, new]: [Option<Shown>; 2], what: &str) {
    let read = control.send("GET", path, None).await;
    let shown = served(url).await;
    match read.body["status"].as_str() {
        Some("CREATING" | "UPDATING" | "DELETING") => assert!(shown == old || shown == new, "{what}: {shown:?}"),
        Some("READY") => assert_eq!(shown, new, "{what}"),
        _ => assert_eq!((read.status, shown, new), (StatusCode::NOT_FOUND, None, None), "{what}: {read:?}"),
    }
    if read.status != StatusCode::NOT_FOUND {
        assert_members(&read.body, asked, what);
    }
}

async fn tags(control: &Control, read: &Value) -> (StatusCode, Value) {
    let arn = read["gatewayArn"].as_str().unwrap().replace(':', "%3A").replace('/', "%2F");
    let answer = control.send("GET", &format!("/tags/{arn}"), None).await;
    (answer.status, answer.body["tags"].clone())
}

#[tokio::test]
async fn creation_is_carried_out() {
    for (point, times, ()) in deaths(&MADE) {
        let what = &format!("{point}, killed {times} times");
        let control = Control::new("", "");
        let asked = created(NEW);
        die(&control, armed(&control, point, 1), (point, times), ("POST", "/gateways/", Some(&asked))).await;
        let _program = control.start();
        let listed = control.ok("GET", "/gateways/", None).await;
        let id = listed["items"][0]["gatewayId"].as_str().unwrap().to_owned();
        let (path, url) = (format!("/gateways/{id}/"), url_of(&control, &id).await);
        look(&control, &path, &url, &asked, [None, Some(NEW)], what).await;
        // Whoever got no answer asks again, and gets the gateway that there is.
        let again = control.send("POST", "/gateways/", Some(&asked)).await;
        assert_eq!((again.status, &again.body["gatewayId"]), (StatusCode::ACCEPTED, &json!(id)), "{what}: {again:?}");
        let read = control.settled(&path, "READY").await;
        assert_members(&read, &asked, what);
        assert_eq!(served(&url).await, Some(NEW), "{what}");
        assert_eq!(tags(&control, &read).await, (StatusCode::OK, json!({"team": "shop"})), "{what}");
        let listed = control.ok("GET", "/gateways/", None).await;
        assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_change_is_carried_out() {
    for (point, times, ()) in deaths(&MADE) {
        let what = &format!("{point}, killed {times} times");
        let control = Control::new("", "");
        let program = armed(&control, point, 2);
        let first = control.ok("POST", "/gateways/", Some(&created(OLD))).await;
        let id = first["gatewayId"].as_str().unwrap();
        let path = format!("/gateways/{id}/");
        let before = control.settled(&path, "READY").await;
        let url = url_of(&control, id).await;
        assert_eq!(served(&url).await, Some(OLD));
        let mut asked = members(NEW);
        asked.as_object_mut().unwrap().remove("tags");
        die(&control, program, (point, times), ("PUT", &path, Some(&asked))).await;
        let _program = control.start();
        look(&control, &path, &url, &asked, [Some(OLD), Some(NEW)], what).await;
        let read = control.settled(&path, "READY").await;
        assert_members(&read, &asked, what);
        assert_eq!(served(&url).await, Some(NEW), "{what}");
        assert_eq!(tags(&control, &read).await, (StatusCode::OK, json!({"team": "shop"})), "{what}");
        assert_eq!(read["createdAt"], before["createdAt"], "{what}");
        assert!(read["updatedAt"].as_str() > before["updatedAt"].as_str(), "{what}: {read}");
        // It is still the gateway of its token.
        let again = control.ok("POST", "/gateways/", Some(&created(OLD))).await;
        assert_eq!(again["gatewayId"], id, "{what}");
    }
}

#[tokio::test]
async fn deletion_is_carried_out() {
    for (point, times, ()) in deaths(&DELETED) {
        let what = &format!("{point}, killed {times} times");
        let control = Control::new("", "");
        let program = armed(&control, point, 1);
        let asked = created(OLD);
        let first = control.ok("POST", "/gateways/", Some(&asked)).await;
        let id = first["gatewayId"].as_str().unwrap();
        let path = format!("/gateways/{id}/");
        let before = control.settled(&path, "READY").await;
        let url = url_of(&control, id).await;
        assert_eq!(served(&url).await, Some(OLD));
        die(&control, program, (point, times), ("DELETE", &path, None)).await;
        let _program = control.start();
        look(&control, &path, &url, &asked, [Some(OLD), None], what).await;
        eventually(&format!("{what}: the gateway is gone"), async || {
            (control.send("GET", &path, None).await.status == StatusCode::NOT_FOUND).then_some(())
        })
        .await;
        assert_eq!(served(&url).await, None, "{what}");
        assert_eq!(tags(&control, &before).await.0, StatusCode::NOT_FOUND, "{what}");
        // Its name is free, and so is its token: the same request makes another one.
        let next = control.ok("POST", "/gateways/", Some(&asked)).await;
        let next = next["gatewayId"].as_str().unwrap();
        assert_ne!(next, id, "{what}");
        control.settled(&format!("/gateways/{next}/"), "READY").await;
        assert_eq!(served(&url_of(&control, next).await).await, Some(OLD), "{what}");
    }
}
