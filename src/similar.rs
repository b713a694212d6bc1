//! "Did you mean …?": the word that was meant by one that nobody knows.

/// Longer words were not mistyped, and comparing takes time. In bytes.
const LONGEST: usize = 128;
/// From here on two words are alike however many letters differ: 1 is the same word.
const ALIKE: f64 = 0.88;

/// The known word that a slip of the finger would turn into `word`; none where `word` is another word. Case, and whether
/// parts are joined by `-` or `_`, do not count.
pub fn nearest<T: AsRef<str>>(word: &str, known: impl IntoIterator<Item = T>) -> Option<T> {
    if word.len() > LONGEST {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    let measured = known.into_iter().map(|one| {
        let text = plain(one.as_ref());
        (strsim::damerau_levenshtein(&word, &text), strsim::jaro_winkler(&word, &text), one)
    });
    measured
        .filter(|(distance, alike, one)| *distance <= 1.max(one.as_ref().len() / 3) || *alike > ALIKE)
        .min_by(|one, other| one.0.cmp(&other.0).then(other.1.total_cmp(&one.1)))
        .map(|(_, _, one)| one)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let known = ["description", "name", "roleArn", "idle_timeout", "prefixed", "sg_typed", "shop", "shopping"];
        for (slip, meant) in [
            ("desciption", "description"),
            ("rolearn", "roleArn"),
            ("idle-timeout", "idle_timeout"),
            ("prefix", "prefixed"),
            ("sg_typd", "sg_typed"),
            ("shpo", "shop"),
            ("nmae", "name"),
            ("shop", "shop"),
        ] {
            assert_eq!(nearest(slip, known), Some(meant), "{slip}");
        }
        for other in ["surprise", "zzz", "", "no_such_tool"] {
            assert_eq!(nearest(other, known), None, "{other}");
        }
        assert_eq!(nearest("name", [] as [&str; 0]), None);
    }

    #[test]
    fn what_nobody_typed_is_not_compared() {
        let (fits, long) = ("n".repeat(128), "n".repeat(129));
        assert_eq!(nearest(&fits, [&long]), Some(&long));
        assert_eq!(nearest(&long, [&long]), None);
    }
}
