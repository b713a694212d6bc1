//! A call from its first request to its result, through all rounds of questions (2026-07-28, multi round-trip
//! requests; 4.10 Q2 and Q3 of the bridging rules).

use std::time::Duration;

use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::input_required::{InputRequired, ResultType, retry_params};
use sessiongate_protocol::modern::{errors, results};
use sessiongate_protocol::tasks::with_related;
use sessiongate_protocol::{Message, Notification, RawJson, RequestId, Response, ResponseBody, codes, jsonrpc};

use super::checkpoint::{Checkpoint, Stage};
use super::handles::handle;
use super::ledger::{Ledger, question_id, report};
use super::questions::{Answer, Question};
use super::tasks::watched_by;
use super::tools;
use super::wire::{Terms, Wire};
use crate::error::TargetError;
use crate::link::{CallReply, LinkEvent, Origin};

/// Rounds that ask a person something, or nobody anything: a target that never comes to an end is given up.
const MAX_ROUNDS: u32 = 10;
/// First and longest wait before a round in which nobody was asked.
const PACE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// The answers of a person are sent again this often while the target cannot be reached.
const MAX_UNREACHABLE: u32 = 10;
/// First and longest wait before that.
const UNREACHABLE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A call that runs.
pub(super) struct Run<'a> {
    pub(super) wire: &'a Wire,
    pub(super) ledger: &'a Ledger,
    pub(super) call: i64,
    pub(super) terms: Terms<'a>,
    /// Makes the ids of pages unlike those of other links.
    pub(super) nonce: &'a str,
}

/// Why a call ends without a result of the target.
enum End {
    /// The text is for the caller.
    Said(String),
    Failed(TargetError),
}

// === impl Run ===

