//! Answers that were given on the command line, for terminals without a person.

use serde_json::{Map, Value};
use sessiongate_protocol::elicitation::{Field, FieldKind};

use super::form::Form;

/// Fills in a form from answers by field name, and with its defaults.
///
/// # Errors
/// If no answer is meant for this form and `assume_yes` does not stand in, or what there is does not fit.
pub fn fill(form: &Form, answers: &[(String, String)], assume_yes: bool) -> Result<Map<String, Value>, String> {
    let mut content = Map::new();
    let mut answered = assume_yes;
    for (name, field) in &form.fields.properties {
        let given: Vec<&str> = answers.iter().filter(|(key, _)| key == name).map(|(_, text)| text.as_str()).collect();
        answered |= !given.is_empty();
        let value = match given.as_slice() {
            [] => Form::default_of(field),
            texts => Some(read(name, field, texts)?),
        };
        if let Some(value) = value {
            content.insert(name.clone(), value);
        }
    }
    if !answered {
        return Err("nobody is here to answer; --answer NAME=VALUE answers beforehand".into());
    }
    form.check(&content).map_err(|error| error.to_string())?;
    Ok(content)
}

fn read(name: &str, field: &Field, texts: &[&str]) -> Result<Value, String> {
    let unusable = || format!("`{name}` has an answer of the wrong kind");
    if matches!(field.kind, FieldKind::MultiSelect { .. }) {
        let mut values = Vec::new();
        for text in texts {
            match Form::read(field, text) {
                Some(Value::Array(items)) => values.extend(items),
                _ => return Err(unusable()),
            }
        }
        return Ok(Value::Array(values));
    }
    match texts {
        [text] => Form::read(field, text).ok_or_else(unusable),
        _ => Err(format!("`{name}` is answered twice")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sessiongate_protocol::json::RawJson;

    use super::*;

    const SCHEMA: &str = r#"{
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 2},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "colour": {"type": "string", "oneOf": [{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}],
                       "default": "g"},
            "news": {"type": "boolean", "default": false},
            "extras": {"type": "array", "items": {"type": "string", "enum": ["milk", "sugar"]}, "maxItems": 1}
        },
        "required": ["name"]
    }"#;

    fn filled(answers: &[(&str, &str)], assume_yes: bool) -> Result<Value, String> {
        let form = Form::new(RawJson::parse(SCHEMA).unwrap()).unwrap();
        let answers: Vec<_> = answers.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        fill(&form, &answers, assume_yes).map(Value::Object)
    }

    #[test]
    fn answers_are_typed_and_defaults_fill_the_rest() {
        let answers = [("name", "Ada"), ("age", "36"), ("colour", "Red"), ("extras", "milk")];
        let expected = json!({"name": "Ada", "age": 36, "colour": "r", "news": false, "extras": ["milk"]});
        assert_eq!(filled(&answers, false).unwrap(), expected);
    }

    #[test]
    fn answers_that_do_not_fit_are_refused() {
        for answers in [
            vec![("name", "A")],
            vec![("name", "Ada"), ("age", "151")],
            vec![("name", "Ada"), ("age", "old")],
            vec![("name", "Ada"), ("colour", "blue")],
            vec![("name", "Ada"), ("extras", "milk"), ("extras", "sugar")],
            vec![("name", "Ada"), ("name", "Bob")],
            vec![("age", "36")],
        ] {
            assert!(filled(&answers, false).is_err(), "{answers:?}");
        }
    }

    #[test]
    fn nobody_answers_by_accident() {
        assert!(filled(&[("other", "1")], false).unwrap_err().contains("--answer"));
        assert!(filled(&[], true).unwrap_err().contains("name"));
    }
}
