//! What a call waits for, for those who do not read its stream.

use bytes::Bytes;
use sessiongate_protocol::{Message, Request, RequestId};

use super::SessionCore;

// === impl SessionCore ===

impl SessionCore {
    /// The questions that wait in a call, as its client was asked them; none if the client has no call with this id. One that
    /// is too large to be kept is only on the call's stream.
    pub fn questions_of(&self, call: &RequestId) -> Option<Vec<Request>> {
        let call = self.calls.values().find(|known| known.client_id == *call)?;
        let waits = self.questions.values().filter(|question| {
            question.target == call.target && question.call == Some(call.downstream_id) && question.answer.is_none()
        });
        let read = |message: &String| match Message::parse(&Bytes::copy_from_slice(message.as_bytes())) {
            Ok(Message::Request(request)) => Some(request),
            _ => None,
        };
        Some(waits.filter_map(|question| question.message.as_ref().and_then(read)).collect())
    }
}
