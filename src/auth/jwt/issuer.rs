//! The keys of one issuer, kept fresh without a task that runs all the time.
//!
//! Whoever needs keys looks; who finds them due starts the one fetch that may run, and goes on with the keys that
//! there are. Who cannot go on without newer keys waits for that same fetch. Between fetches lies a pause, whatever tokens
//! come: an unknown `kid` costs the issuer at most one request in that time. An issuer may have changed its keys just
//! then, so once in ten such pauses an unknown `kid` need not wait; in the others it is told to come again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use sessiongate_storage::Timestamp;
use sessiongate_targets::{FetchError, FetchLimits, Outbound};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use url::Url;

use super::discovery::{Discovered, ExpectedIssuer, IssuerError, Metadata, discover};
use super::error::JwtError;
use super::keys::{KeySet, Times};

/// How an issuer's documents are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuerOptions {
    /// For each document.
    pub fetch: FetchLimits,
    /// How long a document is fresh where its server does not say.
    pub default_age: Duration,
    /// The shortest that a document is fresh, whatever its server says.
    pub min_age: Duration,
    /// The longest.
    pub max_age: Duration,
    /// The least time between two fetches of keys; once in ten times as long, one for an unknown key comes earlier.
    pub refetch_interval: Duration,
    /// How much longer than fresh keys serve while the issuer is down.
    pub stale_for: Duration,
    /// The pause after a first failure while there are no keys at all; it doubles with each further one.
    pub first_pause: Duration,
    /// The longest such pause.
    pub max_pause: Duration,
    /// Requests that may wait for one issuer's keys; more are refused at once.
    pub waiting: usize,
}

/// The keys of one issuer, shared by all gateways that trust it.
pub struct Issuer {
    discovery_url: Url,
    /// What the issuer's document must call it.
    expected: ExpectedIssuer,
    outbound: Outbound,
    options: IssuerOptions,
    keys: ArcSwapOption<KeySet>,
    /// Nothing is fetched before this time (milliseconds): read without the lock by every request while keys are due.
    not_before: AtomicU64,
    state: Mutex<State>,
    waiting: Semaphore,
}

#[derive(Default)]
struct State {
    metadata: Option<KnownMetadata>,
    generation: u64,
    /// Fetches that failed since the last that did not.
    failures: u32,
    /// From here on an unknown key is worth a fetch within the pause.
    early_from: Timestamp,
    error: Option<Arc<str>>,
    flight: Option<Flight>,
}

struct KnownMetadata {
    metadata: Metadata,
    fresh_until: Timestamp,
    usable_until: Timestamp,
}

/// Why keys are fetched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// There are none, or they grow old.
    Due,
    /// A token names one that is not there.
    Unknown,
}

/// What there is besides the keys that a request has.
pub(super) enum Newer {
    /// These.
    Keys(Arc<KeySet>),
    /// The issuer was asked too short a time ago; it may be asked again after this one.
    Later(Duration),
}

/// Pauses from one fetch before its time to the next.
const EARLY: u32 = 10;

/// The fetch that runs.
struct Flight {
    /// Closed when it ends, in whatever way.
    ended: watch::Receiver<()>,
    task: AbortHandle,
}

// === impl IssuerOptions ===

impl Default for IssuerOptions {
    fn default() -> Self {
        Self {
            fetch: FetchLimits { bytes: 256 * 1024, redirects: 3, deadline: Duration::from_secs(10) },
            default_age: Duration::from_secs(3600),
            min_age: Duration::from_secs(300),
            max_age: Duration::from_secs(24 * 3600),
            refetch_interval: Duration::from_secs(30),
            stale_for: Duration::from_secs(24 * 3600),
            first_pause: Duration::from_secs(1),
            max_pause: Duration::from_secs(60),
            waiting: 1024,
        }
    }
}

impl IssuerOptions {
    fn age(&self, said: Option<Duration>) -> Duration {
        said.unwrap_or(self.default_age).clamp(self.min_age, self.max_age.max(self.min_age))
    }

    /// The pause after so many failures.
    fn pause(&self, failures: u32) -> Duration {
        self.first_pause.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(self.max_pause)
    }
}

// === impl Issuer ===

