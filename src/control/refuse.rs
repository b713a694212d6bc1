//! What the service model allows and this gateway cannot honour: it is refused, never ignored.

use serde_json::Value;
use sessiongate_protocol::Revision;
use sessiongate_targets::aws::LambdaArn;
use sessiongate_targets::aws::ObjectUri;

use super::error::FieldError;
use super::objects::Members;
use crate::auth::jwt::Deciding;
use crate::config::Endpoint;
use crate::config::passing::{refused_header, refused_parameter};

/// Members of a gateway that nothing here can carry out.
const GATEWAY: [(&str, &str); 4] = [
    ("kmsKeyArn", "is not offered: the gateway's own storage holds the data"),
    ("customTransformConfiguration", "is not offered"),
    ("policyEngineConfiguration", "is not offered yet"),
    ("wafConfiguration", "is not offered: put a firewall before the gateway"),
];

/// Members of a target that nothing here can carry out.
const TARGET: [(&str, &str); 2] = [
    ("privateEndpoint", "is not offered: the gateway reaches what its own network reaches"),
    ("certificateConfigurations", "is not offered yet: trust the authority with SSL_CERT_FILE"),
];

/// The same for a JWT authorizer.
const JWT: [(&str, &str); 4] = [
    ("privateEndpoint", "is not offered: use `endpoints` of the gateway's configuration"),
    ("privateEndpointOverrides", "is not offered: use `endpoints` of the gateway's configuration"),
    ("certificateConfigurations", "is not offered yet: trust the authority with SSL_CERT_FILE"),
    ("allowedWorkloadConfiguration", "is not offered"),
];

/// Kinds of targets that are known and not offered yet.
const ARMS: [(&str, &str); 9] = [
    ("mcp", "openApiSchema"),
    ("mcp", "smithyModel"),
    ("mcp", "lambda"),
    ("mcp", "apiGateway"),
    ("mcp", "connector"),
    ("http", "agentcoreRuntime"),
    ("http", "passthrough"),
    ("http", "connector"),
    ("inference", "provider"),
];

const SERVER: &str = "targetConfiguration.mcp.mcpServer";
/// `resourcePriority` where it is not given: the last.
const LAST: u64 = 1000;

/// What of a gateway's members cannot be honoured.
pub fn gateway(input: &Members) -> Vec<FieldError> {
    let mut wrong = present(input, "", &GATEWAY);
    let kind = input.get("authorizerType").and_then(Value::as_str).unwrap_or_default();
    let jwt = input.get("authorizerConfiguration").and_then(|one| one.get("customJWTAuthorizer"));
    match (kind, jwt.and_then(Value::as_object)) {
        ("CUSTOM_JWT" | "AUTHENTICATE_ONLY", None) => {
            let message = format!("with `customJWTAuthorizer` is required where `authorizerType` is {kind}");
            wrong.push(FieldError::new("authorizerConfiguration", message));
        }
        ("CUSTOM_JWT" | "AUTHENTICATE_ONLY", Some(jwt)) => {
            wrong.extend(present(jwt, "authorizerConfiguration.customJWTAuthorizer.", &JWT));
            let empty = |rule: &Value| {
                rule.as_array().is_some_and(Vec::is_empty) || rule.as_object().is_some_and(serde_json::Map::is_empty)
            };
            let deciding = Deciding::ALL
                .map(Deciding::member)
                .into_iter()
                .filter(|member| jwt.get(*member).is_some_and(|rule| !empty(rule)));
            for member in deciding.filter(|_| kind == "AUTHENTICATE_ONLY") {
                let path = format!("authorizerConfiguration.customJWTAuthorizer.{member}");
                let why = "decides who may call, and AUTHENTICATE_ONLY decides nothing but `allowedAudience`: leave it out, or \
                           take CUSTOM_JWT";
                wrong.push(FieldError::new(path, why));
            }
        }
        (_, Some(_)) => {
            let message = format!("is for CUSTOM_JWT and AUTHENTICATE_ONLY, and `authorizerType` is {kind}");
            wrong.push(FieldError::new("authorizerConfiguration", message));
        }
        _ => {}
    }
    let versions = input.get("protocolConfiguration").and_then(|one| one["mcp"]["supportedVersions"].as_array());
    for (at, version) in versions.into_iter().flatten().enumerate() {
        if version.as_str().and_then(Revision::parse).is_none() {
            let path = format!("protocolConfiguration.mcp.supportedVersions[{at}]");
            let known: Vec<&str> = Revision::ALL.into_iter().map(Revision::as_str).collect();
            wrong.push(FieldError::new(path, format!("is not one of {}", known.join(", "))));
        }
    }
    interceptors(input, &mut wrong);
    wrong
}

