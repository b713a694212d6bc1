//! JSON-RPC error codes, as MCP uses them.

/// The body is not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// The JSON is not a JSON-RPC message, or not one that is allowed here.
pub const INVALID_REQUEST: i64 = -32600;
/// The method is unknown, or gated by a capability that is not there.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters do not fit the method; also an unknown tool, prompt or cursor.
pub const INVALID_PARAMS: i64 = -32602;
/// The gateway or a target failed.
pub const INTERNAL_ERROR: i64 = -32603;
/// A resource is unknown (legacy revisions; the modern one uses [`INVALID_PARAMS`]).
pub const RESOURCE_NOT_FOUND: i64 = -32002;
/// Legacy: the client must open URLs first; `data.elicitations` lists them (2025-11-25).
pub const URL_ELICITATION_REQUIRED: i64 = -32042;
/// Modern: headers and body disagree, or a required header is missing.
pub const HEADER_MISMATCH: i64 = -32020;
/// Modern: the request does not declare a capability that is needed to serve it.
pub const MISSING_CLIENT_CAPABILITY: i64 = -32021;
/// Modern: the revision is not served; `data.supported` lists those that are.
pub const UNSUPPORTED_PROTOCOL_VERSION: i64 = -32022;
