//! Tasks of 2025-11-25 for clients of that revision: with targets that have the same, and with modern ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::client::{Client, Stream};
use crate::harness::{Home, Program, eventually, http_target, reference_server};
use crate::scripted::{Reply, Request, SSE, Scripted, result};

const KEYS: &str = "api_keys: [{name: ada, key: key-of-ada-0123456789}, {name: bob, key: key-of-bob-0123456789}]";
const RELATED: &str = "io.modelcontextprotocol/related-task";

/// A target of 2025-11-25 that keeps tasks: `ask` asks its caller, `slow` works until it is told to end, `fast` is no task.
#[derive(Clone, Default)]
pub struct Shop(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    tasks: BTreeMap<String, Value>,
    answers: Vec<Value>,
    /// A stream on which something was asked does not last, and cannot be taken up.
    breaks: bool,
}

// === impl Shop ===

impl Shop {
    pub fn serve(&self) -> Scripted {
        let shop = self.clone();
        Scripted::raw(move |request| match request.method.as_str() {
            "POST" => shop.post(request),
            _ => Reply::Status(405),
        })
    }

    fn post(&self, request: &Request) -> Reply {
        let error = |code: i64, text: &str| {
            let id = &request.body["id"];
            Reply::Json(json!({"jsonrpc":"2.0","id":id,"error":{"code":code,"message":text}}).to_string())
        };
        let params = &request.body["params"];
        let mut state = self.0.lock().unwrap();
        let id = params["taskId"].as_str().unwrap_or_default().to_owned();
        let Some(method) = request.body["method"].as_str() else {
            state.answers.push(request.body.clone());
            return Reply::Status(202);
        };
        if request.body.get("id").is_none() {
            return Reply::Status(202);
        }
        let reply = |value: Value| Reply::Json(result(request, &value.to_string()));
        let tool = |name: &str, support: &str| json!({"name":name,"inputSchema":{"type":"object"},"execution":{"taskSupport":support}});
        match method {
            "initialize" => {
                let capabilities = json!({"tools":{},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}});
                reply(
                    json!({"protocolVersion":"2025-11-25","capabilities":capabilities,"serverInfo":{"name":"shop","version":"1"}}),
                )
            }
            "tools/list" => {
                reply(json!({"tools":[tool("ask","optional"),tool("slow","required"),tool("fast","forbidden")]}))
            }
            "tools/call" if params.get("task").is_none() => {
                reply(json!({"content":[{"type":"text","text":"no task"}]}))
            }
            "tools/call" => {
                let id = format!("{}-{}", params["name"].as_str().unwrap(), state.tasks.len());
                let time = "2026-01-01T00:00:00Z";
                let task = json!({"taskId":id,"status":"working","createdAt":time,"lastUpdatedAt":time,
                    "ttl":params["task"]["ttl"],"pollInterval":100});
                state.tasks.insert(id, task.clone());
                reply(json!({"task":task}))
            }
            "tasks/list" => reply(json!({"tasks":state.tasks.values().collect::<Vec<_>>()})),
            _ if !state.tasks.contains_key(&id) => error(-32602, "there is no such task here"),
            "tasks/get" => reply(state.tasks[&id].clone()),
            "tasks/cancel" if state.tasks[&id]["status"] != "working" => error(-32602, "it has ended"),
            "tasks/cancel" => {
                state.tasks.get_mut(&id).unwrap()["status"] = json!("cancelled");
                reply(state.tasks[&id].clone())
            }
            "tasks/result" if id.starts_with("ask") && state.answers.is_empty() => {
                let params = json!({"message":"who?","requestedSchema":{"type":"object","properties":{"name":{"type":"string"}}},
                    "_meta":{RELATED:{"taskId":id}}});
                let question = json!({"jsonrpc":"2.0","id":77,"method":"elicitation/create","params":params});
                let event = format!("data: {question}\n\n");
                match state.breaks {
                    true => Reply::Events(event),
                    false => Reply::Hang([SSE, event.as_bytes()].concat()),
                }
            }
            "tasks/result" => {
                let text = json!(state.answers.last().map(|answer| &answer["result"]["content"]["name"])).to_string();
                reply(json!({"content":[{"type":"text","text":text}],"_meta":{RELATED:{"taskId":id}}}))
            }
            _ => error(-32601, "not known"),
        }
    }

    pub fn is_now(&self, id: &str, status: &str) {
        self.0.lock().unwrap().tasks.get_mut(id).unwrap()["status"] = json!(status);
    }

    /// From now on.
    pub fn breaks(&self) {
        self.0.lock().unwrap().breaks = true;
    }

    pub fn answers(&self) -> Vec<Value> {
        self.0.lock().unwrap().answers.clone()
    }
}

