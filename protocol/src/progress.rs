//! `notifications/progress`: to the call it belongs to, under that caller's own token, and never backwards.

use crate::json::RawJson;
use crate::meta::{ParamsError, ProgressToken, members, token_at_top};

/// What the gateway reads of a progress notification.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The token that this hop's requester chose.
    pub token: ProgressToken,
    /// How far the call is; finite.
    pub progress: f64,
}

/// The highest progress of one call that was passed on: values must increase (section "progress").
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Watermark(Option<f64>);

// === impl Progress ===

impl Progress {
    /// Reads the params of a notification.
    ///
    /// # Errors
    /// Where the token or the number is missing or of the wrong type, or a member comes twice.
    pub fn read(params: &RawJson) -> Result<Self, ParamsError> {
        const NUMBER: ParamsError = ParamsError::WrongType { member: "progress", expected: "a finite number" };
        let members = members(params)?;
        let token = token_at_top(&members)?;
        let raw = members.get("progress").ok_or(ParamsError::Missing("progress"))?;
        let progress: f64 = serde_json::from_str(raw.get()).map_err(|_| NUMBER)?;
        if progress.is_finite() { Ok(Self { token, progress }) } else { Err(NUMBER) }
    }
}

/// The params with the token swapped for that of the other hop; `total`, `message` and all else as they came.
///
/// # Errors
/// Where `params` is no object or has duplicates.
pub fn with_token(params: &RawJson, token: &ProgressToken) -> Result<RawJson, ParamsError> {
    Ok(members(params)?.with(&[("progressToken", Some(token.as_raw()))]))
}

// === impl Watermark ===

impl Watermark {
    /// Whether this value may be passed on; if so, later ones must be higher.
    pub fn admit(&mut self, progress: f64) -> bool {
        let higher = progress.is_finite() && self.0.is_none_or(|before| progress > before);
        if higher {
            self.0 = Some(progress);
        }
        higher
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn the_token_is_swapped_and_the_rest_kept() {
        let params = raw(r#"{"progressToken":12,"progress":0.50,"total":1.0,"message":"é","x":[ 1 ]}"#);
        let read = Progress::read(&params).unwrap();
        assert_eq!((read.token.as_i64(), read.progress), (Some(12), 0.5));
        let token = ProgressToken::from_raw("\"abc\"").unwrap();
        assert_eq!(
            with_token(&params, &token).unwrap().as_str(),
            r#"{"progressToken":"abc","progress":0.50,"total":1.0,"message":"é","x":[ 1 ]}"#
        );
    }

    #[test]
    fn what_is_no_progress_is_refused() {
        for text in [
            r#"{"progress":1}"#,
            r#"{"progressToken":1}"#,
            r#"{"progressToken":1,"progress":"1"}"#,
            r#"{"progressToken":1,"progress":1e999}"#,
            r#"{"progressToken":1.5,"progress":1}"#,
            r#"{"progressToken":1,"progressToken":2,"progress":1}"#,
        ] {
            assert!(Progress::read(&raw(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn only_higher_values_pass() {
        let mut mark = Watermark::default();
        let passed: Vec<bool> =
            [0.0, 0.0, 1.0, 0.5, f64::NAN, 1.5, f64::INFINITY].into_iter().map(|value| mark.admit(value)).collect();
        assert_eq!(passed, [true, false, true, false, false, true, false]);
    }
}
