//! Recognisers of an operator, read from TOML, in a small language of patterns that takes as many steps as a text has bytes,
//! times the length of the pattern.
//!
//! | in a pattern | |
//! |---|---|
//! | `d` `w` `u` `l` behind `\` | a digit, a letter or digit, a capital letter, a small letter |
//! | `[A-F0-9_]`, `[^-]` | one of these characters, none of them |
//! | `.` | any character but a line end |
//! | `{3}`, `{2,6}`, `?` | so many of what stands before it |
//! | any other character | itself; behind `\` also what is a sign of this language |

use serde::Deserialize;
use toml::Spanned;

use super::context::each_word;
use super::{Hit, PersonalKind, check};
use crate::rules::Problem;

/// One of them.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) id: String,
    pattern: Pattern,
    check: Option<fn(&[u8]) -> bool>,
    /// Numbers of words that stand beside it.
    words: Vec<u64>,
    /// Whether it is found only beside one of them.
    required: bool,
    confidence: u16,
}

const MAX_TEXT: usize = 128 * 1024;
const MAX_OWN: usize = 100;
/// Characters of what a pattern matches.
const MAX_LENGTH: usize = 96;
const MAX_WORDS: usize = 64;
const PREFIX: &str = "custom.";
/// How sure it is where nothing else is said, and how much surer a word beside it makes it.
const CONFIDENCE: u16 = 700;
const RAISE: u16 = 250;
/// How far words may stand before it and behind it, in bytes.
const AROUND: (usize, usize) = (64, 32);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    recogniser: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: Spanned<String>,
    pattern: Spanned<String>,
    check: Option<Spanned<String>>,
    #[serde(default)]
    words: Vec<Spanned<String>>,
    #[serde(default)]
    words_required: bool,
    confidence: Option<Spanned<u16>>,
}

/// Reads the recognisers of an operator.
pub(super) fn read(text: &str) -> Result<Vec<Own>, Problem> {
    let problem = |at: usize, what: &str, help: &str| Problem::at(text, at, what, help);
    if text.len() > MAX_TEXT {
        return Err(problem(MAX_TEXT, "more than 128 KiB of recognisers", "leave some out"));
    }
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let help = "a recogniser is `[[recogniser]]` with `id`, `pattern` and perhaps `check`, `words`, `words_required` and `confidence`";
        problem(at, error.message(), help)
    })?;
    let mut all: Vec<Own> = Vec::new();
    for written in file.recogniser {
        let at = written.id.span().start;
        if all.len() == MAX_OWN {
            return Err(problem(at, "more than 100 recognisers", "leave some out"));
        }
        let own = checked(text, written)?;
        if all.iter().any(|other| other.id == own.id) {
            return Err(problem(at, &format!("there are two recognisers `{}`", own.id), "call one of them otherwise"));
        }
        all.push(own);
    }
    Ok(all)
}

fn checked(text: &str, written: Written) -> Result<Own, Problem> {
    let problem = |at: usize, what: &str, help: &str| Err(Problem::at(text, at, what, help));
    let (id_at, id) = (written.id.span().start, written.id.into_inner());
    let is_name = |name: &str| {
        let sign = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        (1..=64).contains(&name.len()) && name.bytes().all(sign)
    };
    if !id.strip_prefix(PREFIX).is_some_and(is_name) {
        let help = "write `custom.` and a name of small letters, digits and underscores";
        return problem(id_at, "the id is none of an operator's recogniser", help);
    }
    let pattern_at = written.pattern.span().start;
    let pattern = match Pattern::parse(written.pattern.get_ref()) {
        Ok(pattern) => pattern,
        Err((at, what)) => {
            let what = format!("character {} of the pattern: {what}", at + 1);
            return problem(pattern_at, &what, "the book's page on personal data has the language of patterns");
        }
    };
    let check = match written.check {
        None => None,
        Some(name) => match check::named(name.get_ref()) {
            Some(check) => Some(check),
            None => return problem(name.span().start, "there is no such check", &format!("write {}", check::NAMES)),
        },
    };
    let confidence = match written.confidence {
        None => CONFIDENCE,
        Some(number) if (400..=999).contains(number.get_ref()) => number.into_inner(),
        Some(number) => return problem(number.span().start, "nobody is that sure", "write a number from 400 to 999"),
    };
    let mut words = Vec::new();
    for word in &written.words {
        let mut parts = 0;
        each_word(word.get_ref(), |hash| {
            parts += 1;
            words.push(hash);
        });
        if parts != 1 || words.len() > MAX_WORDS {
            return problem(
                word.span().start,
                "this is no single word, or there are too many",
                "write up to 64 single words",
            );
        }
    }
    if written.words_required && words.is_empty() {
        return problem(id_at, "words are required and there are none", "add `words`");
    }
    Ok(Own { id, pattern, check, words, required: written.words_required, confidence })
}

