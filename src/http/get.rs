//! GET: the standing stream of a session, or the rest of a stream that broke.

use actix_web::HttpResponse;
use sessiongate_actors::SessionError;
use sessiongate_protocol::EventId;

use super::caller::Caller;
use super::intercepted::{self, Behind};
use super::{HttpError, stream};

pub async fn serve(caller: &Caller<'_>) -> Result<HttpResponse, HttpError> {
    let last = caller.headers().get("last-event-id");
    let refused = || {
        let allow = if caller.gateway.sessions { "POST, DELETE" } else { "POST" };
        HttpError::Method { method: "GET".into(), allow }
    };
    // What was begun while the gateway still streamed is read to its end.
    if !caller.gateway.sessions || !caller.gateway.streaming && last.is_none() {
        return Err(refused());
    }
    if !caller.accepts.streams {
        return Err(HttpError::NotAcceptable("`text/event-stream`"));
    }
    let after = match last {
        None => None,
        Some(value) => {
            let text = String::from_utf8_lossy(value.as_bytes());
            let id = EventId::parse(text.trim()).ok_or_else(|| {
                HttpError::Header(format!("`Last-Event-ID` {} is not an id of this gateway", text.escape_debug()))
            })?;
            Some(id)
        }
    };
    let (session, attachment) = match caller.with_session(None, async |session| session.attach(after).await).await {
        Err(HttpError::Session { error: SessionError::NotStreamed, .. }) => return Err(refused()),
        found => found?,
    };
    let mut response = stream::response(caller, session.clone(), attachment);
    Behind::note(&caller.gateway, &mut response, || Behind::Stream { session });
    match &caller.gateway.interceptors {
        None => Ok(response),
        Some(interceptors) => intercepted::get(caller, interceptors, response).await,
    }
}
