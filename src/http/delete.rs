//! DELETE: the client ends its session.

use actix_web::HttpResponse;
use sessiongate_actors::session::core::EndReason;

use super::HttpError;
use super::caller::Caller;

pub async fn serve(caller: &Caller<'_>) -> Result<HttpResponse, HttpError> {
    if !caller.gateway.sessions {
        return Err(HttpError::Method { method: "DELETE".into(), allow: "POST" });
    }
    caller.with_session(None, async |session| session.end(EndReason::Deleted).await).await?;
    Ok(HttpResponse::NoContent().finish())
}
