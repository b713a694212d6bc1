use serde_json::json;

use super::OperationName::{CreateGateway, CreateGatewayTarget, ListGateways, TagResource, UpdateGateway};
use super::*;

const ROLE: &str = "arn:aws:iam::123456789012:role/sample";

fn gateway() -> Value {
    json!({"name": "sample", "roleArn": ROLE, "authorizerType": "NONE"})
}

fn target(endpoint: &str) -> Value {
    json!({
        "gatewayIdentifier": "sample-abcdefghij",
        "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": endpoint}}},
    })
}

fn one(name: OperationName, input: &Value) -> (String, String) {
    let found = errors(name, input);
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

#[test]
fn paths_lead_to_the_member() {
    let (path, message) = one(CreateGatewayTarget, &target("ftp://a"));
    assert_eq!(path, "targetConfiguration.mcp.mcpServer.endpoint");
    assert_eq!(message, "must match the pattern https?://.*");
    let mut input = gateway();
    input["interceptorConfigurations"] =
        json!([{"interceptor": {"lambda": {"arn": "x"}}, "interceptionPoints": ["REQUEST"]}]);
    assert_eq!(one(CreateGateway, &input).0, "interceptorConfigurations[0].interceptor.lambda.arn");
    let tags = json!({"resourceArn": "arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/sample-abcdefghij", "tags": {"team": 7}});
    assert_eq!(one(TagResource, &tags), ("tags.team".to_owned(), "must be a string".to_owned()));
}

#[test]
fn a_target_on_the_same_host_may_do_without_tls() {
    assert_eq!(errors(CreateGatewayTarget, &target("http://127.0.0.1:9000/mcp")), []);
}

#[test]
fn slips_are_understood() {
    let mut input = gateway();
    input["desciption"] = json!("x");
    assert_eq!(one(CreateGateway, &input).1, "is not known here; did you mean `description`?");
    let mut input = gateway();
    input["authorizerType"] = json!("CUSTOM_JTW");
    let message = one(CreateGateway, &input).1;
    assert!(message.starts_with("must be one of CUSTOM_JWT, AWS_IAM, NONE, AUTHENTICATE_ONLY"), "{message}");
    assert!(message.ends_with("did you mean `CUSTOM_JWT`?"), "{message}");
}

#[test]
fn null_is_absent_in_a_structure_and_wrong_elsewhere() {
    let mut input = gateway();
    input["description"] = Value::Null;
    input["unknownButNull"] = Value::Null;
    assert_eq!(errors(CreateGateway, &input), []);
    input["roleArn"] = Value::Null;
    assert_eq!(one(CreateGateway, &input), ("roleArn".to_owned(), "is required".to_owned()));
    let mut input = target("http://a");
    input["targetConfiguration"]["http"] = Value::Null;
    assert_eq!(errors(CreateGatewayTarget, &input), [], "an arm that is null is not set");
    input["metadataConfiguration"] = json!({"allowedRequestHeaders": [null]});
    assert_eq!(one(CreateGatewayTarget, &input).0, "metadataConfiguration.allowedRequestHeaders[0]");
}

#[test]
fn lengths_are_counted_in_characters() {
    let mut input = gateway();
    input["description"] = json!("é".repeat(200));
    assert_eq!(errors(CreateGateway, &input), []);
    input["description"] = json!("é".repeat(201));
    assert_eq!(one(CreateGateway, &input).1, "must have at most 200 characters");
}

#[test]
fn whole_numbers_are_whole() {
    let session = |seconds: Value| {
        let mut input = gateway();
        input["protocolConfiguration"] = json!({"mcp": {"sessionConfiguration": {"sessionTimeoutInSeconds": seconds}}});
        errors(CreateGateway, &input)
    };
    assert_eq!(session(json!(3600)), []);
    for wrong in [json!(3600.0), json!("3600"), json!(true), json!(u64::MAX), json!(899), json!(-1), json!(28801)] {
        assert_eq!(session(wrong.clone()).len(), 1, "{wrong}");
    }
}

#[test]
fn a_domain_override_has_the_name_that_it_has_on_the_wire() {
    let mut input = gateway();
    input["domainOverride"] = json!({"default": "gateway.example.com"});
    assert_eq!(errors(CreateGateway, &input), []);
    input["domainOverride"] = json!({"defaultDomain": "gateway.example.com"});
    let paths: Vec<_> = errors(CreateGateway, &input).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["domainOverride.defaultDomain", "domainOverride.default"]);
}

