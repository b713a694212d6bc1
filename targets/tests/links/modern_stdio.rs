//! Programs as modern targets, and which era a program is found to speak.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use sessiongate_protocol::{Response, Revision};
use sessiongate_targets::{
    Exchange, LinkLimits, ModernRequest, ProcessBound, ProcessMode, StdioTarget, StdioTargetOptions, Target, TargetEra,
    TargetError,
};

use crate::modern::{Notes, body, modern_request};
use crate::stdio::options;
use crate::support::*;

fn target(mode: &str, era: TargetEra) -> (StdioTarget, ProcessBound) {
    let bound = ProcessBound::new(1);
    let options = StdioTargetOptions { era, ..options(&[mode], ProcessMode::PerSession) };
    (StdioTarget::new(options, bound.clone()), bound)
}

fn modern() -> (Arc<dyn Exchange>, ProcessBound) {
    let (target, bound) = target("modern", TargetEra::Modern);
    (target.modern().unwrap(), bound)
}

fn tool(name: &str) -> ModernRequest {
    modern_request("tools/call", json!({"name": name, "_meta": {"progressToken": "t"}}))
}

async fn run(exchange: &dyn Exchange, name: &str, notes: &Notes) -> Result<Response, TargetError> {
    exchange.exchange(tool(name), notes, in_secs(10)).await
}

async fn text(exchange: &dyn Exchange, name: &str) -> String {
    let response = run(exchange, name, &Notes::all()).await.unwrap();
    body(&response)["text"].as_str().unwrap().to_owned()
}

#[actix_rt::test]
async fn requests_share_a_process_and_nothing_else() {
    let (exchange, bound) = modern();
    assert_eq!(bound.running(), 0, "started when it is needed");
    let (a, b) = (Notes::all(), Notes::all());
    let (one, two) = futures_util::future::join(run(&*exchange, "progress", &a), run(&*exchange, "progress", &b)).await;
    assert_ne!(body(&one.unwrap()), body(&two.unwrap()), "tokens differ on the wire");
    for notes in [a, b] {
        let seen = notes.0.lock();
        let progress: Vec<_> = seen.iter().filter(|note| note.method.as_ref() == "notifications/progress").collect();
        assert_eq!(progress.len(), 1);
        assert!(progress[0].params.as_ref().unwrap().as_str().contains(r#""t""#), "the caller's own token");
    }
    let alone = Notes::all();
    run(&*exchange, "progress", &alone).await.unwrap();
    // Whose a log message is nobody knows: the process serves all.
    assert_eq!(alone.methods(), ["notifications/progress"]);
    assert_eq!(bound.running(), 1);
}

#[actix_rt::test]
async fn a_listening_request_gets_what_names_it() {
    let (exchange, _bound) = modern();
    let (listener, caller) = (Notes::all(), Notes::all());
    let listen = exchange.exchange(modern_request("subscriptions/listen", json!({})), &listener, in_secs(10));
    let work = async {
        eventually("the acknowledgement", || !listener.methods().is_empty()).await;
        run(&*exchange, "change", &caller).await.unwrap();
        run(&*exchange, "progress", &caller).await.unwrap();
        eventually("the change", || listener.methods().len() == 2).await;
        run(&*exchange, "end", &caller).await.unwrap();
    };
    let (ended, ()) = futures_util::future::join(listen, work).await;
    assert!(matches!(ended, Err(TargetError::OutcomeUnknown { .. })), "{ended:?}");
    assert_eq!(listener.methods(), ["notifications/subscriptions/acknowledged", "notifications/tools/list_changed"]);
    assert_eq!(caller.methods(), ["notifications/progress"]);
}

#[actix_rt::test]
async fn who_gives_up_cancels_at_the_process() {
    let (exchange, _bound) = modern();
    let notes = Notes::all();
    let soon = Instant::now() + std::time::Duration::from_millis(500);
    let late = exchange.exchange(tool("hold"), &notes, soon).await;
    assert!(matches!(late, Err(TargetError::TimedOut(_))), "{late:?}");
    let deadline = in_secs(10);
    while text(&*exchange, "held").await != "0" {
        assert!(Instant::now() < deadline, "it was never cancelled");
    }
}

#[actix_rt::test]
async fn requests_of_the_process_are_dropped_and_its_end_loses_what_runs() {
    let (exchange, _bound) = modern();
    let first = text(&*exchange, "pid").await;
    let notes = Notes::all();
    let soon = Instant::now() + std::time::Duration::from_millis(500);
    let asked = exchange.exchange(tool("ask"), &notes, soon).await;
    assert!(matches!(asked, Err(TargetError::TimedOut(_))), "nobody answers it: {asked:?}");
    assert!(notes.methods().is_empty());

    let error = run(&*exchange, "die", &notes).await.unwrap_err();
    assert!(matches!(&error, TargetError::OutcomeUnknown { detail } if detail.contains("code 7")), "{error:?}");
    // It died young: the next start waits a little.
    let second = loop {
        match run(&*exchange, "pid", &notes).await {
            Ok(response) => break body(&response)["text"].as_str().unwrap().to_owned(),
            Err(TargetError::Process { .. } | TargetError::Exhausted { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    };
    assert_ne!(first, second);
}

#[actix_rt::test]
async fn a_program_shows_its_era_to_a_process_of_its_own() {
    for mode in ["picky", ""] {
        let (target, bound) = target(mode, TargetEra::Auto);
        for _ in 0..2 {
            let (link, welcome) = target.open(hello(), Sink::default().share()).await.unwrap();
            assert_eq!(welcome.revision, Revision::V2025_11_25, "{mode}");
            assert!(target.modern().is_none());
            link.close().await;
            assert_eq!(bound.running(), 0);
        }
    }
    let (target, bound) = target("modern", TargetEra::Auto);
    for _ in 0..2 {
        let (link, welcome) = target.open(hello(), Sink::default().share()).await.unwrap();
        assert_eq!((welcome.revision, welcome.transport), (Revision::V2026_07_28, "stdio"));
        let exchange = target.modern().unwrap();
        text(&*exchange, "pid").await;
        assert_eq!(bound.running(), 1, "the process that answered is the one that is used");
        link.close().await;
    }
}

#[actix_rt::test]
async fn a_program_that_stays_silent_is_legacy() {
    let bound = ProcessBound::new(1);
    let limits = LinkLimits { initialize: std::time::Duration::from_secs(4), ..limits() };
    let options = StdioTargetOptions { limits, ..options(&["silent"], ProcessMode::Shared) };
    let target = StdioTarget::new(options, bound);
    let (_link, welcome) = target.open(hello(), Sink::default().share()).await.unwrap();
    assert_eq!(welcome.revision, Revision::V2025_11_25);
    let started = Instant::now();
    target.open(hello(), Sink::default().share()).await.unwrap();
    assert!(started.elapsed() < std::time::Duration::from_secs(1), "asked once");
}
