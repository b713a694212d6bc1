//! MCP servers that are programs: one process for each session, or one for all of them.
//!
//! A process gets an environment of [`INHERITED_ENVIRONMENT`] and what is configured for it, a process group of its
//! own, and an end: with its link, by end of input, SIGTERM and SIGKILL to the whole group. Unix only.

pub(crate) mod connection;
pub(crate) mod lines;
mod link;
mod mux;
mod process;
pub(crate) mod restart;
mod shared;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
pub use process::INHERITED_ENVIRONMENT;
use sessiongate_protocol::{RawJson, Revision};
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
use crate::modern::detect::{self, Detection, Eras, Finding, Opened};
use crate::modern::link::{ModernLink, ModernTarget};
use crate::modern::stdio::StdioExchange;
use crate::modern::{Exchange, TargetEra, discover};
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
    /// Whose a process is, where the program has sessions; one process serves all requests of a modern target.
    pub mode: ProcessMode,
    /// What to take the target for.
    pub era: TargetEra,
    /// What it spoke when it was opened last, as far as is known.
    pub known: Option<Revision>,
}

/// An MCP server that is a program.
pub struct StdioTarget {
    launcher: Arc<Launcher>,
    /// Set where all sessions share a process.
    shared: Option<Shared>,
    detection: Arc<Detection>,
    exchange: Arc<StdioExchange>,
    modern: ModernTarget,
}

/// Starts processes of one target.
pub(crate) struct Launcher {
    spec: Spec,
    limits: LinkLimits,
    bound: ProcessBound,
    restarts: Arc<Restarts>,
}

/// A program that has not answered `server/discover` by then does not know it.
const PROBE_TIME: Duration = Duration::from_secs(5);
/// A program changes where somebody installs another one: seldom, and asking it again starts it once more.
const HORIZON: Duration = Duration::from_secs(3600);

/// For another session to have asked: until the process that was asked is gone.
const PATIENCE: Duration = Duration::from_secs(15);

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
        let StdioTargetOptions { name, command, args, env, cwd, limits, mode, era, known } = options;
        let detection = Arc::new(Detection::new(&name, era, known, HORIZON, PATIENCE));
        let spec = Spec { name: name.as_str().into(), command, args, env, cwd };
        let launcher = Arc::new(Launcher { spec, limits, bound, restarts: Arc::default() });
        let exchange = Arc::new(StdioExchange::new(Arc::clone(&launcher), Arc::clone(&detection)));
        let modern = ModernTarget::new(name, Arc::clone(&exchange) as Arc<dyn Exchange>);
        Self { launcher, shared: (mode == ProcessMode::Shared).then(Shared::default), detection, exchange, modern }
    }
}

#[async_trait]
impl Eras for StdioTarget {
    /// Asks a process that is there for nothing else: some servers end when the first thing they hear is not
    /// `initialize`. A process that answers is kept.
    async fn ask(&self, hello: &Hello, _again: bool) -> Result<Finding, TargetError> {
        let limits = &self.launcher.limits;
        let deadline = (tokio::time::Instant::now() + PROBE_TIME.min(limits.initialize / 2)).into_std();
        if self.exchange.is_running().await {
            return discover::ask(&*self.exchange, hello, deadline).await;
        }
        let sibling = StdioExchange::sibling(&self.launcher)?;
        let finding = match discover::ask(&sibling, hello, deadline).await {
            Ok(finding) => finding,
            // It stays silent, or it ended, or it talks of other things.
            Err(
                TargetError::TimedOut(_)
                | TargetError::OutcomeUnknown { .. }
                | TargetError::SessionGone
                | TargetError::TooLarge { .. },
            ) => Finding::Legacy,
            Err(error) => {
                sibling.close().await;
                return Err(error);
            }
        };
        match finding {
            Finding::Modern(_) => self.exchange.adopt(sibling).await,
            Finding::Legacy => sibling.close().await,
        }
        Ok(finding)
    }

    async fn open_legacy(&self, hello: &Hello, sink: Arc<dyn LinkSink>) -> Opened {
        match &self.shared {
            Some(shared) => shared.open(&self.launcher, hello, sink).await,
            None => {
                let (connection, welcome) = self.launcher.start(hello, sink).await?;
                Ok((Arc::new(StdioLink(connection)) as Arc<dyn Link>, welcome))
            }
        }
    }

    fn open_modern(&self, hello: Hello, sink: Arc<dyn LinkSink>, discover: RawJson) -> Opened {
        detect::open_modern(&self.modern, hello, sink, discover, "stdio")
    }
}

#[async_trait]
impl Target for StdioTarget {
    fn name(&self) -> &str {
        &self.launcher.spec.name
    }

    async fn open(&self, hello: Hello, sink: Arc<dyn LinkSink>) -> Result<(Arc<dyn Link>, Welcome), TargetError> {
        let deadline = tokio::time::Instant::now() + self.launcher.limits.initialize;
        until(deadline.into_std(), self.detection.open(self, hello, sink)).await
    }

    fn reattach(&self, saved: &SavedLink, sink: Arc<dyn LinkSink>) -> Option<Arc<dyn Link>> {
        ModernLink::resumed(&self.modern, saved, sink)
    }

    fn modern(&self) -> Option<Arc<dyn Exchange>> {
        self.detection.is_modern().then(|| Arc::clone(self.modern.exchange()))
    }

    fn is_era_open(&self) -> bool {
        self.detection.is_open()
    }

    async fn find_era(&self, hello: &Hello) -> Result<(), TargetError> {
        let deadline = tokio::time::Instant::now() + self.launcher.limits.initialize;
        until(deadline.into_std(), self.detection.find(self, hello)).await
    }

    fn remember(&self, revision: Revision) {
        self.detection.remember(revision);
    }
}

// === impl Launcher ===

impl Launcher {
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.spec.name
    }

    /// A process that was not spoken to yet; `trial` as in [`Restarts::begin`].
    pub(crate) fn spawn(&self, sink: Arc<dyn LinkSink>, trial: bool) -> Result<(Connection, Arc<Life>), TargetError> {
        self.restarts.check()?;
        let permit = self.bound.take()?;
        let life = Arc::new(self.restarts.begin(trial));
        match Process::spawn(&self.spec, permit, Arc::clone(&life)) {
            Ok(process) => {
                let name = Arc::clone(&self.spec.name);
                Ok((Connection::new(name, process, self.limits.message_bytes, sink), life))
            }
            Err(error) => {
                // Nothing ran that could be looked at.
                self.restarts.begin(false).fail();
                Err(error)
            }
        }
    }

    /// A process that has answered `initialize`.
    async fn start(&self, hello: &Hello, sink: Arc<dyn LinkSink>) -> Result<(Connection, Welcome), TargetError> {
        self.restarts.check()?;
        let permit = self.bound.take()?;
        let life = Arc::new(self.restarts.begin(false));
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
