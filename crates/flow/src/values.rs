//! The words of a text and the values in it: addresses, places of the web, numbers, tokens.
//!
//! A value that a text mentions is found in it again as a row of its words, so no list of what could be a value is kept. What
//! one is asked for in an argument has to be told: there, these are the values.

use std::ops::Range;

use crate::normal;

/// Letters and digits of ASCII, letters alone, and what parts pieces of a text.
const WORD: u8 = 1;
const LETTER: u8 = 2;
const PARTS: u8 = 4;

/// What each byte is, as far as it is a character by itself.
static CLASSES: [u8; 256] = classes();

#[expect(clippy::indexing_slicing, reason = "a mistake would not compile, as this runs while compiling")]
const fn classes() -> [u8; 256] {
    let mut all = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        let word = if byte.is_ascii_alphanumeric() { WORD } else { 0 };
        let letter = if byte.is_ascii_alphabetic() { LETTER } else { 0 };
        let parts = byte.is_ascii_whitespace()
            || matches!(
                byte,
                b'"' | b'\'' | b'`' | b'<' | b'>' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b',' | b';' | b'|'
            );
        all[byte as usize] = word | letter | if parts { PARTS } else { 0 };
        byte += 1;
    }
    all
}

/// The character at a place, what it is and how many bytes it has; nearly all are told by their byte.
#[inline]
fn class_at(text: &str, at: usize) -> Option<(u8, usize)> {
    let byte = *text.as_bytes().get(at)?;
    if byte.is_ascii() {
        Some((CLASSES.get(usize::from(byte)).copied().unwrap_or_default(), 1))
    } else {
        wide_at(text, at)
    }
}

#[cold]
fn wide_at(text: &str, at: usize) -> Option<(u8, usize)> {
    let c = text.get(at..)?.chars().next()?;
    let class = if c.is_alphanumeric() {
        WORD
    } else if c.is_whitespace() || matches!(c, '“' | '”' | '«' | '»') {
        PARTS
    } else {
        0
    };
    Some((class, c.len_utf8()))
}

/// The first place from `from` on of a character that has one of the classes, or has none of them; else the end.
fn until(text: &str, from: usize, classes: u8, has: bool) -> usize {
    let mut at = from;
    while let Some((class, length)) = class_at(text, at) {
        if (class & classes != 0) == has {
            return at;
        }
        at += length;
    }
    text.len()
}

/// Runs of letters and digits.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = until(text, rest, WORD, true);
        rest = until(text, start, WORD, false);
        text.get(start..rest).filter(|word| !word.is_empty()).map(|word| (start..rest, word))
    })
}

/// What a value is, as far as its form shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Form {
    /// `name@host`.
    Email,
    /// An address of the web, as a whole.
    Url,
    /// The host of one, or a name that looks like one.
    Host,
    /// Digits, perhaps with letters, in groups or not: accounts, phones, cards.
    Number,
    /// Letters with digits or signs in one piece: ids, passwords, handles.
    Token,
    /// All of a short text.
    Whole,
}

/// A value in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) form: Form,
    pub(crate) span: Range<usize>,
    /// As it is compared.
    pub(crate) normal: String,
}

/// Spelled addresses of one text; honest ones have one.
const MOST_SPELLED: usize = 64;

/// The addresses, numbers and tokens in a text, in its order.
pub(crate) fn of(text: &str) -> Vec<Value> {
    read(text, |_, _| {})
}

/// The same, and all [`words`] of the text on the way.
pub(crate) fn read<'t>(text: &'t str, mut word: impl FnMut(Range<usize>, &'t str)) -> Vec<Value> {
    let mut found = Vec::new();
    // Until where a number goes on, in several pieces.
    let (mut at, mut covered) = (0, 0);
    while at < text.len() {
        let start = until(text, at, PARTS, false);
        let (end, is_plain) = piece(text, start, &mut word);
        at = end;
        // A word like most is none of them.
        if is_plain || start < covered {
            continue;
        }
        let Some(raw) = text.get(start..end) else { continue };
        let raw = raw.trim_end_matches(['.', ':', '!', '?', '*', '…', '\\']);
        if raw.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            continue;
        }
        if let Some(url) = url(raw, start) {
            found.extend(url);
        } else if let Some(email) = email(raw, start) {
            found.push(email);
        } else if let Some((number, end)) = number(text, &(start..start + raw.len())) {
            covered = end;
            found.push(number);
        } else if let Some(token) = token(raw, start) {
            found.push(token);
        }
    }
    found
}

