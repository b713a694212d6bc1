//! What an item of a list must have: clients that find one which does not, refuse the whole list with all its other
//! items, of all other targets too.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;
use sessiongate_protocol::RawJson;
use sessiongate_protocol::members::Members;

use super::ListKind;

/// Why clients could not read an item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no object, or one with a member that is there twice.
    #[error("is not an object with each member once")]
    Form,
    /// What it is called by is missing, empty, or no text.
    #[error("has no `{0}`")]
    Unnamed(&'static str),
    /// A tool whose arguments are not described as an object.
    #[error("has no `inputSchema` with `type: object`")]
    Schema,
    /// A member is something else than it must be.
    #[error("has a `{member}` that is not {must}")]
    Member {
        /// Which.
        member: &'static str,
        /// What it must be.
        must: &'static str,
    },
}

/// What the value of a member must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Number,
    Object,
    List,
    /// Objects with a name each.
    Arguments,
}

/// Members that an item need not have.
type Optional = &'static [(&'static str, Form)];

const TOOL: Optional = &[
    ("title", Form::Text),
    ("description", Form::Text),
    ("outputSchema", Form::Object),
    ("annotations", Form::Object),
    ("execution", Form::Object),
    ("icons", Form::List),
    ("_meta", Form::Object),
];
const PROMPT: Optional = &[
    ("title", Form::Text),
    ("description", Form::Text),
    ("arguments", Form::Arguments),
    ("icons", Form::List),
    ("_meta", Form::Object),
];
const RESOURCE: Optional = &[
    ("title", Form::Text),
    ("description", Form::Text),
    ("mimeType", Form::Text),
    ("size", Form::Number),
    ("annotations", Form::Object),
    ("icons", Form::List),
    ("_meta", Form::Object),
];

/// The item as clients can read it. What need not be there and is `null`, as many servers send it and few clients take it,
/// is dropped; all else keeps its bytes.
///
/// # Errors
/// Where clients refuse a list that has it.
pub fn readable(kind: ListKind, item: &RawJson) -> Result<Cow<'_, RawJson>, Fault> {
    let members = Members::of(item).map_err(|_| Fault::Form)?;
    let key = kind.key();
    if members.get_str(key).is_none_or(|key| key.is_empty()) {
        return Err(Fault::Unnamed(key));
    }
    members.get_str("name").ok_or(Fault::Unnamed("name"))?;
    let optional = match kind {
        ListKind::Tools => {
            input_schema(members.get("inputSchema").ok_or(Fault::Schema)?)?;
            TOOL
        }
        ListKind::Prompts => PROMPT,
        ListKind::Resources | ListKind::ResourceTemplates => RESOURCE,
    };
    let mut nulls = Vec::new();
    for (member, form) in optional {
        match members.get(member) {
            Some(value) if value.get() == "null" => nulls.push((*member, None)),
            Some(value) if !form.fits(value) => return Err(Fault::Member { member, must: form.words() }),
            _ => {}
        }
    }
    Ok(if nulls.is_empty() { Cow::Borrowed(item) } else { Cow::Owned(members.with(&nulls)) })
}

/// Up to 2025-11-25 a property is an object; a boolean, which is a schema too, is of later revisions.
fn input_schema(schema: &RawValue) -> Result<(), Fault> {
    let members = serde_json::from_str::<HashMap<String, &RawValue>>(schema.get()).map_err(|_| Fault::Schema)?;
    if members.get("type").is_none_or(|kind| kind.get() != "\"object\"") {
        return Err(Fault::Schema);
    }
    let wrong = |member, must| Err(Fault::Member { member, must });
    if let Some(properties) = members.get("properties") {
        let properties = serde_json::from_str::<HashMap<String, &RawValue>>(properties.get());
        let fits = |one: &&RawValue| Form::Object.fits(one) || matches!(one.get(), "true" | "false");
        if !properties.is_ok_and(|properties| properties.values().all(fits)) {
            return wrong("inputSchema.properties", "an object of schemas");
        }
    }
    if let Some(required) = members.get("required")
        && serde_json::from_str::<Vec<String>>(required.get()).is_err()
    {
        return wrong("inputSchema.required", "a list of strings");
    }
    Ok(())
}

// === impl Form ===

