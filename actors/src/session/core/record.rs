//! What of a session is stored, and how it looks.
//!
//! Values are JSON, so that a person can read an export. Counters are stored as the end of a reserved block: a restart
//! skips the rest of the block instead of writing each number.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sessiongate_protocol::members::Members;
use sessiongate_protocol::meta::ProgressToken;
use sessiongate_protocol::{RawJson, RequestId, Revision, StreamId};
use sessiongate_storage::{ItemKind, Op, Timestamp};
use sessiongate_targets::SavedLink;

use super::{CallId, CallKind, Reply, SessionCore, Step};
use crate::catalogue::ListHashes;

/// A call whose answer is a stream.
pub(super) const CALL: ItemKind = ItemKind(1);
/// A question.
pub(super) const QUESTION: ItemKind = ItemKind(2);
/// A resource that a target mentioned.
pub(super) const SEEN_RESOURCE: ItemKind = ItemKind(3);
/// A name that a live list showed cut.
pub(super) const LIVE_NAME: ItemKind = ItemKind(4);

/// Question numbers are reserved in blocks of this size.
pub(super) const QUESTION_BLOCK: u64 = 64;

/// What a session is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionFacts {
    /// The gateway.
    pub gateway: Box<str>,
    /// The principal, hashed.
    pub principal: Box<str>,
    /// The negotiated revision of the client leg.
    #[serde(with = "revision")]
    pub revision: Revision,
    /// What the client declared.
    pub capabilities: RawJson,
    /// What the client said of itself.
    pub client_info: RawJson,
    /// When `initialize` came.
    pub created: Timestamp,
    /// The longest name of a tool or prompt that the client wants to see, in bytes; none takes what the gateway shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_name_length: Option<u16>,
    /// The gateway's own: it carries the requests of a modern client, who has no session.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conversation: bool,
    /// It lives as long as one connection: the next process removes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transient: bool,
}

/// The stored record of a session.
#[derive(Serialize, Deserialize)]
pub struct Record {
    /// What it is made of.
    pub facts: SessionFacts,
    /// When it ends.
    pub expires: Timestamp,
    pub(super) initialized: bool,
    pub(super) log_level: Option<Box<str>>,
    pub(super) seen: ListHashes,
    pub(super) links: Vec<(Arc<str>, SavedLink)>,
    pub(super) subscriptions: Vec<(Box<str>, Arc<str>)>,
    pub(super) elicitation_ids: Vec<(Box<str>, Arc<str>)>,
    pub(super) streams_reserved: u32,
    pub(super) questions_reserved: u64,
    pub(super) standing: Option<StreamId>,
}

/// A stored call.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredCall {
    pub(super) client_id: RequestId,
    pub(super) method: Box<str>,
    pub(super) name: Option<Box<str>>,
    pub(super) kind: CallKind,
    pub(super) target: Arc<str>,
    pub(super) downstream_id: i64,
    pub(super) stream: StreamId,
    pub(super) progress_token: Option<ProgressToken>,
    pub(super) last_progress: sessiongate_protocol::progress::Watermark,
    pub(super) last_event: Option<Box<str>>,
    pub(super) started: Timestamp,
    pub(super) deadline: Timestamp,
}

mod revision {
    use serde::{Deserialize, Deserializer, Serializer};
    use sessiongate_protocol::Revision;

    pub(super) fn serialize<S: Serializer>(revision: &Revision, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(revision.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Revision, D::Error> {
        let date = String::deserialize(deserializer)?;
        Revision::parse(&date).ok_or_else(|| serde::de::Error::custom("an unknown revision"))
    }
}

// === impl SessionFacts ===

impl SessionFacts {
    /// Name and version of the client, for people; self-reported.
    pub fn client_label(&self) -> String {
        let Ok(members) = Members::of(&self.client_info) else { return "unknown".into() };
        let name = members.get_str("name").unwrap_or_else(|| "unknown".into());
        match members.get_str("version") {
            Some(version) => format!("{name} {version}"),
            None => name.into_owned(),
        }
    }
}

// === impl Record ===

impl Record {
    /// Reads a stored record.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

// === impl SessionCore ===

impl SessionCore {
    pub(super) fn record_op(&self) -> Op {
        let record = Record {
            facts: self.facts.clone(),
            expires: self.expires,
            initialized: self.initialized,
            log_level: self.log_level.clone(),
            seen: self.seen,
            links: self.saved_links(),
            subscriptions: self.subscriptions.iter().map(|(uri, target)| (uri.clone(), target.clone())).collect(),
            elicitation_ids: self.elicitation_ids.iter().cloned().collect(),
            streams_reserved: self.streams.reserved(),
            questions_reserved: (self.next_question / QUESTION_BLOCK + 1) * QUESTION_BLOCK,
            standing: self.standing(),
        };
        let value = serde_json::to_vec(&record).unwrap_or_default();
        Op::PutRecord { value: value.into(), expires: self.stored_end() }
    }

    /// Writes a call whose answer is a stream; a call that may still be answered in JSON is never written.
    pub(super) fn store_call(&self, id: CallId, step: &mut Step) {
        let Some(call) = self.calls.get(&id) else { return };
        let Reply::Stream(stream) = call.reply else { return };
        let stored = StoredCall {
            client_id: call.client_id.clone(),
            method: call.method.clone(),
            name: call.name.clone(),
            kind: call.kind.clone(),
            target: call.target.clone(),
            downstream_id: call.downstream_id,
            stream,
            progress_token: call.progress_token.clone(),
            last_progress: call.last_progress,
            last_event: call.last_event.clone(),
            started: call.started,
            deadline: call.deadline,
        };
        if let Ok(value) = serde_json::to_vec(&stored) {
            step.batch.push(Op::PutItem { kind: CALL, id: id.0, value: value.into() });
        }
    }

    pub(super) fn unstore_call(&self, id: CallId, step: &mut Step) {
        step.batch.push(Op::DeleteItem { kind: CALL, id: id.0 });
    }
}