fn gateway(home: &Home, targets: &str) -> Program {
    home.configured(&format!("naming: plain\ntargets:\n{targets}"))
}

async fn anybody(gateway: &Program) -> Client {
    Client::ready(&gateway.url, json!({"elicitation":{"form":{}}})).await
}

async fn begin(client: &mut Client, tool: &str, arguments: Value) -> String {
    let answer = client.ask("tools/call", json!({"name":tool,"arguments":arguments,"task":{"ttl":60000}})).await;
    let task = &answer["result"]["task"];
    assert_eq!(task["status"], "working", "{answer}");
    task["taskId"].as_str().unwrap().to_owned()
}

async fn about(client: &mut Client, method: &str, id: &str) -> Value {
    client.ask(method, json!({"taskId":id})).await
}

async fn until(client: &mut Client, id: &str, status: &str) -> Value {
    eventually(status, async || {
        let task = about(client, "tasks/get", id).await["result"].clone();
        assert_eq!(task["taskId"], json!(id), "{task}");
        (task["status"] == status).then_some(task)
    })
    .await
}

async fn result_stream(client: &mut Client, id: &str) -> Stream {
    let body = client.request("tasks/result", json!({"taskId":id}));
    client.open(&body).await.unwrap()
}

fn supports(tools: &[Value]) -> Vec<Option<&str>> {
    tools.iter().map(|tool| tool["execution"]["taskSupport"].as_str()).collect()
}

