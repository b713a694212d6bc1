//! The rules of a session, without I/O, timers or channels: [`SessionCore::step`] takes what happened and says what is
//! to be done. The actor around it does that and reports what came of it.
//!
//! Two orders are kept. Effects of [`Step::durable`] wait until everything before them is stored: a question is on
//! disk before it is shown, an answer before it is passed on, an event before a client can see its id. And an event
//! of a target is stored in the same batch as what was made of it, with the target's own event id: after a crash the
//! target is asked for what came after that id, so nothing is seen twice and nothing is lost.

mod answers;
mod downstream;
mod followed;
mod io;
mod links;
mod lists;
mod mentions;
mod questions;
mod record;
mod replies;
mod requests;
mod resources;
mod resume;
mod search;
mod streams;
mod tasks;
#[cfg(test)]
mod tests;
mod view;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use sessiongate_protocol::elicitation::ElicitationCapability;
use sessiongate_protocol::meta::ProgressToken;
use sessiongate_protocol::modern::envelope::LogLevel;
use sessiongate_protocol::progress::Watermark;
use sessiongate_protocol::{RawJson, RequestId, Revision, StreamId};
use sessiongate_storage::{Batch, Timestamp};

pub use io::{Answer, CallId, CallSummary, ConnId, Effect, EndReason, Env, Generation, Input, Step};
pub use record::{Record, SessionFacts};
pub use view::SessionView;

use self::followed::{Followed, fitting};
use self::links::LinkState;
use self::mentions::Mentions;
use self::questions::Question;
use self::record::{LIVE_NAME, SEEN_RESOURCE, SEEN_TEMPLATE, TASK};
use self::streams::Streams;
use self::tasks::{Kept, TaskProgress};
use crate::catalogue::ListHashes;
use crate::settings::GatewaySettings;

/// The number of attempts that says that a target took the call, so that it is never sent again.
const ACCEPTED: u8 = u8::MAX;

/// One client session: what it is, what runs in it, what waits in it.
pub struct SessionCore {
    settings: Arc<GatewaySettings>,
    current: Followed,
    facts: SessionFacts,
    expires: Timestamp,
    last_activity: Timestamp,
    initialized: bool,
    log_level: Option<Box<str>>,
    /// What the client knows of the lists, to tell it only of changes that it can see.
    seen: ListHashes,
    calls: HashMap<CallId, Call>,
    links: BTreeMap<Arc<str>, LinkState>,
    questions: BTreeMap<u64, Question>,
    next_question: u64,
    streams: Streams,
    /// Messages outside calls while no GET stream is open.
    queue: VecDeque<Queued>,
    subscriptions: BTreeMap<Box<str>, Arc<str>>,
    /// URL elicitations whose completion a target may announce, newest last.
    elicitation_ids: VecDeque<(Box<str>, Arc<str>)>,
    /// Resources in no list that results mentioned.
    seen_resources: Mentions,
    /// Templates that live lists showed.
    seen_templates: Mentions,
    /// Names that live lists showed cut or without a prefix, by list.
    live_names: Mentions,
    /// The client's ids of tasks, by target and the target's id.
    tasks: Mentions,
    /// Results that the client fetches as those of tasks.
    kept: Kept,
    task_progress: TaskProgress,
    /// Parts of the record changed: write it with this step.
    dirty: bool,
    /// As the record has it: see [`Record::wake_at`].
    wake_at: Option<Timestamp>,
    /// The earliest wake-up that the shell knows of.
    announced: Timestamp,
    ended: bool,
    /// The store has the end of the idle time, because the session is about to leave memory.
    parked: bool,
    settled: bool,
}

/// A request of the client.
struct Call {
    client_id: RequestId,
    method: Box<str>,
    name: Option<Box<str>>,
    reply: Reply,
    /// The answer may be a stream.
    sse: bool,
    kind: CallKind,
    /// Where it runs; none for what the gateway answers itself.
    target: Arc<str>,
    /// On which downstream session it was sent last.
    generation: Generation,
    downstream_id: i64,
    /// The message, kept to be sent once more if the target certainly did not accept it.
    body: Bytes,
    sent: bool,
    attempts: u8,
    progress_token: Option<ProgressToken>,
    /// From which level on it wants to hear what its target logs.
    log_level: Option<LogLevel>,
    last_progress: Watermark,
    /// The last event of the target that was stored.
    last_event: Option<Box<str>>,
    started: Timestamp,
    deadline: Timestamp,
}

