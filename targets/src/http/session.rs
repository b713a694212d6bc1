//! A downstream session over streamable HTTP: what `call`, `resume` and the standing stream share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::Response as Answer;
use sessiongate_protocol::{Message, ParseError, RequestId, Response, Revision};

use super::body;
use super::cursor::Cursor;
use super::endpoint::{BodyKind, Endpoint, PROTOCOL_VERSION, SESSION_ID, body_kind, refusal};
use super::events::{Event, Events, StreamEnd};
use crate::error::TargetError;
use crate::link::{CallReply, LinkEvent, LinkSink, Origin};
use crate::passed::Passed;

/// A stream is given up after so many connections in a row that brought nothing.
const MAX_FAILURES: u32 = 8;

/// One downstream session. Holds no task.
pub(crate) struct Session {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) id: Option<Box<str>>,
    pub(crate) revision: Option<Revision>,
    pub(crate) sink: Arc<dyn LinkSink>,
    pub(crate) closed: AtomicBool,
    target: Arc<str>,
    post_headers: HeaderMap,
    stream_headers: HeaderMap,
}

// === impl Session ===

impl Session {
    /// Builds the headers once. `revision` is none while `initialize` runs.
    ///
    /// # Errors
    /// [`TargetError::Protocol`] where the session id is not visible ASCII.
    pub(crate) fn new(
        endpoint: Arc<Endpoint>,
        id: Option<&str>,
        revision: Option<Revision>,
        sink: Arc<dyn LinkSink>,
    ) -> Result<Self, TargetError> {
        let mut post_headers = endpoint.post_headers();
        let mut stream_headers = endpoint.stream_headers();
        if let Some(id) = id {
            if id.is_empty() || id.len() > 4096 || !id.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
                return Err(TargetError::Protocol { detail: "its session id is not visible ASCII".into() });
            }
            let mut value = HeaderValue::from_str(id)
                .map_err(|_| TargetError::Protocol { detail: "its session id is not a header value".into() })?;
            value.set_sensitive(true);
            post_headers.insert(SESSION_ID.clone(), value.clone());
            stream_headers.insert(SESSION_ID.clone(), value);
        }
        if let Some(revision) = revision.filter(|revision| revision.has_version_header()) {
            let value = HeaderValue::from_static(revision.as_str());
            post_headers.insert(PROTOCOL_VERSION.clone(), value.clone());
            stream_headers.insert(PROTOCOL_VERSION.clone(), value);
        }
        Ok(Self {
            target: endpoint.name.as_ref().into(),
            endpoint,
            id: id.map(Into::into),
            revision,
            sink,
            closed: AtomicBool::new(false),
            post_headers,
            stream_headers,
        })
    }

    /// Fails where the gateway has closed the link.
    pub(crate) fn check_open(&self) -> Result<(), TargetError> {
        if self.closed.load(Ordering::Acquire) { Err(TargetError::Closed) } else { Ok(()) }
    }

    /// Sends one message as its own POST.
    pub(crate) async fn send(&self, body: Bytes, passed: Option<&Passed>) -> Result<Answer, TargetError> {
        self.endpoint.post(&self.endpoint.url, self.post_headers.clone(), body, passed).await
    }

    /// Sends a message that is no request.
    pub(crate) async fn post(&self, body: Bytes, passed: Option<&Passed>) -> Result<(), TargetError> {
        let answer = self.send(body, passed).await?;
        if answer.status().is_success() {
            body::discard(answer);
            return Ok(());
        }
        Err(self.refused(answer).await.0)
    }

    /// Reads the response to the request `id` from the answer to its POST. What passed with that passes again where the
    /// stream has to be taken up.
    pub(crate) async fn answer(
        &self,
        answer: Answer,
        id: i64,
        passed: Option<&Passed>,
    ) -> Result<CallReply, TargetError> {
        let status = answer.status();
        if !status.is_success() {
            let (error, body) = self.refused(answer).await;
            if matches!(error, TargetError::Status { .. })
                && let Ok(Message::Response(response)) = Message::parse(&body)
                && answers(&response, id)
            {
                return Ok(CallReply { response, event_id: None });
            }
            return Err(error);
        }
        if status == StatusCode::ACCEPTED {
            body::discard(answer);
            return Err(TargetError::Protocol { detail: "a request was answered with 202".into() });
        }
        match body_kind(&answer) {
            BodyKind::Json => self.json(answer, id).await,
            BodyKind::EventStream => {
                let mut cursor = Cursor::new(None);
                let events = self.events(answer);
                self.follow(events, &mut cursor, id, passed).await
            }
            BodyKind::Other => Err(TargetError::Protocol {
                detail: "its answer is neither `application/json` nor `text/event-stream`".into(),
            }),
        }
    }

    /// Goes on with a call after an event that was seen earlier.
    pub(crate) async fn resume(&self, last_event_id: &str, id: i64) -> Result<CallReply, TargetError> {
        let mut cursor = Cursor::new(Some(last_event_id));
        let events = match self.reopen(&cursor, None).await? {
            Ok(events) => events,
            Err(_) => {
                cursor.fail();
                self.reconnect(&mut cursor, None).await?
            }
        };
        self.follow(events, &mut cursor, id, None).await
    }

    /// Opens a stream by GET.
    pub(crate) async fn get(&self, cursor: &Cursor, passed: Option<&Passed>) -> Result<Answer, TargetError> {
        self.endpoint.get(self.stream_headers.clone(), cursor.last_id(), passed).await
    }

    /// Ends the session at the target.
    pub(crate) async fn delete(&self) -> Result<StatusCode, TargetError> {
        self.endpoint.delete(self.stream_headers.clone()).await
    }

    /// The events of an answer.
    pub(crate) fn events(&self, answer: Answer) -> Events {
        let limits = &self.endpoint.limits;
        Events::of(answer, limits.message_bytes, limits.idle, Arc::clone(&self.target))
    }

    /// What a refusal means on this session, and its body.
    pub(crate) async fn refused(&self, answer: Answer) -> (TargetError, Bytes) {
        if answer.status() == StatusCode::NOT_FOUND && self.id.is_some() {
            body::discard(answer);
            return (TargetError::SessionGone, Bytes::new());
        }
        refusal(answer).await
    }

    async fn json(&self, answer: Answer, id: i64) -> Result<CallReply, TargetError> {
        let body = body::read(answer, self.endpoint.limits.message_bytes).await?;
        let messages = match Message::parse(&body) {
            Ok(Message::Response(response)) if answers(&response, id) => {
                return Ok(CallReply { response, event_id: None });
            }
            // The body answers this POST: an error without id can mean no other request.
            Ok(Message::Response(Response { id: None, body })) => {
                let response = Response { id: Some(RequestId::integer(id)), body };
                return Ok(CallReply { response, event_id: None });
            }
            Ok(other) => vec![other],
            Err(ParseError::Batch) => Message::parse_batch(&body).map_err(not_mcp)?,
            Err(error) => return Err(not_mcp(error)),
        };
        let reply = self.dispatch(messages, id, None).await?;
        reply.ok_or_else(|| TargetError::Protocol { detail: "its answer has no response to the request".into() })
    }

    /// Reads events until the response to `id` comes, and takes the stream up again where it breaks.
    async fn follow(
        &self,
        mut events: Events,
        cursor: &mut Cursor,
        id: i64,
        passed: Option<&Passed>,
    ) -> Result<CallReply, TargetError> {
        loop {
            // Some servers begin with the very event that was named in `Last-Event-ID`: it was delivered. Only the
            // first event can be that one; a server that gives one id to many events must not lose its response.
            let mut named: Option<Box<str>> = cursor.last_id().map(Into::into);
            let broken = loop {
                match events.next().await {
                    Ok(event) => {
                        let named = named.take();
                        let again = named.is_some() && event.id == named;
                        cursor.see(&event);
                        if again {
                            continue;
                        }
                        let Some(messages) = messages(&event)? else {
                            if let Some(event_id) = event.id {
                                self.report(LinkEvent::Position { call: id, event_id, interrupted: false }).await?;
                            }
                            continue;
                        };
                        if let Some(reply) = self.dispatch(messages, id, event.id.as_deref()).await? {
                            events.discard();
                            return Ok(reply);
                        }
                    }
                    Err(StreamEnd::Broken(detail)) => break detail,
                    Err(StreamEnd::Fatal(error)) => return Err(error),
                }
            };
            drop(events);
            let Some(event_id) = cursor.last_id() else {
                return Err(TargetError::OutcomeUnknown { detail: broken });
            };
            self.report(LinkEvent::Position { call: id, event_id: event_id.into(), interrupted: true }).await?;
            tracing::debug!(target_name = %self.target, call = id, reason = %broken, "stream broke, resuming");
            if cursor.fail() > MAX_FAILURES {
                return Err(TargetError::OutcomeUnknown {
                    detail: format!("given up after {MAX_FAILURES} streams: {broken}"),
                });
            }
            events = self.reconnect(cursor, passed).await?;
        }
    }

    /// Waits and opens the stream again, until it works or is certainly lost.
    async fn reconnect(&self, cursor: &mut Cursor, passed: Option<&Passed>) -> Result<Events, TargetError> {
        loop {
            tokio::time::sleep(cursor.delay()).await;
            match self.reopen(cursor, passed).await? {
                Ok(events) => return Ok(events),
                Err(detail) if cursor.fail() > MAX_FAILURES => return Err(TargetError::OutcomeUnknown { detail }),
                Err(detail) => tracing::debug!(target_name = %self.target, %detail, "cannot resume yet"),
            }
        }
    }

    /// One attempt: the stream, or why it may work later, or (outer error) why it never will.
    async fn reopen(&self, cursor: &Cursor, passed: Option<&Passed>) -> Result<Result<Events, String>, TargetError> {
        let answer = match self.get(cursor, passed).await {
            Ok(answer) => answer,
            Err(error @ TargetError::AddressRefused { .. }) => return Err(unknown(&error)),
            Err(error) => return Ok(Err(format!("{error:?}"))),
        };
        let status = answer.status();
        if status.is_success() && body_kind(&answer) == BodyKind::EventStream {
            return Ok(Ok(self.events(answer)));
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            body::discard(answer);
            return Ok(Err(format!("GET was answered with {status}")));
        }
        Err(TargetError::OutcomeUnknown {
            detail: format!("the stream cannot be resumed: GET was answered with {status}"),
        })
    }

    /// Delivers requests and notifications in order and picks out the response to `id`.
    async fn dispatch(
        &self,
        messages: Vec<Message>,
        id: i64,
        event_id: Option<&str>,
    ) -> Result<Option<CallReply>, TargetError> {
        let mut reply = None;
        for message in messages {
            match message {
                Message::Response(response) if reply.is_none() && answers(&response, id) => {
                    reply = Some(CallReply { response, event_id: event_id.map(Into::into) });
                }
                message => self.deliver(message, Origin::Call(id), event_id).await?,
            }
        }
        Ok(reply)
    }

    /// Hands one message to the owner; responses to nothing are dropped.
    pub(crate) async fn deliver(
        &self,
        message: Message,
        origin: Origin,
        event_id: Option<&str>,
    ) -> Result<(), TargetError> {
        if let Message::Response(response) = &message {
            tracing::debug!(target_name = %self.target, id = ?response.id, "response to nothing dropped");
            return Ok(());
        }
        let event = LinkEvent::Message { origin, message, event_id: event_id.map(Into::into) };
        self.report(event).await
    }

    async fn report(&self, event: LinkEvent) -> Result<(), TargetError> {
        self.sink.deliver(event).await.map_err(|_| TargetError::Closed)
    }
}

/// The messages of an event; none where it carries none (priming, other kinds).
pub(crate) fn messages(event: &Event) -> Result<Option<Vec<Message>>, TargetError> {
    if event.kind.is_some() || event.data.is_empty() {
        return Ok(None);
    }
    Message::parse_batch(&event.data).map(Some).map_err(not_mcp)
}

pub(crate) fn not_mcp(error: ParseError) -> TargetError {
    TargetError::Protocol { detail: error.to_string() }
}

fn answers(response: &Response, id: i64) -> bool {
    response.id.as_ref().and_then(RequestId::as_i64) == Some(id)
}

fn unknown(error: &TargetError) -> TargetError {
    TargetError::OutcomeUnknown { detail: format!("{error:?}") }
}
