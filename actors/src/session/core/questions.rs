//! Questions of targets to the person: elicitation, sampling, roots.
//!
//! A question is stored before it is shown; its answer is stored before it is passed on; both go when the target has
//! the answer. After a restart a question that waits is still known under its id, and an answer that was not passed
//! on yet is passed on: the target tells a repetition by the JSON-RPC id.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sessiongate_protocol::elicitation::{self, Answer, AnswerError, Mode};
use sessiongate_protocol::members::Members;
use sessiongate_protocol::meta::{self, ProgressToken};
use sessiongate_protocol::{RawJson, Request, RequestId, ResponseBody, StreamId, codes, jsonrpc};
use sessiongate_storage::Op;
use sessiongate_targets::TargetError;

use super::record::QUESTION;
use super::{CallId, Effect, Env, SessionCore, Step};
use crate::settings::Naming;

/// One question.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Question {
    pub(super) target: Arc<str>,
    /// The target's id for it.
    pub(super) downstream_id: RequestId,
    pub(super) kind: QuestionKind,
    /// Where it was shown; none while it waits in the queue for a GET stream.
    pub(super) stream: Option<StreamId>,
    /// The downstream id of the call it belongs to.
    pub(super) call: Option<i64>,
    /// The token under which the target wants progress of the answer.
    pub(super) progress_token: Option<ProgressToken>,
    /// The answer as it goes to the target, once there is one.
    pub(super) answer: Option<String>,
}

/// What is asked.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum QuestionKind {
    /// A form: answers are checked against the schema that the client was shown.
    Form { schema: Option<RawJson> },
    /// A page to visit.
    Url,
    /// A model to ask.
    Sampling,
    /// Roots.
    Roots,
}

/// The id that the client sees.
pub(super) fn client_id(question: u64) -> RequestId {
    RequestId::integer(i64::try_from(question).unwrap_or(i64::MAX))
}

// === impl SessionCore ===

impl SessionCore {
    /// A target asks. It is refused here what the client did not declare: a well-behaved target does not ask, because
    /// the gateway declared only what the client has.
    pub(super) fn ask(
        &mut self,
        target: &Arc<str>,
        call: Option<CallId>,
        request: Request,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        let refuse = |core: &mut Self, code: i64, text: &str, step: &mut Step| {
            let body = jsonrpc::response(Some(&request.id), &jsonrpc::error_body(code, text, None));
            core.post(target, body, None, true, step);
        };
        let limit = self.settings.sessions.pending_questions;
        if self.questions.len() >= limit {
            step.now.push(Effect::BoundReached("pending_questions"));
            let text = format!("too many questions wait for the client (limit {limit}): ask again later");
            return refuse(self, codes::INTERNAL_ERROR, &text, step);
        }
        // A question outside a call belongs to the only call that runs there, or to the newest one.
        let call = call.or_else(|| {
            let link = self.links.get(target)?;
            if self.streams.live_standing().is_some() { link.only_call() } else { link.newest_call() }
        });
        let params = request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
        let (kind, params) = match self.question_for_client(&request.method, target, &params) {
            Ok(found) => found,
            Err((code, text)) => return refuse(self, code, &text, step),
        };
        let number = self.next_question;
        let stream = call.and_then(|call| self.upgrade(call, env, step));
        if stream.is_none() && !self.settings.sessions.streaming {
            return refuse(self, codes::INTERNAL_ERROR, "the client takes no messages while a call runs", step);
        }
        self.next_question += 1;
        self.dirty |= number.is_multiple_of(super::record::QUESTION_BLOCK);
        let token = meta::progress_token(&params).ok().flatten();
        let params = match &token {
            Some(_) => {
                let own = ProgressToken::integer(i64::try_from(number).unwrap_or(i64::MAX));
                meta::with_progress_token(&params, Some(&own)).unwrap_or(params)
            }
            None => params,
        };
        if let QuestionKind::Url = kind
            && let Ok(id) = elicitation::elicitation_id(&params)
        {
            self.remember_elicitation(&id, target);
        }
        let question = Question {
            target: target.clone(),
            downstream_id: request.id.clone(),
            kind,
            stream,
            call: call.and_then(|call| self.calls.get(&call)).map(|call| call.downstream_id),
            progress_token: token,
            answer: None,
        };
        self.questions.insert(number, question);
        self.store_question(number, step);
        let params = (request.params.is_some() || params != RawJson::EMPTY_OBJECT).then_some(&params);
        let message = jsonrpc::request(&client_id(number), &request.method, params);
        match stream {
            Some(stream) => self.append(stream, &message, env, step),
            None => self.send_standing(message, Some(format!("question:{number}").into()), env, step),
        }
    }

