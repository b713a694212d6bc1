//! The terminal client: `sessiongate call` and `sessiongate ls`.
//!
//! Built on the official Rust SDK and on nothing of the gateway's own data plane, so that it is the gateway's first
//! real client. [`call`] runs one tool with progress, questions and log lines; [`list`] shows what an endpoint offers.
//! Both talk in either era of the protocol, see [`Era`].

mod arguments;
mod call;
mod connect;
mod console;
mod error;
mod handler;
mod list;
mod options;
mod question;
mod render;
mod session_file;
mod transport;

pub use arguments::arguments_from;
pub use call::{call, call_until};
pub use console::{Console, printable};
pub use error::ClientError;
pub(crate) use error::chain;
pub use list::list;
pub use options::{CallOptions, Endpoint, Era, ListOptions, Outcome, Output};
