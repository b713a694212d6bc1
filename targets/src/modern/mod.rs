//! Targets of the modern era (2026-07-28): no handshake, no session; every request stands alone.

pub(crate) mod detect;
pub(crate) mod discover;
pub(crate) mod http;
pub mod link;
pub(crate) mod stdio;
mod tools;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use sessiongate_protocol::jsonrpc::ErrorShape;
use sessiongate_protocol::{Notification, RawJson, Response, ResponseBody};

pub use self::detect::TargetEra;
use crate::error::TargetError;
use crate::link::SinkClosed;
use crate::passed::Passed;

/// The method whose stream stands.
pub(crate) const LISTEN: &str = "subscriptions/listen";

/// A request as a modern target gets it.
#[derive(Clone, Debug)]
pub struct ModernRequest {
    /// The method.
    pub method: Box<str>,
    /// Complete `params`, with the envelope of this hop in `_meta`.
    pub params: RawJson,
    /// For `Mcp-Name`: the tool's or prompt's name, the resource's URI, the task's id. Not encoded yet.
    pub name: Option<Box<str>>,
    /// `Mcp-Param-*`: name without the prefix, and the value, encoded already.
    pub param_headers: Vec<(Box<str>, Box<str>)>,
    /// What passes beside it, where the transport has room for that. What passes back is noted there before anything of
    /// the answer is handed on.
    pub passed: Option<Arc<Passed>>,
}

/// Takes the notifications that come on the stream of one request, one at a time, each awaited: that is the back
/// pressure.
#[async_trait]
pub trait NoteSink: Send + Sync {
    /// Hands over one notification.
    async fn note(&self, notification: Notification) -> Result<(), SinkClosed>;
}

/// A target without sessions. Cheap to share; all requests may run at once.
#[async_trait]
pub trait Exchange: Send + Sync + 'static {
    /// Sends one request and waits for its response, a JSON-RPC error at any HTTP status included. Its id is the
    /// exchange's own and means nothing to the caller. Dropping the future cancels the request at the target: the
    /// stream is closed (HTTP), `notifications/cancelled` is sent (stdio). A stream that breaks loses the request:
    /// [`TargetError::OutcomeUnknown`].
    async fn exchange(
        &self,
        request: ModernRequest,
        notes: &dyn NoteSink,
        deadline: Instant,
    ) -> Result<Response, TargetError>;
}

/// Whether the target says that it does not speak the revision of the request (-32022): what it was found to be is no
/// longer true.
pub(crate) fn refuses_revision(response: &Response) -> bool {
    const UNSUPPORTED_VERSION: i64 = -32022;
    let ResponseBody::Error(error) = &response.body else { return false };
    error.borrow::<ErrorShape<'_>>().is_ok_and(|shape| shape.code == UNSUPPORTED_VERSION)
}
