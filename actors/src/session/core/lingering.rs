//! Calls that take their time. A target may ask something outside its calls' streams while one of them runs, and wait for the
//! answer for as long as the call may take: whoever does not hear it cannot even refuse. Most calls are over before that would
//! be worth a stream of its own, so it is opened for those only that are not.

use std::time::Duration;

use sessiongate_storage::Timestamp;

use super::links::LinkState;
use super::{Call, CallId, Env, Reply, SessionCore, Step};

/// A call that has run for so long lingers.
pub const LINGERS: Duration = Duration::from_secs(1);

// === impl SessionCore ===

impl SessionCore {
    /// Whether a call's target is heard before it is known that the call takes its time. Some targets drop what they ask while
    /// nobody listens. Where the client can be asked, it has a stream of its own, or its calls have; where it cannot, tools
    /// that are known to answer at once are trusted.
    pub(super) fn is_heard_from_the_start(
        &self,
        target: &str,
        method: &str,
        name: Option<&str>,
        sse: bool,
        env: &Env<'_>,
    ) -> bool {
        !self.can_be_asked(sse) && !env.habits.is_quick(target, habit_of(method, name))
    }

    /// What a call that ended says of its tool.
    pub(super) fn habit(&self, call: &Call, outcome: &str, env: &Env<'_>) -> Option<bool> {
        if self.can_be_asked(call.sse) {
            return None;
        }
        let slow = call.asked_apart || env.now.since(call.started) >= LINGERS;
        let answered = matches!(outcome, "ok" | "tool_error" | "error");
        (slow || answered).then_some(!slow)
    }

    pub(super) fn on_lingering(&mut self, id: CallId, step: &mut Step) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.lingers = true;
            self.listen_where_wanted(step);
        }
    }

    /// Whether the session counts the time of a call. The shell does while it waits for an answer, so that most calls need no
    /// timer for it; and where the target is heard anyway, nobody has to.
    fn counts(&self, call: &Call) -> bool {
        !call.lingers
            && call.sent
            && matches!(call.reply, Reply::Stream(_))
            && self.links.get(&call.target).is_some_and(LinkState::is_unheard)
    }

    /// When something has to be done about a call.
    pub(super) fn deadline_of(&self, call: &Call) -> Timestamp {
        if self.counts(call) { call.deadline.min(call.started.plus(LINGERS)) } else { call.deadline }
    }

    pub(super) fn count_lingering(&mut self, env: &Env<'_>, step: &mut Step) {
        let late = |call: &Call| self.counts(call) && env.now.since(call.started) >= LINGERS;
        let late: Vec<CallId> = self.calls.iter().filter(|(_, call)| late(call)).map(|(id, _)| *id).collect();
        for id in late {
            self.on_lingering(id, step);
        }
    }
}

/// What a call's habits are known by, at its target.
pub fn habit_of<'a>(method: &'a str, name: Option<&'a str>) -> &'a str {
    name.filter(|_| method == "tools/call").unwrap_or(method)
}
