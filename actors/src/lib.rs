//! The living part: session actors, target synchronisation, supervisors, the session directory.

pub mod catalogue;
pub mod clock;
pub mod crash;
pub mod directory;
pub mod error;
pub mod exception;
pub mod gateway;
pub mod meters;
pub mod session;
pub mod settings;
pub mod supervisor;
pub mod sync;

pub use error::SessionError;
