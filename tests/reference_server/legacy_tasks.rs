//! Tasks of 2025-11-25 (experimental), which the SDK no longer has: the same jobs as those of the extension, in the words
//! of sessions. A task belongs to the session that began it, and asks on the stream of the first `tasks/result`.
//!
//! The SDK reads requests into types that know nothing of `params.task`, so what concerns tasks gets another method before
//! the SDK sees it, and comes back as a request that it does not know.

use std::{borrow::Cow, collections::BTreeSet, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{Method, StatusCode, header::CONTENT_LENGTH},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::future::join_all;
use parking_lot::Mutex;
use rmcp::{
    ErrorData,
    model::{DetailedTask, ErrorCode, InputResponses, JsonObject, TaskPayload},
    service::ServiceError,
};
use serde_json::{Value, json};

use crate::{
    catalogue::model,
    server::{Context, ReferenceServer},
};

/// The tools that can be tasks, and whether they can be something else.
const JOBS: [(&str, &str); 5] = [
    ("slow_compute", "optional"),
    ("failing_job", "required"),
    ("protocol_error_job", "required"),
    ("confirm_delete", "required"),
    ("multi_input", "required"),
];
/// Before the method of what concerns tasks.
const PREFIX: &str = "sessiongate/";
const LARGEST: usize = 64 << 20;
/// Between two looks at a task.
const LOOK: Duration = Duration::from_millis(10);
const RELATED: &str = "io.modelcontextprotocol/related-task";

/// The tasks of one session.
#[derive(Default)]
pub struct Tasks {
    ids: Mutex<BTreeSet<String>>,
    /// Questions that were asked already, by task and key.
    asked: Mutex<BTreeSet<(String, String)>>,
}

/// Whether a tool is one of the jobs.
pub fn is_job(name: &str) -> bool {
    JOBS.iter().any(|(job, _)| *job == name)
}

/// Takes what concerns tasks past the SDK's types, and says what the SDK cannot say.
pub async fn translate(request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (mut head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let method = message["method"].as_str().unwrap_or_default().to_owned();
    let concerns = method.starts_with("tasks/") || method == "tools/call" && message["params"].get("task").is_some();
    let body = match concerns {
        true => {
            let mut message = message;
            message["method"] = json!(format!("{PREFIX}{method}"));
            Bytes::from(message.to_string())
        }
        false => body,
    };
    head.headers.remove(CONTENT_LENGTH);
    let response = next.run(Request::from_parts(head, Body::from(body))).await;
    match method.as_str() {
        "initialize" | "tools/list" => with_tasks(response).await,
        _ => response,
    }
}

/// The response with the capability, and with what each tool says of tasks.
async fn with_tasks(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let Ok(body) = to_bytes(body, LARGEST).await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let capability = json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}});
    let mut text = String::from_utf8_lossy(&body).replacen(
        "\"capabilities\":{",
        &format!("\"capabilities\":{{\"tasks\":{capability},"),
        1,
    );
    for (name, support) in JOBS {
        let said = format!("\"name\":\"{name}\"");
        text = text.replacen(&said, &format!("{said},\"execution\":{{\"taskSupport\":\"{support}\"}}"), 1);
    }
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(text))
}

// === impl ReferenceServer ===

impl ReferenceServer {
    /// Answers a request that the SDK does not know.
    pub async fn task_request(&self, method: &str, params: &Value, context: &Context) -> Result<Value, ErrorData> {
        let id = params["taskId"].as_str().unwrap_or_default();
        match method.strip_prefix(PREFIX) {
            Some("tools/call") => self.begin_task(params),
            Some("tasks/get") => Ok(shown(&self.known(id)?)),
            Some("tasks/result") => self.task_result(id, context).await,
            Some("tasks/list") => {
                let ids = self.session.tasks.ids.lock().clone();
                let tasks: Vec<Value> = ids.iter().filter_map(|id| Some(shown(&self.known(id).ok()?))).collect();
                Ok(json!({"tasks": tasks}))
            }
            Some("tasks/cancel") => {
                let task = self.known(id)?;
                if task.status().is_terminal() {
                    return Err(ErrorData::invalid_params("the task is over", None));
                }
                self.shared.tasks.cancel_task(id)?;
                let mut ended = shown(&task);
                ended["status"] = json!("cancelled");
                Ok(ended)
            }
            _ => Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, Cow::from(method.to_owned()), None)),
        }
    }

    fn known(&self, id: &str) -> Result<DetailedTask, ErrorData> {
        let unknown = || ErrorData::invalid_params("unknown task", None);
        if !self.session.tasks.ids.lock().contains(id) {
            return Err(unknown());
        }
        self.shared.tasks.get_task(id).map_err(|_| unknown())
    }

    fn begin_task(&self, params: &Value) -> Result<Value, ErrorData> {
        let name = params["name"].as_str().filter(|name| is_job(name));
        let Some(name) = name else { return Err(ErrorData::invalid_params("no tool that can be a task", None)) };
        let arguments: JsonObject = model(params.get("arguments").cloned().unwrap_or_else(|| json!({})))?;
        let task = self.spawn_job(name, arguments, params["task"]["ttl"].as_u64());
        self.session.tasks.ids.lock().insert(task.task_id.clone());
        self.shared.record("task", name, json!(task.task_id));
        Ok(json!({"task": renamed(json!(task))}))
    }

    /// Waits for the end; what the task asks meanwhile is asked on the stream of this request, once.
    async fn task_result(&self, id: &str, context: &Context) -> Result<Value, ErrorData> {
        loop {
            let related = json!({RELATED: {"taskId": id}});
            match self.known(id)?.payload {
                TaskPayload::Completed { result } => {
                    let mut result = Value::Object(result);
                    result["_meta"] = related;
                    return Ok(result);
                }
                TaskPayload::Failed { error } => return Err(model(Value::Object(error))?),
                TaskPayload::Cancelled => return Err(ErrorData::invalid_params("the task was cancelled", None)),
                TaskPayload::InputRequired { input_requests } => {
                    let asked = input_requests
                        .iter()
                        .filter(|(key, _)| self.session.tasks.asked.lock().insert((id.to_owned(), (*key).clone())));
                    let asked = asked.map(async |(key, request)| {
                        let mut params = json!(request)["params"].clone();
                        params["_meta"] = related.clone();
                        let answer = context.peer.create_elicitation(model(params)?).await;
                        let answer = answer.map_err(|error| ErrorData::internal_error(words(error), None))?;
                        self.shared.answered("task", key, json!(answer));
                        let answers: InputResponses = [(key.clone(), json!(answer))].into_iter().collect();
                        self.shared.tasks.update_task(id, answers)
                    });
                    for answered in join_all(asked).await {
                        answered?;
                    }
                }
                _ => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn words(error: ServiceError) -> String {
    match error {
        ServiceError::McpError(error) => error.message.into_owned(),
        other => other.to_string(),
    }
}

/// A task as 2025-11-25 has it: a tool that failed has failed.
fn shown(task: &DetailedTask) -> Value {
    let failed =
        matches!(&task.payload, TaskPayload::Completed { result } if result.get("isError") == Some(&json!(true)));
    let mut shown = renamed(json!(task.task));
    if failed {
        shown["status"] = json!("failed");
    }
    shown
}

fn renamed(mut task: Value) -> Value {
    let Some(members) = task.as_object_mut() else { return task };
    for (modern, legacy) in [("ttlMs", "ttl"), ("pollIntervalMs", "pollInterval")] {
        if let Some(value) = members.remove(modern) {
            members.insert(legacy.to_owned(), value);
        }
    }
    task
}
