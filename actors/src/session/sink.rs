//! How a link reports to its session.

use std::sync::{Arc, LazyLock};

use actix::Recipient;
use async_trait::async_trait;
use sessiongate_targets::{LinkEvent, LinkSink, SinkClosed};
use tokio::sync::Semaphore;

use super::core::{Generation, Input};
use super::event::Event;

/// Messages of one link that may wait to be stored: a target that is faster than the disk waits.
const WINDOW: u32 = 32;

/// The same for all links together: the store's queue is never filled by targets alone, so that a session that only
/// acknowledges an answer finds room in it.
static DELIVERIES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2048)));

/// Hands a link's events to the actor, each awaited: a session that is busy holds its targets' reading back.
pub(super) struct SessionSink {
    pub(super) addr: Recipient<Event>,
    pub(super) target: Arc<str>,
    pub(super) generation: Generation,
    /// Room for messages that are not durable yet.
    window: Arc<Semaphore>,
}

// === impl SessionSink ===

impl SessionSink {
    pub(super) fn new(addr: Recipient<Event>, target: Arc<str>, generation: Generation) -> Self {
        Self { addr, target, generation, window: Arc::new(Semaphore::new(WINDOW as usize)) }
    }
}

#[async_trait]
impl LinkSink for SessionSink {
    async fn deliver(&self, event: LinkEvent) -> Result<(), SinkClosed> {
        // The own window first: who waits for it must not hold room that others could use.
        let permit = self.window.clone().acquire_owned().await.map_err(|_| SinkClosed)?;
        let room = DELIVERIES.clone().acquire_owned().await.map_err(|_| SinkClosed)?;
        let input = Input::Link { target: self.target.clone(), generation: self.generation, event };
        self.addr.send(Event::Link { input, permit: (permit, room) }).await.map_err(|_| SinkClosed)
    }

    async fn settle(&self) -> Result<(), SinkClosed> {
        // Room is given back when an event is durable: all of it is there when all are.
        self.window.acquire_many(WINDOW).await.map(drop).map_err(|_| SinkClosed)
    }
}
