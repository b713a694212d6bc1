//! Headers whose names have a meaning already: one table for everything that would set, pass or show headers by names that
//! somebody else chose.
//!
//! The uses differ where the table says so. What passes is another server's, and is kept from all that means something to
//! whoever gets it. An interceptor speaks for the gateway: it may say how an answer is cached or shown, and neither who
//! calls, which was decided before it was asked, nor anything that the gateway has to say rightly itself.

use self::Use::{Pass, PassBesideSessions, SetInRequest, SetInResponse, Show};
use self::Why::{Browsers, Caller, Connection, Content, Copies, Gateway, Mcp, Way};

/// What somebody would do with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Hand it from a client to a target, or back.
    Pass,
    /// The same at a gateway with sessions.
    PassBesideSessions,
    /// Have an interceptor put it into a request.
    SetInRequest,
    /// Have an interceptor put it into an answer.
    SetInResponse,
    /// Show it, in an answer, to an interceptor that is shown no headers of requests.
    Show,
}

/// Whose a header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Of one connection (RFC 9110, section 7.6.1) and of the proxies on it.
    Connection,
    /// What the body is, or may be.
    Content,
    /// How old an answer is, and who may keep it.
    Copies,
    /// What a page in a browser may do; browsers decide by what the gateway says itself.
    Browsers,
    /// Who calls: credentials, and what asks for them.
    Caller,
    /// Where a message comes from and where it goes, and who answers.
    Way,
    /// MCP gives it a meaning.
    Mcp,
    /// The gateway does.
    Gateway,
}

/// A header that is kept.
struct Kept {
    /// In lower case; a star stands for any end.
    name: &'static str,
    why: Why,
    /// From what.
    from: &'static [Use],
}

/// By name.
static KEPT: [Kept; 61] = [
    Kept { name: "accept", why: Content, from: &[Pass, SetInRequest] },
    Kept { name: "accept-*", why: Content, from: &[Pass, SetInRequest] },
    Kept { name: "access-control-*", why: Browsers, from: &[Pass, SetInResponse] },
    Kept { name: "age", why: Copies, from: &[Pass] },
    Kept { name: "authorization", why: Caller, from: &[Pass, SetInRequest] },
    Kept { name: "cache-control", why: Copies, from: &[Pass] },
    Kept { name: "clear-site-data", why: Browsers, from: &[Pass] },
    Kept { name: "connection", why: Connection, from: &[Pass, SetInRequest, SetInResponse] },
    Kept { name: "content-*", why: Content, from: &[Pass, SetInRequest] },
    Kept { name: "content-encoding", why: Content, from: &[SetInResponse] },
    Kept { name: "content-length", why: Content, from: &[SetInResponse] },
    Kept { name: "content-range", why: Content, from: &[SetInResponse] },
    Kept { name: "content-type", why: Content, from: &[SetInResponse] },
    Kept { name: "cookie", why: Caller, from: &[Pass, SetInRequest] },
    Kept { name: "cross-origin-*", why: Browsers, from: &[Pass] },
    Kept { name: "date", why: Copies, from: &[Pass, SetInResponse] },
    Kept { name: "etag", why: Copies, from: &[Pass] },
    Kept { name: "expect", why: Connection, from: &[Pass, SetInRequest] },
    Kept { name: "expires", why: Copies, from: &[Pass] },
    Kept { name: "forwarded", why: Way, from: &[Pass, SetInRequest] },
    Kept { name: "host", why: Way, from: &[Pass, SetInRequest] },
    Kept { name: "if-*", why: Copies, from: &[Pass] },
    Kept { name: "keep-alive", why: Connection, from: &[Pass, SetInRequest, SetInResponse] },
    Kept { name: "last-event-id", why: Mcp, from: &[Pass, SetInRequest] },
    Kept { name: "last-modified", why: Copies, from: &[Pass] },
    Kept { name: "location", why: Way, from: &[Pass] },
    Kept { name: "mcp-*", why: Mcp, from: &[SetInRequest, SetInResponse] },
    Kept { name: "mcp-method", why: Mcp, from: &[Pass] },
    Kept { name: "mcp-name", why: Mcp, from: &[Pass] },
    Kept { name: "mcp-param-*", why: Mcp, from: &[Pass] },
    Kept { name: "mcp-protocol-version", why: Mcp, from: &[Pass] },
    Kept { name: "mcp-session-id", why: Mcp, from: &[PassBesideSessions, Show] },
    Kept { name: "origin", why: Browsers, from: &[Pass, SetInRequest] },
    Kept { name: "permissions-policy", why: Browsers, from: &[Pass] },
    Kept { name: "pragma", why: Copies, from: &[Pass] },
    Kept { name: "proxy-*", why: Connection, from: &[Pass, SetInRequest, SetInResponse] },
    Kept { name: "range", why: Content, from: &[Pass, SetInRequest] },
    Kept { name: "referer", why: Way, from: &[Pass] },
    Kept { name: "referrer-policy", why: Browsers, from: &[Pass] },
    Kept { name: "retry-after", why: Connection, from: &[Pass] },
    Kept { name: "sec-*", why: Browsers, from: &[Pass, SetInRequest] },
    Kept { name: "server", why: Way, from: &[Pass, SetInResponse] },
    Kept { name: "sessiongate-*", why: Gateway, from: &[Pass, SetInRequest, SetInResponse] },
    Kept { name: "set-cookie", why: Caller, from: &[Pass, SetInResponse, Show] },
    Kept { name: "strict-transport-security", why: Browsers, from: &[Pass, SetInResponse] },
    Kept { name: "te", why: Connection, from: &[Pass, SetInRequest, SetInResponse] },
    Kept { name: "trailer", why: Connection, from: &[Pass, SetInRequest, SetInResponse] },
    Kept { name: "transfer-encoding", why: Connection, from: &[Pass, SetInRequest, SetInResponse] },
    Kept { name: "upgrade", why: Connection, from: &[Pass, SetInRequest, SetInResponse] },
    Kept { name: "user-agent", why: Caller, from: &[Pass] },
    Kept { name: "vary", why: Copies, from: &[Pass] },
    Kept { name: "via", why: Way, from: &[Pass, SetInRequest, SetInResponse] },
    Kept { name: "warning", why: Copies, from: &[Pass] },
    Kept { name: "www-authenticate", why: Caller, from: &[Pass, SetInResponse, Show] },
    Kept { name: "x-accel-*", why: Connection, from: &[Pass] },
    Kept { name: "x-amz-*", why: Caller, from: &[SetInRequest] },
    Kept { name: "x-amz-security-token", why: Caller, from: &[Pass] },
    Kept { name: "x-content-type-options", why: Browsers, from: &[Pass] },
    Kept { name: "x-forwarded-*", why: Way, from: &[Pass, SetInRequest] },
    Kept { name: "x-frame-options", why: Browsers, from: &[Pass] },
    Kept { name: "x-xss-protection", why: Browsers, from: &[Pass] },
];

