//! Gateways of the configuration file as objects of the control plane: they are listed and read like all others, and
//! changed where they are declared.

use serde_json::{Value, json};
use sessiongate_actors::clock;

use super::objects::{GatewayObject, GatewayStatus, Members, TargetObject, TargetStatus};
use super::tables::Tags;
use super::{Control, ControlError};
use crate::config::{
    Authorizer, ClaimOperator, ClaimType, Config, CustomClaim, ExceptionLevel, GatewayConfig, InterceptionPoint,
    InterceptorConfig, JwtAuthorizer, Listing, McpConfig, TargetConfig,
};

/// How the ARN ends that is shown as the role of a gateway of the file: it has none.
pub const DECLARED_ROLE: &str = "role/declared-in-configuration";
/// Characters that tell declared objects from others of the same name.
const DIGITS: usize = 10;

impl Control {
    /// Makes the objects what the configuration declares. An object that cannot be stored is left out with a warning:
    /// it is served all the same.
    pub async fn declare(&self, config: &Config) {
        let writing = self.tables.lock().await;
        let declared: Vec<(GatewayObject, Vec<TargetObject>)> =
            config.gateways.iter().map(|gateway| self.objects_of(gateway)).collect();
        for row in self.tables.gateways(None, usize::MAX) {
            if row.object.declared.is_none() {
                continue;
            }
            let id = &row.object.id;
            let next = declared.iter().find(|(gateway, _)| gateway.id == *id);
            for target in self.tables.targets(id, None, usize::MAX) {
                let stays = next.is_some_and(|(_, targets)| targets.iter().any(|next| next.id == target.object.id));
                if !stays {
                    said(id, self.tables.remove_target(&writing, &target.object).await);
                }
            }
            if next.is_none() {
                said(id, self.tables.withdraw_gateway(&writing, &row.object).await);
            }
        }
        for (gateway, targets) in declared {
            let id = gateway.id.clone();
            let arn = self.account.gateway_arn(&id);
            let stored = match self.tables.gateway(&id) {
                None => self.tables.create_gateway(&writing, gateway, &arn, Tags::new()).await.map(drop),
                Some(known) if known.object.input == gateway.input => Ok(()),
                Some(known) => {
                    let next = GatewayObject { created_at: known.object.created_at, ..gateway };
                    self.tables.update_gateway(&writing, known.version, next).await.map(drop)
                }
            };
            if !said(&id, stored) {
                continue;
            }
            for target in targets {
                let stored = match self.tables.target(&id, &target.id) {
                    None => self.tables.create_target(&writing, target).await.map(drop),
                    Some(known) if known.object.input == target.input => Ok(()),
                    Some(known) => {
                        let next = TargetObject { created_at: known.object.created_at, ..target };
                        self.tables.update_target(&writing, &known, next, Vec::new()).await.map(drop)
                    }
                };
                said(&id, stored);
            }
        }
    }

    fn objects_of(&self, config: &GatewayConfig) -> (GatewayObject, Vec<TargetObject>) {
        let now = clock::now();
        let id = declared_id(&config.name);
        let input = gateway_members(config, &self.account.id);
        let targets = config.targets.iter().map(|target| {
            let own = digits(&format!("{}/{}", config.name, target.name)).to_ascii_uppercase();
            let declared = Some(config.name.clone());
            let asked = TargetObject::new(id.clone(), own, target_members(target), now);
            TargetObject { declared, untried: false, status: TargetStatus::Ready, ..asked }
        });
        let targets = targets.collect();
        let gateway = GatewayObject {
            id,
            declared: Some(config.endpoint_path().into_owned()),
            input,
            active: None,
            status: GatewayStatus::Ready,
            status_reasons: Vec::new(),
            created_at: now,
            updated_at: now,
            creation: None,
        };
        (gateway, targets)
    }
}

/// `gatewayId` of the declared gateway of this name: the same one whenever it is declared.
pub(crate) fn declared_id(name: &str) -> String {
    format!("{}-{}", shown_name(name).to_ascii_lowercase(), digits(name).to_ascii_lowercase())
}

/// A name of the file in the form that names and ids have: there are no two hyphens in a row in those.
pub(super) fn shown_name(name: &str) -> String {
    let words: Vec<&str> = name.split('-').filter(|word| !word.is_empty()).collect();
    words.join("-")
}

/// Refuses to change what the file declares.
///
/// # Errors
/// [`ControlError::Conflict`].
pub(super) fn not_declared(declared: Option<&String>, what: &str) -> Result<(), ControlError> {
    match declared {
        None => Ok(()),
        Some(_) => Err(ControlError::Conflict {
            message: format!("{what} is declared in the gateway's configuration file: change it there"),
        }),
    }
}

fn said(gateway: &str, outcome: Result<(), ControlError>) -> bool {
    if let Err(error) = &outcome {
        tracing::warn!(gateway, %error, detail = error.log_detail(), "a gateway of the configuration is not shown by the control plane");
    }
    outcome.is_ok()
}

fn digits(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let letters = b"abcdefghijklmnopqrstuvwxyz0123456789";
    digest.as_ref().iter().take(DIGITS).map(|byte| char::from(letters[usize::from(*byte) % letters.len()])).collect()
}

