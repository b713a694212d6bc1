//! One request of a link: envelope, headers, and what the errors of this hop mean.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use parking_lot::Mutex;
use sessiongate_protocol::modern::envelope::{self, HopEnvelope};
use sessiongate_protocol::modern::profile::modern_capabilities;
use sessiongate_protocol::modern::tasks::{id_of, is_method};
use sessiongate_protocol::tasks::{as_no_task, asks_for_task};
use sessiongate_protocol::{Message, Notification, RawJson, Response, Revision, meta};
use tokio_util::sync::CancellationToken;

use super::ModernTarget;
use super::profile::{Declared, Offered, Profile};
use super::tasks;
use crate::error::TargetError;
use crate::link::{LinkEvent, LinkSink, Origin, SinkClosed};
pub(super) use crate::modern::tools::Unheard;
use crate::modern::tools::{LIST, Learning};
use crate::modern::{Exchange, ModernRequest, NoteSink, refuses_revision};
use crate::passed::Passed;

/// What all requests of one link have in common.
pub(super) struct Wire {
    /// Its name.
    pub(super) target: Arc<str>,
    exchange: Arc<Learning>,
    sink: Arc<dyn LinkSink>,
    pub(super) revision: Revision,
    /// As the envelope has them.
    pub(super) capabilities: RawJson,
    pub(super) declared: Declared,
    pub(super) profile: Mutex<Profile>,
    pub(super) closed: CancellationToken,
    /// What goes along with requests that no request of the client causes, listening above all.
    beside: Option<Arc<Passed>>,
    /// The tasks that calls have become, by their ids.
    pub(super) tasks: Mutex<BTreeMap<i64, Box<str>>>,
}

/// What holds for all requests that one call comes to.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) deadline: Instant,
    /// What passes beside them.
    pub(super) passed: Option<&'a Arc<Passed>>,
}

/// Takes the notifications on the stream of a call.
struct CallNotes<'a> {
    wire: &'a Wire,
    call: i64,
}

// === impl Wire ===

impl Wire {
    pub(super) fn new(target: &ModernTarget, revision: Revision, profile: Profile, sink: Arc<dyn LinkSink>) -> Self {
        Self {
            target: Arc::clone(&target.name),
            exchange: Arc::clone(&target.learning),
            sink,
            revision,
            capabilities: modern_capabilities(&profile.capabilities, profile.hello_revision()),
            declared: profile.declared(),
            beside: profile.via.clone().map(|via| Passed::through(None, via.into())),
            profile: Mutex::new(profile),
            closed: CancellationToken::new(),
            tasks: Mutex::default(),
        }
    }

    /// What the target can be listened to for.
    pub(super) fn offered(&self) -> Offered {
        self.profile.lock().offered
    }

    /// Hands an event to the owner.
    ///
    /// # Errors
    /// [`TargetError::Closed`] when nobody listens.
    pub(super) async fn deliver(&self, event: LinkEvent) -> Result<(), TargetError> {
        self.sink.deliver(event).await.map_err(|_| TargetError::Closed)
    }

    /// Waits until what was delivered is stored.
    ///
    /// # Errors
    /// As [`Wire::deliver`].
    pub(super) async fn settle(&self) -> Result<(), TargetError> {
        self.sink.settle().await.map_err(|_| TargetError::Closed)
    }

