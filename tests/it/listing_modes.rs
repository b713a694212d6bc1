//! Lists from the catalogue and lists from the targets, in one gateway.

use serde_json::json;

use crate::client::Client;
use crate::either::{ERAS, Either};
use crate::harness::{Home, Program, eventually, http_target, reference_server};
use crate::modern_client::ModernClient;
use crate::scripted::{Reply, Scripted, result, text};

const LIVE: &str = "listing: dynamic";
/// Of such a target nothing is known.
const UNKNOWN: &str = "listing: dynamic, synchronisation: manual, required: false";

fn configured(home: &Home, head: &str, targets: &[(&str, &str, &str)]) -> Program {
    let targets: String = targets.iter().map(|(name, url, more)| http_target(name, url, more)).collect();
    home.configured(&format!("{head}\ntargets:\n{targets}"))
}

/// The targets that a page has names of, in their order.
fn owners(page: &[String]) -> Vec<&str> {
    let mut owners: Vec<&str> = page.iter().map(|name| name.split_once("___").unwrap().0).collect();
    owners.dedup();
    owners
}

#[tokio::test]
async fn the_pages_of_the_catalogue_come_first_then_target_by_target() {
    let (home, a, b, c) =
        (Home::new(), reference_server(&[]), reference_server(&["--era", "modern"]), reference_server(&[]));
    let mut dead = reference_server(&[]);
    let targets = [
        ("b", &*b.url, LIVE),
        ("dead", &dead.url, UNKNOWN),
        ("a", &a.url, ""),
        ("c", &c.url, UNKNOWN),
        ("d", &a.url, "listing: default"),
    ];
    let gateway = configured(&home, "", &targets);
    dead.kill();
    for era in ERAS {
        let mut client = Either::new(era, &gateway.url).await;
        for (method, member) in [("tools/list", "tools"), ("prompts/list", "prompts")] {
            let pages = client.pages(method, member, "name").await;
            let shown: Vec<Vec<&str>> = pages.iter().map(|page| owners(page)).collect();
            assert_eq!(shown, [vec!["a", "d"], vec!["b"], vec![], vec!["c"]], "{era} {method}");
        }
        let pages = client.pages("resources/list", "resources", "uri").await;
        assert_eq!(pages.len(), 4, "{era}");
        // What the catalogue has is not there again: it is read where the catalogue says.
        let counts: Vec<usize> = pages.iter().map(Vec::len).collect();
        assert!(pages[0].contains(&"test://static-text".to_owned()), "{era}: {pages:?}");
        assert!(counts[0] >= 3 && counts[1..] == [0, 0, 0], "{era}: {pages:?}");
        for target in ["a", "b", "c", "d"] {
            let answer = client.call(&format!("{target}___sg_echo"), json!({"x": 1})).await;
            assert_eq!(answer["result"]["structuredContent"], json!({"x": 1}), "{era} {target}: {answer}");
        }
        let failed = client.call("dead___sg_echo", json!({})).await;
        assert_eq!(failed["result"]["isError"], true, "{era}: {failed}");
        assert!(failed.to_string().contains("target `dead`"), "{era}: {failed}");
    }
    eventually("the log says so", async || gateway.log().contains("goes on without a target").then_some(())).await;
}

#[tokio::test]
async fn what_was_never_listed_is_found_by_its_prefix() {
    let (home, a, b) = (Home::new(), reference_server(&[]), reference_server(&[]));
    for server in ["legacy", "modern"] {
        let live = reference_server(&["--era", server]);
        let targets = [("a", &*a.url, ""), ("live", &live.url, UNKNOWN), ("b", &b.url, "")];
        let gateway = configured(&home, "", &targets);
        for era in ERAS {
            let mut client = Either::new(era, &gateway.url).await;
            let echo = client.call("live___sg_echo", json!({"x": 1})).await;
            assert_eq!(echo["result"]["structuredContent"], json!({"x": 1}), "{server} {era}: {echo}");
            let name = "live___test_simple_prompt";
            let prompt = client.ask("prompts/get", json!({"name": name})).await;
            assert!(prompt.to_string().contains("simple prompt"), "{server} {era}: {prompt}");
            // Its own error, as it is.
            let unknown = client.call("live___nothing", json!({})).await;
            assert!(unknown.get("error").is_some() || unknown["result"]["isError"] == true, "{unknown}");
            assert_eq!(client.call("a___nothing", json!({})).await["error"]["code"], -32602);
        }
    }
}

