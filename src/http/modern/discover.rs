//! `server/discover`.

use actix_web::HttpResponse;
use sessiongate_protocol::modern::tasks::EXTENSION;
use sessiongate_protocol::{RawJson, Revision};

use super::context::Context;
use super::tasks;
use crate::http::about;

pub fn serve(context: &Context) -> HttpResponse {
    let gateway = &context.served.gateway;
    let mut result = serde_json::json!({
        "supportedVersions": context.served.versions.dates(),
        "capabilities": about::capabilities(&context.served, Revision::V2026_07_28),
    });
    if tasks::offered(gateway) {
        result["capabilities"]["extensions"] = serde_json::json!({EXTENSION: {}});
    }
    if let Some(instructions) = about::instructions(&context.served) {
        result["instructions"] = instructions.into();
    }
    context.complete(&RawJson::from_serialize(&result).unwrap_or(RawJson::EMPTY_OBJECT)).into_response()
}
