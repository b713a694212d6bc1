//! An endpoint: every request that is not for a page of the gateway itself.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::caller::Caller;
use super::{HttpError, connections, delete, get, metadata, post, principal};
use crate::gateway::{Runtime, via};

/// Every request that is not for a page of the gateway itself.
pub async fn serve(
    runtime: Data<Runtime>,
    request: HttpRequest,
    mut payload: Payload,
) -> Result<HttpResponse, HttpError> {
    if request.path().starts_with(metadata::WELL_KNOWN) {
        return Box::pin(metadata::serve(&runtime, &request)).await;
    }
    if let Some(refused) = connections::refuse(&request) {
        return Ok(refused);
    }
    let found = runtime.find(request.path(), || metadata::host(&request));
    // A host of its own opens a gateway and no other one.
    let own = |host: &str| {
        let table = runtime.table();
        let named = table.at_host(host);
        named.zip(found.as_ref()).is_some_and(|(named, found)| named.gateway.name == found.served.gateway.name)
    };
    runtime.guard().check(&request, own)?;
    if runtime.is_shutting_down() {
        return Err(HttpError::ShuttingDown);
    }
    let found = found.ok_or(HttpError::NoGateway)?;
    if !found.served.hosts.is_empty() {
        metadata::chosen_domain(&found.served, &request)?;
    }
    let identity = match principal::at_once(&runtime, &found, &request)? {
        Some(identity) => identity,
        None => Box::pin(principal::find_out(&runtime, &found, &request, &mut payload)).await?,
    };
    principal::permit(&runtime, &found, &identity, &request)?;
    let via = via::came_through(request.headers(), &found.served.gateway.name)?;
    let caller = Caller { via, ..Caller::new(&runtime, found.served, identity, &request) };
    match request.method().as_str() {
        "POST" => post::serve(&caller, &mut payload).await,
        "GET" => get::serve(&caller).await,
        "DELETE" => delete::serve(&caller).await,
        other => Err(HttpError::Method { method: other.to_owned(), allow: "POST, GET, DELETE" }),
    }
}
