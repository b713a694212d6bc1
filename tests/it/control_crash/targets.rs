//! Targets, and their synchronisation.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Held, TOKEN, armed, assert_members, deaths, die, tools, url_of};
use crate::control_client::{Control, target};
use crate::harness::{Program, eventually};

/// The points of a target that is made: whether the target is asked once more by the process that takes it up. If it is,
/// what was served before is served until it has answered.
const MADE: [(&str, bool); 4] =
    [("target-accepted", true), ("target-tried", true), ("target-activated", false), ("target-served", false)];
const SYNCHRONISED: [(&str, ()); 2] = [("sync-accepted", ()), ("sync-read", ())];
const DELETED: [(&str, ()); 3] =
    [("target-delete-accepted", ()), ("target-delete-deactivated", ()), ("target-delete-unserved", ())];

/// A target that is called `old` with the tool `first`, in a process that dies later.
struct Scene {
    control: Control,
    server: Held,
    program: Program,
    /// Of the gateway.
    id: String,
    url: String,
    targets: String,
    /// Of the target.
    path: String,
    before: Value,
}

async fn scene(point: &str, nth: u32) -> Scene {
    let (control, server) = (Control::new("", ""), Held::new("first"));
    let program = armed(&control, point, nth);
    let id = control.gateway("shop", json!({})).await;
    let (url, targets) = (url_of(&control, &id).await, format!("/gateways/{id}/targets/"));
    let path = format!("{targets}{}/", control.target(&id, "old", &server.url).await);
    let before = control.settled(&path, "READY").await;
    assert_eq!(tools(&url).await, ["old___first"]);
    Scene { control, server, program, id, url, targets, path, before }
}

fn synchronised(read: &Value) -> Option<&str> {
    read["lastSynchronizedAt"].as_str()
}

