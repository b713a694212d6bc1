//! Whole-gateway tests: real processes, real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod client;
mod crash;
mod harness;
mod status_table;
mod terminal;
