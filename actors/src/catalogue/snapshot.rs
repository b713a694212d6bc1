//! The published catalogue of a gateway: immutable, swapped whole, read on every call.

mod found;
mod merge;
mod short;

use std::borrow::Cow;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use sessiongate_protocol::RawJson;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::caching::Caching;
use sessiongate_protocol::{names, tasks};

pub use self::merge::{matches, tool_with_tasks};
use self::merge::{merge, rename};
use self::short::Views;
use sessiongate_storage::Timestamp;

use super::search::{self, Index};
use super::{ListKind, ServerCapabilities, TargetCatalogue};
use crate::settings::{GatewaySettings, Listing, Naming, TargetSettings};

/// Items on one page of a list, where lists come in pages.
pub const PAGE_SIZE: usize = 100;

/// A target and what is known of it.
#[derive(Clone, Debug)]
pub struct TargetState {
    /// Its settings.
    pub settings: TargetSettings,
    /// Its last good catalogue; none if it was never reached.
    pub catalogue: Option<Arc<TargetCatalogue>>,
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The target.
    pub target: Arc<str>,
    /// What the target calls it.
    pub name: Box<str>,
}

/// A page of a list: raw items, and where the next page starts.
#[derive(Debug)]
pub struct Page<'a> {
    /// In order.
    pub items: Vec<Cow<'a, RawJson>>,
    /// Offset of the next page; none on the last.
    pub next: Option<u32>,
}

/// One number for what a client sees of each list: it is told of a change only if its number changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ListHashes {
    /// Of the tools.
    pub tools: u64,
    /// Of the prompts.
    pub prompts: u64,
    /// Of resources and templates.
    pub resources: u64,
}

#[derive(Debug)]
struct Entry {
    exposed: Box<str>,
    /// The exposed name before the gateway's own limit, where that cut it.
    uncut: Option<Box<str>>,
    json: RawJson,
    target: u16,
    name: Box<str>,
}

/// The catalogue of a gateway.
#[derive(Debug)]
pub struct Snapshot {
    targets: Vec<TargetState>,
    capabilities: Vec<ServerCapabilities>,
    /// By target, the tools that run as tasks only (2025-11-25).
    task_tools: Vec<HashSet<Box<str>>>,
    /// By target, that its lists come from itself: what is known of them serves to find it.
    live: Vec<bool>,
    /// What the catalogue shows comes first, then what is known of live targets.
    lists: [Vec<Entry>; 4],
    /// How many entries of each list the catalogue shows.
    shown: [usize; 4],
    index: [HashMap<Box<str>, u32>; 4],
    /// Of everything.
    hashes: ListHashes,
    /// Of what the catalogue shows.
    versions: ListHashes,
    naming: Naming,
    page_size: usize,
    /// The only target that has resources.
    sole: Option<u16>,
    /// The only target that has resources and was never asked for them.
    sole_unlisted: Option<u16>,
    views: Views,
    /// The first tool is the gateway's own search.
    searchable: bool,
    found: OnceLock<Index>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Merges the catalogues of `targets`, which are in the order of the configuration. Lists keep that order, and
    /// within a target the target's own.
    pub fn build(gateway: &GatewaySettings, targets: Vec<TargetState>) -> Self {
        let capabilities: Vec<_> = targets
            .iter()
            .map(|target| {
                let known = target.catalogue.as_ref();
                known.map_or(ServerCapabilities::ALL, |known| known.can())
            })
            .collect();
        let task_tools =
            targets.iter().map(|target| target.catalogue.as_deref().map(task_tools).unwrap_or_default()).collect();
        let live: Vec<bool> = targets
            .iter()
            .map(|target| target.settings.listing.unwrap_or(gateway.listing) == Listing::Dynamic)
            .collect();
        let mut lists = ListKind::ALL.map(|kind| {
            let mut entries = merge(gateway, &targets, &live, kind);
            entries.sort_by_key(|entry| live[entry.target as usize]);
            entries
        });
        let mut shown = [0, 1, 2, 3].map(|at| lists[at].partition_point(|entry: &Entry| !live[entry.target as usize]));
        if gateway.search {
            lists[ListKind::Tools as usize].insert(0, found::entry());
            shown[ListKind::Tools as usize] += 1;
        }
        let index = ListKind::ALL.map(|kind| {
            let entries = &lists[kind as usize];
            entries.iter().zip(0u32..).map(|(entry, at)| (entry.exposed.clone(), at)).collect()
        });
        let hashes = ListHashes::of(&lists, lists.each_ref().map(Vec::len));
        let versions = if live.contains(&true) { ListHashes::of(&lists, shown) } else { hashes };
        let owners = || capabilities.iter().zip(0u16..).filter(|(can, _)| can.resources).map(|(_, at)| at);
        let sole = only(owners());
        let sole_unlisted = only(owners().filter(|at| targets[*at as usize].catalogue.is_none()));
        let views = Views::of(&lists);
        Self {
            targets,
            capabilities,
            task_tools,
            live,
            lists,
            shown,
            index,
            hashes,
            versions,
            naming: gateway.naming,
            page_size: if gateway.pagination { PAGE_SIZE } else { usize::MAX },
            sole,
            sole_unlisted,
            views,
            searchable: gateway.search,
            found: OnceLock::new(),
        }
    }

