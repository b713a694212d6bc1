//! The resumable event log behind every SSE stream of the reference server.
//!
//! rmcp's built-in cache forgets a stream the moment its response is sent and replays the event
//! that the client already has. A gateway that is killed while a call finishes needs more: a
//! stream here stays readable after its end, `Last-Event-ID` is exclusive, and a reader that
//! catches up goes on following live.

use std::{collections::HashMap, sync::Arc};

use futures_util::stream;
use parking_lot::Mutex;
use rmcp::{
    model::JsonRpcMessage,
    transport::{
        common::server_side_http::ServerSseMessage,
        streamable_http_server::session::{EventId, EventStore, EventStoreError, EventStream},
    },
};
use tokio::sync::watch;

/// Which part of a stream a reader wants.
pub enum From {
    /// Everything from this position on, followed live.
    Position(usize),
    /// Whatever no earlier reader took: each event goes to exactly one standalone stream.
    Untaken,
}

/// All streams of all sessions, in memory for as long as their session lives.
pub struct EventLog {
    streams: Mutex<HashMap<String, StreamLog>>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct StreamLog {
    events: Vec<ServerSseMessage>,
    taken: usize,
    hang_ups: u64,
    ended: bool,
}

struct Reader {
    log: Arc<EventLog>,
    stream_id: String,
    next: Option<usize>,
    hang_ups: u64,
    changed: watch::Receiver<u64>,
}

enum Step {
    Event(Box<ServerSseMessage>),
    End,
    Wait,
}

// === impl EventLog ===

impl EventLog {
    pub fn new() -> Self {
        Self { streams: Mutex::default(), changed: watch::Sender::new(0) }
    }

    /// Opens a reader; it ends with the stream, with a hang-up, or with the session.
    pub fn follow(self: &Arc<Self>, stream_id: &str, from: From) -> EventStream {
        let hang_ups = self.streams.lock().entry(stream_id.to_owned()).or_default().hang_ups;
        let reader = Reader {
            log: self.clone(),
            stream_id: stream_id.to_owned(),
            next: match from {
                From::Position(position) => Some(position),
                From::Untaken => None,
            },
            hang_ups,
            changed: self.changed.subscribe(),
        };
        Box::pin(stream::unfold(reader, |mut reader| async move {
            loop {
                reader.changed.mark_unchanged();
                match reader.step() {
                    Step::Event(event) => return Some((*event, reader)),
                    Step::End => return None,
                    Step::Wait => {
                        if reader.changed.changed().await.is_err() {
                            return None;
                        }
                    }
                }
            }
        }))
    }

    /// Ends the connections of a stream after what it holds now; the stream itself goes on.
    pub fn hang_up(&self, stream_id: &str) {
        if let Some(stream) = self.streams.lock().get_mut(stream_id) {
            stream.hang_ups += 1;
        }
        self.announce();
    }

    /// Ends a stream that will get no response, because its request was cancelled.
    pub fn end(&self, stream_id: &str) {
        if let Some(stream) = self.streams.lock().get_mut(stream_id) {
            stream.ended = true;
        }
        self.announce();
    }

    /// Forgets streams whose session is over.
    pub fn forget<'a>(&self, stream_ids: impl IntoIterator<Item = &'a String>) {
        let mut streams = self.streams.lock();
        for stream_id in stream_ids {
            streams.remove(stream_id);
        }
        drop(streams);
        self.announce();
    }

    fn announce(&self) {
        self.changed.send_modify(|version| *version += 1);
    }
}

#[async_trait::async_trait]
impl EventStore for EventLog {
    async fn store_event(&self, stream_id: &str, event: &ServerSseMessage) -> Result<EventId, EventStoreError> {
        let mut streams = self.streams.lock();
        let stream = streams.entry(stream_id.to_owned()).or_default();
        let event_id = format!("{stream_id}-{}", stream.events.len());
        let mut event = event.clone();
        event.event_id = Some(event_id.clone());
        let is_answer =
            matches!(event.message.as_deref(), Some(JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_)));
        stream.ended |= is_answer && !is_standalone(stream_id);
        stream.events.push(event);
        drop(streams);
        self.announce();
        Ok(event_id)
    }

    async fn replay_events_after(&self, _last_event_id: &str) -> Result<EventStream, EventStoreError> {
        Err("streams are resumed through their session".into())
    }
}

// === impl Reader ===

impl Reader {
    fn step(&mut self) -> Step {
        let mut streams = self.log.streams.lock();
        let Some(stream) = streams.get_mut(&self.stream_id) else {
            return Step::End;
        };
        let position = self.next.unwrap_or(stream.taken);
        if let Some(event) = stream.events.get(position) {
            stream.taken = stream.taken.max(position + 1);
            if let Some(next) = &mut self.next {
                *next += 1;
            }
            return Step::Event(Box::new(event.clone()));
        }
        if stream.ended || stream.hang_ups != self.hang_ups {
            return Step::End;
        }
        Step::Wait
    }
}

/// The stream id that rmcp gives to a session's standalone stream.
pub fn standalone_stream(session_id: &str) -> String {
    format!("{session_id}:common")
}

fn is_standalone(stream_id: &str) -> bool {
    stream_id.ends_with(":common")
}

/// Splits an event id into its stream and the position after it.
pub fn position_after(event_id: &str) -> Option<(&str, usize)> {
    let (stream_id, position) = event_id.rsplit_once('-')?;
    Some((stream_id, position.parse::<usize>().ok()?.checked_add(1)?))
}
