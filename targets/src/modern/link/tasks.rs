//! Tasks of the target (2026-07-28, the extension `io.modelcontextprotocol/tasks`) in calls of clients of sessions, which know
//! nothing of it: see [`super::handles`] for those that know tasks of their own.
//!
//! Nobody offers the target tasks, until it refuses a call for want of them (-32021): that call is repeated with the
//! extension declared. The task that it begins becomes a round of the call that asks nothing, with the task in its
//! `requestState`; the next round polls the task, and what the task asks is a round again. So rounds keep the place of a
//! task as they keep their own, and another process can go on with it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sessiongate_protocol::jsonrpc::ErrorShape;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::input_required::{InputRequired, RequestState, ResultType, input_responses};
use sessiongate_protocol::modern::{profile, tasks};
use sessiongate_protocol::{RawJson, Response, ResponseBody, codes, jsonrpc};

use super::wire::{Terms, Unheard, Wire};
use crate::error::TargetError;

/// What the state of a round begins with that is a task: no target's own does, unless on purpose.
const STATE: &str = "sessiongate-task ";
/// Between two looks at a task, where the target names no time, and its bounds where it does.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// Looks in a row that may come to nothing.
const MAX_FAILURES: u32 = 10;
/// Calls that are remembered so that their tasks can be cancelled. Those that nobody waits for any more are among them.
const MAX_TASKS: usize = 512;
/// Whoever cancels waits no longer.
const CANCEL_TIME: Duration = Duration::from_secs(10);

/// A task of a call, as the state of a round.
#[derive(Serialize, Deserialize)]
struct Task {
    #[serde(rename = "t")]
    id: Box<str>,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    poll_ms: Option<u64>,
    /// Questions that were answered: a look may still show them.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    answered: Vec<Box<str>>,
    /// The client has its handle, and waits for its result: it does not end with that request.
    #[serde(rename = "w", default, skip_serializing_if = "std::ops::Not::not")]
    watched: bool,
}

/// What a look at a task shows.
enum Status {
    Working,
    Done(ResponseBody),
    Asks(RawJson),
}

/// Whether this is the state of a round that is a task: going on with it twice does no harm.
pub(super) fn is_task(state: &RawJson) -> bool {
    state.get::<String>().is_ok_and(|text| text.starts_with(STATE))
}

/// The task in the state of a round whose client knows it as one.
pub(super) fn watched_by(state: &RawJson) -> Option<Box<str>> {
    let text: String = state.get().ok()?;
    let task: Task = serde_json::from_str(text.strip_prefix(STATE)?).ok()?;
    task.watched.then_some(task.id)
}

/// Whether the target refuses a call because only a task can be made of it.
pub(super) fn wants_task(response: &Response) -> bool {
    let ResponseBody::Error(error) = &response.body else { return false };
    let Ok(shape) = error.borrow::<ErrorShape<'_>>() else { return false };
    let required = || {
        let data: serde_json::Value = serde_json::from_str(shape.data?.get()).ok()?;
        RawJson::from_serialize(data.get("requiredCapabilities")?).ok()
    };
    shape.code == codes::MISSING_CLIENT_CAPABILITY && required().is_some_and(|required| tasks::declared(&required))
}

// === impl Wire ===

impl Wire {
    /// A response that begins a task, as a round that asks nothing; any other as it is.
    pub(super) fn begun(&self, call: i64, response: Response) -> Result<Response, TargetError> {
        let ResponseBody::Result(result) = &response.body else { return Ok(response) };
        if ResultType::of(result) != ResultType::Task {
            return Ok(response);
        }
        let Some(id) = tasks::id_of(result) else {
            return Err(TargetError::Protocol { detail: "a task without a readable `taskId`".into() });
        };
        self.note_task(call, &id);
        let round = Task { id, poll_ms: poll_ms(result), answered: Vec::new(), watched: false }.round(None);
        Ok(Response { body: ResponseBody::Result(round), ..response })
    }

    /// What a request for the result of a task begins with: the result, or a round.
    pub(super) fn first_look(&self, id: &str, shown: &RawJson) -> Result<ResponseBody, TargetError> {
        let task = Task { id: id.into(), poll_ms: poll_ms(shown), answered: Vec::new(), watched: true };
        Ok(match status(shown)? {
            Status::Done(body) => body,
            Status::Asks(requests) => ResponseBody::Result(task.round(Some(&requests))),
            Status::Working => ResponseBody::Result(task.round(None)),
        })
    }

    /// So that it can be cancelled with its call.
    fn note_task(&self, call: i64, task: &str) {
        let mut tasks = self.tasks.lock();
        tasks.insert(call, task.into());
        if tasks.len() > MAX_TASKS {
            tasks.pop_first();
        }
    }

    /// Goes on with the task in the state of these params, where there is one: hands over the answers, then looks until
    /// the task is done or asks more.
    pub(super) async fn go_on_with_task(
        &self,
        call: i64,
        params: &RawJson,
        terms: Terms<'_>,
    ) -> Option<Result<Response, TargetError>> {
        let state = RequestState::of(params).ok()??;
        let task: Task = serde_json::from_str(state.text().strip_prefix(STATE)?).ok()?;
        if !task.watched {
            self.note_task(call, &task.id);
        }
        let outcome = self.follow(task, params, terms).await;
        let asks = match &outcome {
            Ok(Response { body: ResponseBody::Result(result), .. }) => {
                ResultType::of(result) == ResultType::InputRequired
            }
            _ => false,
        };
        if !asks {
            self.tasks.lock().remove(&call);
        }
        Some(outcome)
    }

