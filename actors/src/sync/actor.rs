//! One target's synchronisation: when it is created or changed, on request, when it says that its lists changed, and
//! again with backoff while it is down. The last good catalogue stays.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use sessiongate_storage::Timestamp;
use sessiongate_targets::{Link, Listening, Target, TargetError};
use tokio::sync::oneshot;

use super::fetch::{SYNC_DEADLINE, fetch};
use super::lists::Bounds;
use super::sink::{Heard, catalogue_sink};
use crate::catalogue::TargetCatalogue;
use crate::clock;

/// Changes that come together are fetched together.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Changes further apart than this have nothing to do with each other.
const CALM: Duration = Duration::from_secs(60);
/// So many changes in a row are taken as they come.
const PATIENCE: u32 = 10;
/// The longest wait between two attempts while a target is down.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// What a synchronisation ended with.
pub type SyncOutcome = Result<Arc<TargetCatalogue>, TargetError>;

/// Where a target's synchronisation stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SyncState {
    /// Not tried yet.
    New,
    /// Under way.
    Syncing,
    /// The catalogue is what the target offered last.
    Ready,
    /// The last attempt failed; the catalogue, if there is one, is older.
    Failed {
        /// A stable word.
        code: &'static str,
        /// For a person.
        message: String,
    },
}

/// A target as a person sees it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct TargetView {
    /// Its name.
    pub name: Arc<str>,
    /// Where it stands.
    #[serde(flatten)]
    pub sync: SyncState,
    /// Of the last good catalogue.
    pub synced_at: Option<Timestamp>,
    /// Tools in it.
    pub tools: usize,
    /// Prompts in it.
    pub prompts: usize,
    /// Resources and templates in it.
    pub resources: usize,
    /// What it listed and clients are not shown, for who may know: whoever asks how the gateway is reads the rest.
    #[serde(skip)]
    pub left_out: Vec<Box<str>>,
    /// The gateway is not ready without it.
    pub required: bool,
}

/// When a target's lists are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronisation {
    /// At the start, again with backoff while that fails, when the target says that they changed, and when somebody asks.
    #[default]
    Automatic,
    /// When somebody asks.
    Manual,
}

/// Called with every good catalogue.
pub type Publish = Arc<dyn Fn(Arc<TargetCatalogue>) + Send + Sync>;

/// The actor.
pub struct TargetSync {
    name: Arc<str>,
    synchronised: metrics::Gauge,
    target: Arc<dyn Target>,
    when: Synchronisation,
    bounds: Bounds,
    publish: Publish,
    state: SyncState,
    last_good: Option<Arc<TargetCatalogue>>,
    failures: u32,
    /// Of the attempt that runs: what an older one reports is dropped.
    generation: u64,
    asked: Vec<oneshot::Sender<SyncOutcome>>,
    /// A change came while a synchronisation ran.
    again: bool,
    /// Keeps hearing about changes.
    link: Option<Arc<dyn Link>>,
    timer: Option<SpawnHandle>,
    /// Changes that followed each other closely, and the last one.
    restless: u32,
    last_change: Option<Timestamp>,
}

/// How others reach it.
#[derive(Clone)]
pub struct SyncHandle {
    addr: Addr<TargetSync>,
}

type Fetched = Result<(Arc<dyn Link>, TargetCatalogue), TargetError>;

#[derive(Message)]
#[rtype(result = "()")]
enum Event {
    Sync(oneshot::Sender<SyncOutcome>),
    Changed,
    /// Somebody else read it.
    Known(Arc<TargetCatalogue>),
    Heard {
        generation: u64,
        heard: Heard,
    },
    Done {
        generation: u64,
        result: Box<Fetched>,
    },
    View(oneshot::Sender<(SyncState, Option<Arc<TargetCatalogue>>)>),
    Stop,
}

// === impl TargetSync ===

impl TargetSync {
    /// Starts on the current arbiter, and synchronises at once if nobody needs to ask, for the gateway of this name. `bounds` is
    /// what the target may offer, `last_good` what was stored of it.
    pub fn launch(
        gateway: &str,
        target: Arc<dyn Target>,
        when: Synchronisation,
        bounds: Bounds,
        last_good: Option<Arc<TargetCatalogue>>,
        publish: Publish,
    ) -> SyncHandle {
        let labels = [("gateway", gateway.to_owned()), ("target", target.name().to_owned())];
        let actor = Self {
            synchronised: metrics::gauge!("sessiongate_target_synchronised", &labels),
            name: target.name().into(),
            target,
            when,
            bounds,
            publish,
            // What was read when somebody last asked is what there is.
            state: match (when, &last_good) {
                (Synchronisation::Manual, Some(_)) => SyncState::Ready,
                _ => SyncState::New,
            },
            last_good,
            failures: 0,
            generation: 0,
            asked: Vec::new(),
            again: false,
            link: None,
            timer: None,
            restless: 0,
            last_change: None,
        };
        SyncHandle { addr: actor.start() }
    }

