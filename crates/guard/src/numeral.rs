//! Whole numbers, however JSON or a text writes them.

use std::borrow::Cow;
use std::ops::Range;

/// More digits are nobody's number.
const LONGEST: usize = 40;

/// The digits of a number of JSON without its sign, if it is a whole one: of `17`, `-17`, `17.0`, `1.7e1` and `170E-1` they are
/// `17`. None for any other, and for one of more than forty digits.
pub(crate) fn digits(raw: &str) -> Option<Cow<'_, str>> {
    let raw = raw.strip_prefix('-').unwrap_or(raw);
    if raw.bytes().all(|byte| byte.is_ascii_digit()) {
        return (raw.len() <= LONGEST).then_some(Cow::Borrowed(raw));
    }
    let (mantissa, exponent) = match raw.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (raw, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() > 2 * LONGEST {
        return None;
    }
    let mut digits = format!("{whole}{fraction}");
    // Where the point is, in front of all digits or behind some.
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let point = usize::try_from(point).ok().filter(|point| *point <= 2 * LONGEST)?;
    while digits.len() < point {
        digits.push('0');
    }
    let behind = digits.split_off(point);
    let first = digits.find(|digit| digit != '0').unwrap_or(digits.len().saturating_sub(1));
    digits.drain(..first);
    let is_whole = !digits.is_empty() && behind.bytes().all(|byte| byte == b'0');
    (is_whole && digits.len() <= LONGEST).then_some(Cow::Owned(digits))
}

/// Groups of one number.
const MOST_GROUPS: usize = 10;
/// Letters of a group without a digit.
const LETTERS: usize = 6;
/// Fewer digits are no number that stands for another.
const FEWEST: usize = 6;

/// Some letters and digits that stand together.
#[derive(Clone, Copy, Default)]
struct Group {
    start: usize,
    end: usize,
    digits: usize,
    /// Whether a number may begin or end with it.
    is_open: bool,
}

/// Calls `each` with every part of a text that may be a number as one is written: groups of digits, and of letters among them, with
/// a sign or two between. A number is among them in whatever groups it is written.
pub(crate) fn each_window(text: &str, mut each: impl FnMut(Range<usize>)) {
    let bytes = text.as_bytes();
    let mut last: Vec<Group> = Vec::with_capacity(MOST_GROUPS);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if !byte.is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let run = bytes.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_alphanumeric());
        let group = Group::of(bytes, at..at + run.count());
        let joins = last.last().is_some_and(|before| joins(text.get(before.end..group.start).unwrap_or_default()));
        if !joins {
            last.clear();
        } else if last.len() == MOST_GROUPS {
            last.remove(0);
        }
        last.push(group);
        ending(&last, &mut each);
        at = group.end;
    }
}

impl Group {
    fn of(bytes: &[u8], range: Range<usize>) -> Group {
        let letters = bytes.get(range.clone()).unwrap_or_default();
        let digits = letters.iter().filter(|byte| byte.is_ascii_digit()).count();
        let is_open = digits > 0 || (letters.len() <= LETTERS && letters.iter().all(u8::is_ascii_uppercase));
        Group { start: range.start, end: range.end, digits, is_open }
    }
}

/// All windows that end with the last group.
fn ending(groups: &[Group], each: &mut impl FnMut(Range<usize>)) {
    let Some(last) = groups.last().filter(|last| last.is_open) else { return };
    let (mut letters, mut digits) = (0, 0);
    for (more, group) in groups.iter().rev().enumerate() {
        letters += group.end - group.start;
        digits += group.digits;
        if letters > LONGEST {
            return;
        }
        // Nothing is written digit by digit.
        if group.is_open && digits >= FEWEST && letters > 2 * more {
            each(group.start..last.end);
        }
    }
}

/// Whether what stands between two groups may stand within a number.
fn joins(between: &str) -> bool {
    const MOST: usize = 3;
    let may = |c: char| {
        matches!(c, ' ' | '-' | '.' | '/' | '(' | ')' | '+' | '\u{A0}' | '\u{2010}'..='\u{2015}' | '\u{202F}')
    };
    !between.is_empty() && between.chars().take(MOST + 1).count() <= MOST && between.chars().all(may)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_however_they_are_written() {
        for (raw, expected) in [
            ("17", Some("17")),
            ("-4111111111111111.0", Some("4111111111111111")),
            ("4.111111111111111e15", Some("4111111111111111")),
            ("4.111111111111111E+15", Some("4111111111111111")),
            ("0.4111111111111111e16", Some("4111111111111111")),
            ("41111111111111110e-1", Some("4111111111111111")),
            ("1.7e10", Some("17000000000")),
            ("1.25e1", None),
            ("1234567.5", None),
            ("0.0", Some("0")),
            ("1e-1", None),
            ("1e400", None),
            ("1e-400", None),
            ("1e99999999999", None),
            ("0", Some("0")),
        ] {
            assert_eq!(digits(raw).as_deref(), expected, "{raw}");
        }
        assert_eq!(digits(&"1".repeat(41)), None);
        assert_eq!(digits(&format!("0.{}e5", "1".repeat(100_000))), None);
    }

    fn windows(text: &str) -> Vec<&str> {
        let mut all = Vec::new();
        each_window(text, |range| all.push(text.get(range).unwrap()));
        all
    }

    #[test]
    fn numbers_are_among_the_windows_of_a_text() {
        for (text, number) in [
            ("call +49 (0)30 901820, please", "49 (0)30 901820"),
            ("card:4111 1111-1111 1111.", "4111 1111-1111 1111"),
            ("{\"a\":4111111111111111}", "4111111111111111"),
            ("to DE89 3704 0044 0532 0130 00 and", "DE89 3704 0044 0532 0130 00"),
            ("NINO QQ 12 34 56 C is", "QQ 12 34 56 C"),
            ("id_BX-123456-AA", "BX-123456-AA"),
            ("a\u{A0}030\u{A0}901820", "030\u{A0}901820"),
        ] {
            assert!(windows(text).contains(&number), "{text}: {:?}", windows(text));
        }
        for text in ["", "no number at all", "12345", "1 2 3 4 5 6 7 8 9", "2024, 2025"] {
            assert_eq!(windows(text), Vec::<&str>::new(), "{text}");
        }
        // There are ten for each group at most, and none is long.
        for text in ["1234 ".repeat(10_000), "1".repeat(50_000), "A1 ".repeat(20_000)] {
            let all = windows(&text);
            assert!(all.len() <= 10 * 20_000 && all.iter().all(|one| one.len() <= 80));
        }
    }
}
