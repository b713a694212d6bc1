//! Finds sessions: creates them, brings stored ones back, counts them, ends them.

mod conversation;
mod ending;
mod principal;
mod slot;
#[cfg(test)]
mod tests;
mod transient;
mod waking;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use sessiongate_protocol::{RawJson, Revision, StreamId};
use sessiongate_storage::{Acquired, Lease, NodeId, SessionKey, SessionStore, StoreError, Timestamp};
use tokio::sync::oneshot;

use self::slot::{Slot, Slots};
use self::waking::Wakes;
use crate::clock;
use crate::error::SessionError;
use crate::gateway::Gateway;
use crate::session::core::{CallId, EndReason, Env, Record, SessionCore, SessionFacts, SessionView, Step};
use crate::session::{SessionActor, SessionHandle};

pub use principal::Principal;

/// How long a lease is held without a word; the embedded engine holds it for as long as the process lives.
const LEASE: Duration = Duration::from_secs(30);
/// Longest wait for the disk while a client waits.
const STORE_DEADLINE: Duration = Duration::from_secs(10);
/// Random bytes of a session id.
const ID_BYTES: usize = 24;

/// All sessions of this process.
pub struct SessionDirectory {
    slots: Slots,
    store: Arc<dyn SessionStore>,
    node: NodeId,
    /// Sessions by gateway and principal, live and stored; never zero.
    principals: Mutex<HashMap<Holder, usize>>,
    total: AtomicUsize,
    max_total: usize,
    /// Stored sessions with calls that nobody may come back for.
    wakes: Wakes,
    /// Nothing comes back into memory any more.
    closing: AtomicBool,
}

/// A gateway and a principal.
type Holder = (Box<str>, Box<str>);

fn holder(gateway: &str, principal: &str) -> Holder {
    (gateway.into(), principal.into())
}

/// What `initialize` said.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The negotiated revision.
    pub revision: Revision,
    /// `capabilities`.
    pub capabilities: RawJson,
    /// `clientInfo`.
    pub client_info: RawJson,
    /// The longest name of a tool or prompt that the client wants to see, in bytes.
    pub max_name_length: Option<u16>,
    /// Through which gateways its client's request came, where it came through any: what the session asks targets by itself
    /// came through them too. Not for conversations, whose requests may come different ways.
    pub via: Option<Box<str>>,
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

// === impl SessionDirectory ===

impl SessionDirectory {
    /// An empty directory on top of a store.
    pub fn new(store: Arc<dyn SessionStore>, node: NodeId, max_total: usize) -> Arc<Self> {
        Arc::new(Self {
            slots: Slots::new(),
            wakes: Wakes::default(),
            closing: AtomicBool::new(false),
            store,
            node,
            principals: Mutex::default(),
            total: AtomicUsize::new(0),
            max_total,
        })
    }

