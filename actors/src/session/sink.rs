//! How a link reports to its session.

use std::sync::Arc;

use actix::Addr;
use async_trait::async_trait;
use sessiongate_targets::{LinkEvent, LinkSink, SinkClosed};

use super::actor::{Event, SessionActor};
use super::core::{Generation, Input};

/// Hands a link's events to the actor, each awaited: a session that is busy holds its targets' reading back.
pub(super) struct SessionSink {
    pub(super) addr: Addr<SessionActor>,
    pub(super) target: Arc<str>,
    pub(super) generation: Generation,
}

#[async_trait]
impl LinkSink for SessionSink {
    async fn deliver(&self, event: LinkEvent) -> Result<(), SinkClosed> {
        let input = Input::Link { target: self.target.clone(), generation: self.generation, event };
        self.addr.send(Event::Input(input)).await.map_err(|_| SinkClosed)
    }
}
