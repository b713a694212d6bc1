//! Requests that come back: a target may lead to the gateway that asks it, straight or by way of others. Each request to a
//! target says through which gateways it came, and a gateway refuses what came through it before.

use std::fmt::Write as _;
use std::sync::LazyLock;

use actix_web::http::header::{HeaderMap, HeaderName};
use sessiongate_targets::VIA;
use uuid::Uuid;

use crate::http::HttpError;

/// Gateways that a request may come through: more are hardly meant.
const GATEWAYS: usize = 8;
/// Longest name of one, in bytes.
const NAME: usize = 64;
/// Bytes of a digest that make a name.
const DIGEST: usize = 12;

/// Known to nobody: what is outside must not learn the names of gateways, nor make such names.
static INSTANCE: LazyLock<Uuid> = LazyLock::new(Uuid::new_v4);
static HEADER: HeaderName = HeaderName::from_static(VIA);

/// What a gateway of this process is called in the header.
pub fn name_of(gateway: &str) -> String {
    let text = format!("{}/{gateway}", *INSTANCE);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(DIGEST).fold(String::with_capacity(2 * DIGEST), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}

/// Through which gateways a request came, for the header of what it causes; none where it came through none.
///
/// # Errors
/// [`HttpError::Loop`] where it came through this one, or through too many.
pub fn came_through(headers: &HeaderMap, gateway: &str) -> Result<Option<String>, HttpError> {
    if !headers.contains_key(&HEADER) {
        return Ok(None);
    }
    let own = name_of(gateway);
    let mut names: Vec<&str> = Vec::new();
    for value in headers.get_all(&HEADER) {
        let text = value.to_str().map_err(|_| HttpError::Header(format!("`{VIA}` must be visible ASCII")))?;
        for name in text.split(',').map(str::trim) {
            if name == own || name.len() > NAME || names.len() == GATEWAYS {
                return Err(HttpError::Loop);
            }
            names.push(name);
        }
    }
    Ok(Some(names.join(", ")))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn through(values: &[&str]) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        values.iter().for_each(|value| headers.append(HEADER.clone(), HeaderValue::from_str(value).unwrap()));
        came_through(&headers, "shop").map_err(|error| error.code())
    }

    #[test]
    fn a_request_comes_through_a_gateway_once() {
        assert_eq!(through(&[]), Ok(None));
        let other = name_of("bank");
        assert_ne!(other, name_of("shop"));
        assert_eq!(through(&["a,b", &other]), Ok(Some(format!("a, b, {other}"))));
        assert_eq!(through(&["a", &format!("b, {}", name_of("shop"))]), Err("loop"));
    }

    #[test]
    fn it_comes_through_so_many_and_no_more() {
        assert!(through(&["a,b,c,d,e,f,g,h"]).is_ok());
        assert_eq!(through(&["a,b,c,d,e,f,g,h", "i"]), Err("loop"));
        assert_eq!(through(&[&"x".repeat(NAME + 1)]), Err("loop"));
    }
}
