//! POST: a message of the client, or in revision 2025-03-26 several.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName};
use actix_web::web::{Bytes, Payload};
use futures_util::{StreamExt, stream};
use sessiongate_actors::SessionError;
use sessiongate_actors::session::CallAnswer;
use sessiongate_protocol::modern::envelope::Envelope;
use sessiongate_protocol::modern::headers;
use sessiongate_protocol::modern::ladder::{self, Class, HeaderView};
use sessiongate_protocol::{Message, ParseError, Request, RequestId};

use super::caller::{Caller, PROTOCOL_VERSION, Session};
use super::{HttpError, body, initialize, intercepted, modern, passed, search, stream as sse};

/// The headers that repeat what the body of a modern request says, parsed once.
static MIRRORED: [HeaderName; 3] = [
    HeaderName::from_static(PROTOCOL_VERSION),
    HeaderName::from_static(headers::METHOD),
    HeaderName::from_static(headers::NAME),
];
/// Requests of a batch that run at once.
const BATCH_AT_ONCE: usize = 16;
/// A call that is quiet for this long gets a stream, so that proxies see life and the client can resume.
const QUIET: Duration = Duration::from_secs(5);

pub async fn serve(caller: &Caller<'_>, payload: &mut Payload) -> Result<HttpResponse, HttpError> {
    // A client that lists no streams (the protocol says that it must) is answered as where there are none.
    if !caller.accepts.json {
        return Err(HttpError::NotAcceptable(
            "`application/json`, and `text/event-stream` for answers that are streams",
        ));
    }
    let is_json = caller.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
    });
    if !is_json {
        return Err(HttpError::UnsupportedMedia);
    }
    let announced = body::announced(caller.headers());
    let body = match &caller.body {
        Some(body) => body.clone(),
        None => body::read(payload, caller.runtime.body_limit(), announced).await?,
    };
    match &caller.gateway.interceptors {
        None => dispatch(caller, body).await,
        Some(interceptors) => Box::pin(intercepted::post(caller, interceptors, body)).await,
    }
}

/// Carries out what the body says, with what passes beside it.
pub async fn dispatch(caller: &Caller<'_>, body: Bytes) -> Result<HttpResponse, HttpError> {
    match (&caller.gateway.passes, &caller.via) {
        (None, None) => carry_out(caller, body).await,
        (names, _) => Box::pin(passed::carry_out(caller, names.as_deref(), body)).await,
    }
}

/// Carries out what the body says.
pub async fn carry_out(caller: &Caller<'_>, body: Bytes) -> Result<HttpResponse, HttpError> {
    let parsed = Message::parse(&body);
    let rate = caller.gateway.rate.as_ref().filter(|_| !caller.is_counted());
    if let (Some(rate), Ok(Message::Request(request))) = (rate, &parsed) {
        rate.admit(1).map_err(|error| HttpError::over_rate(error, Some(&request.id)))?;
    }
    if let (Some(_), Ok(Message::Request(request))) = (&caller.gateway.searches, &parsed) {
        Box::pin(search::prepare(caller, [request].into_iter(), Some(&request.id))).await?;
    }
    if let Ok(message) = &parsed
        && let Some(answer) = modern(caller, message).await?
    {
        return Ok(answer);
    }
    if caller.gateway.versions.legacy().next().is_none() {
        return Ok(standing_alone(caller, parsed.as_ref().ok()));
    }
    match parsed {
        Ok(Message::Request(request)) if &*request.method == "initialize" => initialize::serve(caller, request).await,
        Ok(message) => one(caller, message).await,
        Err(ParseError::Batch) => batch(caller, &body).await,
        Err(error) => Err(error.into()),
    }
}

/// Counts the requests among these messages.
///
/// # Errors
/// Over the gateway's rate: HTTP 429.
pub fn admit(caller: &Caller<'_>, messages: &[Message], id: Option<&RequestId>) -> Result<(), HttpError> {
    let Some(rate) = &caller.gateway.rate else { return Ok(()) };
    let requests = messages.iter().filter(|message| matches!(message, Message::Request(_))).count();
    rate.admit(requests).map_err(|error| HttpError::over_rate(error, id))
}

/// Answers a message of the modern era; none where it is not one.
async fn modern(caller: &Caller<'_>, message: &Message) -> Result<Option<HttpResponse>, HttpError> {
    let sent = |name: &HeaderName| {
        let mut all = caller.headers().get_all(name);
        let first = all.next();
        let clear = all.next().is_none() && first.is_none_or(|value| value.to_str().is_ok());
        (first.map(|value| String::from_utf8_lossy(value.as_bytes())), clear)
    };
    let [(version, a), (method, b), (name, c)] = MIRRORED.each_ref().map(sent);
    let view = HeaderView { protocol_version: version.as_deref(), method: method.as_deref(), name: name.as_deref() };
    let (envelope, params) = match ladder::classify(message, &view, caller.gateway.versions.all()) {
        Class::Legacy => return Ok(None),
        Class::Modern(envelope, params) => (envelope, params),
        Class::Notification => return Ok(Some(HttpResponse::Accepted().finish())),
        Class::Refused(refusal) => return Ok(Some(modern::refusal(id_of(message), &refusal))),
    };
    let Message::Request(request) = message else { return Ok(None) };
    let clear = a && b && c;
    let ambiguous = || MIRRORED.iter().find_map(|header| modern::ambiguous(caller, header.as_str()));
    if let Some(refusal) = if clear { None } else { ambiguous() } {
        return Ok(Some(modern::refusal(Some(&request.id), &refusal)));
    }
    if let Err(refusal) = ladder::validate(request, &params, &view) {
        return Ok(Some(modern::refusal(Some(&request.id), &refusal)));
    }
    modern::serve(caller, request, envelope, &params).await.map(Some)
}

