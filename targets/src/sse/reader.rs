//! The task that reads the one stream of an HTTP+SSE session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sessiongate_protocol::Message;

use crate::error::TargetError;
use crate::http::events::{Events, StreamEnd};
use crate::http::session::messages;
use crate::link::{LinkEvent, LinkSink, Origin};
use crate::pending::Pending;

pub(super) struct Reader {
    pub(super) target: Box<str>,
    pub(super) pending: Arc<Pending>,
    pub(super) sink: Arc<dyn LinkSink>,
    pub(super) closed: Arc<AtomicBool>,
}

// === impl Reader ===

impl Reader {
    /// Reads until the stream ends, then ends the link.
    pub(super) async fn run(self, mut events: Events) {
        let (running, error) = match self.read(&mut events).await {
            StreamEnd::Broken(detail) => (TargetError::OutcomeUnknown { detail }, TargetError::SessionGone),
            StreamEnd::Fatal(error) => (error.clone(), error),
        };
        // A call that comes now was not sent: its owner may open a new session and send it there.
        self.pending.end(&running, TargetError::SessionGone);
        if !self.closed.load(Ordering::Acquire) {
            tracing::debug!(target_name = %self.target, reason = ?running, "http+sse session ended");
            let _ = self.sink.deliver(LinkEvent::Closed { error }).await;
        }
    }

    async fn read(&self, events: &mut Events) -> StreamEnd {
        loop {
            let event = match events.next().await {
                Ok(event) => event,
                Err(end) => return end,
            };
            let messages = match messages(&event) {
                Ok(None) => continue,
                Ok(Some(messages)) => messages,
                // Whose response this was cannot be known: nobody is left waiting for it.
                Err(error) => return StreamEnd::Fatal(error),
            };
            for message in messages {
                match message {
                    Message::Response(response) => {
                        let id = response.id.clone();
                        if !self.pending.complete(response, event.id.clone()) {
                            tracing::debug!(target_name = %self.target, ?id, "response to nothing dropped");
                        }
                    }
                    message => {
                        let event =
                            LinkEvent::Message { origin: Origin::Standing, message, event_id: event.id.clone() };
                        if self.sink.deliver(event).await.is_err() {
                            return StreamEnd::Fatal(TargetError::Closed);
                        }
                    }
                }
            }
        }
    }
}
