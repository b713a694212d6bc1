//! The standing stream: GET, kept open, for messages outside calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

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
    /// False from the first GET until the target answered it.
    answered: Arc<watch::Sender<bool>>,
    /// The target said that it has no such stream: asking again would not change it.
    none_offered: Arc<AtomicBool>,
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

/// The longest that a call waits for the standing stream to be there: some targets answer its head late.
const HEAD_TIME: Duration = Duration::from_millis(250);

impl Default for Listener {
    fn default() -> Self {
        Self { task: Mutex::default(), answered: Arc::new(watch::Sender::new(true)), none_offered: Arc::default() }
    }
}

// === impl Listener ===

impl Listener {
    /// A target that asks or logs on the standing stream in the middle of a call drops what it has to say while there is
    /// none: a call that comes with the stream waits for it.
    pub(crate) async fn answered(&self) {
        if *self.answered.borrow() {
            return;
        }
        let mut answered = self.answered.subscribe();
        let _ = tokio::time::timeout(HEAD_TIME, answered.wait_for(|answered| *answered)).await;
    }

    /// Starts or stops; idempotent.
    pub(crate) fn set(&self, session: &Arc<Session>, listening: Listening) {
        let mut task = self.task.lock();
        match listening {
            Listening::Off => {
                *task = None;
                self.answered.send_replace(true);
            }
            Listening::On if task.as_ref().is_some_and(|task| !task.0.is_finished()) => {}
            Listening::On if self.none_offered.load(Ordering::Relaxed) => {}
            Listening::On => {
                let (session, none_offered) = (Arc::clone(session), Arc::clone(&self.none_offered));
                let answered = Arc::clone(&self.answered);
                answered.send_replace(false);
                *task = Some(Task(tokio::spawn(async move { listen(&session, &none_offered, &answered).await })));
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

async fn listen(session: &Session, none_offered: &AtomicBool, answered: &watch::Sender<bool>) {
    let mut cursor = Cursor::new(None);
    loop {
        match connection(session, &mut cursor, none_offered, answered).await {
            Next::Again => tokio::time::sleep(cursor.delay()).await,
            Next::Stop => return,
            Next::Gone => {
                let _ = session.sink.deliver(LinkEvent::Closed { error: TargetError::SessionGone }).await;
                return;
            }
        }
    }
}

async fn connection(
    session: &Session,
    cursor: &mut Cursor,
    none_offered: &AtomicBool,
    answered: &watch::Sender<bool>,
) -> Next {
    let name = &session.endpoint.name;
    let answer = session.get(cursor, None).await;
    answered.send_replace(true);
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let failures = cursor.fail();
            tracing::debug!(target_name = %name, ?error, failures, "standing stream cannot be opened");
            return Next::Again;
        }
    };
    let status = answer.status();
    if status == StatusCode::NOT_FOUND && session.id.is_some() {
        return Next::Gone;
    }
    if matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED)
        || (status.is_success() && body_kind(&answer) != BodyKind::EventStream)
    {
        tracing::debug!(target_name = %name, %status, "target offers no standing stream");
        none_offered.store(true, Ordering::Relaxed);
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
