//! What a client can be asked, as one era declares it, for a target of the other.
//!
//! Profiles are canonical: clients that can be asked the same things have equal bytes, so that a profile is a key for
//! sessions that may serve either.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::tasks::EXTENSION;
use crate::capabilities::UI_EXTENSION;
use crate::elicitation::{ElicitationCapability, Mode};
use crate::json::RawJson;
use crate::members::Members;
use crate::revision::Revision;

/// Longest settings of the one extension that passes, in bytes: longer ones are not declared. A profile is kept for
/// as long as its sessions are.
pub const MAX_SETTINGS: usize = 4096;

/// The only content that MCP Apps know: what a client says of it changes what a target shows.
const APP: &str = "text/html;profile=mcp-app";

/// What the `initialize` of a legacy downstream session declares for a modern request with these
/// `clientCapabilities`: elicitation, sampling, roots (which cannot change, as nobody would say so) and the one
/// extension that passes. What cannot be read was not declared.
///
/// There are 120 of them and not more: each is a session of its own, and a client must not be able to have as many as it
/// likes by declaring what changes nothing. So of the extension's settings only the content counts that exists.
pub fn legacy_capabilities(modern: &RawJson) -> RawJson {
    canonical(modern, Revision::V2026_07_28, known_settings)
}

/// The `clientCapabilities` of a modern client for a target of the same era: as they are, without extensions but the one
/// that passes and, where the target has them too, `tasks`: a target must not use what the gateway does not carry.
pub fn relayed_capabilities(modern: &RawJson, tasks: bool) -> RawJson {
    let Ok(members) = Members::of(modern) else { return RawJson::EMPTY_OBJECT };
    let Some(extensions) = members.get("extensions") else { return modern.clone() };
    let Ok(named) = Members::of_str(extensions.get()) else { return members.with(&[("extensions", None)]) };
    let carried = |name: &str| name == UI_EXTENSION || (tasks && name == EXTENSION);
    if named.iter().all(|(name, _)| carried(name)) {
        return modern.clone();
    }
    let kept: Vec<String> = named
        .iter()
        .filter(|(name, _)| carried(name))
        .map(|(name, settings)| format!("\"{name}\":{}", settings.get()))
        .collect();
    let kept = (!kept.is_empty()).then(|| format!("{{{}}}", kept.join(",")));
    members.with(&[("extensions", kept.as_deref())])
}

/// Capabilities that have an extension too, without settings.
pub fn with_extension(capabilities: &RawJson, extension: &str) -> RawJson {
    let Ok(members) = Members::of(capabilities) else { return capabilities.clone() };
    let known = members.get("extensions").map_or("{}", RawValue::get);
    let Ok(known) = Members::of_str(known) else { return capabilities.clone() };
    let extensions = known.with(&[(extension, Some("{}"))]);
    members.with(&[("extensions", Some(extensions.as_str()))])
}

/// What a modern request declares for a legacy client that declared this at its `initialize`, in this revision:
/// changes of roots, tasks and what the revision does not have are left out.
pub fn modern_capabilities(legacy: &RawJson, revision: Revision) -> RawJson {
    canonical(legacy, revision, settings)
}

/// The capabilities that a client needs to be asked this, as `data.requiredCapabilities` of a -32021 has them. `{}`
/// for a request that is none of the three; an elicitation of an unknown mode needs a form, as one without mode.
pub fn required_for(method: &str, params: Option<&RawJson>) -> Value {
    match method {
        "elicitation/create" => match params.map(Mode::of) {
            Some(Ok(Mode::Url)) => json!({"elicitation": {"url": {}}}),
            _ => json!({"elicitation": {"form": {}}}),
        },
        "sampling/createMessage" => {
            let says = |members: &Members<'_>, name| object_or_list(members.get(name));
            let tools = params
                .and_then(|params| Members::of(params).ok())
                .is_some_and(|params| says(&params, "tools") || says(&params, "toolChoice"));
            if tools { json!({"sampling": {"tools": {}}}) } else { json!({"sampling": {}}) }
        }
        "roots/list" => json!({"roots": {}}),
        _ => json!({}),
    }
}

/// Whether the `clientCapabilities` of a modern request include all of `required`, which has the shape of
/// [`required_for`].
pub fn declares(capabilities: &RawJson, required: &Value) -> bool {
    let Some(required) = required.as_object() else { return false };
    let Ok(declared) = Members::of(capabilities) else { return required.is_empty() };
    required.iter().all(|(name, required)| match declared.get(name) {
        Some(raw) if name == "elicitation" => {
            let modes = ElicitationCapability::of_raw(raw, Revision::V2026_07_28);
            let needs = |mode| required.get(mode).is_some();
            modes.any() && (modes.form || !needs("form")) && (modes.url || !needs("url"))
        }
        Some(raw) => includes(raw, required),
        None => false,
    })
}

// === helpers ===

