//! The service model, walked over HTTP: each single violation gives the modelled error and changes nothing; each optional
//! member comes back, or is refused by its name.

mod ignored;

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde_json::{Value, json};
use sessiongate::control::model::testing::{Sampler, Violation, wire};
use sessiongate::control::model::{Location, Operation, OperationName, model};

use crate::control_client::{Answer, Control};
use crate::harness::{eventually, reference_server};

/// Functions that nobody could sign for are refused, and a schema is not looked for in the world.
const PROCESS: &str =
    "aws: {access_key_id: AKIDOWN, secret_access_key: own-secret}\nendpoints: {s3: \"http://127.0.0.1:1\"}\n";
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;
/// What an operation could not have been done with: the inputs of all operations with one thing wrong that a request can
/// say, where the rest is right.
const TRIED: usize = 865;
/// The same within members that are refused, whatever is in them.
const TRIED_IN_REFUSED: usize = 1651;
/// No request can say them: text where a path has a number, a path without its member.
const IMPOSSIBLE: usize = 67;

/// The objects that an operation is about.
struct Ids {
    gateway: String,
    name: String,
    target: String,
}

impl Ids {
    /// A gateway with a target, both served.
    async fn new(control: &Control, name: &str, endpoint: &str) -> Self {
        let gateway = control.gateway(name, json!({})).await;
        let target = control.target(&gateway, "ref", endpoint).await;
        Self { gateway, name: name.to_owned(), target }
    }

    fn path(&self) -> String {
        format!("/gateways/{}/", self.gateway)
    }

    fn targets(&self) -> String {
        format!("/gateways/{}/targets/", self.gateway)
    }

    fn target(&self) -> String {
        format!("/gateways/{}/targets/{}/", self.gateway, self.target)
    }

    fn encoded_arn(&self) -> String {
        arn_of(&self.gateway).replace(':', "%3A").replace('/', "%2F")
    }

    /// Inputs about these objects, with all members.
    fn sampler(&self, endpoint: &str) -> Sampler<'static> {
        let arn = arn_of(&self.gateway);
        Sampler::new(model())
            .with("GatewayIdentifier", self.gateway.as_str())
            .with("TargetId", self.target.as_str())
            .with("BedrockAgentcoreResourceArn", arn.as_str())
            .with("TaggableResourcesArn", arn.as_str())
            .with("McpServerTargetConfigurationEndpointString", endpoint)
            .with("InlinePayload", "[]")
            .with("ResourcePolicyBody", POLICY)
            .with("GatewayNextToken", "c2hvcA")
            .with("TargetNextToken", "c2hvcA")
    }
}

fn arn_of(gateway: &str) -> String {
    format!("arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/{gateway}")
}

