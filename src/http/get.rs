//! GET: the standing stream of a session, or the rest of a stream that broke.

use actix_web::HttpResponse;
use sessiongate_protocol::EventId;

use super::caller::Caller;
use super::{HttpError, intercepted, stream};

pub async fn serve(caller: &Caller<'_>) -> Result<HttpResponse, HttpError> {
    if !caller.gateway.streaming || !caller.gateway.sessions {
        let allow = if caller.gateway.sessions { "POST, DELETE" } else { "POST" };
        return Err(HttpError::Method { method: "GET".into(), allow });
    }
    let (_, sse) = caller.accepts();
    if !sse {
        return Err(HttpError::NotAcceptable("`text/event-stream`"));
    }
    let after = match caller.headers().get("last-event-id") {
        None => None,
        Some(value) => {
            let text = String::from_utf8_lossy(value.as_bytes());
            let id = EventId::parse(text.trim()).ok_or_else(|| {
                HttpError::Header(format!("`Last-Event-ID` {} is not an id of this gateway", text.escape_debug()))
            })?;
            Some(id)
        }
    };
    let (session, attachment) = caller.with_session(None, async |session| session.attach(after).await).await?;
    let response = stream::response(caller, session, attachment);
    match &caller.gateway.interceptors {
        None => Ok(response),
        Some(interceptors) => intercepted::get(caller, interceptors, response).await,
    }
}
