//! What must outlive the process: the session store, the catalogue store, and the engines behind them.

pub mod model;
pub mod store;

pub use model::*;
pub use store::{CatalogueStore, SessionStore, StoreError};
