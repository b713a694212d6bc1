//! Messages to and from one process: calls, posts, and the two tasks on its pipes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use sessiongate_protocol::{Message, ParseError};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::lines::{LineError, Lines, Overlong, Rate};
use super::process::{Handle, Process};
use crate::error::TargetError;
use crate::http::link::until;
use crate::link::{CallReply, LinkEvent, LinkSink, Origin};
use crate::pending::Pending;

/// Messages that wait for the pipe; more wait in their senders, each with its deadline.
const WRITE_QUEUE: usize = 32;
/// After the process exited, for what is still in its pipe.
const DRAIN_TIME: Duration = Duration::from_millis(500);
/// For the exit status after the end of output.
const STATUS_TIME: Duration = Duration::from_secs(1);
/// For [`Connection::close`]: all steps of the shutdown, and a little.
const CLOSE_TIME: Duration = Duration::from_secs(8);
/// Lines that are no messages, in the log.
const WARNINGS_PER_SECOND: u32 = 5;

/// A process that is spoken to. The process ends when this is dropped.
pub(crate) struct Connection {
    name: Arc<str>,
    pending: Arc<Pending>,
    writer: mpsc::Sender<Line>,
    handle: Handle,
    _stop: DropGuard,
}

/// One message on its way to the pipe.
struct Line {
    body: Bytes,
    written: oneshot::Sender<()>,
}

struct Reader {
    name: Arc<str>,
    pending: Arc<Pending>,
    sink: Arc<dyn LinkSink>,
    handle: Handle,
}

/// Why reading ended.
enum End {
    Output,
    TooLarge(usize),
    NobodyListens,
}

// === impl Connection ===

impl Connection {
    /// Starts the tasks.
    pub(super) fn new(name: Arc<str>, process: Process, line_limit: usize, sink: Arc<dyn LinkSink>) -> Self {
        let Process { stdin, stdout, handle } = process;
        let pending = Arc::new(Pending::default());
        let (writer, lines) = mpsc::channel(WRITE_QUEUE);
        tokio::spawn(write(stdin, lines, handle.stop.clone()));
        let reader = Reader { name: Arc::clone(&name), pending: Arc::clone(&pending), sink, handle: handle.clone() };
        tokio::spawn(reader.run(stdout, line_limit));
        let stop = handle.stop.clone().drop_guard();
        Self { name, pending, writer, handle, _stop: stop }
    }

    /// Sends a request and waits for its response.
    pub(crate) async fn call(&self, id: i64, body: Bytes, deadline: Instant) -> Result<CallReply, TargetError> {
        let started = tokio::time::Instant::now();
        let mut waiting = self.pending.register(id)?;
        if let Err(error) = self.post(body, deadline).await {
            return waiting.try_outcome().unwrap_or(Err(error));
        }
        waiting.outcome(started, tokio::time::Instant::from_std(deadline)).await
    }

    /// Sends a message; returns when the pipe has it.
    pub(crate) async fn post(&self, body: Bytes, deadline: Instant) -> Result<(), TargetError> {
        self.pending.check_open()?;
        until(deadline, async {
            let (written, done) = oneshot::channel();
            // A queue that is closed never took the message.
            self.writer.send(Line { body, written }).await.map_err(|_| TargetError::SessionGone)?;
            done.await.map_err(|_| TargetError::OutcomeUnknown { detail: "its input was closed".into() })
        })
        .await
    }

    /// Whether the process is there and answers.
    pub(crate) fn is_open(&self) -> bool {
        self.pending.check_open().is_ok()
    }

    /// Ends the process group and waits for it.
    pub(crate) async fn close(&self) {
        self.pending.end(&TargetError::Closed, TargetError::Closed);
        self.handle.stop.cancel();
        let mut handle = self.handle.clone();
        if timeout(CLOSE_TIME, handle.gone()).await.is_err() {
            tracing::warn!(target_name = %self.name, "process group is still there after its end");
        }
    }
}

