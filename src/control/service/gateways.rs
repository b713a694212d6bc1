//! Gateways.

use std::sync::Arc;

use serde_json::{Value, json};
use sessiongate_actors::clock;
use sessiongate_targets::FetchError;
use sessiongate_targets::aws::GatewayRole;

use super::pages::Wanted;
use super::{Control, digest, later_than, quota, same_parameters};
use crate::config::GatewayConfig;
use crate::control::declare::{not_declared, shown_name};
use crate::control::error::FieldError;
use crate::control::model::Input;
use crate::control::objects::{Creation, GatewayObject, GatewayStatus, Members, reason, text};
use crate::control::tables::{Tags, Versioned};
use crate::control::worker::Work;
use crate::control::{ControlError, ids, refuse, translate};

impl Control {
    pub(super) async fn create_gateway(&self, input: &Input<'_>, who: &str) -> Result<Value, ControlError> {
        let mut members = input.parameters();
        let parameters = digest(&members);
        let tags: Tags = members.remove("tags").and_then(|tags| serde_json::from_value(tags).ok()).unwrap_or_default();
        refused(refuse::gateway(&members))?;
        let writing = self.tables.lock().await;
        let token = input.client_token();
        if let Some(known) = token.and_then(|token| self.tables.gateway_of_token(who, token)) {
            same_parameters(known.object.creation.as_ref().map_or("", |known| &known.parameters), &parameters)?;
            return Ok(self.describe(&known.object));
        }
        let name = input.string("name").unwrap_or_default();
        if self.tables.gateway_named(name).is_some() {
            return Err(ControlError::Conflict {
                message: format!("there is a gateway `{name}` already: choose another name, or update that one"),
            });
        }
        self.role_fits(&members)?;
        self.interceptors_fit(name, &members)?;
        self.domains_fit(None, &members)?;
        if self.tables.count_created() >= self.quotas.gateways as usize {
            return Err(quota("gateways", self.quotas.gateways, "gateways"));
        }
        let permit = self.reserve()?;
        let now = clock::now();
        let object = GatewayObject {
            id: ids::new_gateway_id(name)?,
            declared: None,
            input: members,
            active: None,
            status: GatewayStatus::Creating,
            status_reasons: Vec::new(),
            created_at: now,
            updated_at: now,
            creation: token.map(|token| Creation { principal: who.to_owned(), token: token.to_owned(), parameters }),
        };
        self.issuer_fits(&translate::gateway(&object, &object.input)?)?;
        let arn = self.account.gateway_arn(&object.id);
        let object = self.tables.create_gateway(&writing, object, &arn, tags).await?;
        permit.send(Work::Gateway(object.id.clone()));
        Ok(self.describe(&object))
    }

    pub(super) fn get_gateway(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        Ok(self.describe(&self.gateway_of(input)?.object))
    }

    pub(super) fn list_gateways(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        let wanted = Wanted::of(input)?;
        let rows = self.tables.gateways(wanted.after.as_deref(), wanted.limit + 1);
        let items = rows.iter().map(|row| self.describe(&row.object)).collect();
        Ok(wanted.page(items, "gatewayId"))
    }

    pub(super) async fn update_gateway(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        let members = input.parameters();
        refused(refuse::gateway(&members))?;
        let writing = self.tables.lock().await;
        let known = self.gateway_of(input)?;
        not_declared(known.object.declared.as_ref(), "the gateway")?;
        settled(&known)?;
        let name = input.string("name").unwrap_or_default();
        if known.object.name() != name {
            let message = format!("cannot change: it is `{}`", known.object.name());
            return Err(ControlError::field("name", message));
        }
        self.role_fits(&members)?;
        self.interceptors_fit(name, &members)?;
        self.domains_fit(Some(&known.object), &members)?;
        self.targets_fit(&known.object.id, &members)?;
        let permit = self.reserve()?;
        let object = GatewayObject {
            input: members,
            status: GatewayStatus::Updating,
            status_reasons: Vec::new(),
            updated_at: later_than(known.object.updated_at),
            ..GatewayObject::clone(&known.object)
        };
        self.issuer_fits(&translate::gateway(&object, &object.input)?)?;
        let object = self.tables.update_gateway(&writing, known.version, object).await?;
        permit.send(Work::Gateway(object.id.clone()));
        Ok(self.describe(&object))
    }

