//! The bounds of calls that wait for a modern client: of their states in time and place, and of their number.

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::eras_parked::{park, refused};
use crate::eras_player::{everything, retry, tool};
use crate::harness::{Home, Program, eventually, http_target, reference_server};
use crate::modern_client::{ModernAnswer, ModernClient, REVISION};
use crate::scripted::{self, Reply, Scripted, result};

/// Questions of a conversation by default: those of a session, for `SessionSettings::for_conversation` times as many.
const QUESTIONS: usize = 32 * 16;
/// Requests that are on their way at once.
const AT_ONCE: usize = 64;

struct Scene {
    _home: Home,
    target: Program,
    gateway: Program,
    client: ModernClient,
}

fn scene(settings: &str, more: &str) -> Scene {
    let (home, target) = (Home::new(), reference_server(&[]));
    let line = http_target("ref", &target.url, more);
    let gateway = home.configured(&format!("naming: plain\n{settings}\ntargets:\n{line}"));
    let client = ModernClient::new(&gateway.url).capabilities(everything(REVISION));
    Scene { _home: home, target, gateway, client }
}

fn text(answer: &ModernAnswer) -> &str {
    answer.result()["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer:?}"))
}

/// Many calls of one tool that asks, and what came of each.
async fn many(client: &mut ModernClient, count: usize) -> Vec<ModernAnswer> {
    let call = tool("sg_elicit_form", json!({"key": "many"}));
    let bodies: Vec<Value> = (0..count).map(|_| client.message("tools/call", call.clone())).collect();
    let client = &*client;
    let sent = bodies.into_iter().map(|body| async move { client.send(&body).await.finish().await });
    futures_util::stream::iter(sent).buffer_unordered(AT_ONCE).collect().await
}

fn is_parked(answer: &ModernAnswer) -> bool {
    answer.result()["resultType"] == "input_required"
}

#[tokio::test]
async fn a_state_expires_when_its_call_is_over_and_its_answer_is_no_longer_kept() {
    let mut scene = scene("sessions: {events: {age: 1s}}", "timeout: 1s");
    let parked = park(&mut scene.client, tool("sg_elicit_form", json!({"key": "k"}))).await;
    let silent = retry(&parked.call, Some(&parked.state), json!({}));
    let expired = eventually("the state expires", async || {
        let answer = scene.client.request("tools/call", silent.clone()).await;
        (answer.json["error"]["data"]["reason"] == "expired_request_state").then_some(answer)
    })
    .await;
    refused(&expired, "expired_request_state");
    assert_eq!(expired.error()["message"], "`requestState` has expired");
    refused(&scene.client.request("tools/call", parked.answered()).await, "expired_request_state");
    // Whoever cannot have had it does not learn that it was one.
    let other = retry(&tool("sg_elicit_form", json!({})), Some(&parked.state), json!({}));
    refused(&scene.client.request("tools/call", other).await, "invalid_request_state");
    let stats = scene.target.stats().await;
    assert_eq!(
        (&stats["calls"], &stats["answers"]["k"]),
        (&json!(1), &json!(1)),
        "it heard `cancel`, and nothing else"
    );
    let again = park(&mut scene.client, parked.call.clone()).await;
    let done = scene.client.request("tools/call", again.answered()).await;
    assert_eq!(
        done.result()["structuredContent"]["content"]["name"],
        "my name",
        "a call from the start works: {done:?}"
    );
}

#[tokio::test]
async fn a_state_is_good_at_its_own_gateway_and_for_its_own_method() {
    let (home, target) = (Home::new(), reference_server(&[]));
    let line = http_target("ref", &target.url, "");
    home.write(&format!("naming: plain\ntargets:\n{line}"));
    let one = std::fs::read_to_string(home.file()).unwrap();
    let two =
        one.split_once("gateways:\n").unwrap().1.replace("name: test", "name: other").replace("/mcp\n", "/other\n");
    home.write_text(&format!("{one}{two}"));
    let gateway = home.again();
    let mut here = ModernClient::new(&format!("{}/mcp", gateway.url.rsplit_once('/').unwrap().0));
    let mut there = ModernClient::new(&format!("{}/other", gateway.url.rsplit_once('/').unwrap().0));
    (here, there) = (here.capabilities(everything(REVISION)), there.capabilities(everything(REVISION)));
    let parked = park(&mut here, tool("sg_elicit_form", json!({"key": "k"}))).await;
    refused(&there.request("tools/call", parked.answered()).await, "invalid_request_state");
    let prompt = json!({"name": "test_simple_prompt", "requestState": parked.state, "inputResponses": {}});
    refused(&here.request("prompts/get", prompt).await, "invalid_request_state");
    assert_eq!(target.stats().await["answers"]["k"], Value::Null);
    let done = here.request("tools/call", parked.answered()).await;
    assert_eq!(done.result()["structuredContent"]["content"]["name"], "my name", "{done:?}");
    // Once more, and with another answer: the person has spoken.
    let mut other = parked.answered();
    other["inputResponses"][parked.keys()[0]] = json!({"action": "accept", "content": {"name": "somebody else"}});
    let replayed = here.request("tools/call", other).await;
    assert_eq!(replayed.result()["structuredContent"], done.result()["structuredContent"]);
    assert_eq!(target.stats().await["answers"]["k"], 1);
}

