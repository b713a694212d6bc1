//! The open `subscriptions/listen` streams of modern clients.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use rmcp::service::{SubscriptionContext, SubscriptionSink};
use tokio::sync::Notify;

/// All open subscriptions of the process.
#[derive(Default)]
pub struct Subscriptions {
    sinks: Mutex<BTreeMap<u64, SubscriptionSink>>,
    next: AtomicU64,
    ended: Notify,
}

struct Joined<'a> {
    subscriptions: &'a Subscriptions,
    number: u64,
}

// === impl Subscriptions ===

impl Subscriptions {
    /// Holds a subscription until its client leaves or the server ends it.
    pub async fn hold(&self, context: SubscriptionContext) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.sinks.lock().insert(number, context.sink().clone());
        let _joined = Joined { subscriptions: self, number };
        tokio::select! {
            () = context.cancelled() => {}
            () = self.ended.notified() => {}
        }
    }

    /// Ends every subscription with its final result.
    pub fn end_all(&self) {
        self.ended.notify_waiters();
    }

    /// How many are open.
    pub fn live(&self) -> usize {
        self.sinks.lock().len()
    }

    /// Tells those that asked for changes of the tools.
    pub async fn tools_changed(&self) {
        for sink in self.all() {
            let _ = sink.notify_tool_list_changed().await;
        }
    }

    /// Tells those that asked for changes of the prompts.
    pub async fn prompts_changed(&self) {
        for sink in self.all() {
            let _ = sink.notify_prompt_list_changed().await;
        }
    }

    /// Tells those that watch this resource; true if there are any.
    pub async fn resource_updated(&self, uri: &str) -> bool {
        let mut told = false;
        for sink in self.all() {
            told |= sink.notify_resource_updated(uri).await.is_ok();
        }
        told
    }

    fn all(&self) -> Vec<SubscriptionSink> {
        self.sinks.lock().values().cloned().collect()
    }
}

// === impl Joined ===

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        self.subscriptions.sinks.lock().remove(&self.number);
    }
}
