//! The two ways in which a signature may write its moment.

use std::time::SystemTime;

use time::format_description::well_known::Rfc2822;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// `yyyymmddThhmmssZ`, the form that is signed.
pub(super) fn parse_amz(text: &str) -> Option<SystemTime> {
    let digits = text.as_bytes();
    let well_formed = digits.len() == 16
        && digits.iter().enumerate().all(|(at, byte)| match at {
            8 => *byte == b'T',
            15 => *byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    if !well_formed {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u8>().ok();
    let date =
        Date::from_calendar_date(text.get(..4)?.parse().ok()?, Month::try_from(number(4, 6)?).ok()?, number(6, 8)?)
            .ok()?;
    let time = Time::from_hms(number(9, 11)?, number(11, 13)?, number(13, 15)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc().into())
}

/// A `Date` header: of RFC 5322, or in the form of `X-Amz-Date`.
pub(super) fn parse_date_header(text: &str) -> Option<SystemTime> {
    parse_amz(text).or_else(|| OffsetDateTime::parse(text, &Rfc2822).ok().map(SystemTime::from))
}

/// As `yyyymmddThhmmssZ`.
pub(super) fn text(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}{:02}{day:02}T{hour:02}{minute:02}{second:02}Z", u8::from(month))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn both_forms_are_read() {
        let at = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        assert_eq!(parse_amz("20260102T030405Z"), Some(at));
        assert_eq!(text(at), "20260102T030405Z");
        for date in ["Fri, 02 Jan 2026 03:04:05 GMT", "Fri, 02 Jan 2026 03:04:05 -0000", "20260102T030405Z"] {
            assert_eq!(parse_date_header(date), Some(at), "{date}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let bad = ["", "20260102", "20260102T030405", "20261302T030405Z", "20260230T030405Z", "20260102T240000Z"];
        for date in bad.into_iter().chain(["+0260102T030405Z", "2026010２T03040Z", "2026-01-02T03:04:05Z"]) {
            assert_eq!(parse_amz(date), None, "{date}");
            assert_eq!(parse_date_header(date), None, "{date}");
        }
    }
}
