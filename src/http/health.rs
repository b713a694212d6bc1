//! What an orchestrator and Prometheus ask.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::HttpError;
use crate::gateway::Runtime;

/// The process lives.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain")).body("ok\n")
}

/// The gateway can serve: it is not going down, and every required target was synchronised at least once. The body
/// says how each target is.
pub async fn readyz(runtime: Data<Runtime>, request: HttpRequest) -> Result<HttpResponse, HttpError> {
    runtime.guard().check(&request, |_| false)?;
    let report = runtime.readiness().await;
    let mut response = if report.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    Ok(response.json(report))
}

/// Prometheus text.
pub async fn metrics(runtime: Data<Runtime>, request: HttpRequest) -> Result<HttpResponse, HttpError> {
    runtime.guard().check(&request, |_| false)?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4")).body(runtime.render_metrics()))
}
