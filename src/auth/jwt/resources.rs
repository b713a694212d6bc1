//! The URLs of all gateways of the process, so that a token for one of them does not open another (RFC 8707, 2; MCP
//! authorization, token audience binding).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use url::Url;

use crate::auth::resource_metadata::canonical;

/// The URLs of all gateways of the process.
#[derive(Debug, Default)]
pub struct Resources {
    /// How many have entered each: while a gateway changes it is there twice.
    urls: RwLock<HashMap<String, usize>>,
}

/// The URLs of one gateway, which are known for as long as this is kept.
#[derive(Debug)]
pub struct Entered {
    all: Arc<Resources>,
    urls: Vec<String>,
}

// === impl Resources ===

impl Resources {
    /// Makes URLs known, in their canonical form.
    pub fn enter(self: &Arc<Self>, urls: Vec<String>) -> Entered {
        let mut known = self.urls.write();
        for url in &urls {
            *known.entry(url.clone()).or_default() += 1;
        }
        drop(known);
        Entered { all: self.clone(), urls }
    }

    /// Whether an audience is the URL of a gateway, and of none that has the URLs `own`.
    pub(super) fn names_other(&self, audience: &str, own: &[String]) -> bool {
        resource(audience).is_some_and(|url| !own.contains(&url) && self.urls.read().contains_key(&url))
    }
}

/// The canonical form of a URL that an audience is to the letter, but for what does not make it another one: the case of
/// scheme and host, the port that the scheme has anyhow, and one slash at its end. An issuer that writes more than that
/// did not mean the gateway: no query, no fragment, no second slash.
pub(super) fn meant(audience: &str) -> Option<String> {
    let (scheme, rest) = audience.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let port = match scheme.as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = authority.to_ascii_lowercase();
    let host = authority.strip_suffix(port).unwrap_or(&authority);
    Some(format!("{scheme}://{host}{}", path.strip_suffix('/').unwrap_or(path)))
}

/// The canonical form of an audience that is the URL of something on the web, however it is written.
fn resource(audience: &str) -> Option<String> {
    let url = Url::parse(audience).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    Some(canonical(&url))
}

// === impl Entered ===

impl Drop for Entered {
    fn drop(&mut self) {
        let mut known = self.all.urls.write();
        for url in &self.urls {
            if let Some(count) = known.get_mut(url) {
                *count -= 1;
                if *count == 0 {
                    known.remove(url);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_is_a_url_to_the_letter_but_for_what_makes_no_other_one() {
        for (own, same) in [
            ("https://gw.example/b", "HTTPS://GW.example:443/b/"),
            ("http://gw.example", "http://gw.example:80/"),
            ("http://[::1]:8080/b", "http://[::1]:8080/b"),
            ("https://gw.example/B", "https://gw.example/B"),
        ] {
            assert_eq!(meant(same).as_deref(), Some(own));
        }
        for other in [
            "https://gw.example/b?x",
            "https://gw.example/b?",
            "https://gw.example/b#f",
            "https://gw.example/b#",
            "https://gw.example/b//",
            "https://gw.example//b",
            "https://gw.example/b/?x",
            "https://gw.example/a/../b",
            "https://gw.example/b/.",
            "https://gw.example/%62",
            "https://gw.example\\b",
            "https://u@gw.example/b",
            "https://gw.example:0443/b",
            "https://gw.example:80/b",
            "https://gw.example./b",
            "https:/gw.example/b",
            "https:gw.example/b",
            " https://gw.example/b",
            "https://gw.example/b\n",
            "ftp://gw.example/b",
            "gw.example/b",
            "",
        ] {
            assert_ne!(meant(other).as_deref(), Some("https://gw.example/b"), "{other}");
        }
    }

    #[test]
    fn urls_are_known_as_long_as_a_gateway_has_them() {
        let (all, own) = (Arc::new(Resources::default()), vec!["https://gw.example/a".to_owned()]);
        let url = || vec!["https://gw.example/b".to_owned()];
        let _own = all.enter(own.clone());
        let names = |audience: &str| all.names_other(audience, &own);
        assert!(!names("https://gw.example/b"));
        let (first, second) = (all.enter(url()), all.enter(url()));
        for other in ["https://gw.example/b", "https://GW.example:443/b/", "https://gw.example/b?x#y"] {
            assert!(names(other), "{other}");
        }
        for not in ["https://gw.example/a/", "https://gw.example/b/c", "http://gw.example/b", "/b", "b", ""] {
            assert!(!names(not), "{not}");
        }
        drop(first);
        assert!(names("https://gw.example/b"));
        drop(second);
        assert!(!names("https://gw.example/b"));
    }
}
