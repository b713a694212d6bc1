//! Pages in browsers that call from another origin (the CORS protocol of the Fetch standard).
//!
//! Which origins may is the business of [`OriginGuard`](super::OriginGuard): here an origin that may call is told so, and what it
//! may see. Credentials that a browser keeps (cookies, client certificates) are never asked for: tokens and keys come in
//! headers. So there is no `Access-Control-Allow-Credentials`, without which a browser shows no answer to a request that
//! came with such credentials.
//!
//! The origins change with the configuration, and documents that any page may read have rules of their own: that is why this is
//! no middleware around everything. A request without `Origin` costs one look at its headers.

use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use actix_web::{HttpRequest, HttpResponse};

/// What an endpoint offers.
pub const METHODS: &str = "POST, GET, DELETE";
/// How long a browser need not ask again, in seconds: as long as any of them remembers it. An origin that is no longer
/// allowed is refused whatever a browser remembers.
const REMEMBERED: u32 = 7200;
/// What an answer to a page depends on.
const DEPENDS: HeaderValue = HeaderValue::from_static("Origin");
/// The same of an answer to a preflight.
const ASKED: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

/// A page of an origin that may call.
pub struct Page {
    origin: HeaderValue,
}

// === impl Page ===

impl Page {
    /// The page that sends a request; none where it is no page's, or one that `may` does not let call. `may` is given the
    /// origin in lower case.
    pub fn of(request: &HttpRequest, may: impl FnOnce(&str) -> bool) -> Option<Self> {
        let origin = request.headers().get(ORIGIN)?;
        let may = origin.to_str().is_ok_and(|origin| may(&origin.to_ascii_lowercase()));
        may.then(|| Self { origin: origin.clone() })
    }

    /// The answer to a page that asks whether it may send something: it may, and everything else is said to the request itself.
    /// Targets choose what headers mean something (`pass`, `Mcp-Param-…`), so that any may be sent.
    pub fn preflight(&self, request: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::NoContent();
        response
            .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone()))
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, METHODS))
            .insert_header((ACCESS_CONTROL_MAX_AGE, REMEMBERED))
            .insert_header((VARY, ASKED));
        if let Some(headers) = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS) {
            response.insert_header((ACCESS_CONTROL_ALLOW_HEADERS, headers.clone()));
        }
        response.finish()
    }

    /// Lets the page see an answer with all of its headers, which are all for the client: session, challenge, when to come
    /// again, what passes from a target.
    pub fn show(&self, mut response: HttpResponse) -> HttpResponse {
        let headers = response.headers_mut();
        let exposed = names(headers);
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.append(VARY, DEPENDS);
        if let Some(exposed) = exposed {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
        response
    }
}

/// A browser asks whether a page may send something.
pub fn is_preflight(request: &HttpRequest) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn names(headers: &HeaderMap) -> Option<HeaderValue> {
    let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    if names.is_empty() { None } else { HeaderValue::from_str(&names.join(", ")).ok() }
}
