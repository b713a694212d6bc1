//! What others store of targets that come, stay and go.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use sessiongate_protocol::sealer::{Key, Sealer};
use sessiongate_storage::{MemoryStore, NodeId, StoreError};
use sessiongate_targets::{
    LinkLimits, ProcessBound, ProcessMode, SecretEnv, StdioTarget, StdioTargetOptions, TargetEra,
};
use tokio::sync::Notify;

use super::*;
use crate::catalogue::ListKind;
use crate::settings::{Affinity, Listing, Naming, SessionSettings};

struct World {
    store: Arc<MemoryStore>,
    supervisor: Arc<TargetSupervisor>,
}

fn settings() -> GatewaySettings {
    GatewaySettings {
        name: "g".into(),
        naming: Naming::Prefixed,
        listing: Listing::Default,
        pagination: true,
        exceptions: Default::default(),
        max_name_length: None,
        search: false,
        sessions: SessionSettings::default(),
    }
}

/// A target that nobody asks: it is read when somebody wants it to be.
fn plan(name: &str, fingerprint: u64) -> TargetPlan {
    let options = StdioTargetOptions {
        name: name.into(),
        command: "true".into(),
        args: Vec::new(),
        env: SecretEnv::default(),
        cwd: None,
        limits: LinkLimits::default(),
        mode: ProcessMode::PerSession,
        era: TargetEra::Legacy,
        known: None,
    };
    TargetPlan {
        settings: TargetSettings {
            name: name.into(),
            call_timeout: std::time::Duration::from_secs(1),
            resource_priority: 1000,
            required: false,
            affinity: Affinity::Principal,
            listing: None,
            tool_name: usize::MAX,
        },
        target: Arc::new(StdioTarget::new(options, ProcessBound::new(1))),
        fingerprint,
        synchronisation: Synchronisation::Manual,
        bounds: Bounds::default(),
        fixed: None,
    }
}

/// A store that is slow: what was read is handed over when somebody says so.
struct Slow {
    store: Arc<MemoryStore>,
    slow: AtomicBool,
    read: Notify,
    hand_over: Notify,
}

#[async_trait]
impl CatalogueStore for Slow {
    async fn load_catalogue(&self, gateway: &str, target: &str) -> Result<Option<Bytes>, StoreError> {
        let read = self.store.load_catalogue(gateway, target).await;
        if self.slow.load(Ordering::SeqCst) {
            self.read.notify_one();
            self.hand_over.notified().await;
        }
        read
    }

    async fn put_catalogue(&self, gateway: &str, target: &str, value: Bytes) -> Result<(), StoreError> {
        self.store.put_catalogue(gateway, target, value).await
    }

    async fn delete_catalogue(&self, gateway: &str, target: &str) -> Result<(), StoreError> {
        self.store.delete_catalogue(gateway, target).await
    }

    async fn load_meta(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        self.store.load_meta(name).await
    }

    async fn put_meta(&self, name: &str, value: Bytes) -> Result<(), StoreError> {
        self.store.put_meta(name, value).await
    }
}

fn catalogue(tool: &str, read: u64) -> TargetCatalogue {
    let tool = json!({"name": tool, "inputSchema": {"type": "object"}}).to_string();
    TargetCatalogue::of_tools(vec![sessiongate_protocol::RawJson::parse(tool).unwrap()], Timestamp(read))
}

