//! A target that says that the headers of a call do not fit (-32020) knows its tool in another version than the gateway:
//! the tool is read again and the call sent once more (2026-07-28, transports; mcp-protocol 4.2).

use std::sync::Arc;
use std::time::Instant;

use sessiongate_protocol::cursor::ListKind;
use sessiongate_protocol::jsonrpc::ErrorShape;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::param_headers::ParamHeaders;
use sessiongate_protocol::{RawJson, Response, ResponseBody, codes};
use sessiongate_targets::TargetError;
use sessiongate_targets::modern::{Exchange, ModernRequest, NoteSink};

use super::route::arguments;

/// Pages of tools that are read.
const MAX_PAGES: usize = 100;

/// Sends a request; a call of a tool that changed meanwhile once more.
pub async fn exchange(
    exchange: Arc<dyn Exchange>,
    request: ModernRequest,
    notes: &dyn NoteSink,
    deadline: Instant,
) -> Result<Response, TargetError> {
    let again = (&*request.method == "tools/call").then(|| request.clone());
    let response = exchange.exchange(request, notes, deadline).await?;
    let Some(mut again) = again.filter(|_| is_mismatch(&response)) else { return Ok(response) };
    let Some(tool) = read(&*exchange, &again, notes, deadline).await? else { return Ok(response) };
    let Ok(headers) = ParamHeaders::of_tool(&tool) else { return Ok(response) };
    again.param_headers = headers.map(|headers| headers.derive(arguments(&again.params).as_ref())).unwrap_or_default();
    // It was refused before it was executed.
    exchange.exchange(again, notes, deadline).await
}

fn is_mismatch(response: &Response) -> bool {
    let ResponseBody::Error(error) = &response.body else { return false };
    error.borrow::<ErrorShape<'_>>().is_ok_and(|shape| shape.code == codes::HEADER_MISMATCH)
}

/// The tool as the target shows it now, under the same envelope.
async fn read(
    exchange: &dyn Exchange,
    call: &ModernRequest,
    notes: &dyn NoteSink,
    deadline: Instant,
) -> Result<Option<RawJson>, TargetError> {
    let Some(meta) = Members::of(&call.params).ok().and_then(|members| members.get("_meta")) else { return Ok(None) };
    let (list, meta) = (ListKind::Tools, meta.get());
    let mut cursor: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let cursor_member = cursor.as_ref().and_then(|cursor| serde_json::to_string(cursor).ok());
        let text = match cursor_member {
            Some(cursor) => format!("{{\"cursor\":{cursor},\"_meta\":{meta}}}"),
            None => format!("{{\"_meta\":{meta}}}"),
        };
        let Ok(params) = RawJson::parse(text) else { return Ok(None) };
        let request = ModernRequest { method: list.method().into(), params, name: None, param_headers: Vec::new() };
        let ResponseBody::Result(page) = exchange.exchange(request, notes, deadline).await?.body else {
            return Ok(None);
        };
        let Ok(members) = Members::of(&page) else { return Ok(None) };
        let tools: Vec<RawJson> =
            members.get(list.member()).and_then(|tools| serde_json::from_str(tools.get()).ok()).unwrap_or_default();
        let is_it = |tool: &RawJson| {
            Members::of(tool).ok().and_then(|tool| tool.get_str("name")).as_deref() == call.name.as_deref()
        };
        if let Some(tool) = tools.into_iter().find(is_it) {
            return Ok(Some(tool));
        }
        cursor = members.get_str("nextCursor").map(std::borrow::Cow::into_owned);
        if cursor.is_none() {
            return Ok(None);
        }
    }
    Ok(None)
}
