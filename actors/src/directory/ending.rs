//! How sessions end that do not end themselves, and how all of them leave memory.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use sessiongate_protocol::Revision;
use sessiongate_storage::{SessionKey, StoreError};

use super::{Holder, SessionDirectory};
use crate::clock;
use crate::error::SessionError;
use crate::session::SessionHandle;
use crate::session::core::{EndReason, Record};

/// Live sessions that are ended or stored at once.
const AT_ONCE: usize = 256;
/// Stored sessions that are ended at once: in the background, so that requests go first.
const STORED_AT_ONCE: usize = 16;
/// Sessions read from the store at once.
const PAGE: usize = 256;
/// How often a session is looked for again that came into memory or left it meanwhile.
const ATTEMPTS: u32 = 4;

// === impl SessionDirectory ===

impl SessionDirectory {
    /// Ends sessions whose time is over while nobody has them in memory. Call it now and then.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let mut swept = 0;
        loop {
            let found = self.store.expired(clock::now(), PAGE).await?;
            let before = swept;
            for key in &found {
                if self.slots.live(*key).is_some() {
                    continue;
                }
                match self.end(*key, EndReason::Expired).await {
                    Ok(_) => swept += 1,
                    Err(SessionError::Store(error)) => return Err(error),
                    // One that is in memory ends by its own timer; the next look makes sure.
                    Err(_) => {}
                }
            }
            if found.len() < PAGE || swept == before {
                return Ok(swept);
            }
        }
    }

    /// Ends a session by its key, wherever it is. False if there is none.
    pub async fn end(&self, key: SessionKey, reason: EndReason) -> Result<bool, SessionError> {
        for _ in 0..ATTEMPTS {
            let place = self.slots.enter(key);
            // Who asks for the session meanwhile waits for the cell: it does not come into memory while it is removed.
            let gone = async || Err(self.end_stored(key, reason).await);
            match place.slot().handle.get_or_try_init(gone).await {
                Err(gone) => return gone,
                Ok(handle) => match handle.end(reason).await {
                    Err(SessionError::Left) => self.slots.remove(key, place.slot()),
                    ended => return ended.map(|()| true),
                },
            }
        }
        Err(SessionError::Overloaded)
    }

    async fn end_stored(&self, key: SessionKey, reason: EndReason) -> Result<bool, SessionError> {
        let Some(stored) = self.store.load(key).await? else { return Ok(false) };
        self.store.delete(key).await?;
        if let Ok(record) = Record::parse(&stored.record) {
            self.uncount(&record.facts.gateway, &record.facts.principal);
        }
        metrics::counter!("sessiongate_sessions_ended_total", "reason" => reason.as_str()).increment(1);
        Ok(true)
    }

    /// Ends the live sessions of a gateway that is no longer configured; stored ones expire.
    pub async fn gateway_removed(&self, gateway: &str) {
        self.end_live(EndReason::GatewayRemoved, |of, _| of == gateway).await;
    }

    /// Ends the live sessions of a gateway whose clients speak a revision that it does not serve any more. Whoever finds a
    /// stored one ends it.
    pub async fn end_unserved(&self, gateway: &str, serves: impl Fn(Revision) -> bool) {
        let ends = |handle: &SessionHandle| handle.gateway() == gateway && !serves(handle.client_revision());
        self.end_where(EndReason::Administrator, ends).await;
    }

    /// Ends the live sessions of which `ends` says so, by gateway and principal's hash; returns how many there were.
    pub async fn end_live(&self, reason: EndReason, ends: impl Fn(&str, &str) -> bool) -> usize {
        self.end_where(reason, |handle| ends(handle.gateway(), handle.principal())).await
    }

    async fn end_where(&self, reason: EndReason, ends: impl Fn(&SessionHandle) -> bool) -> usize {
        let mut found = self.slots.all_live();
        found.retain(|handle| ends(handle));
        let count = found.len();
        futures_util::stream::iter(found)
            .for_each_concurrent(AT_ONCE, |handle| async move {
                let _ = handle.end(reason).await;
            })
            .await;
        count
    }

    /// Whether any session, live or stored, belongs to somebody of whom `ends` says so, by gateway and principal's hash.
    /// It costs nothing: holders are counted.
    pub fn has_any_of(&self, ends: impl Fn(&str, &str) -> bool) -> bool {
        self.principals.lock().keys().any(|(gateway, principal)| ends(gateway, principal))
    }

    /// Ends all sessions, live and stored, of whom `ends` says so, by gateway and principal's hash, without bringing any
    /// into memory; returns how many. It reads the record of every session: do it in the background. `go_on` is asked
    /// between two pages.
    pub async fn end_all_of(
        &self,
        reason: EndReason,
        ends: impl Fn(&str, &str) -> bool,
        go_on: impl Fn() -> bool,
    ) -> Result<usize, StoreError> {
        let holders: HashSet<Holder> = {
            let principals = self.principals.lock();
            principals.keys().filter(|(gateway, principal)| ends(gateway, principal)).cloned().collect()
        };
        let (mut after, mut ended) = (None, 0);
        while !holders.is_empty() && go_on() {
            let page = self.store.list(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key);
            let keys = page.iter().filter(|summary| {
                Record::parse(&summary.record)
                    .is_ok_and(|record| holders.contains(&(record.facts.gateway, record.facts.principal)))
            });
            let keys: Vec<SessionKey> = keys.map(|summary| summary.key).collect();
            let outcomes = futures_util::stream::iter(keys)
                .map(|key| async move { (key, self.end(key, reason).await) })
                .buffer_unordered(STORED_AT_ONCE)
                .collect::<Vec<_>>()
                .await;
            for (key, outcome) in outcomes {
                match outcome {
                    Ok(true) => ended += 1,
                    Ok(false) => {}
                    Err(error) => tracing::warn!(session = %key, %error, "a session could not be ended"),
                }
            }
        }
        Ok(ended)
    }

    /// Takes all sessions out of memory with everything stored; connections are told to come back. None comes back
    /// afterwards.
    pub async fn shut_down(&self) {
        self.closing.store(true, Ordering::Relaxed);
        let live = self.slots.all_live();
        let count = live.len();
        // Many at once, so that their writes share a flush.
        futures_util::stream::iter(live)
            .for_each_concurrent(AT_ONCE, |handle| async move {
                if let Err(error) = handle.shut_down().await {
                    tracing::debug!(session = %handle.key(), %error, "a session did not shut down in order");
                }
            })
            .await;
        tracing::info!(sessions = count, "sessions stored");
    }
}
