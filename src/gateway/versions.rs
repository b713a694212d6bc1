//! The revisions that a gateway serves.

use sessiongate_protocol::{Era, Revision};

/// The revisions that a gateway serves, of both eras.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// Newest first.
    served: Box<[Revision]>,
}

// === impl Versions ===

impl Versions {
    /// As the configuration says: none named is all.
    pub fn new(named: &[String]) -> Self {
        let named = |revision: &Revision| named.is_empty() || named.iter().any(|one| one == revision.as_str());
        Self { served: Revision::ALL.into_iter().rev().filter(named).collect() }
    }

    /// All of them, newest first.
    pub fn all(&self) -> &[Revision] {
        &self.served
    }

    /// Their dates, newest first.
    pub fn dates(&self) -> Vec<&'static str> {
        self.served.iter().map(|revision| revision.as_str()).collect()
    }

    /// Those with sessions, newest first.
    pub fn legacy(&self) -> impl DoubleEndedIterator<Item = Revision> {
        self.served.iter().copied().filter(|revision| revision.era() == Era::Legacy)
    }

    /// What an `initialize` that asks for `requested` is answered with: the same where it is served, else the newest that
    /// has sessions (2025-11-25, lifecycle, version negotiation). None where no such is served.
    pub fn negotiate(&self, requested: &str) -> Option<Revision> {
        let asked = Revision::parse(requested);
        self.legacy().find(|revision| Some(*revision) == asked).or_else(|| self.legacy().next())
    }

    /// What a request without a session and without a word about its revision is taken for: the revision that had no such
    /// word (2025-06-18, transports), or the oldest that is served.
    pub fn unsaid(&self) -> Revision {
        let old = self.legacy().find(|revision| *revision == Revision::V2025_03_26);
        old.or_else(|| self.legacy().next_back()).unwrap_or(Revision::V2025_03_26)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(named: &[&str]) -> Versions {
        Versions::new(&named.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_named_is_everything() {
        let all = versions(&[]);
        assert_eq!(all.dates(), ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]);
        assert_eq!(all.negotiate("2025-06-18"), Some(Revision::V2025_06_18));
        for other in ["2026-07-28", "1999-01-01", ""] {
            assert_eq!(all.negotiate(other), Some(Revision::V2025_11_25), "{other}");
        }
        assert_eq!(all.unsaid(), Revision::V2025_03_26);
    }

    #[test]
    fn only_what_is_named_is_served() {
        let some = versions(&["2025-06-18", "2026-07-28", "2024-11-05"]);
        assert_eq!(some.dates(), ["2026-07-28", "2025-06-18", "2024-11-05"]);
        for (asked, got) in [("2025-06-18", "2025-06-18"), ("2025-11-25", "2025-06-18"), ("2024-11-05", "2024-11-05")] {
            assert_eq!(some.negotiate(asked).unwrap().as_str(), got);
        }
        assert_eq!(some.unsaid(), Revision::V2024_11_05);
        let modern = versions(&["2026-07-28"]);
        assert_eq!((modern.negotiate("2025-11-25"), modern.legacy().count()), (None, 0));
    }
}
