//! `subscriptions/listen`: a stream of the changes that a client asked for.
//!
//! Each has a session of its own, which hears for it what the targets of any era tell, and which ends with it. What such a
//! session writes on its standing stream is looked through and tagged; all other rules of streams (a slow reader, comments
//! on a quiet one) are those of sessions.

mod filter;
mod tasks;
mod watch;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use futures_util::stream;
use sessiongate_actors::directory::{NewSession, SessionDirectory};
use sessiongate_actors::session::core::EndReason;
use sessiongate_actors::session::{Attachment, SessionHandle};
use sessiongate_protocol::modern::envelope::SUBSCRIPTION_ID;
use sessiongate_protocol::modern::results;
use sessiongate_protocol::{
    Message, Notification, RawJson, Request, ResponseBody, Revision, codes, jsonrpc, meta, sse,
};
use sessiongate_storage::SessionKey;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::context::Context;
use super::reply::Reply;
use crate::gateway::Place;
use crate::http::HttpError;
use crate::http::caller::{Caller, Session};
use crate::http::stream::{Reader, StreamTiming, event_stream};
use filter::Filter;
use tasks::Watched;
use watch::Telling;

/// Resources that may wait to be told as changed.
const LATE: usize = 256;
/// News of tasks on their way to the client; a target whose client reads slowly waits.
const NEWS: usize = 16;
const UPDATED: &str = "notifications/resources/updated";

/// One open stream.
struct Listener {
    context: Context,
    filter: Arc<Filter>,
    reader: Reader,
    /// Resources that were not watched at once.
    late: mpsc::Receiver<Box<str>>,
    /// `params` of what targets tell of their tasks.
    news: mpsc::Receiver<RawJson>,
    /// Ends when all targets were asked once.
    asking: mpsc::Receiver<Infallible>,
    acknowledged: Arc<AtomicBool>,
    /// When the client last heard anything.
    said: Instant,
    phase: Phase,
    held: Held,
}

/// The longest that a client waits for its targets.
const ASKING: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The acknowledgement comes first.
    Begins,
    Tells,
    /// The result was written.
    Over,
}

/// What goes when the stream goes, however it does.
struct Held {
    session: Option<(Arc<SessionDirectory>, SessionKey)>,
    watch: Option<JoinHandle<()>>,
    /// Held for its drop.
    _place: Place,
}

/// Opens the stream.
pub async fn serve(caller: &Caller<'_>, request: &Request, context: Context) -> Result<HttpResponse, HttpError> {
    if !caller.gateway.streaming {
        let message = "subscriptions/listen is not offered here: this gateway does not stream";
        return Ok(Reply::error(404, &context.id, codes::METHOD_NOT_FOUND, message, None).into_response());
    }
    if !caller.accepts.streams {
        return Err(HttpError::NotAcceptable("`text/event-stream`"));
    }
    let filter = match Filter::of(request.params.as_ref()) {
        Ok(filter) => filter,
        Err(message) => return Ok(context.invalid(&message, "invalid_filter").into_response()),
    };
    let wants_tasks = !filter.tasks().is_empty() && super::tasks::offered(&caller.gateway.gateway);
    if let Some(reply) = wants_tasks.then(|| super::tasks::undeclared(&context)).flatten() {
        return Ok(reply.into_response());
    }
    let watched = tasks::watched(caller, &context, filter.tasks());
    let refused = |error| HttpError::session(error, Some(&context.id));
    let gateway = &caller.gateway.gateway;
    let place = caller.runtime.listens().enter(&gateway.name, &caller.principal).map_err(refused)?;
    let filter = Arc::new(filter.honoured(&gateway.catalogue(), watched.iter().flat_map(Watched::tokens).collect()));
    let directory = caller.runtime.directory();
    let session =
        directory.transient(gateway, &caller.principal, new_session(caller, &context)).await.map_err(refused)?;
    // From here on it ends on every path.
    let held = Held { session: Some((directory.clone(), session.key())), watch: None, _place: place };
    let attachment = session.attach(None).await.map_err(refused)?;
    let listener = Listener::new(caller, context, filter, watched, held, session, attachment);
    let body = stream::unfold(listener, |mut listener| async move {
        let said = listener.next().await?;
        Some((Ok::<Bytes, Infallible>(said), listener))
    });
    Ok(event_stream(body))
}

/// Nobody is asked anything over it.
fn new_session(caller: &Caller<'_>, context: &Context) -> NewSession {
    NewSession {
        revision: Revision::LATEST_LEGACY,
        capabilities: RawJson::EMPTY_OBJECT,
        client_info: context.client_info(),
        max_name_length: None,
        via: caller.via.as_deref().map(Into::into),
    }
}

// === impl Listener ===