/// The answer to a message of a session, where a gateway has none.
fn standing_alone(caller: &Caller<'_>, message: Option<&Message>) -> HttpResponse {
    let asked = match message {
        Some(Message::Request(request)) if &*request.method == "initialize" => {
            initialize::requested(request.params.as_ref())
        }
        _ => None,
    };
    let said = || caller.headers().get(PROTOCOL_VERSION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let requested = asked.or_else(said).unwrap_or_else(|| caller.gateway.versions.unsaid().to_string());
    modern::refusal(message.and_then(id_of), &ladder::unsupported(&requested, caller.gateway.versions.all()))
}

fn id_of(message: &Message) -> Option<&RequestId> {
    match message {
        Message::Request(request) => Some(&request.id),
        Message::Notification(_) => None,
        Message::Response(response) => response.id.as_ref(),
    }
}

async fn one(caller: &Caller<'_>, message: Message) -> Result<HttpResponse, HttpError> {
    if !caller.gateway.sessions && !matches!(message, Message::Request(_)) {
        // Without a session there is nothing that it could belong to.
        return Ok(HttpResponse::Accepted().finish());
    }
    match message {
        Message::Request(request) => call(caller, &request).await,
        told => {
            let session = caller.session().await?;
            tell(caller, session, told).await?;
            Ok(HttpResponse::Accepted().finish())
        }
    }
}

/// Hands over what is not answered.
async fn tell(caller: &Caller<'_>, session: Session, message: Message) -> Result<(), HttpError> {
    match message {
        Message::Request(_) => {}
        Message::Notification(told) => {
            caller.follow(session, None, async |session| session.notification(told.clone()).await).await?;
        }
        Message::Response(answer) => {
            let id = answer.id.clone();
            caller
                .follow(session, id.as_ref(), async |session| {
                    session.response_with(answer.clone(), caller.passed.clone()).await
                })
                .await?;
        }
    }
    Ok(())
}

async fn call(caller: &Caller<'_>, request: &Request) -> Result<HttpResponse, HttpError> {
    let streaming = caller.streams();
    let (session, answer) = caller
        .with_session(Some(&request.id), async |session| {
            session.request_with(request.clone(), streaming, None, caller.passed.clone())?.answer(QUIET).await
        })
        .await?;
    Ok(match answer {
        CallAnswer::Json(body) => json(StatusCode::OK, body),
        CallAnswer::Refused { status, body } => {
            json(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body)
        }
        CallAnswer::Stream(attachment) => {
            let mut response = sse::response(caller, session.clone(), attachment);
            let id = request.id.clone();
            intercepted::Behind::note(&caller.gateway, &mut response, || intercepted::Behind::Call { session, id });
            response
        }
        CallAnswer::Cancelled => HttpResponse::Accepted().finish(),
    })
}

fn json(status: StatusCode, body: Bytes) -> HttpResponse {
    HttpResponse::build(status).insert_header((CONTENT_TYPE, "application/json")).body(body)
}

/// An array: the requests run at once and are answered together, in JSON; their notifications go to the GET stream.
async fn batch(caller: &Caller<'_>, body: &Bytes) -> Result<HttpResponse, HttpError> {
    let invalid = |reason: &str| HttpError::Invalid { reason: reason.into(), id: None };
    let modern = |message: &Message| {
        let params = match message {
            Message::Request(request) => request.params.as_ref(),
            Message::Notification(told) => told.params.as_ref(),
            Message::Response(_) => None,
        };
        params.is_some_and(Envelope::is_in)
    };
    let parsed = Message::parse_batch(body);
    if parsed.as_ref().is_ok_and(|messages| messages.iter().any(modern)) {
        return Err(invalid("a request of 2026-07-28 stands alone: it is no part of a batch"));
    }
    let session = caller.session().await?;
    if !session.revision().allows_batches() {
        return Err(ParseError::Batch.into());
    }
    let messages = parsed?;
    if !caller.is_counted() {
        admit(caller, &messages, None)?;
    }
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
            told => tell(caller, session.clone(), told).await?,
        }
    }
    if pending.is_empty() {
        return Ok(HttpResponse::Accepted().finish());
    }
    if caller.gateway.searches.is_some() {
        Box::pin(search::prepare(caller, pending.iter(), None)).await?;
    }
    // The headers that many answers bring are nobody's.
    let passed = caller.passed.as_deref().map(|passed| Arc::new(passed.again()));
    let answers = pending.into_iter().map(|request| {
        let (session, passed) = (session.clone(), passed.clone());
        async move {
            let id = &request.id;
            let answer = caller
                .follow(session, Some(id), async |session| {
                    session.request_with(request.clone(), false, None, passed.clone())?.answer(QUIET).await
                })
                .await;
            match answer {
                Ok((_, CallAnswer::Json(body) | CallAnswer::Refused { body, .. })) => Some(body),
                Ok((_, CallAnswer::Cancelled)) => None,
                // Asked for without streams, so this does not come.
                Ok((_, CallAnswer::Stream(_))) => Some(SessionError::Overloaded.body(Some(id))),
                Err(error) => Some(error.body()),
            }
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
