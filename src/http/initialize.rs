//! `initialize`: a session begins. It never touches a target.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use serde::Deserialize;
use sessiongate_actors::directory::NewSession;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::{RawJson, Request, ResponseBody, Revision, Unreadable, codes, jsonrpc};

use super::caller::{Caller, SESSION_ID};
use super::{HttpError, about, names};
use crate::gateway::Served;

/// What a client says of itself, in bytes: it is kept as long as the session, and sent to each target.
const MAX_SAID: usize = 64 * 1024;

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "protocolVersion")]
    protocol_version: String,
    capabilities: RawJson,
    #[serde(rename = "clientInfo")]
    client_info: RawJson,
}

pub async fn serve(caller: &Caller<'_>, request: Request) -> Result<HttpResponse, HttpError> {
    let invalid = |reason: String| HttpError::Invalid { reason, id: Some(request.id.clone()) };
    // Without sessions the header means nothing.
    if caller.gateway.sessions
        && let Some(id) = caller.session_id()?
    {
        let known = caller.runtime.directory().find(&caller.gateway.gateway, &caller.principal, id).await;
        return Err(match known {
            Ok(_) => invalid("the session is initialized already: leave `Mcp-Session-Id` out to begin another".into()),
            Err(error) => HttpError::session(error, Some(&request.id)),
        });
    }
    let params: Params = match request.params.as_ref().map(RawJson::get).transpose() {
        Ok(Some(params)) => params,
        Ok(None) => return Ok(refuse(&request, "`params` is missing")),
        Err(error) => return Ok(refuse(&request, &format!("`params` of `initialize`: {}", Unreadable::from(&error)))),
    };
    let said = params.capabilities.len() + params.client_info.len();
    if said > MAX_SAID || Members::of(&params.capabilities).is_err() || Members::of(&params.client_info).is_err() {
        let message = format!("`capabilities` and `clientInfo` must be objects, of {MAX_SAID} bytes together at most");
        return Ok(refuse(&request, &message));
    }
    let Some(revision) = caller.gateway.versions.negotiate(&params.protocol_version) else {
        return Err(invalid("no revision with sessions is served here".into()));
    };
    let max_name_length = names::limit(caller.request).map_err(|error| invalid(error.to_string()))?;
    if !caller.gateway.sessions {
        let body =
            jsonrpc::response(Some(&request.id), &ResponseBody::Result(result(&caller.gateway, revision, false)));
        return Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(body));
    }
    if caller.runtime.is_shutting_down() {
        return Err(HttpError::ShuttingDown);
    }
    let Params { capabilities, client_info, .. } = params;
    let via = caller.via.as_deref().map(Into::into);
    let new = NewSession { revision, capabilities, client_info, max_name_length, via };
    let result = result(&caller.gateway, revision, true);
    let (id, _) = caller
        .runtime
        .directory()
        .create(&caller.gateway.gateway, &caller.principal, new)
        .await
        .map_err(|error| HttpError::session(error, Some(&request.id)))?;
    let body = jsonrpc::response(Some(&request.id), &ResponseBody::Result(result));
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).insert_header((SESSION_ID, id)).body(body))
}

/// The revision that an `initialize` asks for.
pub fn requested(params: Option<&RawJson>) -> Option<String> {
    Members::of(params?).ok()?.get_str("protocolVersion").map(|version| version.into_owned())
}

fn refuse(request: &Request, message: &str) -> HttpResponse {
    let body = jsonrpc::error_body(codes::INVALID_PARAMS, message, None);
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/json"))
        .body(jsonrpc::response(Some(&request.id), &body))
}

/// Capabilities are frozen here, so everything is announced that any target can do, or could when it comes up.
fn result(served: &Served, revision: Revision, sessions: bool) -> RawJson {
    let gateway = &served.gateway;
    let mut capabilities = about::capabilities(served, revision);
    if !sessions && let Some(all) = capabilities.as_object_mut() {
        // Many targets keep a task for the session that began it.
        all.remove("tasks");
    }
    let mut result = serde_json::json!({
        "protocolVersion": revision.as_str(),
        "capabilities": capabilities,
        "serverInfo": about::server_info(gateway),
    });
    if let Some(instructions) = about::instructions(served) {
        result["instructions"] = instructions.into();
    }
    RawJson::from_serialize(&result).unwrap_or(RawJson::EMPTY_OBJECT)
}
