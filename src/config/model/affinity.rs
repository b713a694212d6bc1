//! What keeps the conversations of clients without sessions apart.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which requests of a modern client (2026-07-28, which has no sessions) share a session with a target that has them: a
/// word, or a mapping with the name of a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// All of one principal.
    #[default]
    Principal,
    /// None: each call has a session of its own, which ends with it.
    Call,
    /// Those whose tools get the same handle from the model, which opens and closes conversations by tools of the
    /// gateway's own.
    Handle,
    /// Those with the same value in this header; without the header, all of one principal.
    Header(String),
}

/// `{header: x-conversation}`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ByHeader {
    header: String,
}

// === impl Affinity ===

impl Serialize for Affinity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Principal => serializer.serialize_str("principal"),
            Self::Call => serializer.serialize_str("call"),
            Self::Handle => serializer.serialize_str("handle"),
            Self::Header(header) => ByHeader { header: header.clone() }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Affinity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Word(String),
            Header(ByHeader),
        }
        match Written::deserialize(deserializer)? {
            Written::Header(by) => Ok(Self::Header(by.header)),
            Written::Word(word) => match word.as_str() {
                "principal" => Ok(Self::Principal),
                "call" => Ok(Self::Call),
                "handle" => Ok(Self::Handle),
                _ => Err(serde::de::Error::custom("neither `principal`, `call`, `handle` nor a mapping with `header`")),
            },
        }
    }
}

impl JsonSchema for Affinity {
    fn schema_name() -> Cow<'static, str> {
        "Affinity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {"const": "principal", "description": "All requests of one principal share a session."},
                {"const": "call", "description": "Each call has a session of its own, which ends with it."},
                {"const": "handle", "description": "The model opens and closes conversations, and says which a call belongs to."},
                {
                    "type": "object",
                    "description": "Requests with the same value in a header share a session; without the header, all of one principal.",
                    "properties": {
                        "header": {
                            "type": "string",
                            "description": "The name of the header: 1 to 64 characters, none of those that HTTP or MCP give a meaning. Since 0.1."
                        }
                    },
                    "required": ["header"],
                    "additionalProperties": false
                }
            ],
        })
    }
}
