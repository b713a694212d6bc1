//! Arguments, as clap derives them. The help texts teach by example.

pub mod control;
pub mod gateway;
pub mod target;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use self::gateway::GatewayArgs;
use self::target::TargetArgs;
use crate::client::Era;
use crate::config::{self, Config, ConfigErrors, Flags, LogFormat, Naming};

/// An MCP session gateway: many MCP servers behind one endpoint.
#[derive(Clone, Debug, Parser)]
#[command(name = "sessiongate", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  sessiongate demo                                         try it: a gateway and a small MCP server
  sessiongate serve --target cart=http://127.0.0.1:3001/mcp
  sessiongate serve --config gateway.yaml
  sessiongate check --config gateway.yaml                  is it right, and do its targets answer?
  sessiongate call http://127.0.0.1:8080/mcp add --arg a=1 --arg b=2")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How log lines are written, on standard error; wins over the configuration.
    #[arg(long, global = true, value_enum, env = "SESSIONGATE_LOG_FORMAT", help_heading = "Logging")]
    pub log_format: Option<LogFormat>,
    /// Log more: -v for debug, -vv for trace. RUST_LOG wins.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Logging")]
    pub verbose: u8,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run gateways, from a file or from flags.
    Serve(ServeArgs),
    /// Run a gateway in front of a small built-in MCP server, and say how to connect to it.
    Demo(DemoArgs),
    /// The built-in MCP server itself, on stdin and stdout.
    #[command(hide = true)]
    DemoServer,
    /// Call a tool, as a client: progress, questions, log lines.
    Call(CallArgs),
    /// List what an endpoint offers.
    Ls(LsArgs),
    /// Check a configuration and try its targets.
    Check(CheckArgs),
    /// List sessions, or end one.
    Sessions(SessionsArgs),
    /// Synchronise the catalogues of a running gateway with its targets.
    Sync(SyncArgs),
    /// Create, list, change and delete gateways of a control plane.
    Gateway(GatewayArgs),
    /// Create, list, change, synchronise and delete targets of such gateways.
    Target(TargetArgs),
    /// Print the JSON Schema of the configuration.
    Schema,
    /// Turn an mcpServers file (Claude, Cursor, VS Code) into targets.
    Import(ImportArgs),
    /// Write the store as lines of JSON.
    Export(ExportArgs),
    /// Read lines of JSON, as `export` wrote them, into a store.
    ImportData(ImportDataArgs),
    /// Print completions for a shell.
    #[command(
        after_help = "Example:\n  sessiongate completions bash > ~/.local/share/bash-completion/completions/sessiongate"
    )]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// How lists are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For eyes.
    #[default]
    Human,
    /// For programs.
    Json,
}

/// Where a configuration comes from: a file, or flags that make one gateway.
#[derive(Clone, Debug, Default, Args)]
pub struct SourceArgs {
    /// The configuration file (YAML).
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(required_unless_present_any = ["targets", "mcp_servers"])]
    #[arg(conflicts_with_all = ["targets", "mcp_servers", "path", "naming"])]
    pub config: Option<PathBuf>,
    /// A target, instead of a file; may be given more than once. Targets may be on this machine.
    #[arg(short, long = "target", value_name = "NAME=URL | NAME=stdio:COMMAND ARGS", help_heading = "Without a file")]
    pub targets: Vec<String>,
    /// Targets from a client's mcpServers file (JSON), instead of a file or with --target.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Without a file")]
    pub mcp_servers: Option<PathBuf>,
    /// The path of the endpoint [default: /mcp].
    #[arg(long, help_heading = "Without a file")]
    pub path: Option<String>,
    /// How names are made [default: plain for one target, prefixed for several].
    #[arg(long, value_enum, help_heading = "Without a file")]
    pub naming: Option<Naming>,
    /// Let everyone who reaches the listener call, on an address that is not loopback.
    #[arg(long, help_heading = "Without a file", conflicts_with = "config")]
    pub allow_anonymous: bool,
    /// The address and port to listen on; wins over the file [default: 127.0.0.1:8080].
    #[arg(short, long, value_name = "ADDRESS:PORT", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// The folder of sessions and catalogues; wins over the file [default: ./sessiongate-data].
    #[arg(short, long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
}

/// Run gateways, from a file or from flags.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  sessiongate serve --config gateway.yaml
  sessiongate serve --target cart=https://cart.example/mcp
  sessiongate serve --target cart=http://127.0.0.1:3001/mcp \\
                    --target 'files=stdio:npx -y @modelcontextprotocol/server-filesystem /data'
  sessiongate serve --mcp-servers ~/.config/Claude/claude_desktop_config.json

