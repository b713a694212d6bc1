//! Who calls, by a JWT of the gateway's authorization server (MCP authorization; RFC 6750, 7519, 8725, 9068).
//!
//! [`Issuers`] is made once for the process. Each gateway with such an authoriser has a [`JwtAuthorizer`] of it, which
//! turns a token into a [`Verified`] caller or a [`JwtError`] that knows its challenge.

mod authorizer;
mod claims;
mod discovery;
mod error;
mod issuer;
mod issuers;
mod keys;
mod resources;
mod rules;
#[cfg(test)]
mod tests;
mod token;
mod verdicts;

pub use authorizer::{IssuerLook, JwtAuthorizer, Verified};
pub use error::JwtError;
pub use issuer::{Issuer, IssuerOptions};
pub use issuers::{Issuers, JwtOptions};
pub use resources::{Entered, Resources};
pub use rules::{ClaimMatch, ClaimOperator, ClaimRule, ClaimValueType, Deciding, JwtRules, RulesError};
