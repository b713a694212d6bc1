//! sessiongate: one endpoint in front of many MCP servers, with sessions that survive.
//!
//! The doors and the wiring: command line, configuration, MCP data plane. The living part is in the `actors` crate.

pub mod admin;
pub mod auth;
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod control;
pub mod control_client;
pub mod demo;
pub mod gateway;
mod header_names;
pub mod http;
pub mod intercept;
mod similar;
