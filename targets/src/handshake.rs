//! `initialize` and `notifications/initialized`, whatever carries them (2025-11-25, lifecycle).

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use sessiongate_protocol::jsonrpc::{self, ErrorShape};
use sessiongate_protocol::text::words;
use sessiongate_protocol::{Era, RawJson, RequestId, Response, ResponseBody, Revision};

use crate::error::TargetError;
use crate::link::{Hello, Welcome};

/// The id of `initialize`. The ids of a link's calls are its owner's, who starts at 1.
pub(crate) const INITIALIZE_ID: i64 = 0;

#[derive(Deserialize)]
struct InitializeResult<'a> {
    #[serde(rename = "protocolVersion", borrow)]
    revision: Cow<'a, str>,
}

/// The `initialize` request.
pub(crate) fn initialize(hello: &Hello) -> Result<Bytes, TargetError> {
    let params = format!(
        r#"{{"protocolVersion":"{}","capabilities":{},"clientInfo":{}}}"#,
        hello.revision,
        hello.capabilities.as_str(),
        hello.client_info.as_str()
    );
    let params =
        RawJson::parse(params).map_err(|_| TargetError::Protocol { detail: "the hello is not JSON".into() })?;
    Ok(jsonrpc::request(&RequestId::integer(INITIALIZE_ID), "initialize", Some(&params)))
}

/// The `notifications/initialized` notification.
pub(crate) fn initialized() -> Bytes {
    Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
}

/// Reads the answer to `initialize`.
///
/// # Errors
/// [`TargetError::Refused`] for a JSON-RPC error and for a revision that has no handshake or is unknown.
pub(crate) fn welcome(response: Response, transport: &'static str) -> Result<Welcome, TargetError> {
    let result = match response.body {
        ResponseBody::Result(result) => result,
        ResponseBody::Error(error) => {
            let detail = match error.borrow::<ErrorShape<'_>>() {
                Ok(shape) => format!("{} ({})", words(&shape.message), shape.code),
                Err(_) => "it answered with an error".into(),
            };
            return Err(TargetError::Refused { detail });
        }
    };
    let answer: InitializeResult<'_> = result
        .borrow()
        .map_err(|_| TargetError::Protocol { detail: "the answer to `initialize` has no `protocolVersion`".into() })?;
    match Revision::parse(&answer.revision) {
        Some(revision) if revision.era() == Era::Legacy => Ok(Welcome { revision, result, transport }),
        _ => Err(TargetError::Refused {
            detail: format!("it speaks revision `{}`, which the gateway does not", words(&answer.revision)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: ResponseBody) -> Result<Welcome, TargetError> {
        welcome(Response { id: Some(RequestId::integer(0)), body }, "stdio")
    }

    #[test]
    fn a_known_legacy_revision_is_welcome_and_nothing_else() {
        let result = |text: &str| ResponseBody::Result(RawJson::parse(text.to_owned()).unwrap());
        let welcome = answer(result(r#"{"protocolVersion":"2025-06-18","x":1}"#)).unwrap();
        assert_eq!(welcome.revision, Revision::V2025_06_18);
        assert_eq!(welcome.result.as_str(), r#"{"protocolVersion":"2025-06-18","x":1}"#);
        for text in [r#"{"protocolVersion":"2026-07-28"}"#, r#"{"protocolVersion":"1.0"}"#] {
            assert!(matches!(answer(result(text)), Err(TargetError::Refused { .. })), "{text}");
        }
        assert!(matches!(answer(result("{}")), Err(TargetError::Protocol { .. })));
        let refused = answer(jsonrpc::error_body(-32602, "no\nthanks", None)).unwrap_err();
        assert_eq!(refused.to_string(), "the target refused to initialize: no thanks (-32602)");
    }
}
