//! Tool calls: a table of names, and the fixtures of the official suite.

#![expect(deprecated, reason = "sampling, roots and logging are the 2025 wire, which this server is for")]

use std::{str::FromStr, time::Duration};

use rmcp::{
    RoleServer,
    model::{JsonObject, LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam},
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::{
    catalogue::{PNG, WAV},
    era::is_modern,
    questions::{Question, Rounds, Stop},
    server::ReferenceServer,
};

/// One running `tools/call`.
pub struct Call<'a> {
    pub server: &'a ReferenceServer,
    pub name: &'a str,
    pub arguments: &'a JsonObject,
    pub context: &'a RequestContext<RoleServer>,
    pub rounds: Rounds<'a>,
}

/// A result on the wire, or what stands in its place.
pub type Outcome = Result<Value, Stop>;

const STEP: Duration = Duration::from_millis(50);

/// A result of one text.
pub fn text(text: impl Into<String>) -> Value {
    json!({"content": [{"type": "text", "text": text.into()}]})
}

/// A result that says that the tool failed.
pub fn failed(reason: impl Into<String>) -> Value {
    json!({"content": [{"type": "text", "text": reason.into()}], "isError": true})
}

// === impl Call ===

impl Call<'_> {
    /// Runs the tool of this name.
    pub async fn run(&self) -> Outcome {
        match self.name {
            "test_simple_text" => Ok(text("This is a simple text response for testing.")),
            "test_image_content" => Ok(json!({"content": [{"type": "image", "data": PNG, "mimeType": "image/png"}]})),
            "test_audio_content" => Ok(json!({"content": [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}]})),
            "test_embedded_resource" => Ok(json!({"content": [{"type": "resource", "resource": {
                "uri": "test://embedded-resource", "mimeType": "text/plain",
                "text": "This is an embedded resource content."
            }}]})),
            "test_multiple_content_types" => Ok(json!({"content": [
                {"type": "text", "text": "Multiple content types test:"},
                {"type": "image", "data": PNG, "mimeType": "image/png"},
                {"type": "resource", "resource": {
                    "uri": "test://mixed-content-resource", "mimeType": "application/json",
                    "text": "{\"test\":\"data\",\"value\":123}"
                }}
            ]})),
            "test_error_handling" => Ok(failed("This tool intentionally returns an error for testing")),
            "test_tool_with_logging" => self.test_logging().await,
            "test_tool_with_progress" => self.test_progress().await,
            "test_sampling" => {
                let prompt = self.string("prompt").unwrap_or_default();
                self.sample(prompt).await
            }
            "test_elicitation" => self.test_elicitation().await,
            "test_elicitation_sep1034_defaults" => self.test_defaults().await,
            "test_elicitation_sep1330_enums" => self.test_enums().await,
            "test_reconnection" => {
                self.hang_up().await;
                tokio::time::sleep(STEP * 2).await;
                Ok(text("The stream was closed and resumed."))
            }
            "json_schema_2020_12_tool" => Ok(text("JSON Schema 2020-12")),
            "greet"
            | "slow_compute"
            | "failing_job"
            | "protocol_error_job"
            | "confirm_delete"
            | "multi_input"
            | "test_tool_with_task" => self.run_job().await,
            _ => self.run_own().await,
        }
    }

    async fn test_logging(&self) -> Outcome {
        self.log(LoggingLevel::Info, json!("Tool execution started")).await;
        tokio::time::sleep(STEP).await;
        self.log(LoggingLevel::Info, json!("Tool processing data")).await;
        tokio::time::sleep(STEP).await;
        self.log(LoggingLevel::Info, json!("Tool execution completed")).await;
        Ok(text("Three log messages were sent."))
    }

    async fn test_progress(&self) -> Outcome {
        self.progress(0.0, 100.0, None).await;
        tokio::time::sleep(STEP).await;
        self.progress(50.0, 100.0, None).await;
        tokio::time::sleep(STEP).await;
        self.progress(100.0, 100.0, None).await;
        Ok(text("Progress was reported."))
    }

    async fn test_elicitation(&self) -> Outcome {
        let message = self.string("message").unwrap_or_default();
        let schema = json!({
            "type": "object",
            "properties": {
                "username": {"type": "string", "description": "User's response"},
                "email": {"type": "string", "description": "User's email address"}
            },
            "required": ["username", "email"]
        });
        let answer = self.rounds.ask_one(Question::form("answer", message, schema)).await?;
        Ok(text(format!("User response: {}", shown(&answer))))
    }

    async fn test_defaults(&self) -> Outcome {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "User name", "default": "John Doe"},
                "age": {"type": "integer", "description": "User age", "default": 30},
                "score": {"type": "number", "description": "User score", "default": 95.5},
                "status": {"type": "string", "description": "User status",
                           "enum": ["active", "inactive", "pending"], "default": "active"},
                "verified": {"type": "boolean", "description": "Verification", "default": true}
            },
            "required": []
        });
        self.elicitation_completed(schema).await
    }

    async fn test_enums(&self) -> Outcome {
        let titled = |words: &[(&str, &str)]| -> Value {
            words.iter().map(|(value, title)| json!({"const": value, "title": title})).collect()
        };
        let options = [("value1", "First Option"), ("value2", "Second Option"), ("value3", "Third Option")];
        let choices = [("value1", "First Choice"), ("value2", "Second Choice"), ("value3", "Third Choice")];
        let schema = json!({
            "type": "object",
            "properties": {
                "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
                "titledSingle": {"type": "string", "oneOf": titled(&options)},
                "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"],
                               "enumNames": ["Option One", "Option Two", "Option Three"]},
                "untitledMulti": {"type": "array",
                                  "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
                "titledMulti": {"type": "array", "items": {"anyOf": titled(&choices)}}
            },
            "required": []
        });
        self.elicitation_completed(schema).await
    }

    async fn elicitation_completed(&self, schema: Value) -> Outcome {
        let answer = self.rounds.ask_one(Question::form("answer", "Please review these values", schema)).await?;
        Ok(text(format!("Elicitation completed: {}", shown(&answer))))
    }

    /// Asks the client's model and returns what it says.
    pub async fn sample(&self, prompt: &str) -> Outcome {
        let answer = self.rounds.ask_one(Question::sample("sample", prompt)).await?;
        Ok(text(format!("LLM response: {}", answer["content"]["text"].as_str().unwrap_or_default())))
    }

    /// Sends a log message, if the session, or in the modern era the request, wants its level.
    pub async fn log(&self, level: LoggingLevel, data: Value) {
        let wanted = match is_modern(self.context) {
            true => self.context.meta.log_level(),
            false => Some(*self.server.session.level.lock()),
        };
        if wanted.is_none_or(|wanted| severity(level) < severity(wanted)) {
            return;
        }
        let message = LoggingMessageNotificationParam::new(level, data).with_logger("reference-server");
        let _ = self.context.peer.notify_logging_message(message).await;
    }

    /// Reports progress, if the request carried a token.
    pub async fn progress(&self, progress: f64, total: f64, message: Option<String>) {
        let Some(token) = self.context.meta.get_progress_token() else {
            return;
        };
        let mut params = ProgressNotificationParam::new(token, progress).with_total(total);
        params.message = message;
        let _ = self.context.peer.notify_progress(params).await;
    }

    /// Closes the SSE connection of this call; true if there was one.
    pub async fn hang_up(&self) -> bool {
        let parts = self.context.extensions.get::<axum::http::request::Parts>();
        let session = parts.and_then(|parts| parts.headers.get("mcp-session-id")?.to_str().ok());
        match (&self.server.sessions, session) {
            (Some(sessions), Some(session)) => sessions.hang_up(session, &self.context.id).await,
            _ => false,
        }
    }

    /// A string argument.
    pub fn string(&self, name: &str) -> Option<&str> {
        self.arguments.get(name)?.as_str()
    }

    /// A whole number argument, never negative.
    pub fn number(&self, name: &str, default: u64) -> u64 {
        self.arguments.get(name).and_then(Value::as_u64).unwrap_or(default)
    }
}

fn shown(answer: &Value) -> String {
    let action = answer["action"].as_str().unwrap_or_default();
    let content = answer.get("content").cloned().unwrap_or_else(|| json!({}));
    format!("action={action}, content={content}")
}

fn severity(level: LoggingLevel) -> usize {
    const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
    let name = json!(level);
    LEVELS.iter().position(|known| name == *known).unwrap_or_default()
}

/// A level by its name on the wire.
pub fn level(name: &str) -> LoggingLevel {
    serde_json::from_value(Value::String(String::from_str(name).unwrap_or_default())).unwrap_or(LoggingLevel::Info)
}
