//! What can go wrong for the client, in words for its user.

use std::{error::Error, path::PathBuf, time::Duration};

use rmcp::{
    ErrorData,
    model::{ErrorCode, ProtocolVersion},
    service::{ClientInitializeError, ServiceError},
};

use super::options::Era;

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
    /// The endpoint does not speak the era that was asked for.
    #[error("{url} does not speak {wanted}: {reason}; --era auto finds out what it speaks")]
    Era {
        /// Who.
        url: String,
        /// What it does not speak.
        wanted: &'static str,
        /// What it said.
        reason: String,
    },
    /// A tool that asks and asks.
    #[error("the tool had still not ended after {0} rounds of questions")]
    Rounds(usize),
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

    pub(super) fn initialize(url: &url::Url, era: Era, error: ClientInitializeError) -> Self {
        let wrong_era = |wanted, reason| Self::Era { url: url.to_string(), wanted, reason };
        match (error, era) {
            (ClientInitializeError::JsonRpcError(error), Era::Modern) => {
                wrong_era("revision 2026-07-28", Self::from(error).to_string())
            }
            (ClientInitializeError::NoCompatibleProtocolVersion { server_supported, .. }, Era::Modern) => {
                let known: Vec<&str> = server_supported.iter().map(ProtocolVersion::as_str).collect();
                wrong_era("revision 2026-07-28", format!("it knows {}", known.join(", ")))
            }
            (ClientInitializeError::JsonRpcError(error), Era::Legacy)
                if error.code == ErrorCode::UNSUPPORTED_PROTOCOL_VERSION =>
            {
                wrong_era("a revision with sessions", Self::from(error).to_string())
            }
            (ClientInitializeError::JsonRpcError(error), _) => error.into(),
            // It does not know 2026-07-28, so what it says in the other era is what counts.
            (ClientInitializeError::LegacyFallbackFailed { fallback, .. }, _) => Self::initialize(url, era, *fallback),
            (error, _) => Self::connection(url, &error),
        }
    }

    pub(super) fn service(url: &url::Url, error: ServiceError) -> Self {
        match error {
            ServiceError::McpError(error) => error.into(),
            ServiceError::UnexpectedResponse => Self::UnexpectedAnswer,
            ServiceError::InputRequiredRoundsExceeded { max_rounds } => Self::Rounds(max_rounds),
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
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
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
