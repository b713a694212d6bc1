//! The streams of a session and the bounds of its event log.

use std::collections::BTreeMap;

use bytes::Bytes;
use sessiongate_protocol::{EventId, StreamId, sse};
use sessiongate_storage::{Batch, Op, StreamExtent, Timestamp};

use super::{CallId, ConnId, Effect, Env, Queued, Reply, SessionCore, Step};
use crate::error::SessionError;
use crate::settings::EventLogBounds;

/// Stream numbers are reserved in blocks, so that the record is not written for each stream.
const BLOCK: u32 = 64;

/// All streams that the log knows, live and finished.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) streams: BTreeMap<StreamId, Stream>,
    next: u32,
    /// Numbers below this are covered by the stored record.
    reserved: u32,
    /// The stream that messages outside calls go to.
    standing: Option<StreamId>,
    /// Who reads what.
    readers: BTreeMap<StreamId, ConnId>,
    count: u64,
    bytes: u64,
}

pub(super) struct Stream {
    /// The place of the next message.
    next_seq: u64,
    first_seq: u64,
    bytes: u64,
    last_at: Timestamp,
    /// Since when nobody reads it; none while somebody does, or has read all of it.
    unread_since: Option<Timestamp>,
    /// Nothing will be appended any more.
    done: bool,
}

// === impl Streams ===

impl Streams {
    /// What a stored session's log holds. Streams of calls that are gone are finished; the caller re-opens others.
    pub(super) fn restore(extents: &[StreamExtent], reserved: u32, now: Timestamp) -> Self {
        let mut streams = Self { next: reserved, reserved, ..Self::default() };
        for extent in extents {
            streams.count += extent.last - extent.first + 1;
            streams.bytes += extent.bytes;
            streams.streams.insert(
                extent.stream,
                Stream {
                    next_seq: extent.last + 1,
                    first_seq: extent.first,
                    bytes: extent.bytes,
                    last_at: extent.last_at,
                    // Nobody knows who read it in the process before.
                    unread_since: Some(now),
                    done: true,
                },
            );
        }
        streams
    }

    /// A stored stream goes on.
    pub(super) fn reopen(&mut self, stream: StreamId, now: Timestamp) {
        self.streams
            .entry(stream)
            .or_insert(Stream {
                next_seq: 1,
                first_seq: 1,
                bytes: 0,
                last_at: now,
                unread_since: Some(now),
                done: false,
            })
            .done = false;
    }

    /// Since when nobody reads a stream; none if somebody does. What is no longer known cannot be read.
    pub(super) fn unread_since(&self, id: StreamId) -> Option<Timestamp> {
        match self.streams.get(&id) {
            _ if self.readers.contains_key(&id) => None,
            Some(stream) => stream.unread_since,
            None => Some(Timestamp(0)),
        }
    }

    /// Streams that nobody reads count from now: those that did not count yet, or those that did.
    fn count_unread(&mut self, counted: bool, now: Timestamp) {
        for (id, stream) in &mut self.streams {
            if stream.unread_since.is_some() == counted && !self.readers.contains_key(id) {
                stream.unread_since = Some(now);
            }
        }
    }

    /// The number below which the record says that streams may exist.
    pub(super) fn reserved(&self) -> u32 {
        self.reserved
    }

