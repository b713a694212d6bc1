//! Something behind a gateway.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sessiongate_targets::link::LinkLimits;

use super::affinity::Affinity;
use super::gateway::Listing;
use super::pass::Pass;
use super::tools::DeclaredTools;
use crate::config::secret::Secret;
use crate::config::units::{self, Endpoint};

/// Something behind a gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetConfig {
    /// Its name, the prefix of its tools: 1 to 100 letters, digits and hyphens, unique in the gateway. Since 0.1.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9-]{0,99}$"))]
    pub name: String,
    /// An MCP server: `url` for one that is reached over HTTP, `command` for one that is started. Since 0.1.
    pub mcp: McpConfig,
    /// Which era of MCP it is taken for: `auto` asks it. Since 0.1.
    #[serde(default)]
    pub era: Era,
    /// Which requests of clients without sessions (2026-07-28) share a session with a target that has them: `principal`
    /// is all of one principal, `call` none (each has a session of its own), `handle` those to which the model gives the
    /// same handle (a tool of the gateway opens one; needs `listing: default`), `{header: x-conversation}` those with the
    /// same value in that header. Since 0.1.
    #[serde(default)]
    pub affinity: Affinity,
    /// How long one call may take, whatever its progress: 1s to 8h. Since 0.1.
    #[serde(default = "timeout", with = "units::duration")]
    #[schemars(with = "units::duration::Text")]
    pub timeout: Duration,
    /// How long to wait for a connection: 100ms to 5m. Since 0.1.
    #[serde(default = "connect_timeout", with = "units::duration")]
    #[schemars(with = "units::duration::Text")]
    pub connect_timeout: Duration,
    /// How long to wait until the target has answered `initialize`, connecting or starting included: 1s to 10m. Since 0.1.
    #[serde(default = "initialize_timeout", with = "units::duration")]
    #[schemars(with = "units::duration::Text")]
    pub initialize_timeout: Duration,
    /// How long a stream of the target may be silent (comments count) before it is held to be broken and resumed:
    /// 1s to 8h. Since 0.1.
    #[serde(default = "idle_timeout", with = "units::duration")]
    #[schemars(with = "units::duration::Text")]
    pub idle_timeout: Duration,
    /// The largest message that is read from the target, in bytes or with a unit: 1KiB to 1GiB. Since 0.1.
    #[serde(default = "message_limit", with = "units::size")]
    #[schemars(with = "units::size::Text")]
    pub message_limit: u64,
    /// Who wins when two targets offer a resource under the same URI: the lowest, then the one synchronised first.
    /// Since 0.1.
    #[serde(default = "resource_priority")]
    #[schemars(range(max = 1000))]
    pub resource_priority: u16,
    /// When its lists are read: `automatic` is at the start, when it says that they changed, and again after it was down;
    /// `manual` is when somebody asks (`sessiongate sync`). Since 0.1.
    #[serde(default)]
    pub synchronisation: Synchronisation,
    /// Whether its lists come from the catalogue or live from it. Default: as the gateway says. Since 0.1.
    #[serde(default)]
    pub listing: Option<Listing>,
    /// Its tools, as `tools/list` would show them, if it is not to be asked for them: it is never synchronised then, and
    /// offers nothing else. Since 0.1.
    #[serde(default)]
    pub tools: Option<DeclaredTools>,
    /// What passes between clients and this target besides messages. Since 0.1.
    #[serde(default)]
    pub pass: Pass,
    /// Whether `/readyz` waits for this target. Since 0.1.
    #[serde(default = "yes")]
    pub required: bool,
}

/// An MCP server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum McpConfig {
    /// Reached over HTTP.
    Http(HttpTarget),
    /// Started as a process that speaks on its standard input and output.
    Stdio(StdioTarget),
}

/// An MCP server that is reached over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpTarget {
    /// Its MCP endpoint. A key in the query is not shown in logs. Since 0.1.
    pub url: Endpoint,
    /// Headers that are sent with every request. Values are treated as secrets. Since 0.1.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Which transport it speaks. Since 0.1.
    #[serde(default)]
    pub transport: Transport,
}

