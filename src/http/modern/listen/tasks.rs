//! Tasks whose changes a client wants to hear. Targets that have the extension are listened to, each under its own ids;
//! a task in a conversation is looked at as often as its target likes to be asked, because the notifications of
//! 2025-11-25 are optional, and go to the one stream that its session has for everybody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::join_all;
use sessiongate_protocol::jsonrpc::ErrorShape;
use sessiongate_protocol::modern::envelope::{self, HopEnvelope};
use sessiongate_protocol::modern::input_required::InputRequest;
use sessiongate_protocol::modern::profile;
use sessiongate_protocol::modern::tasks::legacy::{self, State};
use sessiongate_protocol::modern::tasks::{Carried, id_of, with_id};
use sessiongate_protocol::{Notification, RawJson, ResponseBody, Revision, codes};
use sessiongate_targets::modern::{Exchange, ModernRequest, NoteSink};
use sessiongate_targets::{Passed, SinkClosed, TargetError};
use tokio::sync::mpsc;

use super::super::context::Context;
use super::super::tasks::{self, Desk, Known, Trouble};
use crate::http::caller::Caller;

pub const METHOD: &str = "notifications/tasks";

/// Between two attempts, the first and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Between two looks at a task, where its target names no time, and the bounds where it does.
const LOOK: Duration = Duration::from_secs(5);
const LOOKS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A target is listened to anew after this, as credentials may have changed.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Tasks that can be told of.
pub enum Watched {
    /// Those of a target that has the extension.
    Told(Told),
    /// One in a conversation.
    Looked(Box<Looked>),
}

/// The tasks of one target: its ids, with those of the client.
pub struct Told {
    target: Arc<str>,
    exchange: Arc<dyn Exchange>,
    params: RawJson,
    ids: BTreeMap<Box<str>, Box<str>>,
    passed: Option<Arc<Passed>>,
}

/// A task that is looked at.
pub struct Looked {
    desk: Desk,
    known: Known,
    /// What the client can be asked.
    capabilities: RawJson,
}

struct Notes<'a> {
    ids: &'a BTreeMap<Box<str>, Box<str>>,
    to: &'a mpsc::Sender<RawJson>,
}

/// The tasks of these ids that can be told of, by target. All others are not honoured: an id that is not the caller's
/// cannot be told from one that never was.
pub fn watched(caller: &Caller<'_>, context: &Context, tokens: &[Box<str>]) -> Vec<Watched> {
    let mut watched = Vec::new();
    let mut by_target: BTreeMap<Box<str>, BTreeMap<Box<str>, Box<str>>> = BTreeMap::new();
    for token in tokens {
        match tasks::open(context, token) {
            Some(Carried { task, place: Some(place) }) if tasks::legacy::offered(&context.served.gateway) => {
                let looked = Looked {
                    desk: Desk::of(caller),
                    known: Known { token: token.clone(), task, place },
                    capabilities: context.envelope.client_capabilities.clone(),
                };
                watched.push(Watched::Looked(Box::new(looked)));
            }
            Some(Carried { task, place: None }) => {
                by_target.entry(task.target).or_default().insert(task.id, token.clone());
            }
            _ => {}
        }
    }
    let watch = |(target, ids): (Box<str>, BTreeMap<Box<str>, Box<str>>)| {
        let exchange = context.served.gateway.target(&target)?.modern().filter(|_| tasks::carried(context, &target))?;
        let wanted = serde_json::json!({"notifications": {"taskIds": ids.keys().collect::<Vec<_>>()}});
        let hop = HopEnvelope {
            protocol_version: Revision::V2026_07_28.as_str(),
            client_capabilities: &context.relayed_capabilities(true),
            client_info: context.envelope.client_info.as_ref(),
            log_level: None,
            progress_token: None,
        };
        let params = envelope::write(RawJson::from_serialize(&wanted).ok().as_ref(), &hop);
        Some(Watched::Told(Told { target: target.into(), exchange, params, ids, passed: caller.passed.clone() }))
    };
    watched.extend(by_target.into_iter().filter_map(watch));
    watched
}

/// Passes on what the targets tell, for as long as anybody hears it.
pub async fn tell(watched: Vec<Watched>, to: mpsc::Sender<RawJson>) {
    join_all(watched.iter().map(|watched| watched.tell(&to))).await;
}

// === impl Watched ===

