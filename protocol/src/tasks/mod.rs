//! Tasks of 2025-11-25 (experimental). A client of that revision uses them through the gateway; for one that knows none, a
//! tool that runs as nothing else is run as a task of the gateway's own, and whoever called it waits. Not wire compatible
//! with the extension of 2026-07-28 ([`crate::modern::tasks`]); [`bridge`] translates.

pub mod bridge;
mod cursor;
mod handles;
mod support;

use std::fmt;

use memchr::memmem;
use serde::{Deserialize, Serialize};

use crate::json::RawJson;
use crate::members::Members;
use crate::meta::quoted;
use crate::modern::results::RELATED_TASK;

pub use cursor::TaskCursor;
pub use handles::{created_id, listed, may_relate, named, related, with_created_id, with_related};
pub use support::{Support, with_optional, without_required};

/// What a place of a call that runs as a task begins with: no event id of a target does, unless on purpose.
const PLACE: &str = "sessiongate-task ";

/// The member of the params of a `tasks/list` to a link whose target has none: the ids of the tasks that are meant. The
/// gateway's own, never sent to a target.
pub const ASKED_FOR: &str = "sessiongate.dev/taskIds";

/// A task that a target has begun.
#[derive(Clone, PartialEq, Eq)]
pub struct Created {
    /// The target's id of it.
    pub id: Box<str>,
    /// How often the target wants to be asked, in milliseconds.
    pub poll_ms: Option<u64>,
}

/// Where a call that runs as a task stands: what another process needs to go on with it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The target's id of the task.
    #[serde(rename = "t")]
    pub task: Box<str>,
    /// The JSON-RPC id of the last `tasks/result`; none before the first.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub request: Option<i64>,
    /// The last event on its stream.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Box<str>>,
    /// The client has its handle, and the call asks for its result: the task does not end with the call.
    #[serde(rename = "w", default, skip_serializing_if = "std::ops::Not::not")]
    pub watched: bool,
}

/// What a server of 2025-11-25 can do with tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// Its tools can be called as tasks.
    pub calls: bool,
    /// `tasks/list`.
    pub list: bool,
    /// `tasks/cancel`.
    pub cancel: bool,
}

/// Whether a tool can only be called as a task.
pub fn requires_task(tool: &RawJson) -> bool {
    Support::of(tool) == Support::Required
}

/// What the capabilities of a server say of tasks; what cannot be read is not offered.
pub fn offered(capabilities: &RawJson) -> Offered {
    let says = || {
        let members = Members::of(capabilities).ok()?;
        let tasks = Members::of_str(members.get("tasks")?.get()).ok()?;
        let is_object = |name: &str| tasks.get(name).is_some_and(|raw| raw.get().starts_with('{'));
        let calls = || {
            let requests = Members::of_str(tasks.get("requests")?.get()).ok()?;
            let tools = Members::of_str(requests.get("tools")?.get()).ok()?;
            Some(tools.get("call")?.get().starts_with('{'))
        };
        Some(Offered { calls: calls().unwrap_or(false), list: is_object("list"), cancel: is_object("cancel") })
    };
    says().unwrap_or_default()
}

/// Whether the capabilities of a server say that its tools can be called as tasks.
pub fn offers_tool_tasks(capabilities: &RawJson) -> bool {
    offered(capabilities).calls
}

/// `tasks` of the capabilities of a server that offers all of it.
pub fn capability() -> serde_json::Value {
    serde_json::json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}})
}

/// Whether params ask for a task. A search that is cheap usually ends it.
pub fn asks_for_task(params: &RawJson) -> bool {
    memmem::find(params.as_bytes(), b"\"task\"").is_some()
        && Members::of(params).is_ok_and(|members| members.get("task").is_some())
}

/// Why the `task` of a request cannot be used; none where it can.
pub fn wrong_task(params: &RawJson) -> Option<&'static str> {
    let members = Members::of(params).ok()?;
    let Ok(task) = Members::of_str(members.get("task")?.get()) else {
        return Some("`params.task` must be an object");
    };
    let ttl = task.get("ttl")?;
    let fits = ttl.get() == "null" || ttl.get().parse::<f64>().is_ok_and(|ttl| ttl >= 0.0);
    (!fits).then_some("`params.task.ttl` must be a number of milliseconds")
}

/// The params of a call as a task that the target keeps for so long.
pub fn as_task(params: &RawJson, ttl_ms: u64) -> RawJson {
    match Members::of(params) {
        Ok(members) => members.with(&[("task", Some(&format!("{{\"ttl\":{ttl_ms}}}")))]),
        Err(_) => params.clone(),
    }
}

/// The params of a call as no task: a server that does not offer tasks has to read them so.
pub fn as_no_task(params: &RawJson) -> RawJson {
    match Members::of(params) {
        Ok(members) if members.get("task").is_some() => members.with(&[("task", None)]),
        _ => params.clone(),
    }
}

/// The task of a result that is a handle, and nothing else.
pub fn created(result: &RawJson) -> Option<Created> {
    let members = Members::of(result).ok()?;
    if members.iter().any(|(name, _)| !matches!(name, "task" | "_meta")) {
        return None;
    }
    let task = Members::of_str(members.get("task")?.get()).ok()?;
    let poll_ms = task.get("pollInterval").and_then(|raw| raw.get().parse().ok());
    Some(Created { id: task.get_str("taskId")?.into(), poll_ms })
}

/// The params of a request about a task.
pub fn params(task: &str) -> RawJson {
    RawJson::trusted(format!("{{\"taskId\":{}}}", quoted(task)))
}

/// What a task says of itself: its `statusMessage`, else its status.
pub fn words(task: &RawJson) -> Option<String> {
    let members = Members::of(task).ok()?;
    let message = members.get_str("statusMessage").filter(|message| !message.is_empty());
    message.map(std::borrow::Cow::into_owned).or_else(|| Some(format!("the task is {}", members.get_str("status")?)))
}

