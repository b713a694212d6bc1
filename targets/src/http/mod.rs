//! MCP servers behind a URL: streamable HTTP, and HTTP+SSE where a target is that old.

mod body;
mod client;
mod cursor;
pub(crate) mod endpoint;
pub(crate) mod events;
pub(crate) mod link;
mod listener;
pub(crate) mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
pub(crate) use body::discard;
pub use client::{HttpClients, HttpOptions};
use url::Url;

use self::endpoint::Endpoint;
use self::link::{HttpLink, until};
use crate::error::TargetError;
use crate::link::{Hello, Link, LinkLimits, LinkSink, SavedLink, Target, Welcome};
use crate::secret::SecretHeaders;
use crate::sse::SseLink;

/// How a target behind a URL is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Streamable HTTP; where `initialize` is answered with 400, 404 or 405, HTTP+SSE (2025-11-25, transports,
    /// backwards compatibility).
    #[default]
    Auto,
    /// Streamable HTTP only.
    StreamableHttp,
    /// HTTP+SSE (2024-11-05) only.
    Sse,
}

/// A target behind a URL, as configured. `Debug` shows no header values.
#[derive(Clone, Debug)]
pub struct HttpTargetOptions {
    /// The target's name.
    pub name: String,
    /// Its MCP endpoint, or its SSE endpoint.
    pub url: Url,
    /// How to speak to it.
    pub transport: Transport,
    /// Sent with every request.
    pub headers: SecretHeaders,
    /// Deadlines and limits. `connect` is not read here: it is a property of the shared clients.
    pub limits: LinkLimits,
}

/// An MCP server behind a URL.
pub struct HttpTarget {
    endpoint: Arc<Endpoint>,
    transport: Transport,
    /// `Auto` found HTTP+SSE the last time.
    found_sse: AtomicBool,
}

// === impl HttpTarget ===

impl HttpTarget {
    /// Checks the URL; no I/O.
    ///
    /// # Errors
    /// [`TargetError::AddressRefused`] for a scheme, credentials or an address in the URL that targets may not have.
    pub fn new(options: HttpTargetOptions, clients: HttpClients) -> Result<Self, TargetError> {
        let HttpTargetOptions { name, mut url, transport, headers, limits } = options;
        clients.check_url(&url)?;
        url.set_fragment(None);
        let endpoint = Endpoint { name: name.into(), url, headers, limits, clients };
        Ok(Self { endpoint: Arc::new(endpoint), transport, found_sse: AtomicBool::new(false) })
    }

    async fn open_auto(&self, hello: &Hello, sink: Arc<dyn LinkSink>) -> Result<(Arc<dyn Link>, Welcome), TargetError> {
        if self.found_sse.load(Ordering::Relaxed) {
            match SseLink::open(&self.endpoint, hello, Arc::clone(&sink)).await {
                // The target may have been upgraded since.
                Err(TargetError::Status { .. } | TargetError::Protocol { .. }) => {
                    self.found_sse.store(false, Ordering::Relaxed);
                }
                outcome => return outcome,
            }
        }
        let refused = match HttpLink::open(&self.endpoint, hello, Arc::clone(&sink)).await {
            Err(error @ TargetError::Status { status: 400 | 404 | 405, .. }) => error,
            outcome => return outcome,
        };
        match SseLink::open(&self.endpoint, hello, sink).await {
            Ok(opened) => {
                self.found_sse.store(true, Ordering::Relaxed);
                Ok(opened)
            }
            Err(error) => {
                tracing::debug!(target_name = %self.endpoint.name, ?error, "no http+sse either");
                Err(refused)
            }
        }
    }
}

#[async_trait]
impl Target for HttpTarget {
    fn name(&self) -> &str {
        &self.endpoint.name
    }

    async fn open(&self, hello: Hello, sink: Arc<dyn LinkSink>) -> Result<(Arc<dyn Link>, Welcome), TargetError> {
        let deadline = Instant::now() + self.endpoint.limits.initialize;
        let opened = until(deadline, async {
            match self.transport {
                Transport::Auto => self.open_auto(&hello, sink).await,
                Transport::StreamableHttp => HttpLink::open(&self.endpoint, &hello, sink).await,
                Transport::Sse => SseLink::open(&self.endpoint, &hello, sink).await,
            }
        });
        match opened.await {
            // Nothing but `initialize` was sent, and a session that nobody knows has no effect.
            Err(TargetError::OutcomeUnknown { detail }) => Err(TargetError::Unreachable { detail }),
            outcome => outcome,
        }
    }

    fn reattach(&self, saved: &SavedLink, sink: Arc<dyn LinkSink>) -> Option<Arc<dyn Link>> {
        if self.transport == Transport::Sse {
            return None;
        }
        HttpLink::reattach(&self.endpoint, saved, sink).map(|link| Arc::new(link) as Arc<dyn Link>)
    }
}
