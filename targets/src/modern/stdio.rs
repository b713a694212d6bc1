//! Requests to a modern target that is a program: one process for all of them (2026-07-28, transports, stdio).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::meta::{ProgressToken, progress_token, request_id_of, with_progress_token};
use sessiongate_protocol::modern::envelope::SUBSCRIPTION_ID;
use sessiongate_protocol::progress::{Progress, with_token};
use sessiongate_protocol::{Message, Notification, RawJson, RequestId, Response, jsonrpc};
use tokio::sync::mpsc;

use super::detect::Detection;
use super::{Exchange, LISTEN, ModernRequest, NoteSink, refuses_revision};
use crate::error::TargetError;
use crate::http::link::until;
use crate::link::{LinkEvent, LinkSink, SinkClosed};
use crate::stdio::Launcher;
use crate::stdio::connection::Connection;
use crate::stdio::lines::Rate;
use crate::stdio::restart::Life;

/// A request that lets so many notifications lie is given up: the others must not wait for it.
const QUEUE: usize = 1024;
/// For `notifications/cancelled`.
const CANCEL_TIME: Duration = Duration::from_secs(5);
/// Requests of the process, in the log.
const WARNINGS_PER_SECOND: u32 = 1;

/// A modern target that is a program. The process is started when it is needed, again where it ended, not in a hot
/// loop.
pub(crate) struct StdioExchange {
    launcher: Arc<Launcher>,
    detection: Option<Arc<Detection>>,
    slot: tokio::sync::Mutex<Option<Running>>,
    last_id: AtomicI64,
}

#[derive(Clone)]
struct Running {
    connection: Arc<Connection>,
    life: Arc<Life>,
    router: Arc<Router>,
}

/// Which request a notification belongs to.
struct Router {
    name: Arc<str>,
    routes: Mutex<HashMap<i64, Route>>,
    warnings: Mutex<Rate>,
}

struct Route {
    notes: mpsc::Sender<Notification>,
    /// The caller's own.
    token: Option<ProgressToken>,
    listens: bool,
    end: Arc<Mutex<Option<TargetError>>>,
}

/// A request on its way; cancelled where it is dropped before its response came.
struct OnWire {
    running: Running,
    id: i64,
    done: bool,
}

// === impl StdioExchange ===

impl StdioExchange {
    /// Starts nothing yet. `detection` is told where a process does not behave like a modern one.
    pub(crate) fn new(launcher: Arc<Launcher>, detection: Arc<Detection>) -> Self {
        Self::of(launcher, Some(detection))
    }

    /// A process of its own, started now, that shows what the program speaks. Its death is no failure of the target,
    /// and it is not started again.
    pub(crate) fn sibling(launcher: &Arc<Launcher>) -> Result<Self, TargetError> {
        let running = Running::start(launcher, true)?;
        let mut sibling = Self::of(Arc::clone(launcher), None);
        *sibling.slot.get_mut() = Some(running);
        Ok(sibling)
    }

    fn of(launcher: Arc<Launcher>, detection: Option<Arc<Detection>>) -> Self {
        Self { launcher, detection, slot: tokio::sync::Mutex::default(), last_id: AtomicI64::new(0) }
    }

    /// Whether a process runs.
    pub(crate) async fn is_running(&self) -> bool {
        self.slot.lock().await.as_ref().is_some_and(|running| running.connection.is_open())
    }

    /// Goes on with the process of `sibling`, where none is running.
    pub(crate) async fn adopt(&self, sibling: Self) {
        let mut slot = self.slot.lock().await;
        if slot.as_ref().is_some_and(|running| running.connection.is_open()) {
            return;
        }
        *slot = sibling.slot.into_inner().inspect(|running| running.life.adopt());
    }

    /// Ends the process and waits for it.
    pub(crate) async fn close(self) {
        if let Some(running) = self.slot.into_inner() {
            running.connection.close().await;
        }
    }

