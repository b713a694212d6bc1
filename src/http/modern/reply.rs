//! The end of a request.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Bytes;
use sessiongate_protocol::modern::ladder::Refusal;
use sessiongate_protocol::{RequestId, ResponseBody, jsonrpc};

/// A JSON-RPC response and the HTTP status that it has where no stream has begun.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The response.
    pub body: Bytes,
}

// === impl Reply ===

impl Reply {
    /// What came of executing the request: 200, errors too.
    pub fn executed(id: &RequestId, body: &ResponseBody) -> Self {
        Self { status: 200, body: jsonrpc::response(Some(id), body) }
    }

    /// An error.
    pub fn error(status: u16, id: &RequestId, code: i64, message: &str, data: Option<&serde_json::Value>) -> Self {
        Self { status, body: jsonrpc::response(Some(id), &jsonrpc::error_body(code, message, data)) }
    }

    /// A refusal.
    pub fn refused(id: &RequestId, refusal: &Refusal) -> Self {
        Self::error(refusal.status, id, refusal.code, &refusal.message, refusal.data.as_ref())
    }

    /// As an answer without a stream.
    pub fn into_response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        HttpResponse::build(status).insert_header((CONTENT_TYPE, "application/json")).body(self.body)
    }
}

/// A message that was refused before it was looked at; the id is echoed where there is one.
pub fn refusal(id: Option<&RequestId>, refusal: &Refusal) -> HttpResponse {
    metrics::counter!("sessiongate_refused_total", "reason" => "modern_envelope").increment(1);
    let body = jsonrpc::error_body(refusal.code, &refusal.message, refusal.data.as_ref());
    Reply { status: refusal.status, body: jsonrpc::response(id, &body) }.into_response()
}
