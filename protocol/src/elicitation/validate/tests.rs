use super::*;

fn raw(text: &str) -> RawJson {
    RawJson::parse(text.to_owned()).unwrap()
}

/// Checks `value` against one field; an absent value is an answer without that field.
fn check(field: &str, value: &str) -> Result<(), AnswerError> {
    let schema = format!(r#"{{"type":"object","properties":{{"f":{field}}},"required":["f"]}}"#);
    let content = if value.is_empty() { "{}".to_owned() } else { format!(r#"{{"f":{value}}}"#) };
    check_answer(&raw(&schema), &raw(&content))
}

#[test]
fn answers_that_fit_pass() {
    for (field, value) in [
        (r#"{"type":"string"}"#, r#""""#),
        (r#"{"type":"string","format":"email"}"#, r#""a@example.com""#),
        (r#"{"type":"string","format":"uri"}"#, r#""https://example.com/x?y#z""#),
        (r#"{"type":"string","format":"date"}"#, r#""2024-02-29""#),
        (r#"{"type":"string","format":"date-time"}"#, r#""2024-02-29T10:00:00Z""#),
        (r#"{"type":"string","format":"shoe-size"}"#, r#""x""#),
        (r#"{"type":"string","minLength":2,"maxLength":2}"#, r#""éé""#),
        (r#"{"type":"number"}"#, "1.5"),
        (r#"{"type":"integer"}"#, "3"),
        (r#"{"type":"integer"}"#, "3.0"),
        (r#"{"type":"integer"}"#, "12345678901234567890123"),
        (r#"{"type":"boolean"}"#, "false"),
        (r#"{"type":"string","enum":["a"],"enumNames":["A"]}"#, r#""a""#),
        (r#"{"type":"string","oneOf":[{"const":"a","title":"A"}]}"#, r#""a""#),
        (r#"{"type":"array","items":{"type":"string","enum":["a","b"]},"maxItems":2}"#, r#"["a","b"]"#),
        (r#"{"type":"array","items":{"anyOf":[{"const":"a","title":"A"}]}}"#, r#"["a"]"#),
        (r#"{"type":"string","pattern":"^(?=.*x)[a-z]+$"}"#, r#""axb""#),
    ] {
        assert_eq!(check(field, value), Ok(()), "{field} {value}");
    }
}

#[test]
fn answers_that_do_not_fit_name_the_property_and_hide_the_value() {
    for (field, value) in [
        (r#"{"type":"string"}"#, "987"),
        (r#"{"type":"string"}"#, ""),
        (r#"{"type":"string"}"#, "null"),
        (r#"{"type":"string"}"#, r#"{"x":987}"#),
        (r#"{"type":"string","format":"email"}"#, r#""987""#),
        (r#"{"type":"string","format":"uri"}"#, r#""987 987""#),
        (r#"{"type":"string","format":"date"}"#, r#""2023-02-29987""#),
        (r#"{"type":"string","format":"date-time"}"#, r#""2024-02-29 987""#),
        (r#"{"type":"string","minLength":5}"#, r#""987""#),
        (r#"{"type":"string","maxLength":2}"#, r#""987""#),
        (r#"{"type":"string","pattern":"^a+$"}"#, r#""987""#),
        (r#"{"type":"number","maximum":5}"#, "987"),
        (r#"{"type":"number","minimum":1000}"#, "987"),
        (r#"{"type":"integer"}"#, "987.5"),
        (r#"{"type":"boolean"}"#, r#""987""#),
        (r#"{"type":"string","enum":["a"]}"#, r#""987""#),
        (r#"{"type":"string","oneOf":[{"const":"a"}]}"#, r#""987""#),
        (r#"{"type":"array","items":{"type":"string","enum":["a"]}}"#, r#"["987"]"#),
        (r#"{"type":"array","items":{"type":"string","enum":["a"]}}"#, "[987]"),
        (r#"{"type":"array","items":{"type":"string","enum":["a"]},"minItems":2}"#, r#"["a"]"#),
        (r#"{"type":"array","items":{"type":"string","enum":["a"]},"maxItems":1}"#, r#"["a","a"]"#),
        (r#"{"type":"array","items":{"anyOf":[{"const":"a"}]}}"#, r#"["987"]"#),
        (r#"{"type":"string","not":{"const":"987"}}"#, r#""987""#),
    ] {
        let error = check(field, value).unwrap_err();
        assert!(!error.to_string().contains("987"), "{error}");
        assert!(
            matches!(&error, AnswerError::Property { property, .. } if property == "f"),
            "{field} {value}: {error:?}"
        );
    }
}

#[test]
fn names_with_pointer_characters_are_shown_as_they_are() {
    let schema = raw(r#"{"type":"object","properties":{"a/b~c":{"type":"string"}}}"#);
    let error = check_answer(&schema, &raw(r#"{"a/b~c":1}"#)).unwrap_err();
    assert!(matches!(error, AnswerError::Property { property, .. } if property == "a/b~c"));
}

#[test]
fn the_whole_is_checked_too() {
    let schema = raw(r#"{"type":"object","properties":{},"maxProperties":1,"additionalProperties":true}"#);
    assert!(matches!(check_answer(&schema, &raw(r#"{"a":1,"b":2}"#)), Err(AnswerError::Whole(_))));
    assert_eq!(check_answer(&schema, &raw(r#"{"a":1,"a":2}"#)), Err(AnswerError::Content));
    assert_eq!(check_answer(&schema, &raw("[]")), Err(AnswerError::Content));
    let long = raw(&format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_CONTENT)));
    assert!(matches!(check_answer(&schema, &long), Err(AnswerError::TooLong(_))));
}

#[test]
fn a_pattern_out_of_bounds_or_of_another_dialect_is_passed_over_and_the_rest_still_counts() {
    for pattern in ["(", "[", "((((a{1,99}){1,99}){1,99}){1,99})", r"(?=(a+)+$)(a+)+\\1$"] {
        let field = format!(r#"{{"type":"string","maxLength":40,"pattern":"{pattern}"}}"#);
        assert_eq!(check(&field, &format!("\"{}b\"", "a".repeat(38))), Ok(()), "{pattern}");
        assert!(check(&field, &format!("\"{}\"", "a".repeat(41))).is_err(), "{pattern}");
    }
    let schema = raw(r#"{"type":"object","properties":{"bad":{"type":"string","pattern":"("},
        "good":{"type":"string","pattern":"^\\d+$"}}}"#);
    assert_eq!(check_answer(&schema, &raw(r#"{"bad":"x","good":"12"}"#)), Ok(()));
    assert!(check_answer(&schema, &raw(r#"{"bad":"x","good":"y"}"#)).is_err());
}

#[test]
fn a_pattern_that_would_explode_is_matched_in_linear_time() {
    let long = format!("\"{}b\"", "a".repeat(100_000));
    assert!(check(r#"{"type":"string","pattern":"^(a+)+$"}"#, &long).is_err());
}

#[test]
fn a_list_is_bounded_before_it_is_held_against_the_choices() {
    let field = r#"{"type":"array","items":{"type":"string","enum":["a"]}}"#;
    let list = |length| format!("[{}]", vec!["\"a\""; length].join(","));
    assert_eq!(check(field, &list(MAX_ENTRIES)), Ok(()));
    assert!(check(field, &list(MAX_ENTRIES + 1)).is_err());
}

#[test]
fn the_draft_and_the_names_of_a_schema_lead_nowhere() {
    for name in [
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft/2020-12/schema",
        "https://example.com/unknown",
        "not a uri",
    ] {
        let schema = raw(&format!(
            r#"{{"$schema":"{name}","$id":"::","type":"object","properties":{{"f":{{"type":"string"}}}}}}"#
        ));
        assert_eq!(check_answer(&schema, &raw(r#"{"f":"x"}"#)), Ok(()), "{name}");
        assert!(check_answer(&schema, &raw(r#"{"f":1}"#)).is_err(), "{name}");
    }
    let reference = raw(r#"{"type":"object","properties":{"f":{"type":"string","$ref":"https://example.com/x"}}}"#);
    assert!(matches!(check_answer(&reference, &raw("{}")), Err(AnswerError::Schema(_))));
}
