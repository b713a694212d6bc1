//! What passes between a client's HTTP request and the requests to targets that it causes, besides messages: headers and
//! query parameters on the way there, headers on the way back. Only what is named in a target's configuration passes.
//!
//! The values are the client's or the target's own: `Debug` shows none of them, and nobody stores them.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use url::Url;

use crate::secret::HeaderError;

/// The header that says through which gateways a request to a target came, so that none asks itself without end.
pub const VIA: &str = "sessiongate-via";
/// Longest value that passes, in bytes.
pub const MAX_VALUE: usize = 8 * 1024;
/// All values of one direction together, in bytes.
pub const MAX_ALL: usize = 64 * 1024;

/// The names of what passes: for one target, or for all of a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassNames {
    request_headers: Vec<HeaderName>,
    query_parameters: Vec<Box<str>>,
    response_headers: Vec<HeaderName>,
}

/// What a client's request brought that may pass, for all targets of its gateway, and what came back.
#[derive(Default)]
pub struct Passed {
    headers: HeaderMap,
    query: Vec<(Box<str>, Box<str>)>,
    /// Bytes of values.
    size: usize,
    /// Through which gateways the request came ([`VIA`]).
    via: Option<Box<str>>,
    /// What passes of the newest answer of a target.
    answered: Mutex<Option<HeaderMap>>,
}

/// Why a request is refused whose values would pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    /// One value is too long.
    #[error("`{name}` is passed on to targets, and its value is longer than {MAX_VALUE} bytes: shorten it")]
    Value {
        /// The header or the parameter.
        name: Box<str>,
    },
    /// All values together are too long.
    #[error("the headers and parameters that are passed on to targets have more than {MAX_ALL} bytes: shorten them")]
    All,
    /// No other server would take it.
    #[error("`{name}` is passed on to targets, and its value has characters that HTTP does not allow")]
    Unfit {
        /// The header.
        name: Box<str>,
    },
}

// === impl PassNames ===

impl PassNames {
    /// The names of headers are compared without case, those of parameters with it.
    ///
    /// # Errors
    /// [`HeaderError::Name`] for what cannot be a header.
    pub fn new<'a>(
        request_headers: impl IntoIterator<Item = &'a str>,
        query_parameters: impl IntoIterator<Item = &'a str>,
        response_headers: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, HeaderError> {
        let mut names = Self::default();
        for name in request_headers {
            add(&mut names.request_headers, header_name(name)?);
        }
        for name in query_parameters {
            add(&mut names.query_parameters, name.into());
        }
        for name in response_headers {
            add(&mut names.response_headers, header_name(name)?);
        }
        Ok(names)
    }

