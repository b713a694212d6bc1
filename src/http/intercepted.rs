//! Requests of a gateway with interceptors: what they see, and what becomes of it.
//!
//! A request is seen after it is clear who calls, and before anything of it is carried out; what the client is, an
//! interceptor cannot change. An answer is seen whole, or message by message where it is a stream, also one that is read
//! on after it broke: there is no way around an interceptor.

mod behind;
mod events;
mod frames;
mod mirror;

pub use behind::Behind;

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BoxBody, to_bytes};
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, ResponseError};
use sessiongate_protocol::{Message, RequestId};

use super::caller::Caller;
use super::{HttpError, post};
use crate::intercept::{
    AsRequest, AsResponse, InterceptError, Interceptor, Interceptors, Point, RequestVerdict, ResponseVerdict,
};

/// The request that an answer is for, as interceptors of answers see it.
struct Asked {
    method: Method,
    headers: HeaderMap,
    raw: Bytes,
    body: Bytes,
    /// Of the one request in the body.
    id: Option<RequestId>,
    /// An interceptor has answered it.
    answered: bool,
    /// Between two comments on a quiet stream.
    keep_alive: Duration,
}

/// A message of the client, or several.
pub async fn post(caller: &Caller<'_>, interceptors: &Interceptors, raw: Bytes) -> Result<HttpResponse, HttpError> {
    let Ok(messages) = Message::parse_batch(&raw) else {
        // It is refused without being carried out, and there is nothing to be seen in it.
        return post::dispatch(caller, raw).await;
    };
    let id = match messages.as_slice() {
        [Message::Request(request)] => Some(request.id.clone()),
        _ => None,
    };
    // Whoever asks too often must not make the gateway ask an interceptor as often.
    post::admit(caller, &messages, id.as_ref())?;
    let mut asked = Asked {
        method: Method::POST,
        headers: caller.headers().clone(),
        raw: raw.clone(),
        body: raw,
        id,
        answered: false,
        keep_alive: caller.gateway.timing.keep_alive,
    };
    let mut rewritten = false;
    if let Some(interceptor) = &interceptors.request {
        let verdict = interceptor.request(asked.shown(), &asked.raw).await;
        match verdict.map_err(|error| refused(error, asked.id.as_ref()))? {
            RequestVerdict::Answer { status, headers, body } => {
                asked.answered = true;
                let answer = answer(status, headers, body);
                return respond(interceptors, asked, answer).await;
            }
            RequestVerdict::GoOn { headers, body } => {
                headers.into_iter().for_each(|(name, value)| drop(asked.headers.insert(name, value)));
                if let Some(body) = body {
                    if body.len() > caller.runtime.body_limit() {
                        let error =
                            interceptor.unusable(Point::Request, "the transformed request is larger than `body_limit`");
                        return Err(refused(error, asked.id.as_ref()));
                    }
                    mirror::follow(&mut asked.headers, &messages, &body);
                    asked.body = body;
                    rewritten = true;
                }
            }
        }
    }
    if let Some(interceptor) = &interceptors.response {
        // What is done must be able to be shown.
        interceptor.has_room(asked.shown()).map_err(|error| refused(error, asked.id.as_ref()))?;
    }
    let carried_out = post::dispatch(&caller.intercepted(&asked.headers, rewritten), asked.body.clone()).await;
    match carried_out {
        Err(error) if interceptors.response.is_some() => respond(interceptors, asked, error.error_response()).await,
        Err(error) => Err(error),
        Ok(response) => respond(interceptors, asked, response).await,
    }
}

/// A stream of a session that was asked for by itself.
pub async fn get(
    caller: &Caller<'_>,
    interceptors: &Interceptors,
    response: HttpResponse,
) -> Result<HttpResponse, HttpError> {
    let asked = Asked {
        method: Method::GET,
        headers: caller.headers().clone(),
        raw: Bytes::new(),
        body: Bytes::new(),
        id: None,
        answered: false,
        keep_alive: caller.gateway.timing.keep_alive,
    };
    respond(interceptors, asked, response).await
}

/// What the client gets of an answer.
async fn respond(interceptors: &Interceptors, asked: Asked, response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let Some(interceptor) = &interceptors.response else { return Ok(response) };
    let is_stream = response.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes() == b"text/event-stream");
    match is_stream {
        true => events::respond(interceptor.clone(), asked, response).await,
        false => whole(interceptor, asked, response).await,
    }
}

async fn whole(
    interceptor: &Arc<Interceptor>,
    asked: Asked,
    mut response: HttpResponse,
) -> Result<HttpResponse, HttpError> {
    let behind = response.extensions_mut().remove::<Behind>();
    let (mut head, body) = response.into_parts();
    let unreadable =
        |_| refused(interceptor.unusable(Point::Response, "the answer could not be read"), asked.id.as_ref());
    let body = to_bytes(body).await.map_err(unreadable)?;
    if body.is_empty() && !asked.answered {
        // That a message was accepted says nothing that could be seen.
        return Ok(head.set_body(BoxBody::new(body)));
    }
    let shown = AsResponse { head: Some((head.status(), head.headers())), body: &body, streaming: false };
    let verdict = match interceptor.response(asked.shown(), shown, &body).await {
        Ok(verdict) => verdict,
        Err(error) => {
            if let Some(behind) = behind {
                behind.answer_refused().await;
            }
            return Err(refused(error, asked.id.as_ref()));
        }
    };
    change_head(&mut head, &verdict);
    if let Some(now) = &verdict.body {
        if body.is_empty() {
            head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(behind) = behind {
            behind.answer_replaced(&body, now).await;
        }
    }
    Ok(head.set_body(BoxBody::new(verdict.body.unwrap_or(body))))
}

fn change_head(head: &mut HttpResponse<()>, verdict: &ResponseVerdict) {
    if let Some(status) = verdict.status {
        *head.status_mut() = status;
    }
    for (name, value) in &verdict.headers {
        head.headers_mut().insert(name.clone(), value.clone());
    }
}

/// The answer of an interceptor of requests.
fn answer(status: StatusCode, headers: HeaderMap, body: Bytes) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    if !body.is_empty() {
        response.insert_header((CONTENT_TYPE, "application/json"));
    }
    let mut response = response.body(body);
    headers.into_iter().for_each(|(name, value)| drop(response.headers_mut().insert(name, value)));
    response
}

fn refused(error: InterceptError, id: Option<&RequestId>) -> HttpError {
    HttpError::Intercepted { error, id: id.cloned() }
}

// === impl Asked ===

impl Asked {
    fn shown(&self) -> AsRequest<'_> {
        AsRequest { method: self.method.as_str(), headers: &self.headers, raw: &self.raw, body: &self.body }
    }
}
