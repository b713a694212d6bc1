//! The longest name that a client wants to see: many models take 64 characters for a tool, MCP itself says nothing of it.
//!
//! Any client can be given another URL, so the wish can stand there; who can set headers may use one instead.

use actix_web::HttpRequest;
use sessiongate_protocol::names::CLIENT_LIMITS;

use super::HttpError;

/// In the query of the endpoint's URL.
const PARAMETER: &str = "max_name_length";
/// As a header, which wins.
const HEADER: &str = "sessiongate-max-name-length";

/// The limit that a request asks for, in bytes.
///
/// # Errors
/// When it asks for something that is no limit, or for several in the query: 400.
pub fn limit(request: &HttpRequest) -> Result<Option<u16>, HttpError> {
    let mut headers = request.headers().get_all(HEADER);
    if let Some(value) = headers.next() {
        let text = value.to_str().ok().map(str::trim).filter(|_| headers.next().is_none());
        return parse(text).map(Some).ok_or_else(|| wrong("`Sessiongate-Max-Name-Length`"));
    }
    let pairs = request.query_string().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut found = pairs.filter(|(name, _)| *name == PARAMETER).map(|(_, value)| value);
    let Some(value) = found.next() else { return Ok(None) };
    let value = Some(value).filter(|_| found.next().is_none());
    parse(value).map(Some).ok_or_else(|| wrong("`max_name_length` in the URL"))
}

fn parse(text: Option<&str>) -> Option<u16> {
    let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok().filter(|limit| CLIENT_LIMITS.contains(limit))
}

fn wrong(what: &str) -> HttpError {
    let (least, most) = (CLIENT_LIMITS.start(), CLIENT_LIMITS.end());
    HttpError::Header(format!("{what} must be one number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_limit_is_a_number_in_the_url_or_in_a_header() {
        let of = |query: &str, header: Option<&str>| {
            let request = TestRequest::with_uri(&format!("/mcp{query}"));
            let request = match header {
                Some(value) => request.insert_header((HEADER, value)),
                None => request,
            };
            limit(&request.to_http_request()).map_err(|error| error.to_string())
        };
        for (query, header, expected) in [
            ("", None, None),
            ("?other=1&max_name_lengths=2", None, None),
            ("?max_name_length=64", None, Some(64)),
            ("?a=b&max_name_length=16&c", None, Some(16)),
            ("", Some(" 256 "), Some(256)),
            ("?max_name_length=x", Some("64"), Some(64)),
        ] {
            assert_eq!(of(query, header), Ok(expected), "{query} {header:?}");
        }
        for value in ["", "=", "=15", "=257", "=+64", "=6e1", "=-64", "=99999999999999999999", "=64&max_name_length=64"]
        {
            let refused = of(&format!("?max_name_length{value}"), None).unwrap_err();
            assert!(refused.contains("`max_name_length`") && refused.contains("16 to 256"), "{value}: {refused}");
        }
        for value in ["", "15", "a", "64, 64"] {
            assert!(of("?max_name_length=64", Some(value)).unwrap_err().contains("Sessiongate-Max-Name-Length"));
        }
    }
}
