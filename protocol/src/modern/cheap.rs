//! Looking at bytes before parsing them: most results have nothing that a hop must change.

use memchr::memmem;
use serde_json::value::RawValue;

use crate::json::RawJson;

/// Whether an object may have a member whose name ends with `name`, which must be ASCII letters. False is certain. A
/// name can be spelled with escapes (`\u0072esultType`, and `a\/b` for one with a slash, hence the end alone), so any
/// escaped ASCII letter counts as a yes.
pub(super) fn may_have(raw: &RawJson, name: &str) -> bool {
    may_have_in(raw.as_bytes(), name)
}

/// As [`may_have`], of a part; `name` may have hyphens too.
pub(super) fn may_have_in(text: &[u8], name: &str) -> bool {
    let named = memmem::find_iter(text, name).any(|at| text.get(at + name.len()) == Some(&b'"'));
    named || memmem::find_iter(text, r"\u00").any(|at| matches!(text.get(at + 4), Some(b'2'..=b'7')))
}

/// A part of a value that was borrowed from it, sharing its bytes.
pub(super) fn part_of(whole: &RawJson, part: &RawValue) -> RawJson {
    RawJson::slice_of(&whole.clone().into_bytes(), part)
}

/// Whether a member says nothing: absent, or `null`, as several SDKs write what is absent.
pub(super) fn said(member: Option<&RawValue>) -> Option<&RawValue> {
    member.filter(|raw| raw.get() != "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_a_name_is_missed() {
        let may = |text: &str| may_have(&RawJson::parse(text.to_owned()).unwrap(), "resultType");
        assert!(may(r#"{"resultType":1}"#));
        assert!(may(r#"{"result\u0054ype":1}"#));
        assert!(may(r#"{"resultTyp\u0065":1}"#));
        assert!(may(r#"{"a\/resultType":1}"#));
        assert!(!may(r#"{"resultTypes":1,"x":"\u00e9\u0001"}"#));
    }
}
