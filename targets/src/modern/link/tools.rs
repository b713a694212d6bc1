//! Pages of tools, as the clients of links see them.

use sessiongate_protocol::RawJson;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::param_headers::ParamHeaders;
use sessiongate_protocol::text::short;

pub(super) use crate::modern::tools::LIST;
use crate::modern::tools::{name_of, tools_of};

/// A page of tools without those whose header parameters are wrong, which nobody could call (2026-07-28, tools).
pub(super) fn callable_page(target: &str, result: &RawJson) -> RawJson {
    let Ok(members) = Members::of(result) else { return result.clone() };
    let Some(tools) = tools_of(&members) else { return result.clone() };
    let mut shown = Vec::with_capacity(tools.len());
    let mut changed = false;
    for tool in tools {
        if let Err(error) = ParamHeaders::of_tool(&tool) {
            let name = name_of(&tool).unwrap_or_default();
            tracing::warn!(target_name = target, tool = &*short(&name), %error, "a tool with wrong header parameters is left out");
            changed = true;
            continue;
        }
        shown.push(tool);
    }
    if !changed {
        return result.clone();
    }
    let shown: Vec<&str> = shown.iter().map(RawJson::as_str).collect();
    members.with(&[("tools", Some(&format!("[{}]", shown.join(","))))])
}