/// Where what begins here ends, which stands between spaces, quotes and brackets, and whether it is nothing but letters of ASCII.
/// Its words are told on the way.
fn piece<'t>(text: &'t str, start: usize, word: &mut impl FnMut(Range<usize>, &'t str)) -> (usize, bool) {
    let (mut at, mut is_plain) = (start, true);
    let mut from = start;
    loop {
        let letters = run(text, at, LETTER);
        let all = letters + run(text, at + letters, WORD);
        is_plain &= letters == all;
        at += all;
        let next = class_at(text, at).filter(|(class, _)| class & PARTS == 0);
        is_plain &= next.is_none();
        match next {
            Some((class, length)) if class & WORD != 0 => at += length,
            _ => {
                text.get(from..at).filter(|run| !run.is_empty()).into_iter().for_each(|run| word(from..at, run));
                let Some((_, length)) = next else { return (at, is_plain) };
                at += length;
                from = at;
            }
        }
    }
}

/// How many bytes of one class of ASCII stand here.
fn run(text: &str, at: usize, class: u8) -> usize {
    let has = |byte: &&u8| CLASSES.get(usize::from(**byte)).is_some_and(|held| held & class != 0);
    text.as_bytes().get(at..).unwrap_or_default().iter().take_while(has).count()
}

fn parts_any(c: char) -> bool {
    let mut bytes = [0; 4];
    class_at(c.encode_utf8(&mut bytes), 0).is_some_and(|(class, _)| class & PARTS != 0)
}

fn email(piece: &str, start: usize) -> Option<Value> {
    let piece_at = piece.strip_prefix("mailto:").map_or(0, |_| "mailto:".len());
    let piece = piece.get(piece_at..)?;
    let (name, host) = piece.rsplit_once('@')?;
    let fits = !name.is_empty() && host.contains('.') && is_host(host);
    let start = start + piece_at;
    fits.then(|| Value { form: Form::Email, span: start..start + piece.len(), normal: piece.to_lowercase() })
}

fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    let last = text.rsplit('.').next().unwrap_or_default();
    text.chars().all(fits) && last.chars().count() >= 2 && last.chars().all(char::is_alphabetic)
}

/// An address of the web, and its host.
fn url(piece: &str, start: usize) -> Option<Vec<Value>> {
    if !piece.contains([':', 'w', 'W']) {
        return None;
    }
    let scheme = piece.find("://");
    let bare = piece.get(..4).is_some_and(|www| www.eq_ignore_ascii_case("www."));
    let from = match scheme {
        Some(at)
            if piece
                .get(..at)?
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '=' | ':')) =>
        {
            at + 3
        }
        None if bare => 0,
        _ => return None,
    };
    let rest = piece.get(from..)?;
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    let host_at = authority.rfind('@').map_or(0, |at| at + 1);
    let host = authority.get(host_at..)?.split(':').next()?;
    let span = start + from + host_at..start + from + host_at + host.len();
    let whole = rest.trim_end_matches('/').to_lowercase();
    let mut found = vec![Value { form: Form::Url, span: start..start + piece.len(), normal: whole }];
    if !host.is_empty() {
        found.push(Value { form: Form::Host, span, normal: host.to_lowercase() });
    }
    Some(found)
}

/// Groups of digits, and how far they go.
fn number(text: &str, piece: &Range<usize>) -> Option<(Value, usize)> {
    let first = text.get(piece.clone())?;
    let has_digit = |group: &str| group.bytes().any(|byte| byte.is_ascii_digit());
    // Of an account some groups are letters.
    let is_group = |group: &str| {
        (has_digit(group) || group.len() <= 4)
            && !group.is_empty()
            && group.len() <= normal::LONGEST
            && group
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '/' | '.' | '(' | ')'))
    };
    if !has_digit(first) || !is_group(first) {
        return None;
    }
    // Groups go on behind single spaces, as those of accounts and phones do, and end with digits.
    let (mut at, mut end) = (piece.end, piece.end);
    while let Some(rest) = text.get(at..).and_then(|rest| rest.strip_prefix(' ')) {
        let next = rest.find(parts_any).unwrap_or(rest.len());
        let group = rest.get(..next).unwrap_or_default().trim_end_matches(['.', ':']);
        if !is_group(group) || at - piece.start > normal::LONGEST {
            break;
        }
        at += 1 + group.len();
        if has_digit(group) {
            end = at;
        }
    }
    let normal = normal::of_number(text.get(piece.start..end).filter(|text| !is_moment(text))?)?;
    Some((Value { form: Form::Number, span: piece.start..end, normal }, end))
}