#[tokio::test]
async fn a_live_list_is_never_old() {
    let (home, kept, live) = (Home::new(), reference_server(&[]), reference_server(&[]));
    let targets = [("kept", &*kept.url, "synchronisation: manual, required: false"), ("live", &*live.url, UNKNOWN)];
    let gateway = configured(&home, "", &targets);
    let data = home.data();
    let asked =
        crate::harness::sessiongate(&["sync", "--data-dir", data.to_str().unwrap(), "-g", "test", "-t", "kept"]);
    assert!(asked.status.success(), "{asked:?}");
    for era in ERAS {
        let mut client = Either::new(era, &gateway.url).await;
        for on in [true, false] {
            for target in ["kept", "live"] {
                client.call(&format!("{target}___sg_toggle_tool"), json!({})).await;
            }
            let tools = client.pages("tools/list", "tools", "name").await.concat();
            assert_eq!(tools.contains(&"live___sg_toggled".to_owned()), on, "{era}");
            assert!(!tools.contains(&"kept___sg_toggled".to_owned()), "{era}");
        }
    }
}

/// A target with one resource and one template of its own, which says who read.
fn library(who: &'static str) -> Scripted {
    Scripted::raw(move |request| match (request.method.as_str(), request.body["method"].as_str()) {
        ("POST", Some("initialize")) => Reply::Json(result(
            request,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"resources":{}},"serverInfo":{"name":"l","version":"1"}}"#,
        )),
        ("POST", Some("server/discover")) => Reply::Status(404),
        ("POST", Some("resources/list")) => {
            let list = json!({"resources": [{"uri": format!("{who}://one"), "name": who}]});
            Reply::Json(result(request, &list.to_string()))
        }
        ("POST", Some("resources/templates/list")) => {
            let list = json!({"resourceTemplates": [{"uriTemplate": format!("{who}://shelf/{{id}}"), "name": who}]});
            Reply::Json(result(request, &list.to_string()))
        }
        ("POST", Some("resources/read")) => {
            Reply::Json(result(request, &json!({"contents": [{"uri": "x:y", "text": who}]}).to_string()))
        }
        ("POST", _) if request.body.get("id").is_none() => Reply::Status(202),
        ("POST", _) => Reply::Json(result(request, "{}")),
        _ => Reply::Status(405),
    })
}

#[tokio::test]
async fn a_session_remembers_whose_resources_and_templates_it_was_shown() {
    let (home, a, b, c) = (Home::new(), library("a"), library("b"), library("c"));
    let targets = [("a", &*a.url, ""), ("b", &b.url, UNKNOWN), ("c", &c.url, UNKNOWN)];
    let mut gateway = configured(&home, "", &targets);
    let mut client = Client::ready(&gateway.url, json!({})).await;
    assert_eq!(client.ask("resources/read", json!({"uri": "c://one"})).await["error"]["code"], -32002);
    assert_eq!(client.list("resources/list", "resources").await.len(), 3);
    assert_eq!(client.list("resources/templates/list", "resourceTemplates").await.len(), 3);
    for restarted in [false, true] {
        if restarted {
            gateway.terminate();
            gateway = home.again();
            client.reconnect();
        }
        for who in ["a", "b", "c"] {
            for uri in [format!("{who}://one"), format!("{who}://shelf/7")] {
                let read = client.ask("resources/read", json!({"uri": uri})).await;
                assert_eq!(read["result"]["contents"][0]["text"], who, "{restarted} {uri}: {read}");
            }
        }
    }
}

#[tokio::test]
async fn plain_names_of_live_targets_are_those_that_the_session_was_shown() {
    let say = |who: &'static str| move |_: &str, request: &_| text(request, who);
    let (a, b) = (Scripted::named(&["both", "only_a"], say("a")), Scripted::named(&["both", "only_b"], say("b")));
    let home = Home::new();
    let gateway = configured(&home, "naming: plain", &[("a", &*a.url, ""), ("b", &*b.url, UNKNOWN)]);
    let mut client = Client::ready(&gateway.url, json!({})).await;
    assert_eq!(client.call("only_b", json!({})).await["error"]["code"], -32602, "nobody has heard of it");
    assert_eq!(client.tools().await, ["both", "only_a", "b___both", "only_b"]);
    for (tool, who) in [("both", "a"), ("only_a", "a"), ("b___both", "b"), ("only_b", "b"), ("b___only_b", "b")] {
        let answer = client.call(tool, json!({})).await;
        assert_eq!(answer["result"]["content"][0]["text"], who, "{tool}: {answer}");
    }
    // Without a session nobody remembers: the prefix stays.
    let mut modern = Either::new("modern", &gateway.url).await;
    let tools = modern.pages("tools/list", "tools", "name").await.concat();
    assert_eq!(tools, ["both", "only_a", "b___both", "b___only_b"]);
    assert_eq!(modern.call("b___only_b", json!({})).await["result"]["content"][0]["text"], "b");
}

