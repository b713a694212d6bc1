//! The command line: what can be said, and the commands that need nothing but the configuration.
//!
//! `main` parses [`Cli`] and matches on [`Command`]; all that talk to something live elsewhere.

pub mod args;
pub mod builtin;

pub use args::{Cli, Command, OutputFormat};
pub use builtin::{completions, import, schema};
