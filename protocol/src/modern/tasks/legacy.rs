//! Tasks of 2025-11-25 in the words of the extension. There a task is nested in the result that hands it out, its result and
//! its questions come by requests of their own, and one whose tool failed has failed; here it is flat, `tasks/get` has
//! everything, and only a JSON-RPC error is a failure.

use serde::Deserialize;
use serde_json::json;

use super::TaskError;
use crate::json::RawJson;
use crate::jsonrpc::{Request, ResponseBody};
use crate::members::Members;
use crate::meta::quoted;
use crate::modern::input_required::InputRequest;
use crate::modern::{envelope, errors, url_required};
use crate::tasks;

/// What a target says of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It runs.
    Working,
    /// It waits for answers, which are asked for on the stream of a `tasks/result`.
    InputRequired,
    /// It has a result.
    Completed,
    /// It has a result that is an error, or none.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// What a client is told of a task, with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Working,
    /// It waits for these answers.
    InputRequired(Vec<InputRequest>),
    /// Its result, that of a tool that failed included.
    Completed(RawJson),
    /// Its JSON-RPC error.
    Failed(RawJson),
    /// It was cancelled.
    Cancelled,
}

/// The status of a task.
///
/// # Errors
/// [`TaskError::NoStatus`] where it has none of the five.
pub fn status(task: &RawJson) -> Result<Status, TaskError> {
    let members = Members::of(task).map_err(|_| TaskError::NoStatus)?;
    let raw = members.get("status").ok_or(TaskError::NoStatus)?;
    serde_json::from_str(raw.get()).map_err(|_| TaskError::NoStatus)
}

/// How often the target wants to be asked about a task, in milliseconds.
pub fn poll_interval(task: &RawJson) -> Option<u64> {
    number(&Members::of(task).ok()?, "pollInterval")
}

/// What the target says of a task in words.
pub fn message(task: &RawJson) -> Option<Box<str>> {
    Some(Members::of(task).ok()?.get_str("statusMessage")?.into())
}

/// The result that hands out a task, flat: `result` is that of a target, `token` the client's id. `life_ms` bounds the time
/// for which the task can be known.
///
/// # Errors
/// Where it holds no task that can be read.
pub fn created(result: &RawJson, token: &str, life_ms: u64) -> Result<RawJson, TaskError> {
    let result = tasks::without_related(result);
    let members = Members::of(&result).map_err(|_| TaskError::NoId)?;
    let task = members.get("task").and_then(|task| RawJson::parse(task.get().to_owned()).ok());
    let task = task.ok_or(TaskError::NoId)?;
    let status = status(&task)?;
    let inner = Members::of(&task).map_err(|_| TaskError::NoId)?;
    // A handle has no results and no questions yet: the client asks for them.
    let mut changes = base(&inner, token, life_ms);
    changes.push(("resultType", Some("\"task\"".into())));
    changes.push(("status", Some(quoted(status.seen()))));
    changes.push(("_meta", members.get("_meta").map(|meta| meta.get().to_owned())));
    Ok(apply(&inner, &changes))
}

/// What `tasks/get` says of a task, without its `resultType` and the gateway's `_meta`: `task` is what the target says.
///
/// # Errors
/// Where that cannot be read.
pub fn detailed(task: &RawJson, token: &str, life_ms: u64, state: &State) -> Result<RawJson, TaskError> {
    let task = tasks::without_related(task);
    let members = Members::of(&task).map_err(|_| TaskError::NoId)?;
    let mut changes = base(&members, token, life_ms);
    changes.push(("resultType", None));
    changes.push(("status", Some(quoted(state.status()))));
    let payload = match state {
        State::Working | State::Cancelled => None,
        State::InputRequired(requests) if requests.is_empty() => None,
        State::InputRequired(requests) => Some(("inputRequests", all(requests))),
        State::Completed(result) => Some(("result", result.as_str().to_owned())),
        State::Failed(error) => Some(("error", error.as_str().to_owned())),
    };
    if let Some((name, payload)) = payload {
        changes.retain(|(known, _)| *known != name);
        changes.push((name, Some(payload)));
    }
    Ok(apply(&members, &changes))
}

/// What a task has come to by the answer to `tasks/result`; `task` is what the target says of it, `target` its name to show.
pub fn outcome(body: &ResponseBody, task: &RawJson, target: &str) -> State {
    let result = match body {
        ResponseBody::Result(result) => result,
        ResponseBody::Error(error) => match errors::to_modern(target, error) {
            ResponseBody::Result(result) => return State::Completed(result),
            ResponseBody::Error(error) => return State::Failed(error),
        },
    };
    // Some servers say in the task alone why there is no result.
    let empty = || {
        let text = tasks::words(task).unwrap_or_else(|| "the task ended without a result".into());
        let result = json!({"content": [{"type": "text", "text": text}], "isError": true, "resultType": "complete"});
        State::Completed(RawJson::trusted(result.to_string()))
    };
    let result = tasks::without_related(result);
    match Members::of(&result) {
        Ok(members) if members.get("content").or(members.get("structuredContent")).is_some() => {
            State::Completed(members.with(&[("resultType", Some("\"complete\""))]))
        }
        _ => empty(),
    }
}

