//! A stream on its way to a client: what the log holds, then what comes, with comments in between so that the
//! connection is seen to live.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Bytes;
use futures_util::stream;
use sessiongate_actors::session::{Attachment, StreamItem};
use sessiongate_protocol::{EventId, StreamId, sse};
use sessiongate_storage::{Replay, SessionStore};
use tokio::time::{Instant, timeout_at};

use super::caller::{Caller, Session};
use crate::gateway::{Entry, Served};

/// Events read from the log at once.
const REPLAY: usize = 64;

/// How a gateway's streams behave.
#[derive(Clone, Copy, Debug)]
pub struct StreamTiming {
    /// Between two comments on a quiet stream.
    pub keep_alive: Duration,
    /// What a client is told to wait before it comes back.
    pub retry: Duration,
    /// Connections are closed after this long, for clients that know polling (2025-11-25).
    pub close_after: Option<Duration>,
    /// Until when what let the client in is good: then it comes back, with another credential if need be. Of a request, not of
    /// the gateway.
    pub until: Option<Instant>,
}

/// The response that carries a stream.
pub fn response(caller: &Caller<'_>, session: Session, attachment: Attachment) -> HttpResponse {
    let stays = session.stays();
    let mut reader = Reader::new(&caller.gateway, session, attachment, caller.timing());
    // A GET can be repeated; a call only after an event that says where it was.
    reader.returns = caller.request.method() == Method::GET;
    match stays {
        true => reader.check(&caller.gateway, caller.entry()),
        // What is cut would be lost: it ends with the call.
        false => reader.timing.until = None,
    }
    let body = stream::unfold(reader, |mut reader| async move {
        let next = reader.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(next), reader))
    });
    event_stream(body)
}

/// A response of events.
pub fn event_stream(
    body: impl stream::Stream<Item = Result<Bytes, std::convert::Infallible>> + 'static,
) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-cache, no-transform"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(body)
}

/// Reads a stream of a session: what the log holds, then what comes.
pub struct Reader {
    store: Arc<dyn SessionStore>,
    attachment: Attachment,
    /// The last event that was written.
    last: u64,
    ready: VecDeque<Bytes>,
    guard: Guard,
    timing: StreamTiming,
    close_at: Option<Instant>,
    /// Ends when it is to be seen whether the client still may read this.
    over: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// An event with an id was written, so that the client can come back.
    seen: bool,
    /// It can come back without one, too.
    pub returns: bool,
    finished: bool,
}

/// Tells the session when the connection is gone, however it went.
struct Guard {
    session: Session,
    stream: StreamId,
    conn: sessiongate_actors::session::core::ConnId,
}

impl Drop for Guard {
    fn drop(&mut self) {
        metrics::gauge!("sessiongate_streams_open").decrement(1.0);
        self.session.closed(self.stream, self.conn);
    }
}

async fn ended(over: &mut Option<Pin<Box<dyn Future<Output = ()>>>>) {
    match over {
        Some(over) => over.await,
        None => pending().await,
    }
}

// === impl Reader ===

impl Reader {
    /// For an attachment of this session.
    pub fn new(served: &Served, session: Session, attachment: Attachment, timing: StreamTiming) -> Self {
        metrics::gauge!("sessiongate_streams_open").increment(1.0);
        let close_at = timing
            .close_after
            .filter(|_| session.revision().has_sse_polling())
            .map(|close_after| Instant::now() + close_after);
        Self {
            store: served.gateway.store.clone(),
            last: attachment.after,
            ready: VecDeque::new(),
            guard: Guard { session, stream: attachment.stream, conn: attachment.conn },
            attachment,
            timing,
            close_at,
            over: None,
            seen: false,
            returns: false,
            finished: false,
        }
    }

    /// Ends the connection when what let the client in does not hold any more, as at the end of its credential.
    pub fn check(&mut self, served: &Served, entry: Entry) {
        self.over = Some(Box::pin(served.admission.is_over(entry)));
    }

