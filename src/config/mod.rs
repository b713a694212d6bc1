//! The configuration: YAML or flags in, a checked [`Config`] out, or everything that is wrong with it.
//!
//! ```text
//! text → tree (positions) → check (schema, ${ENV}) → JSON value → model → validate (rules)
//! ```
//!
//! The comments of the [`model`]'s fields become the JSON [`schema`], and the schema leads the [`check`]er and the
//! generated documentation ([`docs`]), so that the three cannot disagree.

pub mod check;
pub mod diff;
pub mod docs;
pub mod error;
pub mod expand;
pub mod flags;
pub mod import;
pub mod load;
pub mod model;
pub mod passing;
pub mod schema;
pub mod secret;
pub mod tools;
mod tree;
pub mod units;
pub mod validate;
pub mod watch;

pub use diff::{Change, diff};
pub use error::{ConfigError, ConfigErrors, KeyPath, Position};
pub use flags::{Flags, from_flags};
pub use load::{load, parse};
pub use model::{
    AccessKey, Affinity, ApiKey, Authorizer, AwsConfig, ClaimOperator, ClaimType, Config, ControlConfig, CustomClaim,
    DeclaredTools, Durability, Era, EventLimits, ExceptionLevel, GatewayConfig, HttpTarget, InterceptionPoint,
    InterceptorConfig, JwtAuthorizer, Limits, Listing, LogConfig, LogFormat, McpConfig, Naming, Pass, ProcessMode,
    Quotas, RoleAccessKey, RoleConfig, SessionSettings, Sessions, SsePolling, StdioTarget, Synchronisation,
    TargetConfig, Transport,
};
pub use schema::schema;
pub use secret::Secret;
pub use units::Endpoint;
pub use validate::{advice, exposed, unsigned, validate};
pub use watch::watch;
