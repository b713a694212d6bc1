//! What the process remembers across sessions, and the durable journal of effects.

#![expect(deprecated, reason = "log levels are the 2025 wire, which this server is for")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use rmcp::{
    RoleServer,
    model::{LoggingLevel, ResourceUpdatedNotificationParam},
    service::Peer,
    task_manager::TaskManager,
};
use serde_json::{Value, json};

use crate::{era::Era, legacy_tasks::Tasks, subscriptions::Subscriptions};

/// One per process.
#[derive(Default)]
pub struct Shared {
    pub many: bool,
    pub era: Era,
    pub toggled: AtomicBool,
    pub toggled_prompt: AtomicBool,
    pub cancelled: AtomicU64,
    pub calls: AtomicU64,
    pub answers: Mutex<BTreeMap<String, u64>>,
    pub input_required: AtomicU64,
    pub subscriptions: Subscriptions,
    pub tasks: TaskManager,
    /// Sessions have tasks too.
    pub legacy_tasks: bool,
    requests: Mutex<BTreeMap<&'static str, BTreeMap<&'static str, u64>>>,
    peers: Mutex<Vec<Peer<RoleServer>>>,
    watchers: Mutex<Vec<(Arc<Session>, Peer<RoleServer>)>>,
    journal: Option<Mutex<File>>,
}

/// One per MCP session.
pub struct Session {
    pub counter: AtomicU64,
    pub level: Mutex<LoggingLevel>,
    pub subscriptions: Mutex<BTreeSet<String>>,
    pub urls_asked: Mutex<BTreeSet<String>>,
    pub tasks: Tasks,
}

// === impl Shared ===

impl Shared {
    /// Opens the journal, if there is to be one, for appending.
    pub fn new(many: bool, era: Era, journal: Option<&Path>) -> io::Result<Self> {
        let journal =
            journal.map(|path| File::options().create(true).append(true).open(path)).transpose()?.map(Mutex::new);
        Ok(Self { many, era, journal, ..Self::default() })
    }

    /// Appends one line and waits until it is on disk, so that a crash test can count effects.
    pub fn record(&self, event: &str, tool: &str, detail: Value) {
        let Some(journal) = &self.journal else {
            return;
        };
        let line = json!({"event": event, "tool": tool, "detail": detail});
        let mut file = journal.lock();
        if let Err(error) = writeln!(file, "{line}").and_then(|()| file.sync_data()) {
            tracing::error!(%error, "journal line was not written");
        }
    }

    /// Counts an elicitation answer under its key.
    pub fn answered(&self, tool: &str, key: &str, action: Value) {
        *self.answers.lock().entry(key.to_owned()).or_default() += 1;
        self.record("answer", tool, json!({"key": key, "action": action}));
    }

    /// Remembers a session's peer for notifications that concern everybody.
    pub fn join(&self, peer: Peer<RoleServer>) {
        let mut peers = self.peers.lock();
        peers.retain(|peer| !peer.is_transport_closed());
        peers.push(peer);
    }

    /// Counts a request by its era and method.
    pub fn requested(&self, modern: bool, method: &'static str) {
        let era = if modern { "modern" } else { "legacy" };
        *self.requests.lock().entry(era).or_default().entry(method).or_default() += 1;
    }

    /// Tells every session and every subscription that asked for it.
    pub async fn tell_tools_changed(&self) {
        for peer in self.peers() {
            let _ = peer.notify_tool_list_changed().await;
        }
        self.subscriptions.tools_changed().await;
    }

    /// The same for prompts.
    pub async fn tell_prompts_changed(&self) {
        for peer in self.peers() {
            let _ = peer.notify_prompt_list_changed().await;
        }
        self.subscriptions.prompts_changed().await;
    }

    /// Remembers a session that subscribes to something.
    pub fn watches(&self, session: &Arc<Session>, peer: Peer<RoleServer>) {
        let mut watchers = self.watchers.lock();
        watchers.retain(|(known, peer)| !peer.is_transport_closed() && !Arc::ptr_eq(known, session));
        watchers.push((session.clone(), peer));
    }

    /// Tells everybody who watches this resource, whosever sessions they are; how many.
    pub async fn touch(&self, uri: &str) -> usize {
        let mut told = usize::from(self.subscriptions.resource_updated(uri).await);
        let watchers = self.watchers.lock().clone();
        for (_, peer) in watchers.iter().filter(|(session, _)| session.subscriptions.lock().contains(uri)) {
            let params = ResourceUpdatedNotificationParam::new(uri);
            told += usize::from(peer.notify_resource_updated(params).await.is_ok());
        }
        told
    }

    fn peers(&self) -> Vec<Peer<RoleServer>> {
        self.peers.lock().clone()
    }

    /// What `GET /control/stats` shows.
    pub fn stats(&self) -> Value {
        json!({
            "calls": self.calls.load(Ordering::Relaxed),
            "cancelled": self.cancelled.load(Ordering::Relaxed),
            "answers": *self.answers.lock(),
            "requests": *self.requests.lock(),
            "input_required": self.input_required.load(Ordering::Relaxed),
            "subscriptions": self.subscriptions.live(),
            "tasks": self.tasks.running_task_count(),
        })
    }
}

// === impl Session ===

impl Default for Session {
    fn default() -> Self {
        Self {
            counter: AtomicU64::new(0),
            level: Mutex::new(LoggingLevel::Debug),
            subscriptions: Mutex::default(),
            urls_asked: Mutex::default(),
            tasks: Tasks::default(),
        }
    }
}
