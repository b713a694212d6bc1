//! The commands of the command line.

mod check;
mod control;
mod data;
mod demo;
mod gateway;
mod issuers;
mod serve;
mod sessions;
mod sync;
mod talk;
mod target;

use std::io::Write;
use std::process::ExitCode;

use crate::cli::{self, Cli, Command};
use crate::config::LogConfig;

/// The configuration or the command line is wrong (`EX_USAGE` of sysexits.h).
pub const USAGE: u8 = 64;

/// Runs a command to its end.
pub fn run(cli: Cli) -> ExitCode {
    let system = actix_rt::System::new();
    let log = |base: LogConfig| LogConfig {
        format: cli.log_format.unwrap_or(base.format),
        level: cli.level().map_or(base.level, str::to_owned),
    };
    match &cli.command {
        Command::Serve(args) => system.block_on(serve::run(args, log)),
        Command::Demo(args) => system.block_on(demo::run(args, log)),
        Command::DemoServer => system.block_on(demo::serve_stdio()),
        Command::Call(args) => system.block_on(talk::call(args)),
        Command::Ls(args) => system.block_on(talk::ls(args)),
        Command::Check(args) => system.block_on(check::run(args)),
        Command::Sessions(args) => system.block_on(sessions::run(args)),
        Command::Sync(args) => system.block_on(sync::run(args)),
        Command::Gateway(args) => system.block_on(gateway::run(args)),
        Command::Target(args) => system.block_on(target::run(args)),
        Command::Export(args) => system.block_on(data::export(args)),
        Command::ImportData(args) => system.block_on(data::import(args)),
        Command::Schema => finish(cli::schema(&mut std::io::stdout())),
        Command::Completions { shell } => finish(cli::completions(*shell, &mut std::io::stdout())),
        Command::Import(args) => finish(cli::import(args, &mut std::io::stdout(), &mut std::io::stderr())),
    }
}

/// Says what went wrong, on stderr.
fn finish<E: std::fmt::Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "sessiongate: {error}");
    ExitCode::from(code)
}

/// Prints a value as JSON on one line of stdout.
fn print_json<T: serde::Serialize>(value: &T) -> ExitCode {
    match serde_json::to_string(value) {
        Ok(text) => {
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(1, &error),
    }
}

/// Says what a target lists and nobody is shown.
fn remark_left_out(gateway: &str, target: &str, left_out: &[Box<str>]) {
    for remark in left_out {
        let _ = writeln!(std::io::stderr(), "remark: {gateway}/{target}: {remark}");
    }
}

/// Prints rows under a head, in columns.
fn print_table(head: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = std::io::stdout().lock();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let text: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        let _ = writeln!(out, "{}", text.join("  ").trim_end());
    };
    line(&mut head.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}
