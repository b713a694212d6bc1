//! Lists, from the published catalogue. They are the same for all callers that see the same names.

use std::borrow::Cow;

use actix_web::HttpResponse;
use sessiongate_actors::clock;
use sessiongate_actors::settings::Listing;
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

pub async fn serve(
    caller: &Caller<'_>,
    list: ListKind,
    request: &Request,
    context: Context,
) -> Result<HttpResponse, HttpError> {
    if caller.gateway.gateway.settings().listing == Listing::Dynamic {
        return converse::list(caller, request.clone(), context).await;
    }
    let reply = match page(caller, list, request.params.as_ref()) {
        Ok(page) => context.complete_for(&page, caching(caller, list)),
        Err(refused) => context.reply(refused),
    };
    Ok(reply.into_response())
}

/// What was asked for by a header is not in the key that clients cache by.
fn caching(caller: &Caller<'_>, list: ListKind) -> Caching {
    let caching = caller.gateway.gateway.catalogue().caching(list, clock::now());
    if matches!(names::limit(caller.request), Ok(None)) { caching } else { caching.private() }
}

fn page(caller: &Caller<'_>, list: ListKind, params: Option<&RawJson>) -> Result<RawJson, Refused> {
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
    let offset = match cursor {
        None => 0,
        Some(members) => {
            let token = members.get_str("cursor").ok_or_else(|| invalid("`params.cursor` must be a string"))?;
            match Cursor::open(&gateway.sealer, scope, &token) {
                Some(Cursor::Page { version, offset, .. }) if version == catalogue.version(list) => offset,
                _ => return Err(invalid("`params.cursor` is no longer good: list again without a cursor")),
            }
        }
    };
    let limit = names::limit(caller.request).map_err(|error| invalid(&error.to_string()))?;
    let page = match limit {
        Some(limit) => catalogue.page_within(list, offset, usize::from(limit)),
        None => catalogue.page(list, offset),
    };
    let page = page.ok_or_else(|| invalid("`params.cursor` is past the end of the list"))?;
    let shown = (list == ListKind::Tools).then(|| Shown::of(gateway, limit)).flatten();
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
    if let Some(offset) = page.next {
        let cursor = Cursor::Page { list, version: catalogue.version(list), offset };
        if let Ok(token) = cursor.seal(&gateway.sealer, scope) {
            out.push_str(",\"nextCursor\":");
            out.push_str(&serde_json::to_string(&token).unwrap_or_default());
        }
    }
    out.push('}');
    RawJson::parse(out).map_err(|_| invalid("the list cannot be written"))
}
