//! JSON as people keep it: with comments and trailing commas.

use serde_json::Value;

use super::super::error::{ConfigError, Position};

/// Reads it; positions in errors are those of the file.
pub fn parse(text: &str) -> Result<Value, ConfigError> {
    let clean = without_commas(&without_comments(text.strip_prefix('\u{feff}').unwrap_or(text)));
    serde_json::from_str(&clean).map_err(|error| {
        // The message may quote the file only by character, never by value.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        ConfigError::general(format!("not valid JSON: {message}"))
            .position(Position { line: error.line(), column: error.column().max(1) })
    })
}

/// Comments become spaces, so that everything else stays where it is.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match (char, chars.peek()) {
            ('"', _) => {
                out.push('"');
                while let Some(inner) = chars.next() {
                    out.push(inner);
                    match inner {
                        '\\' => out.extend(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            ('/', Some('/')) => {
                out.push(' ');
                while let Some(inner) = chars.next_if(|inner| *inner != '\n') {
                    out.push(blank(inner));
                }
            }
            ('/', Some('*')) => {
                out.push(' ');
                let mut star = false;
                let mut opening = true;
                for inner in chars.by_ref() {
                    out.push(blank(inner));
                    if star && inner == '/' {
                        break;
                    }
                    // The star that opens cannot close: `/*/` is an open comment.
                    star = inner == '*' && !std::mem::take(&mut opening);
                }
            }
            _ => out.push(char),
        }
    }
    out
}

/// A comma before a closing bracket becomes a space.
fn without_commas(text: &str) -> String {
    let mut out: Vec<char> = Vec::with_capacity(text.len());
    let mut comma = None;
    let mut quoted = false;
    let mut escaped = false;
    for char in text.chars() {
        if quoted {
            quoted = escaped || char != '"';
            escaped = !escaped && char == '\\';
        } else if matches!(char, '}' | ']') {
            if let Some(at) = comma.take() {
                out[at] = ' ';
            }
        } else if char == ',' {
            comma = Some(out.len());
        } else if !char.is_whitespace() {
            comma = None;
            quoted = char == '"';
        }
        out.push(char);
    }
    out.into_iter().collect()
}

fn blank(char: char) -> char {
    if char == '\n' { '\n' } else { ' ' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_are_allowed() {
        let text = "{ // one\n \"a\": \"x // y /* z, }\", /* two\n lines, */ \"b\": [1, 2, ], \"c\": \"\\\",]\",\n}";
        let value = parse(text).unwrap();
        assert_eq!(value, serde_json::json!({"a": "x // y /* z, }", "b": [1, 2], "c": "\",]"}));
        assert!(parse("{\"a\": /*/ 1 */ 2}").is_ok());
    }

    #[test]
    fn errors_stand_where_they_are_in_the_file() {
        let error = parse("{\n  // fine\n  \"a\": oops\n}").unwrap_err();
        assert_eq!(error.position.map(|at| at.line), Some(3), "{error}");
        assert!(error.to_string().contains("not valid JSON"), "{error}");
    }
}
