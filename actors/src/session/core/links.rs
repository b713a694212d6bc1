//! Downstream sessions: opened on first use, one at a time, reused, opened again when the target forgot them.

mod upkeep;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sessiongate_protocol::{Era, RawJson, Revision, capabilities};
use sessiongate_storage::Timestamp;
use sessiongate_targets::{Hello, SavedLink, TargetError, Welcome};

use super::replies::Failure;
use super::{CallId, Effect, Env, Generation, SessionCore, Step};
use crate::catalogue::ServerCapabilities;

/// A call is sent again this often at most, and only while its target certainly did not accept it.
const MAX_ATTEMPTS: u8 = 2;
/// First and longest wait before a lost downstream session is opened again for its subscriptions.
const REOPEN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// 2025-01-01, in milliseconds since the Unix epoch.
const ID_EPOCH: u64 = 1_735_689_600_000;

/// One downstream session of this session.
#[derive(Default)]
pub(super) struct LinkState {
    generation: Generation,
    phase: Phase,
    next_id: i64,
    /// Downstream ids of calls.
    calls: HashMap<i64, CallId>,
    listening: bool,
    /// The target has no sessions (2026-07-28).
    modern: bool,
    /// Lost or refused so often since it last stayed open.
    losses: u32,
    /// When it is opened again for its subscriptions.
    reopen: Option<Timestamp>,
}

#[derive(Default)]
enum Phase {
    /// Not open; perhaps stored.
    #[default]
    Idle,
    Stored(SavedLink),
    /// Being opened, perhaps from what is stored: calls and messages wait.
    Opening {
        saved: Option<SavedLink>,
        calls: Vec<CallId>,
        posts: Vec<Waiting>,
    },
    Open {
        saved: Option<SavedLink>,
        capabilities: ServerCapabilities,
        since: Timestamp,
    },
}

/// A message that is sent as soon as the link is open.
struct Waiting {
    body: Bytes,
    question: Option<u64>,
}

// === impl LinkState ===

impl LinkState {
    pub(super) fn stored(saved: Option<SavedLink>, first_id: i64) -> Self {
        let modern = saved.as_ref().is_some_and(is_modern);
        Self { phase: saved.map_or(Phase::Idle, Phase::Stored), next_id: first_id, modern, ..Self::default() }
    }

    pub(super) fn next_id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn remember_call(&mut self, id: i64, call: CallId) {
        self.calls.insert(id, call);
    }

    pub(super) fn forget_call(&mut self, id: i64, call: CallId) {
        self.calls.remove(&id);
        if let Phase::Opening { calls, .. } = &mut self.phase {
            calls.retain(|waiting| *waiting != call);
        }
    }

    pub(super) fn call_of(&self, id: i64) -> Option<CallId> {
        self.calls.get(&id).copied()
    }

    /// The call that something without an address must belong to.
    pub(super) fn only_call(&self) -> Option<CallId> {
        let mut calls = self.calls.values();
        calls.next().copied().filter(|_| calls.next().is_none())
    }

