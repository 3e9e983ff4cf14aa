//! Moments as policies write them.

use chrono::{DateTime, Datelike, SecondsFormat};

/// A moment in milliseconds since 1970-01-01 UTC as Cedar's `datetime`, and its weekday from 1, Monday. None in a year that
/// no calendar has.
pub(crate) fn moment(milliseconds: i64) -> Option<(String, i64)> {
    let moment = DateTime::from_timestamp_millis(milliseconds)?;
    Some((moment.to_rfc3339_opts(SecondsFormat::Millis, true), i64::from(moment.weekday().number_from_monday())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (milliseconds, text, weekday) in [
            (0, "1970-01-01T00:00:00.000Z", 4),
            (-1, "1969-12-31T23:59:59.999Z", 3),
            (951_782_400_000, "2000-02-29T00:00:00.000Z", 2),
            (1_772_323_199_123, "2026-02-28T23:59:59.123Z", 6),
            (1_772_323_200_000, "2026-03-01T00:00:00.000Z", 7),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z", 1),
        ] {
            assert_eq!(moment(milliseconds), Some((text.to_owned(), weekday)), "{milliseconds}");
        }
    }
}
