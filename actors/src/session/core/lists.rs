//! Lists: pages of the published catalogue, or of the targets themselves.

use std::borrow::Cow;
use std::sync::Arc;

use sessiongate_protocol::cursor::{Cursor, CursorScope, ListKind};
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::results;
use sessiongate_protocol::{RawJson, ResponseBody, jsonrpc, names};

use super::replies::Failure;
use super::{CallKind, Env, Outgoing, SessionCore, Step, object_with};
use crate::catalogue::Route;

// === impl SessionCore ===

impl SessionCore {
    fn scope(&self, list: ListKind) -> CursorScope<'_> {
        CursorScope { gateway: &self.settings.name, principal: self.facts.principal.as_bytes(), list }
    }

    fn open_cursor(&self, list: ListKind, params: Option<&RawJson>, env: &Env<'_>) -> Result<Option<Cursor>, Failure> {
        let Some(params) = params else { return Ok(None) };
        let members = Members::of(params).map_err(|error| Failure::invalid_params(error.to_string()))?;
        if members.get("cursor").is_none() {
            return Ok(None);
        }
        let wrong = || {
            Failure::invalid_params(
                "`params.cursor` is not one that this session was given: list again without a cursor",
            )
        };
        let token = members.get_str("cursor").ok_or_else(wrong)?;
        Cursor::open(env.sealer, self.scope(list), &token).map(Some).ok_or_else(wrong)
    }

    fn seal_cursor(&self, cursor: &Cursor, env: &Env<'_>) -> Option<String> {
        cursor.seal(env.sealer, self.scope(cursor.list())).ok()
    }

    /// A page of the published catalogue.
    pub(super) fn list_page(
        &self,
        list: ListKind,
        params: Option<&RawJson>,
        env: &Env<'_>,
    ) -> Result<RawJson, Failure> {
        let offset = match self.open_cursor(list, params, env)? {
            None => 0,
            Some(Cursor::Page { version, offset, .. }) if version == env.catalogue.version(list) => offset,
            Some(_) => return Err(Failure::invalid_params("the list changed meanwhile: list again without a cursor")),
        };
        let page = match self.facts.max_name_length {
            Some(limit) => env.catalogue.page_within(list, offset, limit.into()),
            None => env.catalogue.page(list, offset),
        };
        let page = page.ok_or_else(|| Failure::invalid_params("`params.cursor` is past the end of the list"))?;
        let next = page.next.and_then(|offset| {
            self.seal_cursor(&Cursor::Page { list, version: env.catalogue.version(list), offset }, env)
        });
        // The catalogue holds what targets of either era sent.
        let items: Vec<RawJson> = match list {
            ListKind::Tools => page.items.iter().map(|tool| results::tool_to_legacy(tool)).collect(),
            _ => page.items.into_iter().map(Cow::into_owned).collect(),
        };
        Ok(page_body(list, items.iter().map(RawJson::as_str), next))
    }

    /// Which target a page of a live list comes from; none if no target has such a list.
    pub(super) fn plan_live_list(
        &self,
        list: ListKind,
        params: Option<&RawJson>,
        env: &Env<'_>,
    ) -> Result<Option<Outgoing>, Failure> {
        let (target, cursor) = match self.open_cursor(list, params, env)? {
            None => match self.next_lister(list, None, env) {
                Some(target) => (target, None),
                None => return Ok(None),
            },
            Some(Cursor::Downstream { target, cursor, .. }) => match env.catalogue.target(&target) {
                Some(state) => (state.settings.name.clone(), cursor),
                None => return Err(Failure::invalid_params("the list changed meanwhile: list again without a cursor")),
            },
            Some(Cursor::Page { .. }) => {
                return Err(Failure::invalid_params("the list changed meanwhile: list again without a cursor"));
            }
        };
        let params = cursor.map(|cursor| object_with("cursor", &serde_json::to_string(&cursor).unwrap_or_default()));
        Ok(Some(Outgoing { kind: CallKind::List { list }, target, name: None, params }))
    }

    /// The first target after `after` that has such a list.
    fn next_lister(&self, list: ListKind, after: Option<&str>, env: &Env<'_>) -> Option<Arc<str>> {
        let names = env.catalogue.targets().iter().map(|state| &state.settings.name);
        let skip = match after {
            Some(after) => names.clone().position(|name| &**name == after)? + 1,
            None => 0,
        };
        names.skip(skip).find(|name| env.catalogue.capabilities_of(name).offers(list)).cloned()
    }

    /// Makes a page of a target a page of the gateway: names are exposed ones, the cursor leads on to the next target.
    pub(super) fn live_page(
        &mut self,
        list: ListKind,
        target: &Arc<str>,
        result: &RawJson,
        env: &Env<'_>,
        step: &mut Step,
    ) -> Result<RawJson, serde_json::Error> {
        let members = Members::of(result)?;
        let items: Vec<RawJson> = match members.get(list.member()) {
            Some(items) => serde_json::from_str(items.get())?,
            None => Vec::new(),
        };
        let items: Vec<RawJson> = match list {
            ListKind::Tools | ListKind::Prompts => {
                items.into_iter().filter_map(|item| self.exposed_item(list, target, &item, env, step)).collect()
            }
            ListKind::Resources | ListKind::ResourceTemplates => items,
        };
        let cursor = members.get_str("nextCursor").map(std::borrow::Cow::into_owned);
        let next = match cursor {
            Some(cursor) => Some(Cursor::Downstream { list, target: target.to_string(), cursor: Some(cursor) }),
            None => self.next_lister(list, Some(target), env).map(|target| Cursor::Downstream {
                list,
                target: target.to_string(),
                cursor: None,
            }),
        };
        let next = next.and_then(|cursor| self.seal_cursor(&cursor, env));
        Ok(page_body(list, items.iter().map(RawJson::as_str), next))
    }

    fn exposed_item(
        &mut self,
        list: ListKind,
        target: &Arc<str>,
        item: &RawJson,
        env: &Env<'_>,
        step: &mut Step,
    ) -> Option<RawJson> {
        let members = Members::of(item).ok()?;
        let name = members.get_str("name")?;
        let whole = env.catalogue.expose(target, &name);
        let exposed = match self.name_limit() {
            Some(limit) => self.exposed_within(limit, list, target, (&name, &whole), env, step)?,
            None => whole,
        };
        if exposed == *name {
            return Some(item.clone());
        }
        Some(members.with(&[("name", Some(&serde_json::to_string(&exposed).ok()?))]))
    }

    /// The name of a live item under a limit, remembered where it was cut. None if that name is another item's.
    fn exposed_within(
        &mut self,
        limit: usize,
        list: ListKind,
        target: &Arc<str>,
        (name, whole): (&str, &str),
        env: &Env<'_>,
        step: &mut Step,
    ) -> Option<String> {
        let exposed = names::shortened(whole, limit);
        let cut = matches!(exposed, std::borrow::Cow::Owned(_));
        if !cut && self.live_names.is_empty() {
            return Some(exposed.into_owned());
        }
        let listed = env.catalogue.unshortened(list, &exposed, limit).unwrap_or(&exposed);
        let known = env.catalogue.route_listed(list, listed).or_else(|| self.shortened_live(list, &exposed));
        match known {
            Some(known) if known.target != *target || *known.name != *name => {
                tracing::warn!(target_name = &**target, name, "dropped an item whose short name is another item's");
                return None;
            }
            Some(_) => {}
            None if cut => {
                self.live_names.note(&live_key(list, &exposed), target, Some(name));
                self.live_names.save(&mut step.batch);
                // The client learns the name when it is stored: it may use it after a restart.
                self.dirty = true;
            }
            None => {}
        }
        Some(exposed.into_owned())
    }

    /// What a name stands for that a live list showed cut.
    pub(super) fn shortened_live(&self, list: ListKind, exposed: &str) -> Option<Route> {
        if self.live_names.is_empty() {
            return None;
        }
        let known = self.live_names.get(&live_key(list, exposed))?;
        Some(Route { target: known.target.clone(), name: known.name.clone()? })
    }

    /// A live page of one target failed: the list goes on with the next one, so that a dead target hides only itself.
    pub(super) fn page_without(&self, list: ListKind, target: &str, env: &Env<'_>) -> ResponseBody {
        let next = self
            .next_lister(list, Some(target), env)
            .map(|target| Cursor::Downstream { list, target: target.to_string(), cursor: None })
            .and_then(|cursor| self.seal_cursor(&cursor, env));
        ResponseBody::Result(page_body(list, std::iter::empty(), next))
    }

    pub(super) fn on_catalogue_changed(&mut self, env: &Env<'_>, step: &mut Step) {
        let now = env.catalogue.hashes();
        let before = std::mem::replace(&mut self.seen, now);
        if before == now {
            return;
        }
        self.dirty = true;
        for (changed, list) in [
            (before.tools != now.tools, ListKind::Tools),
            (before.prompts != now.prompts, ListKind::Prompts),
            (before.resources != now.resources, ListKind::Resources),
        ] {
            if changed {
                self.tell_changed(list, env, step);
            }
        }
    }

    pub(super) fn tell_changed(&mut self, list: ListKind, env: &Env<'_>, step: &mut Step) {
        let method = list.changed_method();
        self.send_standing(jsonrpc::notification(method, None), Some(method.into()), env, step);
    }
}

fn live_key(list: ListKind, exposed: &str) -> String {
    format!("{}:{exposed}", list.method())
}

/// A list without items.
pub(super) fn empty_page(list: ListKind) -> RawJson {
    page_body(list, std::iter::empty(), None)
}

fn page_body<'a>(list: ListKind, items: impl Iterator<Item = &'a str>, next: Option<String>) -> RawJson {
    let mut out = format!("{{\"{}\":[", list.member());
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(item);
    }
    out.push(']');
    if let Some(next) = next {
        out.push_str(",\"nextCursor\":");
        out.push_str(&serde_json::to_string(&next).unwrap_or_default());
    }
    out.push('}');
    RawJson::parse(out).unwrap_or(RawJson::EMPTY_OBJECT)
}
