//! Each member alone: the field that it changes, and that it changes no other; and that no member of the model is forgotten.

use std::collections::BTreeSet;

use serde_json::json;
use sessiongate_storage::Timestamp;

use super::*;
use crate::control::model::testing::Sampler;
use crate::control::model::{Kind, OperationName, ShapeId, model};
use crate::control::objects::GatewayStatus;
use crate::control::refuse;

const ID: &str = "shop-0123456789";
const ROLE: &str = "arn:aws:iam::123456789012:role/any";
const DISCOVERY: &str = "https://issuer.example/.well-known/openid-configuration";
const URL: &str = "https://target.example/mcp";
const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:f";
const JWT: &str = "authorizerConfiguration.customJWTAuthorizer";
const SERVER: &str = "targetConfiguration.mcp.mcpServer";

/// Members of the model that the data plane's configuration does not have.
const ELSEWHERE: [&str; 10] = [
    // Which object it is, and what is stored and shown.
    "clientToken",
    "description",
    "gatewayIdentifier",
    "name",
    "tags",
    "targetId",
    // There is one.
    "protocolType",
    // `schema` reads them: their tools come from there.
    "targetConfiguration.mcp.mcpServer.mcpToolSchema.inlinePayload",
    "targetConfiguration.mcp.mcpServer.mcpToolSchema.s3.bucketOwnerAccountId",
    "targetConfiguration.mcp.mcpServer.mcpToolSchema.s3.uri",
];

/// What a member changes: the members that it stands for, what is asked for besides what is required, and what is served then.
type Row<C> = (&'static [&'static str], Value, fn(&mut C));

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            more.iter().for_each(|(name, value)| merge(into.entry(name.clone()).or_insert(Value::Null), value));
        }
        (into, more) => *into = more.clone(),
    }
}

fn members(mut base: Value, more: &Value) -> Members {
    merge(&mut base, more);
    base.as_object().unwrap().clone()
}

/// Members of a gateway: what is required, and more.
fn asked(more: &Value) -> Members {
    members(json!({"name": "shop", "roleArn": ROLE, "authorizerType": "NONE"}), more)
}

