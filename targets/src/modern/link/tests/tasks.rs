//! Clients that use tasks of 2025-11-25 with a target that has those of the extension.

use serde_json::{Value, json};

use super::support::{World, form};

const EXTENSION: &str = "io.modelcontextprotocol/tasks";
const RELATED: &str = "io.modelcontextprotocol/related-task";

fn declares(params: &Value) -> bool {
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"]["extensions"].get(EXTENSION).is_some()
}

fn task(status: &str, more: Value) -> Value {
    let mut task = json!({"resultType":"complete","taskId":"t","status":status,"ttlMs":9,"pollIntervalMs":100});
    task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    task
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_task_gets_its_handle() {
    let world = World::new();
    let params = json!({"name":"buy","arguments":{"n":1},"task":{"ttl":5}});
    let call = world.call(1, "tools/call", params.clone());
    let request = world.seen("tools/call").await;
    assert!(declares(&request.params) && request.params.get("task").is_none());
    request.result(task("working", json!({"resultType":"task"}))).await;
    let handle = json!({"task":{"taskId":"t","status":"working","ttl":9,"pollInterval":100}});
    assert_eq!(call.await.unwrap().unwrap(), json!({"result":handle}));
    // Questions before the task are asked on the call.
    let call = world.call(2, "tools/call", params.clone());
    world.seen("tools/call").await.asks(json!({"a":form("a")}), "s").await;
    world.position().await;
    let (id, _) = world.asked("elicitation/create").await;
    world.answer(&id, json!({"action":"cancel"})).await;
    let again = world.seen("tools/call").await;
    assert!(declares(&again.params) && again.params.get("task").is_none());
    assert_eq!(again.params["inputResponses"], json!({"a":{"action":"cancel"}}));
    again.result(task("working", json!({"resultType":"task"}))).await;
    assert_eq!(call.await.unwrap().unwrap(), json!({"result":handle}));
    // The target decides, and may answer at once; and nobody is given a task who asks for none.
    let call = world.call(3, "tools/call", params);
    world.seen("tools/call").await.result(json!({"resultType":"complete","content":[]})).await;
    assert_eq!(call.await.unwrap().unwrap(), json!({"result":{"content":[]}}));
    let call = world.tool(4);
    let request = world.seen("tools/call").await;
    assert!(!declares(&request.params));
    request.result(task("working", json!({"resultType":"task"}))).await;
    assert_eq!(call.await.unwrap().unwrap()["result"]["isError"], true);
}

#[tokio::test(start_paused = true)]
async fn a_task_is_looked_at_in_the_words_of_2025() {
    let world = World::new();
    let call = world.call(1, "tasks/get", json!({"taskId":"t"}));
    let request = world.seen("tasks/get").await;
    assert!(declares(&request.params));
    assert_eq!((request.request.name.as_deref(), &request.params["taskId"]), (Some("t"), &json!("t")));
    request.result(task("completed", json!({"result":{"content":[],"isError":true}}))).await;
    let shown = json!({"taskId":"t","status":"failed","ttl":9,"pollInterval":100});
    assert_eq!(call.await.unwrap().unwrap(), json!({"result":shown}));
    let call = world.call(2, "tasks/get", json!({"taskId":"t"}));
    world.seen("tasks/get").await.error(-32602, "gone", json!({})).await;
    assert_eq!(call.await.unwrap().unwrap()["error"]["code"], -32602);

    let call = world.call(3, "tasks/list", json!({"sessiongate.dev/taskIds":["a","b"]}));
    let first = world.seen("tasks/get").await;
    let second = world.seen("tasks/get").await;
    assert_eq!((&first.params["taskId"], &second.params["taskId"]), (&json!("a"), &json!("b")));
    second.result(task("working", json!({"taskId":"b"}))).await;
    first.error(-32602, "gone", json!({})).await;
    let listed = json!({"tasks":[{"taskId":"b","status":"working","ttl":9,"pollInterval":100}]});
    assert_eq!(call.await.unwrap().unwrap(), json!({"result":listed}));
}

#[tokio::test(start_paused = true)]
async fn a_task_is_cancelled_as_far_as_its_target_does_it() {
    let world = World::new();
    let call = world.call(1, "tasks/cancel", json!({"taskId":"t"}));
    world.seen("tasks/get").await.result(task("completed", json!({"result":{}}))).await;
    assert_eq!(call.await.unwrap().unwrap()["error"]["code"], -32602);
    let call = world.call(2, "tasks/cancel", json!({"taskId":"t"}));
    world.seen("tasks/get").await.result(task("working", json!({}))).await;
    world.seen("tasks/cancel").await.result(json!({"resultType":"complete"})).await;
    world.seen("tasks/get").await.result(task("working", json!({}))).await;
    world.seen("tasks/get").await.result(task("cancelled", json!({}))).await;
    assert_eq!(call.await.unwrap().unwrap()["result"]["status"], "cancelled");
    // One that goes on is not called cancelled.
    let call = world.call(3, "tasks/cancel", json!({"taskId":"t"}));
    world.seen("tasks/get").await.result(task("working", json!({}))).await;
    world.seen("tasks/cancel").await.result(json!({"resultType":"complete"})).await;
    for _ in 0..10 {
        world.seen("tasks/get").await.result(task("working", json!({}))).await;
    }
    assert_eq!(call.await.unwrap().unwrap()["result"]["status"], "working");
}

#[tokio::test(start_paused = true)]
async fn the_result_is_waited_for_and_what_the_task_asks_is_asked_there() {
    let world = World::new();
    let call = world.call(1, "tasks/result", json!({"taskId":"t"}));
    let done = task("completed", json!({"result":{"content":[],"structuredContent":{"a":1}}}));
    world.seen("tasks/get").await.result(done.clone()).await;
    let result = json!({"result":{"content":[],"structuredContent":{"a":1}}});
    assert_eq!(call.await.unwrap().unwrap(), result);
    world.nothing_told().await;

    let call = world.call(2, "tasks/result", json!({"taskId":"t"}));
    world.seen("tasks/get").await.result(task("working", json!({}))).await;
    assert_eq!(world.position().await["stage"], "asking", "another process can go on");
    world.position().await;
    world.seen("tasks/get").await.result(task("working", json!({}))).await;
    let asks = task("input_required", json!({"inputRequests":{"k":form("?")}}));
    world.seen("tasks/get").await.result(asks.clone()).await;
    world.position().await;
    let (id, params) = world.asked("elicitation/create").await;
    assert_eq!((&params["message"], &params["_meta"][RELATED]), (&json!("?"), &json!({"taskId":"t"})));
    world.answer(&id, json!({"action":"accept","content":{"x":"y"},"_meta":{RELATED:{"taskId":"t"}}})).await;
    world.position().await;
    let sent = world.position().await;
    let update = world.seen("tasks/update").await;
    assert_eq!(update.params["inputResponses"], json!({"k":{"action":"accept","content":{"x":"y"}}}));
    let next = World::resumed(&world.link.save().unwrap());
    drop(update);
    call.abort();

    // The task goes on without the process that waited for it.
    let call = next.resume(2, &sent);
    let update = next.seen("tasks/update").await;
    assert_eq!(update.params["inputResponses"]["k"]["content"], json!({"x":"y"}));
    update.result(json!({"resultType":"complete"})).await;
    next.seen("tasks/get").await.result(asks).await;
    next.seen("tasks/get").await.result(done).await;
    assert_eq!(call.await.unwrap().unwrap(), result);
    assert_eq!(next.position().await["stage"], "sent");
    next.nothing_told().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_does_not_end_with_the_request_for_its_result() {
    let world = World::new();
    let call = world.call(1, "tasks/result", json!({"taskId":"t"}));
    world.seen("tasks/get").await.result(task("working", json!({}))).await;
    let look = world.seen("tasks/get").await;
    world.post(json!({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}})).await.unwrap();
    look.dropped().await;
    assert!(call.await.unwrap().is_err());
    world.nothing_seen().await;

    let call = world.call(2, "tasks/result", json!({"taskId":"t"}));
    let error = json!({"code":-32000,"message":"no"});
    world.seen("tasks/get").await.result(task("failed", json!({"error":error}))).await;
    assert_eq!(call.await.unwrap().unwrap(), json!({"error":error}));
}
