//! A stream on its way to a client, message by message past an interceptor.
//!
//! What has an id of JSON-RPC is seen: responses, and questions to the client. Progress, log messages and other
//! notifications are not, nor is `ping`. Only what comes first can still change the status and the headers.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodyStream, BoxBody};
use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use futures_util::{StreamExt as _, stream};
use sessiongate_protocol::{Message, RequestId, jsonrpc, sse};
use tokio::time::timeout;

use super::frames::{Frames, data_of, with_data};
use super::{Asked, Behind, change_head, refused};
use crate::http::HttpError;
use crate::intercept::{AsResponse, InterceptError, Interceptor, ResponseVerdict};

/// What is sent before the first message (an event that lets the client come back) waits with the head for this long, so
/// that the message can still change the head. A stream that begins with silence begins without a message, and one that
/// is asked for by itself does not wait at all.
const HEAD: Duration = Duration::from_millis(250);

/// Messages past an interceptor.
struct Events {
    frames: Frames,
    interceptor: Arc<Interceptor>,
    asked: Arc<Asked>,
    behind: Option<Behind>,
    head: Arc<Head>,
    /// The next message to be seen is the first one: it is shown with the head.
    first: bool,
    asking: Option<Asking>,
    over: bool,
}

/// The head of the answer.
struct Head {
    status: StatusCode,
    headers: HeaderMap,
}

/// A message that is to be seen.
struct Seen {
    data: Bytes,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    /// A response to a request of this id.
    Response(Option<RequestId>),
    /// A question, and its id.
    Question(RequestId),
    /// It would reach the client unseen.
    Unreadable,
}

/// An interceptor thinks about a message.
struct Asking {
    frame: Bytes,
    seen: Seen,
    verdict: Verdict,
}

type Verdict = Pin<Box<dyn Future<Output = Result<ResponseVerdict, InterceptError>>>>;

pub(super) async fn respond(
    interceptor: Arc<Interceptor>,
    asked: Asked,
    mut response: HttpResponse,
) -> Result<HttpResponse, HttpError> {
    let behind = response.extensions_mut().remove::<Behind>();
    let (mut head, body) = response.into_parts();
    let mut events = Events {
        frames: Frames::of(body),
        interceptor,
        asked: Arc::new(asked),
        behind,
        head: Arc::new(Head::of(&head)),
        first: true,
        asking: None,
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
        begun.push(match seen(&frame) {
            None => frame,
            Some(seen) => {
                let verdict = match events.look(&seen).await {
                    Ok(verdict) => verdict,
                    Err(error) => {
                        events.withdraw(&seen.what).await;
                        return Err(refused(error, events.asked.id.as_ref()));
                    }
                };
                change_head(&mut head, &verdict);
                events.head = Arc::new(Head::of(&head));
                events.passed(&frame, &seen, verdict).await
            }
        });
    }
    let rest = stream::unfold(events, |mut events| async move {
        let frame = events.next().await?;
        Some((frame, events))
    });
    let all = stream::iter(begun).chain(rest).map(Ok::<Bytes, Infallible>);
    Ok(head.set_body(BoxBody::new(BodyStream::new(Box::pin(all)))))
}

// === impl Head ===

impl Head {
    fn of(head: &HttpResponse<()>) -> Self {
        Self { status: head.status(), headers: head.headers().clone() }
    }
}

// === impl Events ===

impl Events {
    /// What comes next. Nothing is lost where the future is dropped.
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        if self.asking.is_none() {
            let frame = self.frames.next().await?;
            let Some(seen) = seen(&frame) else { return Some(frame) };
            let verdict = self.look(&seen);
            self.asking = Some(Asking { frame, seen, verdict });
        }
        let asking = self.asking.as_mut()?;
        let Ok(verdict) = timeout(self.asked.keep_alive, &mut asking.verdict).await else {
            return Some(sse::KEEP_ALIVE);
        };
        let Asking { frame, seen, .. } = self.asking.take()?;
        Some(match verdict {
            Ok(verdict) => {
                self.interceptor.note_late_head(&verdict, self.head.status, &self.head.headers);
                self.passed(&frame, &seen, verdict).await
            }
            Err(error) => self.refuse(&frame, seen, &error).await,
        })
    }

    fn look(&mut self, seen: &Seen) -> Verdict {
        let head = std::mem::take(&mut self.first).then(|| self.head.clone());
        let (interceptor, asked, data) = (self.interceptor.clone(), self.asked.clone(), seen.data.clone());
        Box::pin(async move {
            let head = head.as_deref().map(|head| (head.status, &head.headers));
            let shown = AsResponse { head, body: &data, streaming: true };
            interceptor.response(asked.shown(), shown, &data).await
        })
    }

    /// A message as it goes on.
    async fn passed(&self, frame: &Bytes, seen: &Seen, verdict: ResponseVerdict) -> Bytes {
        let Some(body) = verdict.body else { return frame.clone() };
        if let Some(behind) = &self.behind {
            behind.answer_replaced(&seen.data, &body).await;
        }
        with_data(frame, &body)
    }

    /// What waits for the client to get a message waits in vain.
    async fn withdraw(&self, what: &What) {
        let Some(behind) = &self.behind else { return };
        match what {
            What::Response(_) => behind.answer_refused().await,
            What::Question(id) => behind.question_refused(Some(id)).await,
            What::Unreadable => behind.question_refused(None).await,
        }
    }

    /// What the client gets instead of a message that the interceptor did not pass.
    async fn refuse(&mut self, frame: &Bytes, seen: Seen, error: &InterceptError) -> Bytes {
        self.withdraw(&seen.what).await;
        let data = serde_json::json!({"reason": error.code()});
        let body = jsonrpc::error_body(error.rpc_code(), &error.to_string(), Some(&data));
        match (seen.what, &self.asked.id) {
            (What::Response(Some(id)), _) => with_data(frame, &jsonrpc::response(Some(&id), &body)),
            // Nobody will answer the question, so that nobody can wait for what comes after it.
            (_, Some(id)) => {
                self.over = true;
                sse::bare_message(&jsonrpc::response(Some(id), &body))
            }
            // A stream that belongs to no request.
            (_, None) => sse::KEEP_ALIVE,
        }
    }
}

fn seen(frame: &Bytes) -> Option<Seen> {
    let data = data_of(frame)?;
    let what = match Message::parse(&data) {
        Ok(Message::Response(response)) => What::Response(response.id),
        Ok(Message::Request(request)) if &*request.method != "ping" => What::Question(request.id),
        Ok(_) => return None,
        Err(_) => What::Unreadable,
    };
    Some(Seen { data, what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_and_questions_are_seen() {
        let frame = |data: &str| Bytes::from(format!("id: 1-1\nevent: message\ndata: {data}\n\n"));
        let seen = |data: &str| seen(&frame(data)).map(|seen| seen.what);
        let one = RequestId::integer(1);
        assert_eq!(seen(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), Some(What::Response(Some(one.clone()))));
        let question = r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{}}"#;
        assert_eq!(seen(question), Some(What::Question(one)));
        assert_eq!(seen(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), None);
        assert_eq!(seen(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#), None);
        assert_eq!(seen(""), None);
        assert_eq!(seen("not json"), Some(What::Unreadable), "what cannot be read is not passed over");
        assert!(data_of(&Bytes::from_static(b": data: x\n\n")).is_none());
    }
}