    async fn follow(&self, mut task: Task, params: &RawJson, terms: Terms<'_>) -> Result<Response, TargetError> {
        let named = RawJson::from_serialize(&serde_json::json!({"taskId": task.id})).unwrap_or(RawJson::EMPTY_OBJECT);
        let answers = Members::of(params).ok().and_then(|members| members.get("inputResponses"));
        if let (Some(answers), Ok(Some(responses))) = (answers, input_responses(params)) {
            let update = Members::of(&named).map(|named| named.with(&[("inputResponses", Some(answers.get()))]));
            let update = update.unwrap_or(RawJson::EMPTY_OBJECT);
            let response = self.about_task("tasks/update", &update, terms).await?;
            if matches!(response.body, ResponseBody::Error(_)) {
                return Ok(response);
            }
            task.answered.extend(responses.into_iter().map(|(key, _)| key));
        }
        let mut failures = 0;
        loop {
            let pause = task.poll_ms.map_or(PAUSE, |poll| Duration::from_millis(poll).clamp(PAUSES.0, PAUSES.1));
            let response = match self.about_task("tasks/get", &named, terms).await {
                Ok(response) => response,
                Err(error) if failures < MAX_FAILURES && passes(&error) => {
                    failures += 1;
                    tracing::debug!(error = error.code(), "a task could not be looked at, trying again");
                    tokio::time::sleep(pause.max(PAUSE)).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            failures = 0;
            let ResponseBody::Result(shown) = &response.body else { return Ok(response) };
            task.poll_ms = poll_ms(shown).or(task.poll_ms);
            match status(shown)? {
                Status::Done(body) => return Ok(Response { body, ..response }),
                Status::Asks(requests) => {
                    if let Some(new) = unanswered(&requests, &task.answered) {
                        let body = ResponseBody::Result(task.round(Some(&new)));
                        return Ok(Response { body, ..response });
                    }
                }
                Status::Working => {}
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends a request of the extension.
    ///
    /// # Errors
    /// As [`Wire::request`].
    pub(super) async fn about_task(
        &self,
        method: &str,
        params: &RawJson,
        terms: Terms<'_>,
    ) -> Result<Response, TargetError> {
        self.exchange_with(method, params, &Unheard, terms, true).await
    }

    /// The client cancelled the call.
    pub(super) async fn cancel_task(&self, task: &str) {
        let Ok(params) = RawJson::from_serialize(&serde_json::json!({"taskId": task})) else { return };
        let deadline = (tokio::time::Instant::now() + CANCEL_TIME).into_std();
        if let Err(error) = self.about_task("tasks/cancel", &params, Terms { deadline, passed: None }).await {
            tracing::debug!(error = error.code(), detail = ?error, "a task was not cancelled");
        }
    }

    /// What the envelope declares, with the extension.
    pub(super) fn capabilities_with_tasks(&self) -> RawJson {
        profile::with_extension(&self.capabilities, tasks::EXTENSION)
    }
}

// === impl Task ===

impl Task {
    fn round(&self, requests: Option<&RawJson>) -> RawJson {
        // Strings and a number: serialising them cannot fail.
        let state = RequestState::new(&format!("{STATE}{}", serde_json::to_string(self).unwrap_or_default()));
        let round = InputRequired { requests: Vec::new(), request_state: Some(state) }.write(&RawJson::EMPTY_OBJECT);
        match (Members::of(&round), requests) {
            (Ok(members), Some(requests)) => members.with(&[("inputRequests", Some(requests.as_str()))]),
            _ => round.clone(),
        }
    }
}

// === helpers ===

fn poll_ms(shown: &RawJson) -> Option<u64> {
    Members::of(shown).ok()?.get("pollIntervalMs")?.get().parse().ok()
}

fn status(shown: &RawJson) -> Result<Status, TargetError> {
    let unreadable = |what: &str| TargetError::Protocol { detail: format!("a task {what}") };
    let members = Members::of(shown).map_err(|_| unreadable("that cannot be read"))?;
    let part = |name: &str| members.get(name).and_then(|raw| RawJson::parse(raw.get().to_owned()).ok());
    Ok(match members.get_str("status").as_deref() {
        Some("working") => Status::Working,
        Some("input_required") => part("inputRequests").map_or(Status::Working, Status::Asks),
        Some("completed") => {
            Status::Done(ResponseBody::Result(part("result").ok_or_else(|| unreadable("without its result"))?))
        }
        Some("failed") => {
            Status::Done(ResponseBody::Error(part("error").ok_or_else(|| unreadable("without its error"))?))
        }
        Some("cancelled") => {
            Status::Done(jsonrpc::error_body(codes::INTERNAL_ERROR, "the task was cancelled at the target", None))
        }
        _ => return Err(unreadable("of an unknown status")),
    })
}

/// The questions that have no answer yet; none where there are none.
fn unanswered(requests: &RawJson, answered: &[Box<str>]) -> Option<RawJson> {
    let members = Members::of(requests).ok()?;
    let drops: Vec<(&str, Option<&str>)> = answered.iter().map(|key| (&**key, None)).collect();
    let new = members.iter().any(|(key, _)| !answered.iter().any(|known| **known == *key));
    new.then(|| members.with(&drops))
}

/// Whether looking again may help.
fn passes(error: &TargetError) -> bool {
    matches!(
        error,
        TargetError::Unreachable { .. }
            | TargetError::OutcomeUnknown { .. }
            | TargetError::Exhausted { .. }
            | TargetError::Status { status: 429 | 502..=504, .. }
    )
}
