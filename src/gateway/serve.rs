//! Runs the process: store, gateways, listener, reload, shutdown.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use sessiongate_actors::directory::SessionDirectory;
use sessiongate_protocol::sealer::{Key, Sealer};
use sessiongate_storage::sled::{SledOptions, SledStore};
use sessiongate_storage::{CatalogueStore, NodeId, StoreError};
use tokio::signal::unix::{SignalKind, signal};

use super::Runtime;
use crate::admin;
use crate::config::{self, Config, ConfigErrors};
use crate::control::{self, Control, StartError};
use crate::http;

/// How long the word that the gateway is ready waits for targets that were never reached.
const FIRST_SYNC: Duration = Duration::from_secs(10);
/// Between two looks for sessions that expired while nobody had them in memory.
const SWEEP: Duration = Duration::from_secs(5);
/// The name under which the sealing key is stored.
const SEAL_KEY: &str = "seal-key";

/// Why the process could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The store.
    #[error("cannot use the data folder: {0}")]
    Store(#[from] StoreError),
    /// The keys of the store.
    #[error("cannot make keys: {0}")]
    Keys(String),
    /// The control plane.
    #[error(transparent)]
    Control(#[from] StartError),
    /// Watching the configuration.
    #[error("cannot watch the configuration: {0}")]
    Watch(ConfigErrors),
    /// The server.
    #[error("the server failed: {0}")]
    Server(#[from] std::io::Error),
}

/// What runs.
pub struct Serving {
    /// The configuration.
    pub config: Config,
    /// Its file, to be read again when it changes.
    pub watch: Option<Watched>,
    /// Called with the base URL once requests are served.
    pub on_ready: Box<dyn FnOnce(&Ready)>,
}

/// A file that is followed.
pub struct Watched {
    /// The file.
    pub path: PathBuf,
    /// Puts what the command line says over what the file says.
    pub overrule: Box<dyn Fn(&mut Config)>,
    /// Read it when it changes; else on SIGHUP only.
    pub follow: bool,
}

/// What a caller wants to print.
pub struct Ready {
    /// Where clients reach the listener.
    pub base_url: String,
    /// Where the control plane is.
    pub control: Option<String>,
    /// Endpoint path and gateway name.
    pub endpoints: Vec<(String, Arc<str>)>,
}

/// What a changed configuration changes.
struct Served<'a> {
    runtime: &'a Runtime,
    objects: Option<&'a Control>,
    address: SocketAddr,
}

/// Runs until a signal ends it. Call it inside an actix system.
pub async fn serve(serving: Serving) -> Result<(), ServeError> {
    let Serving { config, watch, on_ready } = serving;
    let store = Arc::new(open_store(&config)?);
    let sealer = Arc::new(sealer(&*store).await?);
    let node = NodeId("local".into());
    let directory = SessionDirectory::new(store.clone(), node, config.limits.sessions as usize);
    let carried = directory.take_over().await?;
    if carried > 0 {
        tracing::info!(sessions = carried, "sessions of an earlier process go on");
    }
    let watched_store = store.clone();
    let healthy = Box::new(move || watched_store.healthy());
    let runtime = Data::new(Runtime::new(directory.clone(), store.clone(), store.clone(), sealer, healthy, &config));
    let bound = http::bind(config.listen, runtime.clone(), config.shutdown_timeout)
        .map_err(|error| ServeError::Listen { address: config.listen, error })?;
    runtime.apply(&config, bound.address).await;
    let base_url = base_url(&config, bound.address);
    let control = match &config.control {
        Some(settings) => {
            let store = store.clone();
            Some(control::start(settings, &config, store, runtime.clone(), &base_url).await?)
        }
        None => None,
    };
    let admin = match admin::open(&config.data_dir, runtime.clone()) {
        Ok(handle) => Some(handle),
        Err(error) => {
            // Clients are served all the same.
            tracing::error!(%error, "no control socket: the commands `sessions` and `sync` cannot reach this gateway");
            None
        }
    };
    let handle = bound.server.handle();
    let server = actix_rt::spawn(bound.server);
    let control_url = control.as_ref().map(|started| format!("http://{}", started.bound.address));
    let objects = control.as_ref().map(|started| started.control.clone());
    let control = control.map(|started| {
        tracing::info!(address = %started.bound.address, "control plane");
        let handle = started.bound.server.handle();
        actix_rt::spawn(started.bound.server);
        handle
    });
    let mut endpoints = runtime.endpoints();
    endpoints.sort();
    // Requests are served already; who waits for the word should find something in the lists.
    let first = async {
        for supervisor in runtime.supervisors() {
            supervisor.first_attempts().await;
        }
    };
    let _ = tokio::time::timeout(FIRST_SYNC, first).await;
    on_ready(&Ready { base_url, control: control_url, endpoints });
    let sweeper = actix_rt::spawn(sweep(directory, runtime.clone()));
    let served = Served { runtime: &runtime, objects: objects.as_deref(), address: bound.address };
    let last = run(config, watch, &served).await?;
    tracing::info!("shutting down");
    let limit = last.shutdown_timeout;
    let orderly = async {
        if let Some(control) = &control {
            control.stop(true).await;
        }
        runtime.shut_down().await;
        handle.stop(true).await;
        let _ = server.await;
    };
    if tokio::time::timeout(limit, orderly).await.is_err() {
        tracing::warn!(limit_s = limit.as_secs(), "not everything ended in time");
        handle.stop(false).await;
    }
    if let Some(admin) = admin {
        admin.stop(false).await;
    }
    sweeper.abort();
    store.close().await?;
    tracing::info!("bye");
    Ok(())
}

fn open_store(config: &Config) -> Result<SledStore, StoreError> {
    let durability = config.durability.into();
    SledStore::open(&SledOptions { durability, ..SledOptions::new(config.data_dir.join("store")) })
}

/// The key lives with the data: cursors outlast a restart.
async fn sealer(store: &dyn CatalogueStore) -> Result<Sealer, ServeError> {
    let bytes: [u8; 32] = match store.load_meta(SEAL_KEY).await? {
        Some(stored) if stored.len() == 32 => {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(&stored);
            bytes
        }
        _ => {
            let mut bytes = [0; 32];
            aws_lc_rs::rand::fill(&mut bytes).map_err(|_| ServeError::Keys("no random numbers".into()))?;
            store.put_meta(SEAL_KEY, bytes.to_vec().into()).await?;
            bytes
        }
    };
    Sealer::new(Key::new(1, bytes), Vec::new()).map_err(|error| ServeError::Keys(error.to_string()))
}

fn base_url(config: &Config, address: SocketAddr) -> String {
    match config.public_url.as_ref().map(config::Endpoint::url) {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None if address.ip().is_unspecified() => format!("http://localhost:{}", address.port()),
        None => format!("http://{address}"),
    }
}

async fn sweep(directory: Arc<SessionDirectory>, runtime: Data<Runtime>) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        runtime.keep_metrics_small();
        match directory.sweep().await {
            Ok(0) => {}
            Ok(swept) => tracing::debug!(swept, "expired sessions removed"),
            Err(error) => tracing::warn!(%error, "expired sessions could not be removed"),
        }
        let woken = directory.wake_due(|name| runtime.gateway(name)).await;
        if woken > 0 {
            tracing::debug!(woken, "sessions brought back whose calls are over their time");
        }
    }
}

