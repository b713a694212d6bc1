#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, dead_code)]
#[path = "it/aggregation.rs"]
mod aggregation;
#[path = "it/client.rs"]
mod client;
#[path = "it/control_client.rs"]
mod control_client;
#[path = "it/either.rs"]
mod either;
#[path = "it/eras_player.rs"]
mod eras_player;
#[path = "it/exception_level.rs"]
mod exception_level;
#[path = "it/harness.rs"]
mod harness;
#[path = "it/listing_modes.rs"]
mod listing_modes;
#[path = "it/modern_client.rs"]
mod modern_client;
#[path = "it/rates.rs"]
mod rates;
#[path = "it/scripted.rs"]
mod scripted;
#[path = "it/static_tools.rs"]
mod static_tools;
#[path = "it/supported_versions.rs"]
mod supported_versions;
