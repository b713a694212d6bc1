//! Whether a value is what its shape says.
//!
//! AWS clients check required members, types and smallest lengths only; enumerations, patterns and greatest lengths are ours. What the model
//! does not know is refused rather than ignored: nobody shall believe that a setting is in force when it is not.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::json::{DEPTH_MAX, NODES_MAX};
use super::suggest::did_you_mean;
use super::{Bounds, Kind, Location, Member, Model, Operation, Pattern, ShapeId};
use crate::control::error::FieldError;

/// Wrong members that are reported at once.
const ERRORS_MAX: usize = 32;
/// Characters of a string that has a pattern and no greatest length.
const PATTERNED_MAX: i64 = 8192;
/// Characters of a client's own name (a map's key, an unknown member) in a path.
const NAME_IN_PATH: usize = 64;

// === impl Model ===

impl Model {
    /// Whether `input`, the members of path, query and body together, is what `operation` takes. A member that is `null` counts as
    /// absent, as the protocol says.
    ///
    /// # Errors
    ///
    /// The first members that are wrong.
    pub fn validate(&self, operation: &Operation, input: &Value) -> Result<(), Vec<FieldError>> {
        self.validate_shape(operation.input, input)
    }

    /// Whether `output` is what clients of `operation` expect: for tests of what the gateway answers.
    ///
    /// # Errors
    ///
    /// The first members that are wrong.
    pub fn validate_output(&self, operation: &Operation, output: &Value) -> Result<(), Vec<FieldError>> {
        self.validate_shape(operation.output, output)
    }

    /// Whether `value` is what a shape of this model says.
    ///
    /// # Errors
    ///
    /// The first members that are wrong.
    pub fn validate_shape(&self, shape: ShapeId, value: &Value) -> Result<(), Vec<FieldError>> {
        let mut check = Check { model: self, path: String::new(), errors: Vec::new(), nodes: NODES_MAX };
        check.value(shape, value, DEPTH_MAX);
        if check.errors.is_empty() { Ok(()) } else { Err(check.errors) }
    }
}

struct Check<'m> {
    model: &'m Model,
    path: String,
    errors: Vec<FieldError>,
    nodes: usize,
}

// === impl Check ===