    /// Nothing passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.request_headers.is_empty() && self.query_parameters.is_empty() && self.response_headers.is_empty()
    }

    /// Headers of the client's request, in lower case.
    pub fn request_headers(&self) -> impl Iterator<Item = &str> {
        self.request_headers.iter().map(HeaderName::as_str)
    }

    /// Takes these in too.
    pub fn extend(&mut self, other: &Self) {
        other.request_headers.iter().for_each(|name| add(&mut self.request_headers, name.clone()));
        other.query_parameters.iter().for_each(|name| add(&mut self.query_parameters, name.clone()));
        other.response_headers.iter().for_each(|name| add(&mut self.response_headers, name.clone()));
    }

    /// What of a request may pass: of its headers (each value by itself) and its query, both as they came. None where there is
    /// nothing, and no answer is waited for either.
    ///
    /// # Errors
    /// [`PassError`] where it is too much.
    pub fn gather<'a>(
        &self,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        query: &str,
    ) -> Result<Option<Arc<Passed>>, PassError> {
        let mut passed = Passed::default();
        for (name, value) in headers {
            if let Some(name) = self.request_headers.iter().find(|known| known.as_str().eq_ignore_ascii_case(name)) {
                passed.add_header(name, value)?;
            }
        }
        if !self.query_parameters.is_empty() {
            for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
                if self.query_parameters.iter().any(|known| **known == *name) {
                    passed.count(&name, value.len())?;
                    passed.query.push((name.into(), value.into()));
                }
            }
        }
        let something = passed.size > 0 || !passed.headers.is_empty() || !passed.query.is_empty();
        Ok((something || !self.response_headers.is_empty()).then(|| Arc::new(passed)))
    }

    /// Puts what passes to this target into a request. What is there already stays: the transport's own headers, and what
    /// the configuration says.
    pub(crate) fn put(&self, passed: &Passed, url: &mut Url, headers: &mut HeaderMap) {
        for name in &self.request_headers {
            if headers.contains_key(name) {
                continue;
            }
            for value in passed.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        let fixed = |name: &str| url.query_pairs().any(|(own, _)| own == name);
        let pairs: Vec<_> =
            passed.query.iter().filter(|(name, _)| self.query_parameters.contains(name) && !fixed(name)).collect();
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
    }

    /// Notes what passes of a target's answer, in place of what an earlier one brought. What is too long is left out.
    pub(crate) fn note(&self, passed: &Passed, answer: &HeaderMap) {
        if self.response_headers.is_empty() {
            return;
        }
        let mut found = HeaderMap::new();
        let mut size = 0;
        for name in &self.response_headers {
            for value in answer.get_all(name) {
                size += value.len();
                if value.len() > MAX_VALUE || size > MAX_ALL {
                    size -= value.len();
                    tracing::debug!(
                        header = name.as_str(),
                        bytes = value.len(),
                        "a header of a target's answer is too long to pass"
                    );
                    continue;
                }
                found.append(name, value.clone());
            }
        }
        *passed.answered.lock() = Some(found);
    }
}

fn header_name(name: &str) -> Result<HeaderName, HeaderError> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::Name(name.to_owned()))
}

fn add<T: PartialEq>(names: &mut Vec<T>, name: T) {
    if !names.contains(&name) {
        names.push(name);
    }
}

// === impl Passed ===

impl Passed {
    /// The same for another request, whose answer says nothing to this one.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            headers: self.headers.clone(),
            query: self.query.clone(),
            size: self.size,
            via: self.via.clone(),
            answered: Mutex::default(),
        }
    }

    /// With the gateways that the request came through, beside what else passes.
    #[must_use]
    pub fn through(passed: Option<Arc<Self>>, via: String) -> Arc<Self> {
        let passed = passed.map(|passed| passed.again()).unwrap_or_default();
        Arc::new(Self { via: Some(via.into()), ..passed })
    }

    /// Through which gateways the request came.
    pub(crate) fn via(&self) -> Option<&str> {
        self.via.as_deref()
    }

    /// The headers that came back so far; taken out.
    pub fn take_answered(&self) -> Option<HeaderMap> {
        self.answered.lock().take()
    }

    fn add_header(&mut self, name: &HeaderName, value: &[u8]) -> Result<(), PassError> {
        self.count(name.as_str(), value.len())?;
        let unfit = |_| PassError::Unfit { name: name.as_str().into() };
        let mut value = HeaderValue::from_bytes(value).map_err(unfit)?;
        value.set_sensitive(true);
        self.headers.append(name, value);
        Ok(())
    }

    fn count(&mut self, name: &str, bytes: usize) -> Result<(), PassError> {
        if bytes > MAX_VALUE {
            return Err(PassError::Value { name: name.into() });
        }
        self.size += bytes;
        if self.size > MAX_ALL { Err(PassError::All) } else { Ok(()) }
    }
}

