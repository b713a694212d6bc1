//! HTTP+SSE (2024-11-05): one stream for everything that the target says, and a URL to POST to.
//!
//! The stream cannot be resumed: when it ends, the session ends. Its silence is no reason to end it (such servers
//! send no comments); a dead peer is noticed by TCP keep-alive.

mod reader;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use tokio::task::JoinHandle;
use url::Url;

use self::reader::Reader;
use crate::error::TargetError;
use crate::handshake;
use crate::http::endpoint::{BodyKind, Endpoint, body_kind, refusal};
use crate::http::events::{Events, StreamEnd};
use crate::http::link::until;
use crate::link::{CallReply, Hello, Link, LinkSink, Welcome};
use crate::passed::Passed;
use crate::pending::Pending;

/// Stands for "no limit" where a timer needs a number.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// One downstream session over HTTP+SSE.
pub(crate) struct SseLink {
    endpoint: Arc<Endpoint>,
    post_url: Url,
    post_headers: HeaderMap,
    pending: Arc<Pending>,
    reader: JoinHandle<()>,
    closed: Arc<AtomicBool>,
}

// === impl SseLink ===

impl SseLink {
    /// GET, the `endpoint` event, `initialize`, `notifications/initialized`.
    pub(crate) async fn open(
        endpoint: &Arc<Endpoint>,
        hello: &Hello,
        sink: Arc<dyn LinkSink>,
    ) -> Result<(Arc<dyn Link>, Welcome), TargetError> {
        let answer = endpoint.get(endpoint.stream_headers(), None, None).await?;
        if !answer.status().is_success() {
            return Err(refusal(answer).await.0);
        }
        if body_kind(&answer) != BodyKind::EventStream {
            return Err(TargetError::Protocol { detail: "GET was not answered with `text/event-stream`".into() });
        }
        let mut events = Events::of(answer, endpoint.limits.message_bytes, FOREVER, Arc::from(endpoint.name.as_ref()));
        let post_url = post_url(&endpoint.url, &mut events).await?;
        endpoint.clients.check_url(&post_url)?;

        let pending = Arc::new(Pending::default());
        let closed = Arc::new(AtomicBool::new(false));
        let reader =
            Reader { target: endpoint.name.clone(), pending: Arc::clone(&pending), sink, closed: Arc::clone(&closed) };
        let link = Self {
            endpoint: Arc::clone(endpoint),
            post_url,
            post_headers: endpoint.post_headers(),
            pending,
            reader: tokio::spawn(reader.run(events)),
            closed,
        };
        // The whole of `open` is bounded by its caller.
        let far = Instant::now() + endpoint.limits.initialize;
        let passed = hello.beside();
        let body = handshake::initialize(hello)?;
        let reply = link.call_with(handshake::INITIALIZE_ID, body, passed.as_ref(), far).await?;
        let welcome = handshake::welcome(reply.response, "sse")?;
        link.post_with(handshake::initialized(), passed.as_ref(), far).await?;
        Ok((Arc::new(link), welcome))
    }

    async fn send(&self, body: Bytes, passed: Option<&Arc<Passed>>) -> Result<(), TargetError> {
        let passed = passed.map(|passed| &**passed);
        let answer = self.endpoint.post(&self.post_url, self.post_headers.clone(), body, passed).await?;
        match answer.status() {
            status if status.is_success() => {
                crate::http::discard(answer);
                Ok(())
            }
            // The session is named in the URL.
            http::StatusCode::NOT_FOUND => Err(TargetError::SessionGone),
            _ => Err(refusal(answer).await.0),
        }
    }
}

/// Reads the `endpoint` event, which must come first, and resolves it. Another origin is refused: configured headers
/// would go to whoever is named there.
async fn post_url(sse_url: &Url, events: &mut Events) -> Result<Url, TargetError> {
    let event = match events.next().await {
        Ok(event) => event,
        Err(StreamEnd::Broken(detail)) => return Err(TargetError::Unreachable { detail }),
        Err(StreamEnd::Fatal(error)) => return Err(error),
    };
    let wrong = |detail: &str| TargetError::Protocol { detail: detail.into() };
    if event.kind.as_deref() != Some("endpoint") {
        return Err(wrong("its first event is not `endpoint`"));
    }
    let text = std::str::from_utf8(&event.data).unwrap_or("").trim();
    let url = sse_url.join(text).map_err(|_| wrong("its `endpoint` event has no URL"))?;
    if url.origin() != sse_url.origin() {
        return Err(wrong("its `endpoint` event names another origin"));
    }
    Ok(url)
}

#[async_trait]
impl Link for SseLink {
    async fn call_with(
        &self,
        id: i64,
        body: Bytes,
        passed: Option<&Arc<Passed>>,
        deadline: Instant,
    ) -> Result<CallReply, TargetError> {
        let mut waiting = self.pending.register(id)?;
        let started = tokio::time::Instant::now();
        if let Err(error) = until(deadline, self.send(body, passed)).await {
            // The response may have come although the POST's own answer did not.
            return waiting.try_outcome().unwrap_or(Err(error));
        }
        waiting.outcome(started, tokio::time::Instant::from_std(deadline)).await
    }

    async fn resume(&self, _id: i64, _last_event_id: &str, _deadline: Instant) -> Result<CallReply, TargetError> {
        Err(TargetError::OutcomeUnknown { detail: "http+sse streams cannot be resumed".into() })
    }

    async fn post_with(&self, body: Bytes, passed: Option<&Arc<Passed>>, deadline: Instant) -> Result<(), TargetError> {
        self.pending.check_open()?;
        until(deadline, self.send(body, passed)).await
    }

    async fn close(&self) {
        // There is no message for it: the session ends with its stream.
        self.closed.store(true, Ordering::Release);
        self.reader.abort();
        self.pending.end(&TargetError::Closed, TargetError::Closed);
    }
}

impl Drop for SseLink {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