/// What is needed to send a request downstream.
struct Outgoing {
    kind: CallKind,
    target: Arc<str>,
    /// As the client named it, for the log.
    name: Option<Box<str>>,
    params: Option<RawJson>,
}

/// Where a call's answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    /// A client's request waits, and may still be answered in JSON.
    Waiting,
    /// A stream.
    Stream(StreamId),
    /// Nobody waits.
    Gone,
}

/// What must be done to the result.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum CallKind {
    /// Passed on as it is; failures of the gateway become a result with `isError`.
    Tool,
    /// Passed on as it is.
    Plain,
    /// `resources/subscribe`: remembered when the target accepts it.
    Subscribe { uri: Box<str> },
    /// `resources/unsubscribe`.
    Unsubscribe { uri: Box<str> },
    /// A page of a live list: names are changed, the cursor is sealed.
    List { list: crate::catalogue::ListKind },
    /// A call of a tool as a task: answered with a handle, whose id is replaced.
    TaskCall {
        /// How long the client wants it to be kept, in milliseconds.
        ttl: Option<u64>,
    },
    /// `tasks/get` and `tasks/cancel`: the task is shown under the client's id.
    TaskAbout { task: Box<str> },
    /// `tasks/result`: what the tool said, of the task that the client knows by this id.
    TaskResult { task: Box<str> },
    /// A page of one target's tasks: those of others are left out, the cursor is sealed.
    TaskList,
}

/// A message outside calls that waits for a GET stream.
struct Queued {
    message: Bytes,
    /// A later message with the same mark takes its place.
    mark: Option<Box<str>>,
    /// The question that it asks.
    question: Option<u64>,
}

// === impl SessionCore ===

impl SessionCore {
    /// How many answers and cancellations may be on their way to one target at once: every question is answered, and every
    /// call can be given up and cancelled.
    pub fn posts_room(&self) -> usize {
        let sessions = &self.settings.sessions;
        sessions.pending_questions.saturating_add(sessions.calls_in_flight.saturating_mul(2))
    }

    /// A new session, as `initialize` made it.
    pub fn new(settings: Arc<GatewaySettings>, facts: SessionFacts, seen: ListHashes) -> Self {
        let settings = fitting(settings, &facts);
        let expires = facts.created.plus(settings.sessions.timeout);
        Self {
            last_activity: facts.created,
            expires,
            current: Followed::of(&settings, &facts),
            settings,
            facts,
            initialized: false,
            log_level: None,
            seen,
            calls: HashMap::new(),
            links: BTreeMap::new(),
            questions: BTreeMap::new(),
            next_question: 1,
            streams: Streams::default(),
            queue: VecDeque::new(),
            subscriptions: BTreeMap::new(),
            elicitation_ids: VecDeque::new(),
            seen_resources: Mentions::new(SEEN_RESOURCE),
            seen_templates: Mentions::new(SEEN_TEMPLATE),
            live_names: Mentions::new(LIVE_NAME),
            tasks: Mentions::new(TASK),
            kept: Kept::default(),
            task_progress: TaskProgress::default(),
            dirty: true,
            wake_at: None,
            announced: Timestamp(u64::MAX),
            ended: false,
            parked: false,
            settled: true,
        }
    }

