//! Tools that the configuration declares for a target that is not asked for them.

use std::collections::HashSet;

use serde_json::Value;
use sessiongate_actors::catalogue::{Fault, ListKind, readable};
use sessiongate_protocol::RawJson;

/// The longest name of a tool, in characters.
const MAX_NAME: usize = 256;

/// What is wrong with declared tools: at which place of the list, what, and the remedy.
pub(super) fn faults(tools: &[Value]) -> Vec<(usize, String, &'static str)> {
    let mut faults = Vec::new();
    let mut names = HashSet::new();
    for (at, tool) in tools.iter().enumerate() {
        match tool["name"].as_str().filter(|name| (1..=MAX_NAME).contains(&name.chars().count())) {
            None => faults.push((at, format!("has no `name` of 1 to {MAX_NAME} characters"), "name the tool")),
            Some(name) if !names.insert(name) => {
                faults.push((at, format!("`{name}` is there twice"), "give each tool its own name"));
            }
            Some(_) => {}
        }
        let fault =
            RawJson::from_serialize(tool).map_or(Some(Fault::Form), |tool| readable(ListKind::Tools, &tool).err());
        if let Some(fault) = fault.filter(|fault| !matches!(fault, Fault::Unnamed(_))) {
            let remedy =
                "copy the tool as `tools/list` shows it; one without arguments has the `inputSchema` {type: object}";
            faults.push((at, fault.to_string(), remedy));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tool_has_a_name_of_its_own_and_a_schema() {
        let good = json!({"name": "a", "inputSchema": {"type": "object"}});
        assert!(faults(std::slice::from_ref(&good)).is_empty());
        let long = json!({"name": "x".repeat(257), "inputSchema": {}});
        for (bad, says) in [
            (vec![good.clone(), good.clone()], "twice"),
            (vec![json!({"name": "a"})], "inputSchema"),
            (vec![json!({"inputSchema": {}})], "name"),
            (vec![json!({"name": "", "inputSchema": {}})], "name"),
            (vec![json!({"name": "a", "inputSchema": "x"})], "inputSchema"),
            (vec![json!({"name": "a", "inputSchema": {}})], "type: object"),
            (vec![json!({"name": "a", "inputSchema": {"type": "object"}, "description": 5})], "description"),
            (vec![json!("a")], "name"),
            (vec![long], "256"),
        ] {
            assert!(faults(&bad).iter().any(|(_, what, _)| what.contains(says)), "{bad:?}");
        }
    }
}
