//! What all methods of an endpoint have in common: which gateway, who, which session.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{ACCEPT, HeaderMap};
use actix_web::web::Bytes;
use sessiongate_actors::SessionError;
use sessiongate_actors::directory::{NewSession, Principal};
use sessiongate_actors::session::SessionHandle;
use sessiongate_actors::session::core::EndReason;
use sessiongate_protocol::{RawJson, RequestId, Revision};
use sessiongate_targets::Passed;
use tokio::time::Instant;

use super::HttpError;
use super::principal::Identity;
use super::stream::StreamTiming;
use crate::gateway::{Entry, Runtime, Served};

/// The header that names a session; header names are case-insensitive.
pub const SESSION_ID: &str = "mcp-session-id";
/// The header that names the revision (2025-06-18 and later).
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// A message follows its session out of memory and back this often.
const MAX_MOVES: u32 = 3;

/// A request on its way to a session.
#[derive(Clone)]
pub struct Caller<'a> {
    pub runtime: &'a Runtime,
    pub gateway: Arc<Served>,
    pub principal: Principal,
    /// From here on the credential is no good.
    pub until: Option<Instant>,
    /// How often the resource policy had changed when it was asked.
    pub policies: u64,
    /// What it takes for an answer.
    pub accepts: Accepts,
    /// The body, where it was read already.
    pub body: Option<Bytes>,
    pub request: &'a HttpRequest,
    /// The headers as an interceptor changed them.
    pub changed: Option<&'a HeaderMap>,
    /// An interceptor wrote the body: headers that repeat arguments say what they were before.
    pub rewritten: bool,
    /// What goes along to targets besides messages.
    pub passed: Option<Arc<Passed>>,
    /// Through which gateways it came, where it came through any.
    pub via: Option<String>,
}

/// What a client takes for an answer (`Accept`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepts {
    pub json: bool,
    pub streams: bool,
}

/// A session for a request.
#[derive(Clone)]
pub struct Session {
    handle: Arc<SessionHandle>,
    /// Held for its drop.
    #[allow(dead_code)]
    ephemeral: Option<Arc<Ephemeral>>,
}

/// Ends a session that was made for one request.
struct Ephemeral(Arc<SessionHandle>);

impl Drop for Ephemeral {
    fn drop(&mut self) {
        let handle = self.0.clone();
        actix_rt::spawn(async move {
            let _ = handle.end(EndReason::Deleted).await;
        });
    }
}

impl Session {
    /// One that stays when the request is over.
    pub fn of(handle: Arc<SessionHandle>) -> Self {
        Self { handle, ephemeral: None }
    }

    /// It is there when the request is over, so that the client can come back to what it began.
    pub fn stays(&self) -> bool {
        self.ephemeral.is_none()
    }
}

impl std::ops::Deref for Session {
    type Target = SessionHandle;

    fn deref(&self) -> &SessionHandle {
        &self.handle
    }
}

// === impl Caller ===

impl<'a> Caller<'a> {
    /// A request of somebody who is known; `policies` was read before the resource policy was asked.
    pub fn new(
        runtime: &'a Runtime,
        gateway: Arc<Served>,
        identity: Identity,
        policies: u64,
        request: &'a HttpRequest,
    ) -> Self {
        let Identity { principal, until, body, .. } = identity;
        Self {
            runtime,
            principal,
            until,
            policies,
            accepts: Accepts::of(request.headers()),
            body,
            request,
            changed: None,
            rewritten: false,
            passed: None,
            via: None,
            gateway,
        }
    }
}

