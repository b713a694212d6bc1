//! Against a link whose every answer the test gives.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use sessiongate_protocol::{Message, RawJson, Request, RequestId, Response, ResponseBody, jsonrpc};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::*;
use crate::error::TargetError;
use crate::link::{CallReply, LinkEvent, Origin, SinkClosed};
use crate::passed::Passed;

const HOUR: Duration = Duration::from_secs(3600);

type Answer = Result<Value, TargetError>;

/// What reached the target.
struct Seen {
    id: i64,
    /// The body, or the event to go on after.
    what: Value,
    answer: oneshot::Sender<Answer>,
}

struct Scripted(mpsc::UnboundedSender<Seen>);

impl Scripted {
    async fn ask(&self, id: i64, what: Value) -> Result<CallReply, TargetError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Seen { id, what, answer }).map_err(|_| TargetError::Closed)?;
        let result = answered.await.map_err(|_| TargetError::Closed)??;
        let body = match result.get("code") {
            Some(_) => ResponseBody::Error(raw(&result)),
            None => ResponseBody::Result(raw(&result)),
        };
        Ok(CallReply { response: Response { id: Some(RequestId::integer(id)), body }, event_id: None })
    }
}

#[async_trait]
impl Link for Scripted {
    async fn call_with(
        &self,
        id: i64,
        body: Bytes,
        _: Option<&Arc<Passed>>,
        _: Instant,
    ) -> Result<CallReply, TargetError> {
        self.ask(id, serde_json::from_slice(&body).unwrap()).await
    }

    async fn resume(&self, id: i64, last_event_id: &str, _: Instant) -> Result<CallReply, TargetError> {
        self.ask(id, json!({"after": last_event_id})).await
    }

    async fn post_with(&self, body: Bytes, _: Option<&Arc<Passed>>, _: Instant) -> Result<(), TargetError> {
        self.ask(0, serde_json::from_slice(&body).unwrap()).await.map(drop)
    }

    async fn close(&self) {}
}

struct Owner(mpsc::UnboundedSender<LinkEvent>);

#[async_trait]
impl LinkSink for Owner {
    async fn deliver(&self, event: LinkEvent) -> Result<(), SinkClosed> {
        self.0.send(event).map_err(|_| SinkClosed)
    }
}

struct Named(&'static [&'static str]);

impl TaskTools for Named {
    fn any(&self) -> bool {
        !self.0.is_empty()
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }
}

struct World {
    link: Arc<dyn Link>,
    sink: Arc<dyn LinkSink>,
    seen: Mutex<mpsc::UnboundedReceiver<Seen>>,
    told: Mutex<mpsc::UnboundedReceiver<LinkEvent>>,
}

