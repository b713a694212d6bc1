//! The modern era (2026-07-28): requests that stand alone, and what joins them to sessions. Pure.

pub mod caching;
mod cheap;
pub mod errors;
pub mod input_required;
pub mod profile;
pub mod request_state;
pub mod results;
pub mod tasks;
pub mod url_required;

pub mod envelope;
pub mod headers;
pub mod ladder;
pub mod param_headers;
#[cfg(test)]
mod properties;
