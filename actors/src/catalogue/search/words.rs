//! The words of a text, so that those of a query and those of a tool meet: `createIssue`, `create_issue` and "creating
//! issues" are the same two words.

/// A longer run of letters is no word: encoded data, for one.
const LONGEST: usize = 64;

/// What nearly every question has and no tool is found by.
const IDLE: [&str; 67] = [
    "a", "about", "all", "am", "an", "and", "any", "are", "as", "at", "be", "been", "by", "can", "could", "do", "does",
    "for", "from", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "let", "like", "me", "my", "need",
    "not", "of", "on", "or", "our", "please", "s", "should", "some", "that", "the", "their", "them", "then", "there",
    "these", "this", "to", "tool", "tools", "us", "use", "want", "was", "we", "what", "when", "which", "will", "with",
    "would", "you", "your",
];

/// A run of letters and digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// All of it, stemmed.
    pub whole: Box<str>,
    /// Its parts, stemmed, where capitals within it say that it has some.
    pub parts: Vec<Box<str>>,
}

/// The words of a text in their order; characters of scripts that put no spaces between words are each one.
pub fn words(text: &str) -> impl Iterator<Item = Word> {
    runs(text).filter(|run| run.len() <= LONGEST).map(Word::of)
}

/// Whether a word says nothing of what is looked for.
pub fn is_idle(word: &str) -> bool {
    IDLE.binary_search(&word).is_ok()
}

// === impl Word ===

impl Word {
    fn of(run: &str) -> Self {
        let whole = stem(&run.to_lowercase());
        let cuts = cuts(run);
        if cuts.is_empty() {
            return Self { whole, parts: Vec::new() };
        }
        let ends = cuts.iter().copied().chain([run.len()]);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let parts = starts.zip(ends).map(|(start, end)| stem(&run[start..end].to_lowercase())).collect();
        Self { whole, parts }
    }
}

fn runs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|one: char| !one.is_alphanumeric());
        let first = rest.chars().next()?;
        let end = match stands_alone(first) {
            true => first.len_utf8(),
            false => rest.find(|one: char| !one.is_alphanumeric() || stands_alone(one)).unwrap_or(rest.len()),
        };
        let (run, left) = rest.split_at(end);
        rest = left;
        Some(run)
    })
}

/// Kana and Han.
fn stands_alone(one: char) -> bool {
    matches!(one, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Where parts begin: at a capital after a small letter, and at the last of several capitals before a small letter
/// (`parseHTTPServer`). A capital at the end alone begins none (`OAuthA`).
fn cuts(run: &str) -> Vec<usize> {
    let letters: Vec<(usize, char)> = run.char_indices().collect();
    let mut cuts = Vec::new();
    for three in letters.windows(3) {
        let [(_, before), (at, here), (_, after)] = [three[0], three[1], three[2]];
        if here.is_uppercase() && (before.is_lowercase() || before.is_uppercase() && after.is_lowercase()) {
            cuts.push(at);
        }
    }
    cuts
}

/// An English word without the endings that change with its use. Crude on purpose: both sides lose the same.
pub fn stem(word: &str) -> Box<str> {
    // Endings are ASCII, so that cutting them off cuts between characters.
    if word.len() < 4 || !word.is_ascii() || word.bytes().any(|byte| byte.is_ascii_digit()) {
        return word.into();
    }
    let single = singular(word);
    let root = without_tense(&single);
    let noun = match cut(root, "ion").filter(|left| left.ends_with(['t', 's'])) {
        Some(left) => left,
        None => root.strip_suffix("ment").filter(|left| left.len() >= 5).unwrap_or(root),
    };
    let end = noun.strip_suffix('e').filter(|left| left.len() >= 3).unwrap_or(noun);
    match end.strip_suffix('y').filter(|left| left.len() >= 3) {
        Some(left) => format!("{left}i").into(),
        None => end.into(),
    }
}

fn singular(word: &str) -> std::borrow::Cow<'_, str> {
    if let Some(left) = cut(word, "ies") {
        return format!("{left}y").into();
    }
    if ["xes", "ches", "shes", "sses", "zes"].iter().any(|ending| word.ends_with(ending)) {
        return word[..word.len() - 2].into();
    }
    match word.strip_suffix('s') {
        Some(left) if !left.ends_with(['s', 'u', 'i']) => left.into(),
        _ => word.into(),
    }
}

fn without_tense(word: &str) -> &str {
    let left = match cut(word, "ing") {
        Some(left) => left,
        None => match cut(word, "ed").filter(|left| !left.ends_with('e')) {
            Some(left) => left,
            None => return word,
        },
    };
    let mut last = left.bytes().rev();
    match (last.next(), last.next()) {
        // running, but calling and passing
        (Some(a), Some(b)) if a == b && left.len() > 3 && !matches!(a, b'l' | b's' | b'z') => &left[..left.len() - 1],
        _ => left,
    }
}

/// The word without an ending, where a word is left.
fn cut<'a>(word: &'a str, ending: &str) -> Option<&'a str> {
    let left = word.strip_suffix(ending)?;
    (left.len() >= 3 && left.contains(['a', 'e', 'i', 'o', 'u', 'y'])).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_one_kind_have_one_stem() {
        for same in [
            &["create", "creates", "created", "creating", "creation"][..],
            &["delete", "deleting", "deletion", "deleted"],
            &["search", "searches", "searching", "searched"],
            &["repository", "repositories"],
            &["run", "runs", "running"],
            &["call", "calls", "calling", "called"],
            &["translate", "translation", "translations"],
            &["deploy", "deployment", "deployments"],
            &["box", "boxes"],
            &["list", "lists", "listing"],
            &["query", "queries"],
        ] {
            let stems: Vec<_> = same.iter().map(|word| stem(word)).collect();
            assert!(stems.iter().all(|one| *one == stems[0]), "{stems:?}");
        }
        for (a, b) in
            [("data", "date"), ("string", "str"), ("status", "statu"), ("feed", "fe"), ("ping", "p"), ("s3", "s")]
        {
            assert_ne!(stem(a), stem(b), "{a} {b}");
        }
    }

    #[test]
    fn names_fall_apart_as_people_read_them() {
        let of = |text: &str| {
            let show = |word: Word| match word.parts.is_empty() {
                true => word.whole.to_string(),
                false => format!("{}[{}]", word.whole, word.parts.join(" ")),
            };
            words(text).map(show).collect::<Vec<_>>().join(" ")
        };
        for (text, expected) in [
            ("git-hub___search_code", "git hub search cod"),
            ("listPullRequests", "listpullrequest[list pull request]"),
            ("GitHub", "github[git hub]"),
            ("parseHTTPServer2", "parsehttpserver2[pars http server2]"),
            ("URLs, OAuth2!", "url[ur ls] oauth2[o auth2]"),
            ("", ""),
            ("…!? --", ""),
            ("Überprüfung größer", "überprüfung größer"),
            ("天気を見る", "天 気 を 見 る"),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
        assert_eq!(words(&"x".repeat(LONGEST + 1)).count(), 0);
    }

    #[test]
    fn idle_words_are_in_order() {
        assert!(IDLE.is_sorted() && is_idle("the") && is_idle("your") && !is_idle("file"));
    }
}
