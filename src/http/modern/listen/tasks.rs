//! Tasks whose changes a client wants to hear: their targets are listened to, each under its own ids.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::join_all;
use sessiongate_protocol::jsonrpc::ErrorShape;
use sessiongate_protocol::modern::envelope::{self, HopEnvelope};
use sessiongate_protocol::modern::tasks::{id_of, with_id};
use sessiongate_protocol::{Notification, RawJson, ResponseBody, Revision, codes};
use sessiongate_targets::modern::{Exchange, ModernRequest, NoteSink};
use sessiongate_targets::{SinkClosed, TargetError};
use tokio::sync::mpsc;

use super::super::context::Context;
use super::super::tasks;

pub const METHOD: &str = "notifications/tasks";

/// Between two attempts, the first and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A target is listened to anew after this, as credentials may have changed.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The tasks of one target: its ids, with those of the client.
pub struct Watched {
    target: Arc<str>,
    exchange: Arc<dyn Exchange>,
    params: RawJson,
    ids: BTreeMap<Box<str>, Box<str>>,
}

struct Notes<'a> {
    ids: &'a BTreeMap<Box<str>, Box<str>>,
    to: &'a mpsc::Sender<RawJson>,
}

/// The tasks of these ids that can be told of, by target. All others are not honoured: an id that is not the caller's
/// cannot be told from one that never was.
pub fn watched(context: &Context, tokens: &[Box<str>]) -> Vec<Watched> {
    let mut by_target: BTreeMap<Box<str>, BTreeMap<Box<str>, Box<str>>> = BTreeMap::new();
    for token in tokens {
        if let Some(task) = tasks::open(context, token) {
            by_target.entry(task.target).or_default().insert(task.id, token.clone());
        }
    }
    let watch = |(target, ids): (Box<str>, BTreeMap<Box<str>, Box<str>>)| {
        let exchange = context.served.gateway.target(&target)?.modern().filter(|_| tasks::carried(context, &target))?;
        let wanted = serde_json::json!({"notifications": {"taskIds": ids.keys().collect::<Vec<_>>()}});
        let hop = HopEnvelope {
            protocol_version: Revision::V2026_07_28.as_str(),
            client_capabilities: &context.relayed_capabilities(true),
            client_info: context.envelope.client_info.as_ref(),
            log_level: None,
            progress_token: None,
        };
        let params = envelope::write(RawJson::from_serialize(&wanted).ok().as_ref(), &hop);
        Some(Watched { target: target.into(), exchange, params, ids })
    };
    by_target.into_iter().filter_map(watch).collect()
}

/// Passes on what the targets tell, for as long as anybody hears it.
pub async fn tell(watched: Vec<Watched>, to: mpsc::Sender<RawJson>) {
    join_all(watched.iter().map(|watched| watched.tell(&to))).await;
}

// === impl Watched ===

impl Watched {
    /// The client's ids of these tasks.
    pub fn tokens(&self) -> impl Iterator<Item = &Box<str>> {
        self.ids.values()
    }

    async fn tell(&self, to: &mpsc::Sender<RawJson>) {
        let mut pause = AGAIN.0;
        loop {
            let began = Instant::now();
            let request = ModernRequest {
                method: "subscriptions/listen".into(),
                params: self.params.clone(),
                name: None,
                param_headers: Vec::new(),
            };
            let notes = Notes { ids: &self.ids, to };
            let outcome = self.exchange.exchange(request, &notes, began + LONGEST).await;
            if to.is_closed() {
                return;
            }
            match &outcome {
                Ok(response) if is_final(&response.body) => {
                    tracing::warn!(target_name = &*self.target, "a target does not tell of its tasks");
                    return;
                }
                Err(error @ (TargetError::Protocol { .. } | TargetError::Refused { .. })) => {
                    tracing::warn!(target_name = &*self.target, error = error.code(), detail = ?error, "a target does not tell of its tasks");
                    return;
                }
                _ => {}
            }
            if began.elapsed() > AGAIN.1 {
                pause = AGAIN.0;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(AGAIN.1);
        }
    }
}

#[async_trait]
impl NoteSink for Notes<'_> {
    async fn note(&self, notification: Notification) -> Result<(), SinkClosed> {
        let Some(params) = notification.params.filter(|_| &*notification.method == METHOD) else { return Ok(()) };
        // What was not asked for is not passed on.
        let Some(token) = id_of(&params).and_then(|id| self.ids.get(&id)) else { return Ok(()) };
        self.to.send(with_id(&params, token)).await.map_err(|_| SinkClosed)
    }
}

/// Whether asking again would get the same answer.
fn is_final(body: &ResponseBody) -> bool {
    let ResponseBody::Error(error) = body else { return false };
    let code = error.borrow::<ErrorShape<'_>>().map(|shape| shape.code).unwrap_or_default();
    [codes::INVALID_PARAMS, codes::INVALID_REQUEST, codes::METHOD_NOT_FOUND, codes::MISSING_CLIENT_CAPABILITY]
        .contains(&code)
}