    /// What the client is shown, or why it cannot be asked.
    fn question_for_client(
        &self,
        method: &str,
        target: &str,
        params: &RawJson,
    ) -> Result<(QuestionKind, RawJson), (i64, String)> {
        let lacks = |what: &str| (codes::INVALID_PARAMS, format!("the client did not declare {what}"));
        match method {
            "elicitation/create" => {
                let can = self.elicitation();
                let mode = Mode::of(params).map_err(|error| (codes::INVALID_PARAMS, error.to_string()))?;
                if !can.allows(mode) {
                    return Err(lacks(match mode {
                        Mode::Form => "form mode elicitation",
                        Mode::Url => "URL mode elicitation",
                    }));
                }
                let shown = elicitation::for_client(params, self.facts.revision)
                    .map_err(|error| (codes::INVALID_PARAMS, error.to_string()))?;
                let kind = if mode == Mode::Url {
                    QuestionKind::Url
                } else {
                    let schema = Members::of(params)
                        .ok()
                        .and_then(|members| RawJson::parse(members.get("requestedSchema")?.get().to_owned()).ok());
                    if let Some(schema) = &schema {
                        elicitation::FormSchema::parse(schema)
                            .map_err(|error| (codes::INVALID_PARAMS, error.to_string()))?;
                    }
                    QuestionKind::Form { schema }
                };
                let shown = match self.settings.naming {
                    Naming::Prefixed => elicitation::attributed(&shown, target)
                        .map_err(|error| (codes::INVALID_PARAMS, error.to_string()))?,
                    Naming::Plain => shown,
                };
                Ok((kind, shown))
            }
            "sampling/createMessage" if self.declares("sampling") => Ok((QuestionKind::Sampling, params.clone())),
            "roots/list" if self.declares("roots") => Ok((QuestionKind::Roots, params.clone())),
            other => Err((codes::METHOD_NOT_FOUND, format!("the client did not declare what `{other}` needs"))),
        }
    }

    fn declares(&self, capability: &str) -> bool {
        Members::of(&self.facts.capabilities).is_ok_and(|members| members.get(capability).is_some())
    }

    pub(super) fn store_question(&self, number: u64, step: &mut Step) {
        if let Some(value) = self.questions.get(&number).and_then(|question| serde_json::to_vec(question).ok()) {
            step.batch.push(Op::PutItem { kind: QUESTION, id: number, value: value.into() });
        }
    }

    fn forget_question(&mut self, number: u64, step: &mut Step) -> Option<Question> {
        let question = self.questions.remove(&number)?;
        step.batch.push(Op::DeleteItem { kind: QUESTION, id: number });
        Some(question)
    }

    /// The target took the answer, or never will.
    pub(super) fn on_answer_posted(
        &mut self,
        number: u64,
        result: &Result<(), TargetError>,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        let Some(question) = self.forget_question(number, step) else { return };
        if let Err(error) = result {
            tracing::warn!(
                target_name = &*question.target,
                error = error.code(),
                "an answer could not be passed on to its target"
            );
            if matches!(error, TargetError::SessionGone) {
                self.on_link_lost(&question.target, env, step);
            }
        }
    }

    /// The target takes a question back.
    pub(super) fn withdraw_question(&mut self, target: &str, id: &RequestId, env: &Env<'_>, step: &mut Step) {
        let found = self
            .questions
            .iter()
            .find(|(_, question)| &*question.target == target && question.downstream_id == *id)
            .map(|(number, _)| *number);
        if let Some(number) = found {
            self.withdraw(number, env, step);
        }
    }

    /// A call ended: nobody needs the answers of its questions.
    pub(super) fn withdraw_orphaned_questions(&mut self, env: &Env<'_>, step: &mut Step) {
        // The call is out of the table already: questions of calls that are not there are orphans.
        let running: Vec<(Arc<str>, i64)> =
            self.calls.values().map(|call| (call.target.clone(), call.downstream_id)).collect();
        let orphans: Vec<u64> = self
            .questions
            .iter()
            .filter(|(_, question)| {
                question.answer.is_none()
                    && question.call.is_some_and(|id| {
                        !running.iter().any(|(target, running)| *target == question.target && *running == id)
                    })
            })
            .map(|(number, _)| *number)
            .collect();
        for number in orphans {
            self.withdraw(number, env, step);
        }
    }

    /// The downstream session is gone, and with it whoever asked.
    pub(super) fn abandon_questions_of(&mut self, target: &str, env: &Env<'_>, step: &mut Step) {
        let numbers: Vec<u64> =
            self.questions.iter().filter(|(_, question)| &*question.target == target).map(|(number, _)| *number).collect();
        for number in numbers {
            self.withdraw(number, env, step);
        }
    }

    fn withdraw(&mut self, number: u64, env: &Env<'_>, step: &mut Step) {
        let Some(question) = self.forget_question(number, step) else { return };
        if question.answer.is_some() {
            return;
        }
        let mark: Box<str> = format!("question:{number}").into();
        let waiting = self.queue.len();
        self.queue.retain(|queued| queued.mark.as_deref() != Some(&*mark));
        if self.queue.len() < waiting {
            return;
        }
        let params = super::object_with("requestId", client_id(number).as_raw());
        let message = jsonrpc::notification("notifications/cancelled", Some(&params));
        match question.stream {
            Some(stream) => self.append(stream, &message, env, step),
            None => self.send_standing(message, None, env, step),
        }
    }

    /// The answer as it goes downstream, or why it does not fit its question.
    pub(super) fn checked_answer(question: &Question, body: &ResponseBody) -> Result<(), String> {
        let ResponseBody::Result(result) = body else { return Ok(()) };
        match &question.kind {
            QuestionKind::Form { schema } => {
                match (elicitation::parse_answer(result), schema) {
                    (Ok(Answer::Accept(Some(content))), Some(schema)) => elicitation::check_answer(schema, &content),
                    (Ok(Answer::Accept(None)), Some(_)) => Err(AnswerError::NoContent),
                    (Ok(_), _) => Ok(()),
                    (Err(error), _) => Err(error),
                }
                .map_err(|error| error.to_string())
            }
            QuestionKind::Url => {
                elicitation::parse_answer(result).map(|_| ()).map_err(|error| error.to_string())
            }
            QuestionKind::Sampling | QuestionKind::Roots => Ok(()),
        }
    }
}
