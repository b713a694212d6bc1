//! What can go wrong for the client, in words for its user.

use std::{error::Error, path::PathBuf, time::Duration};

use rmcp::{
    ErrorData,
    service::{ClientInitializeError, ServiceError},
};

/// Why a call or a list did not come to a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The endpoint answered with a JSON-RPC error.
    #[error("the endpoint answered with error {code}: {message}")]
    Protocol {
        /// The JSON-RPC code.
        code: i32,
        /// The endpoint's own words.
        message: String,
    },
    /// There is no such tool.
    #[error("there is no tool {name:?}{}", suggestion(.similar))]
    UnknownTool {
        /// What was asked for.
        name: String,
        /// What it may have been.
        similar: Option<String>,
    },
    /// An argument or answer cannot be used.
    #[error("{0}")]
    Argument(String),
    /// The endpoint cannot be reached, or does not speak MCP.
    #[error("cannot talk to {url}: {reason}")]
    Connection {
        /// Where to.
        url: String,
        /// Why not.
        reason: String,
    },
    /// It took too long.
    #[error("no result within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The session file cannot be used.
    #[error("session file {}: {reason}", path.display())]
    SessionFile {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The endpoint sent something that fits no answer.
    #[error("the endpoint sent an answer of the wrong kind")]
    UnexpectedAnswer,
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}

// === impl ClientError ===

impl ClientError {
    /// The exit code of the process: 2 for an answer or a wish that cannot be, 3 for no connection.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Connection { .. } | Self::Timeout(_) | Self::UnexpectedAnswer => 3,
            _ => 2,
        }
    }

    pub(super) fn connection(url: &url::Url, error: &(dyn Error + 'static)) -> Self {
        Self::Connection { url: url.to_string(), reason: chain(error) }
    }

    pub(super) fn initialize(url: &url::Url, error: ClientInitializeError) -> Self {
        match error {
            ClientInitializeError::JsonRpcError(error) => error.into(),
            error => Self::connection(url, &error),
        }
    }

    pub(super) fn service(url: &url::Url, error: ServiceError) -> Self {
        match error {
            ServiceError::McpError(error) => error.into(),
            ServiceError::UnexpectedResponse => Self::UnexpectedAnswer,
            error => Self::connection(url, &error),
        }
    }
}

impl From<ErrorData> for ClientError {
    fn from(error: ErrorData) -> Self {
        Self::Protocol { code: error.code.0, message: error.message.into_owned() }
    }
}

fn suggestion(similar: &Option<String>) -> String {
    similar.as_ref().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

/// An error with its causes, each said once.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
