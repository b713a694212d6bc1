//! Opens a target, and reads everything that it offers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sessiongate_protocol::cursor::ListKind;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::envelope::{self, HopEnvelope};
use sessiongate_protocol::modern::param_headers::{self, InvalidAnnotation, ParamHeaders};
use sessiongate_protocol::modern::results::SERVER_INFO;
use sessiongate_protocol::{
    Era, Notification, RawJson, RequestId, ResponseBody, Revision, Unreadable, capabilities, jsonrpc,
};
use sessiongate_targets::modern::{Exchange, ModernRequest, NoteSink};
use sessiongate_targets::{Hello, Link, LinkSink, SinkClosed, Target, TargetError, Welcome};

use super::lists::{Bounds, Reader};
use super::sink::catalogue_sink;
use crate::catalogue::{ServerCapabilities, TargetCatalogue};
use crate::clock;

/// The whole of one synchronisation.
pub(super) const SYNC_DEADLINE: Duration = Duration::from_secs(120);
/// For one page of a list.
const PAGE_DEADLINE: Duration = Duration::from_secs(30);
/// For all lists. Within the deadline of the synchronisation, so that the session is closed and not left.
const READ_DEADLINE: Duration = Duration::from_secs(80);

/// Opens a downstream session of the gateway's own and reads all lists, within `bounds`. The session declares everything that
/// the gateway can relay, so that the catalogue holds what any client may be offered.
///
/// # Errors
/// Where the target cannot be reached, refuses a list that it has, or answers with what is not one.
pub async fn fetch(
    target: &dyn Target,
    sink: Arc<dyn LinkSink>,
    bounds: Bounds,
) -> Result<(Arc<dyn Link>, TargetCatalogue), TargetError> {
    let began = clock::now();
    let (link, welcome) = target.open(hello(), sink).await?;
    // A modern target's lists are kept in its own words; its link would put them into those of sessions.
    let source = match target.modern() {
        Some(exchange) if welcome.revision.era() == Era::Modern => Source::Exchange(exchange),
        _ => Source::Link(&*link),
    };
    let read = match tokio::time::timeout(READ_DEADLINE, read_all(&source, &welcome, target.name(), bounds)).await {
        Ok(read) => read,
        Err(_) => Err(TargetError::TimedOut(READ_DEADLINE)),
    };
    match read {
        Ok(mut catalogue) => {
            catalogue.synced_at = clock::now();
            catalogue.took_ms = u64::try_from(clock::now().since(began).as_millis()).unwrap_or(u64::MAX);
            Ok((link, catalogue))
        }
        Err(error) => {
            link.close().await;
            Err(error)
        }
    }
}

