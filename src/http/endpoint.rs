//! An endpoint: every request that is not for a page of the gateway itself.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use super::caller::Caller;
use super::cors::{self, Page};
use super::{HttpError, connections, delete, get, metadata, post, principal};
use crate::gateway::{Found, Runtime, via};

/// Every request that is not for a page of the gateway itself.
pub async fn serve(
    runtime: Data<Runtime>,
    request: HttpRequest,
    mut payload: Payload,
) -> Result<HttpResponse, HttpError> {
    if request.path().starts_with(metadata::WELL_KNOWN) {
        return Ok(Box::pin(metadata::serve(&runtime, &request)).await);
    }
    let Some(page) = Page::of(&request, |origin| runtime.guard().allows_origin(origin)) else {
        return answer(&runtime, &request, &mut payload).await;
    };
    if cors::is_preflight(&request) {
        // A browser asks without the credentials that the request itself will have.
        return match connections::refuse(&request) {
            Some(refused) => Ok(refused),
            None => find(&runtime, &request).map(|_| page.preflight(&request)),
        };
    }
    let answer = answer(&runtime, &request, &mut payload).await;
    Ok(page.show(answer.unwrap_or_else(|error| error.error_response())))
}

/// The gateway of a request that may be for one.
fn find(runtime: &Runtime, request: &HttpRequest) -> Result<Option<Found>, HttpError> {
    let found = runtime.find(request.path(), || metadata::host(request));
    // A host of its own opens a gateway and no other one.
    let own = |host: &str| {
        let table = runtime.table();
        let named = table.at_host(host);
        named.zip(found.as_ref()).is_some_and(|(named, found)| named.gateway.name == found.served.gateway.name)
    };
    runtime.guard().check(request, own)?;
    Ok(found)
}

async fn answer(
    runtime: &Data<Runtime>,
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<HttpResponse, HttpError> {
    if let Some(refused) = connections::refuse(request) {
        return Ok(refused);
    }
    let found = find(runtime, request)?;
    if runtime.is_shutting_down() {
        return Err(HttpError::ShuttingDown);
    }
    let found = found.ok_or(HttpError::NoGateway)?;
    metadata::chosen_domain(&found.served, request)?;
    let identity = match principal::at_once(runtime, &found, request)? {
        Some(identity) => identity,
        None => Box::pin(principal::find_out(runtime, &found, request, payload)).await?,
    };
    let policies = found.served.admission.policies();
    principal::permit(runtime, &found, &identity, request)?;
    let via = via::came_through(request.headers(), &found.served.gateway.name)?;
    let caller = Caller { via, ..Caller::new(runtime, found.served, identity, policies, request) };
    match request.method().as_str() {
        "POST" => post::serve(&caller, payload).await,
        "GET" => get::serve(&caller).await,
        "DELETE" => delete::serve(&caller).await,
        other => Err(HttpError::Method { method: other.to_owned(), allow: cors::METHODS }),
    }
}
