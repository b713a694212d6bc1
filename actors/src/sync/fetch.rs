//! Reads everything that a target offers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sessiongate_protocol::cursor::ListKind;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::caching::Caching;
use sessiongate_protocol::modern::envelope::{self, HopEnvelope};
use sessiongate_protocol::modern::param_headers::{self, ParamHeaders};
use sessiongate_protocol::modern::results::SERVER_INFO;
use sessiongate_protocol::{Era, Notification, RawJson, RequestId, ResponseBody, Revision, capabilities, jsonrpc};
use sessiongate_targets::modern::{Exchange, ModernRequest, NoteSink};
use sessiongate_targets::{Hello, Link, LinkSink, SinkClosed, Target, TargetError, Welcome};

use super::sink::catalogue_sink;
use crate::catalogue::{ServerCapabilities, TargetCatalogue};
use crate::clock;

/// The whole of one synchronisation.
pub(super) const SYNC_DEADLINE: Duration = Duration::from_secs(120);
/// For one page of a list.
const PAGE_DEADLINE: Duration = Duration::from_secs(30);
/// For all lists. Within the deadline of the synchronisation, so that the session is closed and not left.
const READ_DEADLINE: Duration = Duration::from_secs(80);
/// Items of one list. A target that offers more is cut off with a warning: somebody has to hold them all.
const MAX_ITEMS: usize = 10_000;
/// Pages of one list, so that a target whose cursors run in a circle ends.
const MAX_PAGES: usize = 1_000;

/// Opens a downstream session of the gateway's own and reads all lists. The session declares everything that the
/// gateway can relay, so that the catalogue holds what any client may be offered.
pub async fn fetch(
    target: &dyn Target,
    sink: Arc<dyn LinkSink>,
) -> Result<(Arc<dyn Link>, TargetCatalogue), TargetError> {
    let began = clock::now();
    let hello = Hello {
        revision: Revision::LATEST_LEGACY,
        capabilities: capabilities::everything(),
        client_info: client_info(),
    };
    let (link, welcome) = target.open(hello, sink).await?;
    // A modern target's lists are kept in its own words; its link would put them into those of sessions.
    let source = match target.modern() {
        Some(exchange) if welcome.revision.era() == Era::Modern => Source::Exchange(exchange),
        _ => Source::Link(&*link),
    };
    let read = match tokio::time::timeout(READ_DEADLINE, read_all(&source, &welcome, target.name())).await {
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
pub async fn probe(target: &dyn Target) -> Result<TargetCatalogue, TargetError> {
    // Both ends stay until the session is over: a target that finds nobody listening takes the session for closed.
    let (sink, _hearing) = catalogue_sink();
    match tokio::time::timeout(SYNC_DEADLINE, fetch(target, sink.clone())).await {
        Ok(Ok((link, catalogue))) => {
            link.close().await;
            Ok(catalogue)
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(TargetError::TimedOut(SYNC_DEADLINE)),
    }
}

/// Where lists are read.
enum Source<'a> {
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
    async fn ask(&self, id: i64, method: &str, params: Option<&RawJson>) -> Result<ResponseBody, TargetError> {
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
    fn usable(&self, tool: RawJson, target: &str) -> Option<RawJson> {
        let Err(error) = ParamHeaders::of_tool(&tool) else { return Some(tool) };
        match self {
            Self::Exchange(_) => {
                tracing::warn!(target_name = target, %error, "a tool with wrong header parameters is left out");
                None
            }
            Self::Link(_) => Some(param_headers::strip(&tool)).filter(|tool| ParamHeaders::of_tool(tool).is_ok()),
        }
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

async fn read_all(source: &Source<'_>, welcome: &Welcome, target: &str) -> Result<TargetCatalogue, TargetError> {
    let members = Members::of(&welcome.result)
        .map_err(|error| TargetError::Protocol { detail: format!("its InitializeResult cannot be read: {error}") })?;
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
        synced_at: clock::now(),
        took_ms: 0,
    };
    let mut id = 0;
    for list in ListKind::ALL {
        if offered.offers(list) {
            let (items, caching) = read_list(source, list, target, &mut id).await?;
            *catalogue.list_mut(list) = items;
            catalogue.caching[list as usize] = caching;
        }
    }
    Ok(catalogue)
}

async fn read_list(
    source: &Source<'_>,
    list: ListKind,
    target: &str,
    id: &mut i64,
) -> Result<(Vec<RawJson>, Caching), TargetError> {
    let mut items = Vec::new();
    let mut hints: Vec<(Caching, u64)> = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..MAX_PAGES {
        *id += 1;
        let params =
            cursor.as_ref().and_then(|cursor| RawJson::from_serialize(&serde_json::json!({"cursor": cursor})).ok());
        let result = match source.ask(*id, list.method(), params.as_ref()).await? {
            ResponseBody::Result(result) => result,
            // A capability without its list is common for templates: the rest of the catalogue is good.
            ResponseBody::Error(error) => {
                // Never the error itself: it may hold the URL of a page that is meant for a person.
                let code = error.borrow::<jsonrpc::ErrorShape<'_>>().map(|error| error.code).unwrap_or_default();
                tracing::warn!(target_name = target, list = list.method(), code, "a list was refused");
                return Ok((items, Caching::NONE));
            }
        };
        hints.push((Caching::of(&result), 0));
        let wrong = |error: serde_json::Error| TargetError::Protocol {
            detail: format!("{} cannot be read: {error}", list.method()),
        };
        let members = Members::of(&result).map_err(wrong)?;
        if let Some(page) = members.get(list.member()) {
            let page = serde_json::from_str::<Vec<RawJson>>(page.get()).map_err(wrong)?;
            match list {
                ListKind::Tools => items.extend(page.into_iter().filter_map(|tool| source.usable(tool, target))),
                _ => items.extend(page),
            }
        }
        if items.len() > MAX_ITEMS {
            tracing::warn!(
                target_name = target,
                list = list.method(),
                limit = MAX_ITEMS,
                "a list is too long and was cut off"
            );
            items.truncate(MAX_ITEMS);
            return Ok((items, Caching::merge(hints)));
        }
        // An empty cursor is a cursor (2025-11-25, pagination).
        cursor = members.get_str("nextCursor").map(std::borrow::Cow::into_owned);
        if cursor.is_none() {
            return Ok((items, Caching::merge(hints)));
        }
    }
    Err(TargetError::Protocol { detail: format!("{} has more than {MAX_PAGES} pages", list.method()) })
}
