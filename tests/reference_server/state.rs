//! What the process remembers across sessions, and the durable journal of effects.

#![expect(deprecated, reason = "log levels are the 2025 wire, which this server is for")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Write},
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::Mutex;
use rmcp::{RoleServer, model::LoggingLevel, service::Peer};
use serde_json::{Value, json};

/// One per process.
#[derive(Default)]
pub struct Shared {
    pub many: bool,
    pub modern: bool,
    pub toggled: AtomicBool,
    pub cancelled: AtomicU64,
    pub calls: AtomicU64,
    pub answers: Mutex<BTreeMap<String, u64>>,
    peers: Mutex<Vec<Peer<RoleServer>>>,
    journal: Option<Mutex<File>>,
}

/// One per MCP session.
pub struct Session {
    pub counter: AtomicU64,
    pub level: Mutex<LoggingLevel>,
    pub subscriptions: Mutex<BTreeSet<String>>,
    pub urls_asked: Mutex<BTreeSet<String>>,
}

// === impl Shared ===

impl Shared {
    /// Opens the journal, if there is to be one, for appending.
    pub fn new(many: bool, modern: bool, journal: Option<&Path>) -> io::Result<Self> {
        let journal =
            journal.map(|path| File::options().create(true).append(true).open(path)).transpose()?.map(Mutex::new);
        Ok(Self { many, modern, journal, ..Self::default() })
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

    /// Everybody who is connected now.
    pub fn peers(&self) -> Vec<Peer<RoleServer>> {
        self.peers.lock().clone()
    }

    /// What `GET /control/stats` shows.
    pub fn stats(&self) -> Value {
        json!({
            "calls": self.calls.load(Ordering::Relaxed),
            "cancelled": self.cancelled.load(Ordering::Relaxed),
            "answers": *self.answers.lock(),
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
        }
    }
}
