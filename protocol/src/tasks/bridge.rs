//! Tasks of the extension of 2026-07-28 in the words of 2025-11-25, for a client of sessions whose target is modern.
//!
//! | the extension | 2025-11-25 |
//! |---|---|
//! | a flat result with `resultType: "task"` | `task` in a result |
//! | `ttlMs`, `pollIntervalMs` | `ttl`, `pollInterval` |
//! | `result`, `error` and `inputRequests` of `tasks/get` | what `tasks/result` brings |
//! | `completed` with a result that has `isError` | `failed` |

use crate::json::RawJson;
use crate::members::Members;
use crate::modern::results;

/// What `tasks/get` of the extension shows beyond the task itself.
const INLINED: [&str; 6] = ["resultType", "result", "error", "inputRequests", "ttlMs", "pollIntervalMs"];

/// A result that hands out a task, as a `CreateTaskResult`. What cannot be read comes back as it was.
pub fn created(result: &RawJson) -> RawJson {
    let task = shown(result);
    let Ok(members) = Members::of(&task) else { return result.clone() };
    match members.get("_meta").map(|raw| raw.get().to_owned()) {
        None => RawJson::trusted(format!("{{\"task\":{}}}", task.as_str())),
        Some(meta) => {
            let bare = members.with(&[("_meta", None)]);
            RawJson::trusted(format!("{{\"task\":{},\"_meta\":{meta}}}", bare.as_str()))
        }
    }
}

/// What `tasks/get` of the extension shows, as the `Task` that `tasks/get` of 2025-11-25 answers with.
pub fn shown(result: &RawJson) -> RawJson {
    let legacy = results::to_legacy("tasks/get", result);
    let (Ok(members), Ok(before)) = (Members::of(&legacy), Members::of(result)) else { return result.clone() };
    let text = |name: &str| before.get(name).map(|raw| raw.get());
    // A member that is null and one that is missing say the same here: no limit.
    let ttl = text("ttlMs").unwrap_or("null");
    let mut changes: Vec<(&str, Option<&str>)> =
        INLINED.into_iter().filter(|name| members.get(name).is_some()).map(|name| (name, None)).collect();
    changes.push(("ttl", Some(ttl)));
    if let Some(poll) = text("pollIntervalMs") {
        changes.push(("pollInterval", Some(poll)));
    }
    if is_failed(&members) {
        changes.push(("status", Some("\"failed\"")));
    }
    members.with(&changes)
}

/// In 2025-11-25 a tool that reports a failure has failed as a task.
fn is_failed(members: &Members<'_>) -> bool {
    let says_so = || {
        let result = Members::of_str(members.get("result")?.get()).ok()?;
        Some(result.get("isError")?.get() == "true")
    };
    members.get_str("status").as_deref() == Some("completed") && says_so().unwrap_or(false)
}

/// Whether a task of either era says that it has come to its end.
pub fn is_terminal(task: &RawJson) -> bool {
    let status = Members::of(task).ok().and_then(|members| members.get_str("status").map(|status| status.into_owned()));
    matches!(status.as_deref(), Some("completed" | "failed" | "cancelled"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn a_handle_of_the_extension_becomes_one_of_2025() {
        let of = |text: &str| created(&raw(text)).as_str().to_owned();
        assert_eq!(
            of(
                r#"{"resultType":"task","taskId":"t","status":"working","createdAt":"a","ttlMs":1.50e3,"pollIntervalMs":250,"x":[ ]}"#
            ),
            r#"{"task":{"taskId":"t","status":"working","createdAt":"a","x":[ ],"ttl":1.50e3,"pollInterval":250}}"#
        );
        let meta = r#""_meta":{"a":1.0,"io.modelcontextprotocol/serverInfo":{}}"#;
        assert_eq!(
            of(&format!(r#"{{"resultType":"task","taskId":"t",{meta}}}"#)),
            r#"{"task":{"taskId":"t","ttl":null},"_meta":{"a":1.0}}"#
        );
        assert_eq!(of("[]"), "[]");
    }

    #[test]
    fn a_task_is_shown_without_what_is_fetched_in_another_way() {
        let of = |text: &str| shown(&raw(text)).as_str().to_owned();
        let all = r#"{"resultType":"complete","taskId":"t","status":"S","ttlMs":null,R}"#;
        for (status, inlined, expected) in [
            (
                "working",
                r#""statusMessage":"m""#,
                r#"{"taskId":"t","status":"working","statusMessage":"m","ttl":null}"#,
            ),
            ("completed", r#""result":{"content":[]}"#, r#"{"taskId":"t","status":"completed","ttl":null}"#),
            ("completed", r#""result":{"isError":true}"#, r#"{"taskId":"t","status":"failed","ttl":null}"#),
            ("failed", r#""error":{"code":1}"#, r#"{"taskId":"t","status":"failed","ttl":null}"#),
            ("input_required", r#""inputRequests":{}"#, r#"{"taskId":"t","status":"input_required","ttl":null}"#),
        ] {
            let text = all.replace('S', status).replace('R', inlined);
            assert_eq!(of(&text), expected);
        }
    }

    #[test]
    fn three_statuses_are_the_end() {
        let of = |status: &str| is_terminal(&raw(&format!(r#"{{"status":"{status}"}}"#)));
        assert!(["completed", "failed", "cancelled"].into_iter().all(of));
        assert!(!["working", "input_required", ""].into_iter().any(of));
        assert!(!is_terminal(&raw("[]")));
    }
}
