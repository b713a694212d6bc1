//! Whom a link speaks for: what goes into the envelope of each request, and what another process needs to know.

use serde::{Deserialize, Serialize};
use sessiongate_protocol::elicitation::ElicitationCapability;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::{RawJson, Revision};

use crate::link::{Hello, SavedLink};

/// What the client can be asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Declared {
    pub(super) elicitation: ElicitationCapability,
    pub(super) sampling: bool,
    pub(super) roots: bool,
}

/// What the target can be listened to for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Offered {
    pub(super) tools: bool,
    pub(super) prompts: bool,
    pub(super) resources: bool,
    pub(super) subscribe: bool,
}

/// A link as stored.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Profile {
    /// The client's capabilities in the words of its era.
    pub(super) capabilities: RawJson,
    /// The revision they are written in.
    hello: Box<str>,
    pub(super) client_info: RawJson,
    pub(super) offered: Offered,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) level: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) subscriptions: Vec<Box<str>>,
    /// Through which gateways the client came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) via: Option<Box<str>>,
}

// === impl Declared ===

impl Declared {
    fn of(capabilities: &RawJson, revision: Revision) -> Self {
        let has = |name: &str| Members::of(capabilities).is_ok_and(|members| is_object(&members, name));
        Self {
            elicitation: ElicitationCapability::of_client(capabilities, revision),
            sampling: has("sampling"),
            roots: has("roots"),
        }
    }
}

// === impl Offered ===

impl Offered {
    /// Reads a `DiscoverResult`.
    pub(super) fn of_discover(discover: &RawJson) -> Self {
        let Ok(result) = Members::of(discover) else { return Self::default() };
        let Some(capabilities) = result.get("capabilities") else { return Self::default() };
        let Ok(capabilities) = Members::of_str(capabilities.get()) else { return Self::default() };
        let flag = |capability: &str, flag: &str| {
            capabilities
                .get(capability)
                .and_then(|raw| Members::of_str(raw.get()).ok())
                .is_some_and(|members| members.get(flag).is_some_and(|raw| raw.get() == "true"))
        };
        Self {
            tools: flag("tools", "listChanged"),
            prompts: flag("prompts", "listChanged"),
            resources: flag("resources", "listChanged"),
            subscribe: flag("resources", "subscribe"),
        }
    }
}

// === impl Profile ===

impl Profile {
    pub(super) fn new(hello: Hello, discover: &RawJson) -> Self {
        Self {
            capabilities: hello.capabilities,
            hello: hello.revision.as_str().into(),
            client_info: hello.client_info,
            offered: Offered::of_discover(discover),
            level: None,
            subscriptions: Vec::new(),
            via: hello.via,
        }
    }

    /// Reads a stored link; none where it is not one of this era.
    pub(super) fn of_saved(saved: &SavedLink) -> Option<(Revision, Self)> {
        let revision = Revision::parse(&saved.revision)?;
        let profile: Self = serde_json::from_str(saved.session_id.as_deref()?).ok()?;
        (revision.era() == sessiongate_protocol::Era::Modern).then_some((revision, profile))
    }

    pub(super) fn saved(&self, revision: Revision) -> Option<SavedLink> {
        let text = serde_json::to_string(self).ok()?;
        Some(SavedLink { session_id: Some(text.into()), revision: revision.as_str().into() })
    }

    pub(super) fn declared(&self) -> Declared {
        Declared::of(&self.capabilities, self.hello_revision())
    }

    /// The revision that the capabilities are written in.
    pub(super) fn hello_revision(&self) -> Revision {
        Revision::parse(&self.hello).unwrap_or(Revision::LATEST_LEGACY)
    }
}

fn is_object(members: &Members<'_>, name: &str) -> bool {
    members.get(name).is_some_and(|raw| raw.get().starts_with('{'))
}