    async fn running(&self) -> Result<Running, TargetError> {
        let mut slot = self.slot.lock().await;
        match slot.as_ref() {
            Some(running) if running.connection.is_open() || self.detection.is_none() => Ok(running.clone()),
            _ => {
                *slot = None;
                Ok(slot.insert(Running::start(&self.launcher, false)?).clone())
            }
        }
    }

    async fn run(
        &self,
        running: Running,
        request: &ModernRequest,
        notes: &dyn NoteSink,
        deadline: Instant,
    ) -> Result<Response, TargetError> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let (params, token) = with_own_token(&request.params, id)?;
        let body = jsonrpc::request(&RequestId::integer(id), &request.method, Some(&params));
        let (sender, mut queue) = mpsc::channel(QUEUE);
        let end = Arc::default();
        let listens = request.method.as_ref() == LISTEN;
        running.router.add(id, Route { notes: sender, token, listens, end: Arc::clone(&end) });
        let mut on_wire = OnWire { running, id, done: false };
        let connection = Arc::clone(&on_wire.running.connection);
        let mut call = std::pin::pin!(connection.call(id, body, deadline));
        let outcome = loop {
            tokio::select! {
                biased;
                note = queue.recv() => match note {
                    Some(note) => notes.note(note).await.map_err(|_| TargetError::Closed)?,
                    None => {
                        let error = end.lock().take();
                        break Err(error.unwrap_or(TargetError::Closed));
                    }
                },
                outcome = &mut call => break outcome,
            }
        };
        match outcome {
            Ok(reply) => {
                on_wire.done = true;
                // What was said before the response comes before it.
                while let Ok(note) = queue.try_recv() {
                    notes.note(note).await.map_err(|_| TargetError::Closed)?;
                }
                on_wire.running.life.ready();
                if let Some(detection) = &self.detection
                    && refuses_revision(&reply.response)
                {
                    detection.doubt();
                }
                Ok(reply.response)
            }
            Err(error) => {
                if matches!(error, TargetError::OutcomeUnknown { .. })
                    && !on_wire.running.life.is_ready()
                    && let Some(detection) = &self.detection
                {
                    detection.doubt();
                }
                Err(error)
            }
        }
    }
}

/// The process sees one client: tokens must differ over all requests.
fn with_own_token(params: &RawJson, id: i64) -> Result<(RawJson, Option<ProgressToken>), TargetError> {
    let unreadable = |_| TargetError::Protocol { detail: "the request cannot be read".into() };
    match progress_token(params).map_err(unreadable)? {
        None => Ok((params.clone(), None)),
        Some(token) => {
            let own = ProgressToken::integer(id);
            Ok((with_progress_token(params, Some(&own)).map_err(unreadable)?, Some(token)))
        }
    }
}

#[async_trait]
impl Exchange for StdioExchange {
    async fn exchange(
        &self,
        request: ModernRequest,
        notes: &dyn NoteSink,
        deadline: Instant,
    ) -> Result<Response, TargetError> {
        until(deadline, async {
            let running = self.running().await?;
            match self.run(running, &request, notes, deadline).await {
                // It ended between two requests, and this one was never written.
                Err(TargetError::SessionGone) if self.detection.is_some() => {
                    let running = self.running().await?;
                    self.run(running, &request, notes, deadline).await
                }
                outcome => outcome,
            }
        })
        .await
    }
}

// === impl Running ===

impl Running {
    fn start(launcher: &Launcher, trial: bool) -> Result<Self, TargetError> {
        let name = launcher.name();
        let router = Arc::new(Router {
            name: Arc::clone(name),
            routes: Mutex::default(),
            warnings: Mutex::new(Rate::new(WARNINGS_PER_SECOND)),
        });
        let (connection, life) = launcher.spawn(Arc::clone(&router) as Arc<dyn LinkSink>, trial)?;
        Ok(Self { connection: Arc::new(connection), life, router })
    }
}

