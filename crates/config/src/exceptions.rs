//! Exceptions: checked against the rules that exist, and turned into moments.

use bartizan_guard::{Exception, RuleSpec, Timestamp, guards};
use toml::value::{Date, Datetime, Offset, Time};

use crate::file::ExceptionTable;
use crate::problems::Problems;
use crate::suggest;
use crate::tree::{self, Node};

/// The exceptions of the file. Expired ones are kept, as they do nothing, and reported.
pub(crate) fn exceptions(
    tables: Vec<ExceptionTable>,
    root: &Node<'_>,
    now: Timestamp,
    problems: &mut Problems,
) -> Vec<Exception> {
    let mut exceptions = Vec::new();
    for (index, table) in tables.into_iter().enumerate() {
        exceptions.extend(exception(table, &index.to_string(), root, now, problems));
    }
    exceptions
}

fn exception(
    table: ExceptionTable,
    index: &str,
    root: &Node<'_>,
    now: Timestamp,
    problems: &mut Problems,
) -> Option<Exception> {
    let path = |key| ["exception", index, key];
    let whole = tree::place(root, &["exception", index]);
    let mut complete = true;
    for (key, empty) in [
        ("rule", table.rule.is_empty()),
        ("reason", table.reason.trim().is_empty()),
        ("expires", table.expires.is_none()),
    ] {
        if empty && !problems.is_broken(&path(key)) {
            complete = false;
            let missing = tree::get(root, &path(key)).is_none();
            let place = if missing { whole.clone() } else { tree::place(root, &path(key)) };
            let what = if missing { "is missing" } else { "is empty" };
            problems.error(place, format!("`{key}` of an exception {what}")).help(match key {
                "rule" => "`bartizan guards` lists the rules",
                "reason" => "say why, for those who have to answer for it later",
                _ => "an exception that never ends is a hole; write a date such as 2027-01-31",
            });
        }
    }
    if !table.rule.is_empty() {
        rule(&table.rule, &path("rule"), root, problems);
    }
    let place = tree::place(root, &path("expires"));
    let expires = match table.expires.map(|moment| timestamp(&moment)) {
        Some(None) => {
            problems.error(place, "not a date").help("write a date such as 2027-01-31");
            return None;
        }
        expires => expires.flatten()?,
    };
    if expires <= now {
        let message = format!("the exception for `{}` has expired and does nothing", table.rule);
        problems.warn(place, message).help("remove it, or decide anew until when it is to hold");
    }
    let (server, tool) = (table.server, table.tool);
    complete.then_some(Exception { rule: table.rule, server, tool, reason: table.reason, expires })
}

fn rule(id: &str, path: &[&str], root: &Node<'_>, problems: &mut Problems) {
    let place = tree::place(root, path);
    match all_rules().find(|rule| rule.id == id) {
        None => {
            let near = suggest::nearest(id, all_rules().map(|rule| rule.id));
            let help =
                near.map_or("`bartizan guards` lists the rules".to_owned(), |near| format!("did you mean `{near}`?"));
            problems.error(place, format!("there is no rule `{id}`")).help(help);
        }
        Some(rule) if rule.fixed => {
            problems.error(place, format!("the rule `{id}` always denies and has no exceptions"));
        }
        Some(_) => {}
    }
}

fn all_rules() -> impl Iterator<Item = &'static RuleSpec> {
    guards::ALL.iter().flat_map(|spec| spec.rules)
}

/// The moment; without an offset it is UTC, without a time the day's beginning.
fn timestamp(moment: &Datetime) -> Option<Timestamp> {
    let date = moment.date?;
    let time = moment.time.unwrap_or(Time { hour: 0, minute: 0, second: None, nanosecond: None });
    let offset = match moment.offset {
        Some(Offset::Custom { minutes }) => i64::from(minutes) * 60,
        Some(Offset::Z) | None => 0,
    };
    let clock = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second.unwrap_or(0));
    Some(Timestamp((days(date) * 86_400 + clock - offset) * 1_000_000))
}

/// Days since 1970-01-01. Years begin in March here, so that the day a leap year adds is its last.
fn days(date: Date) -> i64 {
    let (year, month, day) = (i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + (day - 1) - 719_468
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
        assert_eq!(timestamp(&"10:00:00".parse().unwrap()), None);
    }
}
