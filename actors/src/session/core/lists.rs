//! Lists: pages of the published catalogue, or of the targets themselves.

use std::borrow::Cow;
use std::sync::Arc;

use sessiongate_protocol::cursor::{Cursor, CursorScope, ListKind};
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::results;
use sessiongate_protocol::{RawJson, ResponseBody, jsonrpc, names};

use super::replies::Failure;
use super::{CallKind, Env, Outgoing, SessionCore, Step, object_with};
use crate::catalogue::{Route, readable, tool_with_tasks};

/// Where a page of a list comes from.
pub(super) enum Planned {
    /// It is here.
    Page(RawJson),
    /// A target is asked.
    Ask(Outgoing),
}

// === impl SessionCore ===

impl SessionCore {
    fn scope(&self, list: ListKind) -> CursorScope<'_> {
        CursorScope { gateway: &self.settings.name, principal: self.facts.principal.as_bytes(), list }
    }

    fn open_cursor(&self, list: ListKind, params: Option<&RawJson>, env: &Env<'_>) -> Result<Option<Cursor>, Failure> {
        let Some(params) = params else { return Ok(None) };
        let members = Members::of(params).map_err(|error| Failure::unreadable("params", &error))?;
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

    /// Where a page of a list comes from: first what the catalogue shows, then target by target the lists that come from
    /// themselves.
    pub(super) fn plan_list(
        &self,
        list: ListKind,
        params: Option<&RawJson>,
        env: &Env<'_>,
    ) -> Result<Planned, Failure> {
        let changed = || Failure::invalid_params("the list changed meanwhile: list again without a cursor");
        let (target, cursor) = match self.open_cursor(list, params, env)? {
            None => match env.catalogue.next_live(list, None).filter(|_| env.catalogue.count(list) == 0) {
                Some(target) => (target.clone(), None),
                None => return self.list_page(list, 0, env).map(Planned::Page),
            },
            Some(Cursor::Page { version, offset, .. }) if version == env.catalogue.version(list) => {
                return self.list_page(list, offset, env).map(Planned::Page);
            }
            Some(Cursor::Page { .. }) => return Err(changed()),
            Some(Cursor::Downstream { target, cursor, .. }) => match env.catalogue.target(&target) {
                Some(state) if env.catalogue.is_live(&target) => (state.settings.name.clone(), cursor),
                _ => return Err(changed()),
            },
        };
        let params = cursor.map(|cursor| object_with("cursor", &serde_json::to_string(&cursor).unwrap_or_default()));
        Ok(Planned::Ask(Outgoing { kind: CallKind::List { list }, target, name: None, params }))
    }

    /// A page of the published catalogue.
    fn list_page(&self, list: ListKind, offset: u32, env: &Env<'_>) -> Result<RawJson, Failure> {
        let page = match self.facts.max_name_length {
            Some(limit) => env.catalogue.page_within(list, offset, limit.into()),
            None => env.catalogue.page(list, offset),
        };
        let page = page.ok_or_else(|| Failure::invalid_params("`params.cursor` is past the end of the list"))?;
        let next = match page.next {
            Some(offset) => self.seal_cursor(&Cursor::Page { list, version: env.catalogue.version(list), offset }, env),
            None => self.next_live_cursor(list, None, env),
        };
        // The catalogue holds what targets of either era sent.
        let items: Vec<RawJson> = match list {
            ListKind::Tools => page.items.iter().map(|tool| self.shown_tool(&results::tool_to_legacy(tool))).collect(),
            _ => page.items.into_iter().map(Cow::into_owned).collect(),
        };
        Ok(page_body(list, items.iter().map(RawJson::as_str), next))
    }

    /// Leads to the first page of the next target whose list comes from itself.
    fn next_live_cursor(&self, list: ListKind, after: Option<&str>, env: &Env<'_>) -> Option<String> {
        let target = env.catalogue.next_live(list, after)?;
        self.seal_cursor(&Cursor::Downstream { list, target: target.to_string(), cursor: None }, env)
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
            Some(items) => serde_json::from_str::<Vec<RawJson>>(items.get())?,
            None => Vec::new(),
        };
        let items: Vec<RawJson> =
            items.into_iter().filter_map(|item| self.live_item(list, target, &item, env)).collect();
        let items: Vec<RawJson> = match list {
            ListKind::Tools => {
                let can = env.catalogue.capabilities_of(target);
                // Links hand on what targets of either era sent.
                let words = |tool: &RawJson| match self.facts.conversation {
                    true => results::tool_to_modern(tool),
                    false => self.shown_tool(&tool_with_tasks(&results::tool_to_legacy(tool), can)),
                };
                let items: Vec<RawJson> = items.iter().map(words).collect();
                items.iter().filter_map(|item| self.exposed_item(list, target, item, env, step)).collect()
            }
            ListKind::Prompts => {
                items.into_iter().filter_map(|item| self.exposed_item(list, target, &item, env, step)).collect()
            }
            ListKind::Resources | ListKind::ResourceTemplates => {
                self.note_listed(list, target, &items, env, step);
                items
            }
        };
        let next = match members.get_str("nextCursor") {
            Some(cursor) => {
                let cursor = Some(cursor.into_owned());
                self.seal_cursor(&Cursor::Downstream { list, target: target.to_string(), cursor }, env)
            }
            None => self.next_live_cursor(list, Some(target), env),
        };
        Ok(page_body(list, items.iter().map(RawJson::as_str), next))
    }

    /// An item of a page as it may be shown: one that clients could not read would take the page with it, and a resource that the
    /// catalogue has of another target is that one's.
    fn live_item(&self, list: ListKind, target: &Arc<str>, item: &RawJson, env: &Env<'_>) -> Option<RawJson> {
        let item = match readable(list, item) {
            Ok(item) => item.into_owned(),
            Err(fault) => {
                tracing::warn!(target_name = &**target, list = list.method(), %fault, "an item of a list is left out");
                return None;
            }
        };
        if matches!(list, ListKind::Resources | ListKind::ResourceTemplates) {
            let key = Members::of(&item).ok()?.get_str(list.key())?.into_owned();
            let owner = env.catalogue.route_listed(list, &key);
            return owner.is_none_or(|owner| owner.target == *target).then_some(item);
        }
        if list == ListKind::Tools && !fits(target, &item, env)? {
            tracing::warn!(
                target_name = &**target,
                "a tool is left out: its name is longer than those of the gateway may be"
            );
            return None;
        }
        Some(item)
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
        let whole = match self.shows_plain(list, target, &name, env) {
            true => {
                if self.shortened_live(list, &name, env).is_none() {
                    self.note_live(list, &name, target, &name, step);
                }
                name.to_string()
            }
            false => env.catalogue.expose(target, &name),
        };
        let exposed = match self.name_limit() {
            Some(limit) => self.exposed_within(limit, list, target, (&name, &whole), env, step)?,
            None => whole,
        };
        if env.catalogue.is_reserved(list, &exposed) {
            tracing::warn!(target_name = &**target, "dropped a tool with the name of the gateway's search");
            return None;
        }
        if exposed == *name {
            return Some(item.clone());
        }
        Some(members.with(&[("name", Some(&serde_json::to_string(&exposed).ok()?))]))
    }

    /// Whether a live item is shown under the name that its target gives it, in a gateway whose names are plain: to a
    /// session, which remembers whose it is, and where nothing else has that name. Without a session it has its prefix.
    fn shows_plain(&self, list: ListKind, target: &Arc<str>, name: &str, env: &Env<'_>) -> bool {
        if !env.catalogue.names_are_plain_among_several() || self.facts.conversation || self.facts.stateless {
            return false;
        }
        // A name that is forgotten would lead nowhere.
        let known = self.shortened_live(list, name, env);
        if known.is_none() && !self.live_names.has_room(&live_key(list, name)) {
            return false;
        }
        let own = |route: Option<Route>| route.map(|route| route.target == *target && *route.name == *name);
        let prefixed = env.catalogue.route_listed(list, &names::exposed(target, name));
        own(prefixed) != Some(true)
            && own(env.catalogue.route_listed(list, name)).unwrap_or(true)
            && own(known).unwrap_or(true)
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
        let known = env.catalogue.route_listed(list, listed).or_else(|| self.shortened_live(list, &exposed, env));
        match known {
            Some(known) if known.target != *target || *known.name != *name => {
                tracing::warn!(target_name = &**target, name, "dropped an item whose short name is another item's");
                return None;
            }
            Some(_) => {}
            None if cut => {
                self.note_live(list, &exposed, target, name, step);
            }
            None => {}
        }
        Some(exposed.into_owned())
    }

    fn note_live(&mut self, list: ListKind, exposed: &str, target: &Arc<str>, name: &str, step: &mut Step) {
        self.live_names.note(&live_key(list, exposed), target, Some(name));
        self.live_names.save(&mut step.batch);
        // The client learns the name when it is stored: it may use it after a restart.
        self.dirty = true;
    }

    /// What a name stands for that a live list showed cut, or without its prefix.
    pub(super) fn shortened_live(&self, list: ListKind, exposed: &str, env: &Env<'_>) -> Option<Route> {
        if self.live_names.is_empty() {
            return None;
        }
        let known = self.live_names.get(&live_key(list, exposed))?;
        if !env.catalogue.is_live(&known.target) {
            return None;
        }
        Some(Route { target: known.target.clone(), name: known.name.clone()? })
    }

    /// A live page of one target failed: the list goes on with the next one, so that a dead target hides only itself.
    pub(super) fn page_without(&self, list: ListKind, target: &str, env: &Env<'_>) -> ResponseBody {
        let next = self.next_live_cursor(list, Some(target), env);
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

/// Whether what clients call a tool by is as short as its target's must be. None where it has no name.
fn fits(target: &str, tool: &RawJson, env: &Env<'_>) -> Option<bool> {
    let name = Members::of(tool).ok()?.get_str("name")?;
    let most = env.catalogue.target(target).map_or(usize::MAX, |state| state.settings.tool_name);
    Some(names::exposed(target, &name).chars().count() <= most)
}

fn live_key(list: ListKind, exposed: &str) -> String {
    format!("{}:{exposed}", list.method())
}

fn page_body<'a>(list: ListKind, items: impl Iterator<Item = &'a str>, next: Option<String>) -> RawJson {
    page_of(list.member(), items, next)
}

/// A page of a list whose items are in this member.
pub(super) fn page_of<'a>(member: &str, items: impl Iterator<Item = &'a str>, next: Option<String>) -> RawJson {
    let mut out = format!("{{\"{member}\":[");
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
