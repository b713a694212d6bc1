//! Right inputs with one optional member each: what is said to be there must be honoured or refused by itself.

use serde_json::{Map, Value};

use super::super::{Kind, Operation, ShapeId};
use super::sample::Sampler;
use super::{Step, path};

/// An input with one optional member.
#[derive(Debug, Clone, PartialEq)]
pub struct Alone {
    /// Where the member is, as errors write it.
    pub path: String,
    /// The whole input: what is required, what the member has around it, and the member.
    pub input: Value,
}

// === impl Sampler ===

impl Sampler<'_> {
    /// An input for each optional member of `operation`, at every depth, the arms of unions among them. What is omitted is there
    /// too; a value that is given for a shape is where the shape is not looked into.
    pub fn alone(&self, operation: &Operation) -> Vec<Alone> {
        let all = self.within(operation.input, &mut Vec::new());
        all.into_iter().map(|(steps, input)| Alone { path: path(&steps), input }).collect()
    }

    fn within(&self, shape: ShapeId, above: &mut Vec<ShapeId>) -> Vec<(Vec<Step>, Value)> {
        // A shape within itself (a tool's schema) has nothing new.
        if above.contains(&shape) {
            return Vec::new();
        }
        above.push(shape);
        let mut out = Vec::new();
        match &self.model.shape(shape).kind {
            Kind::List { item, .. } => {
                for (steps, value) in self.within(*item, above) {
                    out.push((below(Step::Item(0), steps), Value::Array(vec![value])));
                }
            }
            Kind::Map { key, value, .. } => {
                let name = self.name(*key);
                for (steps, value) in self.within(*value, above) {
                    let step = Step::Member(name.clone());
                    out.push((below(step, steps), Value::Object(Map::from_iter([(name.clone(), value)]))));
                }
            }
            Kind::Structure { members, union } => {
                let required = members.iter().filter(|(_, member)| member.required && !union);
                let base: Map<_, _> =
                    required.map(|(name, member)| (name.clone(), self.required_only(member.shape))).collect();
                let with = |name: &str, value: Value| {
                    let mut with = base.clone();
                    with.insert(name.to_owned(), value);
                    Value::Object(with)
                };
                for (name, member) in members {
                    let step = Step::Member(name.clone());
                    if !member.required || *union {
                        out.push((vec![step.clone()], with(name, self.one(member.shape))));
                    }
                    for (steps, value) in self.within(member.shape, above) {
                        out.push((below(step.clone(), steps), with(name, value)));
                    }
                }
            }
            _ => {}
        }
        above.pop();
        out
    }

    /// What is required; of lists and maps one more than nothing, and of an enumeration not its first value, which may be the one
    /// that holds in any case.
    fn one(&self, shape: ShapeId) -> Value {
        match (&self.model.shape(shape).kind, self.required_only(shape)) {
            (Kind::String { values, .. }, Value::String(first)) if values.first() == Some(&first) => {
                values.last().map_or(Value::Null, |last| last.as_str().into())
            }
            (Kind::List { item, .. }, Value::Array(items)) if items.is_empty() => {
                Value::Array(vec![self.required_only(*item)])
            }
            (Kind::Map { key, value, .. }, Value::Object(entries)) if entries.is_empty() => {
                Value::Object(Map::from_iter([(self.name(*key), self.required_only(*value))]))
            }
            (_, value) => value,
        }
    }

    fn name(&self, key: ShapeId) -> String {
        self.required_only(key).as_str().unwrap_or_default().to_owned()
    }
}

fn below(step: Step, steps: Vec<Step>) -> Vec<Step> {
    [step].into_iter().chain(steps).collect()
}