/// Opens a session, reads all lists, and ends it again.
///
/// # Errors
/// Where the target cannot be reached in two minutes, or does not answer as it should.
pub async fn probe(target: &dyn Target, bounds: Bounds) -> Result<TargetCatalogue, TargetError> {
    // Both ends stay until the session is over: a target that finds nobody listening takes the session for closed.
    let (sink, _hearing) = catalogue_sink();
    match tokio::time::timeout(SYNC_DEADLINE, fetch(target, sink.clone(), bounds)).await {
        Ok(Ok((link, catalogue))) => {
            link.close().await;
            Ok(catalogue)
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(TargetError::TimedOut(SYNC_DEADLINE)),
    }
}

/// Opens a session and ends it again, without asking for anything.
///
/// # Errors
/// Where the target cannot be reached in two minutes, or does not answer as it should.
pub async fn reach(target: &dyn Target) -> Result<(), TargetError> {
    let (sink, _hearing) = catalogue_sink();
    match tokio::time::timeout(SYNC_DEADLINE, target.open(hello(), sink.clone())).await {
        Ok(Ok((link, _))) => {
            link.close().await;
            Ok(())
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(TargetError::TimedOut(SYNC_DEADLINE)),
    }
}

/// Where lists are read.
pub(super) enum Source<'a> {
    Link(&'a dyn Link),
    Exchange(Arc<dyn Exchange>),
}

/// The target's notifications are heard on its standing stream.
struct Deaf;

#[async_trait]
impl NoteSink for Deaf {
    async fn note(&self, _: Notification) -> Result<(), SinkClosed> {
        Ok(())
    }
}

// === impl Source ===

impl Source<'_> {
    /// The answer to a request for a page.
    pub(super) async fn ask(
        &self,
        id: i64,
        method: &str,
        params: Option<&RawJson>,
    ) -> Result<ResponseBody, TargetError> {
        let deadline = Instant::now() + PAGE_DEADLINE;
        let response = match self {
            Self::Link(link) => {
                let body = jsonrpc::request(&RequestId::integer(id), method, params);
                link.call(id, body, deadline).await?.response
            }
            Self::Exchange(exchange) => {
                let hop = HopEnvelope {
                    protocol_version: Revision::V2026_07_28.as_str(),
                    client_capabilities: &capabilities::everything(),
                    client_info: Some(&client_info()),
                    log_level: None,
                    progress_token: None,
                };
                let params = envelope::write(params, &hop);
                let request = ModernRequest {
                    method: method.into(),
                    params,
                    name: None,
                    param_headers: Vec::new(),
                    passed: None,
                };
                exchange.exchange(request, &Deaf, deadline).await?
            }
        };
        Ok(response.body)
    }

    /// A tool with header parameters that nobody could send: a modern target's is left out; to another the headers mean
    /// nothing, and so they shall to clients.
    pub(super) fn sendable(&self, tool: RawJson) -> Result<RawJson, InvalidAnnotation> {
        let Err(error) = ParamHeaders::of_tool(&tool) else { return Ok(tool) };
        match self {
            Self::Exchange(_) => Err(error),
            Self::Link(_) => {
                let stripped = param_headers::strip(&tool);
                ParamHeaders::of_tool(&stripped).map(|_| stripped)
            }
        }
    }
}

/// As whom the gateway reads: it declares everything that it can relay.
fn hello() -> Hello {
    Hello {
        revision: Revision::LATEST_LEGACY,
        capabilities: capabilities::everything(),
        client_info: client_info(),
        via: None,
    }
}

fn client_info() -> RawJson {
    let info = serde_json::json!({"name": "sessiongate", "version": env!("CARGO_PKG_VERSION")});
    RawJson::from_serialize(&info).unwrap_or(RawJson::EMPTY_OBJECT)
}

/// A modern target says who it is with each result.
fn modern_server_info(meta: &RawJson) -> Option<RawJson> {
    RawJson::parse(Members::of(meta).ok()?.get(SERVER_INFO)?.get().to_owned()).ok()
}

async fn read_all(
    source: &Source<'_>,
    welcome: &Welcome,
    target: &str,
    bounds: Bounds,
) -> Result<TargetCatalogue, TargetError> {
    let members = Members::of(&welcome.result).map_err(|error| TargetError::Protocol {
        detail: format!("its InitializeResult cannot be read: {}", Unreadable::from(&error)),
    })?;
    let raw = |name: &str| {
        members.get(name).and_then(|value| RawJson::parse(value.get().to_owned()).ok()).unwrap_or(RawJson::EMPTY_OBJECT)
    };
    let offered = ServerCapabilities::parse(&raw("capabilities"));
    let mut catalogue = TargetCatalogue {
        revision: welcome.revision.as_str().into(),
        transport: welcome.transport.into(),
        capabilities: raw("capabilities"),
        server_info: modern_server_info(&raw("_meta")).unwrap_or_else(|| raw("serverInfo")),
        instructions: members.get_str("instructions").map(std::borrow::Cow::into_owned),
        tools: Vec::new(),
        prompts: Vec::new(),
        resources: Vec::new(),
        templates: Vec::new(),
        caching: Default::default(),
        left_out: Vec::new(),
        synced_at: clock::now(),
        took_ms: 0,
    };
    let mut reader = Reader::new(source, target, bounds);
    for list in ListKind::ALL {
        // What a target does not declare it is not asked for.
        if offered.offers(list) {
            let (items, caching) = reader.read(list).await?;
            *catalogue.list_mut(list) = items;
            catalogue.caching[list as usize] = caching;
        }
    }
    catalogue.left_out = reader.left_out();
    Ok(catalogue)
}
