//! Operations.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ModelError, ShapeId};
use crate::control::ControlError;

/// What is offered. A new operation in `model.json` does not load before it has a variant here, and the compiler then shows every place that
/// must decide about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the service's own names")]
pub enum OperationName {
    CreateGateway,
    GetGateway,
    ListGateways,
    UpdateGateway,
    DeleteGateway,
    CreateGatewayTarget,
    GetGatewayTarget,
    ListGatewayTargets,
    UpdateGatewayTarget,
    DeleteGatewayTarget,
    SynchronizeGatewayTargets,
    TagResource,
    UntagResource,
    ListTagsForResource,
    PutResourcePolicy,
    GetResourcePolicy,
    DeleteResourcePolicy,
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    /// Its name.
    pub name: OperationName,
    /// HTTP method.
    pub method: String,
    /// Path with `{member}` for the members that are in it.
    pub uri: String,
    /// HTTP status of success. 204 has no body.
    pub status: u16,
    /// Shape of everything that it takes: path, query and body.
    pub input: ShapeId,
    /// Shape of what it answers.
    pub output: ShapeId,
    /// The errors that the model has for it, with their statuses.
    pub errors: BTreeMap<String, u16>,
    /// For a list with pages: which member of the output has the items.
    pub items: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOperation {
    method: String,
    uri: String,
    status: u16,
    input: String,
    output: String,
    errors: BTreeMap<String, u16>,
    items: Option<String>,
}

// === impl OperationName ===

impl fmt::Display for OperationName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Variants are spelled as the service spells them.
        fmt::Debug::fmt(self, formatter)
    }
}

// === impl Operation ===

impl Operation {
    /// Whether a client expects this error of this operation. What comes from the layers before it (signatures, unknown paths) is no
    /// operation's.
    pub fn models(&self, error: &ControlError) -> bool {
        self.errors.get(error.error_type()) == Some(&error.status())
    }
}

// === impl RawOperation ===

impl RawOperation {
    pub(super) fn resolve(self, name: OperationName, ids: &BTreeMap<String, ShapeId>) -> Result<Operation, ModelError> {
        let find = |shape: &str| {
            let missing = || ModelError::UnknownShape { name: shape.to_owned(), user: name.to_string() };
            ids.get(shape).copied().ok_or_else(missing)
        };
        Ok(Operation {
            name,
            input: find(&self.input)?,
            output: find(&self.output)?,
            method: self.method,
            uri: self.uri,
            status: self.status,
            errors: self.errors,
            items: self.items,
        })
    }
}
