//! Groups of digits and capital letters that may be one number together, found sixty-four bytes at a time.

use std::ops::Range;

use crate::ascii::{self, BLOCK, Block, Head};

/// Groups that stand one after another with a sign or two between.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) groups: Vec<Range<usize>>,
}

/// The longest that is read, without what separates its groups.
pub(super) const LONGEST: usize = 34;
/// Groups of one number.
pub(super) const MOST_GROUPS: usize = 10;
/// Letters of a group without a digit.
const LETTERS: usize = 6;

/// Some groups of a cluster, read together.
#[derive(Debug)]
pub(super) struct Number<'t> {
    whole: &'t str,
    pub(super) start: usize,
    pub(super) end: usize,
    text: [u8; LONGEST],
    length: usize,
    pub(super) digits: usize,
}

impl<'t> Number<'t> {
    /// One without groups yet.
    pub(super) fn new(whole: &'t str) -> Number<'t> {
        Number { whole, start: 0, end: 0, text: [0; LONGEST], length: 0, digits: 0 }
    }

    /// Adds the next group; `None` if that is too long.
    pub(super) fn add(&mut self, group: &Range<usize>) -> Option<()> {
        let bytes = self.whole.as_bytes().get(group.clone())?;
        if self.length == 0 {
            self.start = group.start;
        }
        self.end = group.end;
        let room = self.text.get_mut(self.length..self.length + bytes.len())?;
        for (to, byte) in room.iter_mut().zip(bytes) {
            *to = byte.to_ascii_uppercase();
            self.digits += usize::from(byte.is_ascii_digit());
        }
        self.length += bytes.len();
        Some(())
    }

    /// As it is written.
    pub(super) fn raw(&self) -> &'t str {
        self.whole.get(self.start..self.end).unwrap_or_default()
    }

    /// Without what separates it, letters as capitals.
    pub(super) fn compact(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }

    pub(super) fn is_digits(&self) -> bool {
        self.digits == self.length
    }
}

impl Cluster {
    /// Calls `each` with every cluster of a text that has at least `fewest` digits and signs of hexadecimal numbers.
    pub(super) fn each(text: &str, mut each: impl FnMut(&Cluster)) {
        let bytes = text.as_bytes();
        let mut cluster = Cluster::default();
        let (mut start, mut next) = (0, 0);
        while start < bytes.len() {
            let mut digits = Block::of(bytes, start).digits();
            while digits != 0 {
                let at = start + digits.trailing_zeros() as usize;
                digits &= digits - 1;
                if at < next {
                    continue;
                }
                next = cluster.read(bytes, at, next);
                if !cluster.groups.is_empty() {
                    each(&cluster);
                }
                // What is read already is passed over whole.
                digits = if next >= start + BLOCK { 0 } else { digits & (u64::MAX << (next - start).min(63)) };
            }
            start = (start + BLOCK).max(next / BLOCK * BLOCK);
        }
    }

    /// Reads the cluster around a digit, and tells where it ends; nothing before `from` is of it.
    fn read(&mut self, bytes: &[u8], at: usize, from: usize) -> usize {
        self.groups.clear();
        let before = bytes.get(from..at).unwrap_or_default();
        let start = at - before.iter().rev().take(LONGEST).take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let end = start + ascii::run(bytes, start, Head::words);
        let mut group = self.group(bytes, start, end);
        if group.len() > LONGEST {
            return end;
        }
        self.add_before(bytes, from, start);
        loop {
            let end = group.end;
            self.groups.push(group);
            let Some(start) = separated(bytes, end) else { return end };
            let run = start + ascii::run(bytes, start, Head::words);
            group = self.group(bytes, start, run);
            let letters = bytes.get(group.clone()).unwrap_or_default();
            let capital = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
            let has_digit = letters.iter().take(LONGEST).any(u8::is_ascii_digit);
            if group.len() > LONGEST || !(has_digit || (letters.len() <= LETTERS && letters.iter().all(capital))) {
                return end;
            }
        }
    }

    /// What is one group of a run of letters, digits and underscores: up to an underscore, or an extension (`1234x56`).
    fn group(&self, bytes: &[u8], start: usize, end: usize) -> Range<usize> {
        let run = bytes.get(start..end.min(start + LONGEST + 1)).unwrap_or_default();
        let cut = run.iter().position(|byte| *byte == b'_').unwrap_or(run.len());
        let digits = run.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let extended = matches!(run.get(digits), Some(b'x')) && (3..=12).contains(&digits);
        let is_extension = extended && run.iter().skip(digits + 1).all(u8::is_ascii_digit) && digits + 1 < run.len();
        start..start + if is_extension { digits } else { cut.max(1) }
    }

    /// Up to two groups of capital letters that stand before the first digit, as in `AB 12 34`.
    fn add_before(&mut self, bytes: &[u8], from: usize, start: usize) {
        let mut start = start;
        for _ in 0..2 {
            let Some(sign) = start.checked_sub(1).filter(|at| *at > from) else { break };
            if !matches!(bytes.get(sign), Some(b' ' | b'-')) {
                break;
            }
            let before = bytes.get(from..sign).unwrap_or_default();
            let letters = before.iter().rev().take(LETTERS + 1).take_while(|byte| byte.is_ascii_uppercase()).count();
            let other = sign.checked_sub(letters + 1).and_then(|at| bytes.get(at));
            if !(1..=LETTERS).contains(&letters)
                || other.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80)
            {
                break;
            }
            start = sign - letters;
            self.groups.insert(0, start..sign);
        }
    }
}

/// Where the next group begins, if there are few signs before it.
fn separated(bytes: &[u8], end: usize) -> Option<usize> {
    let mut at = end;
    let mut signs = 0;
    loop {
        match bytes.get(at)? {
            b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'+' => at += 1,
            0xC2 if bytes.get(at + 1) == Some(&0xA0) => at += 2,
            0xE2 if matches!(bytes.get(at + 1..at + 3), Some([0x80, 0x90..=0x95 | 0xAF])) => at += 3,
            byte if signs > 0 && byte.is_ascii_alphanumeric() => return Some(at),
            _ => return None,
        }
        signs += 1;
        if signs > 3 {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters(text: &str) -> Vec<Vec<&str>> {
        let mut all = Vec::new();
        Cluster::each(text, |cluster| {
            all.push(cluster.groups.iter().map(|group| text.get(group.clone()).unwrap()).collect());
        });
        all
    }

    #[test]
    fn groups_that_stand_together_are_one_cluster() {
        for (text, wanted) in [
            ("call +44 (0)20 7946-0958 now", vec![vec!["44", "0", "20", "7946", "0958"]]),
            ("QQ 12 34 56 C is", vec![vec!["QQ", "12", "34", "56", "C"]]),
            ("a 1, 2; 3", vec![vec!["1"], vec!["2"], vec!["3"]]),
            ("345-899-3560x4587 and", vec![vec!["345", "899", "3560"], vec!["x4587"]]),
            ("user_12345678", vec![vec!["12345678"]]),
            ("号12", vec![vec!["12"]]),
            ("", vec![]),
        ] {
            for before in [0, 1, 60, 64, 70, 128] {
                let text = format!("{}{text}", "-".repeat(before));
                assert_eq!(clusters(&text), wanted, "{text}");
            }
        }
        assert_eq!(clusters(&"9".repeat(1000)), Vec::<Vec<&str>>::new());
    }
}
