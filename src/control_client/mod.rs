//! A client of the control plane: signed requests to this gateway, or to any service that speaks the same API.
//!
//! [`Access`] says where it is and who asks, [`ControlClient`] has the operations, and an object's changes are waited for
//! with [`ControlClient::settled`] and [`ControlClient::gone`]. Objects are JSON in the form of the API, so that nothing
//! that it has gets lost on the way.

mod access;
mod client;
mod error;
mod find;
mod members;
mod wait;

pub use access::{Access, AccessError, Asked};
pub use client::{ControlClient, Resource};
pub use error::{ControlClientError, FieldFault, Refusal};
pub use members::{is_answer_only, requested};
pub use wait::{Standing, is_settled};
