//! The operations.

mod gateways;
mod origins;
mod pages;
mod policies;
mod tags;
mod targets;

use std::sync::Arc;

use actix_web::web::Data;
use serde_json::Value;
use sessiongate_actors::clock;
use sessiongate_storage::Timestamp;

use super::declare::declared_id;
use super::ids::Account;
use super::model::{Input, OperationName, model};
use super::objects::{GatewayObject, Members};
use super::tables::{Tables, Versioned};
use super::worker::Work;
use super::{ControlError, WorkQueue};
use crate::auth::policy::Policy;
use crate::config::{Config, Quotas};
use crate::gateway::Runtime;

/// Instead of a policy that is there and cannot be read.
const NOBODY: &str = r#"{"Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}"#;

/// The control plane of one process.
pub struct Control {
    pub(super) tables: Arc<Tables>,
    pub(super) account: Account,
    pub(super) quotas: Quotas,
    /// URL of the data plane, without a slash at the end.
    pub(super) base_url: String,
    pub(super) queue: WorkQueue,
    pub(super) runtime: Data<Runtime>,
}

/// The answer to an operation that was done.
#[derive(Debug)]
pub struct Done {
    /// HTTP status.
    pub status: u16,
    /// The body; none where the operation has none.
    pub body: Option<Value>,
}

// === impl Control ===

impl Control {
    /// Does what a request asks for, to its end: the caller must not drop the future. The caller, `who`, may do it, and the
    /// request has passed the model.
    ///
    /// # Errors
    /// What the model has for the operation.
    pub async fn perform(&self, input: Input<'static>, who: &str) -> Result<Done, ControlError> {
        let operation = input.operation();
        let body = match operation.name {
            OperationName::CreateGateway => self.create_gateway(&input, who).await?,
            OperationName::GetGateway => self.get_gateway(&input)?,
            OperationName::ListGateways => self.list_gateways(&input)?,
            OperationName::UpdateGateway => self.update_gateway(&input).await?,
            OperationName::DeleteGateway => self.delete_gateway(&input).await?,
            OperationName::CreateGatewayTarget => self.create_target(&input, who).await?,
            OperationName::GetGatewayTarget => self.get_target(&input).await?,
            OperationName::ListGatewayTargets => self.list_targets(&input).await?,
            OperationName::UpdateGatewayTarget => self.update_target(&input).await?,
            OperationName::DeleteGatewayTarget => self.delete_target(&input).await?,
            OperationName::SynchronizeGatewayTargets => self.synchronize(&input).await?,
            OperationName::TagResource => self.tag(&input).await?,
            OperationName::UntagResource => self.untag(&input).await?,
            OperationName::ListTagsForResource => self.list_tags(&input)?,
            OperationName::PutResourcePolicy => self.put_policy(&input).await?,
            OperationName::GetResourcePolicy => self.get_policy(&input)?,
            OperationName::DeleteResourcePolicy => self.delete_policy(&input).await?,
        };
        let body = (operation.status != 204).then(|| model().project(operation.output, body)).flatten();
        Ok(Done { status: operation.status, body })
    }

    /// For these objects, which a [`Worker`](super::Worker) with the other end of `queue` carries out. `base_url` is that
    /// of the data plane, without a slash at the end.
    pub fn new(
        tables: Arc<Tables>,
        account: Account,
        quotas: Quotas,
        base_url: String,
        queue: WorkQueue,
        runtime: Data<Runtime>,
    ) -> Self {
        Self { tables, account, quotas, base_url, queue, runtime }
    }

    /// Makes the data plane ask the policies that are stored. Call it before what `process` declares is served: a declared
    /// gateway may have had a policy before it was an object.
    pub async fn serve_policies(&self, process: &Config) {
        let _writing = self.tables.lock().await;
        let rows = self.tables.gateways(None, usize::MAX);
        let made = rows.iter().map(|row| &row.object).filter(|object| object.declared.is_none());
        let declared = process.gateways.iter().map(|gateway| declared_id(&gateway.name));
        for id in made.map(|object| object.id.clone()).chain(declared) {
            let arn = self.account.gateway_arn(&id);
            let Some(text) = self.tables.policy(&arn) else { continue };
            let policy = Policy::parse(&text).map_or_else(
                |error| {
                    tracing::error!(gateway = id, %error, "a stored resource policy cannot be understood: nobody may call the gateway");
                    Policy::parse(NOBODY).ok()
                },
                Some,
            );
            self.runtime.set_policy(&id, &arn, policy);
        }
    }

    fn serve_policy(&self, arn: &str, policy: Option<Policy>) {
        if let Some(id) = self.account.gateway_id(arn) {
            self.runtime.set_policy(id, arn, policy);
        }
    }

    /// The gateway that a request names by id or ARN.
    fn gateway_of(&self, input: &Input<'_>) -> Result<Versioned<GatewayObject>, ControlError> {
        let id = input.string("gatewayIdentifier").unwrap_or_default();
        let message = match input.arn("gatewayIdentifier").filter(|arn| self.account.gateway_id(arn).is_none()) {
            Some(arn) => {
                let Account { id, region } = &self.account;
                format!("{arn} is not here: this is account {id} in region {region}")
            }
            None => match self.tables.gateway(id) {
                Some(found) => return Ok(found),
                None => format!("there is no gateway {id}"),
            },
        };
        Err(ControlError::ResourceNotFound { message })
    }

    /// A place in the queue of work, before anything is stored that would need one.
    fn reserve(&self) -> Result<tokio::sync::mpsc::Permit<'_, Work>, ControlError> {
        self.queue.try_reserve().map_err(|_| ControlError::Throttling {
            message: "too many changes are being carried out: try again in a few seconds".into(),
        })
    }
}

/// A later time than before, whatever the clock says.
fn later_than(before: Timestamp) -> Timestamp {
    clock::now().max(Timestamp(before.0 + 1))
}

/// SHA-256 of parameters, whose members have an order.
fn digest(parameters: &Members) -> String {
    let text = Value::Object(parameters.clone()).to_string();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses a token that came before with something else.
fn same_parameters(known: &str, now: &str) -> Result<(), ControlError> {
    if known == now {
        return Ok(());
    }
    Err(ControlError::Validation {
        message: "`clientToken` was used before with other parameters: take a new one for another request".into(),
        reason: super::ValidationReason::IdempotentParameterMismatch,
        fields: Vec::new(),
    })
}

fn quota(what: &str, limit: u32, setting: &str) -> ControlError {
    ControlError::ServiceQuotaExceeded {
        message: format!(
            "there are {limit} {what}, which is the quota: delete one, or raise `control.quotas.{setting}`"
        ),
    }
}
