//! Finds sessions: creates them, brings stored ones back, counts them, ends them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use parking_lot::Mutex;
use sessiongate_protocol::{RawJson, Revision, StreamId};
use sessiongate_storage::{Acquired, NodeId, SessionKey, SessionStore, StoreError};
use tokio::sync::{OnceCell, oneshot};

use crate::clock;
use crate::error::SessionError;
use crate::gateway::Gateway;
use crate::session::core::{CallId, EndReason, Env, Record, SessionCore, SessionFacts, SessionView, Step};
use crate::session::{SessionActor, SessionHandle};

/// Locks of the table; more than cores, so that two requests seldom meet.
const SHARDS: usize = 64;
/// How long a lease is held without a word; the embedded engine holds it for as long as the process lives.
const LEASE: Duration = Duration::from_secs(30);
/// Longest wait for the disk while a client waits.
const STORE_DEADLINE: Duration = Duration::from_secs(10);
/// Sessions that are ended or stored at once.
const AT_ONCE: usize = 256;
/// Expired sessions read at once.
const SWEEP: usize = 256;
/// Random bytes of a session id.
const ID_BYTES: usize = 24;

/// All sessions of this process.
pub struct SessionDirectory {
    shards: Vec<Mutex<HashMap<SessionKey, Arc<Slot>>>>,
    store: Arc<dyn SessionStore>,
    node: NodeId,
    /// Sessions by gateway and principal, live and stored.
    principals: Mutex<HashMap<Holder, usize>>,
    total: AtomicUsize,
    max_total: usize,
}

/// A gateway and a principal.
type Holder = (Box<str>, Box<str>);

fn holder(gateway: &str, principal: &str) -> Holder {
    (gateway.into(), principal.into())
}

/// A session on its way into memory, or in it. The cell makes many requests wait for one resumption.
struct Slot {
    handle: OnceCell<Arc<SessionHandle>>,
}

/// Who asks: an opaque name for each credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    hash: Box<str>,
}

/// What `initialize` said.
#[derive(Debug)]
pub struct NewSession {
    /// The negotiated revision.
    pub revision: Revision,
    /// `capabilities`.
    pub capabilities: RawJson,
    /// `clientInfo`.
    pub client_info: RawJson,
}

/// The place of an ephemeral session in the counts.
struct Counted {
    directory: Arc<SessionDirectory>,
    gateway: Arc<str>,
    principal: Box<str>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.directory.uncount(&self.gateway, &self.principal);
    }
}

/// Takes a slot away that nobody filled, also when its request is cut off in the middle.
struct SlotGuard<'a> {
    directory: &'a SessionDirectory,
    key: SessionKey,
    slot: &'a Arc<Slot>,
}

impl Drop for SlotGuard<'_> {
    fn drop(&mut self) {
        if self.slot.handle.get().is_none() {
            let mut shard = self.directory.shard(self.key).lock();
            // Two: the table's and this request's. More of them wait for the same session.
            if Arc::strong_count(self.slot) == 2
                && shard.get(&self.key).is_some_and(|known| Arc::ptr_eq(known, self.slot))
            {
                shard.remove(&self.key);
            }
        }
    }
}

// === impl Principal ===

impl Principal {
    /// Everybody without a credential.
    pub fn anonymous() -> Self {
        Self { hash: "anonymous".into() }
    }

    /// Whoever holds this credential name; the name is hashed, so that it can stand in logs and on disk.
    pub fn named(kind: &str, name: &str) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(kind.as_bytes());
        context.update(&[0]);
        context.update(name.as_bytes());
        Self { hash: URL_SAFE_NO_PAD.encode(&context.finish().as_ref()[..12]).into() }
    }

    /// The hash.
    pub fn as_str(&self) -> &str {
        &self.hash
    }
}

// === impl SessionDirectory ===

