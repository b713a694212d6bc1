//! The terminal client in either era, through the gateway and at servers of one era only.

use axum::{Router, http::StatusCode, routing::any};
use serde_json::{Value, json};
use sessiongate::client::{CallOptions, ClientError, Era, ListOptions, Outcome, Output, call_until, list};
use tokio::sync::Notify;

use crate::harness::{Home, Program, eventually, http_target, reference_server, sessiongate};
use crate::readme::Desk;
use crate::terminal::{Run, console, endpoint, options, pairs, run};

const ERAS: [(Era, &str, &str); 2] = [(Era::Legacy, "legacy", "2025-11-25"), (Era::Modern, "modern", "2026-07-28")];

/// A gateway in front of a reference server.
struct Scene {
    _home: Home,
    target: Program,
    gateway: Program,
}

// === impl Scene ===

impl Scene {
    fn new(server: &str) -> Self {
        let (home, target) = (Home::new(), reference_server(&["--era", server, "--many"]));
        let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "")));
        Self { _home: home, target, gateway }
    }

    fn call(&self, era: Era, tool: &str) -> CallOptions {
        let mut options = options(&self.gateway, tool);
        options.endpoint.era = era;
        options
    }

    /// A call with these arguments and answers.
    async fn run(&self, era: Era, tool: &str, json: Value, answers: &[(&str, &str)]) -> Run {
        let mut call = self.call(era, tool);
        call.json = Some(json.to_string());
        call.answers = pairs(answers);
        run(&call).await
    }
}

async fn listed(server: &Program, era: Era, output: Output) -> Result<String, ClientError> {
    let mut endpoint = options(server, "").endpoint;
    endpoint.era = era;
    let (screen, out, _) = console();
    list(&ListOptions { endpoint, output }, &screen).await.map(|()| out.text())
}

