//! A session that another process left: what ran goes on where it can, or ends with an honest error.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use sessiongate_storage::{StoredSession, Timestamp};
use sessiongate_targets::TargetError;

use super::followed::{Followed, fitting};
use super::links::LinkState;
use super::mentions::Mentions;
use super::questions::Question;
use super::record::{CALL, KEPT_RESULT, LIVE_NAME, QUESTION, Record, SEEN_RESOURCE, SEEN_TEMPLATE, StoredCall, TASK};
use super::streams::Streams;
use super::tasks::{Kept, TaskProgress};
use super::{ACCEPTED, Call, CallId, Env, Generation, Reply, SessionCore, Step};
use crate::settings::GatewaySettings;

// === impl SessionCore ===

impl SessionCore {
    /// Builds a session from what is stored, and says what is to be done to go on. The first free [`CallId`] follows
    /// the stored ones.
    ///
    /// # Errors
    /// When the record cannot be read. Items that cannot be read are left out and logged.
    pub fn restore(
        settings: Arc<GatewaySettings>,
        stored: &StoredSession,
        env: &Env<'_>,
    ) -> Result<(Self, Step, CallId), serde_json::Error> {
        let record = Record::parse(&stored.record)?;
        let mut calls: Vec<(CallId, StoredCall)> = Vec::new();
        let mut questions: BTreeMap<u64, Question> = BTreeMap::new();
        let (mut seen_resources, mut live_names) = (Mentions::new(SEEN_RESOURCE), Mentions::new(LIVE_NAME));
        let mut seen_templates = Mentions::new(SEEN_TEMPLATE);
        let (mut tasks, mut kept) = (Mentions::new(TASK), Kept::default());
        for (kind, id, value) in &stored.items {
            let readable = match *kind {
                CALL => serde_json::from_slice(value).map(|call| calls.push((CallId(*id), call))),
                QUESTION => serde_json::from_slice(value).map(|question| {
                    questions.insert(*id, question);
                }),
                SEEN_RESOURCE => serde_json::from_slice(value).map(|mention| seen_resources.restore(*id, mention)),
                SEEN_TEMPLATE => serde_json::from_slice(value).map(|mention| seen_templates.restore(*id, mention)),
                TASK => serde_json::from_slice(value).map(|mention| tasks.restore(*id, mention)),
                KEPT_RESULT => serde_json::from_slice(value).map(|result| kept.restore(*id, result)),
                LIVE_NAME => serde_json::from_slice(value).map(|mention| live_names.restore(*id, mention)),
                _ => Ok(()),
            };
            if let Err(error) = readable {
                tracing::error!(kind = kind.0, id, %error, "a stored item of a session cannot be read");
            }
        }
        let next_call = CallId(calls.iter().map(|(id, _)| id.0 + 1).max().unwrap_or(1).max(1));
        let first_id = LinkState::first_id_after_restart(env.now);
        let mut links: BTreeMap<Arc<str>, LinkState> = record
            .links
            .iter()
            .map(|(target, saved)| (target.clone(), LinkState::stored(Some(saved.clone()), first_id)))
            .collect();
        for (id, call) in &calls {
            links
                .entry(call.target.clone())
                .or_insert_with(|| LinkState::stored(None, first_id))
                .remember_call(call.downstream_id, *id);
        }
        let mut core = Self {
            last_activity: env.now,
            expires: record.expires,
            current: Followed::of(&settings, &record.facts),
            settings: fitting(settings, &record.facts),
            facts: record.facts,
            initialized: record.initialized,
            log_level: record.log_level,
            seen: record.seen,
            calls: HashMap::new(),
            links,
            next_question: record.questions_reserved,
            questions,
            streams: Streams::restore(&stored.streams, record.streams_reserved, env.now),
            queue: VecDeque::new(),
            subscriptions: record.subscriptions.into_iter().collect(),
            elicitation_ids: record.elicitation_ids.into(),
            seen_resources,
            seen_templates,
            live_names,
            tasks,
            kept,
            task_progress: TaskProgress::default(),
            // A parked session has an earlier end in the store: it gets its own back.
            dirty: stored.expires < record.expires,
            wake_at: record.wake_at,
            announced: Timestamp(u64::MAX),
            ended: false,
            parked: false,
            settled: true,
        };
        let mut step = Step::default();
        core.restore_standing(record.standing, env.now);
        let ids: Vec<CallId> = calls.iter().map(|(id, _)| *id).collect();
        for (id, call) in calls {
            core.streams.reopen(call.stream, env.now);
            core.calls.insert(id, restored(call));
        }
        for id in ids {
            core.go_on(id, env, &mut step);
        }
        core.go_on_with_questions(env, &mut step);
        if !core.current.streaming {
            core.stop_streaming(env, &mut step);
        }
        core.on_catalogue_changed(env, &mut step);
        core.take_up_subscriptions(&mut step);
        core.write_record(&mut step);
        Ok((core, step, next_call))
    }

    /// A call goes on if its downstream session and the place in its stream are known.
    fn go_on(&mut self, id: CallId, env: &Env<'_>, step: &mut Step) {
        let Some(call) = self.calls.get(&id) else { return };
        let target = call.target.clone();
        let known = self.links.get(&target).is_some_and(|link| link.saved().is_some() || !link.may_be_stored());
        if known && call.last_event.is_some() {
            return self.dispatch(id, &target, step);
        }
        let error = TargetError::OutcomeUnknown { detail: "the gateway was restarted".into() };
        self.fail_by_target(id, &error, env, step);
    }

    /// Answers that were not passed on yet are; questions of targets that cannot be reached again are withdrawn.
    fn go_on_with_questions(&mut self, env: &Env<'_>, step: &mut Step) {
        let lost: Vec<Arc<str>> = self
            .questions
            .values()
            .map(|question| question.target.clone())
            .filter(|target| self.links.get(target).is_none_or(|link| link.may_be_stored() && link.saved().is_none()))
            .collect();
        for target in lost {
            self.abandon_questions_of(&target, env, step);
        }
        // What waited for a GET stream waits again.
        let waiting: Vec<(u64, Bytes)> = self
            .questions
            .iter()
            .filter(|(_, question)| question.answer.is_none() && question.stream.is_none())
            .filter_map(|(number, question)| Some((*number, Bytes::from(question.message.clone()?))))
            .collect();
        for (number, message) in waiting {
            self.queue_question(number, message);
        }
        let answered: Vec<(u64, Arc<str>, Bytes)> = self
            .questions
            .iter()
            .filter_map(|(number, question)| {
                Some((*number, question.target.clone(), Bytes::from(question.answer.clone()?)))
            })
            .collect();
        for (number, target, body) in answered {
            self.post(&target, body, Some(number), true, step);
        }
    }
}

fn restored(call: StoredCall) -> Call {
    Call {
        client_id: call.client_id,
        method: call.method,
        name: call.name,
        reply: Reply::Stream(call.stream),
        sse: true,
        kind: call.kind,
        target: call.target,
        generation: Generation::default(),
        downstream_id: call.downstream_id,
        // It was sent by an earlier process and is never sent twice.
        body: Bytes::new(),
        sent: true,
        attempts: ACCEPTED,
        progress_token: call.progress_token,
        log_level: call.log_level.and_then(|level| level.parse().ok()),
        last_progress: call.last_progress,
        last_event: call.last_event,
        started: call.started,
        deadline: call.deadline,
    }
}
