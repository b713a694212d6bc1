//! DELETE: the client ends its session.

use actix_web::HttpResponse;
use sessiongate_actors::session::core::EndReason;

use super::HttpError;
use super::caller::{Caller, gone};

pub async fn serve(caller: &Caller<'_>) -> Result<HttpResponse, HttpError> {
    if !caller.gateway.sessions {
        return Err(HttpError::Method { method: "DELETE".into(), allow: "POST" });
    }
    let session = caller.session().await?;
    session.end(EndReason::Deleted).await.map_err(|error| HttpError::session(gone(error), None))?;
    Ok(HttpResponse::NoContent().finish())
}
