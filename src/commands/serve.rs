//! `sessiongate serve`

use std::io::Write;
use std::process::ExitCode;

use super::{USAGE, fail};
use crate::cli::args::ServeArgs;
use crate::config::{self, Config, LogConfig};
use crate::gateway::{self, Ready, Serving, Watched};

pub(super) async fn run(args: &ServeArgs, log: impl Fn(LogConfig) -> LogConfig) -> ExitCode {
    let config = match args.source.load() {
        Ok(config) => config,
        Err(errors) => return fail(USAGE, &errors),
    };
    let _log = gateway::init_logging(&log(config.log.clone()));
    for remark in config::advice(&config) {
        tracing::warn!("{remark}");
    }
    let source = args.source.clone();
    let watch = args.source.file().map(|path| Watched {
        path: path.to_path_buf(),
        overrule: Box::new(move |config| source.overrule(config)),
        follow: !args.no_watch,
    });
    start(config, watch, Box::new(print_ready)).await
}

pub(super) async fn start(config: Config, watch: Option<Watched>, on_ready: Box<dyn FnOnce(&Ready)>) -> ExitCode {
    match gateway::serve(Serving { config, watch, on_ready }).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

/// One line for each endpoint, on stdout, so that a program that starts the gateway learns the port.
fn print_ready(ready: &Ready) {
    let mut out = std::io::stdout().lock();
    if let Some(control) = &ready.control {
        let _ = writeln!(out, "control plane: {control}");
    }
    for (path, gateway) in &ready.endpoints {
        let _ = writeln!(out, "{gateway}: {}{path}", ready.base_url);
    }
    let _ = out.flush();
}
