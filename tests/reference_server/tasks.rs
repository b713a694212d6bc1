//! Tools that may go on as tasks of the extension `io.modelcontextprotocol/tasks`.

use std::time::Duration;

use rmcp::{
    ErrorData,
    model::{CallToolResult, ClientCapabilities, CreateTaskResult, JsonObject, TASKS_EXTENSION_ID, Task},
    task_manager::{TaskContext, TaskExit, TaskOptions},
};
use serde_json::{Value, json};

use crate::{
    calls::{Call, Outcome, failed, text},
    catalogue::model,
    era::is_modern,
    questions::{Question, Stop},
    server::ReferenceServer,
};

/// No job takes longer.
const LONGEST_S: f64 = 600.0;

/// Tools that cannot work for a modern client without tasks.
const NEED_A_TASK: [&str; 4] = ["failing_job", "confirm_delete", "multi_input", "test_tool_with_task"];

// === impl Call ===

impl Call<'_> {
    /// Runs the task fixture of this name.
    pub async fn run_job(&self) -> Outcome {
        let modern = is_modern(self.context);
        let may_be_task =
            modern && self.context.client_capabilities().is_some_and(|capabilities| capabilities.supports_tasks());
        if modern && !may_be_task && NEED_A_TASK.contains(&self.name) {
            let required: ClientCapabilities = model(json!({"extensions": {TASKS_EXTENSION_ID: {}}}))?;
            return Err(ErrorData::missing_required_client_capability(required).into());
        }
        let mut arguments = self.arguments.clone();
        match self.name {
            "greet" => return Ok(text(format!("Hello, {}!", self.string("name").unwrap_or("friend")))),
            // The question comes before the task, so that both ways of waiting meet in one call.
            "test_tool_with_task" => {
                let schema = one_field("name", "string");
                let answer = self.rounds.ask_one(Question::form("user_name", "What is your name?", schema)).await?;
                arguments.insert("name".into(), answer["content"]["name"].clone());
            }
            _ => {}
        }
        if !may_be_task {
            return self.run_without_task(arguments).await;
        }
        Err(Stop::Task(Box::new(CreateTaskResult::new(self.server.spawn_job(self.name, arguments, None)))))
    }

    async fn run_without_task(&self, arguments: JsonObject) -> Outcome {
        let questions = questions(self.name, &arguments);
        if !questions.is_empty() {
            return Ok(answered(self.name, &self.rounds.ask(questions).await?));
        }
        match work(self.name, arguments, None).await {
            Ok(done) => Ok(done),
            Err(TaskExit::Error(error)) => Err(error.into()),
            Err(TaskExit::Cancelled) => Ok(failed("cancelled")),
        }
    }
}

// === impl ReferenceServer ===

impl ReferenceServer {
    /// Begins a job as a task.
    pub fn spawn_job(&self, name: &str, arguments: JsonObject, ttl_ms: Option<u64>) -> Task {
        let name = name.to_owned();
        let options = TaskOptions::default().with_poll_interval_ms(250);
        let options = match ttl_ms {
            Some(ttl_ms) => options.with_ttl_ms(ttl_ms),
            None => options,
        };
        self.shared.tasks.spawn(options, move |task| {
            Box::pin(async move {
                let done = work(&name, arguments, Some(&task)).await?;
                Ok(model::<CallToolResult>(done)?)
            })
        })
    }
}

fn one_field(name: &str, kind: &str) -> Value {
    json!({"type": "object", "properties": {name: {"type": kind}}, "required": [name]})
}

fn questions(name: &str, arguments: &JsonObject) -> Vec<Question> {
    match name {
        "confirm_delete" => {
            let file = arguments.get("filename").and_then(Value::as_str).unwrap_or("file.txt");
            vec![Question::form("confirm", &format!("Delete {file}?"), one_field("confirm", "boolean"))]
        }
        "multi_input" => ["first", "second"]
            .map(|key| Question::form(key, &format!("The {key} value"), one_field("value", "string")))
            .into(),
        _ => Vec::new(),
    }
}

fn answered(name: &str, answers: &[Value]) -> Value {
    let contents: Vec<&Value> = answers.iter().map(|answer| &answer["content"]).collect();
    text(format!("{name}: {}", json!(contents)))
}

/// The job itself; inside a task it can be cancelled and can ask.
async fn work(name: &str, arguments: JsonObject, task: Option<&TaskContext>) -> Result<Value, TaskExit> {
    let string = |key: &str, default: &str| arguments.get(key).and_then(Value::as_str).unwrap_or(default).to_owned();
    let done = match (name, task) {
        ("slow_compute", _) => {
            let seconds = arguments.get("seconds").and_then(Value::as_f64).unwrap_or(1.0).clamp(0.0, LONGEST_S);
            let cancelled = async {
                match task {
                    Some(task) => task.cancelled().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs_f64(seconds)) => {}
                () = cancelled => return Err(TaskExit::Cancelled),
            }
            text(format!("{} took {seconds} s", string("label", "slow_compute")))
        }
        ("failing_job", _) => {
            tokio::time::sleep(Duration::from_millis(500)).await;
            failed("failing_job always fails")
        }
        ("protocol_error_job", _) => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            return Err(ErrorData::internal_error("protocol_error_job always ends with an error", None).into());
        }
        ("test_tool_with_task", _) => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            text(format!("Hello, {}!", string("name", "friend")))
        }
        (_, Some(task)) => {
            let asked = questions(name, &arguments).into_iter().map(|question| async {
                let request = question.input_request()?;
                task.request_input(question.key, request).await
            });
            answered(name, &futures_util::future::try_join_all(asked).await?)
        }
        (_, None) => return Err(ErrorData::invalid_params(format!("Unknown tool: {name}"), None).into()),
    };
    // What `tasks/get` inlines is a result of its own.
    Ok(done)
}
