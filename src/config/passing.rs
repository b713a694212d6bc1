//! Which headers and query parameters may pass between clients and targets: one rule for the configuration file and for the
//! control plane.

/// Names in one list.
pub const MAX_NAMES: usize = 10;
/// Longest name of a header, in bytes.
pub const MAX_HEADER: usize = 100;
/// Longest name of a query parameter, in bytes.
pub const MAX_PARAMETER: usize = 40;

/// Headers that HTTP, MCP or the gateway give a meaning: they never pass. Lower case; a star stands for any end.
const BLOCKED: [&str; 54] = [
    "accept",
    "accept-*",
    "access-control-*",
    "age",
    "authorization",
    "cache-control",
    "clear-site-data",
    "connection",
    "content-*",
    "cookie",
    "cross-origin-*",
    "date",
    "etag",
    "expect",
    "expires",
    "forwarded",
    "host",
    "if-*",
    "keep-alive",
    "last-event-id",
    "last-modified",
    "location",
    "mcp-method",
    "mcp-name",
    "mcp-param-*",
    "mcp-protocol-version",
    "origin",
    "permissions-policy",
    "pragma",
    "proxy-*",
    "range",
    "referer",
    "referrer-policy",
    "retry-after",
    "sec-*",
    "server",
    "sessiongate-*",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-accel-*",
    "x-amz-security-token",
    "x-content-type-options",
    "x-forwarded-*",
    "x-frame-options",
    "x-xss-protection",
];

/// Why a header may not pass. `sessions`: the gateway keeps sessions.
#[must_use]
pub fn refused_header(name: &str, sessions: bool) -> Option<&'static str> {
    if !(1..=MAX_HEADER).contains(&name.len()) || !name.bytes().all(is_token) {
        return Some("is not the name of a header: 1 to 100 letters, digits and hyphens");
    }
    let name = name.to_ascii_lowercase();
    if name == "mcp-session-id" && sessions {
        return Some("cannot pass while the gateway keeps sessions: it has its own with each side");
    }
    let blocked = BLOCKED.iter().any(|blocked| match blocked.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *blocked,
    });
    blocked.then_some("is a header that the gateway and HTTP use themselves: it cannot pass")
}

/// Why a query parameter may not pass.
#[must_use]
pub fn refused_parameter(name: &str) -> Option<&'static str> {
    let fits = (1..=MAX_PARAMETER).contains(&name.len()) && !name.chars().any(char::is_control);
    (!fits).then_some("is not the name of a query parameter: 1 to 40 characters")
}

/// RFC 9110, section 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_names_do_not_pass() {
        for blocked in
            ["Authorization", "content-type", "If-None-Match", "Set-Cookie", "MCP-Param-Region", "not a name", ""]
        {
            assert!(refused_header(blocked, false).is_some(), "{blocked}");
        }
        assert!(refused_header("Mcp-Session-Id", true).is_some());
        assert!(refused_header("Mcp-Session-Id", false).is_none());
        assert!(refused_header("X-Tenant", true).is_none());
        assert!(refused_header(&"x".repeat(100), true).is_none() && refused_header(&"x".repeat(101), true).is_some());
        assert!(BLOCKED.is_sorted());
        assert!(refused_parameter(&"q".repeat(40)).is_none() && refused_parameter(&"q".repeat(41)).is_some());
        assert!(refused_parameter("").is_some() && refused_parameter("a\nb").is_some());
    }
}
