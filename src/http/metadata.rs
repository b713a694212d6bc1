//! Protected resource metadata: how a client finds the authorization server of a gateway (RFC 9728). Anybody may read them,
//! and pages of any origin too.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, HOST, VARY,
};
use actix_web::{HttpRequest, HttpResponse};
use sessiongate_storage::Timestamp;
use url::Url;

use super::HttpError;
use super::error::DOMAIN;
use crate::auth::resource_metadata::{Requested, ResourceMetadata};
use crate::gateway::{Inbound, Origin, Runtime, Served};

/// Under which all such documents are.
pub const WELL_KNOWN: &str = "/.well-known/";

/// Answers a request below `/.well-known/`.
pub async fn serve(runtime: &Runtime, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
    runtime.guard().check_host(request, |host| runtime.table().at_host(host).is_some())?;
    let requested = Requested::parse(request.path()).ok_or(HttpError::NoGateway)?;
    match request.method().as_str() {
        "GET" | "HEAD" => {}
        "OPTIONS" => {
            return Ok(HttpResponse::NoContent()
                .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
                .insert_header((ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"))
                .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, "*"))
                .finish());
        }
        other => return Err(HttpError::Method { method: other.to_owned(), allow: "GET, HEAD, OPTIONS" }),
    }
    let (served, by_host) = gateway(runtime, requested, request).ok_or(HttpError::NoMetadata)?;
    let Inbound::Tokens(authorizer) = &served.access.inbound else { return Err(HttpError::NoMetadata) };
    let resource = resource(runtime, &served, by_host, request)?.ok_or(HttpError::NoMetadata)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    let issuer = authorizer.authorization_server(now).await;
    let document = ResourceMetadata::new(&resource, &issuer, &authorizer.advertised_scopes(), None);
    Ok(HttpResponse::Ok()
        .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
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
            if let Some(served) = host(request).and_then(|host| table.at_host(host)) {
                return Some((served.clone(), true));
            }
            let mut with_tokens = table.iter().filter(|served| matches!(served.access.inbound, Inbound::Tokens(_)));
            let only = with_tokens.next()?;
            with_tokens.next().is_none().then(|| (only.clone(), false))
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
    Ok(addresses.of_path(&served.path, host))
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
