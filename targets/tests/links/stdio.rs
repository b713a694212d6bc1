//! Programs as targets.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sessiongate_protocol::Revision;
use sessiongate_targets::{
    CallReply, Link, LinkEvent, ProcessBound, ProcessMode, SecretEnv, StdioTarget, StdioTargetOptions, Target,
    TargetEra, TargetError,
};

use crate::support::{Sink, eventually, hello, in_secs, limits, line, text};

pub fn options(args: &[&str], mode: ProcessMode) -> StdioTargetOptions {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/links/server.py");
    StdioTargetOptions {
        name: "files".into(),
        command: "python3".into(),
        args: std::iter::once(script).chain(args.iter().copied()).map(str::to_owned).collect(),
        env: SecretEnv::from_iter([("API_KEY".to_owned(), "s3cret".to_owned())]),
        cwd: None,
        limits: limits(),
        mode,
        era: TargetEra::Auto,
        known: None,
    }
}

fn target(args: &[&str]) -> (StdioTarget, ProcessBound) {
    let bound = ProcessBound::new(2);
    (StdioTarget::new(options(args, ProcessMode::PerSession), bound.clone()), bound)
}

pub fn tool(id: i64, name: &str, token: Option<&str>) -> Bytes {
    let meta = token.map_or(String::new(), |token| format!(r#","_meta":{{"progressToken":{token}}}"#));
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\n\"method\":\"tools/call\",\"params\":{{\"name\":\"{name}\"{meta}}}}}")
        .into()
}

pub async fn run(link: &Arc<dyn Link>, id: i64, name: &str) -> Result<CallReply, TargetError> {
    link.call(id, tool(id, name, None), in_secs(10)).await
}

async fn open(target: &StdioTarget) -> (Arc<dyn Link>, Sink) {
    let sink = Sink::default();
    let (link, _) = target.open(hello(), sink.share()).await.unwrap();
    (link, sink)
}

fn pids(file: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(file).unwrap();
    text.split(' ').map(|pid| pid.parse().unwrap()).collect()
}

/// Dead, or a zombie that nobody in a container reaps.
fn is_dead(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_or(true, |stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}

#[actix_rt::test]
async fn a_session_has_a_process_of_its_own() {
    let (target, bound) = target(&[]);
    let mut sink = Sink::default();
    let (link, welcome) = target.open(hello(), sink.share()).await.unwrap();
    assert_eq!((welcome.revision, welcome.transport), (Revision::V2025_11_25, "stdio"));
    let reply = link.call(1, tool(1, "progress", Some("\"t\"")), in_secs(5)).await.unwrap();
    assert_eq!(text(&reply), "done t");
    assert_eq!(sink.line().await, "Standing notifications/progress -");
    assert_eq!(sink.line().await, "Standing notifications/message -");
    assert_eq!(text(&run(&link, 2, "noise").await.unwrap()), "quiet");
    let error = run(&link, 3, "wrong").await.unwrap_err();
    assert!(matches!(error, TargetError::Protocol { .. }), "{error:?}");

    let (other, _other_sink) = open(&target).await;
    let (one, two) = (run(&link, 4, "pid").await.unwrap(), run(&other, 1, "pid").await.unwrap());
    assert_ne!(text(&one), text(&two));
    let third = target.open(hello(), Sink::default().share()).await.err().unwrap();
    assert!(matches!(third, TargetError::Exhausted { what: "stdio processes", limit: 2 }), "{third:?}");

    link.close().await;
    assert_eq!(bound.running(), 1);
    assert!(matches!(run(&link, 5, "pid").await, Err(TargetError::Closed)));
    assert!(sink.try_next().is_none(), "closing is no news to who closes");
    drop(other);
    eventually("the second process", || bound.running() == 0).await;
}

#[actix_rt::test]
async fn the_environment_is_what_is_listed_and_configured() {
    let (target, _) = target(&[]);
    let (link, _sink) = open(&target).await;
    let names = text(&run(&link, 1, "env").await.unwrap());
    let names: Vec<&str> = names.split(' ').collect();
    // A shell between here and there sets these by itself.
    let shells = ["PWD", "OLDPWD", "SHLVL", "_"];
    let kept_back: Vec<String> = std::env::vars()
        .map(|(name, _)| name)
        .filter(|name| !sessiongate_targets::stdio::INHERITED_ENVIRONMENT.contains(&name.as_str()))
        .filter(|name| !shells.contains(&name.as_str()) && !name.starts_with("PYENV"))
        .collect();
    assert!(kept_back.iter().any(|name| name == "CARGO_MANIFEST_DIR"));
    for name in kept_back {
        assert!(!names.contains(&name.as_str()), "{name}");
    }
    assert!(names.contains(&"API_KEY") && names.contains(&"PATH"));
    assert!(!format!("{:?}", options(&[], ProcessMode::Shared)).contains("s3cret"));
}

#[actix_rt::test]
async fn a_process_that_dies_in_a_call_leaves_its_outcome_unknown() {
    let (target, bound) = target(&[]);
    let (link, mut sink) = open(&target).await;
    let error = run(&link, 1, "die").await.unwrap_err();
    assert!(matches!(&error, TargetError::OutcomeUnknown { detail } if detail.contains("code 7")), "{error:?}");
    let LinkEvent::Closed { error: TargetError::Process { detail } } = sink.next().await else { panic!() };
    assert!(detail.contains("code 7"), "{detail}");
    assert!(matches!(run(&link, 2, "pid").await, Err(TargetError::SessionGone)));
    eventually("the permit", || bound.running() == 0).await;
}

#[actix_rt::test]
async fn a_line_without_end_closes_the_link() {
    let (target, _) = target(&[]);
    let (link, mut sink) = open(&target).await;
    let error = run(&link, 1, "huge").await.unwrap_err();
    assert!(matches!(error, TargetError::TooLarge { limit: 1_048_576 }), "{error:?}");
    assert_eq!(line(sink.next().await), "closed too_large");
}

#[actix_rt::test]
async fn a_process_that_keeps_dying_is_not_started_in_a_hot_loop() {
    let (target, _) = target(&["dies"]);
    let mut delayed = false;
    for _ in 0..60 {
        let error = target.open(hello(), Sink::default().share()).await.err().unwrap();
        let TargetError::Process { detail } = &error else { panic!("{error:?}") };
        assert!(detail.contains("code 3") || detail.contains("restarting in"), "{detail}");
        delayed |= detail.contains("restarting in");
    }
    assert!(delayed);

    let mut missing = options(&[], ProcessMode::PerSession);
    missing.command = "/nonexistent/command".into();
    let missing = StdioTarget::new(missing, ProcessBound::new(1));
    let error = missing.open(hello(), Sink::default().share()).await.err().unwrap().to_string();
    assert!(error.contains("does not exist") && !error.contains("nonexistent"), "{error}");
}

#[actix_rt::test]
async fn a_group_that_ignores_sigterm_is_killed_when_its_link_is_dropped() {
    let file = scratch("stubborn");
    let (target, bound) = target(&["stubborn", file.to_str().unwrap()]);
    let (link, _sink) = open(&target).await;
    let pids = pids(&file);
    assert!(pids.iter().all(|&pid| !is_dead(pid)));
    let started = Instant::now();
    drop(link);
    eventually("the group to be gone", || pids.iter().all(|&pid| is_dead(pid))).await;
    assert!(started.elapsed() >= Duration::from_secs(4), "end of input and sigterm come first");
    eventually("the permit", || bound.running() == 0).await;
    std::fs::remove_file(file).unwrap();
}

#[actix_rt::test]
async fn children_that_a_process_leaves_behind_end_with_it() {
    let file = scratch("child");
    let (target, _) = target(&["leaves-child", file.to_str().unwrap()]);
    let (link, _sink) = open(&target).await;
    let pids = pids(&file);
    link.close().await;
    eventually("the child", || pids.iter().all(|&pid| is_dead(pid))).await;
    std::fs::remove_file(file).unwrap();
}
