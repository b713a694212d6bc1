//! Synchronisation of targets: one actor for each, which owns its catalogue and says how it is.

mod actor;
mod fetch;
mod lists;
mod sink;

pub use actor::{SyncHandle, SyncOutcome, SyncState, Synchronisation, TargetSync, TargetView};
pub use fetch::{fetch, probe, reach};
pub use lists::Bounds;
