//! Which arguments of which tool travel as `Mcp-Param-*` headers, for all links to one target.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use parking_lot::RwLock;
use serde_json::value::RawValue;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::param_headers::ParamHeaders;
use sessiongate_protocol::modern::results;
use sessiongate_protocol::text::short;
use sessiongate_protocol::{RawJson, Response, ResponseBody};
use tokio::sync::{Mutex, MutexGuard};

use crate::error::TargetError;
use crate::modern::{Exchange, ModernRequest, NoteSink};

/// The method whose results are learnt from.
pub(super) const LIST: &str = "tools/list";
/// Pages of tools that are read.
pub(super) const MAX_PAGES: usize = 100;
/// Tools with such arguments that are remembered.
const MAX_TOOLS: usize = 10_000;

/// The header parameters of one target's tools, learnt from every `tools/list` of whoever asks: the catalogue's
/// synchronisation fills it before the first call. A call to a target that was never listed lists it first.
#[derive(Default)]
pub(super) struct ToolSchemas {
    /// Tools without such arguments are not in here.
    tools: RwLock<HashMap<Box<str>, ParamHeaders>>,
    listed: AtomicBool,
    refreshing: Mutex<()>,
}

/// An exchange whose lists of tools are learnt from.
pub(super) struct Learning {
    pub(super) exchange: Arc<dyn Exchange>,
    pub(super) tools: Arc<ToolSchemas>,
}

// === impl ToolSchemas ===

impl ToolSchemas {
    fn learn(&self, result: &RawJson) {
        let Ok(members) = Members::of(result) else { return };
        for tool in tools_of(&members).unwrap_or_default() {
            self.learn_one(&tool);
        }
        if next_cursor(result).is_none() {
            self.listed();
        }
    }

    fn learn_one(&self, tool: &RawJson) {
        let Some(name) = name_of(tool) else { return };
        if let Ok(Some(headers)) = ParamHeaders::of_tool(tool) {
            let mut tools = self.tools.write();
            if tools.len() < MAX_TOOLS || tools.contains_key(&*name) {
                tools.insert(name, headers);
            }
        } else if self.tools.read().contains_key(&*name) {
            // Most tools have none: no writer is needed for them.
            self.tools.write().remove(&*name);
        }
    }

    /// The headers of a call.
    pub(super) fn headers(&self, tool: &str, params: &RawJson) -> Vec<(Box<str>, Box<str>)> {
        let tools = self.tools.read();
        let Some(headers) = tools.get(tool) else { return Vec::new() };
        let arguments = Members::of(params).ok().and_then(|members| owned(members.get("arguments")?));
        headers.derive(arguments.as_ref())
    }

    /// Nobody has seen the tools of this target yet.
    pub(super) fn wants_listing(&self) -> bool {
        !self.listed.load(Ordering::Acquire)
    }

    /// The tools were read to the end, or that was tried.
    pub(super) fn listed(&self) {
        self.listed.store(true, Ordering::Release);
    }

    #[cfg(test)]
    pub(super) fn forget(&self) {
        self.listed.store(false, Ordering::Release);
    }

    /// One link reads at a time.
    pub(super) async fn refreshing(&self) -> MutexGuard<'_, ()> {
        self.refreshing.lock().await
    }
}

#[async_trait]
impl Exchange for Learning {
    async fn exchange(
        &self,
        request: ModernRequest,
        notes: &dyn NoteSink,
        deadline: Instant,
    ) -> Result<Response, TargetError> {
        let lists = &*request.method == LIST;
        let response = self.exchange.exchange(request, notes, deadline).await?;
        if lists && let ResponseBody::Result(result) = &response.body {
            self.tools.learn(result);
        }
        Ok(response)
    }
}

// === pages ===

/// A page of tools as a legacy client may see it: without those whose header parameters are wrong, which nobody could
/// call (2026-07-28, tools).
pub(super) fn page_to_legacy(target: &str, result: &RawJson) -> RawJson {
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
        let legacy = results::tool_to_legacy(&tool);
        changed |= legacy != tool;
        shown.push(legacy);
    }
    if !changed {
        return result.clone();
    }
    let shown: Vec<&str> = shown.iter().map(RawJson::as_str).collect();
    members.with(&[("tools", Some(&format!("[{}]", shown.join(","))))])
}

/// An empty cursor is a cursor.
pub(super) fn next_cursor(result: &RawJson) -> Option<String> {
    Members::of(result).ok()?.get_str("nextCursor").map(std::borrow::Cow::into_owned)
}

fn tools_of(members: &Members<'_>) -> Option<Vec<RawJson>> {
    serde_json::from_str(members.get("tools")?.get()).ok()
}

fn name_of(tool: &RawJson) -> Option<Box<str>> {
    Members::of(tool).ok()?.get_str("name").map(|name| name.as_ref().into())
}

fn owned(raw: &RawValue) -> Option<RawJson> {
    RawJson::parse(raw.get().to_owned()).ok()
}
