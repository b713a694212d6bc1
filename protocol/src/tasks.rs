//! Tasks of 2025-11-25 (experimental), of which the gateway is the only client: a tool that runs as nothing else is run as
//! one, and whoever called it waits. Not wire compatible with the extension of 2026-07-28 ([`crate::modern::tasks`]).

use std::fmt;

use memchr::memmem;
use serde::{Deserialize, Serialize};

use crate::json::RawJson;
use crate::members::Members;
use crate::meta::quoted;
use crate::modern::results::RELATED_TASK;

/// What a place of a call that runs as a task begins with: no event id of a target does, unless on purpose.
const PLACE: &str = "sessiongate-task ";

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
}

/// Whether a tool can only be called as a task.
pub fn requires_task(tool: &RawJson) -> bool {
    let says = || {
        let members = Members::of(tool).ok()?;
        let execution = Members::of_str(members.get("execution")?.get()).ok()?;
        execution.get_str("taskSupport").map(|support| support == "required")
    };
    memmem::find(tool.as_bytes(), b"taskSupport").is_some() && says().unwrap_or(false)
}

/// Whether the capabilities of a server say that its tools can be called as tasks.
pub fn offers_tool_tasks(capabilities: &RawJson) -> bool {
    let says = || {
        let members = Members::of(capabilities).ok()?;
        let tasks = Members::of_str(members.get("tasks")?.get()).ok()?;
        let requests = Members::of_str(tasks.get("requests")?.get()).ok()?;
        let tools = Members::of_str(requests.get("tools")?.get()).ok()?;
        Some(tools.get("call")?.get().starts_with('{'))
    };
    says().unwrap_or(false)
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
    // The slash of the name may be escaped, so its end is looked for.
    let may_have = memmem::find(object.as_bytes(), b"related-task").is_some();
    may_have.then(strip).flatten().unwrap_or_else(|| object.clone())
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
        let requires = |text: &str| requires_task(&raw(text));
        assert!(requires(r#"{"name":"a","execution":{"taskSupport":"required"}}"#));
        for text in [
            r#"{"name":"a","execution":{"taskSupport":"optional"}}"#,
            r#"{"name":"a","description":"taskSupport required"}"#,
            r#"{"execution":"taskSupport"}"#,
            "[]",
        ] {
            assert!(!requires(text), "{text}");
        }
        let offers = |text: &str| offers_tool_tasks(&raw(text));
        assert!(offers(r#"{"tasks":{"list":{},"requests":{"tools":{"call":{}}}}}"#));
        for text in ["{}", r#"{"tasks":{}}"#, r#"{"tasks":{"requests":{"tools":{"call":null}}}}"#, "7"] {
            assert!(!offers(text), "{text}");
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
            Place { task: "t \"".into(), request: None, event: None },
            Place { task: "t".into(), request: Some(-9), event: Some("e\n".into()) },
        ] {
            assert_eq!(Place::read(&place.write()), Some(place));
        }
        for id in ["", "7", "{}", "sessiongate-task x"] {
            assert_eq!(Place::read(id), None);
        }
    }
}
