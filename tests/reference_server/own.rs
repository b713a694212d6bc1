//! The `sg_` tools: what the gateway's own tests need and the official suite does not ask for.

use std::{sync::atomic::Ordering, time::Duration};

use rmcp::{
    ErrorData,
    model::{CustomNotification, ErrorCode, ResourceUpdatedNotificationParam, ServerNotification},
};
use serde_json::{Value, json};

use crate::{
    calls::{Call, Outcome, failed, level, text},
    catalogue::PNG,
    era::is_modern,
    questions::Question,
};

/// JSON-RPC code of `URLElicitationRequiredError` (2025-11-25).
const URL_ELICITATION_REQUIRED: ErrorCode = ErrorCode(-32042);
/// The largest text that `sg_big` makes.
const BIGGEST: u64 = 256 * 1024 * 1024;

// === impl Call ===

impl Call<'_> {
    /// Runs the `sg_` or `page_` tool of this name.
    pub async fn run_own(&self) -> Outcome {
        match self.name {
            "sg_echo" | "sg_typed" => {
                let arguments = json!(self.arguments);
                Ok(json!({
                    "content": [{"type": "text", "text": arguments.to_string()}], "structuredContent": arguments
                }))
            }
            "sg_progress" => self.sg_progress().await,
            "sg_elicit_form" => self.sg_elicit_form().await,
            "sg_elicit_two" => self.sg_elicit_two().await,
            "sg_elicit_url" => self.sg_elicit_url().await,
            "sg_url_required" => self.sg_url_required().await,
            "sg_sample" => self.sample(self.string("prompt").unwrap_or("Say something.")).await,
            "sg_roots" => Ok(structured(self.rounds.ask_one(Question::roots("roots")).await?)),
            "sg_log" => {
                let count = self.number("count", 3);
                let level = level(self.string("level").unwrap_or("info"));
                for number in 0..count {
                    self.log(level, json!({"line": number})).await;
                }
                Ok(text(format!("{count} log messages")))
            }
            "sg_wait" => self.sg_wait().await,
            "sg_cancelled" => Ok(structured(json!({"count": self.server.shared.cancelled.load(Ordering::Relaxed)}))),
            "sg_counter" => {
                let count = self.server.session.counter.fetch_add(1, Ordering::Relaxed) + 1;
                Ok(structured(json!({"count": count})))
            }
            "sg_toggle_tool" => self.sg_toggle_tool().await,
            "sg_toggled" => Ok(text("switched on")),
            "sg_touch" => self.sg_touch().await,
            "sg_big" => {
                let size = self.number("bytes", 1024).min(BIGGEST);
                Ok(text("x".repeat(usize::try_from(size).unwrap_or_default())))
            }
            "sg_link" => Ok(json!({"content": [
                {"type": "resource_link", "uri": "test://static-text", "name": "static-text", "mimeType": "text/plain"},
                {"type": "image", "data": PNG, "mimeType": "image/png"}
            ]})),
            "sg_whoami" => Ok(self.sg_whoami()),
            "sg_answer_count" => {
                let key = self.string("key").unwrap_or_default();
                let count = self.server.shared.answers.lock().get(key).copied().unwrap_or_default();
                Ok(structured(json!({"count": count})))
            }
            "sg_hang_up" => {
                let closed = self.hang_up().await;
                tokio::time::sleep(Duration::from_millis(self.number("ms", 100))).await;
                Ok(structured(json!({"closed": closed})))
            }
            page if page.starts_with("page_") => Ok(text(page)),
            _ => self.run_modern().await,
        }
    }

    async fn sg_progress(&self) -> Outcome {
        let steps = self.number("steps", 3);
        let delay = Duration::from_millis(self.number("delay_ms", 10));
        for step in 1..=steps {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = self.context.ct.cancelled() => return Ok(self.cancelled()),
            }
            self.progress(step as f64, steps as f64, Some(format!("step {step}"))).await;
            self.server.shared.record("step", self.name, json!(step));
        }
        Ok(structured(json!({"steps": steps})))
    }

    async fn sg_elicit_form(&self) -> Outcome {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string", "title": "Name", "minLength": 1, "maxLength": 40},
                "age": {"type": "integer", "minimum": 0, "maximum": 150},
                "colour": {"type": "string", "oneOf": [
                    {"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}
                ], "default": "g"},
                "subscribe": {"type": "boolean", "default": false}
            },
            "required": ["name"]
        });
        Ok(structured(self.rounds.ask_one(Question::form("who", "Who are you?", schema)).await?))
    }

    async fn sg_elicit_two(&self) -> Outcome {
        let question = |name: &str| {
            let schema = json!({"type": "object", "properties": {name: {"type": "string"}}, "required": [name]});
            Question::form(name, &format!("The {name} of two questions"), schema)
        };
        let answers = self.rounds.ask(vec![question("first"), question("second")]).await?;
        Ok(structured(json!({"first": answers[0], "second": answers[1]})))
    }

    async fn sg_elicit_url(&self) -> Outcome {
        let id = uuid::Uuid::new_v4().to_string();
        let url = match self.string("url") {
            Some(url) => url.to_owned(),
            None => format!("https://example.com/visit/{id}"),
        };
        let answer = self.rounds.ask_one(Question::url("visit", "Please visit this page", &url, &id)).await?;
        if is_modern(self.context) {
            // Neither ids nor completions exist there: the retry says all.
            return Ok(structured(json!({"action": answer["action"]})));
        }
        if answer["action"] == "accept" {
            self.complete(&id).await;
        }
        Ok(structured(json!({"action": answer["action"], "elicitationId": id})))
    }

    async fn complete(&self, elicitation_id: &str) {
        let complete = CustomNotification::new(
            "notifications/elicitation/complete",
            Some(json!({"elicitationId": elicitation_id})),
        );
        let _ = self.context.peer.send_notification(ServerNotification::CustomNotification(complete)).await;
    }

    async fn sg_url_required(&self) -> Outcome {
        let id = uuid::Uuid::new_v4().to_string();
        if is_modern(self.context) {
            let url = format!("https://example.com/connect/{id}");
            let answer = self.rounds.ask_one(Question::url("connect", "Connect your account", &url, &id)).await?;
            return Ok(match answer["action"] == "accept" {
                true => text("the page was visited"),
                false => failed("the page was not visited"),
            });
        }
        let key = self.string("key").unwrap_or(self.name);
        let first_time = self.server.session.urls_asked.lock().insert(key.to_owned());
        if !first_time {
            return Ok(text("the page was visited"));
        }
        Err(ErrorData::new(
            URL_ELICITATION_REQUIRED,
            "This call needs a visit to a page first",
            Some(json!({"elicitations": [{
                "mode": "url", "elicitationId": id, "url": format!("https://example.com/connect/{id}"),
                "message": "Connect your account"
            }]})),
        )
        .into())
    }

    async fn sg_wait(&self) -> Outcome {
        let waited = Duration::from_millis(self.number("ms", 1000));
        tokio::select! {
            () = tokio::time::sleep(waited) => Ok(text("waited")),
            () = self.context.ct.cancelled() => Ok(self.cancelled()),
        }
    }

    /// Counts a call that its client gave up.
    pub fn cancelled(&self) -> Value {
        self.server.shared.cancelled.fetch_add(1, Ordering::Relaxed);
        self.server.shared.record("cancelled", self.name, Value::Null);
        failed("cancelled")
    }

    async fn sg_toggle_tool(&self) -> Outcome {
        let on = !self.server.shared.toggled.fetch_xor(true, Ordering::Relaxed);
        self.server.shared.tell_tools_changed().await;
        Ok(structured(json!({"on": on})))
    }

    async fn sg_touch(&self) -> Outcome {
        let uri = self.string("uri").unwrap_or_default().to_owned();
        let listening = self.server.shared.subscriptions.resource_updated(&uri).await;
        let subscribed = self.server.session.subscriptions.lock().contains(&uri);
        if subscribed {
            let params = ResourceUpdatedNotificationParam::new(uri);
            let _ = self.context.peer.notify_resource_updated(params).await;
        }
        Ok(structured(json!({"told": subscribed || listening})))
    }

    fn sg_whoami(&self) -> Value {
        let peer = self.context.peer.peer_info();
        let headers: serde_json::Map<String, Value> = self
            .context
            .extensions
            .get::<axum::http::request::Parts>()
            .map(|parts| {
                let text = |value: &axum::http::HeaderValue| json!(String::from_utf8_lossy(value.as_bytes()));
                parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
            })
            .unwrap_or_default();
        let client = match is_modern(self.context) {
            true => json!(self.context.client_info()),
            false => json!(peer.as_deref()),
        };
        structured(json!({"client": client, "headers": headers, "meta": self.context.meta}))
    }
}

fn structured(value: Value) -> Value {
    json!({"content": [{"type": "text", "text": value.to_string()}], "structuredContent": value})
}
