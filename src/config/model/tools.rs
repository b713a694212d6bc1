//! Tools that are declared.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sessiongate_protocol::RawJson;

/// Tools as `tools/list` would show them. Each is kept as text, because there may be very many: as a tree one takes ten
/// times its size. Clones share them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeclaredTools(#[serde(with = "list")] Arc<[RawJson]>);

// === impl DeclaredTools ===

impl DeclaredTools {
    /// Each as text.
    #[must_use]
    pub fn texts(&self) -> &[RawJson] {
        &self.0
    }

    /// Each as a value.
    pub fn values(&self) -> impl Iterator<Item = Value> {
        self.0.iter().map(|tool| tool.get().unwrap_or_default())
    }
}

impl From<Vec<Value>> for DeclaredTools {
    fn from(tools: Vec<Value>) -> Self {
        // Every value has a text.
        Self(tools.iter().filter_map(|tool| RawJson::from_serialize(tool).ok()).collect())
    }
}

impl JsonSchema for DeclaredTools {
    fn schema_name() -> Cow<'static, str> {
        Vec::<Value>::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<Value>::json_schema(generator)
    }
}

mod list {
    use super::{Arc, Deserialize, RawJson, Serialize};

    pub(super) fn serialize<S: serde::Serializer>(tools: &Arc<[RawJson]>, to: S) -> Result<S::Ok, S::Error> {
        tools.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Arc<[RawJson]>, D::Error> {
        Vec::<RawJson>::deserialize(from).map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn they_are_a_list_of_values_wherever_they_come_from() {
        let tools = json!([{"name": "a", "inputSchema": {"x": 1.5}}, {"name": "b"}]);
        let read: DeclaredTools = serde_json::from_value(tools.clone()).unwrap();
        let parsed: DeclaredTools = serde_json::from_str(&tools.to_string()).unwrap();
        assert_eq!((&read, &DeclaredTools::from(tools.as_array().unwrap().clone())), (&parsed, &parsed));
        assert_eq!(json!(read), tools);
        assert_eq!(read.values().collect::<Vec<_>>(), *tools.as_array().unwrap());
    }
}
