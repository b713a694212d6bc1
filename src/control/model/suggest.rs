//! "Did you mean …?"

use crate::similar::nearest;

/// `; did you mean …?` if a known word is what `word` was meant to be, else nothing.
pub(super) fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(word, known).map(|one| format!("; did you mean `{one}`?")).unwrap_or_default()
}
