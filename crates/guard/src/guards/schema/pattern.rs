//! What matching a `pattern` costs at worst, read off its text.

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
    use super::states;

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
    fn any_text_has_an_estimate() {
        for text in ["", "(", "((((", "))))", "[", "\\", "{", "a{", "a{99999999999999999999,}", "[\\", "(a{9999}){9999}"] {
            assert!((1..=super::MOST).contains(&states(text)), "{text}");
        }
    }
}