    /// Counts what an earlier process stored, ends what expired meanwhile, and notes what has to be brought back: see
    /// [`Self::wake_due`].
    pub async fn take_over(&self) -> Result<usize, StoreError> {
        let mut after = None;
        let mut gateways: HashSet<Arc<str>> = HashSet::new();
        let mut found = 0;
        loop {
            let page = self.store.list(after, 1000).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.key);
            for summary in page {
                let record = Record::parse(&summary.record);
                // The connections that those lived for are gone with the process.
                let left_behind = record.as_ref().is_ok_and(|record| record.facts.transient);
                if summary.expires <= clock::now() || left_behind {
                    self.store.delete(summary.key).await?;
                } else if let Ok(record) = record {
                    self.count(&record.facts.gateway, &record.facts.principal);
                    found += 1;
                    if let Some(at) = record.wake_at {
                        let name = &*record.facts.gateway;
                        let gateway = gateways.get(name).cloned().unwrap_or_else(|| name.into());
                        gateways.insert(gateway.clone());
                        self.wakes.note(at, summary.key, gateway);
                    }
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
        let holder = holder(gateway, &principal.hash);
        if principals.get(&holder).is_some_and(|count| *count >= limit) || limit == 0 {
            return bound("sessions of this principal", limit);
        }
        *principals.entry(holder).or_default() += 1;
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
        let id = URL_SAFE_NO_PAD.encode(random::<ID_BYTES>()?);
        let key = session_key(&gateway.name, principal, &id);
        let handle = self.make(gateway, principal, key, facts(gateway, principal, new)).await?;
        Ok((id, handle))
    }

    /// A new session under a key that nobody else can have come upon.
    async fn make(
        self: &Arc<Self>,
        gateway: &Arc<Gateway>,
        principal: &Principal,
        key: SessionKey,
        facts: SessionFacts,
    ) -> Result<Arc<SessionHandle>, SessionError> {
        self.admit(&gateway.name, principal, gateway.settings().sessions.max_per_principal)?;
        // A client that hangs up takes its request with it: what was begun is finished apart from it, so that no count
        // and no session stays that nobody knows of.
        let (sender, made) = oneshot::channel();
        let (directory, gateway, principal) = (self.clone(), gateway.clone(), principal.clone());
        actix_rt::spawn(async move {
            let slot = Arc::new(Slot::default());
            let made = directory.start(&slot, &gateway, key, facts).await;
            match &made {
                Ok(handle) => {
                    let _ = slot.handle.set(handle.clone());
                    directory.slots.insert(key, slot);
                }
                Err(_) => directory.uncount(&gateway.name, principal.as_str()),
            }
            if let Err(Ok(handle)) = sender.send(made) {
                let _ = handle.end(EndReason::Deleted).await;
            }
        });
        made.await.unwrap_or(Err(SessionError::Crashed))
    }

    /// The right to write a session's story.
    async fn lease(&self, gateway: &Gateway, key: SessionKey) -> Result<Lease, SessionError> {
        match gateway.store.acquire(key, &self.node, LEASE).await? {
            Acquired::Granted(lease) => Ok(lease),
            Acquired::HeldBy { .. } => Err(SessionError::Overloaded),
        }
    }

    /// Stores a new session and starts its actor. Stored before anybody learns of it: what was acknowledged outlives the
    /// process.
    async fn start(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        gateway: &Arc<Gateway>,
        key: SessionKey,
        facts: SessionFacts,
    ) -> Result<Arc<SessionHandle>, SessionError> {
        let lease = self.lease(gateway, key).await?;
        let mut core = SessionCore::new(gateway.settings(), facts, gateway.catalogue().hashes());
        tokio::time::timeout(STORE_DEADLINE, gateway.store.commit(&lease, core.first_batch()))
            .await
            .map_err(|_| StoreError::Unavailable("the disk does not answer".into()))??;
        metrics::counter!("sessiongate_sessions_created_total").increment(1);
        Ok(self.launch(slot, gateway, core, lease, None, CallId(1), HashMap::new()))
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
        let lease = self.lease(gateway, SessionKey(random()?)).await?;
        let facts = SessionFacts { stateless: true, ..facts(gateway, principal, new) };
        let core = SessionCore::new(gateway.settings(), facts, gateway.catalogue().hashes());
        let nothing = Box::new(move |_: Option<EndReason>, _: Option<Timestamp>| drop(counted));
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
        self.find_key(gateway, session_key(&gateway.name, principal, id)).await
    }

    async fn find_key(
        self: &Arc<Self>,
        gateway: &Arc<Gateway>,
        key: SessionKey,
    ) -> Result<Arc<SessionHandle>, SessionError> {
        // A session that is just leaving memory is met at most once more.
        for _ in 0..3 {
            let place = self.slots.enter(key);
            let handle = place.slot().handle.get_or_try_init(|| self.resume(place.slot(), gateway, key)).await?;
            if handle.is_alive() {
                return Ok(handle.clone());
            }
            self.slots.remove(key, place.slot());
        }
        Err(SessionError::Overloaded)
    }

    async fn resume(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        gateway: &Arc<Gateway>,
        key: SessionKey,
    ) -> Result<Arc<SessionHandle>, SessionError> {
        if self.closing.load(Ordering::Relaxed) {
            return Err(SessionError::Overloaded);
        }
        // Most ids that are not live are not stored either: those cost one read.
        if gateway.store.load(key).await?.is_none_or(|stored| stored.expires <= clock::now()) {
            return Err(SessionError::NotFound);
        }
        // The lease first: what the session's last actor still writes is refused from here on, so that what is read
        // is the end of the story.
        let lease = self.lease(gateway, key).await?;
        let found = match gateway.store.load(key).await {
            Ok(found) => found,
            Err(error) => {
                let _ = gateway.store.release(lease).await;
                return Err(error.into());
            }
        };
        let Some(stored) = found else {
            let _ = gateway.store.release(lease).await;
            return Err(SessionError::NotFound);
        };
        let restored = {
            let (settings, catalogue) = (gateway.settings(), gateway.catalogue());
            let env = Env { now: clock::now(), settings: &settings, catalogue: &catalogue, sealer: &gateway.sealer };
            SessionCore::restore(settings.clone(), &stored, &env)
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
        lease: Lease,
        first_step: Option<Step>,
        next_call: CallId,
        durable: HashMap<StreamId, u64>,
    ) -> Arc<SessionHandle> {
        let (directory, slot) = (Arc::downgrade(self), Arc::downgrade(slot));
        let (key, principal, held) = (lease.key, core.facts().principal.clone(), lease.clone());
        let (gateway_name, store) = (gateway.name.clone(), gateway.store.clone());
        let on_stop = Box::new(move |ended: Option<EndReason>, wake_at: Option<Timestamp>| {
            let Some(directory) = directory.upgrade() else { return };
            // Another actor may have the key by now.
            if let Some(slot) = slot.upgrade() {
                directory.slots.remove(key, &slot);
            }
            if let Some(reason) = ended {
                directory.uncount(&gateway_name, &principal);
                metrics::counter!("sessiongate_sessions_ended_total", "reason" => reason.as_str()).increment(1);
            } else if let Some(at) = wake_at {
                directory.wakes.note_crashed(at, key, gateway_name);
            }
            actix_rt::spawn(async move {
                let _ = store.release(held).await;
            });
        });
        Arc::new(SessionActor::launch(gateway.clone(), core, lease, first_step, next_call, durable, on_stop))
    }

    /// Sessions, live and stored.
    pub fn count_all(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Tells live sessions that their gateway's catalogue changed. Stored ones see it when they come back.
    pub fn catalogue_changed(&self, gateway: &str) {
        for handle in self.slots.all_live().into_iter().filter(|handle| handle.gateway() == gateway) {
            handle.catalogue_changed();
        }
    }

    /// Tells live sessions that their gateway's settings changed: what is open follows without waiting for something else to
    /// happen. Stored ones see it when they come back.
    pub fn settings_changed(&self, gateway: &str) {
        for handle in self.slots.all_live().into_iter().filter(|handle| handle.gateway() == gateway) {
            handle.settings_changed();
        }
    }

    /// Tells live sessions that a target was changed or removed.
    pub fn target_replaced(&self, gateway: &str, target: &Arc<str>) {
        for handle in self.slots.all_live().into_iter().filter(|handle| handle.gateway() == gateway) {
            handle.target_replaced(target.clone());
        }
    }

    /// A look at a session; none if it is not in memory.
    pub async fn view(&self, key: SessionKey) -> Option<SessionView> {
        self.slots.live(key)?.view().await.ok()
    }
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], StoreError> {
    let mut random = [0u8; BYTES];
    match rand::fill(&mut random) {
        Ok(()) => Ok(random),
        Err(_) => Err(StoreError::Unavailable("the operating system gives no random numbers".into())),
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
        max_name_length: new.max_name_length,
        via: new.via,
        conversation: false,
        transient: false,
        stateless: false,
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
