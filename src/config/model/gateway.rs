//! One endpoint.

use std::borrow::Cow;
use std::time::Duration;

use aws_lc_rs::digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sessiongate_targets::aws::GatewayRole;

use super::authorizer::Authorizer;
use super::interceptor::InterceptorConfig;
use super::session::Sessions;
use super::target::TargetConfig;
use crate::config::secret::Secret;
use crate::config::units;

/// One endpoint in front of its targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// Its name: 1 to 48 lower-case letters, digits and hyphens, unique in the file. Since 0.1.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$"))]
    pub name: String,
    /// The path of its MCP endpoint, unique in the file. Default: `/gateways/{name}/mcp`. Since 0.1.
    #[serde(default)]
    pub path: Option<String>,
    /// How names of tools and prompts are made. Since 0.1.
    #[serde(default)]
    pub naming: Naming,
    /// Whether the lists of targets that do not say it themselves come from the catalogue or from the targets. Pages of the
    /// catalogue come first, then those of the targets. Since 0.1.
    #[serde(default)]
    pub listing: Listing,
    /// How long sessions live and how much one may hold; `off` for stateless. Since 0.1.
    #[serde(default)]
    pub sessions: Sessions,
    /// Whether answers may be SSE streams. Without: JSON answers only, so no progress and no questions. Since 0.1.
    #[serde(default = "yes")]
    pub streaming: bool,
    /// How often a comment is sent on a quiet SSE stream, so that proxies keep it open: 1s to 10m. Since 0.1.
    #[serde(default = "keep_alive", with = "units::duration")]
    #[schemars(with = "units::duration::Text")]
    pub keep_alive: Duration,
    /// Ends the SSE stream of a long call from time to time and lets the client come back for the rest (clients of
    /// revision 2025-11-25 only). For proxies that cut long responses. Default: streams stay open. Since 0.1.
    #[serde(default)]
    pub sse_polling: Option<SsePolling>,
    /// What the model is told about this endpoint (`instructions` of the `initialize` result). Since 0.1.
    #[serde(default)]
    pub instructions: Option<String>,
    /// Who may call. On a listener that is not loopback, `none` without API keys needs `allow_anonymous`. Since 0.1.
    #[serde(default)]
    pub authorizer: Authorizer,
    /// Everyone who reaches the listener may call a gateway that asks nobody who they are. Since 0.1.
    #[serde(default)]
    pub allow_anonymous: bool,
    /// What clients are told of failures of targets and of the gateway on the way to them. What a target answers itself, its
    /// errors too, is passed on as it is. Since 0.1.
    #[serde(default)]
    pub exception_level: ExceptionLevel,
    /// The revisions of MCP that are served, such as `2025-11-25`. Default: all that the gateway speaks. Since 0.1.
    #[serde(default)]
    pub supported_versions: Vec<String>,
    /// Whether lists of the catalogue come in pages of a hundred; else each is one page. Since 0.1.
    #[serde(default = "yes")]
    pub pagination: bool,
    /// Hosts (values of `Host` without a port) at which this gateway is served under `/mcp`, besides its path. Since 0.1.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Bearer keys that open this gateway; the name of a key is the principal. Default: no key, everyone is the same
    /// anonymous principal. Since 0.1.
    #[serde(default)]
    pub api_keys: Vec<ApiKey>,
    /// Code of the operator's that sees requests and answers, and may change or refuse them. Default: none. Since 0.1.
    #[serde(default)]
    #[schemars(length(max = 2))]
    pub interceptors: Vec<InterceptorConfig>,
    /// The longest name of a tool or prompt that clients are shown; a longer one is cut and gets a hash, always the same
    /// one. Some clients refuse names of more than 64 characters. A single client can ask for a limit of its own with
    /// `?max_name_length=64` in its URL. Default: names are shown whole. Since 0.1.
    #[serde(default)]
    #[schemars(range(min = 32, max = 1024))]
    pub max_name_length: Option<u16>,
    /// Requests that are answered in a second; one more is answered with 429. Default: no bound; a gateway of the control
    /// plane has `calls_per_second` of its quotas. Since 0.1.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub calls_per_second: Option<u32>,
    /// Whether clients get a tool `x_amz_bedrock_agentcore_search` that finds tools by the words of their names,
    /// descriptions and parameters. What targets with the listing `dynamic` offer is not found. Since 0.1.
    #[serde(default)]
    pub search: bool,
    /// Calls of that tool that are answered in a minute; one more is answered with 429. Default: no bound; a gateway of the
    /// control plane has `searches_per_minute` of its quotas. Since 0.1.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub searches_per_minute: Option<u32>,
    /// What is behind it, at least one. Since 0.1.
    pub targets: Vec<TargetConfig>,
    /// The ARN of its role, as which the gateway calls AWS for it. Gateways of a file have none: they are the operator's.
    #[serde(skip)]
    pub role: Option<String>,
}

