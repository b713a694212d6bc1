//! What to do about a refusal: members in the words of the command line, and which key was used.

use crate::control_client::{Access, Refusal};

/// Members and the flags that set them. The longest beginning counts.
const FLAGS: [(&str, &str); 17] = [
    ("authorizerConfiguration", "--authorizer, --discovery-url"),
    ("authorizerConfiguration.customJWTAuthorizer.allowedAudience", "--audience"),
    ("authorizerConfiguration.customJWTAuthorizer.allowedClients", "--client"),
    ("authorizerConfiguration.customJWTAuthorizer.allowedScopes", "--scope"),
    ("authorizerConfiguration.customJWTAuthorizer.discoveryUrl", "--discovery-url"),
    ("description", "--description"),
    ("metadataConfiguration.allowedQueryParameters", "--pass-query-parameter"),
    ("metadataConfiguration.allowedRequestHeaders", "--pass-request-header"),
    ("metadataConfiguration.allowedResponseHeaders", "--pass-response-header"),
    ("protocolConfiguration.mcp.instructions", "--instructions"),
    ("protocolConfiguration.mcp.sessionConfiguration", "--sessions"),
    ("roleArn", "--role"),
    ("tags", "--tag"),
    ("targetConfiguration.mcp.mcpServer.endpoint", "--url"),
    ("targetConfiguration.mcp.mcpServer.listingMode", "--dynamic"),
    ("targetConfiguration.mcp.mcpServer.mcpToolSchema", "--schema"),
    ("targetConfiguration.mcp.mcpServer.resourcePriority", "--priority"),
];

/// Lines to add to a refusal.
pub fn of(refusal: &Refusal, access: &Access) -> Vec<String> {
    let mut lines = Vec::new();
    for field in &refusal.fields {
        if let Some(flag) = flag(&field.name) {
            lines.push(format!("`{}` is set by {flag}", field.name));
        }
    }
    let of_signature = ["MissingAuthenticationTokenException", "UnrecognizedClientException"];
    if of_signature.contains(&refusal.error_type.as_str()) || refusal.error_type.contains("Signature") {
        let Access { access_key_id, origin, region, endpoint, .. } = access;
        lines.push(format!("{endpoint} was asked with access key {access_key_id} of {origin}, for region {region}"));
    }
    lines
}

fn flag(member: &str) -> Option<&'static str> {
    let sets = |(path, _): &&(&str, &str)| {
        member.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    FLAGS.iter().filter(sets).max_by_key(|(path, _)| path.len()).map(|(_, flag)| *flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_lead_to_flags() {
        assert_eq!(flag("description"), Some("--description"));
        assert_eq!(flag("protocolConfiguration.mcp.sessionConfiguration.sessionTimeoutInSeconds"), Some("--sessions"));
        let audience = "authorizerConfiguration.customJWTAuthorizer.allowedAudience[1]";
        assert_eq!(flag(audience), Some("--audience"));
        assert_eq!(flag("authorizerConfiguration.customJWTAuthorizer"), Some("--authorizer, --discovery-url"));
        assert_eq!(flag("descriptions"), None);
        assert_eq!(flag("kmsKeyArn"), None);
    }
}