fn interceptors(input: &Members, wrong: &mut Vec<FieldError>) {
    let mut taken: Vec<&str> = Vec::new();
    for (at, interceptor) in configured_interceptors(input).iter().enumerate() {
        let path = format!("interceptorConfigurations[{at}]");
        // The model allows clouds that there are not.
        if let Some(Err(error)) = function(interceptor).map(str::parse::<LambdaArn>) {
            wrong.push(FieldError::new(format!("{path}.interceptor.lambda.arn"), error.to_string()));
        }
        let points = interceptor["interceptionPoints"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut own: Vec<&str> = Vec::new();
        for point in points {
            let message = match (own.contains(&point), taken.contains(&point)) {
                (true, _) => format!("has {point} twice: once is enough"),
                (false, true) => format!("has {point}, which another interceptor has: one each at most"),
                (false, false) => {
                    own.push(point);
                    continue;
                }
            };
            wrong.push(FieldError::new(format!("{path}.interceptionPoints"), message));
        }
        taken.extend(own);
    }
}

/// What stands in `interceptorConfigurations`.
pub fn configured_interceptors(input: &Members) -> &[Value] {
    input.get("interceptorConfigurations").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The ARN of an interceptor's function.
pub fn function(interceptor: &Value) -> Option<&str> {
    interceptor["interceptor"]["lambda"]["arn"].as_str()
}

/// What of a target's members cannot be honoured. `sessions`: its gateway keeps sessions.
pub fn target(input: &Members, sessions: bool) -> Vec<FieldError> {
    let mut wrong = present(input, "", &TARGET);
    let configuration = input.get("targetConfiguration").cloned().unwrap_or_default();
    for (family, arm) in ARMS {
        if configuration[family].get(arm).is_some() {
            let path = format!("targetConfiguration.{family}.{arm}");
            wrong.push(FieldError::new(path, "is a kind of target that is not offered yet: `mcp.mcpServer` is"));
        }
    }
    if configuration["inference"].get("connector").is_some() {
        wrong.push(FieldError::new(
            "targetConfiguration.inference.connector",
            "is a kind of target that is not offered yet",
        ));
    }
    for (at, provider) in
        input.get("credentialProviderConfigurations").and_then(Value::as_array).into_iter().flatten().enumerate()
    {
        let kind = provider["credentialProviderType"].as_str().unwrap_or_default();
        let path = format!("credentialProviderConfigurations[{at}].credentialProviderType");
        wrong.push(FieldError::new(path, format!("is {kind}, which is not offered yet: leave the member out")));
    }
    wrong.extend(mcp_server(&configuration["mcp"]["mcpServer"]));
    let metadata = input.get("metadataConfiguration").cloned().unwrap_or_default();
    for list in ["allowedRequestHeaders", "allowedResponseHeaders"] {
        for (at, name) in metadata[list].as_array().into_iter().flatten().filter_map(Value::as_str).enumerate() {
            let path = format!("metadataConfiguration.{list}[{at}]");
            if let Some(why) = refused_header(name, sessions) {
                wrong.push(FieldError::new(path, why));
            }
        }
    }
    let parameters = metadata["allowedQueryParameters"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for (at, name) in parameters.enumerate() {
        if let Some(why) = refused_parameter(name) {
            wrong.push(FieldError::new(format!("metadataConfiguration.allowedQueryParameters[{at}]"), why));
        }
    }
    wrong
}

fn mcp_server(server: &Value) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let mut say = |member: &str, why: String| wrong.push(FieldError::new(format!("{SERVER}.{member}"), why));
    let endpoint = server["endpoint"].as_str().and_then(|endpoint| endpoint.parse::<Endpoint>().ok());
    if endpoint.is_some_and(|endpoint| !endpoint.url().username().is_empty() || endpoint.url().password().is_some()) {
        say("endpoint", "has credentials in it, which a URL must not have".into());
    }
    if let Some(s3) = server["mcpToolSchema"].get("s3") {
        match s3["uri"].as_str().map(str::parse::<ObjectUri>) {
            None => say("mcpToolSchema.s3.uri", "is required".into()),
            Some(Err(error)) => say("mcpToolSchema.s3.uri", error.to_string()),
            Some(Ok(_)) => {}
        }
    }
    if server["listingMode"] == "DYNAMIC" {
        if server.get("mcpToolSchema").is_some() {
            say("listingMode", "is DYNAMIC, and `mcpToolSchema` says what the tools are: choose one".into());
        }
        // Whose a resource is must be known before the target is asked for its own.
        if server["resourcePriority"].as_u64().is_some_and(|priority| priority < LAST) {
            let why = "is for lists that are kept: a resource that a target with `listingMode` DYNAMIC shares with another is \
                       the other's";
            say("resourcePriority", why.into());
        }
    }
    wrong
}

fn present(members: &Members, prefix: &str, refused: &[(&str, &str)]) -> Vec<FieldError> {
    let there = refused.iter().filter(|(name, _)| members.contains_key(*name));
    there.map(|(name, why)| FieldError::new(format!("{prefix}{name}"), *why)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(wrong: &[FieldError]) -> Vec<&str> {
        wrong.iter().map(|field| field.path.as_str()).collect()
    }

    fn members(value: Value) -> Members {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_cannot_be_honoured_is_named() {
        let jwt = json!({"customJWTAuthorizer": {"discoveryUrl": "https://a/.well-known/openid-configuration", "privateEndpoint": {}}});
        let input = json!({"authorizerType": "CUSTOM_JWT", "authorizerConfiguration": jwt, "kmsKeyArn": "x",
            "protocolConfiguration": {"mcp": {"supportedVersions": ["2025-11-25", "1999-01-01"]}}});
        assert_eq!(
            paths(&gateway(&members(input))),
            [
                "kmsKeyArn",
                "authorizerConfiguration.customJWTAuthorizer.privateEndpoint",
                "protocolConfiguration.mcp.supportedVersions[1]"
            ]
        );
        assert_eq!(
            paths(&gateway(&members(json!({"authorizerType": "AUTHENTICATE_ONLY"})))),
            ["authorizerConfiguration"]
        );
        let none = json!({"authorizerType": "NONE", "authorizerConfiguration": {"customJWTAuthorizer": {}}});
        assert_eq!(paths(&gateway(&members(none))), ["authorizerConfiguration"]);
        assert_eq!(gateway(&members(json!({"authorizerType": "AWS_IAM"}))), []);
    }

    #[test]
    fn interceptors_that_cannot_be_are_named() {
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:a";
        let one =
            |arn: &str, points: &[&str]| json!({"interceptor": {"lambda": {"arn": arn}}, "interceptionPoints": points});
        let wrong = |all: Value| gateway(&members(json!({"authorizerType": "NONE", "interceptorConfigurations": all})));
        let said = |all: Value| -> Vec<String> { wrong(all).into_iter().map(|one| one.message).collect() };
        assert_eq!(said(json!([one(arn, &["REQUEST"]), one(arn, &["RESPONSE"])])), [""; 0]);
        assert_eq!(said(json!([one(arn, &["REQUEST", "REQUEST"])])), ["has REQUEST twice: once is enough"]);
        let taken = ["has REQUEST, which another interceptor has: one each at most"];
        assert_eq!(said(json!([one(arn, &["REQUEST"]), one(arn, &["RESPONSE", "REQUEST"])])), taken);
        for foreign in
            ["arn:awsx:lambda:us-east-1:123456789012:function:a", "arn::lambda:us-east-1:123456789012:function:a"]
        {
            let path = ["interceptorConfigurations[0].interceptor.lambda.arn"];
            assert_eq!(paths(&wrong(json!([one(foreign, &["REQUEST"])]))), path, "{foreign}");
        }
    }

    #[test]
    fn kinds_of_targets_that_come_later_are_refused() {
        for (family, arm) in ARMS {
            let input = json!({"targetConfiguration": {family: {arm: {}}}});
            assert_eq!(paths(&target(&members(input), true)), [format!("targetConfiguration.{family}.{arm}")]);
        }
        let server = json!({"targetConfiguration": {"mcp": {"mcpServer": {"endpoint": "https://a/mcp"}}}});
        assert_eq!(target(&members(server), true), []);
    }

    #[test]
    fn what_no_mcp_server_can_be_is_named() {
        let said = |server: Value| {
            paths(&target(&members(json!({"targetConfiguration": {"mcp": {"mcpServer": server}}})), true))
                .into_iter()
                .map(|path| path.strip_prefix("targetConfiguration.mcp.mcpServer.").unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let endpoint = "https://a/mcp";
        for (server, wrong) in [
            (json!({"endpoint": endpoint, "listingMode": "DYNAMIC", "resourcePriority": 1000}), None),
            (json!({"endpoint": endpoint, "resourcePriority": 0}), None),
            (json!({"endpoint": endpoint, "mcpToolSchema": {"s3": {"uri": "s3://bucket/key"}}}), None),
            (json!({"endpoint": "https://user@a/mcp"}), Some("endpoint")),
            (json!({"endpoint": "https://:pw@a/mcp"}), Some("endpoint")),
            (json!({"endpoint": endpoint, "mcpToolSchema": {"s3": {}}}), Some("mcpToolSchema.s3.uri")),
            (
                json!({"endpoint": endpoint, "mcpToolSchema": {"s3": {"uri": "s3://bucket"}}}),
                Some("mcpToolSchema.s3.uri"),
            ),
            (
                json!({"endpoint": endpoint, "listingMode": "DYNAMIC", "mcpToolSchema": {"inlinePayload": "[]"}}),
                Some("listingMode"),
            ),
            (
                json!({"endpoint": endpoint, "listingMode": "DYNAMIC", "resourcePriority": 999}),
                Some("resourcePriority"),
            ),
        ] {
            assert_eq!(said(server.clone()), Vec::from_iter(wrong), "{server}");
        }
    }

    #[test]
    fn blocked_headers_are_named() {
        let lists =
            json!({"allowedRequestHeaders": ["X-Tenant", "Cookie"], "allowedResponseHeaders": ["Mcp-Session-Id"]});
        let input = members(json!({"metadataConfiguration": lists}));
        let [cookie, session] =
            ["metadataConfiguration.allowedRequestHeaders[1]", "metadataConfiguration.allowedResponseHeaders[0]"];
        assert_eq!(paths(&target(&input, true)), [cookie, session]);
        assert_eq!(paths(&target(&input, false)), [cookie]);
    }
}
