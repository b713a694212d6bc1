//! Tasks in the words of 2025-11-25, for a client of sessions that uses them itself: a call that asks for a task is answered
//! with its handle, and the requests about it are those of the extension.
//!
//! | the client asks | the target is asked |
//! |---|---|
//! | `tools/call` with `task` | the same, the extension declared |
//! | `tasks/get` | `tasks/get` |
//! | `tasks/result` | `tasks/get` until the task has ended; what it asks meanwhile is a round of that request |
//! | `tasks/cancel` | `tasks/cancel`, then `tasks/get` until it shows |
//! | `tasks/list` | `tasks/get` for each task that the session names: the extension has no list |

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use sessiongate_protocol::modern::errors;
use sessiongate_protocol::modern::input_required::ResultType;
use sessiongate_protocol::modern::tasks::id_of;
use sessiongate_protocol::tasks::{self, bridge};
use sessiongate_protocol::{RawJson, Request, Response, ResponseBody, codes, jsonrpc};

use super::wire::{Terms, Wire};
use crate::error::TargetError;

/// Looks at a task that was cancelled, until it shows: the extension promises no more than an attempt.
const LOOKS: u32 = 10;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(100);
/// Tasks of a list that are asked for at once.
const AT_ONCE: usize = 8;

#[derive(Deserialize)]
struct AskedFor {
    #[serde(rename = "sessiongate.dev/taskIds", default)]
    ids: Vec<Box<str>>,
}

// === impl Wire ===

impl Wire {
    /// Answers a request about tasks; none for any other, `tasks/result` among them.
    pub(super) async fn tasks(&self, request: &Request, terms: Terms<'_>) -> Option<Result<ResponseBody, TargetError>> {
        let params = request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
        match &*request.method {
            "tasks/get" => Some(self.shown(&params, terms).await),
            "tasks/cancel" => Some(self.cancelled(&params, terms).await),
            "tasks/list" => Some(Ok(self.listed(&params, terms).await)),
            _ => None,
        }
    }

    /// The task as `tasks/get` of 2025-11-25 shows it.
    async fn shown(&self, params: &RawJson, terms: Terms<'_>) -> Result<ResponseBody, TargetError> {
        let response = self.about_task("tasks/get", params, terms).await?;
        Ok(match &response.body {
            ResponseBody::Result(shown) => ResponseBody::Result(bridge::shown(shown)),
            ResponseBody::Error(error) => errors::to_legacy("tasks/get", &self.target, error),
        })
    }

    async fn cancelled(&self, params: &RawJson, terms: Terms<'_>) -> Result<ResponseBody, TargetError> {
        let before = self.shown(params, terms).await?;
        match &before {
            ResponseBody::Error(_) => return Ok(before),
            ResponseBody::Result(task) if bridge::is_terminal(task) => {
                let text = "the task has come to its end already: it cannot be cancelled";
                return Ok(jsonrpc::error_body(codes::INVALID_PARAMS, text, None));
            }
            ResponseBody::Result(_) => {}
        }
        let response = self.about_task("tasks/cancel", params, terms).await?;
        if let ResponseBody::Error(error) = &response.body {
            return Ok(errors::to_legacy("tasks/cancel", &self.target, error));
        }
        let mut after = self.shown(params, terms).await?;
        for _ in 1..LOOKS {
            match &after {
                ResponseBody::Result(task) if !bridge::is_terminal(task) => {}
                _ => break,
            }
            tokio::time::sleep(PAUSE).await;
            after = self.shown(params, terms).await?;
        }
        Ok(after)
    }

    /// The tasks that the session names, without those that the target does not know any more.
    async fn listed(&self, params: &RawJson, terms: Terms<'_>) -> ResponseBody {
        let ids = params.get::<AskedFor>().map(|asked| asked.ids).unwrap_or_default();
        let looks = stream::iter(ids).map(async |id| self.shown(&tasks::params(&id), terms).await);
        let shown: Vec<_> = looks.buffered(AT_ONCE).collect().await;
        let tasks: Vec<&str> = shown
            .iter()
            .filter_map(|shown| match shown {
                Ok(ResponseBody::Result(task)) => Some(task.as_str()),
                Ok(ResponseBody::Error(_)) | Err(_) => None,
            })
            .collect();
        let page = RawJson::parse(format!("{{\"tasks\":[{}]}}", tasks.join(",")));
        ResponseBody::Result(page.unwrap_or(RawJson::EMPTY_OBJECT))
    }

    /// What a task shows now, as the first response of a request for its result.
    pub(super) async fn watched(&self, task: &str, terms: Terms<'_>) -> Result<Response, TargetError> {
        let response = self.about_task("tasks/get", &tasks::params(task), terms).await?;
        let ResponseBody::Result(shown) = &response.body else { return Ok(response) };
        let body = self.first_look(task, shown)?;
        Ok(Response { body, ..response })
    }
}

/// The task that a call began for a client that asked for one.
pub(super) fn handle(params: Option<&RawJson>, result: &RawJson) -> Option<RawJson> {
    let asked = ResultType::of(result) == ResultType::Task && params.is_some_and(tasks::asks_for_task);
    (asked && id_of(result).is_some()).then(|| bridge::created(result))
}