/// Looks for all of them.
pub(super) fn look(all: &[Own], text: &str, hits: &mut Vec<Hit>) {
    for (index, own) in all.iter().enumerate() {
        let mut next = 0;
        let mut before = None;
        for (at, c) in text.char_indices() {
            let begins = !(before.is_some_and(char::is_alphanumeric) && c.is_alphanumeric());
            before = Some(c);
            if at < next || !begins {
                continue;
            }
            let Some(rest) = text.get(at..) else { continue };
            let Some(length) = own.pattern.longest(rest) else { continue };
            let Some(sure) = own.judge(text, at, at + length) else { continue };
            next = at + length;
            let hit = Hit::new(PersonalKind::Own, PersonalKind::Own.as_str(), at..next, sure);
            hits.push(Hit { own: Some(index), ..hit });
        }
    }
}

impl Own {
    /// How sure it is that what stands there is one.
    fn judge(&self, text: &str, start: usize, end: usize) -> Option<u16> {
        if let Some(check) = self.check {
            let signs = text.get(start..end)?.bytes().filter(u8::is_ascii_alphanumeric);
            if !check(&signs.map(|byte| byte.to_ascii_uppercase()).collect::<Vec<_>>()) {
                return None;
            }
        }
        if self.words.is_empty() {
            return Some(self.confidence);
        }
        let from = text.ceil_char_boundary(start.saturating_sub(AROUND.0));
        let to = text.floor_char_boundary((end + AROUND.1).min(text.len()));
        let mut beside = false;
        for part in [text.get(from..start)?, text.get(end..to)?] {
            each_word(part, |hash| beside |= self.words.contains(&hash));
        }
        match (beside, self.required) {
            (true, false) => Some((self.confidence + RAISE).min(999)),
            (false, true) => None,
            _ => Some(self.confidence),
        }
    }
}

/// Characters, each one of a class, some of which may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    places: Vec<(Class, bool)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Class {
    /// Ends included.
    ranges: Vec<(char, char)>,
    others: bool,
}

impl Class {
    fn one(c: char) -> Class {
        Class { ranges: vec![(c, c)], others: false }
    }

    fn has(&self, c: char) -> bool {
        self.others != self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&c))
    }
}

impl Pattern {
    /// Reads a pattern; otherwise, at which character it is wrong and why.
    fn parse(text: &str) -> Result<Pattern, (usize, &'static str)> {
        let mut chars = text.chars().enumerate().peekable();
        let mut places: Vec<(Class, bool)> = Vec::new();
        while let Some((at, c)) = chars.next() {
            let class = match c {
                '\\' => escaped(chars.next().map(|(_, c)| c)).ok_or((at, "nothing is written so"))?,
                '[' => class(&mut chars).ok_or((at, "`[` is not closed, or empty"))?,
                '.' => Class { ranges: vec![('\n', '\n')], others: true },
                '{' | '?' => return Err((at, "there is nothing before it to repeat")),
                '(' | ')' | '|' | '*' | '+' | '^' | '$' => {
                    return Err((at, "this sign has no meaning here; write `\\` before it"));
                }
                c => Class::one(c),
            };
            let (least, most) = match chars.peek() {
                Some((_, '?')) => {
                    chars.next();
                    (0, 1)
                }
                Some((at, '{')) => {
                    let at = *at;
                    chars.next();
                    times(&mut chars).ok_or((at, "write `{3}` or `{2,6}`"))?
                }
                _ => (1, 1),
            };
            places.extend((0..most).map(|number| (class.clone(), number >= least)));
            if places.len() > MAX_LENGTH {
                return Err((at, "it matches more than 96 characters"));
            }
        }
        if places.iter().filter(|(_, optional)| !optional).count() < 3 {
            return Err((0, "it has to match three characters at least"));
        }
        Ok(Pattern { places })
    }

