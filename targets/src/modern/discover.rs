//! The question which era a target speaks: `server/discover`, and what its answers mean (2026-07-28, versioning).

use async_trait::async_trait;
use serde::Deserialize;
use sessiongate_protocol::jsonrpc::ErrorShape;
use sessiongate_protocol::modern::envelope::{self, HopEnvelope};
use sessiongate_protocol::text::words;
use sessiongate_protocol::{Era, Notification, RawJson, Response, ResponseBody, Revision};

use super::detect::Finding;
use super::http::speaks_for_the_target;
use super::{Exchange, ModernRequest, NoteSink};
use crate::error::TargetError;
use crate::link::{Hello, SinkClosed};

#[derive(Deserialize)]
struct Discovered {
    #[serde(rename = "supportedVersions")]
    supported: Vec<String>,
}

/// The error -32022.
#[derive(Deserialize)]
struct Unsupported {
    data: Supported,
}

#[derive(Deserialize)]
struct Supported {
    supported: Vec<String>,
}

struct Dropped;

const UNSUPPORTED_VERSION: i64 = -32022;
/// The headers do not fit the body; a capability is missing.
const MODERN_ERRORS: [i64; 2] = [-32020, -32021];

/// The method that asks.
const DISCOVER: &str = "server/discover";

/// Asks over `exchange`, which may be the first thing that the target hears.
///
/// # Errors
/// Whatever says nothing about the era; [`TargetError::Refused`] where the target is modern and cannot be spoken to.
pub(crate) async fn ask(
    exchange: &dyn Exchange,
    hello: &Hello,
    deadline: std::time::Instant,
) -> Result<Finding, TargetError> {
    let mut versions_named = false;
    loop {
        let response = match exchange.exchange(discover(hello), &Dropped, deadline).await {
            Ok(response) => response,
            Err(TargetError::Status { status, .. }) if speaks_for_the_target(status) => return Ok(Finding::Legacy),
            // Not even JSON-RPC: a server that takes every POST for something else.
            Err(TargetError::Protocol { .. }) => return Ok(Finding::Legacy),
            Err(error) => return Err(error),
        };
        match read(response, versions_named)? {
            Some(finding) => return Ok(finding),
            None => versions_named = true,
        }
    }
}

/// The request. It declares nothing: the answer is for all sessions.
fn discover(hello: &Hello) -> ModernRequest {
    let hop = HopEnvelope {
        protocol_version: Revision::V2026_07_28.as_str(),
        client_capabilities: &RawJson::EMPTY_OBJECT,
        client_info: Some(&hello.client_info),
        log_level: None,
        progress_token: None,
    };
    let params = envelope::write(None, &hop);
    let passed = hello.beside();
    ModernRequest { method: DISCOVER.into(), params, name: None, param_headers: Vec::new(), passed }
}

/// What a response says; none where the target wants to be asked again, in a revision that both speak. `again` is true
/// the second time.
fn read(response: Response, again: bool) -> Result<Option<Finding>, TargetError> {
    let error = match response.body {
        ResponseBody::Result(result) => {
            return match result.get::<Discovered>() {
                Ok(discovered) => choose(&discovered.supported).map(|era| {
                    Some(match era {
                        Era::Modern => Finding::Modern(result),
                        Era::Legacy => Finding::Legacy,
                    })
                }),
                // Some servers answer everything with something.
                Err(_) => Ok(Some(Finding::Legacy)),
            };
        }
        ResponseBody::Error(error) => error,
    };
    let Ok(shape) = error.borrow::<ErrorShape<'_>>() else { return Ok(Some(Finding::Legacy)) };
    let refused = || TargetError::Refused { detail: format!("{} ({})", words(&shape.message), shape.code) };
    if MODERN_ERRORS.contains(&shape.code) {
        return Err(refused());
    }
    if shape.code != UNSUPPORTED_VERSION {
        return Ok(Some(Finding::Legacy));
    }
    let unsupported: Unsupported = error.get().map_err(|_| refused())?;
    match choose(&unsupported.data.supported)? {
        Era::Legacy => Ok(Some(Finding::Legacy)),
        Era::Modern if again => Err(refused()),
        Era::Modern => Ok(None),
    }
}

/// The era of the best revision that both speak.
fn choose(supported: &[String]) -> Result<Era, TargetError> {
    let best = supported.iter().filter_map(|date| Revision::parse(date)).max();
    best.map(Revision::era).ok_or_else(|| TargetError::Refused {
        detail: format!("it speaks `{}`, which the gateway does not", words(&supported.join("`, `"))),
    })
}

#[async_trait]
impl NoteSink for Dropped {
    async fn note(&self, _: Notification) -> Result<(), SinkClosed> {
        Ok(())
    }
}
