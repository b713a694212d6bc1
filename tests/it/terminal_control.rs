//! `sessiongate gateway` and `sessiongate target` by the real binary, against a running control plane.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::client::Client;
use crate::control_client::{Control, KEY, SECRET, gateway};
use crate::harness::reference_server;

/// What a caller's surroundings may say about a control plane.
const VARIABLES: [&str; 7] = [
    "SESSIONGATE_CONTROL",
    "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
];

/// One run of the program.
struct Run {
    code: i32,
    out: String,
    err: String,
}

// === impl Run ===

impl Run {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn shown(&self) -> String {
        format!("exit code {}\n{}\n{}", self.code, self.out, self.err)
    }

    /// What it printed for programs, if it succeeded.
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.shown());
        self.parsed()
    }

    fn parsed(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {}", self.shown()))
    }

    /// What it printed for people, if it succeeded.
    fn text(&self) -> &str {
        assert_eq!(self.code, 0, "{}", self.shown());
        &self.out
    }

    /// It ended so, and said these words.
    fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}", self.shown());
        for word in words {
            assert!(self.err.contains(word), "`{word}` is missing: {}", self.shown());
        }
    }
}

fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessiongate"));
    command.args(arguments);
    for name in VARIABLES {
        command.env_remove(name);
    }
    command
}

/// With the file of the running gateway.
fn command(control: &Control, arguments: &[&str]) -> Command {
    let mut command = bare(arguments);
    command.arg("--config").arg(control.home.file());
    command
}

fn run(control: &Control, arguments: &[&str]) -> Run {
    Run::of(command(control, arguments).output().unwrap())
}

/// The same for programs.
fn json(control: &Control, arguments: &[&str]) -> Value {
    run(control, &[arguments, &["--output", "json"]].concat()).json()
}

fn write(control: &Control, name: &str, text: &str) -> String {
    let file = control.home.path().join(name);
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// The address of the control plane.
fn endpoint(control: &Control) -> String {
    let config = sessiongate::config::load(&control.home.file()).unwrap();
    format!("http://{}", config.control.unwrap().listen)
}

async fn tools(url: &Value) -> Vec<String> {
    Client::ready(url.as_str().unwrap(), json!({})).await.tools().await
}

#[tokio::test]
async fn the_whole_life_of_a_gateway_and_its_target() {
    let server = reference_server(&[]);
    let control = Control::new("", "");
    let _program = control.start();

    let line = ["gateway", "create", "shop", "--authorizer", "none", "--sessions", "1h", "--streaming", "--debug"];
    let line = [&line[..], &["--description", "tea and more", "--tag", "team=a", "--wait"]].concat();
    let created = json(&control, &line);
    assert_eq!(
        (&created["status"], &created["roleArn"]),
        (&json!("READY"), &json!("arn:aws:iam::123456789012:role/sessiongate"))
    );
    let mcp = json!({"sessionConfiguration": {"sessionTimeoutInSeconds": 3600}, "streamingConfiguration": {"enableResponseStreaming": true}});
    assert_eq!(created["protocolConfiguration"]["mcp"], mcp);
    let id = created["gatewayId"].as_str().unwrap();

    // Whatever it is called by, it is the same; what `get` adds are the tags.
    for called in [id, created["gatewayArn"].as_str().unwrap(), "shop"] {
        let got = json(&control, &["gateway", "get", called]);
        assert_eq!((&got["gatewayUrl"], &got["tags"]), (&created["gatewayUrl"], &json!({"team": "a"})), "{called}");
    }
    let shown = run(&control, &["gateway", "get", "shop"]);
    for part in ["tea and more", "1h", "READY", "team=a", id] {
        assert!(shown.text().contains(part), "{part}: {}", shown.out);
    }
    let listed = json(&control, &["gateway", "list"]);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["gatewayId"]), (1, &json!(id)));
    let table = run(&control, &["gateway", "list"]);
    let lines: Vec<&str> = table.text().lines().collect();
    assert!(
        lines[0].starts_with("NAME") && lines[1].starts_with("shop") && lines[1].contains("READY"),
        "{}",
        table.out
    );

    let made = run(&control, &["target", "create", "shop", "ref", "--url", &server.url, "--wait"]);
    assert!(made.text().contains("READY") && made.err.contains("target `ref` is CREATING"), "{}", made.shown());
    assert!(tools(&created["gatewayUrl"]).await.contains(&"ref___test_simple_text".to_owned()));
    let target = json(&control, &["target", "get", "shop", "ref"]);
    let target_id = target["targetId"].as_str().unwrap();
    assert_eq!(json(&control, &["target", "get", id, target_id]), target);
    let listed = json(&control, &["target", "list", "shop"]);
    assert_eq!((&listed[0]["name"], &listed[0]["targetType"]), (&json!("ref"), &json!("MCP_SERVER")));
    assert!(run(&control, &["target", "list", "shop"]).text().contains("MCP_SERVER"));

    let synchronised = json(&control, &["target", "sync", "shop", "ref", "--wait"]);
    assert_eq!(synchronised["status"], "READY");
    assert_ne!(synchronised["lastSynchronizedAt"], target["lastSynchronizedAt"]);
    let changed = json(&control, &["target", "update", "shop", "ref", "--name", "tea", "--wait"]);
    assert_eq!(changed["targetConfiguration"], target["targetConfiguration"]);
    assert!(tools(&created["gatewayUrl"]).await.contains(&"tea___test_simple_text".to_owned()));

    run(&control, &["gateway", "delete", "shop"]).failed(2, &["has 1 targets: delete them first"]);
    let gone = run(&control, &["target", "delete", "shop", "tea", "--wait"]);
    assert_eq!(gone.text(), "target `tea` is deleted\n", "{}", gone.shown());
    assert_eq!(json(&control, &["target", "list", "shop"]), json!([]));
    assert_eq!(json(&control, &["gateway", "delete", id, "--wait"])["status"], "DELETING");
    run(&control, &["gateway", "get", "shop"]).failed(2, &["there is no gateway `shop`"]);
}

