//! Nothing is ignored: each optional member alone, at every depth, is refused by its name, or comes back wherever the object
//! is shown, after a restart too.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::StatusCode;
use serde_json::{Value, json};
use sessiongate::control::model::testing::{Alone, Sampler};
use sessiongate::control::model::{Kind, Operation, OperationName, model};

use super::{PROCESS, arn_of, calm, echoes, fit, send};
use crate::control_client::Control;
use crate::harness::reference_server;

/// Members of a gateway that are refused, whatever is in them.
const GATEWAY: [&str; 6] = [
    "authorizerConfiguration.customJWTAuthorizer.allowedWorkloadConfiguration",
    "authorizerConfiguration.customJWTAuthorizer.certificateConfigurations",
    "authorizerConfiguration.customJWTAuthorizer.privateEndpoint",
    "authorizerConfiguration.customJWTAuthorizer.privateEndpointOverrides",
    "kmsKeyArn",
    "policyEngineConfiguration",
];
/// Those that only an update has.
const UPDATE: [&str; 2] = ["customTransformConfiguration", "wafConfiguration"];
/// Members of a target that are refused, whatever is in them.
const TARGET: [&str; 13] = [
    "certificateConfigurations",
    "credentialProviderConfigurations[0].credentialProviderType",
    "privateEndpoint",
    "targetConfiguration.http.agentcoreRuntime",
    "targetConfiguration.http.connector",
    "targetConfiguration.http.passthrough",
    "targetConfiguration.inference.connector",
    "targetConfiguration.inference.provider",
    "targetConfiguration.mcp.apiGateway",
    "targetConfiguration.mcp.connector",
    "targetConfiguration.mcp.lambda",
    "targetConfiguration.mcp.openApiSchema",
    "targetConfiguration.mcp.smithyModel",
];

/// What is there, by the path of its object: the operation that sent its members, and all that was sent.
type Made = BTreeMap<String, (&'static Operation, Value)>;

fn operation(name: OperationName) -> &'static Operation {
    model().operation(name).unwrap()
}

fn sampler(gateway: &str, endpoint: &str) -> Sampler<'static> {
    let server = json!({"mcpServer": {"endpoint": endpoint}});
    Sampler::new(model())
        .with("GatewayIdentifier", gateway)
        .with("AuthorizerType", "NONE")
        .with("InlinePayload", "[]")
        .with("TargetConfiguration", json!({"mcp": server}))
        .with("McpTargetConfiguration", server)
        .with("McpServerTargetConfigurationEndpointString", endpoint)
}

/// What the operation answers, or the members that it is refused for: the one that is alone, one around it, or one within it.
async fn attempt(
    control: &Control,
    operation: &Operation,
    alone: &Alone,
    input: &Value,
) -> Result<Value, BTreeSet<String>> {
    let answer = send(control, operation, input).await.unwrap();
    if answer.status.is_success() {
        return Ok(answer.body);
    }
    let what = format!("{} {}: {answer:?}", operation.name, alone.path);
    assert_eq!(
        (answer.status, answer.error.as_deref()),
        (StatusCode::BAD_REQUEST, Some("ValidationException")),
        "{what}"
    );
    let fields = answer.body["fieldList"].as_array().unwrap_or_else(|| panic!("{what}"));
    let named: BTreeSet<_> = fields.iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect();
    let related = |name: &String| {
        // A provider is refused by its type.
        let around = name.strip_suffix(".credentialProviderType").unwrap_or(name);
        name.starts_with(&alone.path) || alone.path.starts_with(around)
    };
    assert!(!named.is_empty() && named.iter().all(related), "{what}");
    Err(named)
}

/// Each object has the members that were sent, by itself and in its list.
async fn all_there(control: &Control, list: &str, lister: OperationName, id: &str, made: &Made) {
    let lister = operation(lister);
    let items = lister.items.as_ref().unwrap();
    let listed = control.ok("GET", &format!("{list}?maxResults=1000"), None).await;
    let shape = model().shape(lister.output).members().unwrap()[items].shape;
    let Kind::List { item, .. } = &model().shape(shape).kind else { panic!("{items} is a list") };
    let summary = model().shape(*item).members().unwrap();
    for (path, (operation, sent)) in made {
        let got = control.ok("GET", path, None).await;
        echoes(operation, sent, &got);
        let line = listed[items].as_array().unwrap().iter().find(|item| item[id] == got[id]).expect(path);
        let server = sent.pointer("/targetConfiguration/mcp/mcpServer").unwrap_or(&Value::Null);
        for member in summary.keys() {
            if let Some(sent) = sent.get(member).or_else(|| server.get(member)) {
                assert_eq!(&line[member], sent, "{path}: {member} in its list");
            }
        }
        if let (Some(tags), Some(gateway)) = (sent.get("tags"), got["gatewayId"].as_str()) {
            let arn = arn_of(gateway).replace(':', "%3A").replace('/', "%2F");
            assert_eq!(control.ok("GET", &format!("/tags/{arn}"), None).await["tags"], *tags);
        }
        if sent.get("clientToken").is_some() {
            let again = send(control, operation, sent).await.unwrap();
            assert_eq!(again.body[id], got[id], "{path}: the same request is the same object");
        }
    }
}