impl World {
    fn new(tools: &'static [&'static str]) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let (events, told) = mpsc::unbounded_channel();
        let tasks = Tasks::new(Arc::new(Named(tools)), Arc::new(Owner(events)));
        let link = tasks.link(Arc::new(Scripted(sender)), "2025-11-25");
        Self { link, sink: tasks.sink(), seen: Mutex::new(seen), told: Mutex::new(told) }
    }

    fn call(&self, id: i64, params: Value) -> tokio::task::JoinHandle<Result<CallReply, TargetError>> {
        let link = self.link.clone();
        let body = jsonrpc::request(&RequestId::integer(id), "tools/call", Some(&raw(&params)));
        tokio::spawn(async move { link.call(id, body, Instant::now() + HOUR).await })
    }

    async fn seen(&self) -> Seen {
        self.seen.lock().await.recv().await.unwrap()
    }

    /// The place that was told for the call.
    async fn position(&self, call: i64) -> Place {
        match self.told.lock().await.recv().await.unwrap() {
            LinkEvent::Position { call: told, event_id, interrupted: true } if told == call => {
                Place::read(&event_id).unwrap()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Takes a call as far as its first `tasks/result`.
    async fn begun(&self, id: i64) -> (tokio::task::JoinHandle<Result<CallReply, TargetError>>, Seen) {
        let call = self.call(id, json!({"name": "slow", "arguments": {}}));
        let create = self.seen().await;
        assert_eq!((create.id, create.what["method"].as_str()), (id, Some("tools/call")));
        assert!(create.what["params"]["task"]["ttl"].as_u64().unwrap() > 3_600_000);
        create.answer.send(Ok(json!({"task": {"taskId": "t", "pollInterval": 1}}))).unwrap();
        assert_eq!(self.position(id).await, Place { task: "t".into(), request: None, event: None, watched: false });
        let ask = self.seen().await;
        assert_eq!(ask.what["method"], "tasks/result");
        assert_eq!(ask.what["params"], json!({"taskId": "t"}));
        assert!(ask.id < 0 && ask.what["id"].as_i64() == Some(ask.id));
        (call, ask)
    }
}

fn raw(value: &Value) -> RawJson {
    RawJson::from_serialize(value).unwrap()
}

fn done(reply: Result<CallReply, TargetError>) -> (Option<i64>, Value) {
    let response = reply.unwrap().response;
    let value = match response.body {
        ResponseBody::Result(value) | ResponseBody::Error(value) => value.get().unwrap(),
    };
    (response.id.unwrap().as_i64(), value)
}

fn broke() -> Answer {
    Err(TargetError::OutcomeUnknown { detail: "broke".into() })
}

#[test]
fn ids_of_our_own_are_new_and_exact_numbers_everywhere() {
    let ids: Vec<i64> = (0..10_000).map(|_| own_id()).collect();
    assert!(ids.windows(2).all(|two| two[1] < two[0]));
    assert!(ids.iter().all(|id| (-(1 << 53) + 1..0).contains(id)), "{ids:?}");
    // Others take them from the same row meanwhile.
    let place = Place { task: "t".into(), request: None, event: None, watched: false };
    let running = Running::default();
    // A session that was taken up has large ids itself.
    for call in [0, 7, (1 << 53) - 1] {
        running.begin(call, &place);
        running.ask(call, ids[0]);
        assert_eq!((running.call_of(ids[0]), running.call_of(call)), (Some(call), None));
        running.ask(call, ids[1]);
        assert_eq!((running.call_of(ids[0]), running.call_of(ids[1])), (None, Some(call)));
        assert!(running.end(call).is_some_and(|run| run.request == Some(ids[1])));
        assert_eq!(running.call_of(ids[1]), None);
    }
    for call in 0..MAX_RUNNING as i64 + 1 {
        running.begin(call, &place);
    }
    assert!(running.end(0).is_none() && running.end(1).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_the_tool_is_that_of_the_call() {
    let world = World::new(&["slow"]);
    let (call, ask) = world.begun(7).await;
    // A stream that breaks is no end.
    ask.answer.send(broke()).unwrap();
    let again = world.seen().await;
    assert!(again.what["method"] == "tasks/result" && again.id < ask.id);
    let related = json!({"io.modelcontextprotocol/related-task": {"taskId": "t"}, "kept": 1});
    again.answer.send(Ok(json!({"content": [], "isError": true, "_meta": related}))).unwrap();
    let answer = json!({"content": [], "isError": true, "_meta": {"kept": 1}});
    assert_eq!(done(call.await.unwrap()), (Some(7), answer));
    // An error of the tool's is the call's too, and a target may answer at once.
    let (call, ask) = world.begun(8).await;
    ask.answer.send(Ok(json!({"code": -32000, "message": "no"}))).unwrap();
    assert_eq!(done(call.await.unwrap()), (Some(8), json!({"code": -32000, "message": "no"})));
    // Some say in the task alone why it failed.
    let (call, ask) = world.begun(8).await;
    ask.answer.send(Ok(json!({"_meta": {}}))).unwrap();
    let look = world.seen().await;
    assert_eq!((look.what["method"].as_str(), &look.what["params"]["taskId"]), (Some("tasks/get"), &json!("t")));
    look.answer.send(Ok(json!({"taskId": "t", "status": "failed", "statusMessage": "kaboom"}))).unwrap();
    let answer = json!({"content": [{"type": "text", "text": "kaboom"}], "isError": true});
    assert_eq!(done(call.await.unwrap()), (Some(8), answer));
    let call = world.call(9, json!({"name": "slow"}));
    world.seen().await.answer.send(Ok(json!({"content": []}))).unwrap();
    assert_eq!(done(call.await.unwrap()), (Some(9), json!({"content": []})));
}

#[tokio::test]
async fn other_calls_are_no_tasks() {
    for (tools, params, sent) in [
        (&[][..], json!({"name": "slow", "arguments": {"a": 1}}), json!({"name": "slow", "arguments": {"a": 1}})),
        (
            &["slow"],
            json!({"name": "fast", "arguments": {"task": 1}}),
            json!({"name": "fast", "arguments": {"task": 1}}),
        ),
        // Whoever asks for a task is answered with its handle.
        (&["slow"], json!({"name": "slow", "task": {"ttl": 1}}), json!({"name": "slow", "task": {"ttl": 1}})),
    ] {
        let world = World::new(tools);
        let call = world.call(1, params);
        let seen = world.seen().await;
        assert_eq!(seen.what["params"], sent);
        seen.answer.send(Ok(json!({"task": {"taskId": "t"}}))).unwrap();
        assert_eq!(done(call.await.unwrap()).1, json!({"task": {"taskId": "t"}}));
    }
}

#[tokio::test]
async fn what_is_asked_in_a_task_is_asked_in_the_call() {
    let world = World::new(&["slow"]);
    let (call, ask) = world.begun(7).await;
    let params = json!({"message": "?", "_meta": {"io.modelcontextprotocol/related-task": {"taskId": "t"}}});
    let request =
        Request { id: RequestId::integer(3), method: "elicitation/create".into(), params: Some(raw(&params)) };
    let event = LinkEvent::Message {
        origin: Origin::Call(ask.id),
        message: Message::Request(request),
        event_id: Some("e1".into()),
    };
    world.sink.deliver(event).await.unwrap();
    let told = world.told.lock().await.recv().await.unwrap();
    let LinkEvent::Message { origin: Origin::Call(7), message: Message::Request(asked), event_id } = told else {
        panic!("{told:?}")
    };
    assert_eq!(asked.params.unwrap().as_str(), r#"{"message":"?"}"#);
    let place = event_id.unwrap();
    call.abort();

    // Another process goes on after that event.
    let other = World::new(&["slow"]);
    let link = other.link.clone();
    let resumed = tokio::spawn(async move { link.resume(7, &place, Instant::now() + HOUR).await });
    let seen = other.seen().await;
    assert_eq!((seen.id, &seen.what), (ask.id, &json!({"after": "e1"})));
    seen.answer.send(broke()).unwrap();
    let again = other.seen().await;
    assert!(again.what["method"] == "tasks/result" && again.id < ask.id);
    again.answer.send(Ok(json!({"content": []}))).unwrap();
    assert_eq!(done(resumed.await.unwrap()), (Some(7), json!({"content": []})));
}

#[tokio::test]
async fn a_call_that_is_taken_up_before_its_handle_came_goes_on() {
    let world = World::new(&["slow"]);
    let link = world.link.clone();
    let resumed = tokio::spawn(async move { link.resume(7, "e0", Instant::now() + HOUR).await });
    let seen = world.seen().await;
    assert_eq!((seen.id, &seen.what), (7, &json!({"after": "e0"})));
    seen.answer.send(Ok(json!({"task": {"taskId": "t"}}))).unwrap();
    world.position(7).await;
    world.seen().await.answer.send(Ok(json!({"content": []}))).unwrap();
    assert_eq!(done(resumed.await.unwrap()), (Some(7), json!({"content": []})));
}

#[tokio::test]
async fn who_cancels_the_call_cancels_the_task() {
    let world = World::new(&["slow"]);
    let (call, _ask) = world.begun(7).await;
    call.abort();
    let cancel = |id: i64| {
        let link = world.link.clone();
        let body = jsonrpc::notification("notifications/cancelled", Some(&raw(&json!({"requestId": id}))));
        tokio::spawn(async move { link.post(body, Instant::now() + HOUR).await })
    };
    let cancelled = cancel(7);
    let seen = world.seen().await;
    assert_eq!((seen.what["method"].as_str(), &seen.what["params"]["taskId"]), (Some("tasks/cancel"), &json!("t")));
    seen.answer.send(Ok(json!({"taskId": "t", "status": "cancelled"}))).unwrap();
    cancelled.await.unwrap().unwrap();
    // What is no task is cancelled as ever.
    let cancelled = cancel(8);
    let seen = world.seen().await;
    assert_eq!(seen.what["method"], "notifications/cancelled");
    seen.answer.send(Ok(json!({}))).unwrap();
    cancelled.await.unwrap().unwrap();
}

// === a result that the owner asks for ===

fn ask_for_result(link: &Arc<dyn Link>, id: i64) -> tokio::task::JoinHandle<Result<CallReply, TargetError>> {
    let params = json!({"taskId": "t", "_meta": {"progressToken": 5}});
    let body = jsonrpc::request(&RequestId::integer(id), "tasks/result", Some(&raw(&params)));
    let link = link.clone();
    tokio::spawn(async move { link.call(id, body, Instant::now() + HOUR).await })
}

/// The place after a question on the stream of this request, which came with this event id.
async fn asks(world: &World, request: i64, event_id: Option<&str>) -> Place {
    let params = json!({"message": "?", "_meta": {"io.modelcontextprotocol/related-task": {"taskId": "t"}}});
    let question =
        Request { id: RequestId::integer(3), method: "elicitation/create".into(), params: Some(raw(&params)) };
    let event = LinkEvent::Message {
        origin: Origin::Call(request),
        message: Message::Request(question),
        event_id: event_id.map(Into::into),
    };
    world.sink.deliver(event).await.unwrap();
    let told = world.told.lock().await.recv().await.unwrap();
    let LinkEvent::Message { origin: Origin::Call(7), message: Message::Request(asked), event_id } = told else {
        panic!("{told:?}")
    };
    // Its client has the task, and sees what belongs to it.
    assert_eq!(asked.params.unwrap().get::<Value>().unwrap(), params);
    Place::read(&event_id.unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_result_of_a_watched_task_is_asked_for_until_it_comes() {
    let world = World::new(&[]);
    let call = ask_for_result(&world.link, 7);
    let ask = world.seen().await;
    assert_eq!(ask.what["params"], json!({"taskId": "t", "_meta": {"progressToken": 5}}));
    assert!(ask.id < 0 && ask.what["id"].as_i64() == Some(ask.id));
    ask.answer.send(broke()).unwrap();
    let again = world.seen().await;
    assert!(again.what["params"]["taskId"] == "t" && again.id < ask.id);
    // Whoever broke the stream may be away for a moment.
    again.answer.send(Err(TargetError::Unreachable { detail: "refused".into() })).unwrap();
    let last = again.id;
    let again = world.seen().await;
    assert!(again.id < last);
    let answer = json!({"content": [], "_meta": {"io.modelcontextprotocol/related-task": {"taskId": "t"}}});
    again.answer.send(Ok(answer.clone())).unwrap();
    assert_eq!(done(call.await.unwrap()), (Some(7), answer));

    // What was never sent is the owner's to send again, and an error of the target is one.
    let call = ask_for_result(&world.link, 7);
    world.seen().await.answer.send(Err(TargetError::Unreachable { detail: "refused".into() })).unwrap();
    assert!(matches!(call.await.unwrap(), Err(TargetError::Unreachable { .. })));
    let call = ask_for_result(&world.link, 7);
    world.seen().await.answer.send(Ok(json!({"code": -32602, "message": "unknown"}))).unwrap();
    assert_eq!(done(call.await.unwrap()), (Some(7), json!({"code": -32602, "message": "unknown"})));
}

#[tokio::test(start_paused = true)]
async fn the_result_of_a_watched_task_is_asked_for_by_another_process() {
    let world = World::new(&[]);
    let _call = ask_for_result(&world.link, 7);
    let ask = world.seen().await;
    for event in [None, Some("e1")] {
        let place = asks(&world, ask.id, event).await;
        let expected = Place { task: "t".into(), request: Some(ask.id), event: event.map(Into::into), watched: true };
        assert_eq!(place, expected);
        let other = World::new(&[]);
        let link = other.link.clone();
        let resumed = tokio::spawn(async move { link.resume(7, &place.write(), Instant::now() + HOUR).await });
        if event.is_some() {
            let seen = other.seen().await;
            assert_eq!((seen.id, &seen.what), (ask.id, &json!({"after": "e1"})));
            seen.answer.send(broke()).unwrap();
        }
        let again = other.seen().await;
        assert!(again.what["method"] == "tasks/result" && again.id < ask.id);
        assert_eq!(again.what["params"], json!({"taskId": "t"}));
        again.answer.send(Ok(json!({"content": []}))).unwrap();
        assert_eq!(done(resumed.await.unwrap()), (Some(7), json!({"content": []})));
    }
}

#[tokio::test]
async fn who_cancels_a_request_for_a_result_leaves_the_task_alone() {
    let world = World::new(&["slow"]);
    let call = ask_for_result(&world.link, 7);
    let ask = world.seen().await;
    call.abort();
    let link = world.link.clone();
    let cancelled = json!({"requestId": 7, "reason": "enough"});
    let body = jsonrpc::notification("notifications/cancelled", Some(&raw(&cancelled)));
    let posted = tokio::spawn(async move { link.post(body, Instant::now() + HOUR).await });
    let seen = world.seen().await;
    assert_eq!(seen.what["method"], "notifications/cancelled");
    assert_eq!(seen.what["params"], json!({"requestId": ask.id, "reason": "enough"}));
    seen.answer.send(Ok(json!({}))).unwrap();
    posted.await.unwrap().unwrap();
}
