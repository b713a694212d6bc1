//! Carries out what was accepted: until it is done, an object says so in its status, and a process that starts anew takes
//! up what an earlier one left.
//!
//! The order is always the same: what is to be served is stored first, then served, then the status tells that it is. So
//! a process that dies in between finds either the old or the new.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use serde_json::json;
use sessiongate_actors::catalogue::TargetCatalogue;
use sessiongate_storage::CatalogueWrite;
use tokio::sync::{Mutex, Semaphore, mpsc};

use super::ControlError;
use super::ids::Account;
use super::objects::{GatewayObject, GatewayStatus, TargetObject, TargetStatus, reason, text};
use super::tables::{Tables, Versioned};
use super::{schema, translate};
use crate::config::{DeclaredTools, GatewayConfig, Quotas, TargetConfig};
use crate::gateway::{Origin, Runtime};

/// What waits to be carried out.
pub const QUEUE: usize = 1024;
/// Targets that are tried at once, over all gateways; a gateway tries as many as its quota says. Each waits for a network
/// and no more, so that targets that do not answer keep others waiting only where very many gateways have them.
const AT_ONCE: usize = 512;
/// Between two attempts to carry something out.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// Gateways of an earlier process that are taken up together.
const SERVED_AT_ONCE: usize = 50;

/// Something to do: what, the object's status says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// With a gateway: `gatewayId`.
    Gateway(String),
    /// With a target: `gatewayId`, `targetId`.
    Target(String, String),
}

/// What a look at a target brought.
struct Tried {
    /// Those of its schema.
    tools: Option<DeclaredTools>,
    /// What it offers, where it was asked.
    catalogue: Option<TargetCatalogue>,
}

/// Carries out what is in the queue.
pub struct Worker {
    tables: Arc<Tables>,
    runtime: Data<Runtime>,
    quotas: Quotas,
    /// From the look at what is to be served until it is.
    serving: Mutex<()>,
    slots: Semaphore,
    account: Account,
}

// === impl Worker ===

impl Worker {
    /// For these objects of an account, and this data plane.
    pub fn new(tables: Arc<Tables>, runtime: Data<Runtime>, quotas: Quotas, account: Account) -> Self {
        let slots = Semaphore::new(AT_ONCE);
        Self { tables, runtime, quotas, serving: Mutex::default(), slots, account }
    }

    /// Serves what is stored.
    pub async fn serve_all(&self) {
        // Not all at once: each is a copy, and there may be very many.
        for some in self.tables.gateways(None, usize::MAX).chunks(SERVED_AT_ONCE) {
            let configs: Vec<GatewayConfig> = some.iter().filter_map(|row| self.config(&row.object)).collect();
            for (gateway, role) in configs.iter().filter_map(|config| Some((&config.name, config.role.as_ref()?))) {
                if !self.runtime.outgoing().lists(role) {
                    tracing::warn!(
                        gateway,
                        role,
                        "a stored gateway has a role that `aws.roles` does not list: what needs it is refused"
                    );
                }
            }
            self.runtime.change(Origin::Control, &configs, &[]).await;
        }
    }

    /// Takes up what an earlier process left, then does what comes, until the queue ends. Call it on the arbiter that
    /// lives as long as the process.
    pub async fn run(self, mut queue: mpsc::Receiver<Work>) {
        let worker = Arc::new(self);
        for work in worker.left_over() {
            tracing::info!(?work, "taking up what an earlier process left");
            Self::begin(&worker, work);
        }
        while let Some(work) = queue.recv().await {
            Self::begin(&worker, work);
        }
    }

