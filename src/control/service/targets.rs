//! Targets, and their synchronisation.

use std::sync::Arc;

use serde_json::{Value, json};
use sessiongate_actors::clock;
use sessiongate_actors::sync::{SyncState, TargetView};

use super::gateways::{keeps_sessions, refused};
use super::pages::Wanted;
use super::{Control, digest, later_than, quota, same_parameters};
use crate::control::declare::not_declared;
use crate::control::model::Input;
use crate::control::objects::{Creation, GatewayObject, GatewayStatus, Members, TargetObject, TargetStatus, reason};
use crate::control::tables::Versioned;
use crate::control::worker::Work;
use crate::control::{ControlError, ids, refuse, schema, translate};

impl Control {
    pub(super) async fn create_target(&self, input: &Input<'_>, who: &str) -> Result<Value, ControlError> {
        let mut members = input.parameters();
        let parameters = digest(&members);
        let writing = self.tables.lock().await;
        let gateway = self.gateway_of(input)?;
        not_declared(gateway.object.declared.as_ref(), "the gateway")?;
        let id = &gateway.object.id;
        self.check(&gateway.object, &members)?;
        let token = input.client_token();
        if let Some(known) = token.and_then(|token| self.tables.target_of_token(id, who, token)) {
            same_parameters(known.object.creation.as_ref().map_or("", |known| &known.parameters), &parameters)?;
            return Ok(known.object.describe(&self.account.gateway_arn(id)));
        }
        serving(&gateway)?;
        if self.tables.count_targets(id) >= self.quotas.targets_per_gateway as usize {
            return Err(quota("targets of this gateway", self.quotas.targets_per_gateway, "targets_per_gateway"));
        }
        self.has_room(id)?;
        let target = ids::new_target_id()?;
        // A name is optional, and the prefix of the tools is made of it.
        let name = members.entry("name").or_insert_with(|| json!(format!("target-{target}"))).clone();
        let name = name.as_str().unwrap_or_default();
        if self.tables.target_named(id, name).is_some() {
            return Err(taken(name));
        }
        let permit = self.reserve()?;
        let now = clock::now();
        let object = TargetObject {
            gateway: id.clone(),
            id: target,
            declared: None,
            input: members,
            active: None,
            active_tools: None,
            untried: true,
            status: TargetStatus::Creating,
            status_reasons: Vec::new(),
            created_at: now,
            updated_at: now,
            last_synchronized_at: None,
            creation: token.map(|token| Creation { principal: who.to_owned(), token: token.to_owned(), parameters }),
        };
        translate::target(&object, &object.input, None)?;
        let object = self.tables.create_target(&writing, object).await?;
        permit.send(Work::Target(object.gateway.clone(), object.id.clone()));
        Ok(object.describe(&self.account.gateway_arn(id)))
    }

    pub(super) async fn get_target(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        let (gateway, target) = self.target_of(input)?;
        let views = self.views_of(&gateway.object).await;
        let object = as_seen(&target.object, &views);
        Ok(object.describe(&self.account.gateway_arn(&gateway.object.id)))
    }

    pub(super) async fn list_targets(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        let gateway = self.gateway_of(input)?;
        let wanted = Wanted::of(input)?;
        let rows = self.tables.targets(&gateway.object.id, wanted.after.as_deref(), wanted.limit + 1);
        let views = self.views_of(&gateway.object).await;
        Ok(wanted.page(rows.iter().map(|row| as_seen(&row.object, &views).summary()).collect(), "targetId"))
    }

    pub(super) async fn update_target(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        let mut members = input.parameters();
        let writing = self.tables.lock().await;
        let (gateway, known) = self.target_of(input)?;
        not_declared(known.object.declared.as_ref(), "the target")?;
        let id = &gateway.object.id;
        // The name is not needed to say which target it is: it stays.
        members.entry("name").or_insert_with(|| json!(known.object.name()));
        self.check(&gateway.object, &members)?;
        serving(&gateway)?;
        settled(&known)?;
        let name = members["name"].as_str().unwrap_or_default();
        if name != known.object.name() && self.tables.target_named(id, name).is_some() {
            return Err(taken(name));
        }
        self.has_room(id)?;
        let permit = self.reserve()?;
        let object = TargetObject {
            input: members,
            untried: true,
            status: TargetStatus::Updating,
            status_reasons: Vec::new(),
            updated_at: later_than(known.object.updated_at),
            ..TargetObject::clone(&known.object)
        };
        translate::target(&object, &object.input, None)?;
        let object = self.tables.update_target(&writing, &known, object, Vec::new()).await?;
        permit.send(Work::Target(object.gateway.clone(), object.id.clone()));
        Ok(object.describe(&self.account.gateway_arn(id)))
    }

    pub(super) async fn delete_target(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        let writing = self.tables.lock().await;
        let (gateway, known) = self.target_of(input)?;
        not_declared(known.object.declared.as_ref(), "the target")?;
        settled(&known)?;
        self.has_room(&gateway.object.id)?;
        let permit = self.reserve()?;
        let object = TargetObject {
            status: TargetStatus::Deleting,
            updated_at: later_than(known.object.updated_at),
            ..TargetObject::clone(&known.object)
        };
        let object = self.tables.update_target(&writing, &known, object, Vec::new()).await?;
        permit.send(Work::Target(object.gateway.clone(), object.id.clone()));
        Ok(object.describe(&self.account.gateway_arn(&gateway.object.id)))
    }

