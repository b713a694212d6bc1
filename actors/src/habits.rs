//! Which tools answer at once, as far as this process has seen: whoever cannot be asked anything is not worth a stream on which
//! nothing will come.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

/// Tools of one gateway that are remembered; all others count as quick.
const TOOLS: usize = 10_000;

/// What is known of the tools of one gateway.
#[derive(Default)]
pub struct Habits {
    by_target: RwLock<HashMap<Arc<str>, Tools>>,
    count: AtomicUsize,
}

/// Whether it is quick, by tool.
type Tools = HashMap<Box<str>, bool>;

// === impl Habits ===

impl Habits {
    /// Whether a tool answered at once when it was called last. One that was never called may do anything.
    pub fn is_quick(&self, target: &str, tool: &str) -> bool {
        let known = self.by_target.read().get(target).and_then(|tools| tools.get(tool).copied());
        known.unwrap_or_else(|| self.count.load(Ordering::Relaxed) >= TOOLS)
    }

    /// Notes how a call went.
    pub fn note(&self, target: &Arc<str>, tool: &str, quick: bool) {
        let known = self.by_target.read().get(target).and_then(|tools| tools.get(tool).copied());
        if known == Some(quick) || known.is_none() && self.count.load(Ordering::Relaxed) >= TOOLS {
            return;
        }
        if self.by_target.write().entry(target.clone()).or_default().insert(tool.into(), quick).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_did_last_counts() {
        let (habits, cart): (_, Arc<str>) = (Habits::default(), "cart".into());
        assert!(!habits.is_quick("cart", "add"), "nobody knows");
        habits.note(&cart, "add", true);
        assert!(habits.is_quick("cart", "add") && !habits.is_quick("mail", "add"));
        habits.note(&cart, "add", false);
        assert!(!habits.is_quick("cart", "add"));
    }

    #[test]
    fn it_is_bounded() {
        let (habits, cart): (_, Arc<str>) = (Habits::default(), "cart".into());
        habits.note(&cart, "slow", false);
        for tool in 0..2 * TOOLS {
            habits.note(&cart, &tool.to_string(), false);
        }
        assert_eq!(habits.by_target.read()["cart"].len(), TOOLS);
        assert!(habits.is_quick("cart", "another") && !habits.is_quick("cart", "slow"));
    }
}
