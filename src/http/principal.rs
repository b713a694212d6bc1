//! Who calls: nobody in particular, or the holder of a static API key.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use sessiongate_actors::directory::Principal;

use super::HttpError;
use crate::gateway::Served;

/// The principal of a request. Checked on every request: a session id is never a credential.
pub fn principal(gateway: &Served, request: &HttpRequest) -> Result<Principal, HttpError> {
    if gateway.keys.is_empty() {
        return Ok(Principal::anonymous());
    }
    let presented = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        })
        .ok_or(HttpError::Unauthorized)?;
    gateway.keys.holder(presented).ok_or(HttpError::Unauthorized)
}
