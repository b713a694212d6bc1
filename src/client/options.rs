//! What the client is asked to do.

use std::{path::PathBuf, time::Duration};

use clap::ValueEnum;
use url::Url;

use crate::config::Secret;

/// Which of the protocol's two ways to talk is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Era {
    /// 2026-07-28 where the endpoint knows it, else a session.
    #[default]
    Auto,
    /// A session, as in the revisions up to 2025-11-25.
    Legacy,
    /// 2026-07-28: no session, each request stands alone.
    Modern,
}

/// Where to, and as whom.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The MCP endpoint.
    pub url: Url,
    /// How to talk to it.
    pub era: Era,
    /// Headers for every request.
    pub headers: Vec<(String, Secret)>,
    /// A bearer token, without the word.
    pub bearer: Option<Secret>,
    /// How long everything may take, questions included.
    pub timeout: Duration,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// For eyes.
    #[default]
    Human,
    /// The result as one line of JSON, and nothing else on standard output.
    Json,
}

/// One `tools/call`.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// Where to.
    pub endpoint: Endpoint,
    /// The name of the tool.
    pub tool: String,
    /// Arguments as name and text, typed by the tool's input schema.
    pub args: Vec<(String, String)>,
    /// All arguments as a JSON object; `args` adds to it.
    pub json: Option<String>,
    /// Answers to questions, by the name of the field; for a page to visit the name is `url` and the value `accept`.
    pub answers: Vec<(String, String)>,
    /// Accept questions with the defaults of the form, and pages without opening them.
    pub assume_yes: bool,
    /// Keeps the session, and goes on with the one in it: [`Era::Auto`] then means a session.
    pub session_file: Option<PathBuf>,
    /// How to print.
    pub output: Output,
}

/// One look at what an endpoint offers.
#[derive(Clone, Debug)]
pub struct ListOptions {
    /// Where to.
    pub endpoint: Endpoint,
    /// How to print.
    pub output: Output,
}

/// How a call ended, when it reached an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The tool succeeded.
    Succeeded,
    /// The tool says that it failed (`isError`).
    Failed,
    /// The user cancelled the call.
    Cancelled,
}

// === impl Outcome ===

impl Outcome {
    /// The exit code of the process: 0, 1, or 130 as for a shell command ended by Ctrl-C.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::Failed => 1,
            Self::Cancelled => 130,
        }
    }
}
