//! The service model: which operations there are, what they take and what they answer.
//!
//! Everything is derived from `model.json` (see `README.md` beside it), so that a rule of the service is never written down twice. Pure:
//! bytes in, values or typed errors out.

mod input;
pub(crate) mod json;
mod operation;
mod pattern;
mod project;
mod route;
mod shape;
mod suggest;
#[doc(hidden)]
pub mod testing;
mod validate;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

pub use input::Input;
pub use operation::{Operation, OperationName};
pub use pattern::Pattern;
pub use route::Matched;
pub use shape::{Bounds, Kind, Location, Member, Shape, ShapeId};

use operation::RawOperation;
use route::Routes;
use shape::RawShape;

const TEXT: &str = include_str!("model.json");

/// An empty model has no operation at all. It cannot come to that: a test loads the file that is compiled in.
static MODEL: LazyLock<Model> = LazyLock::new(|| Model::parse(TEXT).unwrap_or_default());

/// Operations and shapes.
#[derive(Debug, Default)]
pub struct Model {
    // Ids are only made by `parse`, in the order of this list.
    shapes: Vec<Shape>,
    ids: BTreeMap<String, ShapeId>,
    operations: BTreeMap<OperationName, Operation>,
    routes: Routes,
}

/// Why a text is no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Not in the form that `tests/tools/control_model.py` writes.
    #[error("the service model cannot be read: {0}")]
    Form(#[from] serde_json::Error),
    /// A reference leads nowhere.
    #[error("`{user}` refers to `{name}`, which is not in the service model")]
    UnknownShape {
        /// What is missing.
        name: String,
        /// What refers to it.
        user: String,
    },
    /// A type or a constraint that the code does not know.
    #[error("shape `{shape}` has a type or a constraint that is not supported")]
    Unsupported {
        /// Which.
        shape: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    #[serde(rename = "origin")]
    _origin: serde::de::IgnoredAny,
    operations: BTreeMap<OperationName, RawOperation>,
    unoffered: BTreeMap<String, RawRoute>,
    shapes: BTreeMap<String, RawShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoute {
    method: String,
    uri: String,
}

/// The model of the service that this gateway implements.
pub fn model() -> &'static Model {
    &MODEL
}

// === impl Model ===

impl Model {
    /// Reads what `tests/tools/control_model.py` wrote.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let raw: RawModel = serde_json::from_str(text)?;
        let ids: BTreeMap<_, _> = raw.shapes.keys().enumerate().map(|(at, name)| (name.clone(), ShapeId(at))).collect();
        let resolve = |(name, shape): (String, RawShape)| shape.resolve(&name, &ids);
        let shapes: Vec<_> = raw.shapes.into_iter().map(resolve).collect::<Result<_, _>>()?;
        let resolve = |(name, raw): (OperationName, RawOperation)| Ok((name, raw.resolve(name, &ids)?));
        let operations: BTreeMap<_, _> = raw.operations.into_iter().map(resolve).collect::<Result<_, ModelError>>()?;
        let mut routes = Routes::default();
        for operation in operations.values() {
            routes.offer(operation);
        }
        for (name, route) in raw.unoffered {
            routes.refuse(name, &route.method, &route.uri);
        }
        Ok(Self { shapes, ids, operations, routes })
    }

    /// All operations that are offered.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.values()
    }

    /// One operation.
    pub fn operation(&self, name: OperationName) -> Option<&Operation> {
        self.operations.get(&name)
    }

    /// All shapes.
    pub fn shapes(&self) -> impl Iterator<Item = (ShapeId, &Shape)> {
        self.shapes.iter().enumerate().map(|(at, shape)| (ShapeId(at), shape))
    }

    /// A shape by its name in the service model.
    pub fn shape_named(&self, name: &str) -> Option<ShapeId> {
        self.ids.get(name).copied()
    }

    /// A shape of this model.
    ///
    /// # Panics
    ///
    /// If the id is another model's.
    pub fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes[id.0]
    }
}