    pub(super) async fn synchronize(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        let writing = self.tables.lock().await;
        let gateway = self.gateway_of(input)?;
        serving(&gateway)?;
        let id = &gateway.object.id;
        // The model allows exactly one.
        let target = input.strings("targetIdList").first().copied().unwrap_or_default();
        let known = self.tables.target(id, target).ok_or_else(|| no_target(id, target))?;
        settled(&known)?;
        let server = known.object.mcp_server();
        if server.is_some_and(|server| server.contains_key("mcpToolSchema")) {
            let message = "names a target whose tools are those of its `mcpToolSchema`: update the target instead";
            return Err(ControlError::field("targetIdList[0]", message));
        }
        if server.is_some_and(|server| server.get("listingMode") == Some(&json!("DYNAMIC"))) {
            let message = "names a target whose lists are always read from it: there is nothing to synchronise";
            return Err(ControlError::field("targetIdList[0]", message));
        }
        if known.object.active.is_none() && known.object.declared.is_none() {
            return Err(ControlError::Conflict {
                message: format!("target {target} was never READY: update or delete it"),
            });
        }
        self.has_room(id)?;
        let permit = self.reserve()?;
        let object = TargetObject {
            status: TargetStatus::Synchronizing,
            status_reasons: Vec::new(),
            updated_at: later_than(known.object.updated_at),
            ..TargetObject::clone(&known.object)
        };
        let object = self.tables.update_target(&writing, &known, object, Vec::new()).await?;
        permit.send(Work::Target(object.gateway.clone(), object.id.clone()));
        Ok(json!({"targets": [object.describe(&self.account.gateway_arn(id))]}))
    }

    /// How the targets of a declared gateway are: nobody carries out changes of theirs who would write it down.
    async fn views_of(&self, gateway: &GatewayObject) -> Vec<TargetView> {
        match (&gateway.declared, self.runtime.supervisor_of(gateway.served_as())) {
            (Some(_), Some(supervisor)) => supervisor.views().await,
            _ => Vec::new(),
        }
    }

    fn target_of(
        &self,
        input: &Input<'_>,
    ) -> Result<(Versioned<GatewayObject>, Versioned<TargetObject>), ControlError> {
        let gateway = self.gateway_of(input)?;
        let id = input.string("targetId").unwrap_or_default();
        let target = self.tables.target(&gateway.object.id, id).ok_or_else(|| no_target(&gateway.object.id, id))?;
        Ok((gateway, target))
    }

    /// What passed the model and is still not possible.
    fn check(&self, gateway: &GatewayObject, members: &Members) -> Result<(), ControlError> {
        refused(refuse::target(members, keeps_sessions(&gateway.input)))?;
        schema::check_inline(members, &self.quotas)
    }

    fn has_room(&self, gateway: &str) -> Result<(), ControlError> {
        let limit = self.quotas.concurrent_target_operations;
        if self.tables.count_changing(gateway) < limit as usize {
            return Ok(());
        }
        Err(ControlError::Throttling {
            message: format!(
                "{limit} targets of this gateway are being changed, which is the quota: wait for one of them"
            ),
        })
    }
}

/// A target as it is: a declared one with the status that its synchronisation has.
fn as_seen(object: &Arc<TargetObject>, views: &[TargetView]) -> Arc<TargetObject> {
    let Some(view) = views.iter().find(|view| *view.name == *object.name()) else { return object.clone() };
    let mut seen = TargetObject::clone(object);
    seen.last_synchronized_at = view.synced_at;
    (seen.status, seen.status_reasons) = match &view.sync {
        SyncState::New => (TargetStatus::Creating, Vec::new()),
        SyncState::Syncing => (TargetStatus::Synchronizing, Vec::new()),
        SyncState::Ready => (TargetStatus::Ready, Vec::new()),
        SyncState::Failed { message, .. } if view.synced_at.is_some() => {
            (TargetStatus::SynchronizeUnsuccessful, vec![reason(message)])
        }
        SyncState::Failed { message, .. } => (TargetStatus::Failed, vec![reason(message)]),
    };
    Arc::new(seen)
}

/// Nothing else is being done with it, and nobody has to allow anything first.
fn settled(known: &Versioned<TargetObject>) -> Result<(), ControlError> {
    if !known.object.is_changing() && !known.object.is_pending_auth() {
        return Ok(());
    }
    let status = json!(known.object.status);
    let status = status.as_str().unwrap_or_default();
    Err(ControlError::Conflict { message: format!("target {} is {status}: wait until it is not", known.object.id) })
}

/// A gateway that is on its way in or out takes no targets.
fn serving(gateway: &Versioned<GatewayObject>) -> Result<(), ControlError> {
    match gateway.object.status {
        GatewayStatus::Ready | GatewayStatus::Updating | GatewayStatus::UpdateUnsuccessful => Ok(()),
        status => Err(ControlError::Conflict {
            message: format!(
                "gateway {} is {}: wait until it is READY",
                gateway.object.id,
                json!(status).as_str().unwrap_or_default()
            ),
        }),
    }
}

fn taken(name: &str) -> ControlError {
    ControlError::Conflict { message: format!("the gateway has a target `{name}` already: choose another name") }
}

fn no_target(gateway: &str, target: &str) -> ControlError {
    ControlError::ResourceNotFound { message: format!("gateway {gateway} has no target {target}") }
}
