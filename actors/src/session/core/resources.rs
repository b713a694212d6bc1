//! Whose a resource is: as the catalogue says, else the target's that mentioned it.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::text::short;
use sessiongate_protocol::{RawJson, codes, meta};

use super::mentions::ENTRIES;
use super::replies::Failure;
use super::{Env, SessionCore, Step};
use crate::catalogue::ListKind;

/// Longest URI of a resource, in bytes.
const MAX_URI: usize = 8192;

/// Results that may mention resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mentioning {
    /// `tools/call`: links and embedded resources in `content`.
    Tool,
    /// `prompts/get`: the same in the `content` of each message.
    Prompt,
    /// `resources/read`: `contents` may hold other resources than the one that was asked for.
    Resource,
}

// === impl Mentioning ===

impl Mentioning {
    pub(super) fn of_method(method: &str) -> Option<Self> {
        match method {
            "tools/call" | "tasks/result" => Some(Self::Tool),
            "prompts/get" => Some(Self::Prompt),
            "resources/read" => Some(Self::Resource),
            _ => None,
        }
    }

    /// The URIs that a result mentions. What does not look as it should is passed over.
    fn uris(self, result: &RawJson) -> Vec<String> {
        let Ok(members) = Members::of(result) else { return Vec::new() };
        let mut uris = Vec::new();
        match self {
            Self::Tool => blocks(members.get("content"), &mut uris),
            Self::Prompt => {
                for message in items(members.get("messages")) {
                    if let Ok(message) = Members::of_str(message.get()) {
                        blocks(message.get("content"), &mut uris);
                    }
                }
            }
            Self::Resource => {
                let contents = items(members.get("contents"));
                uris.extend(contents.filter_map(|item| serde_json::from_str(item.get()).ok()).map(|At { uri }| uri));
            }
        }
        uris
    }
}

/// An object with a URI.
#[derive(Deserialize)]
struct At {
    uri: String,
}

/// A content block that leads to a resource.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    ResourceLink(At),
    Resource { resource: At },
}

/// The elements of an array that hold a URI somewhere; a single value counts as one element.
fn items(array: Option<&RawValue>) -> impl Iterator<Item = &RawValue> {
    let found: Vec<&RawValue> = match array {
        Some(array) if array.get().starts_with('[') => serde_json::from_str(array.get()).unwrap_or_default(),
        other => other.into_iter().collect(),
    };
    found.into_iter().filter(|item| mentions_uri(item.get().as_bytes())).take(ENTRIES)
}

fn blocks(content: Option<&RawValue>, uris: &mut Vec<String>) {
    uris.extend(items(content).filter_map(|item| match serde_json::from_str(item.get()).ok()? {
        Block::ResourceLink(At { uri }) | Block::Resource { resource: At { uri } } => Some(uri),
    }));
}

fn mentions_uri(json: &[u8]) -> bool {
    memmem::find(json, b"\"uri\"").is_some()
}

// === impl SessionCore ===

impl SessionCore {
    /// Remembers who mentioned resources in a result. Most results hold none, and cost one search. `streamed`: the result
    /// is written to disk, and what it mentions goes with it.
    pub(super) fn note_resources(
        &mut self,
        place: Mentioning,
        target: &Arc<str>,
        result: &RawJson,
        streamed: bool,
        env: &Env<'_>,
        step: &mut Step,
    ) {
        // Where one target alone has resources, every URI is its own.
        if env.catalogue.sole_owner().is_some()
            || !mentions_uri(result.as_bytes())
            || !env.catalogue.capabilities_of(target).resources
        {
            return;
        }
        for uri in place.uris(result) {
            // Whoever mentioned it first keeps it: nobody can draw another's readers to itself.
            let taken = self
                .seen_resources
                .get(&uri)
                .is_some_and(|known| known.target != *target && env.catalogue.target(&known.target).is_some());
            if uri.len() <= MAX_URI && !taken && !env.catalogue.has(ListKind::Resources, &uri) {
                self.seen_resources.note(&uri, target, None);
            }
        }
        if streamed {
            self.seen_resources.save(&mut step.batch);
        }
    }

    /// The URI that a request names, and whose it is.
    pub(super) fn resource(&self, params: Option<&RawJson>, env: &Env<'_>) -> Result<(Box<str>, Arc<str>), Failure> {
        let uri = params
            .ok_or_else(|| Failure::invalid_params("`params.uri` is missing"))
            .and_then(|params| meta::uri_of(params).map_err(|error| Failure::invalid_params(error.to_string())))?;
        if uri.len() > MAX_URI {
            return Err(Failure::invalid_params(format!("`params.uri` has more than {MAX_URI} bytes")));
        }
        let target = self.owner_of(&uri, env).ok_or_else(|| Failure {
            code: codes::RESOURCE_NOT_FOUND,
            message: format!("Resource not found: {}", short(&uri)),
            reason: "unknown_resource",
        })?;
        Ok((uri.as_ref().into(), target))
    }

    /// Whose a URI is. The catalogue comes first: what a target says in passing takes nothing from another.
    pub(super) fn owner_of(&self, uri: &str, env: &Env<'_>) -> Option<Arc<str>> {
        let configured = |target: &Arc<str>| env.catalogue.target(target).is_some().then(|| target.clone());
        env.catalogue
            .owner_of(uri)
            .or_else(|| configured(&self.seen_resources.get(uri)?.target))
            .or_else(|| configured(self.subscriptions.get(uri)?))
            .or_else(|| self.seen_templates.owner_of(uri).and_then(configured))
            .or_else(|| env.catalogue.presumed_owner().cloned())
    }

    /// Remembers whose the resources and templates of a live list are: no catalogue may know them.
    pub(super) fn note_listed(
        &mut self,
        list: ListKind,
        target: &Arc<str>,
        items: &[RawJson],
        env: &Env<'_>,
        step: &mut Step,
    ) {
        if env.catalogue.sole_owner().is_some() {
            return;
        }
        for item in items {
            let key = Members::of(item).ok().and_then(|item| item.get_str(list.key()).map(Cow::into_owned));
            let Some(key) = key.filter(|key| key.len() <= MAX_URI && !env.catalogue.has(list, key)) else { continue };
            let seen = match list {
                ListKind::ResourceTemplates => &mut self.seen_templates,
                _ => &mut self.seen_resources,
            };
            // Whoever showed it first keeps it, as above.
            let taken = seen
                .get(&key)
                .is_some_and(|known| known.target != *target && env.catalogue.target(&known.target).is_some());
            if !taken {
                seen.note(&key, target, None);
            }
        }
        self.seen_resources.save(&mut step.batch);
        self.seen_templates.save(&mut step.batch);
    }
}
