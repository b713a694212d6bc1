//! An endpoint: every request that is not for a page of the gateway itself.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::caller::Caller;
use super::{HttpError, delete, get, post, principal};
use crate::gateway::Runtime;

/// Every request that is not for a page of the gateway itself.
pub async fn serve(
    runtime: Data<Runtime>,
    request: HttpRequest,
    mut payload: Payload,
) -> Result<HttpResponse, HttpError> {
    runtime.guard().check(&request)?;
    if runtime.is_shutting_down() {
        return Err(HttpError::ShuttingDown);
    }
    let gateway = runtime.gateway_at(request.path()).ok_or(HttpError::NoGateway)?;
    let principal = principal::principal(&gateway, &request)?;
    let caller = Caller { runtime: &runtime, gateway, principal, request: &request };
    match request.method().as_str() {
        "POST" => post::serve(&caller, &mut payload).await,
        "GET" => get::serve(&caller).await,
        "DELETE" => delete::serve(&caller).await,
        other => Err(HttpError::Method { method: other.to_owned(), allow: "POST, GET, DELETE" }),
    }
}
