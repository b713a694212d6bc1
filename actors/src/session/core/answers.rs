//! What the client says without asking: notifications, and answers to questions.

use std::sync::Arc;

use sessiongate_protocol::meta;
use sessiongate_protocol::{Notification, RequestId, Response, codes, jsonrpc, progress};

use super::questions::Question;
use super::{CallId, Effect, Env, SessionCore, Step};
use crate::error::SessionError;

// === impl SessionCore ===

impl SessionCore {
    pub(super) fn on_notification(&mut self, notification: Notification, env: &Env<'_>, step: &mut Step) {
        let params = notification.params.as_ref();
        match &*notification.method {
            "notifications/initialized" => {
                self.dirty |= !std::mem::replace(&mut self.initialized, true);
            }
            "notifications/cancelled" => {
                let Some(id) = params.and_then(|params| meta::request_id_of(params).ok()) else { return };
                let found = self.calls.iter().find(|(_, call)| call.client_id == id).map(|(call, _)| *call);
                if let Some(call) = found {
                    let reason = params.and_then(|params| {
                        let members = sessiongate_protocol::members::Members::of(params).ok()?;
                        members.get_str("reason").map(std::borrow::Cow::into_owned)
                    });
                    self.cancel_downstream(call, reason.as_deref(), step);
                    self.drop_call(call, env, step);
                }
            }
            "notifications/progress" => {
                let Some(params) = params else { return };
                let Ok(read) = progress::Progress::read(params) else { return };
                let question = read.token.as_i64().and_then(|id| self.questions.get(&u64::try_from(id).ok()?));
                let Some(Question { target, progress_token: Some(token), .. }) = question else { return };
                let (target, token) = (target.clone(), token.clone());
                if let Ok(params) = progress::with_token(params, &token) {
                    let body = jsonrpc::notification(&notification.method, Some(&params));
                    self.post(&target, body, None, false, step);
                }
            }
            // Targets were told of roots only if the client has them.
            "notifications/roots/list_changed" if self.declares("roots") => {
                let body = jsonrpc::notification(&notification.method, params);
                let targets: Vec<Arc<str>> = self.links.keys().cloned().collect();
                for target in targets {
                    self.post(&target, body.clone(), None, false, step);
                }
            }
            method => tracing::debug!(method, "a notification of the client means nothing here"),
        }
    }

    pub(super) fn on_response(&mut self, call: CallId, response: Response, env: &Env<'_>, step: &mut Step) {
        let number = response.id.as_ref().and_then(RequestId::as_i64).and_then(|id| u64::try_from(id).ok());
        let found = number.and_then(|number| self.questions.get(&number).map(|question| (number, question)));
        let Some((number, question)) = found else {
            // Answered before, withdrawn, or never asked: nothing to be done, and no reason to fail the client.
            tracing::debug!("an answer of the client belongs to no question");
            step.now.push(Effect::Accepted(call));
            return;
        };
        if question.answer.is_some() {
            // Accepted already; it is acknowledged again when it is as durable as the first time.
            step.durable.push(Effect::Accepted(call));
            return;
        }
        let target = question.target.clone();
        let downstream_id = question.downstream_id.clone();
        let checked = Self::checked_answer(question, &response.body);
        let body = match &checked {
            Ok(()) => {
                let related = self.related_for_target(&response.body, &target, env);
                jsonrpc::response(Some(&downstream_id), related.as_ref().unwrap_or(&response.body))
            }
            // The target waits for something: it learns that the client's answer did not fit.
            Err(reason) => jsonrpc::response(
                Some(&downstream_id),
                &jsonrpc::error_body(
                    codes::INVALID_PARAMS,
                    &format!("the client's answer does not fit: {reason}"),
                    None,
                ),
            ),
        };
        if let Some(question) = self.questions.get_mut(&number) {
            question.answer = Some(String::from_utf8_lossy(&body).into_owned());
            question.message = None;
        }
        self.store_question(number, step);
        match checked {
            Ok(()) => step.durable.push(Effect::Accepted(call)),
            Err(reason) => step.durable.push(Effect::Rejected(call, SessionError::InvalidAnswer(reason))),
        }
        self.post(&target, body, Some(number), true, step);
    }
}