/// Waits for a signal and returns the configuration of that moment; meanwhile changes of the file and SIGHUP are carried out.
async fn run(config: Config, watch: Option<Watched>, served: &Served<'_>) -> Result<Config, ServeError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut changes = match &watch {
        Some(watched) if watched.follow => {
            Some(config::watch(&watched.path, config.clone()).map_err(ServeError::Watch)?)
        }
        _ => None,
    };
    let mut current = config;
    loop {
        let change = async {
            match &mut changes {
                Some(changes) => changes.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => return Ok(current),
            _ = interrupt.recv() => return Ok(current),
            _ = hang_up.recv() => {
                // Without a file there is nothing to read again: it means what it means to any program, that the
                // terminal is gone.
                let Some(watched) = &watch else { return Ok(current) };
                let path = watched.path.clone();
                let read = tokio::task::spawn_blocking(move || config::load(&path)).await;
                current = reload(read.ok(), current, watched, served).await;
                tracing::info!("synchronising all targets");
                for supervisor in served.runtime.supervisors() {
                    actix_rt::spawn(async move { supervisor.sync(None).await });
                }
            }
            change = change => match (change, &watch) {
                (Some(read), Some(watched)) => {
                    current = reload(Some(read), current, watched, served).await;
                }
                _ => changes = None,
            },
        }
    }
}

/// Makes the process what the file says now; a broken file changes nothing.
async fn reload(
    read: Option<Result<Config, ConfigErrors>>,
    current: Config,
    watched: &Watched,
    served: &Served<'_>,
) -> Config {
    let mut next = match read {
        Some(Ok(next)) => next,
        Some(Err(errors)) => {
            tracing::error!(%errors, "the changed configuration is refused; the old one stays");
            return current;
        }
        None => return current,
    };
    (watched.overrule)(&mut next);
    let exposed = config::exposed(&next);
    if !exposed.is_empty() {
        let errors = ConfigErrors(exposed);
        tracing::error!(%errors, "the changed configuration is refused; the old one stays");
        return current;
    }
    if next == current {
        return current;
    }
    if let Some(objects) = served.objects {
        let taken = objects.newly_taken(&current, &next);
        if !taken.is_empty() {
            let errors = ConfigErrors(taken);
            tracing::error!(%errors, "the changed configuration is refused; the old one stays");
            return current;
        }
    }
    for change in config::diff(&current, &next) {
        tracing::info!(%change, "configuration changed");
    }
    if let Some(objects) = served.objects {
        objects.serve_policies(&next).await;
    }
    served.runtime.apply(&next, served.address).await;
    if let Some(objects) = served.objects {
        objects.declare(&next).await;
    }
    next
}
