//! LEAD'S TEMPORARY STUB: overwrite me with the engine.
use std::io::{BufRead, Write};
use std::path::PathBuf;
use crate::{Durability, StoreError};
/// Stub.
#[derive(Clone, Debug)]
pub struct SledOptions {
    /// Path.
    pub path: PathBuf,
    /// Durability.
    pub durability: Durability,
}
impl SledOptions {
    /// Stub.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), durability: Durability::default() }
    }
}
pub use crate::MemoryStore as SledStore;
impl SledStore {
    /// Stub.
    pub fn open(options: SledOptions) -> Result<Self, StoreError> {
        let _ = std::fs::create_dir_all(options.path);
        Ok(Self::default())
    }
    /// Stub.
    pub async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
/// Stub.
pub fn export_ndjson(_: &SledStore, _: &mut dyn Write) -> Result<u64, StoreError> {
    Ok(0)
}
/// Stub.
pub fn import_ndjson(_: &SledStore, _: &mut dyn BufRead) -> Result<u64, StoreError> {
    Ok(0)
}
