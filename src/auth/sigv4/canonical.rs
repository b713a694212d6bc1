//! The canonical request: both sides write the request down in one spelling and hash that.
//!
//! Everything is made out of the bytes as they came. Two requests that a handler would read differently must have
//! different canonical requests; that is why a `+` of a query counts as the space that form decoding makes of it, and
//! why a path that signers would shorten is refused.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

use super::error::{Malformed, SigV4Error};

const MAX_METHOD: usize = 32;
const MAX_PATH: usize = 8 * 1024;
const MAX_QUERY: usize = 16 * 1024;
const MAX_PAIRS: usize = 256;
const MAX_HEADERS: usize = 256;
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// The headers of a request, bounded.
pub(super) struct Headers<'a>(Vec<(&'a str, &'a [u8])>);

/// The query in canonical spelling and order.
pub(super) struct Query(Vec<(String, String)>);

// === impl Headers ===

impl<'a> Headers<'a> {
    pub(super) fn collect(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, SigV4Error> {
        let mut collected = Vec::with_capacity(16);
        let mut size = 0;
        for (name, value) in headers {
            size += name.len() + value.len();
            // A line break in a value could pretend to be another header in the canonical request.
            let torn = value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
            if torn || size > MAX_HEADER_BYTES || collected.len() == MAX_HEADERS {
                return Err(Malformed::Request.into());
            }
            collected.push((name, value));
        }
        Ok(Self(collected))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(|(name, _)| *name)
    }

    pub(super) fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a [u8]> + 's {
        self.0.iter().filter(move |(sent, _)| sent.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// A header that must not be there twice, as text.
    pub(super) fn single(&self, name: &str) -> Result<Option<&'a str>, Malformed> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => {
                std::str::from_utf8(value).map(|text| Some(text.trim())).map_err(|_| Malformed::Request)
            }
            (Some(_), Some(_)) => Err(Malformed::Twice),
        }
    }
}

// === impl Query ===

impl Query {
    pub(super) fn parse(raw: &str) -> Result<Self, SigV4Error> {
        if raw.len() > MAX_QUERY {
            return Err(Malformed::Request.into());
        }
        let mut pairs = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == MAX_PAIRS {
                return Err(Malformed::Request.into());
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((respelled(name), respelled(value)));
        }
        pairs.sort();
        Ok(Self(pairs))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(sent, _)| sent.eq_ignore_ascii_case(name))
    }

    /// A parameter of the signature itself: must not be there twice, in whatever case.
    pub(super) fn single(&self, name: &str) -> Result<Option<Cow<'_, str>>, Malformed> {
        let mut values = self.0.iter().filter(|(sent, _)| sent.eq_ignore_ascii_case(name));
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some((_, value)), None) => {
                percent_decode(value.as_bytes()).decode_utf8().map(Some).map_err(|_| Malformed::Request)
            }
            (Some(_), Some(_)) => Err(Malformed::Twice),
        }
    }
}

/// Decoded as a form would be and encoded again, so that `%7e`, `%7E` and `~` are one.
fn respelled(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
        return text.to_owned();
    }
    let spaced = text.replace('+', " ");
    let decoded: Cow<'_, [u8]> = percent_decode(spaced.as_bytes()).into();
    percent_encode(&decoded, RESERVED).to_string()
}

/// The request line: what is not well formed here would be a hole between canonical request and handler.
pub(super) fn check_line(method: &str, raw_path: &str) -> Result<(), SigV4Error> {
    let method_fits = (1..=MAX_METHOD).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !method_fits || raw_path.len() > MAX_PATH || !raw_path.starts_with('/') {
        return Err(Malformed::Request.into());
    }
    let mut segments = raw_path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let trailing_slash = segment.is_empty() && segments.peek().is_none();
        if matches!(segment, "." | "..") || segment.is_empty() && !trailing_slash {
            return Err(SigV4Error::Path);
        }
    }
    Ok(())
}

