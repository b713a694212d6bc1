//! The outgoing side: links to MCP servers over streamable HTTP, HTTP+SSE and stdio.

pub mod error;
pub mod link;

pub use error::TargetError;
pub use link::{
    CallReply, Hello, Link, LinkEvent, LinkSink, Listening, Origin, SavedLink, SinkClosed, Target, Welcome,
};
