//! Answers have what the model has, and nothing else.

use serde_json::{Map, Value};

use super::{Kind, Model, Operation, ShapeId};

// === impl Model ===

impl Model {
    /// What `operation` answers, made from everything that is known: members that its output does not have are left out, and so are
    /// nulls.
    pub fn output(&self, operation: &Operation, everything: Value) -> Value {
        self.project(operation.output, everything).unwrap_or_else(|| Value::Object(Map::new()))
    }

    /// What of `value` a shape can hold; `None` if it is of another type altogether.
    pub fn project(&self, shape: ShapeId, value: Value) -> Option<Value> {
        match (&self.shape(shape).kind, value) {
            (Kind::Document, value) => Some(value),
            (Kind::List { item, .. }, Value::Array(items)) => {
                Some(Value::Array(items.into_iter().filter_map(|inner| self.project(*item, inner)).collect()))
            }
            (Kind::Map { value, .. }, Value::Object(entries)) => {
                let keep = |(name, inner)| Some((name, self.project(*value, inner)?));
                Some(Value::Object(entries.into_iter().filter_map(keep).collect()))
            }
            (Kind::Structure { members, .. }, Value::Object(given)) => {
                let keep = |(name, inner): (String, Value)| {
                    let member = members.get(&name)?;
                    Some((name, self.project(member.shape, inner)?))
                };
                Some(Value::Object(given.into_iter().filter_map(keep).collect()))
            }
            (Kind::List { .. } | Kind::Map { .. } | Kind::Structure { .. }, _) => None,
            (_, Value::Null | Value::Array(_) | Value::Object(_)) => None,
            (_, scalar) => Some(scalar),
        }
    }
}
