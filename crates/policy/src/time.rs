//! Moments as policies write them.

const DAY: i64 = 86_400_000;

/// A moment in milliseconds since 1970-01-01 UTC as Cedar's `datetime`, and its weekday from 1, Monday.
pub(crate) fn moment(milliseconds: i64) -> (String, i64) {
    let (days, rest) = (milliseconds.div_euclid(DAY), milliseconds.rem_euclid(DAY));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60);
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", rest % 1_000);
    // The first day of all was a Thursday.
    (text, (days + 3).rem_euclid(7) + 1)
}

/// Year, month and day of a day counted from 1970-01-01, by the 400 years after which the calendar repeats, which begin in
/// March so that a leap day ends a year.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
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
            assert_eq!(moment(milliseconds), (text.to_owned(), weekday), "{milliseconds}");
        }
    }
}
