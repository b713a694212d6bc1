//! What the doors of this process share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;
use sessiongate_actors::directory::SessionDirectory;
use sessiongate_actors::gateway::Gateway;
use sessiongate_actors::session::core::EndReason;
use sessiongate_actors::settings::GatewaySettings;
use sessiongate_actors::supervisor::{RESYNC_QUEUE, TargetSupervisor};
use sessiongate_protocol::RawJson;
use sessiongate_protocol::sealer::Sealer;
use sessiongate_storage::{CatalogueStore, MemoryStore, SessionStore};
use tokio::sync::mpsc;

use super::ApiKeys;
use super::build::{self, Builder};
use super::keys::KeyRing;
use super::places::Places;
use crate::config::{Config, Endpoint, GatewayConfig};
use crate::http::{OriginGuard, StreamTiming, about};

/// One gateway as the data plane serves it.
pub struct Served {
    /// Sessions, targets, catalogue.
    pub gateway: Arc<Gateway>,
    /// Who may call.
    pub keys: ApiKeys,
    /// Sessions are kept; else each request stands alone.
    pub sessions: bool,
    /// Answers may be streams.
    pub streaming: bool,
    /// How streams behave.
    pub timing: StreamTiming,
    /// What the gateway says of itself.
    pub server_info: RawJson,
}

/// The process.
pub struct Runtime {
    directory: Arc<SessionDirectory>,
    sessions: Arc<dyn SessionStore>,
    catalogues: Arc<dyn CatalogueStore>,
    sealer: Arc<Sealer>,
    builder: Mutex<Builder>,
    supervisors: Mutex<HashMap<String, Arc<TargetSupervisor>>>,
    table: ArcSwap<HashMap<String, Arc<Served>>>,
    guard: ArcSwap<OriginGuard>,
    body_limit: std::sync::atomic::AtomicUsize,
    listens: Arc<Places>,
    passes: Arc<Places>,
    shutting_down: AtomicBool,
    /// The number of the newest walk through the stored sessions.
    walks: Arc<AtomicU64>,
    store_healthy: Box<dyn Fn() -> bool + Send + Sync>,
    metrics: Option<PrometheusHandle>,
}

// === impl Runtime ===

impl Runtime {
    /// A process with nothing to serve yet.
    pub fn new(
        directory: Arc<SessionDirectory>,
        sessions: Arc<dyn SessionStore>,
        catalogues: Arc<dyn CatalogueStore>,
        sealer: Arc<Sealer>,
        store_healthy: Box<dyn Fn() -> bool + Send + Sync>,
        config: &Config,
    ) -> Self {
        Self {
            store_healthy,
            directory,
            sessions,
            catalogues,
            sealer,
            builder: Mutex::new(Builder::new(config)),
            supervisors: Mutex::default(),
            table: ArcSwap::default(),
            guard: ArcSwap::default(),
            body_limit: Default::default(),
            listens: Places::listens(),
            passes: Places::passes(),
            shutting_down: AtomicBool::new(false),
            walks: Arc::default(),
            metrics: super::telemetry::install_metrics(),
        }
    }

    /// Makes the gateways what the configuration says. What did not change goes on undisturbed.
    pub async fn apply(&self, config: &Config, listen: std::net::SocketAddr) {
        let limit = usize::try_from(config.body_limit).unwrap_or(usize::MAX);
        self.body_limit.store(limit, Ordering::Relaxed);
        let guard = OriginGuard::new(
            listen,
            config.public_url.as_ref().map(Endpoint::url),
            &config.allowed_hosts,
            &config.allowed_origins,
        );
        self.guard.store(Arc::new(guard));
        let mut table = HashMap::new();
        for gateway in &config.gateways {
            let settings = build::settings(gateway);
            self.forget_if_sessions_switched(gateway).await;
            let supervisor = self.supervisor(gateway, settings.clone());
            let plans = self.builder.lock().plans(config, gateway);
            supervisor.apply(settings, plans).await;
            let served = Served {
                gateway: supervisor.gateway().clone(),
                keys: ApiKeys::new(&gateway.api_keys),
                sessions: gateway.sessions.settings().is_some(),
                streaming: gateway.streaming,
                timing: build::timing(gateway),
                server_info: RawJson::from_serialize(&about::server_info(supervisor.gateway()))
                    .unwrap_or(RawJson::EMPTY_OBJECT),
            };
            table.insert(gateway.endpoint_path().into_owned(), Arc::new(served));
        }
        let served = table.values();
        let keys = KeyRing::new(served.map(|served| (served.gateway.name.clone(), served.keys.clone())));
        self.table.store(Arc::new(table));
        self.builder.lock().keep_only(config);
        self.end_without_key(keys).await;
        let gone: Vec<Arc<TargetSupervisor>> = {
            let mut supervisors = self.supervisors.lock();
            let names: Vec<String> =
                supervisors.keys().filter(|name| config.gateway(name).is_none()).cloned().collect();
            names.iter().filter_map(|name| supervisors.remove(name)).collect()
        };
        for supervisor in gone {
            supervisor.stop();
            self.directory.gateway_removed(&supervisor.gateway().name).await;
        }
    }

