//! What targets mentioned on the way and a later request may name: which target, and what that calls it.
//!
//! Bounded by count and bytes, the oldest go first. An entry is an item of its own in the store. It is written with
//! whatever is written anyway, at the latest when the session leaves memory, so that a JSON answer touches no disk: a
//! process that is killed in between forgets it, and the client has to see it once more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sessiongate_storage::{Batch, ItemKind, Op};

use crate::catalogue::matches;

/// Entries of one kind.
pub(super) const ENTRIES: usize = 1024;
/// Bytes of their keys and names together.
const BYTES: usize = 256 << 10;

/// One kind of things that targets mention.
pub(super) struct Mentions {
    kind: ItemKind,
    by_key: HashMap<Box<str>, u64>,
    /// By number: older ones have lower numbers.
    entries: BTreeMap<u64, Mention>,
    bytes: usize,
    next: u64,
    /// Entries from here on are not stored.
    unsaved: u64,
    /// Stored entries that are no more.
    gone: Vec<u64>,
}

/// One of them.
#[derive(Serialize, Deserialize)]
pub(super) struct Mention {
    key: Box<str>,
    /// Who mentioned it.
    pub(super) target: Arc<str>,
    /// What the target calls it, where that is not the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Box<str>>,
}

// === impl Mention ===

impl Mention {
    fn size(&self) -> usize {
        self.key.len() + self.name.as_ref().map_or(0, |name| name.len())
    }
}

// === impl Mentions ===

impl Mentions {
    pub(super) fn new(kind: ItemKind) -> Self {
        Self { kind, by_key: HashMap::new(), entries: BTreeMap::new(), bytes: 0, next: 1, unsaved: 1, gone: Vec::new() }
    }

    /// A stored entry. Entries come in the order of their numbers.
    pub(super) fn restore(&mut self, number: u64, mention: Mention) {
        self.next = self.next.max(number + 1);
        self.unsaved = self.next;
        self.bytes += mention.size();
        self.by_key.insert(mention.key.clone(), number);
        self.entries.insert(number, mention);
    }

    pub(super) fn get(&self, key: &str) -> Option<&Mention> {
        self.entries.get(self.by_key.get(key)?)
    }

    /// All that a target mentioned, newest first: under which key, and what it calls it.
    pub(super) fn of_target<'a>(&'a self, target: &'a str) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let all = self.entries.values().rev().filter(move |mention| &*mention.target == target);
        all.map(|mention| (&*mention.key, mention.name.as_deref()))
    }

    /// Who mentioned a template that this URI could come of.
    pub(super) fn owner_of(&self, uri: &str) -> Option<&Arc<str>> {
        let mut all = self.entries.values();
        all.find(|mention| *mention.key == *uri || matches(&mention.key, uri)).map(|mention| &mention.target)
    }

    /// Whether one more pushes nothing out.
    pub(super) fn has_room(&self, key: &str) -> bool {
        self.entries.len() < ENTRIES && self.bytes + 2 * key.len() <= BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Notes something, in place of what was known under that key. What is known already keeps its place until half of
    /// the others are newer: what is mentioned in each answer is not written for each.
    pub(super) fn note(&mut self, key: &str, target: &Arc<str>, name: Option<&str>) {
        if let Some(number) = self.by_key.get(key).copied() {
            let recent = self.next - number <= ENTRIES as u64 / 2;
            let same =
                self.entries.get(&number).is_some_and(|known| known.target == *target && known.name.as_deref() == name);
            if recent && same {
                return;
            }
            self.forget(number);
        }
        let mention = Mention { key: key.into(), target: target.clone(), name: name.map(Into::into) };
        let size = mention.size();
        if size > BYTES {
            return;
        }
        self.bytes += size;
        self.by_key.insert(key.into(), self.next);
        self.entries.insert(self.next, mention);
        self.next += 1;
        while self.entries.len() > ENTRIES || self.bytes > BYTES {
            let Some((oldest, _)) = self.entries.first_key_value() else { return };
            self.forget(*oldest);
        }
    }

    fn forget(&mut self, number: u64) {
        let Some(mention) = self.entries.remove(&number) else { return };
        self.bytes -= mention.size();
        self.by_key.remove(&mention.key);
        if number < self.unsaved {
            self.gone.push(number);
        }
    }

    /// Writes what is not stored yet.
    pub(super) fn save(&mut self, batch: &mut Batch) {
        for id in self.gone.drain(..) {
            batch.push(Op::DeleteItem { kind: self.kind, id });
        }
        for (id, mention) in self.entries.range(self.unsaved..) {
            if let Ok(value) = serde_json::to_vec(mention) {
                batch.push(Op::PutItem { kind: self.kind, id: *id, value: value.into() });
            }
        }
        self.unsaved = self.next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(mentions: &mut Mentions, disk: &mut BTreeMap<u64, bytes::Bytes>) -> usize {
        let mut batch = Batch::default();
        mentions.save(&mut batch);
        for op in &batch.ops {
            match op {
                Op::PutItem { id, value, .. } => drop(disk.insert(*id, value.clone())),
                Op::DeleteItem { id, .. } => assert!(disk.remove(id).is_some(), "{id} was never stored"),
                other => panic!("{other:?}"),
            }
        }
        batch.ops.len()
    }

    #[test]
    fn the_store_follows_and_the_oldest_go() {
        let (mut mentions, mut disk) = (Mentions::new(ItemKind(9)), BTreeMap::new());
        let target: Arc<str> = "t".into();
        for at in 0..ENTRIES + 10 {
            mentions.note(&format!("u:{at}"), &target, None);
            if at % 7 == 0 {
                stored(&mut mentions, &mut disk);
            }
        }
        stored(&mut mentions, &mut disk);
        assert_eq!((mentions.entries.len(), disk.len()), (ENTRIES, ENTRIES));
        assert!(mentions.get("u:9").is_none() && mentions.get("u:10").is_some());
        mentions.note(&format!("u:{}", ENTRIES + 9), &target, None);
        assert_eq!(stored(&mut mentions, &mut disk), 0, "known and recent");
        mentions.note("u:10", &target, None);
        assert_eq!(stored(&mut mentions, &mut disk), 2, "known and old: it moves");

        let mut again = Mentions::new(ItemKind(9));
        for (id, value) in &disk {
            again.restore(*id, serde_json::from_slice(value).unwrap());
        }
        assert_eq!((again.entries.len(), again.bytes), (ENTRIES, mentions.bytes));
        assert_eq!(stored(&mut again, &mut disk), 0);
        again.note("u:new", &target, None);
        assert!(again.get("u:11").is_none() && again.get("u:10").is_some(), "it had moved");
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut mentions = Mentions::new(ItemKind(9));
        let target: Arc<str> = "t".into();
        for at in 0..100 {
            mentions.note(&format!("{at}:{}", "x".repeat(8000)), &target, Some("n"));
        }
        assert!(mentions.bytes <= BYTES && mentions.entries.len() >= 30);
        assert!(mentions.get(&format!("99:{}", "x".repeat(8000))).is_some());
        mentions.note(&"y".repeat(BYTES + 1), &target, None);
        assert!(mentions.entries.len() >= 30, "what could never fit pushes nothing out");
    }
}
