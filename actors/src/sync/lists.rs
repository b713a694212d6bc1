//! Reads the lists of a target to their ends.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Display;

use sessiongate_protocol::cursor::ListKind;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::caching::Caching;
use sessiongate_protocol::text::{short, words};
use sessiongate_protocol::{RawJson, ResponseBody, Unreadable, codes, jsonrpc, names};
use sessiongate_targets::TargetError;

use super::fetch::Source;
use crate::catalogue::readable;

/// Items of one list: somebody has to hold them all.
const MAX_ITEMS: usize = 10_000;
/// Pages of one list.
const MAX_PAGES: usize = 1_000;
/// Items of a list that are named where they are left out.
const NAMED: usize = 8;

/// How much a target may offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Tools.
    pub tools: usize,
    /// Characters of what clients call a tool by: its name after that of the target. Others are left out.
    pub tool_name: usize,
    /// A target that has more fails; else the rest is left out.
    pub strict: bool,
}

/// Reads one list after the other.
pub(super) struct Reader<'a> {
    source: &'a Source<'a>,
    target: &'a str,
    bounds: Bounds,
    /// Of the last request.
    id: i64,
    left_out: Vec<Box<str>>,
}

/// Items of one list that clients are not shown.
#[derive(Default)]
struct LeftOut {
    count: usize,
    /// The first of them.
    named: Vec<String>,
    /// A page held no list.
    no_list: bool,
}

// === impl Bounds ===

impl Bounds {
    fn of(&self, list: ListKind) -> usize {
        if list == ListKind::Tools { self.tools } else { MAX_ITEMS }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self { tools: MAX_ITEMS, tool_name: usize::MAX, strict: false }
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source<'a>, target: &'a str, bounds: Bounds) -> Self {
        Self { source, target, bounds, id: 0, left_out: Vec::new() }
    }

    /// What was left out of the lists, for a person.
    pub(super) fn left_out(self) -> Vec<Box<str>> {
        self.left_out
    }

    /// All items of a list that clients can read. A list that the target does not have is empty, and so is a page that holds no
    /// list, unless it should hold tools.
    ///
    /// # Errors
    /// Where a page is refused or is none: half a list is not what the target offers.
    pub(super) async fn read(&mut self, list: ListKind) -> Result<(Vec<RawJson>, Caching), TargetError> {
        let (mut items, mut seen, mut left_out) = (Vec::new(), HashSet::new(), LeftOut::default());
        let mut hints: Vec<(Caching, u64)> = Vec::new();
        let mut cursors = HashSet::new();
        let (mut cursor, mut listed, limit) = (None, 0, self.bounds.of(list));
        for page in 0..MAX_PAGES {
            let Some(result) = self.page(list, page, cursor.as_deref()).await? else {
                return Ok((items, Caching::NONE));
            };
            hints.push((Caching::of(&result), 0));
            let members = Members::of(&result).map_err(|error| wrong(list, &Unreadable::from(&error)))?;
            let found: Vec<RawJson> = match members.get(list.member()) {
                Some(found) => {
                    serde_json::from_str(found.get()).map_err(|error| wrong(list, &Unreadable::from(&error)))?
                }
                None if list == ListKind::Tools => return Err(wrong(list, &"it is missing")),
                None => {
                    left_out.no_list = true;
                    Vec::new()
                }
            };
            for item in found {
                listed += 1;
                if listed > limit && self.bounds.strict {
                    return Err(TargetError::TooMany { what: what(list), limit });
                } else if listed > limit {
                    self.left_out.extend(left_out.remarks(list, limit));
                    let remark = format!("the target has more than {limit} {}: the rest is left out", what(list));
                    self.left_out.push(remark.into());
                    return Ok((items, Caching::merge(hints)));
                }
                match self.usable(list, &item, &mut seen) {
                    Ok(usable) => items.push(usable),
                    Err(why) => left_out.note(list, &item, listed, &why),
                }
            }
            // An empty cursor is a cursor (2025-11-25, pagination).
            cursor = members.get_str("nextCursor").map(Cow::into_owned);
            if cursor.is_none() {
                self.left_out.extend(left_out.remarks(list, listed));
                return Ok((items, Caching::merge(hints)));
            }
            // It stands for a place in the list: from there on all would come again.
            if !cursors.insert(cursor.clone()) {
                let detail = format!("the `nextCursor` of a page of {} is that of one before it", list.method());
                return Err(TargetError::Protocol { detail });
            }
        }
        Err(TargetError::Protocol { detail: format!("{} has more than {MAX_PAGES} pages", list.method()) })
    }

