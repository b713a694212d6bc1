//! A downstream session for a target that has none: a legacy client's [`Link`] over a modern [`Exchange`].
//!
//! | the client's side | the target's side |
//! |---|---|
//! | `initialize` | nothing: what the client declared goes into the envelope of each request |
//! | a call | a request, or several where the target answers `input_required` |
//! | questions of the target, on the stream of the call | `inputRequests` of a result |
//! | answers to them | `inputResponses` of the repeated request |
//! | `resources/subscribe`, the standing stream | one `subscriptions/listen` |
//! | `logging/setLevel` | `logLevel` in the envelope |
//! | `notifications/cancelled` | the end of the request |
//! | tasks of 2025-11-25 | those of the extension: see [`handles`] |
//!
//! A call that asks has a position ([`LinkEvent::Position`](crate::LinkEvent::Position)) from before its first question
//! on, so that another process can go on with it: see [`ledger`] for when an answer counts as delivered, and
//! [`checkpoint`] for what a position holds. The position changes once more before the answers are sent: a `tools/call`
//! whose answers may have reached the target is never sent again, and its outcome is unknown. A call that has asked
//! nothing has no position and does not survive the process.

mod checkpoint;
mod handles;
mod ledger;
mod listen;
mod listener;
mod profile;
mod questions;
mod rounds;
mod tasks;
#[cfg(test)]
mod tests;
mod tools;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::input_required::without_rounds;
use sessiongate_protocol::modern::tasks as tasks_protocol;
use sessiongate_protocol::tasks::without_related;
use sessiongate_protocol::{
    Message, Notification, RawJson, Request, RequestId, Response, ResponseBody, Revision, codes, jsonrpc, meta,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::checkpoint::Checkpoint;
use self::ledger::{Ledger, Taken, call_of};
use self::listener::Listener;
use self::profile::Profile;
use self::rounds::Run;
use self::wire::{Terms, Wire};
use super::Exchange;
use super::tools::Learning;
use crate::error::TargetError;
use crate::http::link::until;
use crate::link::{CallReply, Hello, Link, LinkSink, Listening, SavedLink};
use crate::passed::Passed;

/// How long an answer waits for its call to be taken up, on a link of an earlier process.
const EARLY_WAIT: Duration = Duration::from_secs(2);
/// Answers that are kept for calls that were not taken up yet.
const MAX_EARLY: usize = 256;
/// Calls of one link at once; a session allows far fewer.
const MAX_CALLS: usize = 4096;

/// A target of the modern era, as all its links share it.
#[derive(Clone)]
pub struct ModernTarget {
    name: Arc<str>,
    /// One for all links and for requests without a session: what anybody lists serves the calls of all.
    learning: Arc<Learning>,
    exchange: Arc<dyn Exchange>,
}

/// What `server/discover` was answered with.
#[derive(Clone, Debug)]
pub struct ModernWelcome {
    /// The revision that both speak.
    pub revision: Revision,
    /// The whole `DiscoverResult`.
    pub discover: RawJson,
}

/// A legacy session on a modern target. Opening one does no I/O, and closing it only ends what runs.
pub struct ModernLink {
    wire: Arc<Wire>,
    listener: Listener,
    calls: Mutex<HashMap<i64, Arc<Running>>>,
    /// Counts the calls that were begun, for answers that wait for theirs.
    begun: watch::Sender<u64>,
    /// Answers to questions of calls that were not taken up yet; none where no other process was before.
    early: Option<Mutex<Vec<(RequestId, ResponseBody)>>>,
    /// Page ids must differ between the sessions of one client.
    nonce: Box<str>,
}

struct Running {
    ledger: Ledger,
    cancelled: CancellationToken,
}

/// Takes a call out of the table when it ends or is dropped.
struct Registered<'a> {
    link: &'a ModernLink,
    id: i64,
    running: Arc<Running>,
}

// === impl ModernTarget ===

impl ModernTarget {
    /// `name` is the configured one, for messages.
    pub fn new(name: impl Into<Arc<str>>, exchange: Arc<dyn Exchange>) -> Self {
        let learning = Arc::new(Learning::new(exchange));
        Self { name: name.into(), exchange: Arc::clone(&learning) as Arc<dyn Exchange>, learning }
    }