    /// Carries something out, again and again until it is done: the object says that it is under way, and nobody could
    /// do anything about it meanwhile.
    fn begin(worker: &Arc<Self>, work: Work) {
        let worker = worker.clone();
        actix_rt::spawn(async move {
            let mut wait = FIRST_RETRY;
            loop {
                // A panic ends the attempt and nothing else.
                let attempt = actix_rt::spawn(Self::attempt(worker.clone(), work.clone()));
                let (error, detail) = match attempt.await {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => (error.to_string(), error.log_detail().map(str::to_owned)),
                    Err(panic) => ("it panicked".to_owned(), Some(panic.to_string())),
                };
                tracing::error!(?work, error, detail, retry_s = wait.as_secs(), "a change was not carried out yet");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LAST_RETRY);
            }
        });
    }

    async fn attempt(worker: Arc<Self>, work: Work) -> Result<(), ControlError> {
        match &work {
            Work::Gateway(id) => worker.gateway(id).await,
            Work::Target(gateway, id) => worker.target(gateway, id).await,
        }
    }

    fn left_over(&self) -> Vec<Work> {
        let mut work = Vec::new();
        for gateway in self.tables.gateways(None, usize::MAX) {
            let id = &gateway.object.id;
            if gateway.object.is_changing() {
                work.push(Work::Gateway(id.clone()));
            }
            for target in self.tables.targets(id, None, usize::MAX) {
                if target.object.is_changing() {
                    work.push(Work::Target(id.clone(), target.object.id.clone()));
                }
            }
        }
        work
    }

    async fn gateway(&self, id: &str) -> Result<(), ControlError> {
        let Some(row) = self.tables.gateway(id) else { return Ok(()) };
        let object = &row.object;
        match object.status {
            GatewayStatus::Creating | GatewayStatus::Updating => {
                crash_point("gateway-accepted");
                let active = Some(object.input.clone());
                let row = self.set_gateway(&row, GatewayObject { active, ..GatewayObject::clone(object) }).await?;
                crash_point("gateway-activated");
                self.serve(id).await;
                crash_point("gateway-served");
                let status = GatewayStatus::Ready;
                self.set_gateway(&row, GatewayObject { status, ..GatewayObject::clone(&row.object) }).await?;
                tracing::info!(gateway = id, "gateway is ready");
            }
            GatewayStatus::Deleting => {
                crash_point("gateway-delete-accepted");
                let row =
                    self.set_gateway(&row, GatewayObject { active: None, ..GatewayObject::clone(object) }).await?;
                crash_point("gateway-delete-deactivated");
                self.serve(id).await;
                crash_point("gateway-delete-unserved");
                let writing = self.tables.lock().await;
                self.tables.remove_gateway(&writing, &row.object, &self.account.gateway_arn(id)).await?;
                self.runtime.set_policy(id, &self.account.gateway_arn(id), None);
                tracing::info!(gateway = id, "gateway is deleted");
            }
            GatewayStatus::UpdateUnsuccessful | GatewayStatus::Ready | GatewayStatus::Failed => {}
        }
        Ok(())
    }

    async fn target(&self, gateway: &str, id: &str) -> Result<(), ControlError> {
        let Some(row) = self.tables.target(gateway, id) else { return Ok(()) };
        match row.object.status {
            TargetStatus::Creating | TargetStatus::Updating => self.make_target(&row).await,
            TargetStatus::Synchronizing => self.synchronise(&row).await,
            TargetStatus::Deleting => self.delete_target(&row).await,
            _ => Ok(()),
        }
    }

    /// Tries a target as it was asked for, and serves it if that works.
    async fn make_target(&self, row: &Versioned<TargetObject>) -> Result<(), ControlError> {
        let object = &row.object;
        crash_point("target-accepted");
        let row = if !object.untried {
            // An earlier process came so far.
            row.clone()
        } else {
            let slot = self.slots.acquire().await;
            let tried = self.try_target(object).await;
            drop(slot);
            match tried {
                Ok(tried) => {
                    crash_point("target-tried");
                    let read = tried.catalogue.as_ref();
                    let next = TargetObject {
                        active: Some(object.input.clone()),
                        active_tools: tried.tools,
                        untried: false,
                        status_reasons: read.map(left_out).unwrap_or_default(),
                        last_synchronized_at: read.map(|read| read.synced_at).or(object.last_synchronized_at),
                        ..TargetObject::clone(object)
                    };
                    let mut catalogues = vec![catalogue_of(object, object.name(), read)?];
                    if let Some(before) = object.active.as_ref().map(|active| text(active, "name"))
                        && before != object.name()
                    {
                        catalogues.push(catalogue_of(object, before, None)?);
                    }
                    self.set_target(row, next, catalogues).await?
                }
                Err(why) => {
                    let status = match object.status {
                        TargetStatus::Creating => TargetStatus::Failed,
                        _ => TargetStatus::UpdateUnsuccessful,
                    };
                    return self.fail(row, status, &why).await;
                }
            }
        };
        crash_point("target-activated");
        self.serve(&row.object.gateway).await;
        // Where nothing changed but what the target offers, it is served on as it was.
        if let (Some(supervisor), Some(read)) =
            (self.runtime.supervisor_of(&row.object.gateway), row.object.last_synchronized_at)
        {
            supervisor.take_stored(row.object.name(), read).await;
        }
        crash_point("target-served");
        let next = TargetObject { status: TargetStatus::Ready, ..TargetObject::clone(&row.object) };
        self.set_target(&row, next, Vec::new()).await?;
        tracing::info!(gateway = object.gateway, target_name = object.name(), "target is ready");
        Ok(())
    }

    /// Looks at a target as it was asked for. The error is for whoever asked.
    async fn try_target(&self, object: &TargetObject) -> Result<Tried, String> {
        let gateway = self.tables.gateway(&object.gateway).ok_or("the gateway is gone")?;
        let tools = schema::load(&object.input, &gateway.object.role(), &self.quotas, self.runtime.outgoing()).await?;
        let tools = tools.map(DeclaredTools::from);
        let config = translate::target(object, &object.input, tools.clone()).map_err(|error| error.to_string())?;
        let catalogue = self.runtime.try_target(&config).await.map_err(|error| {
            tracing::warn!(gateway = object.gateway, target_name = object.name(), %error, detail = ?error, "target cannot be used");
            error.for_owner()
        })?;
        for left_out in catalogue.iter().flat_map(|catalogue| &catalogue.left_out) {
            tracing::warn!(
                gateway = object.gateway,
                target_name = object.name(),
                left_out = &**left_out,
                "not all that a target lists is shown"
            );
        }
        Ok(Tried { tools, catalogue })
    }

    async fn synchronise(&self, row: &Versioned<TargetObject>) -> Result<(), ControlError> {
        let object = &row.object;
        crash_point("sync-accepted");
        let name = object.active.as_ref().map_or(object.name(), |active| text(active, "name"));
        let serving = object.declared.as_ref().unwrap_or(&object.gateway);
        let outcome = self.runtime.synchronise(serving, name).await;
        crash_point("sync-read");
        match outcome {
            Some(Ok(catalogue)) => {
                let next = TargetObject {
                    status: TargetStatus::Ready,
                    status_reasons: left_out(&catalogue),
                    last_synchronized_at: Some(catalogue.synced_at),
                    ..TargetObject::clone(object)
                };
                // With the status, so that it is true after a crash too. Those of the file are stored elsewhere.
                let stored = match object.declared {
                    None => vec![catalogue_of(object, name, Some(&catalogue))?],
                    Some(_) => Vec::new(),
                };
                self.set_target(row, next, stored).await.map(drop)
            }
            Some(Err(error)) => self.fail(row, TargetStatus::SynchronizeUnsuccessful, &error.for_owner()).await,
            None => self.fail(row, TargetStatus::SynchronizeUnsuccessful, "the target is not served").await,
        }
    }

    async fn delete_target(&self, row: &Versioned<TargetObject>) -> Result<(), ControlError> {
        let object = &row.object;
        crash_point("target-delete-accepted");
        let before = object.active.as_ref().map(|active| text(active, "name").to_owned());
        let next = TargetObject { active: None, active_tools: None, ..TargetObject::clone(object) };
        let gone = before.map(|name| catalogue_of(object, &name, None)).transpose()?;
        let row = self.set_target(row, next, gone.into_iter().collect()).await?;
        crash_point("target-delete-deactivated");
        self.serve(&object.gateway).await;
        crash_point("target-delete-unserved");
        let writing = self.tables.lock().await;
        self.tables.remove_target(&writing, &row.object).await?;
        tracing::info!(gateway = object.gateway, target_name = object.name(), "target is deleted");
        Ok(())
    }

    async fn fail(&self, row: &Versioned<TargetObject>, status: TargetStatus, why: &str) -> Result<(), ControlError> {
        let object = &row.object;
        tracing::warn!(gateway = object.gateway, target_name = object.name(), status = %json!(status), why, "target is not as it was asked for");
        let next =
            TargetObject { status, status_reasons: vec![reason(why)], untried: false, ..TargetObject::clone(object) };
        self.set_target(row, next, Vec::new()).await.map(drop)
    }

    /// Makes the data plane serve a gateway as it is stored.
    async fn serve(&self, id: &str) {
        let _alone = self.serving.lock().await;
        let config = self.tables.gateway(id).and_then(|row| self.config(&row.object));
        match config {
            Some(config) => self.runtime.change(Origin::Control, &[config], &[]).await,
            None => self.runtime.change(Origin::Control, &[], &[id.to_owned()]).await,
        }
    }

    /// A gateway as it is to be served; none if it is not.
    fn config(&self, object: &GatewayObject) -> Option<GatewayConfig> {
        let mut config = match translate::gateway(object, object.active.as_ref()?) {
            Ok(config) => GatewayConfig {
                calls_per_second: Some(self.quotas.calls_per_second),
                searches_per_minute: Some(self.quotas.searches_per_minute),
                ..config
            },
            Err(error) => {
                tracing::error!(gateway = object.id, %error, "a stored gateway cannot be served");
                return None;
            }
        };
        let mut rows = self.tables.targets(&object.id, None, usize::MAX);
        // Lists show targets in the order in which they were made.
        rows.sort_by_key(|row| row.object.created_at);
        for row in rows {
            let Some(active) = &row.object.active else { continue };
            match translate::target(&row.object, active, row.object.active_tools.clone()) {
                Ok(target) => {
                    config.targets.push(TargetConfig { timeout: self.quotas.invocation_timeout, ..target });
                }
                Err(error) => {
                    tracing::error!(gateway = object.id, target_name = row.object.name(), %error, "a stored target cannot be served");
                }
            }
        }
        Some(config)
    }

    async fn set_gateway(
        &self,
        row: &Versioned<GatewayObject>,
        next: GatewayObject,
    ) -> Result<Versioned<GatewayObject>, ControlError> {
        let writing = self.tables.lock().await;
        let id = next.id.clone();
        self.tables.update_gateway(&writing, row.version, next).await?;
        self.tables.gateway(&id).ok_or_else(gone)
    }

    async fn set_target(
        &self,
        row: &Versioned<TargetObject>,
        next: TargetObject,
        catalogues: Vec<CatalogueWrite>,
    ) -> Result<Versioned<TargetObject>, ControlError> {
        let writing = self.tables.lock().await;
        let (gateway, id) = (next.gateway.clone(), next.id.clone());
        self.tables.update_target(&writing, row, next, catalogues).await?;
        self.tables.target(&gateway, &id).ok_or_else(gone)
    }
}

/// What a target is to offer from now on; none takes away what it offered.
fn catalogue_of(
    object: &TargetObject,
    name: &str,
    catalogue: Option<&TargetCatalogue>,
) -> Result<CatalogueWrite, ControlError> {
    let bytes = catalogue.map(serde_json::to_vec).transpose();
    let bytes = bytes.map_err(|error| ControlError::Internal { detail: error.to_string() })?;
    Ok(CatalogueWrite { gateway: object.gateway.as_str().into(), target: name.into(), value: bytes.map(Into::into) })
}

fn left_out(catalogue: &TargetCatalogue) -> Vec<String> {
    catalogue.left_out.iter().map(|remark| reason(remark)).collect()
}

fn gone() -> ControlError {
    ControlError::Internal { detail: "an object is gone while it is being changed".into() }
}

/// A place where a test kills the process.
fn crash_point(name: &'static str) {
    sessiongate_actors::crash::point(name);
}
