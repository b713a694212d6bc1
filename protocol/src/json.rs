//! A JSON value as bytes that were checked and are not parsed further.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// One JSON value, kept as the bytes it came in: a cheap slice of the message around it.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(Bytes);

/// Nesting deeper than this is refused: parsers behind the gateway recurse.
pub const MAX_DEPTH: usize = 128;

// === impl RawJson ===

impl RawJson {
    /// `{}`.
    pub const EMPTY_OBJECT: Self = Self(Bytes::from_static(b"{}"));

    /// Wraps a slice of `whole` without copying it.
    ///
    /// # Panics
    /// If `part` does not borrow from `whole`.
    pub fn slice_of(whole: &Bytes, part: &RawValue) -> Self {
        Self(whole.slice_ref(part.get().as_bytes()))
    }

    /// Serialises a value.
    pub fn from_serialize<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_vec(value).map(|bytes| Self(bytes.into()))
    }

    /// Takes text after checking that it is one JSON value.
    pub fn parse(text: impl Into<Bytes>) -> Result<Self, serde_json::Error> {
        let bytes = text.into();
        serde_json::from_slice::<&RawValue>(&bytes)?;
        Ok(Self(bytes))
    }

    /// Takes text that this program wrote itself and knows to be one JSON value.
    pub(crate) fn trusted(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        debug_assert!(serde_json::from_slice::<&RawValue>(&bytes).is_ok(), "not JSON: {bytes:?}");
        Self(bytes)
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        // Every constructor checked that the bytes are JSON, which is UTF-8.
        std::str::from_utf8(&self.0).unwrap_or("null")
    }

    /// The JSON text as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, shared.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Length of the text in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never true for a checked value; here because `len` is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Deserialises the value.
    pub fn get<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }

    /// Deserialises the value, borrowing from it.
    pub fn borrow<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }
}

impl fmt::Debug for RawJson {
    // Bodies hold form answers and tool arguments: their size is all a log may show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson({} bytes)", self.0.len())
    }
}

impl serde::Serialize for RawJson {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_slice(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for RawJson {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(Bytes::from(raw.get().as_bytes().to_vec())))
    }
}

/// The text of a JSON string, borrowed where nothing in it is escaped. None for any other value.
pub fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    match memchr::memchr(b'\\', inner.as_bytes()) {
        None => Some(Cow::Borrowed(inner)),
        Some(_) => serde_json::from_str(raw.get()).ok().map(Cow::Owned),
    }
}

/// Writes a string as JSON.
pub(crate) fn push_quoted(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && !matches!(byte, b'"' | b'\\')) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Serialising a str cannot fail.
        out.extend_from_slice(&serde_json::to_vec(text).unwrap_or_default());
    }
}

/// Whether brackets nest deeper than [`MAX_DEPTH`]; no recursion.
pub fn too_deep(text: &[u8]) -> bool {
    // Most messages have fewer brackets than that, wherever they stand: counting them is many times as fast. A part is
    // so short that its count fits into a byte.
    let opening = |part: &[u8]| part.iter().map(|&byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    let brackets: usize = text.chunks(255).map(|part| usize::from(opening(part))).sum();
    brackets > MAX_DEPTH && nests_too_deep(text)
}

/// One pass, strings skipped.
fn nests_too_deep(text: &[u8]) -> bool {
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    for &byte in text {
        if in_string {
            if escaped {
                escaped = false;
            } else if byte == b'\\' {
                escaped = true;
            } else if byte == b'"' {
                in_string = false;
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        let at = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!too_deep(at(MAX_DEPTH).as_bytes()));
        assert!(too_deep(at(MAX_DEPTH + 1).as_bytes()));
        assert!(!too_deep(format!("\"\\\"{}\"", "[".repeat(500)).as_bytes()));
        let (open, close) = (r#"{"a":["#.repeat(MAX_DEPTH / 2), "]}".repeat(MAX_DEPTH / 2));
        let wide = format!("[{}0]", "[],".repeat(500));
        assert!(!too_deep(format!("{open}{close}").as_bytes()) && !too_deep(wide.as_bytes()));
        assert!(too_deep(format!("[{open}{close}]").as_bytes()));
    }

    #[test]
    fn strings_are_read_and_written_as_the_parser_would() {
        for raw in [r#""""#, r#""a""#, r#""a b\u00e9""#, r#""é""#, r#""\"""#, r#""\ud800""#, "1", "null", "[]"] {
            let raw: &RawValue = serde_json::from_str(raw).unwrap();
            assert_eq!(text_of(raw).map(Cow::into_owned), serde_json::from_str(raw.get()).ok(), "{raw}");
        }
        for text in ["", "a b", "é", "a\"b", "\\", "\n\u{1}\u{7f}"] {
            let mut out = Vec::new();
            push_quoted(&mut out, text);
            assert_eq!(out, serde_json::to_vec(text).unwrap(), "{text}");
        }
    }
}
