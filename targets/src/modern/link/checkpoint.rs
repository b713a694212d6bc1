//! Where a call with rounds of questions stands, as one opaque text that the owner of the link stores.
//!
//! A checkpoint holds what a person was asked and has answered, and the arguments of the call. It is written to the
//! same place as the questions themselves, is never logged, and goes when the call ends.

use serde::{Deserialize, Serialize};
use sessiongate_protocol::RawJson;

use super::questions::Question;
use super::tasks::is_task;

/// Longest token, in bytes: it is part of a stored call, and is written with each answer.
const MAX_TOKEN: usize = 48 << 10;

/// How a call stands between two of its requests.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) stage: Stage,
    pub(super) method: Box<str>,
    /// As the owner gave them, without the envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) params: Option<RawJson>,
    /// How often the target has asked, this time included.
    #[serde(default)]
    pub(super) round: u32,
    /// How many of these rounds count towards the limit.
    #[serde(default)]
    pub(super) counted: u32,
    /// How many of the last rounds asked nothing new: they are paced.
    #[serde(default)]
    pub(super) idle: u32,
    /// The JSON text of the target's `requestState`, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<RawJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) questions: Vec<Question>,
    /// Pages that the person agreed to visit in this call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) opened: Vec<Opened>,
}

/// How far a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// The target waits for answers: nothing runs there.
    Asking,
    /// The request with the answers may have reached the target.
    Sent,
}

/// A page of a URL elicitation that was accepted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Opened {
    pub(super) url: Box<str>,
    pub(super) message: Box<str>,
    /// The id that the client knows it by.
    pub(super) elicitation_id: Box<str>,
}

// === impl Checkpoint ===

impl Checkpoint {
    /// Of a call that is about to be sent.
    pub(super) fn new(method: &str, params: Option<RawJson>) -> Self {
        Self {
            stage: Stage::Asking,
            method: method.into(),
            params,
            round: 0,
            counted: 0,
            idle: 0,
            state: None,
            questions: Vec::new(),
            opened: Vec::new(),
        }
    }

    /// The text to store; none where it would be too long. Such a call does not survive the process.
    pub(super) fn token(&self) -> Option<Box<str>> {
        let whole = serde_json::to_string(self).ok()?;
        (whole.len() <= MAX_TOKEN).then(|| whole.into())
    }

    /// The text for a request that is about to be sent. Where it must not be sent twice, all that another process
    /// needs to know is that it was sent.
    pub(super) fn sent_token(&self) -> Option<Box<str>> {
        let mut sent = self.clone();
        sent.stage = Stage::Sent;
        if self.repeatable()
            && let Some(token) = sent.token()
        {
            return Some(token);
        }
        sent.params = None;
        sent.state = None;
        sent.questions.clear();
        sent.opened.clear();
        sent.token()
    }

    /// Reads a stored text.
    pub(super) fn read(token: &str) -> Option<Self> {
        serde_json::from_str(token).ok()
    }

    /// Reading twice does no harm; a tool may do its work twice, unless it does it in a task that has begun.
    pub(super) fn repeatable(&self) -> bool {
        matches!(&*self.method, "prompts/get" | "resources/read") || self.state.as_ref().is_some_and(is_task)
    }
}
