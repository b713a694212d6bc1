use std::time::Duration;

use super::super::error::Position;
use super::super::model::{McpConfig, Naming, Transport};
use super::*;

fn lookup(name: &str) -> Option<String> {
    match name {
        "SHOP_KEY" => Some("0123456789abcdef-shop".to_owned()),
        "MAX" => Some("7".to_owned()),
        "NO" => Some("false".to_owned()),
        "EVIL" => Some("sesame, command: rm\n".to_owned()),
        "WORD" => Some("sesame".to_owned()),
        _ => None,
    }
}

fn good(text: &str) -> Config {
    parse("good.yaml", text, &lookup).unwrap_or_else(|errors| panic!("{errors}"))
}

fn bad(text: &str) -> ConfigErrors {
    parse("bad.yaml", text, &lookup).expect_err("an error")
}

/// A file around one gateway's extra keys and one target's `mcp`.
fn file(gateway: &str, target: &str) -> String {
    format!("gateways:\n  - name: shop\n{gateway}    targets:\n      - name: cart\n{target}")
}

const TARGET: &str = "        mcp: {command: cart}\n";

#[test]
fn the_example_loads() {
    let config = good(include_str!("../../../docs/examples/gateway.yaml"));
    let gateway = config.gateway("shop").unwrap();
    assert_eq!((config.listen.to_string().as_str(), &*gateway.endpoint_path()), ("127.0.0.1:8080", "/mcp"));
    assert_eq!(gateway.targets.len(), 3);
    let McpConfig::Http(cart) = &gateway.target("cart").unwrap().mcp else { panic!("{gateway:?}") };
    assert_eq!(cart.headers["x-team"].expose(), "cart");
    let McpConfig::Http(legacy) = &gateway.target("legacy").unwrap().mcp else { panic!("{gateway:?}") };
    assert_eq!((legacy.transport, gateway.target("legacy").unwrap().resource_priority), (Transport::Sse, 10));
    assert_eq!(super::super::advice(&config), [""; 0]);
}

#[test]
fn the_least_file_has_the_documented_defaults() {
    let config = good(&file("", TARGET));
    assert_eq!(config, Config { gateways: config.gateways.clone(), ..Config::default() });
    let gateway = &config.gateways[0];
    let sessions = gateway.sessions.settings().unwrap();
    assert_eq!((gateway.naming, &*gateway.endpoint_path()), (Naming::Prefixed, "/gateways/shop/mcp"));
    assert_eq!(sessions.timeout, Duration::from_secs(3600));
    assert_eq!((sessions.calls_in_flight, sessions.open_streams, sessions.pending_questions), (64, 16, 32));
    assert_eq!(gateway.targets[0].timeout, Duration::from_secs(900));
    assert_eq!(gateway.targets[0].link_limits().message_bytes, 16 << 20);
    assert_eq!((config.body_limit, config.limits.sessions), (6_000_000, 100_000));
}