    /// The next bytes; none at the end. Nothing is lost where the future is dropped.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.finished {
                return None;
            }
            // Asked before everything else: a stream may have something to say at all times.
            if self.is_due() {
                self.finished = true;
                return if self.is_complete() { None } else { Some(sse::retry(self.timing.retry)) };
            }
            if let Some(frame) = self.ready.pop_front() {
                self.seen = true;
                return Some(frame);
            }
            if self.last < self.attachment.through {
                if !self.replay().await {
                    // The client comes back, and is told what it missed and why.
                    self.finished = true;
                    return Some(sse::retry(self.timing.retry));
                }
                continue;
            }
            let wake = Instant::now() + self.timing.keep_alive;
            let wake = self.due().map_or(wake, |due| wake.min(due));
            let Some(live) = &mut self.attachment.live else { return None };
            let came = tokio::select! {
                biased;
                () = ended(&mut self.over) => {
                    self.over = None;
                    self.timing.until = Some(Instant::now());
                    continue;
                }
                came = timeout_at(wake, live.recv()) => came,
            };
            match came {
                Ok(Some(StreamItem::Frame { seq, frame })) => {
                    self.last = seq;
                    self.seen = true;
                    return Some(frame);
                }
                Ok(Some(StreamItem::End)) => return None,
                Ok(Some(StreamItem::Close)) => {
                    self.finished = true;
                    return Some(sse::retry(self.timing.retry));
                }
                // Too slow: from here on the log is read.
                Ok(None) => {
                    if !self.attach_again().await {
                        self.finished = true;
                        return Some(sse::retry(self.timing.retry));
                    }
                }
                Err(_) if self.is_due() => {}
                Err(_) => return Some(sse::KEEP_ALIVE),
            }
        }
    }

    /// It is time to close the connection. Not before the client has an event, after which it can come back: each
    /// connection gets a bit further.
    fn is_due(&self) -> bool {
        self.due().is_some_and(|due| due <= Instant::now())
    }

    fn due(&self) -> Option<Instant> {
        let close_at = self.close_at.filter(|_| self.seen);
        let until = self.timing.until.filter(|_| self.seen || self.returns);
        close_at.into_iter().chain(until).min()
    }

    /// Everything was written that the stream will ever hold. What is taken out to see that is in the log.
    fn is_complete(&mut self) -> bool {
        let written = self.ready.is_empty() && self.last >= self.attachment.through;
        written
            && match &mut self.attachment.live {
                Some(live) => matches!(live.try_recv(), Ok(StreamItem::End)),
                None => true,
            }
    }

    /// Reads a piece of the log; false when the stream cannot go on.
    async fn replay(&mut self) -> bool {
        let key = self.guard.session.key();
        let events = match self.store.replay(key, self.attachment.stream, self.last, REPLAY).await {
            Ok(Replay::Events(events)) => events,
            Ok(Replay::Trimmed { first }) => {
                tracing::warn!(session = %key, first, "a reader fell behind what the event log keeps");
                return false;
            }
            // Dropped meanwhile: there is nothing more to read.
            Ok(Replay::Unknown) => Vec::new(),
            Err(error) => {
                tracing::warn!(session = %key, %error, "a stream could not be replayed");
                return false;
            }
        };
        if events.is_empty() {
            self.last = self.attachment.through;
        }
        for (seq, frame) in events {
            if seq <= self.attachment.through {
                self.last = seq;
                self.ready.push_back(frame);
            } else {
                // Comes live.
                self.last = self.attachment.through;
                break;
            }
        }
        true
    }

    async fn attach_again(&mut self) -> bool {
        let after = EventId { stream: self.attachment.stream, seq: self.last };
        match self.guard.session.attach(Some(after)).await {
            Ok(attachment) => {
                self.guard.conn = attachment.conn;
                self.attachment = attachment;
                true
            }
            Err(error) => {
                tracing::debug!(session = %self.guard.session.key(), %error, "a slow reader could not go on");
                false
            }
        }
    }
}
