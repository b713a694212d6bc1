//! Right inputs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::super::{Bounds, Kind, Member, Model, Operation, ShapeId};
use super::{Step, changed, examples};

/// Makes inputs. What it is told about the gateway under test (which target answers, which members it refuses) goes into everything it makes.
#[derive(Debug, Clone)]
pub struct Sampler<'m> {
    pub(super) model: &'m Model,
    values: BTreeMap<String, Value>,
    omitted: BTreeSet<(String, String)>,
}

/// How much of a structure is filled in.
#[derive(Clone, Copy, PartialEq)]
enum Fill {
    Required,
    All,
}

// === impl Sampler ===

impl<'m> Sampler<'m> {
    /// For a model.
    pub fn new(model: &'m Model) -> Self {
        let values = examples::BY_SHAPE.iter().map(|(shape, value)| ((*shape).to_owned(), Value::from(*value)));
        Self { model, values: values.collect(), omitted: BTreeSet::new() }
    }

    /// Values of this shape are this one.
    #[must_use]
    pub fn with(mut self, shape: &str, value: impl Into<Value>) -> Self {
        self.values.insert(shape.to_owned(), value.into());
        self
    }

    /// An optional member of a structure, or an arm of a union, is never there.
    #[must_use]
    pub fn omit(mut self, structure: &str, member: &str) -> Self {
        self.omitted.insert((structure.to_owned(), member.to_owned()));
        self
    }

    /// Required members only, and of unions the first arm.
    pub fn minimal(&self, operation: &Operation) -> Value {
        self.required_only(operation.input)
    }

    /// Inputs with every optional member. They differ in the arms of unions: each arm is in one of them at least.
    pub fn maximal(&self, operation: &Operation) -> Vec<Value> {
        self.variants_of(operation.input)
    }

    /// Values of any shape, with every optional member.
    pub fn variants_of(&self, shape: ShapeId) -> Vec<Value> {
        self.variants(shape, Fill::All, &mut Vec::new())
    }

    /// Inputs that are right by a hair: numbers, lengths of lists and of strings without pattern at their bounds.
    pub fn edges(&self, operation: &Operation) -> Vec<Value> {
        let mut out = Vec::new();
        for input in self.maximal(operation) {
            self.visit(operation.input, &input, &mut Vec::new(), &mut |shape, value, steps| {
                let with = |new: Value| changed(&input, steps, |inner| *inner = new);
                match (&self.model.shape(shape).kind, value) {
                    (Kind::Integer { range }, _) => out.extend(ends(*range).map(|end| with(end.into()))),
                    (Kind::String { length, pattern: None, values }, _) if values.is_empty() => {
                        out.extend(ends(*length).map(|end| with(letters(end).into())));
                    }
                    (Kind::List { length, .. }, Value::Array(items)) => {
                        out.extend(ends(*length).map(|end| with(repeated(items, end))));
                    }
                    (Kind::Map { length, .. }, Value::Object(entries)) => {
                        out.extend(ends(*length).map(|end| with(renamed(entries, end))));
                    }
                    _ => {}
                }
            });
        }
        out
    }

    pub(super) fn required_only(&self, shape: ShapeId) -> Value {
        self.variants(shape, Fill::Required, &mut Vec::new()).into_iter().next().unwrap_or_default()
    }

    /// Calls `look` with everything within `value`, itself included, and the steps that lead there.
    pub(in super::super) fn visit(
        &self,
        shape: ShapeId,
        value: &Value,
        steps: &mut Vec<Step>,
        look: &mut dyn FnMut(ShapeId, &Value, &[Step]),
    ) {
        look(shape, value, steps);
        let mut inner = |step: Step, shape: ShapeId, value: &Value| {
            steps.push(step);
            self.visit(shape, value, steps, look);
            steps.pop();
        };
        match (&self.model.shape(shape).kind, value) {
            (Kind::List { item, .. }, Value::Array(items)) => {
                items.iter().enumerate().for_each(|(at, value)| inner(Step::Item(at), *item, value));
            }
            (Kind::Map { value: shape, .. }, Value::Object(entries)) => {
                entries.iter().for_each(|(name, value)| inner(Step::Member(name.clone()), *shape, value));
            }
            (Kind::Structure { members, .. }, Value::Object(given)) => {
                for (name, value) in given {
                    if let Some(member) = members.get(name) {
                        inner(Step::Member(name.clone()), member.shape, value);
                    }
                }
            }
            _ => {}
        }
    }

