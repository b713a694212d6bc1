//! Objects for eyes.

use serde_json::Value;

use crate::control::DECLARED_ROLE;
use crate::control_client::Standing;

/// What the service has no members for.
const DECLARED: &str = "in the gateway's configuration file, which also has what is not shown here: hooks, time limits";

/// A line of `gateway list`: NAME, ID, STATUS, AUTHORIZER, UPDATED, DESCRIPTION.
pub fn gateway_row(gateway: &Value) -> Vec<String> {
    ["name", "gatewayId", "status", "authorizerType", "updatedAt", "description"]
        .map(|name| text(&gateway[name]))
        .into()
}

/// A line of `target list`: NAME, ID, STATUS, TYPE, LISTING, PRIORITY, SYNCHRONIZED, DESCRIPTION.
pub fn target_row(target: &Value) -> Vec<String> {
    let members = ["name", "targetId", "status", "targetType", "listingMode", "resourcePriority", "lastSynchronizedAt"];
    members.iter().chain(&["description"]).map(|name| text(&target[*name])).collect()
}

/// A gateway, member by member.
pub fn gateway_details(gateway: &Value) -> Vec<(&'static str, String)> {
    let mcp = &gateway["protocolConfiguration"]["mcp"];
    let session = &mcp["sessionConfiguration"];
    let sessions = match session["sessionTimeoutInSeconds"].as_u64() {
        Some(seconds) => humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string(),
        None if session.is_object() => "on".to_owned(),
        None => "off".to_owned(),
    };
    let streaming = if mcp["streamingConfiguration"]["enableResponseStreaming"] == true { "on" } else { "off" };
    let jwt = &gateway["authorizerConfiguration"]["customJWTAuthorizer"];
    let tags = gateway["tags"].as_object().into_iter().flatten();
    let tags: Vec<String> = tags.map(|(key, value)| format!("{key}={}", text(value))).collect();
    let interceptors = gateway["interceptorConfigurations"].as_array().into_iter().flatten();
    let interceptors: Vec<String> = interceptors.map(interceptor).collect();
    let declared = gateway["roleArn"].as_str().is_some_and(|role| role.ends_with(DECLARED_ROLE));
    let pagination = if mcp["disableMcpListToolsPagination"] == true { "off" } else { "" };
    present(vec![
        ("name", text(&gateway["name"])),
        ("id", text(&gateway["gatewayId"])),
        ("arn", text(&gateway["gatewayArn"])),
        ("url", text(&gateway["gatewayUrl"])),
        ("status", standing(gateway)),
        ("description", text(&gateway["description"])),
        ("authorizer", text(&gateway["authorizerType"])),
        ("  discovery url", text(&jwt["discoveryUrl"])),
        ("  audience", text(&jwt["allowedAudience"])),
        ("  clients", text(&jwt["allowedClients"])),
        ("  scopes", text(&jwt["allowedScopes"])),
        ("sessions", sessions),
        ("streaming", streaming.to_owned()),
        ("versions", text(&mcp["supportedVersions"])),
        ("pagination", pagination.to_owned()),
        ("search", text(&mcp["searchType"])),
        ("instructions", text(&mcp["instructions"])),
        ("errors", text(&gateway["exceptionLevel"])),
        ("interceptors", interceptors.join("\n")),
        ("declared", if declared { DECLARED.to_owned() } else { String::new() }),
        ("domain", text(&gateway["domainOverride"]["default"])),
        ("role", text(&gateway["roleArn"])),
        ("tags", tags.join(", ")),
        ("created", text(&gateway["createdAt"])),
        ("updated", text(&gateway["updatedAt"])),
    ])
}

/// What it is, and what it sees.
fn interceptor(configured: &Value) -> String {
    let input = &configured["inputConfiguration"];
    let mut line =
        format!("{} at {}", text(&configured["interceptor"]["lambda"]["arn"]), text(&configured["interceptionPoints"]));
    if input["passRequestHeaders"] == true {
        line.push_str(", with request headers");
    }
    if input["payloadFilter"]["exclude"].as_array().is_some_and(|all| !all.is_empty()) {
        line.push_str(", without response bodies");
    }
    line
}

