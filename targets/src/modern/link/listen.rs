//! One `subscriptions/listen`: a request whose stream stands (2026-07-28, subscriptions).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::Deserialize;
use sessiongate_protocol::jsonrpc::ErrorShape;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::text::words;
use sessiongate_protocol::{Message, Notification, RawJson, Response, ResponseBody, codes};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::wire::Wire;
use crate::error::TargetError;
use crate::link::{LinkEvent, Origin, SinkClosed};
use crate::modern::{LISTEN, NoteSink};

/// For the acknowledgement, which a target sends at once.
const ACKNOWLEDGE_TIME: Duration = Duration::from_secs(30);
/// A listen ends after this and is begun again, as credentials may have changed.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// What is opted in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) tools: bool,
    pub(super) prompts: bool,
    pub(super) resources: bool,
    pub(super) uris: BTreeSet<Box<str>>,
}

/// A listen that the target has acknowledged. Dropped, it ends.
pub(super) struct Listen {
    pub(super) filter: Filter,
    /// The resources of which it sends updates.
    pub(super) honoured: BTreeSet<Box<str>>,
    pub(super) begun: Instant,
    task: Task,
}

/// Why there is none.
pub(super) enum Refused {
    /// Asking again would not help; the text is for the client.
    Never(String),
    NotNow(TargetError),
}

/// How one ended.
pub(super) enum Ended {
    /// The target or the way to it ended it.
    There,
    /// Nobody hears it any more.
    Unheard,
}

/// Aborted when dropped, which ends the request at the target.
struct Task(JoinHandle<Result<Response, TargetError>>);

/// Takes what comes on the stream.
struct Notes {
    wire: Arc<Wire>,
    acknowledged: Mutex<Option<oneshot::Sender<Acknowledged>>>,
}

#[derive(Deserialize)]
struct AckParams {
    notifications: Acknowledged,
}

/// The part of the filter that the target honours.
#[derive(Default, Deserialize)]
struct Acknowledged {
    #[serde(rename = "resourceSubscriptions", default)]
    uris: Vec<Box<str>>,
}

// === impl Filter ===

impl Filter {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn params(&self) -> Result<RawJson, serde_json::Error> {
        let mut notifications = serde_json::Map::new();
        for (name, wanted) in [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ] {
            if wanted {
                notifications.insert(name.into(), true.into());
            }
        }
        if !self.uris.is_empty() {
            notifications.insert("resourceSubscriptions".into(), serde_json::to_value(&self.uris)?);
        }
        RawJson::from_serialize(&serde_json::json!({"notifications": notifications}))
    }
}

// === impl Listen ===

impl Listen {
    /// Begins to listen; returns when the target has acknowledged it.
    pub(super) async fn begin(wire: &Arc<Wire>, filter: Filter) -> Result<Self, Refused> {
        let params = filter.params().map_err(|error| Refused::Never(error.to_string()))?;
        let (sender, acknowledged) = oneshot::channel();
        let notes = Notes { wire: Arc::clone(wire), acknowledged: Mutex::new(Some(sender)) };
        let mut task = Task(tokio::spawn(async move {
            let deadline = (Instant::now() + LONGEST).into_std();
            notes.wire.exchange(LISTEN, &params, &notes, deadline).await
        }));
        let first = tokio::time::timeout(ACKNOWLEDGE_TIME, async {
            tokio::select! {
                biased;
                Ok(acknowledged) = acknowledged => Ok(acknowledged),
                ended = &mut task.0 => Err(ended),
            }
        });
        let honoured = match first.await {
            Ok(Ok(acknowledged)) => acknowledged.uris.into_iter().collect(),
            Ok(Err(ended)) => return Err(refused(ended)),
            Err(_) => return Err(Refused::NotNow(TargetError::TimedOut(ACKNOWLEDGE_TIME))),
        };
        Ok(Self { filter, honoured, begun: Instant::now(), task })
    }