    fn begin(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        if self.state == SyncState::Syncing {
            self.again = true;
            return;
        }
        self.state = SyncState::Syncing;
        self.generation += 1;
        let generation = self.generation;
        let (sink, mut hearing) = catalogue_sink();
        let (target, bounds) = (self.target.clone(), self.bounds);
        let addr = ctx.address();
        let old = self.link.take();
        actix_rt::spawn(async move {
            if let Some(old) = old {
                old.close().await;
            }
            let result = match tokio::time::timeout(SYNC_DEADLINE, fetch(&*target, sink.clone(), bounds)).await {
                Ok(result) => result,
                Err(_) => Err(TargetError::TimedOut(SYNC_DEADLINE)),
            };
            if let Ok((link, _)) = &result {
                let _ = sink.link.set(Arc::downgrade(link));
            }
            drop(sink);
            let spare = result.as_ref().ok().map(|(link, _)| link.clone());
            if addr.send(Event::Done { generation, result: Box::new(result) }).await.is_err() {
                // Stopped meanwhile: nobody else will say goodbye.
                if let Some(link) = spare {
                    link.close().await;
                }
                return;
            }
            drop(spare);
            while let Some(heard) = hearing.recv().await {
                if addr.send(Event::Heard { generation, heard }).await.is_err() {
                    return;
                }
            }
        });
    }

    fn done(&mut self, result: Fetched, ctx: &mut Context<Self>) {
        let outcome = match result {
            Ok((link, catalogue)) => {
                let catalogue = Arc::new(catalogue);
                self.state = SyncState::Ready;
                self.failures = 0;
                let before = self.last_good.replace(catalogue.clone());
                // A target may be read often, and is as it was.
                if before.is_none_or(|before| before.left_out != catalogue.left_out) {
                    self.tell_left_out(&catalogue);
                }
                self.keep_hearing(link, &catalogue);
                (self.publish)(catalogue.clone());
                tracing::info!(
                    target_name = &*self.name,
                    tools = catalogue.tools.len(),
                    prompts = catalogue.prompts.len(),
                    resources = catalogue.resources.len() + catalogue.templates.len(),
                    took_ms = catalogue.took_ms,
                    "target synchronised"
                );
                Ok(catalogue)
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.state = SyncState::Failed { code: error.code(), message: error.to_string() };
                let wait = (self.when == Synchronisation::Automatic).then(|| backoff(self.failures));
                tracing::warn!(
                    target_name = &*self.name,
                    error = error.code(),
                    detail = ?error,
                    retry_ms = wait.and_then(|wait| u64::try_from(wait.as_millis()).ok()),
                    "target could not be synchronised; its last good catalogue stays"
                );
                if let Some(wait) = wait {
                    self.later(wait, ctx);
                }
                Err(error)
            }
        };
        let ready = if outcome.is_ok() { 1.0 } else { 0.0 };
        self.synchronised.set(ready);
        for reply in self.asked.drain(..) {
            let _ = reply.send(outcome.clone());
        }
        if std::mem::take(&mut self.again) && outcome.is_ok() {
            let wait = self.restless();
            self.later(wait, ctx);
        }
    }

    fn tell_left_out(&self, catalogue: &TargetCatalogue) {
        for left_out in &catalogue.left_out {
            tracing::warn!(target_name = &*self.name, left_out = &**left_out, "not all that a target lists is shown");
        }
    }

    /// A process is not kept for its notifications: sessions have their own, and they report changes too.
    fn keep_hearing(&mut self, link: Arc<dyn Link>, catalogue: &TargetCatalogue) {
        if &*catalogue.transport == "stdio" || self.when == Synchronisation::Manual {
            actix_rt::spawn(async move { link.close().await });
            return;
        }
        link.listen(Listening::On);
        self.link = Some(link);
    }

    fn on_changed(&mut self, ctx: &mut Context<Self>) {
        if self.when == Synchronisation::Manual {
            return;
        }
        if self.state == SyncState::Syncing {
            self.again = true;
        } else if self.timer.is_none() {
            let wait = self.restless();
            self.later(wait, ctx);
        }
    }

    /// How long to wait before a target that changed is read again: little, unless it changes all the time, perhaps
    /// because it is read.
    fn restless(&mut self) -> Duration {
        let now = clock::now();
        self.restless = match self.last_change {
            Some(last) if now.since(last) < CALM => self.restless.saturating_add(1),
            _ => 0,
        };
        self.last_change = Some(now);
        match self.restless.checked_sub(PATIENCE) {
            Some(over) => backoff(over.saturating_add(1)),
            None => DEBOUNCE,
        }
    }

    fn later(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = Some(ctx.run_later(wait, |actor, ctx| {
            actor.timer = None;
            actor.begin(ctx);
        }));
    }
}

