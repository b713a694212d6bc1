use serde_json::json;

use super::testing::{Sampler, WireRequest, wire};
use super::*;
use crate::control::{ControlError, ValidationReason};

const ARN: &str = "arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/sample-abcdefghij";
const ENCODED_ARN: &str = "arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A123456789012%3Agateway%2Fsample-abcdefghij";

fn parse(method: &str, path: &str, query: &str, body: &str) -> Result<Input<'static>, ControlError> {
    Input::parse(model(), model().route(method, path)?, query, body.as_bytes())
}

fn read(request: &WireRequest) -> Result<Input<'static>, ControlError> {
    let body = request.body.as_deref().unwrap_or_default();
    Input::parse(model(), model().route(&request.method, &request.path)?, &request.query, body)
}

fn wrong(result: Result<Input<'_>, ControlError>) -> (ValidationReason, Vec<String>, String) {
    match result {
        Err(ControlError::Validation { message, reason, fields }) => {
            (reason, fields.into_iter().map(|field| field.path).collect(), message)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_right_input_survives_the_wire() {
    let sampler = Sampler::new(model());
    let mut seen = 0;
    for operation in model().operations() {
        for input in sampler.maximal(operation).into_iter().chain([sampler.minimal(operation)]) {
            // An empty list in a query cannot be told from none.
            let Some(request) = wire(model(), operation, &input) else { continue };
            for path in [request.path.clone(), format!("{}/", request.path.trim_end_matches('/'))] {
                let read = read(&WireRequest { path, ..request.clone() }).unwrap();
                assert_eq!(read.operation().name, operation.name);
                assert_eq!(Value::Object(read.into_members()), input);
            }
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn every_violation_that_can_be_sent_is_refused_with_its_member() {
    let sampler = Sampler::new(model());
    let mut sent = 0;
    for operation in model().operations() {
        for violation in sampler.violations(operation) {
            let Some(request) = wire(model(), operation, &violation.input) else { continue };
            let (reason, fields, _) = wrong(read(&request));
            assert_eq!(reason, ValidationReason::FieldValidationFailed);
            assert_eq!(fields, [violation.path.as_str()], "{}: {violation:?}", operation.name);
            sent += 1;
        }
    }
    assert!(sent > 1000, "{sent}");
}

#[test]
fn slashes_at_the_end_make_no_difference_and_others_do() {
    for path in ["/gateways/", "/gateways"] {
        assert_eq!(model().route("GET", path).unwrap().operation.name, OperationName::ListGateways);
        assert_eq!(model().route("POST", path).unwrap().operation.name, OperationName::CreateGateway);
    }
    for (method, path) in [
        ("PATCH", "/gateways/"),
        ("get", "/gateways/"),
        ("GET", "/gateways//"),
        ("GET", "//gateways/"),
        ("GET", "/gateways//targets/"),
        ("GET", "/Gateways/"),
        ("GET", "/g%61teways/"),
        ("GET", "gateways"),
        ("GET", ""),
        ("GET", "/"),
        ("GET", "/gateways/a/targets/b/c/"),
    ] {
        let error = model().route(method, path).unwrap_err();
        assert_eq!(error, ControlError::UnknownOperation, "{method} {path}");
        assert_eq!((error.status(), error.error_type()), (404, "UnknownOperationException"));
    }
}

#[test]
fn operations_that_are_not_offered_say_so() {
    for (method, path, name) in [
        ("POST", "/gateways/sample-abcdefghij/rules", "CreateGatewayRule"),
        ("PUT", "/gateways/sample-abcdefghij/rate-limits/batch", "BatchPutGatewayRateLimits"),
        ("POST", "/identities/CreateApiKeyCredentialProvider", "CreateApiKeyCredentialProvider"),
        ("POST", "/identities/GetWorkloadAccessToken", "GetWorkloadAccessToken"),
        ("POST", "/policy-engines/", "CreatePolicyEngine"),
    ] {
        let reply = model().route(method, path).unwrap_err().reply();
        assert_eq!((reply.status, reply.error_type), (400, "ValidationException"));
        assert_eq!(reply.body["message"], format!("{name} is not offered by this gateway yet"));
    }
}

#[test]
fn an_arn_is_one_segment() {
    let input = parse("GET", &format!("/tags/{ENCODED_ARN}"), "", "").unwrap();
    assert_eq!(input.string("resourceArn"), Some(ARN));
    assert_eq!(input.arn("resourceArn"), None, "only an id can be replaced by an ARN");
    let raw = model().route("GET", "/tags/arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/sample-abcdefghij");
    assert_eq!(raw.unwrap_err(), ControlError::UnknownOperation);
}

#[test]
fn a_gateway_is_named_by_its_arn_too() {
    let input = parse("GET", &format!("/gateways/{ENCODED_ARN}/targets/ABCDEFGHIJ"), "", "").unwrap();
    assert_eq!(input.string("gatewayIdentifier"), Some("sample-abcdefghij"));
    assert_eq!(input.arn("gatewayIdentifier"), Some(ARN));
    assert_eq!(input.string("targetId"), Some("ABCDEFGHIJ"));
    for bad in ["arn%3Aaws%3Agateway%2FNO", "x%3Agateway%2Fsample-abcdefghij", "%2e%2e", "a%2Fb"] {
        let (reason, fields, _) = wrong(parse("GET", &format!("/gateways/{bad}/"), "", ""));
        assert_eq!(reason, ValidationReason::FieldValidationFailed);
        assert_eq!(fields, ["gatewayIdentifier"], "{bad}");
    }
}

#[test]
fn bad_percent_encoding_is_refused() {
    for bad in ["%", "%2", "%zz", "a%", "%ff", "%+1"] {
        assert!(model().route("GET", &format!("/gateways/{bad}/")).is_err(), "{bad}");
        let (reason, ..) = wrong(parse("GET", "/gateways/", &format!("nextToken={bad}"), ""));
        assert_eq!(reason, ValidationReason::CannotParse, "{bad}");
        let (reason, ..) = wrong(parse("GET", "/gateways/", &format!("{bad}=1"), ""));
        assert_eq!(reason, ValidationReason::CannotParse, "{bad}");
    }
}

#[test]
fn a_query_has_types() {
    let input = parse("GET", "/gateways/", "maxResults=7&nextToken=a%2Bb+c%3D", "").unwrap();
    assert_eq!(input.integer("maxResults"), Some(7));
    assert_eq!(input.string("nextToken"), Some("a+b+c="));
    let input = parse("DELETE", &format!("/tags/{ENCODED_ARN}"), "tagKeys=a%20b&tagKeys=c&", "").unwrap();
    assert_eq!(input.strings("tagKeys"), ["a b", "c"]);
    let input = parse("GET", "/gateways/", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0", "").unwrap();
    assert!(input.into_members().is_empty(), "a presigned URL's parameters are the signature's");
    for (query, path) in [
        ("maxResults=0", "maxResults"),
        ("maxResults=1001", "maxResults"),
        ("maxResults=ten", "maxResults"),
        ("maxResults=", "maxResults"),
        ("maxResults=1.0", "maxResults"),
        ("maxResults=1&maxResults=2", "maxResults"),
        ("nextToken=", "nextToken"),
        ("surprise=1", "surprise"),
        ("gatewayIdentifier=x", "gatewayIdentifier"),
    ] {
        assert_eq!(wrong(parse("GET", "/gateways/", query, "")).1, [path], "{query}");
    }
    let (.., message) = wrong(parse("GET", "/gateways/", "maxResult=1", ""));
    assert_eq!(message, "`maxResult` is not a parameter of the query here; did you mean `maxResults`?");
}

#[test]
fn a_body_is_an_object_or_nothing() {
    for empty in ["", " \n", "{}", "{\"description\": null}"] {
        let (_, fields, _) = wrong(parse("POST", "/gateways/", "", empty));
        assert_eq!(fields, ["authorizerType", "name", "roleArn"]);
        assert!(parse("GET", "/gateways/", "", empty).is_ok());
    }
    for broken in ["[]", "1", "{", "{\"name\":1,\"name\":2}", "{}x", &"[".repeat(10_000)] {
        let (reason, fields, message) = wrong(parse("POST", "/gateways/", "", broken));
        assert_eq!((reason, fields.len()), (ValidationReason::CannotParse, 0), "{message}");
    }
}

#[test]
fn members_are_taken_only_from_where_they_belong() {
    let body = json!({"targetIdList": ["ABCDEFGHIJ"], "gatewayIdentifier": "other-abcdefghij"}).to_string();
    let (_, fields, message) = wrong(parse("PUT", "/gateways/sample-abcdefghij/synchronizeTargets", "", &body));
    assert_eq!(fields, ["gatewayIdentifier"]);
    assert_eq!(message, "`gatewayIdentifier` belongs in the path, not in the body");
    let (_, fields, _) = wrong(parse("GET", "/gateways/", "", r#"{"maxResults": 1}"#));
    assert_eq!(fields, ["maxResults"]);
}

#[test]
fn the_client_token_is_not_among_the_parameters() {
    let token = "0b8e7f9c-4a1d-4c55-9f0e-2b6d1a7c3e48";
    let configuration = json!({"mcp": {"mcpServer": {"endpoint": "http://a"}}});
    let body = json!({"clientToken": token, "targetConfiguration": configuration, "description": null}).to_string();
    let input = parse("POST", "/gateways/sample-abcdefghij/targets", "", &body).unwrap();
    assert_eq!(input.client_token(), Some(token));
    assert_eq!(Value::Object(input.parameters()), json!({"targetConfiguration": configuration}));
    assert!(!format!("{input:?}").contains(token), "values are not for logs");
}
