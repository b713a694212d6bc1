//! `sessiongate target …`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::OutputFormat;
use super::control::{AccessArgs, WaitArgs, switch};

/// Targets of a gateway of a control plane.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  sessiongate target list shop --config gateway.yaml
  sessiongate target create shop cart --url https://cart.example/mcp --wait
  sessiongate target sync shop cart --wait
  sessiongate target update shop cart --url https://new.example/mcp --wait
  sessiongate target get shop cart --output json | jq -r .status
  sessiongate target delete shop cart --wait

A gateway is named by its id, its ARN or its name, a target by its id or its name.
Exit codes: 0 done, 1 the target failed (its statusReasons say why), 2 wrong usage or refused, 3 no answer in time, \
130 Ctrl-C.")]
pub struct TargetArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TargetCommand,
    /// The control plane.
    #[command(flatten)]
    pub access: AccessArgs,
    /// How to print.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// What to do with targets.
#[derive(Clone, Debug, Subcommand)]
pub enum TargetCommand {
    /// Create a target: it is READY when its lists are read.
    Create(Box<TargetCreateArgs>),
    /// List the targets of a gateway.
    List {
        /// Id, ARN or name of the gateway.
        #[arg(value_name = "GATEWAY")]
        gateway: String,
    },
    /// Show a target.
    Get(TargetName),
    /// Change a target: what is not named stays as it is.
    Update(Box<TargetUpdateArgs>),
    /// Delete a target.
    Delete {
        /// Which.
        #[command(flatten)]
        target: TargetName,
        /// Whether to wait.
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Read the lists of a target again.
    Sync {
        /// Which.
        #[command(flatten)]
        target: TargetName,
        /// Whether to wait.
        #[command(flatten)]
        wait: WaitArgs,
    },
}

/// A target and its gateway.
#[derive(Clone, Debug, Args)]
pub struct TargetName {
    /// Id, ARN or name of the gateway.
    #[arg(value_name = "GATEWAY")]
    pub gateway: String,
    /// Id or name of the target.
    #[arg(value_name = "TARGET")]
    pub target: String,
}

/// Create a target.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  sessiongate target create shop cart --url https://cart.example/mcp --wait
  sessiongate target create shop cart --url https://cart.example/mcp --dynamic \\
              --pass-request-header X-Tenant
  sessiongate target create shop cart --url https://cart.example/mcp --schema tools.json
  sessiongate target create shop cart --from target.yaml

Without --wait the target is CREATING when the command ends; `sessiongate target get shop cart` shows what became \
of it.")]
pub struct TargetCreateArgs {
    /// Id, ARN or name of the gateway.
    #[arg(value_name = "GATEWAY")]
    pub gateway: String,
    /// The name of the target: its tools are called NAME___TOOL.
    pub name: String,
    /// Its members.
    #[command(flatten)]
    pub members: TargetMemberArgs,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Change a target.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  sessiongate target update shop cart --url https://new.example/mcp --wait
  sessiongate target update shop cart --name basket
  sessiongate target update shop cart --schema ''           takes the static schema away
  sessiongate target update shop cart --pass-request-header ''

An update of the API replaces everything. This command reads the target first and changes only what you say: the rest \
stays as it is. A list (--pass-…) takes the place of the whole list that was there.")]
pub struct TargetUpdateArgs {
    /// Which.
    #[command(flatten)]
    pub target: TargetName,
    /// Another name for it.
    #[arg(long = "name", value_name = "NAME")]
    pub new_name: Option<String>,
    /// Its members.
    #[command(flatten)]
    pub members: TargetMemberArgs,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Members of a target, as flags. An empty text takes a member away.
#[derive(Clone, Debug, Default, Args)]
pub struct TargetMemberArgs {
    /// The MCP endpoint.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub url: Option<String>,
    /// Ask the target for its lists each time, as the caller, instead of keeping them.
    #[arg(long, overrides_with = "no_dynamic")]
    pub dynamic: bool,
    /// Keep its lists.
    #[arg(long)]
    pub no_dynamic: bool,
    /// Its tools, instead of asking it: a file with the result of tools/list or with a list of tools (JSON), or
    /// s3://BUCKET/KEY.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub schema: Option<String>,
    /// Which target gets a resource that several have: the lowest number, 0 to 1000.
    #[arg(long, value_name = "N")]
    pub priority: Option<u32>,
    /// For people.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// A header of the client that the target gets; may be given more than once.
    #[arg(long, value_name = "NAME", help_heading = "What passes")]
    pub pass_request_header: Vec<String>,
    /// A query parameter of the client that the target gets; may be given more than once.
    #[arg(long, value_name = "NAME", help_heading = "What passes")]
    pub pass_query_parameter: Vec<String>,
    /// A header of the target that the client gets; may be given more than once.
    #[arg(long, value_name = "NAME", help_heading = "What passes")]
    pub pass_response_header: Vec<String>,
    /// Members as the API has them, in JSON or YAML; - reads standard input. Flags win. What `get --output json` prints
    /// can be read too.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub from: Option<PathBuf>,
}

// === impl TargetMemberArgs ===

impl TargetMemberArgs {
    /// `--dynamic` or `--no-dynamic`.
    #[must_use]
    pub fn dynamic(&self) -> Option<bool> {
        switch(self.dynamic, self.no_dynamic)
    }
}
