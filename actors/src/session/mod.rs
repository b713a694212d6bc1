//! Client sessions: the rules ([`core`]), the actor around them, and how others reach it.

pub mod core;

mod actor;
mod connection;
mod effects;
mod event;
mod handle;
mod open_link;
mod passed;
mod sink;

pub use actor::SessionActor;
pub use connection::{Attachment, StreamItem};
pub use event::CallAnswer;
pub use handle::{PendingCall, SessionHandle};
