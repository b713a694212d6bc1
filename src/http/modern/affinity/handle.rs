//! Conversations that the model opens itself and names in its calls: the pattern that MCP recommends for servers with
//! state (SEP-2567). The tools of the target get one more argument, and the gateway has two tools of its own beside them.

use std::borrow::Cow;
use std::sync::Arc;

use sessiongate_actors::SessionError;
use sessiongate_actors::gateway::Gateway;
use sessiongate_actors::session::core::EndReason;
use sessiongate_actors::settings::Affinity;
use sessiongate_protocol::cursor::ListKind;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::{RawJson, names};

use super::{Carrier, OPENED, hash};
use crate::http::HttpError;
use crate::http::caller::Caller;
use crate::http::modern::context::Context;
use crate::http::modern::reply::Reply;
use crate::http::modern::route::{self, Routed};

/// The argument.
const ARGUMENT: &str = "gw_session";
/// The gateway's own tools, before the target's name.
const OPEN: &str = "gw_open_session";
const CLOSE: &str = "gw_close_session";
/// Characters of a handle: 24 random bytes.
const HANDLE: usize = 32;

/// A call without the argument that was the gateway's.
pub struct Taken {
    /// The conversation that it named.
    pub handle: Option<Box<str>>,
    /// What is left of the parameters.
    pub params: RawJson,
}

/// What the lists of a gateway show besides its catalogue.
pub struct Shown<'a> {
    gateway: &'a Gateway,
    targets: Vec<Arc<str>>,
    limit: Option<usize>,
}

/// A tool of the gateway's own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    Open,
    Close,
}

/// The binding of an opened conversation: a handle is good for its target only.
pub fn binding(target: &str, handle: &str) -> Box<str> {
    format!("{OPENED}{}", hash(&[target, handle])).into()
}

/// Takes the argument out of a call; none where the tool has no such argument of the gateway's.
///
/// # Errors
/// With the answer to a call whose argument cannot be a handle.
pub fn taken(gateway: &Gateway, context: &Context, params: &RawJson, routed: &Routed) -> Result<Option<Taken>, Reply> {
    let Some(arguments) = route::arguments(params).filter(|_| &*context.method == "tools/call") else {
        return Ok(None);
    };
    let twice = || context.invalid("`params.arguments` is no object, or has a member twice", "invalid_params");
    let members = Members::of(&arguments).map_err(|_| twice())?;
    let Some(value) = members.get(ARGUMENT) else { return Ok(None) };
    let catalogue = gateway.catalogue();
    let others = catalogue.item(ListKind::Tools, &routed.exposed).is_some_and(|tool| with_argument(tool, "").is_none());
    if others {
        return Ok(None);
    }
    let handle = match value.get() {
        // Models fill in what is optional.
        "null" => None,
        _ => match members.get_str(ARGUMENT).filter(|handle| is_handle(handle)) {
            Some(handle) => Some(handle.as_ref().into()),
            None => return Err(unknown(gateway, context, &routed.target)),
        },
    };
    let left = members.with(&[(ARGUMENT, None)]);
    let params = Members::of(params).map_err(|_| twice())?.with(&[("arguments", Some(left.as_str()))]);
    Ok(Some(Taken { handle, params }))
}

/// The answer to a call in a conversation that is not there.
pub fn unknown(gateway: &Gateway, context: &Context, target: &str) -> Reply {
    let open = whole_name(gateway, target, Own::Open);
    context.failed(&format!("the conversation `{ARGUMENT}` is not known, or has ended: open a new one with `{open}`"))
}

/// Runs a tool of the gateway's own; none where the request names none.
pub async fn run(caller: &Caller<'_>, context: &Context, params: Option<&RawJson>) -> Option<Result<Reply, HttpError>> {
    if &*context.method != "tools/call" {
        return None;
    }
    let gateway = &caller.gateway.gateway;
    let (target, own) = find(gateway, &context.name, crate::http::names::limit(caller.request).ok().flatten())?;
    Some(match own {
        Own::Open => open(caller, context, &target).await,
        Own::Close => close(caller, context, &target, params).await,
    })
}

async fn open(caller: &Caller<'_>, context: &Context, target: &str) -> Result<Reply, HttpError> {
    let gateway = &caller.gateway.gateway;
    let handle = super::random().map_err(|error| error.with_id(Some(&context.id)))?;
    // Until the client has been told, it belongs to this call.
    let carrier = Carrier::owned(caller, binding(target, &handle));
    match carrier.session(caller, context).await {
        Ok(_) => {}
        Err(SessionError::Bound { .. }) => {
            let close = whole_name(gateway, target, Own::Close);
            let text = format!("too many conversations are open: close one with `{close}`, or wait until one ends");
            return Ok(context.failed(&text));
        }
        Err(error) => return Err(HttpError::session(error, Some(&context.id))),
    }
    let result = serde_json::json!({
        "content": [{"type": "text", "text": format!("The conversation is open. Its `{ARGUMENT}` is {handle}")}],
        "structuredContent": {ARGUMENT: handle},
    });
    if let Some(alone) = &carrier.alone {
        alone.stays();
    }
    tracing::info!(principal = &*context.principal, target_name = target, "conversation opened");
    Ok(context.complete(&RawJson::from_serialize(&result).unwrap_or(RawJson::EMPTY_OBJECT)))
}

