//! Calls of the gateway's own tool that finds tools.

use std::borrow::Cow;

use sessiongate_actors::catalogue::search;
use sessiongate_protocol::RawJson;
use sessiongate_protocol::modern::results;

use super::affinity::handle::Shown;
use super::context::Context;
use super::reply::Reply;
use crate::http::caller::Caller;
use crate::http::names;

/// The answer to such a call; none to any other request.
pub fn run(caller: &Caller<'_>, context: &Context, params: Option<&RawJson>) -> Option<Reply> {
    let gateway = &caller.gateway.gateway;
    let catalogue = gateway.catalogue();
    if !catalogue.has_search() || &*context.method != "tools/call" || &*context.name != search::TOOL {
        return None;
    }
    let limit = match names::limit(caller.request) {
        Ok(limit) => limit,
        Err(error) => return Some(context.invalid(&error.to_string(), "invalid_params")),
    };
    let own = Shown::of(gateway, limit);
    let shown = |tool: Cow<'_, RawJson>| {
        let tool = own.as_ref().map_or(Cow::Borrowed(&*tool), |own| own.tool(&tool));
        results::tool_to_modern(&tool)
    };
    Some(match search::answer(&catalogue, params, limit.map(usize::from), shown) {
        Ok(result) => context.complete(&result),
        Err(error) => context.invalid(&error.to_string(), "invalid_params"),
    })
}