/// Why a header is kept from a use; none where it may be used so. The name is in lower case.
pub fn kept(name: &str, from: Use) -> Option<Why> {
    KEPT.iter().find(|kept| kept.from.contains(&from) && covers(kept.name, name)).map(|kept| kept.why)
}

fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USES: [Use; 5] = [Pass, PassBesideSessions, SetInRequest, SetInResponse, Show];

    #[test]
    fn each_row_says_something() {
        assert!(KEPT.is_sorted_by(|one, next| one.name < next.name));
        for row in &KEPT {
            assert!(row.name.bytes().all(|byte| byte.is_ascii_lowercase() || b"-*".contains(&byte)), "{}", row.name);
            assert!(!row.from.is_empty(), "{}", row.name);
            for other in KEPT.iter().filter(|other| other.name != row.name && covers(other.name, row.name)) {
                assert!(row.from.iter().all(|from| !other.from.contains(from)), "{} is in {}", row.name, other.name);
            }
        }
    }

    #[test]
    fn uses_differ_where_the_table_says_so() {
        for (name, from) in [
            ("x-tenant", &[][..]),
            ("authorization", &[Pass, SetInRequest]),
            ("set-cookie", &[Pass, SetInResponse, Show]),
            ("www-authenticate", &[Pass, SetInResponse, Show]),
            ("content-type", &[Pass, SetInRequest, SetInResponse]),
            ("content-security-policy", &[Pass, SetInRequest]),
            ("cache-control", &[Pass]),
            ("mcp-session-id", &[PassBesideSessions, SetInRequest, SetInResponse, Show]),
            ("mcp-method", &[Pass, SetInRequest, SetInResponse]),
            ("mcp-of-tomorrow", &[SetInRequest, SetInResponse]),
            ("sessiongate-via", &[Pass, SetInRequest, SetInResponse]),
            ("transfer-encoding", &[Pass, SetInRequest, SetInResponse]),
            ("x-amz-security-token", &[Pass, SetInRequest]),
            ("x-amz-date", &[SetInRequest]),
        ] {
            let found: Vec<Use> = USES.into_iter().filter(|one| kept(name, *one).is_some()).collect();
            assert_eq!(found, from, "{name}");
        }
    }
}