    /// Streams with a connection.
    pub(super) fn attached(&self) -> impl Iterator<Item = StreamId> + '_ {
        self.readers.keys().copied()
    }

    pub(super) fn any_attached(&self) -> bool {
        !self.readers.is_empty()
    }

    /// There are events after this one, or there may be.
    pub(super) fn has_more(&self, id: EventId) -> bool {
        self.streams.get(&id.stream).is_some_and(|stream| !stream.done || id.seq + 1 < stream.next_seq)
    }

    /// Something may still be appended.
    pub(super) fn is_live(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_some_and(|stream| !stream.done)
    }

    /// The standing stream, while a connection reads it.
    pub(super) fn live_standing(&self) -> Option<StreamId> {
        self.standing.filter(|id| self.readers.contains_key(id))
    }

    /// A new stream; true if the record must be written because the reserved block is used up.
    fn open(&mut self, now: Timestamp) -> (StreamId, bool) {
        let id = StreamId(self.next);
        self.next += 1;
        let reserve = self.next > self.reserved;
        if reserve {
            self.reserved = self.next + BLOCK;
        }
        let stream = Stream { next_seq: 1, first_seq: 1, bytes: 0, last_at: now, unread_since: None, done: false };
        self.streams.insert(id, stream);
        (id, reserve)
    }

    /// Removes what is finished and old.
    pub(super) fn drop_old(&mut self, now: Timestamp, bounds: &EventLogBounds, batch: &mut Batch) {
        let old: Vec<StreamId> = self
            .streams
            .iter()
            .filter(|(id, stream)| {
                stream.done && !self.readers.contains_key(*id) && now.since(stream.last_at) >= bounds.age
            })
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            self.forget(id, batch);
        }
    }

    fn forget(&mut self, id: StreamId, batch: &mut Batch) {
        if let Some(stream) = self.streams.remove(&id) {
            self.count = self.count.saturating_sub(stream.next_seq - stream.first_seq);
            self.bytes = self.bytes.saturating_sub(stream.bytes);
            if stream.next_seq > stream.first_seq {
                batch.push(Op::DropStream { stream: id });
            }
        }
    }

    /// Makes room: the oldest finished streams go first, then the oldest quarter of the largest stream. A connection that
    /// still needs those events is told so when it asks for them.
    fn keep_bounds(&mut self, growing: StreamId, bounds: &EventLogBounds, batch: &mut Batch) {
        while self.count > bounds.count || self.bytes > bounds.bytes {
            let finished = self
                .streams
                .iter()
                .find(|(id, stream)| stream.done && !self.readers.contains_key(*id) && **id != growing)
                .map(|(id, _)| *id);
            if let Some(id) = finished {
                self.forget(id, batch);
                continue;
            }
            // The newest event of a stream stays, so that its numbers go on after a restart.
            let largest = self
                .streams
                .iter_mut()
                .filter(|(_, stream)| stream.next_seq - stream.first_seq > 1)
                .max_by_key(|(_, stream)| stream.bytes);
            let Some((id, stream)) = largest else { return };
            let held = stream.next_seq - stream.first_seq;
            let go = (held / 4).max(1);
            let freed = stream.bytes * go / held;
            batch.push(Op::Trim { stream: *id, through: stream.first_seq + go - 1 });
            stream.first_seq += go;
            stream.bytes -= freed;
            self.count -= go;
            self.bytes = self.bytes.saturating_sub(freed);
        }
    }
}

// === impl SessionCore ===

impl SessionCore {
    /// Appends a message to a stream and shows it to the stream's connection.
    pub(super) fn append(&mut self, stream: StreamId, message: &[u8], env: &Env<'_>, step: &mut Step) {
        let Some(state) = self.streams.streams.get_mut(&stream) else { return };
        let seq = state.next_seq;
        let frame = sse::message(EventId { stream, seq }, message);
        state.next_seq += 1;
        self.push_frame(stream, seq, frame, env, step);
    }

    fn push_frame(&mut self, stream: StreamId, seq: u64, frame: Bytes, env: &Env<'_>, step: &mut Step) {
        let size = frame.len() as u64;
        if let Some(state) = self.streams.streams.get_mut(&stream) {
            state.bytes += size;
            state.last_at = env.now;
        }
        self.streams.count += 1;
        self.streams.bytes += size;
        step.batch.push(Op::Append { stream, seq, at: env.now, frame: frame.clone() });
        step.durable.push(Effect::Frame { stream, seq, frame });
        self.streams.keep_bounds(stream, &self.settings.sessions.events, &mut step.batch);
    }

    /// Opens a stream, with a priming event for clients that know them.
    fn open_stream(&mut self, env: &Env<'_>, step: &mut Step) -> StreamId {
        let (stream, reserve) = self.streams.open(env.now);
        self.dirty |= reserve;
        if self.facts.revision.has_sse_polling() {
            if let Some(state) = self.streams.streams.get_mut(&stream) {
                state.first_seq = 0;
            }
            let frame = sse::priming(EventId { stream, seq: 0 }, self.settings.sessions.retry);
            self.push_frame(stream, 0, frame, env, step);
        }
        stream
    }