    /// Takes what happened, says what is to be done.
    pub fn step(&mut self, input: Input, env: &Env<'_>) -> Step {
        let mut step = Step::default();
        if self.ended {
            self.refuse_after_end(input, &mut step);
            return step;
        }
        self.follow(env, &mut step);
        // The end of a call or of a connection counts as well: until then it was activity.
        if matches!(
            input,
            Input::Request { .. }
                | Input::Notification(_)
                | Input::Response { .. }
                | Input::Attach { .. }
                | Input::ConnClosed { .. }
                | Input::CallDone { .. }
        ) {
            self.last_activity = env.now;
            self.dirty |= std::mem::take(&mut self.parked);
        }
        let tick = matches!(input, Input::Tick);
        match input {
            Input::Request { call, request, sse, log_level } => {
                self.on_request(call, request, sse, log_level, env, &mut step);
            }
            Input::Notification(notification) => self.on_notification(notification, env, &mut step),
            Input::Response { call, response } => self.on_response(call, response, env, &mut step),
            Input::UpgradeDue(call) => {
                self.upgrade(call, env, &mut step);
            }
            Input::ReplyGone(id) => {
                if let Some(call) = self.calls.get_mut(&id)
                    && call.reply == Reply::Waiting
                {
                    call.reply = Reply::Gone;
                    // Nobody reads it: the shell forgets the way back.
                    step.now.push(Effect::Answer(id, Answer::Cancelled));
                }
            }
            Input::Attach { conn, after } => self.on_attach(conn, after, env, &mut step),
            Input::ConnClosed { stream, conn } => self.on_conn_closed(stream, conn, env, &mut step),
            Input::LinkOpened { target, generation, welcome, saved } => {
                self.on_link_opened(&target, generation, welcome, saved, env, &mut step);
            }
            Input::LinkFailed { target, generation, error } => {
                self.on_link_failed(&target, generation, &error, env, &mut step);
            }
            Input::Link { target, generation, event } => self.on_link_event(&target, generation, event, env, &mut step),
            Input::CallDone { call, generation, result } => self.on_call_done(call, generation, result, env, &mut step),
            Input::AnswerPosted { question, result } => self.on_answer_posted(question, result, env, &mut step),
            Input::SettingsChanged => {}
            Input::CatalogueChanged => self.on_catalogue_changed(env, &mut step),
            Input::TargetReplaced { target } => self.on_target_replaced(&target, env, &mut step),
            Input::Tick => self.on_tick(env, &mut step),
            Input::End(reason) => self.end(reason, env, &mut step),
            Input::Passivate => self.on_passivate(&mut step),
            Input::Disconnect => self.disconnect(env, &mut step),
        }
        self.write_record(&mut step);
        self.announce(tick, &mut step);
        step
    }

    /// The record goes with whatever changed it.
    fn write_record(&mut self, step: &mut Step) {
        if self.dirty && !self.ended {
            self.dirty = false;
            self.wake_at = self.stored_calls_end();
            step.batch.ops.insert(0, self.record_op());
        }
    }

    /// Asks to be woken earlier than was asked before. After a tick the shell asks by itself.
    fn announce(&mut self, tick: bool, step: &mut Step) {
        if self.ended {
            return;
        }
        let next = self.next_deadline();
        if tick {
            self.announced = next;
        } else if next < self.announced {
            self.announced = next;
            step.now.push(Effect::WakeAt(next));
        }
    }

    /// What must be stored before the client learns of the session.
    pub fn first_batch(&mut self) -> Batch {
        self.dirty = false;
        Batch { ops: vec![self.record_op()] }
    }

    /// The negotiated revision.
    pub fn revision(&self) -> Revision {
        self.facts.revision
    }

    /// What it was made of.
    pub fn facts(&self) -> &SessionFacts {
        &self.facts
    }

    /// Questions that wait for the client.
    pub fn pending_questions(&self) -> usize {
        self.questions.len()
    }

