//! Gateways and targets as they are stored: what was asked for, as it was sent, and what became of it.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sessiongate_storage::Timestamp;
use sessiongate_targets::aws::GatewayRole;

use crate::config::DeclaredTools;

/// Members of a request, by their names in the service model.
pub type Members = Map<String, Value>;

/// The longest reason that is kept.
const MAX_REASON: usize = 2048;

/// Where a gateway stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GatewayStatus {
    /// It is stored, and not served yet.
    Creating,
    /// It is served as it was before, until the change is carried out.
    Updating,
    /// A change could not be carried out; it is served as it was before.
    UpdateUnsuccessful,
    /// It is on its way out.
    Deleting,
    /// It is served.
    Ready,
    /// It could not be made.
    Failed,
}

/// Where a target stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TargetStatus {
    /// It is stored, and read for the first time.
    Creating,
    /// It is served as it was before, while the change is tried.
    Updating,
    /// The change did not work out; what worked before is served.
    UpdateUnsuccessful,
    /// It is on its way out.
    Deleting,
    /// It is served.
    Ready,
    /// It could not be reached when it was made; it is not served.
    Failed,
    /// Its lists are read again.
    Synchronizing,
    /// They could not be read again; the last ones that could are served.
    SynchronizeUnsuccessful,
    /// A person has to allow the gateway to use it before it can be made.
    CreatePendingAuth,
    /// The same before it can be changed.
    UpdatePendingAuth,
    /// The same before it can be read again.
    SynchronizePendingAuth,
}

/// A gateway.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayObject {
    /// `gatewayId`.
    pub id: String,
    /// The path of its endpoint, if it is declared in the configuration file.
    #[serde(default)]
    pub declared: Option<String>,
    /// What was asked for last: the members of CreateGateway or UpdateGateway, without tokens and tags.
    pub input: Members,
    /// What is served: the members that were carried out last.
    pub active: Option<Members>,
    /// Where it stands.
    pub status: GatewayStatus,
    /// Why, for a person.
    #[serde(default)]
    pub status_reasons: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed.
    pub updated_at: Timestamp,
    /// What it was created with, so that a request that is sent twice does nothing twice.
    pub creation: Option<Creation>,
}

/// A target of a gateway.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetObject {
    /// `gatewayId` of its gateway.
    pub gateway: String,
    /// `targetId`.
    pub id: String,
    /// The name of its gateway in the configuration file, if it is declared there.
    #[serde(default)]
    pub declared: Option<String>,
    /// What was asked for last: the members of CreateGatewayTarget or UpdateGatewayTarget, with a name in any case.
    pub input: Members,
    /// What is served: the members that were carried out last.
    pub active: Option<Members>,
    /// The tools that are served, where they are given by a schema.
    #[serde(default)]
    pub active_tools: Option<DeclaredTools>,
    /// What was asked for last was not tried yet.
    #[serde(default)]
    pub untried: bool,
    /// Where it stands.
    pub status: TargetStatus,
    /// Why, for a person.
    #[serde(default)]
    pub status_reasons: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed.
    pub updated_at: Timestamp,
    /// When its lists were read.
    pub last_synchronized_at: Option<Timestamp>,
    /// What it was created with.
    pub creation: Option<Creation>,
}

/// A `clientToken`, whose it is, and what came with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Creation {
    /// ARN of who sent it.
    #[serde(default)]
    pub principal: String,
    /// The token.
    pub token: String,
    /// SHA-256 of the other parameters, in hexadecimal digits.
    pub parameters: String,
}

/// `targetType` of a target's configuration: what its innermost arm is called in lists.
const TARGET_TYPES: [(&str, &str, &str); 10] = [
    ("mcp", "openApiSchema", "OPEN_API_SCHEMA"),
    ("mcp", "smithyModel", "SMITHY_MODEL"),
    ("mcp", "lambda", "LAMBDA"),
    ("mcp", "mcpServer", "MCP_SERVER"),
    ("mcp", "apiGateway", "API_GATEWAY"),
    ("mcp", "connector", "CONNECTOR"),
    ("http", "agentcoreRuntime", "AGENTCORE_RUNTIME"),
    ("http", "passthrough", "PASSTHROUGH"),
    ("http", "connector", "HTTP_CONNECTOR"),
    ("inference", "provider", "PROVIDER"),
];

// === impl GatewayObject ===

impl GatewayObject {
    /// `name`.
    pub fn name(&self) -> &str {
        text(&self.input, "name")
    }

    /// What the data plane calls it.
    pub fn served_as(&self) -> &str {
        match self.declared {
            Some(_) => self.name(),
            None => &self.id,
        }
    }

    /// As whom the gateway calls AWS for it: the role that it is served with, or is to be.
    pub fn role(&self) -> GatewayRole {
        let role = text(self.active.as_ref().unwrap_or(&self.input), "roleArn");
        GatewayRole { role: role.into(), gateway: self.id.as_str().into() }
    }

    /// Something is under way.
    pub fn is_changing(&self) -> bool {
        matches!(self.status, GatewayStatus::Creating | GatewayStatus::Updating | GatewayStatus::Deleting)
    }

