//! Events of calls that run as tasks, as those of the calls themselves.

use std::sync::Arc;

use async_trait::async_trait;
use sessiongate_protocol::tasks::without_related;
use sessiongate_protocol::{Message, Notification, Request};

use super::Running;
use crate::link::{LinkEvent, LinkSink, Origin, SinkClosed};

pub(super) struct TaskSink {
    inner: Arc<dyn LinkSink>,
    pub(super) running: Running,
}

// === impl TaskSink ===

impl TaskSink {
    pub(super) fn new(inner: Arc<dyn LinkSink>) -> Self {
        Self { inner, running: Running::default() }
    }

    fn translate(&self, event: LinkEvent) -> LinkEvent {
        let running = &self.running;
        match event {
            LinkEvent::Message { origin, message, event_id } => {
                let own = match origin {
                    Origin::Call(id) => running.call_of(id).map(|call| (id, call)),
                    Origin::Standing => None,
                };
                match own {
                    Some((id, call)) => LinkEvent::Message {
                        origin: Origin::Call(call),
                        message: if running.is_watched(call) { message } else { without_task(message) },
                        event_id: running.place(call, id, event_id),
                    },
                    // The owner knows which tasks its client has.
                    None => LinkEvent::Message { origin, message, event_id },
                }
            }
            LinkEvent::Position { call: id, event_id, interrupted } => match running.call_of(id) {
                Some(call) => {
                    let place = running.place(call, id, Some(event_id.clone()));
                    LinkEvent::Position { call, event_id: place.unwrap_or(event_id), interrupted }
                }
                None => LinkEvent::Position { call: id, event_id, interrupted },
            },
            closed @ LinkEvent::Closed { .. } => closed,
        }
    }
}

#[async_trait]
impl LinkSink for TaskSink {
    async fn deliver(&self, event: LinkEvent) -> Result<(), SinkClosed> {
        self.inner.deliver(self.translate(event)).await
    }

    async fn settle(&self) -> Result<(), SinkClosed> {
        self.inner.settle().await
    }
}

fn without_task(message: Message) -> Message {
    match message {
        Message::Request(request) => {
            let params = request.params.as_ref().map(without_related);
            Message::Request(Request { params, ..request })
        }
        Message::Notification(note) => {
            let params = note.params.as_ref().map(without_related);
            Message::Notification(Notification { params, ..note })
        }
        response @ Message::Response(_) => response,
    }
}