fn texts(all: &[&[&str]]) -> BTreeSet<String> {
    all.iter().copied().flatten().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn of_a_gateway() {
    use OperationName::{CreateGateway, ListGateways, UpdateGateway};
    let control = Control::new("", PROCESS);
    let program = control.start();
    let (list, all) = ("/gateways/", "/gateways/?maxResults=1000");
    let (mut made, mut refused) = (Made::new(), BTreeSet::new());
    let create = operation(CreateGateway);
    for (at, alone) in sampler("", "").alone(create).iter().enumerate() {
        let before = control.ok("GET", all, None).await;
        let input = fit(alone.input.clone(), &format!("name-{at}"));
        match attempt(&control, create, alone, &input).await {
            Ok(body) => {
                echoes(create, &input, &body);
                let path = format!("{list}{}/", body["gatewayId"].as_str().unwrap());
                control.settled(&path, "READY").await;
                made.insert(path, (create, input));
            }
            Err(named) => {
                refused.extend(named);
                assert_eq!(control.ok("GET", all, None).await, before, "{} changed something", alone.path);
            }
        }
    }
    assert_eq!(refused, texts(&[&GATEWAY]));
    all_there(&control, list, ListGateways, "gatewayId", &made).await;
    drop(program);
    let program = control.start();
    all_there(&control, list, ListGateways, "gatewayId", &made).await;
    // Updates replace everything: what another was created with is gone.
    let (update, paths) = (operation(UpdateGateway), made.keys().cloned().collect::<Vec<_>>());
    let mut updated = 0;
    for (at, alone) in sampler("", "").alone(update).iter().enumerate() {
        let path = &paths[at % paths.len()];
        let before = control.settled(path, "READY").await;
        let mut input = fit(alone.input.clone(), &format!("new-{at}"));
        (input["name"], input["gatewayIdentifier"]) = (before["name"].clone(), before["gatewayId"].clone());
        match attempt(&control, update, alone, &input).await {
            Ok(body) => {
                echoes(update, &input, &body);
                echoes(update, &input, &control.settled(path, "READY").await);
                made.insert(path.clone(), (update, input));
                updated += 1;
            }
            Err(named) => {
                refused.extend(named);
                assert_eq!(control.ok("GET", path, None).await, before, "{} changed something", alone.path);
            }
        }
    }
    assert_eq!(refused, texts(&[&GATEWAY, &UPDATE]));
    all_there(&control, list, ListGateways, "gatewayId", &made).await;
    drop(program);
    let _program = control.start();
    all_there(&control, list, ListGateways, "gatewayId", &made).await;
    // An update has neither a token nor tags.
    assert_eq!((paths.len(), updated), (31, 29));
}

#[tokio::test]
async fn of_a_target() {
    use OperationName::{CreateGatewayTarget, ListGatewayTargets, UpdateGatewayTarget};
    let (control, server) = (Control::new("", PROCESS), reference_server(&[]));
    let program = control.start();
    let gateway = control.gateway("shop", json!({})).await;
    let list = format!("/gateways/{gateway}/targets/");
    let sampler = sampler(&gateway, &server.url);
    let (mut made, mut refused) = (Made::new(), BTreeSet::new());
    let create = operation(CreateGatewayTarget);
    for (at, alone) in sampler.alone(create).iter().enumerate() {
        let before = control.ok("GET", &list, None).await;
        let input = fit(alone.input.clone(), &format!("name-{at}"));
        match attempt(&control, create, alone, &input).await {
            Ok(body) => {
                echoes(create, &input, &body);
                let path = format!("{list}{}/", body["targetId"].as_str().unwrap());
                calm(&control, &path).await;
                made.insert(path, (create, input));
            }
            Err(named) => {
                refused.extend(named);
                assert_eq!(control.ok("GET", &list, None).await, before, "{} changed something", alone.path);
            }
        }
    }
    assert_eq!(refused, texts(&[&TARGET]));
    all_there(&control, &list, ListGatewayTargets, "targetId", &made).await;
    drop(program);
    let program = control.start();
    all_there(&control, &list, ListGatewayTargets, "targetId", &made).await;
    let (update, paths) = (operation(UpdateGatewayTarget), made.keys().cloned().collect::<Vec<_>>());
    let (mut updated, mut refused) = (0, BTreeSet::new());
    for (at, alone) in sampler.alone(update).iter().enumerate() {
        let path = &paths[at % paths.len()];
        let before = calm(&control, path).await;
        let mut input = fit(alone.input.clone(), &format!("new-{at}"));
        input["targetId"] = before["targetId"].clone();
        match attempt(&control, update, alone, &input).await {
            Ok(body) => {
                echoes(update, &input, &body);
                if input.get("name").is_none() {
                    assert_eq!(body["name"], before["name"], "it stays");
                }
                echoes(update, &input, &calm(&control, path).await);
                made.insert(path.clone(), (update, input));
                updated += 1;
            }
            Err(named) => {
                refused.extend(named);
                assert_eq!(control.ok("GET", path, None).await, before, "{} changed something", alone.path);
            }
        }
    }
    assert_eq!(refused, texts(&[&TARGET]));
    all_there(&control, &list, ListGatewayTargets, "targetId", &made).await;
    drop(program);
    let _program = control.start();
    all_there(&control, &list, ListGatewayTargets, "targetId", &made).await;
    // An update has no token.
    assert_eq!((paths.len(), updated), (16, 15));
}
