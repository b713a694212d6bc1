//! Which headers and query parameters may pass between clients and targets: one rule for the configuration file and for the
//! control plane.

use crate::header_names::{Use, Why, kept};

/// Names in one list.
pub const MAX_NAMES: usize = 10;
/// Longest name of a header, in bytes.
pub const MAX_HEADER: usize = 100;
/// Longest name of a query parameter, in bytes.
pub const MAX_PARAMETER: usize = 40;

/// Why a header may not pass. `sessions`: the gateway keeps sessions.
#[must_use]
pub fn refused_header(name: &str, sessions: bool) -> Option<&'static str> {
    if !(1..=MAX_HEADER).contains(&name.len()) || !name.bytes().all(is_token) {
        return Some("is not the name of a header: 1 to 100 letters, digits and hyphens");
    }
    let name = name.to_ascii_lowercase();
    if sessions && kept(&name, Use::PassBesideSessions).is_some() {
        return Some("cannot pass while the gateway keeps sessions: it has its own with each side");
    }
    kept(&name, Use::Pass).map(|why| match why {
        Why::Connection => "is a header of one connection: it cannot pass",
        Why::Content => "is a header about the body, which each side writes itself: it cannot pass",
        Why::Copies => "is a header for caches, and nothing of MCP is kept by them: it cannot pass",
        Why::Browsers => "is a header for browsers, which decide by the gateway's own: it cannot pass",
        Why::Caller => "is a header that says who calls: it cannot pass",
        Why::Way => "is a header that says where a message comes from or goes to: it cannot pass",
        Why::Mcp => "is a header of MCP, whose requests the gateway makes itself: it cannot pass",
        Why::Gateway => "is a header of the gateway's own: it cannot pass",
    })
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
        assert!(refused_parameter(&"q".repeat(40)).is_none() && refused_parameter(&"q".repeat(41)).is_some());
        assert!(refused_parameter("").is_some() && refused_parameter("a\nb").is_some());
    }
}
