//! What the service model allows and this gateway cannot honour: it is refused, never ignored.

use serde_json::Value;
use sessiongate_protocol::Revision;

use super::error::FieldError;
use super::objects::Members;
use crate::config::passing::refused_header;

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
    let mut points: Vec<&str> = Vec::new();
    for (at, interceptor) in
        input.get("interceptorConfigurations").and_then(Value::as_array).into_iter().flatten().enumerate()
    {
        for point in interceptor["interceptionPoints"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if points.contains(&point) {
                let path = format!("interceptorConfigurations[{at}].interceptionPoints");
                wrong.push(FieldError::new(
                    path,
                    format!("has {point}, which another interceptor has: one each at most"),
                ));
            }
            points.push(point);
        }
    }
    wrong
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
    let server = &configuration["mcp"]["mcpServer"];
    if server["mcpToolSchema"].get("s3").is_some_and(|s3| s3["uri"].as_str().is_none()) {
        wrong.push(FieldError::new("targetConfiguration.mcp.mcpServer.mcpToolSchema.s3.uri", "is required"));
    }
    if server.get("mcpToolSchema").is_some() && server["listingMode"] == "DYNAMIC" {
        let path = "targetConfiguration.mcp.mcpServer.listingMode";
        wrong.push(FieldError::new(path, "is DYNAMIC, and `mcpToolSchema` says what the tools are: choose one"));
    }
    let metadata = input.get("metadataConfiguration").cloned().unwrap_or_default();
    for list in ["allowedRequestHeaders", "allowedResponseHeaders"] {
        for (at, name) in metadata[list].as_array().into_iter().flatten().filter_map(Value::as_str).enumerate() {
            let path = format!("metadataConfiguration.{list}[{at}]");
            if let Some(why) = refused_header(name, sessions) {
                wrong.push(FieldError::new(path, why));
            }
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
    fn kinds_of_targets_that_come_later_are_refused() {
        for (family, arm) in ARMS {
            let input = json!({"targetConfiguration": {family: {arm: {}}}});
            assert_eq!(paths(&target(&members(input), true)), [format!("targetConfiguration.{family}.{arm}")]);
        }
        let server = json!({"targetConfiguration": {"mcp": {"mcpServer": {"endpoint": "https://a/mcp"}}}});
        assert_eq!(target(&members(server), true), []);
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
