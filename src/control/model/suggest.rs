//! "Did you mean …?"

/// Longer words were not mistyped, and comparing takes time.
const LONGEST: usize = 64;

/// `; did you mean …?` if a known word is what `word` was meant to be, else nothing.
pub(super) fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    if word.len() > LONGEST {
        return String::new();
    }
    let lower = word.to_lowercase();
    let near = known
        .map(|one| (strsim::damerau_levenshtein(&lower, &one.to_lowercase()), one))
        .filter(|(distance, one)| *distance <= 1.max(one.len() / 4))
        .min_by_key(|(distance, _)| *distance);
    near.map(|(_, one)| format!("; did you mean `{one}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let known = || ["description", "name", "roleArn"].into_iter();
        assert_eq!(did_you_mean("desciption", known()), "; did you mean `description`?");
        assert_eq!(did_you_mean("rolearn", known()), "; did you mean `roleArn`?");
        assert_eq!(did_you_mean("surprise", known()), "");
        assert_eq!(did_you_mean(&"name".repeat(20), known()), "");
    }
}