/// A target, member by member.
pub fn target_details(target: &Value) -> Vec<(&'static str, String)> {
    let server = &target["targetConfiguration"]["mcp"]["mcpServer"];
    let schema = &server["mcpToolSchema"];
    let tools = match (schema["inlinePayload"].as_str(), schema["s3"]["uri"].as_str()) {
        (Some(payload), _) => format!("a static schema of {}", indicatif::HumanBytes(payload.len() as u64)),
        (_, Some(uri)) => format!("a static schema at {uri}"),
        (None, None) => String::new(),
    };
    let passes = &target["metadataConfiguration"];
    present(vec![
        ("name", text(&target["name"])),
        ("id", text(&target["targetId"])),
        ("gateway", text(&target["gatewayArn"])),
        ("status", standing(target)),
        ("description", text(&target["description"])),
        ("url", text(&server["endpoint"])),
        ("kind", if server.is_object() { String::new() } else { kind(&target["targetConfiguration"]) }),
        ("tools", tools),
        ("listing", text(&server["listingMode"])),
        ("priority", text(&server["resourcePriority"])),
        ("credentials", text(&target["credentialProviderConfigurations"][0]["credentialProviderType"])),
        ("passes in", text(&passes["allowedRequestHeaders"])),
        ("passes in query", text(&passes["allowedQueryParameters"])),
        ("passes out", text(&passes["allowedResponseHeaders"])),
        ("synchronized", text(&target["lastSynchronizedAt"])),
        ("created", text(&target["createdAt"])),
        ("updated", text(&target["updatedAt"])),
    ])
}

fn present(mut lines: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    lines.retain(|(_, value)| !value.is_empty());
    lines
}

fn standing(object: &Value) -> String {
    let standing = Standing::of(object);
    let mut text = standing.status;
    for reason in standing.reasons.iter().chain(&standing.authorization_url) {
        text.push('\n');
        text.push_str(reason);
    }
    text
}

/// The way to the innermost arm of a union: `mcp.lambda`.
fn kind(configuration: &Value) -> String {
    let first = |value: &Value| value.as_object().and_then(|members| members.keys().next().cloned());
    let Some(family) = first(configuration) else { return String::new() };
    match first(&configuration[&family]) {
        Some(arm) => format!("{family}.{arm}"),
        None => family,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_there_has_no_line() {
        let lines = gateway_details(&json!({"name": "shop", "status": "FAILED", "statusReasons": ["a", "b"],
            "protocolConfiguration": {"mcp": {"sessionConfiguration": {"sessionTimeoutInSeconds": 5400}}}}));
        let expected = [("name", "shop"), ("status", "FAILED\na\nb"), ("sessions", "1h 30m"), ("streaming", "off")];
        assert_eq!(lines, expected.map(|(name, value)| (name, value.to_owned())));
        let lines = target_details(&json!({"targetConfiguration": {"mcp": {"lambda": {"lambdaArn": "x"}}}}));
        assert_eq!(lines, [("kind", "mcp.lambda".to_owned())]);
    }

    fn line(gateway: &Value, name: &str) -> Option<String> {
        gateway_details(gateway).into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    #[test]
    fn interceptors_are_shown_as_what_they_see() {
        let one = |more: Value| {
            let mut one =
                json!({"interceptor": {"lambda": {"arn": "arn:a"}}, "interceptionPoints": ["REQUEST", "RESPONSE"]});
            one["inputConfiguration"] = more;
            one
        };
        let input = json!({"passRequestHeaders": true, "payloadFilter": {"exclude": [{"field": "RESPONSE_BODY"}]}});
        let gateway = json!({"interceptorConfigurations": [one(json!(null)), one(input)]});
        let expected =
            "arn:a at REQUEST, RESPONSE\narn:a at REQUEST, RESPONSE, with request headers, without response bodies";
        assert_eq!(line(&gateway, "interceptors").as_deref(), Some(expected));
        assert_eq!(line(&json!({}), "interceptors"), None);
        // What a file declares and the service has no words for.
        let declared = json!({"roleArn": "arn:aws:iam::123456789012:role/declared-in-configuration"});
        let says = line(&declared, "declared").unwrap();
        assert!(says.contains("hooks") && line(&json!({"roleArn": "arn:x"}), "declared").is_none(), "{says}");
        let unpaged = json!({"protocolConfiguration": {"mcp": {"disableMcpListToolsPagination": true}}});
        assert_eq!((line(&unpaged, "pagination").as_deref(), line(&json!({}), "pagination")), (Some("off"), None));
    }
}
