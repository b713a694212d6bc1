//! Which revisions the server speaks, and which one a request speaks.

use std::borrow::Cow;

use rmcp::{RoleServer, model::ProtocolVersion, service::RequestContext};

/// The eras that the server offers on its one URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Era {
    /// The session revisions up to 2025-11-25.
    #[default]
    Legacy,
    /// 2026-07-28 only, without sessions and without `initialize`.
    Modern,
    /// All of them.
    Both,
}

const MODERN: [ProtocolVersion; 1] = [ProtocolVersion::V_2026_07_28];

/// Whether this request speaks 2026-07-28 or later.
pub fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    // Revisions are ISO dates, so their text sorts like their age.
    context.protocol_version().is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

// === impl Era ===

impl Era {
    /// The revisions, as `server/discover` and -32022 list them.
    pub fn versions(self) -> Cow<'static, [ProtocolVersion]> {
        match self {
            Self::Legacy => Cow::Borrowed(ProtocolVersion::known_up_to(&ProtocolVersion::V_2025_11_25)),
            Self::Modern => Cow::Borrowed(&MODERN),
            Self::Both => Cow::Borrowed(ProtocolVersion::KNOWN_VERSIONS),
        }
    }

    /// The revision that `initialize` falls back to; one without `initialize` makes rmcp refuse it.
    pub fn preferred(self) -> &'static str {
        if self == Self::Modern { "2026-07-28" } else { "2025-11-25" }
    }

    /// Whether 2026-07-28 is among them.
    pub fn has_modern(self) -> bool {
        self != Self::Legacy
    }

    /// Whether there are sessions.
    pub fn has_legacy(self) -> bool {
        self != Self::Modern
    }
}
