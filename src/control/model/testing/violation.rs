//! Wrong inputs: each has one thing wrong, and it is known where.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::{Kind, Operation, ShapeId};
use super::sample::{Sampler, letters, renamed, repeated};
use super::{Step, changed, examples, path};

/// A name that no structure has.
const SURPRISE: &str = "surprisingMember";

/// An input with one thing wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// What.
    pub kind: ViolationKind,
    /// Where, as the error must say it.
    pub path: String,
    /// The whole input.
    pub input: Value,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ViolationKind {
    MissingRequired,
    UnknownMember,
    WrongType,
    NullItem,
    TooShort,
    TooLong,
    TooFew,
    TooMany,
    BelowMinimum,
    AboveMaximum,
    NotInEnumeration,
    PatternMismatch,
    WrongKey,
    NoArm,
    TwoArms,
}

/// What is wrong, the steps from the changed place to the one that is reported, and what stands there instead.
type Change = (ViolationKind, Option<Step>, Value);

// === impl Sampler ===

impl Sampler<'_> {
    /// Every way in which one thing in an input of `operation` can be wrong.
    pub fn violations(&self, operation: &Operation) -> Vec<Violation> {
        self.violations_of(operation, &self.maximal(operation))
    }

    /// Every way in which one thing in one of these inputs of `operation` can be wrong.
    pub fn violations_of(&self, operation: &Operation, inputs: &[Value]) -> Vec<Violation> {
        let mut out = Vec::new();
        let mut seen = BTreeSet::new();
        for input in inputs {
            self.visit(operation.input, input, &mut Vec::new(), &mut |shape, value, steps| {
                for (kind, below, new) in self.changes(shape, value, steps.is_empty()) {
                    let place: Vec<_> = steps.iter().cloned().chain(below).collect();
                    if seen.insert((kind, place.clone(), new.to_string())) {
                        let input = changed(input, steps, |inner| *inner = new);
                        out.push(Violation { kind, path: path(&place), input });
                    }
                }
            });
        }
        out
    }

    fn changes(&self, shape: ShapeId, value: &Value, root: bool) -> Vec<Change> {
        use ViolationKind as V;
        let mut out: Vec<Change> = Vec::new();
        let mut change = |kind, new: Value| out.push((kind, None, new));
        match (&self.model.shape(shape).kind, value) {
            (Kind::String { values, .. }, _) if !values.is_empty() => {
                change(V::WrongType, json!(7));
                change(V::NotInEnumeration, "NO_SUCH_VALUE".into());
            }
            (Kind::String { length, pattern, .. }, _) => {
                change(V::WrongType, json!(7));
                if let Some(min) = length.min.filter(|min| *min > 0) {
                    change(V::TooShort, letters(min - 1).into());
                }
                if let Some(max) = length.max {
                    change(V::TooLong, letters(max + 1).into());
                }
                let example = pattern.as_ref().and_then(|pattern| examples::of_pattern(pattern.source()));
                for text in example.into_iter().flat_map(|example| example.fails) {
                    if length.contain(text.chars().count() as i64) {
                        change(V::PatternMismatch, (*text).into());
                    }
                }
            }
            (Kind::Integer { range }, _) => {
                change(V::WrongType, "seven".into());
                change(V::WrongType, json!(1.5));
                range.min.into_iter().for_each(|min| change(V::BelowMinimum, (min - 1).into()));
                range.max.into_iter().for_each(|max| change(V::AboveMaximum, (max + 1).into()));
            }
            (Kind::Boolean, _) => change(V::WrongType, "true".into()),
            (Kind::Timestamp { .. } | Kind::Blob { .. } | Kind::Float { .. }, _) => change(V::WrongType, true.into()),
            (Kind::Document, _) => {}
            (Kind::List { length, .. }, Value::Array(items)) => {
                change(V::WrongType, json!({}));
                length
                    .min
                    .filter(|min| *min > 0)
                    .into_iter()
                    .for_each(|min| change(V::TooFew, repeated(items, min - 1)));
                length.max.into_iter().for_each(|max| change(V::TooMany, repeated(items, max + 1)));
                out.push((V::NullItem, Some(Step::Item(0)), json!([null])));
            }
            (Kind::Map { key, length, .. }, Value::Object(entries)) => {
                change(V::WrongType, json!([]));
                length
                    .min
                    .filter(|min| *min > 0)
                    .into_iter()
                    .for_each(|min| change(V::TooFew, renamed(entries, min - 1)));
                length.max.into_iter().for_each(|max| change(V::TooMany, renamed(entries, max + 1)));
                for (kind, _, key) in self.changes(*key, &Value::Null, false) {
                    if let (V::TooShort | V::TooLong | V::PatternMismatch, Value::String(key)) = (kind, key) {
                        let value = entries.values().next().cloned().unwrap_or_default();
                        out.push((V::WrongKey, None, Value::Object(Map::from_iter([(key, value)]))));
                    }
                }
                if let Some(name) = entries.keys().next() {
                    out.push((V::NullItem, Some(Step::Member(name.clone())), json!({name: null})));
                }
            }
            (Kind::Structure { .. }, Value::Object(given)) => self.structure_changes(shape, given, root, &mut out),
            _ => {}
        }
        out
    }

    fn structure_changes(&self, shape: ShapeId, given: &Map<String, Value>, root: bool, out: &mut Vec<Change>) {
        use ViolationKind as V;
        let Kind::Structure { members, union } = &self.model.shape(shape).kind else { return };
        if !root {
            out.push((V::WrongType, None, json!("text")));
        }
        let mut more = given.clone();
        more.insert(SURPRISE.to_owned(), json!({"deep": [1]}));
        out.push((V::UnknownMember, Some(Step::Member(SURPRISE.to_owned())), more.into()));
        for (name, _) in members.iter().filter(|(_, member)| member.required) {
            let without: Map<_, _> = given.clone().into_iter().filter(|(one, _)| one != name).collect();
            let mut null = given.clone();
            null.insert(name.clone(), Value::Null);
            for less in [without, null] {
                out.push((V::MissingRequired, Some(Step::Member(name.clone())), less.into()));
            }
        }
        if *union {
            out.push((V::NoArm, None, json!({})));
            for (name, member) in members.iter().filter(|(name, _)| !given.contains_key(*name)) {
                let mut both = given.clone();
                both.insert(name.clone(), self.required_only(member.shape));
                out.push((V::TwoArms, None, both.into()));
            }
        }
    }
}
