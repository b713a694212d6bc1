//! The load bench: starts an upstream, nginx, the gateway and the client by itself, and prints tables in Markdown.
//!
//! `cargo bench --bench load -- [json] [eras] [sse] [churn] [memory] [streams] [parked] [growth] [jwt] [control]`; without names, all of them.
//! What can be set by environment is in [`options`]. It asserts nothing about time: it is no test.

mod cells;
mod connection;
mod control;
mod drive;
mod growth;
mod issuer;
mod jwt;
mod memory;
mod options;
mod parked;
mod process;
mod procfs;
mod servers;
mod streams;
mod table;
mod upstream;

use std::process::ExitCode;

use options::{Options, Part};
use servers::Bench;

/// What went wrong, for a person.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let outcome = if upstream::is_wanted() {
        upstream::run()
    } else if std::env::args().any(|argument| argument == "--bench") {
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Into::into).and_then(|runtime| {
            runtime.block_on(async {
                // On Ctrl-C the future is dropped, and with it the processes that it started.
                tokio::select! {
                    outcome = run() => outcome,
                    _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
                }
            })
        })
    } else {
        println!("not a test: run it with `cargo bench --bench load`");
        Ok(())
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let options = Options::read()?;
    procfs::raise_file_limit();
    let bench = Bench::start(&options).await?;
    println!("{}\n", procfs::machine_line());
    println!("{}\n", options.describe(bench.nginx.is_some()));
    if bench.nginx.is_none() {
        println!("nginx is left out: it is not on PATH, or it was switched off.\n");
    }
    let rates: Vec<Part> = options.parts.iter().copied().filter(|part| !part.work().is_empty()).collect();
    if !rates.is_empty() {
        println!("{}", cells::run(&bench, &options, &rates).await?);
    }
    if options.parts.contains(&Part::Memory) {
        println!("{}", memory::run(&bench, &options).await?);
    }
    if options.parts.contains(&Part::Streams) {
        println!("{}", streams::run(&bench, &options).await?);
    }
    if options.parts.contains(&Part::Parked) {
        println!("{}", parked::run(&bench, &options).await?);
    }
    if options.parts.contains(&Part::Growth) {
        println!("{}", growth::run(&bench, &options).await?);
    }
    if options.parts.contains(&Part::Jwt) {
        println!("{}", jwt::run(&bench, &options).await?);
    }
    if options.parts.contains(&Part::Control) {
        println!("{}", control::run(&options).await?);
    }
    Ok(())
}
