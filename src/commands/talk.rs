//! `sessiongate call` and `sessiongate ls`

use std::io::Read;
use std::process::ExitCode;

use super::fail;
use crate::cli::OutputFormat;
use crate::cli::args::{CallArgs, ConnectArgs, LsArgs};
use crate::client::{self, CallOptions, Console, Endpoint, ListOptions, Output};

/// Arguments read from standard input, in bytes.
const MAX_ARGUMENTS: u64 = 16 << 20;

pub(super) async fn call(args: &CallArgs) -> ExitCode {
    let json = match args.json.as_deref() {
        Some("-") => {
            let mut text = String::new();
            if let Err(error) = std::io::stdin().take(MAX_ARGUMENTS).read_to_string(&mut text) {
                return fail(2, &error);
            }
            Some(text)
        }
        other => other.map(str::to_owned),
    };
    let options = CallOptions {
        endpoint: endpoint(&args.connect),
        tool: args.tool.clone(),
        args: args.args.clone(),
        json,
        answers: args.answers.clone(),
        assume_yes: args.yes,
        session_file: args.session.clone(),
        output: output(args.connect.output),
    };
    match client::call(&options, &Console::standard()).await {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err(error) => fail(error.exit_code(), &error),
    }
}

pub(super) async fn ls(args: &LsArgs) -> ExitCode {
    let options = ListOptions { endpoint: endpoint(&args.connect), output: output(args.connect.output) };
    match client::list(&options, &Console::standard()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.exit_code(), &error),
    }
}

fn endpoint(args: &ConnectArgs) -> Endpoint {
    Endpoint {
        url: args.url.clone(),
        era: args.era,
        headers: args.headers.clone(),
        bearer: args.bearer.clone(),
        timeout: args.timeout,
    }
}

fn output(format: OutputFormat) -> Output {
    match format {
        OutputFormat::Human => Output::Human,
        OutputFormat::Json => Output::Json,
    }
}
