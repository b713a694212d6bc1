//! Shapes: what a value may be.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Number;

use super::ModelError;
use super::pattern::Pattern;

/// A shape of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShapeId(pub(super) usize);

/// Smallest and greatest, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Smallest.
    pub min: Option<i64>,
    /// Greatest.
    pub max: Option<i64>,
}

/// What a value may be.
#[derive(Debug)]
pub struct Shape {
    /// Its name in the service model.
    pub name: String,
    /// Its type and constraints.
    pub kind: Kind,
    /// Values must not appear in logs.
    pub sensitive: bool,
}

/// A type with its constraints.
#[derive(Debug)]
pub enum Kind {
    /// Text.
    String {
        /// Length in characters (Unicode scalar values, as Smithy counts).
        length: Bounds,
        /// What the whole text must match.
        pattern: Option<Pattern>,
        /// If not empty, the only values.
        values: Vec<String>,
    },
    /// Base64 text; the length is that of what it encodes.
    Blob {
        /// Length in bytes.
        length: Bounds,
    },
    /// True or false.
    Boolean,
    /// A whole number.
    Integer {
        /// Smallest and greatest.
        range: Bounds,
    },
    /// Any number.
    Float {
        /// Smallest and greatest.
        range: Bounds,
    },
    /// A point in time.
    Timestamp {
        /// Seconds since 1970 instead of RFC 3339.
        epoch: bool,
    },
    /// Any JSON.
    Document,
    /// Values of one shape.
    List {
        /// Of each item.
        item: ShapeId,
        /// Number of items.
        length: Bounds,
    },
    /// Values of one shape by names.
    Map {
        /// Of each name.
        key: ShapeId,
        /// Of each value.
        value: ShapeId,
        /// Number of entries.
        length: Bounds,
    },
    /// Members with shapes of their own.
    Structure {
        /// By their names on the wire.
        members: BTreeMap<String, Member>,
        /// Exactly one member is set.
        union: bool,
    },
}

/// A member of a structure.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// What it may be.
    pub shape: ShapeId,
    /// Where in a request it is.
    pub location: Location,
    /// It must be there.
    pub required: bool,
    /// It makes a repeated request recognisable (`clientToken`).
    pub idempotency_token: bool,
}

/// Where in a request a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Location {
    /// A segment of the path.
    Path,
    /// The query.
    Query,
    /// The JSON body.
    #[default]
    Body,
}

/// A shape as `model.json` has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RawShape {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    required: BTreeSet<String>,
    min: Option<Number>,
    max: Option<Number>,
    pattern: Option<String>,
    #[serde(rename = "enum", default)]
    values: Vec<String>,
    #[serde(default)]
    union: bool,
    #[serde(default)]
    document: bool,
    #[serde(default)]
    sensitive: bool,
    timestamp_format: Option<String>,
    #[serde(default)]
    members: BTreeMap<String, RawMember>,
    member: Option<String>,
    key: Option<String>,
    value: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawMember {
    shape: String,
    #[serde(rename = "in", default)]
    location: Location,
    #[serde(default)]
    idempotency_token: bool,
}

// === impl Bounds ===

impl Bounds {
    /// Whether `value` is between them.
    pub fn contain(&self, value: i64) -> bool {
        self.min.is_none_or(|min| min <= value) && self.max.is_none_or(|max| value <= max)
    }
}

// === impl Shape ===

impl Shape {
    /// The members, if it is a structure.
    pub fn members(&self) -> Option<&BTreeMap<String, Member>> {
        match &self.kind {
            Kind::Structure { members, .. } => Some(members),
            _ => None,
        }
    }
}

// === impl RawShape ===

impl RawShape {
    /// The shape, with references to `ids`.
    pub(super) fn resolve(self, name: &str, ids: &BTreeMap<String, ShapeId>) -> Result<Shape, ModelError> {
        let find = |wanted: Option<&str>| {
            let wanted = wanted.unwrap_or_default();
            let missing = || ModelError::UnknownShape { name: wanted.to_owned(), user: name.to_owned() };
            ids.get(wanted).copied().ok_or_else(missing)
        };
        let unsupported = || ModelError::Unsupported { shape: name.to_owned() };
        let whole = |number: &Option<Number>| match number {
            None => Ok(None),
            Some(number) => number.as_i64().map(Some).ok_or_else(unsupported),
        };
        let bounds = Bounds { min: whole(&self.min)?, max: whole(&self.max)? };
        let kind = match self.kind.as_str() {
            "structure" if self.document => Kind::Document,
            "string" => Kind::String {
                length: bounds,
                pattern: self.pattern.as_deref().and_then(Pattern::new),
                values: self.values,
            },
            "blob" => Kind::Blob { length: bounds },
            "boolean" => Kind::Boolean,
            "integer" | "long" => Kind::Integer { range: bounds },
            "float" | "double" => Kind::Float { range: bounds },
            "timestamp" => Kind::Timestamp { epoch: self.timestamp_format.as_deref() != Some("iso8601") },
            "list" => Kind::List { item: find(self.member.as_deref())?, length: bounds },
            "map" => Kind::Map { key: find(self.key.as_deref())?, value: find(self.value.as_deref())?, length: bounds },
            "structure" => {
                if let Some(stray) = self.required.iter().find(|wanted| !self.members.contains_key(*wanted)) {
                    return Err(ModelError::UnknownShape { name: stray.clone(), user: name.to_owned() });
                }
                let member = |(member, raw): (String, RawMember)| {
                    let facts = Member {
                        shape: find(Some(&raw.shape))?,
                        location: raw.location,
                        required: self.required.contains(&member),
                        idempotency_token: raw.idempotency_token,
                    };
                    Ok((member, facts))
                };
                let members = self.members.into_iter().map(member).collect::<Result<_, ModelError>>()?;
                Kind::Structure { members, union: self.union }
            }
            _ => return Err(unsupported()),
        };
        Ok(Shape { name: name.to_owned(), kind, sensitive: self.sensitive })
    }
}
