//! Which operation a request is for.

use super::{Model, Operation, OperationName};
use crate::control::ControlError;

/// No path of the service has more segments.
const SEGMENTS_MAX: usize = 16;

/// An operation, and the members that its path has.
#[derive(Debug)]
pub struct Matched<'m> {
    /// Which.
    pub operation: &'m Operation,
    /// Names and values, decoded.
    pub path: Vec<(&'m str, String)>,
}

/// Paths of all operations, offered or not.
#[derive(Debug, Default)]
pub(super) struct Routes(Vec<Route>);

#[derive(Debug)]
struct Route {
    method: String,
    segments: Vec<Segment>,
    to: To,
}

#[derive(Debug)]
enum Segment {
    Fixed(String),
    Member(String),
}

#[derive(Debug)]
enum To {
    Offered(OperationName),
    Unoffered(String),
}

// === impl Model ===

impl Model {
    /// The operation for a method and a path. The path must be as it came, still encoded: an ARN is one segment, and the slash in it is `%2F`.
    /// A slash at the end makes no difference, so that nobody must be redirected (which would break the signature).
    ///
    /// # Errors
    ///
    /// `UnknownOperation` if there is none; `Validation` if it is one that this gateway does not offer, or if a segment is badly encoded.
    pub fn route(&self, method: &str, raw_path: &str) -> Result<Matched<'_>, ControlError> {
        let path = raw_path.strip_prefix('/').ok_or(ControlError::UnknownOperation)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments: Vec<&str> = path.split('/').take(SEGMENTS_MAX + 1).collect();
        let route = self.routes.0.iter().find(|route| route.method == method && route.fits(&segments));
        let route = route.ok_or(ControlError::UnknownOperation)?;
        let operation = match &route.to {
            To::Unoffered(name) => return Err(ControlError::not_offered(name)),
            To::Offered(name) => self.operation(*name).ok_or(ControlError::UnknownOperation)?,
        };
        let mut members = Vec::new();
        for (segment, given) in route.segments.iter().zip(segments) {
            if let Segment::Member(name) = segment {
                let value = decode(given).ok_or_else(|| badly_encoded(name))?;
                members.push((name.as_str(), value));
            }
        }
        Ok(Matched { operation, path: members })
    }
}

// === impl Routes ===

impl Routes {
    pub(super) fn offer(&mut self, operation: &Operation) {
        self.push(&operation.method, &operation.uri, To::Offered(operation.name));
    }

    pub(super) fn refuse(&mut self, name: String, method: &str, uri: &str) {
        self.push(method, uri, To::Unoffered(name));
    }

    fn push(&mut self, method: &str, uri: &str, to: To) {
        let segment = |text: &str| match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => Segment::Member(name.to_owned()),
            None => Segment::Fixed(text.to_owned()),
        };
        let segments = uri.trim_matches('/').split('/').map(segment).collect();
        self.0.push(Route { method: method.to_owned(), segments, to });
    }

    /// Pairs of routes that the same request would fit.
    #[cfg(test)]
    pub(super) fn ambiguous(&self) -> Vec<String> {
        let alike = |(one, other): (&Segment, &Segment)| match (one, other) {
            (Segment::Fixed(one), Segment::Fixed(other)) => one == other,
            _ => true,
        };
        let mut found = Vec::new();
        for (at, one) in self.0.iter().enumerate() {
            for other in &self.0[at + 1..] {
                let same_form = one.method == other.method && one.segments.len() == other.segments.len();
                if same_form && one.segments.iter().zip(&other.segments).all(alike) {
                    found.push(format!("{:?} and {:?}", one.to, other.to));
                }
            }
        }
        found
    }
}

// === impl Route ===

impl Route {
    fn fits(&self, given: &[&str]) -> bool {
        let fits = |(segment, given): (&Segment, &&str)| match segment {
            Segment::Fixed(text) => text == given,
            Segment::Member(_) => !given.is_empty(),
        };
        self.segments.len() == given.len() && self.segments.iter().zip(given).all(fits)
    }
}

/// Percent-decoded; `None` for `%` without two hexadecimal digits and for what is no UTF-8. A plus is a plus, as in SigV4.
pub(super) fn decode(text: &str) -> Option<String> {
    let after_percent = text.split('%').skip(1);
    let whole = |rest: &str| rest.as_bytes().get(..2).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit));
    if !after_percent.into_iter().all(whole) {
        return None;
    }
    Some(percent_encoding::percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

pub(super) fn badly_encoded(member: &str) -> ControlError {
    ControlError::cannot_parse(format!("`{member}` is not percent-encoded UTF-8"))
}
