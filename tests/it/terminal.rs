//! The terminal client against the reference server: `call` and `ls` as their user sees them.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use sessiongate::client::{
    CallOptions, ClientError, Console, Endpoint, Era, ListOptions, Outcome, Output, call, call_until, list,
};
use tokio::sync::Notify;

use crate::harness::{Program, reference_server};

/// What was written to one of the two outputs.
#[derive(Clone, Default)]
pub struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// One run of the client.
pub struct Run {
    pub ended: Result<Outcome, ClientError>,
    pub out: String,
    pub err: String,
}

impl Run {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{:?}: {} {}", self.ended, self.out, self.err))
    }

    pub fn structured(&self) -> Value {
        self.json()["structuredContent"].clone()
    }
}

/// An endpoint for anybody, as the command line describes it.
pub fn endpoint(url: &str) -> Endpoint {
    Endpoint {
        url: url.parse().unwrap(),
        era: Era::Auto,
        headers: Vec::new(),
        bearer: None,
        timeout: Duration::from_secs(20),
    }
}

/// A call with the defaults of the command line, its result as JSON.
pub fn options(server: &Program, tool: &str) -> CallOptions {
    CallOptions {
        endpoint: endpoint(&server.url),
        tool: tool.to_owned(),
        args: Vec::new(),
        json: None,
        answers: Vec::new(),
        assume_yes: false,
        session_file: None,
        output: Output::Json,
    }
}

pub fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A console without a person, its output and its errors.
pub fn console() -> (Console, Written, Written) {
    let (out, err) = (Written::default(), Written::default());
    (Console::to_writers(Box::new(out.clone()), Box::new(err.clone())), out, err)
}

pub async fn run(options: &CallOptions) -> Run {
    let (console, out, err) = console();
    let ended = call(options, &console).await;
    Run { ended, out: out.text(), err: err.text() }
}

async fn stats(server: &Program) -> Value {
    let url = server.url.replace("/mcp", "/control/stats");
    reqwest::get(url).await.unwrap().json::<Value>().await.unwrap()
}

#[tokio::test]
async fn a_result_goes_to_standard_output_alone() {
    let server = reference_server(&[]);
    let mut options = options(&server, "test_multiple_content_types");
    options.output = Output::Human;
    let run = run(&options).await;
    assert_eq!(run.ended.unwrap(), Outcome::Succeeded);
    assert!(run.out.starts_with("Multiple content types test:\n[image image/png, "), "{}", run.out);
    assert!(run.out.contains("[resource <test://mixed-content-resource>]"));
    assert_eq!(run.err, "");
}

