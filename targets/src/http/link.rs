//! One downstream session over streamable HTTP as a [`Link`].

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use sessiongate_protocol::Revision;
use tokio::time::timeout_at;

use super::endpoint::{Endpoint, SESSION_ID};
use super::listener::Listener;
use super::session::Session;
use crate::error::TargetError;
use crate::handshake;
use crate::link::{CallReply, Hello, Link, LinkSink, Listening, SavedLink, Welcome};
use crate::passed::Passed;

/// For DELETE; the client's session is gone already.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// The name of the transport in [`Welcome`].
pub(crate) const STREAMABLE_HTTP: &str = "streamable-http";

pub(crate) struct HttpLink {
    session: Arc<Session>,
    listener: Listener,
}

// === impl HttpLink ===

impl HttpLink {
    /// `initialize`, `notifications/initialized`.
    pub(crate) async fn open(
        endpoint: &Arc<Endpoint>,
        hello: &Hello,
        sink: Arc<dyn LinkSink>,
    ) -> Result<(Arc<dyn Link>, Welcome), TargetError> {
        let fresh = Session::new(Arc::clone(endpoint), None, None, Arc::clone(&sink))?;
        let passed = hello.beside();
        let passed = passed.as_deref();
        let answer = fresh.send(handshake::initialize(hello)?, passed).await?;
        let id: Option<Box<str>> = match answer.headers().get(&SESSION_ID) {
            None => None,
            Some(value) => match value.to_str() {
                Ok(id) => Some(id.into()),
                Err(_) => return Err(TargetError::Protocol { detail: "its session id is not visible ASCII".into() }),
            },
        };
        // From here on the target may hold a session, which must not be left behind.
        let early = Session::new(Arc::clone(endpoint), id.as_deref(), None, Arc::clone(&sink))?;
        let begun = async {
            let reply = early.answer(answer, handshake::INITIALIZE_ID, passed).await?;
            let welcome = handshake::welcome(reply.response, STREAMABLE_HTTP)?;
            let session = Session::new(Arc::clone(endpoint), id.as_deref(), Some(welcome.revision), sink)?;
            session.post(handshake::initialized(), passed).await?;
            Ok((session, welcome))
        };
        match begun.await {
            Ok((session, welcome)) => Ok((Arc::new(Self::of(session)) as Arc<dyn Link>, welcome)),
            Err(error) => {
                if early.id.is_some() {
                    tokio::spawn(async move { Self::of(early).close().await });
                }
                Err(error)
            }
        }
    }

    /// Takes up a stored session.
    pub(crate) fn reattach(endpoint: &Arc<Endpoint>, saved: &SavedLink, sink: Arc<dyn LinkSink>) -> Option<Self> {
        let revision = Revision::parse(&saved.revision)?;
        let session = Session::new(Arc::clone(endpoint), saved.session_id.as_deref(), Some(revision), sink);
        session.ok().map(Self::of)
    }

    fn of(session: Session) -> Self {
        Self { session: Arc::new(session), listener: Listener::default() }
    }
}

/// Runs `work` until the deadline.
pub(crate) async fn until<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, TargetError>>,
) -> Result<T, TargetError> {
    let started = tokio::time::Instant::now();
    let deadline = tokio::time::Instant::from_std(deadline);
    match timeout_at(deadline, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(TargetError::TimedOut(deadline.saturating_duration_since(started))),
    }
}

#[async_trait]
impl Link for HttpLink {
    async fn call_with(
        &self,
        id: i64,
        body: Bytes,
        passed: Option<&Arc<Passed>>,
        deadline: Instant,
    ) -> Result<CallReply, TargetError> {
        self.session.check_open()?;
        until(deadline, async {
            self.listener.answered().await;
            let passed = passed.map(|passed| &**passed);
            let answer = self.session.send(body, passed).await?;
            self.session.answer(answer, id, passed).await
        })
        .await
    }

    async fn resume(&self, id: i64, last_event_id: &str, deadline: Instant) -> Result<CallReply, TargetError> {
        self.session.check_open()?;
        until(deadline, self.session.resume(last_event_id, id)).await
    }

    async fn post_with(&self, body: Bytes, passed: Option<&Arc<Passed>>, deadline: Instant) -> Result<(), TargetError> {
        self.session.check_open()?;
        until(deadline, self.session.post(body, passed.map(|passed| &**passed))).await
    }

    fn listen(&self, listening: Listening) {
        if self.session.check_open().is_ok() {
            self.listener.set(&self.session, listening);
        }
    }

    fn save(&self) -> Option<SavedLink> {
        Some(SavedLink { session_id: self.session.id.clone(), revision: self.session.revision?.as_str().into() })
    }

    async fn close(&self) {
        let first = !self.session.closed.swap(true, Ordering::AcqRel);
        self.listener.set(&self.session, Listening::Off);
        if !first || self.session.id.is_none() {
            return;
        }
        let name = &self.session.endpoint.name;
        match tokio::time::timeout(CLOSE_TIME, self.session.delete()).await {
            // 405: sessions end by themselves there. 404: it has ended already.
            Ok(Ok(status)) if status.is_success() || is_tolerated(status) => {}
            Ok(Ok(status)) => tracing::debug!(target_name = %name, %status, "target refused to end its session"),
            Ok(Err(error)) => tracing::debug!(target_name = %name, ?error, "cannot end the target's session"),
            Err(_) => tracing::debug!(target_name = %name, "target took too long to end its session"),
        }
    }
}

fn is_tolerated(status: StatusCode) -> bool {
    matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND)
}
