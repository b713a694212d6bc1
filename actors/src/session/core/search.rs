//! Calls of the gateway's own tool that finds tools: answered here, without a target.

use std::borrow::Cow;

use sessiongate_protocol::modern::results;
use sessiongate_protocol::{RawJson, Request};

use super::replies::Failure;
use super::{Env, SessionCore};
use crate::catalogue::search;

// === impl SessionCore ===

impl SessionCore {
    /// The result of a call of the gateway's own tool; none for any other request.
    pub(super) fn search(&self, request: &Request, env: &Env<'_>) -> Option<Result<RawJson, Failure>> {
        let params = request.params.as_ref();
        if &*request.method != "tools/call" || !env.catalogue.has_search() || !search::is_named_by(params) {
            return None;
        }
        if let Some(wrong) = self.refused_task(search::TOOL, params, env) {
            return Some(Err(wrong));
        }
        let limit = self.facts.max_name_length.map(usize::from);
        let shown = |tool: Cow<'_, RawJson>| self.shown_tool(&results::tool_to_legacy(&tool));
        let found = search::answer(env.catalogue, params, limit, shown);
        Some(found.map_err(|error| Failure::invalid_params(error.to_string())))
    }
}