/// A question of the target, which a session put under an id of its own, as it is put to the client. The key is the same
/// each time, and no other question of the session has it.
pub fn question(request: Request) -> InputRequest {
    let params = request.params.and_then(|params| url_required::to_modern_params(&params).ok());
    let params = params.map(|params| envelope::remove(&tasks::without_related(&params)));
    let key = format!("q{}", request.id.as_raw().trim_matches('"'));
    InputRequest { key: key.into(), method: request.method, params }
}

// === impl Status ===

impl Status {
    /// As a handle says it: what belongs to the others has yet to be asked for, and a tool that failed has completed.
    fn seen(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            _ => "working",
        }
    }
}

// === impl State ===

impl State {
    fn status(&self) -> &'static str {
        match self {
            Self::Working => "working",
            // Whoever has nothing to answer can only wait.
            Self::InputRequired(requests) if requests.is_empty() => "working",
            Self::InputRequired(_) => "input_required",
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

// === helpers ===

type Changes = Vec<(&'static str, Option<String>)>;

/// What all forms of a task have in common. Members that hold something else in this era are left out.
fn base(task: &Members<'_>, token: &str, life_ms: u64) -> Changes {
    // No time at all means for ever, and the conversation does not last for ever.
    let ttl = number(task, "ttl").map_or(life_ms, |ttl| ttl.min(life_ms));
    vec![
        ("ttl", None),
        ("pollInterval", None),
        ("inputRequests", None),
        ("result", None),
        ("error", None),
        ("taskId", Some(quoted(token))),
        ("ttlMs", Some(ttl.to_string())),
        ("pollIntervalMs", number(task, "pollInterval").map(|poll| poll.to_string())),
    ]
}

/// A number that is not below zero, rounded down. It may be written as a fraction.
fn number(task: &Members<'_>, name: &str) -> Option<u64> {
    let number = task.get(name)?.get().parse::<f64>().ok().filter(|number| *number >= 0.0)?;
    // Larger than all whole numbers that JSON readers agree on.
    Some((number as u64).min(1 << 53))
}

fn apply(task: &Members<'_>, changes: &Changes) -> RawJson {
    let changes: Vec<_> = changes.iter().map(|(name, value)| (*name, value.as_deref())).collect();
    task.with(&changes)
}

fn all(requests: &[InputRequest]) -> String {
    let mut out = String::from("{");
    for (at, request) in requests.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        request.write(&mut out);
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonrpc::RequestId;

    const TIMES: &str = r#""createdAt":"2026-01-01T00:00:00Z","lastUpdatedAt":"2026-01-01T00:00:01Z""#;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    fn told(task: &str, state: &State) -> String {
        detailed(&raw(task), "T", 5000, state).unwrap().as_str().to_owned()
    }

    #[test]
    fn a_handle_becomes_flat() {
        let of = |task: &str, rest: &str| {
            let result = format!(r#"{{"task":{{"taskId":"t",{TIMES},{task}}}{rest}}}"#);
            created(&raw(&result), "T", 5000).unwrap().as_str().to_owned()
        };
        for (task, expected) in [
            (
                r#""status":"working","ttl":100,"pollInterval":50"#,
                r#""status":"working","ttlMs":100,"pollIntervalMs":50,"resultType":"task""#,
            ),
            (r#""status":"working","ttl":null"#, r#""status":"working","ttlMs":5000,"resultType":"task""#),
            (r#""status":"working","ttl":9000"#, r#""status":"working","ttlMs":5000,"resultType":"task""#),
            (r#""status":"working","ttl":1.5e3"#, r#""status":"working","ttlMs":1500,"resultType":"task""#),
            (r#""status":"working","pollInterval":-1"#, r#""status":"working","ttlMs":5000,"resultType":"task""#),
            // What belongs to these has yet to be asked for.
            (r#""status":"input_required""#, r#""status":"working","ttlMs":5000,"resultType":"task""#),
            (r#""status":"completed""#, r#""status":"working","ttlMs":5000,"resultType":"task""#),
            (r#""status":"failed""#, r#""status":"working","ttlMs":5000,"resultType":"task""#),
            (r#""status":"cancelled""#, r#""status":"cancelled","ttlMs":5000,"resultType":"task""#),
            (r#""status":"working","x":[ ]"#, r#""status":"working","x":[ ],"ttlMs":5000,"resultType":"task""#),
        ] {
            assert_eq!(of(task, ""), format!(r#"{{"taskId":"T",{TIMES},{expected}}}"#), "{task}");
        }
        let meta = r#","_meta":{"a":1,"io.modelcontextprotocol/related-task":{"taskId":"t"}}"#;
        assert!(of(r#""status":"working""#, meta).ends_with(r#""resultType":"task","_meta":{"a":1}}"#));
        for (odd, error) in [
            ("{}", TaskError::NoId),
            (r#"{"task":{"taskId":"t"}}"#, TaskError::NoStatus),
            (r#"{"task":{"taskId":"t","status":"odd"}}"#, TaskError::NoStatus),
            (r#"{"task":7}"#, TaskError::NoStatus),
        ] {
            assert_eq!(created(&raw(odd), "T", 5000), Err(error), "{odd}");
        }
    }

    #[test]
    fn each_status_carries_what_belongs_to_it() {
        let question = Request { id: RequestId::integer(3), method: "roots/list".into(), params: None };
        let asks = State::InputRequired(vec![super::question(question)]);
        for (status, state, expected) in [
            ("working", State::Working, r#""status":"working""#),
            ("cancelled", State::Cancelled, r#""status":"cancelled""#),
            ("input_required", asks, r#""status":"input_required","inputRequests":{"q3":{"method":"roots/list"}}"#),
            ("input_required", State::InputRequired(Vec::new()), r#""status":"working""#),
            ("completed", State::Completed(raw("{ }")), r#""status":"completed","result":{ }"#),
            (
                "failed",
                State::Completed(raw(r#"{"isError":true}"#)),
                r#""status":"completed","result":{"isError":true}"#,
            ),
            ("failed", State::Failed(raw(r#"{"code":1}"#)), r#""status":"failed","error":{"code":1}"#),
        ] {
            let task =
                format!(r#"{{"taskId":"t","status":"{status}",{TIMES},"ttl":1,"result":7,"error":7,"resultType":7}}"#);
            let told: serde_json::Value = serde_json::from_str(&told(&task, &state)).unwrap();
            let expected = format!(r#"{{"taskId":"T",{TIMES},"ttlMs":1,{expected}}}"#);
            assert_eq!(told, serde_json::from_str::<serde_json::Value>(&expected).unwrap(), "{status}");
        }
        let spelled = told(
            r#"{"taskId":"t","status":"completed","statusMessage":"\u0061"}"#,
            &State::Completed(raw("{\"n\":1.0}")),
        );
        assert!(spelled.contains(r#""statusMessage":"\u0061""#) && spelled.contains(r#""n":1.0"#), "{spelled}");
    }

    #[test]
    fn only_an_error_is_a_failure() {
        let of = |body: ResponseBody, task: &str| outcome(&body, &raw(task), "t");
        let completed = |body: &str, task: &str| match of(ResponseBody::Result(raw(body)), task) {
            State::Completed(result) => serde_json::from_str::<serde_json::Value>(result.as_str()).unwrap(),
            other => panic!("{other:?}"),
        };
        let related =
            r#"{"content":[],"isError":true,"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#;
        let result = completed(related, r#"{"status":"failed"}"#);
        assert_eq!((&result["isError"], &result["resultType"]), (&json!(true), &json!("complete")));
        assert_eq!(result.get("_meta"), None);
        let result = completed("{}", r#"{"status":"failed","statusMessage":"kaboom"}"#);
        assert_eq!((&result["content"][0]["text"], &result["isError"]), (&json!("kaboom"), &json!(true)));
        let error = |text: &str| of(ResponseBody::Error(raw(text)), "{}");
        assert_eq!(error(r#"{"code":-32603,"message":"x"}"#), State::Failed(raw(r#"{"code":-32603,"message":"x"}"#)));
        let State::Failed(other) = error(r#"{"code":-32002,"message":"x"}"#) else { panic!() };
        assert_eq!(other.as_str(), r#"{"code":-32602,"message":"x"}"#);
    }

    #[test]
    fn a_question_loses_what_only_sessions_know() {
        let params = r#"{"mode":"url","elicitationId":"e","message":"m","url":"https://a","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#;
        let request =
            Request { id: RequestId::integer(7), method: "elicitation/create".into(), params: Some(raw(params)) };
        let asked = question(request);
        assert_eq!((&*asked.key, &*asked.method), ("q7", "elicitation/create"));
        assert_eq!(asked.params.unwrap().as_str(), r#"{"mode":"url","message":"m","url":"https://a"}"#);
    }
}
