//! Legacy servers that say byte for byte what a test wants, in front of a modern client whose calls wait in them.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::eras_parked::{park, refused};
use crate::eras_player::{Player, everything, tool};
use crate::harness::{Home, eventually, http_target};
use crate::modern_client::{ModernAnswer, ModernClient, ModernStream, REVISION};
use crate::scripted::{self, Reply, Scripted, result};

/// A legacy server whose one tool asks and then waits.
fn asking(number: &'static AtomicUsize) -> Scripted {
    Scripted::named(&["asks"], move |_, _| {
        let id = number.fetch_add(1, Ordering::Relaxed);
        let params = json!({"message": "Well?", "requestedSchema": {"type": "object", "properties": {}}});
        let question =
            json!({"jsonrpc": "2.0", "id": format!("ask-{id}"), "method": "elicitation/create", "params": params});
        Reply::Hang([scripted::SSE, format!("data: {question}\n\n").as_bytes()].concat())
    })
}

fn seen(target: &Scripted, what: impl Fn(&Value) -> bool) -> Vec<Value> {
    let bodies = target.seen();
    bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).filter(|body| what(body)).collect()
}

#[tokio::test]
async fn a_call_that_nobody_comes_back_for_is_cancelled_at_its_target() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let target = asking(&ASKED);
    let home = Home::new();
    let gateway =
        home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "timeout: 1s")));
    let mut client = ModernClient::new(&gateway.url).capabilities(everything(REVISION));
    let parked = park(&mut client, tool("asks", json!({}))).await;
    let call = seen(&target, |body| body["method"] == "tools/call");
    let cancelled = eventually("the target is told", async || {
        seen(&target, |body| body["method"] == "notifications/cancelled").pop()
    })
    .await;
    assert_eq!(cancelled["params"]["requestId"], call[0]["id"], "{cancelled}");
    let question = eventually("its question is answered", async || {
        seen(&target, |body| body["id"] == "ask-0" && body.get("method").is_none()).pop()
    })
    .await;
    assert!(question.get("error").is_some() || question["result"]["action"] == "cancel", "{question}");
    let late = client.request("tools/call", parked.answered()).await;
    assert_eq!(late.result()["isError"], true, "{late:?}");
    let text = late.result()["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("target `ref`: the target did not answer within"), "{text}");
    assert_eq!(seen(&target, |body| body["id"] == "ask-0").len(), 1, "the late answer goes nowhere");
}

/// Two questions at once, answered one after the other; the tool takes its time afterwards.
#[tokio::test]
async fn what_was_answered_in_an_earlier_retry_is_not_asked_again() {
    let target = Scripted::named(&["asks"], |_, _| {
        let question = |id: &str| {
            let params = json!({"message": id, "requestedSchema": {"type": "object", "properties": {}}});
            let question = json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": params});
            format!("data: {question}\n\n")
        };
        Reply::Hang([scripted::SSE, question("one").as_bytes(), question("two").as_bytes()].concat())
    });
    let home = Home::new();
    let yaml = format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "timeout: 2s"));
    let gateway = home.configured(&yaml);
    let mut client = ModernClient::new(&gateway.url).capabilities(everything(REVISION));
    let mut parked = park(&mut client, tool("asks", json!({}))).await;
    assert_eq!(parked.keys().len(), 2);
    parked.asked.as_object_mut().unwrap().retain(|_, question| question["params"]["message"] == "two");
    let parked = park(&mut client, parked.answered()).await;
    assert_eq!(parked.asked[parked.keys()[0]]["params"]["message"], "one", "{}", parked.asked);
    let end = client.request("tools/call", parked.answered()).await;
    assert!(
        end.result()["content"][0]["text"].as_str().unwrap().contains("did not answer within"),
        "it waits: {end:?}"
    );
    for id in ["one", "two"] {
        assert_eq!(seen(&target, |body| body["id"] == id).len(), 1, "{id} is answered once");
    }
}

/// A client that closes the connection of its retry gives the call up; that is said to whoever asks for it again.
#[tokio::test]
async fn a_retry_that_is_given_up_cancels_the_call() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let target = asking(&ASKED);
    let home = Home::new();
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "")));
    let mut client = ModernClient::new(&gateway.url).capabilities(everything(REVISION));
    let parked = park(&mut client, tool("asks", json!({}))).await;
    let answers = || seen(&target, |body| body["id"] == "ask-0" && body.get("method").is_none());
    let sent = tokio::spawn(client.post(&client.message_with(json!("r"), "tools/call", parked.answered())).send());
    eventually("the answer is there", async || answers().pop()).await;
    sent.abort();
    eventually("the target is told", async || seen(&target, |body| body["method"] == "notifications/cancelled").pop())
        .await;
    let again = client.request("tools/call", parked.answered()).await;
    refused(&again, "call_gone");
    assert_eq!(answers().len(), 1);
}

