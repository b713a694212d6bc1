//! Static tool schemas: the tools of a target that is not asked for them.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use sessiongate_actors::catalogue::{Fault, ListKind, readable};
use sessiongate_protocol::text::short;
use sessiongate_protocol::{RawJson, names};
use sessiongate_targets::aws::{GatewayRole, ObjectUri};

use super::ControlError;
use super::objects::{Members, text};
use crate::config::Quotas;
use crate::gateway::Outgoing;

/// To fetch one.
const FETCH: Duration = Duration::from_secs(30);
const INLINE: &str = "targetConfiguration.mcp.mcpServer.mcpToolSchema.inlinePayload";

/// Checks a schema that came within the request.
///
/// # Errors
/// [`ControlError::Validation`] where it is too large or no list of tools.
pub fn check_inline(input: &Members, quotas: &Quotas) -> Result<(), ControlError> {
    let Some(payload) = inline(input) else { return Ok(()) };
    if payload.len() as u64 > quotas.inline_schema {
        let message = format!("has {} bytes, and {} are allowed: put it in S3", payload.len(), quotas.inline_schema);
        return Err(ControlError::field(INLINE, message));
    }
    tools(payload, text(input, "name"), quotas).map(drop).map_err(|why| ControlError::field(INLINE, why))
}

/// The schema that came within the request.
pub fn inline(input: &Members) -> Option<&str> {
    input.get("targetConfiguration")?["mcp"]["mcpServer"]["mcpToolSchema"]["inlinePayload"].as_str()
}

/// The tools of a target's schema, fetched as its gateway's role where it is elsewhere; none where it has none.
///
/// # Errors
/// What is wrong with it, for a person.
pub async fn load(
    input: &Members,
    role: &GatewayRole,
    quotas: &Quotas,
    outgoing: &Outgoing,
) -> Result<Option<Vec<Value>>, String> {
    let schema = input.get("targetConfiguration").map(|one| &one["mcp"]["mcpServer"]["mcpToolSchema"]);
    let s3 = schema.and_then(|schema| schema.get("s3"));
    let (json, place) = match (inline(input), s3) {
        (Some(payload), _) => (payload.to_owned(), "mcpToolSchema.inlinePayload"),
        (None, Some(s3)) => (fetch(s3, role, quotas, outgoing).await?, "mcpToolSchema.s3"),
        (None, None) => return Ok(None),
    };
    tools(&json, text(input, "name"), quotas).map(Some).map_err(|why| format!("{place} {why}"))
}

async fn fetch(s3: &Value, role: &GatewayRole, quotas: &Quotas, outgoing: &Outgoing) -> Result<String, String> {
    let uri = s3["uri"].as_str().unwrap_or_default();
    let object: ObjectUri = uri.parse().map_err(|error| format!("mcpToolSchema.s3.uri {error}"))?;
    let reader =
        outgoing.objects(Some(role)).ok_or("mcpToolSchema.s3: the gateway cannot reach anything, see its log")?;
    let limit = usize::try_from(quotas.fetched_schema).unwrap_or(usize::MAX);
    let bytes =
        reader.fetch_object(&object, s3["bucketOwnerAccountId"].as_str(), limit, FETCH).await.map_err(|error| {
            tracing::warn!(uri, %error, detail = error.detail(), "a tool schema could not be fetched");
            format!("{uri} could not be fetched: {error}")
        })?;
    String::from_utf8(bytes.into()).map_err(|_| format!("{uri} is not UTF-8"))
}

/// Reads a schema of the target of this name: a list of tools, or an object with the list as `tools`, as the result of
/// `tools/list` is.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn tools(text: &str, target: &str, quotas: &Quotas) -> Result<Vec<Value>, String> {
    let read: Value = serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
    let tools = match read {
        Value::Array(tools) => tools,
        Value::Object(mut result) => match result.remove("tools") {
            Some(Value::Array(tools)) => tools,
            _ => return Err("has no list `tools`".into()),
        },
        _ => return Err("is neither a list of tools nor an object with `tools`".into()),
    };
    if tools.len() > quotas.tools_per_target as usize {
        return Err(format!("has {} tools, and {} are allowed", tools.len(), quotas.tools_per_target));
    }
    let mut seen = HashSet::new();
    for (tool, number) in tools.iter().zip(1..) {
        let name = tool["name"].as_str().unwrap_or_default();
        let which = || {
            if name.is_empty() { format!("number {number}") } else { format!("number {number} (`{}`)", short(name)) }
        };
        let fault =
            RawJson::from_serialize(tool).map_or(Some(Fault::Form), |tool| readable(ListKind::Tools, &tool).err());
        if let Some(fault) = fault {
            return Err(format!("has a tool that clients cannot read: {} {fault}", which()));
        }
        let most = quotas.tool_name;
        if names::exposed(target, name).chars().count() > most as usize {
            return Err(format!(
                "has a name of more than {most} characters, with that of the target before it: {}",
                which()
            ));
        }
        if !seen.insert(name) {
            return Err(format!("has the tool `{name}` twice"));
        }
    }
    Ok(tools)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_others_refused() {
        let quotas = Quotas { tools_per_target: 2, ..Quotas::default() };
        let one = r#"{"name":"a","inputSchema":{"type":"object"}}"#;
        assert_eq!(tools(&format!("[{one}]"), "t", &quotas).unwrap().len(), 1);
        assert_eq!(tools(&format!("{{\"tools\":[{one}]}}"), "t", &quotas).unwrap().len(), 1);
        let two = one.replace("\"a\"", "\"b\"");
        let three = one.replace("\"a\"", "\"c\"");
        for wrong in [
            "".to_owned(),
            "3".to_owned(),
            "{}".to_owned(),
            "[{}]".to_owned(),
            r#"[{"name":"a"}]"#.to_owned(),
            r#"[{"name":"a","inputSchema":{"type":"string"}}]"#.to_owned(),
            one.replace("\"a\"", &format!("\"{}\"", "x".repeat(253))),
            format!("[{one},{one}]"),
            format!("[{one},{two},{three}]"),
        ] {
            assert!(tools(&wrong, "t", &quotas).is_err(), "{wrong}");
        }
    }
}