    /// When the session ends.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// When the session must be in memory again if it leaves it now, unasked: see [`Record::wake_at`].
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.wake_at
    }

    /// Everything that was to be stored is: told before each tick.
    pub fn set_settled(&mut self, settled: bool) {
        self.settled = settled;
    }

    /// When the store should let the session go.
    fn stored_end(&self) -> Timestamp {
        match self.parked {
            true => self.expires.min(self.last_activity.plus(self.settings.sessions.idle_timeout)),
            false => self.expires,
        }
    }

    /// The client can be asked in these ways.
    fn elicitation(&self) -> ElicitationCapability {
        ElicitationCapability::of_client(&self.facts.capabilities, self.facts.revision)
    }

    /// Nothing runs, nothing waits, nobody reads: the session may leave memory.
    pub fn is_quiet(&self) -> bool {
        self.calls.is_empty()
            && self.questions.is_empty()
            && self.queue.is_empty()
            && !self.streams.any_attached()
            && self.subscriptions.is_empty()
            && self.links.values().all(LinkState::may_be_stored)
    }

    /// When something will have to be done without anything happening.
    pub fn next_deadline(&self) -> Timestamp {
        let settings = &self.settings.sessions;
        let quiet = self.is_quiet();
        let idle = if quiet || self.calls.is_empty() && !self.streams.any_attached() {
            let idle_end = self.last_activity.plus(settings.idle_timeout);
            if quiet { idle_end.min(self.last_activity.plus(settings.passivate_after)) } else { idle_end }
        } else {
            self.expires
        };
        let call = self.calls.values().map(|call| call.deadline).min().unwrap_or(self.expires);
        let answer = self.questions.values().filter_map(|question| question.retry_at).min().unwrap_or(self.expires);
        let link = self.links.values().filter_map(LinkState::reopens_at).min().unwrap_or(self.expires);
        let again = self.questions.values().filter_map(|question| self.asks_again_at(question)).min();
        self.expires.min(idle).min(call).min(answer).min(link).min(again.unwrap_or(self.expires))
    }

    fn on_tick(&mut self, env: &Env<'_>, step: &mut Step) {
        if env.now >= self.expires {
            return self.end(EndReason::Expired, env, step);
        }
        let busy = !self.calls.is_empty() || self.streams.any_attached();
        if busy {
            // An open stream or a running call is activity.
            self.last_activity = env.now;
        }
        let idle_for = env.now.since(self.last_activity);
        if idle_for >= self.settings.sessions.idle_timeout {
            return self.end(EndReason::Idle, env, step);
        }
        let late: Vec<CallId> =
            self.calls.iter().filter(|(_, call)| call.deadline <= env.now).map(|(id, _)| *id).collect();
        for call in late {
            self.time_out(call, env, step);
        }
        self.post_answers_again(env, step);
        self.reopen_links(env, step);
        self.ask_again(env, step);
        self.seen_resources.save(&mut step.batch);
        self.streams.drop_old(env.now, &self.settings.sessions.events, &mut step.batch);
        // Only with nothing to write, so that no request can come between the decision and the end: the next tick,
        // which comes soon, finds it so.
        let clean = step.batch.is_empty() && !self.dirty;
        if clean && self.settled && self.is_quiet() && idle_for >= self.settings.sessions.passivate_after {
            if self.parked {
                return self.on_passivate(step);
            }
            // What is out of memory cannot count its idle time: the store does, by an earlier end.
            self.parked = true;
            self.dirty = true;
        }
    }

    fn on_passivate(&mut self, step: &mut Step) {
        if !self.is_quiet() {
            return;
        }
        let open: BTreeSet<_> =
            self.links.iter().filter(|(_, link)| link.is_open()).map(|(name, _)| name.clone()).collect();
        for target in open {
            self.let_go(&target, false, step);
        }
        self.seen_resources.save(&mut step.batch);
        self.tasks.save(&mut step.batch);
        self.write_record(step);
        self.ended = true;
        step.durable.push(Effect::Stop { ended: None });
    }

    fn end(&mut self, reason: EndReason, env: &Env<'_>, step: &mut Step) {
        let calls: Vec<CallId> = self.calls.keys().copied().collect();
        for id in calls {
            self.fail_call(id, &replies::Failure::session_ended(), env, step);
        }
        for stream in self.streams.attached() {
            step.durable.push(Effect::EndStream(stream));
        }
        let targets: Vec<_> = self.links.keys().cloned().collect();
        for target in targets {
            self.let_go(&target, true, step);
        }
        self.ended = true;
        step.batch.ops.clear();
        step.batch.push(sessiongate_storage::Op::DeleteSession);
        step.durable.push(Effect::Stop { ended: Some(reason) });
    }

    fn refuse_after_end(&self, input: Input, step: &mut Step) {
        let error = || crate::SessionError::NotFound;
        match input {
            Input::Request { call, request, .. } => step.now.push(Effect::Answer(
                call,
                Answer::Refused { status: error().status(), body: error().body(Some(&request.id)) },
            )),
            Input::Response { call, .. } => step.now.push(Effect::Rejected(call, error())),
            Input::Attach { conn, .. } => step.now.push(Effect::AttachRefused(conn, error())),
            _ => {}
        }
    }
}

/// The text of a JSON object that holds one member.
fn object_with(name: &str, value: &str) -> RawJson {
    // Both parts are JSON already, so this cannot fail; an empty object is the honest fallback.
    RawJson::parse(format!("{{{}:{value}}}", serde_json::to_string(name).unwrap_or_default()))
        .unwrap_or(RawJson::EMPTY_OBJECT)
}
