//! What a session follows of its gateway's settings at once. Its times and bounds are those of the moment when it came into
//! memory.

use std::sync::Arc;

use sessiongate_protocol::members::Members;
use sessiongate_protocol::{EventId, RawJson};

use super::{Env, SessionCore, SessionFacts, Step};
use crate::exception::ExceptionLevel;
use crate::settings::GatewaySettings;

/// What the settings of a gateway say now, for one session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Followed {
    /// What the client is told of failures.
    pub(super) exceptions: ExceptionLevel,
    /// Answers may be streams, and the client may have one to hear what belongs to no call.
    pub(super) streaming: bool,
}

/// What is told a target whose question has no way to the client.
pub(super) const NO_STREAM: &str = "the client has no stream on which it could be asked";

// === impl Followed ===

impl Followed {
    /// Modern clients are asked in answers, whether they are streams or not.
    pub(super) fn of(settings: &GatewaySettings, facts: &SessionFacts) -> Self {
        Self { exceptions: settings.exceptions, streaming: facts.conversation || settings.sessions.streaming }
    }
}

/// A session of the gateway's own, which carries the requests of modern clients, has times and bounds of its own.
pub(super) fn fitting(settings: Arc<GatewaySettings>, facts: &SessionFacts) -> Arc<GatewaySettings> {
    let sessions = match (facts.conversation, facts.transient) {
        (_, true) => settings.sessions.for_connection(),
        (true, false) => settings.sessions.for_conversation(),
        (false, false) => return settings,
    };
    Arc::new(GatewaySettings { sessions, ..(*settings).clone() })
}

// === impl SessionCore ===

impl SessionCore {
    /// Comes before whatever else a step does.
    pub(super) fn follow(&mut self, env: &Env<'_>, step: &mut Step) {
        let before = std::mem::replace(&mut self.current, Followed::of(env.settings, &self.facts));
        if before.streaming && !self.current.streaming {
            self.stop_streaming(env, step);
        }
    }

    /// There is no stream any more but those of calls, which go on to their end: what has not been shown yet of all else is
    /// not shown.
    pub(super) fn stop_streaming(&mut self, env: &Env<'_>, step: &mut Step) {
        let unseen: Vec<u64> = self.queue.drain(..).filter_map(|queued| queued.question).collect();
        self.close_standing(step);
        self.refuse_questions(&unseen, NO_STREAM, env, step);
        self.listen_where_wanted(step);
    }

    /// Without streaming a client may still read what it was sent before: the rest of a call's stream, and what it missed of
    /// any other.
    pub(super) fn may_attach(&self, after: Option<EventId>) -> bool {
        self.current.streaming || after.is_some_and(|id| self.streams.has_more(id))
    }

    /// The client's capabilities, without those that only a stream makes true.
    pub(super) fn askable(&self) -> RawJson {
        let members = match Members::of(&self.facts.capabilities) {
            Ok(members) if !self.current.streaming => members,
            _ => return self.facts.capabilities.clone(),
        };
        members.with(&["elicitation", "sampling", "roots"].map(|kind| (kind, None)))
    }

    /// Whether the client can be asked something while a call runs whose answer may be a stream, or may not: there, or on a
    /// stream that it has or comes back to.
    pub(super) fn can_be_asked(&self, sse: bool) -> bool {
        self.facts.conversation || self.can_be_told() && (sse || self.standing().is_some())
    }

    /// The client can be told of changes.
    pub(super) fn can_be_told(&self) -> bool {
        self.current.streaming && !self.facts.stateless
    }
}