/// The same without what is refused, whatever is in it.
fn honoured(mut sampler: Sampler<'static>) -> Sampler<'static> {
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
        ("UpdateGatewayTargetRequest", "privateEndpoint"),
        ("UpdateGatewayTargetRequest", "certificateConfigurations"),
        ("UpdateGatewayTargetRequest", "credentialProviderConfigurations"),
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

/// What must be unique, and what goes only with some of the rest, where it is given.
fn fit(mut input: Value, name: &str) -> Value {
    if input.get("name").is_some() {
        input["name"] = json!(name);
    }
    if let Some(token) = input.get_mut("clientToken") {
        *token = json!(format!("token-of-{name}-{}", "0".repeat(32)));
    }
    if input.get("authorizerConfiguration").is_some() {
        input["authorizerType"] = json!("CUSTOM_JWT");
    }
    if let Some(domains) = input.get_mut("domainOverride") {
        domains["default"] = json!(format!("{name}.example.com"));
        if domains.get("alternateDomains").is_some() {
            domains["alternateDomains"] = json!([format!("other-{name}.example.com")]);
        }
    }
    if let Some(jwt) = input.pointer_mut("/authorizerConfiguration/customJWTAuthorizer") {
        if jwt.get("advertisedScopeMapping").is_some() {
            jwt["advertisedScopeMapping"] = json!({"gateway:read": "shown"});
            jwt["allowedScopes"] = json!(["gateway:read"]);
        }
        for claim in jwt.get_mut("customClaims").and_then(Value::as_array_mut).into_iter().flatten() {
            let list = claim["authorizingClaimMatchValue"]["claimMatchValue"].get("matchValueStringList").is_some();
            let (kind, operator) = if list { ("STRING_ARRAY", "CONTAINS_ANY") } else { ("STRING", "EQUALS") };
            claim["inboundTokenClaimValueType"] = json!(kind);
            claim["authorizingClaimMatchValue"]["claimMatchOperator"] = json!(operator);
        }
    }
    if let Some(s3) = input.pointer_mut("/targetConfiguration/mcp/mcpServer/mcpToolSchema/s3") {
        s3["uri"] = json!("s3://bucket/tools.json");
    }
    input
}

/// Sends what an input says; none where no request can say it.
async fn send(control: &Control, operation: &Operation, input: &Value) -> Option<Answer> {
    let request = wire(model(), operation, input)?;
    let path = match request.query.is_empty() {
        true => request.path,
        false => format!("{}?{}", request.path, request.query),
    };
    Some(control.try_send_raw(&request.method, &path, request.body).await.unwrap())
}

/// What was sent is what is there: each member, and none that was not sent.
fn echoes(operation: &Operation, sent: &Value, got: &Value) {
    for (member, shape) in model().shape(operation.input).members().unwrap() {
        if shape.location != Location::Body || matches!(member.as_str(), "clientToken" | "tags") {
            continue;
        }
        let none = json!([]);
        let wanted = match (member.as_str(), sent.get(member)) {
            // A target has a name in any case, and a list of providers in each answer.
            ("name", None) => Some(&got["name"]).filter(|name| name.is_string()),
            ("credentialProviderConfigurations", None) => Some(&none),
            (_, sent) => sent,
        };
        assert_eq!(got.get(member), wanted, "{}: {member} of {sent}", operation.name);
    }
}

/// Waits until nothing is under way.
async fn calm(control: &Control, path: &str) -> Value {
    eventually(&format!("{path} is calm"), async || {
        let body = control.ok("GET", path, None).await;
        let status = body["status"].as_str().unwrap().to_owned();
        (!matches!(&*status, "CREATING" | "UPDATING" | "SYNCHRONIZING")).then_some(body)
    })
    .await
}

/// Everything that a request could change.
async fn state(control: &Control, ids: &Ids) -> Vec<Value> {
    let arn = ids.encoded_arn();
    let mut all = Vec::new();
    for path in ["/gateways/?maxResults=1000", &ids.path(), &ids.targets(), &ids.target(), &format!("/tags/{arn}")] {
        all.push(control.ok("GET", path, None).await);
    }
    all.push(control.send("GET", &format!("/resourcepolicy/{arn}"), None).await.body);
    all
}

/// Where the change would be seen that an operation makes.
fn place(operation: OperationName, ids: &Ids) -> String {
    use OperationName as O;
    match operation {
        O::CreateGateway | O::ListGateways => "/gateways/?maxResults=1000".to_owned(),
        O::GetGateway | O::UpdateGateway | O::DeleteGateway => ids.path(),
        O::CreateGatewayTarget | O::ListGatewayTargets => ids.targets(),
        O::GetGatewayTarget | O::UpdateGatewayTarget | O::DeleteGatewayTarget | O::SynchronizeGatewayTargets => {
            ids.target()
        }
        O::TagResource | O::UntagResource | O::ListTagsForResource => format!("/tags/{}", ids.encoded_arn()),
        O::PutResourcePolicy | O::GetResourcePolicy | O::DeleteResourcePolicy => {
            format!("/resourcepolicy/{}", ids.encoded_arn())
        }
    }
}

/// Has a violation refused for what it is, with nothing changed; false if no request can say it.
async fn is_refused(
    control: &Control,
    operation: &Operation,
    violation: &Violation,
    ids: &Ids,
    before: &Value,
) -> bool {
    let Some(answer) = send(control, operation, &violation.input).await else { return false };
    let what = format!("{} {violation:?}: {answer:?}", operation.name);
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}");
    assert_eq!(answer.error.as_deref(), Some("ValidationException"), "{what}");
    assert!(operation.errors.contains_key("ValidationException"), "{what}");
    let fields = answer.body["fieldList"].as_array().unwrap_or_else(|| panic!("{what}"));
    assert!(fields.iter().any(|field| field["name"] == *violation.path), "{what}");
    let after = control.send("GET", &place(operation.name, ids), None).await.body;
    assert_eq!(after, *before, "{what}");
    true
}

#[tokio::test]
async fn each_violation_is_refused_and_changes_nothing() {
    let server = reference_server(&[]);
    let control = Control::new("", PROCESS);
    let _program = control.start();
    let kept = Ids::new(&control, "shop", &server.url).await;
    // Something that a request could take away.
    control.ok("POST", &format!("/tags/{}", kept.encoded_arn()), Some(&json!({"tags": {"team": "a"}}))).await;
    let policy = json!({"policy": POLICY});
    control.ok("PUT", &format!("/resourcepolicy/{}", kept.encoded_arn()), Some(&policy)).await;
    let (mut tried, mut refused, mut impossible, mut accepted) = (0, 0, 0, 0);
    for operation in model().operations() {
        // The same inputs without a violation are done.
        for at in 0..honoured(kept.sampler(&server.url)).maximal(operation).len() {
            let name = format!("{}-{at}", operation.name).to_lowercase();
            let spare = Ids::new(&control, &format!("spare-{name}"), &server.url).await;
            if operation.name == OperationName::DeleteGateway {
                control.ok("DELETE", &spare.target(), None).await;
                let gone = async || (control.send("GET", &spare.target(), None).await.status == 404).then_some(());
                eventually("the target is gone", gone).await;
            }
            if matches!(operation.name, OperationName::GetResourcePolicy | OperationName::DeleteResourcePolicy) {
                control.ok("PUT", &format!("/resourcepolicy/{}", spare.encoded_arn()), Some(&policy)).await;
            }
            let input = honoured(spare.sampler(&server.url)).maximal(operation).swap_remove(at);
            let name = if operation.name == OperationName::UpdateGateway { &spare.name } else { &name };
            let input = fit(input, name);
            let answer = send(&control, operation, &input).await.unwrap();
            assert!(answer.status.is_success(), "{} {input}: {answer:?}", operation.name);
            if input.get("name").is_some() {
                echoes(operation, &input, &answer.body);
            }
            if let Some(id) = answer.body["gatewayId"].as_str() {
                calm(&control, &format!("/gateways/{id}/")).await;
            }
            if let Some(id) = answer.body["targetId"].as_str().filter(|_| input.get("name").is_some()) {
                calm(&control, &format!("{}{id}/", spare.targets())).await;
            }
            accepted += 1;
        }
        let own_name = |at: usize| match operation.name {
            OperationName::UpdateGateway => kept.name.clone(),
            name => format!("free-{name}-{at}").to_lowercase(),
        };
        let sampler = honoured(kept.sampler(&server.url));
        let right = sampler.maximal(operation).into_iter().enumerate();
        let right: Vec<Value> = right.map(|(at, input)| fit(input, &own_name(at))).collect();
        let violations = sampler.violations_of(operation, &right);
        let places: BTreeSet<_> = violations.iter().map(|one| (one.kind, one.path.clone())).collect();
        // What is in members that are refused is looked at all the same.
        let rest = kept.sampler(&server.url).violations(operation).into_iter();
        let rest = rest.filter(|one| !places.contains(&(one.kind, one.path.clone())));
        // What was accepted may still be carried out.
        let before = eventually("all is carried out", async || {
            let state = state(&control, &kept).await;
            let busy = ["CREATING", "UPDATING", "DELETING", "SYNCHRONIZING"];
            let is_busy = |part: &Value| busy.iter().any(|status| part.to_string().contains(&format!("\"{status}\"")));
            (!state.iter().any(is_busy)).then_some(state)
        })
        .await;
        let seen = control.ok("GET", &place(operation.name, &kept), None).await;
        let counted = violations.len();
        for (at, violation) in violations.into_iter().chain(rest).enumerate() {
            match is_refused(&control, operation, &violation, &kept, &seen).await {
                false => impossible += 1,
                true if at < counted => tried += 1,
                true => refused += 1,
            }
        }
        assert_eq!(state(&control, &kept).await, before, "{} changed something", operation.name);
    }
    assert_eq!((tried, refused, impossible), (TRIED, TRIED_IN_REFUSED, IMPOSSIBLE));
    assert_eq!(accepted, 21);
}