    /// Sends the request of a call; its notifications go to the owner. A call to a target that was never listed lists it
    /// first, for its headers; where that fails it goes out as it is: its own outcome says more.
    ///
    /// # Errors
    /// Those of the exchange; [`TargetError::SessionGone`] where the target does not speak this revision any more, so
    /// that it is opened again as what it is now.
    pub(super) async fn request(
        &self,
        call: i64,
        method: &str,
        params: &RawJson,
        terms: Terms<'_>,
    ) -> Result<Response, TargetError> {
        let notes = CallNotes { wire: self, call };
        if method == "tools/call"
            && let Some(response) = self.go_on_with_task(call, params, terms).await
        {
            return response;
        }
        if method == "tools/call" && self.exchange.wants_listing() {
            let listing = self.build(LIST, &RawJson::EMPTY_OBJECT, false);
            self.exchange.refresh(&listing.params, terms.deadline).await;
        }
        // A client that asks for a task itself is answered with its handle.
        let asks = method == "tools/call" && asks_for_task(params);
        let plain = asks.then(|| as_no_task(params));
        let params = plain.as_ref().unwrap_or(params);
        let response = self.exchange_with(method, params, &notes, terms, asks).await?;
        if method == "tools/call" && !asks && tasks::wants_task(&response) {
            tracing::debug!(call, "the target runs this tool as a task only");
            return self.begun(call, self.exchange_with(method, params, &notes, terms, true).await?);
        }
        Ok(response)
    }

    /// Sends any request that belongs to no call.
    ///
    /// # Errors
    /// As [`Wire::request`].
    pub(super) async fn exchange(
        &self,
        method: &str,
        params: &RawJson,
        notes: &dyn NoteSink,
        deadline: Instant,
    ) -> Result<Response, TargetError> {
        self.exchange_with(method, params, notes, Terms { deadline, passed: None }, false).await
    }

    /// The same, the extension for tasks declared or not.
    ///
    /// # Errors
    /// As [`Wire::request`].
    pub(super) async fn exchange_with(
        &self,
        method: &str,
        params: &RawJson,
        notes: &dyn NoteSink,
        terms: Terms<'_>,
        tasks: bool,
    ) -> Result<Response, TargetError> {
        let passed = terms.passed.or(self.beside.as_ref()).cloned();
        let request = ModernRequest { passed, ..self.build(method, params, tasks) };
        let response = self.exchange.exchange(request, notes, terms.deadline).await?;
        if refuses_revision(&response) {
            tracing::info!(method, "the target does not speak revision {} any more", self.revision);
            return Err(TargetError::SessionGone);
        }
        Ok(response)
    }

    fn build(&self, method: &str, params: &RawJson, tasks: bool) -> ModernRequest {
        // An unreadable token is the sender's mistake; without it there is no progress.
        let token = meta::progress_token(params).ok().flatten();
        let (client_info, level) = {
            let profile = self.profile.lock();
            (profile.client_info.clone(), profile.level.as_deref().and_then(|level| level.parse().ok()))
        };
        let with_tasks = tasks.then(|| self.capabilities_with_tasks());
        let hop = HopEnvelope {
            protocol_version: self.revision.as_str(),
            client_capabilities: with_tasks.as_ref().unwrap_or(&self.capabilities),
            client_info: Some(&client_info),
            log_level: level,
            progress_token: token.as_ref(),
        };
        let complete = envelope::write(Some(params), &hop);
        let name = mirrored_name(method, params);
        // Those of arguments are the exchange's to add.
        ModernRequest { method: method.into(), params: complete, name, param_headers: Vec::new(), passed: None }
    }
}

/// What `Mcp-Name` says (2026-07-28, transports).
fn mirrored_name(method: &str, params: &RawJson) -> Option<Box<str>> {
    let name = match method {
        "tools/call" | "prompts/get" => meta::name_of(params),
        "resources/read" => meta::uri_of(params),
        method if is_method(method) => return id_of(params),
        _ => return None,
    };
    name.ok().map(|name| name.as_ref().into())
}

// === notifications ===

#[async_trait]
impl NoteSink for CallNotes<'_> {
    async fn note(&self, notification: Notification) -> Result<(), SinkClosed> {
        // Of the stream itself, or of extensions that were not declared: a legacy client knows none of them.
        if matches!(&*notification.method, "notifications/cancelled" | "notifications/tasks")
            || notification.method.starts_with("notifications/subscriptions/")
        {
            tracing::debug!(call = self.call, method = %notification.method, "notification dropped");
            return Ok(());
        }
        let message = Message::Notification(notification);
        self.wire.sink.deliver(LinkEvent::Message { origin: Origin::Call(self.call), message, event_id: None }).await
    }
}