The file is read again when it changes, and on SIGHUP, which also synchronises the catalogues. A gateway without a file ends on SIGHUP.
SIGTERM ends the process in order: streams are told to come back.")]
pub struct ServeArgs {
    /// The configuration.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Do not read the file again when it changes (SIGHUP still does).
    #[arg(long)]
    pub no_watch: bool,
}

/// Run a demonstration.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Example:
  sessiongate demo
  sessiongate call http://127.0.0.1:8080/mcp order --json '{\"item\": \"tea\"}'      in another terminal")]
pub struct DemoArgs {
    /// The address and port to listen on; port 0 takes a free one.
    #[arg(short, long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = address)]
    pub listen: SocketAddr,
    /// A folder to keep the sessions in [default: a temporary one, removed at the end].
    #[arg(short, long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
}

/// How to reach an endpoint as a client.
#[derive(Clone, Args)]
pub struct ConnectArgs {
    /// The MCP endpoint.
    #[arg(value_hint = ValueHint::Url)]
    pub url: url::Url,
    /// How to talk: `legacy` opens a session, `modern` is revision 2026-07-28, `auto` asks the endpoint for the modern
    /// one first.
    #[arg(long, value_enum, hide_possible_values = true, value_name = "auto|legacy|modern", default_value_t)]
    pub era: Era,
    /// A header to send with every request; may be given more than once.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub headers: Vec<(String, config::Secret)>,
    /// The bearer key or token; better in the variable, where the process list does not show it.
    #[arg(long, value_name = "TOKEN", env = "SESSIONGATE_BEARER", hide_env_values = true, value_parser = secret)]
    pub bearer: Option<config::Secret>,
    /// How long to wait in all, such as 30s or 1h.
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration)]
    pub timeout: Duration,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Call a tool.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  sessiongate call http://127.0.0.1:8080/mcp cart___add --arg item=tea --arg count=2
  sessiongate call http://127.0.0.1:8080/mcp cart___add --json '{\"item\": \"tea\", \"count\": 2}'
  sessiongate call http://127.0.0.1:8080/mcp cart___add --json - < arguments.json
  sessiongate call URL checkout --session shop.session      keep the session, and use it the next time
  sessiongate call URL checkout --era modern                revision 2026-07-28, or an error
  SESSIONGATE_BEARER=… sessiongate call URL TOOL --output json

Questions of the server are asked in the terminal. Ctrl-C cancels the call.
Exit codes: 0 the tool succeeded, 1 it failed, 2 wrong usage, 3 no connection.")]
pub struct CallArgs {
    /// The endpoint.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// The name of the tool.
    pub tool: String,
    /// An argument; its type is that of the tool's schema. May be given more than once.
    #[arg(short, long = "arg", value_name = "NAME=VALUE", value_parser = pair)]
    pub args: Vec<(String, String)>,
    /// All arguments as a JSON object, or - to read it from standard input; --arg adds to it.
    #[arg(short, long, value_name = "OBJECT")]
    pub json: Option<String>,
    /// Keep the session in this file, and go on with the one that is in it. Means --era legacy.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub session: Option<PathBuf>,
    /// The answer to a question of the server, by the name of its field; `url=accept` agrees to a page. May be given
    /// more than once.
    #[arg(long = "answer", value_name = "NAME=VALUE", value_parser = pair)]
    pub answers: Vec<(String, String)>,
    /// Answer questions without asking: accept, with the defaults of the form. URLs are not opened.
    #[arg(short, long)]
    pub yes: bool,
}

/// List what an endpoint offers.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  sessiongate ls http://127.0.0.1:8080/mcp
  sessiongate ls http://127.0.0.1:8080/mcp --era legacy     as a client with a session sees it
  sessiongate ls http://127.0.0.1:8080/mcp --output json | jq '.tools[].name'")]
pub struct LsArgs {
    /// The endpoint.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// Check a configuration.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  sessiongate check --config gateway.yaml
  sessiongate check --config gateway.yaml --offline         without connecting to the targets
  sessiongate check --target cart=http://127.0.0.1:3001/mcp

Each error says file, line, column and key. Exit codes: 0 all is well, 1 a target does not answer, 2 the configuration is wrong.")]
pub struct CheckArgs {
    /// The configuration.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Do not connect to the targets.
    #[arg(long)]
    pub offline: bool,
    /// How long one target may take to answer.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Where the data is.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// The data folder; a gateway that runs on it is asked, else the folder is read.
    #[arg(short, long, global = true, value_name = "FOLDER", default_value = "./sessiongate-data")]
    #[arg(value_hint = ValueHint::DirPath)]
    pub data_dir: PathBuf,
}

/// List sessions, or end one.
#[derive(Clone, Debug, Args)]
#[command(
    args_conflicts_with_subcommands = false,
    after_help = "\
Examples:
  sessiongate sessions                                      of the gateway that runs here, or of its folder
  sessiongate sessions list --data-dir /var/lib/sessiongate
  sessiongate sessions end 3f2a"
)]
pub struct SessionsArgs {
    /// What to do [default: list].
    #[command(subcommand)]
    pub command: Option<SessionsCommand>,
    /// The folder.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How to print.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// What to do with sessions.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum SessionsCommand {
    /// List them.
    List,
    /// End one, and its sessions with the targets.
    End {
        /// Its key as `list` shows it; the beginning is enough if no other begins so.
        key: String,
    },
}

