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
mod http_sse;
mod modern_affinity;
mod modern_client;
mod modern_listen;
mod old_server;
mod processes;
mod readme;
mod reload;
mod scripted;
mod sessions;
mod status_table;
mod streams;
mod terminal;
mod tls;
mod tls_front;
