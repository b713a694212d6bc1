//! Requests of the client.

use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::envelope::LogLevel;
use sessiongate_protocol::progress::Watermark;
use sessiongate_protocol::text::short;
use sessiongate_protocol::{RawJson, Request, ResponseBody, codes, jsonrpc, meta};

use super::lists::Planned;
use super::replies::Failure;
use super::{Call, CallId, CallKind, Effect, Env, Generation, Outgoing, Reply, SessionCore, Step};
use crate::catalogue::{ListKind, Route};
use crate::error::SessionError;

/// The levels of RFC 5424 as MCP spells them, most verbose first.
pub(super) const LOG_LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// The level of a conversation while nobody wants to hear anything: there is no word for none.
pub(super) const SILENCE: &str = "emergency";

/// Resources that one session may be subscribed to.
const SUBSCRIPTIONS: usize = 256;

// === impl SessionCore ===

impl SessionCore {
    pub(super) fn on_request(
        &mut self,
        call: CallId,
        request: Request,
        sse: bool,
        log_level: Option<LogLevel>,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        let sse = sse && self.current.streaming;
        let limit = self.settings.sessions.calls_in_flight;
        if self.calls.len() >= limit && &*request.method != "ping" {
            step.now.push(Effect::BoundReached("calls_in_flight"));
            let error = SessionError::Bound { what: "calls in flight", limit, remedy: "wait for one to end" };
            let body = error.body(Some(&request.id));
            step.now.push(Effect::Answer(call, super::Answer::Refused { status: error.status(), body }));
            return;
        }
        if self.calls.values().any(|running| running.client_id == request.id) {
            let error = SessionError::InvalidRequest(format!(
                "the id {} belongs to a request that still runs: use a new id for each request",
                request.id
            ));
            let body = error.body(Some(&request.id));
            step.now.push(Effect::Answer(call, super::Answer::Refused { status: error.status(), body }));
            return;
        }
        let outgoing = match self.plan(call, &request, env, step) {
            Ok(Some(outgoing)) => outgoing,
            Ok(None) => return,
            Err(failure) => return self.answer_now(call, &request.id, &failure.body(), step),
        };
        self.send_call(call, request, outgoing, sse, log_level, env, step);
    }

    /// Decides who answers: none if the gateway just did.
    fn plan(
        &mut self,
        call: CallId,
        request: &Request,
        env: &Env<'_>,
        step: &mut Step,
    ) -> Result<Option<Outgoing>, Failure> {
        let params = request.params.as_ref();
        let answer = |body: RawJson, core: &Self, step: &mut Step| {
            core.answer_now(call, &request.id, &ResponseBody::Result(body), step);
            Ok(None)
        };
        if let Some(list) = ListKind::of_method(&request.method) {
            return match self.plan_list(list, params, env)? {
                Planned::Page(page) => answer(page, self, step),
                Planned::Ask(outgoing) => Ok(Some(outgoing)),
            };
        }
        if request.method.starts_with("tasks/")
            && let Some(kept) = self.about_kept(request, env)
        {
            return answer(kept?, self, step);
        }
        if let Some(planned) = self.plan_about_task(request, env) {
            return planned.map(Some);
        }
        if let Some(planned) = self.plan_task_list(request, env) {
            return match planned? {
                Some(outgoing) => Ok(Some(outgoing)),
                None => answer(self.task_page_of(&[], None, env), self, step),
            };
        }
        match &*request.method {
            "ping" => answer(RawJson::EMPTY_OBJECT, self, step),
            "tools/call" => {
                if let Some(found) = self.search(request, env) {
                    return answer(found?, self, step);
                }
                let outgoing = self.plan_named(ListKind::Tools, params, env)?;
                self.plan_task(outgoing, env).map(Some)
            }
            "prompts/get" => self.plan_named(ListKind::Prompts, params, env).map(Some),
            "resources/read" => {
                let (uri, target) = self.resource(params, env)?;
                Ok(Some(Outgoing { kind: CallKind::Plain, target, name: Some(uri), params: params.cloned() }))
            }
            "resources/subscribe" if !self.can_be_told() => Err(Failure {
                code: codes::METHOD_NOT_FOUND,
                message: "`resources/subscribe` is not offered: this gateway has no stream to tell of changes".into(),
                reason: "not_offered",
            }),
            "resources/subscribe" => {
                let (uri, target) = self.resource(params, env)?;
                if !env.catalogue.capabilities_of(&target).subscribe {
                    return Err(unsupported(&request.method, &target));
                }
                if self.subscriptions.len() >= SUBSCRIPTIONS && !self.subscriptions.contains_key(&uri) {
                    step.now.push(Effect::BoundReached("subscriptions"));
                    return Err(Failure {
                        code: codes::INVALID_REQUEST,
                        message: format!("too many subscriptions (limit {SUBSCRIPTIONS}): unsubscribe from one first"),
                        reason: "bound_reached",
                    });
                }
                let kind = CallKind::Subscribe { uri: uri.clone() };
                Ok(Some(Outgoing { kind, target, name: Some(uri), params: params.cloned() }))
            }
            "resources/unsubscribe" => {
                let (uri, target) = self.resource(params, env)?;
                let target = self.subscriptions.get(&uri).cloned().unwrap_or(target);
                let kind = CallKind::Unsubscribe { uri: uri.clone() };
                Ok(Some(Outgoing { kind, target, name: Some(uri), params: params.cloned() }))
            }
            "completion/complete" => self.plan_completion(params, env).map(Some),
            "logging/setLevel" => {
                self.set_level(params, step)?;
                answer(RawJson::EMPTY_OBJECT, self, step)
            }
            "initialize" => Err(Failure {
                code: codes::INVALID_REQUEST,
                message:
                    "the session is initialized already: to start over, send `initialize` without `Mcp-Session-Id`"
                        .into(),
                reason: "already_initialized",
            }),
            method => Err(Failure {
                code: codes::METHOD_NOT_FOUND,
                message: format!("method `{}` is not known", short(method)),
                reason: "method_not_found",
            }),
        }
    }

