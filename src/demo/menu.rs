//! What the tea house offers.

use rmcp::{
    ErrorData,
    model::{Prompt, Resource, Tool},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The address of the menu.
pub const MENU_URI: &str = "tea://menu";

/// The menu as text.
pub const MENU: &str =
    "# Teas\n\n- Assam: strong, 4 minutes\n- Darjeeling: light, 3 minutes\n- Sencha: green, 2 minutes\n";

/// Longest brewing, in minutes. A demonstration's minute has one second.
pub const MAX_MINUTES: u64 = 60;

/// Reads a type of the SDK from JSON that stands in this file.
///
/// # Errors
/// If the JSON does not fit the type, which is a mistake of this program.
pub fn model<T: DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// The tools.
///
/// # Errors
/// None in practice, see [`model`].
pub fn tools() -> Result<Vec<Tool>, ErrorData> {
    model(json!([
        {
            "name": "order_tea",
            "title": "Order tea",
            "description": "Takes an order: asks by a form which tea it should be",
            "inputSchema": {"type": "object", "properties": {
                "for_whom": {"type": "string", "description": "Whose tea it is"}
            }}
        },
        {
            "name": "pay",
            "title": "Pay",
            "description": "Asks for a visit to the payment page (nothing is paid)",
            "inputSchema": {"type": "object", "properties": {
                "url": {"type": "string", "format": "uri", "description": "Another page to visit"}
            }}
        },
        {
            "name": "brew",
            "title": "Brew",
            "description": "Brews tea and reports progress; a minute takes a second, and it can be cancelled",
            "inputSchema": {"type": "object", "properties": {
                "minutes": {"type": "integer", "minimum": 1, "maximum": MAX_MINUTES, "default": 4}
            }}
        },
        {
            "name": "tell",
            "title": "Tell",
            "description": "Tells something about tea",
            "inputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": true}
        }
    ]))
}

/// The form of `order_tea`: one field of each kind.
pub fn order_form() -> Value {
    json!({
        "type": "object",
        "properties": {
            "tea": {
                "type": "string", "title": "Tea", "description": "What we have today", "default": "darjeeling",
                "oneOf": [
                    {"const": "assam", "title": "Assam, strong"},
                    {"const": "darjeeling", "title": "Darjeeling, light"},
                    {"const": "sencha", "title": "Sencha, green"}
                ]
            },
            "cups": {"type": "integer", "title": "Cups", "minimum": 1, "maximum": 6, "default": 2},
            "extras": {
                "type": "array", "title": "Extras", "maxItems": 2,
                "items": {"anyOf": [
                    {"const": "milk", "title": "Milk"},
                    {"const": "sugar", "title": "Sugar"},
                    {"const": "lemon", "title": "Lemon"}
                ]}
            },
            "to_go": {"type": "boolean", "title": "To go", "default": false},
            "note": {"type": "string", "title": "Note", "maxLength": 80}
        },
        "required": ["tea", "cups"]
    })
}

/// The prompts.
///
/// # Errors
/// None in practice, see [`model`].
pub fn prompts() -> Result<Vec<Prompt>, ErrorData> {
    model(json!([{
        "name": "recommend_tea",
        "description": "Asks the model for a tea that fits the hour",
        "arguments": [{"name": "hour", "description": "The hour of the day", "required": false}]
    }]))
}

/// The resources.
///
/// # Errors
/// None in practice, see [`model`].
pub fn resources() -> Result<Vec<Resource>, ErrorData> {
    model(json!([
        {"uri": MENU_URI, "name": "menu", "description": "What the tea house offers", "mimeType": "text/markdown"}
    ]))
}
