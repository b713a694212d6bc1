//! Every engine against one contract, and what the embedded engine promises besides.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod crash;
mod ndjson;
mod property;
#[macro_use]
mod suite;
mod sled_engine;

store_suite!(memory, || ((), sessiongate_storage::MemoryStore::new()));
store_suite!(sled, sled_engine::temporary);
