//! The same signature a second time.
//!
//! AWS lets a signed request be repeated until its signature expires, five minutes later. Whoever gets hold of one (a
//! log, a debugging proxy) could repeat a tool call. But equal signatures also come from honest clients: a signature
//! counts whole seconds, so two equal requests of one second have the same one, be it a retry that botocore signed
//! anew within that second, or two processes that list the same tools. So a repetition is taken within a short grace
//! after the first arrival, and refused after it. Grace zero refuses every repetition, that of honest clients too.
//!
//! The same grace holds for changes of the control plane: botocore asks again within a second when a connection broke, with
//! the same signature as often as not, and would report a change that was made as refused. What is refused outright is
//! not retried; what is done twice within seconds is what the client wanted, and AWS itself would do for minutes.
//!
//! The memory is of one process. Of what was signed before it started it cannot know whether the process before took it, so
//! that is refused, but for the same grace: what is on its way, or made by a clock that is a little slow. A client whose
//! clock is slower gets in when its clock has come to the start; until then the refusal is one that SDKs retry. What a clock
//! that is fast has dated after the start looks like a new request. Another node has a memory of its own. Presigned requests are meant to be sent more than once and are let through.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::error::SigV4Error;
use super::presented::Form;
use super::verify::Verified;

/// How a [`ReplayGuard`] remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplaySettings {
    /// For how long after its first arrival a signature may come again. 5 s: the second that equal signatures share,
    /// and some seconds of waiting for a connection.
    pub grace: Duration,
    /// How many signatures are remembered at most; when it is full, the oldest is forgotten before its time. 131 072:
    /// 430 requests a second for the five minutes a signature lives, in about 15 MB.
    pub capacity: usize,
}

/// What a signature counts.
const SECOND: Duration = Duration::from_secs(1);

/// Remembers signatures until they expire. Only verified ones get in, so only callers with a key can fill it.
pub struct ReplayGuard {
    settings: ReplaySettings,
    /// The first whole second of which nothing is forgotten.
    started: Option<SystemTime>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    first: HashMap<u128, SystemTime>,
    /// In order of arrival, with the moment from which each may be forgotten.
    order: VecDeque<(u128, SystemTime)>,
    forgotten: u64,
}

// === impl ReplaySettings ===

impl Default for ReplaySettings {
    fn default() -> Self {
        Self { grace: Duration::from_secs(5), capacity: 131_072 }
    }
}

// === impl ReplayGuard ===

impl ReplayGuard {
    /// An empty memory.
    #[must_use]
    pub fn new(settings: ReplaySettings) -> Self {
        Self { settings, started: None, seen: Mutex::default() }
    }

    /// The memory of a process that started at this time.
    #[must_use]
    pub fn since(self, started: SystemTime) -> Self {
        // A signature counts whole seconds: one of the second in which the process started may be older than it is.
        let passed = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let whole = passed.as_secs() + u64::from(passed.subsec_nanos() > 0);
        Self { started: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(whole)), ..self }
    }

    /// Takes a verified request in, or refuses it as a repetition.
    pub fn admit(&self, request: &Verified, now: SystemTime) -> Result<(), SigV4Error> {
        if request.form == Form::Presigned {
            return Ok(());
        }
        let mut seen = self.seen.lock();
        while seen.order.front().is_some_and(|(_, until)| *until < now) {
            seen.drop_oldest();
        }
        if let Some(first) = seen.first.get(&request.mark) {
            // Either way: of two requests at once the later clock may come first, and a clock that was set back by more
            // must not open the door again.
            let passed = now.duration_since(*first).unwrap_or_else(|ahead| ahead.duration());
            if passed < self.settings.grace {
                return Ok(());
            }
            return Err(SigV4Error::Replayed { access_key_id: request.caller.access_key_id().into() });
        }
        self.check_start(request, now)?;
        if seen.order.len() >= self.settings.capacity.max(1) {
            seen.drop_oldest();
            seen.forgotten += 1;
        }
        seen.first.insert(request.mark, now);
        seen.order.push_back((request.mark, request.expires_at));
        Ok(())
    }

    fn check_start(&self, request: &Verified, now: SystemTime) -> Result<(), SigV4Error> {
        let Some(started) = self.started.filter(|started| request.signed_at < *started) else { return Ok(()) };
        let grace = self.settings.grace;
        let on_its_way = now < started + grace && request.signed_at + grace >= started;
        // A clock that was set back since would keep everybody out until it is there again.
        let set_back = now + SECOND < started;
        if on_its_way || set_back {
            return Ok(());
        }
        Err(SigV4Error::BeforeStart {
            access_key_id: request.caller.access_key_id().into(),
            signed_at: request.signed_at,
            started,
        })
    }

    /// How many signatures are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.lock().order.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many were forgotten before they expired, because the memory was full. More than none: raise the capacity.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.seen.lock().forgotten
    }
}

impl std::fmt::Debug for ReplayGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplayGuard").field("settings", &self.settings).finish_non_exhaustive()
    }
}

// === impl Seen ===

impl Seen {
    fn drop_oldest(&mut self) {
        if let Some((mark, _)) = self.order.pop_front() {
            self.first.remove(&mark);
        }
    }
}
