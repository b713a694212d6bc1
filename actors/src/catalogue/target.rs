//! The catalogue of one target, as synchronised and as stored.

use serde::{Deserialize, Serialize};
use sessiongate_protocol::modern::caching::Caching;
use sessiongate_protocol::modern::tasks;
use sessiongate_protocol::{Era, RawJson, Revision, tasks as legacy_tasks};
use sessiongate_storage::Timestamp;

use super::ListKind;

/// Everything a target offered when it was last synchronised. Items are the bytes that the target sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetCatalogue {
    /// The negotiated revision.
    pub revision: Box<str>,
    /// `streamable-http`, `sse` or `stdio`.
    pub transport: Box<str>,
    /// `capabilities` of its `InitializeResult`.
    pub capabilities: RawJson,
    /// `serverInfo`, for people.
    pub server_info: RawJson,
    /// `instructions`.
    pub instructions: Option<String>,
    /// Tools.
    pub tools: Vec<RawJson>,
    /// Prompts.
    pub prompts: Vec<RawJson>,
    /// Resources.
    pub resources: Vec<RawJson>,
    /// Resource templates.
    pub templates: Vec<RawJson>,
    /// How long each of the four lists is good, by [`ListKind`]; nothing from targets that do not say so.
    #[serde(default)]
    pub caching: [Caching; 4],
    /// What it listed and clients are not shown, for a person: a remark for each list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Box<str>>,
    /// When.
    pub synced_at: Timestamp,
    /// How long that took, in milliseconds.
    pub took_ms: u64,
}

/// The part of a target's capabilities that decides what is sent to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerCapabilities {
    /// Has tools.
    pub tools: bool,
    /// Has prompts.
    pub prompts: bool,
    /// Has resources.
    pub resources: bool,
    /// Takes `resources/subscribe`.
    pub subscribe: bool,
    /// Takes `logging/setLevel`.
    pub logging: bool,
    /// Takes `completion/complete`.
    pub completions: bool,
    /// Has tasks, as the extension of 2026-07-28.
    pub tasks: bool,
    /// Takes calls of tools as tasks (2025-11-25, experimental).
    pub task_calls: bool,
    /// Takes `tasks/list`, which the extension does not have.
    pub task_list: bool,
    /// Takes `tasks/cancel` of 2025-11-25.
    pub task_cancel: bool,
}

// === impl TargetCatalogue ===

impl TargetCatalogue {
    /// Of a target that is not asked what it offers: these tools. Which revision it speaks is found out when it is used.
    pub fn of_tools(tools: Vec<RawJson>, now: Timestamp) -> Self {
        Self {
            revision: "".into(),
            transport: "".into(),
            capabilities: tools_only(),
            server_info: RawJson::EMPTY_OBJECT,
            instructions: None,
            tools,
            prompts: Vec::new(),
            resources: Vec::new(),
            templates: Vec::new(),
            caching: Default::default(),
            left_out: Vec::new(),
            synced_at: now,
            took_ms: 0,
        }
    }

    /// What the target can do.
    pub fn can(&self) -> ServerCapabilities {
        let can = ServerCapabilities::parse(&self.capabilities);
        // Each kind of tasks is for its own revisions, whatever else the target says.
        let revision = Revision::parse(&self.revision);
        let modern = revision.is_some_and(|revision| revision.era() == Era::Modern);
        let experimental = revision == Some(Revision::V2025_11_25) && can.task_calls;
        ServerCapabilities {
            tasks: can.tasks && modern,
            task_calls: experimental,
            task_list: experimental && can.task_list,
            task_cancel: experimental && can.task_cancel,
            ..can
        }
    }

    /// The items of a list.
    pub fn list(&self, kind: ListKind) -> &[RawJson] {
        match kind {
            ListKind::Tools => &self.tools,
            ListKind::Prompts => &self.prompts,
            ListKind::Resources => &self.resources,
            ListKind::ResourceTemplates => &self.templates,
        }
    }

    /// The items of a list, to be set.
    pub fn list_mut(&mut self, kind: ListKind) -> &mut Vec<RawJson> {
        match kind {
            ListKind::Tools => &mut self.tools,
            ListKind::Prompts => &mut self.prompts,
            ListKind::Resources => &mut self.resources,
            ListKind::ResourceTemplates => &mut self.templates,
        }
    }
}

fn tools_only() -> RawJson {
    RawJson::from_serialize(&serde_json::json!({"tools": {}})).unwrap_or(RawJson::EMPTY_OBJECT)
}

// === impl ServerCapabilities ===

impl ServerCapabilities {
    /// What is assumed of a target that was never reached: all that a session's client is told once and for all.
    pub const ALL: Self = Self {
        tools: true,
        prompts: true,
        resources: true,
        subscribe: true,
        logging: true,
        completions: true,
        // Clients that are told of tasks use them where they would do as well without.
        tasks: false,
        task_calls: false,
        task_list: false,
        task_cancel: false,
    };

    /// Reads a `ServerCapabilities` object; what cannot be read counts as absent.
    pub fn parse(capabilities: &RawJson) -> Self {
        #[derive(Deserialize, Default)]
        struct Resources {
            #[serde(default)]
            subscribe: Option<bool>,
        }
        #[derive(Deserialize, Default)]
        struct Shape {
            tools: Option<serde::de::IgnoredAny>,
            prompts: Option<serde::de::IgnoredAny>,
            resources: Option<Resources>,
            logging: Option<serde::de::IgnoredAny>,
            completions: Option<serde::de::IgnoredAny>,
        }
        let shape: Shape = capabilities.get().unwrap_or_default();
        let experimental = legacy_tasks::offered(capabilities);
        Self {
            tools: shape.tools.is_some(),
            prompts: shape.prompts.is_some(),
            resources: shape.resources.is_some(),
            subscribe: shape.resources.is_some_and(|resources| resources.subscribe.unwrap_or(false)),
            logging: shape.logging.is_some(),
            completions: shape.completions.is_some(),
            tasks: tasks::declared(capabilities),
            task_calls: experimental.calls,
            task_list: experimental.list,
            task_cancel: experimental.cancel,
        }
    }

    /// Has tasks that a client of 2025-11-25 can be given: its own kind, or the other in its words.
    pub fn runs_tasks(self) -> bool {
        self.tasks || self.task_calls
    }

    /// Has the capability that a list belongs to.
    pub fn offers(self, kind: ListKind) -> bool {
        match kind {
            ListKind::Tools => self.tools,
            ListKind::Prompts => self.prompts,
            ListKind::Resources | ListKind::ResourceTemplates => self.resources,
        }
    }

    /// What either has.
    pub fn union(self, other: Self) -> Self {
        Self {
            tools: self.tools || other.tools,
            prompts: self.prompts || other.prompts,
            resources: self.resources || other.resources,
            subscribe: self.subscribe || other.subscribe,
            logging: self.logging || other.logging,
            completions: self.completions || other.completions,
            tasks: self.tasks || other.tasks,
            task_calls: self.task_calls || other.task_calls,
            task_list: self.task_list || other.task_list,
            task_cancel: self.task_cancel || other.task_cancel,
        }
    }
}