    /// The members that a reply has besides those that were asked for.
    pub fn describe(&self, arn: &str, url: &str) -> Value {
        let mut out = self.input.clone();
        out.insert("gatewayId".into(), json!(self.id));
        out.insert("gatewayArn".into(), json!(arn));
        out.insert("gatewayUrl".into(), json!(url));
        out.insert("status".into(), json!(self.status));
        out.insert("createdAt".into(), json!(iso(self.created_at)));
        out.insert("updatedAt".into(), json!(iso(self.updated_at)));
        if !self.status_reasons.is_empty() {
            out.insert("statusReasons".into(), json!(self.status_reasons));
        }
        Value::Object(out)
    }
}

impl fmt::Debug for GatewayObject {
    /// Without members: what was sent may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayObject").field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

// === impl TargetObject ===

impl TargetObject {
    /// One that was just asked for, with these members.
    pub fn new(gateway: String, id: String, input: Members, now: Timestamp) -> Self {
        Self {
            gateway,
            id,
            declared: None,
            input,
            active: None,
            active_tools: None,
            untried: true,
            status: TargetStatus::Creating,
            status_reasons: Vec::new(),
            created_at: now,
            updated_at: now,
            last_synchronized_at: None,
            creation: None,
        }
    }

    /// `name`.
    pub fn name(&self) -> &str {
        text(&self.input, "name")
    }

    /// The names that it holds: the one that was asked for, and the one under which it is served until then.
    pub fn names(&self) -> Vec<&str> {
        let mut names = vec![self.name()];
        let served = self.active.as_ref().map(|active| text(active, "name"));
        names.extend(served.filter(|served| *served != self.name()));
        names
    }

    /// Something is under way.
    pub fn is_changing(&self) -> bool {
        matches!(
            self.status,
            TargetStatus::Creating | TargetStatus::Updating | TargetStatus::Deleting | TargetStatus::Synchronizing
        )
    }

    /// Somebody has to allow something first: nothing can be changed until then.
    pub fn is_pending_auth(&self) -> bool {
        matches!(
            self.status,
            TargetStatus::CreatePendingAuth | TargetStatus::UpdatePendingAuth | TargetStatus::SynchronizePendingAuth
        )
    }

    /// `targetType`.
    pub fn target_type(&self) -> Option<&'static str> {
        let configuration = self.input.get("targetConfiguration")?;
        let found = TARGET_TYPES.iter().find(|(family, arm, _)| configuration[family].get(arm).is_some());
        found.map(|(.., word)| *word)
    }

    /// The members of `mcp.mcpServer`.
    pub fn mcp_server(&self) -> Option<&Members> {
        self.input.get("targetConfiguration")?.get("mcp")?.get("mcpServer")?.as_object()
    }

    /// The members that a reply has.
    pub fn describe(&self, gateway_arn: &str) -> Value {
        let mut out = self.input.clone();
        out.entry("credentialProviderConfigurations").or_insert_with(|| json!([]));
        out.insert("gatewayArn".into(), json!(gateway_arn));
        out.insert("targetId".into(), json!(self.id));
        out.insert("status".into(), json!(self.status));
        out.insert("createdAt".into(), json!(iso(self.created_at)));
        out.insert("updatedAt".into(), json!(iso(self.updated_at)));
        if out["targetConfiguration"].get("mcp").is_some() {
            out.insert("protocolType".into(), json!("MCP"));
        }
        if let Some(at) = self.last_synchronized_at {
            out.insert("lastSynchronizedAt".into(), json!(iso(at)));
        }
        if !self.status_reasons.is_empty() {
            out.insert("statusReasons".into(), json!(self.status_reasons));
        }
        Value::Object(out)
    }

    /// A line of a list.
    pub fn summary(&self) -> Value {
        let mut out = self.describe("");
        out["targetType"] = json!(self.target_type());
        if let Some(server) = self.mcp_server() {
            out["listingMode"] = server.get("listingMode").cloned().unwrap_or_else(|| json!("DEFAULT"));
            out["resourcePriority"] = server.get("resourcePriority").cloned().unwrap_or_else(|| json!(1000));
        }
        out
    }
}

impl fmt::Debug for TargetObject {
    /// Without members: an endpoint may hold a key, and a schema is its owner's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TargetObject");
        shown
            .field("gateway", &self.gateway)
            .field("id", &self.id)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// A member that is a string; empty where there is none.
pub fn text<'a>(members: &'a Members, name: &str) -> &'a str {
    members.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// `2026-11-21T10:00:00.000Z`
pub fn iso(at: Timestamp) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(at.0)).to_string()
}

/// A reason that fits its shape.
pub fn reason(text: &str) -> String {
    let end = text.char_indices().nth(MAX_REASON).map_or(text.len(), |(at, _)| at);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_the_words_of_the_model() {
        assert_eq!(json!(GatewayStatus::UpdateUnsuccessful), json!("UPDATE_UNSUCCESSFUL"));
        assert_eq!(json!(TargetStatus::SynchronizePendingAuth), json!("SYNCHRONIZE_PENDING_AUTH"));
    }

    #[test]
    fn times_are_iso_8601() {
        assert_eq!(iso(Timestamp(1_795_255_200_123)), "2026-11-21T10:00:00.123Z");
    }
}
