//! The JSON Schema of the configuration: what `sessiongate schema` prints, what the checker and the documentation are
//! driven by.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::model::Config;

/// The schema (draft 2020-12).
#[must_use]
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Config>();
    schema.insert("title".to_owned(), "sessiongate configuration".into());
    // `Config` has a default for every field, so that code can begin with one; a file without gateways is none.
    let mut schema = schema.to_value();
    if let Some(gateways) = schema.pointer_mut("/properties/gateways").and_then(Value::as_object_mut) {
        gateways.remove("default");
    }
    schema
}

/// Follows `$ref` and takes `null` out of the alternatives, since a key without a value counts as absent.
///
/// `root` is the whole schema; a reference that leads nowhere gives the schema that allows all.
#[must_use]
pub fn resolve<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    // The schema is our own and has no cycles; the bound is for the day it gets one.
    for _ in 0..16 {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            schema = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer)).unwrap_or(&Value::Null);
            continue;
        }
        let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) else { break };
        let mut real = alternatives.iter().filter(|one| one.get("type").and_then(Value::as_str) != Some("null"));
        match (real.next(), real.next()) {
            (Some(only), None) => schema = only,
            _ => break,
        }
    }
    schema
}

/// The fixed values that a schema lists (`enum`, or alternatives with `const`), if it is such a list.
#[must_use]
pub fn choices(schema: &Value) -> Option<Vec<(&Value, Option<&str>)>> {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return Some(values.iter().map(|value| (value, None)).collect());
    }
    let alternatives = schema.get("oneOf").and_then(Value::as_array)?;
    let mut all = Vec::new();
    for one in alternatives {
        let described = one.get("description").and_then(Value::as_str);
        if let Some(value) = one.get("const") {
            all.push((value, described));
        } else {
            all.extend(one.get("enum").and_then(Value::as_array)?.iter().map(|value| (value, described)));
        }
    }
    Some(all)
}

/// The mappings that a schema lists by the value of their key `type`, if it is such a list.
#[must_use]
pub fn tagged(schema: &Value) -> Option<Vec<(&str, &Value)>> {
    let tag = |one| Some((Value::pointer(one, "/properties/type/const")?.as_str()?, one));
    schema.get("oneOf")?.as_array()?.iter().map(tag).collect()
}

/// Whether a schema's `type` is, or includes, this one.
#[must_use]
pub fn is_type(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(only)) => only == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    }
}