    /// The longest beginning of a text that it matches and that ends where a word does.
    fn longest(&self, text: &str) -> Option<usize> {
        // One bit for each place that may be next.
        let mut states = self.skip(1);
        let mut longest = None;
        let mut last = None;
        for (at, c) in text.char_indices() {
            if states >> self.places.len() & 1 == 1 && !(last.is_some_and(char::is_alphanumeric) && c.is_alphanumeric())
            {
                longest = Some(at);
            }
            let mut next = 0_u128;
            let mut left = states;
            while left != 0 {
                let place = left.trailing_zeros();
                left &= left - 1;
                if self.places.get(place as usize).is_some_and(|(class, _)| class.has(c)) {
                    next |= self.skip(1 << (place + 1));
                }
            }
            states = next;
            if states == 0 {
                return longest;
            }
            last = Some(c);
        }
        if states >> self.places.len() & 1 == 1 { Some(text.len()) } else { longest }
    }

    /// The same places and those behind them that are reached by leaving out what may be.
    fn skip(&self, states: u128) -> u128 {
        let mut states = states;
        let mut place = states.trailing_zeros() as usize;
        while self.places.get(place).is_some_and(|(_, optional)| *optional) {
            place += 1;
            states |= 1 << place;
        }
        states
    }
}

fn escaped(c: Option<char>) -> Option<Class> {
    let ranges = match c? {
        'd' => vec![('0', '9')],
        'w' => vec![('0', '9'), ('A', 'Z'), ('a', 'z')],
        'u' => vec![('A', 'Z')],
        'l' => vec![('a', 'z')],
        c if c.is_alphanumeric() => return None,
        c => vec![(c, c)],
    };
    Some(Class { ranges, others: false })
}

type Chars<'t> = std::iter::Peekable<std::iter::Enumerate<std::str::Chars<'t>>>;

/// What stands in brackets.
fn class(chars: &mut Chars<'_>) -> Option<Class> {
    let mut class = Class { ranges: Vec::new(), others: false };
    if chars.next_if(|(_, c)| *c == '^').is_some() {
        class.others = true;
    }
    loop {
        let c = match chars.next()?.1 {
            ']' => break,
            '\\' => {
                let escaped = escaped(chars.next().map(|(_, c)| c))?;
                match escaped.ranges.as_slice() {
                    [(from, to)] if from == to => *from,
                    _ => {
                        class.ranges.extend(escaped.ranges);
                        continue;
                    }
                }
            }
            c => c,
        };
        if chars.next_if(|(_, c)| *c == '-').is_none() {
            class.ranges.push((c, c));
            continue;
        }
        match chars.next()?.1 {
            ']' => {
                class.ranges.extend([(c, c), ('-', '-')]);
                break;
            }
            to if to >= c => class.ranges.push((c, to)),
            _ => return None,
        }
    }
    (!class.ranges.is_empty()).then_some(class)
}

/// What stands in braces: how often at least and at most.
fn times(chars: &mut Chars<'_>) -> Option<(usize, usize)> {
    let mut written = String::new();
    loop {
        match chars.next()?.1 {
            '}' => break,
            c if written.len() < 8 => written.push(c),
            _ => return None,
        }
    }
    let (least, most) = match written.split_once(',') {
        Some((least, most)) => (least.parse().ok()?, most.parse().ok()?),
        None => (written.parse().ok()?, written.parse().ok()?),
    };
    (least <= most && most > 0 && most <= MAX_LENGTH).then_some((least, most))
}
