//! The control plane.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::secret::Secret;
use crate::config::units;

/// Where gateways and targets are created by requests, as AgentCore's clients (boto3's `bedrock-agentcore-control`) send
/// them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ControlConfig {
    /// The address and port to listen on. Since 0.1.
    #[serde(with = "units::address")]
    #[schemars(with = "units::address::Text")]
    pub listen: SocketAddr,
    /// The access keys that may sign requests. Since 0.1.
    pub credentials: Vec<AccessKey>,
    /// The account that ARNs name: twelve digits. Since 0.1.
    #[schemars(regex(pattern = r"^[0-9]{12}$"))]
    pub account: String,
    /// The region that ARNs name. Since 0.1.
    #[schemars(regex(pattern = r"^[a-z0-9-]{1,20}$"))]
    pub region: String,
    /// What may be used at most. Since 0.1.
    pub quotas: Quotas,
}

/// An access key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// Its id: 16 to 128 letters and digits. Since 0.1.
    #[schemars(regex(pattern = r"^\w{16,128}$"))]
    pub access_key_id: String,
    /// Its secret, best as a reference: `"${CONTROL_SECRET}"`. Since 0.1.
    pub secret_access_key: Secret,
    /// The session token that requests must carry. Default: none. Since 0.1.
    #[serde(default)]
    pub session_token: Option<Secret>,
    /// Who signs with it: the ARN of a user or of a role's session. Default: `arn:aws:iam::{account}:root`. Since 0.1.
    #[serde(default)]
    pub principal: Option<String>,
    /// What it may do: actions such as `bedrock-agentcore:GetGateway`, `bedrock-agentcore:List*`. Default: everything.
    /// Since 0.1.
    #[serde(default = "everything")]
    pub permissions: Vec<String>,
}

/// What may be used at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Gateways. Since 0.1.
    pub gateways: u32,
    /// Targets of one gateway. Since 0.1.
    pub targets_per_gateway: u32,
    /// Tools of one target. Since 0.1.
    pub tools_per_target: u32,
    /// The longest name of a tool of a gateway that was created here, in characters, with that of its target before it.
    /// Since 0.1.
    #[schemars(range(min = 32, max = 1024))]
    pub tool_name: u32,
    /// How long a call of a gateway that was created here may take: 1s to 8h. Since 0.1.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::duration::Text")]
    pub invocation_timeout: Duration,
    /// Targets of one gateway that are created, changed, deleted or synchronised at once. Since 0.1.
    pub concurrent_target_operations: u32,
    /// The largest schema within a request, in bytes or with a unit. Since 0.1.
    #[serde(with = "units::size")]
    #[schemars(with = "units::size::Text")]
    pub inline_schema: u64,
    /// The largest schema that is fetched, in bytes or with a unit. Since 0.1.
    #[serde(with = "units::size")]
    #[schemars(with = "units::size::Text")]
    pub fetched_schema: u64,
    /// Requests a second that change something. Since 0.1.
    pub changes_per_second: u32,
    /// Requests a second that only read. Since 0.1.
    pub reads_per_second: u32,
    /// Calls a second of one gateway that was created here. Since 0.1.
    pub calls_per_second: u32,
    /// Calls a second of all gateways that were created here together. Since 0.1.
    pub calls_per_second_in_all: u32,
    /// Searches for tools a minute of one gateway that was created here. Since 0.1.
    pub searches_per_minute: u32,
    /// Connections to the data plane at once. Since 0.1.
    pub connections: u32,
}

// === impl ControlConfig ===

impl Default for ControlConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            credentials: Vec::new(),
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            quotas: Quotas::default(),
        }
    }
}

// === impl Quotas ===

impl Default for Quotas {
    fn default() -> Self {
        Self {
            gateways: 1000,
            targets_per_gateway: 100,
            tools_per_target: 1000,
            tool_name: 256,
            invocation_timeout: Duration::from_secs(15 * 60),
            concurrent_target_operations: 5,
            inline_schema: 1_000_000,
            fetched_schema: 10_000_000,
            changes_per_second: 5,
            reads_per_second: 10,
            calls_per_second: 200,
            calls_per_second_in_all: 200,
            searches_per_minute: 25,
            connections: 5000,
        }
    }
}

fn everything() -> Vec<String> {
    vec!["bedrock-agentcore:*".to_owned()]
}
