//! What of a session is stored, and how it looks.
//!
//! Values are JSON, so that a person can read an export. Counters are stored as the end of a reserved block: a restart
//! skips the rest of the block instead of writing each number.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sessiongate_protocol::members::Members;
use sessiongate_protocol::meta::ProgressToken;
use sessiongate_protocol::{RawJson, RequestId, Revision, StreamId};
use sessiongate_storage::{ItemKind, Op, StoredSession, Timestamp};
use sessiongate_targets::SavedLink;

use super::{CallId, CallKind, Reply, SessionCore, Step};
use crate::catalogue::ListHashes;

/// A call whose answer is a stream.
pub(super) const CALL: ItemKind = ItemKind(1);
/// A question.
pub(super) const QUESTION: ItemKind = ItemKind(2);
/// A resource that a target mentioned.
pub(super) const SEEN_RESOURCE: ItemKind = ItemKind(3);
/// A name that a live list showed cut, or without a prefix.
pub(super) const LIVE_NAME: ItemKind = ItemKind(4);
/// A task of a target that the client was given an id for.
pub(super) const TASK: ItemKind = ItemKind(5);
/// A result that a client fetches as that of a task.
pub(super) const KEPT_RESULT: ItemKind = ItemKind(6);
/// A resource template that a live list showed.
pub(super) const SEEN_TEMPLATE: ItemKind = ItemKind(7);

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
    /// Through which gateways the request came that began it. What it asks by itself came through them too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Box<str>>,
    /// The gateway's own: it carries the requests of a modern client, who has no session.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conversation: bool,
    /// It lives as long as one connection: the next process removes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transient: bool,
    /// It lives as long as one request, of a client that has no session. Never stored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stateless: bool,
}

/// The stored record of a session.
#[derive(Serialize, Deserialize)]
pub struct Record {
    /// What it is made of.
    pub facts: SessionFacts,
    /// When it ends.
    pub expires: Timestamp,
    /// Not later than the end of the first stored call: a process that finds the session takes it up then, so that its
    /// targets hear that nobody waits, also if its client never comes back. It may name a call that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
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
    /// See [`super::Call`], as on the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) log_level: Option<Box<str>>,
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

    /// The end of the first call that is stored with a session; none if nothing waits in it.
    pub fn calls_end(stored: &StoredSession) -> Option<Timestamp> {
        let calls = stored.items.iter().filter(|(kind, ..)| *kind == CALL);
        // One that cannot be read is left out when the session comes back, too.
        calls.filter_map(|(_, _, value)| Some(serde_json::from_slice::<StoredCall>(value).ok()?.deadline)).min()
    }
}

// === impl SessionCore ===

impl SessionCore {
    pub(super) fn record_op(&self) -> Op {
        let record = Record {
            facts: self.facts.clone(),
            expires: self.expires,
            wake_at: self.wake_at,
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

    /// The end of the first stored call.
    pub(super) fn stored_calls_end(&self) -> Option<Timestamp> {
        let stored = self.calls.values().filter(|call| matches!(call.reply, Reply::Stream(_)));
        stored.map(|call| call.deadline).min()
    }

    /// Writes a call whose answer is a stream; a call that may still be answered in JSON is never written.
    pub(super) fn store_call(&mut self, id: CallId, step: &mut Step) {
        let Some(call) = self.calls.get(&id) else { return };
        let Reply::Stream(stream) = call.reply else { return };
        // The record is written once for many calls: what is said too early there only costs a look.
        self.dirty |= self.wake_at.is_none_or(|wake_at| call.deadline < wake_at);
        let stored = StoredCall {
            client_id: call.client_id.clone(),
            method: call.method.clone(),
            name: call.name.clone(),
            kind: call.kind.clone(),
            target: call.target.clone(),
            downstream_id: call.downstream_id,
            stream,
            progress_token: call.progress_token.clone(),
            log_level: call.log_level.map(|level| level.as_str().into()),
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