#[test]
fn no_value_that_was_sent_comes_back_in_a_message() {
    let secret = "hunter2-very-secret\u{1b}[31m";
    let mut refused = 0;
    let sampler = testing::Sampler::new(model());
    for operation in model().operations() {
        for violation in sampler.violations(operation) {
            // Everything that is text becomes the secret.
            let text = serde_json::to_string(&poisoned(violation.input, secret)).unwrap();
            let input = serde_json::from_str(&text).unwrap();
            let found = errors(operation.name, &input);
            refused += usize::from(!found.is_empty());
            assert!(found.iter().all(|(_, message)| !message.contains("hunter2")), "{found:?}");
        }
    }
    assert!(refused > 1000, "{refused}");
}

fn poisoned(value: Value, secret: &str) -> Value {
    match value {
        Value::String(_) => secret.into(),
        Value::Array(items) => items.into_iter().map(|inner| poisoned(inner, secret)).collect(),
        Value::Object(members) => members.into_iter().map(|(name, inner)| (name, poisoned(inner, secret))).collect(),
        scalar => scalar,
    }
}

#[test]
fn names_that_a_client_made_up_are_shown_short_and_harmless() {
    let mut input = gateway();
    input[format!("{}\n\u{1b}[31m", "é".repeat(10))] = json!(1);
    input["x".repeat(100_000)] = json!(1);
    for (path, _) in errors(CreateGateway, &input) {
        assert!(path.chars().count() <= 80 && !path.contains(['\n', '\u{1b}']), "{path:?}");
    }
}

#[test]
fn errors_and_work_are_bounded() {
    let many: serde_json::Map<_, _> = (0..50_000).map(|at| (format!("m{at}"), json!(1))).collect();
    assert_eq!(errors(UpdateGateway, &Value::Object(many)).len(), 32);
    let mut deep = json!({"type": "string"});
    for _ in 0..100 {
        deep = json!({"type": "array", "items": deep});
    }
    let mut input = target("http://a");
    input["targetConfiguration"] = json!({"mcp": {"lambda": {
        "lambdaArn": "arn:aws:lambda:us-east-1:123456789012:function:sample",
        "toolSchema": {"inlinePayload": [{"name": "a", "description": "b", "inputSchema": deep}]},
    }}});
    let found = errors(CreateGatewayTarget, &input);
    assert!(
        !found.is_empty()
            && found
                .iter()
                .all(|(path, message)| path.contains(".items.items") && message == "is more than 64 levels deep")
    );
    let document = |value: Value| {
        let mut input = target("http://a");
        input["targetConfiguration"] = json!({"mcp": {"connector": {
            "source": {"connectorId": "a"},
            "configurations": [{"name": "a", "parameterValues": value}],
        }}});
        errors(CreateGatewayTarget, &input)
    };
    assert_eq!(document(json!({"any": [1, null, {"thing": true}]})), []);
    assert_eq!(document(json!(vec![0; 90_000])), []);
    assert!(document(json!(vec![0; 100_000]))[0].1.contains("values"));
}

#[test]
fn long_strings_meet_no_pattern() {
    // A pattern without a greatest length in the model: our own bound comes first.
    let (_, message) = one(CreateGatewayTarget, &target(&format!("http://{}", "a".repeat(6 << 20))));
    assert_eq!(message, "must have at most 8192 characters");
    let mut input = gateway();
    input["name"] = json!("a-".repeat(4000));
    assert!(one(CreateGateway, &input).1.starts_with("must match"));
}