    fn plan_named(&self, kind: ListKind, params: Option<&RawJson>, env: &Env<'_>) -> Result<Outgoing, Failure> {
        let params = params.ok_or_else(|| Failure::invalid_params("`params.name` is missing"))?;
        let exposed = meta::name_of(params).map_err(|error| Failure::invalid_params(error.to_string()))?;
        let whole = self.whole_name(kind, &exposed, env);
        let Route { target, name } = self.route(kind, whole, env).ok_or_else(|| {
            let what = if kind == ListKind::Tools { "tool" } else { "prompt" };
            Failure {
                code: codes::INVALID_PARAMS,
                message: format!("Unknown {what}: {}", short(&exposed)),
                reason: "unknown_name",
            }
        })?;
        let params = if *name == *exposed {
            params.clone()
        } else {
            meta::with_name(params, &name).map_err(|error| Failure::invalid_params(error.to_string()))?
        };
        let kind = if kind == ListKind::Tools { CallKind::Tool } else { CallKind::Plain };
        Ok(Outgoing { kind, target, name: Some(whole.into()), params: Some(params) })
    }

    /// The longest name that this session is shown: the gateway's limit or its client's own.
    pub(super) fn name_limit(&self) -> Option<usize> {
        let own = self.facts.max_name_length.map(usize::from);
        match (own, self.settings.max_name_length) {
            (Some(own), Some(all)) => Some(own.min(all)),
            (own, all) => own.or(all),
        }
    }

    /// The catalogue's name for what a client named: clients that asked for short names may use both.
    fn whole_name<'a>(&self, kind: ListKind, named: &'a str, env: &Env<'a>) -> &'a str {
        let limit = self.facts.max_name_length.map(usize::from);
        limit.and_then(|limit| env.catalogue.unshortened(kind, named, limit)).unwrap_or(named)
    }

    fn route(&self, kind: ListKind, exposed: &str, env: &Env<'_>) -> Option<Route> {
        env.catalogue
            .route_listed(kind, exposed)
            .or_else(|| self.shortened_live(kind, exposed, env))
            .or_else(|| env.catalogue.route_name(kind, exposed))
    }

