use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::*;

fn raw(value: &Json) -> RawJson {
    RawJson::parse(value.to_string()).unwrap()
}

fn tool(input_schema: &Json) -> RawJson {
    raw(&json!({"name":"buy","inputSchema":input_schema,"outputSchema":{"x-mcp-header":"none of ours"}}))
}

fn of(input_schema: &Json) -> Result<Option<ParamHeaders>, InvalidAnnotation> {
    ParamHeaders::of_tool(&tool(input_schema))
}

fn string(header: &str) -> Json {
    json!({"type":"string","x-mcp-header":header})
}

fn shop() -> ParamHeaders {
    let schema = json!({"type":"object","properties":{
        "region": string("Region"),
        "count": {"type":"integer","x-mcp-header":"Count"},
        "gift": {"type":"boolean","x-mcp-header":"Gift"},
        "to": {"type":"object","properties":{"city": string("City"), "street": {"type":"string"}}},
        "x-mcp-header": {"type":"string","default":{"x-mcp-header":""}},
    }});
    of(&schema).unwrap().unwrap()
}

fn derived(arguments: &str) -> Vec<(String, String)> {
    let arguments = RawJson::parse(arguments.to_owned()).unwrap();
    let headers = shop().derive(Some(&arguments));
    headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn check(arguments: &str, headers: &[(&str, &str)]) -> Result<(), ParamMismatch> {
    let arguments = RawJson::parse(arguments.to_owned()).unwrap();
    let headers: HashMap<&str, &str> = headers.iter().copied().collect();
    shop().check(Some(&arguments), |name| headers.get(name).map(|&value| value.to_owned()))
}

#[test]
fn arguments_become_headers() {
    let all = derived(r#"{"region":"eu","count":4.2e1,"gift":false,"to":{"city":"Łódź"},"x-mcp-header":"no"}"#);
    let expected = [("Region", "eu"), ("Count", "42"), ("Gift", "false"), ("City", "=?base64?xYHDs2TFug==?=")];
    let expected: HashMap<String, String> = expected.map(|(name, value)| (name.into(), value.into())).into();
    assert_eq!(all.into_iter().collect::<HashMap<_, _>>(), expected);
    assert_eq!(derived(r#"{"region":"","count":null,"to":null}"#), [("Region".to_owned(), String::new())]);
    assert_eq!(derived(r#"{"region":["eu"],"count":{},"to":"x"}"#), []);
    assert_eq!(derived("[]"), []);
    assert!(shop().derive(None).is_empty());
}

#[test]
fn headers_are_held_against_arguments() {
    for (arguments, headers) in [
        (r#"{"region":"eu"}"#, &[("mcp-param-region", " eu\t")][..]),
        (r#"{"region":"eu"}"#, &[("mcp-param-region", "=?base64?ZXU=?=")]),
        (r#"{"region":""}"#, &[("mcp-param-region", "")]),
        (r#"{"count":42}"#, &[("mcp-param-count", "42.0")]),
        (r#"{"count":42.0}"#, &[("mcp-param-count", "42")]),
        (r#"{"gift":true}"#, &[("mcp-param-gift", "true")]),
        (r#"{"to":{"city":"x"}}"#, &[("mcp-param-city", "x")]),
        ("{}", &[("mcp-param-other", "?")]),
        (r#"{"region":{}}"#, &[]),
        ("7", &[]),
    ] {
        assert_eq!(check(arguments, headers), Ok(()), "{arguments}");
    }
    for (arguments, headers, expected) in [
        (r#"{"region":"eu"}"#, &[][..], "`Mcp-Param-Region` is missing: it repeats argument `region`"),
        (r#"{"region":""}"#, &[], "missing"),
        (r#"{"region":null}"#, &[("mcp-param-region", "eu")], "is not argument `region`"),
        ("{}", &[("mcp-param-region", "eu")], "is not argument `region`"),
        (r#"{"region":"eu"}"#, &[("mcp-param-region", "EU")], "`Mcp-Param-Region` is not argument `region`"),
        (r#"{"region":"eu"}"#, &[("mcp-param-region", "=?base64?***?=")], "base64"),
        (r#"{"region":"42"}"#, &[("mcp-param-region", "42.0")], "is not"),
        (r#"{"region":{}}"#, &[("mcp-param-region", "{}")], "is not"),
        (r#"{"count":42}"#, &[("mcp-param-count", "42.5")], "is not"),
        (r#"{"gift":true}"#, &[("mcp-param-gift", "True")], "is not"),
        (r#"{"to":{"city":"x"}}"#, &[], "argument `to.city`"),
        (r#"{"region":"eu","region":"us"}"#, &[("mcp-param-region", "eu")], "twice"),
        (r#"{"to":{"city":"x","city":"y"}}"#, &[("mcp-param-city", "x")], "twice"),
    ] {
        let error = check(arguments, headers).unwrap_err().to_string();
        assert!(error.contains(expected), "{arguments}: {error}");
    }
    assert_eq!(shop().check(None, |_| None), Ok(()));
}

#[test]
fn wrong_annotations_are_told_apart() {
    let with = |property: Json| json!({"type":"object","properties":{"a":property}});
    let deep = (0..70).fold(string("A"), |inner, _| json!({"properties":{"a":inner}}));
    let many: Map<String, Json> = (0..65).map(|n| (format!("a{n}"), string(&format!("A{n}")))).collect();
    for (schema, expected) in [
        (with(string("")), "of argument `a` is not the name"),
        (with(string("a b")), "not the name"),
        (with(string("a\r\nb")), "not the name"),
        (with(string("é")), "not the name"),
        (with(string("a:b")), "not the name"),
        (with(string(&"a".repeat(129))), "not the name"),
        (with(json!({"type":"string","x-mcp-header":7})), "not the name"),
        (with(json!({"type":"number","x-mcp-header":"A"})), "argument `a` cannot be `Mcp-Param-A`"),
        (with(json!({"type":"object","x-mcp-header":"A"})), "`type`"),
        (with(json!({"type":"array","x-mcp-header":"A"})), "`type`"),
        (with(json!({"type":"null","x-mcp-header":"A"})), "`type`"),
        (with(json!({"type":["string","null"],"x-mcp-header":"A"})), "`type`"),
        (with(json!({"x-mcp-header":"A"})), "`type`"),
        (json!({"properties":{"a":string("A"),"b":string("a")}}), "belongs to another"),
        (json!({"properties":{"a":string("A"),"b":{"properties":{"c":string("a")}}}}), "argument `b.c`"),
        (string("A"), "only `properties`"),
        (with(json!({"type":"array","items":string("A")})), "at `properties.a.items`"),
        (with(json!({"type":"array","prefixItems":[string("A")]})), "at `properties.a.prefixItems.0`"),
        (json!({"anyOf":[with(string("A"))]}), "only `properties`"),
        (json!({"if":with(string("A"))}), "only `properties`"),
        (json!({"$defs":{"a":string("A")}}), "at `$defs.a`"),
        (json!({"$defs":{"x-mcp-header":with(string("A"))}}), "at `$defs.x-mcp-header.properties.a`"),
        (json!({"patternProperties":{"a":string("A")}}), "only `properties`"),
        (json!({"additionalProperties":string("A")}), "only `properties`"),
        (json!({"shared":{"a":string("A")}}), "only `properties`"),
        (deep, "too deep"),
        (json!({"properties":many}), "more than 64"),
    ] {
        let error = of(&schema).unwrap_err().to_string();
        assert!(error.contains(expected), "{schema}: {error}");
        // What is wrong can be taken away, but for what is too deep to be read.
        if !expected.contains("deep") {
            assert_eq!(ParamHeaders::of_tool(&strip(&tool(&schema))), Ok(None), "{schema}");
        }
    }
    let twice = r#"{"inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"A","x-mcp-header":"B"}}}}"#;
    let twice = RawJson::parse(twice).unwrap();
    assert!(matches!(ParamHeaders::of_tool(&twice), Err(InvalidAnnotation::Unreadable(_))));
}

#[test]
fn what_is_no_annotation_is_none() {
    for schema in [
        json!({"type":"object"}),
        json!(true),
        json!({"properties":{"x-mcp-header":{"type":"string"}}}),
        json!({"properties":{"a":{"type":"object","default":{"x-mcp-header":"A"},"enum":[{"x-mcp-header":"A"}]}}}),
        json!({"description":"say \"x-mcp-header\" here"}),
    ] {
        assert_eq!(of(&schema), Ok(None), "{schema}");
        assert_eq!(strip(&tool(&schema)), tool(&schema));
    }
    assert_eq!(ParamHeaders::of_tool(&raw(&json!({"name":"x"}))), Ok(None));
    assert_eq!(ParamHeaders::of_tool(&raw(&json!([]))), Ok(None));
}

#[test]
fn no_spelling_hides_an_annotation() {
    let text = r#"{"inputSchema":{"propertie\u0073":{"a":{"type":"string","x\u002dmcp-header":"A"}}}}"#;
    let tool = RawJson::parse(text).unwrap();
    assert!(ParamHeaders::of_tool(&tool).unwrap().is_some());
    assert_eq!(strip(&tool).as_str(), r#"{"inputSchema":{"properties":{"a":{"type":"string"}}}}"#);
}

#[test]
fn stripping_leaves_the_rest_as_it_was() {
    let text = r#"{"name":"n","inputSchema":{"type":"object","properties":{"a":{"x-mcp-header":"A","type" : "string"},"b":{"maximum":1.00, "x":[1 , 2]}},"anyOf":[ {"items":{"x-mcp-header":""}}, true]},"title":"T"}"#;
    let out = strip(&RawJson::parse(text).unwrap());
    let expected = r#"{"name":"n","inputSchema":{"type":"object","properties":{"a":{"type":"string"},"b":{"maximum":1.00, "x":[1 , 2]}},"anyOf":[{"items":{}},true]},"title":"T"}"#;
    assert_eq!(out.as_str(), expected);
}

// === what must hold for every input ===

fn leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        "-?(0|[1-9][0-9]{0,50})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,12})?",
        any::<String>().prop_map(|text| Json::from(text).to_string()),
        "[ \t]{0,2}(=\\?base64\\?)?[ -~]{0,9}(\\?=)?[ \t]{0,2}".prop_map(|text| Json::from(text).to_string()),
        Just(r#""\ud800""#.to_owned()),
        Just(r#"{"city" : "x"}"#.to_owned()),
        Just("[1]".to_owned()),
    ]
}

fn arguments() -> impl Strategy<Value = RawJson> {
    let names = prop::sample::subsequence(vec!["region", "count", "gift", "to", "other"], 0..=5);
    (names, prop::collection::vec(leaf(), 6), any::<bool>()).prop_map(|(names, values, nested)| {
        let members = names.iter().zip(&values).map(|(name, value)| match *name {
            "to" if nested => format!(r#""to":{{"city":{}}}"#, values[5]),
            _ => format!("\"{name}\" : {value}"),
        });
        RawJson::parse(format!("{{{}}}", members.collect::<Vec<_>>().join(" ,"))).unwrap()
    })
}

fn schema() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        "[A-Za-z -]{0,3}".prop_map(|header| string(&header)),
        prop::sample::select(vec!["string", "integer", "number"]).prop_map(|kind| json!({"type":kind})),
        Just(json!(true)),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let keyword = prop::sample::select(vec!["properties", "$defs", "items", "anyOf", "const", "x-mcp-header", "z"]);
        prop::collection::vec((keyword, "[a-c]|x-mcp-header", inner), 0..4).prop_map(|members| {
            let members = members.into_iter().map(|(keyword, name, inner)| {
                let value = match keyword {
                    "properties" | "$defs" => json!({name: inner}),
                    "anyOf" => json!([inner]),
                    _ => inner,
                };
                (keyword.to_owned(), value)
            });
            Json::Object(members.collect())
        })
    })
}

proptest! {
    #[test]
    fn derived_headers_always_fit(arguments in arguments()) {
        let headers: HashMap<String, Box<str>> = shop()
            .derive(Some(&arguments))
            .into_iter()
            .map(|(name, value)| (format!("{PARAM_PREFIX}{}", name.to_ascii_lowercase()), value))
            .collect();
        prop_assert!(headers.values().all(|value| value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'))));
        prop_assert_eq!(shop().check(Some(&arguments), |name| headers.get(name).map(|value| value.to_string())), Ok(()));
        // None of them is dispensable.
        for left_out in headers.keys() {
            let some = |name: &str| headers.get(name).filter(|_| name != left_out).map(|value| value.to_string());
            let outcome = shop().check(Some(&arguments), some);
            let is_missing = matches!(outcome, Err(ParamMismatch::Missing { .. }));
            prop_assert!(is_missing);
        }
    }

    #[test]
    fn nothing_is_left_after_stripping(schema in schema()) {
        let tool = tool(&schema);
        let stripped = strip(&tool);
        prop_assert_eq!(ParamHeaders::of_tool(&stripped), Ok(None));
        let again = strip(&stripped);
        prop_assert_eq!(again.as_str(), stripped.as_str());
        if of(&schema) == Ok(None) {
            prop_assert_eq!(&stripped, &tool);
        }
    }
}
