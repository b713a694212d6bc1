//! What a link wants to hear outside calls, and one `subscriptions/listen` that brings it.
//!
//! The filter of a listen cannot change (2026-07-28, subscriptions): when something else is wanted, a second one is
//! begun, and when the target has acknowledged it the first one ends, so that nothing is missed in between. What is
//! sent while no listen runs is lost, so after such a gap everything that was opted in is said to have changed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sessiongate_protocol::{RawJson, ResponseBody, codes, jsonrpc};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::listen::{Ended, Filter, Listen, Refused};
use super::wire::Wire;
use crate::backoff::full_jitter;
use crate::error::TargetError;
use crate::link::{LinkEvent, Listening};

/// Resources that one link may be subscribed to; a session allows fewer.
const MAX_SUBSCRIPTIONS: usize = 1024;
/// First and longest wait before a lost listen is begun again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A listen that ran for so long was a good one.
const STEADY: Duration = Duration::from_secs(30);

/// The listening of one link.
pub(super) struct Listener {
    wire: Arc<Wire>,
    wanted: watch::Sender<Wanted>,
    heard: watch::Receiver<Heard>,
    report: watch::Sender<Heard>,
    task: Mutex<Option<Task>>,
    /// An earlier process listened: what happened since is unknown.
    resumed: bool,
}

#[derive(Clone, Default)]
struct Wanted {
    lists: bool,
    uris: BTreeSet<Box<str>>,
    /// Grows with each change.
    version: u64,
}

/// What the target made of what was wanted.
#[derive(Clone)]
struct Heard {
    /// Of which version of the wishes.
    version: u64,
    /// The resources of which it sends updates, or why it does not listen at all.
    uris: Result<BTreeSet<Box<str>>, String>,
}

/// Aborted when dropped.
struct Task(JoinHandle<()>);

// === impl Listener ===

impl Listener {
    pub(super) fn new(wire: Arc<Wire>, subscriptions: Vec<Box<str>>, resumed: bool) -> Self {
        let wanted = Wanted { lists: false, uris: subscriptions.into_iter().collect(), version: 0 };
        let (report, heard) = watch::channel(Heard { version: 0, uris: Ok(BTreeSet::new()) });
        Self { wire, wanted: watch::Sender::new(wanted), heard, report, task: Mutex::default(), resumed }
    }

    /// Wants changes of lists, or does not. Resources that are subscribed to are heard of either way.
    pub(super) fn set(&self, listening: Listening) {
        let lists = listening == Listening::On;
        self.change(|wanted| std::mem::replace(&mut wanted.lists, lists) != lists);
    }

    /// Wants updates of a resource; waits until the target has agreed.
    ///
    /// # Errors
    /// [`TargetError::Closed`] when the link is closed. Where the target does not agree, the body is an error.
    pub(super) async fn subscribe(&self, uri: Box<str>) -> Result<ResponseBody, TargetError> {
        let refuse = |code: i64, text: &str| Ok(jsonrpc::error_body(code, text, None));
        if !self.wire.offered().subscribe {
            return refuse(codes::METHOD_NOT_FOUND, "the target does not offer subscriptions to resources");
        }
        if self.wanted.borrow().uris.len() >= MAX_SUBSCRIPTIONS {
            return refuse(codes::INVALID_REQUEST, "too many resources are subscribed to");
        }
        let version = self.change(|wanted| wanted.uris.insert(uri.clone()));
        let mut undo = Undo { listener: self, uri: Some(&uri) };
        let mut heard = self.heard.clone();
        let outcome = tokio::select! {
            () = self.wire.closed.cancelled() => return Err(TargetError::Closed),
            outcome = heard.wait_for(|heard| heard.version >= version) => match outcome {
                Ok(heard) => heard.uris.clone(),
                Err(_) => return Err(TargetError::Closed),
            },
        };
        match outcome {
            Ok(uris) if uris.contains(&uri) => {
                undo.uri = None;
                Ok(ResponseBody::Result(RawJson::EMPTY_OBJECT))
            }
            Ok(_) => refuse(codes::INVALID_PARAMS, "the target does not offer updates of this resource"),
            Err(text) => refuse(codes::INTERNAL_ERROR, &text),
        }
    }

    /// Takes up what an earlier process was subscribed to.
    pub(super) fn start(&self) {
        self.change(|_| false);
    }

    /// Does not want updates of a resource any more.
    pub(super) fn unsubscribe(&self, uri: &str) {
        self.change(|wanted| wanted.uris.remove(uri));
    }

    pub(super) fn subscriptions(&self) -> Vec<Box<str>> {
        self.wanted.borrow().uris.iter().cloned().collect()
    }