#[tokio::test]
async fn an_update_keeps_what_was_not_named() {
    let server = reference_server(&[]);
    let control = Control::new("", "");
    let _program = control.start();
    // Members for which there is no flag, too.
    let file = write(
        &control,
        "gateway.yml",
        "authorizerType: NONE\ndescription: of the file\nexceptionLevel: DEBUG\ntags: {a: b}\ndomainOverride:\n  \
         default: shop.example\nprotocolConfiguration:\n  mcp:\n    instructions: be kind\n    supportedVersions: \
         ['2025-11-25']\n    sessionConfiguration: {sessionTimeoutInSeconds: 900}\n",
    );
    let before =
        json(&control, &["gateway", "create", "shop", "--from", &file, "--description", "of the flag", "--wait"]);
    assert_eq!(
        (&before["description"], &before["domainOverride"]["default"]),
        (&json!("of the flag"), &json!("shop.example"))
    );

    let line = ["gateway", "update", "shop", "--sessions", "2h", "--tag", "c=d", "--wait"];
    let after = json(&control, &line);
    let mut expected = before.clone();
    expected["protocolConfiguration"]["mcp"]["sessionConfiguration"]["sessionTimeoutInSeconds"] = json!(7200);
    expected["updatedAt"] = after["updatedAt"].clone();
    assert_eq!(after, expected);
    assert_eq!(json(&control, &["gateway", "get", "shop"])["tags"], json!({"a": "b", "c": "d"}));
    let after = json(&control, &["gateway", "update", "shop", "--sessions", "off", "--description", "", "--wait"]);
    assert!(after.get("description").is_none(), "{after}");
    assert_eq!(
        after["protocolConfiguration"]["mcp"],
        json!({"instructions": "be kind", "supportedVersions": ["2025-11-25"]})
    );
    run(&control, &["gateway", "update", "shop"]).failed(2, &["nothing to change"]);

    // What `get` prints makes another one.
    let mut printed = json(&control, &["gateway", "get", "shop"]);
    // A domain is one gateway's alone.
    let file = write(&control, "printed.json", &printed.to_string());
    run(&control, &["gateway", "create", "twin", "--from", &file, "--wait"]).failed(2, &["shop.example"]);
    printed.as_object_mut().unwrap().remove("domainOverride");
    let file = write(&control, "printed.json", &printed.to_string());
    let twin = json(&control, &["gateway", "create", "twin", "--from", &file, "--wait"]);
    assert_eq!((&twin["name"], &twin["protocolConfiguration"]), (&json!("twin"), &after["protocolConfiguration"]));

    let line = ["target", "create", "shop", "ref", "--url", &server.url, "--priority", "7", "--description", "d"];
    let before = json(&control, &[&line[..], &["--pass-request-header", "X-Tenant", "--wait"]].concat());
    let after = json(&control, &["target", "update", "shop", "ref", "--description", "e", "--wait"]);
    assert_eq!((&after["description"], &after["status"]), (&json!("e"), &json!("READY")));
    for member in ["name", "targetId", "targetConfiguration", "metadataConfiguration"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    let schema = json!({"tools": [{"name": "brew", "inputSchema": {"type": "object"}}]}).to_string();
    let schema = write(&control, "tools.json", &schema);
    let after = json(&control, &["target", "update", "shop", "ref", "--schema", &schema, "--wait"]);
    assert_eq!(after["targetConfiguration"]["mcp"]["mcpServer"]["resourcePriority"], 7);
    run(&control, &["target", "sync", "shop", "ref"]).failed(2, &["mcpToolSchema"]);
}

#[tokio::test]
async fn a_target_that_fails_says_why() {
    let control = Control::new("", "");
    let _program = control.start();
    control.gateway("shop", json!({})).await;
    let line = ["target", "create", "shop", "ref", "--url", "http://127.0.0.1:1/mcp", "--wait"];
    let failed = run(&control, &[&line[..], &["--output", "json"]].concat());
    let target = failed.parsed();
    let reason = target["statusReasons"][0].as_str().unwrap();
    assert_eq!(target["status"], "FAILED");
    failed.failed(1, &["target `ref` is FAILED", reason]);
    assert!(run(&control, &["target", "get", "shop", "ref"]).text().contains(reason));
    // It can be mended.
    let server = reference_server(&[]);
    let mended = json(&control, &["target", "update", "shop", "ref", "--url", &server.url, "--wait"]);
    assert_eq!(mended["status"], "READY");
    drop(server);
    run(&control, &["target", "sync", "shop", "ref", "--wait"]).failed(1, &["SYNCHRONIZE_UNSUCCESSFUL"]);
}

#[tokio::test]
async fn what_is_refused_says_what_to_do() {
    let control = Control::new("", "");
    let program = control.start();
    control.gateway("shop", json!({})).await;
    let address = endpoint(&control);
    let signed = |secret: &str, arguments: &[&str]| {
        let mut command = bare(arguments);
        command.env("SESSIONGATE_CONTROL", &address).env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", secret);
        Run::of(command.output().unwrap())
    };
    // Without a file, with variables only.
    assert!(signed(SECRET, &["gateway", "list"]).text().contains("shop"));
    let wrong = "a secret that is another one";
    let refused = signed(wrong, &["gateway", "list"]);
    refused.failed(2, &["AWS_ACCESS_KEY_ID", KEY, &address]);
    assert!(!refused.shown().contains(wrong) && !refused.shown().contains(SECRET), "{}", refused.shown());
    Run::of(bare(&["gateway", "list"]).output().unwrap()).failed(2, &["AWS_ACCESS_KEY_ID", "--config"]);

    run(&control, &["gateway", "get", "shpo"]).failed(2, &["there is no gateway `shpo`; did you mean `shop`?"]);
    run(&control, &["gateway", "get", "shop-0000000000"]).failed(2, &["there is no gateway `shop-0000000000`"]);
    run(&control, &["target", "get", "shop", "cart"]).failed(2, &["there is no target `cart`"]);
    run(&control, &["target", "sync", "bank", "cart"]).failed(2, &["there is no gateway `bank`"]);
    run(&control, &["gateway", "create", "two"]).failed(2, &["--authorizer none"]);
    let line = ["gateway", "create", "two", "--authorizer", "none", "--sessions", "1m", "--role", "me"];
    run(&control, &line).failed(2, &["sessionTimeoutInSeconds", "set by --sessions", "`roleArn` is set by --role"]);
    run(&control, &["gateway", "create", "shop", "--authorizer", "none"])
        .failed(2, &["there is a gateway `shop` already"]);
    let file = write(&control, "gateway.json", r#"{"authorizerType": "NONE", "descripton": "x"}"#);
    run(&control, &["gateway", "create", "two", "--from", &file]).failed(2, &["`descripton`"]);
    assert_eq!(json(&control, &["gateway", "list"]).as_array().unwrap().len(), 1);

    drop(program);
    run(&control, &["gateway", "list"]).failed(3, &["cannot reach the control plane", &address]);
}

#[tokio::test]
async fn who_stops_waiting_stops_nothing_else() {
    let control = Control::new("", "");
    let _program = control.start();
    control.gateway("shop", json!({})).await;
    // It takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", silent.local_addr().unwrap());
    let line = ["target", "create", "shop", "slow", "--url", &url, "--wait"];
    let given_up = run(&control, &[&line[..], &["--timeout", "300ms", "--output", "json"]].concat());
    given_up.failed(3, &["still CREATING after 300ms"]);
    assert_eq!(given_up.parsed()["status"], "CREATING");

    let line = ["target", "create", "shop", "slower", "--url", &url, "--wait"];
    let mut child = command(&control, &line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut says = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    says.read_line(&mut first).unwrap();
    assert_eq!(first, "target `slower` is CREATING\n");
    let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(id, Signal::SIGINT).unwrap();
    let mut rest = String::new();
    says.read_to_string(&mut rest).unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.code, 130, "{rest}");
    assert!(rest.contains("no longer waiting: target `slower` stays as it is, CREATING"), "{rest}");
    assert!(rest.contains("`sessiongate target get shop slower`") && run.out.contains("CREATING"), "{rest}{}", run.out);
    assert_eq!(json(&control, &["target", "get", "shop", "slower"])["status"], "CREATING");
}

#[tokio::test]
async fn waiting_goes_on_over_the_death_of_the_control_plane() {
    let control = Control::new("", "");
    let mut program = control.start();
    control.gateway("shop", json!({})).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", silent.local_addr().unwrap());
    let line = ["target", "create", "shop", "slow", "--url", &url, "--wait"];
    let mut child = command(&control, &line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut says = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    says.read_line(&mut first).unwrap();
    assert_eq!(first, "target `slow` is CREATING\n");
    program.kill();
    drop(silent);
    let _program = control.start();
    let mut rest = String::new();
    says.read_to_string(&mut rest).unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.code, 1, "{rest}{}", run.shown());
    assert!(rest.contains("FAILED"), "{rest}");
}

#[tokio::test]
async fn lists_are_whole_and_too_many_requests_are_spread() {
    let control = Control::new("", "");
    let program = control.start();
    let mut names: Vec<String> = (0..105).map(|number| format!("shop{number}")).collect();
    for name in &names {
        control.ok("POST", "/gateways/", Some(&gateway(name, json!({})))).await;
    }
    let listed = json(&control, &["gateway", "list"]);
    let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
    let mut found: Vec<String> = listed.as_array().unwrap().iter().map(name).collect();
    found.sort();
    names.sort();
    assert_eq!(found, names);

    drop(program);
    let text = std::fs::read_to_string(control.home.file()).unwrap();
    control.home.write_text(&text.replace("changes_per_second: 10000", "changes_per_second: 1"));
    let _program = control.start();
    for number in 0..3 {
        json(&control, &["gateway", "create", &format!("late{number}"), "--authorizer", "none"]);
    }
}

#[test]
fn help_teaches_by_example() {
    for line in [&["gateway"][..], &["gateway", "create"], &["gateway", "update"], &["target"], &["target", "create"]] {
        let help = Run::of(bare(&[line, &["--help"]].concat()).output().unwrap());
        assert!(help.text().contains(&format!("sessiongate {}", line.join(" "))), "{}", help.out);
        assert!(help.out.contains("Examples:"), "{}", help.out);
    }
    let completions = Run::of(bare(&["completions", "bash"]).output().unwrap());
    assert!(completions.text().contains("--discovery-url") && completions.out.contains("--pass-request-header"));
}
