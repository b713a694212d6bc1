//! The configuration changes under a running gateway, and the commands that talk to it.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Home, Program, eventually, http_target, reference_server, sessiongate};

fn targets(lines: &[String]) -> String {
    format!("naming: prefixed\ntargets:\n{}", lines.concat())
}

async fn until_listed(client: &mut Client, tool: &str, listed: bool) {
    eventually(&format!("{tool} listed: {listed}"), async || {
        (client.tools().await.iter().any(|name| name == tool) == listed).then_some(())
    })
    .await;
}

struct Scene {
    home: Home,
    a: Program,
    b: Program,
    gateway: Program,
    client: Client,
}

/// A gateway in front of `a`; `b` runs and is not configured yet.
async fn scene() -> Scene {
    let (home, a, b) = (Home::new(), reference_server(&[]), reference_server(&[]));
    let gateway = home.configured(&targets(&[http_target("a", &a.url, "")]));
    let mut client = Client::ready(&gateway.url, json!({})).await;
    assert_eq!(client.count("a___sg_counter").await, 1);
    Scene { home, a, b, gateway, client }
}

fn stdout(arguments: &[&str], code: i32) -> String {
    let output = sessiongate(arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
    format!("{out}{err}")
}

#[tokio::test]
async fn targets_come_change_and_go_and_others_do_not_notice() {
    let mut scene = scene().await;
    let a = http_target("a", &scene.a.url, "");
    let mut standing = scene.client.listen(None).await;
    scene.home.write(&targets(&[a.clone(), http_target("b", &scene.b.url, "")]));
    standing.message("notifications/tools/list_changed").await;
    until_listed(&mut scene.client, "b___sg_counter", true).await;
    assert_eq!(scene.client.count("b___sg_counter").await, 1);
    assert_eq!(scene.client.count("a___sg_counter").await, 2, "the downstream session of a goes on");

    let changed = format!("  - {{name: b, mcp: {{url: \"{}\", headers: {{x-team: blue}}}}}}\n", scene.b.url);
    scene.home.write(&targets(&[a.clone(), changed]));
    eventually("the header is sent", async || {
        let answer = scene.client.call("b___sg_whoami", json!({})).await;
        (answer["result"]["structuredContent"]["headers"]["x-team"] == "blue").then_some(())
    })
    .await;
    assert_eq!(scene.client.count("b___sg_counter").await, 1, "a changed target is a new one");
    assert_eq!(scene.client.count("a___sg_counter").await, 3);

    scene.home.write(&targets(&[a]));
    until_listed(&mut scene.client, "b___sg_counter", false).await;
    let gone = scene.client.call("b___sg_counter", json!({})).await;
    assert_eq!(gone["error"]["code"], -32602, "{gone}");
    assert_eq!(scene.client.count("a___sg_counter").await, 4);
    eventually("its sessions are ended", async || (scene.b.stats().await["sessions"] == 0).then_some(())).await;
}

#[tokio::test]
async fn a_broken_file_is_refused_and_the_old_one_stays() {
    let mut scene = scene().await;
    let text = std::fs::read_to_string(scene.home.file()).unwrap();
    for broken in ["gateways: [", &text.replace("naming", "nameing"), &text.replace("name: test", "name: 'NO GOOD'")] {
        let refused = |log: &str| log.matches("the old one stays").count();
        let before = refused(&scene.gateway.log());
        scene.home.write_text(broken);
        eventually("refused", async || (refused(&scene.gateway.log()) > before).then_some(())).await;
        eventually("the log names the file", async || scene.gateway.log().contains("gateway.yaml").then_some(())).await;
    }
    assert_eq!(scene.client.count("a___sg_counter").await, 2);
    // The next good one is taken.
    scene.home.write(&targets(&[http_target("a", &scene.a.url, ""), http_target("b", &scene.b.url, "")]));
    until_listed(&mut scene.client, "b___sg_counter", true).await;
    assert_eq!(scene.client.count("a___sg_counter").await, 3);
}

#[tokio::test]
async fn hang_up_synchronises_and_reads_the_file() {
    let (home, a, b) = (Home::new(), reference_server(&[]), reference_server(&[]));
    let lines = [http_target("a", &a.url, ""), http_target("b", &b.url, "")];
    let gateway = home.launched(&targets(&lines[..1]), &["--no-watch"]);
    eventually("ready", async || {
        let page = reqwest::get(format!("{}/readyz", gateway.base())).await.ok()?;
        page.status().is_success().then_some(())
    })
    .await;
    let mut client = Client::ready(&gateway.url, json!({})).await;

    // Nobody tells the gateway of this change: the session that makes it is the target's own.
    let mut direct = Client::ready(&a.url, json!({})).await;
    direct.call("sg_toggle_tool", json!({})).await;
    gateway.signal(Signal::SIGHUP);
    until_listed(&mut client, "a___sg_toggled", true).await;

    home.write(&targets(&lines));
    gateway.signal(Signal::SIGHUP);
    until_listed(&mut client, "b___sg_counter", true).await;
}

#[tokio::test]
async fn sync_asks_the_running_gateway() {
    let scene = scene().await;
    let data = scene.home.data();
    let folder = ["--data-dir", data.to_str().unwrap()];
    let sync = |more: &[&str], code| stdout(&[&["sync"][..], &folder, more].concat(), code);
    let lines: Value = serde_json::from_str(&sync(&["--output", "json"], 0)).unwrap();
    assert_eq!(
        (&lines[0]["gateway"], &lines[0]["target"], &lines[0]["ok"]),
        (&json!("test"), &json!("a"), &json!(true))
    );
    assert!(lines[0]["tools"].as_u64().unwrap() > 30, "{lines}");
    assert!(sync(&["--gateway", "test", "--target", "a"], 0).contains("ok"));
    assert!(sync(&["--gateway", "nobody"], 1).contains("no such gateway"));
    let Scene { mut a, mut gateway, .. } = scene;
    a.kill();
    let lines: Value = serde_json::from_str(&sync(&["--output", "json"], 1)).unwrap();
    assert_eq!(lines[0]["ok"], false);
    assert!(lines[0]["error"].as_str().unwrap().contains("reached"), "{lines}");
    gateway.terminate();
    assert!(!sync(&[], 1).is_empty());
}

#[tokio::test]
async fn sessions_are_listed_and_ended_with_and_without_a_gateway() {
    let mut scene = scene().await;
    let mut second = Client::ready(&scene.gateway.url, json!({})).await;
    let data = scene.home.data();
    let folder = ["--data-dir", data.to_str().unwrap()];
    let list = || -> Vec<Value> {
        serde_json::from_str(&stdout(&[&["sessions", "list", "--output", "json"][..], &folder].concat(), 0)).unwrap()
    };
    let end = |key: &str, code| stdout(&[&["sessions", "end", key][..], &folder].concat(), code);
    let lines = list();
    assert_eq!(lines.len(), 2);
    let used = lines.iter().find(|line| line["targets"] == json!(["a"])).unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!(
        (&used["gateway"], &used["live"], &used["revision"]),
        (&json!("test"), &json!(true), &json!("2025-11-25"))
    );
    assert!(used["client"].as_str().unwrap().contains("test"), "{used}");
    let text = json!(lines).to_string();
    for client in [&scene.client, &second] {
        assert!(!text.contains(client.session.as_deref().unwrap()), "a session's id is a secret");
    }

    end(used["key"].as_str().unwrap(), 0);
    assert_eq!(list().len(), 1);
    let ping = scene.client.request("ping", json!({}));
    assert_eq!(scene.client.send(&ping).await.0, 404);
    assert_eq!(second.ask("ping", json!({})).await["result"], json!({}));
    end("zz", 1);

    assert_eq!(scene.gateway.terminate().code(), Some(0));
    let lines = list();
    assert_eq!((lines.len(), &lines[0]["live"]), (1, &json!(false)), "{lines:?}");
    end(&lines[0]["key"].as_str().unwrap()[..8], 0);
    assert_eq!(list().len(), 0);
    let _gateway = scene.home.again();
    second.reconnect();
    let ping = second.request("ping", json!({}));
    assert_eq!(second.send(&ping).await.0, 404);
}

#[tokio::test]
async fn check_says_what_is_wrong_and_where() {
    let (home, a) = (Home::new(), reference_server(&[]));
    let good = targets(&[http_target("a", &a.url, "")]);
    let file = home.file();
    let check =
        |more: &[&str], code| stdout(&[&["check", "--config", file.to_str().unwrap()][..], more].concat(), code);
    home.write(&good);
    let table = check(&[], 0);
    assert!(table.contains("2025-11-25") && table.contains("streamable-http"), "{table}");
    let lines: Value = serde_json::from_str(&check(&["--output", "json"], 0)).unwrap();
    assert_eq!((&lines[0]["target"], &lines[0]["ok"]), (&json!("a"), &json!(true)), "{lines}");

    home.write(&targets(&[http_target("a", &a.url, ""), http_target("dead", "http://127.0.0.1:1/mcp", "")]));
    let table = check(&[], 1);
    assert!(table.contains("dead") && table.contains("could not be reached"), "{table}");
    check(&["--offline"], 0);

    home.write(&good.replace("naming: prefixed", "nameing: prefixed\nsessions: {timeout: 1m}"));
    let errors = check(&[], 2);
    for part in ["gateway.yaml", ":7:", "nameing", "`naming`", "timeout", "15m"] {
        assert!(errors.contains(part), "{part} is missing: {errors}");
    }
    let missing = sessiongate(&["check", "--config", "/nowhere/gateway.yaml"]);
    assert_eq!(missing.status.code(), Some(2));
}

#[tokio::test]
async fn readiness_waits_for_required_targets_only() {
    let (home, a) = (Home::new(), reference_server(&[]));
    let dead = |required: bool| http_target("dead", "http://127.0.0.1:1/mcp", &format!("required: {required}"));
    let mut gateway = home.configured(&targets(&[http_target("a", &a.url, ""), dead(false)]));
    let page = gateway.page("/readyz").await;
    assert_eq!(page.status(), 200);
    let report: Value = serde_json::from_slice(&page.bytes().await.unwrap()).unwrap();
    let of = |name: &str| report["targets"].as_array().unwrap().iter().find(|target| target["name"] == name).unwrap();
    assert_eq!(of("dead")["required"], false, "{report}");
    assert!(of("dead").to_string().contains("could not be reached"), "{report}");
    assert!(of("a")["tools"].as_u64().unwrap() > 30, "{report}");
    assert_eq!(gateway.page("/healthz").await.status(), 200);
    gateway.terminate();

    home.write(&targets(&[http_target("a", &a.url, ""), dead(true)]));
    let gateway = home.again();
    assert_eq!(gateway.page("/readyz").await.status(), 503);
    assert_eq!(gateway.page("/healthz").await.status(), 200);
    // A target that is down keeps its last good copy, also over a restart, and the gateway is ready with it.
    home.write(&targets(&[http_target("a", &a.url, "")]));
    eventually("ready", async || (gateway.page("/readyz").await.status() == 200).then_some(())).await;
    drop((gateway, a));
    let gateway = home.again();
    assert_eq!(gateway.page("/readyz").await.status(), 200);
    let mut client = Client::ready(&gateway.url, json!({})).await;
    assert!(client.tools().await.len() > 30);
    let failed = client.call("a___sg_counter", json!({})).await;
    assert!(failed.to_string().contains("target `a`"), "{failed}");
}

#[tokio::test]
async fn a_target_that_cannot_be_used_as_changed_goes_on_as_it_was() {
    let mut scene = scene().await;
    // An address that is not allowed: a slip of the finger.
    scene.home.write(&targets(&[http_target("a", "http://10.1.2.3:1/mcp", ""), http_target("b", &scene.b.url, "")]));
    until_listed(&mut scene.client, "b___sg_counter", true).await;
    assert_eq!(scene.client.count("a___sg_counter").await, 2, "the downstream session of a goes on");
    eventually("the log says so", async || scene.gateway.log().contains("target cannot be used").then_some(())).await;
}

#[tokio::test]
async fn sessions_can_be_switched_off_and_on_again() {
    let scene = scene().await;
    let a = http_target("a", &scene.a.url, "");
    for (switch, status) in [("sessions: off\n", 405), ("", 200)] {
        scene.home.write(&format!("{switch}{}", targets(std::slice::from_ref(&a))));
        eventually("the change is in effect", async || {
            let mut fresh = Client::new(&scene.gateway.url);
            let body = fresh.request(
                "initialize",
                json!({"protocolVersion": "2025-11-25", "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"}}),
            );
            let answer = fresh.post(&body).send().await.ok()?;
            (answer.headers().contains_key("mcp-session-id") == (status == 200)).then_some(())
        })
        .await;
    }
    let mut client = Client::ready(&scene.gateway.url, json!({})).await;
    let (_, mut stream) = client.start("a___sg_progress", json!({"steps": 3, "delay_ms": 1})).await;
    assert!(stream.rest().await.iter().any(|event| event.id.is_some()), "streams are stored where sessions are");
}