// === impl Router ===

impl Router {
    fn add(&self, id: i64, route: Route) {
        self.routes.lock().insert(id, route);
    }

    fn remove(&self, id: i64) {
        self.routes.lock().remove(&id);
    }

    fn route(&self, mut note: Notification) {
        let mut routes = self.routes.lock();
        let params = note.params.as_ref();
        let to = match note.method.as_ref() {
            "notifications/progress" => {
                let token = params.and_then(|params| Progress::read(params).ok()?.token.as_i64());
                let own = token.and_then(|id| Some((id, routes.get(&id)?.token.as_ref()?)));
                let Some((id, restored)) = own.and_then(|(id, token)| Some((id, with_token(params?, token).ok()?)))
                else {
                    tracing::debug!(target_name = %self.name, "progress of nothing dropped");
                    return;
                };
                note.params = Some(restored);
                Some(id)
            }
            "notifications/cancelled" => {
                let id = params.and_then(|params| request_id_of(params).ok()?.as_i64());
                if let Some(route) = id.and_then(|id| routes.remove(&id)) {
                    let error = TargetError::OutcomeUnknown { detail: "the target cancelled the request".into() };
                    *route.end.lock() = Some(error);
                }
                return;
            }
            method => match params.and_then(subscription_id) {
                Some(id) => id.as_i64(),
                // All principals share the process: whose line it is cannot be known.
                None if method == "notifications/message" => None,
                None => only_listen(&routes),
            },
        };
        let Some((id, route)) = to.and_then(|id| Some((id, routes.get(&id)?))) else {
            tracing::debug!(target_name = %self.name, method = %note.method, "notification belongs to no request");
            return;
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = route.notes.try_send(note) {
            tracing::warn!(target_name = %self.name, "a request takes no notifications, it is given up");
            let detail = format!("more than {QUEUE} of its notifications were not taken");
            *route.end.lock() = Some(TargetError::OutcomeUnknown { detail });
            routes.remove(&id);
        }
    }
}

/// The only listening request: nothing says whose a notification is, and it must not be shown to another.
fn only_listen(routes: &HashMap<i64, Route>) -> Option<i64> {
    let mut listening = routes.iter().filter(|(_, route)| route.listens);
    let (id, _) = listening.next()?;
    listening.next().is_none().then_some(*id)
}

#[async_trait]
impl LinkSink for Router {
    /// Never waits: see [`QUEUE`].
    async fn deliver(&self, event: LinkEvent) -> Result<(), SinkClosed> {
        match event {
            LinkEvent::Message { message: Message::Notification(note), .. } => self.route(note),
            LinkEvent::Message { message: Message::Request(request), .. } => {
                if let Some(left_out) = self.warnings.lock().admit() {
                    tracing::warn!(target_name = %self.name, method = %request.method, left_out, "requests of a modern target are not allowed, dropped");
                }
            }
            // Responses go to their calls, pipes have no places, and the calls hear of the end by themselves.
            LinkEvent::Message { message: Message::Response(_), .. }
            | LinkEvent::Position { .. }
            | LinkEvent::Closed { .. } => {}
        }
        Ok(())
    }
}

/// The subscription that a notification is part of.
fn subscription_id(params: &RawJson) -> Option<RequestId> {
    let members = Members::of(params).ok()?;
    let meta = Members::of_str(members.get("_meta")?.get()).ok()?;
    RequestId::from_raw(meta.get(SUBSCRIPTION_ID)?.get())
}

// === impl OnWire ===

impl Drop for OnWire {
    fn drop(&mut self) {
        self.running.router.remove(self.id);
        let connection = Arc::clone(&self.running.connection);
        if self.done || !connection.is_open() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let body =
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{}}}}}"#, self.id);
        runtime.spawn(async move {
            let deadline = tokio::time::Instant::now() + CANCEL_TIME;
            let _ = connection.post(body.into(), deadline.into_std()).await;
        });
    }
}
