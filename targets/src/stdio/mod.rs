//! MCP servers that are programs: one process for each session, or one for all of them.
//!
//! A process gets an environment of [`INHERITED_ENVIRONMENT`] and what is configured for it, a process group of its
//! own, and an end: with its link, by end of input, SIGTERM and SIGKILL to the whole group. Unix only.

mod connection;
mod lines;
mod link;
mod mux;
mod process;
mod restart;
mod shared;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
pub use process::INHERITED_ENVIRONMENT;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::connection::Connection;
use self::link::StdioLink;
use self::process::{Process, Spec};
use self::restart::{Life, Restarts};
use self::shared::Shared;
use crate::error::TargetError;
use crate::handshake;
use crate::http::link::until;
use crate::link::{Hello, Link, LinkLimits, LinkSink, SavedLink, Target, Welcome};
use crate::secret::SecretEnv;

/// Whose a process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessMode {
    /// One process for each session: nothing leaks from one to another.
    #[default]
    PerSession,
    /// One process for all sessions of the gateway. What MCP keeps per connection is then common to all of them: the
    /// capabilities of the client that came first, the logging level, subscriptions. Requests of the server reach a
    /// session only while exactly one session has calls running, else they are answered with -32601; log messages
    /// likewise or not at all. For servers that keep no state and ask no questions.
    Shared,
}

/// How many processes may run at once, over all targets that share this bound.
#[derive(Clone, Debug)]
pub struct ProcessBound {
    permits: Arc<Semaphore>,
    limit: usize,
}

/// A target that is a program, as configured. `Debug` shows no values of the environment.
#[derive(Clone, Debug)]
pub struct StdioTargetOptions {
    /// The target's name.
    pub name: String,
    /// The program, looked up in `PATH`.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Set in its environment besides [`INHERITED_ENVIRONMENT`].
    pub env: SecretEnv,
    /// Its working folder; the gateway's where none.
    pub cwd: Option<PathBuf>,
    /// Deadlines and limits; `connect` and `idle` mean nothing here.
    pub limits: LinkLimits,
    /// Whose a process is.
    pub mode: ProcessMode,
}

/// An MCP server that is a program.
pub struct StdioTarget {
    launcher: Launcher,
    /// Set where all sessions share a process.
    shared: Option<Shared>,
}

/// Starts processes of one target.
struct Launcher {
    spec: Spec,
    limits: LinkLimits,
    bound: ProcessBound,
    restarts: Arc<Restarts>,
}

/// For `initialize` and its notification where the caller has the deadline.
const FAR: Duration = Duration::from_secs(24 * 3600);

// === impl ProcessBound ===

impl ProcessBound {
    /// At most `limit` processes.
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(limit)), limit }
    }

    /// How many are running.
    pub fn running(&self) -> usize {
        self.limit - self.permits.available_permits()
    }

    fn take(&self) -> Result<OwnedSemaphorePermit, TargetError> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        permit.map_err(|_| TargetError::Exhausted { what: "stdio processes", limit: self.limit })
    }
}

// === impl StdioTarget ===

impl StdioTarget {
    /// Starts nothing yet.
    pub fn new(options: StdioTargetOptions, bound: ProcessBound) -> Self {
        let StdioTargetOptions { name, command, args, env, cwd, limits, mode } = options;
        let spec = Spec { name: name.into(), command, args, env, cwd };
        let launcher = Launcher { spec, limits, bound, restarts: Arc::default() };
        Self { launcher, shared: (mode == ProcessMode::Shared).then(Shared::default) }
    }
}

#[async_trait]
impl Target for StdioTarget {
    fn name(&self) -> &str {
        &self.launcher.spec.name
    }

    async fn open(&self, hello: Hello, sink: Arc<dyn LinkSink>) -> Result<(Arc<dyn Link>, Welcome), TargetError> {
        until(Instant::now() + self.launcher.limits.initialize, async {
            match &self.shared {
                Some(shared) => shared.open(&self.launcher, &hello, sink).await,
                None => {
                    let (connection, welcome) = self.launcher.start(&hello, sink).await?;
                    Ok((Arc::new(StdioLink(connection)) as Arc<dyn Link>, welcome))
                }
            }
        })
        .await
    }

    fn reattach(&self, _saved: &SavedLink, _sink: Arc<dyn LinkSink>) -> Option<Arc<dyn Link>> {
        None
    }
}

// === impl Launcher ===

impl Launcher {
    /// A process that has answered `initialize`.
    async fn start(&self, hello: &Hello, sink: Arc<dyn LinkSink>) -> Result<(Connection, Welcome), TargetError> {
        self.restarts.check()?;
        let permit = self.bound.take()?;
        let life = Arc::new(self.restarts.begin());
        let started = self.handshake(hello, sink, permit, &life).await;
        match &started {
            Ok(_) => life.ready(),
            Err(_) => life.fail(),
        }
        started.map_err(|error| match error {
            TargetError::OutcomeUnknown { detail } => {
                TargetError::Process { detail: format!("{detail} before it answered `initialize`") }
            }
            error => error,
        })
    }

    async fn handshake(
        &self,
        hello: &Hello,
        sink: Arc<dyn LinkSink>,
        permit: OwnedSemaphorePermit,
        life: &Arc<Life>,
    ) -> Result<(Connection, Welcome), TargetError> {
        let process = Process::spawn(&self.spec, permit, Arc::clone(life))?;
        let name = Arc::clone(&self.spec.name);
        let connection = Connection::new(name, process, self.limits.message_bytes, sink);
        let far = Instant::now() + FAR;
        let reply = connection.call(handshake::INITIALIZE_ID, handshake::initialize(hello)?, far).await?;
        let welcome = handshake::welcome(reply.response, "stdio")?;
        connection.post(handshake::initialized(), far).await?;
        Ok((connection, welcome))
    }
}
