//! The fixtures that the official suite has for 2026-07-28 only. Where a legacy client calls one, it is asked in its own way.

#![expect(deprecated, reason = "sampling, roots and logging are deprecated, but what the suite asks about")]

use std::sync::atomic::Ordering;

use rmcp::{
    ErrorData,
    model::{ClientCapabilities, GetPromptResult, LoggingLevel},
};
use serde_json::{Value, json};

use crate::{
    calls::{Call, Outcome, text},
    catalogue::model,
    era::is_modern,
    questions::{Question, Rounds, Stop},
};

/// The prompt that asks before it is made.
pub const ASKING_PROMPT: &str = "test_input_required_result_prompt";

// === impl Call ===

impl Call<'_> {
    /// Runs the modern fixture of this name.
    pub async fn run_modern(&self) -> Outcome {
        match self.name {
            "test_input_required_result_elicitation" => {
                let answer = self.rounds.ask_one(name_question("user_name", "What is your name?")).await?;
                Ok(text(format!("Hello, {}!", said(&answer, "name"))))
            }
            "test_input_required_result_sampling" => {
                let question = Question::sample("capital_question", "What is the capital of France?");
                let answer = self.rounds.ask_one(question).await?;
                Ok(text(format!("The model says: {}", answer["content"]["text"].as_str().unwrap_or_default())))
            }
            "test_input_required_result_list_roots" => {
                let answer = self.rounds.ask_one(Question::roots("client_roots")).await?;
                Ok(text(format!("The client's roots: {}", answer["roots"])))
            }
            "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
                self.rounds.ask_one(form("confirm", "Please confirm", "ok", "boolean")).await?;
                Ok(text("Confirmed: state-ok"))
            }
            "test_input_required_result_multiple_inputs" => {
                let answers = self.rounds.ask(three_questions(None)).await?;
                Ok(text(format!("All three answered: {}", json!(answers))))
            }
            "test_input_required_result_multi_round" => {
                let name = self.rounds.ask_one(name_question("step1", "Step 1: What is your name?")).await?;
                let question = form("step2", "Step 2: What is your favorite color?", "color", "string");
                let colour = self.rounds.ask_one(question).await?;
                Ok(text(format!("{} likes {}.", said(&name, "name"), said(&colour, "color"))))
            }
            "test_input_required_result_capabilities" => {
                let declared = self.context.client_capabilities().unwrap_or_default();
                let questions = three_questions(Some(&declared));
                if questions.is_empty() {
                    return Ok(text("The client can answer nothing."));
                }
                let answers = self.rounds.ask(questions).await?;
                Ok(text(format!("Answered: {}", json!(answers))))
            }
            "test_streaming_elicitation" => {
                let question = form("streaming_elicitation", "Provide a value", "value", "string");
                let answer = self.rounds.ask_one(question).await?;
                Ok(text(format!("The value is {}.", said(&answer, "value"))))
            }
            "test_missing_capability" => self.test_missing_capability(),
            "test_logging_tool" => {
                self.log(LoggingLevel::Info, json!("one line")).await;
                Ok(text("One line was logged, if it was wanted."))
            }
            "test_trigger_tool_change" => {
                self.server.shared.toggled.fetch_xor(true, Ordering::Relaxed);
                self.server.shared.tell_tools_changed().await;
                Ok(text("Everybody was told."))
            }
            "test_trigger_prompt_change" => {
                self.server.shared.toggled_prompt.fetch_xor(true, Ordering::Relaxed);
                self.server.shared.tell_prompts_changed().await;
                Ok(text("Everybody was told."))
            }
            "test_custom_header" => Ok(text(format!("value={}", self.string("value").unwrap_or_default()))),
            _ => self.run_rounds().await,
        }
    }

    /// What only a gateway's tests need of rounds.
    async fn run_rounds(&self) -> Outcome {
        match self.name {
            "sg_rounds" => {
                let mut names = Vec::new();
                for round in 1..=self.number("rounds", 3) {
                    let question = name_question(&format!("round-{round}"), &format!("Round {round}: who?"));
                    names.push(said(&self.rounds.ask_one(question).await?, "name").to_owned());
                }
                Ok(
                    json!({"content": [{"type": "text", "text": names.join(", ")}], "structuredContent": {"names": names}}),
                )
            }
            "sg_state_only" if is_modern(self.context) && !self.rounds.resumed => Err(self.rounds.come_back()?),
            "sg_state_only" => Ok(text("came back")),
            "sg_endless" if is_modern(self.context) => {
                let round = uuid::Uuid::new_v4().to_string();
                self.rounds.ask_one(name_question(&round, "And now?")).await?;
                Ok(text("unreachable: every round asks anew"))
            }
            "sg_endless" => loop {
                if self.context.ct.is_cancelled() {
                    return Ok(self.cancelled());
                }
                self.rounds.ask_one(name_question("endless", "And now?")).await?;
            },
            "sg_undeclared" => {
                let question = Question::sample("undeclared", "Did you declare sampling?");
                let answer = self.rounds.ask_undeclared(vec![question]).await?;
                Ok(text(json!(answer).to_string()))
            }
            unknown => Err(ErrorData::invalid_params(format!("Unknown tool: {unknown}"), None).into()),
        }
    }

    fn test_missing_capability(&self) -> Outcome {
        let declared = self.context.client_capabilities().is_some_and(|capabilities| sampling(&capabilities));
        if !declared && is_modern(self.context) {
            return Err(ErrorData::missing_required_client_capability(model(json!({"sampling": {}}))?).into());
        }
        Ok(text(format!("sampling declared: {declared}")))
    }
}