    /// The result for a page; none where the target does not have the list.
    async fn page(
        &mut self,
        list: ListKind,
        page: usize,
        cursor: Option<&str>,
    ) -> Result<Option<RawJson>, TargetError> {
        self.id += 1;
        let params = cursor.and_then(|cursor| RawJson::from_serialize(&serde_json::json!({"cursor": cursor})).ok());
        let error = match self.source.ask(self.id, list.method(), params.as_ref()).await? {
            ResponseBody::Result(result) => return Ok(Some(result)),
            ResponseBody::Error(error) => error,
        };
        let shape = error.borrow::<jsonrpc::ErrorShape<'_>>().ok();
        let code = shape.as_ref().map(|shape| shape.code).unwrap_or_default();
        // A capability without its list is common, for templates above all. Who says that there are tools has them: a list that is
        // not there for now would empty the catalogue.
        if code == codes::METHOD_NOT_FOUND && page == 0 && list != ListKind::Tools {
            tracing::debug!(target_name = self.target, list = list.method(), "the target does not have this list");
            return Ok(None);
        }
        // Such an error is about a page that is meant for one person.
        let told = shape.filter(|shape| shape.code != codes::URL_ELICITATION_REQUIRED);
        let detail = told.map(|shape| words(&shape.message)).unwrap_or_default();
        Err(TargetError::ListRefused { method: list.method(), code, detail })
    }

    /// The item as it is kept, or why it is not.
    fn usable(&self, list: ListKind, item: &RawJson, seen: &mut HashSet<String>) -> Result<RawJson, String> {
        let mut usable = readable(list, item).map_err(|fault| fault.to_string())?.into_owned();
        let key = key_of(list, item).unwrap_or_default();
        if list == ListKind::Tools {
            let most = self.bounds.tool_name;
            if names::exposed(self.target, &key).chars().count() > most {
                return Err(format!("has a name of more than {most} characters, with that of the target before it"));
            }
            usable = self.source.sendable(usable).map_err(|error| format!("has wrong header parameters: {error}"))?;
        }
        if !seen.insert(key) {
            return Err(format!("has the `{}` of one before it", list.key()));
        }
        Ok(usable)
    }
}

// === impl LeftOut ===

impl LeftOut {
    fn note(&mut self, list: ListKind, item: &RawJson, number: usize, why: &str) {
        self.count += 1;
        if self.named.len() < NAMED {
            let name = key_of(list, item).filter(|name| !name.is_empty());
            let name = name.map_or(format!("number {number}"), |name| format!("`{}`", words(&short(&name))));
            self.named.push(format!("{name} {why}"));
        }
    }

    /// What is left out of so many, and why.
    fn remarks(self, list: ListKind, of: usize) -> impl Iterator<Item = Box<str>> {
        let no_list = self.no_list.then(|| format!("`{}` is missing in an answer to {}", list.member(), list.method()));
        no_list.into_iter().chain(self.items(list, of)).map(Into::into)
    }

    fn items(self, list: ListKind, of: usize) -> Option<String> {
        let more = match self.count.checked_sub(self.named.len())? {
            0 if self.count == 0 => return None,
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let are = if self.count == 1 { "is" } else { "are" };
        let named = self.named.join("; ");
        Some(format!("{} of {of} {} {are} left out: {named}{more}", self.count, what(list)))
    }
}

fn key_of(list: ListKind, item: &RawJson) -> Option<String> {
    Members::of(item).ok()?.get_str(list.key()).map(Cow::into_owned)
}

/// What is on a list.
fn what(list: ListKind) -> &'static str {
    match list {
        ListKind::Tools => "tools",
        ListKind::Prompts => "prompts",
        ListKind::Resources => "resources",
        ListKind::ResourceTemplates => "resource templates",
    }
}

fn wrong(list: ListKind, error: &dyn Display) -> TargetError {
    TargetError::Protocol { detail: format!("`{}` of {} cannot be read: {error}", list.member(), list.method()) }
}
