//! Opening and closing the client's session.

use std::{collections::HashMap, time::Duration};

use reqwest::header::{HeaderName, HeaderValue};
use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, RoleClient,
    model::ProtocolVersion,
    service::{ClientInitializeError, RunningService},
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};

use super::{
    error::ClientError,
    options::{Endpoint, Era},
    session_file::StoredSession,
    transport::SessionClient,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long saying goodbye may take: the session runs out by itself if it fails.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A running client, and the HTTP client that knows its session.
pub struct Connection<H: ClientHandler> {
    /// The SDK's side.
    pub running: RunningService<RoleClient, H>,
    /// The session's side.
    pub http: SessionClient,
}

/// Connects: in the era that is asked for, or in the one that the endpoint speaks. With `keep` it is a session, a new
/// one or the stored one.
///
/// # Errors
/// If the endpoint cannot be reached, refuses, or does not speak MCP or the era.
pub async fn connect<H: ClientHandler + Clone>(
    endpoint: &Endpoint,
    handler: H,
    keep: bool,
    resume: Option<StoredSession>,
) -> Result<Connection<H>, ClientError> {
    // A redirect could carry the bearer token to another host.
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .build()
        .map_err(|error| ClientError::connection(&endpoint.url, &error))?;
    let http = SessionClient::new(http, keep, resume);
    let mut config = StreamableHttpClientTransportConfig::with_uri(endpoint.url.as_str());
    config = config.custom_headers(headers(endpoint)?);
    if let Some(bearer) = &endpoint.bearer {
        config = config.auth_header(bearer.expose());
    }
    let serve = |era| {
        let transport = StreamableHttpClientTransport::with_client(http.clone(), config.clone());
        handler.clone().serve_with_lifecycle(transport, lifecycle(era))
    };
    let era = if keep { Era::Legacy } else { endpoint.era };
    let running = match serve(era).await {
        // An endpoint may know `server/discover` and yet speak only revisions that begin with `initialize`.
        Err(ClientInitializeError::NoCompatibleProtocolVersion { server_supported, .. })
            if era == Era::Auto && server_supported.iter().any(ProtocolVersion::has_initialize) =>
        {
            serve(Era::Legacy).await
        }
        other => other,
    };
    let running = running.map_err(|error| ClientError::initialize(&endpoint.url, era, error))?;
    Ok(Connection { running, http })
}

fn lifecycle(era: Era) -> ClientLifecycleMode {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    match era {
        Era::Auto => ClientLifecycleMode::Auto { preferred_versions, legacy_version: None },
        Era::Legacy => ClientLifecycleMode::Initialize,
        Era::Modern => ClientLifecycleMode::Discover { preferred_versions },
    }
}

impl<H: ClientHandler> Connection<H> {
    /// Ends the connection, and the session unless it is kept.
    pub async fn close(mut self) {
        if let Err(error) = self.running.close_with_timeout(CLOSE_TIMEOUT).await {
            tracing::debug!(%error, "client did not close cleanly");
        }
    }
}

fn headers(endpoint: &Endpoint) -> Result<HashMap<HeaderName, HeaderValue>, ClientError> {
    let unusable = |name: &str| ClientError::Argument(format!("header {name:?} cannot be sent"));
    endpoint
        .headers
        .iter()
        .map(|(name, value)| {
            let header = HeaderName::try_from(name.as_str()).map_err(|_| unusable(name))?;
            let mut value = HeaderValue::try_from(value.expose()).map_err(|_| unusable(name))?;
            value.set_sensitive(true);
            Ok((header, value))
        })
        .collect()
}
