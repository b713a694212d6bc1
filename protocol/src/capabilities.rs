//! What the gateway declares to a target on behalf of a client: what that client can answer, and nothing else.

use serde_json::value::RawValue;

use crate::elicitation::ElicitationCapability;
use crate::json::RawJson;
use crate::members::Members;
use crate::revision::Revision;

/// The one extension that passes through the gateway unchanged: MCP Apps.
pub const UI_EXTENSION: &str = "io.modelcontextprotocol/ui";

/// The client capabilities for the `initialize` of a downstream session that serves one client.
///
/// `roots`, `sampling` and `elicitation` pass, each byte for byte unless its client's revision lacks a part of it; of
/// `extensions` only [`UI_EXTENSION`]. `tasks`, `experimental` and everything unknown are dropped: a target must not
/// ask for what the gateway does not relay. What cannot be read is not declared.
pub fn downstream_capabilities(client: &RawJson, revision: Revision) -> RawJson {
    let Ok(members) = Members::of(client) else { return RawJson::EMPTY_OBJECT };
    let mut out = Vec::new();
    for (name, raw) in members.iter() {
        let Ok(value) = Members::of_str(raw.get()) else { continue };
        let kept = match name {
            "roots" => Some(raw.get().to_owned()),
            "sampling" => Some(sampling(raw, &value, revision)),
            "elicitation" => elicitation(raw, &value, revision),
            "extensions" => extensions(&value),
            _ => None,
        };
        if let Some(kept) = kept {
            out.push(format!("\"{name}\":{kept}"));
        }
    }
    RawJson::trusted(format!("{{{}}}", out.join(",")))
}

/// What the catalogue session of a target declares: everything that the gateway can relay for some client, so that
/// the target shows all it has. It is asked nothing: that session calls nothing.
pub fn everything() -> RawJson {
    RawJson::trusted(r#"{"roots":{"listChanged":true},"sampling":{},"elicitation":{"form":{},"url":{}}}"#)
}

/// `tools` and `context` came with 2025-11-25.
fn sampling(raw: &RawValue, value: &Members<'_>, revision: Revision) -> String {
    let newer = ["tools", "context"].into_iter().any(|part| value.get(part).is_some());
    if revision >= Revision::V2025_11_25 || !newer {
        return raw.get().to_owned();
    }
    value.with(&[("tools", None), ("context", None)]).as_str().to_owned()
}

fn elicitation(raw: &RawValue, value: &Members<'_>, revision: Revision) -> Option<String> {
    let declared = ElicitationCapability::of_raw(raw, revision);
    if !declared.any() {
        return None;
    }
    let drops: Vec<(&str, Option<&str>)> = [("form", declared.form), ("url", declared.url)]
        .into_iter()
        .filter(|(mode, declared)| !declared && value.get(mode).is_some())
        .map(|(mode, _)| (mode, None))
        .collect();
    Some(if drops.is_empty() { raw.get().to_owned() } else { value.with(&drops).as_str().to_owned() })
}

fn extensions(value: &Members<'_>) -> Option<String> {
    let ui = value.get(UI_EXTENSION)?;
    Some(format!("{{\"{UI_EXTENSION}\":{}}}", ui.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down(text: &str, revision: Revision) -> String {
        downstream_capabilities(&RawJson::parse(text.to_owned()).unwrap(), revision).as_str().to_owned()
    }

    #[test]
    fn only_what_the_gateway_relays_is_declared_and_it_keeps_its_bytes() {
        let text = r#"{"experimental":{"x":{}},"elicitation":{ "url":{} , "form":{} },"tasks":{"list":{}},"roots":{"listChanged" : true},
            "sampling":{"tools":{}},"extensions":{"a/b":{},"io.modelcontextprotocol/ui":{"mimeTypes":[ ]}},"new":{}}"#;
        assert_eq!(
            down(text, Revision::V2025_11_25),
            concat!(
                r#"{"elicitation":{ "url":{} , "form":{} },"roots":{"listChanged" : true},"sampling":{"tools":{}},"#,
                r#""extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":[ ]}}}"#
            )
        );
        assert_eq!(
            down(text, Revision::V2025_06_18),
            concat!(
                r#"{"elicitation":{"form":{}},"roots":{"listChanged" : true},"sampling":{},"#,
                r#""extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":[ ]}}}"#
            )
        );
        assert!(!down(text, Revision::V2025_03_26).contains("elicitation"));
    }

    #[test]
    fn what_was_not_declared_properly_was_not_declared() {
        let newest = Revision::V2025_11_25;
        for text in [
            "[]",
            "{}",
            r#"{"roots":null,"sampling":true,"elicitation":7}"#,
            r#"{"elicitation":{"form":false}}"#,
            r#"{"extensions":{"a/b":{}}}"#,
            r#"{"roots":{},"roots":{}}"#,
        ] {
            assert_eq!(down(text, newest), "{}", "{text}");
        }
        assert_eq!(down(r#"{"elicitation":{}}"#, newest), r#"{"elicitation":{}}"#);
        assert_eq!(down(r#"{"elicitation":{"url":{}}}"#, newest), r#"{"elicitation":{"url":{}}}"#);
        assert_eq!(down(r#"{"elicitation":{"url":{}}}"#, Revision::V2025_06_18), r#"{"elicitation":{}}"#);
    }

    #[test]
    fn everything_is_what_a_full_client_would_declare() {
        let all = everything();
        assert_eq!(downstream_capabilities(&all, Revision::V2025_11_25), all);
    }
}
