//! What the commands of the control plane have in common.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::duration;
use crate::control_client::Asked;

/// How to reach the control plane, and how to print what it answers.
#[derive(Clone, Debug, Default, Args)]
pub struct AccessArgs {
    /// The control plane. Without it: `control.listen` of --config, SESSIONGATE_CONTROL,
    /// AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL, or http://127.0.0.1:8081.
    #[arg(long, global = true, value_name = "URL", value_hint = ValueHint::Url, help_heading = "Control plane")]
    pub endpoint: Option<url::Url>,
    /// The gateway's configuration file: it has the address and an access key. Without it, or with another address, the
    /// key is that of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
    #[arg(short, long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(help_heading = "Control plane")]
    pub config: Option<PathBuf>,
    /// The region to sign for. Without it: AWS_REGION, AWS_DEFAULT_REGION, `control.region` of the file, or us-east-1.
    #[arg(long, global = true, value_name = "REGION", help_heading = "Control plane")]
    pub region: Option<String>,
}

/// Whether to wait until a change is carried out.
#[derive(Clone, Debug, Args)]
pub struct WaitArgs {
    /// Wait until it is carried out, and show how far it is. Ctrl-C ends the waiting and nothing else.
    #[arg(short, long)]
    pub wait: bool,
    /// How long to wait at most, such as 30s or 1h.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub timeout: Duration,
}

// === impl AccessArgs ===

impl AccessArgs {
    /// The same for the client.
    #[must_use]
    pub fn asked(&self) -> Asked {
        Asked { endpoint: self.endpoint.clone(), config: self.config.clone(), region: self.region.clone() }
    }
}

// === impl WaitArgs ===

impl WaitArgs {
    /// How long to wait; `None` for not at all.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        self.wait.then_some(self.timeout)
    }
}

/// What is said twice, once for and once against: the last one counts. `None` if neither was said.
pub(super) fn switch(on: bool, off: bool) -> Option<bool> {
    (on || off).then_some(on)
}
