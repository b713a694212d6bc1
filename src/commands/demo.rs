//! `sessiongate demo`: a gateway in front of a small MCP server of its own.

use std::io::Write;
use std::process::ExitCode;

use super::{USAGE, fail, serve};
use crate::cli::args::DemoArgs;
use crate::config::{self, Config, Era, GatewayConfig, LogConfig, McpConfig, StdioTarget, TargetConfig};
use crate::demo::connect_hint;
use crate::gateway::{self, Ready};

/// The hidden command that the gateway starts as its target.
const SERVER: &str = "demo-server";

pub(super) async fn run(args: &DemoArgs, log: impl Fn(LogConfig) -> LogConfig) -> ExitCode {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return fail(1, &error),
    };
    let Some(program) = program.to_str() else { return fail(1, &"the program's path is not UTF-8") };
    let target = StdioTarget::new(program, vec![SERVER.to_owned()]);
    let mut gateway = GatewayConfig::new("demo");
    gateway.path = Some(config::flags::GATEWAY_PATH.to_owned());
    gateway.naming = config::Naming::Plain;
    // It asks its questions in the middle of a call, which only a session can carry.
    gateway.targets.push(TargetConfig { era: Era::Legacy, ..TargetConfig::new("demo", McpConfig::Stdio(target)) });
    let mut config = Config { listen: args.listen, gateways: vec![gateway], ..Config::default() };
    match &args.data_dir {
        Some(folder) => config.data_dir.clone_from(folder),
        None => config.data_dir = std::env::temp_dir().join(format!("sessiongate-demo-{}", std::process::id())),
    }
    let errors = config::validate(&config);
    if !errors.is_empty() {
        return fail(USAGE, &config::ConfigErrors(errors));
    }
    let _log = gateway::init_logging(&log(LogConfig { level: "warn".to_owned(), ..config.log.clone() }));
    let folder = config.data_dir.clone();
    let code = serve::start(config, None, Box::new(print_ready)).await;
    if args.data_dir.is_none() {
        let _ = std::fs::remove_dir_all(folder);
    }
    code
}

fn print_ready(ready: &Ready) {
    let mut out = std::io::stdout().lock();
    for (path, _) in &ready.endpoints {
        let _ = writeln!(out, "{}", connect_hint(&format!("{}{path}", ready.base_url)));
    }
    let _ = out.flush();
}

/// The server itself, on stdin and stdout.
pub(super) async fn serve_stdio() -> ExitCode {
    match crate::demo::serve_stdio().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}
