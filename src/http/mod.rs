//! The MCP data plane: one endpoint for each gateway, over streamable HTTP, both eras.

pub(crate) mod about;
pub(crate) mod body;
mod caller;
mod connections;
mod cors;
mod delete;
mod endpoint;
mod error;
mod get;
pub(crate) mod guard;
mod health;
mod initialize;
mod intercepted;
mod metadata;
mod modern;
mod names;
mod passed;
mod post;
mod principal;
mod search;
mod server;
mod stream;
pub(crate) mod waiting;

pub use error::HttpError;
pub use guard::OriginGuard;
pub use server::{Bound, bind};
pub use stream::StreamTiming;
