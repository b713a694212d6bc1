//! Who may call: bearer tokens and signatures of the requests that come in.

pub mod challenge;
pub mod jwt;
pub mod policy;
pub mod resource_metadata;
pub mod sigv4;
