//! Keeps a gateway's targets synchronised and its catalogue published.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sessiongate_protocol::Revision;
use sessiongate_storage::{CatalogueStore, Timestamp};
use sessiongate_targets::{Target, TargetError};
use tokio::sync::mpsc;

use crate::catalogue::{Snapshot, TargetCatalogue, TargetState};
use crate::directory::SessionDirectory;
use crate::gateway::{Gateway, Targets};
use crate::settings::{GatewaySettings, TargetSettings};
use crate::sync::{Bounds, SyncHandle, SyncState, TargetSync, TargetView};

pub use crate::sync::Synchronisation;

/// Wishes for a synchronisation that may wait.
pub const RESYNC_QUEUE: usize = 64;

/// A target with its settings.
pub struct TargetPlan {
    /// Settings.
    pub settings: TargetSettings,
    /// How to reach it.
    pub target: Arc<dyn Target>,
    /// Changes whenever anything of the configuration of the target does.
    pub fingerprint: u64,
    /// When its lists are read.
    pub synchronisation: Synchronisation,
    /// How much it may offer.
    pub bounds: Bounds,
    /// What it offers, if it is not to be asked: its lists are never read then.
    pub fixed: Option<Arc<TargetCatalogue>>,
}

/// What happens to the stored catalogues of targets that are there no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftovers {
    /// They are removed.
    Removed,
    /// Somebody else removes them, who may have stored one for a new target of the same name meanwhile.
    Kept,
}

/// One gateway with its targets.
pub struct TargetSupervisor {
    gateway: Arc<Gateway>,
    directory: Arc<SessionDirectory>,
    store: Arc<dyn CatalogueStore>,
    supervised: Mutex<Vec<Supervised>>,
}

/// To whom a target said what it offers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// To this process, just now: it counts, whatever the clocks of others say.
    Here,
    /// To another one, who stored it.
    Elsewhere,
}

/// What became of the targets.
struct Swapped {
    targets: Targets,
    /// Changed or removed: sessions close what they have with them.
    replaced: Vec<Arc<str>>,
    /// Removed.
    gone: Vec<Arc<str>>,
}

struct Supervised {
    settings: TargetSettings,
    target: Arc<dyn Target>,
    fingerprint: u64,
    synchronisation: Synchronisation,
    catalogue: Option<Arc<TargetCatalogue>>,
    /// None where what it offers is fixed.
    sync: Option<SyncHandle>,
}

// === impl TargetSupervisor ===

impl TargetSupervisor {
    /// Starts on the current arbiter; `resync` is the other end of what [`Gateway::new`] got.
    pub fn launch(
        gateway: Arc<Gateway>,
        directory: Arc<SessionDirectory>,
        store: Arc<dyn CatalogueStore>,
        mut resync: mpsc::Receiver<Arc<str>>,
    ) -> Arc<Self> {
        let supervisor = Arc::new(Self { gateway, directory, store, supervised: Mutex::default() });
        let weak = Arc::downgrade(&supervisor);
        actix_rt::spawn(async move {
            while let Some(target) = resync.recv().await {
                let Some(supervisor) = weak.upgrade() else { return };
                if let Some(sync) = supervisor.sync_of(&target) {
                    sync.changed();
                }
            }
        });
        supervisor
    }

