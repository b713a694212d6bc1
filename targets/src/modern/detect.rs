//! Which era a target speaks: asked once, remembered, and asked again when what is remembered proves wrong or old.
//!
//! `server/discover` goes first (2026-07-28, versioning). A target that does not know it is legacy, which `initialize`
//! has then to confirm; whoever says nothing about the era (an authorisation server, a proxy, a target that is down)
//! leaves it open.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::Deserialize;
use sessiongate_protocol::{Era, RawJson, Revision};
use tokio::time::Instant;

use super::http::speaks_for_the_target;
use super::link::{ModernLink, ModernTarget, ModernWelcome};
use crate::error::TargetError;
use crate::link::{Hello, Link, LinkSink, Welcome};

/// What the gateway shall take a target for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetEra {
    /// What the target says when it is asked.
    #[default]
    Auto,
    /// `initialize` and sessions (up to 2025-11-25), without asking.
    Legacy,
    /// Requests that stand alone (2026-07-28); a target that does not know them cannot be opened.
    Modern,
}

/// What a target has been found to speak.
#[derive(Clone, Debug)]
pub(crate) enum Finding {
    /// It has sessions, or at least it is not modern.
    Legacy,
    /// The `DiscoverResult`.
    Modern(RawJson),
}

/// An opened target.
pub(crate) type Opened = Result<(Arc<dyn Link>, Welcome), TargetError>;

/// A link to a modern target; no I/O.
pub(crate) fn open_modern(
    target: &ModernTarget,
    hello: Hello,
    sink: Arc<dyn LinkSink>,
    discover: RawJson,
    transport: &'static str,
) -> Opened {
    let revision = Revision::V2026_07_28;
    let welcome = ModernWelcome { revision, discover: discover.clone() };
    let link = ModernLink::new(target, hello, &welcome, sink);
    Ok((link, Welcome { revision, result: discover, transport }))
}

/// The two ways to open a target, and the question which one it is.
#[async_trait]
pub(crate) trait Eras: Sync {
    /// Asks, `again` where there is an answer already, only old. An error is no finding.
    async fn ask(&self, hello: &Hello, again: bool) -> Result<Finding, TargetError>;

    /// With `initialize`.
    async fn open_legacy(&self, hello: &Hello, sink: Arc<dyn LinkSink>) -> Opened;

    /// Without I/O.
    fn open_modern(&self, hello: Hello, sink: Arc<dyn LinkSink>, discover: RawJson) -> Opened;
}

/// What is known of one target's era.
pub(crate) struct Detection {
    target: Box<str>,
    era: TargetEra,
    horizon: Duration,
    state: Mutex<State>,
    /// One asks at a time; the others wait for what it finds, for so long: one question that hangs must not hold up
    /// those that would be answered.
    asking: tokio::sync::Mutex<()>,
    patience: Duration,
}

#[derive(Default)]
struct State {
    finding: Option<Known>,
    /// Grows with each finding, so that who acted on an old one does not undo a new one.
    generation: u64,
}

#[derive(Clone)]
struct Known {
    what: What,
    /// It was acted upon, and that worked.
    confirmed: bool,
    ask_again: Instant,
}

#[derive(Clone)]
enum What {
    Legacy,
    /// Without the result where another process of the gateway found it.
    Modern(Option<RawJson>),
}

/// What [`Detection::settle`] decided on.
struct Settled {
    finding: Finding,
    generation: u64,
    /// The target was asked just now.
    asked: bool,
}

#[derive(Deserialize)]
struct Lifetime {
    #[serde(rename = "ttlMs")]
    milliseconds: u64,
}

/// A finding is doubted after this long: a server that was upgraded still answers `initialize`.
pub(crate) const HORIZON: Duration = Duration::from_secs(10 * 60);
/// `ttlMs` of a `DiscoverResult` counts down to here.
const MIN_AGE: Duration = Duration::from_secs(30);

// === impl Detection ===

impl Detection {
    /// `known` is what an earlier process found.
    pub(crate) fn new(
        target: &str,
        era: TargetEra,
        known: Option<Revision>,
        horizon: Duration,
        patience: Duration,
    ) -> Self {
        let detection = Self {
            target: target.into(),
            era,
            horizon,
            state: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            patience,
        };
        if let Some(revision) = known {
            detection.remember(revision);
        }
        detection
    }

    /// Takes over what was found earlier, where nothing is known better.
    pub(crate) fn remember(&self, revision: Revision) {
        let mut state = self.state.lock();
        if self.era == TargetEra::Auto && state.finding.is_none() {
            let what = match revision.era() {
                Era::Legacy => What::Legacy,
                Era::Modern => What::Modern(None),
            };
            state.set(Known { what, confirmed: true, ask_again: Instant::now() + self.horizon });
        }
    }

    /// The target was modern when it was last asked, or shall be.
    pub(crate) fn is_modern(&self) -> bool {
        match self.era {
            TargetEra::Legacy => false,
            TargetEra::Modern => true,
            TargetEra::Auto => {
                matches!(&self.state.lock().finding, Some(Known { what: What::Modern(_), .. }))
            }
        }
    }

