//! A stream on its way to a client, message by message past an interceptor.
//!
//! What has an id of JSON-RPC is seen: responses, and questions to the client. Progress, log messages and other
//! notifications are not, nor is `ping`. Only what comes first can still change the status and the headers.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodyStream, BoxBody, MessageBody};
use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use sessiongate_protocol::{Message, RequestId, codes, jsonrpc, sse};
use tokio::time::timeout;

use super::{Asked, change_head, refused};
use crate::http::HttpError;
use crate::intercept::{AsResponse, InterceptError, Interceptor, ResponseVerdict};

/// What is sent before the first message (an event that lets the client come back) waits with the head for this long, so
/// that the message can still change the head. A stream that begins with silence begins without a message, and one that
/// is asked for by itself does not wait at all.
const HEAD: Duration = Duration::from_millis(250);

/// Frames of a body.
struct Frames {
    body: BoxBody,
    rest: BytesMut,
}

/// Messages past an interceptor.
struct Events {
    frames: Frames,
    interceptor: Arc<Interceptor>,
    asked: Asked,
    status: StatusCode,
    headers: HeaderMap,
    over: bool,
}

/// A message that is to be seen.
struct Seen {
    data: Bytes,
    /// Of the response; none where it is a question.
    answers: Option<RequestId>,
}

pub(super) async fn respond(
    interceptor: Arc<Interceptor>,
    asked: Asked,
    response: HttpResponse,
) -> Result<HttpResponse, HttpError> {
    let (mut head, body) = response.into_parts();
    let mut events = Events {
        frames: Frames { body, rest: BytesMut::new() },
        interceptor,
        asked,
        status: head.status(),
        headers: head.headers().clone(),
        over: false,
    };
    let mut begun = Vec::new();
    let patience = if events.asked.method == Method::POST { HEAD } else { Duration::ZERO };
    let first = timeout(patience, async {
        loop {
            let frame = events.frames.next().await?;
            match data_of(&frame) {
                Some(_) => return Some(frame),
                None => begun.push(frame),
            }
        }
    });
    if let Ok(Some(frame)) = first.await {
        let frame = match seen(&frame) {
            None => frame,
            Some(seen) => {
                let verdict = events.look(&seen).await;
                let verdict = verdict.map_err(|error| refused(error, events.asked.id.as_ref()))?;
                change_head(&mut head, &verdict);
                events.status = head.status();
                events.headers = head.headers().clone();
                verdict.body.map_or_else(|| frame.clone(), |body| with_data(&frame, &body))
            }
        };
        begun.push(frame);
    }
    let rest = stream::unfold(events, |mut events| async move {
        let frame = events.next().await?;
        Some((frame, events))
    });
    let all = stream::iter(begun).chain(rest).map(Ok::<Bytes, Infallible>);
    Ok(head.set_body(BoxBody::new(BodyStream::new(Box::pin(all)))))
}

// === impl Events ===

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        let frame = self.frames.next().await?;
        let Some(seen) = seen(&frame) else { return Some(frame) };
        Some(match self.look(&seen).await {
            Ok(verdict) => verdict.body.map_or_else(|| frame.clone(), |body| with_data(&frame, &body)),
            Err(error) => self.refuse(&frame, seen, &error),
        })
    }

    async fn look(&self, seen: &Seen) -> Result<ResponseVerdict, InterceptError> {
        let shown = AsResponse { status: self.status, headers: &self.headers, body: &seen.data, streaming: true };
        self.interceptor.response(self.asked.shown(), shown, &seen.data).await
    }

    /// What the client gets instead of a message that the interceptor did not pass.
    fn refuse(&mut self, frame: &Bytes, seen: Seen, error: &InterceptError) -> Bytes {
        let data = serde_json::json!({"reason": error.code()});
        let body = jsonrpc::error_body(codes::INTERNAL_ERROR, &error.to_string(), Some(&data));
        match (seen.answers, &self.asked.id) {
            (Some(id), _) => with_data(frame, &jsonrpc::response(Some(&id), &body)),
            // Nobody will answer the question, so that nobody can wait for what comes after it.
            (None, Some(id)) => {
                self.over = true;
                sse::bare_message(&jsonrpc::response(Some(id), &body))
            }
            // A stream that belongs to no request: without the event, and so without its id, it can be read again from there.
            (None, None) => sse::KEEP_ALIVE,
        }
    }
}

// === impl Frames ===