/// Writes whole lines: a sender that gives up leaves no half of one behind.
async fn write(mut stdin: ChildStdin, mut lines: mpsc::Receiver<Line>, stop: CancellationToken) {
    let writing = async {
        while let Some(Line { body, written }) = lines.recv().await {
            let mut line = one_line(body).chain(&b"\n"[..]);
            if stdin.write_all_buf(&mut line).await.is_err() {
                // The reader sees the end of the process and tells everybody.
                return;
            }
            let _ = written.send(());
        }
    };
    tokio::select! {
        () = writing => {}
        () = stop.cancelled() => {}
    }
}

/// Line breaks in JSON text stand between tokens only (strings escape them): they become spaces.
fn one_line(body: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &body).is_none() {
        return body;
    }
    body.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect()
}

// === impl Reader ===

impl Reader {
    async fn run(mut self, stdout: ChildStdout, line_limit: usize) {
        let end = self.read(Lines::new(stdout, line_limit, Overlong::Fail)).await;
        // The link was closed or dropped: its owner needs no news.
        let unasked = !self.handle.stop.is_cancelled();
        let detail = match timeout(STATUS_TIME, self.handle.exited()).await {
            Ok(how) if unasked => how.to_string(),
            _ => "it closed its output".into(),
        };
        self.handle.stop.cancel();
        let (running, error) = match end {
            End::TooLarge(limit) => (TargetError::TooLarge { limit }, TargetError::TooLarge { limit }),
            End::Output => (TargetError::OutcomeUnknown { detail: detail.clone() }, TargetError::Process { detail }),
            End::NobodyListens => (TargetError::Closed, TargetError::Closed),
        };
        self.pending.end(&running, TargetError::SessionGone);
        if unasked {
            let _ = self.sink.deliver(LinkEvent::Closed { error }).await;
        }
    }

    async fn read(&mut self, mut lines: Lines<ChildStdout>) -> End {
        let mut warnings = Rate::new(WARNINGS_PER_SECOND);
        let mut exit = self.handle.clone();
        let mut exited = false;
        loop {
            let line = if exited {
                // A process that left the group may hold the pipe open for ever.
                match timeout(DRAIN_TIME, lines.next()).await {
                    Ok(line) => line,
                    Err(_) => return End::Output,
                }
            } else {
                tokio::select! {
                    biased;
                    line = lines.next() => line,
                    _ = exit.exited() => {
                        exited = true;
                        continue;
                    }
                }
            };
            let line = match line {
                Ok(Some(line)) => line,
                Ok(None) | Err(LineError::Io(_)) => return End::Output,
                Err(LineError::TooLong(limit)) => return End::TooLarge(limit),
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            match Message::parse_batch(&line) {
                Ok(messages) => {
                    for message in messages {
                        if !self.dispatch(message).await {
                            return End::NobodyListens;
                        }
                    }
                }
                Err(error) => self.not_a_message(&mut warnings, error),
            }
        }
    }

    /// False where nobody listens any more.
    async fn dispatch(&self, message: Message) -> bool {
        match message {
            Message::Response(response) => {
                let id = response.id.clone();
                if !self.pending.complete(response, None) {
                    tracing::debug!(target_name = %self.name, ?id, "response to nothing dropped");
                }
                true
            }
            message => {
                let event = LinkEvent::Message { origin: Origin::Standing, message, event_id: None };
                self.sink.deliver(event).await.is_ok()
            }
        }
    }

    fn not_a_message(&self, warnings: &mut Rate, error: ParseError) {
        if let Some(left_out) = warnings.admit() {
            tracing::warn!(target_name = %self.name, %error, left_out, "line on stdout is not mcp, dropped");
        }
        if let ParseError::NotAMessage { id: Some(id), reason } = error {
            self.pending.fail(&id, TargetError::Protocol { detail: reason.into_owned() });
        }
    }
}