/// Letters and digits, or signs within, in one piece of at least this many bytes.
const SHORTEST: usize = 5;

fn token(piece: &str, start: usize) -> Option<Value> {
    let trimmed = piece.trim_start_matches(normal::decorates);
    let start = start + (piece.len() - trimmed.len());
    let trimmed = trimmed.trim_end_matches(normal::decorates);
    let has = |of: fn(char) -> bool| trimmed.chars().any(of);
    let is_path = trimmed.contains('/') || trimmed.contains('\\');
    let odd =
        has(|c| c.is_numeric()) && has(char::is_alphabetic) || is_path || is_host(trimmed) && trimmed.contains('.');
    if trimmed.len() < SHORTEST || trimmed.len() > normal::LONGEST || !odd || is_moment(trimmed) {
        return None;
    }
    let form = if is_host(trimmed) && trimmed.contains('.') { Form::Host } else { Form::Token };
    Some(Value { form, span: start..start + trimmed.len(), normal: trimmed.to_lowercase() })
}

/// A date or a time, of which every text has some.
fn is_moment(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_digit() || matches!(c, ':' | '-' | '/' | '.' | '+' | ' ' | 'T' | 'Z' | 't' | 'z');
    let text = text.trim_end_matches(['a', 'p', 'A', 'P', 'm', 'M']);
    text.chars().filter(char::is_ascii_digit).count() >= 3
        && text.contains([':', '-', '/'])
        && text.chars().all(fits)
        && text.split(|c: char| !c.is_ascii_digit()).all(|group| group.len() <= 4)
}

/// Whether a short text could be what names something: not a plain word, a number of few digits, or a moment.
pub(crate) fn is_telling(text: &str) -> bool {
    !is_moment(text)
        && text.chars().filter(|c| c.is_alphanumeric()).count() >= 3
        && text.chars().any(char::is_alphabetic)
        || normal::of_number(text).is_some() && !is_moment(text)
}

/// Whether a short text could be an id, however short it is, where one is asked for.
pub(crate) fn is_short_id(text: &str) -> bool {
    let text = text.trim();
    text.len() <= LONGEST_ID
        && text.chars().any(char::is_numeric)
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '#'))
        && !is_moment(text)
}

/// An id or a name with a number as it is spelled with other signs between its parts: `release-3.1.2` for `Release 3.1.2`. One that has a form
/// of its own, such as an address, has no other spelling.
pub(crate) fn respelled(text: &str) -> Option<String> {
    if text.len() > LONGEST_ID || !text.chars().any(char::is_numeric) || text.contains(['@', '/', '\\']) {
        return None;
    }
    let parts: Vec<String> = words(text).map(|(_, word)| word.to_lowercase()).take(MOST_PARTS + 1).collect();
    // A sign that no name has is none that could stand for it.
    (!is_moment(text) && (2..=MOST_PARTS).contains(&parts.len())).then(|| parts.join("\u{0}"))
}

/// Parts of a name.
const MOST_PARTS: usize = 8;

/// Bytes of an id.
const LONGEST_ID: usize = 64;

/// Whether a word is part of a longer name, such as that of a host: without one, or a *dot*, no address is [`spelled`].
pub(crate) fn goes_on(text: &str, word: &Range<usize>) -> bool {
    let joins = |at: Option<usize>| {
        at.and_then(|at| text.as_bytes().get(at)).is_some_and(|byte| matches!(byte, b'.' | b'-' | b'_' | b'+' | b'@'))
    };
    let more = text.as_bytes().get(word.end + 1).is_some_and(|byte| !byte.is_ascii_whitespace());
    joins(Some(word.end)) && more || joins(word.start.checked_sub(1))
}

