//! Times as the log writes them: RFC 3339, UTC, always six digits of a second.

/// Length of a time: `2026-01-02T03:04:05.678901Z`.
pub(crate) const LEN: usize = 27;

const DAY_MICROS: i64 = 86_400_000_000;

/// Writes microseconds since 1970, or `None` outside the years 0 to 9999, which the format cannot write.
pub(crate) fn format(at_micros: i64) -> Option<[u8; LEN]> {
    let (year, month, day) = civil(at_micros.div_euclid(DAY_MICROS));
    let micros = at_micros.rem_euclid(DAY_MICROS);
    if !(0..=9999).contains(&year) {
        return None;
    }
    let seconds = micros / 1_000_000;
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    put(text.get_mut(0..4)?, year);
    put(text.get_mut(5..7)?, month);
    put(text.get_mut(8..10)?, day);
    put(text.get_mut(11..13)?, seconds / 3600);
    put(text.get_mut(14..16)?, seconds / 60 % 60);
    put(text.get_mut(17..19)?, seconds % 60);
    put(text.get_mut(20..26)?, micros % 1_000_000);
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
    let days = days(number(0..4)?, number(5..7)?, number(8..10)?);
    let seconds = number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    let at_micros = days * DAY_MICROS + seconds * 1_000_000 + number(20..26)?;
    // Writing it again catches a wrong separator and an impossible date at once.
    (format(at_micros)? == *text).then_some(at_micros)
}

fn put(place: &mut [u8], mut number: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn get(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

/// Year, month and day of a day counted from 1970-01-01. Years start in March here, so that a leap day comes last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
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
