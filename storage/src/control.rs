//! Objects of the control plane (gateways, targets, what belongs to them): named, versioned, written together or not at
//! all.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::store::{StoreError, check_names};

/// Writes of one commit at most.
pub const MAX_OBJECT_WRITES: usize = 1024;

/// Where an object lies. Each part has at most [`crate::store::MAX_NAME`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// What kind of object, such as `gateway`.
    pub collection: Box<str>,
    /// What it belongs to, such as the id of its gateway; empty for what belongs to nothing.
    pub scope: Box<str>,
    /// Which one.
    pub id: Box<str>,
}

/// An object as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Where.
    pub key: ObjectKey,
    /// Different after each write, and never one that the key had before, even if the object was removed meanwhile.
    pub version: u64,
    /// Opaque.
    pub value: Bytes,
}

/// What must be there before a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Absent,
    /// The object as it was read.
    Version(u64),
    /// Whatever there is.
    Anything,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectWrite {
    /// Where.
    pub key: ObjectKey,
    /// What must be there.
    pub expect: Expect,
    /// The new value; none removes the object, and removing what is not there is no error.
    pub value: Option<Bytes>,
}

/// What a target offers, changed together with the objects that say so (see [`crate::CatalogueStore`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueWrite {
    /// Whose target.
    pub gateway: Box<str>,
    /// Which one.
    pub target: Box<str>,
    /// The new catalogue; none removes it.
    pub value: Option<Bytes>,
}

/// Writes that become durable together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlBatch {
    /// Objects.
    pub objects: Vec<ObjectWrite>,
    /// Catalogues.
    pub catalogues: Vec<CatalogueWrite>,
}

/// Objects of the control plane.
///
/// Contract: linearizable; a commit is atomic over all its writes; it is checked against what is there in the moment in
/// which it is written, and fails with [`StoreError::Conflict`] without changing anything.
#[async_trait]
pub trait ControlStore: Send + Sync + 'static {
    /// Reads one object.
    async fn load_object(&self, key: &ObjectKey) -> Result<Option<StoredObject>, StoreError>;

    /// Objects of a collection, in an order that is always the same, after `after`. One that cannot be read is put aside
    /// and left out.
    async fn list_objects(
        &self,
        collection: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<StoredObject>, StoreError>;

    /// Writes all or nothing; returns when it is as durable as the engine was configured to make it. Returns the new
    /// version of the objects, which is the same for all that were written together.
    async fn write_objects(&self, batch: ControlBatch) -> Result<u64, StoreError>;
}

// === impl ObjectKey ===

impl ObjectKey {
    /// An object that belongs to nothing.
    pub fn top(collection: &str, id: &str) -> Self {
        Self::scoped(collection, "", id)
    }

    /// An object that belongs to another.
    pub fn scoped(collection: &str, scope: &str, id: &str) -> Self {
        Self { collection: collection.into(), scope: scope.into(), id: id.into() }
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        check_names(&[&self.collection, &self.scope, &self.id])
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.collection, self.scope, self.id)
    }
}

// === impl ObjectWrite ===

impl ObjectWrite {
    /// A new object.
    pub fn create(key: ObjectKey, value: impl Into<Bytes>) -> Self {
        Self { key, expect: Expect::Absent, value: Some(value.into()) }
    }

    /// A new value for an object that was read with this version.
    pub fn update(key: ObjectKey, version: u64, value: impl Into<Bytes>) -> Self {
        Self { key, expect: Expect::Version(version), value: Some(value.into()) }
    }

    /// A value, whatever was there.
    pub fn put(key: ObjectKey, value: impl Into<Bytes>) -> Self {
        Self { key, expect: Expect::Anything, value: Some(value.into()) }
    }

    /// No object any more.
    pub fn remove(key: ObjectKey, expect: Expect) -> Self {
        Self { key, expect, value: None }
    }

    pub(crate) fn bytes(&self) -> usize {
        64 + self.key.id.len() + self.key.scope.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

// === impl ControlBatch ===

impl ControlBatch {
    /// Refuses what no engine takes.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let writes = self.objects.len() + self.catalogues.len();
        if writes > MAX_OBJECT_WRITES {
            return Err(StoreError::Engine(format!("{writes} writes at once are over the limit")));
        }
        self.catalogues.iter().try_for_each(|write| check_names(&[&write.gateway, &write.target]))?;
        self.objects.iter().try_for_each(|write| write.key.check())
    }

    pub(crate) fn bytes(&self) -> usize {
        let catalogues = self.catalogues.iter().map(|write| 64 + write.value.as_ref().map_or(0, Bytes::len));
        self.objects.iter().map(ObjectWrite::bytes).chain(catalogues).sum()
    }
}

impl From<Vec<ObjectWrite>> for ControlBatch {
    fn from(objects: Vec<ObjectWrite>) -> Self {
        Self { objects, catalogues: Vec::new() }
    }
}

// === impl Expect ===

impl Expect {
    /// Whether what is there (its version) is what is expected.
    pub(crate) fn met(self, found: Option<u64>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::Version(version) => found == Some(version),
            Self::Anything => true,
        }
    }
}
