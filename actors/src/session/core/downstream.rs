//! What targets say: responses to calls, and messages on their streams.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sessiongate_protocol::elicitation::{self, UrlRequired};
use sessiongate_protocol::members::Members;
use sessiongate_protocol::meta;
use sessiongate_protocol::text::short;
use sessiongate_protocol::{
    Message, Notification, RawJson, Request, Response, ResponseBody, codes, jsonrpc, progress, tasks,
};
use sessiongate_targets::{CallReply, LinkEvent, Origin, TargetError};

use super::links::LinkState;
use super::requests::LOG_LEVELS;
use super::resources::Mentioning;
use super::{ACCEPTED, CallId, CallKind, Effect, Env, Generation, Reply, SessionCore, Step};
use crate::catalogue::ListKind;
use crate::settings::Naming;

/// URL elicitations remembered for `notifications/elicitation/complete`.
const ELICITATION_IDS: usize = 256;

/// Where a message of a target came from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// From the stream of a call.
    Call(CallId),
    /// From the stream of a call that is no longer there.
    EndedCall,
    /// From outside calls.
    Standing,
}

// === impl SessionCore ===

impl SessionCore {
    pub(super) fn on_call_done(
        &mut self,
        id: CallId,
        generation: Generation,
        result: Result<CallReply, TargetError>,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        let Some(call) = self.calls.get(&id) else { return };
        if call.generation != generation {
            return;
        }
        let target = call.target.clone();
        if let Err(TargetError::SessionGone | TargetError::Closed | TargetError::Process { .. }) = &result
            && self.is_current(&target, generation)
        {
            self.on_link_lost(&target, env, step);
        }
        match result {
            // Nothing follows a response: its event id is of no use.
            Ok(CallReply { response, .. }) => self.on_result(id, response, &target, env, step),
            Err(error) if self.may_retry(id, &error) => self.dispatch(id, &target, step),
            // The link's clock may be a moment ahead of the session's tick: the target is told all the same.
            Err(error @ TargetError::TimedOut(_)) => {
                if self.calls.get(&id).is_some_and(|call| call.deadline <= env.now.plus(Duration::from_millis(100))) {
                    self.time_out(id, env, step);
                } else {
                    self.dismiss_questions_of(id, env, step);
                    self.cancel_downstream(id, Some("the target took too long"), step);
                    self.fail_by_target(id, &error, env, step);
                }
            }
            Err(error) => self.fail_by_target(id, &error, env, step),
        }
    }

    fn on_result(&mut self, id: CallId, response: Response, target: &Arc<str>, env: &Env<'_>, step: &mut Step) {
        let Some(call) = self.calls.get(&id) else { return };
        let kind = call.kind.clone();
        let streamed = matches!(call.reply, Reply::Stream(_));
        if let (ResponseBody::Result(result), Some(place)) = (&response.body, Mentioning::of_method(&call.method)) {
            self.note_resources(place, target, result, streamed, env, step);
        }
        let mut outcome = "ok";
        let body = match response.body {
            ResponseBody::Result(result) => match &kind {
                CallKind::List { list } => match self.live_page(*list, target, &result, env, step) {
                    Ok(page) => ResponseBody::Result(page),
                    Err(_) => self.page_without(*list, target, env),
                },
                CallKind::Tool => {
                    if is_tool_error(&result) {
                        outcome = "tool_error";
                    }
                    ResponseBody::Result(self.related_for_client(target, result))
                }
                CallKind::TaskCall { ttl } => {
                    self.note_task_progress(id);
                    self.task_created(target, result, *ttl, env, step)
                }
                CallKind::TaskAbout { task } => ResponseBody::Result(tasks::named(&result, task)),
                CallKind::TaskResult { task } => {
                    if is_tool_error(&result) {
                        outcome = "tool_error";
                    }
                    ResponseBody::Result(tasks::with_related(&result, task))
                }
                CallKind::TaskList => match self.task_page(target, &result, env) {
                    Ok(page) => ResponseBody::Result(page),
                    Err(_) => self.task_page_without(target, env),
                },
                CallKind::Subscribe { uri } => {
                    self.subscriptions.insert(uri.clone(), target.clone());
                    self.dirty = true;
                    self.listen_where_wanted(step);
                    ResponseBody::Result(result)
                }
                CallKind::Unsubscribe { uri } => {
                    self.subscriptions.remove(uri);
                    self.dirty = true;
                    self.listen_where_wanted(step);
                    ResponseBody::Result(result)
                }
                CallKind::Plain => ResponseBody::Result(result),
            },
            ResponseBody::Error(error) => {
                outcome = "error";
                match &kind {
                    // Of a cursor the client must hear; else one target must not spoil the list of all.
                    CallKind::List { list } if !is_invalid_params(&error) => self.page_without(*list, target, env),
                    CallKind::TaskList if !is_invalid_params(&error) => self.task_page_without(target, env),
                    _ => self.on_target_error(error, target, step),
                }
            }
        };
        self.finish_call(id, &body, outcome, env, step);
    }