fn served(input: &Members) -> Result<GatewayConfig, ControlError> {
    let object = GatewayObject {
        id: ID.into(),
        declared: None,
        input: input.clone(),
        active: None,
        status: GatewayStatus::Creating,
        status_reasons: Vec::new(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        creation: None,
    };
    gateway(&object, input)
}

/// What is served where nothing is asked for but what is required.
fn plain() -> GatewayConfig {
    let mut config = GatewayConfig::new(ID);
    config.sessions = Sessions::Off;
    config.streaming = false;
    config.exception_level = ExceptionLevel::General;
    config.allow_anonymous = true;
    config.role = Some(ROLE.into());
    config
}

fn sessions(seconds: u64) -> Sessions {
    let timeout = Duration::from_secs(seconds);
    Sessions::On(SessionSettings { timeout, idle_timeout: timeout, ..SessionSettings::default() })
}

/// Members of a gateway with one thing in `protocolConfiguration.mcp`.
fn mcp(member: &str, value: Value) -> Value {
    json!({"protocolConfiguration": {"mcp": {member: value}}})
}

/// Members of a gateway with one interceptor, at the first point.
fn intercepted(more: Value) -> Value {
    let mut one = json!({"interceptor": {"lambda": {"arn": ARN}}, "interceptionPoints": ["REQUEST"]});
    merge(&mut one, &more);
    json!({"interceptorConfigurations": [one]})
}

fn gateway_rows() -> Vec<Row<GatewayConfig>> {
    const VERSIONS: &[&str] = &["protocolConfiguration.mcp.supportedVersions"];
    const SESSIONS: &[&str] = &["protocolConfiguration.mcp.sessionConfiguration.sessionTimeoutInSeconds"];
    const STREAMING: &[&str] = &["protocolConfiguration.mcp.streamingConfiguration.enableResponseStreaming"];
    const PAGES: &[&str] = &["protocolConfiguration.mcp.disableMcpListToolsPagination"];
    const POINTS: &[&str] =
        &["interceptorConfigurations.interceptor.lambda.arn", "interceptorConfigurations.interceptionPoints"];
    const HEADERS: &[&str] = &["interceptorConfigurations.inputConfiguration.passRequestHeaders"];
    const FILTER: &[&str] = &["interceptorConfigurations.inputConfiguration.payloadFilter.exclude.field"];
    let session = |inner: Value| mcp("sessionConfiguration", inner);
    let stream = |inner: Value| mcp("streamingConfiguration", inner);
    let headers = |pass: bool| intercepted(json!({"inputConfiguration": {"passRequestHeaders": pass}}));
    fn lambda(config: &mut GatewayConfig, points: &[InterceptionPoint]) {
        config.interceptors = vec![InterceptorConfig::lambda(ARN, points.to_vec())];
    }
    vec![
        (&[], json!({}), |_| {}),
        (&[], json!({"protocolConfiguration": {"mcp": {}}}), |_| {}),
        (&["roleArn"], json!({"roleArn": "arn:aws:iam::1:role/b"}), |to| {
            to.role = Some("arn:aws:iam::1:role/b".into())
        }),
        (&["protocolConfiguration.mcp.instructions"], mcp("instructions", json!("Buy.")), |to| {
            to.instructions = Some("Buy.".into());
        }),
        (VERSIONS, mcp("supportedVersions", json!(["2025-06-18", "2024-11-05"])), |to| {
            to.supported_versions = vec!["2025-06-18".into(), "2024-11-05".into()];
        }),
        (&["protocolConfiguration.mcp.searchType"], mcp("searchType", json!("SEMANTIC")), |to| to.search = true),
        (SESSIONS, session(json!({})), |to| to.sessions = sessions(3600)),
        (SESSIONS, session(json!({"sessionTimeoutInSeconds": 900})), |to| to.sessions = sessions(900)),
        (SESSIONS, session(json!({"sessionTimeoutInSeconds": 28800})), |to| to.sessions = sessions(28800)),
        (STREAMING, stream(json!({"enableResponseStreaming": true})), |to| to.streaming = true),
        (STREAMING, stream(json!({"enableResponseStreaming": false})), |_| {}),
        (STREAMING, stream(json!({})), |_| {}),
        (PAGES, mcp("disableMcpListToolsPagination", json!(true)), |to| to.pagination = false),
        (PAGES, mcp("disableMcpListToolsPagination", json!(false)), |_| {}),
        (&["authorizerType"], json!({"authorizerType": "AWS_IAM"}), |to| {
            (to.authorizer, to.allow_anonymous) = (Authorizer::Iam, false);
        }),
        (&["exceptionLevel"], json!({"exceptionLevel": "DEBUG"}), |to| to.exception_level = ExceptionLevel::Debug),
        (&["domainOverride.default"], json!({"domainOverride": {"default": "Shop.example"}}), |to| {
            to.hosts = vec!["shop.example".into()];
        }),
        (
            &["domainOverride.alternateDomains"],
            json!({"domainOverride": {"default": "a.example", "alternateDomains": ["B.example", "c.example"]}}),
            |to| to.hosts = vec!["a.example".into(), "b.example".into(), "c.example".into()],
        ),
        (POINTS, intercepted(json!({})), |to| lambda(to, &[InterceptionPoint::Request])),
        (POINTS, intercepted(json!({"interceptionPoints": ["RESPONSE"]})), |to| {
            lambda(to, &[InterceptionPoint::Response]);
        }),
        (POINTS, intercepted(json!({"interceptionPoints": ["RESPONSE", "REQUEST"]})), |to| {
            lambda(to, &[InterceptionPoint::Response, InterceptionPoint::Request]);
        }),
        (HEADERS, headers(false), |to| lambda(to, &[InterceptionPoint::Request])),
        (HEADERS, headers(true), |to| {
            lambda(to, &[InterceptionPoint::Request]);
            to.interceptors[0].pass_request_headers = true;
        }),
        (
            FILTER,
            intercepted(json!({"inputConfiguration": {
                "passRequestHeaders": false, "payloadFilter": {"exclude": [{"field": "RESPONSE_BODY"}]},
            }})),
            |to| {
                lambda(to, &[InterceptionPoint::Request]);
                to.interceptors[0].exclude_response_body = true;
            },
        ),
    ]
}

fn custom_claim(value_type: &str, operator: &str, value: &Value) -> Value {
    json!({"customClaims": [{"inboundTokenClaimName": "tier", "inboundTokenClaimValueType": value_type,
        "authorizingClaimMatchValue": {"claimMatchOperator": operator, "claimMatchValue": value}}]})
}

/// Rules of a JWT authorizer, whose members are those of `authorizerConfiguration.customJWTAuthorizer`.
fn jwt_rows() -> Vec<Row<JwtAuthorizer>> {
    fn claim(value_type: ClaimType, operator: ClaimOperator, values: &[&str]) -> Vec<CustomClaim> {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        vec![CustomClaim { name: "tier".into(), value_type, operator, values }]
    }
    let other = "https://issuer.example/.well-known/oauth-authorization-server/a";
    let one = json!({"matchValueString": "gold"});
    let list = |values: Value| json!({"matchValueStringList": values});
    vec![
        (&["discoveryUrl"], json!({"discoveryUrl": other}), |to| {
            let other = "https://issuer.example/.well-known/oauth-authorization-server/a";
            to.discovery_url = other.parse().unwrap();
        }),
        (&["allowedAudience"], json!({"allowedAudience": ["a", "b"]}), |to| {
            to.allowed_audience = vec!["a".into(), "b".into()];
        }),
        (&["allowedClients"], json!({"allowedClients": ["c"]}), |to| to.allowed_clients = vec!["c".into()]),
        (&["allowedScopes"], json!({"allowedScopes": ["s"]}), |to| to.allowed_scopes = vec!["s".into()]),
        // It is about scopes that are allowed.
        (
            &["advertisedScopeMapping"],
            json!({"allowedScopes": ["s"], "advertisedScopeMapping": {"s": "shown"}}),
            |to| {
                to.allowed_scopes = vec!["s".into()];
                to.advertised_scopes = [("s".to_owned(), "shown".to_owned())].into();
            },
        ),
        (
            &[
                "customClaims.inboundTokenClaimName",
                "customClaims.inboundTokenClaimValueType",
                "customClaims.authorizingClaimMatchValue.claimMatchOperator",
                "customClaims.authorizingClaimMatchValue.claimMatchValue.matchValueString",
            ],
            custom_claim("STRING", "EQUALS", &one),
            |to| to.custom_claims = claim(ClaimType::String, ClaimOperator::Equals, &["gold"]),
        ),
        (&[], custom_claim("STRING_ARRAY", "CONTAINS", &one), |to| {
            to.custom_claims = claim(ClaimType::StringArray, ClaimOperator::Contains, &["gold"]);
        }),
        (
            &["customClaims.authorizingClaimMatchValue.claimMatchValue.matchValueStringList"],
            custom_claim("STRING_ARRAY", "CONTAINS_ANY", &list(json!(["gold", "tin"]))),
            |to| to.custom_claims = claim(ClaimType::StringArray, ClaimOperator::ContainsAny, &["gold", "tin"]),
        ),
        (&[], custom_claim("STRING_ARRAY", "CONTAINS_ANY", &list(json!(["gold"]))), |to| {
            to.custom_claims = claim(ClaimType::StringArray, ClaimOperator::ContainsAny, &["gold"]);
        }),
    ]
}

fn target_object(input: &Members) -> TargetObject {
    TargetObject::new(ID.into(), "0123456789".into(), input.clone(), Timestamp(0))
}

/// Members of a target.
fn asked_target(more: &Value) -> Members {
    members(json!({"name": "cart", "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": URL}}}}), more)
}