    /// How long the catalogue's pages of a list are good: as long as the shortest-lived part of it. A target that is yet
    /// to come may change it at any time.
    pub fn caching(&self, kind: ListKind, now: Timestamp) -> Caching {
        let parts = self.targets.iter().zip(&self.capabilities).zip(&self.live);
        let parts = parts.filter(|((_, can), live)| can.offers(kind) && !**live);
        Caching::merge(parts.map(|((state, _), _)| match &state.catalogue {
            None => (Caching::NONE, 0),
            Some(known) => {
                let age = now.since(known.synced_at).as_millis();
                (known.caching[kind as usize], u64::try_from(age).unwrap_or(u64::MAX))
            }
        }))
    }

    /// The targets, in the order of the configuration.
    pub fn targets(&self) -> &[TargetState] {
        &self.targets
    }

    /// A number that changes when what the catalogue shows of the list does: cursors are good for one version.
    pub fn version(&self, kind: ListKind) -> u64 {
        match kind {
            ListKind::Tools => self.versions.tools,
            ListKind::Prompts => self.versions.prompts,
            ListKind::Resources | ListKind::ResourceTemplates => self.versions.resources,
        }
    }

    /// Whether the lists of this target come from itself.
    pub fn is_live(&self, target: &str) -> bool {
        let mut all = self.targets.iter().zip(&self.live);
        all.any(|(state, live)| *live && &*state.settings.name == target)
    }

    /// The first target after `after`, or of all, whose list comes from itself.
    pub fn next_live(&self, kind: ListKind, after: Option<&str>) -> Option<&Arc<str>> {
        let skip = match after {
            Some(after) => self.targets.iter().position(|state| &*state.settings.name == after)? + 1,
            None => 0,
        };
        let all = self.targets.iter().zip(&self.capabilities).zip(&self.live).skip(skip);
        all.filter(|((_, can), live)| **live && can.offers(kind)).map(|((state, _), _)| &state.settings.name).next()
    }

    /// What clients see of the lists, in three numbers.
    pub fn hashes(&self) -> ListHashes {
        self.hashes
    }

    /// A target by name.
    pub fn target(&self, name: &str) -> Option<&TargetState> {
        self.targets.iter().find(|target| &*target.settings.name == name)
    }

    /// What any target can do; a target that was never reached counts as able to do everything, because capabilities
    /// are frozen at `initialize` and it may come up later.
    pub fn capabilities(&self) -> ServerCapabilities {
        let own = ServerCapabilities { tools: self.searchable, ..ServerCapabilities::default() };
        self.capabilities.iter().fold(own, |all, one| all.union(*one))
    }

    /// The capabilities of one target.
    pub fn capabilities_of(&self, target: &str) -> ServerCapabilities {
        self.targets
            .iter()
            .zip(&self.capabilities)
            .find(|(state, _)| &*state.settings.name == target)
            .map(|(_, capabilities)| *capabilities)
            .unwrap_or_default()
    }

    /// The tools of a target, by its own names, that run as tasks only; none where there are none.
    pub fn task_tools(&self, target: &str) -> Option<&HashSet<Box<str>>> {
        let of = |(state, _): &(&TargetState, _)| &*state.settings.name == target;
        let (_, tools) = self.targets.iter().zip(&self.task_tools).find(of)?;
        (!tools.is_empty()).then_some(tools)
    }