/// The next conversation under the same binding has other calls and questions under the same numbers.
#[tokio::test]
async fn a_state_of_an_earlier_conversation_names_no_call_of_the_next() {
    let mut scene = scene("sessions: {idle_timeout: 1s}", "timeout: 1s");
    let old = park(&mut scene.client, tool("sg_elicit_form", json!({"key": "k"}))).await;
    eventually("its conversation ended", async || {
        (scene.gateway.metric("sessiongate_sessions", "").await == 0.0).then_some(())
    })
    .await;
    let new = park(&mut scene.client, old.call.clone()).await;
    assert_eq!(new.keys(), old.keys(), "the numbers begin again");
    refused(&scene.client.request("tools/call", old.answered()).await, "call_gone");
    let done = scene.client.request("tools/call", new.answered()).await;
    assert_eq!(done.result()["structuredContent"]["content"]["name"], "my name", "{done:?}");
    assert_eq!(scene.target.stats().await["answers"]["k"], 2, "the first heard `cancel`, the second its answer");
}

#[tokio::test]
async fn the_default_bound_of_parked_calls_is_said_when_it_is_reached() {
    const MORE: usize = 40;
    let mut scene = scene("", "");
    let answers = many(&mut scene.client, QUESTIONS + MORE).await;
    let (parked, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| is_parked(answer));
    assert_eq!((parked.len(), refused.len()), (QUESTIONS, MORE), "{:?}", refused.first());
    for answer in refused {
        assert_eq!((answer.status, &answer.result()["isError"]), (200, &json!(true)), "{answer:?}");
        assert!(text(answer).contains("too many questions wait for the client (limit 512)"), "{answer:?}");
    }
    let bound = scene.gateway.metric("sessiongate_bounds_reached_total", "pending_questions").await;
    assert_eq!(bound as usize, MORE);
    assert_eq!(scene.client.call("sg_echo", json!({})).await.result()["content"][0]["text"], "{}", "others go on");
}

/// A legacy server with resumable streams whose one tool asks and then waits.
fn asking() -> Scripted {
    Scripted::raw(|request| match (request.method.as_str(), request.body["method"].as_str()) {
        ("POST", Some("initialize")) => {
            let body = result(
                request,
                r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"scripted","version":"1"}}"#,
            );
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nmcp-session-id: s\r\nconnection: close\r\n";
            Reply::Raw(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes())
        }
        ("POST", Some("server/discover")) => Reply::Status(404),
        ("POST", Some("tools/list")) => {
            Reply::Json(result(request, r#"{"tools":[{"name":"asks","inputSchema":{"type":"object"}}]}"#))
        }
        ("POST", Some("tools/call")) => {
            let form = json!({"message": "Well?", "requestedSchema": {"type": "object", "properties": {}}});
            let events: String = [("form", "elicitation/create", form), ("roots", "roots/list", json!({}))]
                .into_iter()
                .enumerate()
                .map(|(at, (id, method, params))| {
                    // Many calls at once have questions of their own.
                    let id = match request.body["params"]["arguments"]["n"].as_u64() {
                        Some(n) => format!("{id}-{n}"),
                        None => id.to_owned(),
                    };
                    let asked = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
                    format!("id: e-{at}\ndata: {asked}\n\n")
                })
                .collect();
            Reply::Hang([scripted::SSE, events.as_bytes()].concat())
        }
        ("GET", _) if request.headers.contains_key("last-event-id") => Reply::Hang(scripted::SSE.to_vec()),
        ("POST", _) => Reply::Status(202),
        _ => Reply::Status(405),
    })
}

/// Calls of one conversation that are abandoned together end together: all of them are told to their target.
#[tokio::test]
async fn many_that_are_abandoned_together_are_all_cancelled() {
    const CALLS: u64 = 200;
    let target = asking();
    let home = Home::new();
    let yaml = format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "timeout: 6s"));
    let gateway = home.configured(&yaml);
    let calls = (0..CALLS).map(|n| {
        let mut client = ModernClient::new(&gateway.url).capabilities(everything(REVISION));
        async move { park(&mut client, tool("asks", json!({"n": n}))).await }
    });
    futures_util::future::join_all(calls).await;
    eventually("all calls are cancelled", async || {
        let bodies = target.seen();
        let count = |what: &str| bodies.iter().filter(|body| body.contains(what)).count() as u64;
        (count("notifications/cancelled") == CALLS && count(r#""action":"cancel""#) == CALLS).then_some(())
    })
    .await;
}

/// What the server of a call that nobody comes back for is told: with the gateway alive, and by the next process after
/// it was killed.
#[tokio::test]
async fn an_abandoned_call_ends_with_cancel_and_then_a_cancellation() {
    for killed in [false, true] {
        let target = asking();
        let home = Home::new();
        let yaml = format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "timeout: 1s"));
        let mut gateway = home.configured(&yaml);
        let mut client = ModernClient::new(&gateway.url).capabilities(everything(REVISION));
        let parked = park(&mut client, tool("asks", json!({}))).await;
        assert_eq!(parked.keys().len(), 2);
        if killed {
            gateway.kill();
            gateway = home.again();
        }
        let told = eventually("the call is cancelled", async || {
            let bodies = target.seen();
            let bodies: Vec<Value> = bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).collect();
            bodies.iter().any(|body| body["method"] == "notifications/cancelled").then_some(bodies)
        })
        .await;
        let at = |what: &dyn Fn(&Value) -> bool| told.iter().position(what).unwrap();
        let call = &told[at(&|body| body["method"] == "tools/call")]["id"];
        let form = at(&|body| body["id"] == "form");
        assert_eq!(told[form]["result"], json!({"action": "cancel"}), "killed: {killed}");
        let roots = at(&|body| body["id"] == "roots");
        assert!(told[roots]["error"].is_object(), "there is no such answer for roots: {}", told[roots]);
        let cancelled = at(&|body| body["method"] == "notifications/cancelled");
        assert_eq!(told[cancelled]["params"]["requestId"], *call);
        assert!(form < cancelled && roots < cancelled, "what waits can take note of it: {told:?}");
        assert_eq!(gateway.metric("sessiongate_questions_pending", "").await, 0.0);
    }
}
