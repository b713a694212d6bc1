//! Tasks of 2025-11-25 (experimental) for the session's client: calls that are answered with a handle, and requests about
//! it. A modern target's link speaks the same words, so that nothing here knows the eras.
//!
//! The client's id of a task is sealed for its principal, and opens at each request: it needs no memory, and nobody else can
//! use it. What the session remembers is the other direction, for lists, for what a target says by itself, and for what
//! names the task it belongs to. It is stored before the client learns the id.

mod kept;
mod progress;

use std::sync::Arc;

use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::results::tool_to_modern;
use sessiongate_protocol::modern::tasks::{Owner, Task, id_of, with_id};
use sessiongate_protocol::tasks::{self, Support, TaskCursor};
use sessiongate_protocol::text::short;
use sessiongate_protocol::{Notification, RawJson, Request, ResponseBody, Revision, codes, jsonrpc};

use super::downstream::Source;
use super::replies::Failure;
use super::{CallKind, Env, Outgoing, SessionCore, Step};
use crate::catalogue::ListKind;

pub(super) use kept::Kept;
use kept::{KeptResult, wanted_ttl};
pub(super) use progress::TaskProgress;

/// Tasks on a page of a target that has no list of its own, and is asked for each.
const PAGE: usize = 50;
/// The id in the tokens of the gateway's own tasks, which are told apart by the tokens. A target that calls one so, which none
/// does but on purpose, is not asked about it.
const KEPT: &str = "sessiongate-kept";

// === impl SessionCore ===

impl SessionCore {
    /// The client's revision has tasks, and the session lasts long enough for one.
    fn knows_tasks(&self) -> bool {
        self.facts.revision == Revision::V2025_11_25 && !self.facts.stateless
    }

