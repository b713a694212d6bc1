//! Tools that the configuration declares for a target that is not asked for them.

use std::collections::HashSet;

use serde_json::Value;

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
        if !tool["inputSchema"].is_object() {
            let remedy = "copy the tool as `tools/list` shows it; one without arguments has {type: object}";
            faults.push((at, "has no object `inputSchema`".to_owned(), remedy));
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
            (vec![json!("a")], "name"),
            (vec![long], "256"),
        ] {
            assert!(faults(&bad).iter().any(|(_, what, _)| what.contains(says)), "{bad:?}");
        }
    }
}