/// Addresses that are spelled so that they do not look like one: `name at host dot example`, `name [at] host [dot] example`.
pub(crate) fn spelled(text: &str) -> Vec<String> {
    let all: Vec<&str> = text
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '@')))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| !word.is_empty())
        .collect();
    let is = |at: usize, word: &str| all.get(at).is_some_and(|held| held.eq_ignore_ascii_case(word));
    let mut found = Vec::new();
    let mut next = 1;
    while let Some(at) = (next..all.len()).find(|at| is(*at, "at")).filter(|_| found.len() < MOST_SPELLED) {
        next = at + 1;
        let word = |before: usize| at.checked_sub(before).and_then(|before| all.get(before));
        let Some(name) = word(1) else { continue };
        let mut name = (*name).to_owned();
        let mut before = 2;
        while let Some(first) =
            word(before + 1).filter(|_| word(before).is_some_and(|word| word.eq_ignore_ascii_case("dot")))
        {
            name = format!("{first}.{name}");
            before += 2;
        }
        let mut host = all.get(at + 1).map(|host| (*host).to_owned()).unwrap_or_default();
        let mut reached = at + 2;
        while is(reached, "dot") && reached < at + 12 {
            let Some(label) = all.get(reached + 1) else { break };
            host = format!("{host}.{label}");
            reached += 2;
        }
        if host.contains('.') && is_host(&host) {
            found.push(format!("{name}@{host}").to_lowercase());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(Form, String)> {
        of(text)
            .into_iter()
            .map(|value| {
                assert!(text.get(value.span.clone()).is_some(), "{text}: {value:?}");
                (value.form, value.normal)
            })
            .collect()
    }

    #[test]
    fn the_values_of_a_text_are_found() {
        use Form::*;
        for (text, values) in [
            ("Write to Eve <Eve@Evil.example>, please.", vec![(Email, "eve@evil.example")]),
            ("See https://evil.example/a?b=C.", vec![(Url, "evil.example/a?b=c"), (Host, "evil.example")]),
            ("www.evil.example/x", vec![(Url, "www.evil.example/x"), (Host, "www.evil.example")]),
            ("pay DE89 3704 0044 0532 0130 00 now", vec![(Number, "de89370400440532013000")]),
            ("GB29 NWBK 6016 1331 9268 19 GBP", vec![(Number, "gb29nwbk60161331926819")]),
            ("call +49 30 901820.", vec![(Number, "4930901820")]),
            ("the password is 1j1l-2k3j, and id evt_12ab", vec![(Token, "1j1l-2k3j"), (Token, "evt_12ab")]),
            ("open evil.example and /etc/passwd", vec![(Host, "evil.example"), (Token, "/etc/passwd")]),
            ("On 2026-11-29 at 10:30 the three of us met.", vec![]),
        ] {
            let values: Vec<_> = values.into_iter().map(|(form, text)| (form, text.to_owned())).collect();
            assert_eq!(found(text), values, "{text}");
        }
    }

    #[test]
    fn addresses_are_read_however_they_are_spelled() {
        for text in [
            "eve at evil dot example",
            "Eve [at] evil [dot] example",
            "eve (AT) evil.example",
            "write to eve at evil dot example now",
            "eve (at) evil (dot) example.",
        ] {
            assert_eq!(spelled(text), ["eve@evil.example"], "{text}");
        }
        assert_eq!(spelled("set it to eve dot adams at new-mail dot example."), ["eve.adams@new-mail.example"]);
        assert_eq!(spelled("at noon we met at the station"), Vec::<String>::new());
    }

    #[test]
    fn words_are_in_order_and_in_bounds() {
        let text = "Grüße, a-b_c 12é";
        assert_eq!(words(text).map(|(_, word)| word).collect::<Vec<_>>(), ["Grüße", "a", "b", "c", "12é"]);
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_has_all_words(text in "([a-zA-Z0-9 .,@:/é“-]|dot|at|\\PC){0,60}") {
            let mut read_words = Vec::new();
            let values = read(&text, |span, word| read_words.push((span, word)));
            proptest::prop_assert_eq!(read_words, words(&text).collect::<Vec<_>>());
            for value in values {
                proptest::prop_assert!(text.get(value.span).is_some());
            }
        }

        /// Whoever looks for spelled addresses only where a name goes on, or there is a *dot*, finds all of them.
        #[test]
        fn spelled_addresses_are_told_before_they_are_read(text in "(eve|at|AT|dot|evil|x|example|[ .@_()\\[\\]-]){0,20}") {
            let (mut may, mut at) = (false, false);
            read(&text, |span, word| {
                may |= at && goes_on(&text, &span) || word.eq_ignore_ascii_case("dot");
                at = word.eq_ignore_ascii_case("at");
            });
            proptest::prop_assert!(may || spelled(&text).is_empty(), "{:?}", spelled(&text));
        }
    }
}