#[tokio::test]
async fn tasks_are_offered_to_those_that_know_them() {
    let (home, shop) = (Home::new(), Shop::default());
    let target = shop.serve();
    let gateway = gateway(&home, &http_target("shop", &target.url, ""));
    for (revision, has) in [("2025-11-25", true), ("2025-06-18", false)] {
        let mut client = Client::new(&gateway.url);
        client.revision = revision;
        let said = client.initialize(json!({})).await.unwrap();
        let all = json!({"list":{},"cancel":{},"requests":{"tools":{"call":{}}}});
        assert_eq!(said["result"]["capabilities"].get("tasks"), has.then_some(&all), "{revision}: {said}");
        let tools = client.list("tools/list", "tools").await;
        let expected = if has { [Some("optional"), Some("optional"), Some("forbidden")] } else { [None; 3] };
        assert_eq!(supports(&tools), expected, "{revision}");
        let refused = client.ask("tools/call", json!({"name":"fast","arguments":{},"task":{}})).await;
        match has {
            true => assert_eq!(refused["error"]["code"], -32601, "{refused}"),
            false => assert_eq!(refused["result"]["content"][0]["text"], "no task"),
        }
        let unknown = about(&mut client, "tasks/get", "x").await;
        assert_eq!(unknown["error"]["code"], if has { -32602 } else { -32601 }, "{unknown}");
    }
    let alone = Home::new();
    let gateway =
        alone.configured(&format!("naming: plain\nsessions: off\ntargets:\n{}", http_target("shop", &target.url, "")));
    let mut client = Client::new(&gateway.url);
    let hello = json!({"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}});
    let said = client.ask("initialize", hello).await;
    assert!(said["result"]["capabilities"]["tools"].is_object(), "{said}");
    assert_eq!(said["result"]["capabilities"].get("tasks"), None, "{said}");
    assert_eq!(supports(&client.list("tools/list", "tools").await), [None; 3]);
}

#[tokio::test]
async fn a_task_of_a_session_lives_through_the_gateway_and_its_death() {
    let (home, shop) = (Home::new(), Shop::default());
    let target = shop.serve();
    let text = format!("naming: plain\n{KEYS}\ntargets:\n{}", http_target("shop", &target.url, ""));
    let mut program = home.configured(&text);
    let mut client = Client::with_key(&program.url, "key-of-ada-0123456789");
    client.initialize(json!({})).await.unwrap();
    let id = begin(&mut client, "slow", json!({})).await;
    assert!(!id.contains("slow-0"), "{id}");
    let shown = about(&mut client, "tasks/get", &id).await;
    assert_eq!((&shown["result"]["ttl"], &shown["result"]["taskId"]), (&json!(60000), &json!(id)));
    program.kill();
    program = home.again();
    let session = client.session.take();
    client = Client::with_key(&program.url, "key-of-ada-0123456789");
    client.session = session;
    assert_eq!(about(&mut client, "tasks/get", &id).await["result"]["status"], "working");
    assert_eq!(
        client.list("tasks/list", "tasks").await,
        [about(&mut client, "tasks/get", &id).await["result"].clone()]
    );
    shop.is_now("slow-0", "completed");
    until(&mut client, &id, "completed").await;
    let done = about(&mut client, "tasks/result", &id).await;
    assert_eq!(done["result"]["_meta"][RELATED]["taskId"], json!(id), "{done}");
    let late = about(&mut client, "tasks/cancel", &id).await;
    assert_eq!(late["error"]["code"], -32602, "{late}");
    let other = begin(&mut client, "slow", json!({})).await;
    assert_eq!(about(&mut client, "tasks/cancel", &other).await["result"]["status"], "cancelled");

    let mut bob = Client::with_key(&program.url, "key-of-bob-0123456789");
    bob.initialize(json!({})).await.unwrap();
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        let changed = format!("{}{}{}", &id[..20], if &id[20..21] == "A" { "B" } else { "A" }, &id[21..]);
        for (foreign, id) in [(true, id.as_str()), (false, &changed), (false, "slow-0")] {
            let refused = about(if foreign { &mut bob } else { &mut client }, method, id).await;
            assert_eq!(refused["error"]["code"], -32602, "{method}: {refused}");
            assert_eq!(refused["error"]["data"]["reason"], "unknown_task");
        }
    }
    assert_eq!(bob.list("tasks/list", "tasks").await, Vec::<Value>::new(), "nobody sees another's");
    // Who speaks of no task waits for it.
    let (_, mut stream) = bob.start("slow", json!({})).await;
    let answer = stream.response().await;
    assert!(answer["result"]["content"][0]["text"].is_string() && answer["result"].get("_meta").is_none(), "{answer}");
    drop(program);
}

#[tokio::test]
async fn a_task_asks_on_the_stream_of_its_result() {
    let (home, shop) = (Home::new(), Shop::default());
    let target = shop.serve();
    let mut program = gateway(&home, &http_target("shop", &target.url, ""));
    let mut client = anybody(&program).await;
    let id = begin(&mut client, "ask", json!({})).await;
    let mut stream = result_stream(&mut client, &id).await;
    let question = stream.message("elicitation/create").await;
    assert_eq!(question["params"]["_meta"][RELATED]["taskId"], json!(id), "{question}");
    let answer = json!({"action":"accept","content":{"name":"Ada"},"_meta":{RELATED:{"taskId":id}}});
    assert_eq!(client.answer(&question, answer).await, 202);
    let told = eventually("the answer", async || shop.answers().first().cloned()).await;
    assert_eq!((&told["id"], &told["result"]["_meta"][RELATED]["taskId"]), (&json!(77), &json!("ask-0")));
    // Whatever becomes of that request, the result can be fetched.
    program.kill();
    program = home.again();
    client.reconnect();
    let done = about(&mut client, "tasks/result", &id).await;
    assert_eq!(done["result"]["content"][0]["text"], "\"Ada\"", "{done}");
    drop(program);
}

#[tokio::test]
async fn a_question_of_a_task_outlives_its_stream() {
    for killed in [false, true] {
        let (home, shop) = (Home::new(), Shop::default());
        let target = shop.serve();
        let mut program = gateway(&home, &http_target("shop", &target.url, ""));
        let mut client = anybody(&program).await;
        let id = begin(&mut client, "ask", json!({})).await;
        if !killed {
            shop.breaks();
        }
        let mut stream = result_stream(&mut client, &id).await;
        let question = loop {
            let event = stream.next().await.unwrap().unwrap();
            if event.data.as_ref().is_some_and(|data| data["method"] == "elicitation/create") {
                break event;
            }
        };
        if killed {
            program.kill();
            shop.breaks();
            program = home.again();
            client.reconnect();
            stream = client.listen(question.id.as_deref()).await;
        }
        let asked = |target: &Scripted| target.seen().iter().filter(|body| body.contains("tasks/result")).count();
        eventually("the result is asked for again", async || (asked(&target) > 1).then_some(())).await;
        assert_eq!(shop.answers(), Vec::<Value>::new(), "nobody has answered");
        let answer = json!({"action":"accept","content":{"name":"Ada"}});
        assert_eq!(client.answer(&question.data.unwrap(), answer).await, 202);
        let done = stream.response().await;
        assert_eq!(done["result"]["content"][0]["text"], "\"Ada\"", "killed: {killed}: {done}");
        assert_eq!(done["result"]["_meta"][RELATED]["taskId"], json!(id), "{done}");
        assert_eq!(shop.answers().len(), 1);
        assert_eq!(shop.answers()[0]["id"], 77);
        drop(program);
    }
}

// === a modern target ===

#[tokio::test]
async fn a_modern_target_s_tasks_are_those_of_the_session() {
    let (home, target) = (Home::new(), reference_server(&["--era", "modern"]));
    let mut program = gateway(&home, &http_target("ref", &target.url, ""));
    let mut client = anybody(&program).await;
    let tools = client.list("tools/list", "tools").await;
    assert!(supports(&tools).into_iter().all(|support| support == Some("optional")));

    let id = begin(&mut client, "slow_compute", json!({"seconds":0.4,"label":"x"})).await;
    let shown = until(&mut client, &id, "working").await;
    assert!(
        shown.get("resultType").is_none() && shown["pollInterval"].is_number() && shown.get("ttl").is_some(),
        "{shown}"
    );
    let done = about(&mut client, "tasks/result", &id).await;
    assert_eq!(done["result"]["content"][0]["text"], "x took 0.4 s", "{done}");
    assert_eq!(done["result"]["_meta"][RELATED]["taskId"], json!(id));
    until(&mut client, &id, "completed").await;

    let failing = begin(&mut client, "failing_job", json!({})).await;
    assert_eq!(about(&mut client, "tasks/result", &failing).await["result"]["isError"], true);
    assert_eq!(until(&mut client, &failing, "failed").await["status"], "failed");
    let broken = begin(&mut client, "protocol_error_job", json!({})).await;
    assert_eq!(about(&mut client, "tasks/result", &broken).await["error"]["code"], -32603);
    let listed = client.list("tasks/list", "tasks").await;
    let ids: Vec<&str> = listed.iter().filter_map(|task| task["taskId"].as_str()).collect();
    assert_eq!(ids, [&broken, &failing, &id].map(String::as_str));

    // A tool that is no task is one for this client: it could not read the answer.
    let greeting = begin(&mut client, "greet", json!({"name":"Ada"})).await;
    until(&mut client, &greeting, "completed").await;
    let said = about(&mut client, "tasks/result", &greeting).await;
    assert_eq!(said["result"]["content"][0]["text"], "Hello, Ada!", "{said}");

    let long = begin(&mut client, "slow_compute", json!({"seconds":600})).await;
    program.kill();
    program = home.again();
    client.reconnect();
    until(&mut client, &long, "working").await;
    assert_eq!(about(&mut client, "tasks/cancel", &long).await["result"]["status"], "cancelled");
    assert_eq!(target.stats().await["tasks"], 0);
    // Who asks for none waits.
    assert_eq!(client.call("failing_job", json!({})).await["result"]["isError"], true);
    drop(program);
}

#[tokio::test]
async fn a_modern_target_s_task_asks_as_a_session_does() {
    let (home, target) = (Home::new(), reference_server(&["--era", "modern"]));
    let mut program = gateway(&home, &http_target("ref", &target.url, ""));
    let mut client = anybody(&program).await;
    let id = begin(&mut client, "multi_input", json!({})).await;
    until(&mut client, &id, "input_required").await;
    let mut stream = result_stream(&mut client, &id).await;
    for _ in 0..2 {
        let question = stream.message("elicitation/create").await;
        assert_eq!(question["params"]["_meta"][RELATED]["taskId"], json!(id), "{question}");
        let content = json!({"value":question["params"]["message"]});
        let meta = json!({RELATED:{"taskId":id}});
        assert_eq!(client.answer(&question, json!({"action":"accept","content":content,"_meta":meta})).await, 202);
    }
    let done = stream.response().await;
    let text = done["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{done}")).to_owned();
    assert!(text.contains("The first value") && text.contains("The second value"), "{text}");

    // A question before the task is one of the call.
    let body = client.request("tools/call", json!({"name":"test_tool_with_task","arguments":{},"task":{}}));
    let mut stream = client.open(&body).await.unwrap();
    let question = stream.message("elicitation/create").await;
    client.answer(&question, json!({"action":"accept","content":{"name":"Ada"}})).await;
    let handle = stream.response().await;
    let id = handle["result"]["task"]["taskId"].as_str().unwrap_or_else(|| panic!("{handle}")).to_owned();
    assert_eq!(about(&mut client, "tasks/result", &id).await["result"]["content"][0]["text"], "Hello, Ada!");

    // The place of a question outlives the gateway.
    let id = begin(&mut client, "confirm_delete", json!({"filename":"x"})).await;
    let mut stream = result_stream(&mut client, &id).await;
    let question = loop {
        let event = stream.next().await.unwrap().unwrap();
        if event.data.as_ref().is_some_and(|data| data["method"] == "elicitation/create") {
            break event;
        }
    };
    program.kill();
    program = home.again();
    client.reconnect();
    let mut stream = client.listen(question.id.as_deref()).await;
    client.answer(&question.data.unwrap(), json!({"action":"accept","content":{"confirm":true}})).await;
    let done = stream.response().await;
    assert!(done["result"]["content"][0]["text"].as_str().unwrap().contains("true"), "{done}");
    drop(program);
}