impl Caller<'_> {
    /// How streams of this request behave.
    pub fn timing(&self) -> StreamTiming {
        StreamTiming { until: self.until, ..self.gateway.timing }
    }

    /// Its answer may be a stream.
    pub fn streams(&self) -> bool {
        self.gateway.streaming && self.accepts.streams
    }

    /// What let it in.
    pub fn entry(&self) -> Entry {
        let (access, principal) = (self.gateway.access.clone(), self.principal.clone());
        Entry { access, policies: self.policies, principal }
    }

    pub fn headers(&self) -> &HeaderMap {
        self.changed.unwrap_or_else(|| self.request.headers())
    }

    /// Whether its messages are counted against the gateway's rate already: they are before interceptors see them.
    pub fn is_counted(&self) -> bool {
        self.changed.is_some()
    }

    /// The same request as an interceptor changed it.
    pub fn intercepted<'b>(&'b self, headers: &'b HeaderMap, rewritten: bool) -> Caller<'b> {
        Caller { changed: Some(headers), rewritten, body: None, ..self.clone() }
    }

    /// `Mcp-Session-Id`, where there is one.
    pub fn session_id(&self) -> Result<Option<&str>, HttpError> {
        let Some(value) = self.headers().get(SESSION_ID) else { return Ok(None) };
        value.to_str().map(Some).map_err(|_| HttpError::Header("`Mcp-Session-Id` must be visible ASCII".into()))
    }

    /// The session that the request names. 400 without a name, 404 for anything that is not a live session of this
    /// principal, or one of a revision that is not served any more: its client begins again in one that is.
    pub async fn session(&self) -> Result<Session, HttpError> {
        if !self.gateway.sessions {
            return self.ephemeral().await;
        }
        let id = self.session_id()?.ok_or_else(|| {
            HttpError::Header(
                "`Mcp-Session-Id` is missing: send `initialize` first, then its answer's session id".into(),
            )
        })?;
        let versions = &self.gateway.versions;
        if versions.legacy().next().is_none() {
            self.check_version()?;
        }
        let found = self.runtime.directory().find(&self.gateway.gateway, &self.principal, id).await;
        let handle = found.map_err(|error| HttpError::session(error, None))?;
        if !versions.all().contains(&handle.revision()) {
            // A newer one would not find its way back to it either.
            let _ = handle.end(EndReason::Administrator).await;
            return Err(HttpError::session(SessionError::NotFound, None));
        }
        self.check_version()?;
        Ok(Session::of(handle))
    }

    /// Does something with the session that the request names; returns the session that did it. A refusal carries `id`.
    pub async fn with_session<T>(
        &self,
        id: Option<&RequestId>,
        work: impl AsyncFnMut(&Session) -> Result<T, SessionError>,
    ) -> Result<(Session, T), HttpError> {
        let session = self.session().await.map_err(|error| error.with_id(id))?;
        self.follow(session, id, work).await
    }

    /// The same with a session that was found before.
    ///
    /// A session may leave memory in the very moment, for a nap or because its actor failed, and says so of everything
    /// that it did not look at: the session is found again, and its next actor does the work. One that ended is not found.
    pub async fn follow<T>(
        &self,
        mut session: Session,
        id: Option<&RequestId>,
        mut work: impl AsyncFnMut(&Session) -> Result<T, SessionError>,
    ) -> Result<(Session, T), HttpError> {
        for _ in 0..MAX_MOVES {
            match work(&session).await {
                Ok(done) => return Ok((session, done)),
                Err(SessionError::Left) if self.runtime.is_shutting_down() => return Err(HttpError::ShuttingDown),
                Err(SessionError::Left) => {
                    session = self.session().await.map_err(|error| error.with_id(id))?;
                }
                // A session that ended while it was used looks like one that never was.
                Err(SessionError::Ended) => return Err(HttpError::session(SessionError::NotFound, id)),
                Err(error) => return Err(HttpError::session(error, id)),
            }
        }
        Err(HttpError::session(SessionError::Overloaded, id))
    }

    /// Without sessions a client has no capabilities that outlive its request: nobody can be asked anything.
    async fn ephemeral(&self) -> Result<Session, HttpError> {
        self.check_version()?;
        let revision = self
            .headers()
            .get(PROTOCOL_VERSION)
            .and_then(|value| Revision::parse(value.to_str().ok()?.trim()))
            .unwrap_or_else(|| self.gateway.versions.unsaid());
        let new = NewSession {
            revision,
            capabilities: RawJson::EMPTY_OBJECT,
            client_info: unknown_client(),
            max_name_length: super::names::limit(self.request)?,
            via: self.via.as_deref().map(Into::into),
        };
        let handle = self
            .runtime
            .directory()
            .ephemeral(&self.gateway.gateway, &self.principal, new)
            .await
            .map_err(|error| HttpError::session(error, None))?;
        Ok(Session { ephemeral: Some(Arc::new(Ephemeral(handle.clone()))), handle })
    }

    /// `MCP-Protocol-Version` must be a revision that has sessions and is served. One that differs from the session's is
    /// accepted: the session's counts.
    pub fn check_version(&self) -> Result<(), HttpError> {
        let Some(value) = self.headers().get(PROTOCOL_VERSION) else { return Ok(()) };
        let text = String::from_utf8_lossy(value.as_bytes());
        let versions = &self.gateway.versions;
        if versions.legacy().any(|revision| revision.as_str() == text.trim()) {
            return Ok(());
        }
        let mut dates: Vec<&str> = versions.legacy().map(Revision::as_str).collect();
        dates.reverse();
        let supported = if dates.is_empty() { "none with sessions".to_owned() } else { dates.join(", ") };
        Err(HttpError::Header(format!("`MCP-Protocol-Version` {text} is not supported; supported are {supported}")))
    }
}

// === impl Accepts ===

impl Accepts {
    fn of(headers: &HeaderMap) -> Self {
        let mut all = Self { json: false, streams: false };
        for value in headers.get_all(ACCEPT).filter_map(|value| value.to_str().ok()) {
            for range in value.split(',') {
                let mut parts = range.split(';').map(str::trim);
                let media = parts.next().unwrap_or_default().to_ascii_lowercase();
                if parts.any(|parameter| matches!(parameter, "q=0" | "q=0.0")) {
                    continue;
                }
                match media.as_str() {
                    "*/*" => all = Self { json: true, streams: true },
                    "application/json" | "application/*" => all.json = true,
                    "text/event-stream" | "text/*" => all.streams = true,
                    _ => {}
                }
            }
        }
        all
    }
}

/// The `clientInfo` of a client that says nothing of itself.
pub fn unknown_client() -> RawJson {
    let unknown = serde_json::json!({"name": "unknown", "version": "0"});
    RawJson::from_serialize(&unknown).unwrap_or(RawJson::EMPTY_OBJECT)
}

#[cfg(test)]
mod tests;