    pub(super) fn stop(&self) {
        *self.task.lock() = None;
    }

    /// Applies a change that says whether it was one; the version that it is part of.
    fn change(&self, change: impl FnOnce(&mut Wanted) -> bool) -> u64 {
        self.wanted.send_if_modified(|wanted| {
            let changed = change(wanted);
            wanted.version += u64::from(changed);
            changed
        });
        let wanted = self.wanted.borrow().clone();
        let mut task = self.task.lock();
        let idle = task.as_ref().is_none_or(|task| task.0.is_finished());
        if idle && !wanted.filter(&self.wire).is_empty() && !self.wire.closed.is_cancelled() {
            let keep = keep(Arc::clone(&self.wire), self.wanted.subscribe(), self.report.clone(), self.resumed);
            *task = Some(Task(tokio::spawn(keep)));
        }
        wanted.version
    }
}

/// Takes a subscription back that did not come about.
struct Undo<'a> {
    listener: &'a Listener,
    uri: Option<&'a str>,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if let Some(uri) = self.uri {
            self.listener.unsubscribe(uri);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// === impl Wanted ===

impl Wanted {
    /// What of it the target offers.
    fn filter(&self, wire: &Wire) -> Filter {
        let offered = wire.offered();
        Filter {
            tools: self.lists && offered.tools,
            prompts: self.lists && offered.prompts,
            resources: self.lists && offered.resources,
            uris: if offered.subscribe { self.uris.clone() } else { BTreeSet::new() },
        }
    }
}

// === the task ===

/// Keeps one listen with the filter that is wanted, until the link ends or nobody hears it.
async fn keep(wire: Arc<Wire>, mut wanted: watch::Receiver<Wanted>, report: watch::Sender<Heard>, resumed: bool) {
    let mut running: Option<Listen> = None;
    let mut gap = resumed;
    let mut first = true;
    let mut failures = 0u32;
    loop {
        let now = wanted.borrow_and_update().clone();
        let filter = now.filter(&wire);
        if filter.is_empty() {
            running = None;
            gap = false;
            report.send_replace(Heard { version: now.version, uris: Ok(BTreeSet::new()) });
        } else if let Some(listen) = running.as_ref().filter(|listen| listen.filter == filter) {
            report.send_replace(Heard { version: now.version, uris: Ok(listen.honoured.clone()) });
        } else {
            match Listen::begin(&wire, filter).await {
                Ok(listen) => {
                    gap |= running.as_ref().is_some_and(Listen::is_over);
                    // An earlier process is no concern of the lists: whoever keeps them listens too.
                    let lists = !std::mem::take(&mut first);
                    if std::mem::take(&mut gap) && listen.tell_changed(&wire, lists).await.is_err() {
                        return;
                    }
                    report.send_replace(Heard { version: now.version, uris: Ok(listen.honoured.clone()) });
                    // The one before ends here.
                    running = Some(listen);
                }
                Err(Refused::Never(text)) => {
                    tracing::debug!(target_name = &*wire.target, reason = %text, "the target refused to be listened to");
                    report.send_replace(Heard { version: now.version, uris: Err(text) });
                    // What was agreed on goes on; asking for the same again would not change the answer.
                    if running.is_none() && wanted.changed().await.is_err() {
                        return;
                    }
                    if running.is_none() {
                        continue;
                    }
                }
                Err(Refused::NotNow(error @ TargetError::SessionGone)) => {
                    let _ = wire.deliver(LinkEvent::Closed { error }).await;
                    return;
                }
                Err(Refused::NotNow(error)) => {
                    failures = failures.saturating_add(1);
                    gap |= running.is_none();
                    tracing::debug!(target_name = &*wire.target, error = error.code(), detail = ?error, failures, "the target cannot be listened to");
                    let wait = full_jitter(failures, RETRY.0, RETRY.1).max(RETRY.0 / 2);
                    if tokio::time::timeout(wait, wanted.changed()).await.is_ok_and(|changed| changed.is_err()) {
                        return;
                    }
                    continue;
                }
            }
        }
        let Some(listen) = &mut running else {
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        };
        let begun = listen.begun;
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            ended = listen.ended() => {
                running = None;
                gap = true;
                if matches!(ended, Ended::Unheard) {
                    return;
                }
                failures = if begun.elapsed() >= STEADY { 0 } else { failures.saturating_add(1) };
                tracing::debug!(target_name = &*wire.target, failures, "a listen ended and is begun again");
                tokio::time::sleep(full_jitter(failures + 1, RETRY.0, RETRY.1)).await;
            }
        }
    }
}
