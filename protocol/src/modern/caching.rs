//! Caching hints: `ttlMs` and `cacheScope` on six kinds of result (2026-07-28, caching).

use serde_json::value::RawValue;

use crate::json::RawJson;
use crate::members::Members;

/// How long a result stays good, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Caching {
    /// Milliseconds from when it was received.
    pub ttl_ms: u64,
    /// Who may reuse it.
    pub scope: Scope,
}

/// `cacheScope`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everyone.
    Public,
    /// Whoever shows the same credentials.
    Private,
}

/// Whether complete results of a method carry the hints; no others may.
pub fn cacheable(method: &str) -> bool {
    matches!(
        method,
        "server/discover"
            | "tools/list"
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
            | "resources/read"
    )
}

// === impl Caching ===

impl Caching {
    /// What a legacy target means: nothing was promised.
    pub const NONE: Self = Self { ttl_ms: 0, scope: Scope::Private };

    /// The hints of a result. A lifetime that is absent, negative or unreadable is 0, and a scope that is not
    /// `public` is private.
    pub fn of(result: &RawJson) -> Self {
        let Ok(members) = Members::of(result) else { return Self::NONE };
        let ttl_ms = members.get("ttlMs").and_then(milliseconds).unwrap_or(0);
        let public = members.get_str("cacheScope").as_deref() == Some("public");
        Self { ttl_ms, scope: if public { Scope::Public } else { Scope::Private } }
    }

    /// The hints of what was made out of several results, each with the milliseconds that it has spent in a cache:
    /// the shortest rest of a lifetime, and private if one is. Out of no result: [`Self::NONE`].
    pub fn merge(contributors: impl IntoIterator<Item = (Self, u64)>) -> Self {
        contributors
            .into_iter()
            .map(|(caching, age_ms)| Self { ttl_ms: caching.ttl_ms.saturating_sub(age_ms), ..caching })
            .reduce(|a, b| Self {
                ttl_ms: a.ttl_ms.min(b.ttl_ms),
                scope: if a.scope == b.scope { a.scope } else { Scope::Private },
            })
            .unwrap_or(Self::NONE)
    }

    /// The same, for one caller only: where a policy decided what is in it.
    pub fn private(self) -> Self {
        Self { scope: Scope::Private, ..self }
    }
}

/// A whole number, however it is spelled.
fn milliseconds(raw: &RawValue) -> Option<u64> {
    let text = raw.get();
    text.parse().ok().or_else(|| {
        let value: f64 = serde_json::from_str(text).ok()?;
        // The cast saturates, and so no lifetime is longer than what was said.
        (value.is_finite() && value >= 0.0).then_some(value as u64)
    })
}

impl Default for Caching {
    fn default() -> Self {
        Self::NONE
    }
}

// === impl Scope ===

impl Scope {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_clearly_is_not_cached() {
        let of = |text: &str| {
            let caching = Caching::of(&RawJson::parse(text.to_owned()).unwrap());
            (caching.ttl_ms, caching.scope.as_str())
        };
        assert_eq!(of(r#"{"ttlMs":60000,"cacheScope":"public"}"#), (60_000, "public"));
        assert_eq!(of(r#"{"ttlMs":6e4,"cacheScope":"private"}"#), (60_000, "private"));
        for text in
            ["{}", "[]", r#"{"ttlMs":-1}"#, r#"{"ttlMs":"9","cacheScope":"Public"}"#, r#"{"ttlMs":1,"ttlMs":2}"#]
        {
            assert_eq!(of(text), (0, "private"), "{text}");
        }
    }

    #[test]
    fn a_list_is_as_fresh_as_its_oldest_part_and_as_private_as_its_most_private() {
        let public = |ttl_ms| Caching { ttl_ms, scope: Scope::Public };
        assert_eq!(Caching::merge([(public(100), 30), (public(90), 0)]), public(70));
        assert_eq!(Caching::merge([(public(100), 101)]), public(0));
        assert_eq!(Caching::merge([(public(100), 0), (public(50).private(), 0)]), public(50).private());
        assert_eq!(Caching::merge([(public(100), 0), (Caching::NONE, 0)]), Caching::NONE);
        assert_eq!(Caching::merge([]), Caching::NONE);
    }
}
