//! Whole-gateway tests: real processes, real sockets.

mod client;
mod crash;
mod harness;
mod status_table;
mod terminal;
