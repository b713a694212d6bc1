//! What `gateway` and `target` have in common.

mod file;
mod gateway_members;
mod hints;
mod progress;
mod show;
mod target_members;

pub(super) use gateway_members::GatewayMembers;
pub(super) use show::{gateway_details, gateway_row, target_details, target_row};
pub(super) use target_members::TargetMembers;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::progress::Progress;
use super::{fail, print_json, print_table};
use crate::cli::OutputFormat;
use crate::cli::args::control::AccessArgs;
use crate::client::printable;
use crate::config::expand::process_env;
use crate::control_client::{
    Access, AccessError, ControlClient, ControlClientError, Refusal, Resource, Standing, is_settled,
};

/// The object ended in a status of failure.
const FAILED: u8 = 1;
/// Wrong usage, or the control plane refused it.
const REFUSED: u8 = 2;
/// There was no answer, or none in time.
const NO_ANSWER: u8 = 3;
/// As for a shell command that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nobody can be asked.
    #[error("{0}")]
    Access(#[from] AccessError),
    /// Somebody was asked.
    #[error("{0}")]
    Client(#[from] ControlClientError),
    /// What was asked cannot be.
    #[error("{0}")]
    Usage(String),
    /// Ctrl-C cannot be noticed.
    #[error("cannot wait for Ctrl-C: {0}")]
    Signal(std::io::Error),
}

/// A control plane and a person.
pub(super) struct Desk {
    pub(super) client: ControlClient,
    pub(super) access: Access,
    output: OutputFormat,
}

/// An object that a command is about.
pub(super) struct Subject {
    /// `gateway` or `target`.
    pub(super) kind: &'static str,
    /// What people call it.
    pub(super) name: String,
    /// What the control plane calls it.
    pub(super) resource: Resource,
    /// The command that shows it.
    pub(super) look: String,
    /// Its members in lines.
    pub(super) details: fn(&Value) -> Vec<(&'static str, String)>,
}

/// How long a command waits, and what ends the waiting.
pub(super) struct Patience {
    limit: Duration,
    interrupt: Signal,
}

// === impl Failure ===

impl Failure {
    fn exit_code(&self) -> u8 {
        let Self::Client(error) = self else { return REFUSED };
        match error {
            ControlClientError::NotSettled { .. } => NO_ANSWER,
            error if error.may_pass() => NO_ANSWER,
            _ => REFUSED,
        }
    }

    fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Client(error) => error.refusal(),
            _ => None,
        }
    }
}

// === impl Patience ===

impl Patience {
    /// From now on Ctrl-C ends the waiting only: what is asked for before it begins is not left half done.
    pub(super) fn new(limit: Option<Duration>) -> Result<Option<Self>, Failure> {
        let patience = |limit| Ok(Self { limit, interrupt: signal(SignalKind::interrupt()).map_err(Failure::Signal)? });
        limit.map(patience).transpose()
    }
}

// === impl Desk ===

impl Desk {
    pub(super) fn open(args: &AccessArgs, output: OutputFormat) -> Result<Self, Failure> {
        let access = Access::find(&args.asked(), &process_env)?;
        let client = ControlClient::new(&access)?;
        Ok(Self { client, access, output })
    }

    /// The exit code of the process, after the failure was said.
    pub(super) fn finish(self, done: Result<ExitCode, Failure>) -> ExitCode {
        let failure = match done {
            Ok(code) => return code,
            Err(failure) => failure,
        };
        let mut text = failure.to_string();
        if let Some(refusal) = failure.refusal() {
            for hint in hints::of(refusal, &self.access) {
                text.push_str(&format!("\n  {hint}"));
            }
        }
        fail(failure.exit_code(), &printable(&text))
    }

