//! Errors of one era for a client of the other.
//!
//! Three codes describe a single hop (wrong headers, a missing client capability, an unknown revision): whoever is one
//! hop further away can do nothing with them, so they never pass.

use serde_json::{Value, json};

use crate::codes::{INTERNAL_ERROR, INVALID_PARAMS, RESOURCE_NOT_FOUND, URL_ELICITATION_REQUIRED};
use crate::json::RawJson;
use crate::jsonrpc::{ErrorShape, ResponseBody, error_body};
use crate::members::Members;
use crate::text::short;

/// Headers and body of a request contradict each other (2026-07-28).
const HEADER_MISMATCH: i64 = -32020;
/// The request does not declare a capability that its answer needs (2026-07-28).
const MISSING_CAPABILITY: i64 = -32021;
/// The revision of the request is not spoken (2026-07-28).
const UNSUPPORTED_VERSION: i64 = -32022;

/// How many missing features a text names.
const MAX_FEATURES: usize = 8;

/// Whether a code speaks of one hop only.
pub fn hop_error(code: i64) -> bool {
    matches!(code, HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION)
}

/// An error of a legacy target for a modern client. A resource that was not found has another code there; a legacy
/// target has no business with the codes of a hop. A -32042 becomes a question instead
/// ([`super::url_required::to_input_required`]): one that could not is an internal error here, as it must not pass.
/// `target` is the name to show. All else passes as it came.
pub fn to_modern(target: &str, error: &RawJson) -> ResponseBody {
    let Ok(shape) = error.borrow::<ErrorShape<'_>>() else { return unreadable(target) };
    match shape.code {
        RESOURCE_NOT_FOUND => with_code(error, &shape, INVALID_PARAMS),
        URL_ELICITATION_REQUIRED => internal(target, "asked for pages to be opened in a way that cannot be passed on"),
        code if hop_error(code) => internal(target, &format!("answered with an error that it must not use ({code})")),
        _ => ResponseBody::Error(error.clone()),
    }
}

/// An error of a modern target for a legacy client, as the answer to a request of this method. A failed hop is an
/// internal error, and of a `tools/call` a tool error, which models can read; it names the feature that was missing.
/// All else passes as it came.
pub fn to_legacy(method: &str, target: &str, error: &RawJson) -> ResponseBody {
    let Ok(shape) = error.borrow::<ErrorShape<'_>>() else { return unreadable(target) };
    let reason = match shape.code {
        INVALID_PARAMS if method == "resources/read" && not_found(&shape) => {
            return with_code(error, &shape, RESOURCE_NOT_FOUND);
        }
        MISSING_CAPABILITY => missing(&shape),
        HEADER_MISMATCH => "refused the headers of the request".into(),
        UNSUPPORTED_VERSION => "does not speak the revision that it spoke before".into(),
        URL_ELICITATION_REQUIRED => "answered with an error that its revision does not have".into(),
        _ => return ResponseBody::Error(error.clone()),
    };
    if method != "tools/call" {
        return internal(target, &reason);
    }
    let text = text(target, &reason);
    ResponseBody::Result(RawJson::trusted(
        json!({"content": [{"type": "text", "text": text}], "isError": true}).to_string(),
    ))
}

// === helpers ===

fn text(target: &str, reason: &str) -> String {
    format!("target `{}` {reason}", short(target))
}

fn internal(target: &str, reason: &str) -> ResponseBody {
    error_body(INTERNAL_ERROR, &text(target, reason), None)
}

fn unreadable(target: &str) -> ResponseBody {
    internal(target, "answered with an error that cannot be read")
}

/// The error under another code. One with a duplicate member keeps its message alone.
fn with_code(error: &RawJson, shape: &ErrorShape<'_>, code: i64) -> ResponseBody {
    match Members::of(error) {
        Ok(members) => ResponseBody::Error(members.with(&[("code", Some(&code.to_string()))])),
        Err(_) => error_body(code, &shape.message, None),
    }
}

/// Invalid parameters are many things. Of a resource that was not found, the specification's example names the URI in
/// `data`, and every known server says so in the message.
fn not_found(error: &ErrorShape<'_>) -> bool {
    let message = error.message.to_ascii_lowercase();
    let names_uri =
        error.data.and_then(|data| Members::of_str(data.get()).ok()).is_some_and(|data| data.get_str("uri").is_some());
    names_uri || message.contains("not found") || message.contains("unknown resource")
}

