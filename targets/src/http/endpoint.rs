//! One URL, the headers that go with it, and what its answers mean before a body is read.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::{Request, Response};
use sessiongate_protocol::text::words;
use url::Url;

use super::body;
use super::client::HttpClients;
use crate::error::TargetError;
use crate::guard::Refused;
use crate::link::LinkLimits;
use crate::passed::{PassNames, Passed, VIA};
use crate::secret::SecretHeaders;

pub(crate) static SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) static PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The most that is read of a body that explains a refusal.
pub(crate) const MAX_REFUSAL: usize = 64 * 1024;
/// How long that may take.
const REFUSAL_TIME: Duration = Duration::from_secs(5);

/// Where a target listens.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) name: Box<str>,
    pub(crate) url: Url,
    pub(crate) headers: SecretHeaders,
    pub(crate) limits: LinkLimits,
    pub(crate) clients: HttpClients,
    /// What passes to it from clients, and back.
    pub(crate) pass: Option<Box<PassNames>>,
    /// What the one who asks is called in [`VIA`].
    pub(crate) via: Option<Box<str>>,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyKind {
    Json,
    EventStream,
    Other,
}

/// The header that says through which gateways a request came, this one last.
fn through(passed: Option<&Passed>, own: &str) -> Option<HeaderValue> {
    match passed.and_then(Passed::via) {
        Some(before) => HeaderValue::from_str(&format!("{before}, {own}")).ok(),
        None => HeaderValue::from_str(own).ok(),
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// The headers of a POST, without session.
    pub(crate) fn post_headers(&self) -> HeaderMap {
        let mut headers = self.headers.map().clone();
        headers.insert(ACCEPT, BOTH);
        headers.insert(CONTENT_TYPE, JSON);
        headers
    }

    /// The headers of a GET or DELETE, without session.
    pub(crate) fn stream_headers(&self) -> HeaderMap {
        let mut headers = self.headers.map().clone();
        headers.insert(ACCEPT, EVENT_STREAM);
        headers
    }

    /// Sends one message, with what passes beside it.
    pub(crate) async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        passed: Option<&Passed>,
    ) -> Result<Response, TargetError> {
        let mut request = Request::new(Method::POST, url.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        self.execute(request, passed).await
    }

    async fn execute(&self, mut request: Request, passed: Option<&Passed>) -> Result<Response, TargetError> {
        let pass = self.pass.as_deref().zip(passed);
        if let Some((names, passed)) = pass {
            let mut url = request.url().clone();
            names.put(passed, &mut url, request.headers_mut());
            *request.url_mut() = url;
        }
        if let Some(via) = self.via.as_deref().and_then(|own| through(passed, own)) {
            request.headers_mut().insert(VIA, via);
        }
        let Some((names, passed)) = pass else {
            return self.clients.get().execute(request).await.map_err(send_error);
        };
        let answer = self.clients.get().execute(request).await.map_err(send_error)?;
        names.note(passed, answer.headers());
        Ok(answer)
    }

    /// Asks for a stream, from after `last_event_id` where given. The head of the answer must come within the idle
    /// limit.
    pub(crate) async fn get(
        &self,
        mut headers: HeaderMap,
        last_event_id: Option<&str>,
        passed: Option<&Passed>,
    ) -> Result<Response, TargetError> {
        if let Some(id) = last_event_id {
            let value = HeaderValue::from_str(id).map_err(|_| TargetError::OutcomeUnknown {
                detail: "the stored event id cannot be sent as a header".into(),
            })?;
            headers.insert(LAST_EVENT_ID.clone(), value);
        }
        let mut request = Request::new(Method::GET, self.url.clone());
        *request.headers_mut() = headers;
        match tokio::time::timeout(self.limits.idle, self.execute(request, passed)).await {
            Ok(answer) => answer,
            Err(_) => Err(TargetError::TimedOut(self.limits.idle)),
        }
    }

    /// Ends the session.
    pub(crate) async fn delete(&self, headers: HeaderMap) -> Result<StatusCode, TargetError> {
        let mut request = Request::new(Method::DELETE, self.url.clone());
        *request.headers_mut() = headers;
        Ok(self.clients.get().execute(request).await.map_err(send_error)?.status())
    }
}

/// What the body of an answer is, by its `Content-Type`.
pub(crate) fn body_kind(answer: &Response) -> BodyKind {
    let text = answer.headers().get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or(""));
    let essence = text.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json") {
        BodyKind::Json
    } else if essence.eq_ignore_ascii_case("text/event-stream") {
        BodyKind::EventStream
    } else {
        BodyKind::Other
    }
}

/// The status of a refusal as an error, with the start of its body for the log; the body itself comes along, for
/// it may be a JSON-RPC error.
pub(crate) async fn refusal(answer: Response) -> (TargetError, Bytes) {
    let status = answer.status().as_u16();
    let retry_after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let body = match tokio::time::timeout(REFUSAL_TIME, body::read(answer, MAX_REFUSAL)).await {
        Ok(Ok(body)) => body,
        _ => Bytes::new(),
    };
    let start = String::from_utf8_lossy(&body[..body.len().min(1200)]);
    (TargetError::Status { status, detail: words(&start), retry_after }, body)
}

/// Why a request got no answer, and whether the target can have seen it.
///
/// A pooled connection that the target closed before the request was written is replaced by the client itself; what
/// is left here and is no connect error may have been read by the target.
pub(crate) fn send_error(error: reqwest::Error) -> TargetError {
    let connecting = error.is_connect();
    // The URL may carry a token in its query.
    let error = error.without_url();
    let mut detail = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return TargetError::AddressRefused { detail: refused.to_string() };
        }
        detail.push_str(": ");
        detail.push_str(&cause.to_string());
        source = cause.source();
    }
    if connecting { TargetError::Unreachable { detail } } else { TargetError::OutcomeUnknown { detail } }
}