    /// Prints an object.
    pub(super) fn show(&self, object: &Value, details: fn(&Value) -> Vec<(&'static str, String)>) -> ExitCode {
        if self.output == OutputFormat::Json {
            return print_json(object);
        }
        let lines = details(object);
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let mut out = std::io::stdout().lock();
        for (name, value) in lines {
            // A text of several lines stays in its column.
            let value = printable(&value).replace('\n', &format!("\n{:width$}  ", ""));
            let _ = writeln!(out, "{name:<width$}  {value}");
        }
        ExitCode::SUCCESS
    }

    /// Prints a list.
    pub(super) fn list(&self, head: &[&str], items: &[Value], row: fn(&Value) -> Vec<String>) -> ExitCode {
        if self.output == OutputFormat::Json {
            return print_json(&items);
        }
        let clean = |cell: String| printable(&cell).replace(['\n', '\t'], " ");
        let rows: Vec<Vec<String>> = items.iter().map(|item| row(item).into_iter().map(clean).collect()).collect();
        print_table(head, &rows);
        ExitCode::SUCCESS
    }

    /// Prints what became of a change, after waiting for it if that is wished. `object` is the answer to the change.
    pub(super) async fn follow(
        &self,
        subject: &Subject,
        object: Value,
        patience: Option<Patience>,
    ) -> Result<ExitCode, Failure> {
        let Some(mut patience) = patience else {
            let status = Standing::of(&object).status;
            if !is_settled(&status) {
                note(&format!(
                    "{} is {status}: `{}` shows what becomes of it, --wait waits",
                    subject.named(),
                    subject.look
                ));
            }
            return Ok(self.show(&object, subject.details));
        };
        let progress = Progress::new();
        let mut last = object;
        progress.status(&subject.named(), &last);
        let looking = self.client.settled(&subject.resource, patience.limit, |seen| {
            progress.status(&subject.named(), seen);
            last.clone_from(seen);
        });
        let settled = tokio::select! {
            biased;
            _ = patience.interrupt.recv() => None,
            settled = looking => Some(settled),
        };
        progress.end();
        self.show(&last, subject.details);
        let Some(settled) = settled else { return Ok(subject.left(&last)) };
        let standing = Standing::of(&settled?);
        if standing.is_ready() {
            return Ok(ExitCode::SUCCESS);
        }
        Ok(fail(FAILED, &printable(&subject.failed(&standing))))
    }

    /// Prints what became of a deletion, after waiting for it if that is wished. `object` is the answer to it.
    pub(super) async fn follow_deletion(
        &self,
        subject: &Subject,
        object: Value,
        patience: Option<Patience>,
    ) -> Result<ExitCode, Failure> {
        let say = |object: &Value, what: &str| match self.output {
            OutputFormat::Json => print_json(object),
            OutputFormat::Human => {
                let _ = writeln!(std::io::stdout(), "{} is {}", printable(&subject.named()), printable(what));
                ExitCode::SUCCESS
            }
        };
        let status = |object: &Value| Standing::of(object).status;
        let Some(mut patience) = patience else { return Ok(say(&object, &status(&object))) };
        let progress = Progress::new();
        let mut last = object;
        progress.status(&subject.named(), &last);
        let looking = self.client.gone(&subject.resource, patience.limit, |seen| {
            progress.status(&subject.named(), seen);
            last.clone_from(seen);
        });
        let gone = tokio::select! {
            biased;
            _ = patience.interrupt.recv() => None,
            gone = looking => Some(gone),
        };
        progress.end();
        let stays = match gone {
            None => {
                say(&last, &status(&last));
                return Ok(subject.left(&last));
            }
            Some(gone) => gone?,
        };
        let Some(object) = stays else { return Ok(say(&last, "deleted")) };
        say(&object, &status(&object));
        Ok(fail(FAILED, &printable(&subject.failed(&Standing::of(&object)))))
    }
}

// === impl Subject ===

impl Subject {
    fn named(&self) -> String {
        format!("{} `{}`", self.kind, self.name)
    }

    fn failed(&self, standing: &Standing) -> String {
        let reasons = match standing.reasons.as_slice() {
            [] => "without a reason".to_owned(),
            reasons => reasons.join("; "),
        };
        format!("{} is {}: {reasons}", self.named(), standing.status)
    }

    /// After Ctrl-C.
    fn left(&self, object: &Value) -> ExitCode {
        let status = Standing::of(object).status;
        note(&format!(
            "no longer waiting: {} stays as it is, {status}, and the control plane goes on; `{}` shows what becomes of it",
            self.named(),
            self.look
        ));
        ExitCode::from(INTERRUPTED)
    }
}

/// A word that is no result.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable(text));
}

/// For a failure before there is a desk.
pub(super) fn cannot_begin(failure: &Failure) -> ExitCode {
    fail(failure.exit_code(), failure)
}
