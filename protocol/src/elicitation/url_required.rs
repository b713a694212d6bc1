//! The -32042 error: the client must open pages first, then call again (2025-11-25, elicitation).

use serde_json::value::RawValue;

use super::Mode;
use crate::codes::URL_ELICITATION_REQUIRED;
use crate::json::RawJson;
use crate::jsonrpc::ErrorShape;
use crate::members::Members;

/// Pages that one error may ask for.
pub const MAX_ELICITATIONS: usize = 64;

/// Ids longer than this are refused, in bytes.
pub const MAX_ID: usize = 512;

/// What the gateway reads of a -32042: the error itself passes as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlRequired {
    /// The ids in order, by which `notifications/elicitation/complete` finds its way.
    pub ids: Vec<String>,
}

/// Why a -32042 must not reach the client. The texts name positions, never URLs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlRequiredError {
    /// Not an error object with this code.
    #[error("not a URL elicitation error")]
    OtherError,
    /// `data.elicitations` is missing, empty or no list.
    #[error("`data.elicitations` must be a list of URL elicitations")]
    NoList,
    /// More than [`MAX_ELICITATIONS`].
    #[error("`data.elicitations` has {0} entries, at most {MAX_ELICITATIONS} are allowed")]
    TooMany(usize),
    /// An entry is not a complete URL elicitation.
    #[error("`data.elicitations[{at}]`: {reason}")]
    BadEntry {
        /// Counted from 0.
        at: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

// === impl UrlRequired ===

impl UrlRequired {
    /// Whether an error object has the code, without a look at its data.
    pub fn has_code(error: &RawJson) -> bool {
        error.borrow::<ErrorShape<'_>>().is_ok_and(|error| error.code == URL_ELICITATION_REQUIRED)
    }

    /// Reads an error object and checks that every entry is in URL mode with an id and a URL.
    ///
    /// # Errors
    /// Where it is another error, or one that a target must not send: the client gets -32603 instead.
    pub fn read(error: &RawJson) -> Result<Self, UrlRequiredError> {
        let shape: ErrorShape<'_> = error.borrow().map_err(|_| UrlRequiredError::OtherError)?;
        if shape.code != URL_ELICITATION_REQUIRED {
            return Err(UrlRequiredError::OtherError);
        }
        let data = shape.data.and_then(|data| Members::of_str(data.get()).ok()).ok_or(UrlRequiredError::NoList)?;
        let list: Vec<&RawValue> = data
            .get("elicitations")
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .filter(|list: &Vec<_>| !list.is_empty())
            .ok_or(UrlRequiredError::NoList)?;
        if list.len() > MAX_ELICITATIONS {
            return Err(UrlRequiredError::TooMany(list.len()));
        }
        let ids = list
            .into_iter()
            .enumerate()
            .map(|(at, entry)| id_of(entry).map_err(|reason| UrlRequiredError::BadEntry { at, reason }))
            .collect::<Result<_, _>>()?;
        Ok(Self { ids })
    }
}

fn id_of(entry: &RawValue) -> Result<String, &'static str> {
    let entry = Members::of_str(entry.get()).map_err(|_| "not an object, or one with a duplicate member")?;
    if entry.get_str("mode").as_deref() != Some(mode_text(Mode::Url)) {
        return Err("`mode` must be `url`");
    }
    if entry.get_str("url").is_none_or(|url| url.is_empty()) {
        return Err("`url` must be a string that is not empty");
    }
    match entry.get_str("elicitationId") {
        Some(id) if !id.is_empty() && id.len() <= MAX_ID => Ok(id.into_owned()),
        Some(_) => Err("`elicitationId` is empty or too long"),
        None => Err("`elicitationId` must be a string"),
    }
}

const fn mode_text(mode: Mode) -> &'static str {
    match mode {
        Mode::Form => "form",
        Mode::Url => "url",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(elicitations: &str) -> Result<UrlRequired, UrlRequiredError> {
        let text = format!(r#"{{"code":-32042,"message":"first","data":{{"elicitations":{elicitations},"x":1}}}}"#);
        UrlRequired::read(&RawJson::parse(text).unwrap())
    }

    #[test]
    fn ids_are_read_in_order() {
        let list = r#"[{"mode":"url","elicitationId":"b","url":"https://x/?t=1","message":"m"},
                       {"mode":"url","elicitationId":"a","url":"https://y","message":"m","_meta":{}}]"#;
        assert_eq!(read(list).unwrap().ids, ["b", "a"]);
    }

    #[test]
    fn anything_but_url_elicitations_is_refused_without_showing_the_url() {
        for list in [
            "null",
            "[]",
            "{}",
            "[1]",
            r#"[{"mode":"form","elicitationId":"a","url":"https://secret"}]"#,
            r#"[{"elicitationId":"a","url":"https://secret"}]"#,
            r#"[{"mode":"url","url":"https://secret"}]"#,
            r#"[{"mode":"url","elicitationId":"","url":"https://secret"}]"#,
            r#"[{"mode":"url","elicitationId":"a"}]"#,
            r#"[{"mode":"url","mode":"form","elicitationId":"a","url":"https://secret"}]"#,
        ] {
            let error = read(list).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let entry = r#"{"mode":"url","elicitationId":"a","url":"u"}"#;
        assert_eq!(read(&format!("[{}]", [entry; 65].join(","))), Err(UrlRequiredError::TooMany(65)));
    }

    #[test]
    fn other_errors_are_left_alone() {
        let other = RawJson::parse(r#"{"code":-32602,"message":"m"}"#).unwrap();
        assert!(!UrlRequired::has_code(&other));
        assert_eq!(UrlRequired::read(&other), Err(UrlRequiredError::OtherError));
        let bare = RawJson::parse(r#"{"code":-32042,"message":"m"}"#).unwrap();
        assert!(UrlRequired::has_code(&bare));
        assert_eq!(UrlRequired::read(&bare), Err(UrlRequiredError::NoList));
    }
}
