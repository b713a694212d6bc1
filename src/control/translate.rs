//! From the members of the control plane to the configuration that the data plane is built from.

use std::time::Duration;

use serde_json::Value;

use super::ControlError;
use super::objects::{GatewayObject, Members, TargetObject, text};
use crate::auth::jwt::RulesError;
use crate::config::{
    Authorizer, ClaimOperator, ClaimType, CustomClaim, DeclaredTools, Endpoint, ExceptionLevel, GatewayConfig,
    HttpTarget, InterceptionPoint, InterceptorConfig, JwtAuthorizer, Listing, McpConfig, Pass, SessionSettings,
    Sessions, Synchronisation, TargetConfig, Transport,
};

#[cfg(test)]
mod tests;

/// Sessions that are asked for without saying how long they last.
const SESSION_TIMEOUT: u64 = 3600;

/// The gateway as it is to be served, without targets.
///
/// # Errors
/// [`ControlError::Validation`] for a member that passed the model and is still not usable.
pub fn gateway(object: &GatewayObject, input: &Members) -> Result<GatewayConfig, ControlError> {
    let mut config = GatewayConfig::new(&object.id);
    let mcp = input.get("protocolConfiguration").map(|one| &one["mcp"]).unwrap_or(&Value::Null);
    config.instructions = mcp["instructions"].as_str().map(str::to_owned);
    config.supported_versions = strings(&mcp["supportedVersions"]);
    config.pagination = mcp["disableMcpListToolsPagination"] != true;
    config.search = mcp["searchType"] == "SEMANTIC";
    config.streaming = mcp["streamingConfiguration"]["enableResponseStreaming"] == true;
    config.sessions = match mcp.get("sessionConfiguration") {
        None => Sessions::Off,
        Some(sessions) => {
            let timeout = sessions["sessionTimeoutInSeconds"].as_u64().unwrap_or(SESSION_TIMEOUT);
            let timeout = Duration::from_secs(timeout);
            // The timeout is absolute; a session that is not used lives as long.
            Sessions::On(SessionSettings { timeout, idle_timeout: timeout, ..SessionSettings::default() })
        }
    };
    config.exception_level = match text(input, "exceptionLevel") {
        "DEBUG" => ExceptionLevel::Debug,
        _ => ExceptionLevel::General,
    };
    config.authorizer = match text(input, "authorizerType") {
        "AWS_IAM" => Authorizer::Iam,
        "CUSTOM_JWT" => Authorizer::Jwt(jwt(input, false)?),
        "AUTHENTICATE_ONLY" => Authorizer::AuthenticateOnly(jwt(input, true)?),
        _ => Authorizer::None,
    };
    // Whoever created it said so.
    config.allow_anonymous = config.authorizer == Authorizer::None;
    if let Some(domains) = input.get("domainOverride") {
        config.hosts.extend(domains["default"].as_str().map(str::to_ascii_lowercase));
        config.hosts.extend(strings(&domains["alternateDomains"]).iter().map(|host| host.to_ascii_lowercase()));
    }
    config.role = Some(text(input, "roleArn").to_owned());
    config.interceptors = input
        .get("interceptorConfigurations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(interceptor)
        .collect();
    Ok(config)
}

fn interceptor(one: &Value) -> InterceptorConfig {
    let points = one["interceptionPoints"].as_array().into_iter().flatten().filter_map(|point| match point.as_str() {
        Some("REQUEST") => Some(InterceptionPoint::Request),
        Some("RESPONSE") => Some(InterceptionPoint::Response),
        _ => None,
    });
    let arn = one["interceptor"]["lambda"]["arn"].as_str().unwrap_or_default();
    let input = &one["inputConfiguration"];
    let excluded = input["payloadFilter"]["exclude"].as_array().into_iter().flatten();
    InterceptorConfig {
        pass_request_headers: input["passRequestHeaders"] == true,
        exclude_response_body: excluded.into_iter().any(|one| one["field"] == "RESPONSE_BODY"),
        ..InterceptorConfig::lambda(arn, points.collect())
    }
}

/// A target as it is to be served. `tools`: those of its static schema.
///
/// # Errors
/// [`ControlError::Validation`] for a member that passed the model and is still not usable.
pub fn target(
    object: &TargetObject,
    input: &Members,
    tools: Option<DeclaredTools>,
) -> Result<TargetConfig, ControlError> {
    let server = input
        .get("targetConfiguration")
        .and_then(|one| one["mcp"]["mcpServer"].as_object())
        .ok_or_else(|| ControlError::field("targetConfiguration", "has no `mcp.mcpServer`"))?;
    let url = text(server, "endpoint")
        .parse::<Endpoint>()
        .map_err(|error| ControlError::field("targetConfiguration.mcp.mcpServer.endpoint", format!("is {error}")))?;
    let mut config = TargetConfig::new(
        object_name(object, input),
        McpConfig::Http(HttpTarget { transport: Transport::StreamableHttp, ..HttpTarget::new(url) }),
    );
    config.synchronisation = Synchronisation::Manual;
    config.required = false;
    config.tools = tools;
    config.listing = Some(match text(server, "listingMode") {
        "DYNAMIC" => Listing::Dynamic,
        _ => Listing::Default,
    });
    if let Some(priority) = server.get("resourcePriority").and_then(Value::as_u64) {
        config.resource_priority = u16::try_from(priority).unwrap_or(u16::MAX);
    }
    if let Some(metadata) = input.get("metadataConfiguration") {
        config.pass = Pass {
            request_headers: strings(&metadata["allowedRequestHeaders"]),
            query_parameters: strings(&metadata["allowedQueryParameters"]),
            response_headers: strings(&metadata["allowedResponseHeaders"]),
        };
    }
    Ok(config)
}

fn object_name<'a>(object: &'a TargetObject, input: &'a Members) -> &'a str {
    match text(input, "name") {
        "" => object.name(),
        name => name,
    }
}

fn jwt(input: &Members, authenticate_only: bool) -> Result<JwtAuthorizer, ControlError> {
    const PATH: &str = "authorizerConfiguration.customJWTAuthorizer.discoveryUrl";
    let wrong =
        |error: RulesError| ControlError::field("authorizerConfiguration.customJWTAuthorizer", error.to_string());
    let jwt = &input.get("authorizerConfiguration").unwrap_or(&Value::Null)["customJWTAuthorizer"];
    let discovery_url = jwt["discoveryUrl"]
        .as_str()
        .unwrap_or_default()
        .parse::<Endpoint>()
        .map_err(|error| ControlError::field(PATH, format!("is {error}")))?;
    let scopes = jwt["advertisedScopeMapping"].as_object().into_iter().flatten();
    let config = JwtAuthorizer {
        discovery_url,
        issuer: None,
        allowed_audience: strings(&jwt["allowedAudience"]),
        allowed_clients: strings(&jwt["allowedClients"]),
        allowed_scopes: strings(&jwt["allowedScopes"]),
        advertised_scopes: scopes.filter_map(|(from, to)| Some((from.clone(), to.as_str()?.to_owned()))).collect(),
        custom_claims: jwt["customClaims"]
            .as_array()
            .into_iter()
            .flatten()
            .map(claim)
            .collect::<Result<_, _>>()
            .map_err(wrong)?,
        strict_audience: false,
    };
    match crate::gateway::jwt_rules(&config, authenticate_only).validate() {
        Ok(()) => Ok(config),
        Err(error) => Err(wrong(error)),
    }
}

fn claim(claim: &Value) -> Result<CustomClaim, RulesError> {
    let rule = &claim["authorizingClaimMatchValue"];
    let value = &rule["claimMatchValue"];
    let config = CustomClaim {
        name: claim["inboundTokenClaimName"].as_str().unwrap_or_default().to_owned(),
        value_type: match claim["inboundTokenClaimValueType"].as_str() {
            Some("STRING_ARRAY") => ClaimType::StringArray,
            _ => ClaimType::String,
        },
        operator: match rule["claimMatchOperator"].as_str() {
            Some("CONTAINS") => ClaimOperator::Contains,
            Some("CONTAINS_ANY") => ClaimOperator::ContainsAny,
            _ => ClaimOperator::Equals,
        },
        values: match value["matchValueString"].as_str() {
            Some(one) => vec![one.to_owned()],
            None => strings(&value["matchValueStringList"]),
        },
    };
    // A list of one is one value in the configuration, and a list here.
    let is_list = value.get("matchValueStringList").is_some();
    match is_list == (config.operator == ClaimOperator::ContainsAny) {
        true => Ok(config),
        false => Err(RulesError::Operator { name: config.name }),
    }
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