/// Synchronise catalogues.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  sessiongate sync                                          all targets of all gateways
  sessiongate sync --gateway shop --target cart")]
pub struct SyncArgs {
    /// The data folder of the running gateway.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Only this gateway.
    #[arg(short, long, value_name = "NAME")]
    pub gateway: Option<String>,
    /// Only this target of it.
    #[arg(short, long, value_name = "NAME", requires = "gateway")]
    pub target: Option<String>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Turn an mcpServers file into targets.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  sessiongate import ~/.config/Claude/claude_desktop_config.json
  sessiongate import .vscode/mcp.json >> gateway.yaml       then indent it under its gateway
  sessiongate serve --mcp-servers .vscode/mcp.json          without a configuration at all")]
pub struct ImportArgs {
    /// The file; - reads standard input.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Write secrets into the output, instead of references to variables.
    #[arg(long)]
    pub inline_secrets: bool,
}

/// Write the store as lines of JSON.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  sessiongate export --data-dir ./sessiongate-data > backup.ndjson")]
pub struct ExportArgs {
    /// The folder.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Where to write [default: standard output].
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
}

/// Read lines of JSON into a store.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  sessiongate import-data --data-dir ./new-data backup.ndjson")]
pub struct ImportDataArgs {
    /// The folder.
    #[command(flatten)]
    pub store: StoreArgs,
    /// What to read [default: standard input].
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
}

// === impl Cli ===

impl Cli {
    /// The log level that `-v` asks for.
    #[must_use]
    pub fn level(&self) -> Option<&'static str> {
        match self.verbose {
            0 => None,
            1 => Some("debug"),
            _ => Some("trace"),
        }
    }
}

// === impl SourceArgs ===

impl SourceArgs {
    /// Reads the file, or makes a configuration of the flags. Blocking.
    pub fn load(&self) -> Result<Config, ConfigErrors> {
        if let Some(file) = self.file() {
            let mut config = config::load(file)?;
            self.overrule(&mut config);
            let exposed = config::exposed(&config);
            return if exposed.is_empty() { Ok(config) } else { Err(config::ConfigErrors(exposed)) };
        }
        let imported = match &self.mcp_servers {
            Some(file) => {
                let text = config::load::read(file)?;
                config::import::from_mcp_servers(&text).map_err(|errors| errors.in_file(file))?
            }
            None => Vec::new(),
        };
        config::from_flags(&Flags {
            targets: self.targets.clone(),
            imported,
            listen: self.listen,
            path: self.path.clone(),
            data_dir: self.data_dir.clone(),
            naming: self.naming,
            allow_anonymous: self.allow_anonymous,
        })
    }

    /// The file to read and to watch, unless the configuration comes from flags.
    #[must_use]
    pub fn file(&self) -> Option<&std::path::Path> {
        self.config.as_deref()
    }

    /// Puts what flags say over what the file says; to be done after each reload too.
    pub fn overrule(&self, config: &mut Config) {
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        if let Some(folder) = &self.data_dir {
            config.data_dir.clone_from(folder);
        }
    }
}

// === impl ConnectArgs ===

impl std::fmt::Debug for ConnectArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectArgs")
            .field("host", &self.url.host_str())
            .field("headers", &self.headers)
            .field("bearer", &self.bearer)
            .finish_non_exhaustive()
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    config::units::parse_address(text).ok_or_else(|| {
        "write an IP address with a port, such as 127.0.0.1:8080 or 0.0.0.0:8080 (all interfaces)".to_owned()
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    config::units::parse_duration(text).ok_or_else(|| "write a number with a unit, such as 250ms, 30s or 1h".to_owned())
}

fn secret(text: &str) -> Result<config::Secret, std::convert::Infallible> {
    Ok(config::Secret::new(text))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if name.is_empty() { Err("write NAME=VALUE".to_owned()) } else { Ok((name.to_owned(), value.to_owned())) }
}

fn header(text: &str) -> Result<(String, config::Secret), String> {
    let (name, value) = text.split_once(':').ok_or("write 'NAME: VALUE'")?;
    Ok((name.trim().to_owned(), config::Secret::new(value.trim())))
}

#[cfg(test)]
mod tests;
