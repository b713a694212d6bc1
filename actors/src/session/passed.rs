//! What goes along to targets beside what a client says: kept for as long as a call runs, and never stored. A call that another
//! process goes on with has nothing beside it.

use std::collections::HashMap;
use std::sync::Arc;

use sessiongate_targets::Passed;

use super::core::{CallId, Effect};

/// What goes along with the calls and the answers of one session. Nothing is allocated where nothing does.
#[derive(Default)]
pub(super) struct PassedBeside {
    calls: HashMap<CallId, Arc<Passed>>,
    /// By question: an answer waits until it is stored.
    answers: HashMap<u64, Arc<Passed>>,
    /// Of the answer that is being looked at.
    answer: Option<Arc<Passed>>,
}

// === impl PassedBeside ===

impl PassedBeside {
    /// A request brought this.
    pub(super) fn asks(&mut self, call: CallId, passed: Option<Arc<Passed>>) {
        if let Some(passed) = passed {
            self.calls.insert(call, passed);
        }
    }

    /// Nothing more is sent for this call.
    pub(super) fn ended(&mut self, call: CallId) {
        if !self.calls.is_empty() {
            self.calls.remove(&call);
        }
    }

    pub(super) fn of(&self, call: CallId) -> Option<Arc<Passed>> {
        if self.calls.is_empty() { None } else { self.calls.get(&call).cloned() }
    }

    /// What the next step is about is an answer that brought this.
    pub(super) fn begin_answer(&mut self, passed: Option<Arc<Passed>>) {
        self.answer = passed;
    }

    /// What a step does about an answer: where its target's session is not open at the moment, it goes out alone.
    pub(super) fn answers(&mut self, effects: &[Effect]) {
        let Some(passed) = self.answer.take() else { return };
        for effect in effects {
            if let Effect::Post { question: Some(question), .. } = effect {
                self.answers.insert(*question, passed.clone());
            }
        }
    }

    /// What goes along with the answer to this question; taken out.
    pub(super) fn of_answer(&mut self, question: u64) -> Option<Arc<Passed>> {
        if self.answers.is_empty() { None } else { self.answers.remove(&question) }
    }
}
