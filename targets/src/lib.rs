//! The outgoing side: links to MCP servers over streamable HTTP, HTTP+SSE and stdio.

pub mod aws;
mod backoff;
pub mod error;
pub mod guard;
mod handshake;
pub mod host_map;
pub mod http;
pub mod link;
pub mod modern;
pub mod outbound;
pub mod passed;
mod pending;
pub mod secret;
mod sse;
pub mod stdio;
pub mod tasks;

pub use error::TargetError;
pub use guard::AddressPolicy;
pub use host_map::{HostMap, HostMapError};
pub use http::{HttpClients, HttpOptions, HttpTarget, HttpTargetOptions, Transport};
pub use link::{
    CallReply, Hello, Link, LinkEvent, LinkLimits, LinkSink, Listening, Origin, SavedLink, SinkClosed, Target, Welcome,
};
pub use modern::{Exchange, ModernRequest, NoteSink, TargetEra};
pub use outbound::{Answer, FetchError, FetchLimits, Fetched, Outbound, Route};
pub use passed::{PassError, PassNames, Passed, VIA};
pub use secret::{HeaderError, SecretEnv, SecretHeaders};
pub use stdio::{ProcessBound, ProcessMode, StdioTarget, StdioTargetOptions};
