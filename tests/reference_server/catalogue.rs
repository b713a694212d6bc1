//! What the server lists. Fixtures are JSON, because JSON is what a client sees.

use rmcp::{
    ErrorData,
    model::{JsonObject, Prompt, Resource, ResourceTemplate, Tool},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{catalogue_modern::modern_tools, input_required::ASKING_PROMPT};

/// A red PNG of one pixel.
pub const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A WAV file without a single sample.
pub const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";
/// Tools on one page of `tools/list` with `--many`.
pub const PAGE: usize = 50;
/// Tools that `--many` adds.
pub const MANY: usize = 250;

/// Reads a model type from JSON that this server wrote itself.
pub fn model<T: DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// Every tool, in a fixed order.
pub fn tools(many: bool, toggled: bool, modern: bool) -> Vec<Tool> {
    let mut tools: Vec<Tool> = conformance_tools();
    tools.extend(own_tools());
    if modern {
        tools.extend(modern_tools());
    }
    if toggled {
        tools.push(tool("sg_toggled", "Exists only while it is switched on", json!({"type": "object"})));
    }
    if many {
        tools.extend((0..MANY).map(|number| {
            let name = format!("page_{number:03}");
            tool(&name, "One of many", json!({"type": "object"}))
        }));
    }
    tools
}

/// A tool with this input schema.
pub fn tool(name: &str, description: &str, schema: Value) -> Tool {
    let schema = match schema {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    };
    Tool::new(name.to_owned(), description.to_owned(), schema)
}

/// The schema of an object.
pub fn object(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

fn conformance_tools() -> Vec<Tool> {
    let nothing = || object(json!({}), &[]);
    let plain = [
        ("test_simple_text", "Returns one text"),
        ("test_image_content", "Returns an image"),
        ("test_audio_content", "Returns a sound"),
        ("test_embedded_resource", "Returns an embedded resource"),
        ("test_multiple_content_types", "Returns text, image and resource"),
        ("test_tool_with_logging", "Sends three log messages"),
        ("test_tool_with_progress", "Reports progress three times"),
        ("test_error_handling", "Always fails"),
        ("test_elicitation_sep1034_defaults", "Asks with defaults"),
        ("test_elicitation_sep1330_enums", "Asks with every kind of enum"),
        ("test_reconnection", "Closes its stream before it answers"),
    ];
    let mut tools: Vec<Tool> = plain.into_iter().map(|(name, text)| tool(name, text, nothing())).collect();
    let text = |what: &str| json!({"type": "string", "description": what});
    tools.push(tool(
        "test_sampling",
        "Asks the client's model",
        object(json!({"prompt": text("What to ask the model")}), &["prompt"]),
    ));
    tools.push(tool(
        "test_elicitation",
        "Asks the user",
        object(json!({"message": text("What to ask the user")}), &["message"]),
    ));
    tools.push(tool(
        "json_schema_2020_12_tool",
        "Its input schema uses JSON Schema 2020-12",
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": {
                "street": {"type": "string"}, "city": {"type": "string"}
            }}},
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"},
                "email": {"type": "string"}
            },
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
            "then": {"required": ["phone"]},
            "else": {"required": ["email"]},
            "additionalProperties": false
        }),
    ));
    tools
}