    /// An error passes as it came, but for a -32042 that no client could use.
    fn on_target_error(&mut self, error: RawJson, target: &Arc<str>, step: &mut Step) -> ResponseBody {
        if !UrlRequired::has_code(&error) {
            return ResponseBody::Error(error);
        }
        match UrlRequired::read(&error) {
            // The door of a modern client says itself what was not declared: that era has a code for it.
            Ok(_) if !self.elicitation().url && !self.facts.conversation => {
                let message = format!(
                    "target `{target}` needs a page to be visited first, and the client did not declare URL mode elicitation"
                );
                jsonrpc::error_body(codes::INTERNAL_ERROR, &message, None)
            }
            Ok(required) => {
                for id in &required.ids {
                    self.remember_elicitation(id, target, step);
                }
                ResponseBody::Error(error)
            }
            Err(reason) => {
                let message = format!("target `{target}` asked for a URL elicitation that cannot be used: {reason}");
                jsonrpc::error_body(codes::INTERNAL_ERROR, &message, None)
            }
        }
    }

    pub(super) fn remember_elicitation(&mut self, id: &str, target: &Arc<str>, step: &mut Step) {
        if self.elicitation_ids.len() >= ELICITATION_IDS {
            self.elicitation_ids.pop_front();
        }
        self.elicitation_ids.push_back((id.into(), target.clone()));
        self.dirty = true;
        self.listen_where_wanted(step);
    }

    pub(super) fn time_out(&mut self, id: CallId, env: &Env<'_>, step: &mut Step) {
        let Some(call) = self.calls.get(&id) else { return };
        let error = TargetError::TimedOut(call.deadline.since(call.started));
        self.dismiss_questions_of(id, env, step);
        self.cancel_downstream(id, Some("the gateway's deadline for the call passed"), step);
        self.fail_by_target(id, &error, env, step);
    }

    /// A call that was sent on this downstream session: nothing else can have a stream there.
    fn call_on(&self, target: &str, generation: Generation, id: i64) -> Option<CallId> {
        let call = self.links.get(target)?.call_of(id)?;
        self.calls.get(&call).is_some_and(|call| call.sent && call.generation == generation).then_some(call)
    }

