//! What must outlive the process: the session store, the catalogue store, and the engines behind them.

pub mod control;
pub mod memory;
pub mod model;
pub mod sled;
pub mod store;

pub use self::sled::{NdjsonError, SledOptions, SledStore, export_ndjson, import_ndjson};
pub use control::{CatalogueWrite, ControlBatch, ControlStore, Expect, ObjectKey, ObjectWrite, StoredObject};
pub use memory::MemoryStore;
pub use model::*;
pub use store::{CatalogueStore, SessionStore, StoreError};