/// `needs a client with elicitation.url`, out of `data.requiredCapabilities`.
fn missing(error: &ErrorShape<'_>) -> String {
    let data: Option<Value> = error.data.and_then(|data| serde_json::from_str(data.get()).ok());
    let mut features = Vec::new();
    if let Some(required) = data.as_ref().and_then(|data| data.get("requiredCapabilities")?.as_object()) {
        for (name, parts) in required {
            match parts.as_object().filter(|parts| !parts.is_empty()) {
                Some(parts) => features.extend(parts.keys().map(|part| format!("{}.{}", short(name), short(part)))),
                None => features.push(short(name).into_owned()),
            }
        }
    }
    features.truncate(MAX_FEATURES);
    if features.is_empty() {
        return "needs a client feature that is not there".into();
    }
    format!("needs a client with {}", features.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    fn error(body: ResponseBody) -> String {
        match body {
            ResponseBody::Error(raw) => raw.as_str().to_owned(),
            ResponseBody::Result(raw) => panic!("{}", raw.as_str()),
        }
    }

    #[test]
    fn a_resource_is_not_found_under_the_code_of_each_era() {
        let legacy = raw(r#"{"code":-32002,"message":"m","data":{ "uri":"file:///x" },"y":1.0}"#);
        let modern = error(to_modern("cart", &legacy));
        assert_eq!(modern, r#"{"code":-32602,"message":"m","data":{ "uri":"file:///x" },"y":1.0}"#);
        assert_eq!(error(to_legacy("resources/read", "cart", &raw(&modern))), legacy.as_str());
        assert_eq!(error(to_legacy("tools/call", "cart", &raw(&modern))), modern);
        let twice = error(to_modern("cart", &raw(r#"{"code":-32002,"message":"m","x":1,"x":2}"#)));
        assert_eq!(twice, r#"{"code":-32602,"message":"m"}"#);
        let said = r#"{"code":-32602,"message":"Resource not found: file:///x"}"#;
        assert!(error(to_legacy("resources/read", "cart", &raw(said))).contains("-32002"));
        let other = r#"{"code":-32602,"message":"`uri` must be a string"}"#;
        assert_eq!(error(to_legacy("resources/read", "cart", &raw(other))), other);
    }

    #[test]
    fn errors_of_one_hop_stay_there() {
        for code in [-32020, -32021, -32022, -32042] {
            let hop = raw(&format!(r#"{{"code":{code},"message":"secret","data":{{"x":"secret"}}}}"#));
            let bodies = [
                to_modern("cart", &hop),
                to_legacy("prompts/get", "cart", &hop),
                to_legacy("tools/call", "cart", &hop),
            ];
            for body in bodies {
                let text = match body {
                    ResponseBody::Error(raw) => {
                        assert!(raw.as_str().contains("-32603"));
                        raw
                    }
                    ResponseBody::Result(raw) => {
                        assert!(raw.as_str().contains(r#""isError":true"#));
                        raw
                    }
                };
                assert!(text.as_str().contains("target `cart`") && !text.as_str().contains("secret"));
            }
        }
        assert!(hop_error(-32021) && !hop_error(-32019) && !hop_error(-32042));
    }

    #[test]
    fn a_missing_feature_is_named() {
        let hop = raw(
            r#"{"code":-32021,"message":"m","data":{"requiredCapabilities":{"elicitation":{"form":{},"url":{}},"roots":{}}}}"#,
        );
        let text = error(to_legacy("prompts/get", "cart", &hop));
        assert!(text.contains("needs a client with elicitation.form, elicitation.url, roots"), "{text}");
    }

    #[test]
    fn other_errors_pass_as_they_came() {
        for text in [r#"{"code":-32000,"message":"m","data":[ 1.0 ]}"#, r#"{"message":"m", "code":7}"#] {
            assert_eq!(error(to_modern("cart", &raw(text))), text);
            assert_eq!(error(to_legacy("resources/read", "cart", &raw(text))), text);
        }
        assert!(error(to_modern("cart", &raw("[]"))).contains("-32603"));
        assert!(error(to_legacy("ping", "cart", &raw(r#"{"code":1,"code":-32021,"message":""}"#))).contains("-32603"));
    }
}