impl Issuer {
    pub(super) fn new(
        discovery_url: Url,
        expected: ExpectedIssuer,
        outbound: Outbound,
        options: IssuerOptions,
    ) -> Arc<Self> {
        Arc::new(Self {
            discovery_url,
            expected,
            outbound,
            options,
            keys: ArcSwapOption::empty(),
            not_before: AtomicU64::new(0),
            state: Mutex::default(),
            waiting: Semaphore::new(options.waiting),
        })
    }

    /// The issuer's name as its document says it, or as the operator or the URL does while there is none.
    pub fn name(&self) -> Arc<str> {
        match &*self.keys.load() {
            Some(keys) => keys.issuer.clone(),
            None => self.expected.name.clone(),
        }
    }

    /// The keys that there are, if they can be believed. Starts a fetch where they are due, never the first one.
    pub(super) fn known(self: &Arc<Self>, now: Timestamp) -> Option<Arc<KeySet>> {
        let keys = self.keys.load_full()?;
        if now >= keys.refresh_at && now.0 >= self.not_before.load(Ordering::Relaxed) {
            self.fetch(now, Wish::Due);
        }
        (now < keys.usable_until).then_some(keys)
    }

    /// The keys, waited for where there are none.
    pub(super) async fn keys(self: &Arc<Self>, now: Timestamp) -> Result<Arc<KeySet>, JwtError> {
        if let Some(keys) = self.known(now) {
            return Ok(keys);
        }
        if let Some(ended) = self.fetch(now, Wish::Due) {
            self.wait(ended).await.map_err(|error| self.unavailable(&error.to_string(), now))?;
        }
        match self.known(now) {
            Some(keys) => Ok(keys),
            None => Err(self.failed(now)),
        }
    }

    /// Keys that are newer than these, waited for.
    pub(super) async fn newer_than(self: &Arc<Self>, generation: u64, now: Timestamp) -> Result<Newer, JwtError> {
        let newer = |issuer: &Self| issuer.keys.load_full().filter(|keys| keys.generation > generation);
        if let Some(keys) = newer(self) {
            return Ok(Newer::Keys(keys));
        }
        match self.fetch(now, Wish::Unknown) {
            Some(ended) => self.wait(ended).await.map_err(|error| self.unavailable(&error.to_string(), now))?,
            None if self.state.lock().failures == 0 => return Ok(Newer::Later(self.pause(now))),
            None => {}
        }
        match newer(self) {
            Some(keys) => Ok(Newer::Keys(keys)),
            // The key may be one that the issuer has made since: nothing can be said.
            None => Err(self.failed(now)),
        }
    }

    /// Starts a fetch, or joins the one that runs. None in the pause after one.
    fn fetch(self: &Arc<Self>, now: Timestamp, wish: Wish) -> Option<watch::Receiver<()>> {
        let mut state = self.state.lock();
        // A flight whose task is gone has ended, even if it could not say so.
        if let Some(flight) = state.flight.as_ref().filter(|flight| flight.ended.has_changed().is_ok()) {
            return Some(flight.ended.clone());
        }
        if now.0 < self.not_before.load(Ordering::Relaxed) {
            let early = wish == Wish::Unknown && state.failures == 0 && now >= state.early_from;
            if !early {
                return None;
            }
            state.early_from = now.plus(self.options.refetch_interval * EARLY);
        }
        // The pause counts from here, so that it holds for a fetch that crashes, too.
        self.not_before.store(now.plus(self.options.refetch_interval).0, Ordering::Relaxed);
        let (ending, ended) = watch::channel(());
        let known = state.metadata.as_ref();
        let fresh = known.filter(|known| state.failures == 0 && now < known.fresh_until);
        let fresh = fresh.map(|known| known.metadata.clone());
        let usable = known.filter(|known| now < known.usable_until).map(|known| known.metadata.clone());
        // The task must not keep the issuer alive that owns it.
        let issuer = Arc::downgrade(self);
        let (outbound, url, limits) = (self.outbound.clone(), self.discovery_url.clone(), self.options.fetch);
        let expected = self.expected.clone();
        let task = tokio::spawn(async move {
            let outcome = discover(&outbound, &url, &expected, &limits, fresh, usable).await;
            if let Some(issuer) = issuer.upgrade() {
                issuer.land(outcome, now);
            }
            drop(ending);
        });
        state.flight = Some(Flight { ended: ended.clone(), task: task.abort_handle() });
        Some(ended)
    }

