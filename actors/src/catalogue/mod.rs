//! What targets offer: one catalogue for each target, and the gateway's published snapshot of all of them.

mod item;
pub mod search;
mod snapshot;
mod target;

pub use item::{Fault, readable};
pub use sessiongate_protocol::cursor::ListKind;
pub use snapshot::{ListHashes, Page, Route, Snapshot, TargetState, matches, tool_with_tasks};
pub use target::{ServerCapabilities, TargetCatalogue};
