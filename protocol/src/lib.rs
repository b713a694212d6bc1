//! The MCP wire, pure: no I/O, no runtime, no clock.
//!
//! A message travels as bytes. What the gateway must read (id, method, a routing name, a progress
//! token) is borrowed from those bytes; what it does not understand is never parsed, so that it
//! leaves as it came.

pub mod capabilities;
pub mod codes;
pub mod cursor;
pub mod elicitation;
pub mod event_id;
pub mod json;
pub mod jsonrpc;
pub mod lists;
pub mod members;
pub mod meta;
pub mod modern;
pub mod names;
pub mod progress;
pub mod revision;
pub mod sealer;
pub mod sse;
pub mod tasks;
pub mod text;
pub mod unreadable;

pub use event_id::{EventId, StreamId};
pub use json::RawJson;
pub use jsonrpc::{Message, Notification, ParseError, Request, RequestId, Response, ResponseBody};
pub use revision::{Era, Revision};
pub use unreadable::Unreadable;
