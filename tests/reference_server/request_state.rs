//! The signed `requestState`, which carries the answers of earlier rounds through the client.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use rmcp::ErrorData;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize, Deserialize)]
struct State {
    name: String,
    answers: BTreeMap<String, Value>,
}

/// Signs what travels through the client. Fixed, so that a restarted server still knows its states.
const KEY: &[u8; 32] = b"reference server, tests only ...";
/// Stands between the text of a state and its signature. The text stays JSON with quotes and a letter outside ASCII: an opaque
/// state may be any string, and a hop that rewrites it is to be caught.
const MARK: &str = "·";

/// Signs the answers of this tool or prompt.
pub fn seal(name: &str, answers: &BTreeMap<String, Value>) -> Result<String, ErrorData> {
    let state = State { name: name.to_owned(), answers: answers.clone() };
    let text = serde_json::to_string(&state).map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    let signature = hmac::sign(&key(), text.as_bytes());
    let hex: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{text}{MARK}{hex}"))
}

/// The answers in a state, if this server signed it for this name.
pub fn open(state: &str, name: &str) -> Result<BTreeMap<String, Value>, ErrorData> {
    let genuine = || {
        let (text, hex) = state.rsplit_once(MARK)?;
        let digits = hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        let signature: Vec<u8> = digits.collect::<Option<_>>()?;
        hmac::verify(&key(), text.as_bytes(), &signature).ok()?;
        let state: State = serde_json::from_str(text).ok()?;
        (state.name == name).then_some(state.answers)
    };
    genuine()
        .ok_or_else(|| ErrorData::invalid_params("requestState is not one that this server made for this call", None))
}

fn key() -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, KEY)
}
