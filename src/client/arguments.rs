//! Tool arguments from the command line, typed by the tool's input schema.

use serde_json::{Map, Number, Value};

use super::error::ClientError;

/// Builds the arguments of a call: those of the JSON object, then each pair on top of it.
///
/// A pair takes the type that `input_schema` gives to its name: numbers, booleans, arrays by repeating the pair (or one
/// pair with a JSON array), objects as JSON. Where the schema says nothing, text that is JSON other than a string is
/// JSON, and everything else is a string.
///
/// # Errors
/// If `json` is not an object, or a value does not fit the type that the schema asks for.
pub fn arguments_from(
    pairs: &[(String, String)],
    json: Option<&str>,
    input_schema: &Map<String, Value>,
) -> Result<Map<String, Value>, ClientError> {
    let mut arguments = match json {
        None => Map::new(),
        Some(text) => serde_json::from_str(text)
            .map_err(|error| ClientError::Argument(format!("the arguments are not a JSON object: {error}")))?,
    };
    let mut repeated: Map<String, Value> = Map::new();
    for (name, text) in pairs {
        let schema = property(input_schema, name);
        if schema.is_some_and(|schema| has_type(schema, "array")) {
            let items = items(name, text, schema.and_then(|schema| schema.get("items")))?;
            let list = repeated.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.extend(items);
            }
        } else {
            let value = typed(name, text, schema)?;
            if repeated.insert(name.clone(), value).is_some() {
                return Err(ClientError::Argument(format!("argument {name:?} is given twice, and is not a list")));
            }
        }
    }
    arguments.extend(repeated);
    Ok(arguments)
}

fn property<'a>(schema: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    schema.get("properties")?.get(name)
}

fn has_type(schema: &Value, wanted: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(name)) => name == wanted,
        Some(Value::Array(names)) => names.iter().any(|name| name == wanted),
        _ => false,
    }
}

fn items(name: &str, text: &str, schema: Option<&Value>) -> Result<Vec<Value>, ClientError> {
    if text.trim_start().starts_with('[')
        && let Ok(list) = serde_json::from_str(text)
    {
        return Ok(list);
    }
    Ok(vec![typed(name, text, schema)?])
}

fn typed(name: &str, text: &str, schema: Option<&Value>) -> Result<Value, ClientError> {
    let Some(schema) = schema.filter(|schema| schema.get("type").is_some()) else {
        return Ok(guessed(text));
    };
    if has_type(schema, "string") {
        return Ok(Value::String(text.to_owned()));
    }
    let parsed = parsed(text);
    let candidates = [
        ("integer", parsed.as_ref().filter(|value| is_whole(value))),
        ("number", parsed.as_ref().filter(|value| value.is_number())),
        ("boolean", parsed.as_ref().filter(|value| value.is_boolean())),
        ("object", parsed.as_ref().filter(|value| value.is_object())),
        ("array", parsed.as_ref().filter(|value| value.is_array())),
        ("null", parsed.as_ref().filter(|value| value.is_null())),
    ];
    let fitting = candidates.into_iter().find_map(|(kind, value)| value.filter(|_| has_type(schema, kind)));
    fitting.cloned().ok_or_else(|| {
        let wanted = schema.get("type").map(ToString::to_string).unwrap_or_default();
        ClientError::Argument(format!("argument {name:?} must be of type {wanted}"))
    })
}

fn parsed(text: &str) -> Option<Value> {
    match text {
        "yes" | "on" => Some(Value::Bool(true)),
        "no" | "off" => Some(Value::Bool(false)),
        _ => serde_json::from_str(text).ok(),
    }
}

fn guessed(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::String(_)) | Err(_) => Value::String(text.to_owned()),
        Ok(value) => value,
    }
}

fn is_whole(value: &Value) -> bool {
    let fraction = |number: &Number| number.as_f64().is_some_and(|number| number.fract() != 0.0);
    matches!(value, Value::Number(number) if number.is_i64() || number.is_u64() || !fraction(number))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Map<String, Value> {
        let schema = json!({"type": "object", "properties": {
            "text": {"type": "string"}, "whole": {"type": "integer"}, "number": {"type": "number"},
            "flag": {"type": "boolean"}, "tags": {"type": "array", "items": {"type": "string"}},
            "sizes": {"type": "array", "items": {"type": "integer"}}, "nested": {"type": "object"},
            "maybe": {"type": ["integer", "null"]}, "free": {}
        }});
        schema.as_object().cloned().unwrap_or_default()
    }

    fn from(pairs: &[(&str, &str)], json: Option<&str>) -> Result<Value, String> {
        let pairs: Vec<_> = pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        arguments_from(&pairs, json, &schema()).map(Value::Object).map_err(|error| error.to_string())
    }

    #[test]
    fn values_take_the_type_of_the_schema() {
        let pairs = [("text", "1"), ("whole", "1"), ("number", "1.5"), ("flag", "yes"), ("nested", r#"{"a":[1]}"#)];
        let expected = json!({"text": "1", "whole": 1, "number": 1.5, "flag": true, "nested": {"a": [1]}});
        assert_eq!(from(&pairs, None).unwrap(), expected);
    }

    #[test]
    fn lists_grow_by_repetition_or_come_whole() {
        let pairs = [("tags", "a"), ("tags", "1"), ("sizes", "[1,2]"), ("sizes", "3")];
        assert_eq!(from(&pairs, None).unwrap(), json!({"tags": ["a", "1"], "sizes": [1, 2, 3]}));
    }

    #[test]
    fn without_a_type_json_is_json_and_the_rest_is_text() {
        let pairs = [("free", "1"), ("unknown", "hello"), ("other", r#""quoted""#)];
        assert_eq!(from(&pairs, None).unwrap(), json!({"free": 1, "unknown": "hello", "other": r#""quoted""#}));
    }

    #[test]
    fn pairs_win_over_the_object() {
        let merged = from(&[("whole", "2")], Some(r#"{"whole": 1, "text": "kept"}"#)).unwrap();
        assert_eq!(merged, json!({"whole": 2, "text": "kept"}));
    }

    #[test]
    fn big_whole_numbers_and_null_survive() {
        assert_eq!(from(&[("whole", "18446744073709551615")], None).unwrap()["whole"], json!(u64::MAX));
        assert_eq!(from(&[("maybe", "null")], None).unwrap(), json!({"maybe": null}));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        assert!(from(&[("whole", "1.5")], None).unwrap_err().contains("\"whole\" must be of type"));
        assert!(from(&[("flag", "maybe")], None).unwrap_err().contains("flag"));
        assert!(from(&[("text", "a"), ("text", "b")], None).unwrap_err().contains("given twice"));
        assert!(from(&[], Some("[1]")).unwrap_err().contains("not a JSON object"));
    }
}