    /// Turns the answer of a waiting call into a stream. None where that cannot be: nobody waits, or the client
    /// takes JSON only.
    pub(super) fn upgrade(&mut self, call: CallId, env: &Env<'_>, step: &mut Step) -> Option<StreamId> {
        let state = self.calls.get(&call)?;
        match state.reply {
            Reply::Stream(stream) => return Some(stream),
            Reply::Gone => return None,
            Reply::Waiting if !state.sse || !self.current.streaming => return None,
            Reply::Waiting => {}
        }
        // The order matters: the connection must exist before the first frame is shown to it.
        let placeholder = step.durable.len();
        let stream = self.open_stream(env, step);
        step.durable.insert(placeholder, Effect::Upgrade(call, stream));
        self.streams.readers.insert(stream, ConnId(call.0));
        if let Some(state) = self.calls.get_mut(&call) {
            state.reply = Reply::Stream(stream);
        }
        self.store_call(call, step);
        Some(stream)
    }

    /// All connections are closed. A call that waits for a JSON answer gets a stream, so that the client can fetch the rest
    /// from the next process.
    pub(super) fn disconnect(&mut self, env: &Env<'_>, step: &mut Step) {
        let waiting: Vec<CallId> =
            self.calls.iter().filter(|(_, call)| call.reply == Reply::Waiting).map(|(id, _)| *id).collect();
        for call in waiting {
            self.upgrade(call, env, step);
        }
        for stream in self.streams.attached() {
            step.durable.push(Effect::CloseConnection(stream));
        }
        self.seen_resources.save(&mut step.batch);
    }

    /// Nothing more will come on a stream.
    pub(super) fn finish_stream(&mut self, stream: StreamId, step: &mut Step) {
        if let Some(state) = self.streams.streams.get_mut(&stream) {
            state.done = true;
            if state.next_seq == state.first_seq {
                // Nobody can come back to a stream without an event.
                self.streams.streams.remove(&stream);
                self.streams.readers.remove(&stream);
            }
        }
        step.durable.push(Effect::EndStream(stream));
    }

    /// Sends a message that belongs to no call: on the standing stream if one is read, else it waits. Of messages with
    /// the same mark only the newest waits.
    pub(super) fn send_standing(&mut self, message: Bytes, mark: Option<Box<str>>, env: &Env<'_>, step: &mut Step) {
        if let Some(stream) = self.streams.live_standing() {
            return self.append(stream, &message, env, step);
        }
        if !self.current.streaming {
            return;
        }
        if mark.is_some() {
            self.queue.retain(|queued| queued.mark != mark);
        }
        if self.queue.len() >= self.settings.sessions.queued_notifications {
            step.now.push(Effect::BoundReached("queued_notifications"));
            // Questions have a bound of their own, and somebody waits for their answers.
            let oldest = self.queue.iter().position(|queued| queued.question.is_none());
            if oldest.and_then(|at| self.queue.remove(at)).is_none() {
                return;
            }
        }
        self.queue.push_back(Queued { message, mark, question: None });
    }

    /// A question waits for a GET stream.
    pub(super) fn queue_question(&mut self, number: u64, message: Bytes) {
        self.queue.push_back(Queued { message, mark: None, question: Some(number) });
    }

    /// What waited goes to the standing stream.
    fn flush_queue(&mut self, stream: StreamId, env: &Env<'_>, step: &mut Step) {
        for queued in std::mem::take(&mut self.queue) {
            if let Some(number) = queued.question {
                self.question_shown(number, stream, step);
            }
            self.append(stream, &queued.message, env, step);
        }
    }

    pub(super) fn on_attach(&mut self, conn: ConnId, after: Option<EventId>, env: &Env<'_>, step: &mut Step) {
        if !self.may_attach(after) {
            return step.now.push(Effect::AttachRefused(conn, SessionError::NotStreamed));
        }
        let limit = self.settings.sessions.open_streams;
        let reattach = after.is_some_and(|id| self.streams.readers.contains_key(&id.stream));
        let replaces = after.is_none() && self.streams.live_standing().is_some();
        if self.streams.attached().count() >= limit && !reattach && !replaces {
            step.now.push(Effect::BoundReached("open_streams"));
            let error = SessionError::Bound { what: "open streams", limit, remedy: "close one first" };
            step.now.push(Effect::AttachRefused(conn, error));
            return;
        }
        match after {
            None => self.attach_standing(conn, env, step),
            Some(id) => self.attach_again(conn, id, env, step),
        }
    }