    pub(super) async fn delete_gateway(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        let writing = self.tables.lock().await;
        let known = self.gateway_of(input)?;
        not_declared(known.object.declared.as_ref(), "the gateway")?;
        settled(&known)?;
        let targets = self.tables.count_targets(&known.object.id);
        if targets > 0 {
            return Err(ControlError::Conflict {
                message: format!("gateway {} has {targets} targets: delete them first", known.object.id),
            });
        }
        let permit = self.reserve()?;
        let object = GatewayObject {
            status: GatewayStatus::Deleting,
            updated_at: later_than(known.object.updated_at),
            ..GatewayObject::clone(&known.object)
        };
        let object = self.tables.update_gateway(&writing, known.version, object).await?;
        permit.send(Work::Gateway(object.id.clone()));
        Ok(self.describe(&object))
    }

    /// Whoever creates a gateway says as whom it calls AWS: the operator says whom there is.
    fn role_fits(&self, members: &Members) -> Result<(), ControlError> {
        if self.runtime.outgoing().lists(text(members, "roleArn")) {
            return Ok(());
        }
        let message = "is a role that the gateway cannot take on: list it in `aws.roles` of the gateway's configuration, or \
                       take one that is listed there";
        Err(ControlError::field("roleArn", message))
    }

    /// Whoever creates a gateway says where its issuer is: nowhere that the gateway must not ask. What a name leads to is seen
    /// when it is asked.
    fn issuer_fits(&self, gateway: &GatewayConfig) -> Result<(), ControlError> {
        let way = self.runtime.outgoing().way();
        let (Some(jwt), Some(outbound)) = (gateway.authorizer.tokens(), way.outbound()) else { return Ok(()) };
        let refused = |error: FetchError| {
            let path = "authorizerConfiguration.customJWTAuthorizer.discoveryUrl";
            ControlError::field(path, format!("leads to where the gateway asks nobody: {error}"))
        };
        outbound.route(jwt.discovery_url.url()).map(drop).map_err(refused)
    }

    /// What could never be asked would refuse everything.
    fn interceptors_fit(&self, name: &str, members: &Members) -> Result<(), ControlError> {
        let role = GatewayRole { role: text(members, "roleArn").into(), gateway: name.into() };
        let all = refuse::configured_interceptors(members).iter().map(refuse::function).enumerate();
        let wrong = all.filter_map(|(at, arn)| {
            let error = self.runtime.outgoing().can_invoke(Some(&role), &arn?.parse().ok()?).err()?;
            let path = format!("interceptorConfigurations[{at}].interceptor.lambda.arn");
            Some(FieldError::new(path, format!("is a function that cannot be invoked: {error}")))
        });
        refused(wrong.collect())
    }

    /// The domains of a gateway must be its own: whoever has a domain gets what is sent there, credentials of callers too.
    /// `own`: the gateway itself, where it is there already.
    fn domains_fit(&self, own: Option<&GatewayObject>, members: &Members) -> Result<(), ControlError> {
        let wanted = domains(members);
        let addresses = self.runtime.addresses();
        let wrong = wanted.iter().enumerate().filter_map(|(at, (path, domain))| {
            let again = || wanted[..at].iter().any(|(_, one)| one == domain).then_some("is there already");
            addresses.refuses_domain(domain).or_else(again).map(|why| FieldError::new(path.clone(), why))
        });
        refused(wrong.collect())?;
        if wanted.is_empty() {
            return Ok(());
        }
        let (id, name) = (own.map(|own| own.id.as_str()), own.map(|own| own.served_as()));
        let has = |members: &Members| {
            let theirs = domains(members);
            wanted.iter().find(|(_, domain)| theirs.iter().any(|(_, their)| their == domain)).map(|(_, domain)| domain)
        };
        // What is served counts beside what is asked for: a change may still be under way, or have failed.
        let rows = self.tables.gateways(None, usize::MAX);
        let others = rows.iter().map(|row| &row.object).filter(|other| Some(other.id.as_str()) != id);
        let mut taken = others.flat_map(|other| [Some(&other.input), other.active.as_ref()]).flatten().find_map(has);
        // The file may declare what the control plane could not store.
        let table = self.runtime.table();
        for served in table.iter().filter(|served| Some(&*served.gateway.name) != name) {
            let theirs = wanted.iter().find(|(_, domain)| served.hosts.iter().any(|host| **host == **domain));
            taken = taken.or(theirs.map(|(_, domain)| domain));
        }
        match taken {
            None => Ok(()),
            Some(domain) => Err(ControlError::Conflict {
                message: format!(
                    "another gateway has the domain `{domain}`: choose another, or take it away from that one"
                ),
            }),
        }
    }