fn canonical(capabilities: &RawJson, revision: Revision, settings: impl Fn(&RawValue) -> Option<String>) -> RawJson {
    let Ok(members) = Members::of(capabilities) else { return RawJson::EMPTY_OBJECT };
    let object = |name| members.get(name).and_then(|raw| Members::of_str(raw.get()).ok());
    let mut out: Vec<String> = Vec::new();
    if let Some(raw) = members.get("elicitation") {
        let modes = ElicitationCapability::of_raw(raw, revision);
        if modes.any() {
            out.push(parts("elicitation", [("form", modes.form), ("url", modes.url)]));
        }
    }
    if let Some(settings) = object("extensions").and_then(|extensions| settings(extensions.get(UI_EXTENSION)?)) {
        out.push(format!("\"extensions\":{{\"{UI_EXTENSION}\":{settings}}}"));
    }
    if object("roots").is_some() {
        out.push("\"roots\":{}".into());
    }
    if let Some(sampling) = object("sampling") {
        let has = |name| {
            revision >= Revision::V2025_11_25 && sampling.get(name).is_some_and(|raw| raw.get().starts_with('{'))
        };
        out.push(parts("sampling", [("context", has("context")), ("tools", has("tools"))]));
    }
    RawJson::trusted(format!("{{{}}}", out.join(",")))
}

fn parts(name: &str, parts: [(&str, bool); 2]) -> String {
    let parts: Vec<String> =
        parts.into_iter().filter(|(_, has)| *has).map(|(part, _)| format!("\"{part}\":{{}}")).collect();
    format!("\"{name}\":{{{}}}", parts.join(","))
}

fn settings(raw: &RawValue) -> Option<String> {
    if raw.get().len() > MAX_SETTINGS || !raw.get().starts_with('{') {
        return None;
    }
    let mut settings: Value = serde_json::from_str(raw.get()).ok()?;
    settings.sort_all_objects();
    Some(settings.to_string())
}

/// The settings of MCP Apps without anything that means nothing.
fn known_settings(raw: &RawValue) -> Option<String> {
    let members = Members::of_str(raw.get()).ok()?;
    let types: Vec<String> =
        members.get("mimeTypes").and_then(|types| serde_json::from_str(types.get()).ok()).unwrap_or_default();
    Some(if types.iter().any(|known| known == APP) { json!({"mimeTypes": [APP]}) } else { json!({}) }.to_string())
}

fn object_or_list(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| raw.get().starts_with(['{', '[']))
}