impl SessionDirectory {
    /// An empty directory on top of a store.
    pub fn new(store: Arc<dyn SessionStore>, node: NodeId, max_total: usize) -> Arc<Self> {
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            store,
            node,
            principals: Mutex::default(),
            total: AtomicUsize::new(0),
            max_total,
        })
    }

    fn shard(&self, key: SessionKey) -> &Mutex<HashMap<SessionKey, Arc<Slot>>> {
        &self.shards[usize::from(key.0[0]) % SHARDS]
    }

    /// Counts what an earlier process stored, and ends what expired meanwhile.
    pub async fn take_over(&self) -> Result<usize, StoreError> {
        let mut after = None;
        let mut found = 0;
        loop {
            let page = self.store.list(after, 1000).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.key);
            for summary in page {
                if summary.expires <= clock::now() {
                    self.store.delete(summary.key).await?;
                } else if let Ok(record) = Record::parse(&summary.record) {
                    self.count(&record.facts.gateway, &record.facts.principal);
                    found += 1;
                }
            }
        }
    }

    fn count(&self, gateway: &str, principal: &str) {
        self.total.fetch_add(1, Ordering::Relaxed);
        *self.principals.lock().entry(holder(gateway, principal)).or_default() += 1;
    }

    fn uncount(&self, gateway: &str, principal: &str) {
        // Never below zero: a count that is off by one must not shut everybody out.
        let _ = self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |total| Some(total.saturating_sub(1)));
        let mut principals = self.principals.lock();
        let holder = holder(gateway, principal);
        if let Some(count) = principals.get_mut(&holder) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                principals.remove(&holder);
            }
        }
    }

    /// Room for one more session of a principal, taken.
    fn admit(&self, gateway: &str, principal: &Principal, limit: usize) -> Result<(), SessionError> {
        let bound = |what, limit| {
            metrics::counter!("sessiongate_bounds_reached_total", "bound" => what).increment(1);
            Err(SessionError::Bound { what, limit, remedy: "end one with DELETE, or wait until one expires" })
        };
        if self.total.load(Ordering::Relaxed) >= self.max_total {
            return bound("sessions of the gateway", self.max_total);
        }
        let mut principals = self.principals.lock();
        let count = principals.entry(holder(gateway, &principal.hash)).or_default();
        if *count >= limit {
            return bound("sessions of this principal", limit);
        }
        *count += 1;
        self.total.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Creates a session and stores it; returns the id for `Mcp-Session-Id`.
    pub async fn create(
        self: &Arc<Self>,
        gateway: &Arc<Gateway>,
        principal: &Principal,
        new: NewSession,
    ) -> Result<(String, Arc<SessionHandle>), SessionError> {
        let settings = gateway.settings();
        self.admit(&gateway.name, principal, settings.sessions.max_per_principal)?;
        // A client that hangs up takes its request with it: what was begun is finished apart from it, so that no count
        // and no session stays that nobody knows of.
        let (sender, created) = oneshot::channel();
        let (directory, gateway, principal) = (self.clone(), gateway.clone(), principal.clone());
        actix_rt::spawn(async move {
            let created = directory.create_admitted(&gateway, &principal, new).await;
            if created.is_err() {
                directory.uncount(&gateway.name, principal.as_str());
            }
            if let Err(Ok((_, handle))) = sender.send(created) {
                let _ = handle.end(EndReason::Deleted).await;
            }
        });
        created.await.unwrap_or(Err(SessionError::Crashed))
    }

    async fn create_admitted(
        self: &Arc<Self>,
        gateway: &Arc<Gateway>,
        principal: &Principal,
        new: NewSession,
    ) -> Result<(String, Arc<SessionHandle>), SessionError> {
        let mut random = [0u8; ID_BYTES];
        rand::fill(&mut random)
            .map_err(|_| StoreError::Unavailable("the operating system gives no random numbers".into()))?;
        let id = URL_SAFE_NO_PAD.encode(random);
        let key = session_key(&gateway.name, principal, &id);
        let lease = match self.store.acquire(key, &self.node, LEASE).await? {
            Acquired::Granted(lease) => lease,
            Acquired::HeldBy { .. } => return Err(SessionError::Overloaded),
        };
        let facts = facts(gateway, principal, new);
        let mut core = SessionCore::new(gateway.settings(), facts, gateway.catalogue().hashes());
        // Stored before the client learns its id: what was acknowledged outlives the process.
        tokio::time::timeout(STORE_DEADLINE, self.store.commit(&lease, core.first_batch()))
            .await
            .map_err(|_| StoreError::Unavailable("the disk does not answer".into()))??;
        let slot = Arc::new(Slot { handle: OnceCell::new() });
        let handle = self.launch(&slot, gateway, core, lease, None, CallId(1), HashMap::new());
        let _ = slot.handle.set(handle.clone());
        self.shard(key).lock().insert(key, slot);
        metrics::counter!("sessiongate_sessions_created_total").increment(1);
        Ok((id, handle))
    }

    /// A session for one request only, of a gateway without sessions: nobody else can find it, and it is stored in the
    /// gateway's own store, which such a gateway keeps in memory.
    pub async fn ephemeral(
        self: &Arc<Self>,
        gateway: &Arc<Gateway>,
        principal: &Principal,
        new: NewSession,
    ) -> Result<Arc<SessionHandle>, SessionError> {
        let limit = gateway.settings().sessions.max_per_principal;
        self.admit(&gateway.name, principal, limit)?;
        let counted =
            Counted { directory: self.clone(), gateway: gateway.name.clone(), principal: principal.hash.clone() };
        let mut random = [0u8; 16];
        rand::fill(&mut random)
            .map_err(|_| StoreError::Unavailable("the operating system gives no random numbers".into()))?;
        let lease = match gateway.store.acquire(SessionKey(random), &self.node, LEASE).await? {
            Acquired::Granted(lease) => lease,
            Acquired::HeldBy { .. } => return Err(SessionError::Overloaded),
        };
        let facts = facts(gateway, principal, new);
        let core = SessionCore::new(gateway.settings(), facts, gateway.catalogue().hashes());
        let nothing = Box::new(move |_: Option<EndReason>| drop(counted));
        let handle = SessionActor::launch(gateway.clone(), core, lease, None, CallId(1), HashMap::new(), nothing);
        Ok(Arc::new(handle))
    }

    /// The live session of a principal under an id, brought back from the store if need be.
    pub async fn find(
        self: &Arc<Self>,
        gateway: &Arc<Gateway>,
        principal: &Principal,
        id: &str,
    ) -> Result<Arc<SessionHandle>, SessionError> {
        if id.is_empty() || id.len() > 128 {
            return Err(SessionError::NotFound);
        }
        let key = session_key(&gateway.name, principal, id);
        // A session that is just leaving memory is met at most once more.
        for _ in 0..3 {
            let slot = {
                let mut shard = self.shard(key).lock();
                let live = shard.get(&key).filter(|slot| slot.handle.get().is_none_or(|handle| handle.is_alive()));
                match live {
                    Some(slot) => slot.clone(),
                    None => {
                        let slot = Arc::new(Slot { handle: OnceCell::new() });
                        shard.insert(key, slot.clone());
                        slot
                    }
                }
            };
            let _guard = SlotGuard { directory: self, key, slot: &slot };
            match slot.handle.get_or_try_init(|| self.resume(&slot, gateway, key)).await {
                Ok(handle) if handle.is_alive() => return Ok(handle.clone()),
                Ok(_) => self.remove(key, &slot),
                Err(error) => {
                    self.remove(key, &slot);
                    return Err(error);
                }
            }
        }
        Err(SessionError::Overloaded)
    }

    fn remove(&self, key: SessionKey, slot: &Arc<Slot>) {
        let mut shard = self.shard(key).lock();
        if shard.get(&key).is_some_and(|known| Arc::ptr_eq(known, slot)) {
            shard.remove(&key);
        }
    }

    async fn resume(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        gateway: &Arc<Gateway>,
        key: SessionKey,
    ) -> Result<Arc<SessionHandle>, SessionError> {
        // Most ids that are not live are not stored either: those cost one read.
        if self.store.load(key).await?.is_none_or(|stored| stored.expires <= clock::now()) {
            return Err(SessionError::NotFound);
        }
        // The lease first: what the session's last actor still writes is refused from here on, so that what is read
        // is the end of the story.
        let lease = match self.store.acquire(key, &self.node, LEASE).await? {
            Acquired::Granted(lease) => lease,
            Acquired::HeldBy { .. } => return Err(SessionError::Overloaded),
        };
        let found = match self.store.load(key).await {
            Ok(found) => found,
            Err(error) => {
                let _ = self.store.release(lease).await;
                return Err(error.into());
            }
        };
        let Some(stored) = found else {
            let _ = self.store.release(lease).await;
            return Err(SessionError::NotFound);
        };
        let restored = {
            let catalogue = gateway.catalogue();
            let env = Env { now: clock::now(), catalogue: &catalogue, sealer: &gateway.sealer };
            SessionCore::restore(gateway.settings(), &stored, &env)
        };
        let (core, step, next_call) = restored.map_err(|error| {
            tracing::error!(session = %key, %error, "a stored session cannot be read");
            SessionError::NotFound
        })?;
        let durable = stored.streams.iter().map(|extent| (extent.stream, extent.last)).collect();
        metrics::counter!("sessiongate_sessions_resumed_total").increment(1);
        tracing::debug!(session = %key, "session brought back from the store");
        Ok(self.launch(slot, gateway, core, lease, Some(step), next_call, durable))
    }

    #[allow(clippy::too_many_arguments)]
    fn launch(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        gateway: &Arc<Gateway>,
        core: SessionCore,
        lease: sessiongate_storage::Lease,
        first_step: Option<Step>,
        next_call: CallId,
        durable: HashMap<StreamId, u64>,
    ) -> Arc<SessionHandle> {
        let (directory, slot) = (Arc::downgrade(self), Arc::downgrade(slot));
        let (key, principal, held) = (lease.key, core.facts().principal.clone(), lease.clone());
        let gateway_name = gateway.name.clone();
        let on_stop = Box::new(move |ended: Option<EndReason>| {
            let Some(directory) = directory.upgrade() else { return };
            // Another actor may have the key by now.
            if let Some(slot) = slot.upgrade() {
                directory.remove(key, &slot);
            }
            if let Some(reason) = ended {
                directory.uncount(&gateway_name, &principal);
                metrics::counter!("sessiongate_sessions_ended_total", "reason" => reason.as_str()).increment(1);
            }
            actix_rt::spawn(async move {
                let _ = directory.store.release(held).await;
            });
        });
        Arc::new(SessionActor::launch(gateway.clone(), core, lease, first_step, next_call, durable, on_stop))
    }

    fn live(&self) -> Vec<Arc<SessionHandle>> {
        self.shards
            .iter()
            .flat_map(|shard| shard.lock().values().filter_map(|slot| slot.handle.get().cloned()).collect::<Vec<_>>())
            .collect()
    }

    /// Sessions, live and stored.
    pub fn count_all(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Tells live sessions that their gateway's catalogue changed. Stored ones see it when they come back.
    pub fn catalogue_changed(&self, gateway: &str) {
        for handle in self.live().into_iter().filter(|handle| handle.gateway() == gateway) {
            handle.catalogue_changed();
        }
    }

    /// Tells live sessions that a target was changed or removed.
    pub fn target_replaced(&self, gateway: &str, target: &Arc<str>) {
        for handle in self.live().into_iter().filter(|handle| handle.gateway() == gateway) {
            handle.target_replaced(target.clone());
        }
    }

    /// Ends sessions whose time is over while nobody has them in memory. Call it now and then.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let mut swept = 0;
        loop {
            let found = self.sweep_some().await?;
            swept += found;
            if found < SWEEP {
                return Ok(swept);
            }
        }
    }

    async fn sweep_some(&self) -> Result<usize, StoreError> {
        let mut swept = 0;
        for key in self.store.expired(clock::now(), SWEEP).await? {
            let live = self.shard(key).lock().get(&key).and_then(|slot| slot.handle.get().cloned());
            match live.filter(|handle| handle.is_alive()) {
                // Its own timer ends it; this makes sure.
                Some(handle) => {
                    let _ = handle.end(EndReason::Expired).await;
                }
                None => {
                    let stored = self.store.load(key).await?;
                    self.store.delete(key).await?;
                    if let Some(record) = stored.and_then(|stored| Record::parse(&stored.record).ok()) {
                        self.uncount(&record.facts.gateway, &record.facts.principal);
                    }
                    metrics::counter!("sessiongate_sessions_ended_total", "reason" => EndReason::Expired.as_str())
                        .increment(1);
                }
            }
            swept += 1;
        }
        Ok(swept)
    }

    /// Ends a session by its key: for an administrator.
    pub async fn end(&self, key: SessionKey) -> Result<bool, SessionError> {
        let live = self.shard(key).lock().get(&key).and_then(|slot| slot.handle.get().cloned());
        if let Some(handle) = live.filter(|handle| handle.is_alive()) {
            handle.end(EndReason::Administrator).await?;
            return Ok(true);
        }
        let Some(stored) = self.store.load(key).await? else { return Ok(false) };
        self.store.delete(key).await?;
        if let Ok(record) = Record::parse(&stored.record) {
            self.uncount(&record.facts.gateway, &record.facts.principal);
        }
        Ok(true)
    }

    /// Ends the live sessions of a gateway that is no longer configured; stored ones expire.
    pub async fn gateway_removed(&self, gateway: &str) {
        self.end_where(gateway, EndReason::GatewayRemoved, |_| true).await;
    }

    /// Ends the live sessions of a gateway whose principal's hash `ends`.
    pub async fn end_where(&self, gateway: &str, reason: EndReason, ends: impl Fn(&str) -> bool) {
        let found = self.live().into_iter().filter(|handle| handle.gateway() == gateway && ends(handle.principal()));
        futures_util::stream::iter(found)
            .for_each_concurrent(AT_ONCE, |handle| async move {
                let _ = handle.end(reason).await;
            })
            .await;
    }

    /// All live sessions, to be looked at.
    pub async fn views(&self) -> Vec<(SessionKey, SessionView)> {
        let mut views = Vec::new();
        for handle in self.live() {
            if let Ok(view) = handle.view().await {
                views.push((handle.key(), view));
            }
        }
        views
    }

    /// Takes all sessions out of memory with everything stored; connections are told to come back.
    pub async fn shut_down(&self) {
        let live = self.live();
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

fn facts(gateway: &Gateway, principal: &Principal, new: NewSession) -> SessionFacts {
    SessionFacts {
        gateway: gateway.name.as_ref().into(),
        principal: principal.hash.clone(),
        revision: new.revision,
        capabilities: new.capabilities,
        client_info: new.client_info,
        created: clock::now(),
    }
}

/// Derives the internal key. Somebody else's id leads to a key that does not exist, without a comparison that could
/// tell more; and what is stored cannot be presented as an id.
fn session_key(gateway: &str, principal: &Principal, id: &str) -> SessionKey {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [gateway, &principal.hash, id] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut key = [0u8; 16];
    key.copy_from_slice(&context.finish().as_ref()[..16]);
    SessionKey(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_session_depends_on_gateway_principal_and_id() {
        let alice = Principal::named("api-key", "alice");
        let bob = Principal::named("api-key", "bob");
        let keys = [
            session_key("g", &alice, "x"),
            session_key("g", &bob, "x"),
            session_key("h", &alice, "x"),
            session_key("g", &alice, "y"),
            session_key("ga", &alice, "x"),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[at + 1..].contains(key));
        }
        assert_eq!(keys[0], session_key("g", &alice, "x"));
    }
}
