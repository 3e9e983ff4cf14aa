//! What compiling a `pattern` and matching it cost at worst, read off its text.

/// More states than the regex engine's size limit lets through.
const MOST: u64 = 16_384;

/// An upper estimate of the states of the compiled automaton: matching takes at most that many steps per byte.
pub(super) fn states(pattern: &str) -> u64 {
    let mut groups: Vec<Group> = Vec::new();
    let mut here = Group::default();
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '(' => groups.push(std::mem::take(&mut here)),
            ')' => {
                let inner = std::mem::replace(&mut here, groups.pop().unwrap_or_default());
                here.atom(inner.total());
            }
            '[' => here.atom(class(&mut rest)),
            '{' => here.repeat(count(&mut rest)),
            '\\' => here.atom(match rest.next() {
                // A Unicode class is a large alternation of byte sequences.
                Some('p' | 'P') => 1_024,
                Some(_) => 16,
                None => 1,
            }),
            '*' | '+' | '?' | '|' | '^' | '$' => here.total += 1,
            '.' => here.atom(16),
            _ => here.atom(4),
        }
    }
    while let Some(outer) = groups.pop() {
        let inner = std::mem::replace(&mut here, outer);
        here.atom(inner.total());
    }
    here.total().clamp(1, MOST)
}

/// An upper estimate of what compiling it takes, in units of some 20 ns.
///
/// The engine's size limit bounds the automaton only: the text is parsed, translated and its classes are folded
/// before, whatever they come to.
pub(super) fn compiling(pattern: &str) -> u64 {
    /// Automata beyond are given up on.
    const LARGEST: u64 = 4_096;
    let insensitive = folds_case(pattern);
    let length = pattern.len() as u64;
    let mut units = 2_048 + 32 * length + 8 * states(pattern).min(LARGEST);
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        let more = match character {
            '\\' => match rest.next() {
                Some('p' | 'P') if insensitive => u64::from(u32::from(char::MAX)),
                Some('d' | 'D' | 's' | 'S' | 'w' | 'W' | 'p' | 'P') => 1_024,
                // Each of these has the whole pattern parsed again.
                Some('c') => length,
                Some('u' | 'x') if insensitive => u64::from(code_point(rest.as_str())),
                _ => 0,
            },
            '?' => 256,
            // A range is folded character by character, and may begin at the first one.
            _ if insensitive && !character.is_ascii() => u64::from(u32::from(character)),
            _ => 0,
        };
        units = units.saturating_add(more);
    }
    units
}

/// Whether a group switches case off, as `(?i)` and `(?s-i:` may.
fn folds_case(pattern: &str) -> bool {
    let flags = |group: &str| {
        let end = group.find(|c: char| !c.is_ascii_alphabetic() && c != '-').unwrap_or(group.len());
        group.get(..end).is_some_and(|flags| flags.contains('i'))
    };
    pattern.split("(?").skip(1).any(flags)
}

/// What follows `\u` or `\x`; the last character of all if it is none.
fn code_point(rest: &str) -> u32 {
    let digits = rest.strip_prefix('{').unwrap_or(rest);
    let end = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
    let number = digits.get(..end).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    number.unwrap_or(u32::MAX).min(char::MAX.into())
}

#[derive(Default)]
struct Group {
    total: u64,
    last: u64,
}

impl Group {
    fn atom(&mut self, size: u64) {
        self.total = self.total.saturating_add(self.last);
        self.last = size;
    }

    fn repeat(&mut self, times: u64) {
        self.last = self.last.saturating_mul(times.max(1));
    }

    fn total(&self) -> u64 {
        self.total.saturating_add(self.last)
    }
}

fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> u64 {
    let mut size = 16;
    while let Some(character) = rest.next() {
        match character {
            ']' => break,
            '\\' => size += if matches!(rest.next(), Some('p' | 'P')) { 1_024 } else { 16 },
            _ => size += 1,
        }
    }
    size
}

/// The largest number within braces; braces without one are ordinary characters.
fn count(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> u64 {
    let (mut most, mut number) = (0_u64, 0_u64);
    while let Some(character) = rest.peek() {
        match character.to_digit(10) {
            Some(digit) => number = number.saturating_mul(10).saturating_add(u64::from(digit)),
            None if *character == ',' => number = 0,
            None => break,
        }
        most = most.max(number);
        rest.next();
    }
    most
}

#[cfg(test)]
mod tests {
    use super::{compiling, states};

    #[test]
    fn counted_repetition_multiplies() {
        for (small, large) in [
            ("a", "a{50}"),
            ("[ab]{10}", "[ab]{100}"),
            ("(a{10}){2}", "(a{10}){20}"),
            ("((a|b){3}c){3}", "((a|b){3}c){30}"),
            (r"\d", r"\p{L}"),
            ("a{2,}", "a{2,200}"),
        ] {
            assert!(states(small) * 4 <= states(large), "{small} {} {large} {}", states(small), states(large));
        }
    }

    #[test]
    fn compiling_costs_what_the_engine_has_to_work_out() {
        for (cheap, dear, times) in [
            ("a", "a?", 1),
            (r"\pL", r"(?i)\pL", 50),
            ("[a-\u{10ffff}]", "(?i)[a-\u{10ffff}]", 200),
            (r"[a-\u{10ffff}]", r"(?s-i)[a-\u{10ffff}]", 200),
            (r"(?i)[a-\u00ff]", r"(?i)[a-\uffff]", 10),
            (r"(?i)[a-ÿ]+@\w+\.\d{2,}", r"(?i:[a-\x{10fff0}])", 50),
            ("a", &r"\cA".repeat(1_000), 1_000),
            ("a{50}", &"a".repeat(100_000), 500),
        ] {
            assert!(compiling(cheap) * times < compiling(dear), "{cheap} {} {}", compiling(cheap), compiling(dear));
        }
        for honest in ["(?<i>a)é", r"(?<=i)\p{L}", "(?:i)[à-ÿ]"] {
            assert!(compiling(honest) < 20_000, "{honest}");
        }
        for text in ["\\", "(?", "(?i", "(?i)\\u", "(?i)\\u{", "(?i)\\x{ffffffffffffffff}", "(?i-é"] {
            assert!(compiling(text) > 2_048, "{text}");
        }
    }

    #[test]
    fn any_text_has_an_estimate() {
        for text in ["", "(", "((((", "))))", "[", "\\", "{", "a{", "a{99999999999999999999,}", "[\\", "(a{9999}){9999}"] {
            assert!((1..=super::MOST).contains(&states(text)), "{text}");
        }
    }
}
