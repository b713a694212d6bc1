//! From raw members to typed fields.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Choice, Field, FieldKind, FormSchema, Format, MAX_PROPERTIES, Range, SchemaError};
use crate::members::Members;

/// Keywords that make one schema stand for another: a client that follows them leaves the flat subset, or the machine.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// What a field did wrong; the caller knows its name.
type Read<T> = Result<T, String>;

pub(super) fn form(schema: &Members<'_>) -> Result<FormSchema, SchemaError> {
    let shape = |reason: &str| SchemaError::Shape(reason.into());
    if schema.get_str("type").as_deref() != Some("object") {
        return Err(shape("its `type` must be `object`"));
    }
    if schema.iter().any(|(name, value)| name != "properties" && refers(name, value)) {
        return Err(shape("it must not hold references"));
    }
    let properties = schema
        .get("properties")
        .and_then(|raw| Members::of_str(raw.get()).ok())
        .ok_or_else(|| shape("its `properties` must be an object without duplicate members"))?;
    let count = properties.iter().count();
    if count > MAX_PROPERTIES {
        return Err(SchemaError::TooManyProperties(count));
    }
    let required = match schema.get("required").map(RawValue::get) {
        None | Some("null") => Vec::new(),
        Some(raw) => serde_json::from_str(raw).map_err(|_| shape("its `required` must be a list of names"))?,
    };
    let properties = properties
        .iter()
        .map(|(name, raw)| match field(raw) {
            Ok(field) => Ok((name.to_owned(), field)),
            Err(reason) => Err(SchemaError::property(name, reason)),
        })
        .collect::<Result<_, _>>()?;
    Ok(FormSchema { properties, required })
}

fn field(raw: &RawValue) -> Read<Field> {
    let members = Members::of_str(raw.get()).map_err(|_| "it must be an object without duplicate members")?;
    if members.iter().any(|(name, value)| refers(name, value)) {
        return Err("references are not allowed".into());
    }
    Ok(Field {
        title: keyword(&members, "title")?,
        description: keyword(&members, "description")?,
        kind: kind(&members)?,
    })
}

fn kind(members: &Members<'_>) -> Read<FieldKind> {
    let options = options(members, "oneOf")?;
    match (members.get_str("type").as_deref(), options) {
        (Some("string"), Some(options)) => {
            Ok(FieldKind::SingleSelect { options, default: keyword(members, "default")? })
        }
        // Servers leave the type of an enumeration out, and clients accept it.
        (None, Some(options)) if members.get("type").is_none() => {
            Ok(FieldKind::SingleSelect { options, default: keyword(members, "default")? })
        }
        (Some("string"), None) => Ok(FieldKind::String {
            format: keyword::<String>(members, "format")?.and_then(|name| Format::of(&name)),
            min_length: keyword(members, "minLength")?,
            max_length: keyword(members, "maxLength")?,
            pattern: keyword(members, "pattern")?,
            default: keyword(members, "default")?,
        }),
        (Some("number"), _) => Ok(FieldKind::Number(range(members)?)),
        (Some("integer"), _) => Ok(FieldKind::Integer(range(members)?)),
        (Some("boolean"), _) => Ok(FieldKind::Boolean { default: keyword(members, "default")? }),
        (Some("array"), _) => multi_select(members),
        (Some("object"), _) => Err("nested objects are not allowed".into()),
        _ => Err("its `type` must be `string`, `number`, `integer`, `boolean`, or `array` of an enumeration".into()),
    }
}

fn multi_select(members: &Members<'_>) -> Read<FieldKind> {
    let items = members
        .get("items")
        .and_then(|raw| Members::of_str(raw.get()).ok())
        .ok_or("its `items` must be an object without duplicate members")?;
    if items.get("type").is_some() && items.get_str("type").as_deref() != Some("string") {
        return Err("its `items` must be strings".into());
    }
    let options = options(&items, "anyOf")?.ok_or("its `items` must have `enum` or `anyOf`")?;
    Ok(FieldKind::MultiSelect {
        options,
        min_items: keyword(members, "minItems")?,
        max_items: keyword(members, "maxItems")?,
        default: keyword(members, "default")?.unwrap_or_default(),
    })
}

/// What to choose from: the titled form under `titled`, else `enum` with or without `enumNames`; none where there is
/// neither. Numbers may have an `enum` too: it stays an unknown keyword there.
fn options(members: &Members<'_>, titled: &str) -> Read<Option<Vec<Choice>>> {
    if matches!(members.get_str("type").as_deref(), Some("number" | "integer" | "boolean" | "array" | "object")) {
        return Ok(None);
    }
    let options = if let Some(raw) = members.get(titled) {
        let list: Vec<Members<'_>> =
            serde_json::from_str(raw.get()).map_err(|_| format!("its `{titled}` must be a list of objects"))?;
        list.iter().map(|choice| titled_choice(choice, titled)).collect::<Read<Vec<_>>>()?
    } else if let Some(values) = keyword::<Vec<String>>(members, "enum")? {
        let names: Vec<String> = keyword(members, "enumNames")?.unwrap_or_default();
        let mut names = names.into_iter();
        values.into_iter().map(|value| Choice { value, title: names.next() }).collect()
    } else {
        return Ok(None);
    };
    if options.is_empty() {
        return Err("there is nothing to choose from".into());
    }
    Ok(Some(options))
}

pub(in crate::elicitation) fn titled_choice(choice: &Members<'_>, keyword: &str) -> Read<Choice> {
    let value = choice.get_str("const").ok_or_else(|| format!("its `{keyword}` entries need a string `const`"))?;
    Ok(Choice { value: value.into_owned(), title: choice.get_str("title").map(Into::into) })
}

fn range(members: &Members<'_>) -> Read<Range> {
    Ok(Range {
        minimum: keyword(members, "minimum")?,
        maximum: keyword(members, "maximum")?,
        default: keyword(members, "default")?,
    })
}

/// A keyword of a known type; `null` is what several SDKs write for an absent one.
fn keyword<T: DeserializeOwned>(members: &Members<'_>, name: &str) -> Read<Option<T>> {
    match members.get(name) {
        None => Ok(None),
        Some(raw) => serde_json::from_str(raw.get()).map_err(|_| format!("its `{name}` has the wrong type")),
    }
}

/// Whether a member is a reference or holds one at any depth. Text of other members may say `$ref` freely.
fn refers(name: &str, value: &RawValue) -> bool {
    fn inside(value: &Value) -> bool {
        match value {
            Value::Object(map) => map
                .iter()
                .any(|(name, value)| REFERENCES.contains(&name.as_str()) && value.is_string() || inside(value)),
            Value::Array(list) => list.iter().any(inside),
            _ => false,
        }
    }
    let text = value.get();
    // The parser bounds the depth; what it refuses is not passed on.
    let holds = || serde_json::from_str(text).map_or(true, |value| inside(&value));
    let possible = text.contains("ef\"") || text.contains('\\');
    REFERENCES.contains(&name) && text.starts_with('"') || possible && holds()
}

// === impl Format ===

impl Format {
    /// The format of a name.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "email" => Some(Self::Email),
            "uri" => Some(Self::Uri),
            "date" => Some(Self::Date),
            "date-time" => Some(Self::DateTime),
            _ => None,
        }
    }
}
