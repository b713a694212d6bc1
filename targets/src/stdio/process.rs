//! One process in a group of its own, and the task that sees it through to its end.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::lines::{Lines, Overlong, Rate};
use super::restart::Life;
use crate::error::TargetError;
use crate::secret::SecretEnv;

/// What a process gets of the gateway's environment besides what is configured for it. Everything else stays with
/// the gateway: its own secrets are in there.
pub const INHERITED_ENVIRONMENT: [&str; 12] = [
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_CACHE_HOME",
];

/// Between end of input, SIGTERM and SIGKILL (2025-11-25, lifecycle, shutdown of stdio).
const GRACE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);
const MAX_STDERR_LINE: usize = 8 * 1024;
const STDERR_LINES_PER_SECOND: u32 = 200;

/// What to run.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) name: Arc<str>,
    pub(super) command: String,
    pub(super) args: Vec<String>,
    pub(super) env: SecretEnv,
    pub(super) cwd: Option<PathBuf>,
}

/// A running process.
pub(super) struct Process {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) handle: Handle,
}

/// How to end it and how to see that it ended.
#[derive(Clone)]
pub(super) struct Handle {
    /// Cancelled: the process shall end. Its input must be closed by whoever holds it.
    pub(super) stop: CancellationToken,
    exit: watch::Receiver<Option<Arc<str>>>,
}

/// A process group; killed when dropped unless it was swept.
struct Group {
    id: Option<Pid>,
}

// === impl Process ===

impl Process {
    /// Starts it. `permit` is held until the whole group is gone.
    pub(super) fn spawn(spec: &Spec, permit: OwnedSemaphorePermit, life: Arc<Life>) -> Result<Self, TargetError> {
        let mut command = Command::new(&spec.command);
        command.args(&spec.args).env_clear();
        command.envs(INHERITED_ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(spec.env.iter());
        if let Some(cwd) = &spec.cwd {
            command.current_dir(cwd);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| {
            tracing::warn!(target_name = %spec.name, command = %spec.command, %error, "cannot start process");
            TargetError::Process { detail: format!("it cannot be started: {}", start_error(&error)) }
        })?;
        let group = Group { id: child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw) };
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(TargetError::Process { detail: "it has no pipes".into() });
        };
        tracing::debug!(target_name = %spec.name, pid = child.id(), "process started");
        let (sender, exit) = watch::channel(None);
        let stop = CancellationToken::new();
        tokio::spawn(log_stderr(Arc::clone(&spec.name), stderr));
        tokio::spawn(supervise(Arc::clone(&spec.name), child, group, stop.clone(), sender, life, permit));
        Ok(Self { stdin, stdout, handle: Handle { stop, exit } })
    }
}

// === impl Handle ===

impl Handle {
    /// Waits until the process has exited; how, in words that clients may see.
    pub(super) async fn exited(&mut self) -> Arc<str> {
        match self.exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or_else(|| "it ended".into()),
            Err(_) => "it ended".into(),
        }
    }

    /// Waits until the whole group is gone.
    pub(super) async fn gone(&mut self) {
        while self.exit.changed().await.is_ok() {}
    }
}

async fn supervise(
    name: Arc<str>,
    mut child: Child,
    mut group: Group,
    stop: CancellationToken,
    exit: watch::Sender<Option<Arc<str>>>,
    life: Arc<Life>,
    permit: OwnedSemaphorePermit,
) {
    let (status, unasked) = tokio::select! {
        status = child.wait() => (status, true),
        () = stop.cancelled() => (end(&mut child, &group).await, false),
    };
    life.end(unasked);
    let how = describe(status);
    if unasked {
        tracing::warn!(target_name = %name, %how, "process ended by itself");
    } else {
        tracing::debug!(target_name = %name, %how, "process ended");
    }
    exit.send_replace(Some(how.into()));
    group.sweep().await;
    drop(permit);
}

/// End of input was given already: wait, SIGTERM, wait, SIGKILL.
async fn end(child: &mut Child, group: &Group) -> io::Result<ExitStatus> {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        if let Ok(status) = timeout(GRACE, child.wait()).await {
            return status;
        }
        group.signal(signal);
    }
    child.wait().await
}

fn describe(status: io::Result<ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("it exited with code {code}"),
            (None, Some(signal)) => format!("it was ended by signal {signal}"),
            (None, None) => "it ended".into(),
        },
        Err(_) => "it was lost".into(),
    }
}

/// Names of commands and folders stay in the log.
fn start_error(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "the command or its working folder does not exist",
        io::ErrorKind::PermissionDenied => "the command may not be executed",
        _ => "the system refused",
    }
}

async fn log_stderr(name: Arc<str>, stderr: ChildStderr) {
    let mut lines = Lines::new(stderr, MAX_STDERR_LINE, Overlong::Cut);
    let mut rate = Rate::new(STDERR_LINES_PER_SECOND);
    while let Ok(Some(line)) = lines.next().await {
        let Some(left_out) = rate.admit() else { continue };
        if left_out > 0 {
            tracing::info!(target_name = %name, left_out, "stderr lines left out");
        }
        let line = String::from_utf8_lossy(&line);
        tracing::info!(target_name = %name, stderr = %line.escape_debug(), "stderr");
    }
}

// === impl Group ===

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            let _ = killpg(id, signal);
        }
    }

    fn is_gone(&self) -> bool {
        self.id.is_none_or(|id| killpg(id, None) == Err(Errno::ESRCH))
    }

    /// Ends what the leader left behind. A group id is not given out again while the group has members, so that
    /// nothing else can be hit while one of them is seen.
    async fn sweep(&mut self) {
        if !self.is_gone() {
            self.signal(Signal::SIGTERM);
            let deadline = Instant::now() + GRACE;
            while !self.is_gone() {
                if Instant::now() >= deadline {
                    self.signal(Signal::SIGKILL);
                    break;
                }
                sleep(POLL).await;
            }
        }
        self.id = None;
    }
}

impl Drop for Group {
    /// The runtime is going down with the process still there.
    fn drop(&mut self) {
        if !self.is_gone() {
            self.signal(Signal::SIGKILL);
        }
    }
}
