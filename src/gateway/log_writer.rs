//! Where log lines go on their way to stderr.
//!
//! A line costs its caller a copy into memory; one thread writes what has gathered. A channel that hands over each
//! line by itself wakes that thread for each of them, and the wake-up costs more than the call that is logged.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// Lines wait this long for others before they are written together.
const GATHER: Duration = Duration::from_millis(10);
/// What may wait while nobody reads stderr, in bytes. Lines beyond it are lost and counted.
const BOUND: usize = 4 * 1024 * 1024;
/// How long the rest may take at the end of the process.
const FAREWELL: Duration = Duration::from_secs(2);

/// Takes the lines. Cheap to clone.
#[derive(Clone)]
pub struct LogWriter(Arc<Shared>);

/// Writes what is left when it goes.
#[must_use = "what was not written yet is lost without it"]
pub struct LogGuard {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Something came, or the end.
    work: Condvar,
    /// All that came was written.
    done: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    lost: u64,
    /// The thread sleeps until it is told.
    idle: bool,
    ended: bool,
    finished: bool,
}

// === impl LogWriter ===

impl LogWriter {
    /// Starts the thread that writes to `out`. Where no thread can be had lines are lost.
    pub fn start(out: impl Write + Send + 'static) -> (Self, LogGuard) {
        let shared = Arc::new(Shared { state: Mutex::default(), work: Condvar::new(), done: Condvar::new() });
        let thread = Builder::new().name("log".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.write_all(out)
        });
        let guard = LogGuard { shared: Arc::clone(&shared), thread: thread.ok() };
        (Self(shared), guard)
    }
}

impl Write for &LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state.lock();
        if state.waiting.len() + line.len() > BOUND {
            state.lost += 1;
            return Ok(line.len());
        }
        state.waiting.extend_from_slice(line);
        if std::mem::take(&mut state.idle) {
            self.0.work.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

// === impl Shared ===

impl Shared {
    fn write_all(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        let mut state = self.state.lock();
        loop {
            while state.waiting.is_empty() && !state.ended {
                state.idle = true;
                self.work.wait(&mut state);
            }
            if !state.ended {
                // Others join; the end of the process does not wait for them.
                state.idle = false;
                self.work.wait_for(&mut state, GATHER);
            }
            std::mem::swap(&mut lines, &mut state.waiting);
            let lost = std::mem::take(&mut state.lost);
            let last = state.ended && lines.is_empty();
            drop(state);
            // A closed stderr has nobody to be told of it.
            let _ = out.write_all(&lines);
            if lost > 0 {
                let _ = writeln!(out, "{lost} log lines were lost: nobody read them");
            }
            let _ = out.flush();
            lines.clear();
            lines.shrink_to(256 * 1024);
            state = self.state.lock();
            if last {
                state.finished = true;
                self.done.notify_all();
                return;
            }
        }
    }
}

// === impl LogGuard ===

impl Drop for LogGuard {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let mut state = self.shared.state.lock();
        state.ended = true;
        self.shared.work.notify_one();
        // A reader that stopped reading must not hold the process.
        let timed_out = self.shared.done.wait_while_for(&mut state, |state| !state.finished, FAREWELL).timed_out();
        drop(state);
        if !timed_out {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<u8>>>);

    impl Write for Seen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_of_all_threads_are_written_whole_and_the_last_before_the_end() {
        let seen = Seen::default();
        let (writer, guard) = LogWriter::start(seen.clone());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let writer = &writer;
                scope.spawn(move || {
                    for line in 0..250 {
                        writer.make_writer().write_all(format!("{thread} {line}\n").as_bytes()).unwrap();
                    }
                });
            }
        });
        drop(guard);
        let text = String::from_utf8(seen.0.lock().clone()).unwrap();
        assert_eq!(text.lines().count(), 1000);
        for thread in 0..4 {
            let of_one: Vec<&str> = text.lines().filter(|line| line.starts_with(&format!("{thread} "))).collect();
            let expected: Vec<String> = (0..250).map(|line| format!("{thread} {line}")).collect();
            assert_eq!(of_one, expected);
        }
    }

    /// A reader that reads nothing until it is let.
    struct Stuck(std::sync::mpsc::Receiver<()>, Seen);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_costs_bounded_memory_and_the_loss_is_told() {
        let seen = Seen::default();
        let (go, wait) = std::sync::mpsc::channel();
        let (writer, guard) = LogWriter::start(Stuck(wait, seen.clone()));
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        for _ in 0..3 * BOUND / line.len() {
            writer.make_writer().write_all(&line).unwrap();
        }
        assert!(writer.0.state.lock().waiting.len() <= BOUND);
        drop(go);
        drop(guard);
        let text = String::from_utf8(seen.0.lock().clone()).unwrap();
        assert!(text.len() < 2 * BOUND + 1024, "{}", text.len());
        assert!(text.contains("log lines were lost"), "{}", &text[text.len() - 100..]);
    }
}
