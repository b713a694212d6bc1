//! What the doors of this process share.

mod asking;
mod names;
mod open;
mod policies;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;
use sessiongate_actors::directory::SessionDirectory;
use sessiongate_actors::gateway::Gateway;
use sessiongate_actors::session::core::EndReason;
use sessiongate_actors::settings::GatewaySettings;
use sessiongate_actors::supervisor::{Leftovers, RESYNC_QUEUE, TargetSupervisor};
use sessiongate_protocol::RawJson;
use sessiongate_protocol::sealer::Sealer;
use sessiongate_storage::{CatalogueStore, MemoryStore, SessionStore};
use sessiongate_targets::PassNames;
use tokio::sync::mpsc;

use self::asking::bounds;
pub use self::policies::Attached;
use super::access::Access;
use super::addresses::Addresses;
use super::admission::Admission;
use super::build::{self, Builder};
use super::keys::KeyRing;
use super::outgoing::Outgoing;
use super::places::Places;
use super::rates::{Rate, Rates};
use super::table::{Found, Table};
use super::trust::Trust;
use super::versions::Versions;
use crate::config::{Config, Endpoint, GatewayConfig};
use crate::http::waiting::Waiting;
use crate::http::{OriginGuard, StreamTiming, about};
use crate::intercept::Interceptors;

/// One gateway as the data plane serves it.
#[derive(Clone)]
pub struct Served {
    /// Sessions, targets, catalogue.
    pub gateway: Arc<Gateway>,
    /// `gatewayId`: what the control plane calls it.
    pub id: Box<str>,
    /// Who declared it.
    pub origin: Origin,
    /// The path of its endpoint.
    pub path: Box<str>,
    /// Hosts of its own, in lower case.
    pub hosts: Box<[Box<str>]>,
    /// Who may call.
    pub access: Arc<Access>,
    /// The same as it changes, for what stays open.
    pub admission: Arc<Admission>,
    /// Sessions are kept; else each request stands alone.
    pub sessions: bool,
    /// Answers may be streams.
    pub streaming: bool,
    /// How streams behave.
    pub timing: StreamTiming,
    /// What the gateway says of itself.
    pub server_info: RawJson,
    /// What its operator tells clients, before what its targets do.
    pub instructions: Option<Box<str>>,
    /// Code of the operator's that sees requests and answers.
    pub interceptors: Option<Arc<Interceptors>>,
    /// The revisions that it speaks with clients.
    pub versions: Versions,
    /// How many requests it takes; none is as many as come.
    pub rate: Option<Arc<Rate>>,
    /// That it has a tool that finds tools, and how many of its calls are taken.
    pub searches: Option<Option<Arc<Rate>>>,
    /// What passes between clients and any of its targets besides messages.
    pub passes: Option<Arc<PassNames>>,
}

/// Who declared a gateway: each source takes away only what it brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The configuration file or the command line.
    File,
    /// The control plane.
    Control,
}