fn gateway_members(config: &GatewayConfig, account: &str) -> Members {
    let mut mcp = json!({"streamingConfiguration": {"enableResponseStreaming": config.streaming}});
    if let Some(sessions) = config.sessions.settings() {
        mcp["sessionConfiguration"] = json!({"sessionTimeoutInSeconds": sessions.timeout.as_secs()});
    }
    if let Some(instructions) = &config.instructions {
        mcp["instructions"] = json!(instructions);
    }
    if !config.supported_versions.is_empty() {
        mcp["supportedVersions"] = json!(config.supported_versions);
    }
    if !config.pagination {
        mcp["disableMcpListToolsPagination"] = json!(true);
    }
    if config.search {
        mcp["searchType"] = json!("SEMANTIC");
    }
    let (kind, jwt) = match &config.authorizer {
        Authorizer::None => ("NONE", None),
        Authorizer::Iam => ("AWS_IAM", None),
        Authorizer::Jwt(jwt) => ("CUSTOM_JWT", Some(jwt)),
        Authorizer::AuthenticateOnly(jwt) => ("AUTHENTICATE_ONLY", Some(jwt)),
    };
    let mut members = Members::new();
    members.insert("name".into(), json!(config.name));
    members.insert("roleArn".into(), json!(format!("arn:aws:iam::{account}:{DECLARED_ROLE}")));
    members.insert("protocolType".into(), json!("MCP"));
    members.insert("protocolConfiguration".into(), json!({"mcp": mcp}));
    members.insert("authorizerType".into(), json!(kind));
    if let Some(jwt) = jwt {
        members.insert("authorizerConfiguration".into(), json!({"customJWTAuthorizer": jwt_members(jwt)}));
    }
    let interceptors: Vec<Value> = config.interceptors.iter().filter_map(interceptor_members).collect();
    if !interceptors.is_empty() {
        members.insert("interceptorConfigurations".into(), interceptors.into());
    }
    if config.exception_level == ExceptionLevel::Debug {
        members.insert("exceptionLevel".into(), json!("DEBUG"));
    }
    if let Some((default, alternates)) = config.hosts.split_first() {
        let mut domains = json!({"default": default});
        if !alternates.is_empty() {
            domains["alternateDomains"] = json!(alternates);
        }
        members.insert("domainOverride".into(), domains);
    }
    members
}

/// A function; the service has no hooks.
fn interceptor_members(config: &InterceptorConfig) -> Option<Value> {
    let arn = config.lambda.as_ref()?;
    let points: Vec<&str> = config
        .points
        .iter()
        .map(|point| match point {
            InterceptionPoint::Request => "REQUEST",
            InterceptionPoint::Response => "RESPONSE",
        })
        .collect();
    let mut input = json!({"passRequestHeaders": config.pass_request_headers});
    if config.exclude_response_body {
        input["payloadFilter"] = json!({"exclude": [{"field": "RESPONSE_BODY"}]});
    }
    Some(json!({"interceptor": {"lambda": {"arn": arn}}, "interceptionPoints": points, "inputConfiguration": input}))
}

fn jwt_members(jwt: &JwtAuthorizer) -> Value {
    let mut members = json!({"discoveryUrl": jwt.discovery_url.to_string()});
    for (name, list) in [
        ("allowedAudience", &jwt.allowed_audience),
        ("allowedClients", &jwt.allowed_clients),
        ("allowedScopes", &jwt.allowed_scopes),
    ] {
        if !list.is_empty() {
            members[name] = json!(list);
        }
    }
    if !jwt.advertised_scopes.is_empty() {
        members["advertisedScopeMapping"] = json!(jwt.advertised_scopes);
    }
    if !jwt.custom_claims.is_empty() {
        members["customClaims"] = jwt.custom_claims.iter().map(claim_members).collect();
    }
    members
}

fn claim_members(claim: &CustomClaim) -> Value {
    let value = match (claim.operator, claim.values.first()) {
        (ClaimOperator::ContainsAny, _) | (_, None) => json!({"matchValueStringList": claim.values}),
        (_, Some(first)) => json!({"matchValueString": first}),
    };
    json!({
        "inboundTokenClaimName": claim.name,
        "inboundTokenClaimValueType": match claim.value_type {
            ClaimType::String => "STRING",
            ClaimType::StringArray => "STRING_ARRAY",
        },
        "authorizingClaimMatchValue": {
            "claimMatchOperator": match claim.operator {
                ClaimOperator::Equals => "EQUALS",
                ClaimOperator::Contains => "CONTAINS",
                ClaimOperator::ContainsAny => "CONTAINS_ANY",
            },
            "claimMatchValue": value,
        },
    })
}

fn target_members(config: &TargetConfig) -> Members {
    let endpoint = match &config.mcp {
        McpConfig::Http(http) => http.url.to_string(),
        // The service has no such targets. Arguments may hold secrets.
        McpConfig::Stdio(stdio) => format!("stdio:{}", stdio.command),
    };
    let mut server = json!({"endpoint": endpoint, "resourcePriority": config.resource_priority});
    if config.listing == Some(Listing::Dynamic) {
        server["listingMode"] = json!("DYNAMIC");
    }
    if let Some(tools) = &config.tools {
        server["mcpToolSchema"] = json!({"inlinePayload": json!(tools).to_string()});
    }
    let mut members = Members::new();
    members.insert("name".into(), json!(config.name));
    members.insert("targetConfiguration".into(), json!({"mcp": {"mcpServer": server}}));
    if !config.pass.is_empty() {
        let mut metadata = json!({});
        for (name, list) in [
            ("allowedRequestHeaders", &config.pass.request_headers),
            ("allowedQueryParameters", &config.pass.query_parameters),
            ("allowedResponseHeaders", &config.pass.response_headers),
        ] {
            if !list.is_empty() {
                metadata[name] = json!(list);
            }
        }
        members.insert("metadataConfiguration".into(), metadata);
    }
    members
}
