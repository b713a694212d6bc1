//! The headers that repeat what the body says, so that proxies need not read it (2026-07-28, transports, "header
//! mirroring").

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The revision; equals `_meta["io.modelcontextprotocol/protocolVersion"]`.
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// The method.
pub const METHOD: &str = "mcp-method";
/// The tool's or prompt's name, the resource's URI, the task's id.
pub const NAME: &str = "mcp-name";
/// Begins the header of an argument.
pub const PARAM_PREFIX: &str = "mcp-param-";

/// What a value that cannot stand in a header by itself begins and ends with; upper and lower case count.
const OPEN: &str = "=?base64?";
const CLOSE: &str = "?=";

/// Why a header cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is marked as base64 but is not base64 of UTF-8")]
pub struct BadEncoding;

/// A value as it stands in a header: as it is where that is visible ASCII, spaces and tabs, without white space at its
/// ends, and does not look encoded; else in base64 between the markers.
pub fn encode(value: &str) -> Cow<'_, str> {
    let plain = value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    let trimmed = value.trim_matches([' ', '\t']).len() == value.len();
    if plain && trimmed && !(value.starts_with(OPEN) && value.ends_with(CLOSE)) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(format!("{OPEN}{}{CLOSE}", STANDARD.encode(value)))
}

/// The value that a header carries. White space around it does not count.
///
/// # Errors
/// Where it is marked as base64 and is not.
pub fn decode(header: &str) -> Result<Cow<'_, str>, BadEncoding> {
    let header = header.trim_matches([' ', '\t']);
    let Some(encoded) = header.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE)) else {
        return Ok(Cow::Borrowed(header));
    };
    let bytes = STANDARD.decode(encoded).map_err(|_| BadEncoding)?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| BadEncoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_header_cannot_carry_is_encoded() {
        assert_eq!(encode("cart___add item"), "cart___add item");
        assert_eq!(encode(""), "");
        assert_eq!(encode("é"), "=?base64?w6k=?=");
        assert_eq!(encode(" x"), "=?base64?IHg=?=");
        assert_eq!(encode("=?base64?w6k=?="), "=?base64?PT9iYXNlNjQ/dzZrPT89?=");
        assert_eq!(decode("=?BASE64?w6k=?=").unwrap(), "=?BASE64?w6k=?=");
        assert_eq!(decode("=?base64?w6k=").unwrap(), "=?base64?w6k=");
        assert_eq!(decode("  x\t").unwrap(), "x");
        assert_eq!(decode("=?base64?***?="), Err(BadEncoding));
        assert_eq!(decode("=?base64?/w==?="), Err(BadEncoding));
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_is_decoded(value in "\\PC{0,40}|[ -~\t\n]{0,20}") {
            let encoded = encode(&value);
            proptest::prop_assert!(encoded.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')));
            proptest::prop_assert_eq!(&*decode(&encoded).unwrap(), &value);
        }
    }
}