    /// The way to it, for requests without a session. The links learn from the lists of tools that are read over it.
    pub fn exchange(&self) -> &Arc<dyn Exchange> {
        &self.exchange
    }
}

// === impl ModernLink ===

impl ModernLink {
    /// A new session. Its [`Link::save`] holds what the client declared; a level or a subscription that is set later
    /// is in it as soon as it is asked for again.
    // The shape that owners of links keep.
    #[allow(clippy::new_ret_no_self)]
    pub fn new(target: &ModernTarget, hello: Hello, welcome: &ModernWelcome, sink: Arc<dyn LinkSink>) -> Arc<dyn Link> {
        let profile = Profile::new(hello, &welcome.discover);
        Self::of(target, welcome.revision, profile, sink, false)
    }

    /// Takes up a session of another process; none where it is not one of this era.
    pub fn resumed(target: &ModernTarget, saved: &SavedLink, sink: Arc<dyn LinkSink>) -> Option<Arc<dyn Link>> {
        let (revision, profile) = Profile::of_saved(saved)?;
        Some(Self::of(target, revision, profile, sink, true))
    }

    fn of(
        target: &ModernTarget,
        revision: Revision,
        profile: Profile,
        sink: Arc<dyn LinkSink>,
        resumed: bool,
    ) -> Arc<dyn Link> {
        let subscriptions = profile.subscriptions.clone();
        let wire = Arc::new(Wire::new(target, revision, profile, sink));
        let listener = Listener::new(Arc::clone(&wire), subscriptions, resumed);
        listener.start();
        Arc::new(Self {
            wire,
            listener,
            calls: Mutex::default(),
            begun: watch::Sender::new(0),
            early: resumed.then(Mutex::default),
            nonce: format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)).into(),
        })
    }

    fn check_open(&self) -> Result<(), TargetError> {
        if self.wire.closed.is_cancelled() { Err(TargetError::Closed) } else { Ok(()) }
    }

    fn register(&self, id: i64, ledger: Ledger) -> Result<Registered<'_>, TargetError> {
        let running = Arc::new(Running { ledger, cancelled: CancellationToken::new() });
        {
            let mut calls = self.calls.lock();
            if calls.len() >= MAX_CALLS {
                return Err(TargetError::Exhausted { what: "calls to one target", limit: MAX_CALLS });
            }
            if calls.contains_key(&id) {
                return Err(TargetError::Protocol { detail: "the request id is in use".into() });
            }
            calls.insert(id, Arc::clone(&running));
        }
        if self.early.is_some() {
            self.begun.send_modify(|begun| *begun += 1);
        }
        Ok(Registered { link: self, id, running })
    }

    /// Runs `work` until the deadline, the end of the link, or the client's cancellation, whichever comes first.
    /// Dropping the work ends its request at the target.
    async fn guarded(
        &self,
        registered: &Registered<'_>,
        deadline: Instant,
        work: impl Future<Output = Result<CallReply, TargetError>>,
    ) -> Result<CallReply, TargetError> {
        until(deadline, async {
            tokio::select! {
                biased;
                () = self.wire.closed.cancelled() => Err(TargetError::Closed),
                () = registered.running.cancelled.cancelled() => {
                    Err(TargetError::OutcomeUnknown { detail: "the client cancelled the call".into() })
                }
                reply = work => reply,
            }
        })
        .await
    }

    fn run<'a>(&'a self, registered: &'a Registered<'_>, terms: Terms<'a>) -> Run<'a> {
        Run { wire: &self.wire, ledger: &registered.running.ledger, call: registered.id, terms, nonce: &self.nonce }
    }

    /// Methods that this era does not have; none for all others.
    async fn local(&self, request: &Request, deadline: Instant) -> Option<Result<ResponseBody, TargetError>> {
        let empty = || Ok(ResponseBody::Result(RawJson::EMPTY_OBJECT));
        let wrong =
            |error: &dyn std::fmt::Display| Ok(jsonrpc::error_body(codes::INVALID_PARAMS, &error.to_string(), None));
        let params = request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
        let uri = || meta::uri_of(&params).map(|uri| Box::<str>::from(uri.as_ref()));
        match &*request.method {
            "ping" => Some(empty()),
            "logging/setLevel" => {
                let level = Members::of(&params).ok().and_then(|members| Some(members.get_str("level")?.into_owned()));
                Some(match level {
                    Some(level) => {
                        self.wire.profile.lock().level = Some(level.into());
                        empty()
                    }
                    None => wrong(&"`level` must be a string"),
                })
            }
            "resources/subscribe" => Some(match uri() {
                Ok(uri) => until(deadline, self.listener.subscribe(uri)).await,
                Err(error) => wrong(&error),
            }),
            "resources/unsubscribe" => Some(match uri() {
                Ok(uri) => {
                    self.listener.unsubscribe(&uri);
                    empty()
                }
                Err(error) => wrong(&error),
            }),
            "initialize" => {
                Some(Ok(jsonrpc::error_body(codes::METHOD_NOT_FOUND, "method `initialize` is not known", None)))
            }
            _ => None,
        }
    }

    /// Requests about tasks, in the words of 2025-11-25.
    async fn about_tasks(
        &self,
        registered: &Registered<'_>,
        request: &Request,
        terms: Terms<'_>,
    ) -> Result<CallReply, TargetError> {
        let body = match self.wire.tasks(request, terms).await {
            Some(body) => body?,
            None if &*request.method == "tasks/result" => {
                match request.params.as_ref().and_then(tasks_protocol::id_of) {
                    Some(task) => return self.run(registered, terms).watch(&task).await,
                    None => jsonrpc::error_body(codes::INVALID_PARAMS, "`params.taskId` must be a string", None),
                }
            }
            None => {
                let text = format!("method `{}` is not known", request.method);
                jsonrpc::error_body(codes::METHOD_NOT_FOUND, &text, None)
            }
        };
        Ok(CallReply { response: Response { id: Some(RequestId::integer(registered.id)), body }, event_id: None })
    }

    async fn send(&self, id: i64, body: &Bytes, terms: Terms<'_>) -> Result<CallReply, TargetError> {
        self.check_open()?;
        let deadline = terms.deadline;
        let Message::Request(request) = parse(body)? else {
            return Err(TargetError::Protocol { detail: "a call needs a request".into() });
        };
        if let Some(body) = self.local(&request, deadline).await {
            return Ok(CallReply {
                response: Response { id: Some(RequestId::integer(id)), body: body? },
                event_id: None,
            });
        }
        let registered = self.register(id, Ledger::default())?;
        if request.method.starts_with("tasks/") {
            return self.guarded(&registered, deadline, self.about_tasks(&registered, &request, terms)).await;
        }
        let run = self.run(&registered, terms);
        // Rounds are the link's own: a state that its client made up would be taken for one of them.
        let params = request.params.as_ref().map(without_rounds);
        self.guarded(&registered, deadline, run.begin(&request.method, params.as_ref())).await
    }

    /// Hands an answer to its call.
    async fn answer(&self, response: Response, deadline: Instant) -> Result<(), TargetError> {
        let Response { id: Some(id), body } = response else { return Ok(()) };
        // A task's name in the answer is of the client's era.
        let body = match body {
            ResponseBody::Result(result) => ResponseBody::Result(without_related(&result)),
            error @ ResponseBody::Error(_) => error,
        };
        let Some(call) = call_of(&id) else { return Ok(()) };
        let early_until = tokio::time::Instant::from_std(deadline).min(tokio::time::Instant::now() + EARLY_WAIT);
        let mut begun = self.begun.subscribe();
        loop {
            let running = self.calls.lock().get(&call).cloned();
            if let Some(running) = running {
                // What answers no open question came too late, or twice.
                let taken = until(deadline, running.ledger.take(&self.wire, call, &id, &body)).await?;
                if taken == Taken::Unknown {
                    tracing::debug!(call, "an answer belongs to no open question");
                }
                return Ok(());
            }
            let Some(early) = &self.early else { return Ok(()) };
            let wait = tokio::time::timeout_at(early_until, begun.changed());
            if matches!(wait.await, Ok(Ok(()))) {
                continue;
            }
            // Nobody knows whether its call will ever be taken up: those behind it in the queue must not wait.
            let mut early = early.lock();
            if self.calls.lock().contains_key(&call) {
                continue;
            }
            if early.len() < MAX_EARLY {
                early.push((id, body));
            }
            return Ok(());
        }
    }

    /// The answers that came before their call was taken up.
    fn early_answers(&self, call: i64) -> Vec<(RequestId, ResponseBody)> {
        let Some(early) = &self.early else { return Vec::new() };
        let mut early = early.lock();
        let (own, others) = early.drain(..).partition(|(id, _)| call_of(id) == Some(call));
        *early = others;
        own
    }

    fn on_notification(&self, notification: &Notification) {
        match &*notification.method {
            "notifications/cancelled" => {
                let id = notification.params.as_ref().and_then(|params| meta::request_id_of(params).ok()?.as_i64());
                let running = id.and_then(|id| self.calls.lock().get(&id).cloned());
                if let Some(running) = running {
                    running.cancelled.cancel();
                }
                // A task does not end with the request that looks at it.
                if let Some(task) = id.and_then(|id| self.wire.tasks.lock().remove(&id)) {
                    let wire = Arc::clone(&self.wire);
                    tokio::spawn(async move { wire.cancel_task(&task).await });
                }
            }
            // Roots are asked for afresh whenever they are needed; nothing else has a meaning without a session.
            method => tracing::debug!(method, "a notification means nothing to a modern target"),
        }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.link.calls.lock().remove(&self.id);
    }
}