#[tokio::test]
async fn creation_is_carried_out() {
    for (point, times, tried_again) in deaths(&MADE) {
        let what = &format!("{point}, killed {times} times");
        let (control, server) = (Control::new("", ""), Held::new("first"));
        let program = armed(&control, point, 1);
        let id = control.gateway("shop", json!({})).await;
        let (url, targets) = (url_of(&control, &id).await, format!("/gateways/{id}/targets/"));
        let mut asked = target("new", &server.url);
        asked["clientToken"] = json!(TOKEN);
        die(&control, program, (point, times), ("POST", &targets, Some(&asked))).await;
        server.hold();
        server.offer("second");
        let _program = control.start();
        let listed = control.ok("GET", &targets, None).await;
        let target_id = &listed["items"][0]["targetId"];
        let path = format!("{targets}{}/", target_id.as_str().unwrap());
        let tool = if tried_again {
            server.asked(what).await;
            let read = control.ok("GET", &path, None).await;
            assert_eq!(read["status"], "CREATING", "{what}");
            assert_members(&read, &asked, what);
            assert_eq!(tools(&url).await, [""; 0], "{what}");
            "new___second"
        } else {
            control.settled(&path, "READY").await;
            "new___first"
        };
        // Whoever got no answer asks again, and gets the target that there is.
        let again = control.send("POST", &targets, Some(&asked)).await;
        assert_eq!((again.status, &again.body["targetId"]), (StatusCode::ACCEPTED, target_id), "{what}: {again:?}");
        if tried_again {
            server.release();
        }
        let read = control.settled(&path, "READY").await;
        assert_members(&read, &asked, what);
        assert!(synchronised(&read).is_some(), "{what}: {read}");
        assert_eq!(tools(&url).await, [tool], "{what}");
        let listed = control.ok("GET", &targets, None).await;
        assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_change_is_carried_out() {
    for (point, times, tried_again) in deaths(&MADE) {
        let what = &format!("{point}, killed {times} times");
        let Scene { control, server, program, url, targets, path, before, .. } = scene(point, 2).await;
        server.offer("second");
        let mut asked = target("new", &server.url);
        asked["description"] = json!("as it is to be");
        die(&control, program, (point, times), ("PUT", &path, Some(&asked))).await;
        server.hold();
        server.offer("third");
        let _program = control.start();
        let tool = if tried_again {
            server.asked(what).await;
            let read = control.ok("GET", &path, None).await;
            assert_eq!(read["status"], "UPDATING", "{what}");
            assert_members(&read, &asked, what);
            assert_eq!(synchronised(&read), synchronised(&before), "{what}");
            assert_eq!(tools(&url).await, ["old___first"], "{what}");
            server.release();
            "new___third"
        } else {
            assert_eq!(tools(&url).await, ["new___second"], "{what}");
            "new___second"
        };
        let read = control.settled(&path, "READY").await;
        assert_members(&read, &asked, what);
        assert_eq!(tools(&url).await, [tool], "{what}");
        assert!(synchronised(&read) > synchronised(&before), "{what}: {before} {read}");
        assert_eq!(read["createdAt"], before["createdAt"], "{what}");
        // The old name is free, the new one is taken.
        server.release();
        let taken = control.send("POST", &targets, Some(&target("new", &server.url))).await;
        assert_eq!(taken.error.as_deref(), Some("ConflictException"), "{what}: {taken:?}");
        control.ok("POST", &targets, Some(&target("old", &server.url))).await;
    }
}

#[tokio::test]
async fn a_synchronisation_is_carried_out() {
    for (point, times, ()) in deaths(&SYNCHRONISED) {
        let what = &format!("{point}, killed {times} times");
        let Scene { control, server, program, id, url, path, before, .. } = scene(point, 1).await;
        server.offer("second");
        let asked = json!({"targetIdList": [before["targetId"]]});
        let synchronise = format!("/gateways/{id}/synchronizeTargets");
        die(&control, program, (point, times), ("PUT", &synchronise, Some(&asked))).await;
        server.hold();
        server.offer("third");
        let _program = control.start();
        server.asked(what).await;
        let read = control.ok("GET", &path, None).await;
        assert_eq!(read["status"], "SYNCHRONIZING", "{what}");
        assert_members(&read, &target("old", &server.url), what);
        assert_eq!(synchronised(&read), synchronised(&before), "{what}");
        let seen = tools(&url).await;
        assert!(seen == ["old___first"] || (point == "sync-read" && seen == ["old___second"]), "{what}: {seen:?}");
        // One at a time, and this one is still under way.
        let second = control.send("PUT", &synchronise, Some(&asked)).await;
        assert_eq!(second.error.as_deref(), Some("ConflictException"), "{what}: {second:?}");
        server.release();
        let read = control.settled(&path, "READY").await;
        assert_eq!(tools(&url).await, ["old___third"], "{what}");
        assert!(synchronised(&read) > synchronised(&before), "{what}: {before} {read}");
    }
}

#[tokio::test]
async fn deletion_is_carried_out() {
    for (point, times, ()) in deaths(&DELETED) {
        let what = &format!("{point}, killed {times} times");
        let Scene { control, server, program, id, url, targets, path, .. } = scene(point, 1).await;
        die(&control, program, (point, times), ("DELETE", &path, None)).await;
        // Nothing of this needs the target.
        server.hold();
        let _program = control.start();
        let read = control.send("GET", &path, None).await;
        let seen = tools(&url).await;
        match read.body["status"].as_str() {
            Some("DELETING") => assert!(seen == ["old___first"] || seen.is_empty(), "{what}: {seen:?}"),
            _ => assert_eq!((read.status, seen), (StatusCode::NOT_FOUND, Vec::new()), "{what}"),
        }
        eventually(&format!("{what}: the target is gone"), async || {
            (control.send("GET", &path, None).await.status == StatusCode::NOT_FOUND).then_some(())
        })
        .await;
        assert_eq!(tools(&url).await, [""; 0], "{what}");
        // Its name is free, and what it offered is forgotten.
        server.offer("second");
        let next = control.ok("POST", &targets, Some(&target("old", &server.url))).await;
        server.asked(what).await;
        assert_eq!(tools(&url).await, [""; 0], "{what}");
        server.release();
        control.settled(&format!("{targets}{}/", next["targetId"].as_str().unwrap()), "READY").await;
        assert_eq!(tools(&url).await, ["old___second"], "{what}");
        let listed = control.ok("GET", &format!("/gateways/{id}/targets/"), None).await;
        assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{what}");
    }
}