impl fmt::Debug for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query: Vec<&str> = self.query.iter().map(|(name, _)| &**name).collect();
        let headers: Vec<&HeaderName> = self.headers.keys().collect();
        f.debug_struct("Passed").field("headers", &headers).field("query", &query).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(request: &[&'static str], query: &[&'static str], response: &[&'static str]) -> PassNames {
        let [request, query, response] = [request, query, response].map(|names| names.iter().copied());
        PassNames::new(request, query, response).unwrap()
    }

    fn header(name: &'static str, value: &'static str) -> (&'static str, &'static [u8]) {
        (name, value.as_bytes())
    }

    #[test]
    fn what_is_named_passes_and_what_is_there_stays() {
        let mut all = names(&["X-Tenant", "x-tenant", "X-Static"], &["region"], &[]);
        all.extend(&names(&["X-Other"], &["fixed", "secret"], &[]));
        assert_eq!(all.request_headers().collect::<Vec<_>>(), ["x-tenant", "x-static", "x-other"]);
        let sent = [
            header("x-tenant", "a"),
            header("X-Tenant", "b"),
            header("x-other", "o"),
            header("x-static", "mine"),
            header("x-unlisted", "u"),
        ];
        let passed = all.gather(sent, "region=eu%20west&region=us&other=1&fixed=mine&secret=s3cret").unwrap().unwrap();
        assert!(!format!("{passed:?}").contains("s3cret") && !format!("{passed:?}").contains("eu west"));

        let one = names(&["x-tenant", "x-static"], &["region", "fixed"], &[]);
        let mut url: Url = "https://target/mcp?fixed=theirs".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-static", HeaderValue::from_static("theirs"));
        one.put(&passed, &mut url, &mut headers);
        assert_eq!(url.as_str(), "https://target/mcp?fixed=theirs&region=eu+west&region=us");
        assert_eq!(headers.get_all("x-tenant").iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(headers["x-static"], "theirs");
        assert!(!headers.contains_key("x-other") && !headers.contains_key("x-unlisted"));

        let mut plain: Url = "https://target/mcp".parse().unwrap();
        names(&["x-none"], &[], &[]).put(&passed, &mut plain, &mut HeaderMap::new());
        assert_eq!(plain.as_str(), "https://target/mcp");
    }

    #[test]
    fn there_is_nothing_where_nothing_came_and_no_answer_is_waited_for() {
        assert!(names(&["x-a"], &["q"], &[]).gather([header("x-b", "1")], "p=1").unwrap().is_none());
        assert!(names(&["x-a"], &[], &["x-b"]).gather([], "").unwrap().is_some());
        assert!(names(&["x-a"], &[], &[]).gather([header("x-a", "")], "").unwrap().is_some(), "an empty value is one");
        assert!(PassNames::new(["x a"], [], []).is_err());
    }

    #[test]
    fn values_are_bounded() {
        let names = names(&["x-a"], &["q"], &["x-back"]);
        let long = vec![b'a'; MAX_VALUE + 1];
        let error = names.gather([("x-a", &long[..])], "").unwrap_err();
        assert_eq!(error, PassError::Value { name: "x-a".into() });
        let query = format!("q={}", "a".repeat(MAX_VALUE + 1));
        assert_eq!(names.gather([], &query).unwrap_err(), PassError::Value { name: "q".into() });
        let nine = std::iter::repeat_n(("x-a", &long[1..]), 9);
        assert_eq!(names.gather(nine.clone().take(8), "").unwrap().unwrap().headers.len(), 8);
        assert_eq!(names.gather(nine, "").unwrap_err(), PassError::All);
        assert!(matches!(names.gather([("x-a", &b"a\nb"[..])], ""), Err(PassError::Unfit { .. })));

        let passed = names.gather([], "").unwrap().unwrap();
        let mut answer = HeaderMap::new();
        answer.append("x-back", HeaderValue::from_bytes(&long).unwrap());
        answer.append("x-back", HeaderValue::from_static("one"));
        answer.append("x-back", HeaderValue::from_static("two"));
        answer.append("x-unlisted", HeaderValue::from_static("three"));
        names.note(&passed, &answer);
        let found = passed.take_answered().unwrap();
        assert_eq!(found.get_all("x-back").iter().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(found.len(), 2);
        names.note(&passed, &HeaderMap::new());
        assert_eq!(passed.take_answered(), Some(HeaderMap::new()), "the newest answer counts");
    }
}