fn plain_target() -> TargetConfig {
    let http = HttpTarget { transport: Transport::StreamableHttp, ..HttpTarget::new(URL.parse().unwrap()) };
    let mut config = TargetConfig::new("cart", McpConfig::Http(http));
    config.synchronisation = Synchronisation::Manual;
    config.required = false;
    config.listing = Some(Listing::Default);
    config
}

fn target_rows() -> Vec<Row<TargetConfig>> {
    const MODE: &[&str] = &["targetConfiguration.mcp.mcpServer.listingMode"];
    const PRIORITY: &[&str] = &["targetConfiguration.mcp.mcpServer.resourcePriority"];
    let server = |member: &str, value: Value| json!({"targetConfiguration": {"mcp": {"mcpServer": {member: value}}}});
    let pass = |list: &str| json!({"metadataConfiguration": {list: ["x-a", "b"]}});
    fn names() -> Vec<String> {
        vec!["x-a".into(), "b".into()]
    }
    vec![
        (&[], json!({}), |_| {}),
        (&[], json!({"name": "basket"}), |to| to.name = "basket".into()),
        (&["targetConfiguration.mcp.mcpServer.endpoint"], server("endpoint", json!("http://b.example/x?k=1")), |to| {
            let http = HttpTarget::new("http://b.example/x?k=1".parse().unwrap());
            to.mcp = McpConfig::Http(HttpTarget { transport: Transport::StreamableHttp, ..http });
        }),
        (MODE, server("listingMode", json!("DEFAULT")), |_| {}),
        (MODE, server("listingMode", json!("DYNAMIC")), |to| to.listing = Some(Listing::Dynamic)),
        (PRIORITY, server("resourcePriority", json!(0)), |to| to.resource_priority = 0),
        (PRIORITY, server("resourcePriority", json!(7)), |to| to.resource_priority = 7),
        (PRIORITY, server("resourcePriority", json!(1000)), |_| {}),
        (&["metadataConfiguration.allowedRequestHeaders"], pass("allowedRequestHeaders"), |to| {
            to.pass.request_headers = names();
        }),
        (&["metadataConfiguration.allowedQueryParameters"], pass("allowedQueryParameters"), |to| {
            to.pass.query_parameters = names();
        }),
        (&["metadataConfiguration.allowedResponseHeaders"], pass("allowedResponseHeaders"), |to| {
            to.pass.response_headers = names();
        }),
    ]
}

