//! `execution.taskSupport` of a tool: whether it can, or must, be called as a task.

use memchr::memmem;

use crate::json::RawJson;
use crate::members::Members;

/// What a tool says of tasks (2025-11-25, tasks, tool-level negotiation).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Support {
    /// It is no task, which is also what a tool means that says nothing.
    #[default]
    Forbidden,
    /// As the caller likes.
    Optional,
    /// It is nothing else.
    Required,
}

// === impl Support ===

impl Support {
    /// What a tool says.
    pub fn of(tool: &RawJson) -> Self {
        let says = || {
            let members = Members::of(tool).ok()?;
            let execution = Members::of_str(members.get("execution")?.get()).ok()?;
            match execution.get_str("taskSupport")?.as_ref() {
                "required" => Some(Self::Required),
                "optional" => Some(Self::Optional),
                _ => None,
            }
        };
        memmem::find(tool.as_bytes(), b"taskSupport").and_then(|_| says()).unwrap_or_default()
    }
}

/// A tool that must be a task, for a client that may choose: whoever calls it as none waits for it.
pub fn without_required(tool: &RawJson) -> RawJson {
    match Support::of(tool) {
        Support::Required => with_optional(tool),
        Support::Forbidden | Support::Optional => tool.clone(),
    }
}

/// A tool of a target of the other era, which makes a task of a call when it wants to: its caller may ask for one.
pub fn with_optional(tool: &RawJson) -> RawJson {
    let Ok(members) = Members::of(tool) else { return tool.clone() };
    let execution = match members.get("execution").map(|raw| Members::of_str(raw.get())) {
        Some(Ok(execution)) => execution.with(&[("taskSupport", Some("\"optional\""))]),
        _ => RawJson::trusted(r#"{"taskSupport":"optional"}"#),
    };
    members.with(&[("execution", Some(execution.as_str()))])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn a_tool_says_what_it_supports_and_silence_forbids() {
        for (text, expected) in [
            (r#"{"name":"a","execution":{"taskSupport":"required"}}"#, Support::Required),
            (r#"{"name":"a","execution":{"x":1,"taskSupport":"optional"}}"#, Support::Optional),
            (r#"{"name":"a","execution":{"taskSupport":"forbidden"}}"#, Support::Forbidden),
            (r#"{"name":"a","execution":{"taskSupport":true}}"#, Support::Forbidden),
            (r#"{"name":"a","description":"taskSupport required"}"#, Support::Forbidden),
            (r#"{"name":"a"}"#, Support::Forbidden),
            (r#"{"execution":"taskSupport"}"#, Support::Forbidden),
            ("[]", Support::Forbidden),
        ] {
            assert_eq!(Support::of(&raw(text)), expected, "{text}");
        }
    }

    #[test]
    fn tasks_are_offered_without_touching_the_rest() {
        let of = |text: &str| with_optional(&raw(text)).as_str().to_owned();
        assert_eq!(of(r#"{"name":"a","n":1.0}"#), r#"{"name":"a","n":1.0,"execution":{"taskSupport":"optional"}}"#);
        assert_eq!(
            of(r#"{"execution":{"taskSupport":"x","y":[ ]}}"#),
            r#"{"execution":{"taskSupport":"optional","y":[ ]}}"#
        );
        assert_eq!(of("[]"), "[]");
        let chosen = |text: &str| without_required(&raw(text)).as_str().to_owned();
        assert_eq!(
            chosen(r#"{"execution":{"taskSupport":"required"}}"#),
            r#"{"execution":{"taskSupport":"optional"}}"#
        );
        assert_eq!(
            chosen(r#"{"execution":{"taskSupport":"forbidden"}}"#),
            r#"{"execution":{"taskSupport":"forbidden"}}"#
        );
    }
}