async fn close(
    caller: &Caller<'_>,
    context: &Context,
    target: &str,
    params: Option<&RawJson>,
) -> Result<Reply, HttpError> {
    let gateway = &caller.gateway.gateway;
    let arguments = params.and_then(route::arguments);
    let handle = arguments.as_ref().and_then(|arguments| {
        let handle = Members::of(arguments).ok()?.get_str(ARGUMENT)?;
        is_handle(&handle).then(|| handle.into_owned())
    });
    let Some(handle) = handle else { return Ok(unknown(gateway, context, target)) };
    let binding = binding(target, &handle);
    let directory = caller.runtime.directory();
    match directory.end_conversation(gateway, &caller.principal, &binding, EndReason::Deleted).await {
        Ok(true) => {
            tracing::info!(principal = &*context.principal, target_name = target, "conversation closed");
            let result = serde_json::json!({"content": [{"type": "text", "text": "The conversation is closed."}]});
            Ok(context.complete(&RawJson::from_serialize(&result).unwrap_or(RawJson::EMPTY_OBJECT)))
        }
        Ok(false) => Ok(unknown(gateway, context, target)),
        Err(error) => Err(HttpError::session(error, Some(&context.id))),
    }
}

// === impl Shown ===

impl<'a> Shown<'a> {
    /// For a list with names of at most `limit` bytes; none where no target has such conversations.
    pub fn of(gateway: &'a Gateway, limit: Option<u16>) -> Option<Self> {
        let targets: Vec<_> =
            handled(gateway).into_iter().filter(|(_, synced)| *synced).map(|(name, _)| name).collect();
        (!targets.is_empty()).then(|| Self { gateway, targets, limit: limit.map(usize::from) })
    }

    /// A tool of the catalogue as clients without sessions see it.
    pub fn tool<'b>(&self, tool: &'b RawJson) -> Cow<'b, RawJson> {
        let changed = || {
            let members = Members::of(tool).ok()?;
            let name = members.get_str("name")?;
            let catalogue = self.gateway.catalogue();
            let whole = self.limit.and_then(|limit| catalogue.unshortened(ListKind::Tools, &name, limit));
            let route = catalogue.route_listed(ListKind::Tools, whole.unwrap_or(&name))?;
            let target = self.targets.iter().find(|target| **target == route.target)?;
            with_argument(tool, &self.name(target, Own::Open))
        };
        changed().map_or(Cow::Borrowed(tool), Cow::Owned)
    }

    /// The gateway's own tools.
    pub fn own(&self) -> Vec<RawJson> {
        let mut own = Vec::new();
        for target in &self.targets {
            let (open, close) = (self.name(target, Own::Open), self.name(target, Own::Close));
            let handle = argument(&open);
            let tools = [
                (
                    Own::Open,
                    serde_json::json!({
                        "name": open,
                        "description": format!(
                            "Opens a conversation with `{target}`, apart from all others, and returns its `{ARGUMENT}`. Give \
                             that to the tools of `{target}` whose state belongs together; close it with `{close}`."
                        ),
                        "inputSchema": {"type": "object", "properties": {}},
                        "outputSchema": {
                            "type": "object", "properties": {ARGUMENT: {"type": "string"}}, "required": [ARGUMENT]
                        },
                    }),
                ),
                (
                    Own::Close,
                    serde_json::json!({
                        "name": close,
                        "description": format!("Ends a conversation with `{target}` and all state that it has there."),
                        "inputSchema": {"type": "object", "properties": {ARGUMENT: handle}, "required": [ARGUMENT]},
                        "annotations": {"destructiveHint": true, "openWorldHint": false},
                    }),
                ),
            ];
            let free = tools.into_iter().filter(|(tool, _)| is_free(self.gateway, target, *tool));
            own.extend(free.filter_map(|(_, tool)| RawJson::from_serialize(&tool).ok()));
        }
        own
    }

    fn name(&self, target: &str, own: Own) -> String {
        let name = whole_name(self.gateway, target, own);
        match self.limit {
            // As with all names: cut from the name before the gateway's own limit.
            Some(limit) if name.len() > limit => {
                names::shortened(&names::exposed(target, own.name()), limit).into_owned()
            }
            _ => name,
        }
    }
}