/// Params or a result without [`RELATED_TASK`], which means nothing to a client that knows of no task.
pub fn without_related(object: &RawJson) -> RawJson {
    let strip = || {
        let members = Members::of(object).ok()?;
        let meta = Members::of_str(members.get("_meta")?.get()).ok()?;
        meta.get(RELATED_TASK)?;
        let left = (meta.iter().count() > 1).then(|| meta.with(&[(RELATED_TASK, None)]));
        Some(members.with(&[("_meta", left.as_ref().map(RawJson::as_str))]))
    };
    may_relate(object).then(strip).flatten().unwrap_or_else(|| object.clone())
}

// === impl Created ===

impl fmt::Debug for Created {
    // The id is a capability at its target.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Created").field("poll_ms", &self.poll_ms).finish_non_exhaustive()
    }
}

// === impl Place ===

impl Place {
    /// As an event id of a link's.
    pub fn write(&self) -> Box<str> {
        // Strings and a number: serialising them cannot fail.
        format!("{PLACE}{}", serde_json::to_string(self).unwrap_or_default()).into()
    }

    /// Reads one; none for an event id of a target.
    pub fn read(event_id: &str) -> Option<Self> {
        serde_json::from_str(event_id.strip_prefix(PLACE)?).ok()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("request", &self.request).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn only_what_is_required_and_offered_runs_as_a_task() {
        assert!(requires_task(&raw(r#"{"name":"a","execution":{"taskSupport":"required"}}"#)));
        assert!(!requires_task(&raw(r#"{"name":"a","execution":{"taskSupport":"optional"}}"#)));
        let offers = |text: &str| offers_tool_tasks(&raw(text));
        assert!(offers(r#"{"tasks":{"list":{},"requests":{"tools":{"call":{}}}}}"#));
        for text in ["{}", r#"{"tasks":{}}"#, r#"{"tasks":{"requests":{"tools":{"call":null}}}}"#, "7"] {
            assert!(!offers(text), "{text}");
        }
        let all = RawJson::from_serialize(&serde_json::json!({"tasks": capability()})).unwrap();
        assert_eq!(offered(&all), Offered { calls: true, list: true, cancel: true });
        let some = offered(&raw(r#"{"tasks":{"cancel":{},"list":null,"requests":{"tools":{}}}}"#));
        assert_eq!(some, Offered { calls: false, list: false, cancel: true });
    }

    #[test]
    fn a_request_asks_for_a_task_in_so_many_words() {
        let of = |text: &str| (asks_for_task(&raw(text)), wrong_task(&raw(text)).is_some());
        for fits in [r#"{"task":{}}"#, r#"{"task":{"ttl":null}}"#, r#"{"name":"a","task":{"ttl":1.5e3,"x":1}}"#] {
            assert_eq!(of(fits), (true, false), "{fits}");
        }
        for wrong in [r#"{"task":7}"#, r#"{"task":null}"#, r#"{"task":{"ttl":"1"}}"#, r#"{"task":{"ttl":-1}}"#] {
            assert_eq!(of(wrong), (true, true), "{wrong}");
        }
        for none in ["{}", r#"{"arguments":{"task":1}}"#, "[]"] {
            assert_eq!(of(none), (false, false), "{none}");
        }
    }

    #[test]
    fn a_call_becomes_a_task_and_back() {
        let call = raw(r#"{"name":"a","arguments":{"n":1.0}}"#);
        let task = as_task(&call, 5);
        assert_eq!(task.as_str(), r#"{"name":"a","arguments":{"n":1.0},"task":{"ttl":5}}"#);
        assert_eq!(as_task(&task, 6).as_str(), r#"{"name":"a","arguments":{"n":1.0},"task":{"ttl":6}}"#);
        assert_eq!(as_no_task(&task), call);
        assert_eq!(params("a\"").as_str(), r#"{"taskId":"a\""}"#);
    }

    #[test]
    fn only_a_handle_is_one() {
        let of = |text: &str| created(&raw(text));
        let handle = of(r#"{"_meta":{},"task":{"taskId":"t","status":"working","pollInterval":50}}"#);
        assert_eq!(handle, Some(Created { id: "t".into(), poll_ms: Some(50) }));
        for text in [
            r#"{"content":[],"task":{"taskId":"t"}}"#,
            r#"{"task":{"taskId":7}}"#,
            r#"{"task":"t"}"#,
            r#"{"content":[]}"#,
            "[]",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_client_hears_nothing_of_the_task() {
        let of = |text: &str| without_related(&raw(text)).as_str().to_owned();
        let related = r#""io.modelcontextprotocol\/related-task":{"taskId":"t"}"#;
        assert_eq!(of(&format!(r#"{{"content":[ ],"_meta":{{{related}}}}}"#)), r#"{"content":[ ]}"#);
        assert_eq!(of(&format!(r#"{{"_meta":{{{related},"a":1.0}}}}"#)), r#"{"_meta":{"a":1.0}}"#);
        for same in [r#"{"x":"related-task"}"#, r#"{"_meta":{"a":1}}"#, "[]"] {
            assert_eq!(of(same), same);
        }
    }

    #[test]
    fn a_place_is_read_back_and_no_event_id_is_one() {
        for place in [
            Place { task: "t \"".into(), request: None, event: None, watched: false },
            Place { task: "t".into(), request: Some(-9), event: Some("e\n".into()), watched: true },
        ] {
            assert_eq!(Place::read(&place.write()), Some(place));
        }
        for id in ["", "7", "{}", "sessiongate-task x"] {
            assert_eq!(Place::read(id), None);
        }
    }
}
