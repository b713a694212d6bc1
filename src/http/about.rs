//! What a gateway says of itself, in either era.

use sessiongate_actors::gateway::Gateway;
use sessiongate_protocol::{Era, Revision, tasks};

use crate::gateway::Served;

/// Instructions of all targets together, in bytes: clients put them into a prompt.
const INSTRUCTIONS: usize = 16 * 1024;

/// `Implementation` of the gateway.
pub fn server_info(gateway: &Gateway) -> serde_json::Value {
    serde_json::json!({"name": "sessiongate", "title": gateway.name.as_ref(), "version": env!("CARGO_PKG_VERSION")})
}

/// `ServerCapabilities`: everything that any target can do, or could when it comes up. Changes are announced where there is a
/// stream to tell them on: the one of a session, or one that is asked for (2026-07-28).
pub fn capabilities(served: &Served, revision: Revision) -> serde_json::Value {
    let can = served.gateway.catalogue().capabilities();
    let told = served.streaming && (served.sessions || revision.era() == Era::Modern);
    let list = || if told { serde_json::json!({"listChanged": true}) } else { serde_json::json!({}) };
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
        add("prompts", list());
    }
    if can.resources {
        let mut resources = list();
        resources["subscribe"] = (can.subscribe && told).into();
        add("resources", resources);
    }
    if can.runs_tasks() && revision == Revision::V2025_11_25 {
        add("tasks", tasks::capability());
    }
    if can.tools {
        add("tools", list());
    }
    capabilities.into()
}

/// The gateway's own instructions and those of its targets; none if nobody says anything.
pub fn instructions(served: &Served) -> Option<String> {
    // Its own are those of the same moment as its revisions: an answer that has both is old or new.
    let mut instructions = served.instructions.as_deref().unwrap_or_default().to_owned();
    for target in served.gateway.catalogue().targets() {
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
