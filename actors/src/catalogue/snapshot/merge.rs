//! The lists of several targets as one: names, conflicts, words of the era.

use std::borrow::Cow;
use std::collections::HashMap;

use sessiongate_protocol::RawJson;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::results::tool_to_modern;
use sessiongate_protocol::{names, tasks};

use super::{Entry, TargetState};
use crate::catalogue::{ListKind, ServerCapabilities, search};
use crate::settings::{GatewaySettings, Naming};

/// The items of a list of all targets, in the order of the configuration. `live` as in [`super::Snapshot`].
pub(super) fn merge(gateway: &GatewaySettings, targets: &[TargetState], live: &[bool], kind: ListKind) -> Vec<Entry> {
    let mut offered: HashMap<String, u32> = HashMap::new();
    let mut found: Vec<(u16, String, &RawJson)> = Vec::new();
    let offers: Vec<ServerCapabilities> =
        targets.iter().map(|target| target.catalogue.as_ref().map(|known| known.can()).unwrap_or_default()).collect();
    for (target, at) in targets.iter().zip(0u16..) {
        for json in target.catalogue.iter().flat_map(|catalogue| catalogue.list(kind)) {
            let key =
                Members::of(json).ok().and_then(|members| members.get_str(kind.key()).map(|key| key.into_owned()));
            let Some(key) = key else {
                tracing::warn!(
                    target_name = &*target.settings.name,
                    list = kind.method(),
                    "dropped an item without a key"
                );
                continue;
            };
            *offered.entry(key.clone()).or_default() += 1;
            found.push((at, key, json));
        }
    }
    match kind {
        ListKind::Tools | ListKind::Prompts => {
            let mut seen = std::collections::HashSet::new();
            let mut entries = Vec::with_capacity(found.len());
            for (at, name, json) in found {
                let target = &targets[at as usize].settings.name;
                let plain = gateway.naming == Naming::Plain && offered.get(&name) == Some(&1);
                let uncut = if plain { name.clone() } else { names::exposed(target, &name) };
                let exposed = gateway.max_name_length.map(|limit| names::shortened(&uncut, limit));
                let (exposed, uncut) = match exposed {
                    Some(Cow::Owned(cut)) => (cut, Some(uncut.into())),
                    Some(Cow::Borrowed(_)) | None => (uncut, None),
                };
                if gateway.search && kind == ListKind::Tools && exposed == search::TOOL {
                    tracing::warn!(
                        target_name = &**target,
                        name,
                        "dropped a tool with the name of the gateway's search"
                    );
                    continue;
                }
                if !seen.insert(exposed.clone()) {
                    tracing::warn!(target_name = &**target, name, "dropped an item whose name is offered twice");
                    continue;
                }
                let json = match kind {
                    ListKind::Tools => tool_with_tasks(json, offers[at as usize]),
                    _ => json.clone(),
                };
                let json = if exposed == name {
                    json
                } else {
                    match rename(&json, &exposed) {
                        Some(json) => json,
                        None => continue,
                    }
                };
                entries.push(Entry { exposed: exposed.into(), uncut, json, target: at, name: name.into() });
            }
            entries
        }
        ListKind::Resources | ListKind::ResourceTemplates => {
            // The lowest priority number wins a conflict, then what the catalogue shows, then the target that was
            // synchronised first.
            let rank = |at: u16| {
                let target = &targets[at as usize];
                let synced = target.catalogue.as_ref().map(|catalogue| catalogue.synced_at).unwrap_or_default();
                (target.settings.resource_priority, live[at as usize], synced, at)
            };
            let mut best: HashMap<&str, u16> = HashMap::new();
            for (at, uri, _) in &found {
                best.entry(uri)
                    .and_modify(|known| *known = std::cmp::min_by_key(*known, *at, |at| rank(*at)))
                    .or_insert(*at);
            }
            let mut seen = std::collections::HashSet::new();
            found
                .iter()
                .filter(|(at, uri, _)| best.get(uri.as_str()) == Some(at) && seen.insert(uri.clone()))
                .map(|(at, uri, json)| Entry {
                    exposed: uri.as_str().into(),
                    uncut: None,
                    json: (*json).clone(),
                    target: *at,
                    name: uri.as_str().into(),
                })
                .collect()
        }
    }
}

/// A tool as a client of 2025-11-25 is told of its tasks; whoever has no such tasks is shown it without. Where none can
/// be had, a client that takes them for a condition would not call.
pub fn tool_with_tasks(tool: &RawJson, can: ServerCapabilities) -> RawJson {
    if can.task_calls {
        tool.clone()
    } else if can.tasks {
        tasks::with_optional(tool)
    } else {
        tool_to_modern(tool)
    }
}

pub(super) fn rename(json: &RawJson, exposed: &str) -> Option<RawJson> {
    let name = serde_json::to_string(exposed).ok()?;
    Some(Members::of(json).ok()?.with(&[("name", Some(&name))]))
}

/// Whether a URI could come of an RFC 6570 template: the literal parts appear in order, each expression stands for
/// at least one character. Enough to find the owner; the owner decides whether the resource exists.
pub fn matches(template: &str, uri: &str) -> bool {
    let mut rest = uri;
    let mut parts = template.split('{');
    let Some(head) = parts.next() else { return false };
    let Some(after_head) = rest.strip_prefix(head) else { return false };
    rest = after_head;
    let mut open = false;
    for part in parts {
        let Some((_, literal)) = part.split_once('}') else { return false };
        open = literal.is_empty();
        if rest.is_empty() {
            return false;
        }
        if !literal.is_empty() {
            let skip = rest.chars().next().map_or(0, char::len_utf8);
            match rest[skip..].find(literal) {
                Some(at) => rest = &rest[skip + at + literal.len()..],
                None => return false,
            }
        }
    }
    open || rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_find_the_owner_of_a_uri() {
        assert!(matches("test://template/{id}/data", "test://template/42/data"));
        assert!(!matches("test://template/{id}/data", "test://template//data"));
        assert!(matches("file:///{+path}", "file:///a/b"));
        assert!(!matches("file:///{+path}", "file:///"));
        assert!(matches("x://{a}-{b}", "x://1-2"));
        assert!(!matches("x://{a}", "y://1"));
    }
}