/// Which transport a server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Streamable HTTP first, then HTTP+SSE if the server refuses.
    #[default]
    Auto,
    /// Streamable HTTP (revision 2025-03-26 and later).
    StreamableHttp,
    /// HTTP+SSE (revision 2024-11-05).
    Sse,
}

/// Which era of MCP a target is taken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Era {
    /// What it answers to `server/discover`; asked again from time to time.
    #[default]
    Auto,
    /// Sessions (up to 2025-11-25), without asking.
    Legacy,
    /// Requests that stand alone (2026-07-28).
    Modern,
}

/// When a target's lists are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Synchronisation {
    /// At the start, when the target says that they changed, and again after it was down.
    #[default]
    Automatic,
    /// When somebody asks.
    Manual,
}

/// An MCP server that is started as a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdioTarget {
    /// The program: a name that is looked up in `PATH`, or a path. No shell is involved. Since 0.1.
    pub command: String,
    /// Its arguments, one by one. Since 0.1.
    #[serde(default)]
    pub args: Vec<String>,
    /// Variables of its environment, besides the few that every program needs (`PATH`, `HOME`, …). Values are treated
    /// as secrets. Since 0.1.
    #[serde(default)]
    pub env: BTreeMap<String, Secret>,
    /// Its working directory. Default: that of the gateway. Since 0.1.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// How many processes there are. Since 0.1.
    #[serde(default)]
    pub mode: ProcessMode,
}

/// How many processes of a stdio server there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessMode {
    /// One for each client session that uses the target, and it ends with the session.
    #[default]
    PerSession,
    /// One for all sessions. Only for servers that keep nothing about their client.
    Shared,
}

// === impl TargetConfig ===

impl TargetConfig {
    /// A target with defaults.
    #[must_use]
    pub fn new(name: impl Into<String>, mcp: McpConfig) -> Self {
        Self {
            name: name.into(),
            mcp,
            era: Era::default(),
            affinity: Affinity::default(),
            timeout: timeout(),
            connect_timeout: connect_timeout(),
            initialize_timeout: initialize_timeout(),
            idle_timeout: idle_timeout(),
            message_limit: message_limit(),
            resource_priority: resource_priority(),
            synchronisation: Synchronisation::default(),
            listing: None,
            tools: None,
            pass: Pass::default(),
            required: true,
        }
    }

    /// Its deadlines and limits, as the targets crate takes them.
    #[must_use]
    pub fn link_limits(&self) -> LinkLimits {
        LinkLimits {
            connect: self.connect_timeout,
            initialize: self.initialize_timeout,
            call: self.timeout,
            message_bytes: usize::try_from(self.message_limit).unwrap_or(usize::MAX),
            idle: self.idle_timeout,
        }
    }
}

// === impl HttpTarget ===

impl HttpTarget {
    /// A server at this URL.
    #[must_use]
    pub fn new(url: Endpoint) -> Self {
        Self { url, headers: BTreeMap::new(), transport: Transport::default() }
    }
}

// === impl StdioTarget ===

impl StdioTarget {
    /// A program with arguments.
    #[must_use]
    pub fn new(command: impl Into<String>, args: Vec<String>) -> Self {
        Self { command: command.into(), args, env: BTreeMap::new(), cwd: None, mode: ProcessMode::default() }
    }
}

fn yes() -> bool {
    true
}

fn timeout() -> Duration {
    Duration::from_secs(15 * 60)
}

fn connect_timeout() -> Duration {
    Duration::from_secs(10)
}

fn initialize_timeout() -> Duration {
    Duration::from_secs(30)
}

fn idle_timeout() -> Duration {
    Duration::from_secs(5 * 60)
}

fn message_limit() -> u64 {
    16 << 20
}

fn resource_priority() -> u16 {
    1000
}