/// The process.
pub struct Runtime {
    /// What holds for all gateways: networks, limits.
    process: ArcSwap<Config>,
    origins: Mutex<HashMap<String, Origin>>,
    /// Gateways of the control plane whose names the file has.
    displaced: Mutex<HashMap<String, GatewayConfig>>,
    /// One change of gateways at a time.
    changing: tokio::sync::Mutex<()>,
    directory: Arc<SessionDirectory>,
    sessions: Arc<dyn SessionStore>,
    catalogues: Arc<dyn CatalogueStore>,
    sealer: Arc<Sealer>,
    /// Resource policies by `gatewayId`.
    policies: ArcSwap<HashMap<String, Arc<Attached>>>,
    builder: Mutex<Builder>,
    supervisors: Mutex<HashMap<String, Arc<TargetSupervisor>>>,
    table: ArcSwap<Table>,
    guard: ArcSwap<OriginGuard>,
    addresses: ArcSwap<Addresses>,
    trust: ArcSwap<Trust>,
    outgoing: Arc<Outgoing>,
    body_limit: std::sync::atomic::AtomicUsize,
    waiting: Waiting,
    listens: Arc<Places>,
    passes: Arc<Places>,
    rates: Rates,
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
        let outgoing = Outgoing::new(config);
        Self {
            process: ArcSwap::from_pointee(Config { gateways: Vec::new(), ..config.clone() }),
            origins: Mutex::default(),
            displaced: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            store_healthy,
            directory,
            sessions,
            catalogues,
            sealer,
            policies: ArcSwap::default(),
            builder: Mutex::new(Builder::new(config)),
            supervisors: Mutex::default(),
            table: ArcSwap::default(),
            guard: ArcSwap::default(),
            addresses: ArcSwap::default(),
            trust: ArcSwap::from_pointee(Trust::new(config, outgoing.way(), None)),
            outgoing,
            body_limit: Default::default(),
            waiting: Waiting::new(usize::try_from(config.body_limit).unwrap_or(usize::MAX)),
            listens: Places::listens(),
            passes: Places::passes(),
            rates: Rates::new(config),
            shutting_down: AtomicBool::new(false),
            walks: Arc::default(),
            metrics: super::telemetry::install_metrics(),
        }
    }

    /// Makes the gateways what the configuration says. What did not change goes on undisturbed.
    pub async fn apply(&self, config: &Config, listen: std::net::SocketAddr) {
        let limit = usize::try_from(config.body_limit).unwrap_or(usize::MAX);
        self.body_limit.store(limit, Ordering::Relaxed);
        self.waiting.fit(limit);
        let guard = OriginGuard::new(
            listen,
            config.public_url.as_ref().map(Endpoint::url),
            &config.allowed_hosts,
            &config.allowed_origins,
        );
        self.guard.store(Arc::new(guard));
        self.addresses.store(Arc::new(Addresses::new(config, listen)));
        self.process.store(Arc::new(Config { gateways: Vec::new(), ..config.clone() }));
        self.outgoing.apply(config);
        let kept: HashSet<&str> = config.gateways.iter().map(|gateway| gateway.name.as_str()).collect();
        let gone: Vec<String> = {
            let origins = self.origins.lock();
            let of_file = origins.iter().filter(|(_, origin)| **origin == Origin::File);
            of_file.map(|(name, _)| name).filter(|name| !kept.contains(name.as_str())).cloned().collect()
        };
        self.change(Origin::File, &config.gateways, &gone).await;
    }

    /// Serves these gateways from now on as they are declared, and those of these names no more. Others go on
    /// undisturbed, and so does what did not change. What another source has under one of the names stays.
    pub async fn change(&self, origin: Origin, declared: &[GatewayConfig], gone: &[String]) {
        let _alone = self.changing.lock().await;
        let (declared, gone) = self.own(origin, declared, gone);
        self.carry_out(origin, &declared, &gone).await;
        let freed = self.freed(&gone);
        if !freed.is_empty() {
            self.carry_out(Origin::Control, &freed.iter().collect::<Vec<_>>(), &[]).await;
        }
    }

    async fn carry_out(&self, origin: Origin, declared: &[&GatewayConfig], gone: &[&String]) {
        let process = self.process.load_full();
        let before = self.table.load_full();
        let before: HashMap<&str, &Arc<Served>> = before.iter().map(|served| (&*served.gateway.name, served)).collect();
        let (trust, addresses) = (self.trust_in(&process), self.addresses.load_full());
        // What the control plane stores, it removes with its objects.
        let leftovers = if origin == Origin::Control { Leftovers::Kept } else { Leftovers::Removed };
        let mut changed = false;
        let named: HashSet<&str> =
            declared.iter().map(|one| &*one.name).chain(gone.iter().map(|one| one.as_str())).collect();
        let mut table: Vec<Arc<Served>> = Vec::with_capacity(before.len() + declared.len());
        for served in before.values().filter(|served| !named.contains(&*served.gateway.name)) {
            let access = served.access.moved(&served.gateway.name, &trust);
            table.push(match Arc::ptr_eq(&access, &served.access) {
                true => Arc::clone(served),
                false => Arc::new(Served { access, ..Served::clone(served) }),
            });
        }
        for &gateway in declared {
            let settings = build::settings(gateway);
            self.forget_if_sessions_switched(gateway).await;
            let supervisor = self.supervisor(gateway, settings.clone());
            let plans = self.builder.lock().plans(&process, gateway, bounds(&process, origin));
            supervisor.apply(settings, plans, leftovers).await;
            let known = before.get(&*gateway.name);
            let last = known.map(|served| &served.access);
            let id = (origin == Origin::Control).then_some(&*gateway.name);
            let access = Access::new(gateway, addresses.resources(gateway, id), &trust, last);
            changed |= last.is_none_or(|last| !Arc::ptr_eq(last, &access));
            let admission = known.map_or_else(|| Admission::new(access.clone()), |known| known.admission.clone());
            let served = Served {
                gateway: supervisor.gateway().clone(),
                id: policies::gateway_id(origin, &gateway.name),
                origin,
                path: gateway.endpoint_path().into(),
                hosts: gateway.hosts.iter().map(|host| host.to_ascii_lowercase().into()).collect(),
                access,
                admission,
                sessions: gateway.sessions.settings().is_some(),
                streaming: gateway.streaming,
                timing: build::timing(gateway),
                server_info: RawJson::from_serialize(&about::server_info(supervisor.gateway()))
                    .unwrap_or(RawJson::EMPTY_OBJECT),
                instructions: gateway.instructions.as_deref().map(Into::into),
                interceptors: Interceptors::of(gateway, &self.outgoing),
                versions: Versions::new(&gateway.supported_versions),
                rate: self.rates.of(&gateway.name, origin, gateway.calls_per_second),
                searches: gateway.search.then(|| self.rates.searches(&gateway.name, gateway.searches_per_minute)),
                passes: build::passes(gateway),
            };
            table.push(Arc::new(served));
            self.builder.lock().keep_only(gateway);
            self.origins.lock().insert(gateway.name.clone(), origin);
        }
        let keys = KeyRing::new(table.iter().map(|served| (served.gateway.name.clone(), served.access.clone())));
        self.table.store(Arc::new(Table::new(table.into_iter(), addresses)));
        // What was trusted before goes only now: whom both trust need not be asked again.
        self.trust.store(trust);
        self.tell_what_is_open(&before).await;
        if changed {
            self.end_without_key(keys).await;
        }
        for &name in gone {
            self.origins.lock().remove(name);
            self.builder.lock().forget(name);
            self.rates.forget(name);
            let supervisor = self.supervisors.lock().remove(name);
            if let Some(supervisor) = supervisor {
                supervisor.stop();
                self.directory.gateway_removed(&supervisor.gateway().name).await;
            }
        }
    }

    /// What gateways share to find out who calls: as it is, where it is right for this configuration.
    fn trust_in(&self, process: &Config) -> Arc<Trust> {
        let (trust, way) = (self.trust.load_full(), self.outgoing.way());
        if trust.goes(&way) { trust } else { Arc::new(Trust::new(process, way, Some(&trust))) }
    }

    /// What the gateway itself asks elsewhere: functions, hooks, objects.
    pub fn outgoing(&self) -> &Arc<Outgoing> {
        &self.outgoing
    }

    /// Who declared the gateway of this name.
    pub fn origin(&self, name: &str) -> Option<Origin> {
        self.origins.lock().get(name).copied()
    }

    /// The supervisor of a gateway's targets.
    pub fn supervisor_of(&self, name: &str) -> Option<Arc<TargetSupervisor>> {
        self.supervisors.lock().get(name).cloned()
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
        let served = self.table.load().iter().find(|served| *served.gateway.name == *config.name).cloned();
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
        self.table.load().find(path, || None).map(|found| found.served)
    }

    /// The gateway of a request with this path; `host` gives its `Host`, where that is asked for.
    pub fn find<'h>(&self, path: &str, host: impl FnOnce() -> Option<&'h str>) -> Option<Found> {
        self.table.load().find(path, host)
    }

    /// All gateways as they are served now.
    pub fn table(&self) -> arc_swap::Guard<Arc<Table>> {
        self.table.load()
    }

    /// Under which URLs clients reach the gateways.
    pub fn addresses(&self) -> arc_swap::Guard<Arc<Addresses>> {
        self.addresses.load()
    }

    /// The gateway of this name.
    pub fn gateway(&self, name: &str) -> Option<Arc<Gateway>> {
        self.supervisors.lock().get(name).map(|supervisor| supervisor.gateway().clone())
    }

    /// Endpoint paths by gateway.
    pub fn endpoints(&self) -> Vec<(String, Arc<str>)> {
        self.table.load().iter().map(|served| (served.path.to_string(), served.gateway.name.clone())).collect()
    }

    /// All sessions.
    pub fn directory(&self) -> &Arc<SessionDirectory> {
        &self.directory
    }

    /// Who listens.
    pub fn listens(&self) -> &Arc<Places> {
        &self.listens
    }

    /// How many connections there may be; none is as many as the operating system gives.
    pub fn connection_limit(&self) -> Option<usize> {
        let process = self.process.load();
        let created = || process.control.as_ref().map(|control| control.quotas.connections);
        process.limits.connections.or_else(created).map(|limit| limit as usize)
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

    /// The room for bodies of requests whose signature is still to be checked.
    pub fn waiting(&self) -> &Waiting {
        &self.waiting
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
