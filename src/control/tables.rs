//! All objects of the control plane: in memory for reading, in the store before anybody is told.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sessiongate_storage::{
    CatalogueWrite, ControlBatch, ControlStore, Expect, ObjectKey, ObjectWrite, StoreError, StoredObject,
};

use super::ControlError;
use super::objects::{Creation, GatewayObject, GatewayStatus, TargetObject, TargetStatus};

const GATEWAYS: &str = "gateway";
const GATEWAY_NAMES: &str = "gateway-name";
const TARGETS: &str = "target";
const TARGET_NAMES: &str = "target-name";
const TAGS: &str = "tags";
const POLICIES: &str = "resource-policy";
/// Objects that are read from the store at once.
const PAGE: usize = 1000;

/// Tags of a resource.
pub type Tags = BTreeMap<String, String>;

/// An object, and the version under which it is stored.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    /// For the next write.
    pub version: u64,
    /// As it is stored.
    pub object: Arc<T>,
}

/// The objects. Changes go through one writer at a time, which holds [`Self::lock`] from its look at what is there until
/// the change is stored and seen.
pub struct Tables {
    store: Arc<dyn ControlStore>,
    rows: RwLock<Rows>,
    writing: tokio::sync::Mutex<()>,
}

/// The right to change.
pub type Writing<'a> = tokio::sync::MutexGuard<'a, ()>;

#[derive(Default)]
struct Rows {
    gateways: BTreeMap<String, Versioned<GatewayObject>>,
    /// `gatewayId` by name.
    names: HashMap<String, String>,
    /// By `gatewayId`, then by `targetId`.
    targets: HashMap<String, BTreeMap<String, Versioned<TargetObject>>>,
    /// By `gatewayId`: `targetId` by name.
    target_names: HashMap<String, HashMap<String, String>>,
    /// `gatewayId` by `clientToken`.
    tokens: HashMap<String, String>,
    /// By `gatewayId`: `targetId` by `clientToken`.
    target_tokens: HashMap<String, HashMap<String, String>>,
    /// By ARN.
    tags: HashMap<String, Tags>,
    /// By ARN.
    policies: HashMap<String, Arc<str>>,
}

// === impl Tables ===