#[test]
fn types_follow_the_key() {
    let config = good(
        "
listen: localhost:${MAX}
body_limit: 65536
gateways:
  - name: 007
    sessions: {max_per_principal: \"${MAX}\", timeout: 15m}
    streaming: ${NO}
    instructions: yes
    api_keys: [{name: 1e3, key: \"${SHOP_KEY}\"}]
    targets: [{name: 1, mcp: {command: no, args: [8080, 1.0, null-ish, \"${EVIL}\", $$x], env: {A: 1, B: true}}}]
  - name: off
    sessions: off
    targets: [{name: one, mcp: {command: one}, required: }]
",
    );
    assert_eq!((config.listen.port(), config.body_limit), (7, 65_536));
    let gateway = &config.gateways[0];
    assert_eq!(
        (gateway.name.as_str(), gateway.streaming, gateway.instructions.as_deref()),
        ("007", false, Some("yes"))
    );
    assert_eq!(gateway.sessions.settings().unwrap().max_per_principal, 7);
    assert_eq!((gateway.api_keys[0].name.as_str(), gateway.api_keys[0].key.expose()), ("1e3", "0123456789abcdef-shop"));
    let McpConfig::Stdio(stdio) = &gateway.targets[0].mcp else { panic!("{gateway:?}") };
    assert_eq!((stdio.command.as_str(), stdio.env["B"].expose()), ("no", "true"));
    assert_eq!(stdio.args, ["8080", "1.0", "null-ish", "sesame, command: rm\n", "$x"]);
    assert!(config.gateways[1].sessions.settings().is_none());
    assert!(config.gateways[1].targets[0].required);
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
}

#[test]
fn anchors_and_merges_work() {
    let config = good(
        "
gateways:
  - name: a
    sessions: &long {timeout: 8h, idle_timeout: 1h}
    targets: &targets [{name: one, mcp: {command: one}}]
  - name: b
    sessions: {<<: *long, idle_timeout: 2h}
    targets: *targets
",
    );
    let settings = config.gateways[1].sessions.settings().unwrap();
    assert_eq!((settings.timeout, settings.idle_timeout), (Duration::from_secs(8 * 3600), Duration::from_secs(7200)));
    assert_eq!(config.gateways[0].targets, config.gateways[1].targets);
}

/// The shape that is promised to users, word for word.
#[test]
fn the_promised_shape_loads() {
    let config = good(
        r#"
listen: 127.0.0.1:8080            # loopback unless said otherwise
public_url: https://gw.example    # what clients see; default from listen
data_dir: ./sessiongate-data      # sled lives here
allow_private_networks: [127.0.0.0/8]   # what targets may resolve to besides public addresses
gateways:
  - name: shop
    path: /mcp                    # default /gateways/{name}/mcp
    naming: prefixed              # prefixed (target___tool) | plain (only where a name is offered once; needed for one target)
    sessions: {timeout: 1h, idle_timeout: 30m, max_per_principal: 1000}   # timeout 15m to 8h; `sessions: off` for stateless
    streaming: true
    instructions: "…"
    targets:
      - name: cart
        mcp: {url: "http://127.0.0.1:3001/mcp", headers: {x-team: cart}}
        timeout: 15m
      - name: files
        mcp: {command: npx, args: ["-y", "@modelcontextprotocol/server-filesystem", "/data"]}
      - name: legacy
        mcp: {url: "http://127.0.0.1:3003/sse", transport: sse}
        resource_priority: 10     # 0 to 1000, default 1000; lowest wins a URI conflict, then the one synchronised first
"#,
    );
    assert_eq!(config.public_url().unwrap().as_str(), "https://gw.example/");
    assert_eq!(config.gateways[0].targets.len(), 3);
}

/// What is wrong, where, and what the message says.
#[test]
fn one_mistake_each() {
    let target = |text: &str| file("", &format!("        {text}\n"));
    let gateway = |text: &str| file(&format!("    {text}\n"), TARGET);
    let top = |text: &str| format!("{text}\n{}", file("", TARGET));
    let cases: Vec<(String, usize, &[&str])> = vec![
        // The document.
        (String::new(), 0, &["bad.yaml: is empty"]),
        ("# nothing\n".to_owned(), 0, &["is empty"]),
        ("gateways: []".to_owned(), 1, &["there is no gateway"]),
        ("listen: localhost:1".to_owned(), 1, &["gateways: there is no gateway; add one"]),
        ("gateway: []".to_owned(), 1, &["unknown key `gateway`", "did you mean `gateways`?"]),
        ("- a".to_owned(), 1, &["expected a mapping, found a list"]),
        ("a: [1\nb: 2".to_owned(), 2, &["not valid YAML"]),
        ("a:\n\tb: 2".to_owned(), 2, &["not valid YAML", "spaces, not with tabs"]),
        ("a: 1\n---\nb: 2\n".to_owned(), 3, &["a second document"]),
        ("a: *nothing".to_owned(), 1, &["not valid YAML", "anchor"]),
        ("a: &a [*a]".to_owned(), 1, &["refers to itself"]),
        ("{a: 1}: 2".to_owned(), 1, &["a key must be text"]),
        ("listen: 1\nlisten: 2".to_owned(), 2, &["the key `listen` was already given on line 1"]),
        // Values of the process.
        (top("listen: 8080"), 1, &["listen: `8080` is not an address with a port", "127.0.0.1:8080"]),
        (top("listen: \":8080\""), 1, &["all interfaces"]),
        (top("body_limit: lots"), 1, &["`lots` is not a size", "6MB"]),
        (top("body_limit: 2GiB"), 1, &["2GiB is out of range", "1KiB to 1GiB"]),
        (top("shutdown_timeout: 10"), 1, &["`10` is not a duration", "15s"]),
        (top("durability: disc"), 1, &["`disc` is not known here", "did you mean `disk`?"]),
        (top("allow_private_networks: [10.0.0.0/8, 10.0.0.0/40]"), 1, &["allow_private_networks[1]", "not a network"]),
        (top("allow_private_networks: 10.0.0.0/8"), 1, &["expected a list"]),
        (top("limits: {session: 5}"), 1, &["limits.session: unknown key", "did you mean `sessions`?"]),
        (top("limits: {sessions: 0}"), 1, &["a whole number from 1 to 10000000"]),
        (top("limits: {sessions: \"5\"}"), 1, &["found text `5`", "take the quotes away"]),
        (top("limits: {sessions: 1.5}"), 1, &["limits.sessions", "a whole number"]),
        (top("log: {format: xml}"), 1, &["log.format", "one of: human, json"]),
        (top("public_url: gw.example"), 1, &["an http or https URL", "https://"]),
        (top("public_url: https://u:p@gw.example"), 1, &["has a query, a fragment or a user"]),
        (top("allowed_origins: [https://app.example/]"), 1, &["allowed_origins[0]", "without a slash"]),
        (top("allowed_hosts: [https://gw.example]"), 1, &["allowed_hosts[0]", "is not a host"]),
        (top("listenn: x"), 1, &["did you mean `listen`?"]),
        (top("zzz: x"), 1, &["unknown key `zzz`", "known here: ", "gateways"]),
        (top("data_dir: ${NOWHERE}"), 1, &["data_dir: the environment variable `NOWHERE` is not set", "${NOWHERE:-…}"]),
        (top("data_dir: ${"), 1, &["`${` is not a reference", "$$ for a dollar sign"]),
        (top("limits: {sessions: \"${WORD}\"}"), 1, &["found `${WORD}`"]),
        (top("log: {level: ${WORD}}"), 1, &["put a reference inside {…} or […] into quotes"]),
        // Gateways.
        (gateway("streaming: yes"), 3, &["gateways[0].streaming", "write true, without quotes"]),
        (gateway("naming: prefix"), 3, &["did you mean `prefixed`?", "one of: prefixed, plain"]),
        (gateway("path: mcp"), 3, &["gateways[0].path: `mcp` is not a path"]),
        (gateway("path: /mcp/"), 3, &["end without"]),
        (gateway("path: /metrics/x"), 3, &["`/metrics` is answered by the process itself"]),
        (gateway("sessions: {timeout: 5m}"), 3, &["sessions.timeout: 5m is out of range; choose 15m to 8h"]),
        (gateway("sessions: {timeout: 9h}"), 3, &["out of range"]),
        (gateway("sessions: on"), 3, &["expected a mapping or `off`"]),
        (gateway("sessions: {idle-timeout: 5m}"), 3, &["did you mean `idle_timeout`?"]),
        (gateway("keep_alive: 0"), 3, &["0s is out of range"]),
        (gateway("sse_polling: {close_after: 2h}"), 3, &["sse_polling.close_after"]),
        (gateway("max_name_length: 10"), 3, &["from 32 to 1024"]),
        (gateway("authorizer: {type: jot}"), 3, &["authorizer.type: `jot` is not known", "did you mean `jwt`?"]),
        (gateway("authorizer: {discovery_url: 'https://a'}"), 3, &["the key `type` is missing", "authenticate-only"]),
        (gateway("authorizer: iam"), 3, &["expected a mapping"]),
        (gateway("authorizer: {type: jwt}"), 3, &["authorizer.discovery_url: the key `discovery_url` is missing"]),
        (gateway("authorizer: {type: jwt, discovery_url: 'https://a', audience: x}"), 3, &["unknown key `audience`"]),
        (gateway("authorizer: {type: iam}"), 3, &["authorizer.type: `iam` knows nobody", "control.credentials"]),
        (gateway("authorizer: {type: jwt, discovery_url: 'https://issuer.example'}"), 3, &["discoveryUrl must be"]),
        (gateway("hosts: ['shop.example:80']"), 3, &["hosts[0]: `shop.example:80` is not a host"]),
        (gateway("hosts: [shop.example, Shop.example]"), 3, &["hosts[1]", "is a host of gateway `shop`"]),
        (gateway("api_keys: [{name: a}]"), 3, &["api_keys[0].key: the key `key` is missing"]),
        (gateway("api_keys: [{name: a, key: \"\"}]"), 3, &["api_keys[0].key: is empty"]),
        (gateway("api_keys: [{name: a, key: \"sesame open\"}]"), 3, &["a bearer token cannot have"]),
        (
            gateway(
                "api_keys: [{name: a, key: \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}]",
            ),
            3,
            &["is the hash of an empty text"],
        ),
        (gateway("api_keys: [{name: a, key: [sesame]}]"), 3, &["api_keys[0].key: expected text, found a list"]),
        (
            "gateways: [{name: Shop, targets: [{name: a, mcp: {command: a}}]}]".to_owned(),
            1,
            &["`Shop` is not a gateway name"],
        ),
        ("gateways: [{name: a, targets: []}]".to_owned(), 1, &["gateways[0].targets: there is no target"]),
        ("gateways:\n  - name: a\n    targets:".to_owned(), 3, &["gateways[0].targets: has no value"]),
        (
            "gateways:\n  - targets: [{name: a, mcp: {command: a}}]".to_owned(),
            2,
            &["the key `name` is missing", "it is: Its name"],
        ),
        // Targets.
        (target("mcp: {url: \"ftp://h\"}"), 5, &["targets[0].mcp.url", "http or https"]),
        (target("mcp: {url: \"http://u:p@h\"}"), 5, &["mcp.url: has a user or a password"]),
        (target("mcp: {url: \"http://h\", command: x}"), 5, &["needs only one of `url` and `command`"]),
        (target("mcp: {}"), 5, &["needs one of `url` and `command`", "one that is started"]),
        (target("mcp: {uri: \"http://h\"}"), 5, &["did you mean `url` by `uri`?"]),
        (target("mcp: {url: \"http://h\", transport: stdio}"), 5, &["one of: auto, streamable-http, sse"]),
        (target("mcp: {url: \"http://h\", args: [x]}"), 5, &["mcp.args: unknown key `args`"]),
        (target("mcp: {url: \"http://h\", headers: {\"a b\": c}}"), 5, &["mcp.headers.a b: is not a header name"]),
        (target("mcp: {url: \"http://h\", headers: {Host: c}}"), 5, &["a header that the gateway sets itself"]),
        (target("mcp: {url: \"http://h\", headers: {a: \"${EVIL}\"}}"), 5, &["a line break"]),
        (target("mcp: {command: npx -y server}"), 5, &["no shell splits it", "each argument into `args`"]),
        (target("mcp: {command: x, mode: pool}"), 5, &["one of: per-session, shared"]),
        (target("mcp: http://h"), 5, &["targets[0].mcp: expected a mapping, found text"]),
        (target("mcp: {url: \"h?key=sesame\"}"), 5, &["mcp.url: `h?…` is not an http or https URL"]),
        (target("mcp: {url: \"http://h\", headers: sesame}"), 5, &["mcp.headers: expected a mapping, found text"]),
        (target("url: http://h"), 4, &["the key `mcp` is missing"]),
        (target("mcp: {command: x}\n        timeout: 9h"), 6, &["targets[0].timeout: 9h is out of range"]),
        (target("mcp: {command: x}\n        resource_priority: 1001"), 6, &["from 0 to 1000"]),
        (target("mcp: {command: x}\n        message_limit: 1"), 6, &["1KiB to 1GiB"]),
        (
            target("mcp: {command: x}\n        affinity: session"),
            6,
            &["targets[0].affinity: expected `principal` or `call` or `handle` or a mapping, found `session`"],
        ),
        (target("mcp: {command: x}\n        affinity: {}"), 6, &["affinity.header: the key `header` is missing"]),
        (target("mcp: {command: x}\n        affinity: {headers: a}"), 6, &["did you mean `header`?"]),
        (target("mcp: {command: x}\n        affinity: {header: a b}"), 6, &["affinity.header: is not a header name"]),
        (target("mcp: {command: x}\n        affinity: {header: \"\"}"), 6, &["is not a header name"]),
        (
            target("mcp: {command: x}\n        affinity: {header: Mcp-Name}"),
            6,
            &["`Mcp-Name` has a meaning of its own"],
        ),
        (target("mcp: {command: x}\n        affinity: {header: Authorization}"), 6, &["a meaning of its own"]),
        (
            "gateways: [{name: a, listing: dynamic, targets: [{name: a, affinity: handle, mcp: {command: a}}]}]"
                .to_owned(),
            1,
            &["targets[0].affinity: `handle` adds to the tools", "take `listing: default`"],
        ),
        (
            "gateways: [{name: a, targets: [{name: a___b, mcp: {command: a}}]}]".to_owned(),
            1,
            &["`a___b` is not a target name"],
        ),
    ];
    for (text, line, parts) in cases {
        let errors = bad(&text);
        let shown = errors.to_string();
        for part in parts {
            assert!(shown.contains(part), "{part}\nin: {shown}\nof:\n{text}");
        }
        assert!(!shown.contains("sesame"), "{shown}");
        let place = (line > 0).then_some(line);
        let lines: Vec<_> = errors.0.iter().map(|error| error.position.map(|at| at.line)).collect();
        assert!(lines.contains(&place), "line {line}: {shown}\nof:\n{text}");
        assert!(shown.starts_with("bad.yaml:"), "{shown}");
    }
}

#[test]
fn all_mistakes_are_reported_in_the_order_of_the_file() {
    let text = "\
listen: nowhere
gateways:
  - name: shop
    path: /mcp
    streeming: true
    targets:
      - name: cart
        mcp: {url: \"http://h\", headers: {x-key: \"${NOWHERE}\"}}
        timeout: 1ms
      - name: cart
        mcp: {command: x}
  - name: shop
    path: /mcp
    targets: [{name: x, mcp: {command: x}}]
";
    let errors = bad(text);
    let found: Vec<(usize, usize, String)> = errors
        .0
        .iter()
        .map(|error| {
            let Position { line, column } = error.position.unwrap();
            (line, column, error.key.to_string())
        })
        .collect();
    let expected = [
        (1, 9, "listen"),
        (5, 5, "gateways[0].streeming"),
        (8, 49, "gateways[0].targets[0].mcp.headers.x-key"),
        (9, 18, "gateways[0].targets[0].timeout"),
        (10, 15, "gateways[0].targets[1].name"),
        (12, 11, "gateways[1].name"),
        (13, 11, "gateways[1].path"),
    ];
    let expected: Vec<_> = expected.iter().map(|(line, column, key)| (*line, *column, (*key).to_owned())).collect();
    assert_eq!(found, expected, "{errors}");
    assert!(
        errors
            .to_string()
            .contains("bad.yaml:5:5: gateways[0].streeming: unknown key `streeming`; did you mean `streaming`?")
    );
}

#[test]
fn what_would_fill_the_memory_is_refused() {
    let bomb = |levels: usize| -> String {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..levels {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        text
    };
    assert!(bad(&bomb(12)).to_string().contains("values"), "{}", bad(&bomb(12)));
    let deep = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
    assert!(bad(&deep).to_string().contains("nested over 64 levels"), "{}", bad(&deep));
    let deeper = "[".repeat(100_000);
    assert!(!bad(&deeper).0.is_empty());
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none.yaml");
    let shown = load(&file).unwrap_err().to_string();
    assert!(shown.starts_with(&format!("{}: cannot be read", file.display())), "{shown}");
    std::fs::write(&file, b"listen: \xff").unwrap();
    assert!(load(&file).unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn a_gateway_is_open_to_everyone_only_where_that_is_said() {
    let text = |more: &str| format!("listen: 0.0.0.0:80\n{}", file(more, TARGET));
    let errors = bad(&text("")).to_string();
    assert!(errors.contains("asks nobody who they are") && errors.contains("allow_anonymous: true"), "{errors}");
    good(&text("    allow_anonymous: true\n"));
    good(&text("    api_keys: [{name: a, key: 0123456789abcdef}]\n"));
    let issuer = "discovery_url: 'https://issuer.example/.well-known/openid-configuration'";
    good(&text(&format!("    authorizer: {{type: jwt, {issuer}}}\n")));
    // A flag may open the listener of a file that does not.
    let mut config = good(&file("", TARGET));
    assert!(super::super::exposed(&config).is_empty());
    config.listen = "[::]:80".parse().unwrap();
    assert_eq!(super::super::exposed(&config).len(), 1);
}

#[test]
fn advice_names_what_is_probably_not_meant() {
    let text = file("    api_keys: [{name: a, key: short}]\n", "        mcp: {url: \"http://127.0.0.1/mcp\"}\n");
    let advice = super::super::advice(&good(&text));
    assert_eq!(advice.len(), 2, "{advice:?}");
    assert!(!advice.concat().contains("`short`"), "{advice:?}");
}

#[test]
fn interceptors_and_what_they_need_are_checked() {
    let gateway = "    interceptors:
      - {lambda: 'arn:aws:lambda:eu-west-1:123456789012:function:check', points: [request], timeout: 2s}
      - {url: 'http://127.0.0.1:9000/hook', points: [response], pass_request_headers: true, exclude_response_body: true}
";
    let process = "aws: {region: eu-west-1, access_key_id: AKID, secret_access_key: '${SHOP_KEY}'}
endpoints: {lambda: 'http://127.0.0.1:4566', 'arn:aws:lambda:eu-west-1:123456789012:function:check': 'http://127.0.0.1:9/'}
";
    let config = good(&format!("{process}{}", file(gateway, TARGET)));
    let interceptors = &config.gateways[0].interceptors;
    assert_eq!((interceptors[0].timeout, interceptors[1].timeout), (Duration::from_secs(2), Duration::from_secs(10)));
    assert!(interceptors[1].pass_request_headers && interceptors[1].exclude_response_body);
    let identity = config.aws.as_ref().unwrap().identity(|_| None);
    assert_eq!(
        (identity.region(), identity.credentials.as_ref().unwrap().access_key_id.as_str()),
        ("eu-west-1", "AKID")
    );
    assert!(!format!("{config:?}").contains("0123456789abcdef"));

    let hook = |line: &str| bad(&file(&format!("    interceptors:\n{line}"), TARGET)).to_string();
    let one = "      - {url: 'http://127.0.0.1:9/', points: [request]}\n";
    for (text, expected) in [
        ("      - {points: [request]}\n".to_owned(), "neither"),
        ("      - {url: 'http://a/', lambda: x, points: [request]}\n".to_owned(), "has `lambda` and `url`"),
        ("      - {lambda: check, points: [request]}\n".to_owned(), "not the ARN of a function"),
        ("      - {url: 'http://u:p@a/', points: [request]}\n".to_owned(), "user or a password"),
        (one.replace("}", ", timeout: 1ms}"), "out of range"),
        (one.replace("[request]", "[]"), "points"),
        (one.replace("[request]", "[request, request]"), "has `request` twice"),
        (format!("{one}{one}"), "has `request`, which another interceptor has"),
    ] {
        let said = hook(&text);
        assert!(said.contains(expected), "{text}: {said}");
    }
    for (text, expected) in [
        ("endpoints: {'a b': 'http://127.0.0.1:9'}\n", "neither a host name"),
        ("endpoints: {a.example: 'http://127.0.0.1:9/?x=y'}\n", "without credentials, query and fragment"),
        ("aws: {access_key_id: AKID}\n", "secret_access_key"),
        ("aws: {session_token: x}\n", "belongs to an access key"),
    ] {
        let said = bad(&format!("{text}{}", file("", TARGET))).to_string();
        assert!(said.contains(expected), "{text}: {said}");
    }
}
