//! The actor around the rules: it turns messages into inputs and performs effects. It never waits: whatever takes time
//! runs in a task that reports back.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use sessiongate_protocol::StreamId;
use sessiongate_storage::{Lease, StoreError, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::connection::{Attachment, StreamItem};
use super::core::{CallId, ConnId, Effect, EndReason, Env, Input, SessionCore, Step};
use super::event::{CallReply, Event, Permit};
use super::handle::{MAILBOX, SessionHandle, Whose};
use super::open_link::OpenLink;
use super::passed::PassedBeside;
use crate::error::SessionError;
use crate::gateway::Gateway;
use crate::{clock, crash};

/// One session in memory.
pub struct SessionActor {
    pub(super) gateway: Arc<Gateway>,
    pub(super) core: SessionCore,
    pub(super) lease: Lease,
    pub(super) replies: HashMap<CallId, CallReply>,
    pub(super) acknowledgements: HashMap<CallId, oneshot::Sender<Result<(), SessionError>>>,
    pub(super) attaching: HashMap<ConnId, oneshot::Sender<Result<Attachment, SessionError>>>,
    pub(super) connections: HashMap<StreamId, (ConnId, mpsc::Sender<StreamItem>)>,
    /// The newest event of each stream that is durable.
    pub(super) durable: HashMap<StreamId, u64>,
    pub(super) links: Vec<OpenLink>,
    pub(super) passed: PassedBeside,
    pub(super) running: HashMap<CallId, AbortHandle>,
    /// Effects that wait for their commit, oldest first, and the number of the oldest.
    waiting: VecDeque<Waiting>,
    first_waiting: u64,
    /// Of the message that is being handled.
    permit: Option<Permit>,
    timer: Option<(Timestamp, SpawnHandle)>,
    /// The first step of a restored session.
    pub(super) first_step: Option<Step>,
    ended: Vec<oneshot::Sender<Result<(), SessionError>>>,
    /// It is decided that the actor stops, and only waits until everything is stored.
    leaving: bool,
    /// What came since then. It is dropped unhandled when the actor has stopped, so that whoever waits asks the
    /// session's next actor, or learns that there is none.
    late: Vec<Event>,
    /// As the gauge knows it.
    questions: usize,
    pub(super) on_stop: Option<OnStop>,
    pub(super) stopping: bool,
}

/// Told once that the session left memory: why it ended, if it did, and when it must come back unasked, if it did not
/// (`SessionCore::wake_at`).
pub type OnStop = Box<dyn FnOnce(Option<EndReason>, Option<Timestamp>)>;

struct Waiting {
    committed: bool,
    effects: Vec<Effect>,
    /// Of the target's message that this came of: its target may send another one when this is done.
    permit: Option<Permit>,
}

// === impl SessionActor ===

impl SessionActor {
    /// Starts a session on the current arbiter. `first_step` is what a restored session has to do first; `next_call`
    /// the first number that no stored call has; `on_stop` is called once, when the session left memory.
    pub fn launch(
        gateway: Arc<Gateway>,
        core: SessionCore,
        lease: Lease,
        first_step: Option<Step>,
        next_call: CallId,
        durable: HashMap<StreamId, u64>,
        on_stop: OnStop,
    ) -> SessionHandle {
        let whose = Whose::of(&core, lease.key, gateway.name.clone());
        let actor = Self {
            gateway,
            core,
            lease,
            replies: HashMap::new(),
            acknowledgements: HashMap::new(),
            attaching: HashMap::new(),
            connections: HashMap::new(),
            durable,
            links: Vec::new(),
            passed: PassedBeside::default(),
            running: HashMap::new(),
            waiting: VecDeque::new(),
            first_waiting: 0,
            permit: None,
            timer: None,
            first_step,
            ended: Vec::new(),
            leaving: false,
            late: Vec::new(),
            questions: 0,
            on_stop: Some(on_stop),
            stopping: false,
        };
        SessionHandle::new(whose, actor.start().recipient(), next_call)
    }

    pub(super) fn step(&mut self, input: Input, ctx: &mut Context<Self>) {
        let gateway = self.gateway.clone();
        let (settings, catalogue) = (gateway.settings_now(), gateway.catalogue());
        let env = Env { now: clock::now(), settings: &settings, catalogue: &catalogue, sealer: &gateway.sealer };
        // A panic must cost this session only, and its state is not to be trusted after one: it is rebuilt from the
        // store by the next request.
        match catch_unwind(AssertUnwindSafe(|| self.core.step(input, &env))) {
            Ok(step) => {
                self.count_questions(self.core.pending_questions());
                self.perform(step, ctx);
            }
            Err(_) => {
                metrics::counter!("sessiongate_session_panics_total").increment(1);
                tracing::error!(session = %self.lease.key, "a session panicked; it will be rebuilt from the store");
                self.crash(ctx);
            }
        }
    }

    fn perform(&mut self, step: Step, ctx: &mut Context<Self>) {
        let permit = self.permit.take();
        self.passed.answers(&step.durable);
        self.leaving |= step.durable.iter().any(|effect| matches!(effect, Effect::Stop { .. }));
        for effect in step.now {
            self.effect(effect, ctx);
        }
        if step.batch.is_empty() && self.waiting.is_empty() {
            for effect in step.durable {
                self.effect(effect, ctx);
            }
            return;
        }
        if step.batch.is_empty() {
            if !step.durable.is_empty() {
                // Behind what is being stored, so that the order is kept.
                self.waiting.push_back(Waiting { committed: true, effects: step.durable, permit });
            }
            return;
        }
        crash::point("commit:before");
        let number = self.first_waiting + self.waiting.len() as u64;
        self.waiting.push_back(Waiting { committed: false, effects: step.durable, permit });
        let commit = self.gateway.store.commit(&self.lease, step.batch);
        let addr = ctx.address();
        actix_rt::spawn(async move {
            let result = commit.await;
            let _ = addr.send(Event::Committed { number, result }).await;
        });
    }

    fn count_questions(&mut self, now: usize) {
        let before = std::mem::replace(&mut self.questions, now);
        if before != now {
            let gauge = metrics::gauge!("sessiongate_questions_pending");
            // Far below 2^52, so exact.
            gauge.increment(now as f64 - before as f64);
        }
    }

    fn on_committed(&mut self, number: u64, result: Result<(), StoreError>, ctx: &mut Context<Self>) {
        crash::point("commit:done");
        if let Err(error) = result {
            metrics::counter!("sessiongate_store_failures_total").increment(1);
            tracing::error!(session = %self.lease.key, %error, "a session could not be stored; it leaves memory");
            return self.crash(ctx);
        }
        if let Some(at) = number.checked_sub(self.first_waiting)
            && let Some(waiting) = usize::try_from(at).ok().and_then(|at| self.waiting.get_mut(at))
        {
            waiting.committed = true;
        }
        while self.waiting.front().is_some_and(|waiting| waiting.committed) {
            let Some(waiting) = self.waiting.pop_front() else { break };
            self.first_waiting += 1;
            for effect in waiting.effects {
                self.effect(effect, ctx);
            }
            drop(waiting.permit);
        }
    }

    /// Gives up what is in memory: everybody who waits is told, and the next request rebuilds the session.
    fn crash(&mut self, ctx: &mut Context<Self>) {
        // Dropping the senders tells those who wait: see SessionHandle.
        self.replies.clear();
        self.acknowledgements.clear();
        self.attaching.clear();
        self.connections.clear();
        self.ended.clear();
        self.waiting.clear();
        self.stop(None, ctx);
    }

    pub(super) fn stop(&mut self, ended: Option<EndReason>, ctx: &mut Context<Self>) {
        self.stopping = true;
        self.count_questions(0);
        for (_, task) in self.running.drain() {
            task.abort();
        }
        if let Some(on_stop) = self.on_stop.take() {
            on_stop(ended, self.core.wake_at());
        }
        for reply in self.ended.drain(..) {
            let _ = reply.send(Ok(()));
        }
        // The directory does not know this actor any more: whoever asks again meets another one.
        self.late.clear();
        ctx.stop();
    }

    /// Makes sure that the session is woken not later than `at`. There is one timer, moved only to an earlier time:
    /// waking up once too often is cheaper than a timer for each call.
    pub(super) fn wake_at(&mut self, at: Timestamp, ctx: &mut Context<Self>) {
        if let Some((armed, _)) = self.timer
            && armed <= at
        {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let wait = clock::until(at).max(Duration::from_millis(1));
        let timer = ctx.run_later(wait, |actor, ctx| {
            actor.timer = None;
            actor.core.set_settled(actor.waiting.is_empty());
            actor.step(Input::Tick, ctx);
            if !actor.stopping {
                let next = actor.core.next_deadline();
                // Never in a hot loop, whatever the rules say.
                actor.wake_at(next.max(clock::now().plus(Duration::from_millis(10))), ctx);
            }
        });
        self.timer = Some((at, timer));
    }

    /// Leaves memory with everything stored; what runs goes on in the next process where it can.
    fn on_shut_down(&mut self, reply: oneshot::Sender<Result<(), SessionError>>, ctx: &mut Context<Self>) {
        self.step(Input::Disconnect, ctx);
        if self.stopping {
            return;
        }
        self.leaving = true;
        self.ended.push(reply);
        self.waiting.push_back(Waiting { committed: true, effects: vec![Effect::Stop { ended: None }], permit: None });
        if self.waiting.len() == 1 {
            self.waiting.clear();
            self.stop(None, ctx);
        }
    }
}

impl Actor for SessionActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        metrics::gauge!("sessiongate_sessions_live").increment(1.0);
        if let Some(step) = self.first_step.take() {
            self.perform(step, ctx);
        }
        let next = self.core.next_deadline();
        self.wake_at(next, ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        metrics::gauge!("sessiongate_sessions_live").decrement(1.0);
        if let Some(on_stop) = self.on_stop.take() {
            on_stop(None, self.core.wake_at());
        }
    }
}

impl Handler<Event> for SessionActor {
    type Result = ();

    fn handle(&mut self, event: Event, ctx: &mut Self::Context) {
        if self.stopping {
            if let Event::LinkOpened { link, .. } = event {
                // Nobody else will say goodbye.
                actix_rt::spawn(async move { link.close().await });
            }
            return;
        }
        if self.leaving && event.can_follow() {
            if self.late.len() < MAILBOX {
                self.late.push(event);
            }
            return;
        }
        match event {
            Event::Input(input) => {
                if let Input::CallDone { call, .. } = &input {
                    self.running.remove(call);
                }
                if let Input::ReplyGone(call) = &input {
                    self.replies.remove(call);
                }
                if let Input::ConnClosed { stream, conn } = &input
                    && self.connections.get(stream).is_some_and(|(known, _)| known == conn)
                {
                    self.connections.remove(stream);
                }
                self.step(input, ctx);
            }
            Event::Link { input, permit } => {
                self.permit = Some(permit);
                self.step(input, ctx);
                self.permit = None;
            }
            Event::Request { call, request, sse, log_level, passed, reply } => {
                let Some(reply) = reply.take() else { return };
                self.replies.insert(call, CallReply::new(reply));
                self.passed.asks(call, passed);
                self.step(Input::Request { call, request, sse, log_level }, ctx);
            }
            Event::Notification { notification, reply } => {
                let Some(reply) = reply.take() else { return };
                self.step(Input::Notification(notification), ctx);
                if !self.stopping {
                    let _ = reply.send(Ok(()));
                }
            }
            Event::Response { call, response, passed, reply } => {
                let Some(reply) = reply.take() else { return };
                self.acknowledgements.insert(call, reply);
                self.passed.begin_answer(passed);
                self.step(Input::Response { call, response }, ctx);
                self.passed.begin_answer(None);
            }
            Event::Attach { conn, after, reply } => {
                let Some(reply) = reply.take() else { return };
                self.attaching.insert(conn, reply);
                self.step(Input::Attach { conn, after }, ctx);
            }
            Event::LinkOpened { target, generation, link, welcome, saved } => {
                self.links.push(OpenLink::new(target.clone(), generation, link, self.core.posts_room()));
                let welcome = welcome.map(|welcome| *welcome);
                self.step(Input::LinkOpened { target, generation, welcome, saved }, ctx);
            }
            Event::Committed { number, result } => self.on_committed(number, result, ctx),
            Event::End { reason, reply } => {
                let Some(reply) = reply.take() else { return };
                self.ended.push(reply);
                self.step(Input::End(reason), ctx);
            }
            Event::ShutDown { reply } => {
                let Some(reply) = reply.take() else { return };
                self.on_shut_down(reply, ctx);
            }
            Event::View(reply) => {
                let Some(reply) = reply.take() else { return };
                let _ = reply.send(Ok(self.core.view()));
            }
            Event::Questions { call, reply } => {
                let Some(reply) = reply.take() else { return };
                let _ = reply.send(Ok(self.core.questions_of(&call)));
            }
        }
    }
}
