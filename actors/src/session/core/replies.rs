//! How calls end: results, errors, and failures of the gateway's own.

use std::fmt::Debug;

use bytes::Bytes;
use sessiongate_protocol::{RequestId, ResponseBody, Unreadable, codes, jsonrpc};
use sessiongate_targets::TargetError;

use super::{ACCEPTED, Answer, Call, CallId, CallKind, CallSummary, Effect, Env, Reply, SessionCore, Step};
use crate::exception::Reference;

/// Why the gateway ends a call itself.
pub(super) struct Failure {
    /// JSON-RPC code.
    pub(super) code: i64,
    /// For the client; names the target where there is one.
    pub(super) message: String,
    /// A stable word: `error.data.reason`, metrics, log.
    pub(super) reason: &'static str,
}

// === impl Failure ===

impl Failure {
    pub(super) fn of_target(target: &str, error: &TargetError) -> Self {
        Self { code: codes::INTERNAL_ERROR, message: format!("target `{target}`: {error}"), reason: error.code() }
    }

    pub(super) fn session_ended() -> Self {
        Self {
            code: codes::INTERNAL_ERROR,
            message: "the session ended while the call ran".into(),
            reason: "session_ended",
        }
    }

    pub(super) fn invalid_params(message: impl Into<String>) -> Self {
        Self { code: codes::INVALID_PARAMS, message: message.into(), reason: "invalid_params" }
    }

    /// An object of the client's that cannot be read.
    pub(super) fn unreadable(at: &str, error: &serde_json::Error) -> Self {
        Self::invalid_params(format!("`{at}` cannot be read: {}", Unreadable::from(error)))
    }

    pub(super) fn body(&self) -> ResponseBody {
        jsonrpc::error_body(self.code, &self.message, Some(&serde_json::json!({"reason": self.reason})))
    }
}

// === impl SessionCore ===

impl SessionCore {
    /// Answers a request that the gateway handles itself.
    pub(super) fn answer_now(&self, call: CallId, id: &RequestId, body: &ResponseBody, step: &mut Step) {
        self.answer(call, jsonrpc::response(Some(id), body), step);
    }

    /// What the answer confirms is stored before the client reads it.
    fn answer(&self, call: CallId, message: Bytes, step: &mut Step) {
        let effects = if self.dirty { &mut step.durable } else { &mut step.now };
        effects.push(Effect::Answer(call, Answer::Json(message)));
    }

    /// Ends a call because of its target. A page of a live list goes on without it, so that a dead target hides only
    /// itself.
    pub(super) fn fail_by_target(&mut self, id: CallId, error: &TargetError, env: &Env<'_>, step: &mut Step) {
        let Some(call) = self.calls.get(&id) else { return };
        let target = call.target.clone();
        if let CallKind::List { list } = call.kind {
            tracing::warn!(target_name = &*target, error = error.code(), "a live list goes on without a target");
            let body = self.page_without(list, &target, env);
            return self.finish_call(id, &body, error.code(), env, step);
        }
        if matches!(call.kind, CallKind::TaskList) {
            let body = self.task_page_without(&target, env);
            return self.finish_call(id, &body, error.code(), env, step);
        }
        let unknown;
        let error = if call.attempts == ACCEPTED && error.not_executed() {
            unknown = TargetError::OutcomeUnknown { detail: "the target had accepted the call".into() };
            &unknown
        } else {
            error
        };
        self.fail_with(id, &Failure::of_target(&target, error), &error, env, step);
    }

    /// Ends a call with a failure of the gateway or of the way to the target.
    pub(super) fn fail_call(&mut self, id: CallId, failure: &Failure, env: &Env<'_>, step: &mut Step) {
        self.fail_with(id, failure, &failure.message, env, step);
    }

    /// The same; `detail` is for the log, where the client is told in general.
    fn fail_with(&mut self, id: CallId, failure: &Failure, detail: &dyn Debug, env: &Env<'_>, step: &mut Step) {
        let Some(call) = self.calls.get(&id) else { return };
        let reference = || Reference::of((&*self.facts.principal, self.facts.created.0, id.0, env.now.0));
        let told = self.current.exceptions.tell(&failure.message, failure.reason, reference);
        if let Some(reference) = told.reference {
            tracing::warn!(
                %reference,
                target_name = &*call.target,
                method = &*call.method,
                error = failure.reason,
                ?detail,
                "a call failed, and its client was told so in general"
            );
        }
        let body = match call.kind {
            CallKind::Tool => told.tool_result(),
            _ => told.error(failure.code),
        };
        self.finish_call(id, &body, failure.reason, env, step);
    }

    /// Ends a call: its answer goes where it is waited for, questions that belong to it are withdrawn.
    pub(super) fn finish_call(
        &mut self,
        id: CallId,
        body: &ResponseBody,
        outcome: &'static str,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        let Some(call) = self.take_call(id, step) else { return };
        self.withdraw_orphaned_questions(env, step);
        let message = jsonrpc::response(Some(&call.client_id), body);
        match call.reply {
            Reply::Waiting => self.answer(id, message, step),
            Reply::Stream(stream) => {
                self.append(stream, &message, env, step);
                self.finish_stream(stream, step);
            }
            Reply::Gone => {}
        }
        step.now.push(Effect::Finished(Box::new(summary(id, call, outcome))));
    }

    /// Ends a call without an answer, because the client cancelled it.
    pub(super) fn drop_call(&mut self, id: CallId, env: &Env<'_>, step: &mut Step) {
        let Some(call) = self.take_call(id, step) else { return };
        self.withdraw_orphaned_questions(env, step);
        match call.reply {
            Reply::Waiting => step.now.push(Effect::Answer(id, Answer::Cancelled)),
            Reply::Stream(stream) => self.finish_stream(stream, step),
            Reply::Gone => {}
        }
        step.now.push(Effect::Finished(Box::new(summary(id, call, "cancelled"))));
    }

    fn take_call(&mut self, id: CallId, step: &mut Step) -> Option<Call> {
        let call = self.calls.remove(&id)?;
        if let Some(link) = self.links.get_mut(&call.target) {
            link.forget_call(call.downstream_id, id);
        }
        if matches!(call.reply, Reply::Stream(_)) {
            self.unstore_call(id, step);
        }
        Some(call)
    }
}

fn summary(id: CallId, call: Call, outcome: &'static str) -> CallSummary {
    CallSummary {
        call: id,
        id: call.client_id.to_string(),
        method: call.method,
        target: Some(call.target),
        name: call.name,
        outcome,
        started: call.started,
    }
}
