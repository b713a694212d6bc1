//! The catalogue for clients that asked for short names: built when the first one asks, kept with the snapshot.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use sessiongate_protocol::{RawJson, names};

use super::{Entry, Page, Snapshot, rename};
use crate::catalogue::ListKind;

/// Views kept at once: one for each list and limit. Clients choose limits, so there is a bound; a view that had to go
/// is built again when it is asked for.
const KEPT: usize = 32;

/// The views of a snapshot.
#[derive(Debug, Default)]
pub(super) struct Views {
    /// The longest name of each list: most limits change nothing, and cost nothing.
    longest: [usize; 4],
    /// Oldest first.
    built: Mutex<VecDeque<(ListKind, usize, Arc<ShortNames>)>>,
}

/// The names of a list that are longer than a limit.
#[derive(Debug, Default)]
struct ShortNames {
    /// Places of entries by their short names.
    index: HashMap<Box<str>, u32>,
    /// The short names of entries by their places; none where that name was taken.
    names: HashMap<u32, Option<Box<str>>>,
}

// === impl Views ===

impl Views {
    pub(super) fn of(lists: &[Vec<Entry>; 4]) -> Self {
        let longest = [0, 1, 2, 3].map(|at| {
            let lengths = lists[at].iter().map(|entry: &Entry| entry.exposed.len());
            lengths.max().unwrap_or_default()
        });
        Self { longest, built: Mutex::default() }
    }
}

// === impl ShortNames ===

impl ShortNames {
    /// Whole names win over short ones, and earlier entries over later ones, as when catalogues are merged.
    fn build(entries: &[Entry], whole: &HashMap<Box<str>, u32>, limit: usize) -> Self {
        let mut view = Self::default();
        for (entry, at) in entries.iter().zip(0u32..).filter(|(entry, _)| entry.exposed.len() > limit) {
            // Of the name before the gateway's own limit: the same one under every setting of the gateway.
            let name = names::shortened(entry.uncut.as_deref().unwrap_or(&entry.exposed), limit);
            if whole.contains_key(&*name) || view.index.contains_key(&*name) {
                tracing::warn!(
                    name = &*entry.exposed,
                    limit,
                    "dropped an item from short lists, because its short name is another item's"
                );
                view.names.insert(at, None);
                continue;
            }
            view.index.insert(name.as_ref().into(), at);
            view.names.insert(at, Some(name.into()));
        }
        view
    }

    /// An item at its place, under its short name where it has one; none where that name is another item's.
    fn named<'a>(&self, item: Cow<'a, RawJson>, at: u32) -> Option<Cow<'a, RawJson>> {
        match self.names.get(&at) {
            None => Some(item),
            Some(None) => None,
            Some(Some(name)) => rename(&item, name).map(Cow::Owned),
        }
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// The view of a list under a limit; none where no name is longer, or names are none of the gateway's business.
    fn view(&self, kind: ListKind, limit: usize) -> Option<Arc<ShortNames>> {
        if !matches!(kind, ListKind::Tools | ListKind::Prompts) || self.views.longest[kind as usize] <= limit {
            return None;
        }
        let wanted = |built: &VecDeque<(ListKind, usize, Arc<ShortNames>)>| {
            built.iter().find(|(known, at, _)| (*known, *at) == (kind, limit)).map(|(_, _, view)| view.clone())
        };
        if let Some(view) = wanted(&self.views.built.lock()) {
            return Some(view);
        }
        // Built outside the lock: two sessions may build the same, and nobody waits for one.
        let view = Arc::new(ShortNames::build(&self.lists[kind as usize], &self.index[kind as usize], limit));
        let mut built = self.views.built.lock();
        if let Some(known) = wanted(&built) {
            return Some(known);
        }
        if built.len() >= KEPT {
            built.pop_front();
        }
        built.push_back((kind, limit, view.clone()));
        Some(view)
    }

    /// [`Snapshot::page`] with no name longer than `limit` bytes. Offsets are those of the whole list.
    pub fn page_within(&self, kind: ListKind, offset: u32, limit: usize) -> Option<Page<'_>> {
        let mut page = self.page(kind, offset)?;
        if let Some(view) = self.view(kind, limit) {
            let items = page.items.into_iter().zip(offset..);
            page.items = items.filter_map(|(item, at)| view.named(item, at)).collect();
        }
        Some(page)
    }

    /// An item of a list, which is at this place, with no name longer than `limit` bytes; none if it is not shown so.
    pub(super) fn item_within<'a>(
        &self,
        kind: ListKind,
        at: u32,
        limit: usize,
        item: &'a RawJson,
    ) -> Option<Cow<'a, RawJson>> {
        match self.view(kind, limit) {
            Some(view) => view.named(Cow::Borrowed(item), at),
            None => Some(Cow::Borrowed(item)),
        }
    }

    /// The whole exposed name that a name in a list under this limit stands for; none if it stands for itself.
    pub fn unshortened(&self, kind: ListKind, name: &str, limit: usize) -> Option<&str> {
        // A short name fits its limit, and a longer one need not be looked for.
        if name.len() > limit {
            return None;
        }
        let at = *self.view(kind, limit)?.index.get(name)?;
        Some(&self.lists[kind as usize][at as usize].exposed)
    }
}
