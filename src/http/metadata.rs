//! Protected resource metadata: how a client finds the authorization server of a gateway (RFC 9728). Anybody may read them,
//! and pages of any origin too.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, HOST,
    HeaderValue, VARY,
};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use sessiongate_storage::Timestamp;
use url::Url;

use super::HttpError;
use super::error::DOMAIN;
use crate::auth::resource_metadata::{Requested, ResourceMetadata};
use crate::gateway::{Inbound, Origin, Runtime, Served};

/// Under which all such documents are.
pub const WELL_KNOWN: &str = "/.well-known/";

/// Answers a request below `/.well-known/`. That there is no such document may be read as well: clients go from one path to
/// the next by the status.
pub async fn serve(runtime: &Runtime, request: &HttpRequest) -> HttpResponse {
    let mut response = answer(runtime, request).await.unwrap_or_else(|error| error.error_response());
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

async fn answer(runtime: &Runtime, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
    runtime.guard().check_host(request, |host| runtime.table().at_host(host).is_some())?;
    // Whoever asks: a browser asks before it knows whether there is anything.
    if request.method() == Method::OPTIONS {
        return Ok(HttpResponse::NoContent()
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, "*"))
            .finish());
    }
    let requested = Requested::parse(request.path()).ok_or(HttpError::NoGateway)?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(HttpError::Method { method: request.method().to_string(), allow: "GET, HEAD, OPTIONS" });
    }
    let (served, by_host) = gateway(runtime, requested, request).ok_or(HttpError::NoMetadata)?;
    let Inbound::Tokens(authorizer) = &served.access.inbound else { return Err(HttpError::NoMetadata) };
    let resource = resource(runtime, &served, by_host, request)?.ok_or(HttpError::NoMetadata)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    let issuer = authorizer.authorization_server(now).await;
    let document = ResourceMetadata::new(&resource, &issuer, &authorizer.advertised_scopes(), None);
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "max-age=300"))
        .insert_header((VARY, format!("Host, {DOMAIN}")))
        .json(document))
}

/// The gateway that a document is about, and whether its host said so.
fn gateway(runtime: &Runtime, requested: Requested<'_>, request: &HttpRequest) -> Option<(Arc<Served>, bool)> {
    let table = runtime.table();
    match requested {
        Requested::Endpoint(path) => {
            let found = table.find(path, || host(request));
            let found = found.or_else(|| table.find(runtime.addresses().below(path), || None))?;
            Some((found.served, found.by_host))
        }
        Requested::Root => {
            let asks = |served: &&Arc<Served>| matches!(served.access.inbound, Inbound::Tokens(_));
            let named = host(request).and_then(|host| table.at_host(host));
            // The document of an endpoint at `/` has no path behind it.
            let at_root = table.find("/", || None).map(|found| found.served).filter(|served| asks(&served));
            match (named, at_root) {
                (Some(named), Some(at_root)) if Arc::ptr_eq(named, &at_root) => Some((at_root, false)),
                (Some(named), _) => Some((named.clone(), true)),
                (None, Some(at_root)) => Some((at_root, false)),
                (None, None) => {
                    let mut with_tokens = table.iter().filter(asks);
                    let only = with_tokens.next()?;
                    with_tokens.next().is_none().then(|| (only.clone(), false))
                }
            }
        }
    }
}

/// The URL under which this client knows the gateway: what it compares `resource` with. None where there is no such URL.
///
/// # Errors
/// [`HttpError::Domain`].
pub fn resource(
    runtime: &Runtime,
    served: &Served,
    by_host: bool,
    request: &HttpRequest,
) -> Result<Option<Url>, HttpError> {
    let addresses = runtime.addresses();
    if let Some(domain) = chosen_domain(served, request)? {
        return Ok(addresses.of_host(domain));
    }
    let host = host(request);
    if let Some(host) = host.filter(|_| by_host) {
        return Ok(addresses.of_host(host));
    }
    // Clients of a gateway with a domain of its own know it by that, whatever a proxy in between asks for.
    if served.origin == Origin::Control
        && let Some(domain) = served.hosts.first()
    {
        return Ok(addresses.of_host(domain));
    }
    let known = addresses.of_path(&served.path, host);
    // A client that got a token for a name that only it knows would be refused with it, and sign in again, for ever.
    let accepted = |url: &Url| match &served.access.inbound {
        Inbound::Tokens(authorizer) => authorizer.rules().may_be_for(url),
        _ => true,
    };
    Ok(known.filter(accepted).or_else(|| addresses.of_path(&served.path, None)))
}

/// The domain that the request chooses; it must be one of the gateway's.
pub fn chosen_domain<'a>(served: &'a Served, request: &HttpRequest) -> Result<Option<&'a str>, HttpError> {
    let Some(chosen) = request.headers().get(DOMAIN) else { return Ok(None) };
    let chosen = chosen.to_str().map_err(|_| HttpError::Domain)?.trim();
    let known = served.hosts.iter().find(|host| host.eq_ignore_ascii_case(chosen));
    known.map(|host| Some(&**host)).ok_or(HttpError::Domain)
}

/// The `Host` of a request.
pub fn host(request: &HttpRequest) -> Option<&str> {
    request.headers().get(HOST).and_then(|value| value.to_str().ok())
}