#[test]
fn each_member_of_a_gateway_changes_its_field() {
    for (_, more, change) in gateway_rows() {
        let mut wanted = plain();
        change(&mut wanted);
        assert_eq!(served(&asked(&more)).unwrap(), wanted, "{more}");
    }
    // Not by accident the same as what a gateway of the file has.
    assert_ne!(plain(), GatewayConfig { role: Some(ROLE.into()), ..GatewayConfig::new(ID) });
}

#[test]
fn each_rule_about_tokens_changes_its_field() {
    for kind in ["CUSTOM_JWT", "AUTHENTICATE_ONLY"] {
        for (paths, more, change) in jwt_rows() {
            let mut jwt = json!({"discoveryUrl": DISCOVERY});
            merge(&mut jwt, &more);
            let input =
                asked(&json!({"authorizerType": kind, "authorizerConfiguration": {"customJWTAuthorizer": jwt}}));
            let mut rules = JwtAuthorizer {
                discovery_url: DISCOVERY.parse().unwrap(),
                issuer: None,
                allowed_audience: Vec::new(),
                allowed_clients: Vec::new(),
                allowed_scopes: Vec::new(),
                advertised_scopes: [].into(),
                custom_claims: Vec::new(),
                strict_audience: false,
            };
            change(&mut rules);
            let authorizer = match kind {
                "CUSTOM_JWT" => Authorizer::Jwt(rules),
                // It decides nothing else.
                _ if !matches!(paths, ["discoveryUrl"] | ["allowedAudience"]) => {
                    refused_at(served(&input), JWT);
                    continue;
                }
                _ => Authorizer::AuthenticateOnly(rules),
            };
            let wanted = GatewayConfig { authorizer, allow_anonymous: false, ..plain() };
            assert_eq!(served(&input).unwrap(), wanted, "{kind} {more}");
        }
    }
}

#[test]
fn each_member_of_a_target_changes_its_field() {
    for (_, more, change) in target_rows() {
        let mut wanted = plain_target();
        change(&mut wanted);
        let input = asked_target(&more);
        assert_eq!(target(&target_object(&input), &input, None).unwrap(), wanted, "{more}");
    }
    let input = asked_target(&json!({}));
    let tools = DeclaredTools::from(vec![json!({"name": "add", "inputSchema": {"type": "object"}})]);
    let wanted = TargetConfig { tools: Some(tools.clone()), ..plain_target() };
    assert_eq!(target(&target_object(&input), &input, Some(tools)).unwrap(), wanted);
    // A change that says no name leaves the one that it has.
    let mut nameless = input.clone();
    nameless.remove("name");
    assert_eq!(target(&target_object(&input), &nameless, None).unwrap(), plain_target());
}

