//! The control listener: HTTP in, operations out (rest-json).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::web::{self, Data, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use actix_web_lab::middleware::CatchPanic;
use uuid::Uuid;

use super::error::SignatureFailure;
use super::model::{Input, OperationName, model};
use super::throttle::Throttle;
use super::{Control, ControlError, Done};
use crate::auth::sigv4::{RequestParts, SigV4Error, Verifier};
use crate::http::{Bound, HttpError, body};

/// The largest request.
const BODY: usize = 6_000_000;
/// Connections at once; more wait until one ends.
const CONNECTIONS: usize = 256;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// What all requests of the listener share.
pub struct Door {
    /// The operations.
    pub control: Arc<Control>,
    /// Who may sign.
    pub verifier: Verifier,
    /// How often.
    pub throttle: Throttle,
}

/// Binds the listener. It runs when the server in the result is awaited; signals are the caller's business.
///
/// # Errors
/// Where the address cannot be had.
pub fn bind(listen: SocketAddr, door: Data<Door>, shutdown: Duration) -> std::io::Result<Bound> {
    let listener = TcpListener::bind(listen)?;
    let address = listener.local_addr()?;
    let server = HttpServer::new(move || {
        // Every path comes here as it was sent: a redirect or a rewritten path would break its signature.
        App::new().app_data(door.clone()).wrap(CatchPanic::default()).default_service(web::to(serve))
    })
    .workers(1)
    .max_connections(CONNECTIONS)
    .keep_alive(Duration::from_secs(75))
    .client_request_timeout(Duration::from_secs(5))
    .shutdown_timeout(shutdown.as_secs().max(1))
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(Bound { address, server })
}

async fn serve(door: Data<Door>, request: HttpRequest, mut payload: Payload) -> HttpResponse {
    let id = Uuid::new_v4();
    let (operation, answer) = match answer(&door, &request, &mut payload).await {
        Ok((operation, done)) => (Some(operation), Ok(done)),
        Err(Refused { operation, error, proven }) => (operation, Err((error, proven))),
    };
    let named = operation.map(|name| name.to_string()).unwrap_or_else(|| "unknown".to_owned());
    let mut response = match answer {
        Ok(done) => {
            tracing::info!(operation = named, request_id = %id, status = done.status, "control request");
            let mut response = HttpResponse::build(status(done.status));
            match done.body {
                Some(body) => response.insert_header((CONTENT_TYPE, "application/json")).body(body.to_string()),
                None => response.finish(),
            }
        }
        Err((error, proven)) => {
            let reply = error.reply();
            match error.log_detail() {
                Some(detail) => tracing::error!(operation = named, request_id = %id, detail, "control request failed"),
                None => {
                    tracing::info!(operation = named, request_id = %id, status = reply.status, error = reply.error_type, %error, "control request refused");
                }
            }
            metrics::counter!("sessiongate_control_refused_total", "error" => reply.error_type).increment(1);
            let mut response = HttpResponse::build(status(reply.status));
            response.insert_header((CONTENT_TYPE, "application/json")).insert_header((ERROR_TYPE, reply.error_type));
            // There are few places: nobody keeps one without a good signature, and what is left of a body stays unread.
            if !proven {
                response.force_close();
            }
            response.body(reply.body.to_string())
        }
    };
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// A request that was not done.
struct Refused {
    /// What it asks for, where that is known.
    operation: Option<OperationName>,
    error: ControlError,
    /// It is known who sends it.
    proven: bool,
}

async fn answer(door: &Door, request: &HttpRequest, payload: &mut Payload) -> Result<(OperationName, Done), Refused> {
    let unknown = |error| Refused { operation: None, error, proven: false };
    let uri = request.uri();
    let raw_query = uri.query().unwrap_or_default();
    // The Host header of HTTP/1, `:authority` of HTTP/2.
    let host = request.headers().get(actix_web::http::header::HOST).and_then(|value| value.to_str().ok());
    let authority = host.or_else(|| uri.authority().map(|authority| authority.as_str())).unwrap_or_default();
    let parts = |body| RequestParts {
        method: request.method().as_str(),
        raw_path: uri.path(),
        raw_query,
        headers: request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())),
        authority,
        body,
    };
    // What anybody could send is not worth the memory.
    door.verifier.precheck(parts(&[]), SystemTime::now()).map_err(signature).map_err(unknown)?;
    let (announced, waiting) = (body::announced(request.headers()), door.control.runtime.waiting());
    let read = body::read_unproven(payload, BODY, announced, waiting).await;
    let (body, held) = read.map_err(unreadable).map_err(unknown)?;
    let verified = door.verifier.verify(parts(&body[..]), SystemTime::now()).map_err(signature).map_err(unknown)?;
    drop(held);
    // Who is not known learns nothing about operations.
    let matched = model().route(request.method().as_str(), uri.path());
    let matched = matched.map_err(|error| Refused { operation: None, error, proven: true })?;
    let name = matched.operation.name;
    let named = |error| Refused { operation: Some(name), error, proven: true };
    let action = format!("bedrock-agentcore:{name}");
    if !verified.caller.allows(&action) {
        let who = verified.caller.principal_arn();
        let message = format!("{who} has no permission {action}: it needs one in `control.credentials`");
        return Err(named(ControlError::AccessDenied { message }));
    }
    door.throttle.admit(name).map_err(named)?;
    let input = Input::parse(model(), matched, raw_query, &body).map_err(named)?;
    let (control, who) = (door.control.clone(), verified.caller.principal_arn().to_owned());
    // A task of its own: a client that goes away must not leave a change half made, stored and not seen.
    let performed = actix_rt::spawn(async move { control.perform(input, &who).await });
    let done = performed.await.unwrap_or_else(|error| Err(ControlError::Internal { detail: error.to_string() }));
    let done = done.map_err(named)?;
    Ok((name, done))
}

fn unreadable(error: HttpError) -> ControlError {
    match &error {
        HttpError::Session { .. } => ControlError::Throttling { message: error.to_string() },
        _ => ControlError::cannot_parse(error.to_string()),
    }
}

fn signature(error: SigV4Error) -> ControlError {
    tracing::info!(detail = error.log_detail(), "a signature was refused");
    if let SigV4Error::BeforeStart { .. } = error {
        return ControlError::Throttling { message: error.to_string() };
    }
    let failure = match error.error_type() {
        "MissingAuthenticationTokenException" => SignatureFailure::Missing,
        "UnrecognizedClientException" => SignatureFailure::UnknownKey,
        "IncompleteSignatureException" => SignatureFailure::Incomplete,
        _ => SignatureFailure::Invalid,
    };
    ControlError::Signature { failure, message: error.to_string() }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