impl Frames {
    /// The next frame with the blank line that ends it; what is left at the end of the body comes last. A body that breaks
    /// ends. Nothing is lost where the future is dropped.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(end) = end_of(&self.rest) {
                return Some(self.rest.split_to(end).freeze());
            }
            match poll_fn(|context| Pin::new(&mut self.body).poll_next(context)).await {
                // Nearly always a frame comes by itself.
                Some(Ok(bytes)) if self.rest.is_empty() && end_of(&bytes) == Some(bytes.len()) => return Some(bytes),
                Some(Ok(bytes)) => self.rest.extend_from_slice(&bytes),
                Some(Err(_)) | None if self.rest.is_empty() => return None,
                Some(Err(_)) | None => return Some(self.rest.split().freeze()),
            }
        }
    }
}

fn end_of(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|two| two == b"\n\n").map(|at| at + 2)
}

/// What an event says; none for comments, and for events without data. The gateway writes all of it into one line.
fn data_of(frame: &Bytes) -> Option<Bytes> {
    let mut at = 0;
    for line in frame.split_inclusive(|byte| *byte == b'\n') {
        if let Some(data) = line.strip_prefix(b"data: ") {
            let start = at + line.len() - data.len();
            let data = frame.slice(start..at + line.len()).slice(..data.len() - usize::from(data.ends_with(b"\n")));
            return (!data.is_empty()).then_some(data);
        }
        at += line.len();
    }
    None
}

fn seen(frame: &Bytes) -> Option<Seen> {
    let data = data_of(frame)?;
    match Message::parse(&data) {
        Ok(Message::Response(response)) => Some(Seen { data, answers: response.id }),
        Ok(Message::Request(request)) if &*request.method != "ping" => Some(Seen { data, answers: None }),
        Ok(_) => None,
        // It would reach the client unseen.
        Err(_) => Some(Seen { data, answers: None }),
    }
}

/// The event with other data, in one line: line breaks of JSON stand between tokens only.
fn with_data(frame: &Bytes, body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(frame.len() + body.len());
    for line in frame.split_inclusive(|byte| *byte == b'\n') {
        if !line.starts_with(b"data:") {
            out.extend_from_slice(line);
            continue;
        }
        out.extend_from_slice(b"data: ");
        out.extend(body.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
        out.push(b'\n');
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn frames(chunks: &[&'static str]) -> Vec<Bytes> {
        let chunks: Vec<_> =
            chunks.iter().map(|chunk| Ok::<_, Infallible>(Bytes::from_static(chunk.as_bytes()))).collect();
        let mut frames = Frames { body: BoxBody::new(BodyStream::new(stream::iter(chunks))), rest: BytesMut::new() };
        let mut all = Vec::new();
        while let Some(frame) = frames.next().await {
            all.push(frame);
        }
        all
    }

    #[actix_web::test]
    async fn a_body_is_cut_between_events_wherever_its_pieces_end() {
        let whole = "id: 1-1\nevent: message\ndata: {}\n\n: keep-alive\n\nid: 1-2\ndata: \n\n";
        let expected =
            frames(&["id: 1-1\nevent: message\ndata: {}\n\n", ": keep-alive\n\n", "id: 1-2\ndata: \n\n"]).await;
        assert_eq!(expected.len(), 3);
        for at in 1..whole.len() {
            assert_eq!(frames(&[&whole[..at], &whole[at..]]).await, expected, "{at}");
        }
        assert_eq!(frames(&["data: {}\n\ndata: cut"]).await[1], "data: cut");
    }

    #[test]
    fn responses_and_questions_are_seen() {
        let frame = |data: &str| Bytes::from(format!("id: 1-1\nevent: message\ndata: {data}\n\n"));
        let seen = |data: &str| seen(&frame(data)).map(|seen| seen.answers);
        let one = RequestId::integer(1);
        assert_eq!(seen(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), Some(Some(one)));
        assert_eq!(seen(r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{}}"#), Some(None));
        assert_eq!(seen(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), None);
        assert_eq!(seen(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#), None);
        assert_eq!(seen(""), None);
        assert_eq!(seen("not json"), Some(None), "what cannot be read is not passed over");
        assert!(data_of(&Bytes::from_static(b": data: x\n\n")).is_none());
    }

    #[test]
    fn an_event_keeps_its_id_and_stays_one_line() {
        let frame = Bytes::from_static(b"id: 1-1\nevent: message\ndata: {}\n\n");
        assert_eq!(with_data(&frame, b"{\n\"a\":1}"), "id: 1-1\nevent: message\ndata: { \"a\":1}\n\n");
        assert_eq!(data_of(&with_data(&frame, b"[]")).unwrap(), "[]");
    }
}
