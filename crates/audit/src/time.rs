//! Times as the log writes them: RFC 3339, UTC, always six digits of a second.

use chrono::{DateTime, Datelike, NaiveDate, Timelike};

/// Length of a time: `2026-01-02T03:04:05.678901Z`.
pub(crate) const LEN: usize = 27;

/// Writes microseconds since 1970, or `None` outside the years 0 to 9999, which the format cannot write.
/// Digit by digit, since every entry has one.
pub(crate) fn format(at_micros: i64) -> Option<[u8; LEN]> {
    let at = DateTime::from_timestamp_micros(at_micros)?;
    let year = u32::try_from(at.year()).ok().filter(|year| *year <= 9999)?;
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    put(text.get_mut(0..4)?, year);
    put(text.get_mut(5..7)?, at.month());
    put(text.get_mut(8..10)?, at.day());
    put(text.get_mut(11..13)?, at.hour());
    put(text.get_mut(14..16)?, at.minute());
    put(text.get_mut(17..19)?, at.second());
    put(text.get_mut(20..26)?, at.timestamp_subsec_micros());
    Some(text)
}

/// Microseconds since 1970 as the log writes them, such as `2026-01-02T03:04:05.678901Z`; outside the years 0 to 9999 the
/// number itself.
#[must_use]
pub fn rfc3339(at_micros: i64) -> String {
    format(at_micros).map_or_else(|| at_micros.to_string(), |text| text.iter().copied().map(char::from).collect())
}

/// Reads what [`format`] writes and nothing else.
pub(crate) fn parse(text: &[u8]) -> Option<i64> {
    let number = |range| text.get(range).and_then(get);
    let date = NaiveDate::from_ymd_opt(number(0..4)?.try_into().ok()?, number(5..7)?, number(8..10)?)?;
    let time = date.and_hms_micro_opt(number(11..13)?, number(14..16)?, number(17..19)?, number(20..26)?)?;
    let at_micros = time.and_utc().timestamp_micros();
    // Writing it again catches a wrong separator as well.
    (format(at_micros)? == *text).then_some(at_micros)
}

fn put(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn get(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(at_micros: i64, text: &str) {
        assert_eq!(format(at_micros).as_ref().map(|t| str::from_utf8(t).unwrap()), Some(text));
        assert_eq!(parse(text.as_bytes()), Some(at_micros), "{text}");
    }

    #[test]
    fn times_are_written_and_read() {
        check(0, "1970-01-01T00:00:00.000000Z");
        check(-1, "1969-12-31T23:59:59.999999Z");
        check(951_782_400_000_000, "2000-02-29T00:00:00.000000Z");
        check(1_767_323_045_678_901, "2026-01-02T03:04:05.678901Z");
        check(253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z");
        assert_eq!(format(253_402_300_800_000_000), None);
        assert_eq!(format(i64::MIN), None);
    }

    #[test]
    fn other_spellings_are_refused() {
        for wrong in [
            "2026-02-29T00:00:00.000000Z",
            "2026-13-01T00:00:00.000000Z",
            "2026-01-01T24:00:00.000000Z",
            "2026-01-01 00:00:00.000000Z",
            "2026-01-01T00:00:00.000000z",
            "2026-01-01T00:00:00.00000Z",
            "2026-01-01T00:00:00.+00000Z",
            "",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_time_reads_back(at in -62_167_219_200_000_000_i64..253_402_300_800_000_000) {
            assert_eq!(format(at).and_then(|text| parse(&text)), Some(at));
        }
    }
}