#[tokio::test]
async fn arguments_take_the_types_of_the_schema() {
    let server = reference_server(&["--many"]);
    let mut options = options(&server, "sg_typed");
    options.args = pairs(&[("text", "1"), ("whole", "2"), ("flag", "true"), ("sizes", "3"), ("sizes", "4")]);
    options.json = Some(r#"{"number": 0.5}"#.into());
    let run = run(&options).await;
    let expected = json!({"text": "1", "whole": 2, "flag": true, "sizes": [3, 4], "number": 0.5});
    assert_eq!(run.structured(), expected);
}

#[tokio::test]
async fn failures_have_their_exit_codes() {
    let server = reference_server(&[]);
    let failed = run(&options(&server, "test_error_handling")).await;
    assert_eq!(failed.ended.unwrap().exit_code(), 1);
    assert!(failed.out.contains("intentionally"));

    let unknown = run(&options(&server, "no_such_tool")).await.ended.unwrap_err();
    assert!(matches!(unknown, ClientError::Protocol { code: -32602, .. }), "{unknown}");
    assert_eq!(unknown.exit_code(), 2);

    let mut misspelt = options(&server, "sg_typd");
    misspelt.args = pairs(&[("text", "1")]);
    let misspelt = run(&misspelt).await.ended.unwrap_err();
    assert!(misspelt.to_string().contains("did you mean \"sg_typed\""), "{misspelt}");

    let mut nobody = options(&server, "sg_echo");
    nobody.endpoint.url = "http://127.0.0.1:1/mcp".parse().unwrap();
    let nobody = run(&nobody).await.ended.unwrap_err();
    assert_eq!(nobody.exit_code(), 3, "{nobody}");
}

#[tokio::test]
async fn progress_and_log_lines_go_to_standard_error() {
    let server = reference_server(&[]);
    let mut progress = options(&server, "sg_progress");
    progress.json = Some(r#"{"steps": 3, "delay_ms": 20}"#.into());
    let progress = run(&progress).await;
    assert!(progress.err.contains("progress 3/3 step 3\n"), "{}", progress.err);

    let log = run(&options(&server, "test_tool_with_logging")).await;
    assert!(log.err.contains("[info reference-server] Tool processing data\n"), "{}", log.err);
}

#[tokio::test]
async fn forms_are_answered_beforehand() {
    let server = reference_server(&[]);
    let mut form = options(&server, "sg_elicit_form");
    form.answers = pairs(&[("name", "Ada"), ("age", "36"), ("colour", "Red")]);
    let answered = run(&form).await;
    let content = json!({"name": "Ada", "age": 36, "colour": "r", "subscribe": false});
    assert_eq!(answered.structured(), json!({"action": "accept", "content": content}));

    let mut two = options(&server, "sg_elicit_two");
    two.answers = pairs(&[("first", "1"), ("second", "2")]);
    let two = run(&two).await.structured();
    assert_eq!((&two["first"]["content"]["first"], &two["second"]["content"]["second"]), (&json!("1"), &json!("2")));

    let mut defaults = options(&server, "test_elicitation_sep1034_defaults");
    defaults.assume_yes = true;
    let defaults = run(&defaults).await;
    assert!(defaults.out.contains("action=accept"), "{}", defaults.out);
    assert!(defaults.out.contains("John Doe") && defaults.out.contains("95.5"), "{}", defaults.out);
}

#[tokio::test]
async fn without_a_person_questions_are_declined_with_a_reason() {
    let server = reference_server(&[]);
    let silent = run(&options(&server, "sg_elicit_form")).await;
    assert_eq!(silent.structured()["action"], "decline");
    assert!(silent.err.contains("? Who are you?\ndeclined: nobody is here"), "{}", silent.err);

    let mut wrong = options(&server, "sg_elicit_form");
    wrong.answers = pairs(&[("name", "Ada"), ("age", "200")]);
    let wrong = run(&wrong).await;
    assert_eq!(wrong.structured()["action"], "decline");
    assert!(wrong.err.contains("`age`"), "{}", wrong.err);
}

#[tokio::test]
async fn pages_are_shown_in_full_and_never_opened_unasked() {
    let server = reference_server(&[]);
    let mut page = options(&server, "sg_elicit_url");
    page.json = Some(r#"{"url": "https://example.com/visit?x=1"}"#.into());
    let declined = run(&page).await;
    assert_eq!(declined.structured()["action"], "decline");
    assert!(declined.err.contains("  https://example.com/visit?x=1\n"), "{}", declined.err);

    page.answers = pairs(&[("url", "accept")]);
    assert_eq!(run(&page).await.structured()["action"], "accept");

    page.json = Some(r#"{"url": "file:///etc/passwd"}"#.into());
    let refused = run(&page).await;
    assert_eq!(refused.structured()["action"], "decline");
    assert!(refused.err.contains("is not a web page"), "{}", refused.err);
}

#[tokio::test]
async fn a_call_that_needs_a_page_is_repeated_after_the_visit() {
    let server = reference_server(&[]);
    let mut page = options(&server, "sg_url_required");
    let refused = run(&page).await;
    assert!(refused.err.contains("https://example.com/connect/"), "{}", refused.err);
    assert!(matches!(refused.ended, Err(ClientError::Protocol { code: -32042, .. })));

    page.answers = pairs(&[("url", "accept")]);
    let visited = run(&page).await;
    assert!(visited.out.contains("the page was visited"), "{}", visited.out);
}

#[tokio::test]
async fn an_interruption_cancels_the_call_at_the_server() {
    let server = reference_server(&[]);
    let mut wait = options(&server, "sg_wait");
    wait.json = Some(r#"{"ms": 60000}"#.into());
    let (console, ..) = console();
    let interrupt = Notify::new();
    let ended = tokio::join!(call_until(&wait, &console, async || interrupt.notified().await), async {
        while stats(&server).await["calls"] != 1 {
            tokio::task::yield_now().await;
        }
        interrupt.notify_one();
    });
    assert_eq!(ended.0.unwrap().exit_code(), 130);
    tokio::time::timeout(Duration::from_secs(10), async {
        while stats(&server).await["cancelled"] != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_session_goes_on_in_the_next_call() {
    let server = reference_server(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("shop.session");
    let mut counter = options(&server, "sg_counter");
    assert_eq!(run(&counter).await.structured(), json!({"count": 1}));
    assert_eq!(stats(&server).await["sessions"], 0, "a session that is not kept is ended");

    counter.session_file = Some(path.clone());
    for count in 1..=3 {
        assert_eq!(run(&counter).await.structured(), json!({"count": count}));
    }
    assert_eq!(stats(&server).await["sessions"], 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    // The server forgets the session: a new one takes its place, in the file too.
    let forget = server.url.replace("/mcp", "/control/forget-sessions");
    reqwest::Client::new().post(forget).send().await.unwrap();
    for count in 1..=2 {
        assert_eq!(run(&counter).await.structured(), json!({"count": count}));
    }

    let other = reference_server(&[]);
    counter.endpoint.url = other.url.parse().unwrap();
    let error = run(&counter).await.ended.unwrap_err();
    assert!(matches!(error, ClientError::SessionFile { .. }), "{error}");
}

#[tokio::test]
async fn a_stream_that_breaks_is_resumed() {
    let server = reference_server(&["--retry-ms", "20"]);
    let run = run(&options(&server, "test_reconnection")).await;
    assert!(run.out.contains("closed and resumed"), "{:?} {}", run.ended, run.err);
    assert!(stats(&server).await["resumed"].as_u64().unwrap() >= 1);
}

#[tokio::test]
async fn everything_is_listed_over_all_pages() {
    let server = reference_server(&["--many"]);
    let endpoint = options(&server, "").endpoint;
    let (screen, out, _) = console();
    list(&ListOptions { endpoint: endpoint.clone(), output: Output::Json }, &screen).await.unwrap();
    let lists: Value = serde_json::from_str(&out.text()).unwrap();
    let names: Vec<&str> = lists["tools"].as_array().unwrap().iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("page_")).count(), 250);
    assert_eq!(lists["resourceTemplates"][0]["uriTemplate"], "test://template/{id}/data");

    let (screen, out, _) = console();
    list(&ListOptions { endpoint, output: Output::Human }, &screen).await.unwrap();
    assert!(out.text().starts_with("sessiongate-reference-server 1.0.0, revision 2025-11-25\n\ntools ("));
    assert!(out.text().contains("\nprompts (4)\n"));
}