#[test]
fn types_that_no_input_has_today_are_checked_too() {
    let text = r#"{
        "origin": {}, "unoffered": {},
        "operations": {"GetGateway": {"method": "GET", "uri": "/a", "status": 200, "input": "S", "output": "S", "errors": {}}},
        "shapes": {
            "B": {"type": "blob", "max": 3}, "F": {"type": "double", "min": 1, "max": 2}, "L": {"type": "long", "min": 5},
            "E": {"type": "timestamp", "timestampFormat": "unixTimestamp"}, "T": {"type": "timestamp", "timestampFormat": "iso8601"},
            "S": {"type": "structure", "members": {
                "b": {"shape": "B"}, "f": {"shape": "F"}, "l": {"shape": "L"}, "e": {"shape": "E"}, "t": {"shape": "T"}}}
        }
    }"#;
    let model = Model::parse(text).unwrap();
    let operation = model.operation(OperationName::GetGateway).unwrap();
    let check = |input: Value| model.validate(operation, &input).map_err(|found| found[0].message.clone());
    let right = json!({"b": "YWJj", "f": 1.5, "l": u64::MAX, "e": 1.5, "t": "2026-01-31T12:00:00.5Z"});
    assert_eq!(check(right), Ok(()));
    let wrong = [
        (json!({"b": "YWJjZA=="}), "must have at most 3 bytes"),
        (json!({"b": "?"}), "must be base64"),
        (json!({"b": 1}), "must be a string in base64"),
        (json!({"f": 0.5}), "must be from 1 to 2"),
        (json!({"f": "1"}), "must be a number"),
        (json!({"l": 4}), "must be at least 5"),
        (json!({"e": "2026-01-31T12:00:00Z"}), "must be a number of seconds"),
        (json!({"t": 1}), "must be a time as a string"),
        (json!({"t": "yesterday"}), "must be a time like 2026-01-31T12:00:00Z"),
    ];
    for (input, message) in wrong {
        assert_eq!(check(input), Err(message.to_owned()));
    }
}

#[test]
fn what_is_no_model_is_refused() {
    let with = |shapes: &str| {
        Model::parse(&format!(r#"{{"origin": {{}}, "unoffered": {{}}, "operations": {{}}, "shapes": {shapes}}}"#))
    };
    assert!(with("{}").is_ok());
    assert!(matches!(with(r#"{"A": {"type": "list", "member": "B"}}"#), Err(ModelError::UnknownShape { .. })));
    assert!(matches!(with(r#"{"A": {"type": "list"}}"#), Err(ModelError::UnknownShape { .. })));
    assert!(matches!(with(r#"{"A": {"type": "tensor"}}"#), Err(ModelError::Unsupported { .. })));
    assert!(matches!(with(r#"{"A": {"type": "integer", "min": 0.5}}"#), Err(ModelError::Unsupported { .. })));
    assert!(matches!(with(r#"{"A": {"type": "structure", "required": ["x"]}}"#), Err(ModelError::UnknownShape { .. })));
    assert!(matches!(with(r#"{"A": {"type": "string", "newTrait": 1}}"#), Err(ModelError::Form(_))));
}

#[test]
fn an_answer_keeps_only_what_the_model_has_at_every_level() {
    let everything = json!({
        "items": [
            {"gatewayId": "sample-abcdefghij", "name": "sample", "roleArn": ROLE, "clientToken": "t", "description": null},
            "no gateway",
        ],
        "nextToken": "n",
        "total": 1,
    });
    assert_eq!(
        model().output(operation(ListGateways), everything),
        json!({"items": [{"gatewayId": "sample-abcdefghij", "name": "sample"}], "nextToken": "n"})
    );
    assert_eq!(model().output(operation(ListGateways), json!([1])), json!({}));
    let shape = model().shape_named("CredentialProvider").unwrap();
    assert_eq!(model().project(shape, json!({"oauthCredentialProvider": "x", "later": {}})), Some(json!({})));
}
