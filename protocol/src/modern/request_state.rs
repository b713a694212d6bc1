//! The `requestState` of a parked call: where the call waits, sealed for the one who made it.
//!
//! The client holds it and could show it to anyone, so it is encrypted, and opens for the same principal, gateway and
//! call alone (2026-07-28, multi round-trip requests, "server requirements"). That it is used once is for the session
//! that it names to see to.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::cheap::said;
use crate::json::RawJson;
use crate::jsonrpc::RequestId;
use crate::members::Members;
use crate::sealer::{SealError, Sealer, context};

/// What a parked call is found again by.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Park {
    /// The internal session whose call waits.
    #[serde(rename = "s")]
    pub session: Box<str>,
    /// The event of the call's stream after which to go on.
    #[serde(rename = "e")]
    pub stream: Box<str>,
    /// The id of the waiting call within the session.
    #[serde(rename = "c")]
    pub call: Box<str>,
    /// The keys that the client was asked under, each with the id of the target's request.
    #[serde(rename = "q", default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<(Box<str>, RequestId)>,
    /// Milliseconds since the Unix epoch from which on it does not open.
    #[serde(rename = "x")]
    pub expires_ms: u64,
    /// The state of a modern target, where the gateway wraps one: its JSON text, to be echoed.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub inner: Option<String>,
}

/// Whose state it is, and for which call. Nothing of it is in the token; all of it must be the same to open it.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The gateway's name.
    pub gateway: &'a str,
    /// A hash of the principal.
    pub principal: &'a [u8],
    /// The method of the request.
    pub method: &'a str,
    /// Its `name` or `uri`, as the client wrote it.
    pub name: &'a str,
    /// Of [`args_digest`].
    pub args_digest: [u8; 32],
}

/// Why a state does not open: -32602. It does not say what was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Not one of ours, changed, or of another caller or call.
    #[error("`requestState` is not valid for this request")]
    Invalid,
    /// Its time is over. The call that it speaks of has been given up.
    #[error("`requestState` has expired")]
    Expired,
}

// === impl Park ===

impl Park {
    /// Seals it into a token of [`crate::sealer::MAX_LONG_TOKEN`] characters at most.
    ///
    /// # Errors
    /// [`SealError::TooLong`] where the keys and the inner state are too long together.
    pub fn seal(&self, sealer: &Sealer, binding: &Binding<'_>) -> Result<String, SealError> {
        // Strings and numbers: serialising them cannot fail.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        sealer.seal_long(&binding.context(), &plain)
    }

    /// Opens a token.
    ///
    /// # Errors
    /// [`StateError::Invalid`] where it was not sealed for this binding, [`StateError::Expired`] where it was and
    /// `now_ms` (since the Unix epoch) is past its time.
    pub fn open(sealer: &Sealer, binding: &Binding<'_>, token: &str, now_ms: u64) -> Result<Self, StateError> {
        let plain = sealer.open_long(&binding.context(), token).ok_or(StateError::Invalid)?;
        let park: Self = serde_json::from_slice(&plain).map_err(|_| StateError::Invalid)?;
        if now_ms < park.expires_ms { Ok(park) } else { Err(StateError::Expired) }
    }
}

impl fmt::Debug for Park {
    // The session is a capability in itself, and the inner state was not written for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Park({} questions, expires {})", self.questions.len(), self.expires_ms)
    }
}

// === impl Binding ===

impl Binding<'_> {
    fn context(&self) -> Vec<u8> {
        context(&[
            b"requestState",
            self.gateway.as_bytes(),
            self.principal,
            self.method.as_bytes(),
            self.name.as_bytes(),
            &self.args_digest,
        ])
    }
}

/// A digest of what a call is about: `name`, `uri` and `arguments`. White space between tokens does not count, nor do
/// the order of the members of `params` and all its others; within `arguments` order and spelling count, as a client
/// that repeats a request sends what it sent.
pub fn args_digest(params: &RawJson) -> [u8; 32] {
    let bytes = match Members::of(params) {
        Ok(members) => {
            // A string may come back in another spelling, but not as another string.
            let text = |name| members.get_str(name).map(Cow::into_owned);
            let part = |value: Option<Vec<u8>>| match value {
                Some(value) => context(&[b"is", &value]),
                None => context(&[b"absent"]),
            };
            context(&[
                &part(text("name").map(String::into_bytes)),
                &part(text("uri").map(String::into_bytes)),
                &part(said(members.get("arguments")).map(|raw| compact(raw.get()))),
            ])
        }
        Err(_) => context(&[b"unreadable", params.as_bytes()]),
    };
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, &bytes).as_ref());
    out
}

