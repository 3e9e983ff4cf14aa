//! The language in which rules say what they look for.
//!
//! A pattern is words in their order: `{ignore|disregard} ..3 {previous|prior} ..2 instructions`.
//!
//! - `word` stands for itself in any case; `word*` for all that begin so.
//! - `{a|b c|d*}` is one of them; an alternative may be several words. `$name` among them, or alone, is a list of such.
//! - `..3` lets up to three other words stand between; the end of a sentence counts as six. In scripts without spaces between
//!   words, each character counts as a word.
//! - `@name` is something as programs name it, `@url` a link, `@open_url` one made to have something put in or behind it,
//!   `@email` a mail address.
//! - Before a word: `^` if it is the first of its line, cell, string or element; `!` if it may be an order, which is when
//!   nobody is said to do it or not to; `<`, `</` and `[` if such a bracket is before it.
//! - Behind it: `:` if a colon is behind it, `]` if a bracket is; `>` closes what `<` began, and asks for nothing more.

use super::lists;
use super::words::{LONGEST_WORD, What, Words, flag};
use crate::normal::Normal;

/// One part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    /// How many other words may stand before it.
    pub(super) gap: u8,
    /// What has to stand around its first word, and around its last.
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) alternatives: Vec<Vec<Piece>>,
}

/// One word of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Piece {
    Word(Box<[u8]>),
    Prefix(Box<[u8]>),
    Atom(What),
}

/// What is wrong with a pattern, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) at: usize,
    pub(super) what: String,
}

const MAX_SLOTS: usize = 12;
const MAX_GAP: u8 = 40;
const MAX_ALTERNATIVES: usize = 300;
/// Words of one alternative; each character is one in scripts without spaces.
const MAX_PIECES: usize = 16;
/// Lists in lists.
const MAX_DEPTH: usize = 4;
/// The shortest beginning that may stand for all words with it, in bytes.
pub(super) const SHORTEST_PREFIX: usize = 4;

/// Reads a pattern.
pub(super) fn parse(pattern: &str) -> Result<Vec<Slot>, Bad> {
    let mut reader = Reader { pattern, at: 0 };
    let mut slots = Vec::new();
    let mut gap = None;
    loop {
        reader.skip_spaces();
        let at = reader.at;
        if reader.rest().is_empty() {
            break;
        }
        if reader.take("..") {
            let length = reader.rest().bytes().take_while(u8::is_ascii_digit).count();
            let number = reader.rest().get(..length).and_then(|digits| digits.parse().ok());
            let number = number.filter(|gap| (1..=MAX_GAP).contains(gap));
            reader.at += length;
            if gap.is_some() || slots.is_empty() {
                return Err(Bad { at, what: "a distance stands between two words".to_owned() });
            }
            gap = number;
            if number.is_none() {
                return Err(Bad { at, what: format!("a distance is a number from 1 to {MAX_GAP}") });
            }
            continue;
        }
        slots.push(reader.slot(gap.take().unwrap_or(0))?);
        if slots.len() > MAX_SLOTS {
            return Err(Bad { at, what: format!("a pattern has at most {MAX_SLOTS} parts") });
        }
    }
    if gap.is_some() || slots.is_empty() {
        return Err(Bad { at: pattern.len(), what: "a word is missing at the end".to_owned() });
    }
    Ok(slots)
}

struct Reader<'p> {
    pattern: &'p str,
    at: usize,
}

impl<'p> Reader<'p> {
    fn rest(&self) -> &'p str {
        self.pattern.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, sign: &str) -> bool {
        let taken = self.rest().starts_with(sign);
        self.at += if taken { sign.len() } else { 0 };
        taken
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn slot(&mut self, gap: u8) -> Result<Slot, Bad> {
        let at = self.at;
        let (mut first, mut last) = (0, 0);
        loop {
            first |= match () {
                () if self.take("^") => flag::FIRST,
                () if self.take("!") => flag::ORDER,
                () if self.take("</") => flag::ANGLE | flag::CLOSING,
                () if self.take("<") => flag::ANGLE,
                () if self.take("[") => flag::OPENED,
                () => break,
            };
        }
        let inside = if self.take("{") {
            let Some(length) = self.rest().find('}') else {
                return Err(Bad { at, what: "`{` is not closed".to_owned() });
            };
            let inside = self.rest().get(..length).unwrap_or_default();
            self.at += length + 1;
            inside
        } else {
            let rest = self.rest();
            let length = rest.find(|c: char| c.is_whitespace() || "{}|:>]<[^!".contains(c)).unwrap_or(rest.len());
            self.at += length;
            rest.get(..length).unwrap_or_default()
        };
        loop {
            last |= match () {
                () if self.take(":") => flag::COLON,
                () if self.take("]") => flag::CLOSED,
                () if self.take(">") => 0,
                () => break,
            };
        }
        if !self.rest().is_empty() && !self.rest().starts_with(char::is_whitespace) {
            return Err(Bad { at: self.at, what: "a space is missing, or a sign that has no meaning here".to_owned() });
        }
        let mut alternatives = Vec::new();
        expand(inside, 0, &mut alternatives).map_err(|what| Bad { at, what })?;
        alternatives.sort();
        alternatives.dedup();
        Ok(Slot { gap, first, last, alternatives })
    }
}

