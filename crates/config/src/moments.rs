//! Moments, written as people write them.

use std::time::Duration;

use bartizan_guard::Timestamp;
use chrono::{NaiveDate, NaiveTime};
use toml::value::{Datetime, Offset, Time};

use crate::units::Span;

/// When something ends that is said to end at `text`: a date (as it begins, in UTC), a date with a time, or a duration from
/// `now` on, such as `90d`. None if it is neither.
#[must_use]
pub fn end(text: &str, now: Timestamp) -> Option<Timestamp> {
    match duration(text) {
        Some(after) => Some(Timestamp(now.0.saturating_add(i64::try_from(after.as_micros()).ok()?))),
        None => timestamp(&text.parse().ok()?),
    }
}

/// How long `text` is: a number and one of `ms`, `s`, `min`, `h`, `d`. None if it is no duration.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    Span::parse(text).map(|span| span.0)
}

/// The moment; without an offset it is UTC, without a time the day's beginning. None for a time without a date.
pub(crate) fn timestamp(moment: &Datetime) -> Option<Timestamp> {
    let date = moment.date?;
    let time = moment.time.unwrap_or(Time { hour: 0, minute: 0, second: None, nanosecond: None });
    let minutes = match moment.offset {
        Some(Offset::Custom { minutes }) => i64::from(minutes),
        Some(Offset::Z) | None => 0,
    };
    let date = NaiveDate::from_ymd_opt(date.year.into(), date.month.into(), date.day.into())?;
    // A leap second is the one after it, which the calendar has.
    let seconds = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second.unwrap_or(0));
    let micros = i64::from(time.nanosecond.unwrap_or(0) / 1_000);
    Some(Timestamp((date.and_time(NaiveTime::MIN).and_utc().timestamp() + seconds - minutes * 60) * 1_000_000 + micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2027-01-31", 1_801_353_600),
            ("2024-12-31T23:59:59", 1_735_689_599),
            ("2024-12-31T23:59:59Z", 1_735_689_599),
            ("2025-01-01T01:59:59+02:00", 1_735_689_599),
            ("1969-12-31", -86_400),
        ] {
            let moment: Datetime = text.parse().unwrap();
            assert_eq!(timestamp(&moment), Some(Timestamp(seconds * 1_000_000)), "{text}");
        }
        let fraction = timestamp(&"1970-01-01T00:00:01.250001999Z".parse().unwrap());
        assert_eq!(fraction, Some(Timestamp(1_250_001)), "as the log writes it");
        assert_eq!(timestamp(&"10:00:00".parse().unwrap()), None);
    }

    #[test]
    fn ends() {
        let now = Timestamp(1_000_000);
        for (text, seconds) in
            [("30s", Some(31)), ("1d", Some(86_401)), ("2000-02-29", Some(951_782_400)), ("soon", None), ("", None)]
        {
            assert_eq!(end(text, now), seconds.map(|seconds| Timestamp(seconds * 1_000_000)), "{text}");
        }
    }
}
