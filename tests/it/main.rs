//! Whole-gateway tests: real processes, real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod aggregation;
mod bad_input;
mod bad_target;
mod client;
mod crash;
mod demo;
mod elicitation;
mod eras;
mod eras_crash;
mod eras_legacy_client;
mod eras_modern_client;
mod eras_parked;
mod eras_player;
mod eras_scripted;
mod harness;
mod http_sse;
mod modern_affinity;
mod modern_client;
mod modern_listen;
mod modern_tasks;
mod old_server;
mod processes;
mod readme;
mod reload;
mod scripted;
mod sessions;
mod status_table;
mod streams;
mod terminal;
mod terminal_eras;
mod tls;
mod tls_front;