/// Whether an object has all members of another, and their members in turn.
fn includes(declared: &RawValue, required: &Value) -> bool {
    let Ok(declared) = Members::of_str(declared.get()) else { return false };
    let Some(required) = required.as_object() else { return true };
    required.iter().all(|(name, required)| declared.get(name).is_some_and(|raw| includes(raw, required)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    fn legacy(text: &str) -> String {
        legacy_capabilities(&raw(text)).as_str().to_owned()
    }

    #[test]
    fn only_extensions_that_are_carried_are_relayed() {
        let relayed = |text: &str| relayed_capabilities(&raw(text), false).as_str().to_owned();
        let same = r#"{"roots":{ },"experimental":{"x":1},"extensions":{"io.modelcontextprotocol/ui":{}}}"#;
        assert_eq!(relayed(same), same);
        assert_eq!(
            relayed(r#"{"extensions":{"a/b":{},"io.modelcontextprotocol/ui":{"m":[]}},"roots":{}}"#),
            r#"{"extensions":{"io.modelcontextprotocol/ui":{"m":[]}},"roots":{}}"#
        );
        assert_eq!(relayed(r#"{"extensions":{"a/b":{}}}"#), "{}");
        let tasks = r#"{"extensions":{"io.modelcontextprotocol/tasks":{ }},"roots":{}}"#;
        assert_eq!(relayed(tasks), r#"{"roots":{}}"#);
        assert_eq!(relayed_capabilities(&raw(tasks), true).as_str(), tasks);
        let mixed = r#"{"extensions":{"a/b":{},"io.modelcontextprotocol/tasks":{},"io.modelcontextprotocol/ui":{}}}"#;
        assert_eq!(relayed_capabilities(&raw(mixed), true).as_str(), mixed.replace(r#""a/b":{},"#, ""));
    }

    #[test]
    fn an_extension_is_added_to_those_that_are_there() {
        let with = |text: &str| with_extension(&raw(text), "a/b").as_str().to_owned();
        assert_eq!(with("{}"), r#"{"extensions":{"a/b":{}}}"#);
        assert_eq!(with(r#"{"extensions":{"x":1},"roots":{}}"#), r#"{"extensions":{"x":1,"a/b":{}},"roots":{}}"#);
        assert_eq!(with(&with("{}")), with("{}"));
    }

    #[test]
    fn equal_profiles_have_equal_bytes() {
        let full = concat!(
            r#"{"elicitation":{"form":{},"url":{}},"#,
            r#""extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["text/html;profile=mcp-app"]}},"#,
            r#""roots":{},"sampling":{"context":{},"tools":{}}}"#
        );
        for text in [
            full,
            r#"{"sampling":{"tools":{"x":1},"context":{}},"tasks":{},"roots":{"listChanged":true},"experimental":{"y":{}},
                "extensions":{"a/b":{},"io.modelcontextprotocol/ui":{"b":[1],"mimeTypes":["a/b","text/html;profile=mcp-app"]}},
                "elicitation":{"url":{"z":0},"form":{}}}"#,
        ] {
            assert_eq!(legacy(text), full);
        }
        assert_eq!(legacy(r#"{"elicitation":{}}"#), r#"{"elicitation":{"form":{}}}"#);
        assert_eq!(legacy(r#"{"sampling":{}}"#), r#"{"sampling":{}}"#);
    }

    #[test]
    fn settings_that_mean_nothing_make_no_profile_of_their_own() {
        let with = |settings: &str| legacy(&format!(r#"{{"extensions":{{"{UI_EXTENSION}":{settings}}}}}"#));
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_SETTINGS));
        for settings in
            [r#"{"a":1}"#, r#"{"mimeTypes":[]}"#, r#"{"mimeTypes":7}"#, r#"{"mimeTypes":["a/1","a/2"]}"#, &long]
        {
            assert_eq!(with(settings), with("{}"), "{settings}");
        }
        assert_ne!(with(r#"{"mimeTypes":["text/html;profile=mcp-app"]}"#), with("{}"));
        assert_ne!(with("{}"), "{}");
        assert_eq!(with("7"), "{}");
        // A legacy client has one profile for all of its session: it is shown as it is.
        let whole = r#"{"extensions":{"io.modelcontextprotocol/ui":{"a":{"c":2,"d":1},"b":[1]}}}"#;
        assert_eq!(modern_capabilities(&raw(whole), Revision::V2025_11_25).as_str(), whole);
    }

    #[test]
    fn what_was_not_declared_properly_was_not_declared() {
        for text in [
            "[]",
            "{}",
            r#"{"roots":null,"sampling":true,"elicitation":7,"extensions":[]}"#,
            r#"{"elicitation":{"form":false}}"#,
            r#"{"roots":{},"roots":{}}"#,
        ] {
            assert_eq!(legacy(text), "{}", "{text}");
        }
        let long = format!(r#"{{"extensions":{{"{UI_EXTENSION}":{{"a":"{}"}}}}}}"#, "x".repeat(MAX_SETTINGS));
        assert_eq!(modern_capabilities(&raw(&long), Revision::V2025_11_25).as_str(), "{}");
    }

    #[test]
    fn a_legacy_client_declares_by_its_revision() {
        let text = r#"{"elicitation":{"form":{},"url":{}},"roots":{"listChanged":true},"sampling":{"tools":{}},"tasks":{"list":{}}}"#;
        let of = |revision| modern_capabilities(&raw(text), revision).as_str().to_owned();
        assert_eq!(
            of(Revision::V2025_11_25),
            r#"{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{"tools":{}}}"#
        );
        assert_eq!(of(Revision::V2025_06_18), r#"{"elicitation":{"form":{}},"roots":{},"sampling":{}}"#);
        assert_eq!(of(Revision::V2025_03_26), r#"{"roots":{},"sampling":{}}"#);
    }

    #[test]
    fn a_question_needs_what_it_uses() {
        let needs = |method: &str, params: &str| required_for(method, Some(&raw(params)));
        let form = json!({"elicitation": {"form": {}}});
        let url = json!({"elicitation": {"url": {}}});
        assert_eq!(needs("elicitation/create", "{}"), form);
        assert_eq!(needs("elicitation/create", r#"{"mode":"url"}"#), url);
        let tools = needs("sampling/createMessage", r#"{"tools":[]}"#);
        assert_eq!(tools, json!({"sampling": {"tools": {}}}));
        let sampling = needs("sampling/createMessage", r#"{"tools":null}"#);
        assert_eq!(sampling, json!({"sampling": {}}));
        let roots = required_for("roots/list", None);
        let all = r#"{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{"tools":{}}}"#;
        for required in [&form, &url, &tools, &sampling, &roots, &json!({})] {
            assert!(declares(&raw(all), required), "{required}");
            assert_eq!(declares(&raw("{}"), required), required == &json!({}));
        }
        assert!(declares(&raw(r#"{"elicitation":{}}"#), &form));
        assert!(!declares(&raw(r#"{"elicitation":{}}"#), &url));
        assert!(!declares(&raw(r#"{"elicitation":{"url":{}}}"#), &form));
        assert!(!declares(&raw(r#"{"sampling":{}}"#), &tools));
        assert!(!declares(&raw(r#"{"roots":null}"#), &roots));
    }
}
