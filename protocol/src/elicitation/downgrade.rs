//! Rewriting a question of a newer target for an older client.
//!
//! | | to 2025-11-25 | to 2025-06-18 | older |
//! |---|---|---|---|
//! | form | as it is | without `mode`, `$schema` and defaults that are not boolean | not possible |
//! | titled choice (`oneOf`) | as it is | `enum` and `enumNames` | - |
//! | several choices (array) | as it is | not possible | - |
//! | URL | as it is | not possible | - |

use serde_json::value::RawValue;

use super::Mode;
use super::schema::read;
use crate::json::RawJson;
use crate::members::Members;
use crate::meta::{ParamsError, members};
use crate::revision::Revision;
use crate::text::short;

/// Why a client cannot be asked. The texts are for the target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DowngradeError {
    /// The params cannot be read.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The client's revision has no elicitation.
    #[error("the client's revision {0} has no elicitation")]
    NoElicitation(Revision),
    /// The client's revision has no URL mode.
    #[error("the client's revision {0} has no URL elicitation")]
    NoUrlMode(Revision),
    /// The client's revision has no such field.
    #[error("the client's revision {revision} cannot show property `{property}`: {reason}")]
    NotExpressible {
        /// What the client speaks.
        revision: Revision,
        /// Which field; shortened where it is long.
        property: String,
        /// Why.
        reason: String,
    },
    /// The requested schema cannot be read.
    #[error("the requested schema cannot be read: {0}")]
    Schema(&'static str),
}

/// The params of an `elicitation/create` as a client of this revision can show them: what need not change keeps its
/// bytes, and a 2025-11-25 client gets all of them.
///
/// # Errors
/// Where the question cannot be shown. The target's request then ends with an error or `decline`.
pub fn for_client(params: &RawJson, client: Revision) -> Result<RawJson, DowngradeError> {
    if client >= Revision::V2025_11_25 {
        return Ok(params.clone());
    }
    if !client.has_elicitation() {
        return Err(DowngradeError::NoElicitation(client));
    }
    if Mode::of(params)? == Mode::Url {
        return Err(DowngradeError::NoUrlMode(client));
    }
    let outer = members(params)?;
    let schema = outer.get("requestedSchema").ok_or(ParamsError::Missing("requestedSchema"))?;
    let schema = downgraded_schema(schema, client)?;
    let mut changes: Vec<(&str, Option<&str>)> = Vec::new();
    if outer.get("mode").is_some() {
        changes.push(("mode", None));
    }
    if let Some(schema) = &schema {
        changes.push(("requestedSchema", Some(schema.as_str())));
    }
    Ok(if changes.is_empty() { params.clone() } else { outer.with(&changes) })
}

/// The schema, where something had to change.
fn downgraded_schema(schema: &RawValue, client: Revision) -> Result<Option<RawJson>, DowngradeError> {
    let schema = object(schema)?;
    let properties = object(schema.get("properties").ok_or(DowngradeError::Schema("it has no properties"))?)?;
    let mut changed: Vec<(&str, RawJson)> = Vec::new();
    for (name, raw) in properties.iter() {
        let field = object(raw)?;
        let new = downgraded_field(&field).map_err(|reason| DowngradeError::NotExpressible {
            revision: client,
            property: short(name).into(),
            reason,
        })?;
        changed.extend(new.map(|new| (name, new)));
    }
    let changed: Vec<(&str, Option<&str>)> = changed.iter().map(|(name, new)| (*name, Some(new.as_str()))).collect();
    let properties = (!changed.is_empty()).then(|| properties.with(&changed));
    let mut changes: Vec<(&str, Option<&str>)> = Vec::new();
    if schema.get("$schema").is_some() {
        changes.push(("$schema", None));
    }
    if let Some(properties) = &properties {
        changes.push(("properties", Some(properties.as_str())));
    }
    Ok((!changes.is_empty()).then(|| schema.with(&changes)))
}

/// The field, where something had to change.
fn downgraded_field(field: &Members<'_>) -> Result<Option<RawJson>, String> {
    let kind = field.get_str("type");
    if kind.as_deref() == Some("array") {
        return Err("it has several choices".into());
    }
    let mut changes: Vec<(&str, Option<&str>)> = Vec::new();
    let boolean = kind.as_deref() == Some("boolean");
    if field.get("default").is_some_and(|raw| !(boolean && matches!(raw.get(), "true" | "false"))) {
        changes.push(("default", None));
    }
    let untitled = field.get("oneOf").map(untitled).transpose()?;
    if let Some((values, names)) = &untitled {
        changes.extend([("oneOf", None), ("enum", Some(values.as_str())), ("enumNames", Some(names.as_str()))]);
    }
    Ok((!changes.is_empty()).then(|| field.with(&changes)))
}