    fn owner(&self) -> Owner<'_> {
        Owner { gateway: &self.settings.name, principal: self.facts.principal.as_bytes() }
    }

    /// A tool as this client is told of it: a call that must be a task may be made as none, and then waits.
    pub(super) fn shown_tool(&self, tool: &RawJson) -> RawJson {
        match self.knows_tasks() && !self.facts.conversation {
            true => tasks::without_required(tool),
            false => tool_to_modern(tool),
        }
    }

    /// What becomes of a call of a tool that asks for a task: one, none because nobody speaks of tasks here, or a refusal.
    pub(super) fn plan_task(&self, outgoing: Outgoing, env: &Env<'_>) -> Result<Outgoing, Failure> {
        let Some(params) = outgoing.params.as_ref().filter(|params| tasks::asks_for_task(params)) else {
            return Ok(outgoing);
        };
        let can = env.catalogue.capabilities_of(&outgoing.target);
        let tool = outgoing.name.as_deref().and_then(|name| env.catalogue.item(ListKind::Tools, name));
        // A tool in no list is its target's to judge.
        let fits = can.runs_tasks() && tool.is_none_or(|tool| Support::of(tool) != Support::Forbidden);
        // The door of a modern client offers tasks itself; what else says `task` there means nothing.
        let ignored =
            !self.knows_tasks() || !env.catalogue.capabilities().runs_tasks() || self.facts.conversation && !fits;
        if ignored {
            return Ok(Outgoing { params: Some(tasks::as_no_task(params)), ..outgoing });
        }
        if let Some(wrong) = tasks::wrong_task(params) {
            return Err(Failure::invalid_params(wrong));
        }
        if !fits {
            return Err(task_forbidden(outgoing.name.as_deref().unwrap_or_default()));
        }
        Ok(Outgoing { kind: CallKind::TaskCall { ttl: wanted_ttl(params) }, ..outgoing })
    }

    /// What is wrong with a call of a tool of the gateway's own that asks for a task, where that means anything.
    pub(super) fn refused_task(&self, tool: &str, params: Option<&RawJson>, env: &Env<'_>) -> Option<Failure> {
        let asked = params.is_some_and(tasks::asks_for_task);
        let meant = self.knows_tasks() && !self.facts.conversation && env.catalogue.capabilities().runs_tasks();
        (asked && meant).then(|| task_forbidden(tool))
    }

    /// `tasks/get`, `tasks/result`, `tasks/cancel`: to the target whose task it is. None for any other method.
    pub(super) fn plan_about_task(&mut self, request: &Request, env: &Env<'_>) -> Option<Result<Outgoing, Failure>> {
        let about = matches!(&*request.method, "tasks/get" | "tasks/result" | "tasks/cancel");
        (about && self.has_tasks(env)).then(|| self.about_task(request, env))
    }

    fn about_task(&mut self, request: &Request, env: &Env<'_>) -> Result<Outgoing, Failure> {
        let params = request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
        let token = id_of(&params).ok_or_else(|| Failure::invalid_params("`params.taskId` must be a string"))?;
        // Foreign, invented and long gone look the same.
        let unknown = || Failure {
            code: codes::INVALID_PARAMS,
            message: "there is no task with this id".into(),
            reason: "unknown_task",
        };
        let task = Task::open(env.sealer, self.owner(), &token).filter(|task| &*task.id != KEPT).ok_or_else(unknown)?;
        let target = env.catalogue.target(&task.target).ok_or_else(unknown)?.settings.name.clone();
        let can = env.catalogue.capabilities_of(&target);
        let cancels = &*request.method != "tasks/cancel" || can.tasks || can.task_cancel;
        if !can.runs_tasks() || !cancels {
            return Err(Failure {
                code: codes::METHOD_NOT_FOUND,
                message: format!("target `{target}` does not offer `{}`", request.method),
                reason: "not_offered",
            });
        }
        // Another session of this principal may have begun it.
        if self.token_of(&target, &task.id).is_none() {
            self.remember_task(&target, &task.id, &token);
        }
        let kind = match &*request.method {
            "tasks/result" => CallKind::TaskResult { task: token },
            _ => CallKind::TaskAbout { task: token },
        };
        Ok(Outgoing { kind, target, name: None, params: Some(with_id(&params, &task.id)) })
    }

    fn has_tasks(&self, env: &Env<'_>) -> bool {
        self.knows_tasks() && env.catalogue.capabilities().runs_tasks()
    }

    // === handles ===

    fn token_of(&self, target: &str, id: &str) -> Option<&str> {
        self.tasks.get(&key(target, id))?.name.as_deref()
    }

    fn remember_task(&mut self, target: &Arc<str>, id: &str, token: &str) {
        self.tasks.note(&key(target, id), target, Some(token));
    }

    /// The answer to a call as a task.
    pub(super) fn task_created(
        &mut self,
        target: &Arc<str>,
        result: RawJson,
        ttl: Option<u64>,
        env: &Env<'_>,
        step: &mut Step,
    ) -> ResponseBody {
        let Some(id) = tasks::created_id(&result) else {
            return ResponseBody::Result(self.keep_result(target, result, ttl, env, step));
        };
        let task = Task { target: target.as_ref().into(), id };
        let Ok(token) = task.seal(env.sealer, self.owner()) else {
            let text = format!("target `{target}` began a task whose id is too long to be passed on");
            return jsonrpc::error_body(codes::INTERNAL_ERROR, &text, None);
        };
        self.remember_task(target, &task.id, &token);
        self.tasks.save(&mut step.batch);
        // The client learns the id when it is stored: it may use it after a restart.
        self.dirty = true;
        ResponseBody::Result(tasks::with_created_id(&result, &token))
    }

    /// A target that made no task of the call has answered: that is kept, and its client handed a task. The door of a
    /// modern client needs none.
    fn keep_result(
        &mut self,
        target: &Arc<str>,
        result: RawJson,
        ttl: Option<u64>,
        env: &Env<'_>,
        step: &mut Step,
    ) -> RawJson {
        if self.facts.conversation {
            return result;
        }
        let task = Task { target: target.as_ref().into(), id: KEPT.into() };
        let Ok(token) = task.seal(env.sealer, self.owner()) else { return result };
        let kept = KeptResult::new(&token, ttl, env.now, result.clone());
        let handle = kept.handle();
        if !self.kept.keep(kept, &mut step.batch) {
            tracing::warn!(
                target_name = &**target,
                bytes = result.len(),
                "a result is too large to be kept for a task"
            );
            return result;
        }
        self.dirty = true;
        handle
    }

    /// The answer to a request about a task that is none of a target.
    pub(super) fn about_kept(&self, request: &Request, env: &Env<'_>) -> Option<Result<RawJson, Failure>> {
        let token = id_of(request.params.as_ref()?)?;
        let kept = self.kept.get(&token, env.now)?;
        match &*request.method {
            "tasks/get" => Some(Ok(kept.shown())),
            "tasks/result" => Some(Ok(kept.answer())),
            "tasks/cancel" => {
                Some(Err(Failure::invalid_params("the task has come to its end already: it cannot be cancelled")))
            }
            _ => None,
        }
    }

    /// Params or a result of a target: the task that it belongs to under the client's id, and nothing of one that the
    /// client does not know.
    pub(super) fn related_for_client(&self, target: &str, object: RawJson) -> RawJson {
        if !tasks::may_relate(&object) {
            return object;
        }
        match tasks::related(&object).and_then(|id| self.token_of(target, &id)) {
            Some(token) => tasks::with_related(&object, token),
            None => tasks::without_related(&object),
        }
    }

    /// An answer of the client: the task that it belongs to under the id of its target, and nothing of one that is not
    /// its own.
    pub(super) fn related_for_target(&self, body: &ResponseBody, target: &str, env: &Env<'_>) -> Option<ResponseBody> {
        let ResponseBody::Result(result) = body else { return None };
        if !tasks::may_relate(result) {
            return None;
        }
        let task = tasks::related(result).and_then(|token| Task::open(env.sealer, self.owner(), &token));
        let result = match task.filter(|task| &*task.target == target) {
            Some(task) => tasks::with_related(result, &task.id),
            None => tasks::without_related(result),
        };
        Some(ResponseBody::Result(result))
    }

    /// `notifications/tasks/status`. Nobody may rely on it, so that it does not wait for a stream.
    pub(super) fn on_task_status(
        &mut self,
        target: &Arc<str>,
        source: Source,
        notification: &Notification,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        let Some(params) = &notification.params else { return };
        let Some(token) = id_of(params).and_then(|id| self.token_of(target, &id)) else { return };
        let params = tasks::named(params, token);
        if matches!(source, Source::Call(_)) || self.streams.live_standing().is_some() {
            let message = jsonrpc::notification(&notification.method, Some(&params));
            self.send_related(target, source, message, env, step);
        }
    }

    // === tasks/list ===

    /// The page of `tasks/list` that is asked for, by its target; none where no target has anything to list. For any other
    /// method, and where there are no tasks, nothing.
    pub(super) fn plan_task_list(&self, request: &Request, env: &Env<'_>) -> Option<Result<Option<Outgoing>, Failure>> {
        (&*request.method == "tasks/list" && self.has_tasks(env)).then(|| self.task_list(request, env))
    }

    fn task_list(&self, request: &Request, env: &Env<'_>) -> Result<Option<Outgoing>, Failure> {
        let wrong = || {
            Failure::invalid_params(
                "`params.cursor` is not one that this session was given: list again without a cursor",
            )
        };
        let params = request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
        let members = Members::of(&params).map_err(|error| Failure::unreadable("params", &error))?;
        let (target, cursor) = match members.get("cursor") {
            None => match self.next_with_tasks(None, env) {
                Some(target) => (target, None),
                None => return Ok(None),
            },
            Some(_) => {
                let token = members.get_str("cursor").ok_or_else(wrong)?;
                let cursor = TaskCursor::open(env.sealer, self.owner(), &token).ok_or_else(wrong)?;
                let target = env.catalogue.target(&cursor.target).ok_or_else(wrong)?.settings.name.clone();
                (target, cursor.cursor)
            }
        };
        let params = if env.catalogue.capabilities_of(&target).task_list {
            cursor.map(|cursor| super::object_with("cursor", &serde_json::to_string(&cursor).unwrap_or_default()))
        } else {
            let prefix = key(&target, "");
            let ids = self.tasks.of_target(&target).filter_map(|(key, _)| key.strip_prefix(&prefix));
            let ids: Vec<&str> = ids.take(PAGE).collect();
            Some(super::object_with(tasks::ASKED_FOR, &serde_json::to_string(&ids).unwrap_or_default()))
        };
        Ok(Some(Outgoing { kind: CallKind::TaskList, target, name: None, params }))
    }

    /// The first target after `after` that this session has tasks of, and that can tell of them.
    fn next_with_tasks(&self, after: Option<&str>, env: &Env<'_>) -> Option<Arc<str>> {
        let names = env.catalogue.targets().iter().map(|state| &state.settings.name);
        let skip = match after {
            Some(after) => names.clone().position(|name| &**name == after)? + 1,
            None => 0,
        };
        let tells = |name: &str| {
            let can = env.catalogue.capabilities_of(name);
            can.task_list || can.tasks
        };
        names.skip(skip).find(|name| tells(name) && self.tasks.of_target(name).next().is_some()).cloned()
    }

    /// A page of a target as one of the gateway: with the tasks that this session knows.
    pub(super) fn task_page(
        &self,
        target: &Arc<str>,
        result: &RawJson,
        env: &Env<'_>,
    ) -> Result<RawJson, serde_json::Error> {
        let tasks = tasks::listed(result, |id| self.token_of(target, id).map(str::to_owned))?;
        let cursor = Members::of(result)?.get_str("nextCursor").map(|cursor| cursor.as_ref().into());
        let next = match cursor {
            Some(cursor) => Some(TaskCursor { target: target.as_ref().into(), cursor: Some(cursor) }),
            None => self.cursor_after(target, env),
        };
        Ok(self.task_page_of(&tasks, next, env))
    }

    /// A target cannot tell of its tasks: the list goes on with the next one.
    pub(super) fn task_page_without(&self, target: &str, env: &Env<'_>) -> ResponseBody {
        ResponseBody::Result(self.task_page_of(&[], self.cursor_after(target, env), env))
    }

    fn cursor_after(&self, target: &str, env: &Env<'_>) -> Option<TaskCursor> {
        let next = self.next_with_tasks(Some(target), env)?;
        Some(TaskCursor { target: next.as_ref().into(), cursor: None })
    }

    /// What the session keeps itself is on the last page.
    pub(super) fn task_page_of(&self, tasks: &[RawJson], next: Option<TaskCursor>, env: &Env<'_>) -> RawJson {
        let next = next.and_then(|cursor| cursor.seal(env.sealer, self.owner()).ok());
        let own: Vec<RawJson> = match next {
            Some(_) => Vec::new(),
            None => self.kept.iter(env.now).map(KeptResult::shown).collect(),
        };
        super::lists::page_of("tasks", tasks.iter().chain(&own).map(RawJson::as_str), next)
    }
}

fn task_forbidden(tool: &str) -> Failure {
    Failure {
        code: codes::METHOD_NOT_FOUND,
        message: format!("tool `{}` does not run as a task: call it without `task`", short(tool)),
        reason: "task_forbidden",
    }
}

/// What a task is remembered under. No name of a target has a space.
fn key(target: &str, id: &str) -> String {
    format!("{target} {id}")
}