impl Listener {
    fn new(
        caller: &Caller<'_>,
        context: Context,
        filter: Arc<Filter>,
        watched: Vec<Watched>,
        mut held: Held,
        session: Arc<SessionHandle>,
        attachment: Attachment,
    ) -> Self {
        let served = context.served.clone();
        // It goes on for as long as it may, which is as long as the client's credential: nobody could come back to it.
        let timing = StreamTiming { close_after: None, until: caller.until, ..served.timing };
        let mut reader = Reader::new(&served, Session::of(session.clone()), attachment, timing);
        reader.returns = true;
        reader.check(&served, caller.entry());
        let (sender, late) = mpsc::channel(LATE);
        let (told, news) = mpsc::channel(NEWS);
        let (asked, asking) = mpsc::channel(1);
        let acknowledged = Arc::new(AtomicBool::new(false));
        let passed = caller.passed.clone();
        let telling = Telling { late: sender, acknowledged: acknowledged.clone(), asked, passed };
        let asks = watch::ask(served, session, filter.clone(), telling);
        held.watch = Some(actix_rt::spawn(async move {
            futures_util::future::join(asks, tasks::tell(watched, told)).await;
        }));
        let said = Instant::now();
        Self { context, filter, reader, late, news, asking, acknowledged, said, phase: Phase::Begins, held }
    }

    /// What comes next; none after the result.
    async fn next(&mut self) -> Option<Bytes> {
        let said = match self.phase {
            Phase::Begins => {
                // Most targets answer at once: what changes right after the acknowledgement is heard.
                let _ = tokio::time::timeout(ASKING, self.asking.recv()).await;
                self.acknowledged.store(true, Ordering::Relaxed);
                self.phase = Phase::Tells;
                self.acknowledgement()
            }
            Phase::Tells => match self.told().await {
                Some(said) => said,
                None => {
                    self.phase = Phase::Over;
                    self.result()
                }
            },
            Phase::Over => {
                // The connection is kept until then, so that a shutdown waits for it.
                self.held.end().await;
                return None;
            }
        };
        self.said = Instant::now();
        Some(said)
    }

    /// The next message for the client, or a comment; none when the session ended.
    async fn told(&mut self) -> Option<Bytes> {
        loop {
            let frame = tokio::select! {
                frame = self.reader.next() => frame?,
                Some(uri) = self.late.recv() => {
                    let params = RawJson::from_serialize(&serde_json::json!({"uri": uri})).ok()?;
                    return Some(self.tagged(UPDATED, &params));
                }
                Some(params) = self.news.recv() => return Some(self.tagged(tasks::METHOD, &params)),
            };
            if frame.starts_with(b":") {
                return Some(frame);
            }
            let note = sse::read_back(&frame).and_then(|(_, data)| match Message::parse(&data) {
                Ok(Message::Notification(note)) => self.wanted(note),
                // Nobody can be asked, and nothing was called.
                _ => None,
            });
            if note.is_some() {
                return note;
            }
            // Between messages that are not for the client it must hear that the connection lives.
            if self.said.elapsed() >= self.context.served.timing.keep_alive {
                return Some(sse::KEEP_ALIVE);
            }
        }
    }

    fn wanted(&self, note: Notification) -> Option<Bytes> {
        let params = note.params.unwrap_or(RawJson::EMPTY_OBJECT);
        self.filter.admits(&note.method).then(|| self.tagged(&note.method, &params))
    }

    fn acknowledgement(&self) -> Bytes {
        let params = serde_json::json!({"notifications": &*self.filter});
        self.tagged(
            "notifications/subscriptions/acknowledged",
            &RawJson::from_serialize(&params).unwrap_or(RawJson::EMPTY_OBJECT),
        )
    }

    fn tagged(&self, method: &str, params: &RawJson) -> Bytes {
        sse::bare_message(&jsonrpc::notification(method, Some(&self.tag(params))))
    }

    fn result(&self) -> Bytes {
        let result = results::pass_modern(&self.tag(&RawJson::EMPTY_OBJECT), self.context.server_info());
        sse::bare_message(&jsonrpc::response(Some(&self.context.id), &ResponseBody::Result(result)))
    }

    /// Says to which stream this belongs: the request's id, with its type.
    fn tag(&self, object: &RawJson) -> RawJson {
        let id = RawJson::parse(self.context.id.as_raw().to_owned());
        id.ok().and_then(|id| meta::with_meta(object, SUBSCRIPTION_ID, &id).ok()).unwrap_or_else(|| object.clone())
    }
}

// === impl Held ===

impl Held {
    async fn end(&mut self) {
        if let Some((directory, key)) = self.session.take() {
            end(&directory, key).await;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.abort();
        }
        if let Some((directory, key)) = self.session.take() {
            actix_rt::spawn(async move { end(&directory, key).await });
        }
    }
}

async fn end(directory: &SessionDirectory, key: SessionKey) {
    if let Err(error) = directory.end(key, EndReason::Deleted).await {
        tracing::debug!(session = %key, %error, "the session of a listening client did not end in order");
    }
}
