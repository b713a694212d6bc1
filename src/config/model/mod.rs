//! The configuration as types. `docs/configuration.md` and the JSON Schema are made from the comments of the fields, so
//! each says what it is, in which unit, and since when.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

pub mod affinity;
pub mod authorizer;
pub mod aws;
pub mod control;
pub mod gateway;
pub mod interceptor;
pub mod pass;
pub mod role;
pub mod session;
pub mod target;
pub mod tools;

use crate::config::units::{self, Endpoint};
pub use affinity::Affinity;
pub use authorizer::{Authorizer, ClaimOperator, ClaimType, CustomClaim, JwtAuthorizer};
pub use aws::AwsConfig;
pub use control::{AccessKey, ControlConfig, Quotas};
pub use gateway::{ApiKey, ExceptionLevel, GatewayConfig, Listing, Naming, SsePolling};
pub use interceptor::{InterceptionPoint, InterceptorConfig};
pub use pass::Pass;
pub use role::{RoleAccessKey, RoleConfig};
pub use session::{EventLimits, SessionSettings, Sessions};
pub use target::{Era, HttpTarget, McpConfig, ProcessMode, StdioTarget, Synchronisation, TargetConfig, Transport};
pub use tools::DeclaredTools;

/// What one process of sessiongate serves, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address and port to listen on. Loopback unless said otherwise; `0.0.0.0:8080` means all interfaces.
    /// A change needs a restart. Since 0.1.
    #[serde(with = "units::address")]
    #[schemars(with = "units::address::Text")]
    pub listen: SocketAddr,
    /// The URL under which clients see this process, without the paths of the gateways. Default: `http://` and `listen`.
    /// A change needs a restart. Since 0.1.
    pub public_url: Option<Endpoint>,
    /// The folder of sessions, event logs and catalogues, relative to the working directory; created when missing.
    /// A change needs a restart. Since 0.1.
    pub data_dir: PathBuf,
    /// Networks that targets may resolve to besides public addresses, such as `127.0.0.0/8` or `10.1.2.3`. All other
    /// private, link-local and metadata addresses are refused. Since 0.1.
    #[serde(with = "units::networks")]
    #[schemars(with = "units::networks::Text")]
    pub allow_private_networks: Vec<IpNet>,
    /// Origins (`https://app.example`) from which browsers may call, besides that of `public_url`. `*` allows all.
    /// On a loopback listener, loopback origins are allowed too. Since 0.1.
    pub allowed_origins: Vec<String>,
    /// Values of `Host` (`gw.example` or `gw.example:8443`) that are answered, besides that of `public_url`. `*` allows
    /// all. Empty: a loopback listener answers to loopback names only, any other listener to all. Since 0.1.
    pub allowed_hosts: Vec<String>,
    /// The largest request body, in bytes or with a unit (`6MB`, `6MiB`); a larger one is refused with 413. Since 0.1.
    #[serde(with = "units::size")]
    #[schemars(with = "units::size::Text")]
    pub body_limit: u64,
    /// What a stored session survives. A change needs a restart. Since 0.1.
    pub durability: Durability,
    /// Log lines, on standard error. A change needs a restart. Since 0.1.
    pub log: LogConfig,
    /// How long open calls and streams have to end after SIGTERM before the process exits. Since 0.1.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::duration::Text")]
    pub shutdown_timeout: Duration,
    /// Bounds of the whole process. A change needs a restart. Since 0.1.
    pub limits: Limits,
    /// Where gateways are created by requests. Default: nowhere. A change needs a restart. Since 0.1.
    pub control: Option<ControlConfig>,
    /// Where hosts are that requests of the gateway's own go to (identity providers, Lambda, S3, STS), if not where their
    /// names say: a mirror, LocalStack, a test. The key is a host, or a service of AWS (`lambda`, `s3`, `sts`) for all its
    /// hosts, or the ARN of a function, which is then asked over plain HTTP with the same JSON; the value a URL, which may
    /// be private. What stands in the place of `lambda`, `s3` or `sts` gets the gateway's signed calls and nothing else;
    /// any other host is asked for whatever a discovery URL, or the document there, names below its URL. Targets are not
    /// looked for here. Since 0.1.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// As whom the gateway calls AWS: functions that intercept, schemas in S3. Default: the key of the environment
    /// (`AWS_ACCESS_KEY_ID` and its like), whatever the roles of gateways are. Since 0.1.
    pub aws: Option<AwsConfig>,
    /// The endpoints, at least one unless there is a control plane. Since 0.1.
    pub gateways: Vec<GatewayConfig>,
}

/// What a stored session survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Nothing: it is in memory first and written later.
    None,
    /// The death of the process: it was handed to the operating system.
    #[default]
    ProcessCrash,
    /// A power cut: it was flushed to the disk.
    Disk,
}

/// Log lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// How a line is written. The flag `--log-format` wins. Since 0.1.
    pub format: LogFormat,
    /// Which lines are written: a level (`error`, `warn`, `info`, `debug`, `trace`), or levels by module
    /// (`info,sessiongate_actors=debug`). The flag `-v` and the variable `RUST_LOG` win. Since 0.1.
    pub level: String,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For eyes.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Bounds of the whole process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Sessions of all gateways, live and stored. `initialize` over it is answered with 503. Since 0.1.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub sessions: u32,
    /// Processes of stdio targets at once, over all sessions. A call over it fails and says so. Since 0.1.
    #[schemars(range(min = 1, max = 100_000))]
    pub stdio_processes: u32,
    /// Connections of clients at once; a request on one more is answered with 429. Default: `connections` of the control
    /// plane's quotas, or no bound where there is no control plane. Since 0.1.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub connections: Option<u32>,
}

// === impl Config ===

impl Config {
    /// Where clients find this process: `public_url`, or `http://` and the address.
    #[must_use]
    pub fn public_url(&self) -> Option<Url> {
        match &self.public_url {
            Some(endpoint) => Some(endpoint.url().clone()),
            None => Url::parse(&format!("http://{}/", self.listen)).ok(),
        }
    }

    /// The gateway of this name.
    #[must_use]
    pub fn gateway(&self, name: &str) -> Option<&GatewayConfig> {
        self.gateways.iter().find(|gateway| gateway.name == name)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            public_url: None,
            data_dir: PathBuf::from("./sessiongate-data"),
            allow_private_networks: Vec::new(),
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            body_limit: 6_000_000,
            durability: Durability::default(),
            log: LogConfig::default(),
            shutdown_timeout: Duration::from_secs(10),
            limits: Limits::default(),
            control: None,
            endpoints: BTreeMap::new(),
            aws: None,
            gateways: Vec::new(),
        }
    }
}

// === impl Durability ===

impl From<Durability> for sessiongate_storage::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::None => Self::None,
            Durability::ProcessCrash => Self::ProcessCrash,
            Durability::Disk => Self::Disk,
        }
    }
}

// === impl LogConfig ===

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::default(), level: "info".to_owned() }
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self { sessions: 100_000, stdio_processes: 64, connections: None }
    }
}