impl Tables {
    /// Reads everything that is stored. An object that cannot be understood is left out with an error in the log; it
    /// stays in the store.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn load(store: Arc<dyn ControlStore>) -> Result<Self, StoreError> {
        let mut rows = Rows::default();
        for row in all(&*store, GATEWAYS).await? {
            if let Some(object) = read::<GatewayObject>(&row) {
                rows.set_gateway(Versioned { version: row.version, object: Arc::new(object) });
            }
        }
        for row in all(&*store, TARGETS).await? {
            if let Some(object) = read::<TargetObject>(&row) {
                rows.set_target(Versioned { version: row.version, object: Arc::new(object) });
            }
        }
        for row in all(&*store, TAGS).await? {
            if let Some(tags) = read::<Tags>(&row) {
                rows.tags.insert(row.key.id.into(), tags);
            }
        }
        for row in all(&*store, POLICIES).await? {
            if let Some(policy) = read::<String>(&row) {
                rows.policies.insert(row.key.id.into(), policy.into());
            }
        }
        Ok(Self { store, rows: RwLock::new(rows), writing: tokio::sync::Mutex::default() })
    }

    /// Waits for one's turn to change something.
    pub async fn lock(&self) -> Writing<'_> {
        self.writing.lock().await
    }

    /// A gateway.
    pub fn gateway(&self, id: &str) -> Option<Versioned<GatewayObject>> {
        self.rows.read().gateways.get(id).cloned()
    }

    /// The gateway of this name.
    pub fn gateway_named(&self, name: &str) -> Option<Versioned<GatewayObject>> {
        let rows = self.rows.read();
        rows.names.get(name).and_then(|id| rows.gateways.get(id)).cloned()
    }

    /// The gateway that was created with this token.
    pub fn gateway_of_token(&self, principal: &str, token: &str) -> Option<Versioned<GatewayObject>> {
        let rows = self.rows.read();
        let known = rows.tokens.get(&token_key(principal, token)).and_then(|id| rows.gateways.get(id)).cloned();
        // One that is on its way out is not what a new request asks for.
        known.filter(|row| row.object.status != GatewayStatus::Deleting)
    }

    /// Gateways in the order of their ids, after this one.
    pub fn gateways(&self, after: Option<&str>, limit: usize) -> Vec<Versioned<GatewayObject>> {
        let rows = self.rows.read();
        rows.gateways.range::<str, _>(after_bound(after)).take(limit).map(|(_, row)| row.clone()).collect()
    }

    /// How many gateways there are that were created here.
    pub fn count_created(&self) -> usize {
        self.rows.read().gateways.values().filter(|row| row.object.declared.is_none()).count()
    }

    /// A target.
    pub fn target(&self, gateway: &str, id: &str) -> Option<Versioned<TargetObject>> {
        self.rows.read().targets.get(gateway)?.get(id).cloned()
    }

    /// The target of this name.
    pub fn target_named(&self, gateway: &str, name: &str) -> Option<Versioned<TargetObject>> {
        let rows = self.rows.read();
        rows.targets.get(gateway)?.get(rows.target_names.get(gateway)?.get(name)?).cloned()
    }

    /// The target that was created with this token.
    pub fn target_of_token(&self, gateway: &str, principal: &str, token: &str) -> Option<Versioned<TargetObject>> {
        let rows = self.rows.read();
        let id = rows.target_tokens.get(gateway)?.get(&token_key(principal, token))?;
        let known = rows.targets.get(gateway)?.get(id).cloned();
        known.filter(|row| row.object.status != TargetStatus::Deleting)
    }

    /// Targets of a gateway in the order of their ids, after this one.
    pub fn targets(&self, gateway: &str, after: Option<&str>, limit: usize) -> Vec<Versioned<TargetObject>> {
        let rows = self.rows.read();
        let Some(targets) = rows.targets.get(gateway) else { return Vec::new() };
        targets.range::<str, _>(after_bound(after)).take(limit).map(|(_, row)| row.clone()).collect()
    }

    /// How many targets a gateway has.
    pub fn count_targets(&self, gateway: &str) -> usize {
        self.rows.read().targets.get(gateway).map_or(0, BTreeMap::len)
    }

    /// How many targets of a gateway are being changed.
    pub fn count_changing(&self, gateway: &str) -> usize {
        let rows = self.rows.read();
        rows.targets.get(gateway).map_or(0, |all| all.values().filter(|row| row.object.is_changing()).count())
    }

    /// The tags of a resource.
    pub fn tags(&self, arn: &str) -> Tags {
        self.rows.read().tags.get(arn).cloned().unwrap_or_default()
    }

    /// The policy of a resource.
    pub fn policy(&self, arn: &str) -> Option<Arc<str>> {
        self.rows.read().policies.get(arn).cloned()
    }

    /// Stores a new gateway with its tags.
    ///
    /// # Errors
    /// [`ControlError::Conflict`] where the name or the id is taken; [`ControlError::Internal`] where the store fails.
    pub async fn create_gateway(
        &self,
        _: &Writing<'_>,
        object: GatewayObject,
        arn: &str,
        tags: Tags,
    ) -> Result<Arc<GatewayObject>, ControlError> {
        let mut writes = vec![
            ObjectWrite::create(gateway_key(&object.id), encode(&object)?),
            ObjectWrite::create(ObjectKey::top(GATEWAY_NAMES, object.name()), object.id.clone().into_bytes()),
        ];
        if !tags.is_empty() {
            writes.push(ObjectWrite::put(ObjectKey::top(TAGS, arn), encode(&tags)?));
        }
        let version = self.write(writes.into()).await?;
        let object = Arc::new(object);
        let mut rows = self.rows.write();
        rows.set_gateway(Versioned { version, object: object.clone() });
        if !tags.is_empty() {
            rows.tags.insert(arn.to_owned(), tags);
        }
        Ok(object)
    }

    /// Stores a gateway that was read before.
    ///
    /// # Errors
    /// [`ControlError::Conflict`] where it was changed meanwhile.
    pub async fn update_gateway(
        &self,
        _: &Writing<'_>,
        read: u64,
        object: GatewayObject,
    ) -> Result<Arc<GatewayObject>, ControlError> {
        let key = gateway_key(&object.id);
        let written = self.write(vec![ObjectWrite::update(key.clone(), read, encode(&object)?)].into()).await;
        // Memory is behind the store: only then is it worth a read.
        if matches!(written, Err(ControlError::Conflict { .. }))
            && let Ok(Some(row)) = self.store.load_object(&key).await
            && let Some(stored) = self::read::<GatewayObject>(&row)
        {
            self.rows.write().set_gateway(Versioned { version: row.version, object: Arc::new(stored) });
        }
        let version = written?;
        let object = Arc::new(object);
        self.rows.write().set_gateway(Versioned { version, object: object.clone() });
        Ok(object)
    }

    /// Removes a gateway with its tags and its policy.
    ///
    /// # Errors
    /// [`ControlError::Internal`] where the store fails.
    pub async fn remove_gateway(&self, _: &Writing<'_>, object: &GatewayObject, arn: &str) -> Result<(), ControlError> {
        let keys = [
            gateway_key(&object.id),
            ObjectKey::top(GATEWAY_NAMES, object.name()),
            ObjectKey::top(TAGS, arn),
            ObjectKey::top(POLICIES, arn),
        ];
        let writes: Vec<_> = keys.into_iter().map(|key| ObjectWrite::remove(key, Expect::Anything)).collect();
        self.write(writes.into()).await?;
        let mut rows = self.rows.write();
        rows.remove_gateway(object);
        rows.tags.remove(arn);
        rows.policies.remove(arn);
        Ok(())
    }

    /// Removes a gateway that is no longer declared. Its tags and its policy stay: it may come back, and then nobody may
    /// call it who might not before.
    ///
    /// # Errors
    /// [`ControlError::Internal`] where the store fails.
    pub async fn withdraw_gateway(&self, _: &Writing<'_>, object: &GatewayObject) -> Result<(), ControlError> {
        let keys = [gateway_key(&object.id), ObjectKey::top(GATEWAY_NAMES, object.name())];
        let writes: Vec<_> = keys.into_iter().map(|key| ObjectWrite::remove(key, Expect::Anything)).collect();
        self.write(writes.into()).await?;
        self.rows.write().remove_gateway(object);
        Ok(())
    }

    /// Stores a new target.
    ///
    /// # Errors
    /// [`ControlError::Conflict`] where the name or the id is taken.
    pub async fn create_target(
        &self,
        _: &Writing<'_>,
        object: TargetObject,
    ) -> Result<Arc<TargetObject>, ControlError> {
        let name = ObjectKey::scoped(TARGET_NAMES, &object.gateway, object.name());
        let writes = vec![
            ObjectWrite::create(target_key(&object), encode(&object)?),
            ObjectWrite::create(name, object.id.clone().into_bytes()),
        ];
        let version = self.write(writes.into()).await?;
        let object = Arc::new(object);
        self.rows.write().set_target(Versioned { version, object: object.clone() });
        Ok(object)
    }

    /// Stores a target that was read before, in the same step as what it offers now, and under its new name.
    ///
    /// # Errors
    /// [`ControlError::Conflict`] where it was changed meanwhile, or where the new name is taken.
    pub async fn update_target(
        &self,
        _: &Writing<'_>,
        read: &Versioned<TargetObject>,
        object: TargetObject,
        catalogues: Vec<CatalogueWrite>,
    ) -> Result<Arc<TargetObject>, ControlError> {
        let mut objects = vec![ObjectWrite::update(target_key(&object), read.version, encode(&object)?)];
        let (held, holds) = (read.object.names(), object.names());
        let key = |name: &str| ObjectKey::scoped(TARGET_NAMES, &object.gateway, name);
        for name in held.iter().filter(|name| !holds.contains(name)) {
            objects.push(ObjectWrite::remove(key(name), Expect::Anything));
        }
        for name in holds.iter().filter(|name| !held.contains(name)) {
            objects.push(ObjectWrite::create(key(name), object.id.clone().into_bytes()));
        }
        let written = self.write(ControlBatch { objects, catalogues }).await;
        if matches!(written, Err(ControlError::Conflict { .. }))
            && let Ok(Some(row)) = self.store.load_object(&target_key(&object)).await
            && row.version != read.version
            && let Some(stored) = self::read::<TargetObject>(&row)
        {
            let mut rows = self.rows.write();
            rows.remove_target(&read.object);
            rows.set_target(Versioned { version: row.version, object: Arc::new(stored) });
        }
        let version = written?;
        let object = Arc::new(object);
        let mut rows = self.rows.write();
        rows.remove_target(&read.object);
        rows.set_target(Versioned { version, object: object.clone() });
        Ok(object)
    }

    /// Removes a target with what it offered.
    ///
    /// # Errors
    /// [`ControlError::Internal`] where the store fails.
    pub async fn remove_target(&self, _: &Writing<'_>, object: &TargetObject) -> Result<(), ControlError> {
        let mut objects = vec![ObjectWrite::remove(target_key(object), Expect::Anything)];
        let mut catalogues = Vec::new();
        for name in object.names() {
            let key = ObjectKey::scoped(TARGET_NAMES, &object.gateway, name);
            objects.push(ObjectWrite::remove(key, Expect::Anything));
            let gateway = object.gateway.as_str().into();
            catalogues.push(CatalogueWrite { gateway, target: name.into(), value: None });
        }
        self.write(ControlBatch { objects, catalogues }).await?;
        self.rows.write().remove_target(object);
        Ok(())
    }

    /// Sets the tags of a resource.
    ///
    /// # Errors
    /// [`ControlError::Internal`] where the store fails.
    pub async fn set_tags(&self, _: &Writing<'_>, arn: &str, tags: Tags) -> Result<(), ControlError> {
        self.write(vec![ObjectWrite::put(ObjectKey::top(TAGS, arn), encode(&tags)?)].into()).await?;
        self.rows.write().tags.insert(arn.to_owned(), tags);
        Ok(())
    }

    /// Sets or removes the policy of a resource.
    ///
    /// # Errors
    /// [`ControlError::Internal`] where the store fails.
    pub async fn set_policy(&self, _: &Writing<'_>, arn: &str, policy: Option<&str>) -> Result<(), ControlError> {
        let key = ObjectKey::top(POLICIES, arn);
        let write = match policy {
            Some(policy) => ObjectWrite::put(key, encode(&policy)?),
            None => ObjectWrite::remove(key, Expect::Anything),
        };
        self.write(vec![write].into()).await?;
        let mut rows = self.rows.write();
        match policy {
            Some(policy) => rows.policies.insert(arn.to_owned(), policy.into()),
            None => rows.policies.remove(arn),
        };
        Ok(())
    }

    async fn write(&self, batch: ControlBatch) -> Result<u64, ControlError> {
        self.store.write_objects(batch).await.map_err(|error| match error {
            StoreError::Conflict { .. } => ControlError::Conflict {
                message: "it was changed by another request at the same time: read it again and repeat".into(),
            },
            error => ControlError::Internal { detail: error.to_string() },
        })
    }
}

