//! What all sessions of one gateway share.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sessiongate_protocol::sealer::Sealer;
use sessiongate_storage::SessionStore;
use sessiongate_targets::Target;
use tokio::sync::mpsc;

use crate::catalogue::Snapshot;
use crate::meters::CallMeters;
use crate::settings::GatewaySettings;

/// Targets by name.
pub type Targets = HashMap<Arc<str>, Arc<dyn Target>>;

/// One gateway, as its sessions see it. Settings, targets and catalogue are swapped whole on a reload.
pub struct Gateway {
    /// Its name: fixed.
    pub name: Arc<str>,
    settings: ArcSwap<GatewaySettings>,
    targets: ArcSwap<Targets>,
    catalogue: ArcSwap<Snapshot>,
    /// Where sessions are stored.
    pub store: Arc<dyn SessionStore>,
    /// Seals list cursors.
    pub sealer: Arc<Sealer>,
    /// Counts its calls.
    pub meters: CallMeters,
    resync: mpsc::Sender<Arc<str>>,
}

// === impl Gateway ===

impl Gateway {
    /// A gateway with nothing behind it yet. `resync` takes the names of targets that say their lists changed; when it
    /// is full the wish is dropped, because one is under way.
    pub fn new(
        settings: GatewaySettings,
        store: Arc<dyn SessionStore>,
        sealer: Arc<Sealer>,
        resync: mpsc::Sender<Arc<str>>,
    ) -> Self {
        let empty = Snapshot::build(&settings, Vec::new());
        Self {
            meters: CallMeters::new(settings.name.clone()),
            name: settings.name.clone(),
            settings: ArcSwap::from_pointee(settings),
            targets: ArcSwap::from_pointee(Targets::new()),
            catalogue: ArcSwap::from_pointee(empty),
            store,
            sealer,
            resync,
        }
    }

    /// The settings now.
    pub fn settings(&self) -> Arc<GatewaySettings> {
        self.settings.load_full()
    }

    /// The same for a moment, without counting who has them.
    pub fn settings_now(&self) -> arc_swap::Guard<Arc<GatewaySettings>> {
        self.settings.load()
    }

    /// Sets the settings. Sessions that live follow some of them with their next step, and keep their times and bounds.
    pub fn set_settings(&self, settings: GatewaySettings) {
        self.settings.store(Arc::new(settings));
    }

    /// The published catalogue now.
    pub fn catalogue(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.catalogue.load()
    }

    /// Publishes a catalogue; true if clients can see a difference.
    pub fn publish(&self, snapshot: Snapshot) -> bool {
        let snapshot = Arc::new(snapshot);
        let before = self.catalogue.swap(snapshot.clone());
        before.hashes() != snapshot.hashes()
    }

    /// A target by name.
    pub fn target(&self, name: &str) -> Option<Arc<dyn Target>> {
        self.targets.load().get(name).cloned()
    }

    /// Sets the targets.
    pub fn set_targets(&self, targets: Targets) {
        self.targets.store(Arc::new(targets));
    }

    /// A target says that its lists changed.
    pub fn wants_resync(&self, target: &Arc<str>) {
        // Full means that synchronisations are queued already.
        let _ = self.resync.try_send(target.clone());
    }
}