#[async_trait]
impl Link for ModernLink {
    /// Every request of the call has what passes, also those that repeat it with answers.
    async fn call_with(
        &self,
        id: i64,
        body: Bytes,
        passed: Option<&Arc<Passed>>,
        deadline: Instant,
    ) -> Result<CallReply, TargetError> {
        self.send(id, &body, Terms { deadline, passed }).await
    }

    /// `last_event_id` is the newest position that the link reported for the call. Answers may be posted before this
    /// or after it. Questions that have none yet are delivered once more, with the ids that they had: one that the
    /// owner holds it knows by its id, and one that it does not hold was never shown, or its answer was lost.
    async fn resume(&self, id: i64, last_event_id: &str, deadline: Instant) -> Result<CallReply, TargetError> {
        self.check_open()?;
        let Some(checkpoint) = Checkpoint::read(last_event_id) else {
            return Err(TargetError::OutcomeUnknown { detail: "the call's position cannot be read".into() });
        };
        // From the moment on when the call is in the table its answers find the round.
        let registered = self.register(id, Ledger::opened(checkpoint.clone()))?;
        let run = self.run(&registered, Terms { deadline, passed: None });
        let work = async {
            for (question, body) in self.early_answers(id) {
                registered.running.ledger.take(&self.wire, id, &question, &body).await?;
            }
            run.take_up(checkpoint).await
        };
        self.guarded(&registered, deadline, work).await
    }

    /// See [`ledger`] for when an answer is delivered.
    async fn post_with(
        &self,
        body: Bytes,
        _passed: Option<&Arc<Passed>>,
        deadline: Instant,
    ) -> Result<(), TargetError> {
        self.check_open()?;
        match parse(&body)? {
            Message::Response(response) => self.answer(response, deadline).await,
            Message::Notification(notification) => {
                self.on_notification(&notification);
                Ok(())
            }
            Message::Request(_) => Err(TargetError::Protocol { detail: "a request is no message to post".into() }),
        }
    }

    fn listen(&self, listening: Listening) {
        if self.check_open().is_ok() {
            self.listener.set(listening);
        }
    }

    fn save(&self) -> Option<SavedLink> {
        let mut profile = self.wire.profile.lock().clone();
        profile.subscriptions = self.listener.subscriptions();
        profile.saved(self.wire.revision)
    }

    async fn close(&self) {
        self.wire.closed.cancel();
        self.listener.stop();
    }
}

fn parse(body: &Bytes) -> Result<Message, TargetError> {
    Message::parse(body).map_err(|error| TargetError::Protocol { detail: error.to_string() })
}
