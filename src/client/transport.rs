//! The HTTP side of the SDK's client, taught to keep a session beyond the process.
//!
//! The SDK always begins with `initialize` and always ends with DELETE. To go on with a stored session, this wrapper
//! answers the first `initialize` itself with what the endpoint said when the session was new, and passes over the
//! notification that follows; to keep a session it leaves out the DELETE. Everything else, and a new `initialize` after
//! the endpoint forgot the session, goes through as it is.

use std::{collections::HashMap, sync::Arc};

use futures_util::StreamExt;
use parking_lot::Mutex;
use reqwest::header::{HeaderName, HeaderValue};
use rmcp::{
    model::{
        ClientJsonRpcMessage, ClientNotification, ClientRequest, InitializeResult, JsonRpcMessage,
        ServerJsonRpcMessage, ServerResult,
    },
    transport::{
        common::client_side_sse::BoxedSseResponse,
        streamable_http_client::{StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse},
    },
};

use super::session_file::StoredSession;

type Headers = HashMap<HeaderName, HeaderValue>;
type Failure = StreamableHttpError<reqwest::Error>;

/// An HTTP client that can go on with a session. Clones share the session.
#[derive(Clone)]
pub struct SessionClient {
    http: reqwest::Client,
    session: Arc<Mutex<Session>>,
    keep: bool,
}

#[derive(Default)]
struct Session {
    resume: Option<StoredSession>,
    pass_over_initialized: bool,
    id: Option<String>,
    initialize: Option<InitializeResult>,
}

// === impl SessionClient ===

impl SessionClient {
    /// Wraps a client; with `keep` the session is left open at the end, and `resume` is gone on with.
    pub fn new(http: reqwest::Client, keep: bool, resume: Option<StoredSession>) -> Self {
        let session = Session { resume, ..Session::default() };
        Self { http, session: Arc::new(Mutex::new(session)), keep }
    }

    /// The session as it is now, to be stored; `None` with an endpoint that gives no session ids.
    pub fn current(&self, url: &url::Url) -> Option<StoredSession> {
        let session = self.session.lock();
        Some(StoredSession {
            url: url.to_string(),
            session_id: session.id.clone()?,
            initialize: session.initialize.clone()?,
        })
    }

    /// The answer to a message that needs no network.
    fn answer(&self, message: &ClientJsonRpcMessage) -> Option<StreamableHttpPostResponse> {
        let mut session = self.session.lock();
        match message {
            JsonRpcMessage::Request(request) if matches!(request.request, ClientRequest::InitializeRequest(_)) => {
                let stored = session.resume.take()?;
                session.pass_over_initialized = true;
                session.id = Some(stored.session_id.clone());
                session.initialize = Some(stored.initialize.clone());
                let result = ServerResult::InitializeResult(stored.initialize);
                let answer = ServerJsonRpcMessage::response(result, request.id.clone());
                Some(StreamableHttpPostResponse::Json(answer, Some(stored.session_id)))
            }
            JsonRpcMessage::Notification(notification)
                if matches!(notification.notification, ClientNotification::InitializedNotification(_)) =>
            {
                std::mem::take(&mut session.pass_over_initialized).then_some(StreamableHttpPostResponse::Accepted)
            }
            _ => None,
        }
    }

    /// Remembers the session that an answer to `initialize` opens.
    fn remember(&self, answer: StreamableHttpPostResponse) -> StreamableHttpPostResponse {
        match answer {
            StreamableHttpPostResponse::Json(message, id) => {
                self.session.lock().id.clone_from(&id);
                self.remember_result(&message);
                StreamableHttpPostResponse::Json(message, id)
            }
            StreamableHttpPostResponse::Sse(stream, id) => {
                self.session.lock().id.clone_from(&id);
                let session = self.clone();
                let stream = stream.inspect(move |event| {
                    let data = event.as_ref().ok().and_then(|event| event.data.as_deref());
                    if let Some(message) = data.and_then(|data| serde_json::from_str(data).ok()) {
                        session.remember_result(&message);
                    }
                });
                StreamableHttpPostResponse::Sse(stream.boxed(), id)
            }
            other => other,
        }
    }

    fn remember_result(&self, message: &ServerJsonRpcMessage) {
        if let JsonRpcMessage::Response(response) = message
            && let ServerResult::InitializeResult(result) = &response.result
        {
            self.session.lock().initialize = Some(result.clone());
        }
    }
}

impl StreamableHttpClient for SessionClient {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        self.http.post_message(uri, message, session_id, auth_header, custom_headers).await
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
        max_sse_event_size: usize,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        if let Some(answer) = self.answer(&message) {
            return Ok(answer);
        }
        let opens_session = matches!(
            &message,
            JsonRpcMessage::Request(request) if matches!(request.request, ClientRequest::InitializeRequest(_))
        );
        let answer = self
            .http
            .post_message_with_max_sse_event_size(
                uri,
                message,
                session_id,
                auth_header,
                custom_headers,
                max_sse_event_size,
            )
            .await?;
        Ok(if opens_session { self.remember(answer) } else { answer })
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<(), Failure> {
        if self.keep {
            return Ok(());
        }
        self.http.delete_session(uri, session_id, auth_header, custom_headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<BoxedSseResponse, Failure> {
        self.http.get_stream(uri, session_id, last_event_id, auth_header, custom_headers).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
        max_sse_event_size: usize,
    ) -> Result<BoxedSseResponse, Failure> {
        self.http
            .get_stream_with_max_sse_event_size(
                uri,
                session_id,
                last_event_id,
                auth_header,
                custom_headers,
                max_sse_event_size,
            )
            .await
    }
}
