//! Reads everything that a target offers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sessiongate_protocol::cursor::ListKind;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::{RawJson, RequestId, ResponseBody, Revision, capabilities, jsonrpc};
use sessiongate_targets::{Hello, Link, LinkSink, Target, TargetError, Welcome};

use crate::catalogue::{ServerCapabilities, TargetCatalogue};
use crate::clock;

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
    let client_info = serde_json::json!({"name": "sessiongate", "version": env!("CARGO_PKG_VERSION")});
    let hello = Hello {
        revision: Revision::LATEST_LEGACY,
        capabilities: capabilities::everything(),
        client_info: RawJson::from_serialize(&client_info).unwrap_or(RawJson::EMPTY_OBJECT),
    };
    let (link, welcome) = target.open(hello, sink).await?;
    let read = match tokio::time::timeout(READ_DEADLINE, read_all(&*link, &welcome, target.name())).await {
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

async fn read_all(link: &dyn Link, welcome: &Welcome, target: &str) -> Result<TargetCatalogue, TargetError> {
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
        server_info: raw("serverInfo"),
        instructions: members.get_str("instructions").map(std::borrow::Cow::into_owned),
        tools: Vec::new(),
        prompts: Vec::new(),
        resources: Vec::new(),
        templates: Vec::new(),
        synced_at: clock::now(),
        took_ms: 0,
    };
    let mut id = 0;
    for list in ListKind::ALL {
        if offered.offers(list) {
            *catalogue.list_mut(list) = read_list(link, list, target, &mut id).await?;
        }
    }
    Ok(catalogue)
}

async fn read_list(link: &dyn Link, list: ListKind, target: &str, id: &mut i64) -> Result<Vec<RawJson>, TargetError> {
    let mut items = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..MAX_PAGES {
        *id += 1;
        let params =
            cursor.as_ref().and_then(|cursor| RawJson::from_serialize(&serde_json::json!({"cursor": cursor})).ok());
        let body = jsonrpc::request(&RequestId::integer(*id), list.method(), params.as_ref());
        let reply = link.call(*id, body, Instant::now() + PAGE_DEADLINE).await?;
        let result = match reply.response.body {
            ResponseBody::Result(result) => result,
            // A capability without its list is common for templates: the rest of the catalogue is good.
            ResponseBody::Error(error) => {
                // Never the error itself: it may hold the URL of a page that is meant for a person.
                let code = error.borrow::<jsonrpc::ErrorShape<'_>>().map(|error| error.code).unwrap_or_default();
                tracing::warn!(target_name = target, list = list.method(), code, "a list was refused");
                return Ok(items);
            }
        };
        let wrong = |error: serde_json::Error| TargetError::Protocol {
            detail: format!("{} cannot be read: {error}", list.method()),
        };
        let members = Members::of(&result).map_err(wrong)?;
        if let Some(page) = members.get(list.member()) {
            items.extend(serde_json::from_str::<Vec<RawJson>>(page.get()).map_err(wrong)?);
        }
        if items.len() > MAX_ITEMS {
            tracing::warn!(
                target_name = target,
                list = list.method(),
                limit = MAX_ITEMS,
                "a list is too long and was cut off"
            );
            items.truncate(MAX_ITEMS);
            return Ok(items);
        }
        // An empty cursor is a cursor (2025-11-25, pagination).
        cursor = members.get_str("nextCursor").map(std::borrow::Cow::into_owned);
        if cursor.is_none() {
            return Ok(items);
        }
    }
    Err(TargetError::Protocol { detail: format!("{} has more than {MAX_PAGES} pages", list.method()) })
}
