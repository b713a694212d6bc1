//! MCP servers behind a URL: streamable HTTP, and HTTP+SSE where a target is that old.

pub(crate) mod body;
mod client;
mod cursor;
pub(crate) mod endpoint;
pub(crate) mod events;
pub(crate) mod link;
mod listener;
pub(crate) mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
pub(crate) use body::discard;
pub use client::{HttpClients, HttpOptions};
use sessiongate_protocol::{Era, RawJson, Revision};
use url::Url;

use self::endpoint::Endpoint;
use self::link::{HttpLink, STREAMABLE_HTTP, until};
use crate::error::TargetError;
use crate::link::{Hello, Link, LinkLimits, LinkSink, SavedLink, Target, Welcome};
use crate::modern::detect::{self, Detection, Eras, Finding, HORIZON, Opened};
use crate::modern::http::HttpExchange;
use crate::modern::link::{ModernLink, ModernTarget};
use crate::modern::{Exchange, TargetEra, discover};
use crate::passed::PassNames;
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
    /// What to take the target for; HTTP+SSE is legacy always.
    pub era: TargetEra,
    /// What it spoke when it was opened last, as far as is known.
    pub known: Option<Revision>,
    /// What passes to it from clients, and back.
    pub pass: PassNames,
    /// What the one who asks is called in [`VIA`](crate::VIA); none says nothing there.
    pub via: Option<Box<str>>,
}

/// An MCP server behind a URL.
pub struct HttpTarget {
    endpoint: Arc<Endpoint>,
    transport: Transport,
    /// `Auto` found HTTP+SSE the last time.
    found_sse: AtomicBool,
    detection: Arc<Detection>,
    modern: ModernTarget,
}

/// To be asked again what is known already: a target that takes longer is opened as what it was.
const AGAIN_TIME: Duration = Duration::from_secs(5);
/// For the answer to another session's question.
const PATIENCE: Duration = Duration::from_secs(1);

// === impl HttpTarget ===

impl HttpTarget {
    /// Checks the URL; no I/O.
    ///
    /// # Errors
    /// [`TargetError::AddressRefused`] for a scheme, credentials or an address in the URL that targets may not have.
    pub fn new(options: HttpTargetOptions, clients: HttpClients) -> Result<Self, TargetError> {
        let HttpTargetOptions { name, mut url, transport, headers, limits, era, known, pass, via } = options;
        clients.check_url(&url)?;
        url.set_fragment(None);
        let era = if transport == Transport::Sse { TargetEra::Legacy } else { era };
        let detection = Arc::new(Detection::new(&name, era, known, HORIZON, PATIENCE));
        let pass = (!pass.is_empty()).then(|| Box::new(pass));
        let endpoint = Arc::new(Endpoint { name: name.as_str().into(), url, headers, limits, clients, pass, via });
        let exchange = Arc::new(HttpExchange::new(Arc::clone(&endpoint), Arc::clone(&detection)));
        let modern = ModernTarget::new(name, exchange);
        Ok(Self { endpoint, transport, found_sse: AtomicBool::new(false), detection, modern })
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
impl Eras for HttpTarget {
    async fn ask(&self, hello: &Hello, again: bool) -> Result<Finding, TargetError> {
        let limit = self.endpoint.limits.initialize;
        let limit = if again { limit.min(AGAIN_TIME) } else { limit };
        discover::ask(&**self.modern.exchange(), hello, (tokio::time::Instant::now() + limit).into_std()).await
    }

    async fn open_legacy(&self, hello: &Hello, sink: Arc<dyn LinkSink>) -> Opened {
        match self.transport {
            Transport::Auto => self.open_auto(hello, sink).await,
            Transport::StreamableHttp => HttpLink::open(&self.endpoint, hello, sink).await,
            Transport::Sse => SseLink::open(&self.endpoint, hello, sink).await,
        }
    }

    fn open_modern(&self, hello: Hello, sink: Arc<dyn LinkSink>, discover: RawJson) -> Opened {
        detect::open_modern(&self.modern, hello, sink, discover, STREAMABLE_HTTP)
    }
}

#[async_trait]
impl Target for HttpTarget {
    fn name(&self) -> &str {
        &self.endpoint.name
    }

    async fn open(&self, hello: Hello, sink: Arc<dyn LinkSink>) -> Result<(Arc<dyn Link>, Welcome), TargetError> {
        let deadline = tokio::time::Instant::now() + self.endpoint.limits.initialize;
        match until(deadline.into_std(), self.detection.open(self, hello, sink)).await {
            // Nothing but `server/discover` and `initialize` was sent, and a session that nobody knows has no effect.
            Err(TargetError::OutcomeUnknown { detail }) => Err(TargetError::Unreachable { detail }),
            outcome => outcome,
        }
    }

    fn reattach(&self, saved: &SavedLink, sink: Arc<dyn LinkSink>) -> Option<Arc<dyn Link>> {
        if self.transport == Transport::Sse {
            return None;
        }
        if Revision::parse(&saved.revision)?.era() == Era::Modern {
            return ModernLink::resumed(&self.modern, saved, sink);
        }
        HttpLink::reattach(&self.endpoint, saved, sink).map(|link| Arc::new(link) as Arc<dyn Link>)
    }

    fn modern(&self) -> Option<Arc<dyn Exchange>> {
        self.detection.is_modern().then(|| Arc::clone(self.modern.exchange()))
    }

    fn is_era_open(&self) -> bool {
        self.detection.is_open()
    }

    async fn find_era(&self, hello: &Hello) -> Result<(), TargetError> {
        let deadline = tokio::time::Instant::now() + self.endpoint.limits.initialize;
        match until(deadline.into_std(), self.detection.find(self, hello)).await {
            // As when it is opened.
            Err(TargetError::OutcomeUnknown { detail }) => Err(TargetError::Unreachable { detail }),
            outcome => outcome,
        }
    }

    fn remember(&self, revision: Revision) {
        self.detection.remember(revision);
    }
}