/// JSON text without the white space between its tokens.
fn compact(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            continue;
        } else {
            in_string = byte == b'"';
        }
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealer::{Key, MAX_LONG_TOKEN};

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    fn park() -> Park {
        Park {
            session: "s".into(),
            stream: "7-3".into(),
            call: "1".into(),
            questions: vec![("e1".into(), RequestId::integer(4)), ("e2".into(), RequestId::string("4"))],
            expires_ms: 1000,
            inner: Some("\"\\u0061\"".into()),
        }
    }

    fn binding(params: &str) -> Binding<'static> {
        Binding {
            gateway: "g",
            principal: b"alice",
            method: "tools/call",
            name: "add",
            args_digest: args_digest(&raw(params)),
        }
    }

    #[test]
    fn a_state_opens_for_the_same_call_of_the_same_caller_until_it_expires() {
        let sealer = Sealer::new(Key::new(1, [1; 32]), Vec::new()).unwrap();
        let of = |params| binding(params);
        let first = of(r#"{"name":"add","arguments":{"a":1}}"#);
        let token = park().seal(&sealer, &first).unwrap();
        let again =
            of(r#"{"requestState":"x","inputResponses":{},"_meta":{},"arguments":{ "a" : 1 },"name":"\u0061dd"}"#);
        assert_eq!(Park::open(&sealer, &again, &token, 999), Ok(park()));
        assert_eq!(Park::open(&sealer, &again, &token, 1000), Err(StateError::Expired));
        for other in [
            of(r#"{"name":"add","arguments":{"a":2}}"#),
            Binding { gateway: "h", ..first },
            Binding { principal: b"bob", ..first },
            Binding { method: "prompts/get", ..first },
            Binding { name: "sub", ..first },
        ] {
            assert_eq!(Park::open(&sealer, &other, &token, 2000), Err(StateError::Invalid));
        }
        let mut changed = token.clone().into_bytes();
        changed[20] ^= 1;
        for bad in ["", "x", &String::from_utf8(changed).unwrap(), &token[..token.len() - 1]] {
            assert_eq!(Park::open(&sealer, &first, bad, 0), Err(StateError::Invalid));
        }
        let stranger = Sealer::new(Key::new(1, [2; 32]), Vec::new()).unwrap();
        assert_eq!(Park::open(&stranger, &first, &token, 0), Err(StateError::Invalid));
    }

    #[test]
    fn all_questions_of_a_round_fit() {
        let sealer = Sealer::new(Key::new(1, [1; 32]), Vec::new()).unwrap();
        let question = |n: usize| (format!("e{n}").repeat(100).into(), RequestId::string(&"i".repeat(900)));
        let large = Park { questions: (0..32).map(question).collect(), ..park() };
        let token = large.seal(&sealer, &binding("{}")).unwrap();
        assert!(token.len() > 4096 && token.len() <= MAX_LONG_TOKEN);
        assert_eq!(Park::open(&sealer, &binding("{}"), &token, 0), Ok(large));
        let huge = Park { inner: Some("x".repeat(MAX_LONG_TOKEN)), ..park() };
        assert!(matches!(huge.seal(&sealer, &binding("{}")), Err(SealError::TooLong(_))));
    }

    #[test]
    fn the_digest_tells_calls_apart() {
        let of = |text: &str| args_digest(&raw(text));
        let texts = [
            "{}",
            r#"{"arguments":{}}"#,
            r#"{"name":"a"}"#,
            r#"{"uri":"a"}"#,
            r#"{"name":"a","arguments":{"x":"a b"}}"#,
            r#"{"name":"a","arguments":{"x":"ab"}}"#,
            r#"{"name":"a","arguments":{"x":"\" b"}}"#,
            r#"{"name":"a","arguments":{"x":"\"b"}}"#,
            r#"{"name":"a","arguments":{"x":"\\" , "y":1}}"#,
            "[]",
        ];
        for (at, text) in texts.iter().enumerate() {
            assert!(texts[at + 1..].iter().all(|other| of(text) != of(other)), "{text}");
        }
        assert_eq!(of(r#"{"arguments":{"x":"\\" , "y":1}}"#), of(r#"{"arguments":{"x":"\\","y":1}}"#));
        assert_eq!(of(r#"{"arguments":null}"#), of("{}"));
    }
}
