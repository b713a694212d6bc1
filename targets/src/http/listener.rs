//! The standing stream: GET, kept open, for messages outside calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::body;
use super::cursor::Cursor;
use super::endpoint::{BodyKind, body_kind};
use super::events::StreamEnd;
use super::session::{Session, messages};
use crate::error::TargetError;
use crate::link::{LinkEvent, Listening, Origin};

/// The background task of one link; ends with it.
pub(crate) struct Listener {
    task: Mutex<Option<Task>>,
    known: Arc<Known>,
}

/// What is known of the target's stream, over all GETs of a link.
struct Known {
    /// Until when calls wait for the answer to the first GET; none where it is there, or nobody listens.
    awaited: watch::Sender<Option<Instant>>,
    /// The target said that it has no such stream: asking again would not change it.
    none_offered: AtomicBool,
    /// The target has opened one.
    opened: AtomicBool,
}

/// Aborted when dropped.
struct Task(JoinHandle<()>);

/// What one connection ended with.
enum Next {
    /// Wait and connect again.
    Again,
    /// The target offers no stream, or nobody listens any more.
    Stop,
    /// The session is gone.
    Gone,
}

/// The longest that calls wait for the standing stream to be there, from when it was asked for: some targets answer its head
/// late, or with the first event.
const HEAD_TIME: Duration = Duration::from_millis(250);

impl Default for Listener {
    fn default() -> Self {
        let known = Known {
            awaited: watch::Sender::new(None),
            none_offered: AtomicBool::new(false),
            opened: AtomicBool::new(false),
        };
        Self { task: Mutex::default(), known: Arc::new(known) }
    }
}

// === impl Listener ===

impl Listener {
    /// A target that asks or logs on the standing stream in the middle of a call drops what it has to say while there is
    /// none: a call that comes with the stream waits for it.
    pub(crate) async fn answered(&self) {
        let Some(until) = *self.known.awaited.borrow() else { return };
        let mut awaited = self.known.awaited.subscribe();
        let _ = timeout_at(until, awaited.wait_for(Option::is_none)).await;
    }

    /// Starts or stops; idempotent.
    pub(crate) fn set(&self, session: &Arc<Session>, listening: Listening) {
        let mut task = self.task.lock();
        match listening {
            Listening::Off => {
                *task = None;
                self.known.awaited.send_replace(None);
            }
            Listening::On if task.as_ref().is_some_and(|task| !task.0.is_finished()) => {}
            Listening::On if self.known.none_offered.load(Ordering::Relaxed) => {}
            Listening::On => {
                let (session, known) = (Arc::clone(session), Arc::clone(&self.known));
                known.awaited.send_replace(Some(Instant::now() + HEAD_TIME));
                *task = Some(Task(tokio::spawn(async move { listen(&session, &known).await })));
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// === the task ===

async fn listen(session: &Session, known: &Known) {
    let mut cursor = Cursor::new(None);
    loop {
        match connection(session, &mut cursor, known).await {
            Next::Again => tokio::time::sleep(cursor.delay()).await,
            Next::Stop => return,
            Next::Gone => {
                let _ = session.sink.deliver(LinkEvent::Closed { error: TargetError::SessionGone }).await;
                return;
            }
        }
    }
}

async fn connection(session: &Session, cursor: &mut Cursor, known: &Known) -> Next {
    let name = &session.endpoint.name;
    let answer = session.get(cursor, None).await;
    known.awaited.send_replace(None);
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let failures = cursor.fail();
            tracing::debug!(target_name = %name, ?error, failures, "standing stream cannot be opened");
            return Next::Again;
        }
    };
    let status = answer.status();
    // A server that has no route for GET says 404 too, of a session that lives: calls will tell.
    if status == StatusCode::NOT_FOUND && session.id.is_some() && known.opened.load(Ordering::Relaxed) {
        return Next::Gone;
    }
    if matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED)
        || (status.is_success() && body_kind(&answer) != BodyKind::EventStream)
    {
        tracing::debug!(target_name = %name, %status, "target offers no standing stream");
        known.none_offered.store(true, Ordering::Relaxed);
        body::discard(answer);
        return Next::Stop;
    }
    if !status.is_success() {
        if status.is_client_error() && cursor.last_id().is_some() {
            tracing::warn!(target_name = %name, %status, "standing stream cannot be resumed, messages may be lost");
            cursor.forget();
        } else {
            tracing::debug!(target_name = %name, %status, "standing stream refused");
        }
        body::discard(answer);
        cursor.fail();
        return Next::Again;
    }
    known.opened.store(true, Ordering::Relaxed);
    read(session, cursor, answer).await
}

async fn read(session: &Session, cursor: &mut Cursor, answer: reqwest::Response) -> Next {
    let name = &session.endpoint.name;
    let mut events = session.events(answer);
    loop {
        let event = match events.next().await {
            Ok(event) => event,
            Err(StreamEnd::Broken(reason)) => {
                tracing::debug!(target_name = %name, %reason, "standing stream ended");
                cursor.fail();
                return Next::Again;
            }
            Err(StreamEnd::Fatal(error)) => {
                // The same event would come again: go on without it.
                tracing::warn!(target_name = %name, ?error, "standing stream broken by the target");
                cursor.forget();
                cursor.fail();
                return Next::Again;
            }
        };
        cursor.see(&event);
        match messages(&event) {
            Ok(None) => {}
            Ok(Some(messages)) => {
                for message in messages {
                    if session.deliver(message, Origin::Standing, event.id.as_deref()).await.is_err() {
                        return Next::Stop;
                    }
                }
            }
            Err(error) => tracing::warn!(target_name = %name, ?error, "event on the standing stream dropped"),
        }
    }
}
