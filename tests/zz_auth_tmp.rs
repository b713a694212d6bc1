#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, dead_code)]
#[path = "it/auth_iam.rs"]
mod auth_iam;
#[path = "it/auth_jwt.rs"]
mod auth_jwt;
#[path = "it/auth_metadata.rs"]
mod auth_metadata;
#[path = "it/client.rs"]
mod client;
#[path = "it/control_client.rs"]
mod control_client;
#[path = "it/harness.rs"]
mod harness;
#[path = "it/issuer.rs"]
mod issuer;
#[path = "it/modern_client.rs"]
mod modern_client;