/// Adds the alternatives that `inside` names.
fn expand(inside: &str, depth: usize, alternatives: &mut Vec<Vec<Piece>>) -> Result<(), String> {
    for alternative in inside.split('|') {
        let alternative = alternative.trim();
        if let Some(name) = alternative.strip_prefix('$') {
            let list = lists::named(name).filter(|_| depth < MAX_DEPTH);
            expand(list.ok_or_else(|| format!("there is no list `{name}`"))?, depth + 1, alternatives)?;
            continue;
        }
        let mut pieces = Vec::new();
        for word in alternative.split_whitespace() {
            add(word, &mut pieces)?;
        }
        if pieces.is_empty() || pieces.len() > MAX_PIECES {
            return Err(format!("`{alternative}` is no word, or more than {MAX_PIECES} words"));
        }
        alternatives.push(pieces);
    }
    if alternatives.len() > MAX_ALTERNATIVES {
        return Err(format!("more than {MAX_ALTERNATIVES} alternatives"));
    }
    Ok(())
}

fn add(word: &str, pieces: &mut Vec<Piece>) -> Result<(), String> {
    if let Some(name) = word.strip_prefix('@') {
        let atom = match name {
            "name" => What::Name,
            "url" => What::Url,
            "open_url" => What::OpenUrl,
            "email" => What::Email,
            _ => return Err(format!("`@{name}` is none of `@name`, `@url`, `@open_url`, `@email`")),
        };
        pieces.push(Piece::Atom(atom));
        return Ok(());
    }
    let (stem, is_prefix) = word.strip_suffix('*').map_or((word, false), |stem| (stem, true));
    let plain = plain(stem);
    let before = pieces.len();
    let mut words = Words::of(&plain, 0);
    while let Some(token) = words.next() {
        let word = token.word().to_ascii_lowercase().into_boxed_slice();
        if !matches!(token.what, What::Word | What::Name) || word.len() >= LONGEST_WORD {
            return Err(format!("`{stem}` is no word"));
        }
        pieces.push(Piece::Word(word));
    }
    if is_prefix {
        match pieces.pop() {
            Some(Piece::Word(word)) if word.len() >= SHORTEST_PREFIX => pieces.push(Piece::Prefix(word)),
            _ => return Err(format!("`{word}` stands for too many words")),
        }
    }
    let signs = plain.chars().filter(|c| !c.is_alphanumeric()).all(|c| "._-/'".contains(c) || !c.is_ascii());
    if pieces.len() == before || !signs {
        return Err(format!("`{word}` is no word"));
    }
    Ok(())
}

/// A word as it reads in a text whose disguises are undone. By itself a word of letters that all look like Latin ones would be
/// taken for a disguise.
fn plain(word: &str) -> String {
    if word.is_ascii() {
        return word.to_owned();
    }
    let beside = format!("{word}\nжщыбюґї λψξδ");
    let normal = Normal::of(&beside);
    normal.text().split('\n').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_pattern_is_told() {
        for (pattern, at, what) in [
            ("", 0, "missing"),
            ("a ..2", 5, "missing"),
            ("..2 a", 0, "between two words"),
            ("a ..2 ..3 b", 6, "between two words"),
            ("a ..0 b", 2, "from 1 to 40"),
            ("a ..41 b", 2, "from 1 to 40"),
            ("a ..x b", 2, "from 1 to 40"),
            ("a {b|c", 2, "not closed"),
            ("a {b||c}", 2, "no word"),
            ("a b}", 3, "space is missing"),
            ("a {b}{c}", 5, "space is missing"),
            ("abc*", 0, "too many words"),
            ("a $nothing", 2, "no list `nothing`"),
            ("a @host", 2, "none of `@name`"),
            ("a b,c", 2, "no word"),
            ("a -", 2, "no word"),
            ("a b c d e f g h i j k l m", 24, "at most 12"),
        ] {
            let bad = parse(pattern).unwrap_err();
            assert!(bad.what.contains(what) && bad.at == at, "{pattern:?}: {bad:?}");
        }
        let long = vec!["word"; MAX_PIECES + 1].join(" ");
        assert!(parse(&format!("{{{long}}}")).is_err());
        let many: Vec<_> = (0..=MAX_ALTERNATIVES).map(|number| format!("w{number}")).collect();
        assert!(parse(&format!("{{{}}}", many.join("|"))).is_err());
    }

    #[test]
    fn a_pattern_says_what_it_looks_for() {
        let slots = parse("^{system|the  admin}: ..3 !don't ..1 instruct* @url </user> [inst] $talk").unwrap();
        let shown: Vec<_> =
            slots.iter().map(|slot| (slot.gap, slot.first, slot.last, slot.alternatives.len())).collect();
        let (closing, talk) = (flag::ANGLE | flag::CLOSING, slots.last().unwrap().alternatives.len());
        assert_eq!(
            shown,
            [
                (0, flag::FIRST, flag::COLON, 2),
                (3, flag::ORDER, 0, 1),
                (1, 0, 0, 1),
                (0, 0, 0, 1),
                (0, closing, 0, 1),
                (0, flag::OPENED, flag::CLOSED, 1),
                (0, 0, 0, talk),
            ]
        );
        assert!(talk > 3);
        let word = |word: &str| Piece::Word(word.as_bytes().into());
        assert_eq!(slots.get(1).unwrap().alternatives, [[word("dont")]]);
        assert_eq!(slots.get(2).unwrap().alternatives, [[Piece::Prefix(b"instruct"[..].into())]]);
        assert_eq!(parse("{оса|指令|über}").unwrap()[0].alternatives.len(), 3);
        assert!(parse("{оса}").unwrap()[0].alternatives.contains(&vec![word("оса")]), "not taken for Latin");
        assert!(parse("über").unwrap()[0].alternatives.contains(&vec![word("uber")]), "as texts are read");
        assert!(parse("指令").unwrap()[0].alternatives.contains(&vec![word("指"), word("令")]));
    }
}
