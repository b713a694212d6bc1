//! A target whose processes keep dying is not started again at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::backoff::full_jitter;
use crate::error::TargetError;

/// A process that ended by itself before this age counts as a failure.
const YOUNG: Duration = Duration::from_secs(5);
const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(30);

/// The restart state of one target, shared by all its processes.
#[derive(Debug, Default)]
pub(crate) struct Restarts(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    not_before: Option<Instant>,
}

/// One process, as far as restarts are concerned: it fails at most once.
#[derive(Debug)]
pub(crate) struct Life {
    restarts: Arc<Restarts>,
    started: Instant,
    ready: AtomicBool,
    counted: AtomicBool,
    /// It only shows what the program is: however it ends, it does not count.
    trial: AtomicBool,
}

// === impl Restarts ===

impl Restarts {
    /// Fails while the next start has to wait.
    ///
    /// # Errors
    /// [`TargetError::Process`].
    pub(super) fn check(&self) -> Result<(), TargetError> {
        let state = self.0.lock();
        let Some(wait) = state.not_before.and_then(|at| at.checked_duration_since(Instant::now())) else {
            return Ok(());
        };
        if wait.is_zero() {
            return Ok(());
        }
        let (failures, seconds) = (state.failures, wait.as_secs() + 1);
        let times = if failures == 1 { "once".to_owned() } else { format!("{failures} times") };
        Err(TargetError::Process { detail: format!("it failed {times}; restarting in {seconds} s") })
    }

    /// A process starts; `trial` where it is only looked at.
    pub(super) fn begin(self: &Arc<Self>, trial: bool) -> Life {
        Life {
            restarts: Arc::clone(self),
            started: Instant::now(),
            ready: AtomicBool::new(false),
            counted: AtomicBool::new(false),
            trial: AtomicBool::new(trial),
        }
    }
}

// === impl Life ===

impl Life {
    /// It answered `initialize`, or any request of the modern era.
    pub(crate) fn ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether it answered.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// The trial is over, and the process is used from now on.
    pub(crate) fn adopt(&self) {
        self.trial.store(false, Ordering::Release);
        self.ready();
    }

    /// It could not be used.
    pub(super) fn fail(&self) {
        if !self.trial.load(Ordering::Acquire) && !self.counted.swap(true, Ordering::AcqRel) {
            let mut state = self.restarts.0.lock();
            state.failures = state.failures.saturating_add(1);
            state.not_before = Some(Instant::now() + full_jitter(state.failures, BASE, CAP));
        }
    }

    /// It ended, `unasked` or because the gateway wanted it.
    pub(super) fn end(&self, unasked: bool) {
        let ready = self.ready.load(Ordering::Acquire);
        if unasked && (!ready || self.started.elapsed() < YOUNG) {
            self.fail();
        } else if ready && !self.counted.load(Ordering::Acquire) && !self.trial.load(Ordering::Acquire) {
            *self.restarts.0.lock() = State::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn young_deaths_delay_the_next_start_and_a_long_life_forgives() {
        let restarts = Arc::new(Restarts::default());
        for _ in 0..12 {
            let life = restarts.begin(false);
            life.ready();
            life.end(true);
            life.fail();
            restarts.begin(true).end(true);
        }
        assert_eq!(restarts.0.lock().failures, 12, "each life fails once");
        restarts.0.lock().not_before = Some(Instant::now() + CAP);
        let error = restarts.check().unwrap_err().to_string();
        assert!(error.contains("12 times") && error.contains("restarting in 31 s"), "{error}");
        tokio::time::advance(CAP).await;
        assert!(restarts.check().is_ok());
        let life = restarts.begin(false);
        life.ready();
        tokio::time::advance(YOUNG).await;
        life.end(true);
        assert_eq!(restarts.0.lock().failures, 0);
    }
}
