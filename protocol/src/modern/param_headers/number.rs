//! Numbers as text: `42.0` is `42`, and none of them passes through a float.

use std::borrow::Cow;

/// Longest integer that is written out from another spelling: `1e999999999` must not become a gigabyte.
const MAX_DIGITS: i64 = 40;
/// Exponents beyond are compared as text.
const MAX_EXPONENT: i64 = 1_000_000_000;

/// `digits` times ten to the power of `exponent`. Of each value there is one, so that equal means the same.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    /// Neither begins nor ends with a zero; empty means nought.
    digits: String,
    exponent: i64,
}

/// An integer without fraction and exponent. Anything else as it came: it is no integer, and the target will say so.
pub(super) fn decimal(number: &str) -> Cow<'_, str> {
    match Decimal::parse(number) {
        Some(Decimal { negative, digits, exponent })
            if exponent >= 0 && (digits.len() as i64).saturating_add(exponent) <= MAX_DIGITS =>
        {
            let sign = if negative { "-" } else { "" };
            let digits = if digits.is_empty() { "0" } else { &digits };
            let zeros = "0".repeat(usize::try_from(exponent).unwrap_or(0));
            Cow::Owned(format!("{sign}{digits}{zeros}"))
        }
        _ => Cow::Borrowed(number),
    }
}

/// Whether both are the same number.
pub(super) fn same(one: &str, other: &str) -> bool {
    one == other
        || match (Decimal::parse(one), Decimal::parse(other)) {
            (Some(one), Some(other)) => one == other,
            _ => false,
        }
}

// === impl Decimal ===

impl Decimal {
    /// Reads what JSON takes for a number.
    fn parse(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            None => (text, 0),
            Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            None => (mantissa, ""),
            Some((_, "")) => return None,
            Some(parts) => parts,
        };
        if !is_digits(whole) || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        if !fraction.is_empty() && !is_digits(fraction) {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let trimmed = all.trim_end_matches('0');
        let exponent = exponent - fraction.len() as i64 + (all.len() - trimmed.len()) as i64;
        let digits = trimmed.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        Some(Self { negative, digits, exponent })
    }
}

fn read_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !is_digits(digits) {
        return None;
    }
    text.parse().ok().filter(|exponent: &i64| exponent.abs() <= MAX_EXPONENT)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_number_are_the_same() {
        for (one, other) in [
            ("42", "42.0"),
            ("42", "4.2e1"),
            ("4200", "42E+2"),
            ("-0", "0.000"),
            ("0e9", "0"),
            ("12345678901234567890123", "12345678901234567890123.0"),
            ("1e9999999999", "1e9999999999"),
        ] {
            assert!(same(one, other) && same(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("42", "42.1"),
            ("42", "-42"),
            ("42", "042"),
            ("42", "+42"),
            ("42", "42."),
            ("42", "0x2a"),
            ("42", ""),
            ("42", "420e"),
            ("9007199254740993", "9007199254740992"),
            ("1", "1 "),
        ] {
            assert!(!same(one, other) && !same(other, one), "{one} {other}");
        }
    }

    #[test]
    fn an_integer_is_written_without_point_and_exponent() {
        for (number, expected) in [
            ("42.0", "42"),
            ("-4.2e1", "-42"),
            ("-0", "0"),
            ("1e3", "1000"),
            ("42.5", "42.5"),
            ("1e-7", "1e-7"),
            ("1e999999999", "1e999999999"),
            ("9007199254740993", "9007199254740993"),
        ] {
            assert_eq!(decimal(number), expected);
        }
    }
}
