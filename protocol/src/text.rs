//! Names that come from the other side, made safe to show in an error or a log line.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_is_cut_at_a_character() {
        assert_eq!(short("add"), "add");
        let cut = short(&"é".repeat(1000)).into_owned();
        assert!(cut.len() <= MAX + '…'.len_utf8() && cut.ends_with("é…"), "{cut}");
    }
}