impl Watched {
    /// The client's ids of these tasks.
    pub fn tokens(&self) -> Vec<Box<str>> {
        match self {
            Self::Told(told) => told.ids.values().cloned().collect(),
            Self::Looked(looked) => vec![looked.known.token.clone()],
        }
    }

    async fn tell(&self, to: &mpsc::Sender<RawJson>) {
        match self {
            Self::Told(told) => told.tell(to).await,
            Self::Looked(looked) => looked.tell(to).await,
        }
    }
}

// === impl Looked ===

impl Looked {
    /// Until it comes to its end, or there is nothing to be known of it any more.
    async fn tell(&self, to: &mpsc::Sender<RawJson>) {
        let mut heard = None;
        let mut trouble = AGAIN.0;
        while !to.is_closed() {
            let pause = match self.desk.look(&self.known).await {
                Ok(look) => {
                    trouble = AGAIN.0;
                    let ended = matches!(look.state, State::Completed(_) | State::Failed(_) | State::Cancelled);
                    let poll = legacy::poll_interval(&look.task);
                    let mark = (look.state, legacy::message(&look.task));
                    // What a client has not heard is news, but for the state that a task begins with.
                    let news = match &heard {
                        Some(before) => *before != mark,
                        None => mark.0 != State::Working,
                    };
                    if news && self.may_hear(&mark.0) {
                        let task = legacy::detailed(&look.task, &self.known.token, self.known.place.life_ms, &mark.0);
                        let Ok(task) = task else { return };
                        if to.send(task).await.is_err() {
                            return;
                        }
                    }
                    if ended {
                        return;
                    }
                    heard = Some(mark);
                    poll.map_or(LOOK, |poll| Duration::from_millis(poll).clamp(LOOKS.0, LOOKS.1))
                }
                Err(Trouble::Gone | Trouble::Unknown) => return,
                Err(_) => {
                    trouble = (trouble * 2).min(AGAIN.1);
                    trouble
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Nobody is asked what it cannot answer.
    fn may_hear(&self, state: &State) -> bool {
        let State::InputRequired(questions) = state else { return true };
        let declared = |question: &InputRequest| {
            let required = profile::required_for(&question.method, question.params.as_ref());
            profile::declares(&self.capabilities, &required)
        };
        questions.iter().all(declared)
    }
}

// === impl Told ===

impl Told {
    async fn tell(&self, to: &mpsc::Sender<RawJson>) {
        let mut pause = AGAIN.0;
        loop {
            let began = Instant::now();
            let request = ModernRequest {
                method: "subscriptions/listen".into(),
                params: self.params.clone(),
                name: None,
                param_headers: Vec::new(),
                passed: self.passed.clone(),
            };
            let notes = Notes { ids: &self.ids, to };
            let outcome = self.exchange.exchange(request, &notes, began + LONGEST).await;
            if to.is_closed() {
                return;
            }
            match &outcome {
                Ok(response) if is_final(&response.body) => {
                    tracing::warn!(target_name = &*self.target, "a target does not tell of its tasks");
                    return;
                }
                Err(error @ (TargetError::Protocol { .. } | TargetError::Refused { .. })) => {
                    tracing::warn!(target_name = &*self.target, error = error.code(), detail = ?error, "a target does not tell of its tasks");
                    return;
                }
                _ => {}
            }
            if began.elapsed() > AGAIN.1 {
                pause = AGAIN.0;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(AGAIN.1);
        }
    }
}

#[async_trait]
impl NoteSink for Notes<'_> {
    async fn note(&self, notification: Notification) -> Result<(), SinkClosed> {
        let Some(params) = notification.params.filter(|_| &*notification.method == METHOD) else { return Ok(()) };
        // What was not asked for is not passed on.
        let Some(token) = id_of(&params).and_then(|id| self.ids.get(&id)) else { return Ok(()) };
        self.to.send(with_id(&params, token)).await.map_err(|_| SinkClosed)
    }
}

/// Whether asking again would get the same answer.
fn is_final(body: &ResponseBody) -> bool {
    let ResponseBody::Error(error) = body else { return false };
    let code = error.borrow::<ErrorShape<'_>>().map(|shape| shape.code).unwrap_or_default();
    [codes::INVALID_PARAMS, codes::INVALID_REQUEST, codes::METHOD_NOT_FOUND, codes::MISSING_CLIENT_CAPABILITY]
        .contains(&code)
}
