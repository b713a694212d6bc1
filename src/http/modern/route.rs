//! Where a request goes.

use std::borrow::Cow;
use std::sync::Arc;

use sessiongate_protocol::cursor::ListKind;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::meta::Reference;
use sessiongate_protocol::modern::envelope::Opened;
use sessiongate_protocol::modern::ladder::{self, Refusal};
use sessiongate_protocol::modern::param_headers::ParamHeaders;
use sessiongate_protocol::{RawJson, RequestId, Revision, codes, meta};
use sessiongate_targets::{Exchange, Hello, Target};

use super::context::{Context, Refused};
use super::reply::Reply;
use crate::http::caller::Caller;
use crate::http::names;

/// The target of a request, and what it calls what the client named.
pub struct Routed {
    pub target: Arc<str>,
    /// The name as the whole gateway shows it: not the short one that this client may have used.
    pub exposed: Box<str>,
    /// What the target calls it.
    pub name: Box<str>,
    /// Arguments of the tool that travel as headers.
    pub headers: Option<ParamHeaders>,
}

/// Finds the target by the catalogue.
pub fn find(caller: &Caller<'_>, method: &str, params: &Opened<'_>) -> Result<Routed, Refused> {
    let text = |member| params.text(member).map_err(|error| invalid(error.to_string()));
    match method {
        "tools/call" => by_name(caller, ListKind::Tools, text("name")?, "tool"),
        "prompts/get" => by_name(caller, ListKind::Prompts, text("name")?, "prompt"),
        "resources/read" => by_uri(caller, &text("uri")?),
        _ => match read_reference(params.params())? {
            Reference::Prompt(name) => by_name(caller, ListKind::Prompts, name.into(), "prompt"),
            Reference::Resource(uri) => by_uri(caller, &uri),
        },
    }
}

/// How a target is asked that was not known to be modern: it may just never have been asked.
pub async fn find_era(
    caller: &Caller<'_>,
    target: &dyn Target,
    context: &Context,
) -> Result<Option<Arc<dyn Exchange>>, Reply> {
    let hello = Hello {
        revision: Revision::LATEST_LEGACY,
        capabilities: RawJson::EMPTY_OBJECT,
        client_info: context.envelope.client_info.clone().unwrap_or_else(|| context.server_info().clone()),
        via: caller.via.as_deref().map(Into::into),
    };
    match target.find_era(&hello).await {
        Ok(()) => Ok(target.modern()),
        Err(error) => Err(context.target_failed(target.name(), &error.to_string(), error.code(), &error)),
    }
}

/// A header that proxies on the way may have read differently: twice there, or with more than visible ASCII.
pub fn ambiguous(caller: &Caller<'_>, name: &str) -> Option<Refusal> {
    let mut all = caller.headers().get_all(name);
    let first = all.next()?;
    if all.next().is_some() {
        return Some(ladder::header_mismatch(&format!("`{name}` is there more than once")));
    }
    first.to_str().is_err().then(|| ladder::header_mismatch(&format!("`{name}` must be visible ASCII, or encoded")))
}

/// The headers of a tool's arguments against the arguments.
pub fn check_headers(caller: &Caller<'_>, id: &RequestId, params: &Opened<'_>, routed: &Routed) -> Result<(), Reply> {
    // What an interceptor made of the arguments has the last word; the next hop gets headers of its own.
    let Some(headers) = routed.headers.as_ref().filter(|_| !caller.rewritten) else { return Ok(()) };
    let arguments = params.part("arguments");
    let twice = headers.names().find_map(|name| ambiguous(caller, name));
    if let Some(refusal) = twice {
        return Err(Reply::refused(id, &refusal));
    }
    let sent = |name: &str| caller.headers().get(name)?.to_str().ok().map(str::to_owned);
    headers
        .check(arguments.as_ref(), sent)
        .map_err(|error| Reply::refused(id, &ladder::header_mismatch(&error.to_string())))
}

/// The headers of a tool's arguments on the next hop.
pub fn argument_headers(routed: &Routed, params: &Opened<'_>) -> Vec<(Box<str>, Box<str>)> {
    match &routed.headers {
        Some(headers) => headers.derive(params.part("arguments").as_ref()),
        None => Vec::new(),
    }
}

/// `params.arguments`.
pub fn arguments(params: &RawJson) -> Option<RawJson> {
    RawJson::parse(Members::of(params).ok()?.get("arguments")?.get().to_owned()).ok()
}

fn read_reference(params: &RawJson) -> Result<Reference, Refused> {
    meta::reference_of(params).map_err(|error| invalid(error.to_string()))
}

fn by_name(caller: &Caller<'_>, kind: ListKind, name: Cow<'_, str>, what: &str) -> Result<Routed, Refused> {
    let gateway = &caller.gateway.gateway;
    let catalogue = gateway.catalogue();
    let limit = names::limit(caller.request).map_err(|error| invalid(error.to_string()))?;
    let whole = limit.and_then(|limit| catalogue.unshortened(kind, &name, usize::from(limit))).unwrap_or(&name);
    let Some(route) = catalogue.route_name(kind, whole) else {
        let data = serde_json::json!({"reason": "unknown_name"});
        let message = format!("unknown {what} `{name}`: list them to see what there is");
        return Err(Refused { code: codes::INVALID_PARAMS, message, data: Some(data) });
    };
    let headers = match kind {
        ListKind::Tools => catalogue.item(kind, whole).and_then(|tool| ParamHeaders::of_tool(tool).ok().flatten()),
        _ => None,
    };
    Ok(Routed { target: route.target, exposed: whole.into(), name: route.name, headers })
}

fn by_uri(caller: &Caller<'_>, uri: &str) -> Result<Routed, Refused> {
    let Some(target) = caller.gateway.gateway.catalogue().route_uri(uri) else {
        let data = serde_json::json!({"uri": uri, "reason": "resource_not_found"});
        return Err(Refused { code: codes::INVALID_PARAMS, message: "resource not found".into(), data: Some(data) });
    };
    Ok(Routed { target, exposed: uri.into(), name: uri.into(), headers: None })
}

fn invalid(message: String) -> Refused {
    Refused { code: codes::INVALID_PARAMS, message, data: Some(serde_json::json!({"reason": "invalid_params"})) }
}
