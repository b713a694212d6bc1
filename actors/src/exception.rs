//! What clients are told of failures that are not their own: of targets, and of the gateway on the way there.
//!
//! One rule for both eras, and for tools and everything else. What a target itself answers (results with `isError`, JSON-RPC
//! errors) is passed on as it is, and what is wrong with a request is always said. The rest is told as the gateway's level
//! says: with what went wrong, or in general, with a reference under which the log has the rest.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde_json::{Value, json};
use sessiongate_protocol::{RawJson, ResponseBody, codes, jsonrpc};

/// `error.data.reason` of a failure that is told in general.
pub const GENERAL: &str = "internal_error";
/// The member of `_meta` that says why a call failed.
const REASON: &str = "sessiongate.dev/reason";

/// How much clients are told of failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExceptionLevel {
    /// What went wrong.
    #[default]
    Debug,
    /// That something did, and what that means for the call.
    General,
}

/// A failure as a client is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The text.
    pub message: String,
    /// A stable word.
    pub reason: &'static str,
    /// Under which the log has what was not told.
    pub reference: Option<Reference>,
}

/// Leads from what a client was told to the line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference(u64);

// === impl Reference ===

impl Reference {
    /// Of what makes the failed request the only one.
    pub fn of(request: impl Hash) -> Self {
        let mut hasher = std::collections::hash_map::DefaultHasher::new();
        request.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

// === impl ExceptionLevel ===

impl ExceptionLevel {
    /// A failure with this text and reason; `reference` is asked for where that is not told.
    pub fn tell(self, message: &str, reason: &'static str, reference: impl FnOnce() -> Reference) -> Told {
        match self {
            Self::Debug => Told { message: message.to_owned(), reason, reference: None },
            Self::General => {
                let reference = reference();
                let message = match reason {
                    // Whoever calls again must know that it may be the second time.
                    "outcome_unknown" | "timed_out" => {
                        format!("An internal error occurred, and what came of the request is not known ({reference})")
                    }
                    _ => format!("An internal error occurred ({reference})"),
                };
                Told { message, reason: GENERAL, reference: Some(reference) }
            }
        }
    }
}

// === impl Told ===

impl Told {
    /// As a JSON-RPC error.
    pub fn error(&self, code: i64) -> ResponseBody {
        let mut data = json!({"reason": self.reason});
        if let Some(reference) = self.reference {
            data["reference"] = reference.to_string().into();
        }
        jsonrpc::error_body(code, &self.message, Some(&data))
    }

    /// As the result of a tool: models read these and can react (2025-11-25, tools, error handling).
    pub fn tool_result(&self) -> ResponseBody {
        RawJson::from_serialize(&self.tool_value())
            .map_or_else(|_| self.error(codes::INTERNAL_ERROR), ResponseBody::Result)
    }

    /// The same as a value.
    pub fn tool_value(&self) -> Value {
        let mut result = json!({"content": [{"type": "text", "text": self.message}], "isError": true});
        if self.reference.is_none() {
            result["_meta"] = json!({REASON: self.reason, "debug": {"type": "text", "text": self.message}});
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(level: ExceptionLevel, reason: &'static str) -> Told {
        level.tell("target `cart`: cannot be reached", reason, || Reference::of(("p", 7)))
    }

    #[test]
    fn in_debug_everything_is_said() {
        let told = told(ExceptionLevel::Debug, "unreachable");
        let result = told.tool_value();
        assert_eq!(result["content"][0]["text"], "target `cart`: cannot be reached");
        assert_eq!(result["_meta"]["debug"], json!({"type": "text", "text": "target `cart`: cannot be reached"}));
        assert_eq!(result["_meta"][REASON], "unreachable");
        let ResponseBody::Error(error) = told.error(-32603) else { panic!() };
        assert!(error.as_str().contains("cart") && error.as_str().contains("unreachable"));
    }

    #[test]
    fn in_general_nothing_but_a_reference() {
        let short = told(ExceptionLevel::General, "unreachable");
        let result = short.tool_value();
        let reference = short.reference.unwrap().to_string();
        assert_eq!((result.get("_meta"), reference.len()), (None, 16));
        assert!(result["content"][0]["text"].as_str().unwrap().contains(&reference));
        let ResponseBody::Error(error) = short.error(-32603) else { panic!() };
        let error: Value = serde_json::from_str(error.as_str()).unwrap();
        assert_eq!(error["data"], json!({"reason": GENERAL, "reference": reference}));
        for body in [result.to_string(), error.to_string()] {
            assert!(!body.contains("cart") && !body.contains("reach"), "{body}");
        }
        assert!(told(ExceptionLevel::General, "outcome_unknown").message.contains("not known"));
    }
}