#[tokio::test]
async fn without_pagination_the_catalogue_is_one_page() {
    let (home, many, live) = (Home::new(), reference_server(&["--many"]), reference_server(&[]));
    let targets = [("many", &*many.url, ""), ("live", &live.url, UNKNOWN)];
    for (pagination, pages) in [(true, 4), (false, 2)] {
        let gateway = configured(&home, &format!("pagination: {pagination}"), &targets);
        for era in ERAS {
            let mut client = Either::new(era, &gateway.url).await;
            let shown = client.pages("tools/list", "tools", "name").await;
            assert_eq!(shown.len(), pages, "{pagination} {era}");
            let first = if pagination { 100 } else { shown[0].len() };
            assert!(shown[0].len() == first && (pagination || first > 250), "{pagination} {era}: {}", shown[0].len());
            assert_eq!(owners(&shown[pages - 1]), ["live"]);
        }
    }
}

/// A process with gateways `a` and `b`, each with one target at one of these paths of the process itself, read like this, and
/// `all` in front of a real one, which `more` may be in front of too; its URL.
fn leading_back(home: &Home, how: &str, [a, b]: [&str; 2], real: &str, more: &str) -> (Program, String) {
    home.write("targets: []");
    let text = std::fs::read_to_string(home.file()).unwrap();
    let head = text.split("gateways:").next().unwrap();
    let base = format!("http://{}", text.lines().find_map(|line| line.strip_prefix("listen: ")).unwrap());
    let gateway = |name: &str, targets: &[String]| {
        let targets: String = targets.iter().map(|target| format!("    {}\n", target.trim())).collect();
        format!("  - name: {name}\n    path: /{name}/mcp\n    targets:\n{targets}")
    };
    let back = |path: &str| http_target("t", &format!("{base}{path}"), how);
    let own = (!more.is_empty()).then(|| http_target("own", real, more));
    let gateways = [
        gateway("a", &[own.clone().into_iter().collect(), vec![back(a)]].concat()),
        gateway("b", &[own.into_iter().collect(), vec![back(b)]].concat()),
        gateway("all", &[http_target("t", real, "")]),
    ];
    home.write_text(&format!("{head}gateways:\n{}", gateways.concat()));
    (home.again(), base)
}

/// The sum of a metric's values over the lines that contain `label`.
async fn metric(base: &str, name: &str, label: &str) -> f64 {
    let text = reqwest::get(format!("{base}/metrics")).await.unwrap().text().await.unwrap();
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// How many requests were refused because they came back.
async fn loops(base: &str) -> f64 {
    metric(base, "sessiongate_refused_total", "loop").await
}

#[tokio::test]
async fn a_target_that_leads_back_to_its_gateway_is_asked_once() {
    let real = reference_server(&[]);
    for back @ [a, b] in [["/a/mcp", "/all/mcp"], ["/b/mcp", "/a/mcp"]] {
        let home = Home::new();
        let (_gateway, base) = leading_back(&home, UNKNOWN, back, &real.url, "");
        for era in ERAS {
            let before = loops(&base).await;
            let mut client = Either::new(era, &format!("{base}/a/mcp")).await;
            let answer = client.ask("tools/list", json!({})).await;
            assert!(answer.get("result").or_else(|| answer.get("error")).is_some(), "{era} {a} {b}: {answer}");
            let refused = loops(&base).await - before;
            assert!((1.0..=8.0).contains(&refused), "{era} {a} {b}: {refused} were refused");
        }
    }
}

/// Whoever listens to a gateway listens to its targets. Where those lead back, that ends where it began: nobody's places are
/// taken by gateways that listen to each other.
#[tokio::test]
async fn gateways_that_lead_to_each_other_listen_to_each_other_once() {
    let (home, real) = (Home::new(), reference_server(&["--era", "modern"]));
    let how = "era: modern, listing: dynamic, required: false";
    let (_gateway, base) = leading_back(&home, how, ["/b/mcp", "/a/mcp"], &real.url, "era: modern");
    let mut client = ModernClient::new(&format!("{base}/a/mcp"));
    let wanted = json!({"notifications": {"toolsListChanged": true}});
    let mut listener = client.open("subscriptions/listen", wanted).await;
    assert_eq!(listener.status, 200);
    listener.message("notifications/subscriptions/acknowledged").await;
    // Those that are refused try again, later each time.
    eventually("they try again", async || (loops(&base).await >= 12.0).then_some(())).await;
    let created = metric(&base, "sessiongate_sessions_created_total", "").await;
    assert!(created <= 24.0, "{created} sessions");
    assert_eq!(metric(&base, "sessiongate_bounds_reached_total", "listens").await, 0.0);
}

#[tokio::test]
async fn a_gateway_may_be_a_target_of_another_one() {
    let (home, real) = (Home::new(), reference_server(&[]));
    let (_gateway, base) = leading_back(&home, UNKNOWN, ["/b/mcp", "/all/mcp"], &real.url, "");
    for era in ERAS {
        let mut client = Either::new(era, &format!("{base}/a/mcp")).await;
        let answer = client.call("t___t___t___sg_echo", json!({"x": 1})).await;
        assert_eq!(answer["result"]["structuredContent"], json!({"x": 1}), "{era}: {answer}");
    }
    assert_eq!(loops(&base).await, 0.0);
}