impl<'m> Check<'m> {
    fn wrong(&mut self, message: impl Into<String>) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(FieldError::new(self.path.as_str(), message));
        }
    }

    fn within(&mut self, step: &str, then: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(step);
        then(self);
        self.path.truncate(length);
    }

    fn within_member(&mut self, name: &str, then: impl FnOnce(&mut Self)) {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.within(&format!("{dot}{}", shown(name)), then);
    }

    /// Accounts for one more value; false if there is nothing more to be looked at.
    fn enter(&mut self, depth: usize) -> bool {
        if self.errors.len() >= ERRORS_MAX || self.nodes == 0 {
            return false;
        }
        self.nodes -= 1;
        if self.nodes == 0 {
            self.wrong(format!("is within a request of more than {NODES_MAX} values"));
        } else if depth == 0 {
            self.wrong(format!("is more than {DEPTH_MAX} levels deep"));
        }
        self.nodes > 0 && depth > 0
    }

    fn value(&mut self, shape: ShapeId, value: &Value, depth: usize) {
        if !self.enter(depth) {
            return;
        }
        match (&self.model.shape(shape).kind, value) {
            (Kind::Document, _) => self.document(value, depth),
            (_, Value::Null) => self.wrong("must not be null"),
            (Kind::String { length, pattern, values }, Value::String(text)) => {
                self.string(text, *length, pattern.as_ref(), values);
            }
            (Kind::Blob { length }, Value::String(text)) => match STANDARD.decode(text) {
                Ok(bytes) => self.size(bytes.len(), *length, "bytes"),
                Err(_) => self.wrong("must be base64"),
            },
            (Kind::Boolean, Value::Bool(_)) => {}
            (Kind::Integer { range }, Value::Number(number)) => match number.as_i64() {
                Some(number) => self.range(*range, |bounds| bounds.contain(number)),
                None if number.is_u64() => self.range(*range, |bounds| bounds.max.is_none()),
                None => self.wrong("must be a whole number"),
            },
            (Kind::Float { range }, Value::Number(number)) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                let fits = |bounds: &Bounds| {
                    bounds.min.is_none_or(|min| number >= min as f64)
                        && bounds.max.is_none_or(|max| number <= max as f64)
                };
                self.range(*range, fits);
            }
            (Kind::Timestamp { epoch: true }, Value::Number(_)) => {}
            (Kind::Timestamp { epoch: false }, Value::String(text)) => {
                if humantime::parse_rfc3339(text).is_err() {
                    self.wrong("must be a time like 2026-01-31T12:00:00Z");
                }
            }
            (Kind::List { item, length }, Value::Array(items)) => {
                self.size(items.len(), *length, "items");
                for (at, inner) in items.iter().enumerate() {
                    self.within(&format!("[{at}]"), |check| check.value(*item, inner, depth - 1));
                }
            }
            (Kind::Map { key, value, length }, Value::Object(entries)) => {
                self.size(entries.len(), *length, "entries");
                self.entries(*key, *value, entries, depth);
            }
            (Kind::Structure { members, union }, Value::Object(given)) => {
                self.structure(members, *union, given, depth);
            }
            (kind, _) => self.wrong(format!("must be {}", type_name(kind))),
        }
    }

    fn string(&mut self, text: &str, length: Bounds, pattern: Option<&Pattern>, values: &[String]) {
        if !values.is_empty() {
            if !values.iter().any(|value| value == text) {
                let near = did_you_mean(text, values.iter().map(String::as_str));
                self.wrong(format!("must be one of {}{near}", values.join(", ")));
            }
            return;
        }
        let max = length.max.or(pattern.is_some().then_some(PATTERNED_MAX));
        let before = self.errors.len();
        self.size(text.chars().count(), Bounds { max, ..length }, "characters");
        if self.errors.len() == before
            && let Some(pattern) = pattern
            && !pattern.matches(text)
        {
            self.wrong(format!("must match the pattern {}", pattern.enforced()));
        }
    }

    fn size(&mut self, size: usize, bounds: Bounds, unit: &str) {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        match bounds {
            Bounds { min: Some(min), .. } if size < min => self.wrong(format!("must have at least {min} {unit}")),
            Bounds { max: Some(max), .. } if size > max => self.wrong(format!("must have at most {max} {unit}")),
            _ => {}
        }
    }

    fn range(&mut self, range: Bounds, fits: impl FnOnce(&Bounds) -> bool) {
        if !fits(&range) {
            self.wrong(match (range.min, range.max) {
                (Some(min), Some(max)) => format!("must be from {min} to {max}"),
                (Some(min), None) => format!("must be at least {min}"),
                (_, max) => format!("must be at most {}", max.unwrap_or(i64::MAX)),
            });
        }
    }

    fn entries(&mut self, key: ShapeId, value: ShapeId, entries: &Map<String, Value>, depth: usize) {
        for (name, inner) in entries {
            // What is wrong with a name is said of the map: a path with a wrong name in it would be hard to read.
            let mut check = Check { model: self.model, path: String::new(), errors: Vec::new(), nodes: 2 };
            check.value(key, &Value::String(name.clone()), 1);
            for error in check.errors {
                self.wrong(format!("has the name `{}`, which {}", shown(name), error.message));
            }
            self.within_member(name, |check| check.value(value, inner, depth - 1));
        }
    }

    fn structure(&mut self, members: &BTreeMap<String, Member>, union: bool, given: &Map<String, Value>, depth: usize) {
        let mut known = 0;
        let mut unknown = 0;
        for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
            match members.get(name) {
                Some(member) => {
                    known += 1;
                    self.within_member(name, |check| check.value(member.shape, value, depth - 1));
                }
                None => {
                    unknown += 1;
                    let near = did_you_mean(name, body_members(members));
                    self.within_member(name, |check| check.wrong(format!("is not known here{near}")));
                }
            }
        }
        for (name, member) in members {
            if member.required && given.get(name).is_none_or(Value::is_null) {
                self.within_member(name, |check| check.wrong("is required"));
            }
        }
        if union && (known > 1 || known + unknown == 0) {
            let all = members.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            self.wrong(format!("must have exactly one of {all}"));
        }
    }

    /// Any JSON, within the bounds of the whole.
    fn document(&mut self, value: &Value, depth: usize) {
        let inner: Box<dyn Iterator<Item = &Value>> = match value {
            Value::Array(items) => Box::new(items.iter()),
            Value::Object(members) => Box::new(members.values()),
            _ => return,
        };
        for value in inner {
            if !self.enter(depth - 1) {
                return;
            }
            self.document(value, depth - 1);
        }
    }
}

/// Names that a client may write in a body.
pub(super) fn body_members(members: &BTreeMap<String, Member>) -> impl Iterator<Item = &str> {
    members.iter().filter(|(_, member)| member.location == Location::Body).map(|(name, _)| name.as_str())
}

/// A client's own name, so that it can be put into a message: short, and without anything that a terminal or a log would obey.
pub(super) fn shown(name: &str) -> String {
    let mut out: String = name.chars().take(NAME_IN_PATH).flat_map(char::escape_debug).collect();
    if name.chars().nth(NAME_IN_PATH).is_some() {
        out.push('…');
    }
    out
}

fn type_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::String { .. } => "a string",
        Kind::Blob { .. } => "a string in base64",
        Kind::Boolean => "true or false",
        Kind::Integer { .. } => "a whole number",
        Kind::Float { .. } => "a number",
        Kind::Timestamp { epoch: true } => "a number of seconds",
        Kind::Timestamp { epoch: false } => "a time as a string",
        Kind::Document => "any JSON",
        Kind::List { .. } => "a list",
        Kind::Map { .. } | Kind::Structure { .. } => "an object",
    }
}