    /// A key that was taken away takes the sessions of its holder with it: those in memory, with their open streams, at
    /// once, stored ones in the background.
    async fn end_without_key(&self, keys: KeyRing) {
        let walk = self.walks.fetch_add(1, Ordering::Relaxed) + 1;
        let ends = move |gateway: &str, principal: &str| keys.refuses(gateway, principal);
        let live = self.directory.end_live(EndReason::Administrator, &ends).await;
        if live == 0 && !self.directory.has_any_of(&ends) {
            return;
        }
        let (directory, walks) = (self.directory.clone(), self.walks.clone());
        actix_rt::spawn(async move {
            // A newer configuration has its own walk.
            let go_on = || walks.load(Ordering::Relaxed) == walk;
            match directory.end_all_of(EndReason::Administrator, ends, go_on).await {
                Ok(stored) => tracing::info!(live, stored, "sessions of keys that were taken away are ended"),
                Err(error) => {
                    tracing::warn!(%error, "stored sessions of keys that were taken away are refused until they expire")
                }
            }
        });
    }

    /// Sessions on and off keep their sessions in different stores: the gateway is made anew.
    async fn forget_if_sessions_switched(&self, config: &GatewayConfig) {
        let served = self.table.load().values().find(|served| *served.gateway.name == *config.name).cloned();
        if served.is_none_or(|served| served.sessions == config.sessions.settings().is_some()) {
            return;
        }
        let old = self.supervisors.lock().remove(&config.name);
        if let Some(old) = old {
            old.stop();
            self.directory.gateway_removed(&config.name).await;
        }
    }

    fn supervisor(&self, config: &GatewayConfig, settings: GatewaySettings) -> Arc<TargetSupervisor> {
        let mut supervisors = self.supervisors.lock();
        if let Some(known) = supervisors.get(&config.name) {
            return known.clone();
        }
        let (wish, wishes) = mpsc::channel(RESYNC_QUEUE);
        // Without sessions there is nothing that should outlive the process.
        let store: Arc<dyn SessionStore> = match config.sessions.settings() {
            Some(_) => self.sessions.clone(),
            None => Arc::new(MemoryStore::default()),
        };
        let gateway = Arc::new(Gateway::new(settings, store, self.sealer.clone(), wish));
        let supervisor = TargetSupervisor::launch(gateway, self.directory.clone(), self.catalogues.clone(), wishes);
        supervisors.insert(config.name.clone(), supervisor.clone());
        supervisor
    }

    /// The gateway whose endpoint is at this path; a trailing slash does not matter.
    pub fn gateway_at(&self, path: &str) -> Option<Arc<Served>> {
        let table = self.table.load();
        table.get(path).or_else(|| table.get(path.strip_suffix('/')?)).cloned()
    }

    /// Endpoint paths by gateway.
    pub fn endpoints(&self) -> Vec<(String, Arc<str>)> {
        self.table.load().iter().map(|(path, served)| (path.clone(), served.gateway.name.clone())).collect()
    }

    /// All sessions.
    pub fn directory(&self) -> &Arc<SessionDirectory> {
        &self.directory
    }

    /// Who listens.
    pub fn listens(&self) -> &Arc<Places> {
        &self.listens
    }

    /// Counts requests that are passed through.
    pub fn passes(&self) -> &Arc<Places> {
        &self.passes
    }

    /// Stored sessions.
    pub fn sessions(&self) -> &Arc<dyn SessionStore> {
        &self.sessions
    }

    /// The supervisors of all gateways.
    pub fn supervisors(&self) -> Vec<Arc<TargetSupervisor>> {
        self.supervisors.lock().values().cloned().collect()
    }

    /// Which hosts and origins are served.
    pub fn guard(&self) -> arc_swap::Guard<Arc<OriginGuard>> {
        self.guard.load()
    }

    /// Largest request body in bytes.
    pub fn body_limit(&self) -> usize {
        self.body_limit.load(Ordering::Relaxed)
    }

    /// New sessions are refused, the gateway is not ready.
    pub fn is_shutting_down(&self) -> bool {
        self.shutting_down.load(Ordering::Relaxed)
    }

    /// The store takes writes.
    pub fn is_store_healthy(&self) -> bool {
        (self.store_healthy)()
    }

    /// Ends in order: not ready, streams closed with a hint to come back, sessions stored, targets let go.
    pub async fn shut_down(&self) {
        self.shutting_down.store(true, Ordering::Relaxed);
        self.walks.fetch_add(1, Ordering::Relaxed);
        self.directory.shut_down().await;
        for supervisor in self.supervisors() {
            supervisor.stop();
        }
    }

    /// Folds what was measured since the last time: without it the recorder keeps every single measurement.
    pub fn keep_metrics_small(&self) {
        if let Some(metrics) = &self.metrics {
            metrics.run_upkeep();
        }
    }

    /// Metrics in Prometheus text.
    pub fn render_metrics(&self) -> String {
        metrics::gauge!("sessiongate_sessions").set(self.directory.count_all() as f64);
        self.metrics.as_ref().map(PrometheusHandle::render).unwrap_or_default()
    }
}