    pub(super) fn on_link_event(
        &mut self,
        target: &Arc<str>,
        generation: Generation,
        event: LinkEvent,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        if !self.is_current(target, generation) {
            return;
        }
        match event {
            LinkEvent::Closed { .. } => self.on_link_lost(target, env, step),
            LinkEvent::Position { call, event_id, interrupted } => {
                let found = self.call_on(target, generation, call);
                if let Some(state) = found.and_then(|call| self.calls.get_mut(&call)) {
                    state.attempts = ACCEPTED;
                    state.last_event = Some(event_id);
                }
                if let Some(call) = found {
                    // The answer takes its time: the client gets a place to come back to as well.
                    if interrupted {
                        self.upgrade(call, env, step);
                    }
                    self.store_call(call, step);
                }
            }
            LinkEvent::Message { origin, message, event_id } => {
                let call = match origin {
                    Origin::Call(id) => self.call_on(target, generation, id),
                    Origin::Standing => None,
                };
                let numbered = event_id.is_some();
                if let Some(state) = call.and_then(|call| self.calls.get_mut(&call)) {
                    // Whoever speaks on the call's stream took the call: it is never sent again.
                    state.attempts = ACCEPTED;
                    // Stored with whatever is done about the message: see the module's first lines.
                    if event_id.is_some() {
                        state.last_event = event_id;
                    }
                }
                let source = match (origin, call) {
                    (_, Some(call)) => Source::Call(call),
                    (Origin::Call(_), None) => Source::EndedCall,
                    (Origin::Standing, None) => Source::Standing,
                };
                match message {
                    Message::Request(request) => self.on_target_request(target, source, request, env, step),
                    Message::Notification(notification) => {
                        self.on_target_notification(target, source, notification, env, step);
                    }
                    Message::Response(_) => {}
                }
                if let (Some(call), true) = (call, numbered) {
                    self.store_call(call, step);
                }
            }
        }
    }

    fn on_target_request(
        &mut self,
        target: &Arc<str>,
        source: Source,
        request: Request,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        match &*request.method {
            "ping" => {
                let body = jsonrpc::response(Some(&request.id), &ResponseBody::Result(RawJson::EMPTY_OBJECT));
                self.post(target, body, None, true, step);
            }
            "elicitation/create" | "sampling/createMessage" | "roots/list" => {
                self.ask(target, source, request, env, step);
            }
            method => {
                let body = jsonrpc::error_body(
                    codes::METHOD_NOT_FOUND,
                    &format!("method `{}` is not known", short(method)),
                    None,
                );
                self.post(target, jsonrpc::response(Some(&request.id), &body), None, true, step);
            }
        }
    }

    fn on_target_notification(
        &mut self,
        target: &Arc<str>,
        source: Source,
        notification: Notification,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        let params = notification.params.map(|params| self.related_for_client(target, params));
        let notification = Notification { params, ..notification };
        let params = notification.params.as_ref();
        if let Some(list) = ListKind::of_changed_method(&notification.method) {
            return match env.catalogue.is_live(target) {
                true => self.tell_changed(list, env, step),
                false => step.now.push(Effect::Resync { target: target.clone() }),
            };
        }
        match &*notification.method {
            "notifications/progress" => {
                if let Some(params) = params {
                    self.on_progress(target, source, params, env, step);
                }
            }
            "notifications/cancelled" => {
                if let Some(id) = params.and_then(|params| meta::request_id_of(params).ok()) {
                    self.withdraw_question(target, &id, env, step);
                }
            }
            "notifications/message" => self.on_log_message(target, source, params, env, step),
            "notifications/resources/updated" => {
                let uri = params.and_then(|params| meta::uri_of(params).ok().map(std::borrow::Cow::into_owned));
                let mark = uri.map(|uri| format!("updated:{uri}").into());
                self.send_standing(jsonrpc::notification(&notification.method, params), mark, env, step);
            }
            "notifications/elicitation/complete" => {
                let id = params.and_then(|params| elicitation::elicitation_id(params).ok());
                let known = id.and_then(|id| {
                    self.elicitation_ids.iter().position(|(known, owner)| **known == *id && owner == target)
                });
                if let Some(at) = known {
                    self.elicitation_ids.remove(at);
                    self.dirty = true;
                    self.listen_where_wanted(step);
                    let message = jsonrpc::notification(&notification.method, params);
                    self.send_related(target, source, message, env, step);
                }
            }
            "notifications/tasks/status" => self.on_task_status(target, source, &notification, env, step),
            _ => {
                let message = jsonrpc::notification(&notification.method, params);
                self.send_related(target, source, message, env, step);
            }
        }
    }