    /// The newest call: ids grow.
    pub(super) fn newest_call(&self) -> Option<CallId> {
        self.calls.iter().max_by_key(|(id, _)| **id).map(|(_, call)| *call)
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    pub(super) fn is_modern(&self) -> bool {
        self.modern
    }

    pub(super) fn reopens_at(&self) -> Option<Timestamp> {
        self.reopen
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// The session may leave memory without losing this link.
    pub(super) fn may_be_stored(&self) -> bool {
        match &self.phase {
            Phase::Idle | Phase::Stored(_) => true,
            Phase::Opening { .. } => false,
            Phase::Open { saved, .. } => saved.is_some(),
        }
    }

    pub(super) fn saved(&self) -> Option<&SavedLink> {
        match &self.phase {
            Phase::Stored(saved) => Some(saved),
            Phase::Open { saved, .. } | Phase::Opening { saved, .. } => saved.as_ref(),
            Phase::Idle => None,
        }
    }

    /// Ids that a link taken up by another process may use: above all that this one can have used.
    pub(super) fn first_id_after_restart(now: Timestamp) -> i64 {
        // Milliseconds << 12 grow faster than a session can use ids, and stay below 2^53, which every JSON
        // implementation keeps exact, until 2094.
        i64::try_from(now.0.saturating_sub(ID_EPOCH) << 12).unwrap_or(i64::MAX >> 1)
    }
}

// === impl SessionCore ===

impl SessionCore {
    pub(super) fn link(&mut self, target: &Arc<str>) -> &mut LinkState {
        self.links.entry(target.clone()).or_default()
    }

    /// Whether a report belongs to the downstream session that is open now.
    pub(super) fn is_current(&self, target: &str, generation: Generation) -> bool {
        self.links.get(target).is_some_and(|link| link.generation == generation)
    }

    /// Sends a call, or makes it wait for its link.
    pub(super) fn dispatch(&mut self, id: CallId, target: &Arc<str>, step: &mut Step) {
        let link = self.link(target);
        match &mut link.phase {
            Phase::Open { .. } => {
                let generation = link.generation;
                self.send_now(id, target, generation, step);
            }
            Phase::Opening { calls, .. } => calls.push(id),
            Phase::Idle | Phase::Stored(_) => {
                self.open_link(target, vec![id], Vec::new(), step);
            }
        }
    }

    fn send_now(&mut self, id: CallId, target: &Arc<str>, generation: Generation, step: &mut Step) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.generation = generation;
        if let (true, Some(last_event_id)) = (call.sent, call.last_event.clone()) {
            step.now.push(Effect::Resume {
                target: target.clone(),
                generation,
                call: id,
                id: call.downstream_id,
                last_event_id,
                deadline: call.deadline,
            });
            return;
        }
        call.sent = true;
        call.attempts = call.attempts.saturating_add(1);
        step.now.push(Effect::Call {
            target: target.clone(),
            generation,
            call: id,
            id: call.downstream_id,
            body: call.body.clone(),
            deadline: call.deadline,
        });
    }

    /// Sends a notification or an answer; `open` says whether it is worth a downstream session of its own.
    pub(super) fn post(&mut self, target: &Arc<str>, body: Bytes, question: Option<u64>, open: bool, step: &mut Step) {
        let link = self.link(target);
        match &mut link.phase {
            Phase::Open { .. } => {
                let generation = link.generation;
                // An answer must be stored before it goes out; nothing else is worth a second queue.
                step.durable.push(Effect::Post { target: target.clone(), generation, body, question });
            }
            Phase::Opening { posts, .. } => posts.push(Waiting { body, question }),
            Phase::Idle | Phase::Stored(_) if open => {
                self.open_link(target, Vec::new(), vec![Waiting { body, question }], step);
            }
            Phase::Idle | Phase::Stored(_) => {}
        }
    }

    fn open_link(&mut self, target: &Arc<str>, calls: Vec<CallId>, posts: Vec<Waiting>, step: &mut Step) {
        let hello = self.hello();
        let link = self.link(target);
        link.generation.0 += 1;
        link.listening = false;
        link.reopen = None;
        let saved = match std::mem::take(&mut link.phase) {
            Phase::Stored(saved) => Some(saved),
            _ => None,
        };
        // It stays in the record until it is known whether it could be taken up.
        link.phase = Phase::Opening { saved: saved.clone(), calls, posts };
        let generation = link.generation;
        step.now.push(Effect::OpenLink { target: target.clone(), generation, hello, saved });
    }

    fn hello(&self) -> Hello {
        Hello {
            revision: Revision::LATEST_LEGACY,
            capabilities: capabilities::downstream_capabilities(&self.askable(), self.facts.revision),
            client_info: self.facts.client_info.clone(),
            via: self.facts.via.clone(),
        }
    }

    pub(super) fn on_link_opened(
        &mut self,
        target: &Arc<str>,
        generation: Generation,
        welcome: Option<Welcome>,
        saved: Option<SavedLink>,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        if !self.is_current(target, generation) {
            step.now.push(Effect::CloseLink { target: target.clone(), generation, goodbye: true });
            return;
        }
        let capabilities = match &welcome {
            Some(welcome) => welcome
                .result
                .borrow::<WelcomeShape>()
                .map(|shape| ServerCapabilities::parse(&shape.capabilities))
                .unwrap_or_default(),
            None => env.catalogue.capabilities_of(target),
        };
        let fresh = welcome.is_some();
        // What was stored of a modern target's link is how it began: it has no session that would know more.
        let forgetful = saved.as_ref().is_some_and(is_modern);
        let changed = self.link(target).saved() != saved.as_ref();
        self.dirty |= changed;
        let link = self.link(target);
        link.modern = forgetful || welcome.is_some_and(|welcome| welcome.revision.era() == Era::Modern);
        let phase = std::mem::replace(&mut link.phase, Phase::Open { saved, capabilities, since: env.now });
        // Also on one that was taken up: the level may have changed meanwhile.
        if capabilities.logging
            && let Some(level) = self.log_level.clone()
        {
            self.send_level(target, &level, step);
        }
        if fresh {
            self.abandon_older_questions(target, generation, env, step);
        }
        if fresh || forgetful {
            self.resubscribe(target, step);
        }
        // Before the calls that waited: what belongs to them may be said there.
        self.listen_where_wanted(step);
        if let Phase::Opening { calls, posts, .. } = phase {
            for waiting in posts {
                if waiting.question.is_some_and(|number| !self.questions.contains_key(&number)) {
                    continue;
                }
                step.durable.push(Effect::Post {
                    target: target.clone(),
                    generation,
                    body: waiting.body,
                    question: waiting.question,
                });
            }
            for call in calls {
                let resumes = self.calls.get(&call).is_some_and(|call| call.last_event.is_some());
                if fresh && resumes {
                    // What the target of an earlier process did for it, this new session does not know.
                    let error = TargetError::OutcomeUnknown { detail: "its downstream session is gone".into() };
                    self.fail_by_target(call, &error, env, step);
                } else {
                    self.send_now(call, target, generation, step);
                }
            }
        }
    }

    pub(super) fn on_link_failed(
        &mut self,
        target: &Arc<str>,
        generation: Generation,
        error: &TargetError,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        if !self.is_current(target, generation) {
            return;
        }
        let link = self.link(target);
        let phase = std::mem::take(&mut link.phase);
        self.dirty |= matches!(&phase, Phase::Opening { saved: Some(_), .. });
        // Calls that still run on an older downstream session end on their own.
        if let Phase::Opening { calls, .. } = phase {
            for call in calls {
                self.fail_by_target(call, error, env, step);
            }
        }
        self.abandon_questions_of(target, env, step);
        self.reopen_later(target, env);
    }

    /// The target forgot the session, or its process ended: what certainly was not accepted is sent again on a new
    /// one, all else ends on its own.
    pub(super) fn on_link_lost(&mut self, target: &Arc<str>, env: &Env<'_>, step: &mut Step) {
        let link = self.link(target);
        let Phase::Open { since, .. } = link.phase else { return };
        if env.now.since(since) > REOPEN.1 {
            link.losses = 0;
        }
        let generation = link.generation;
        // What the old session still reports comes with an old generation from now on.
        link.generation.0 += 1;
        link.phase = Phase::Idle;
        self.dirty = true;
        step.now.push(Effect::CloseLink { target: target.clone(), generation, goodbye: false });
        self.abandon_questions_of(target, env, step);
        self.reopen_later(target, env);
    }

    /// Whether a call may be sent once more after this error, on a new downstream session.
    pub(super) fn may_retry(&self, id: CallId, error: &TargetError) -> bool {
        matches!(error, TargetError::SessionGone)
            && self.calls.get(&id).is_some_and(|call| call.attempts < MAX_ATTEMPTS && call.last_event.is_none())
    }

    /// Closes a downstream session.
    pub(super) fn let_go(&mut self, target: &Arc<str>, goodbye: bool, step: &mut Step) {
        let Some(link) = self.links.get_mut(target) else { return };
        let generation = link.generation;
        match std::mem::take(&mut link.phase) {
            Phase::Open { saved, .. } => {
                step.durable.push(Effect::CloseLink { target: target.clone(), generation, goodbye });
                if let (false, Some(saved)) = (goodbye, saved) {
                    link.phase = Phase::Stored(saved);
                }
            }
            Phase::Stored(saved) if goodbye => {
                // Only an open link can say goodbye: take the stored session up to end it.
                let hello = self.hello();
                step.durable.push(Effect::OpenLink { target: target.clone(), generation, hello, saved: Some(saved) });
                step.durable.push(Effect::CloseLink { target: target.clone(), generation, goodbye });
            }
            Phase::Opening { .. } => {
                link.generation.0 += 1;
                step.durable.push(Effect::CloseLink { target: target.clone(), generation, goodbye: true });
            }
            phase => link.phase = phase,
        }
    }

    pub(super) fn on_target_replaced(&mut self, target: &Arc<str>, env: &Env<'_>, step: &mut Step) {
        let Some(link) = self.links.get(target) else { return };
        let calls: Vec<CallId> = link.calls.values().copied().collect();
        let failure = Failure {
            code: sessiongate_protocol::codes::INTERNAL_ERROR,
            message: format!("target `{target}` was changed in the gateway's configuration while the call ran"),
            reason: "target_replaced",
        };
        for call in calls {
            self.fail_call(call, &failure, env, step);
        }
        self.abandon_questions_of(target, env, step);
        if let Some(link) = self.links.get_mut(target)
            && matches!(link.phase, Phase::Stored(_))
        {
            // It belongs to the old target: its id must not be shown to the new one.
            link.phase = Phase::Idle;
        }
        self.let_go(target, true, step);
        if let Some(link) = self.links.get_mut(target) {
            link.generation.0 += 1;
            link.reopen = None;
        }
        self.subscriptions.retain(|_, owner| owner != target);
        self.dirty = true;
    }

    /// Downstream sessions as they are stored.
    pub(super) fn saved_links(&self) -> Vec<(Arc<str>, SavedLink)> {
        self.links
            .iter()
            .filter_map(|(target, link)| link.saved().map(|saved| (target.clone(), saved.clone())))
            .collect()
    }
}

#[derive(serde::Deserialize)]
struct WelcomeShape {
    capabilities: RawJson,
}

fn is_modern(saved: &SavedLink) -> bool {
    Revision::parse(&saved.revision).is_some_and(|revision| revision.era() == Era::Modern)
}
