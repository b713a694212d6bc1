//! `sessiongate gateway …`

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::control::{AccessArgs, WaitArgs, switch};
use super::{OutputFormat, duration, pair};

/// Gateways of a control plane.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  sessiongate gateway list --config gateway.yaml
  sessiongate gateway create shop --authorizer none --sessions 1h --wait
  sessiongate gateway update shop --sessions off --wait
  sessiongate gateway get shop --output json | jq -r .gatewayUrl
  sessiongate gateway delete shop --wait

A gateway is named by its id, its ARN or its name.
Exit codes: 0 done, 1 the gateway could not be made or changed, 2 wrong usage or refused, 3 no answer in time, \
130 Ctrl-C.")]
pub struct GatewayArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: GatewayCommand,
    /// The control plane.
    #[command(flatten)]
    pub access: AccessArgs,
    /// How to print.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// What to do with gateways.
#[derive(Clone, Debug, Subcommand)]
pub enum GatewayCommand {
    /// Create a gateway.
    Create(Box<GatewayCreateArgs>),
    /// List all gateways.
    List,
    /// Show a gateway.
    Get {
        /// Its id, ARN or name.
        #[arg(value_name = "GATEWAY")]
        gateway: String,
    },
    /// Change a gateway: what is not named stays as it is.
    Update(Box<GatewayUpdateArgs>),
    /// Delete a gateway, which must have no targets.
    Delete {
        /// Its id, ARN or name.
        #[arg(value_name = "GATEWAY")]
        gateway: String,
        /// Whether to wait.
        #[command(flatten)]
        wait: WaitArgs,
    },
}

/// Create a gateway.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  sessiongate gateway create shop --authorizer none --sessions 1h --streaming --wait
  sessiongate gateway create shop --authorizer iam --tag team=a --tag stage=test
  sessiongate gateway create shop --audience shop \\
              --discovery-url https://id.example/.well-known/openid-configuration
  sessiongate gateway create shop --from gateway.json --description 'for the test'

What is not said has the default of the API: no sessions, no streaming, general error texts.")]
pub struct GatewayCreateArgs {
    /// Its name: up to 48 letters, digits and single hyphens.
    pub name: String,
    /// Its members.
    #[command(flatten)]
    pub members: GatewayMemberArgs,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Change a gateway.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  sessiongate gateway update shop --sessions 2h --wait
  sessiongate gateway update shop --description ''          takes the description away
  sessiongate gateway update shop --no-streaming --no-debug
  sessiongate gateway update shop --from gateway.yaml       the file's members in place of the gateway's

An update of the API replaces everything. This command reads the gateway first and changes only what you say: the rest \
stays as it is. A list (--audience, --client, --scope) takes the place of the whole list that was there.")]
pub struct GatewayUpdateArgs {
    /// Its id, ARN or name.
    #[arg(value_name = "GATEWAY")]
    pub gateway: String,
    /// Its members.
    #[command(flatten)]
    pub members: GatewayMemberArgs,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Who may call a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuthorizerKind {
    /// Anybody.
    None,
    /// Whoever signs with an access key.
    Iam,
    /// Whoever has a token of an identity provider that the rules allow.
    Jwt,
    /// Whoever has a token of an identity provider.
    AuthenticateOnly,
}

/// Whether a gateway keeps sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionsWish {
    /// Not at all.
    Off,
    /// For so long.
    Last(Duration),
}

/// Members of a gateway, as flags. An empty text takes a member away.
#[derive(Clone, Debug, Default, Args)]
pub struct GatewayMemberArgs {
    /// Who may call it: anybody, who signs with an access key, who has a token that the rules allow, who has a token.
    #[arg(long, value_enum, hide_possible_values = true, value_name = "none|iam|jwt|authenticate-only")]
    #[arg(help_heading = "Who may call")]
    pub authorizer: Option<AuthorizerKind>,
    /// The identity provider's OpenID configuration, or its RFC 8414 document. Means --authorizer jwt.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, help_heading = "Who may call")]
    pub discovery_url: Option<String>,
    /// An audience (`aud`) that tokens may have; may be given more than once.
    #[arg(long, help_heading = "Who may call")]
    pub audience: Vec<String>,
    /// A client (`client_id`) that tokens may be of; may be given more than once.
    #[arg(long, value_name = "ID", help_heading = "Who may call")]
    pub client: Vec<String>,
    /// A scope of which tokens must have one; may be given more than once.
    #[arg(long, help_heading = "Who may call")]
    pub scope: Vec<String>,
    /// How long a session lasts, 15m to 8h, or off.
    #[arg(long, value_name = "DURATION|off", value_parser = sessions)]
    pub sessions: Option<SessionsWish>,
    /// Answer as a stream: progress and questions of targets reach clients.
    #[arg(long, overrides_with = "no_streaming")]
    pub streaming: bool,
    /// Answer with one JSON document.
    #[arg(long)]
    pub no_streaming: bool,
    /// What clients tell their model about the gateway.
    #[arg(long, value_name = "TEXT")]
    pub instructions: Option<String>,
    /// For people.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// The role it acts as [default: arn:aws:iam::{account}:role/sessiongate].
    #[arg(long, value_name = "ARN")]
    pub role: Option<String>,
    /// Tell clients in detail what went wrong.
    #[arg(long, overrides_with = "no_debug")]
    pub debug: bool,
    /// Tell clients only that something went wrong.
    #[arg(long)]
    pub no_debug: bool,
    /// Offer a tool that searches the tools.
    #[arg(long, overrides_with = "no_search")]
    pub search: bool,
    /// Do not.
    #[arg(long)]
    pub no_search: bool,
    /// A tag; may be given more than once.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = pair)]
    pub tags: Vec<(String, String)>,
    /// Members as the API has them, in JSON or YAML; - reads standard input. Flags win. What `get --output json` prints
    /// can be read too.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub from: Option<PathBuf>,
}

// === impl GatewayMemberArgs ===

impl GatewayMemberArgs {
    /// `--streaming` or `--no-streaming`.
    #[must_use]
    pub fn streaming(&self) -> Option<bool> {
        switch(self.streaming, self.no_streaming)
    }

    /// `--debug` or `--no-debug`.
    #[must_use]
    pub fn debug(&self) -> Option<bool> {
        switch(self.debug, self.no_debug)
    }

    /// `--search` or `--no-search`.
    #[must_use]
    pub fn search(&self) -> Option<bool> {
        switch(self.search, self.no_search)
    }
}

fn sessions(text: &str) -> Result<SessionsWish, String> {
    match text {
        "off" => Ok(SessionsWish::Off),
        text => duration(text).map(SessionsWish::Last).map_err(|why| format!("{why}; or off")),
    }
}
