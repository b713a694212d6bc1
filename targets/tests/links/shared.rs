//! One process for several sessions.

use std::sync::Arc;

use bytes::Bytes;
use sessiongate_protocol::{Message, RequestId, jsonrpc};
use sessiongate_targets::{Link, LinkEvent, Origin, ProcessBound, ProcessMode, StdioTarget, Target, TargetError};

use crate::stdio::{options, run, tool};
use crate::support::{Sink, hello, in_secs, text};

async fn two() -> (StdioTarget, [(Arc<dyn Link>, Sink); 2]) {
    let target = StdioTarget::new(options(&[], ProcessMode::Shared), ProcessBound::new(1));
    let (a, b) = (Sink::default(), Sink::default());
    let (one, _) = target.open(hello(), a.share()).await.unwrap();
    let (two, _) = target.open(hello(), b.share()).await.unwrap();
    (target, [(one, a), (two, b)])
}

fn release() -> Bytes {
    jsonrpc::notification("notifications/release", None)
}

#[actix_rt::test]
async fn ids_and_tokens_of_two_sessions_do_not_meet() {
    let (_target, [(one, mut a), (two, mut b)]) = two().await;
    assert_eq!(text(&run(&one, 1, "pid").await.unwrap()), text(&run(&two, 1, "pid").await.unwrap()));

    let (body_a, body_b) = (tool(2, "progress", Some("\"t\"")), tool(2, "progress", Some("5")));
    let replies = futures_util::future::join(one.call(2, body_a, in_secs(5)), two.call(2, body_b, in_secs(5))).await;
    for reply in [replies.0.unwrap(), replies.1.unwrap()] {
        assert_eq!(reply.response.id, Some(RequestId::integer(2)));
    }
    for (sink, token) in [(&mut a, "\"t\""), (&mut b, "5")] {
        let LinkEvent::Message { origin, message: Message::Notification(note), .. } = sink.next().await else {
            panic!()
        };
        assert_eq!((origin, note.method.as_ref()), (Origin::Call(2), "notifications/progress"));
        assert!(note.params.unwrap().as_str().contains(&format!(r#""progressToken": {token}"#).replace(": ", ":")));
    }
}

#[actix_rt::test]
async fn a_cancellation_names_the_call_of_the_one_who_cancels() {
    let (_target, [(one, mut a), (two, _b)]) = two().await;
    let held = one.call(9, tool(9, "hold", None), in_secs(1));
    assert!(matches!(held.await, Err(TargetError::TimedOut(_))));
    let cancel: Bytes =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9,"reason":"x"}}"#.into();
    // Session two has no call 9: nothing is sent for it.
    two.post(cancel.clone(), in_secs(5)).await.unwrap();
    one.post(cancel, in_secs(5)).await.unwrap();
    let LinkEvent::Message { message: Message::Notification(note), .. } = a.next().await else { panic!() };
    assert!(note.params.unwrap().as_str().contains("\"cancelled\""), "the server knew the id");
    assert!(a.try_next().is_none());
}

#[actix_rt::test]
async fn a_question_reaches_the_only_caller_or_nobody() {
    let (_target, [(one, mut a), (two, mut b)]) = two().await;
    let answer: Bytes = r#"{"jsonrpc":"2.0","id":"q-1","result":{"action":"accept"}}"#.into();
    let asked = async {
        let LinkEvent::Message { origin, message: Message::Request(request), .. } = a.next().await else { panic!() };
        assert_eq!((origin, request.method.as_ref()), (Origin::Call(1), "elicitation/create"));
        // Not its question to answer: dropped.
        two.post(r#"{"jsonrpc":"2.0","id":"q-1","error":{"code":1,"message":"x"}}"#.into(), in_secs(5)).await.unwrap();
        one.post(answer, in_secs(5)).await.unwrap();
    };
    let (reply, ()) = futures_util::future::join(run(&one, 1, "ask"), asked).await;
    assert_eq!(text(&reply.unwrap()), "answered");
    assert!(b.try_next().is_none());

    let hold = run(&two, 1, "hold");
    let ask = async {
        let reply = run(&one, 2, "ask").await;
        two.post(release(), in_secs(5)).await.unwrap();
        reply
    };
    let (held, refused) = futures_util::future::join(hold, ask).await;
    assert_eq!(text(&refused.unwrap()), "refused -32601");
    assert_eq!(text(&held.unwrap()), "released");
}

#[actix_rt::test]
async fn the_end_of_the_process_is_told_to_all_and_the_next_session_starts_another() {
    let (target, [(one, mut a), (two, mut b)]) = two().await;
    let first = text(&run(&one, 1, "pid").await.unwrap());
    two.close().await;
    assert_eq!(text(&run(&one, 2, "pid").await.unwrap()), first, "the process stays for the others");
    assert!(matches!(run(&two, 2, "pid").await, Err(TargetError::SessionGone)));
    assert!(matches!(run(&one, 3, "die").await, Err(TargetError::OutcomeUnknown { .. })));
    assert_eq!(a.closed().await.code(), "process");
    assert!(b.try_next().is_none());
    assert!(matches!(run(&one, 4, "pid").await, Err(TargetError::SessionGone)));

    // It died young: the next start waits a little.
    let sink = Sink::default();
    let again = loop {
        match target.open(hello(), sink.share()).await {
            Ok((link, _)) => break link,
            Err(TargetError::Process { .. } | TargetError::Exhausted { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    };
    assert_ne!(text(&run(&again, 1, "pid").await.unwrap()), first);
}
