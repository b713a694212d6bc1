//! Requests to a modern target over streamable HTTP (2026-07-28, transports): one POST each, and nothing between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::Response as Answer;
use sessiongate_protocol::modern::headers::encode;
use sessiongate_protocol::{Message, RequestId, Response, ResponseBody, Revision, jsonrpc};

use super::detect::Detection;
use super::{Exchange, ModernRequest, NoteSink, refuses_revision};
use crate::error::TargetError;
use crate::http::body;
use crate::http::endpoint::{BodyKind, Endpoint, PROTOCOL_VERSION, body_kind, refusal};
use crate::http::events::{Events, StreamEnd};
use crate::http::link::until;
use crate::http::session::{messages, not_mcp};

static MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
static MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");
const PARAM_PREFIX: &str = "mcp-param-";

/// A modern target behind a URL. Nothing of one request is kept for the next.
pub(crate) struct HttpExchange {
    endpoint: Arc<Endpoint>,
    detection: Arc<Detection>,
    target: Arc<str>,
    /// What all requests have in common, with those of a call of a tool, so that a call only fills in its name.
    headers: HeaderMap,
    last_id: AtomicI64,
}

// === impl HttpExchange ===

impl HttpExchange {
    /// Does no I/O. `detection` is told where an answer is not that of a modern target.
    pub(crate) fn new(endpoint: Arc<Endpoint>, detection: Arc<Detection>) -> Self {
        let mut headers = endpoint.post_headers();
        headers.insert(PROTOCOL_VERSION.clone(), HeaderValue::from_static(Revision::V2026_07_28.as_str()));
        headers.insert(MCP_METHOD.clone(), HeaderValue::from_static("tools/call"));
        headers.insert(MCP_NAME.clone(), HeaderValue::from_static(""));
        Self { target: endpoint.name.as_ref().into(), endpoint, detection, headers, last_id: AtomicI64::new(0) }
    }

    /// The headers of one request (2026-07-28, transports, header mirroring).
    fn headers(&self, request: &ModernRequest) -> Result<HeaderMap, TargetError> {
        let unfit = |what: &str| TargetError::Protocol { detail: format!("its {what} cannot be sent as a header") };
        let mut headers = self.headers.clone();
        if &*request.method != "tools/call" {
            let value = HeaderValue::from_str(&request.method).map_err(|_| unfit("method"))?;
            headers.insert(&MCP_METHOD, value);
        }
        match &request.name {
            Some(name) => {
                let value = HeaderValue::from_str(&encode(name)).map_err(|_| unfit("name"))?;
                headers.insert(&MCP_NAME, value);
            }
            None => {
                headers.remove(&MCP_NAME);
            }
        }
        for (name, value) in &request.param_headers {
            let name = HeaderName::from_bytes(format!("{PARAM_PREFIX}{name}").as_bytes());
            let mut value = HeaderValue::from_str(value).map_err(|_| unfit("argument"))?;
            // Arguments may be anything.
            value.set_sensitive(true);
            headers.insert(name.map_err(|_| unfit("argument's name"))?, value);
        }
        Ok(headers)
    }

    async fn run(&self, request: ModernRequest, notes: &dyn NoteSink) -> Result<Response, TargetError> {
        let headers = self.headers(&request)?;
        let id = RequestId::integer(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        let body = jsonrpc::request(&id, &request.method, Some(&request.params));
        let answer = self.endpoint.post(&self.endpoint.url, headers, body, request.passed.as_deref()).await?;
        let status = answer.status();
        if !status.is_success() {
            return self.refused(answer, &id).await;
        }
        if status == StatusCode::ACCEPTED {
            body::discard(answer);
            return Err(TargetError::Protocol { detail: "a request was answered with 202".into() });
        }
        match body_kind(&answer) {
            BodyKind::Json => self.json(answer, &id).await,
            BodyKind::EventStream => {
                let limits = &self.endpoint.limits;
                let events = Events::of(answer, limits.message_bytes, limits.idle, Arc::clone(&self.target));
                self.stream(events, &id, notes).await
            }
            BodyKind::Other => Err(TargetError::Protocol {
                detail: "its answer is neither `application/json` nor `text/event-stream`".into(),
            }),
        }
    }

    /// A JSON-RPC error is an answer, whatever the status (400 and 404 by the specification); what an authorisation
    /// server, a proxy or a broken target says is none, whatever its body.
    async fn refused(&self, answer: Answer, id: &RequestId) -> Result<Response, TargetError> {
        let status = answer.status();
        let (error, body) = refusal(answer).await;
        if !speaks_for_the_target(status.as_u16()) {
            return Err(error);
        }
        match Message::parse(&body) {
            Ok(Message::Response(response))
                if matches!(response.body, ResponseBody::Error(_)) && is_answer(&response, id) =>
            {
                Ok(response)
            }
            _ => {
                if matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
                    self.detection.doubt();
                }
                Err(error)
            }
        }
    }

    async fn json(&self, answer: Answer, id: &RequestId) -> Result<Response, TargetError> {
        let body = body::read(answer, self.endpoint.limits.message_bytes).await?;
        match Message::parse(&body).map_err(not_mcp)? {
            Message::Response(response) if is_answer(&response, id) => Ok(response),
            _ => Err(TargetError::Protocol { detail: "its answer is no response to the request".into() }),
        }
    }

    /// Reads events until the response comes. There is no way back to a stream that breaks: no event ids, no GET.
    async fn stream(&self, mut events: Events, id: &RequestId, notes: &dyn NoteSink) -> Result<Response, TargetError> {
        let mut warned = false;
        loop {
            let event = match events.next().await {
                Ok(event) => event,
                Err(StreamEnd::Broken(detail)) => return Err(TargetError::OutcomeUnknown { detail }),
                Err(StreamEnd::Fatal(error)) => return Err(error),
            };
            for message in messages(&event)?.unwrap_or_default() {
                match message {
                    Message::Response(response) if is_answer(&response, id) => {
                        events.discard();
                        return Ok(response);
                    }
                    Message::Notification(note) => notes.note(note).await.map_err(|_| TargetError::Closed)?,
                    Message::Response(response) => {
                        tracing::debug!(target_name = %self.target, id = ?response.id, "response to nothing dropped");
                    }
                    Message::Request(request) => {
                        if !std::mem::replace(&mut warned, true) {
                            tracing::warn!(target_name = %self.target, method = %request.method, "requests of a modern target are not allowed, dropped");
                        }
                    }
                }
            }
        }
    }
}

#[async_trait]
impl Exchange for HttpExchange {
    async fn exchange(
        &self,
        request: ModernRequest,
        notes: &dyn NoteSink,
        deadline: Instant,
    ) -> Result<Response, TargetError> {
        let response = until(deadline, self.run(request, notes)).await?;
        if refuses_revision(&response) {
            self.detection.doubt();
        }
        Ok(response)
    }
}

/// Whether a 4xx with this status was decided by the MCP server itself, so that its body says something: not by who
/// authenticates, and not for a while only.
pub(super) fn speaks_for_the_target(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 401 | 403 | 407 | 408 | 425 | 429)
}

/// An error without id can mean no other request: there is one on each stream.
fn is_answer(response: &Response, id: &RequestId) -> bool {
    response.id.as_ref().is_none_or(|answered| answered == id)
}
