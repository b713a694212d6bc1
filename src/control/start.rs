//! Puts the control plane together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use actix_web::web::Data;
use sessiongate_storage::{ControlStore, StoreError};
use tokio::sync::mpsc;

use super::door::{self, Door};
use super::ids::Account;
use super::throttle::Throttle;
use super::worker::QUEUE;
use super::{Control, Tables, Worker};
use crate::auth::sigv4::{AccessKeyError, AccessKeySpec, AccessKeys, Policy, ReplayGuard, ReplaySettings, Verifier};
use crate::config::{Config, ControlConfig};
use crate::gateway::Runtime;
use crate::http::Bound;

/// Why there is no control plane.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its objects.
    #[error("cannot read the objects of the control plane: {0}")]
    Store(#[from] StoreError),
    /// Its access keys.
    #[error("`control.credentials`: {0}")]
    Keys(#[from] AccessKeyError),
    /// Its listener.
    #[error("the control plane cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

/// A control plane that is bound and not answering yet.
pub struct Started {
    /// The listener.
    pub bound: Bound,
    /// The operations.
    pub control: Arc<Control>,
}

/// The access keys of a configuration.
///
/// # Errors
/// Where one of them is none.
pub fn access_keys(config: &ControlConfig) -> Result<AccessKeys, AccessKeyError> {
    AccessKeys::new(config.credentials.iter().map(|key| AccessKeySpec {
        access_key_id: key.access_key_id.clone(),
        secret: key.secret_access_key.expose().to_owned().into(),
        session_token: key.session_token.as_ref().map(|token| token.expose().to_owned().into()),
        principal_arn: key.principal.clone().unwrap_or_else(|| format!("arn:aws:iam::{}:root", config.account)),
        account: config.account.clone(),
        permissions: key.permissions.clone(),
    }))
}

/// Reads what is stored, serves it, takes up what an earlier process left, and binds the listener. `base_url` is that of
/// the data plane. Call it on the arbiter that lives as long as the process.
///
/// # Errors
/// Where the store cannot be read, a key is none, or the address cannot be had.
pub async fn start(
    config: &ControlConfig,
    process: &Config,
    store: Arc<dyn ControlStore>,
    runtime: Data<Runtime>,
    base_url: &str,
) -> Result<Started, StartError> {
    let keys = Arc::new(access_keys(config)?);
    let tables = Arc::new(Tables::load(store).await?);
    let account = Account { id: config.account.clone(), region: config.region.clone() };
    let (queue, work) = mpsc::channel(QUEUE);
    let worker = Worker::new(tables.clone(), runtime.clone(), config.quotas.clone(), account.clone());
    worker.serve_all().await;
    let control = Control::new(tables, account, config.quotas.clone(), base_url.to_owned(), queue, runtime);
    control.serve_policies(process).await;
    control.declare(process).await;
    control.warn_of_taken(process);
    actix_rt::spawn(worker.run(work));
    let control = Arc::new(control);
    let replay = ReplayGuard::new(ReplaySettings::default()).since(SystemTime::now());
    let door = Door {
        control: control.clone(),
        verifier: Verifier::new(keys, Policy::default(), Some(Arc::new(replay))),
        throttle: Throttle::new(&config.quotas),
    };
    let bound = door::bind(config.listen, Data::new(door), process.shutdown_timeout)
        .map_err(|error| StartError::Listen { address: config.listen, error })?;
    Ok(Started { bound, control })
}