    /// The gateway.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    fn sync_of(&self, target: &str) -> Option<SyncHandle> {
        self.supervised.lock().iter().find(|known| &*known.settings.name == target)?.sync.clone()
    }

    /// Makes the targets what `plans` says: what did not change goes on, what did is replaced, what is not there any
    /// more ends. Sessions lose only the downstream sessions of targets that were replaced or removed.
    pub async fn apply(self: &Arc<Self>, settings: GatewaySettings, plans: Vec<TargetPlan>, leftovers: Leftovers) {
        // What must be waited for comes first: from there on nothing else sees a half of the change.
        let mut stored = HashMap::new();
        let served = self.fingerprints();
        for plan in plans.iter().filter(|plan| plan.fixed.is_none()) {
            if served.get(&plan.settings.name) != Some(&plan.fingerprint) {
                stored.insert(plan.settings.name.clone(), self.load(&plan.settings.name).await);
            }
        }
        let Swapped { targets, replaced, gone } = self.swap(plans, stored);
        self.gateway.set_targets(targets);
        self.gateway.set_settings(settings);
        for target in replaced {
            self.directory.target_replaced(&self.gateway.name, &target);
        }
        self.publish();
        for target in gone.into_iter().filter(|_| leftovers == Leftovers::Removed) {
            if let Err(error) = self.store.delete_catalogue(&self.gateway.name, &target).await {
                tracing::warn!(target_name = &*target, %error, "a catalogue could not be removed");
            }
        }
    }

    /// The one step in which the old targets become the new ones.
    fn swap(
        self: &Arc<Self>,
        plans: Vec<TargetPlan>,
        mut stored: HashMap<Arc<str>, Option<Arc<TargetCatalogue>>>,
    ) -> Swapped {
        let mut replaced = Vec::new();
        let mut gone = Vec::new();
        let mut next = Vec::with_capacity(plans.len());
        let mut supervised = self.supervised.lock();
        let mut before: HashMap<Arc<str>, Supervised> =
            supervised.drain(..).map(|known| (known.settings.name.clone(), known)).collect();
        for plan in plans {
            let name = plan.settings.name.clone();
            match before.remove(&name) {
                Some(known) if known.fingerprint == plan.fingerprint => {
                    next.push(Supervised { settings: plan.settings, ..known });
                }
                known => {
                    if let Some(known) = known {
                        known.stop();
                        replaced.push(name.clone());
                    }
                    let (catalogue, sync) = match &plan.fixed {
                        Some(fixed) => (Some(fixed.clone()), None),
                        None => {
                            let catalogue = stored.remove(&name).flatten();
                            let sync = self.start(&plan, catalogue.clone());
                            (catalogue, Some(sync))
                        }
                    };
                    next.push(Supervised {
                        settings: plan.settings,
                        target: plan.target,
                        fingerprint: plan.fingerprint,
                        synchronisation: plan.synchronisation,
                        catalogue,
                        sync,
                    });
                }
            }
        }
        *supervised = next;
        for (name, old) in before {
            old.stop();
            replaced.push(name.clone());
            gone.push(name);
        }
        let targets: Targets =
            supervised.iter().map(|known| (known.settings.name.clone(), known.target.clone())).collect();
        Swapped { targets, replaced, gone }
    }

    /// Shows what is stored of a target, where what is shown was read before `read`: somebody else asked the target, and stored
    /// what it said.
    pub async fn take_stored(&self, target: &str, read: Timestamp) {
        let shown = {
            let supervised = self.supervised.lock();
            let known = supervised.iter().find(|known| &*known.settings.name == target && known.sync.is_some());
            known.map(|known| (known.fingerprint, known.catalogue.as_ref().map(|catalogue| catalogue.synced_at)))
        };
        let Some((fingerprint, shown)) = shown else { return };
        if shown.is_some_and(|shown| shown >= read) {
            return;
        }
        let Some(catalogue) = self.load(target).await else { return };
        if let Some(sync) = self.set_catalogue(target, fingerprint, catalogue.clone(), Said::Elsewhere) {
            sync.known(catalogue);
            self.publish();
        }
    }

    /// Sets what a target offers; none where that is the target's no more, or is older than what is there.
    fn set_catalogue(
        &self,
        target: &str,
        fingerprint: u64,
        catalogue: Arc<TargetCatalogue>,
        said: Said,
    ) -> Option<SyncHandle> {
        let mut supervised = self.supervised.lock();
        // What was read of a target that was replaced meanwhile says nothing of its successor.
        let mut all = supervised.iter_mut();
        let known = all.find(|known| &*known.settings.name == target && known.fingerprint == fingerprint)?;
        let shown = known.catalogue.as_ref().map(|shown| shown.synced_at);
        if said == Said::Elsewhere && shown.is_some_and(|shown| shown >= catalogue.synced_at) {
            return None;
        }
        known.catalogue = Some(catalogue);
        known.sync.clone()
    }

    fn fingerprints(&self) -> HashMap<Arc<str>, u64> {
        let supervised = self.supervised.lock();
        supervised.iter().map(|known| (known.settings.name.clone(), known.fingerprint)).collect()
    }

    fn start(self: &Arc<Self>, plan: &TargetPlan, last_good: Option<Arc<TargetCatalogue>>) -> SyncHandle {
        let weak = Arc::downgrade(self);
        let (owner, fingerprint, target) = (plan.settings.name.clone(), plan.fingerprint, plan.target.clone());
        let publish = Arc::new(move |catalogue: Arc<TargetCatalogue>| {
            if let Some(supervisor) = weak.upgrade() {
                supervisor.synchronised(&owner, fingerprint, catalogue);
            }
        });
        if let Some(revision) = last_good.as_ref().and_then(|catalogue| Revision::parse(&catalogue.revision)) {
            target.remember(revision);
        }
        TargetSync::launch(&self.gateway.name, target, plan.synchronisation, plan.bounds, last_good, publish)
    }

    async fn load(&self, target: &str) -> Option<Arc<TargetCatalogue>> {
        match self.store.load_catalogue(&self.gateway.name, target).await {
            Ok(stored) => stored.and_then(|bytes| serde_json::from_slice(&bytes).ok()).map(Arc::new),
            Err(error) => {
                tracing::warn!(target_name = target, %error, "a stored catalogue could not be read");
                None
            }
        }
    }

    fn synchronised(self: &Arc<Self>, target: &Arc<str>, fingerprint: u64, catalogue: Arc<TargetCatalogue>) {
        if self.set_catalogue(target, fingerprint, catalogue.clone(), Said::Here).is_none() {
            return;
        }
        self.publish();
        let supervisor = self.clone();
        let target = target.clone();
        actix_rt::spawn(async move {
            let Ok(value) = serde_json::to_vec(&*catalogue) else { return };
            if let Err(error) = supervisor.store.put_catalogue(&supervisor.gateway.name, &target, value.into()).await {
                tracing::warn!(target_name = &*target, %error, "a catalogue could not be stored");
            }
        });
    }

    fn publish(&self) {
        let states: Vec<TargetState> = self
            .supervised
            .lock()
            .iter()
            .map(|known| TargetState { settings: known.settings.clone(), catalogue: known.catalogue.clone() })
            .collect();
        let snapshot = Snapshot::build(&self.gateway.settings(), states);
        if self.gateway.publish(snapshot) {
            self.directory.catalogue_changed(&self.gateway.name);
        }
    }

    /// Synchronises one target, or all of them at once, and waits; results by target. A target whose catalogue is fixed is
    /// not asked: the result is what there is.
    pub async fn sync(&self, target: Option<&str>) -> Vec<(Arc<str>, Result<Arc<TargetCatalogue>, TargetError>)> {
        let wanted: Vec<_> = self
            .supervised
            .lock()
            .iter()
            .filter(|known| target.is_none_or(|target| &*known.settings.name == target))
            .map(|known| (known.settings.name.clone(), known.sync.clone(), known.catalogue.clone()))
            .collect();
        let runs = wanted.into_iter().map(|(name, sync, fixed)| async move {
            let outcome = match sync {
                Some(sync) => sync.sync().await,
                None => fixed.ok_or(TargetError::Closed),
            };
            (name, outcome)
        });
        futures_util::future::join_all(runs).await
    }

    /// Waits until every target that nobody needs to ask for was tried once, or has a catalogue of an earlier process.
    pub async fn first_attempts(&self) {
        let wanted: Vec<SyncHandle> = self
            .supervised
            .lock()
            .iter()
            .filter(|known| known.catalogue.is_none() && known.synchronisation == Synchronisation::Automatic)
            .filter_map(|known| known.sync.clone())
            .collect();
        futures_util::future::join_all(wanted.iter().map(SyncHandle::sync)).await;
    }

    /// How the targets are.
    pub async fn views(&self) -> Vec<TargetView> {
        let wanted: Vec<_> = self
            .supervised
            .lock()
            .iter()
            .map(|known| {
                let (name, required) = (known.settings.name.clone(), known.settings.required);
                (name, required, known.sync.clone(), known.catalogue.clone())
            })
            .collect();
        let views = wanted.into_iter().map(|(name, required, sync, fixed)| async move {
            match sync {
                Some(sync) => sync.view(required, name).await,
                None => TargetView::new(name, SyncState::Ready, fixed.as_deref(), required),
            }
        });
        futures_util::future::join_all(views).await
    }

    /// Ends everything.
    pub fn stop(&self) {
        for known in self.supervised.lock().drain(..) {
            known.stop();
        }
    }
}

// === impl Supervised ===

impl Supervised {
    fn stop(&self) {
        if let Some(sync) = &self.sync {
            sync.stop();
        }
    }
}