    /// Waits for its end. Safe to be dropped and called again.
    pub(super) async fn ended(&mut self) -> Ended {
        match (&mut self.task.0).await {
            Ok(Err(TargetError::Closed)) => Ended::Unheard,
            _ => Ended::There,
        }
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.task.0.is_finished()
    }

    /// Nobody can know what was missed.
    pub(super) async fn tell_changed(&self, wire: &Wire, lists: bool) -> Result<(), TargetError> {
        for (method, wanted) in [
            ("notifications/tools/list_changed", self.filter.tools),
            ("notifications/prompts/list_changed", self.filter.prompts),
            ("notifications/resources/list_changed", self.filter.resources),
        ] {
            if wanted && lists {
                wire.deliver(standing(Notification { method: method.into(), params: None })).await?;
            }
        }
        for uri in &self.honoured {
            let params = RawJson::from_serialize(&serde_json::json!({"uri": uri})).ok();
            wire.deliver(standing(Notification { method: "notifications/resources/updated".into(), params })).await?;
        }
        Ok(())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn standing(notification: Notification) -> LinkEvent {
    LinkEvent::Message { origin: Origin::Standing, message: Message::Notification(notification), event_id: None }
}

/// What an end without an acknowledgement means.
fn refused(ended: Result<Result<Response, TargetError>, tokio::task::JoinError>) -> Refused {
    let response = match ended {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Refused::NotNow(error),
        Err(_) => return Refused::NotNow(TargetError::Closed),
    };
    let ResponseBody::Error(error) = response.body else {
        return Refused::NotNow(TargetError::Protocol { detail: "a listen ended before it was acknowledged".into() });
    };
    match error.borrow::<ErrorShape<'_>>() {
        Ok(shape) if shape.code == codes::INTERNAL_ERROR => {
            Refused::NotNow(TargetError::Refused { detail: words(&shape.message) })
        }
        Ok(shape) => Refused::Never(format!("the target refused to be listened to: {}", words(&shape.message))),
        Err(_) => Refused::Never("the target refused to be listened to".into()),
    }
}

// === impl Notes ===

#[async_trait]
impl NoteSink for Notes {
    async fn note(&self, notification: Notification) -> Result<(), SinkClosed> {
        let first = self.acknowledged.lock().take();
        if &*notification.method == "notifications/subscriptions/acknowledged" {
            let params = notification.params.as_ref().and_then(|params| params.get::<AckParams>().ok());
            if let Some(first) = first {
                let _ = first.send(params.map(|params| params.notifications).unwrap_or_default());
            }
            return Ok(());
        }
        if let Some(waiting) = first {
            tracing::debug!(method = %notification.method, "notification before the acknowledgement dropped");
            *self.acknowledged.lock() = Some(waiting);
            return Ok(());
        }
        if !opted_in(&notification.method) {
            tracing::debug!(method = %notification.method, "notification that was not asked for dropped");
            return Ok(());
        }
        let params = notification.params.map(|params| without_subscription(&params));
        self.wire.deliver(standing(Notification { method: notification.method, params })).await.map_err(|_| SinkClosed)
    }
}

fn opted_in(method: &str) -> bool {
    matches!(
        method,
        "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed"
            | "notifications/resources/updated"
    )
}

/// A legacy client knows nothing of the stream that a notification came on.
fn without_subscription(params: &RawJson) -> RawJson {
    let Ok(members) = Members::of(params) else { return params.clone() };
    let Some(Ok(meta)) = members.get("_meta").map(|raw| Members::of_str(raw.get())) else { return params.clone() };
    if meta.get(SUBSCRIPTION_ID).is_none() {
        return params.clone();
    }
    let left = (meta.iter().count() > 1).then(|| meta.with(&[(SUBSCRIPTION_ID, None)]));
    members.with(&[("_meta", left.as_ref().map(RawJson::as_str))])
}
