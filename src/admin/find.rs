//! Stored sessions by the beginning of their keys, and in pages.

use sessiongate_storage::{SessionKey, SessionStore, SessionSummary, StoreError};

/// Sessions in one page.
const PAGE: usize = 1000;
/// Digits of a key.
const DIGITS: usize = 32;

/// What a key's beginning leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No key begins so.
    Nothing,
    /// One does.
    One(SessionKey),
    /// Several do.
    Several,
}

// === impl Found ===

impl Found {
    /// What to tell a person who meant one session.
    pub fn refusal(self, beginning: &str) -> String {
        match self {
            Self::Several => format!("several keys begin with {beginning:?}: give more of its digits"),
            Self::Nothing | Self::One(_) => format!("no session has a key that begins with {beginning:?}"),
        }
    }
}

/// The session whose key begins with these digits, whatever the number of sessions: keys are stored in order, so those
/// with a common beginning stand together.
pub async fn find(store: &dyn SessionStore, beginning: &str) -> Result<Found, StoreError> {
    let Some((first, last)) = range(beginning) else { return Ok(Found::Nothing) };
    let before = u128::from_be_bytes(first.0).checked_sub(1).map(|before| SessionKey(before.to_be_bytes()));
    let found = store.list(before, 2).await?;
    let mut keys = found.iter().map(|summary| summary.key).filter(|key| *key <= last);
    Ok(match (keys.next(), keys.next()) {
        (None, _) => Found::Nothing,
        (Some(key), None) => Found::One(key),
        (Some(_), Some(_)) => Found::Several,
    })
}

/// The next stored sessions, and the key after which there may be more.
pub async fn stored_page(
    store: &dyn SessionStore,
    after: Option<SessionKey>,
) -> Result<(Vec<SessionSummary>, Option<SessionKey>), StoreError> {
    let page = store.list(after, PAGE).await?;
    let next = page.last().map(|last| last.key).filter(|_| page.len() == PAGE);
    Ok((page, next))
}

/// The first and the last key with this beginning; none if it is no beginning of a key.
pub(super) fn range(beginning: &str) -> Option<(SessionKey, SessionKey)> {
    let digits = (1..=DIGITS).contains(&beginning.len()) && beginning.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !digits {
        return None;
    }
    let filled = |digit: &str| SessionKey::from_hex(&format!("{beginning}{}", digit.repeat(DIGITS - beginning.len())));
    Some((filled("0")?, filled("f")?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sessiongate_storage::{Acquired, Batch, MemoryStore, NodeId, Op, Timestamp};

    use super::*;

    async fn store_of(keys: impl IntoIterator<Item = u128>) -> MemoryStore {
        let store = MemoryStore::new();
        for key in keys {
            let key = SessionKey(key.to_be_bytes());
            let acquired = store.acquire(key, &NodeId("n".into()), Duration::from_secs(1)).await.unwrap();
            let Acquired::Granted(lease) = acquired else { panic!() };
            let op = Op::PutRecord { value: "{}".into(), expires: Timestamp(1) };
            store.commit(&lease, Batch { ops: vec![op] }).await.unwrap();
        }
        store
    }

    #[tokio::test]
    async fn a_beginning_is_judged_on_all_sessions() {
        let many = (0..12_000).map(|at| at << 64);
        let store = store_of(many.chain([u128::MAX, u128::MAX - 0xff])).await;
        let found = async |beginning: &str| find(&store, beginning).await.unwrap();
        assert_eq!(found("f").await, Found::Several);
        assert_eq!(found(&"f".repeat(31)).await, Found::One(SessionKey([0xff; 16])), "behind twelve thousand others");
        assert_eq!(found(&"F".repeat(32)).await, Found::One(SessionKey([0xff; 16])));
        assert_eq!(found("0").await, Found::Several);
        assert_eq!(found(&"0".repeat(32)).await, Found::One(SessionKey([0; 16])));
        assert_eq!(
            found(&format!("{:032x}", 11_999_u128 << 64)).await,
            Found::One(SessionKey((11_999_u128 << 64).to_be_bytes()))
        );
        for nothing in ["", "1", "zz", "+f", "é", &"f".repeat(33)] {
            assert_eq!(found(nothing).await, Found::Nothing, "{nothing:?}");
        }
    }

    #[tokio::test]
    async fn pages_lead_to_the_end() {
        for count in [0, 1, PAGE, PAGE + 1, 2 * PAGE] {
            let store = store_of((0..count).map(|at| at as u128)).await;
            let (mut after, mut seen) = (None, 0);
            loop {
                let (page, next) = stored_page(&store, after).await.unwrap();
                seen += page.len();
                let Some(next) = next else { break };
                after = Some(next);
            }
            assert_eq!(seen, count);
        }
    }
}