/// Two retries, and the first is closed while the second waits: the call goes on for the second.
#[tokio::test]
async fn the_end_of_a_retry_that_was_taken_over_is_nothing_to_the_call() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let target = asking(&ASKED);
    let home = Home::new();
    let yaml = format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "timeout: 3s"));
    let gateway = home.configured(&yaml);
    let mut client = ModernClient::new(&gateway.url).capabilities(everything(REVISION));
    let parked = park(&mut client, tool("asks", json!({}))).await;
    let retry = || client.post(&client.message_with(json!("r"), "tools/call", parked.answered())).send();
    let first = tokio::spawn(retry());
    eventually("the answer is there", async || {
        seen(&target, |body| body["id"] == "ask-0" && body.get("method").is_none()).pop()
    })
    .await;
    let second = tokio::spawn(retry());
    let first: ModernAnswer = ModernStream::of(json!("r"), first.await.unwrap().unwrap()).finish().await;
    let text = first.result()["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("another request took this call over"), "{first:?}");
    drop(first);
    let second: ModernAnswer = ModernStream::of(json!("r"), second.await.unwrap().unwrap()).finish().await;
    let text = second.result()["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("did not answer within"), "it had the call until its time was over: {second:?}");
}

/// A legacy server that asks on its standing streams, a question on each; `call` says what its one tool does.
fn asking_outside(
    gets: &'static AtomicUsize,
    call: impl Fn(&scripted::Request) -> Reply + Send + Sync + 'static,
) -> Scripted {
    Scripted::raw(move |request| match (request.method.as_str(), request.body["method"].as_str()) {
        ("POST", Some("initialize")) => Reply::Raw(with_session(&result(
            request,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"scripted","version":"1"}}"#,
        ))),
        ("POST", Some("server/discover")) => Reply::Status(404),
        ("POST", Some("tools/list")) => {
            Reply::Json(result(request, r#"{"tools":[{"name":"plain","inputSchema":{"type":"object"}}]}"#))
        }
        ("POST", Some("tools/call")) => call(request),
        ("POST", _) if request.body.get("method").is_none() || request.body.get("id").is_none() => Reply::Status(202),
        ("POST", _) => Reply::Json(result(request, "{}")),
        ("GET", _) => {
            let id = gets.fetch_add(1, Ordering::Relaxed);
            let params = json!({"message": "Well?", "requestedSchema": {"type": "object", "properties": {}}});
            let question =
                json!({"jsonrpc": "2.0", "id": format!("out-{id}"), "method": "elicitation/create", "params": params});
            // It ends, and whoever listens comes back for the next question.
            Reply::Events(format!("retry: 100\n\ndata: {question}\n\n"))
        }
        _ => Reply::Status(405),
    })
}

#[tokio::test]
async fn a_server_that_asks_outside_any_call_is_answered() {
    static GETS: AtomicUsize = AtomicUsize::new(0);
    let target = asking_outside(&GETS, |request| scripted::text(request, "done"));
    let home = Home::new();
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "")));
    // What comes while a call runs may be its question.
    let mut player = Player::new(&gateway.url, REVISION).await;
    assert_eq!(player.call("plain", json!({})).await.text(), "done");
    let before = GETS.load(Ordering::Relaxed);
    eventually("it asks outside", async || (GETS.load(Ordering::Relaxed) > before + 2).then_some(())).await;
    let asked = GETS.load(Ordering::Relaxed);
    let said = eventually("each question is answered", async || {
        let of =
            |at: usize| seen(&target, |body| body["id"] == format!("out-{at}") && body.get("method").is_none()).pop();
        (before..asked).map(of).collect::<Option<Vec<_>>>()
    })
    .await;
    assert!(said.iter().all(|said| said.get("error").is_some() || said["result"]["action"] == "cancel"), "{said:?}");
    assert_eq!(player.call("plain", json!({})).await.text(), "done");
}

/// Servers whose SDK does not say which call a question belongs to ask on the standing stream.
#[tokio::test]
async fn a_question_outside_its_call_is_the_only_calls() {
    static GETS: AtomicUsize = AtomicUsize::new(0);
    let target = asking_outside(&GETS, |_| Reply::Hang(scripted::SSE.to_vec()));
    let home = Home::new();
    let yaml = format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "timeout: 5s"));
    let gateway = home.configured(&yaml);
    let mut client = ModernClient::new(&gateway.url).capabilities(everything(REVISION));
    let parked = park(&mut client, tool("plain", json!({}))).await;
    assert_eq!(parked.asked[parked.keys()[0]]["params"]["message"], "Well?", "{}", parked.asked);
}

