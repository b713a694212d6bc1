//! Inputs made from the model, right ones and wrong ones, for tests that walk all of it: here and through the doors of a whole gateway.
//!
//! Not for other use, hence hidden.

mod alone;
pub mod examples;
mod request;
mod sample;
mod violation;

pub use alone::Alone;
pub use request::{WireRequest, wire};
pub use sample::Sampler;
pub use violation::{Violation, ViolationKind};

use serde_json::Value;

/// A step into a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Member(String),
    Item(usize),
}

/// `value` with what is at `steps` changed.
fn changed(value: &Value, steps: &[Step], change: impl FnOnce(&mut Value)) -> Value {
    let mut out = value.clone();
    let mut at = Some(&mut out);
    for step in steps {
        at = at.and_then(|inner| match step {
            Step::Member(name) => inner.get_mut(name),
            Step::Item(index) => inner.get_mut(*index),
        });
    }
    if let Some(inner) = at {
        change(inner);
    }
    out
}

/// The steps as errors write them.
pub(super) fn path(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        match step {
            Step::Member(name) if out.is_empty() => out.push_str(name),
            Step::Member(name) => out.push_str(&format!(".{name}")),
            Step::Item(index) => out.push_str(&format!("[{index}]")),
        }
    }
    out
}
