//! The schema of a form: flat, primitive fields only (2025-06-18 and 2025-11-25, elicitation).
//!
//! Strict where a client would be in danger (nesting, references, sizes), tolerant where it is not (unknown keywords).

use std::fmt;

use serde_json::Number;

use crate::json::RawJson;
use crate::members::Members;
use crate::text::short;

pub(super) mod read;

/// Longest schema, in bytes.
pub const MAX_SCHEMA: usize = 64 * 1024;

/// Most properties of one form.
pub const MAX_PROPERTIES: usize = 64;

/// A form.
#[derive(Clone, Debug, PartialEq)]
pub struct FormSchema {
    /// Its fields, in the order in which to show them.
    pub properties: Vec<(String, Field)>,
    /// The names of those that must be filled in.
    pub required: Vec<String>,
}

/// One field of a form.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// For a person.
    pub title: Option<String>,
    /// For a person.
    pub description: Option<String>,
    /// What can be filled in.
    pub kind: FieldKind,
}

/// What can be filled in.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldKind {
    /// Text.
    String {
        /// What it looks like.
        format: Option<Format>,
        /// In characters.
        min_length: Option<u64>,
        /// In characters.
        max_length: Option<u64>,
        /// An ECMA 262 expression. In the prose of 2025-11-25 only: not every client knows it.
        pattern: Option<String>,
        /// Filled in beforehand.
        default: Option<String>,
    },
    /// A number.
    Number(Range),
    /// A whole number.
    Integer(Range),
    /// Yes or no.
    Boolean {
        /// Filled in beforehand.
        default: Option<bool>,
    },
    /// One of a few.
    SingleSelect {
        /// What to choose from; not empty.
        options: Vec<Choice>,
        /// The value chosen beforehand.
        default: Option<String>,
    },
    /// Several of a few (2025-11-25).
    MultiSelect {
        /// What to choose from; not empty.
        options: Vec<Choice>,
        /// At least so many.
        min_items: Option<u64>,
        /// At most so many.
        max_items: Option<u64>,
        /// The values chosen beforehand.
        default: Vec<String>,
    },
}

/// The bounds of a number, both inclusive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Range {
    /// Not below.
    pub minimum: Option<Number>,
    /// Not above.
    pub maximum: Option<Number>,
    /// Filled in beforehand.
    pub default: Option<Number>,
}

/// One value to choose, and how to show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What goes into the answer.
    pub value: String,
    /// What a person sees; the value where there is none.
    pub title: Option<String>,
}

/// The formats that the specification knows. Others are tolerated and not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An e-mail address.
    Email,
    /// A URI.
    Uri,
    /// RFC 3339 `full-date`.
    Date,
    /// RFC 3339 `date-time`.
    DateTime,
}

/// Why a schema is not passed on to a client. The texts are for the target and name properties.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Longer than [`MAX_SCHEMA`].
    #[error("it has {0} bytes, at most {MAX_SCHEMA} are allowed")]
    TooLong(usize),
    /// Not an object schema, or one that can be read in two ways.
    #[error("{0}")]
    Shape(String),
    /// More than [`MAX_PROPERTIES`].
    #[error("it has {0} properties, at most {MAX_PROPERTIES} are allowed")]
    TooManyProperties(usize),
    /// A property is not one of the primitive kinds.
    #[error("property `{property}`: {reason}")]
    Property {
        /// Which one; shortened where it is long.
        property: String,
        /// What is wrong.
        reason: String,
    },
}

// === impl FormSchema ===

impl FormSchema {
    /// Reads a `requestedSchema`.
    ///
    /// # Errors
    /// Where it is not an object schema with flat, primitive properties, or too large, or holds a reference.
    pub fn parse(schema: &RawJson) -> Result<Self, SchemaError> {
        if schema.len() > MAX_SCHEMA {
            return Err(SchemaError::TooLong(schema.len()));
        }
        let members = Members::of(schema)
            .map_err(|_| SchemaError::Shape("it must be an object without duplicate members".into()))?;
        read::form(&members)
    }

    /// The field of a property.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.properties.iter().find(|(property, _)| property == name).map(|(_, field)| field)
    }

    /// Whether a property must be filled in.
    pub fn is_required(&self, name: &str) -> bool {
        self.required.iter().any(|required| required == name)
    }
}

// === impl Choice ===

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title.as_deref().unwrap_or(&self.value))
    }
}

// === impl SchemaError ===

