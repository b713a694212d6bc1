//! A process that ends with the bench.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::Result;

/// How long a process has to come up or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A child process.
pub struct Process {
    child: Child,
    /// What it is, for messages.
    name: &'static str,
    /// Has children of its own, which only it can end.
    parent: bool,
}

// === impl Process ===

impl Process {
    /// Starts a program.
    pub fn start(name: &'static str, parent: bool, command: &mut Command) -> Result<Self> {
        let child = command.spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
        Ok(Self { child, name, parent })
    }

    /// Starts a program and waits for the first line on its stdout that has this prefix; gives the rest of the line.
    pub async fn start_and_read(
        name: &'static str,
        prefix: &'static str,
        command: &mut Command,
    ) -> Result<(Self, String)> {
        let mut process = Self::start(name, false, command.stdout(Stdio::piped()))?;
        let stdout = process.child.stdout.take().ok_or("no stdout")?;
        let (found, line) = oneshot::channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout);
            let mut text = String::new();
            while matches!(lines.read_line(&mut text), Ok(1..)) {
                if let Some(rest) = text.trim_end().strip_prefix(prefix) {
                    let _ = found.send(rest.to_owned());
                    break;
                }
                text.clear();
            }
            // What it says later must not fill the pipe.
            let _ = lines.read_to_end(&mut Vec::new());
        });
        match timeout(PATIENCE, line).await {
            Ok(Ok(line)) => Ok((process, line)),
            _ => Err(format!("{name} did not come up").into()),
        }
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and waits.
    pub async fn stop(mut self) -> Result<()> {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err(format!("{} did not end", self.name).into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(if self.parent { Signal::SIGTERM } else { Signal::SIGKILL });
            let _ = self.child.wait();
        }
    }
}