/// `enum` and `enumNames` of a `oneOf`.
fn untitled(one_of: &RawValue) -> Result<(String, String), String> {
    let list: Vec<Members<'_>> =
        serde_json::from_str(one_of.get()).map_err(|_| "its `oneOf` must be a list of objects".to_owned())?;
    let mut values = Vec::with_capacity(list.len());
    let mut names = Vec::with_capacity(list.len());
    for choice in &list {
        let choice = read::titled_choice(choice, "oneOf")?;
        names.push(choice.to_string());
        values.push(choice.value);
    }
    let text = |list: &[String]| serde_json::to_string(list).map_err(|error| error.to_string());
    Ok((text(&values)?, text(&names)?))
}

fn object(raw: &RawValue) -> Result<Members<'_>, DowngradeError> {
    Members::of_str(raw.get()).map_err(|_| DowngradeError::Schema("an object is expected, without duplicate members"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Revision = Revision::V2025_06_18;

    fn down(text: &str, client: Revision) -> Result<String, DowngradeError> {
        for_client(&RawJson::parse(text.to_owned()).unwrap(), client).map(|raw| raw.as_str().to_owned())
    }

    fn form(field: &str) -> String {
        format!(r#"{{"message":"m","requestedSchema":{{"type":"object","properties":{{"f":{field}}}}}}}"#)
    }

    #[test]
    fn a_newer_client_gets_every_byte() {
        let text = r#"{ "mode" : "url", "url":"https://x", "elicitationId":"1", "message":"m" }"#;
        assert_eq!(down(text, Revision::V2025_11_25).unwrap(), text);
    }

    #[test]
    fn a_2025_06_18_client_gets_what_it_knows_and_the_rest_untouched() {
        let text = r#"{"mode":"form","message":"m","requestedSchema":{"$schema":"s","type":"object","properties":{
            "a":{"type":"string", "minLength":1},
            "b":{"type":"string","default":"x","title":"B"},
            "c":{"type":"boolean", "default":true},
            "d":{"type":"string","oneOf":[{"const":"1","title":"One"},{"const":"2"}],"default":"1"},
            "e":{"type":"integer","default":0},
            "f":{"type":"boolean","default":"yes"}},"required":[ "a" ]},"_meta":{"k":1.0}}"#;
        assert_eq!(
            down(text, OLD).unwrap(),
            concat!(
                r#"{"message":"m","requestedSchema":{"type":"object","properties":{"#,
                r#""a":{"type":"string", "minLength":1},"#,
                r#""b":{"type":"string","title":"B"},"#,
                r#""c":{"type":"boolean", "default":true},"#,
                r#""d":{"type":"string","enum":["1","2"],"enumNames":["One","2"]},"#,
                r#""e":{"type":"integer"},"#,
                r#""f":{"type":"boolean"}},"required":[ "a" ]},"_meta":{"k":1.0}}"#,
            )
        );
        let plain = form(r#"{ "type" : "string" , "enum":["a"],"enumNames":["A"] }"#);
        assert_eq!(down(&plain, OLD).unwrap(), plain);
    }

    #[test]
    fn what_an_old_client_cannot_show_is_an_error() {
        let several = form(r#"{"type":"array","items":{"type":"string","enum":["a"]}}"#);
        assert!(matches!(down(&several, OLD), Err(DowngradeError::NotExpressible { property, .. }) if property == "f"));
        let url = r#"{"mode":"url","url":"https://x","elicitationId":"1","message":"m"}"#;
        assert_eq!(down(url, OLD), Err(DowngradeError::NoUrlMode(OLD)));
        let older = Revision::V2025_03_26;
        assert_eq!(down(&form(r#"{"type":"string"}"#), older), Err(DowngradeError::NoElicitation(older)));
        assert!(matches!(down(r#"{"message":"m"}"#, OLD), Err(DowngradeError::Params(_))));
        assert!(matches!(down(&form("7"), OLD), Err(DowngradeError::Schema(_))));
        assert!(matches!(
            down(&form(r#"{"type":"string","oneOf":[{"const":1}]}"#), OLD),
            Err(DowngradeError::NotExpressible { .. })
        ));
    }
}
