//! Checking an accepted form against the schema that was asked, before it goes to the target.
//!
//! Not against the `ElicitResult` of the published `schema.json`: that one takes numbers for integers.

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::LocationSegment;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};

use super::answer::AnswerError;
use super::schema::{FormSchema, SchemaError};
use crate::json::RawJson;
use crate::members::Members;
use crate::text::short;

/// Longest content of an answer, in bytes.
pub const MAX_CONTENT: usize = 256 * 1024;

/// Most entries of one list: each is held against each choice.
pub const MAX_ENTRIES: usize = 1024;

/// Compiled size of one `pattern`, in bytes.
const PATTERN_SIZE: usize = 256 * 1024;

/// Checks the content of an accepted form: values are strings, numbers, booleans or lists of strings, and fit the
/// schema, formats included. Nothing is fetched. A `pattern` is matched in linear time; one that needs more (look-around,
/// back-references) is passed over: the schemas of the specification do not have that keyword, and the target checks
/// it anyway. Compiles the schema: milliseconds for the largest, so not for a hot path.
///
/// # Errors
/// Naming the property, never its value. [`AnswerError::Schema`] where the question itself is at fault.
pub fn check_answer(requested_schema: &RawJson, content: &RawJson) -> Result<(), AnswerError> {
    if content.len() > MAX_CONTENT {
        return Err(AnswerError::TooLong(content.len()));
    }
    let content = typed(content)?;
    FormSchema::parse(requested_schema)?;
    let validator = validator(requested_schema)?;
    // The first error only: collecting all of a long list against many choices costs memory without a bound.
    validator.validate(&content).map_err(|error| explain(&error))
}

/// The content as a value, if all its values are of the kinds that an answer may hold.
fn typed(content: &RawJson) -> Result<Value, AnswerError> {
    let members = Members::of(content).map_err(|_| AnswerError::Content)?;
    let mut out = Map::new();
    for (name, raw) in members.iter() {
        let value: Value = serde_json::from_str(raw.get()).map_err(|_| AnswerError::Content)?;
        let allowed = match &value {
            Value::String(_) | Value::Number(_) | Value::Bool(_) => true,
            Value::Array(items) => items.iter().all(Value::is_string),
            Value::Null | Value::Object(_) => false,
        };
        if !allowed {
            return Err(property(name, "must be a string, a number, a boolean or a list of strings"));
        }
        if value.as_array().is_some_and(|items| items.len() > MAX_ENTRIES) {
            return Err(property(name, format!("must have at most {MAX_ENTRIES} entries")));
        }
        out.insert(name.to_owned(), value);
    }
    Ok(Value::Object(out))
}

fn validator(schema: &RawJson) -> Result<Validator, SchemaError> {
    let unusable = |_: serde_json::Error| SchemaError::Shape("it is not a valid JSON Schema".into());
    let mut schema: Value = schema.get().map_err(unusable)?;
    let draft = draft(&schema);
    if let Some(schema) = schema.as_object_mut() {
        // The draft is known, and nothing refers to anything: names of schemas can only send the compiler astray.
        for name in ["$schema", "$id", "id", "$vocabulary"] {
            schema.remove(name);
        }
    }
    // A pattern of another dialect must not make the question unanswerable.
    build(&schema, draft).or_else(|_| {
        drop_unusable_patterns(&mut schema);
        build(&schema, draft).map_err(|error| SchemaError::Shape(format!("`{}` is not valid", error.instance_path())))
    })
}

fn build(schema: &Value, draft: Draft) -> Result<Validator, ValidationError<'static>> {
    jsonschema::options()
        .with_draft(draft)
        .offline()
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true)
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_SIZE).dfa_size_limit(PATTERN_SIZE))
        .build(schema)
}

/// The draft that `$schema` names; 2020-12 where it names none, as the specification says, or none that is known.
fn draft(schema: &Value) -> Draft {
    let name = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
    let name = name.trim_end_matches('#').rsplit("json-schema.org/").next().unwrap_or_default();
    match name {
        "draft-04/schema" => Draft::Draft4,
        "draft-06/schema" => Draft::Draft6,
        "draft-07/schema" => Draft::Draft7,
        "draft/2019-09/schema" => Draft::Draft201909,
        _ => Draft::Draft202012,
    }
}

fn drop_unusable_patterns(schema: &mut Value) {
    let drop = |schema: &mut Map<String, Value>| {
        let unusable = |pattern: &Value| build(&serde_json::json!({ "pattern": pattern }), Draft::Draft202012).is_err();
        if schema.get("pattern").is_some_and(unusable) {
            schema.remove("pattern");
        }
    };
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut);
    for field in fields.filter_map(Value::as_object_mut) {
        drop(field);
        if let Some(items) = field.get_mut("items").and_then(Value::as_object_mut) {
            drop(items);
        }
    }
}

/// Which property is wrong, and how, out of what the schema says alone.
fn explain(error: &ValidationError<'_>) -> AnswerError {
    use ValidationErrorKind as Kind;
    if let Kind::Required { property: name } = error.kind() {
        return property(name.as_str().unwrap_or_default(), "is required");
    }
    let reason = match error.kind() {
        Kind::Type { .. } => "has the wrong type".into(),
        Kind::Format { format } => format!("is not a valid {}", short(format)),
        Kind::Pattern { .. } => "does not have the form that was asked for".into(),
        Kind::MinLength { limit } => format!("must have at least {limit} characters"),
        Kind::MaxLength { limit } => format!("must have at most {limit} characters"),
        Kind::Minimum { limit } => format!("must be at least {limit}"),
        Kind::Maximum { limit } => format!("must be at most {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        Kind::MinItems { limit } => format!("must have at least {limit} entries"),
        Kind::MaxItems { limit } => format!("must have at most {limit} entries"),
        Kind::UniqueItems => "must not have the same entry twice".into(),
        Kind::Enum { .. } | Kind::Constant { .. } | Kind::OneOfNotValid { .. } | Kind::AnyOf { .. } => {
            "is not one of the choices".into()
        }
        other => format!("does not satisfy `{}`", short(other.keyword())),
    };
    match error.instance_path().iter().next() {
        Some(LocationSegment::Property(name)) => property(&name, reason),
        _ => AnswerError::Whole(reason),
    }
}

fn property(name: &str, reason: impl Into<String>) -> AnswerError {
    AnswerError::Property { property: short(name).into(), reason: reason.into() }
}

#[cfg(test)]
mod tests;
