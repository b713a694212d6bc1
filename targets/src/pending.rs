//! Calls that wait for their response, on transports where all messages come on one stream.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sessiongate_protocol::{RequestId, Response};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::error::TargetError;
use crate::link::CallReply;

/// More calls at once on one connection than any session may have (its own bound is far lower).
pub(crate) const MAX_PENDING: usize = 4096;

type Outcome = Result<CallReply, TargetError>;

/// The waiting calls of one connection.
#[derive(Debug, Default)]
pub(crate) struct Pending(Mutex<State>);

/// One waiting call; forgets itself when dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    pending: Arc<Pending>,
    id: i64,
    outcome: oneshot::Receiver<Outcome>,
}

#[derive(Debug)]
enum State {
    Open(HashMap<i64, oneshot::Sender<Outcome>>),
    /// What new calls are told.
    Ended(TargetError),
}

// === impl Pending ===

impl Pending {
    /// Starts to wait for the response to `id`.
    ///
    /// # Errors
    /// What [`Pending::end`] left behind; [`TargetError::Exhausted`]; [`TargetError::Protocol`] where the id is in use.
    pub(crate) fn register(self: &Arc<Self>, id: i64) -> Result<Waiting, TargetError> {
        match &mut *self.0.lock() {
            State::Ended(error) => Err(error.clone()),
            State::Open(calls) if calls.len() >= MAX_PENDING => {
                Err(TargetError::Exhausted { what: "calls to one target", limit: MAX_PENDING })
            }
            State::Open(calls) if calls.contains_key(&id) => {
                Err(TargetError::Protocol { detail: "the request id is in use".into() })
            }
            State::Open(calls) => {
                let (sender, outcome) = oneshot::channel();
                calls.insert(id, sender);
                Ok(Waiting { pending: Arc::clone(self), id, outcome })
            }
        }
    }

    /// Hands a response to its call. False where nothing waits for it: late, doubled, or made up.
    pub(crate) fn complete(&self, response: Response, event_id: Option<Box<str>>) -> bool {
        let Some(id) = response.id.as_ref().and_then(RequestId::as_i64) else { return false };
        let sender = match &mut *self.0.lock() {
            State::Open(calls) => calls.remove(&id),
            State::Ended(_) => None,
        };
        sender.is_some_and(|sender| sender.send(Ok(CallReply { response, event_id })).is_ok())
    }

    /// Ends one waiting call, where something came for it that is no response.
    pub(crate) fn fail(&self, id: &RequestId, error: TargetError) {
        if let State::Open(calls) = &mut *self.0.lock()
            && let Some(sender) = id.as_i64().and_then(|id| calls.remove(&id))
        {
            let _ = sender.send(Err(error));
        }
    }

    /// Ends every waiting call with `running`, and every later one with `later`. The first end counts.
    pub(crate) fn end(&self, running: &TargetError, later: TargetError) {
        let calls = match &mut *self.0.lock() {
            State::Ended(_) => return,
            state => std::mem::replace(state, State::Ended(later)),
        };
        if let State::Open(calls) = calls {
            for sender in calls.into_values() {
                let _ = sender.send(Err(running.clone()));
            }
        }
    }

    /// Whether the connection can still be used.
    ///
    /// # Errors
    /// What [`Pending::end`] left behind.
    pub(crate) fn check_open(&self) -> Result<(), TargetError> {
        match &*self.0.lock() {
            State::Open(_) => Ok(()),
            State::Ended(error) => Err(error.clone()),
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Open(HashMap::new())
    }
}

// === impl Waiting ===

impl Waiting {
    /// Waits for the response.
    ///
    /// # Errors
    /// [`TargetError::TimedOut`] at the deadline; what the connection ended with.
    pub(crate) async fn outcome(&mut self, started: Instant, deadline: Instant) -> Outcome {
        match timeout_at(deadline, &mut self.outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(TargetError::OutcomeUnknown { detail: "the connection was dropped".into() }),
            Err(_) => Err(TargetError::TimedOut(deadline.saturating_duration_since(started))),
        }
    }

    /// The outcome, where it is there already.
    pub(crate) fn try_outcome(&mut self) -> Option<Outcome> {
        self.outcome.try_recv().ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let State::Open(calls) = &mut *self.pending.0.lock() {
            // After completion the slot is empty already.
            calls.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use sessiongate_protocol::{RawJson, ResponseBody};

    use super::*;

    fn response(id: i64) -> Response {
        Response { id: Some(RequestId::integer(id)), body: ResponseBody::Result(RawJson::EMPTY_OBJECT) }
    }

    #[tokio::test]
    async fn a_response_reaches_its_call_once_and_the_end_reaches_all_others() {
        let pending = Arc::new(Pending::default());
        let mut one = pending.register(1).unwrap();
        let mut two = pending.register(2).unwrap();
        assert!(pending.register(1).is_err());
        assert!(pending.complete(response(1), None));
        assert!(!pending.complete(response(1), None), "a second response with the same id");
        assert!(!pending.complete(response(9), None), "a response to nothing");
        assert!(one.try_outcome().unwrap().is_ok());
        pending.end(&TargetError::Closed, TargetError::SessionGone);
        assert!(matches!(two.try_outcome(), Some(Err(TargetError::Closed))));
        assert!(matches!(pending.register(3), Err(TargetError::SessionGone)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_frees_the_slot() {
        let pending = Arc::new(Pending::default());
        let now = Instant::now();
        let mut one = pending.register(1).unwrap();
        let outcome = one.outcome(now, now + std::time::Duration::from_secs(3)).await;
        assert!(matches!(outcome, Err(TargetError::TimedOut(after)) if after.as_secs() == 3));
        drop(one);
        assert!(pending.register(1).is_ok());
    }
}