fn own_tools() -> Vec<Tool> {
    let key = || json!({"type": "string", "description": "Under which the answer is counted"});
    let whole = |what: &str| json!({"type": "integer", "minimum": 0, "description": what});
    vec![
        tool("sg_echo", "Returns its arguments, also as structured content", json!({"type": "object"})),
        tool(
            "sg_typed",
            "Takes one argument of each type and returns them",
            object(
                json!({
                    "text": {"type": "string"}, "whole": {"type": "integer"}, "number": {"type": "number"},
                    "flag": {"type": "boolean"}, "tags": {"type": "array", "items": {"type": "string"}},
                    "sizes": {"type": "array", "items": {"type": "integer"}}, "nested": {"type": "object"}
                }),
                &[],
            ),
        ),
        tool(
            "sg_progress",
            "Reports progress step by step",
            object(json!({"steps": whole("How many"), "delay_ms": whole("Before each step")}), &[]),
        ),
        tool("sg_elicit_form", "Asks one question", object(json!({"key": key()}), &[])),
        tool(
            "sg_rounds",
            "Asks one question after the other",
            object(json!({"rounds": whole("How many"), "key": key()}), &[]),
        ),
        tool("sg_elicit_two", "Asks two questions at once", object(json!({"key": key()}), &[])),
        tool(
            "sg_elicit_url",
            "Asks for a visit to a page, then says that it is complete",
            object(json!({"key": key(), "url": {"type": "string", "format": "uri"}}), &[]),
        ),
        tool("sg_url_required", "Fails with -32042 the first time in each session", object(json!({"key": key()}), &[])),
        tool("sg_sample", "Asks the client's model", object(json!({"prompt": {"type": "string"}}), &[])),
        tool("sg_roots", "Lists the client's roots", json!({"type": "object"})),
        tool(
            "sg_log",
            "Sends log messages",
            object(json!({"count": whole("How many"), "level": {"type": "string"}}), &[]),
        ),
        tool("sg_wait", "Waits, unless it is cancelled", object(json!({"ms": whole("How long")}), &["ms"])),
        tool("sg_cancelled", "Says how many calls were cancelled", json!({"type": "object"})),
        tool("sg_counter", "Counts its calls in this session", json!({"type": "object"})),
        tool("sg_toggle_tool", "Adds or removes sg_toggled and says so to everybody", json!({"type": "object"})),
        tool(
            "sg_touch",
            "Says that a resource changed to the sessions that subscribed to it",
            object(json!({"uri": {"type": "string"}}), &["uri"]),
        ),
        tool("sg_big", "Returns a text of this size", object(json!({"bytes": whole("Size")}), &["bytes"])),
        tool("sg_link", "Returns a resource link", json!({"type": "object"})),
        tool("sg_whoami", "Says what the server knows about its client", json!({"type": "object"})),
        tool("sg_answer_count", "Says how many answers arrived under a key", object(json!({"key": key()}), &["key"])),
        tool(
            "sg_hang_up",
            "Closes its stream, waits, and answers",
            object(json!({"ms": whole("How long after closing")}), &[]),
        ),
    ]
}

/// Direct resources.
pub fn resources() -> Result<Vec<Resource>, ErrorData> {
    model(json!([
        {"uri": "test://static-text", "name": "static-text", "description": "A static text", "mimeType": "text/plain"},
        {"uri": "test://static-binary", "name": "static-binary", "description": "A static image", "mimeType": "image/png"},
        {"uri": "test://watched-resource", "name": "watched-resource", "description": "Changes by sg_touch",
         "mimeType": "text/plain"}
    ]))
}

/// Resource templates.
pub fn templates() -> Result<Vec<ResourceTemplate>, ErrorData> {
    model(json!([
        {"uriTemplate": "test://template/{id}/data", "name": "template", "description": "Data by id",
         "mimeType": "application/json"}
    ]))
}

/// Prompts.
pub fn prompts(toggled: bool, modern: bool) -> Result<Vec<Prompt>, ErrorData> {
    let mut prompts: Vec<Prompt> = model(json!([
        {"name": "test_simple_prompt", "description": "Without arguments"},
        {"name": "test_prompt_with_arguments", "description": "With two arguments", "arguments": [
            {"name": "arg1", "description": "The first", "required": true},
            {"name": "arg2", "description": "The second", "required": true}
        ]},
        {"name": "test_prompt_with_embedded_resource", "description": "With a resource", "arguments": [
            {"name": "resourceUri", "description": "What to embed", "required": true}
        ]},
        {"name": "test_prompt_with_image", "description": "With an image"}
    ]))?;
    if toggled {
        prompts.push(model(json!({"name": "sg_toggled", "description": "Exists only while it is switched on"}))?);
    }
    if modern {
        prompts.push(model(json!({"name": ASKING_PROMPT, "description": "Asks before it is made"}))?);
    }
    Ok(prompts)
}

/// The messages of a prompt that asks nothing.
pub fn prompt_messages(name: &str, given: &JsonObject) -> Result<Value, ErrorData> {
    let argument = |key: &str| {
        let value = given.get(key).and_then(|value| json!(value).as_str().map(str::to_owned));
        value.ok_or_else(|| ErrorData::invalid_params(format!("argument {key} is missing"), None))
    };
    let user = |content: Value| json!({"role": "user", "content": content});
    let text = |text: String| user(json!({"type": "text", "text": text}));
    let messages = match name {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.".into())],
        "test_prompt_with_arguments" => {
            vec![text(format!("Prompt with arguments: arg1='{}', arg2='{}'", argument("arg1")?, argument("arg2")?))]
        }
        "test_prompt_with_embedded_resource" => vec![
            user(json!({"type": "resource", "resource": {
                "uri": argument("resourceUri")?, "mimeType": "text/plain",
                "text": "Embedded resource content for testing."
            }})),
            text("Please process the embedded resource above.".into()),
        ],
        "test_prompt_with_image" => vec![
            user(json!({"type": "image", "data": PNG, "mimeType": "image/png"})),
            text("Please analyze the image above.".into()),
        ],
        other => return Err(ErrorData::invalid_params(format!("Unknown prompt: {other}"), None)),
    };
    Ok(json!(messages))
}