// === impl Rows ===

impl Rows {
    fn set_gateway(&mut self, row: Versioned<GatewayObject>) {
        let object = &row.object;
        self.names.insert(object.name().to_owned(), object.id.clone());
        if let Some(creation) = &object.creation {
            self.tokens.insert(key_of(creation), object.id.clone());
        }
        self.gateways.insert(object.id.clone(), row);
    }

    fn remove_gateway(&mut self, object: &GatewayObject) {
        self.gateways.remove(&object.id);
        self.names.remove(object.name());
        if let Some(creation) = &object.creation {
            self.tokens.remove(&key_of(creation));
        }
        self.targets.remove(&object.id);
        self.target_names.remove(&object.id);
        self.target_tokens.remove(&object.id);
    }

    fn set_target(&mut self, row: Versioned<TargetObject>) {
        let object = &row.object;
        let names = self.target_names.entry(object.gateway.clone()).or_default();
        names.extend(object.names().into_iter().map(|name| (name.to_owned(), object.id.clone())));
        if let Some(creation) = &object.creation {
            let tokens = self.target_tokens.entry(object.gateway.clone()).or_default();
            tokens.insert(key_of(creation), object.id.clone());
        }
        self.targets.entry(object.gateway.clone()).or_default().insert(object.id.clone(), row);
    }

