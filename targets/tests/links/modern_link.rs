//! A legacy client's session on a modern target (2026-07-28) behind a URL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::HttpResponse;
use serde_json::{Value, json};
use sessiongate_protocol::{Message, RawJson, ResponseBody, Revision};
use sessiongate_targets::{CallReply, Hello, Link, LinkEvent, Listening, Origin, Target, TargetEra, TargetError};

use crate::modern::modern_target;
use crate::support::*;

const STATE: &str = "a+/=\u{1f600}";

/// Asks once, then sells.
fn shop(seen: &Seen) -> HttpResponse {
    let result = |result: Value| json!({"jsonrpc":"2.0","id":seen.id(),"result":result});
    let params = &seen.body["params"];
    let answers = &params["inputResponses"];
    match seen.rpc() {
        "server/discover" => HttpResponse::Ok().json(result(json!({"resultType":"complete",
            "supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}}}))),
        "tools/list" => HttpResponse::Ok().json(result(json!({"resultType":"complete","tools":[]}))),
        "tools/call" if answers.is_null() => {
            let asks = json!({"k":{"method":"elicitation/create","params":{"message":"sure?",
                "requestedSchema":{"type":"object","properties":{}}}}});
            let asks = result(json!({"resultType":"input_required","inputRequests":asks,"requestState":STATE}));
            sse(vec![event("1", &progress(1)), event("2", &asks)])
        }
        "tools/call" => {
            assert_eq!((&params["requestState"], &params["name"]), (&json!(STATE), &json!("buy")));
            HttpResponse::Ok().json(result(json!({"resultType":"complete","answers":answers})))
        }
        "subscriptions/listen" => {
            let tag = json!({"io.modelcontextprotocol/subscriptionId":seen.id()});
            let acknowledged = json!({"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged",
                "params":{"notifications":params["notifications"],"_meta":tag}});
            let changed = json!({"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":tag}});
            sse_open(vec![event("1", &acknowledged), event("2", &changed)])
        }
        method => panic!("{method}"),
    }
}

async fn open(server: &Server) -> (Arc<dyn Link>, Sink) {
    let sink = Sink::default();
    let hello = Hello { capabilities: RawJson::parse(r#"{"elicitation":{}}"#).unwrap(), ..hello() };
    let target = modern_target(server, TargetEra::Auto);
    let (link, welcome) = target.open(hello, sink.share()).await.unwrap();
    assert_eq!(welcome.revision, Revision::V2026_07_28);
    (link, sink)
}

fn buy() -> bytes::Bytes {
    json!({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"buy","_meta":{"progressToken":1}}})
        .to_string()
        .into()
}

/// The next position, and the id of the question after it.
async fn asked(sink: &mut Sink) -> (Box<str>, Value) {
    let LinkEvent::Position { call: 1, event_id, .. } = sink.next().await else { panic!("no position") };
    let LinkEvent::Message { origin: Origin::Call(1), message: Message::Request(request), .. } = sink.next().await
    else {
        panic!("no question")
    };
    assert_eq!(&*request.method, "elicitation/create");
    (event_id, serde_json::from_str(request.id.as_raw()).unwrap())
}

async fn answer(link: &Arc<dyn Link>, id: &Value) {
    let body = json!({"jsonrpc":"2.0","id":id,"result":{"action":"accept","content":{}}}).to_string();
    link.post(body.into(), in_secs(10)).await.unwrap();
}

fn answers(reply: &CallReply) -> Value {
    let ResponseBody::Result(result) = &reply.response.body else { panic!("an error") };
    result.get().unwrap()
}

#[actix_rt::test]
async fn a_question_travels_in_a_result_and_its_answer_in_a_second_request() {
    let server = Server::start(shop);
    let (link, mut sink) = open(&server).await;
    let call = {
        let link = Arc::clone(&link);
        actix_rt::spawn(async move { link.call(1, buy(), in_secs(10)).await })
    };
    assert_eq!(sink.line().await, "Call(1) notifications/progress -");
    let (_, id) = asked(&mut sink).await;
    answer(&link, &id).await;
    let reply = call.await.unwrap().unwrap();
    assert_eq!(answers(&reply), json!({"answers":{"k":{"action":"accept","content":{}}}}));
    let calls: Vec<Seen> = server.seen("POST").into_iter().filter(|seen| seen.rpc() == "tools/call").collect();
    assert_eq!(calls.len(), 2);
    assert_ne!(calls[0].id(), calls[1].id());
    for call in calls {
        assert_eq!(call.header("mcp-name"), Some("buy"));
        let meta = &call.body["params"]["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({"elicitation":{"form":{}}}));
        assert!(meta["progressToken"].is_number());
    }
}

#[actix_rt::test]
async fn another_process_goes_on_with_the_round() {
    let server = Server::start(shop);
    let (link, mut sink) = open(&server).await;
    let call = {
        let link = Arc::clone(&link);
        actix_rt::spawn(async move { link.call(1, buy(), in_secs(10)).await })
    };
    assert_eq!(sink.line().await, "Call(1) notifications/progress -");
    let (position, id) = asked(&mut sink).await;
    let saved = link.save().unwrap();
    call.abort();
    drop(link);

    let sink = Sink::default();
    let link = modern_target(&server, TargetEra::Auto).reattach(&saved, sink.share()).unwrap();
    let resumed = {
        let link = Arc::clone(&link);
        actix_rt::spawn(async move { link.resume(1, &position, in_secs(10)).await })
    };
    answer(&link, &id).await;
    let reply = resumed.await.unwrap().unwrap();
    assert_eq!(answers(&reply)["answers"]["k"]["action"], "accept");
}

#[actix_rt::test]
async fn changes_come_on_a_stream_that_stands() {
    let server = Server::start(shop);
    let (link, mut sink) = open(&server).await;
    link.listen(Listening::On);
    assert_eq!(sink.line().await, "Standing notifications/tools/list_changed -");
    link.close().await;
    assert!(matches!(link.call(2, buy(), in_secs(10)).await, Err(TargetError::Closed)));
}

#[actix_rt::test]
async fn a_target_that_is_modern_no_more_is_opened_as_what_it_is() {
    let legacy = Arc::new(AtomicBool::new(false));
    let script = {
        let legacy = Arc::clone(&legacy);
        move |seen: &Seen| match seen.rpc() {
            "initialize" => initialize_answer(seen, "2025-11-25"),
            "notifications/initialized" => HttpResponse::Accepted().finish(),
            _ if legacy.load(Ordering::SeqCst) => HttpResponse::BadRequest()
                .json(json!({"jsonrpc":"2.0","id":seen.id(),
                "error":{"code":-32022,"message":"no","data":{"supported":["2025-11-25"],"requested":"2026-07-28"}}})),
            _ => shop(seen),
        }
    };
    let server = Server::start(script);
    let target = modern_target(&server, TargetEra::Auto);
    let sink = Sink::default();
    let (link, welcome) = target.open(hello(), sink.share()).await.unwrap();
    assert_eq!(welcome.revision, Revision::V2026_07_28);
    legacy.store(true, Ordering::SeqCst);
    assert!(matches!(link.call(1, buy(), in_secs(10)).await, Err(TargetError::SessionGone)));
    let (_, welcome) = target.open(hello(), sink.share()).await.unwrap();
    assert_eq!(welcome.revision, Revision::V2025_11_25);
}