/// A prompt made of an answer.
pub async fn asking_prompt(rounds: &Rounds<'_>) -> Result<GetPromptResult, Stop> {
    let question = form("user_context", "What context should the prompt use?", "context", "string");
    let answer = rounds.ask_one(question).await?;
    let message = format!("The context is {}.", said(&answer, "context"));
    Ok(model(json!({
        "resultType": "complete", "messages": [{"role": "user", "content": {"type": "text", "text": message}}]
    }))?)
}

/// Whether a tool takes answers only with the state that asked for them.
pub fn is_stateful(tool: &str) -> bool {
    const STATEFUL: [&str; 4] = ["request_state", "tampered_state", "multiple_inputs", "multi_round"];
    tool.starts_with("sg_")
        || tool.strip_prefix("test_input_required_result_").is_some_and(|rest| STATEFUL.contains(&rest))
}

fn sampling(capabilities: &ClientCapabilities) -> bool {
    capabilities.sampling.is_some()
}

fn roots(capabilities: &ClientCapabilities) -> bool {
    capabilities.roots.is_some()
}

/// One question of each kind; only those that these capabilities allow, if any are given.
fn three_questions(declared: Option<&ClientCapabilities>) -> Vec<Question> {
    let allowed = |has: fn(&ClientCapabilities) -> bool| declared.is_none_or(has);
    let mut questions = Vec::new();
    if allowed(|capabilities| capabilities.elicitation.is_some()) {
        questions.push(name_question("user_name", "What is your name?"));
    }
    if allowed(sampling) {
        questions.push(Question::sample("greeting", "Generate a greeting"));
    }
    if allowed(roots) {
        questions.push(Question::roots("client_roots"));
    }
    questions
}

fn name_question(key: &str, message: &str) -> Question {
    form(key, message, "name", "string")
}

fn form(key: &str, message: &str, field: &str, kind: &str) -> Question {
    Question::form(key, message, json!({"type": "object", "properties": {field: {"type": kind}}, "required": [field]}))
}

fn said<'a>(answer: &'a Value, field: &str) -> &'a str {
    answer["content"][field].as_str().unwrap_or_default()
}
