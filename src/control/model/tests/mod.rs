//! The whole model, walked; and what the walk cannot know, written by hand.

mod by_hand;
mod property;
mod requests;
mod walk;

use serde_json::Value;

use super::*;
use crate::control::error::FieldError;

fn operation(name: OperationName) -> &'static Operation {
    model().operation(name).unwrap()
}

fn errors(name: OperationName, input: &Value) -> Vec<(String, String)> {
    let pair = |error: FieldError| (error.path, error.message);
    model().validate(operation(name), input).err().unwrap_or_default().into_iter().map(pair).collect()
}
