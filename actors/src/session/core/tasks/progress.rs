//! The progress of tasks: the token of the call that began one is good for as long as the task is (2025-11-25, tasks).

use std::collections::VecDeque;
use std::sync::Arc;

use sessiongate_protocol::meta::ProgressToken;
use sessiongate_protocol::progress::{self, Progress, Watermark};
use sessiongate_protocol::{RawJson, jsonrpc};

use super::super::downstream::Source;
use super::super::{CallId, Env, SessionCore, Step};

/// Tasks whose progress is passed on; the oldest are forgotten, and all with the process.
const TASKS: usize = 128;

/// Calls that have become tasks, oldest first.
#[derive(Default)]
pub(in super::super) struct TaskProgress(VecDeque<Told>);

struct Told {
    target: Arc<str>,
    /// The token that the target was given.
    downstream_id: i64,
    token: ProgressToken,
    last: Watermark,
}

// === impl SessionCore ===

impl SessionCore {
    /// A call is about to end because it has become a task.
    pub(in super::super) fn note_task_progress(&mut self, call: CallId) {
        let Some(call) = self.calls.get(&call) else { return };
        let Some(token) = call.progress_token.clone() else { return };
        let told = &mut self.task_progress.0;
        if told.len() >= TASKS {
            told.pop_front();
        }
        let (target, downstream_id) = (call.target.clone(), call.downstream_id);
        told.push_back(Told { target, downstream_id, token, last: call.last_progress });
    }

    /// Progress of no call that runs. It is told where somebody listens, and does not wait.
    pub(in super::super) fn on_task_progress(
        &mut self,
        target: &Arc<str>,
        source: Source,
        (read, params): (&Progress, &RawJson),
        env: &Env<'_>,
        step: &mut Step,
    ) {
        let Some(id) = read.token.as_i64() else { return };
        let mut all = self.task_progress.0.iter_mut();
        let Some(told) = all.find(|told| told.downstream_id == id && told.target == *target) else { return };
        if !told.last.admit(read.progress) {
            return;
        }
        let Ok(params) = progress::with_token(params, &told.token) else { return };
        if matches!(source, Source::Call(_)) || self.streams.live_standing().is_some() {
            let message = jsonrpc::notification("notifications/progress", Some(&params));
            self.send_related(target, source, message, env, step);
        }
    }
}
