//! The service model, walked over HTTP: each single violation gives the modelled error and changes nothing, and every
//! optional member comes back.

use reqwest::StatusCode;
use serde_json::{Value, json};
use sessiongate::control::model::testing::{Sampler, wire};
use sessiongate::control::model::{Location, OperationName, model};

use crate::control_client::Control;
use crate::harness::reference_server;

/// Everything that a request could change.
async fn state(control: &Control, gateway: &str) -> Vec<Value> {
    let arn = format!("arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A123456789012%3Agateway%2F{gateway}");
    let targets = format!("/gateways/{gateway}/targets/");
    let mut all = Vec::new();
    for path in ["/gateways/?maxResults=1000", &format!("/gateways/{gateway}/"), &targets, &format!("/tags/{arn}")] {
        all.push(control.ok("GET", path, None).await);
    }
    let listed = control.ok("GET", &targets, None).await;
    for target in listed["items"].as_array().unwrap() {
        let id = target["targetId"].as_str().unwrap();
        all.push(control.ok("GET", &format!("{targets}{id}/"), None).await);
    }
    all.push(control.send("GET", &format!("/resourcepolicy/{arn}"), None).await.body);
    all
}

#[tokio::test]
async fn each_violation_is_refused_and_changes_nothing() {
    let server = reference_server(&[]);
    let control = Control::new("", "");
    let _program = control.start();
    let gateway = control.gateway("shop", json!({})).await;
    let target = control.target(&gateway, "ref", &server.url).await;
    let arn = format!("arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/{gateway}");
    let sampler = Sampler::new(model())
        .with("GatewayIdentifier", gateway.as_str())
        .with("TargetId", target.as_str())
        .with("BedrockAgentcoreResourceArn", arn.as_str())
        .with("TaggableResourcesArn", arn.as_str());
    let before = state(&control, &gateway).await;
    let (mut tried, mut impossible) = (0, 0);
    for operation in model().operations() {
        for violation in sampler.violations(operation) {
            let Some(request) = wire(model(), operation, &violation.input) else {
                // No request can say it: text where a path has a number, a path without its member.
                impossible += 1;
                continue;
            };
            let path = match request.query.is_empty() {
                true => request.path.clone(),
                false => format!("{}?{}", request.path, request.query),
            };
            let answer = control.try_send_raw(&request.method, &path, request.body.clone()).await.unwrap();
            let what = format!("{} {violation:?}: {answer:?}", operation.name);
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}");
            assert_eq!(answer.error.as_deref(), Some("ValidationException"), "{what}");
            assert!(operation.errors.contains_key("ValidationException"), "{what}");
            let fields = answer.body["fieldList"].as_array().unwrap_or_else(|| panic!("{what}"));
            assert!(fields.iter().any(|field| field["name"] == *violation.path), "{what}");
            tried += 1;
        }
        assert_eq!(state(&control, &gateway).await, before, "{} changed something", operation.name);
    }
    assert!(tried > 500, "{tried} violations were tried, {impossible} cannot be said");
}

/// Members of the model that this gateway refuses to honour: see src/control/refuse.rs.
fn honoured(gateway: &str) -> Sampler<'static> {
    let mut sampler = Sampler::new(model()).with("GatewayIdentifier", gateway);
    for (structure, member) in [
        ("CreateGatewayRequest", "kmsKeyArn"),
        ("CreateGatewayRequest", "policyEngineConfiguration"),
        ("UpdateGatewayRequest", "kmsKeyArn"),
        ("UpdateGatewayRequest", "customTransformConfiguration"),
        ("UpdateGatewayRequest", "policyEngineConfiguration"),
        ("UpdateGatewayRequest", "wafConfiguration"),
        ("CustomJWTAuthorizerConfiguration", "privateEndpoint"),
        ("CustomJWTAuthorizerConfiguration", "privateEndpointOverrides"),
        ("CustomJWTAuthorizerConfiguration", "certificateConfigurations"),
        ("CustomJWTAuthorizerConfiguration", "allowedWorkloadConfiguration"),
        ("CreateGatewayTargetRequest", "privateEndpoint"),
        ("CreateGatewayTargetRequest", "certificateConfigurations"),
        ("CreateGatewayTargetRequest", "credentialProviderConfigurations"),
        ("TargetConfiguration", "http"),
        ("TargetConfiguration", "inference"),
        ("McpTargetConfiguration", "openApiSchema"),
        ("McpTargetConfiguration", "smithyModel"),
        ("McpTargetConfiguration", "lambda"),
        ("McpTargetConfiguration", "apiGateway"),
        ("McpTargetConfiguration", "connector"),
    ] {
        sampler = sampler.omit(structure, member);
    }
    sampler
}

#[tokio::test]
async fn every_optional_member_is_echoed() {
    let control = Control::new("", "");
    let _program = control.start();
    let gateway = control.gateway("shop", json!({})).await;
    let sampler = honoured(&gateway);
    let mut echoed = 0;
    for name in [OperationName::CreateGateway, OperationName::UpdateGateway, OperationName::CreateGatewayTarget] {
        let operation = model().operation(name).unwrap();
        for (at, mut input) in sampler.maximal(operation).into_iter().enumerate() {
            // What must be unique, and what goes only with some of the rest.
            let fresh = format!("name{at}");
            input["name"] = if name == OperationName::UpdateGateway { json!("shop") } else { json!(fresh) };
            input.as_object_mut().unwrap().remove("clientToken");
            if input.get("authorizerType").is_some() {
                input["authorizerType"] = json!("CUSTOM_JWT");
            }
            if let Some(domains) = input.get_mut("domainOverride") {
                *domains = json!({"default": format!("{name}-{at}.example.com").to_lowercase(), "alternateDomains": [format!("other-{name}-{at}.example.com").to_lowercase()]});
            }
            if let Some(versions) = input.pointer_mut("/protocolConfiguration/mcp/supportedVersions") {
                *versions = json!(["2025-11-25", "2026-07-28"]);
            }
            if let Some(interceptors) = input.pointer_mut("/interceptorConfigurations").and_then(Value::as_array_mut) {
                interceptors.truncate(1);
                interceptors[0]["interceptionPoints"] = json!(["REQUEST"]);
            }
            if let Some(server) = input.pointer_mut("/targetConfiguration/mcp/mcpServer") {
                server["endpoint"] = json!("http://127.0.0.1:1/mcp");
                server["listingMode"] = json!("DEFAULT");
                if server["mcpToolSchema"].get("inlinePayload").is_some() {
                    server["mcpToolSchema"]["inlinePayload"] = json!("[]");
                }
            }
            for list in ["allowedRequestHeaders", "allowedResponseHeaders"] {
                if let Some(headers) = input.pointer_mut(&format!("/metadataConfiguration/{list}")) {
                    *headers = json!(["x-tenant"]);
                }
            }
            let request = wire(model(), operation, &input).unwrap();
            let answer = control.try_send_raw(&request.method, &request.path, request.body).await.unwrap();
            assert!(answer.status.is_success(), "{name} {input}: {answer:?}");
            for (member, shape) in model().shape(operation.input).members().unwrap() {
                if shape.location != Location::Body || matches!(member.as_str(), "clientToken" | "tags") {
                    continue;
                }
                let Some(sent) = input.get(member) else { continue };
                assert_eq!(&answer.body[member], sent, "{name}: {member} is echoed");
                echoed += 1;
            }
            if name == OperationName::UpdateGateway {
                control.settled(&format!("/gateways/{gateway}/"), "READY").await;
            }
        }
    }
    assert!(echoed > 20, "{echoed}");
}