    fn remove_target(&mut self, object: &TargetObject) {
        if let Some(targets) = self.targets.get_mut(&object.gateway) {
            targets.remove(&object.id);
        }
        if let Some(names) = self.target_names.get_mut(&object.gateway) {
            object.names().into_iter().for_each(|name| drop(names.remove(name)));
        }
        if let (Some(creation), Some(tokens)) = (&object.creation, self.target_tokens.get_mut(&object.gateway)) {
            tokens.remove(&key_of(creation));
        }
    }
}

/// Tokens are their sender's: another's is another token.
fn token_key(principal: &str, token: &str) -> String {
    format!("{principal}\n{token}")
}

fn key_of(creation: &Creation) -> String {
    token_key(&creation.principal, &creation.token)
}

fn gateway_key(id: &str) -> ObjectKey {
    ObjectKey::top(GATEWAYS, id)
}

fn target_key(object: &TargetObject) -> ObjectKey {
    ObjectKey::scoped(TARGETS, &object.gateway, &object.id)
}

fn after_bound(after: Option<&str>) -> (Bound<&str>, Bound<&str>) {
    (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, ControlError> {
    serde_json::to_vec(value).map_err(|error| ControlError::Internal { detail: error.to_string() })
}

fn read<T: DeserializeOwned>(row: &StoredObject) -> Option<T> {
    match serde_json::from_slice(&row.value) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::error!(object = ?row.key, %error, "a stored object of the control plane cannot be understood");
            None
        }
    }
}

async fn all(store: &dyn ControlStore, collection: &str) -> Result<Vec<StoredObject>, StoreError> {
    let mut rows: Vec<StoredObject> = Vec::new();
    loop {
        let page = store.list_objects(collection, rows.last().map(|row| &row.key), PAGE).await?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
}
