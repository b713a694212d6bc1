//! A role that is taken on, and kept: a key of STS is good for an hour.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::identity::AwsCredentials;
use super::keys::GatewayRole;
use super::sts::{AssumeError, DEADLINE, Sts, Temporary};

/// A key is renewed so long before it ends, or in the second half of its life.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);
/// After a question to STS that brought nothing, for this long none is asked.
const PAUSE: Duration = Duration::from_secs(5);
/// A key that lasts longer is not believed to.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// One role of one gateway. At most one question about it is on its way.
pub(super) struct AssumedRole {
    role: GatewayRole,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    key: Option<Key>,
    /// What the last question came to, where that was no key.
    failed: Option<Arc<AssumeError>>,
    not_before: Option<Instant>,
    /// Closed when the question that is on its way has ended, however it did.
    flight: Option<watch::Receiver<()>>,
}

/// Its times are told by both clocks: one stands still while the machine sleeps, the other may be set.
struct Key {
    credentials: AwsCredentials,
    renew: (Instant, SystemTime),
    end: (Instant, SystemTime),
}

/// What there is at once.
enum Look {
    Key(AwsCredentials),
    Failed(Arc<AssumeError>),
    OnItsWay(watch::Receiver<()>),
}

// === impl AssumedRole ===

impl AssumedRole {
    pub fn new(role: GatewayRole) -> Self {
        Self { role, state: Mutex::default() }
    }

    /// Its key, waited for where there is none yet. One that is about to end is renewed on the side.
    pub async fn credentials(self: &Arc<Self>, sts: &Sts) -> Result<AwsCredentials, Arc<AssumeError>> {
        let mut flight = match self.look(sts) {
            Look::Key(key) => return Ok(key),
            Look::Failed(error) => return Err(error),
            Look::OnItsWay(flight) => flight,
        };
        // Nothing is ever sent: the channel closes. The question has its own deadline; more only if its thread stands still.
        let _ = tokio::time::timeout(DEADLINE + Duration::from_secs(1), flight.changed()).await;
        let state = self.state.lock();
        match (&state.key, &state.failed) {
            (Some(key), _) if !is_past(key.end) => Ok(key.credentials.clone()),
            (_, Some(error)) => Err(error.clone()),
            _ => Err(Arc::new(AssumeError::CutOff)),
        }
    }

    fn look(self: &Arc<Self>, sts: &Sts) -> Look {
        let mut state = self.state.lock();
        if state.key.as_ref().is_none_or(|key| is_past(key.renew)) {
            self.ask(&mut state, sts);
        }
        if let Some(key) = state.key.as_ref().filter(|key| !is_past(key.end)) {
            return Look::Key(key.credentials.clone());
        }
        match (state.flight.clone(), &state.failed) {
            (Some(flight), _) if is_running(&flight) => Look::OnItsWay(flight),
            (_, Some(error)) => Look::Failed(error.clone()),
            _ => Look::Failed(Arc::new(AssumeError::CutOff)),
        }
    }

    /// Asks STS, unless that is being done or was done just now in vain. The question belongs to nobody: who waits for it
    /// may go.
    fn ask(self: &Arc<Self>, state: &mut State, sts: &Sts) {
        let paused = state.not_before.is_some_and(|not_before| Instant::now() < not_before);
        if paused || state.flight.as_ref().is_some_and(is_running) {
            return;
        }
        // Counts from here too, so that it holds for a question that crashes.
        state.not_before = Some(Instant::now() + PAUSE);
        let (ending, ended) = watch::channel(());
        state.flight = Some(ended);
        let (this, sts) = (self.clone(), sts.clone());
        tokio::spawn(async move {
            let outcome = sts.assume(&this.role).await.and_then(Key::new);
            this.land(outcome);
            drop(ending);
        });
    }

    fn land(&self, outcome: Result<Key, AssumeError>) {
        let mut state = self.state.lock();
        let (role, gateway) = (&*self.role.role, &*self.role.gateway);
        match outcome {
            Ok(key) => {
                tracing::debug!(role, gateway, access_key_id = key.credentials.access_key_id, "role assumed");
                *state = State { key: Some(key), flight: state.flight.take(), ..State::default() };
            }
            Err(error) => {
                tracing::warn!(role, gateway, %error, detail = error.detail(), "a role could not be assumed");
                state.not_before = Some(Instant::now() + PAUSE);
                state.failed = Some(Arc::new(error));
            }
        }
    }
}

fn is_running(flight: &watch::Receiver<()>) -> bool {
    flight.has_changed().is_ok()
}

fn is_past((instant, time): (Instant, SystemTime)) -> bool {
    Instant::now() >= instant || SystemTime::now() >= time
}

// === impl Key ===

impl Key {
    fn new(given: Temporary) -> Result<Self, AssumeError> {
        let (now, time) = (Instant::now(), SystemTime::now());
        let over = AssumeError::Nonsense("its credentials are over: look at the clocks");
        let left = given.expires.duration_since(time).map_err(|_| over)?.min(LONGEST);
        let at = |after: Duration| (now + after, time + after);
        Ok(Self { credentials: given.credentials, renew: at(left - RENEW_BEFORE.min(left / 2)), end: at(left) })
    }
}