/// The revision in which the two talk.
async fn revision(server: &Program, era: Era) -> String {
    let lists: Value = serde_json::from_str(&listed(server, era, Output::Json).await.unwrap()).unwrap();
    lists["server"]["protocolVersion"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn questions_are_answered_beforehand_in_both_eras() {
    for server in ["legacy", "modern", "both"] {
        let scene = Scene::new(server);
        for (era, ..) in ERAS {
            let answers = [("name", "Ada"), ("age", "36"), ("colour", "Red")];
            let form = scene.run(era, "sg_elicit_form", json!({"key": "form"}), &answers).await;
            let content = json!({"name": "Ada", "age": 36, "colour": "r", "subscribe": false});
            assert_eq!(form.structured(), json!({"action": "accept", "content": content}), "{era:?} at {server}");

            let two = scene.run(era, "sg_elicit_two", json!({}), &[("first", "1"), ("second", "2")]).await.structured();
            let said = (&two["first"]["content"]["first"], &two["second"]["content"]["second"]);
            assert_eq!(said, (&json!("1"), &json!("2")), "{era:?} at {server}");

            let rounds = scene.run(era, "sg_rounds", json!({"rounds": 3}), &[("name", "Ada")]).await;
            assert_eq!(rounds.structured()["names"], json!(["Ada", "Ada", "Ada"]), "{era:?} at {server}");

            let declined = scene.run(era, "sg_elicit_form", json!({"key": "nobody"}), &[]).await;
            assert_eq!(declined.structured()["action"], "decline", "{era:?} at {server}");
            assert!(declined.err.contains("? Who are you?\ndeclined: nobody is here"), "{}", declined.err);
        }
    }
}

#[tokio::test]
async fn pages_are_visited_in_both_eras() {
    for server in ["legacy", "modern"] {
        let scene = Scene::new(server);
        for (era, ..) in ERAS {
            let url = json!({"url": "https://example.com/visit?x=1"});
            let declined = scene.run(era, "sg_elicit_url", url.clone(), &[]).await;
            assert_eq!(declined.structured()["action"], "decline", "{era:?} at {server}");
            assert!(declined.err.contains("  https://example.com/visit?x=1\n"), "{}", declined.err);
            let accepted = scene.run(era, "sg_elicit_url", url, &[("url", "accept")]).await;
            assert_eq!(accepted.structured()["action"], "accept", "{era:?} at {server}");

            let first = scene.run(era, "sg_url_required", json!({}), &[("url", "accept")]).await;
            assert!(first.out.contains("the page was visited"), "{era:?} at {server}: {:?} {}", first.ended, first.err);
        }
    }
}

#[tokio::test]
async fn progress_and_log_lines_are_shown_in_both_eras() {
    for server in ["legacy", "modern"] {
        let scene = Scene::new(server);
        for (era, name, _) in ERAS {
            let progress = scene.run(era, "sg_progress", json!({"steps": 3, "delay_ms": 20}), &[]).await;
            assert!(progress.err.contains("progress 3/3 step 3\n"), "{era:?} at {server}: {}", progress.err);
            if name != server {
                // A modern server logs for those who name a level, and this legacy one outside the call, where nobody
                // can tell whose lines they are.
                continue;
            }
            let log = scene.run(era, "test_tool_with_logging", json!({}), &[]).await;
            assert!(log.err.contains("Tool processing data\n"), "{era:?} at {server}: {}", log.err);
            assert!(log.err.contains("[info reference-server]"), "{era:?} at {server}: {}", log.err);
        }
    }
}

#[tokio::test]
async fn an_interruption_cancels_the_call_in_both_eras() {
    for server in ["legacy", "modern"] {
        let scene = Scene::new(server);
        for (count, (era, ..)) in (1..).zip(ERAS) {
            let mut wait = scene.call(era, "sg_wait");
            wait.json = Some(r#"{"ms": 60000}"#.into());
            let (console, ..) = console();
            let interrupt = Notify::new();
            let reached = |name: &'static str| {
                let target = &scene.target;
                eventually(name, async move || (target.stats().await[name] == count).then_some(()))
            };
            let (ended, ()) = tokio::join!(call_until(&wait, &console, async || interrupt.notified().await), async {
                reached("calls").await;
                interrupt.notify_one();
            });
            assert_eq!(ended.unwrap(), Outcome::Cancelled, "{era:?} at {server}");
            reached("cancelled").await;
        }
    }
}

#[tokio::test]
async fn arguments_that_belong_into_headers_are_sent_there() {
    let scene = Scene::new("modern");
    for (era, ..) in ERAS {
        let plain = scene.run(era, "test_custom_header", json!({"value": "é"}), &[]).await;
        assert_eq!(plain.ended.unwrap(), Outcome::Succeeded, "{era:?}: {}", plain.err);
    }
}

#[tokio::test]
async fn everything_is_listed_in_both_eras() {
    let scene = Scene::new("both");
    for (era, _, revision) in ERAS {
        let lists: Value = serde_json::from_str(&listed(&scene.gateway, era, Output::Json).await.unwrap()).unwrap();
        assert_eq!(lists["server"]["protocolVersion"], revision);
        let tools = lists["tools"].as_array().unwrap().iter().filter_map(|tool| tool["name"].as_str());
        assert_eq!(tools.filter(|name| name.starts_with("page_")).count(), 250, "{era:?}");
        assert_eq!(lists["resourceTemplates"][0]["uriTemplate"], "test://template/{id}/data");
        let shown = listed(&scene.gateway, era, Output::Human).await.unwrap();
        assert!(shown.lines().next().unwrap().ends_with(&format!(", revision {revision}")), "{shown}");
        assert!(shown.contains("\nprompts ("), "{shown}");
    }
}

#[tokio::test]
async fn auto_asks_for_the_modern_era_first() {
    for (server, spoken) in [("legacy", "2025-11-25"), ("modern", "2026-07-28"), ("both", "2026-07-28")] {
        let server = reference_server(&["--era", server]);
        assert_eq!(revision(&server, Era::Auto).await, spoken);
        let mut echo = options(&server, "sg_echo");
        echo.json = Some(r#"{"a": 1}"#.into());
        assert_eq!(run(&echo).await.structured(), json!({"a": 1}), "{spoken}");
    }
    let scene = Scene::new("legacy");
    assert_eq!(revision(&scene.gateway, Era::Auto).await, "2026-07-28");

    // A session is kept by those who have one.
    let folder = tempfile::tempdir().unwrap();
    let mut counter = scene.call(Era::Auto, "sg_counter");
    counter.session_file = Some(folder.path().join("shop.session"));
    for count in 1..=2 {
        assert_eq!(run(&counter).await.structured(), json!({"count": count}));
    }
    counter.endpoint.era = Era::Modern;
    let refused = run(&counter).await.ended.unwrap_err();
    assert_eq!(refused.exit_code(), 2);
    assert!(refused.to_string().contains("--session keeps a session, and revision 2026-07-28 has none"), "{refused}");
}

#[tokio::test]
async fn an_era_that_is_not_spoken_is_named() {
    let cases = [("legacy", Era::Modern, "revision 2026-07-28"), ("modern", Era::Legacy, "a revision with sessions")];
    for (server, era, wanted) in cases {
        let server = reference_server(&["--era", server]);
        let mut echo = options(&server, "sg_echo");
        echo.endpoint.era = era;
        let error = run(&echo).await.ended.unwrap_err();
        assert!(matches!(error, ClientError::Era { .. }), "{error:?}");
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains(&format!("does not speak {wanted}: ")) && text.contains("--era auto"), "{text}");
    }
}

#[tokio::test]
async fn errors_are_told_in_both_eras() {
    let scene = Scene::new("both");
    for (era, ..) in ERAS {
        let failed = run(&scene.call(era, "test_error_handling")).await;
        assert_eq!(failed.ended.unwrap().exit_code(), 1, "{era:?}");
        let unknown = run(&scene.call(era, "no_such_tool")).await.ended.unwrap_err();
        assert!(matches!(unknown, ClientError::Protocol { code: -32602, .. }), "{era:?}: {unknown}");
        let mut misspelt = scene.call(era, "sg_typd");
        misspelt.args = pairs(&[("text", "1")]);
        let misspelt = run(&misspelt).await.ended.unwrap_err();
        assert!(misspelt.to_string().contains("did you mean \"sg_typed\""), "{era:?}: {misspelt}");
    }
    let mut endless = scene.call(Era::Modern, "sg_endless");
    endless.assume_yes = true;
    endless.answers = pairs(&[("name", "Ada")]);
    let endless = run(&endless).await.ended.unwrap_err();
    assert_eq!(endless.to_string(), "the tool had still not ended after 32 rounds of questions");
    let undeclared = run(&scene.call(Era::Modern, "sg_undeclared")).await;
    assert!(matches!(undeclared.ended, Err(ClientError::Protocol { .. })), "{:?}", undeclared.ended);
}

/// No credentials, and a server that is down, are no signs of an old server.
#[tokio::test]
async fn a_refusal_is_no_era() {
    for (status, words) in [(StatusCode::UNAUTHORIZED, "401"), (StatusCode::SERVICE_UNAVAILABLE, "503")] {
        let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = asked.clone();
        let app = Router::new().route(
            "/mcp",
            any(async move |body: String| {
                seen.lock().unwrap().push(body);
                (status, "no")
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let (screen, ..) = console();
        let endpoint = endpoint(&url);
        let error = list(&ListOptions { endpoint, output: Output::Human }, &screen).await.unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains(words), "{error}");
        let asked = asked.lock().unwrap();
        assert!(asked.len() == 1 && asked[0].contains("server/discover"), "{asked:?}");
        server.abort();
    }
}

/// The same keys, whatever the era.
#[tokio::test]
async fn forms_and_pages_are_answered_by_keys_in_both_eras() {
    let scene = Scene::new("both");
    let desk = Desk::new();
    let url = &scene.gateway.url;
    for (_, era, _) in ERAS {
        let mut form = desk.terminal(&format!("sessiongate call {url} sg_elicit_form --era {era}\n"));
        form.shows("Who are you?").await;
        for (field, keys) in [("age", "36\r"), ("colour", "\r"), ("Name", "Ada\r"), ("subscribe", "\r")] {
            form.shows(&format!("{field} ")).await;
            form.type_in(keys);
        }
        assert_eq!(form.ended().await, 0, "{era}: {}", form.shown());
        for part in ["\"accept\"", "\"Ada\"", "36"] {
            form.shows(part).await;
        }
        let mut page = desk.terminal(&format!("sessiongate call {url} sg_elicit_url --era {era}\n"));
        page.shows("/visit/").await;
        page.shows("Open this page?").await;
        // Up from `no` is the last choice: the person opens the page elsewhere.
        page.type_in("\x1b[A\r");
        assert_eq!(page.ended().await, 0, "{era}: {}", page.shown());
        page.shows("\"accept\"").await;

        // Before it starts: the call may be there before anybody looks.
        let before = scene.target.stats().await["cancelled"].as_u64().unwrap();
        let calls = scene.target.stats().await["calls"].as_u64().unwrap();
        let mut wait =
            desk.terminal(&format!("sessiongate call {url} sg_wait --json '{{\"ms\": 60000}}' --era {era}\n"));
        eventually("the call", async || (scene.target.stats().await["calls"] != calls).then_some(())).await;
        wait.type_in("\x03");
        assert_eq!(wait.ended().await, 130, "{era}: {}", wait.shown());
        eventually("its end", async || (scene.target.stats().await["cancelled"] == before + 1).then_some(())).await;
    }
}

#[tokio::test]
async fn the_demo_answers_both_eras() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sessiongate"));
    command.args(["demo", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path());
    let demo = Program::start(command).expect("the demo starts");
    for (_, era, revision) in ERAS {
        let listed = sessiongate(&["ls", &demo.url, "--era", era]);
        assert!(String::from_utf8_lossy(&listed.stdout).contains(revision), "{listed:?}");
        let ordered = sessiongate(&["call", &demo.url, "order_tea", "--yes", "--era", era]);
        assert_eq!(ordered.status.code(), Some(0), "{ordered:?}");
        assert!(String::from_utf8_lossy(&ordered.stdout).contains("Ordered: 2 cups"), "{ordered:?}");
    }
}

#[tokio::test]
async fn check_shows_the_era_of_each_target() {
    let (home, old, new) =
        (Home::new(), reference_server(&["--era", "legacy"]), reference_server(&["--era", "modern"]));
    home.write(&format!(
        "naming: prefixed\ntargets:\n{}{}",
        http_target("old", &old.url, ""),
        http_target("new", &new.url, "")
    ));
    let file = home.file();
    let check = |more: &[&str]| {
        let output = sessiongate(&[&["check", "--config", file.to_str().unwrap()][..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let table = check(&[]);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut rows = table.lines().map(words);
    assert_eq!(rows.next().unwrap()[2..5], ["RESULT", "ERA", "REVISION"], "{table}");
    assert_eq!(rows.next().unwrap()[1..5], ["old", "ok", "legacy", "2025-11-25"], "{table}");
    assert_eq!(rows.next().unwrap()[1..5], ["new", "ok", "modern", "2026-07-28"], "{table}");
    let lines: Value = serde_json::from_str(&check(&["--output", "json"])).unwrap();
    assert_eq!((&lines[0]["era"], &lines[1]["era"]), (&json!("legacy"), &json!("modern")), "{lines}");
}
