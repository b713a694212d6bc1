//! SSE events of an answer, with a bound on each event and on silence.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use sse_stream::{Sse, SseByteStream};
use tokio::time::{Instant, Sleep};

use crate::error::TargetError;

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, reqwest::Error>> + Send>>;

/// The events of one SSE body.
pub(crate) struct Events {
    inner: SseByteStream<Bounded>,
    target: Arc<str>,
}

/// One event that means something: a message, or only an id or a `retry`.
#[derive(Debug)]
pub(crate) struct Event {
    /// `None` is `message`.
    pub(crate) kind: Option<Box<str>>,
    /// Empty for priming events.
    pub(crate) data: Bytes,
    pub(crate) id: Option<Box<str>>,
    pub(crate) retry: Option<Duration>,
}

/// Why no more events come.
#[derive(Debug, Clone)]
pub(crate) enum StreamEnd {
    /// The connection was closed, broke, or was silent for too long: the stream may be resumed.
    Broken(String),
    /// What came is not acceptable, and would not be the second time.
    Fatal(TargetError),
}

/// Bytes of a body, counted from blank line to blank line.
struct Bounded {
    pieces: Pieces,
    counter: EventCounter,
    limit: usize,
    idle: Duration,
    sleep: Pin<Box<Sleep>>,
    /// The silence begins when somebody listens, not while the last event was being delivered.
    rearm: bool,
}

/// Counts the bytes since the last blank line. Comments count too: a comment without end is as bad as an event.
#[derive(Debug, Default)]
struct EventCounter {
    since_blank: usize,
    line_has_bytes: bool,
    /// The last byte ended a line as CR; an LF right after it is the rest of that line end.
    after_cr: bool,
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("an event is larger than {0} bytes")]
    TooLarge(usize),
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    #[error("{0}")]
    Http(reqwest::Error),
}

/// Longer ids are not kept: they could not be sent back as a header everywhere.
const MAX_EVENT_ID: usize = 4096;

// === impl Events ===

impl Events {
    /// Reads the events of `answer`.
    pub(crate) fn of(answer: reqwest::Response, limit: usize, idle: Duration, target: Arc<str>) -> Self {
        let bounded = Bounded {
            pieces: Box::pin(answer.bytes_stream()),
            counter: EventCounter::default(),
            limit,
            idle,
            sleep: Box::pin(tokio::time::sleep(idle)),
            rearm: false,
        };
        Self { inner: SseByteStream::new(bounded), target }
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> Result<Event, StreamEnd> {
        match self.inner.next().await {
            Some(Ok(sse)) => Ok(self.event(sse)),
            Some(Err(sse_stream::Error::Body(error))) => Err(match error.downcast_ref::<ReadError>() {
                Some(ReadError::TooLarge(limit)) => StreamEnd::Fatal(TargetError::TooLarge { limit: *limit }),
                _ => StreamEnd::Broken(error.to_string()),
            }),
            Some(Err(_)) => Err(StreamEnd::Fatal(TargetError::Protocol { detail: "an event is not UTF-8".into() })),
            None => Err(StreamEnd::Broken("the stream ended".into())),
        }
    }

    /// Lets go of the stream after its last interesting event; see [`super::body::discard`].
    pub(crate) fn discard(mut self) {
        if matches!(self.inner.next().now_or_never(), Some(None | Some(Err(_)))) {
            return;
        }
        tokio::spawn(async move {
            let _ = tokio::time::timeout(Duration::from_secs(1), async move {
                // Few events can be left; a target that goes on talking loses its connection.
                for _ in 0..16 {
                    match self.inner.next().await {
                        Some(Ok(_)) => tracing::debug!(target_name = %self.target, "event after the response dropped"),
                        _ => break,
                    }
                }
            })
            .await;
        });
    }

    fn event(&self, sse: Sse) -> Event {
        let id = sse.id.filter(|id| {
            let usable = id.len() <= MAX_EVENT_ID && !id.is_empty() && http::HeaderValue::from_str(id).is_ok();
            if !usable {
                tracing::debug!(target_name = %self.target, "event id ignored: it cannot be sent back");
            }
            usable
        });
        Event {
            kind: sse.event.filter(|kind| !kind.is_empty() && kind != "message").map(Into::into),
            data: sse.data.unwrap_or_default().into(),
            id: id.map(Into::into),
            retry: sse.retry.map(Duration::from_millis),
        }
    }
}

// === impl Bounded ===

impl Stream for Bounded {
    type Item = Result<Bytes, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let piece = match this.pieces.poll_next_unpin(cx) {
            Poll::Pending => {
                if std::mem::take(&mut this.rearm) {
                    this.sleep.as_mut().reset(Instant::now() + this.idle);
                }
                ready!(this.sleep.as_mut().poll(cx));
                return Poll::Ready(Some(Err(ReadError::Silent(this.idle))));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(ReadError::Http(error.without_url())))),
            Poll::Ready(Some(Ok(piece))) => piece,
        };
        this.rearm = true;
        if this.counter.largest(&piece) > this.limit {
            return Poll::Ready(Some(Err(ReadError::TooLarge(this.limit))));
        }
        Poll::Ready(Some(Ok(piece)))
    }
}

// === impl EventCounter ===

impl EventCounter {
    /// The size of the largest event so far that has bytes in this piece.
    fn largest(&mut self, piece: &[u8]) -> usize {
        let mut largest = 0;
        let mut start = 0;
        for at in memchr::memchr2_iter(b'\n', b'\r', piece) {
            self.since_blank += at + 1 - start;
            largest = largest.max(self.since_blank);
            let ends_line_already_ended = piece[at] == b'\n' && self.after_cr && at == start;
            if ends_line_already_ended {
                // After a blank line ended by CR, its LF is no part of the next event.
                if self.since_blank == 1 {
                    self.since_blank = 0;
                }
            } else {
                if !self.line_has_bytes && at == start {
                    self.since_blank = 0;
                }
                self.line_has_bytes = false;
            }
            self.after_cr = piece[at] == b'\r';
            start = at + 1;
        }
        if start < piece.len() {
            self.line_has_bytes = true;
            self.after_cr = false;
        }
        self.since_blank += piece.len() - start;
        largest.max(self.since_blank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest(pieces: &[&str]) -> usize {
        let mut counter = EventCounter::default();
        pieces.iter().map(|piece| counter.largest(piece.as_bytes())).max().unwrap_or(0)
    }

    #[test]
    fn bytes_are_counted_for_each_event_alone() {
        assert_eq!(largest(&["data: a\n\ndata: b\n\n"]), 9);
        assert_eq!(largest(&["data: a\r\n\r\ndata: bb\r\n\r\n"]), 11);
        assert_eq!(largest(&["data: a\ndata: b\n\n"]), 17);
        assert_eq!(largest(&["data: a\r\ndata: b\r\n\r\n"]), 19);
        assert_eq!(largest(&["data", ": a", "aaaa"]), 11);
        assert_eq!(largest(&["data: a\r", "\ndata: b\r", "\ndata: c\r", "\n"]), 27);
        assert_eq!(largest(&[": ping\n\n", ": ping\n\n", ": ping\n\n"]), 8);
    }

    proptest::proptest! {
        #[test]
        fn how_the_bytes_are_cut_into_pieces_does_not_matter(text in "[ax:\r\n]{0,60}", cuts in proptest::collection::vec(0usize..60, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            proptest::prop_assert_eq!(largest(&pieces), largest(&[&text]));
        }
    }
}