impl SchemaError {
    pub(super) fn property(property: &str, reason: impl Into<String>) -> Self {
        Self::Property { property: short(property).into(), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FormSchema, SchemaError> {
        FormSchema::parse(&RawJson::parse(text.to_owned()).unwrap())
    }

    fn kind(field: &str) -> Result<FieldKind, SchemaError> {
        let form = parse(&format!(r#"{{"type":"object","properties":{{"f":{field}}}}}"#))?;
        Ok(form.field("f").unwrap().kind.clone())
    }

    fn choices(pairs: &[(&str, Option<&str>)]) -> Vec<Choice> {
        pairs.iter().map(|(value, title)| Choice { value: (*value).into(), title: title.map(Into::into) }).collect()
    }

    #[test]
    fn every_field_of_the_specification_is_read() {
        assert_eq!(
            kind(
                r#"{"type":"string","format":"email","minLength":1,"maxLength":9,"pattern":"^a","default":"x","x-y":{}}"#
            ),
            Ok(FieldKind::String {
                format: Some(Format::Email),
                min_length: Some(1),
                max_length: Some(9),
                pattern: Some("^a".into()),
                default: Some("x".into()),
            })
        );
        let range = |minimum: i64, default: f64| Range {
            minimum: Some(minimum.into()),
            maximum: None,
            default: Number::from_f64(default),
        };
        assert_eq!(kind(r#"{"type":"number","minimum":1,"default":1.5}"#), Ok(FieldKind::Number(range(1, 1.5))));
        assert!(matches!(kind(r#"{"type":"integer","maximum":3}"#), Ok(FieldKind::Integer(_))));
        assert_eq!(kind(r#"{"type":"boolean","default":true}"#), Ok(FieldKind::Boolean { default: Some(true) }));
    }

    #[test]
    fn every_way_to_choose_is_read() {
        let single =
            |options, default: Option<&str>| Ok(FieldKind::SingleSelect { options, default: default.map(Into::into) });
        assert_eq!(
            kind(r#"{"type":"string","enum":["a","b"],"default":"b"}"#),
            single(choices(&[("a", None), ("b", None)]), Some("b"))
        );
        assert_eq!(
            kind(r#"{"type":"string","enum":["a","b"],"enumNames":["A"]}"#),
            single(choices(&[("a", Some("A")), ("b", None)]), None)
        );
        assert_eq!(
            kind(r#"{"type":"string","oneOf":[{"const":"a","title":"A"},{"const":"b"}]}"#),
            single(choices(&[("a", Some("A")), ("b", None)]), None)
        );
        assert_eq!(
            kind(
                r#"{"type":"array","items":{"type":"string","enum":["a"]},"minItems":1,"maxItems":2,"default":["a"]}"#
            ),
            Ok(FieldKind::MultiSelect {
                options: choices(&[("a", None)]),
                min_items: Some(1),
                max_items: Some(2),
                default: vec!["a".into()],
            })
        );
        assert_eq!(
            kind(r#"{"type":"array","items":{"anyOf":[{"const":"a","title":"A"}]}}"#),
            Ok(FieldKind::MultiSelect {
                options: choices(&[("a", Some("A"))]),
                min_items: None,
                max_items: None,
                default: Vec::new(),
            })
        );
    }

    #[test]
    fn order_and_required_names_are_kept() {
        let form = parse(
            r#"{"$schema":"x","type":"object","properties":{"b":{"type":"string"},"a":{"type":"boolean","title":"T"}},"required":["a"]}"#,
        )
        .unwrap();
        let names: Vec<&str> = form.properties.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert!(form.is_required("a") && !form.is_required("b"));
        assert_eq!(form.field("a").unwrap().title.as_deref(), Some("T"));
    }

    #[test]
    fn what_would_endanger_a_client_is_refused_by_name() {
        for field in [
            r#"{"type":"object","properties":{}}"#,
            r#"{"type":"array","items":{"type":"object"}}"#,
            r#"{"type":"array","items":{"type":"string"}}"#,
            r#"{"type":"array"}"#,
            r#"{"type":["string","null"]}"#,
            r#"{"anyOf":[{"type":"string"}]}"#,
            r##"{"$ref":"#/$defs/x"}"##,
            r#"{"type":"string","allOf":[{"$ref":"https://example.com/x"}]}"#,
            r#"{"type":"string","enum":[]}"#,
            r#"{"type":"string","enum":[1]}"#,
            r#"{"type":"string","oneOf":[{"title":"A"}]}"#,
            r#"{"type":"string","minLength":-1}"#,
            r#"{"type":"string","type":"number"}"#,
            r#"{"type":"null"}"#,
            "true",
        ] {
            match kind(field) {
                Err(SchemaError::Property { property, .. }) => assert_eq!(property, "f", "{field}"),
                other => panic!("{field}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_whole_is_bounded_and_must_be_an_object_schema() {
        for text in [
            "[]",
            "{}",
            r#"{"type":"string"}"#,
            r#"{"type":"object"}"#,
            r#"{"type":"object","properties":[]}"#,
            r#"{"type":"object","properties":{},"required":"a"}"#,
            r#"{"type":"object","properties":{"a":{"type":"string"},"a":{"type":"number"}}}"#,
            r##"{"type":"object","properties":{},"$ref":"#"}"##,
        ] {
            assert!(matches!(parse(text), Err(SchemaError::Shape(_))), "{text}");
        }
        let many: Vec<String> = (0..65).map(|n| format!(r#""p{n}":{{"type":"string"}}"#)).collect();
        let many = format!(r#"{{"type":"object","properties":{{{}}}}}"#, many.join(","));
        assert_eq!(parse(&many), Err(SchemaError::TooManyProperties(65)));
        let long = format!(r#"{{"type":"object","properties":{{}},"x":"{}"}}"#, "x".repeat(MAX_SCHEMA));
        assert!(matches!(parse(&long), Err(SchemaError::TooLong(_))));
    }
}
