//! What passes the gateway between a client and a target besides messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Headers and query parameters that pass between a client's request and the requests to the target that it causes; nothing
/// else of a request passes. For targets with a URL. Names that HTTP, MCP or the gateway give a meaning are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pass {
    /// Headers of the client's request that the target gets: ten names at most. Headers that `mcp.headers` sets win. Since
    /// 0.1.
    pub request_headers: Vec<String>,
    /// Query parameters of the client's request that the target gets: ten names at most. Parameters that `mcp.url` has
    /// win. Since 0.1.
    pub query_parameters: Vec<String>,
    /// Headers of the target's response that the client gets: ten names at most. Of a stream only what is known when it
    /// begins. Since 0.1.
    pub response_headers: Vec<String>,
}

// === impl Pass ===

impl Pass {
    /// Nothing passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.request_headers.is_empty() && self.query_parameters.is_empty() && self.response_headers.is_empty()
    }
}
