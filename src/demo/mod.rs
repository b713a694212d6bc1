//! The small MCP server behind `sessiongate demo`: a tea house that asks, waits, reports and takes payment.
//!
//! It runs as a stdio target of the demonstration's gateway, so that the demonstration needs nothing else installed.

mod hint;
mod menu;
mod server;

pub use hint::connect_hint;
pub use server::{DemoError, serve_stdio};

#[cfg(test)]
mod tests;
