//! Why JSON of somebody else could not be read, without what it says.

use std::borrow::Cow;

use serde_json::error::Category;

/// What is wrong with JSON, and where. The parser's own words quote values at any length (`invalid type: string "…"`), which may
/// be secret, and name types of this program: they go to no log, no client and no status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} (line {line}, column {column})")]
pub struct Unreadable {
    what: Cow<'static, str>,
    /// Counted from 1.
    line: usize,
    /// Counted from 1, in bytes; 0 is before the first.
    column: usize,
}

// === impl Unreadable ===

impl From<&serde_json::Error> for Unreadable {
    fn from(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let what = match error.classify() {
            // These name members that are looked for, which are known here and not the sender's.
            Category::Data if text.starts_with("missing field `") || text.starts_with("duplicate field `") => {
                text.split(" at line").next().unwrap_or_default().to_owned().into()
            }
            Category::Data if text.starts_with("duplicate member") => "an object has a member twice".into(),
            Category::Data => "a value has another type than it must have".into(),
            _ => "it is not JSON".into(),
        };
        Self { what, line: error.line(), column: error.column() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::members::Members;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "read to fail")]
    struct Contract {
        wanted: BTreeMap<String, Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Plain,
    }

    fn said(error: serde_json::Error) -> String {
        let unreadable = Unreadable::from(&error);
        let said = unreadable.to_string();
        assert!(!format!("{said} {unreadable:?}").contains("s3cret") && said.len() < 100, "{said:.500}");
        for word in ["Contract", "Kind", "struct", "enum"] {
            assert!(!said.contains(word), "{said}");
        }
        said
    }

    #[test]
    fn nothing_that_was_sent_is_quoted() {
        let long = "s3cret".repeat(1000);
        let another = "a value has another type than it must have (line 1, column ";
        for (text, says) in [
            (String::new(), "it is not JSON (line 1, column 0)"),
            (long.clone(), "it is not JSON (line 1, column 1)"),
            ("{\n\"wanted\" 1}".into(), "it is not JSON (line 2, column 10)"),
            ("{}".into(), "missing field `wanted` (line 1, column 2)"),
            (r#"{"wanted":{},"wanted":{}}"#.into(), "duplicate field `wanted` (line 1, column 21)"),
            (format!("\"{long}\""), another),
            (format!("{{\"{long}\":1}}"), another),
            (r#"{"wanted":["s3cret"]}"#.into(), another),
            (r#"{"wanted":{"s3cret":"s3cret"}}"#.into(), another),
            (r#"{"wanted":{"s3cret":"missing field `s3cret`"}}"#.into(), another),
        ] {
            let error = serde_json::from_str::<Contract>(&text).unwrap_err();
            let said = said(error);
            assert!(said.starts_with(says), "{text:.100}: {said}");
        }
        let twice = format!("{{\"{long}\":1,\"{long}\":2}}");
        assert!(said(Members::of_str(&twice).unwrap_err()).starts_with("an object has a member twice (line 1"));
    }
}
