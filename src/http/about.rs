//! What a gateway says of itself, in either era.

use sessiongate_actors::gateway::Gateway;
use sessiongate_protocol::{Revision, tasks};

/// Instructions of all targets together, in bytes: clients put them into a prompt.
const INSTRUCTIONS: usize = 16 * 1024;

/// `Implementation` of the gateway.
pub fn server_info(gateway: &Gateway) -> serde_json::Value {
    serde_json::json!({"name": "sessiongate", "title": gateway.name.as_ref(), "version": env!("CARGO_PKG_VERSION")})
}

/// `ServerCapabilities`: everything that any target can do, or could when it comes up.
pub fn capabilities(gateway: &Gateway, revision: Revision) -> serde_json::Value {
    let can = gateway.catalogue().capabilities();
    let mut capabilities = serde_json::Map::new();
    let mut add = |name: &str, value: serde_json::Value| {
        capabilities.insert(name.to_owned(), value);
    };
    if can.completions && revision >= Revision::V2025_03_26 {
        add("completions", serde_json::json!({}));
    }
    if can.logging {
        add("logging", serde_json::json!({}));
    }
    if can.prompts {
        add("prompts", serde_json::json!({"listChanged": true}));
    }
    if can.resources {
        add("resources", serde_json::json!({"listChanged": true, "subscribe": can.subscribe}));
    }
    if can.runs_tasks() && revision == Revision::V2025_11_25 {
        add("tasks", tasks::capability());
    }
    if can.tools {
        add("tools", serde_json::json!({"listChanged": true}));
    }
    capabilities.into()
}

/// The gateway's own instructions and those of its targets; none if nobody says anything.
pub fn instructions(gateway: &Gateway) -> Option<String> {
    let mut instructions = gateway.settings().instructions.clone().unwrap_or_default();
    for target in gateway.catalogue().targets() {
        if let Some(text) = target.catalogue.as_ref().and_then(|catalogue| catalogue.instructions.as_deref()) {
            let entry = format!("\n\n# {}\n{text}", target.settings.name);
            if instructions.len() + entry.len() <= INSTRUCTIONS {
                instructions.push_str(&entry);
            }
        }
    }
    let instructions = instructions.trim();
    (!instructions.is_empty()).then(|| instructions.to_owned())
}
