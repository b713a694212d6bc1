//! The gateways of this process: built from the configuration, changed by a reload, taken down in order.

mod access;
mod addresses;
mod admission;
mod build;
mod keys;
mod log_writer;
mod outgoing;
mod places;
mod rates;
mod readiness;
mod runtime;
mod serve;
mod table;
mod telemetry;
mod trust;
mod versions;
pub(crate) mod via;
mod way_out;

pub use access::{Access, Inbound, jwt_rules};
pub use addresses::Addresses;
pub use admission::{Admission, Entry};
pub use build::targets_of;
pub use keys::ApiKeys;
pub use outgoing::Outgoing;
pub use places::{Place, Places};
pub use rates::{OverRate, Rate, Rates};
pub use readiness::{Readiness, TargetReadiness};
pub use runtime::{Attached, Origin, Runtime, Served};
pub use serve::{Ready, ServeError, Serving, Watched, serve};
pub use table::{Found, Table};
pub use telemetry::init_logging;
pub use trust::{INVOKE, Iam, Trust};
pub use versions::Versions;
pub use way_out::WayOut;
