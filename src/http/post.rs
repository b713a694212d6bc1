//! POST: a message of the client, or in revision 2025-03-26 several.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, Payload};
use futures_util::{StreamExt, stream};
use sessiongate_actors::SessionError;
use sessiongate_actors::session::CallAnswer;
use sessiongate_protocol::{Message, ParseError, Request};

use super::caller::{Caller, Session, gone};
use super::{HttpError, body, initialize, stream as sse};

/// Requests of a batch that run at once.
const BATCH_AT_ONCE: usize = 16;
/// A request follows its session out of memory and back this often.
const MAX_MOVES: u32 = 3;
/// A call that is quiet for this long gets a stream, so that proxies see life and the client can resume.
const QUIET: Duration = Duration::from_secs(5);

pub async fn serve(caller: &Caller<'_>, payload: &mut Payload) -> Result<HttpResponse, HttpError> {
    let (json, sse) = caller.accepts();
    if !json || !sse {
        return Err(HttpError::NotAcceptable("both `application/json` and `text/event-stream`"));
    }
    let is_json = caller.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
    });
    if !is_json {
        return Err(HttpError::UnsupportedMedia);
    }
    let announced =
        caller.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let body = body::read(payload, caller.runtime.body_limit(), announced).await?;
    match Message::parse(&body) {
        Ok(Message::Request(request)) if &*request.method == "initialize" => initialize::serve(caller, request).await,
        Ok(message) => one(caller, message).await,
        Err(ParseError::Batch) => batch(caller, &body).await,
        Err(error) => Err(error.into()),
    }
}

async fn one(caller: &Caller<'_>, message: Message) -> Result<HttpResponse, HttpError> {
    let id = match &message {
        Message::Request(request) => Some(request.id.clone()),
        _ => None,
    };
    if id.is_none() && !caller.gateway.sessions {
        // Without a session there is nothing that it could belong to.
        return Ok(HttpResponse::Accepted().finish());
    }
    let session = caller.session().await.map_err(|error| with_id(error, id.as_ref()))?;
    match message {
        Message::Request(request) => call(caller, session, request).await,
        Message::Notification(notification) => {
            session.notification(notification).map_err(|error| HttpError::session(gone(error), None))?;
            Ok(HttpResponse::Accepted().finish())
        }
        Message::Response(response) => {
            let id = response.id.clone();
            session.response(response).await.map_err(|error| HttpError::session(gone(error), id.as_ref()))?;
            Ok(HttpResponse::Accepted().finish())
        }
    }
}

fn with_id(error: HttpError, id: Option<&sessiongate_protocol::RequestId>) -> HttpError {
    match error {
        HttpError::Session { error, id: None } => HttpError::Session { error, id: id.cloned() },
        HttpError::Header(reason) => HttpError::Invalid { reason, id: id.cloned() },
        other => other,
    }
}

async fn call(caller: &Caller<'_>, session: Session, request: Request) -> Result<HttpResponse, HttpError> {
    let id = request.id.clone();
    let failed = |error| HttpError::session(gone(error), Some(&id));
    let (mut session, mut request) = (session, request);
    // A session may leave memory in the very moment: its next actor gets the request.
    let mut attempts = 0;
    let answer = loop {
        let call = session.request(request, caller.gateway.streaming).map_err(failed)?;
        match call.answer(QUIET).await.map_err(failed)? {
            CallAnswer::Left(unhandled) if attempts < MAX_MOVES => {
                attempts += 1;
                request = *unhandled;
                session = caller.session().await.map_err(|error| with_id(error, Some(&id)))?;
            }
            answer => break answer,
        }
    };
    Ok(match answer {
        CallAnswer::Left(_) => return Err(failed(SessionError::Overloaded)),
        CallAnswer::Json(body) => json(StatusCode::OK, body),
        CallAnswer::Refused { status, body } => {
            json(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body)
        }
        CallAnswer::Stream(attachment) => sse::response(caller, session, attachment),
        CallAnswer::Cancelled => HttpResponse::Accepted().finish(),
    })
}

fn json(status: StatusCode, body: Bytes) -> HttpResponse {
    HttpResponse::build(status).insert_header((CONTENT_TYPE, "application/json")).body(body)
}

/// An array: the requests run at once and are answered together, in JSON; their notifications go to the GET stream.
async fn batch(caller: &Caller<'_>, body: &Bytes) -> Result<HttpResponse, HttpError> {
    let session = caller.session().await?;
    if !session.revision().allows_batches() {
        return Err(ParseError::Batch.into());
    }
    let messages = Message::parse_batch(body)?;
    let invalid = |reason: &str| HttpError::Invalid { reason: reason.into(), id: None };
    if messages.len() > 100 {
        return Err(invalid("a batch holds 100 messages at most"));
    }
    let responses = messages.iter().filter(|message| matches!(message, Message::Response(_))).count();
    if responses > 0 && responses < messages.len() {
        return Err(invalid("a batch holds either requests and notifications, or responses"));
    }
    if messages.iter().any(|message| matches!(message, Message::Request(request) if &*request.method == "initialize")) {
        return Err(invalid("`initialize` must not be part of a batch"));
    }
    let mut pending = Vec::new();
    for message in messages {
        match message {
            Message::Request(request) => pending.push(request),
            Message::Notification(notification) => {
                session.notification(notification).map_err(|error| HttpError::session(gone(error), None))?;
            }
            Message::Response(response) => {
                let id = response.id.clone();
                session.response(response).await.map_err(|error| HttpError::session(gone(error), id.as_ref()))?;
            }
        }
    }
    if pending.is_empty() {
        return Ok(HttpResponse::Accepted().finish());
    }
    let session = &session;
    let answers = pending.into_iter().map(|request| async move {
        let id = request.id.clone();
        let refused = |error: SessionError| gone(error).body(Some(&id));
        match session.request(request, false) {
            Ok(call) => match call.answer(QUIET).await {
                Ok(CallAnswer::Json(body) | CallAnswer::Refused { body, .. }) => Some(body),
                Ok(CallAnswer::Cancelled) => None,
                // Asked for without streams, so this does not come.
                Ok(CallAnswer::Stream(_) | CallAnswer::Left(_)) => Some(refused(SessionError::Overloaded)),
                Err(error) => Some(refused(error)),
            },
            Err(error) => Some(refused(error)),
        }
    });
    // Not all at once: a batch must fit into the bound of calls in flight.
    let answers: Vec<Option<Bytes>> = stream::iter(answers).buffered(BATCH_AT_ONCE).collect().await;
    let answers: Vec<Bytes> = answers.into_iter().flatten().collect();
    let mut out = Vec::with_capacity(answers.iter().map(|answer| answer.len() + 1).sum::<usize>() + 2);
    out.push(b'[');
    out.extend_from_slice(&answers.join(&b","[..]));
    out.push(b']');
    Ok(json(StatusCode::OK, out.into()))
}