/// What a server logs on the stream of a call is heard by those who asked for that level.
#[tokio::test]
async fn a_call_tells_what_it_logs() {
    let target = Scripted::named(&["logs"], |_, request| {
        let line = |level: &str| {
            let params = json!({"level": level, "data": level});
            format!("data: {}\n\n", json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params}))
        };
        let end = format!("data: {}\n\n", result(request, r#"{"content":[]}"#));
        Reply::Events([line("debug"), line("info"), line("error"), end].concat())
    });
    let home = Home::new();
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "")));
    let mut client = ModernClient::new(&gateway.url);
    for (level, heard) in [("debug", 3), ("info", 2), ("critical", 0)] {
        let mut call = tool("logs", json!({}));
        call["_meta"]["io.modelcontextprotocol/logLevel"] = json!(level);
        let answer = client.request("tools/call", call).await;
        assert_eq!(answer.notes.len(), heard, "{level}: {answer:?}");
    }
    assert!(client.call("logs", json!({})).await.notes.is_empty(), "nobody asked");
}

fn with_session(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nmcp-session-id: s\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A target of 2026-07-28 whose tool wants a header that it did not want when it was synchronised.
#[tokio::test]
async fn a_tool_that_changed_is_read_again_and_called_once_more() {
    static LISTS: AtomicUsize = AtomicUsize::new(0);
    let target = Scripted::raw(|request| {
        let complete = |text: &str| Reply::Json(scripted::result(request, text));
        match request.body["method"].as_str().unwrap_or_default() {
            "server/discover" => complete(
                r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#,
            ),
            "tools/list" => {
                let header =
                    if LISTS.fetch_add(1, Ordering::Relaxed) == 0 { "" } else { r#","x-mcp-header":"Region""# };
                complete(&format!(
                    r#"{{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[{{"name":"t","inputSchema":{{"type":"object","properties":{{"region":{{"type":"string"{header}}}}}}}}}]}}"#
                ))
            }
            "tools/call" if request.headers.get("mcp-param-region").is_some_and(|region| region == "eu") => {
                complete(r#"{"resultType":"complete","content":[{"type":"text","text":"done"}]}"#)
            }
            "tools/call" => {
                let id = &request.body["id"];
                let body = format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32020,"message":"Mcp-Param-Region is missing"}}}}"#
                );
                let head = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\n";
                Reply::Raw(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes())
            }
            _ => Reply::Status(400),
        }
    });
    let home = Home::new();
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "")));
    let mut client = ModernClient::new(&gateway.url);
    let answer = client.call("t", json!({"region": "eu"})).await;
    assert_eq!(answer.result()["content"][0]["text"], "done", "{answer:?}");
    assert_eq!(seen(&target, |body| body["method"] == "tools/call").len(), 2);
}

/// The rounds of a call to a modern target are the gateway's own: what a legacy client writes into those members would
/// be taken for them, and could name the task of somebody else.
#[tokio::test]
async fn a_legacy_client_cannot_make_up_a_round() {
    let target = Scripted::raw(|request| {
        let complete = |text: &str| Reply::Json(scripted::result(request, text));
        match request.body["method"].as_str().unwrap_or_default() {
            "server/discover" => complete(
                r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#,
            ),
            "tools/list" => complete(
                r#"{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[{"name":"t","inputSchema":{"type":"object"}}]}"#,
            ),
            "tools/call" => complete(r#"{"resultType":"complete","content":[]}"#),
            _ => Reply::Status(400),
        }
    });
    let home = Home::new();
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "")));
    let mut client = crate::client::Client::ready(&gateway.url, json!({})).await;
    let made_up = json!({
        "name": "t", "arguments": {}, "inputResponses": {"k": {"action": "accept"}},
        "requestState": r#"sessiongate-task {"t":"somebody's"}"#,
    });
    let call = client.request("tools/call", made_up);
    let answer: Value = client.post(&call).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["result"]["content"], json!([]), "{answer}");
    let calls = seen(&target, |body| body["method"] == "tools/call");
    assert_eq!(calls.len(), 1);
    assert!(calls[0]["params"].get("requestState").is_none() && calls[0]["params"].get("inputResponses").is_none());
    assert!(seen(&target, |body| body["method"].as_str().unwrap_or_default().starts_with("tasks/")).is_empty());
}

#[tokio::test]
async fn a_modern_request_is_no_part_of_a_batch() {
    let home = Home::new();
    let target = Scripted::named(&["t"], |_, request| scripted::text(request, "done"));
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "")));
    let mut client = ModernClient::new(&gateway.url);
    let message = client.message("tools/call", json!({"name": "t"}));
    let answer = client.post(&json!([message])).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["error"]["code"], -32600, "{answer}");
}
