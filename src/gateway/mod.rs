//! The gateways of this process: built from the configuration, changed by a reload, taken down in order.

mod build;
mod keys;
mod log_writer;
mod places;
mod readiness;
mod runtime;
mod serve;
mod telemetry;

pub use build::targets_of;
pub use keys::ApiKeys;
pub use places::{Place, Places};
pub use readiness::{Readiness, TargetReadiness};
pub use runtime::{Runtime, Served};
pub use serve::{Ready, ServeError, Serving, Watched, serve};
pub use telemetry::init_logging;
