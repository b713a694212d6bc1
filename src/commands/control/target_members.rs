//! From flags to the members of a target.

use std::path::Path;

use serde_json::{Value, json};

use super::Failure;
use super::file::{self, Members, list_or_none, or_none, put};
use crate::cli::args::target::TargetMemberArgs;
use crate::control::model::OperationName;
use crate::control_client::requested;

const SERVER: [&str; 3] = ["targetConfiguration", "mcp", "mcpServer"];

/// Members for CreateGatewayTarget or UpdateGatewayTarget.
pub struct TargetMembers;

// === impl TargetMembers ===

impl TargetMembers {
    /// Those of a new target. Blocking.
    pub fn created(name: &str, args: &TargetMemberArgs) -> Result<Members, Failure> {
        let mut members = Members::new();
        change(&mut members, args)?;
        members.insert("name".into(), json!(name));
        if !members.contains_key("targetConfiguration") {
            return Err(Failure::Usage(
                "say where the target is: --url URL of its MCP endpoint, or --from FILE".into(),
            ));
        }
        Ok(members)
    }

    /// Those of a target that there is, changed. Blocking.
    pub fn updated(target: &Value, new_name: Option<&str>, args: &TargetMemberArgs) -> Result<Members, Failure> {
        if new_name.is_none() && !args.says_something() {
            return Err(Failure::Usage("nothing to change: say what, see `sessiongate target update --help`".into()));
        }
        let mut members = requested(OperationName::UpdateGatewayTarget, target);
        change(&mut members, args)?;
        if let Some(name) = new_name {
            members.insert("name".into(), json!(name));
        }
        Ok(members)
    }
}

fn change(members: &mut Members, args: &TargetMemberArgs) -> Result<(), Failure> {
    if let Some(from) = &args.from {
        members.extend(file::members(from, OperationName::GetGatewayTarget, OperationName::CreateGatewayTarget)?);
    }
    let of_server = |name| [&SERVER[..], &[name]].concat();
    if let Some(url) = &args.url {
        put(members, &of_server("endpoint"), or_none(url))?;
    }
    if let Some(on) = args.dynamic() {
        put(members, &of_server("listingMode"), on.then(|| json!("DYNAMIC")))?;
    }
    if let Some(schema) = &args.schema {
        put(members, &of_server("mcpToolSchema"), tool_schema(schema)?)?;
    }
    if let Some(priority) = args.priority {
        put(members, &of_server("resourcePriority"), Some(json!(priority)))?;
    }
    if let Some(text) = &args.description {
        put(members, &["description"], or_none(text))?;
    }
    let passes = [
        ("allowedRequestHeaders", &args.pass_request_header),
        ("allowedQueryParameters", &args.pass_query_parameter),
        ("allowedResponseHeaders", &args.pass_response_header),
    ];
    for (name, list) in passes.into_iter().filter(|(_, list)| !list.is_empty()) {
        put(members, &["metadataConfiguration", name], list_or_none(list))?;
    }
    Ok(())
}

/// `mcpToolSchema` of a file or of an object in S3.
fn tool_schema(from: &str) -> Result<Option<Value>, Failure> {
    if from.is_empty() {
        return Ok(None);
    }
    if from.starts_with("s3://") {
        return Ok(Some(json!({"s3": {"uri": from}})));
    }
    let text = file::text(Path::new(from))?;
    // The control plane takes the text, and says less about where in it a mistake is.
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        return Err(Failure::Usage(format!("{from}: is not JSON: {error}")));
    }
    Ok(Some(json!({"inlinePayload": text})))
}

// === impl TargetMemberArgs ===

impl TargetMemberArgs {
    fn says_something(&self) -> bool {
        let lists = [&self.pass_request_header, &self.pass_query_parameter, &self.pass_response_header];
        [&self.url, &self.schema, &self.description].iter().any(|text| text.is_some())
            || lists.iter().any(|list| !list.is_empty())
            || self.dynamic().is_some()
            || self.priority.is_some()
            || self.from.is_some()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::target::TargetCommand;
    use crate::cli::{Cli, Command};

    fn args(line: &[&str]) -> TargetMemberArgs {
        let line = [&["sessiongate", "target", "create", "shop", "cart"][..], line].concat();
        let Command::Target(target) = Cli::try_parse_from(line).unwrap().command else { panic!() };
        let TargetCommand::Create(create) = target.command else { panic!() };
        create.members
    }

    #[test]
    fn flags_become_members() {
        let folder = tempfile::tempdir().unwrap();
        let schema = folder.path().join("tools.json");
        std::fs::write(&schema, "[]").unwrap();
        let schema = schema.to_str().unwrap();
        let line = ["--url", "https://a/mcp", "--schema", schema, "--priority", "7", "--pass-request-header", "X-A"];
        assert_eq!(
            json!(TargetMembers::created("cart", &args(&line)).unwrap()),
            json!({"name": "cart", "metadataConfiguration": {"allowedRequestHeaders": ["X-A"]},
                "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": "https://a/mcp", "resourcePriority": 7,
                    "mcpToolSchema": {"inlinePayload": "[]"}}}}})
        );
        let line = ["--url", "https://a/mcp", "--schema", "s3://bucket/tools.json", "--dynamic"];
        let made = json!(TargetMembers::created("cart", &args(&line)).unwrap());
        let server = &made["targetConfiguration"]["mcp"]["mcpServer"];
        assert_eq!(server["mcpToolSchema"], json!({"s3": {"uri": "s3://bucket/tools.json"}}));
        assert_eq!(server["listingMode"], "DYNAMIC");
    }

    #[test]
    fn what_cannot_be_is_said_before_anything_is_asked() {
        let fails = |line: &[&str]| TargetMembers::created("cart", &args(line)).unwrap_err().to_string();
        assert!(fails(&[]).contains("--url"));
        let folder = tempfile::tempdir().unwrap();
        let schema = folder.path().join("tools.json");
        std::fs::write(&schema, "[\n oops]").unwrap();
        let text = fails(&["--url", "https://a", "--schema", schema.to_str().unwrap()]);
        assert!(text.contains("tools.json: is not JSON") && text.contains("line 2"), "{text}");
    }

    #[test]
    fn an_update_keeps_what_is_not_said() {
        let target = json!({"targetId": "ABCDEFGHIJ", "status": "READY", "name": "cart", "description": "d",
            "credentialProviderConfigurations": [], "metadataConfiguration": {"allowedRequestHeaders": ["X-A"]},
            "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": "https://a", "listingMode": "DYNAMIC"}}}});
        let updated = |name, line: &[&str]| TargetMembers::updated(&target, name, &args(line)).map(|new| json!(new));
        let expected = json!({"name": "cart", "description": "d", "targetConfiguration": {"mcp": {"mcpServer": {
            "endpoint": "https://b"}}}});
        let line = ["--url", "https://b", "--no-dynamic", "--pass-request-header", ""];
        assert_eq!(updated(None, &line).unwrap(), expected);
        assert_eq!(updated(Some("basket"), &[]).unwrap()["name"], "basket");
        assert!(updated(None, &[]).unwrap_err().to_string().contains("nothing to change"));
    }
}
