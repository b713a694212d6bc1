//! Against a real issuer on loopback.

mod keys;
mod network;
mod rules;
mod server;
mod support;
mod tokens;
mod verdicts;