impl World {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        Self::with(store.clone(), store)
    }

    fn with(store: Arc<MemoryStore>, catalogues: Arc<dyn CatalogueStore>) -> Self {
        let sealer = Arc::new(Sealer::new(Key::new(1, [7; 32]), Vec::new()).unwrap());
        let (wish, wishes) = mpsc::channel(1);
        let gateway = Arc::new(Gateway::new(settings(), store.clone(), sealer, wish));
        let directory = SessionDirectory::new(store.clone(), NodeId("n".into()), 10);
        Self { supervisor: TargetSupervisor::launch(gateway, directory, catalogues, wishes), store }
    }

    async fn put(&self, target: &str, tool: &str, read: u64) {
        let value = serde_json::to_vec(&catalogue(tool, read)).unwrap();
        self.store.put_catalogue("g", target, value.into()).await.unwrap();
    }

    async fn apply(&self, plans: Vec<TargetPlan>, leftovers: Leftovers) {
        self.supervisor.apply(settings(), plans, leftovers).await;
    }

    /// The tools that clients are shown.
    fn shown(&self) -> Vec<String> {
        let catalogue = self.supervisor.gateway.catalogue();
        let page = catalogue.page(ListKind::Tools, 0).unwrap();
        let names = page.items.iter().map(|tool| tool.get::<serde_json::Value>().unwrap()["name"].clone());
        names.map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    async fn stores(&self, target: &str) -> bool {
        self.store.load_catalogue("g", target).await.unwrap().is_some()
    }
}

#[actix_rt::test]
async fn what_is_stored_of_a_target_that_went_is_removed_by_whom_it_belongs_to() {
    for (leftovers, kept) in [(Leftovers::Removed, false), (Leftovers::Kept, true)] {
        let world = World::new();
        world.put("a", "old", 1).await;
        world.apply(vec![plan("a", 1)], leftovers).await;
        assert_eq!(world.shown(), ["a___old"]);
        // Before it is gone, another one of that name is on its way.
        world.put("a", "new", 2).await;
        world.apply(vec![plan("b", 2)], leftovers).await;
        assert_eq!((world.shown().len(), world.stores("a").await), (0, kept));
        world.apply(vec![plan("b", 2), plan("a", 3)], leftovers).await;
        assert_eq!(world.shown(), if kept { vec!["a___new"] } else { Vec::new() });
    }
}

#[actix_rt::test]
async fn what_others_read_is_shown_if_it_is_newer() {
    let world = World::new();
    world.put("a", "first", 10).await;
    world.apply(vec![plan("a", 1)], Leftovers::Kept).await;
    world.put("a", "second", 20).await;
    // A target that stays what it is goes on.
    world.apply(vec![plan("a", 1)], Leftovers::Kept).await;
    assert_eq!(world.shown(), ["a___first"]);
    for read in [9, 10] {
        world.supervisor.take_stored("a", Timestamp(read)).await;
        assert_eq!(world.shown(), ["a___first"]);
    }
    world.supervisor.take_stored("nobody", Timestamp(20)).await;
    world.supervisor.take_stored("a", Timestamp(20)).await;
    assert_eq!(world.shown(), ["a___second"]);
    let views = world.supervisor.views().await;
    assert_eq!((&views[0].sync, views[0].synced_at), (&SyncState::Ready, Some(Timestamp(20))));
}

#[actix_rt::test]
async fn what_is_read_while_the_store_is_slow_stays_if_it_is_newer() {
    for (own, shown) in [(30, "a___own"), (15, "a___stored")] {
        let store = Arc::new(MemoryStore::new());
        let (read, hand_over) = (Notify::new(), Notify::new());
        let slow = Arc::new(Slow { store: store.clone(), slow: AtomicBool::new(false), read, hand_over });
        let world = World::with(store, slow.clone());
        world.put("a", "first", 10).await;
        world.apply(vec![plan("a", 1)], Leftovers::Kept).await;
        world.put("a", "stored", 20).await;
        slow.slow.store(true, Ordering::SeqCst);
        tokio::join!(world.supervisor.take_stored("a", Timestamp(20)), async {
            slow.read.notified().await;
            world.supervisor.synchronised(&"a".into(), 1, Arc::new(catalogue("own", own)));
            assert_eq!(world.shown(), ["a___own"]);
            slow.hand_over.notify_one();
        });
        assert_eq!(world.shown(), [shown]);
    }
    // What the target itself says now counts, whatever the clock of another process says.
    let world = World::new();
    world.put("a", "ahead", 1_000).await;
    world.apply(vec![plan("a", 1)], Leftovers::Kept).await;
    world.supervisor.synchronised(&"a".into(), 1, Arc::new(catalogue("own", 30)));
    assert_eq!(world.shown(), ["a___own"]);
}