fn refused_at<T: std::fmt::Debug>(translated: Result<T, ControlError>, path: &str) {
    match translated {
        Err(ControlError::Validation { fields, .. }) => {
            assert_eq!(fields.iter().map(|field| &*field.path).collect::<Vec<_>>(), [path]);
        }
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn claims_are_compared_in_three_ways_and_no_other() {
    let mut good = 0;
    for value_type in ["STRING", "STRING_ARRAY"] {
        for operator in ["EQUALS", "CONTAINS", "CONTAINS_ANY"] {
            for value in [json!({"matchValueString": "x"}), json!({"matchValueStringList": ["x"]})] {
                let mut jwt = custom_claim(value_type, operator, &value);
                jwt["discoveryUrl"] = json!(DISCOVERY);
                let jwt =
                    json!({"authorizerType": "CUSTOM_JWT", "authorizerConfiguration": {"customJWTAuthorizer": jwt}});
                let translated = served(&asked(&jwt));
                let fits = matches!(
                    (value_type, operator, value.get("matchValueStringList").is_some()),
                    ("STRING", "EQUALS", false)
                        | ("STRING_ARRAY", "CONTAINS", false)
                        | ("STRING_ARRAY", "CONTAINS_ANY", true)
                );
                match fits {
                    true => good += usize::from(translated.is_ok()),
                    false => refused_at(translated, JWT),
                }
            }
        }
    }
    assert_eq!(good, 3);
}

#[test]
fn what_is_no_url_is_named() {
    let jwt = json!({"authorizerType": "CUSTOM_JWT", "authorizerConfiguration": {"customJWTAuthorizer": {
        "discoveryUrl": "ftp://issuer.example/.well-known/openid-configuration"}}});
    refused_at(served(&asked(&jwt)), &format!("{JWT}.discoveryUrl"));
    for endpoint in ["https://", "https://[x]/mcp", "ftp://target.example/mcp"] {
        let input = asked_target(&json!({"targetConfiguration": {"mcp": {"mcpServer": {"endpoint": endpoint}}}}));
        refused_at(target(&target_object(&input), &input, None), &format!("{SERVER}.endpoint"));
    }
    let lambda = json!({"name": "cart", "targetConfiguration": {"mcp": {"lambda": {}}}});
    let input = lambda.as_object().unwrap().clone();
    refused_at(target(&target_object(&input), &input, None), "targetConfiguration");
}

/// The members within `shape` that have no members of their own; items of lists are not counted.
fn leaves(shape: ShapeId, at: &str, above: &mut Vec<ShapeId>, found: &mut BTreeSet<String>) {
    if above.contains(&shape) {
        return;
    }
    above.push(shape);
    match &model().shape(shape).kind {
        Kind::Structure { members, .. } => {
            for (name, member) in members {
                let dot = if at.is_empty() { "" } else { "." };
                leaves(member.shape, &format!("{at}{dot}{name}"), above, found);
            }
        }
        Kind::List { item, .. } => leaves(*item, at, above, found),
        _ => {
            found.insert(at.to_owned());
        }
    }
    above.pop();
}

/// A path as [`leaves`] has it.
fn without_items(path: &str) -> String {
    path.replace("[0]", "")
}

/// The members of `operation` that are refused where they are given.
fn refused_members(operation: OperationName) -> BTreeSet<String> {
    let is_target = matches!(operation, OperationName::CreateGatewayTarget | OperationName::UpdateGatewayTarget);
    let sampler = Sampler::new(model())
        .with("AuthorizerType", "NONE")
        .with("TargetConfiguration", json!({"mcp": {"mcpServer": {"endpoint": URL}}}))
        .with("McpTargetConfiguration", json!({"mcpServer": {"endpoint": URL}}))
        .with("S3Configuration", json!({"uri": "s3://bucket/key"}));
    let mut out = BTreeSet::new();
    for mut alone in sampler.alone(model().operation(operation).unwrap()) {
        if alone.input.get("authorizerConfiguration").is_some() {
            alone.input["authorizerType"] = json!("CUSTOM_JWT");
        }
        if let Some(s3) = alone.input.pointer_mut("/targetConfiguration/mcp/mcpServer/mcpToolSchema/s3") {
            s3["uri"] = json!("s3://bucket/key");
        }
        let members = alone.input.as_object().unwrap();
        let wrong = if is_target { refuse::target(members, true) } else { refuse::gateway(members) };
        if !wrong.is_empty() {
            out.insert(without_items(&alone.path));
        }
    }
    out
}

#[test]
fn no_member_of_the_model_is_forgotten() {
    let jwt = jwt_rows();
    let known = gateway_rows().into_iter().flat_map(|(paths, ..)| paths).map(|path| (*path).to_owned());
    let known = known.chain(jwt.iter().flat_map(|(paths, ..)| paths.iter()).map(|path| format!("{JWT}.{path}")));
    let known = known.chain(target_rows().into_iter().flat_map(|(paths, ..)| paths).map(|path| (*path).to_owned()));
    let known: BTreeSet<String> = known.chain(ELSEWHERE.map(str::to_owned)).collect();
    let mut honoured = BTreeSet::new();
    for operation in [
        OperationName::CreateGateway,
        OperationName::UpdateGateway,
        OperationName::CreateGatewayTarget,
        OperationName::UpdateGatewayTarget,
    ] {
        let refused = refused_members(operation);
        let mut all = BTreeSet::new();
        leaves(model().operation(operation).unwrap().input, "", &mut Vec::new(), &mut all);
        let is_refused = |leaf: &str| {
            refused.iter().any(|path| {
                leaf.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        honoured.extend(all.into_iter().filter(|leaf| !is_refused(leaf)));
    }
    assert_eq!(honoured, known, "a row for each, and no other rows");
}
