//! `${NAME}`, `${NAME:-default}` and `$$` inside a value.
//!
//! A reference is expanded after the YAML is parsed, so that what a variable holds can never become structure.

/// Where variables come from: the process environment, or a table in tests.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a value cannot be expanded. Names, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// There is no such variable, and the reference has no default.
    #[error("the environment variable `{0}` is not set")]
    Missing(String),
    /// `${` without an end, or a name that no variable can have.
    #[error("`{0}` is not a reference")]
    Malformed(String),
}

/// The process environment. A variable that is not UTF-8 counts as not set.
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Whether there is anything to expand.
#[must_use]
pub fn has_reference(text: &str) -> bool {
    text.contains('$')
}

/// Expands all references of `text`. A lone `$` stands for itself, `$$` for one `$`. An empty variable takes the
/// default, as in a shell's `:-`.
pub fn expand(text: &str, lookup: Lookup<'_>) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some(body) = after.strip_prefix('{') {
            let (inside, tail) = body.split_once('}').ok_or_else(|| ExpandError::Malformed(shortened(&rest[at..])))?;
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            if !is_name(name) {
                return Err(ExpandError::Malformed(shortened(&format!("${{{inside}}}"))));
            }
            match (lookup(name), default) {
                (Some(value), None) => out.push_str(&value),
                (Some(value), Some(_)) if !value.is_empty() => out.push_str(&value),
                (_, Some(default)) => out.push_str(default),
                (None, None) => return Err(ExpandError::Missing(name.to_owned())),
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Letters, digits and underscores, not led by a digit.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first == b'_' || first.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// Enough of a text to find it again.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("alpha".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${A}: [x]\n".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn references_are_expanded_once() {
        for (text, expected) in [
            ("plain", "plain"),
            ("${A}", "alpha"),
            ("Bearer ${A}!", "Bearer alpha!"),
            ("${A}${A}", "alphaalpha"),
            ("${NONE:-x y}", "x y"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY}", ""),
            ("${NONE:-}", ""),
            ("$$", "$"),
            ("$${A}", "${A}"),
            ("5$ and $x", "5$ and $x"),
            ("${NESTED}", "${A}: [x]\n"),
        ] {
            assert_eq!(expand(text, &lookup).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn broken_references_are_named() {
        assert_eq!(expand("a ${NONE} b", &lookup), Err(ExpandError::Missing("NONE".to_owned())));
        for text in ["${", "${A", "${}", "${1A}", "${env:A}", "${A B}"] {
            assert!(matches!(expand(text, &lookup), Err(ExpandError::Malformed(_))), "{text}");
        }
    }
}