    /// Progress belongs to the call whose token it carries; values must grow.
    fn on_progress(&mut self, target: &Arc<str>, source: Source, params: &RawJson, env: &Env<'_>, step: &mut Step) {
        let Ok(read) = progress::Progress::read(params) else { return };
        let Some(id) = read.token.as_i64().and_then(|id| self.links.get(target)?.call_of(id)) else {
            return self.on_task_progress(target, source, (&read, params), env, step);
        };
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(token) = call.progress_token.clone() else { return };
        if !call.last_progress.admit(read.progress) {
            return;
        }
        let Ok(params) = progress::with_token(params, &token) else { return };
        if let Some(stream) = self.upgrade(id, env, step) {
            self.append(stream, &jsonrpc::notification("notifications/progress", Some(&params)), env, step);
        }
    }

    fn on_log_message(
        &mut self,
        target: &Arc<str>,
        source: Source,
        params: Option<&RawJson>,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        let Some(params) = params else { return };
        let Ok(members) = Members::of(params) else { return };
        let rank = |level: &str| LOG_LEVELS.iter().position(|known| *known == level);
        let level = members.get_str("level").and_then(|level| rank(&level));
        // What comes with a call of a conversation is for that call alone.
        let wanted = match source {
            Source::Call(call) if self.facts.conversation => {
                let wanted = self.calls.get(&call).and_then(|call| call.log_level);
                let Some(wanted) = wanted else { return };
                rank(wanted.as_str())
            }
            _ => self.log_level.as_deref().and_then(rank),
        };
        if let (Some(level), Some(wanted)) = (level, wanted)
            && level < wanted
        {
            return;
        }
        let params = match self.settings.naming {
            Naming::Plain => params.clone(),
            Naming::Prefixed => {
                let logger = match members.get_str("logger") {
                    Some(logger) => format!("{target}/{logger}"),
                    None => target.to_string(),
                };
                members.with(&[("logger", Some(&serde_json::to_string(&logger).unwrap_or_default()))])
            }
        };
        self.send_related(target, source, jsonrpc::notification("notifications/message", Some(&params)), env, step);
    }

    /// Sends a message on the stream of the call it came with; without one, on the standing stream, or if nobody reads
    /// that, on that of the only call that runs there. What comes late on the stream of a call that ended belongs to no other call.
    pub(super) fn send_related(
        &mut self,
        target: &Arc<str>,
        source: Source,
        message: Bytes,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        let call = match source {
            Source::Call(call) => Some(call),
            // Where the target chose its standing stream and the client reads one, leaving messages there keeps their
            // order.
            Source::Standing if self.streams.live_standing().is_some() => None,
            Source::Standing => self.links.get(target).and_then(LinkState::only_call),
            Source::EndedCall => None,
        };
        if let Some(stream) = call.and_then(|call| self.upgrade(call, env, step)) {
            return self.append(stream, &message, env, step);
        }
        self.send_standing(message, None, env, step);
    }

    /// Tells the target that nobody wants the answer of a call.
    pub(super) fn cancel_downstream(&mut self, id: CallId, reason: Option<&str>, step: &mut Step) {
        let Some(call) = self.calls.get(&id) else { return };
        if !call.sent {
            return;
        }
        let mut params = serde_json::json!({"requestId": call.downstream_id});
        if let Some(reason) = reason {
            params["reason"] = reason.into();
        }
        let target = call.target.clone();
        if let Ok(params) = RawJson::from_serialize(&params) {
            let body = jsonrpc::notification("notifications/cancelled", Some(&params));
            self.post(&target, body, None, false, step);
        }
    }
}

fn is_invalid_params(error: &RawJson) -> bool {
    Members::of(error)
        .is_ok_and(|members| members.get("code").is_some_and(|code| code.get().parse() == Ok(codes::INVALID_PARAMS)))
}

/// A tool's own failure: reported to the model, and not a success in the figures.
pub(super) fn is_tool_error(result: &RawJson) -> bool {
    // The search is cheap and usually ends it: only a result that mentions the member is looked into.
    result.as_str().contains("\"isError\"")
        && Members::of(result).is_ok_and(|members| members.get("isError").is_some_and(|value| value.get() == "true"))
}
