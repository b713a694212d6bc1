//! Whole-gateway tests: real processes, real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod aggregation;
mod bad_input;
mod bad_target;
mod client;
mod crash;
mod demo;
mod elicitation;
mod harness;
mod processes;
mod reload;
mod scripted;
mod sessions;
mod status_table;
mod streams;
mod terminal;
