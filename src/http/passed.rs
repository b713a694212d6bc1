//! What passes between a client's request and its target besides messages: gathered before the request is carried out, and
//! what came back put into the answer.

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Bytes;
use sessiongate_targets::{PassNames, Passed};

use super::caller::Caller;
use super::{HttpError, post};

/// Carries out a request of a gateway with targets that something passes to. An interceptor's headers count.
///
/// # Errors
/// HTTP 400 where what would pass is too much.
pub async fn carry_out(caller: &Caller<'_>, names: Option<&PassNames>, body: Bytes) -> Result<HttpResponse, HttpError> {
    let headers = caller.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let passed = names.map(|names| names.gather(headers, caller.request.query_string())).transpose();
    let passed = passed.map_err(|error| HttpError::Header(error.to_string()))?.flatten();
    let passed = match &caller.via {
        Some(via) => Some(Passed::through(passed, via.clone())),
        None => passed,
    };
    let Some(passed) = passed else {
        return post::carry_out(caller, body).await;
    };
    let caller = Caller { passed: Some(passed.clone()), ..caller.clone() };
    let mut response = post::carry_out(&caller, body).await?;
    answer(&passed, &mut response);
    Ok(response)
}

/// What the target's answer brought so far: of a stream that began before the target answered, nothing. What the gateway
/// says itself stays.
fn answer(passed: &Passed, response: &mut HttpResponse) {
    let Some(answered) = passed.take_answered() else { return };
    for name in answered.keys() {
        let Ok(own) = HeaderName::from_bytes(name.as_str().as_bytes()) else { continue };
        if response.headers().contains_key(&own) {
            continue;
        }
        for value in answered.get_all(name).iter().filter_map(|value| HeaderValue::from_bytes(value.as_bytes()).ok()) {
            response.headers_mut().append(own.clone(), value);
        }
    }
}
