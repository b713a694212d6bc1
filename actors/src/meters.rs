//! The metrics of calls, held ready: looking a counter up in the recorder costs a string for each label and a hash
//! of them all, for every call.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::{Counter, Histogram};
use parking_lot::RwLock;

/// Tools with a label of their own in one process's gateway; calls of others count under [`OTHER`]. Targets may offer
/// new names for ever, and what a recorder once heard of it never forgets.
const MOST_TOOLS: usize = 10_000;
/// The label of what has none.
pub const OTHER: &str = "-";

type ByTool = HashMap<Box<str>, Arc<CallMeter>>;

/// The metrics of the calls of one gateway.
pub struct CallMeters {
    gateway: Arc<str>,
    by_target: RwLock<HashMap<Box<str>, ByTool>>,
    tools: AtomicUsize,
}

/// The metrics of one tool.
pub struct CallMeter {
    duration: Histogram,
    ok: Counter,
    labels: [(&'static str, String); 3],
}

// === impl CallMeters ===

impl CallMeters {
    /// For a gateway; nothing is registered yet.
    pub fn new(gateway: Arc<str>) -> Self {
        Self { gateway, by_target: RwLock::default(), tools: AtomicUsize::new(0) }
    }

    /// The metrics of a tool at a target. `tool` must be a name of the catalogue or [`OTHER`]: clients can make up
    /// names without end.
    pub fn of(&self, target: &str, tool: &str) -> Arc<CallMeter> {
        if let Some(found) = self.by_target.read().get(target).and_then(|tools| tools.get(tool)) {
            return Arc::clone(found);
        }
        if tool != OTHER && self.tools.fetch_add(1, Ordering::Relaxed) >= MOST_TOOLS {
            self.tools.fetch_sub(1, Ordering::Relaxed);
            return self.of(target, OTHER);
        }
        let mut by_target = self.by_target.write();
        let tools = by_target.entry(target.into()).or_default();
        Arc::clone(tools.entry(tool.into()).or_insert_with(|| Arc::new(CallMeter::new(&self.gateway, target, tool))))
    }
}

// === impl CallMeter ===

impl CallMeter {
    fn new(gateway: &str, target: &str, tool: &str) -> Self {
        let labels = [("gateway", gateway.to_owned()), ("target", target.to_owned()), ("tool", tool.to_owned())];
        let duration = metrics::histogram!("sessiongate_call_duration_seconds", &labels);
        Self { duration, ok: counter(&labels, "ok"), labels }
    }

    /// A call ended.
    pub fn record(&self, outcome: &'static str, seconds: f64) {
        self.duration.record(seconds);
        if outcome == "ok" {
            self.ok.increment(1);
        } else {
            counter(&self.labels, outcome).increment(1);
        }
    }
}

fn counter(labels: &[(&'static str, String); 3], outcome: &'static str) -> Counter {
    let [(_, gateway), (_, target), (_, tool)] = labels;
    metrics::counter!(
        "sessiongate_calls_total",
        "gateway" => gateway.clone(),
        "target" => target.clone(),
        "tool" => tool.clone(),
        "outcome" => outcome
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_end_share_one_label() {
        let meters = CallMeters::new("shop".into());
        for tool in 0..MOST_TOOLS + 50 {
            meters.of("cart", &format!("tool{tool}"));
        }
        let by_target = meters.by_target.read();
        assert_eq!(by_target["cart"].len(), MOST_TOOLS + 1);
        drop(by_target);
        assert!(Arc::ptr_eq(&meters.of("cart", "one_more"), &meters.of("cart", OTHER)));
        assert!(!Arc::ptr_eq(&meters.of("cart", "tool7"), &meters.of("cart", OTHER)));
    }
}