impl Form {
    fn fits(self, value: &RawValue) -> bool {
        let first = value.get().as_bytes().first().copied().unwrap_or_default();
        match self {
            Self::Text => first == b'"',
            Self::Number => first == b'-' || first.is_ascii_digit(),
            Self::Object => first == b'{',
            Self::List => first == b'[',
            Self::Arguments => serde_json::from_str::<Vec<&RawValue>>(value.get()).is_ok_and(|all| {
                let named = |one: &&RawValue| Members::of_str(one.get()).is_ok_and(|one| one.get_str("name").is_some());
                all.iter().all(named)
            }),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Number => "a number",
            Self::Object => "an object",
            Self::List => "a list",
            Self::Arguments => "a list of objects with a `name`",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fault(kind: ListKind, item: &Value) -> Option<String> {
        readable(kind, &RawJson::from_serialize(item).unwrap()).err().map(|fault| fault.to_string())
    }

    #[test]
    fn a_tool_that_clients_cannot_read_is_told_from_one_that_they_can() {
        let with = |member: &str, value: Value| {
            let mut tool = json!({"name": "a", "inputSchema": {"type": "object"}, "x": 1});
            tool[member] = value;
            tool
        };
        for good in [
            with("name", json!("a b é")),
            with("inputSchema", json!({"type": "object", "properties": {"p": {}, "q": true}, "required": ["p"]})),
            with("outputSchema", json!({"oneOf": []})),
            with("annotations", json!({"readOnlyHint": true})),
        ] {
            assert_eq!(fault(ListKind::Tools, &good), None, "{good}");
        }
        for (bad, says) in [
            (json!("a"), "object"),
            (json!({"inputSchema": {"type": "object"}}), "`name`"),
            (with("name", json!("")), "`name`"),
            (with("name", json!(3)), "`name`"),
            (json!({"name": "a"}), "`inputSchema`"),
            (with("inputSchema", json!({})), "`type: object`"),
            (with("inputSchema", json!({"type": "string"})), "`type: object`"),
            (with("inputSchema", json!({"type": ["object"]})), "`type: object`"),
            (with("inputSchema", Value::Null), "`inputSchema`"),
            (with("inputSchema", json!({"type": "object", "properties": {"p": "string"}})), "properties"),
            (with("inputSchema", json!({"type": "object", "properties": []})), "properties"),
            (with("inputSchema", json!({"type": "object", "required": true})), "required"),
            (with("description", json!(5)), "`description` that is not a string"),
            (with("title", json!({})), "`title`"),
            (with("outputSchema", json!("x")), "`outputSchema`"),
            (with("annotations", json!([])), "`annotations`"),
            (with("icons", json!({})), "`icons`"),
            (with("_meta", json!(1)), "`_meta`"),
        ] {
            assert!(fault(ListKind::Tools, &bad).is_some_and(|fault| fault.contains(says)), "{bad}");
        }
        let twice = RawJson::parse(r#"{"name":"a","name":"b","inputSchema":{"type":"object"}}"#).unwrap();
        assert_eq!(readable(ListKind::Tools, &twice), Err(Fault::Form));
    }

    #[test]
    fn so_are_prompts_resources_and_templates() {
        for (kind, bad) in [
            (ListKind::Prompts, json!({})),
            (ListKind::Prompts, json!({"name": "p", "arguments": [{"required": true}]})),
            (ListKind::Prompts, json!({"name": "p", "arguments": {}})),
            (ListKind::Resources, json!({"uri": "a:b"})),
            (ListKind::Resources, json!({"uri": "", "name": "r"})),
            (ListKind::Resources, json!({"uri": "a:b", "name": "r", "mimeType": 1})),
            (ListKind::Resources, json!({"uri": "a:b", "name": "r", "size": "1"})),
            (ListKind::ResourceTemplates, json!({"uri": "a:b", "name": "t"})),
        ] {
            assert!(fault(kind, &bad).is_some(), "{bad}");
        }
        for (kind, good) in [
            (ListKind::Prompts, json!({"name": "p", "arguments": [{"name": "x", "required": true}]})),
            (ListKind::Resources, json!({"uri": "a:b", "name": "", "size": 1})),
            (ListKind::ResourceTemplates, json!({"uriTemplate": "a:{b}", "name": "t"})),
        ] {
            assert_eq!(fault(kind, &good), None, "{good}");
        }
    }

    #[test]
    fn what_is_null_and_need_not_be_there_is_dropped() {
        let text = r#"{"name":"a","title":null,"inputSchema":{"type":"object"},"n":1.00,"x":null,"description":null}"#;
        let tool = RawJson::parse(text).unwrap();
        let read = readable(ListKind::Tools, &tool).unwrap();
        assert_eq!(read.as_str(), r#"{"name":"a","inputSchema":{"type":"object"},"n":1.00,"x":null}"#);
    }
}