    /// Takes over what a fetch brought that was started at `now`.
    fn land(&self, outcome: Result<Discovered, IssuerError>, now: Timestamp) {
        let mut state = self.state.lock();
        let options = &self.options;
        match outcome {
            Ok(found) => {
                state.generation += 1;
                state.failures = 0;
                state.error = None;
                let issuer = found.metadata.issuer.clone();
                self.look_at(&found);
                if found.renewed {
                    let fresh_until = now.plus(options.age(found.metadata.max_age));
                    let usable_until = fresh_until.plus(options.stale_for);
                    state.metadata = Some(KnownMetadata { metadata: found.metadata, fresh_until, usable_until });
                }
                let age = options.age(found.max_age);
                let (refresh_at, usable_until) = (now.plus(age * 3 / 4), now.plus(age).plus(options.stale_for));
                let times = Times { fetched_at: now, refresh_at, usable_until };
                let before = self.keys.load();
                let keys = KeySet::new(found.keys, state.generation, issuer, times, before.as_deref());
                self.keys.store(Some(Arc::new(keys)));
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                let mut pause = options.pause(state.failures);
                if self.keys.load().is_some() {
                    pause = pause.max(options.refetch_interval);
                }
                if let IssuerError::Fetch { error: FetchError::Status { retry_after: Some(asked), .. }, .. } = &error {
                    pause = pause.max(*asked).min(options.max_pause.max(options.refetch_interval));
                }
                self.not_before.store(now.plus(pause).0, Ordering::Relaxed);
                tracing::warn!(
                    discovery_url = %self.discovery_url, %error, failures = state.failures,
                    "the keys of an issuer cannot be fetched"
                );
                state.error = Some(error.to_string().into());
            }
        }
    }

    /// Says what an operator should know about a document that is used all the same.
    fn look_at(&self, found: &Discovered) {
        let issuer = &*found.metadata.issuer;
        if found.keys.len() == 0 {
            tracing::warn!(
                discovery_url = %self.discovery_url, issuer, unusable = found.keys.unusable,
                "an issuer publishes no key that can be used"
            );
        }
        tracing::debug!(issuer, keys = found.keys.len(), unusable = found.keys.unusable, "issuer keys fetched");
    }

    async fn wait(&self, mut ended: watch::Receiver<()>) -> Result<(), IssuerError> {
        let Ok(_place) = self.waiting.try_acquire() else { return Err(IssuerError::Busy) };
        // Two documents, each with its own deadline; more only if the fetch's thread stands still.
        let limit = self.options.fetch.deadline * 2 + Duration::from_secs(1);
        // Nothing is ever sent: the channel closes.
        match tokio::time::timeout(limit, ended.changed()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(IssuerError::CutOff),
        }
    }

    /// Why there are no keys, by what the last fetch said.
    fn failed(&self, now: Timestamp) -> JwtError {
        let detail = self.state.lock().error.clone();
        self.unavailable(detail.as_deref().unwrap_or(&IssuerError::CutOff.to_string()), now)
    }

    /// Waits for the fetch that runs, if one does.
    #[cfg(test)]
    pub(super) async fn landed(&self) {
        if let Some(mut ended) = self.flight() {
            let _ = ended.changed().await;
        }
    }

    #[cfg(test)]
    pub(super) fn flight(&self) -> Option<watch::Receiver<()>> {
        self.state.lock().flight.as_ref().map(|flight| flight.ended.clone())
    }

    fn unavailable(&self, detail: &str, now: Timestamp) -> JwtError {
        JwtError::Unavailable { retry_after: self.pause(now), detail: detail.into() }
    }

    /// How long the issuer is left in peace, in whole seconds, one at least.
    fn pause(&self, now: Timestamp) -> Duration {
        let pause = Timestamp(self.not_before.load(Ordering::Relaxed)).since(now);
        Duration::from_secs(pause.as_millis().div_ceil(1000) as u64).max(Duration::from_secs(1))
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        if let Some(flight) = &self.state.get_mut().flight {
            flight.task.abort();
        }
    }
}