    /// A page of what the catalogue shows of a list, `offset` items from the start. None past the end of that.
    pub fn page(&self, kind: ListKind, offset: u32) -> Option<Page<'_>> {
        let entries = &self.lists[kind as usize][..self.shown[kind as usize]];
        let start = offset as usize;
        if start > entries.len() || (start == entries.len() && start > 0) {
            return None;
        }
        let end = entries.len().min(start.saturating_add(self.page_size));
        let next = (end < entries.len()).then(|| u32::try_from(end).unwrap_or(u32::MAX));
        Some(Page { items: entries[start..end].iter().map(|entry| Cow::Borrowed(&entry.json)).collect(), next })
    }

    /// How many items the catalogue shows of a list.
    pub fn count(&self, kind: ListKind) -> usize {
        self.shown[kind as usize]
    }

    /// Whether a list has this name or URI.
    pub fn has(&self, kind: ListKind, exposed: &str) -> bool {
        self.index[kind as usize].contains_key(exposed)
    }

    /// Where a tool or a prompt of the catalogue is.
    pub fn route_listed(&self, kind: ListKind, exposed: &str) -> Option<Route> {
        let at = self.index[kind as usize].get(exposed)?;
        let entry = &self.lists[kind as usize][*at as usize];
        // The gateway's own tool is nowhere else.
        let owner = self.targets.get(entry.target as usize)?;
        Some(Route { target: owner.settings.name.clone(), name: entry.name.clone() })
    }

    /// Whether a name is the gateway's own, so that no target's item can have it.
    pub fn is_reserved(&self, kind: ListKind, exposed: &str) -> bool {
        self.searchable && kind == ListKind::Tools && exposed == search::TOOL
    }

    /// An item, as clients see it.
    pub fn item(&self, kind: ListKind, exposed: &str) -> Option<&RawJson> {
        let at = self.index[kind as usize].get(exposed)?;
        Some(&self.lists[kind as usize][*at as usize].json)
    }

    /// Where a tool or a prompt is. A name that is not in the catalogue goes by its prefix, or to the only target: to one
    /// whose lists come from itself, or that has never been synchronised.
    pub fn route_name(&self, kind: ListKind, exposed: &str) -> Option<Route> {
        if self.is_reserved(kind, exposed) {
            return None;
        }
        self.route_listed(kind, exposed).or_else(|| self.route_prefix(exposed))
    }

    fn route_prefix(&self, exposed: &str) -> Option<Route> {
        let mut unlisted =
            self.targets.iter().zip(&self.live).filter(|(state, live)| **live || state.catalogue.is_none());
        if self.targets.len() == 1 && self.naming == Naming::Plain {
            let (only, _) = unlisted.next()?;
            return Some(Route { target: only.settings.name.clone(), name: exposed.into() });
        }
        unlisted.find_map(|(state, _)| {
            let name = exposed.strip_prefix(&*state.settings.name)?.strip_prefix(names::SEPARATOR)?;
            Some(Route { target: state.settings.name.clone(), name: name.into() })
        })
    }

    /// Names are shown as targets call them, and there is more than one that could be meant.
    pub fn names_are_plain_among_several(&self) -> bool {
        self.naming == Naming::Plain && self.targets.len() > 1
    }

    /// What a client is shown for a name of a target's that came by another way than the catalogue, before any limit.
    pub fn expose(&self, target: &str, name: &str) -> String {
        match (self.naming, self.targets.len()) {
            (Naming::Plain, 1) => name.to_owned(),
            _ => names::exposed(target, name),
        }
    }

    /// The target that the catalogue gives a resource URI to: by the list, or by the templates.
    pub fn owner_of(&self, uri: &str) -> Option<Arc<str>> {
        let of = |at: u16| self.targets[at as usize].settings.name.clone();
        if let Some(at) = self.index[ListKind::Resources as usize].get(uri) {
            return Some(of(self.lists[ListKind::Resources as usize][*at as usize].target));
        }
        let templates = &self.lists[ListKind::ResourceTemplates as usize];
        if let Some(entry) = templates.iter().find(|entry| *entry.exposed == *uri || matches(&entry.exposed, uri)) {
            return Some(of(entry.target));
        }
        None
    }

    /// The only target that has resources, which every URI must belong to.
    pub fn sole_owner(&self) -> Option<&Arc<str>> {
        self.sole.map(|at| &self.targets[at as usize].settings.name)
    }

    /// The only target that may have a URI which no catalogue has: the only one with resources, or the only one of them
    /// whose resources are not known.
    pub fn presumed_owner(&self) -> Option<&Arc<str>> {
        self.sole.or(self.sole_unlisted).map(|at| &self.targets[at as usize].settings.name)
    }

    /// The target that owns a resource URI: as the catalogue says, or because no other can.
    pub fn route_uri(&self, uri: &str) -> Option<Arc<str>> {
        self.owner_of(uri).or_else(|| self.presumed_owner().cloned())
    }
}

// === impl ListHashes ===

impl ListHashes {
    /// Of the first so many entries of each list.
    fn of(lists: &[Vec<Entry>; 4], counts: [usize; 4]) -> Self {
        let hash = |kinds: &[ListKind]| {
            let mut hasher = DefaultHasher::new();
            for kind in kinds {
                for entry in &lists[*kind as usize][..counts[*kind as usize]] {
                    entry.json.as_bytes().hash(&mut hasher);
                }
            }
            hasher.finish()
        };
        Self {
            tools: hash(&[ListKind::Tools]),
            prompts: hash(&[ListKind::Prompts]),
            resources: hash(&[ListKind::Resources, ListKind::ResourceTemplates]),
        }
    }
}

/// The one that there is, if there is just one.
fn only(mut all: impl Iterator<Item = u16>) -> Option<u16> {
    all.next().filter(|_| all.next().is_none())
}

/// A target that does not say that it takes such calls is not sent any.
fn task_tools(catalogue: &TargetCatalogue) -> HashSet<Box<str>> {
    if !tasks::offers_tool_tasks(&catalogue.capabilities) {
        return HashSet::new();
    }
    let required = catalogue.tools.iter().filter(|tool| tasks::requires_task(tool));
    required.filter_map(|tool| Some(Members::of(tool).ok()?.get_str("name")?.into())).collect()
}