    /// The targets of a gateway must still be allowed with its new members.
    fn targets_fit(&self, gateway: &str, members: &Members) -> Result<(), ControlError> {
        if !keeps_sessions(members) {
            return Ok(());
        }
        for row in self.tables.targets(gateway, None, usize::MAX) {
            let without = refuse::target(&row.object.input, false);
            if let Some(wrong) = refuse::target(&row.object.input, true).iter().find(|wrong| !without.contains(wrong)) {
                let message =
                    format!("does not go with target `{}`: its `{}` {}", row.object.name(), wrong.path, wrong.message);
                return Err(ControlError::field("protocolConfiguration.mcp.sessionConfiguration", message));
            }
        }
        Ok(())
    }

    pub(super) fn describe(&self, object: &Arc<GatewayObject>) -> Value {
        let mut out = object.describe(&self.account.gateway_arn(&object.id), &self.url_of(object));
        if object.declared.is_some() {
            out["name"] = json!(shown_name(object.name()));
        }
        let (served, contested) = self.contested(object);
        if !served && object.status == GatewayStatus::Ready {
            out["status"] = json!(GatewayStatus::Failed);
        }
        if !contested.is_empty() {
            let reasons = object.status_reasons.iter().cloned().chain(contested.iter().map(|text| reason(text)));
            out["statusReasons"] = reasons.collect();
        }
        out["workloadIdentityDetails"] = json!({"workloadIdentityArn": self.account.workload_identity_arn(&object.id)});
        out
    }

    /// Where clients reach a gateway.
    fn url_of(&self, object: &GatewayObject) -> String {
        if let Some(path) = &object.declared {
            return format!("{}{path}", self.base_url);
        }
        match object.input.get("domainOverride").and_then(|domains| domains["default"].as_str()) {
            Some(domain) => {
                let url = self.runtime.addresses().of_host(domain);
                url.map_or_else(|| format!("https://{domain}/mcp"), String::from)
            }
            None => format!("{}/gateways/{}/mcp", self.base_url, object.id),
        }
    }
}

/// The domains among a gateway's members: where each stands, and itself in lower case.
pub(super) fn domains(members: &Members) -> Vec<(String, String)> {
    let Some(domains) = members.get("domainOverride") else { return Vec::new() };
    let default = domains["default"].as_str().map(|one| ("domainOverride.default".to_owned(), one));
    let others = domains["alternateDomains"].as_array().into_iter().flatten().enumerate();
    let others = others.filter_map(|(at, one)| Some((format!("domainOverride.alternateDomains[{at}]"), one.as_str()?)));
    default.into_iter().chain(others).map(|(path, domain)| (path, domain.to_ascii_lowercase())).collect()
}

/// Whether a gateway with these members keeps sessions.
pub(super) fn keeps_sessions(members: &Members) -> bool {
    members.get("protocolConfiguration").is_some_and(|one| one["mcp"].get("sessionConfiguration").is_some())
}

/// Nothing else is being done with it.
fn settled(known: &Versioned<GatewayObject>) -> Result<(), ControlError> {
    if !known.object.is_changing() {
        return Ok(());
    }
    Err(not_now(&known.object))
}

/// The error for what a gateway's status does not allow.
pub(super) fn not_now(object: &GatewayObject) -> ControlError {
    let (id, status) = (&object.id, json!(object.status));
    let status = status.as_str().unwrap_or_default();
    let message = match object.status {
        GatewayStatus::Deleting => format!("gateway {id} is {status}: it will be gone"),
        GatewayStatus::Failed => format!("gateway {id} is {status}: update it, or delete it"),
        _ => format!("gateway {id} is {status}: wait until it is READY"),
    };
    ControlError::Conflict { message }
}

/// The error for members that cannot be honoured.
pub(super) fn refused(wrong: Vec<FieldError>) -> Result<(), ControlError> {
    if wrong.is_empty() { Ok(()) } else { Err(ControlError::fields(wrong)) }
}