    /// Nobody asked yet, or nobody got an answer.
    pub(crate) fn is_open(&self) -> bool {
        self.era == TargetEra::Auto && self.state.lock().finding.is_none()
    }

    /// An answer of the target was not that of a modern one: the next opening asks.
    pub(crate) fn doubt(&self) {
        if let Some(Known { what: What::Modern(_), ask_again, .. }) = &mut self.state.lock().finding {
            *ask_again = Instant::now();
        }
    }

    /// Asks, where there is no answer yet.
    pub(crate) async fn find(&self, eras: &dyn Eras, hello: &Hello) -> Result<(), TargetError> {
        match self.is_open() {
            true => self.settle(eras, hello).await.map(drop),
            false => Ok(()),
        }
    }

    /// Opens the target as what it is.
    pub(crate) async fn open(&self, eras: &dyn Eras, hello: Hello, sink: Arc<dyn LinkSink>) -> Opened {
        let settled = self.settle(eras, &hello).await?;
        if let Finding::Modern(discover) = settled.finding {
            return eras.open_modern(hello, sink, discover);
        }
        let error = match eras.open_legacy(&hello, Arc::clone(&sink)).await {
            Ok(opened) => {
                self.confirm(settled.generation);
                return Ok(opened);
            }
            Err(error) => error,
        };
        let contradicted = contradicts(&error);
        self.failed(settled.generation, contradicted);
        if settled.asked || !contradicted || self.era != TargetEra::Auto {
            return Err(error);
        }
        // It was legacy once and does not do `initialize` any more.
        match self.settle(eras, &hello).await {
            Ok(Settled { finding: Finding::Modern(discover), .. }) => eras.open_modern(hello, sink, discover),
            _ => Err(error),
        }
    }

    async fn settle(&self, eras: &dyn Eras, hello: &Hello) -> Result<Settled, TargetError> {
        if self.era == TargetEra::Legacy {
            return Ok(Settled { finding: Finding::Legacy, generation: 0, asked: false });
        }
        if let Some(settled) = self.look() {
            return Ok(settled);
        }
        let _turn = tokio::time::timeout(self.patience, self.asking.lock()).await;
        if let Some(settled) = self.look() {
            return Ok(settled);
        }
        let old_is_legacy = matches!(self.state.lock().finding, Some(Known { what: What::Legacy, .. }));
        let answer = eras.ask(hello, old_is_legacy).await;
        let mut state = self.state.lock();
        match answer {
            Ok(Finding::Legacy) if self.era == TargetEra::Modern => {
                Err(TargetError::Refused { detail: format!("it does not speak revision {}", Revision::V2026_07_28) })
            }
            Ok(finding) => {
                let (what, age) = match &finding {
                    Finding::Legacy => (What::Legacy, self.horizon),
                    Finding::Modern(discover) => (What::Modern(Some(discover.clone())), age(discover, self.horizon)),
                };
                tracing::debug!(target_name = %self.target, modern = matches!(finding, Finding::Modern(_)), "era found");
                state.set(Known { what, confirmed: false, ask_again: Instant::now() + age });
                Ok(Settled { finding, generation: state.generation, asked: true })
            }
            Err(error) if old_is_legacy => {
                // No verdict, and nothing speaks against the old one: `initialize` will tell.
                tracing::debug!(target_name = %self.target, ?error, "era could not be asked again");
                if let Some(known) = &mut state.finding {
                    known.ask_again = Instant::now() + MIN_AGE;
                }
                Ok(Settled { finding: Finding::Legacy, generation: state.generation, asked: true })
            }
            Err(error) => Err(error),
        }
    }

    fn look(&self) -> Option<Settled> {
        let state = self.state.lock();
        let known = state.finding.as_ref().filter(|known| Instant::now() < known.ask_again)?;
        let finding = match &known.what {
            What::Legacy => Finding::Legacy,
            What::Modern(discover) => Finding::Modern(discover.clone()?),
        };
        Some(Settled { finding, generation: state.generation, asked: false })
    }

    fn confirm(&self, generation: u64) {
        let mut state = self.state.lock();
        if state.generation == generation
            && let Some(known) = &mut state.finding
        {
            known.confirmed = true;
        }
    }

    /// `initialize` failed: what nobody confirmed was no finding.
    fn failed(&self, generation: u64, contradicted: bool) {
        let mut state = self.state.lock();
        if state.generation == generation
            && state.finding.as_ref().is_some_and(|known| contradicted || !known.confirmed)
        {
            state.finding = None;
        }
    }
}

impl State {
    fn set(&mut self, known: Known) {
        self.generation += 1;
        self.finding = Some(known);
    }
}

/// A target that fails `initialize` like this need not be legacy.
fn contradicts(error: &TargetError) -> bool {
    match error {
        TargetError::Status { status, .. } => speaks_for_the_target(*status),
        TargetError::Refused { .. } | TargetError::Protocol { .. } => true,
        _ => false,
    }
}

fn age(discover: &RawJson, horizon: Duration) -> Duration {
    let lifetime = discover.get().map_or(horizon, |ttl: Lifetime| Duration::from_millis(ttl.milliseconds));
    // Capabilities seldom change: a result that is not to be kept at all is still no reason to ask for each session.
    lifetime.clamp(MIN_AGE.min(horizon), horizon)
}
