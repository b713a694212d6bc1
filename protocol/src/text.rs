//! Names and words that come from the other side, made safe to show in an error or a log line.

use std::borrow::Cow;

/// Longest name that is shown whole, in bytes.
const MAX: usize = 128;

/// The name, or its beginning and an ellipsis.
pub fn short(name: &str) -> Cow<'_, str> {
    if name.len() <= MAX {
        return Cow::Borrowed(name);
    }
    Cow::Owned(format!("{}…", &name[..name.floor_char_boundary(MAX)]))
}

/// Longest text of another that is told, in characters.
const MAX_WORDS: usize = 256;

/// What another says in a message for people, such as that of a JSON-RPC error: on one line, at most 256 characters of it and an
/// ellipsis.
pub fn words(text: &str) -> String {
    let mut out: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_WORDS).collect();
    if text.chars().nth(MAX_WORDS).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_one_line_of_so_many_characters() {
        assert_eq!(words("not\r\nnow\u{7}"), "not  now ");
        assert_eq!(words(&"é".repeat(256)), "é".repeat(256));
        assert_eq!(words(&"é".repeat(257)), "é".repeat(256) + "…");
    }

    #[test]
    fn a_book_is_cut_at_a_character() {
        assert_eq!(short("add"), "add");
        let cut = short(&"é".repeat(1000)).into_owned();
        assert!(cut.len() <= MAX + '…'.len_utf8() && cut.ends_with("é…"), "{cut}");
    }
}