/// Doubling from one second, with full jitter, so that gateways that restart together do not come together.
fn backoff(failures: u32) -> Duration {
    let ceiling = Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(MAX_BACKOFF);
    let mut byte = [0u8; 1];
    // Without randomness the full wait is right too.
    let share = match aws_lc_rs::rand::fill(&mut byte) {
        Ok(()) => f64::from(byte[0]) / 255.0,
        Err(_) => 1.0,
    };
    ceiling.mul_f64(0.5 + share / 2.0)
}

impl Actor for TargetSync {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.when == Synchronisation::Automatic {
            self.begin(ctx);
        }
    }
}

impl Handler<Event> for TargetSync {
    type Result = ();

    fn handle(&mut self, event: Event, ctx: &mut Self::Context) {
        match event {
            Event::Sync(reply) => {
                self.asked.push(reply);
                if self.state != SyncState::Syncing {
                    self.begin(ctx);
                }
            }
            Event::Changed => self.on_changed(ctx),
            Event::Known(catalogue) => {
                // What is being read now is newer still.
                if self.state != SyncState::Syncing {
                    self.state = SyncState::Ready;
                    self.failures = 0;
                }
                self.last_good = Some(catalogue);
            }
            Event::Heard { generation, heard } if generation == self.generation => match heard {
                Heard::Changed => self.on_changed(ctx),
                Heard::Closed => {
                    self.link = None;
                    // The target was restarted, or dropped the session: what it offers may be different now.
                    if self.state == SyncState::Ready {
                        let wait = self.restless().max(backoff(1));
                        self.later(wait, ctx);
                    }
                }
            },
            Event::Done { generation, result } if generation == self.generation => self.done(*result, ctx),
            Event::Heard { .. } => {}
            Event::Done { result, .. } => {
                if let Ok((link, _)) = *result {
                    actix_rt::spawn(async move { link.close().await });
                }
            }
            Event::View(reply) => {
                let _ = reply.send((self.state.clone(), self.last_good.clone()));
            }
            Event::Stop => {
                if let Some(link) = self.link.take() {
                    actix_rt::spawn(async move { link.close().await });
                }
                self.generation += 1;
                ctx.stop();
            }
        }
    }
}

// === impl TargetView ===

impl TargetView {
    /// Of a target with this catalogue.
    pub(crate) fn new(name: Arc<str>, sync: SyncState, catalogue: Option<&TargetCatalogue>, required: bool) -> Self {
        let count = |list: fn(&TargetCatalogue) -> usize| catalogue.map_or(0, list);
        Self {
            name,
            sync,
            synced_at: catalogue.map(|catalogue| catalogue.synced_at),
            tools: count(|catalogue| catalogue.tools.len()),
            prompts: count(|catalogue| catalogue.prompts.len()),
            resources: count(|catalogue| catalogue.resources.len() + catalogue.templates.len()),
            left_out: catalogue.map(|catalogue| catalogue.left_out.clone()).unwrap_or_default(),
            required,
        }
    }
}

// === impl SyncHandle ===

impl SyncHandle {
    /// Synchronises now, or joins the synchronisation that runs; waits for its end.
    pub async fn sync(&self) -> SyncOutcome {
        let (reply, outcome) = oneshot::channel();
        self.addr.try_send(Event::Sync(reply)).map_err(|_| TargetError::Closed)?;
        outcome.await.unwrap_or(Err(TargetError::Closed))
    }

    /// The target said that its lists changed.
    pub fn changed(&self) {
        // Full means that it is known already.
        let _ = self.addr.try_send(Event::Changed);
    }

    /// Somebody else read what the target offers, and published it.
    pub fn known(&self, catalogue: Arc<TargetCatalogue>) {
        if self.addr.try_send(Event::Known(catalogue)).is_err() {
            tracing::debug!("a synchronisation did not hear what is known of its target");
        }
    }

    /// Where it stands.
    pub async fn view(&self, required: bool, name: Arc<str>) -> TargetView {
        let (reply, view) = oneshot::channel();
        let sent = self.addr.try_send(Event::View(reply)).is_ok();
        let (sync, last_good) = match view.await {
            Ok(view) if sent => view,
            _ => (SyncState::New, None),
        };
        TargetView::new(name, sync, last_good.as_deref(), required)
    }

    /// Ends it.
    pub fn stop(&self) {
        if self.addr.try_send(Event::Stop).is_err() {
            tracing::debug!("a synchronisation was gone already");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_its_ceiling_and_never_overflows() {
        for (failures, most) in [(0, 1), (1, 1), (2, 2), (3, 4), (7, 60), (u32::MAX, 60)] {
            let wait = backoff(failures);
            assert!(wait <= Duration::from_secs(most) && wait >= Duration::from_millis(500), "{failures}: {wait:?}");
        }
    }
}