    /// `completion/complete` goes where the prompt or the resource template is.
    fn plan_completion(&self, params: Option<&RawJson>, env: &Env<'_>) -> Result<Outgoing, Failure> {
        let bad = |text: &str| Failure::invalid_params(text);
        let params = params.ok_or_else(|| bad("`params.ref` is missing"))?;
        let members = Members::of(params).map_err(|error| Failure::unreadable("params", &error))?;
        let reference = members.get("ref").ok_or_else(|| bad("`params.ref` is missing"))?;
        let inner = Members::of_str(reference.get()).map_err(|error| Failure::unreadable("params.ref", &error))?;
        let (target, params) = match inner.get_str("type").as_deref() {
            Some("ref/prompt") => {
                let exposed = inner.get_str("name").ok_or_else(|| bad("`params.ref.name` is missing"))?;
                let route = self
                    .route(ListKind::Prompts, self.whole_name(ListKind::Prompts, &exposed, env), env)
                    .ok_or_else(|| bad(&format!("Unknown prompt: {}", short(&exposed))))?;
                let name = serde_json::to_string(&route.name).unwrap_or_default();
                let renamed = inner.with(&[("name", Some(&name))]);
                (route.target, members.with(&[("ref", Some(renamed.as_str()))]))
            }
            Some("ref/resource") => {
                let uri = inner.get_str("uri").ok_or_else(|| bad("`params.ref.uri` is missing"))?;
                let target =
                    self.owner_of(&uri, env).ok_or_else(|| bad(&format!("Unknown resource: {}", short(&uri))))?;
                (target, params.clone())
            }
            _ => return Err(bad("`params.ref.type` must be `ref/prompt` or `ref/resource`")),
        };
        if !env.catalogue.capabilities_of(&target).completions {
            return Err(unsupported("completion/complete", &target));
        }
        Ok(Outgoing { kind: CallKind::Plain, target, name: None, params: Some(params) })
    }

    fn set_level(&mut self, params: Option<&RawJson>, step: &mut Step) -> Result<(), Failure> {
        let level = params
            .and_then(|params| Members::of(params).ok()?.get_str("level").map(std::borrow::Cow::into_owned))
            .filter(|level| LOG_LEVELS.contains(&level.as_str()))
            .ok_or_else(|| {
                Failure::invalid_params(format!("`params.level` must be one of {}", LOG_LEVELS.join(", ")))
            })?;
        self.log_level = Some(level.into());
        self.dirty = true;
        self.send_level_everywhere(step);
        self.listen_where_wanted(step);
        Ok(())
    }

    /// Many requests share a conversation, and each says itself what it wants to hear: what targets log follows the most
    /// verbose of those that run. It becomes quieter with the next request and not at once, because those that come one
    /// after the other mostly want the same.
    fn follow_levels(&mut self, step: &mut Step) {
        let wanted = self.calls.values().filter_map(|call| call.log_level).min();
        let level = match wanted {
            Some(level) => level.as_str(),
            None if self.log_level.is_none() => return,
            None => SILENCE,
        };
        if self.log_level.as_deref() == Some(level) {
            return;
        }
        // Not worth a write of its own: each link is told when it is taken up.
        self.log_level = Some(level.into());
        self.send_level_everywhere(step);
        self.listen_where_wanted(step);
    }

    /// Sends a request to its target, opening the downstream session first if need be.
    #[allow(clippy::too_many_arguments)]
    fn send_call(
        &mut self,
        id: CallId,
        request: Request,
        outgoing: Outgoing,
        sse: bool,
        log_level: Option<LogLevel>,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        let Outgoing { kind, target, name, params } = outgoing;
        let token = match params.as_ref().map(meta::progress_token).transpose() {
            Ok(token) => token.flatten(),
            Err(error) => {
                let failure = Failure::invalid_params(error.to_string());
                return self.answer_now(id, &request.id, &failure.body(), step);
            }
        };
        let timeout = env.catalogue.target(&target).map(|state| state.settings.call_timeout).unwrap_or_default();
        let link = self.link(&target);
        let downstream_id = link.next_id();
        link.remember_call(downstream_id, id);
        // A progress token of the client is unique only among its own requests: downstream the request id serves.
        let params = match (&params, &token) {
            (Some(params), Some(_)) => {
                meta::with_progress_token(params, Some(&meta::ProgressToken::integer(downstream_id))).ok()
            }
            _ => params,
        };
        let body = jsonrpc::request(
            &sessiongate_protocol::RequestId::integer(downstream_id),
            &request.method,
            params.as_ref(),
        );
        self.calls.insert(
            id,
            Call {
                client_id: request.id,
                method: request.method,
                name,
                reply: Reply::Waiting,
                sse,
                kind,
                target: target.clone(),
                generation: Generation::default(),
                downstream_id,
                body,
                sent: false,
                attempts: 0,
                progress_token: token,
                log_level,
                last_progress: Watermark::default(),
                last_event: None,
                started: env.now,
                deadline: env.now.plus(timeout),
            },
        );
        if self.facts.conversation {
            self.follow_levels(step);
        }
        self.dispatch(id, &target, step);
    }
}

fn unsupported(method: &str, target: &str) -> Failure {
    Failure {
        code: codes::METHOD_NOT_FOUND,
        message: format!("target `{target}` does not offer `{method}`"),
        reason: "not_offered",
    }
}