/// How names of tools and prompts are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Naming {
    /// `target___tool`.
    #[default]
    Prefixed,
    /// As the targets call them. A name that two targets offer is an error when they are synchronised.
    Plain,
}

/// Whether lists come from the catalogue or from the targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Listing {
    /// From the stored catalogue, without touching the targets.
    #[default]
    Default,
    /// Live from the targets, for each caller, never cached.
    Dynamic,
}

/// What clients are told of failures of targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExceptionLevel {
    /// What went wrong, in the result's text and its `_meta.debug`.
    #[default]
    Debug,
    /// That something went wrong, with a reference under which the gateway's log has the rest.
    General,
}

/// When the gateway ends a stream by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SsePolling {
    /// How long a stream stays open: 1s to 1h. Since 0.1.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::duration::Text")]
    pub close_after: Duration,
    /// How long the client is told to wait before it comes back: up to 5m. Since 0.1.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::duration::Text")]
    pub retry: Duration,
}

/// A bearer key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Whose key it is; appears in logs as a hash. Unique in the gateway. Since 0.1.
    pub name: String,
    /// The key, or `sha256:` and its SHA-256 in 64 hexadecimal digits (`printf %s "$KEY" | sha256sum`); best as a
    /// reference: `"${SHOP_KEY}"`. Since 0.1.
    pub key: Secret,
}

/// What stands before the hash of a key. No key begins so: a bearer token has no colon (RFC 6750, 2.1).
const HASHED: &str = "sha256:";

// === impl GatewayConfig ===

impl GatewayConfig {
    /// A gateway with defaults and without targets.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            path: None,
            naming: Naming::default(),
            listing: Listing::default(),
            sessions: Sessions::default(),
            streaming: true,
            keep_alive: keep_alive(),
            sse_polling: None,
            instructions: None,
            authorizer: Authorizer::default(),
            allow_anonymous: false,
            exception_level: ExceptionLevel::default(),
            supported_versions: Vec::new(),
            pagination: true,
            hosts: Vec::new(),
            api_keys: Vec::new(),
            interceptors: Vec::new(),
            max_name_length: None,
            calls_per_second: None,
            search: false,
            searches_per_minute: None,
            targets: Vec::new(),
            role: None,
        }
    }

    /// The path of the MCP endpoint.
    #[must_use]
    pub fn endpoint_path(&self) -> Cow<'_, str> {
        match &self.path {
            Some(path) => Cow::Borrowed(path),
            None => Cow::Owned(format!("/gateways/{}/mcp", self.name)),
        }
    }

    /// As whom the gateway calls AWS for it; none where as itself.
    #[must_use]
    pub fn role(&self) -> Option<GatewayRole> {
        let role = self.role.as_deref()?;
        Some(GatewayRole { role: role.into(), gateway: self.name.as_str().into() })
    }

    /// The target of this name.
    #[must_use]
    pub fn target(&self, name: &str) -> Option<&TargetConfig> {
        self.targets.iter().find(|target| target.name == name)
    }
}

// === impl ApiKey ===

impl ApiKey {
    /// The SHA-256 of the key, by which it is found. None where `sha256:` stands before something else.
    #[must_use]
    pub fn digest(&self) -> Option<[u8; 32]> {
        match self.key.expose().strip_prefix(HASHED) {
            Some(digits) => {
                let mut digest = [0; 32];
                hex::decode_to_slice(digits, &mut digest).ok()?;
                Some(digest)
            }
            None => Some(Self::digest_of(self.key.expose())),
        }
    }

    /// The same of a key that somebody presents.
    #[must_use]
    pub fn digest_of(presented: &str) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(digest::digest(&digest::SHA256, presented.as_bytes()).as_ref());
        digest
    }

    /// Its hash stands there, not the key itself.
    #[must_use]
    pub fn is_hashed(&self) -> bool {
        self.key.expose().starts_with(HASHED)
    }
}

// === impl SsePolling ===

impl Default for SsePolling {
    fn default() -> Self {
        Self { close_after: Duration::from_secs(60), retry: Duration::from_secs(1) }
    }
}

fn yes() -> bool {
    true
}

fn keep_alive() -> Duration {
    Duration::from_secs(15)
}
