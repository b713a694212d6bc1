//! The control plane: gateways and targets as AgentCore's clients (boto3's `bedrock-agentcore-control`) script them.

mod declare;
pub mod door;
pub mod error;
pub mod ids;
pub mod model;
pub mod objects;
mod refuse;
mod schema;
mod service;
mod start;
pub mod tables;
pub mod throttle;
mod translate;
pub mod worker;

pub use declare::DECLARED_ROLE;
pub(crate) use declare::declared_id;
pub use error::{ControlError, ValidationReason};
pub use service::{Control, Done};
pub use start::{StartError, Started, access_keys, start};
pub use tables::Tables;
pub use worker::{Work, Worker};

/// Where accepted changes wait to be carried out.
pub type WorkQueue = tokio::sync::mpsc::Sender<Work>;