// === impl Own ===

impl Own {
    fn name(self) -> &'static str {
        match self {
            Self::Open => OPEN,
            Self::Close => CLOSE,
        }
    }
}

/// The targets that have such conversations, and whether they were ever reached. One of the modern era has no sessions.
fn handled(gateway: &Gateway) -> Vec<(Arc<str>, bool)> {
    let catalogue = gateway.catalogue();
    let chosen = catalogue.targets().iter().filter(|target| target.settings.affinity == Affinity::Handle);
    let legacy = |name: &str| gateway.target(name).is_some_and(|target| target.modern().is_none());
    chosen
        .filter(|target| legacy(&target.settings.name))
        .map(|target| (target.settings.name.clone(), target.catalogue.is_some()))
        .collect()
}

/// The tool of the gateway's own that a client means by a name, in full or cut to its limit.
fn find(gateway: &Gateway, name: &str, limit: Option<u16>) -> Option<(Arc<str>, Own)> {
    handled(gateway).into_iter().find_map(|(target, _)| {
        let own = [Own::Open, Own::Close].into_iter().find(|own| {
            let whole = names::exposed(&target, own.name());
            let cut = limit.is_some_and(|limit| names::shortened(&whole, usize::from(limit)) == name);
            (cut || whole_name(gateway, &target, *own) == name) && is_free(gateway, &target, *own)
        })?;
        Some((target, own))
    })
}

/// The name under which the gateway shows a tool of its own: with the target's, in each naming.
fn whole_name(gateway: &Gateway, target: &str, own: Own) -> String {
    let name = names::exposed(target, own.name());
    match gateway.settings().max_name_length {
        Some(limit) => names::shortened(&name, limit).into_owned(),
        None => name,
    }
}

/// A target's own tool of that name goes first.
fn is_free(gateway: &Gateway, target: &str, own: Own) -> bool {
    !gateway.catalogue().has(ListKind::Tools, &whole_name(gateway, target, own))
}

fn is_handle(text: &str) -> bool {
    text.len() == HANDLE && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn argument(open: &str) -> serde_json::Value {
    serde_json::json!({
        "type": "string",
        "description": format!(
            "A conversation that `{open}` opened: calls in the same one share their state. Without it, the default one."
        ),
    })
}

/// A tool with the argument, all else as it was; none where its schema has one of that name, or is not one of an object
/// that can be read.
fn with_argument(tool: &RawJson, open: &str) -> Option<RawJson> {
    let members = Members::of(tool).ok()?;
    let schema = Members::of_str(members.get("inputSchema")?.get()).ok()?;
    if schema.get_str("type")? != "object" {
        return None;
    }
    let properties = Members::of_str(schema.get("properties").map_or("{}", |properties| properties.get())).ok()?;
    if properties.get(ARGUMENT).is_some() {
        return None;
    }
    let argument = serde_json::to_string(&argument(open)).ok()?;
    let properties = properties.with(&[(ARGUMENT, Some(&argument))]);
    let schema = schema.with(&[("properties", Some(properties.as_str()))]);
    Some(members.with(&[("inputSchema", Some(schema.as_str()))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_added_and_all_else_stays() {
        let added = |schema: &str| {
            let tool = format!(r#"{{"name":"a","inputSchema":{schema},"x":1.00}}"#);
            let tool = with_argument(&RawJson::parse(tool).unwrap(), "open")?;
            let argument = serde_json::to_string(&argument("open")).unwrap();
            Some(tool.as_str().replace(&argument, "NEW"))
        };
        assert_eq!(
            added(r#"{"properties":{"b":{"default":1.0 }},"type":"object","required":[ ]}"#).unwrap(),
            r#"{"name":"a","inputSchema":{"properties":{"b":{"default":1.0 },"gw_session":NEW},"type":"object","required":[ ]},"x":1.00}"#
        );
        assert_eq!(
            added(r#"{"type":"object"}"#).unwrap(),
            r#"{"name":"a","inputSchema":{"type":"object","properties":{"gw_session":NEW}},"x":1.00}"#
        );
        for schema in [
            "{}",
            "true",
            r#"{"type":"string"}"#,
            r#"{"type":["object"]}"#,
            r#"{"type":"object","properties":true}"#,
            r#"{"type":"object","properties":{"gw_session":true}}"#,
            r#"{"type":"object","properties":{"gw\u005fsession":true}}"#,
        ] {
            assert_eq!(added(schema), None, "{schema}");
        }
    }

    #[test]
    fn a_handle_is_good_for_one_target() {
        assert_ne!(binding("a", "h"), binding("b", "h"));
        assert!(is_handle(&"a".repeat(32)) && !is_handle(&"a".repeat(31)) && !is_handle(&".".repeat(32)));
    }
}
