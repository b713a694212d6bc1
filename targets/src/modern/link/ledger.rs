//! The open round of a call: its questions, and the answers that came for them.
//!
//! # When an answer is delivered
//!
//! The owner keeps a client's answer until [`Link::post`](crate::Link::post) returned without an error. It posts one
//! message after another, so that a `post` that waited for the other answers of its round would wait forever. So each
//! answer first goes out as a new [`LinkEvent::Position`], and only then is it taken: the owner stores what it is told
//! in order, so it never forgets an answer that the stored position does not hold. If the process ends in between, the
//! owner posts the same answer again, and the question knows that it has one.
//!
//! A position that would be too long is not sent. Then the person is asked once more after a crash: the position
//! before names a question that neither it nor the owner has an answer for.

use sessiongate_protocol::{Message, RequestId, ResponseBody};
use tokio::sync::{Mutex, Notify};

use super::checkpoint::Checkpoint;
use super::questions::{Answer, Question};
use super::wire::Wire;
use crate::error::TargetError;
use crate::link::{LinkEvent, Origin};

/// What posting found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is the answer of a question of this round, or repeats one.
    Yes,
    /// No such question is open.
    Unknown,
}

/// The open round of one call.
#[derive(Default)]
pub(super) struct Ledger {
    round: Mutex<Option<Checkpoint>>,
    changed: Notify,
}

// === impl Ledger ===

impl Ledger {
    /// A round that another process opened.
    pub(super) fn opened(checkpoint: Checkpoint) -> Self {
        Self { round: Mutex::new(Some(checkpoint)), changed: Notify::new() }
    }

    /// Puts the questions of a round that have no answer yet, and waits until all have one, or one ends the call.
    ///
    /// None for `opens` means the round of [`Ledger::opened`], whose questions an earlier process may have put. The
    /// owner tells a question that it still holds by its id; one that it does not hold was never put, or its answer is
    /// lost. No answer may be taken while that is being found out.
    ///
    /// # Errors
    /// [`TargetError::Closed`] when nobody listens.
    pub(super) async fn ask(
        &self,
        wire: &Wire,
        call: i64,
        opens: Option<Checkpoint>,
    ) -> Result<Checkpoint, TargetError> {
        let again = opens.is_none();
        if let Some(checkpoint) = opens {
            let mut round = self.round.lock().await;
            report(wire, call, checkpoint.token()).await?;
            *round = Some(checkpoint);
        }
        let questions = self.round.lock().await.as_ref().map_or(0, |open| open.questions.len());
        for index in 0..questions {
            let round = self.round.lock().await;
            let open = round.as_ref().and_then(|open| open.questions.get(index));
            let Some(question) = open.filter(|question| question.answer.is_none()) else { continue };
            let message = Message::Request(question.request());
            let event = LinkEvent::Message { origin: Origin::Call(call), message, event_id: None };
            // A question that is put for the first time cannot have been answered before it is put.
            let _held = again.then_some(round);
            wire.deliver(event).await?;
        }
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut round = self.round.lock().await;
                if round.as_ref().is_none_or(|open| is_over(&open.questions)) {
                    return round.take().ok_or(TargetError::Closed);
                }
            }
            changed.await;
        }
    }

    /// Takes an answer. When this returns, the owner has been told all that it must store.
    ///
    /// # Errors
    /// [`TargetError::Closed`] when nobody listens.
    pub(super) async fn take(
        &self,
        wire: &Wire,
        call: i64,
        id: &RequestId,
        body: &ResponseBody,
    ) -> Result<Taken, TargetError> {
        let mut round = self.round.lock().await;
        let Some(open) = &mut *round else { return Ok(Taken::Unknown) };
        let Some(index) = open.questions.iter().position(|question| question.id == *id) else {
            return Ok(Taken::Unknown);
        };
        if open.questions[index].answer.is_some() {
            return Ok(Taken::Yes);
        }
        let mut next = open.clone();
        next.questions[index].answer = Some(next.questions[index].answer_of(body));
        report(wire, call, next.token()).await?;
        *open = next;
        drop(round);
        self.changed.notify_waiters();
        Ok(Taken::Yes)
    }
}

/// Nothing more need be waited for.
fn is_over(questions: &[Question]) -> bool {
    questions.iter().all(|question| question.answer.is_some())
        || questions.iter().any(|question| matches!(question.answer, Some(Answer::Fatal(_))))
}

/// Tells the owner where the call stands.
pub(super) async fn report(wire: &Wire, call: i64, token: Option<Box<str>>) -> Result<(), TargetError> {
    match token {
        Some(event_id) => wire.deliver(LinkEvent::Position { call, event_id, interrupted: false }).await,
        None => {
            tracing::debug!(call, "a round is too large to be stored: its call does not survive the process");
            Ok(())
        }
    }
}

/// The call that an id of this link's own belongs to.
pub(super) fn call_of(id: &RequestId) -> Option<i64> {
    let text: String = serde_json::from_str(id.as_raw()).ok()?;
    text.strip_prefix("sg-")?.split('-').next()?.parse().ok()
}

/// The id of a question: the same one after the call was taken up by another process.
pub(super) fn question_id(call: i64, round: u32, index: usize) -> RequestId {
    RequestId::string(&format!("sg-{call}-{round}-{index}"))
}