    fn variants(&self, shape: ShapeId, fill: Fill, above: &mut Vec<ShapeId>) -> Vec<Value> {
        let facts = self.model.shape(shape);
        if let Some(value) = self.values.get(&facts.name) {
            return vec![value.clone()];
        }
        // A shape within itself (a tool's schema) is not filled in a second time.
        let fill = if above.contains(&shape) { Fill::Required } else { fill };
        above.push(shape);
        let out = match &facts.kind {
            Kind::String { length, pattern, values } => {
                let fits = pattern.as_ref().and_then(|pattern| examples::of_pattern(pattern.source()));
                let fits = fits.and_then(|example| example.fits.first()).copied();
                let value = values.first().map(String::as_str).or(fits).map(str::to_owned);
                vec![value.unwrap_or_else(|| text(*length)).into()]
            }
            Kind::Blob { .. } => vec!["c2FtcGxl".into()],
            Kind::Boolean => vec![true.into()],
            Kind::Integer { range } | Kind::Float { range } => vec![range.min.or(range.max).unwrap_or(1).into()],
            Kind::Timestamp { epoch: true } => vec![1_770_000_000.into()],
            Kind::Timestamp { epoch: false } => vec!["2026-01-31T12:00:00Z".into()],
            Kind::Document => vec![serde_json::json!({"any": ["value", 1, true, null]})],
            Kind::List { length, .. } if fill == Fill::Required && length.min.unwrap_or(0) == 0 => {
                vec![Value::Array(Vec::new())]
            }
            Kind::List { item, .. } => {
                self.variants(*item, fill, above).into_iter().map(|inner| Value::Array(vec![inner])).collect()
            }
            Kind::Map { length, .. } if fill == Fill::Required && length.min.unwrap_or(0) == 0 => {
                vec![Value::Object(Map::new())]
            }
            Kind::Map { key, value, .. } => {
                let name = self.variants(*key, fill, above).pop().unwrap_or_default();
                let name = name.as_str().unwrap_or_default().to_owned();
                let entry = |inner| Value::Object(Map::from_iter([(name.clone(), inner)]));
                self.variants(*value, fill, above).into_iter().map(entry).collect()
            }
            Kind::Structure { members, union } => {
                let wanted = |(name, member): &(&String, &Member)| {
                    let omitted = self.omitted.contains(&(facts.name.clone(), (*name).clone()));
                    member.required || (!omitted && (*union || fill == Fill::All))
                };
                let each = members.iter().filter(wanted);
                let each: Vec<_> =
                    each.map(|(name, member)| (name, self.variants(member.shape, fill, above))).collect();
                if *union { one_of(each) } else { side_by_side(each) }
            }
        };
        above.pop();
        out
    }
}

/// A union's values: each arm's.
fn one_of(arms: Vec<(&String, Vec<Value>)>) -> Vec<Value> {
    let arm = |(name, values): (&String, Vec<Value>)| {
        let name = name.clone();
        values.into_iter().map(move |value| Value::Object(Map::from_iter([(name.clone(), value)])))
    };
    arms.into_iter().flat_map(arm).collect()
}

/// A structure's values: as many as its most varied member has, so that each member's values all come up.
fn side_by_side(members: Vec<(&String, Vec<Value>)>) -> Vec<Value> {
    let count = members.iter().map(|(_, values)| values.len()).max().unwrap_or(1);
    let at = |index: usize| {
        let member = |(name, values): &(&String, Vec<Value>)| {
            Some(((*name).clone(), values.get(index % values.len().max(1))?.clone()))
        };
        Value::Object(members.iter().filter_map(member).collect())
    };
    (0..count).map(at).collect()
}

/// Text without meaning.
fn text(length: Bounds) -> String {
    let size = "sample".len() as i64;
    match length {
        Bounds { min: Some(min), .. } if min > size => letters(min),
        Bounds { max: Some(max), .. } if max < size => letters(max),
        _ => "sample".to_owned(),
    }
}

/// Text of a length.
pub(super) fn letters(length: i64) -> String {
    "a".repeat(usize::try_from(length).unwrap_or(0))
}

/// A list of a length.
pub(super) fn repeated(items: &[Value], length: i64) -> Value {
    Value::Array(items.iter().cycle().take(usize::try_from(length).unwrap_or(0)).cloned().collect())
}

/// A map of a size.
pub(super) fn renamed(entries: &Map<String, Value>, size: i64) -> Value {
    let value = entries.values().next().cloned().unwrap_or_default();
    Value::Object((0..size).map(|at| (format!("name{at}"), value.clone())).collect())
}

fn ends(bounds: Bounds) -> impl Iterator<Item = i64> {
    [bounds.min, bounds.max].into_iter().flatten()
}