impl Run<'_> {
    /// Sends a call for the first time.
    pub(super) async fn begin(&self, method: &str, params: Option<&RawJson>) -> Result<CallReply, TargetError> {
        let original = params.cloned().unwrap_or(RawJson::EMPTY_OBJECT);
        let response = self.wire.request(self.call, method, &original, self.terms).await?;
        let mut checkpoint = Checkpoint::new(method, params.cloned());
        let outcome = self.go_on(&mut checkpoint, response).await;
        self.reply(&checkpoint, outcome).await
    }

    /// Waits for the result of a task that the client knows: what it asks is asked on this request.
    pub(super) async fn watch(&self, task: &str) -> Result<CallReply, TargetError> {
        let response = self.wire.watched(task, self.terms).await?;
        let mut checkpoint = Checkpoint::new("tools/call", None);
        let outcome = self.go_on(&mut checkpoint, response).await;
        self.reply(&checkpoint, outcome).await
    }

    /// Goes on where another process stopped.
    ///
    /// # Errors
    /// [`TargetError::OutcomeUnknown`] where the answers may have been sent, and must not be sent twice.
    pub(super) async fn take_up(&self, mut checkpoint: Checkpoint) -> Result<CallReply, TargetError> {
        if checkpoint.stage == Stage::Sent && !checkpoint.repeatable() {
            return Err(TargetError::OutcomeUnknown {
                detail: "the gateway ended after the answers were sent and before the result came".into(),
            });
        }
        let outcome = async {
            let open = self.ledger.ask(self.wire, self.call, None).await.map_err(End::Failed)?;
            let response = self.round(&mut checkpoint, open).await?;
            self.go_on(&mut checkpoint, response).await
        }
        .await;
        self.reply(&checkpoint, outcome).await
    }

    async fn reply(
        &self,
        checkpoint: &Checkpoint,
        outcome: Result<ResponseBody, End>,
    ) -> Result<CallReply, TargetError> {
        let body = match outcome {
            Ok(body) => body,
            Err(End::Said(text)) => refusal(&checkpoint.method, &text),
            Err(End::Failed(error)) => return Err(error),
        };
        if let ResponseBody::Result(result) = &body
            && !is_tool_error(result)
        {
            self.complete_pages(checkpoint).await?;
        }
        Ok(CallReply { response: Response { id: Some(RequestId::integer(self.call)), body }, event_id: None })
    }

    /// Answers the target's questions until it has a result.
    async fn go_on(&self, checkpoint: &mut Checkpoint, mut response: Response) -> Result<ResponseBody, End> {
        loop {
            let result = match response.body {
                // Errors of this hop are the gateway's own business, and never pass.
                ResponseBody::Error(error) => {
                    return Ok(errors::to_legacy(&checkpoint.method, &self.wire.target, &error));
                }
                ResponseBody::Result(result) => result,
            };
            match ResultType::of(&result) {
                ResultType::Complete => return Ok(ResponseBody::Result(self.translated(checkpoint, &result))),
                ResultType::InputRequired if may_ask(&checkpoint.method) => {}
                ResultType::InputRequired => return Err(said("the target asked something where nothing may be asked")),
                ResultType::Task if let Some(handle) = handle(checkpoint.params.as_ref(), &result) => {
                    return Ok(ResponseBody::Result(handle));
                }
                ResultType::Task => return Err(said("the target made a task of the call, which was not offered")),
                ResultType::Unknown(kind) => {
                    return Err(said(&format!("the target sent a result of the unknown type `{kind}`")));
                }
            }
            self.next_round(checkpoint, &result)?;
            let asked = self.ledger.ask(self.wire, self.call, Some(checkpoint.clone())).await.map_err(End::Failed)?;
            response = self.round(checkpoint, asked).await?;
        }
    }

    /// Reads what the target asks now.
    fn next_round(&self, checkpoint: &mut Checkpoint, result: &RawJson) -> Result<(), End> {
        let asked = InputRequired::parse(result)
            .map_err(|error| End::Failed(TargetError::Protocol { detail: error.to_string() }))?;
        let round = checkpoint.round + 1;
        let task = asked.request_state.as_ref().and_then(|state| watched_by(state.raw()));
        let mut questions = Vec::with_capacity(asked.requests.len());
        for (index, entry) in asked.requests.into_iter().enumerate() {
            let elicitation_id = || format!("sg-{}-{}-{round}-{index}", self.nonce, self.call);
            let id = question_id(self.call, round, index);
            let mut question = Question::of_entry(entry, id, self.wire.declared, elicitation_id, &checkpoint.opened)
                .map_err(|error| said(&error.to_string()))?;
            if let Some(task) = &task {
                let params = question.params.take().unwrap_or(RawJson::EMPTY_OBJECT);
                question.params = Some(with_related(&params, task));
            }
            questions.push(question);
        }
        let waits = !questions.is_empty() && questions.iter().all(|question| question.answer.is_some());
        let idle = questions.iter().all(|question| question.answer.is_some());
        // A page that takes the person's time is waited for as long as the call may last.
        if !waits {
            checkpoint.counted += 1;
            if checkpoint.counted > MAX_ROUNDS {
                return Err(said(&format!("the target asked more than {MAX_ROUNDS} times without coming to an end")));
            }
        }
        checkpoint.stage = Stage::Asking;
        checkpoint.round = round;
        checkpoint.idle = if idle { checkpoint.idle + 1 } else { 0 };
        checkpoint.state = asked.request_state.map(|state| state.raw().clone());
        checkpoint.questions = questions;
        Ok(())
    }

    /// Sends the request with the answers of a round.
    async fn round(&self, checkpoint: &mut Checkpoint, answered: Checkpoint) -> Result<Response, End> {
        *checkpoint = answered;
        let mut responses = Vec::with_capacity(checkpoint.questions.len());
        for question in &checkpoint.questions {
            if let Some(Answer::Fatal(text)) = &question.answer {
                return Err(said(text));
            }
            if let Some(response) = question.response() {
                responses.push((question.key.clone(), response));
            }
        }
        for page in checkpoint.questions.iter().filter_map(Question::newly_opened) {
            if !checkpoint.opened.contains(page) {
                checkpoint.opened.push(page.clone());
            }
        }
        if let Some(before) = checkpoint.idle.checked_sub(1) {
            tokio::time::sleep(growing(PACE, before)).await;
        }
        // From here on the target may do its work: whoever takes the call up must know.
        report(self.wire, self.call, checkpoint.sent_token()).await.map_err(End::Failed)?;
        self.wire.settle().await.map_err(End::Failed)?;
        let original = checkpoint.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
        let params = retry_params(&original, &responses, checkpoint.state.as_ref());
        self.send(&checkpoint.method, &params).await.map_err(End::Failed)
    }

    /// The person's answers are not lost to a moment's trouble on the way.
    async fn send(&self, method: &str, params: &RawJson) -> Result<Response, TargetError> {
        let mut failures = 0;
        loop {
            let error = match self.wire.request(self.call, method, params, self.terms).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let wait = match &error {
                TargetError::Unreachable { .. } | TargetError::Exhausted { .. } => growing(UNREACHABLE, failures),
                // A proxy may say so after it passed the request on; with a time to wait it says that it did not.
                TargetError::Status { status: 429 | 503, retry_after, .. }
                    if method != "tools/call" || retry_after.is_some() =>
                {
                    growing(UNREACHABLE, failures).max(retry_after.unwrap_or_default())
                }
                _ => return Err(error),
            };
            failures += 1;
            if failures > MAX_UNREACHABLE {
                return Err(error);
            }
            tracing::debug!(call = self.call, error = error.code(), "answers could not be sent, trying again");
            tokio::time::sleep(wait).await;
        }
    }

    fn translated(&self, checkpoint: &Checkpoint, result: &RawJson) -> RawJson {
        let result = results::to_legacy(&checkpoint.method, result);
        if &*checkpoint.method == tools::LIST { tools::callable_page(&self.wire.target, &result) } else { result }
    }

    /// The client may close the pages that it shows.
    async fn complete_pages(&self, checkpoint: &Checkpoint) -> Result<(), TargetError> {
        for page in &checkpoint.opened {
            let params = serde_json::json!({"elicitationId": page.elicitation_id});
            let params = RawJson::from_serialize(&params).ok();
            let message =
                Message::Notification(Notification { method: "notifications/elicitation/complete".into(), params });
            let event = LinkEvent::Message { origin: Origin::Call(self.call), message, event_id: None };
            self.wire.deliver(event).await?;
        }
        Ok(())
    }
}

/// What a call is answered with that cannot go on: models read the results of tools and can react.
pub(super) fn refusal(method: &str, text: &str) -> ResponseBody {
    if method == "tools/call" {
        let result = serde_json::json!({"content": [{"type": "text", "text": text}], "isError": true});
        if let Ok(result) = RawJson::from_serialize(&result) {
            return ResponseBody::Result(result);
        }
    }
    jsonrpc::error_body(codes::INTERNAL_ERROR, text, None)
}

fn is_tool_error(result: &RawJson) -> bool {
    Members::of(result).is_ok_and(|members| members.get("isError").is_some_and(|raw| raw.get() == "true"))
}

fn said(text: &str) -> End {
    End::Said(text.to_owned())
}

/// No other method may (2026-07-28, multi round-trip requests).
fn may_ask(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

fn growing((first, longest): (Duration, Duration), before: u32) -> Duration {
    first.saturating_mul(1 << before.min(16)).min(longest)
}
