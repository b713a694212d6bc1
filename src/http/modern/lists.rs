//! Lists: first the pages of the published catalogue, which are the same for all callers that see the same names, then
//! those that targets are asked for each time.

use std::borrow::Cow;

use actix_web::HttpResponse;
use sessiongate_actors::clock;
use sessiongate_protocol::cursor::{Cursor, CursorScope, ListKind};
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::caching::Caching;
use sessiongate_protocol::modern::results;
use sessiongate_protocol::{RawJson, Request, codes};

use super::affinity::handle::Shown;
use super::context::{Context, Refused};
use super::converse;
use crate::http::caller::Caller;
use crate::http::{HttpError, names};

/// What answers a request for a list.
enum Planned {
    /// A page of the catalogue.
    Page(RawJson),
    /// A target, in a session.
    Live,
}

pub async fn serve(
    caller: &Caller<'_>,
    list: ListKind,
    request: &Request,
    context: Context,
) -> Result<HttpResponse, HttpError> {
    let reply = match plan(caller, list, request.params.as_ref()) {
        Ok(Planned::Live) => return converse::list(caller, request.clone(), context).await,
        Ok(Planned::Page(page)) => context.complete_for(&page, caching(caller, list)),
        Err(refused) => context.reply(refused),
    };
    Ok(reply.into_response())
}

/// What was asked for by a header is not in the key that clients cache by.
fn caching(caller: &Caller<'_>, list: ListKind) -> Caching {
    let caching = caller.gateway.gateway.catalogue().caching(list, clock::now());
    if matches!(names::limit(caller.request), Ok(None)) { caching } else { caching.private() }
}

fn plan(caller: &Caller<'_>, list: ListKind, params: Option<&RawJson>) -> Result<Planned, Refused> {
    let gateway = &caller.gateway.gateway;
    let catalogue = gateway.catalogue();
    let scope = CursorScope { gateway: &gateway.name, principal: caller.principal.as_str().as_bytes(), list };
    let invalid = |message: &str| Refused {
        code: codes::INVALID_PARAMS,
        message: message.to_owned(),
        data: Some(serde_json::json!({"reason": "invalid_cursor"})),
    };
    let members = params.map(Members::of).transpose().map_err(|_| invalid("`params` cannot be read"))?;
    let cursor = members.as_ref().filter(|members| members.get("cursor").is_some());
    let limit = names::limit(caller.request).map_err(|error| invalid(&error.to_string()))?;
    let shown = (list == ListKind::Tools).then(|| Shown::of(gateway, limit)).flatten();
    let live = catalogue.next_live(list, None);
    let offset = match cursor {
        None if live.is_some() && catalogue.count(list) == 0 && shown.is_none() => return Ok(Planned::Live),
        None => 0,
        Some(members) => {
            let token = members.get_str("cursor").ok_or_else(|| invalid("`params.cursor` must be a string"))?;
            match Cursor::open(&gateway.sealer, scope, &token) {
                Some(Cursor::Page { version, offset, .. }) if version == catalogue.version(list) => offset,
                Some(Cursor::Downstream { target, .. }) if catalogue.is_live(&target) => return Ok(Planned::Live),
                _ => return Err(invalid("`params.cursor` is no longer good: list again without a cursor")),
            }
        }
    };
    let page = match limit {
        Some(limit) => catalogue.page_within(list, offset, usize::from(limit)),
        None => catalogue.page(list, offset),
    };
    let page = page.ok_or_else(|| invalid("`params.cursor` is past the end of the list"))?;
    let mut out = format!("{{\"{}\":[", list.member());
    for (at, item) in page.items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        match list {
            ListKind::Tools => {
                let item = shown.as_ref().map_or(Cow::Borrowed(item.as_ref()), |shown| shown.tool(item));
                out.push_str(results::tool_to_modern(&item).as_str());
            }
            _ => out.push_str(item.as_str()),
        }
    }
    if let Some(shown) = shown.filter(|_| page.next.is_none()) {
        for tool in shown.own() {
            if !out.ends_with('[') {
                out.push(',');
            }
            out.push_str(tool.as_str());
        }
    }
    out.push(']');
    let next = match page.next {
        Some(offset) => Some(Cursor::Page { list, version: catalogue.version(list), offset }),
        None => live.map(|target| Cursor::Downstream { list, target: target.to_string(), cursor: None }),
    };
    if let Some(token) = next.and_then(|cursor| cursor.seal(&gateway.sealer, scope).ok()) {
        out.push_str(",\"nextCursor\":");
        out.push_str(&serde_json::to_string(&token).unwrap_or_default());
    }
    out.push('}');
    RawJson::parse(out).map(Planned::Page).map_err(|_| invalid("the list cannot be written"))
}
