//! Where a stream can be taken up again, and when.

use std::time::Duration;

use super::events::Event;
use crate::backoff::full_jitter;

/// Waited where the target did not say.
const DEFAULT_RETRY: Duration = Duration::from_secs(1);
/// Waited at least, so that `retry: 0` is no busy loop.
const MIN_RETRY: Duration = Duration::from_millis(100);
/// A target's word is honoured up to here.
const MAX_RETRY: Duration = Duration::from_secs(5 * 60);
/// What the gateway adds of its own grows up to here.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The client's state of one SSE stream (HTML Standard, "server-sent events": last event id and reconnection time).
#[derive(Debug)]
pub(crate) struct Cursor {
    last_id: Option<Box<str>>,
    retry: Duration,
    failures: u32,
}

// === impl Cursor ===

impl Cursor {
    /// A stream that is new, or goes on after an event.
    pub(crate) fn new(last_id: Option<&str>) -> Self {
        Self { last_id: last_id.map(Into::into), retry: DEFAULT_RETRY, failures: 0 }
    }

    /// Takes note of an event.
    pub(crate) fn see(&mut self, event: &Event) {
        if let Some(id) = &event.id {
            self.last_id = Some(id.clone());
        }
        if let Some(retry) = event.retry {
            self.retry = retry.clamp(MIN_RETRY, MAX_RETRY);
        }
        self.failures = 0;
    }

    /// The event to resume after.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// The target does not know that event any more.
    pub(crate) fn forget(&mut self) {
        self.last_id = None;
    }

    /// Counts a connection that brought nothing; how many there were in a row.
    pub(crate) fn fail(&mut self) -> u32 {
        self.failures = self.failures.saturating_add(1);
        self.failures
    }

    /// How long to wait before the next connection: never less than the target's `retry`.
    pub(crate) fn delay(&self) -> Duration {
        // The first reconnection is an ordinary one: only repeated failures add to it.
        self.retry + full_jitter(self.failures.saturating_sub(1), DEFAULT_RETRY, MAX_BACKOFF)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn event(id: Option<&str>, retry: Option<u64>) -> Event {
        Event { kind: None, data: Bytes::new(), id: id.map(Into::into), retry: retry.map(Duration::from_millis) }
    }

    #[test]
    fn the_targets_retry_is_honoured_and_failures_add_to_it() {
        let mut cursor = Cursor::new(None);
        assert_eq!(cursor.delay(), DEFAULT_RETRY);
        cursor.see(&event(Some("a"), Some(140)));
        cursor.see(&event(None, None));
        assert_eq!((cursor.last_id(), cursor.delay()), (Some("a"), Duration::from_millis(140)));
        for _ in 0..20 {
            cursor.fail();
            assert!(cursor.delay() >= Duration::from_millis(140) && cursor.delay() <= MAX_BACKOFF + cursor.retry);
        }
        cursor.see(&event(None, Some(u64::MAX)));
        assert_eq!(cursor.delay(), MAX_RETRY);
        cursor.see(&event(None, Some(0)));
        assert_eq!(cursor.delay(), MIN_RETRY);
    }
}