/// Writes the canonical request and gives its SHA-256. `signed` is sorted and lower-case; `host` is written as
/// `authority`.
pub(super) fn hash(
    (method, raw_path): (&str, &str),
    query: &Query,
    (headers, signed, authority): (&Headers<'_>, &[&str], &str),
    payload_hash: &str,
) -> Result<String, SigV4Error> {
    let mut text = Vec::with_capacity(1024);
    text.extend_from_slice(method.as_bytes());
    text.push(b'\n');
    // The path is encoded once more as it came, percent signs included (all services but S3).
    for piece in percent_encode(raw_path.as_bytes(), RESERVED_IN_PATH) {
        text.extend_from_slice(piece.as_bytes());
    }
    text.push(b'\n');
    let pairs = query.0.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("x-amz-signature"));
    for (at, (name, value)) in pairs.enumerate() {
        if at > 0 {
            text.push(b'&');
        }
        text.extend_from_slice(name.as_bytes());
        text.push(b'=');
        text.extend_from_slice(value.as_bytes());
    }
    text.push(b'\n');
    for name in signed {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        if *name == "host" {
            text.extend_from_slice(authority.as_bytes());
        } else {
            let mut values = headers.all(name).peekable();
            if values.peek().is_none() {
                return Err(SigV4Error::AbsentHeader((*name).into()));
            }
            while let Some(value) = values.next() {
                push_collapsed(&mut text, value);
                if values.peek().is_some() {
                    text.push(b',');
                }
            }
        }
        text.push(b'\n');
    }
    text.push(b'\n');
    text.extend_from_slice(signed.join(";").as_bytes());
    text.push(b'\n');
    text.extend_from_slice(payload_hash.as_bytes());
    Ok(sha256_hex(&text))
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

/// Trimmed, and each run of white space as one space.
fn push_collapsed(text: &mut Vec<u8>, value: &[u8]) {
    let words = value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    for (at, word) in words.enumerate() {
        if at > 0 {
            text.push(b' ');
        }
        text.extend_from_slice(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical_query(raw: &str) -> String {
        let pairs: Vec<_> =
            Query::parse(raw).unwrap().0.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }

    #[test]
    fn a_query_has_one_spelling() {
        for (raw, canonical) in [
            ("", ""),
            ("b=2&a=1&&", "a=1&b=2"),
            ("a", "a="),
            ("a=b=c", "a=b%3Dc"),
            ("a=%7e%2f+%20", "a=~%2F%20%20"),
            ("a=%zz%", "a=%25zz%25"),
            ("a=%ff", "a=%FF"),
            ("a=2&a=10&a=", "a=&a=10&a=2"),
            // By name first: as one text, `a-b=` would come before `a=`.
            ("a-b=1&a=1", "a=1&a-b=1"),
            ("é=ü", "%C3%A9=%C3%BC"),
        ] {
            assert_eq!(canonical_query(raw), canonical, "{raw}");
        }
    }

    #[test]
    fn what_reads_differently_is_written_differently() {
        assert_ne!(canonical_query("a=%2B"), canonical_query("a=+"));
        assert_ne!(canonical_query("a=1%26b=2"), canonical_query("a=1&b=2"));
        assert_ne!(canonical_query("a=%ff"), canonical_query("a=%fe"));
    }

    #[test]
    fn a_query_is_bounded() {
        let pairs = |count: usize| vec!["a=1"; count].join("&");
        assert!(Query::parse(&pairs(MAX_PAIRS)).is_ok());
        assert_eq!(Query::parse(&pairs(MAX_PAIRS + 1)).err(), Some(Malformed::Request.into()));
        assert_eq!(Query::parse(&"a".repeat(MAX_QUERY + 1)).err(), Some(Malformed::Request.into()));
    }

    #[test]
    fn only_the_shortest_path_is_taken() {
        for path in ["/", "/a", "/a/", "/a/b%2F..%2Fc", "/...", "/a/.b", "/%2e%2e"] {
            assert_eq!(check_line("GET", path), Ok(()), "{path}");
        }
        for path in ["//", "/a//b", "/a//", "/.", "/..", "/a/./b", "/a/../b", "/a/.."] {
            assert_eq!(check_line("GET", path), Err(SigV4Error::Path), "{path}");
        }
        for (method, path) in [("GET", ""), ("GET", "a"), ("", "/"), ("GE T", "/"), ("G\nET", "/")] {
            assert_eq!(check_line(method, path), Err(Malformed::Request.into()), "{method} {path}");
        }
        assert_eq!(check_line("GET", &format!("/{}", "a".repeat(MAX_PATH))), Err(Malformed::Request.into()));
    }

    #[test]
    fn white_space_is_collapsed() {
        for (value, canonical) in [("a", "a"), ("  a \t b  ", "a b"), ("", ""), ("  ", ""), ("\"a  b\"", "\"a b\"")] {
            let mut text = Vec::new();
            push_collapsed(&mut text, value.as_bytes());
            assert_eq!(text, canonical.as_bytes(), "{value:?}");
        }
    }

    #[test]
    fn headers_are_bounded_and_whole() {
        assert!(Headers::collect([("a", b"x\ny".as_slice())]).is_err());
        assert!(Headers::collect(vec![("a", b"x".as_slice()); MAX_HEADERS]).is_ok());
        assert!(Headers::collect(vec![("a", b"x".as_slice()); MAX_HEADERS + 1]).is_err());
        assert!(Headers::collect([("a", [b'x'; MAX_HEADER_BYTES].as_slice())]).is_err());
    }
}
