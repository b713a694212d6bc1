//! Targets, and their synchronisation.

use std::sync::Arc;

use serde_json::{Value, json};
use sessiongate_actors::clock;
use sessiongate_actors::sync::{SyncState, TargetView};

use super::gateways::{keeps_sessions, not_now, refused};
use super::pages::Wanted;
use super::{Control, digest, later_than, quota, same_parameters};
use crate::control::declare::not_declared;
use crate::control::model::Input;
use crate::control::objects::{Creation, GatewayObject, GatewayStatus, Members, TargetObject, TargetStatus, reason};
use crate::control::tables::{Versioned, Writing};
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
        let creation = token.map(|token| Creation { principal: who.to_owned(), token: token.to_owned(), parameters });
        let object = TargetObject { creation, ..TargetObject::new(id.clone(), target, members, clock::now()) };
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
        // It may be the name that it is still served under, after a change of it that failed.
        if self.tables.target_named(id, name).is_some_and(|other| other.object.id != known.object.id) {
            return Err(taken(name));
        }
        let next = TargetObject {
            input: members,
            untried: true,
            status: TargetStatus::Updating,
            status_reasons: Vec::new(),
            ..TargetObject::clone(&known.object)
        };
        translate::target(&next, &next.input, None)?;
        self.begin(&writing, &known, next).await
    }

    pub(super) async fn delete_target(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        let writing = self.tables.lock().await;
        let (_, known) = self.target_of(input)?;
        not_declared(known.object.declared.as_ref(), "the target")?;
        settled(&known)?;
        let next = TargetObject { status: TargetStatus::Deleting, ..TargetObject::clone(&known.object) };
        self.begin(&writing, &known, next).await
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
        let served = match (&known.object.active, &known.object.declared) {
            (Some(active), _) => active,
            // What is in the file is served.
            (None, Some(_)) => &known.object.input,
            (None, None) => {
                let message = format!("target {target} was never READY: update or delete it");
                return Err(ControlError::Conflict { message });
            }
        };
        if *served != known.object.input {
            let message = format!(
                "target {target} is not served as it was asked for last: update it again, which reads its lists too"
            );
            return Err(ControlError::Conflict { message });
        }
        let server = known.object.mcp_server();
        if server.is_some_and(|server| server.contains_key("mcpToolSchema")) {
            let message = "names a target whose tools are those of its `mcpToolSchema`: update the target instead";
            return Err(ControlError::field("targetIdList[0]", message));
        }
        if server.is_some_and(|server| server.get("listingMode") == Some(&json!("DYNAMIC"))) {
            let message = "names a target whose lists are always read from it: there is nothing to synchronise";
            return Err(ControlError::field("targetIdList[0]", message));
        }
        let next = TargetObject {
            status: TargetStatus::Synchronizing,
            status_reasons: Vec::new(),
            ..TargetObject::clone(&known.object)
        };
        Ok(json!({"targets": [self.begin(&writing, &known, next).await?]}))
    }

    /// Stores what a target is to become, and has that carried out; describes it.
    async fn begin(
        &self,
        writing: &Writing<'_>,
        known: &Versioned<TargetObject>,
        next: TargetObject,
    ) -> Result<Value, ControlError> {
        self.has_room(&next.gateway)?;
        let permit = self.reserve()?;
        let next = TargetObject { updated_at: later_than(known.object.updated_at), ..next };
        let object = self.tables.update_target(writing, known, next, Vec::new()).await?;
        permit.send(Work::Target(object.gateway.clone(), object.id.clone()));
        Ok(object.describe(&self.account.gateway_arn(&object.gateway)))
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

/// A target as it is: a declared one with the status that its synchronisation has, another one that cannot be served as it
/// is stored with the reason.
fn as_seen(object: &Arc<TargetObject>, views: &[TargetView]) -> Arc<TargetObject> {
    if let Some(why) = unserved(object) {
        let mut seen = TargetObject::clone(object);
        seen.status = TargetStatus::Failed;
        seen.status_reasons.push(reason(&format!("it is not served: {why}: update it")));
        return Arc::new(seen);
    }
    let Some(view) = views.iter().find(|view| *view.name == *object.name()) else { return object.clone() };
    let mut seen = TargetObject::clone(object);
    seen.last_synchronized_at = view.synced_at;
    (seen.status, seen.status_reasons) = match &view.sync {
        SyncState::New => (TargetStatus::Creating, Vec::new()),
        SyncState::Syncing => (TargetStatus::Synchronizing, Vec::new()),
        SyncState::Ready => (TargetStatus::Ready, view.left_out.iter().map(|remark| reason(remark)).collect()),
        SyncState::Failed { message, .. } if view.synced_at.is_some() => {
            (TargetStatus::SynchronizeUnsuccessful, vec![reason(message)])
        }
        SyncState::Failed { message, .. } => (TargetStatus::Failed, vec![reason(message)]),
    };
    Arc::new(seen)
}

/// Why a target is not served as it is stored: by a version that allowed more. Nothing where it is served, or something is
/// being done with it.
fn unserved(object: &TargetObject) -> Option<ControlError> {
    if object.declared.is_some() || object.is_changing() || object.is_pending_auth() {
        return None;
    }
    translate::target(object, object.active.as_ref()?, None).err()
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
        _ => Err(not_now(&gateway.object)),
    }
}

fn taken(name: &str) -> ControlError {
    ControlError::Conflict { message: format!("the gateway has a target `{name}` already: choose another name") }
}

fn no_target(gateway: &str, target: &str) -> ControlError {
    ControlError::ResourceNotFound { message: format!("gateway {gateway} has no target {target}") }
}
