//! Tools that run as tasks only (2025-11-25, experimental), for callers that know of no tasks: the call is sent as a task,
//! and answered when that is done.
//!
//! The target's answer to the call is a handle; the answer of the tool, and what the target asks meanwhile, come on
//! the stream of a `tasks/result`, which has the same place in the session as the call had. Should that stream break, another
//! `tasks/result` is sent: it asks for the same answer. So a task outlives connections, and the process of the gateway.
//!
//! A `tasks/result` of the owner's, whose client has the handle itself, is repeated in the same way, so that a question that
//! waits on its stream does not end with the stream. It is shown as the target sent it, and whoever cancels it leaves the task
//! alone.

mod link;
mod sink;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use sessiongate_protocol::Revision;
use sessiongate_protocol::tasks::Place;

use self::link::TaskLink;
use self::sink::TaskSink;
use crate::link::{Link, LinkSink};

/// Which tools of a target run as tasks only.
pub trait TaskTools: Send + Sync + 'static {
    /// Whether there are any: asked of each call, before it is looked into.
    fn any(&self) -> bool;

    /// Whether the tool that the target calls so is one.
    fn has(&self, name: &str) -> bool;
}

/// What stands between a link and its owner: the sink for the target to open the link with, then the link.
pub struct Tasks {
    tools: Arc<dyn TaskTools>,
    sink: Arc<TaskSink>,
}

/// The calls of one link that run as tasks, or wait for one.
#[derive(Default)]
struct Running(Mutex<Runs>);

#[derive(Default)]
struct Runs {
    /// By the ids of the calls.
    calls: BTreeMap<i64, Run>,
    /// The calls by the ids of our last requests for them.
    requests: HashMap<i64, i64>,
}

/// One of them.
struct Run {
    task: Box<str>,
    /// The client has its handle: see [`Place::watched`].
    watched: bool,
    /// Our last request for it; none before the first.
    request: Option<i64>,
}

/// How often one process asks for the result of one call.
const REQUESTS: u32 = 62;
/// Calls that are remembered so that they can be cancelled. Those that nobody waits for any more are among them.
const MAX_RUNNING: usize = 4096;
/// Where our own ids begin, in milliseconds since 1970.
const ID_EPOCH: u64 = 1_735_689_600_000;
/// The last of them in this process.
static LAST_ID: AtomicI64 = AtomicI64::new(0);

// === impl Tasks ===

impl Tasks {
    /// For a link whose events go to `sink`.
    pub fn new(tools: Arc<dyn TaskTools>, sink: Arc<dyn LinkSink>) -> Self {
        Self { tools, sink: Arc::new(TaskSink::new(sink)) }
    }

    /// What the target delivers events to.
    pub fn sink(&self) -> Arc<dyn LinkSink> {
        self.sink.clone()
    }

    /// The link that the owner uses. No other revision has these tasks, so that links of others stay as they are.
    pub fn link(&self, link: Arc<dyn Link>, revision: &str) -> Arc<dyn Link> {
        if Revision::parse(revision) != Some(Revision::V2025_11_25) {
            return link;
        }
        Arc::new(TaskLink::new(link, self.tools.clone(), self.sink.clone()))
    }
}

// === impl Running ===

impl Running {
    fn begin(&self, call: i64, place: &Place) {
        let mut runs = self.0.lock();
        runs.remove(call);
        runs.calls.insert(call, Run { task: place.task.clone(), watched: place.watched, request: None });
        if runs.calls.len() > MAX_RUNNING
            && let Some(oldest) = runs.calls.keys().next().copied()
        {
            runs.remove(oldest);
        }
    }

    /// This request is sent for the call, and no earlier one any more.
    fn ask(&self, call: i64, request: i64) {
        let runs = &mut *self.0.lock();
        let Some(run) = runs.calls.get_mut(&call) else { return };
        if let Some(earlier) = run.request.replace(request) {
            runs.requests.remove(&earlier);
        }
        runs.requests.insert(request, call);
    }

    fn end(&self, call: i64) -> Option<Run> {
        self.0.lock().remove(call)
    }

    fn is_empty(&self) -> bool {
        self.0.lock().calls.is_empty()
    }

    fn is_watched(&self, call: i64) -> bool {
        self.0.lock().calls.get(&call).is_some_and(|run| run.watched)
    }

    /// The call that a request of our own is for; none for a request of the owner's.
    fn call_of(&self, request: i64) -> Option<i64> {
        if request >= 0 {
            return None;
        }
        self.0.lock().requests.get(&request).copied()
    }

    /// Where the call stands after what came on the stream of one of our own requests. What has no event id says of a
    /// watched task that there is a stream: its place is not known otherwise.
    fn place(&self, call: i64, request: i64, event: Option<Box<str>>) -> Option<Box<str>> {
        let runs = self.0.lock();
        let Some(run) = runs.calls.get(&call) else { return event };
        if event.is_none() && !run.watched {
            return None;
        }
        Some(Place { task: run.task.clone(), request: Some(request), event, watched: run.watched }.write())
    }
}

// === impl Runs ===

impl Runs {
    fn remove(&mut self, call: i64) -> Option<Run> {
        let run = self.calls.remove(&call)?;
        if let Some(request) = run.request {
            self.requests.remove(&request);
        }
        Some(run)
    }
}

// === ids ===

/// A JSON-RPC id for a request of our own: negative, as those of the owner are not, and never used before, by another process
/// neither. Milliseconds << 12 fall faster than we ask, and stay above -2^53 until 2094: some targets take no id that is not
/// an exact number in JavaScript.
fn own_id() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let now = u64::try_from(now).unwrap_or_default().saturating_sub(ID_EPOCH) << 12;
    let first = -i64::try_from(now).unwrap_or_default();
    let next = |last: i64| (last - 1).min(first);
    // The closure always has an answer.
    let last = LAST_ID.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last))).unwrap_or_default();
    next(last)
}
