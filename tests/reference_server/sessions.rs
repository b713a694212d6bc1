//! The session manager: rmcp's local one, with every stream read from the event log.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::Stream;
use parking_lot::Mutex;
use rmcp::{
    model::{ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId, ServerJsonRpcMessage},
    transport::{
        WorkerTransport,
        common::server_side_http::{ServerSseMessage, SessionId},
        streamable_http_server::session::{
            EventStore, SessionManager,
            local::{LocalSessionManager, LocalSessionManagerError, LocalSessionWorker, SessionConfig, SessionError},
        },
    },
};

use crate::event_log::{EventLog, From, position_after, standalone_stream};

/// Sessions, their streams and the log that makes them resumable.
pub struct Sessions {
    local: LocalSessionManager,
    log: Arc<EventLog>,
    streams: Mutex<HashMap<SessionId, Streams>>,
    retry: Duration,
    resumed: AtomicU64,
}

#[derive(Default)]
struct Streams {
    by_request: HashMap<RequestId, String>,
    all: HashSet<String>,
}

type Error = LocalSessionManagerError;

/// The id that rmcp gives to the priming event of a standalone stream.
const FIRST_STANDALONE_EVENT: &str = "0";

// === impl Sessions ===

impl Sessions {
    pub fn new(retry: Duration) -> Self {
        let log = Arc::new(EventLog::new());
        let mut config = SessionConfig::default();
        config.keep_alive = Some(Duration::from_secs(3600));
        config.sse_retry = Some(retry);
        config.channel_capacity = 256;
        let mut local = LocalSessionManager::default().with_event_store(log.clone());
        local.session_config = config;
        Self { local, log, streams: Mutex::default(), retry, resumed: AtomicU64::new(0) }
    }

    /// Announces `retry` on the stream of a running request and closes its connection: the client
    /// has to come back by GET with `Last-Event-ID` (SEP-1699).
    pub async fn hang_up(&self, session_id: &str, request_id: &RequestId) -> bool {
        let session_id = SessionId::from(session_id);
        let stream =
            self.streams.lock().get(&session_id).and_then(|streams| streams.by_request.get(request_id).cloned());
        let Some(stream) = stream else {
            return false;
        };
        let stored = self.log.store_event(&stream, &ServerSseMessage::retry(self.retry)).await;
        self.log.hang_up(&stream);
        stored.is_ok()
    }

    /// Forgets every session, as a restarted server would: each id now gets 404.
    pub async fn forget_all(&self) -> usize {
        let ids: Vec<SessionId> = self.local.sessions.read().await.keys().cloned().collect();
        for id in &ids {
            let _ = self.close_session(id).await;
        }
        ids.len()
    }

    /// How many sessions are live.
    pub async fn live(&self) -> usize {
        self.local.sessions.read().await.len()
    }

    /// How many times a stream was resumed by `Last-Event-ID`.
    pub fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }
}

impl SessionManager for Sessions {
    type Error = Error;
    type Transport = WorkerTransport<LocalSessionWorker>;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Error> {
        let (id, transport) = self.local.create_session().await?;
        self.streams.lock().entry(id.clone()).or_default().all.insert(standalone_stream(&id));
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Error> {
        self.local.initialize_session(id, message).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Error> {
        self.local.has_session(id).await
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Error> {
        let streams = self.streams.lock().remove(id);
        if let Some(streams) = streams {
            self.log.forget(&streams.all);
        }
        self.local.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Error> {
        let handle = self.local.sessions.read().await.get(id).cloned();
        let handle = handle.ok_or_else(|| Error::SessionNotFound(id.clone()))?;
        let mut receiver = handle.establish_request_wise_channel().await?;
        // The priming event is the first thing on the channel, and its id names the stream. The
        // channel itself is dropped: the connection reads from the log, so that a slow or dead
        // connection never holds up the session.
        let priming = receiver.inner.recv().await.and_then(|event| event.event_id);
        let stream_id = priming
            .as_deref()
            .and_then(position_after)
            .map(|(stream_id, _)| stream_id.to_owned())
            .ok_or(SessionError::InvalidEventId)?;
        if let Some(streams) = self.streams.lock().get_mut(id) {
            streams.all.insert(stream_id.clone());
            if let JsonRpcMessage::Request(request) = &message {
                streams.by_request.insert(request.id.clone(), stream_id.clone());
            }
        }
        handle.push_message(message, receiver.http_request_id).await?;
        Ok(self.log.follow(&stream_id, From::Position(0)))
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Error> {
        let cancelled = match &message {
            JsonRpcMessage::Notification(notification) => match &notification.notification {
                ClientNotification::CancelledNotification(cancelled) => cancelled.params.request_id.clone(),
                _ => None,
            },
            _ => None,
        };
        self.local.accept_message(id, message).await?;
        if let Some(request_id) = cancelled {
            let streams = self.streams.lock();
            if let Some(stream) = streams.get(id).and_then(|streams| streams.by_request.get(&request_id)) {
                self.log.end(stream);
            }
        }
        Ok(())
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Error> {
        Ok(self.log.follow(&standalone_stream(id), From::Untaken))
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Error> {
        if last_event_id == FIRST_STANDALONE_EVENT {
            return Ok(self.log.follow(&standalone_stream(id), From::Untaken));
        }
        let (stream_id, position) = position_after(&last_event_id).ok_or(SessionError::InvalidEventId)?;
        let known = self.streams.lock().get(id).is_some_and(|streams| streams.all.contains(stream_id));
        if !known {
            return Err(SessionError::InvalidEventId.into());
        }
        self.resumed.fetch_add(1, Ordering::Relaxed);
        Ok(self.log.follow(stream_id, From::Position(position)))
    }

    // No `event_store`: rmcp would use it to answer GETs that carry no session.
}
