//! The `sessiongate` binary: parses the command line and hands over.

use std::process::ExitCode;

use clap::Parser;
use sessiongate::cli::Cli;

fn main() -> ExitCode {
    sessiongate::commands::run(Cli::parse())
}
