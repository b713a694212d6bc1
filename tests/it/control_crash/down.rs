//! The target is gone when its change is taken up.

use serde_json::{Value, json};

use super::{armed, assert_members, die, tools, url_of};
use crate::control_client::{Control, target};
use crate::harness::{Program, reference_server};

/// A gateway in a process that dies later, and a target that the test ends.
struct Scene {
    control: Control,
    server: Program,
    program: Program,
    url: String,
    /// Of the gateway.
    path: String,
}

async fn scene(point: &str, nth: u32) -> Scene {
    let (control, server) = (Control::new("", ""), reference_server(&[]));
    let program = armed(&control, point, nth);
    let id = control.gateway("shop", json!({})).await;
    Scene { url: url_of(&control, &id).await, path: format!("/gateways/{id}/"), control, server, program }
}

impl Scene {
    async fn made(&self) -> String {
        self.control.target(self.path.split('/').nth(2).unwrap(), "old", &self.server.url).await
    }

    /// The change of a target is sent, the process dies at `point`, the target is gone, and the change ends so.
    async fn ends(self, point: &str, change: (&str, &str, &Value), asked: &Value, status: &str) -> Value {
        let Self { control, mut server, program, url, path } = self;
        let offered = tools(&url).await;
        die(&control, program, (point, 1), (change.0, change.1, Some(change.2))).await;
        server.kill();
        let program = control.start();
        let listed = control.ok("GET", &format!("{path}targets/"), None).await;
        let path = format!("{path}targets/{}/", listed["items"][0]["targetId"].as_str().unwrap());
        let read = control.settled(&path, status).await;
        assert!(read["statusReasons"][0].as_str().is_some_and(|why| !why.is_empty()), "{point}: {read}");
        assert_members(&read, asked, point);
        assert_eq!(tools(&url).await, offered, "{point}");
        // That is how it ended: a further process has nothing to take up.
        drop(program);
        let _program = control.start();
        assert_eq!(control.ok("GET", &path, None).await, read, "{point}");
        assert_eq!(tools(&url).await, offered, "{point}");
        read
    }
}

#[tokio::test]
async fn a_creation_fails_and_nothing_is_served() {
    for point in ["target-accepted", "target-tried"] {
        let scene = scene(point, 1).await;
        let (asked, targets) = (target("new", &scene.server.url), format!("{}targets/", scene.path));
        let read = scene.ends(point, ("POST", &targets, &asked), &asked, "FAILED").await;
        assert_eq!(read["lastSynchronizedAt"], Value::Null);
    }
}

#[tokio::test]
async fn a_change_fails_and_what_worked_is_served() {
    for point in ["target-accepted", "target-tried"] {
        let scene = scene(point, 2).await;
        let path = format!("{}targets/{}/", scene.path, scene.made().await);
        let before = scene.control.ok("GET", &path, None).await;
        let asked = target("new", &scene.server.url);
        let read = scene.ends(point, ("PUT", &path, &asked), &asked, "UPDATE_UNSUCCESSFUL").await;
        assert_eq!(read["lastSynchronizedAt"], before["lastSynchronizedAt"], "{point}");
    }
}

#[tokio::test]
async fn a_synchronisation_fails_and_what_was_read_last_is_served() {
    for point in ["sync-accepted", "sync-read"] {
        let scene = scene(point, 1).await;
        let id = scene.made().await;
        let before = scene.control.ok("GET", &format!("{}targets/{id}/", scene.path), None).await;
        let (path, change) = (format!("{}synchronizeTargets", scene.path), json!({"targetIdList": [id]}));
        let asked = target("old", &scene.server.url);
        let read = scene.ends(point, ("PUT", &path, &change), &asked, "SYNCHRONIZE_UNSUCCESSFUL").await;
        assert_eq!(read["lastSynchronizedAt"], before["lastSynchronizedAt"], "{point}");
    }
}