    /// Nothing more comes on the standing stream: who reads it is to come back, and learns why.
    pub(super) fn close_standing(&mut self, step: &mut Step) {
        let Some(standing) = self.streams.standing.take() else { return };
        self.dirty = true;
        if self.streams.readers.remove(&standing).is_some() {
            step.durable.push(Effect::CloseConnection(standing));
        }
        self.finish_stream(standing, step);
    }

    fn attach_standing(&mut self, conn: ConnId, env: &Env<'_>, step: &mut Step) {
        // The newest GET wins: the older connection is closed and its stream ends.
        if let Some(old) = self.streams.standing.take() {
            self.streams.readers.remove(&old);
            self.finish_stream(old, step);
        }
        let placeholder = step.durable.len();
        let stream = self.open_stream(env, step);
        // The connection reads live from the start, so that the priming event is shown to it.
        step.durable.insert(placeholder, Effect::Attached { conn, stream, after: 0, done: false });
        self.streams.readers.insert(stream, conn);
        self.streams.standing = Some(stream);
        // Stored, so that the stream goes on after a restart.
        self.dirty = true;
        self.flush_queue(stream, env, step);
        self.streams.count_unread(false, env.now);
        self.ask_again(env, step);
        self.listen_where_wanted(step);
    }

    fn attach_again(&mut self, conn: ConnId, id: EventId, env: &Env<'_>, step: &mut Step) {
        let Some(state) = self.streams.streams.get(&id.stream) else {
            let error = if id.stream.0 < self.streams.next {
                SessionError::EvictedEvent { id: id.to_string(), first: 0 }
            } else {
                SessionError::UnknownEvent { id: id.to_string() }
            };
            step.now.push(Effect::AttachRefused(conn, error));
            return;
        };
        if id.seq >= state.next_seq {
            step.now.push(Effect::AttachRefused(conn, SessionError::UnknownEvent { id: id.to_string() }));
            return;
        }
        if id.seq + 1 < state.first_seq {
            let error = SessionError::EvictedEvent { id: id.to_string(), first: state.first_seq };
            step.now.push(Effect::AttachRefused(conn, error));
            return;
        }
        let done = state.done;
        // Who comes back to one stream is about to come back to the others.
        self.streams.count_unread(true, env.now);
        if let Some(state) = self.streams.streams.get_mut(&id.stream) {
            state.unread_since = None;
        }
        if self.streams.readers.remove(&id.stream).is_some() {
            step.durable.push(Effect::CloseConnection(id.stream));
        }
        if !done {
            self.streams.readers.insert(id.stream, conn);
        }
        step.durable.push(Effect::Attached { conn, stream: id.stream, after: id.seq, done });
        if self.streams.standing == Some(id.stream) && !done {
            self.flush_queue(id.stream, env, step);
            self.listen_where_wanted(step);
        }
    }

    pub(super) fn on_conn_closed(&mut self, stream: StreamId, conn: ConnId, env: &Env<'_>, step: &mut Step) {
        if self.streams.readers.get(&stream) != Some(&conn) {
            return;
        }
        self.streams.readers.remove(&stream);
        if let Some(state) = self.streams.streams.get_mut(&stream) {
            state.unread_since = Some(env.now);
        }
        if self.streams.standing == Some(stream) {
            self.listen_where_wanted(step);
        }
    }

    /// The standing stream of a stored session goes on under its number.
    pub(super) fn restore_standing(&mut self, stream: Option<StreamId>, now: Timestamp) {
        if let Some(stream) = stream {
            self.streams.reopen(stream, now);
            self.streams.standing = Some(stream);
        }
    }

    pub(super) fn standing(&self) -> Option<StreamId> {
        self.streams.standing
    }
}
