//! The model's patterns. They are written for Java; each must match the whole string.

use std::sync::OnceLock;

use regex::Regex;

/// What Java's `\s` is without its Unicode flag.
const SPACE: &str = r" \t\n\x0B\x0C\r";
/// What `.` does not match in Java. A line break in an endpoint or an ARN could end up in a header or in a log.
const LINE_ENDS: &str = r"\n\r\x{85}\x{2028}\x{2029}";

/// A pattern, compiled when it is needed for the first time. Matching takes time linear in the string's length.
#[derive(Debug)]
pub struct Pattern {
    source: String,
    compiled: OnceLock<Option<Regex>>,
}

// === impl Pattern ===

impl Pattern {
    /// A pattern as the model has it; `None` if it is one that is not enforced.
    pub(super) fn new(source: &str) -> Option<Self> {
        // Real ARNs of credential providers say `bedrock-agentcore` where the model still says `acps`.
        (!source.contains(":acps:")).then(|| Self { source: source.to_owned(), compiled: OnceLock::new() })
    }

    /// As the model has it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What is enforced, for messages.
    pub(super) fn enforced(&self) -> String {
        // Which of these a gateway may call is not the model's business here: a target on the same host has no certificate.
        match self.source.strip_prefix("https://") {
            Some(rest) => format!("https?://{rest}"),
            None => self.source.clone(),
        }
    }

    /// Whether the whole of `text` fits. A pattern that cannot be compiled fits nothing; a test compiles all.
    pub fn matches(&self, text: &str) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(text))
    }

    fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| Regex::new(&translate(&self.enforced())).ok()).as_ref()
    }
}

/// The same language in the `regex` crate's words, anchored.
fn translate(source: &str) -> String {
    let mut out = String::from(r"\A(?:");
    let mut in_class = false;
    let mut characters = source.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match (characters.next(), in_class) {
                (Some('d'), false) => out.push_str("[0-9]"),
                (Some('d'), true) => out.push_str("0-9"),
                (Some('w'), false) => out.push_str("[0-9A-Za-z_]"),
                (Some('w'), true) => out.push_str("0-9A-Za-z_"),
                (Some('s'), false) => out.push_str(&format!("[{SPACE}]")),
                (Some('s'), true) => out.push_str(SPACE),
                // Inside a class this is a class of its own, which the crate allows.
                (Some('S'), _) => out.push_str(&format!("[^{SPACE}]")),
                (Some(other), _) => out.extend(['\\', other]),
                (None, _) => out.push_str(r"\\"),
            },
            '[' if !in_class => {
                in_class = true;
                out.push('[');
            }
            // Java and the crate have nested classes; the model has a bracket in a class only as itself.
            '[' => out.push_str(r"\["),
            ']' => {
                in_class = false;
                out.push(']');
            }
            '.' if !in_class => out.push_str(&format!("[^{LINE_ENDS}]")),
            other => out.push(other),
        }
    }
    out.push_str(r")\z");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let pattern = Pattern::new(pattern).unwrap();
        assert!(pattern.regex().is_some(), "{} does not compile", translate(&pattern.enforced()));
        pattern.matches(text)
    }

    #[test]
    fn the_whole_string_must_match() {
        assert!(matches("a|b.*", "a"));
        assert!(!matches("a|b.*", "ax"));
        assert!(!matches("[0-9]{2}", "123"));
        assert!(!matches("[0-9]{2}", "12\n"));
    }

    #[test]
    fn classes_are_ascii_as_in_java() {
        assert!(matches(r"\d\w\s\S", "1a\t!"));
        assert!(!matches(r"\d", "\u{0663}"), "an Arabic digit");
        assert!(!matches(r"\w", "é"));
        assert!(!matches(r"[\w\-.]+", "é"));
        assert!(matches(r"[\s\S]+", "any\nthing é"));
        assert!(!matches(r"[^\s?#]+", "a b"));
        assert!(matches(r"[\d_]+", "4_2"));
    }

    #[test]
    fn a_dot_ends_at_every_kind_of_line_end() {
        assert!(matches("role/.+", "role/a b é"));
        for end in ["\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"] {
            assert!(!matches("role/.+", &format!("role/a{end}b")), "{end:?}");
        }
        assert!(!matches("[a.]+", "ab"), "a dot in a class is a dot");
    }

    #[test]
    fn a_bracket_in_a_class_is_itself() {
        assert!(matches(r"[a[]+", "a["));
    }

    #[test]
    fn https_is_relaxed_and_acps_is_not_enforced() {
        assert!(matches("https://.*", "http://127.0.0.1:9/mcp"));
        assert!(matches("https://.*", "https://a.example/"));
        assert!(!matches("https://.*", "ftp://a.example/"));
        assert!(Pattern::new("arn:aws:acps:[a-z]+:.*").is_none());
    }

    #[test]
    fn a_pattern_that_cannot_be_compiled_fits_nothing() {
        assert!(!Pattern::new("(?=x)x").unwrap().matches("x"));
    }
}
