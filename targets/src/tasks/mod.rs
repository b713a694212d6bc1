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

use std::collections::BTreeMap;
use std::sync::Arc;

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

/// The calls of one link that run as tasks, or wait for one, by their ids.
#[derive(Default)]
struct Running(Mutex<BTreeMap<i64, Run>>);

/// One of them.
struct Run {
    task: Box<str>,
    /// The client has its handle: see [`Place::watched`].
    watched: bool,
    /// Our last `tasks/result` for it; none before the first.
    request: Option<i64>,
}

/// Requests of our own for one call: most are for its result, the last cancels it.
const REQUESTS: i64 = 64;
/// Calls that are remembered so that they can be cancelled. Those that nobody waits for any more are among them.
const MAX_RUNNING: usize = 512;

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
        let mut running = self.0.lock();
        running.insert(call, Run { task: place.task.clone(), watched: place.watched, request: place.request });
        if running.len() > MAX_RUNNING {
            running.pop_first();
        }
    }

    fn ask(&self, call: i64, request: i64) {
        if let Some(run) = self.0.lock().get_mut(&call) {
            run.request = Some(request);
        }
    }

    fn end(&self, call: i64) -> Option<Run> {
        self.0.lock().remove(&call)
    }

    fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    fn is_watched(&self, call: i64) -> bool {
        self.0.lock().get(&call).is_some_and(|run| run.watched)
    }

    /// Where the call stands after what came on the stream of one of our own requests. What has no event id says of a
    /// watched task that there is a stream: its place is not known otherwise.
    fn place(&self, call: i64, request: i64, event: Option<Box<str>>) -> Option<Box<str>> {
        let running = self.0.lock();
        let Some(run) = running.get(&call) else { return event };
        if event.is_none() && !run.watched {
            return None;
        }
        Some(Place { task: run.task.clone(), request: Some(request), event, watched: run.watched }.write())
    }
}

// === ids ===

/// The JSON-RPC id of our own request for a call: negative, as those of the owner are not.
fn own_id(call: i64, number: i64) -> i64 {
    -(call * REQUESTS + number) - 1
}

/// The call that a request of our own is for, and which one it is; none for one of the owner's.
fn call_of(id: i64) -> Option<(i64, i64)> {
    let at = -(id + 1);
    (id < 0).then_some((at / REQUESTS, at % REQUESTS))
}
