//! The outgoing side: links to MCP servers over streamable HTTP, HTTP+SSE and stdio.

mod backoff;
pub mod error;
pub mod guard;
mod handshake;
pub mod http;
pub mod link;
pub mod modern;
mod pending;
pub mod secret;
mod sse;
pub mod stdio;
pub mod tasks;

pub use error::TargetError;
pub use guard::AddressPolicy;
pub use http::{HttpClients, HttpOptions, HttpTarget, HttpTargetOptions, Transport};
pub use link::{
    CallReply, Hello, Link, LinkEvent, LinkLimits, LinkSink, Listening, Origin, SavedLink, SinkClosed, Target, Welcome,
};
pub use modern::{Exchange, ModernRequest, NoteSink, TargetEra};
pub use secret::{HeaderError, SecretEnv, SecretHeaders};
pub use stdio::{ProcessBound, ProcessMode, StdioTarget, StdioTargetOptions};
