//! Tasks that run in a conversation: those of targets that have sessions know them there alone.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Owner, Task};
use crate::sealer::{SealError, Sealer};

/// A task as a client's id names it. Whoever looks for a [`Task`] in such an id finds it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Whose it is.
    #[serde(flatten)]
    pub task: Task,
    /// Where it runs; none for a task of a target that has no sessions.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// The conversation in which a task runs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// How the conversation is found.
    #[serde(rename = "c")]
    pub conversation: Box<str>,
    /// When it began, in milliseconds since the Unix epoch: another one may follow it under the same binding.
    #[serde(rename = "b")]
    pub began: u64,
    /// For how long after its creation the task can be known at most, in milliseconds: the conversation ends then.
    #[serde(rename = "l")]
    pub life_ms: u64,
}

// === impl Carried ===

impl Carried {
    /// The client's id for it: not the same twice, of [`crate::sealer::MAX_TOKEN`] characters at most.
    ///
    /// # Errors
    /// [`SealError::TooLong`] for an id of some thousand bytes.
    pub fn seal(&self, sealer: &Sealer, owner: Owner<'_>) -> Result<String, SealError> {
        // Strings and numbers: serialising them cannot fail.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        sealer.seal(&owner.context(), &plain)
    }

    /// The task of a client's id; none for anything that was not sealed for this owner.
    pub fn open(sealer: &Sealer, owner: Owner<'_>, token: &str) -> Option<Self> {
        serde_json::from_slice(&sealer.open(&owner.context(), token)?).ok()
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.task, if self.place.is_some() { " in a conversation" } else { "" })
    }
}

impl fmt::Debug for Place {
    // The binding may be all that is needed to use the conversation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place(began {})", self.began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealer::{Key, MAX_TOKEN};

    const ALICE: Owner<'static> = Owner { gateway: "g", principal: b"alice" };

    fn sealer() -> Sealer {
        Sealer::new(Key::new(1, [1; 32]), Vec::new()).unwrap()
    }

    fn carried(id: &str) -> Carried {
        let place = Place { conversation: "secret binding".into(), began: 5, life_ms: 7 };
        Carried { task: Task { target: "t".into(), id: id.into() }, place: Some(place) }
    }

    #[test]
    fn an_id_leads_back_to_the_conversation() {
        let (sealer, carried) = (sealer(), carried("7 é"));
        let token = carried.seal(&sealer, ALICE).unwrap();
        assert_eq!(Carried::open(&sealer, ALICE, &token), Some(carried.clone()));
        assert_eq!(Task::open(&sealer, ALICE, &token), Some(carried.task.clone()));
        assert_eq!(Carried::open(&sealer, Owner { principal: b"bob", ..ALICE }, &token), None);
        assert_eq!(Carried::open(&sealer, Owner { gateway: "h", ..ALICE }, &token), None);
        let plain = carried.task.seal(&sealer, ALICE).unwrap();
        assert_eq!(Carried::open(&sealer, ALICE, &plain), Some(Carried { place: None, ..carried.clone() }));
        assert!(self::carried(&"x".repeat(MAX_TOKEN)).seal(&sealer, ALICE).is_err());
        let shown = format!("{carried:?} {:?}", carried.place);
        assert!(!shown.contains("secret") && !shown.contains('7'), "{shown}");
    }
}
