//! The gateway's own search among what a snapshot shows.

use std::borrow::Cow;

use sessiongate_protocol::RawJson;

use super::{Entry, Snapshot};
use crate::catalogue::ListKind;
use crate::catalogue::search::{self, Index, MOST};

/// The owner of the gateway's own tool: no target.
pub(super) const OWN: u16 = u16::MAX;

/// The tool in a list.
pub(super) fn entry() -> Entry {
    Entry { exposed: search::TOOL.into(), uncut: None, json: search::tool(), target: OWN, name: search::TOOL.into() }
}

// === impl Snapshot ===

impl Snapshot {
    /// Whether the gateway has its own tool that finds tools. It comes first in the list.
    pub fn has_search(&self) -> bool {
        self.searchable
    }

    /// Whether a search would have to build the index first, which takes milliseconds for each thousand tools.
    pub fn wants_index(&self) -> bool {
        self.searchable && self.found.get().is_none()
    }

    /// The words of the tools that the catalogue shows: built by the first search, kept with the snapshot.
    pub fn index(&self) -> &Index {
        self.found.get_or_init(|| {
            let tools = self.searched().iter();
            Index::build(tools.map(|entry| {
                let target = &self.targets[entry.target as usize].settings.name;
                (&**target, &*entry.name, &entry.json)
            }))
        })
    }

    /// The tools that match best, under names of at most `limit` bytes, best first, [`MOST`] at most. What live targets
    /// list is not among them.
    pub fn search(&self, query: &str, limit: Option<usize>) -> Vec<Cow<'_, RawJson>> {
        let scores = self.index().scores(query);
        let places = search::best(&scores, MOST);
        let own = u32::from(self.searchable);
        let tools = self.searched();
        let found = places.into_iter().filter_map(|place| {
            let tool = &tools[place as usize].json;
            match limit {
                Some(limit) => self.item_within(ListKind::Tools, place + own, limit, tool),
                None => Some(Cow::Borrowed(tool)),
            }
        });
        found.collect()
    }

    fn searched(&self) -> &[Entry] {
        let tools = ListKind::Tools as usize;
        &self.lists[tools][usize::from(self.searchable)..self.shown[tools]]
    }
}
