//! Tasks of the gateway's own: a client asked for one, and the target answered at once, as a modern target may and a client of
//! 2025-11-25 cannot read. The answer is kept for the client to fetch.
//!
//! Bounded by count and bytes, the oldest go first, and none outlives the time that its client asked for. They are the
//! session's: no other knows them.

use std::collections::VecDeque;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sessiongate_protocol::members::Members;
use sessiongate_protocol::{RawJson, tasks};
use sessiongate_storage::{Batch, Op, Timestamp};

use super::super::downstream::is_tool_error;
use super::super::record::KEPT_RESULT;

/// Results that are kept.
const RESULTS: usize = 64;
/// Bytes of all of them. A larger one is answered with as it is.
const BYTES: usize = 4 << 20;
/// What a client does not fetch within a day was not wanted.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The results that wait, oldest first.
#[derive(Default)]
pub(in super::super) struct Kept {
    results: VecDeque<(u64, KeptResult)>,
    bytes: usize,
    next: u64,
}

/// One of them.
#[derive(Serialize, Deserialize)]
pub(in super::super) struct KeptResult {
    /// The client's id of it.
    token: Box<str>,
    created: Timestamp,
    /// As the client asked, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
    pub(super) result: RawJson,
}

// === impl Kept ===

impl Kept {
    /// A stored result. They come in the order of their numbers.
    pub(in super::super) fn restore(&mut self, number: u64, kept: KeptResult) {
        self.next = self.next.max(number + 1);
        self.bytes += kept.result.len();
        self.results.push_back((number, kept));
    }

    /// Keeps a result under an id. False where it is too large.
    pub(super) fn keep(&mut self, kept: KeptResult, batch: &mut Batch) -> bool {
        if kept.result.len() > BYTES {
            return false;
        }
        let Ok(value) = serde_json::to_vec(&kept) else { return false };
        let now = kept.created;
        self.results.retain(|(number, known)| {
            let good = known.is_good(now);
            if !good {
                self.bytes -= known.result.len();
                batch.push(Op::DeleteItem { kind: KEPT_RESULT, id: *number });
            }
            good
        });
        while self.results.len() >= RESULTS || self.bytes + kept.result.len() > BYTES {
            let Some((number, oldest)) = self.results.pop_front() else { break };
            self.bytes -= oldest.result.len();
            batch.push(Op::DeleteItem { kind: KEPT_RESULT, id: number });
        }
        batch.push(Op::PutItem { kind: KEPT_RESULT, id: self.next, value: value.into() });
        self.bytes += kept.result.len();
        self.results.push_back((self.next, kept));
        self.next += 1;
        true
    }

    /// The result under this id.
    pub(super) fn get(&self, token: &str, now: Timestamp) -> Option<&KeptResult> {
        self.iter(now).find(|kept| *kept.token == *token)
    }

    /// All that are good.
    pub(super) fn iter(&self, now: Timestamp) -> impl Iterator<Item = &KeptResult> {
        self.results.iter().map(|(_, kept)| kept).filter(move |kept| kept.is_good(now))
    }
}

// === impl KeptResult ===

impl KeptResult {
    pub(super) fn new(token: &str, ttl: Option<u64>, now: Timestamp, result: RawJson) -> Self {
        Self { token: token.into(), created: now, ttl, result }
    }

    fn is_good(&self, now: Timestamp) -> bool {
        let ttl = self.ttl.map_or(LONGEST, Duration::from_millis);
        now < self.created.plus(ttl.min(LONGEST))
    }

    /// The task as `tasks/get` shows it.
    pub(super) fn shown(&self) -> RawJson {
        self.task(if is_tool_error(&self.result) { "failed" } else { "completed" })
    }

    /// The answer to the call: a task begins with working, whatever it does later (2025-11-25, tasks).
    pub(super) fn handle(&self) -> RawJson {
        super::super::object_with("task", self.task("working").as_str())
    }

    fn task(&self, status: &str) -> RawJson {
        let time = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(self.created.0)).to_string();
        let task = serde_json::json!({
            "taskId": self.token,
            "status": status,
            "createdAt": time,
            "lastUpdatedAt": time,
            "ttl": self.ttl,
        });
        RawJson::from_serialize(&task).unwrap_or(RawJson::EMPTY_OBJECT)
    }

    /// What `tasks/result` brings.
    pub(super) fn answer(&self) -> RawJson {
        tasks::with_related(&self.result, &self.token)
    }
}

/// The time that a call asks its task to be kept for, in milliseconds.
pub(super) fn wanted_ttl(params: &RawJson) -> Option<u64> {
    let members = Members::of(params).ok()?;
    let task = Members::of_str(members.get("task")?.get()).ok()?;
    let ttl: f64 = task.get("ttl")?.get().parse().ok()?;
    // Too large a number becomes the largest.
    Some(ttl as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(token: &str, ttl: Option<u64>, now: u64, bytes: usize) -> KeptResult {
        let result = RawJson::parse(format!("\"{}\"", "x".repeat(bytes - 2))).unwrap();
        KeptResult::new(token, ttl, Timestamp(now), result)
    }

    #[test]
    fn the_oldest_go_and_none_outlives_its_time() {
        let (mut all, mut batch) = (Kept::default(), Batch::default());
        assert!(!all.keep(kept("large", None, 0, BYTES + 1), &mut batch));
        for at in 0..RESULTS + 2 {
            assert!(all.keep(kept(&at.to_string(), None, 0, 10), &mut batch));
        }
        let now = Timestamp(1);
        assert_eq!((all.iter(now).count(), all.bytes), (RESULTS, RESULTS * 10));
        assert!(all.get("1", now).is_none() && all.get("2", now).is_some());
        assert!(all.keep(kept("half", Some(5), 0, BYTES - 100), &mut batch));
        assert_eq!(all.iter(now).count(), 11, "bytes count too");
        assert!(all.get("half", Timestamp(4)).is_some() && all.get("half", Timestamp(5)).is_none());
        assert!(all.keep(kept("next", Some(5), 6, 10), &mut batch));
        assert_eq!((all.results.len(), all.bytes), (11, 110), "what is over makes room first");
        let stored = batch.ops.iter().filter(|op| matches!(op, Op::PutItem { .. })).count();
        let gone = batch.ops.iter().filter(|op| matches!(op, Op::DeleteItem { .. })).count();
        assert_eq!(stored - gone, all.results.len());
        assert!(all.iter(Timestamp(u64::MAX)).next().is_none());
    }

    #[test]
    fn a_call_says_how_long() {
        let of = |text: &str| wanted_ttl(&RawJson::parse(text.to_owned()).unwrap());
        assert_eq!(of(r#"{"task":{"ttl":1.5e3}}"#), Some(1500));
        for none in ["{}", r#"{"task":{}}"#, r#"{"task":{"ttl":null}}"#] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
