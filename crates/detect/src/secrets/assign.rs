//! Values that are given a name which says that they are secret: `api_key = "…"`, a member of JSON, a line of an env file, of
//! YAML or of a header, an option of a command.

use std::ops::Range;

use super::anchor::Name;
use super::plausible;
use super::special::{SHORTEST_PASSWORD, is_password, is_random};
use super::text::Text;

/// The longest name.
const LONGEST_NAME: usize = 64;
/// The longest value.
const LONGEST: usize = 600;
/// Spaces between a name, a sign and a value.
const GAP: usize = 4;
/// The longest type between a name and its value, as in `key: &str = "…"`.
const LONGEST_TYPE: usize = 24;

/// A name and its value.
pub(super) struct Assigned {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
    kind: Name,
    is_quoted: bool,
    /// Whether it is one of several in a connection string or in the query of a URL.
    pub(super) is_among_others: bool,
}

/// Names of values that are not secret, though they are called so.
const OTHERS: [&str; 22] = [
    "public",
    "publish",
    "csrf",
    "xsrf",
    "next",
    "page",
    "continuation",
    "progress",
    "cursor",
    "resume",
    "sync",
    "cancel",
    "idempotency",
    "cache",
    "primary",
    "foreign",
    "partition",
    "sort",
    "stop",
    "eos",
    "bos",
    "pad",
];

/// What stands before `key` in the name of a secret one.
const KEYS: [&str; 17] = [
    "api",
    "access",
    "secret",
    "private",
    "account",
    "auth",
    "encryption",
    "signing",
    "master",
    "subscription",
    "shared",
    "admin",
    "app",
    "application",
    "service",
    "license",
    "x",
];

/// What is assigned to the name that ends with the word there.
pub(super) fn assigned(text: &Text<'_>, word: &Range<usize>, kind: Name) -> Option<Assigned> {
    let name = name(text, word)?;
    let said = text.text.get(name.clone())?;
    if !is_secret(said, said.len().checked_sub(name.end - word.start)?, kind) {
        return None;
    }
    let is_option = said.starts_with("--");
    let is_loud = said.contains('_') && !said.bytes().any(|byte| byte.is_ascii_lowercase());
    let (value, is_quoted) = value(text, name.end, [is_option, is_loud])?;
    let next = text.byte(value.end);
    let before = text.before(name.start);
    let is_among_others = next == Some(b';') || matches!(before, Some(b';' | b'?' | b'&'));
    Some(Assigned { name, value, kind, is_quoted, is_among_others })
}

/// The whole name, if the word is the last one of it.
fn name(text: &Text<'_>, word: &Range<usize>) -> Option<Range<usize>> {
    let is_of_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let after = text.bytes.get(word.end..)?;
    let more = after.iter().take(LONGEST_NAME).take_while(is_of_name).count();
    let rest = after.get(..more)?;
    // `password2`, `tokens`, `secret_value`.
    let is_end = rest.iter().all(u8::is_ascii_digit)
        || matches!(rest, b"s" | b"_value" | b"Value" | b"-value" | b"_b64" | b"_base64");
    let before = text.bytes.get(..word.start)?;
    let less = before.iter().rev().take(LONGEST_NAME).take_while(is_of_name).count();
    is_end.then_some(word.start - less..word.end + more)
}

/// Whether what is called so is secret; its last word begins `at` a place.
fn is_secret(name: &str, at: usize, kind: Name) -> bool {
    let before = name.get(..at).unwrap_or_default();
    let plain: String = before.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    if OTHERS.iter().any(|other| plain.ends_with(other)) {
        return false;
    }
    match kind {
        Name::Key => KEYS.iter().any(|key| plain.ends_with(key)) && (plain.len() > 1),
        // `bypass` and `compass` are words.
        Name::Password if name.get(at..).is_some_and(|word| word.len() == 4 && word.eq_ignore_ascii_case("pass")) => {
            before.is_empty()
                || before.ends_with(['_', '-', '.'])
                || name.get(at..).is_some_and(|word| word.starts_with('P'))
        }
        _ => true,
    }
}

/// The value that follows a name, and whether it stands in quotes.
fn value(text: &Text<'_>, name_end: usize, [is_option, is_loud]: [bool; 2]) -> Option<(Range<usize>, bool)> {
    let mut at = name_end;
    at += usize::from(matches!(text.byte(at), Some(b'"' | b'\'' | b'`')));
    at += usize::from(text.byte(at) == Some(b']'));
    let gap = spaces(text, at);
    at += gap;
    let sign = text.bytes.get(at..)?;
    let signs: [&[u8]; 7] = [b":=", b"=>", b"||=", b"=", b":", b">", b"|"];
    let length = signs.iter().find(|held| sign.starts_with(held)).map(|held| held.len());
    match length {
        Some(length) => at += length,
        // `--token …`, and `API_TOKEN …` in a sentence.
        None if (is_option || is_loud) && gap > 0 && !sign.starts_with(b"is ") => {}
        None => {
            let says: [&[u8]; 3] = [b"is ", b"is: ", b"was "];
            at += says.iter().find(|word| gap > 0 && sign.starts_with(word))?.len();
        }
    }
    // A comparison gives nothing a value.
    if text.byte(at) == Some(b'=') {
        return None;
    }
    at += spaces(text, at);
    let quoted = quoted(text, at).or_else(|| typed(text, at));
    if let Some(range) = quoted {
        return Some((range, true));
    }
    let rest = text.bytes.get(at..)?;
    let ends = |byte: &u8| {
        matches!(
            byte,
            b'\t'
                ..=b'\r'
                    | b' '
                    | b'"'
                    | b'\''
                    | b'`'
                    | b','
                    | b';'
                    | b'&'
                    | b')'
                    | b'}'
                    | b']'
                    | b'<'
                    | b'>'
                    | b'|'
                    | b'\\'
        )
    };
    let rest = rest.get(..LONGEST).unwrap_or(rest);
    let end = rest.iter().position(ends).unwrap_or(rest.len());
    (end > 0).then_some((at..at + end, false))
}

fn spaces(text: &Text<'_>, at: usize) -> usize {
    let rest = text.bytes.get(at..).unwrap_or_default();
    rest.iter().take(GAP).take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// What stands in quotes there.
fn quoted(text: &Text<'_>, at: usize) -> Option<Range<usize>> {
    // `r"…"`, `b"…"`, `f'…'`.
    let at = at
        + usize::from(
            matches!(text.byte(at), Some(b'r' | b'b' | b'f' | b'@')) && matches!(text.byte(at + 1), Some(b'"' | b'\'')),
        );
    let quote = text.byte(at).filter(|byte| matches!(byte, b'"' | b'\'' | b'`'))?;
    let rest = text.bytes.get(at + 1..)?;
    let rest = rest.get(..LONGEST).unwrap_or(rest);
    let end = rest.iter().position(|byte| *byte == quote || *byte == b'\n')?;
    (rest.get(end) == Some(&quote)).then_some(at + 1..at + 1 + end)
}

/// What stands in quotes behind a type: `: &str = "…"`.
fn typed(text: &Text<'_>, at: usize) -> Option<Range<usize>> {
    let rest = text.bytes.get(at..)?;
    let rest = rest.get(..LONGEST_TYPE).unwrap_or(rest);
    let sign = memchr::memmem::find(rest, b" = ")?;
    let is_type = |byte: &u8| byte.is_ascii_alphanumeric() || b"&'_:<>[] ".contains(byte);
    rest.get(..sign)?.iter().all(is_type).then(|| quoted(text, at + sign + 3)).flatten()
}

/// What a value is that nothing but its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    Password,
    Key,
    /// A password in a connection string.
    Connection,
}

/// What else is in a connection string.
const CONNECTS: [&str; 12] = [
    "server=",
    "host=",
    "data source=",
    "datasource=",
    "uid=",
    "user id=",
    "username=",
    "user=",
    "database=",
    "jdbc:",
    "endpoint=",
    "://",
];

impl Assigned {
    /// What the value is; nothing if it looks like no secret.
    pub(super) fn is(&self, text: &Text<'_>) -> Option<Is> {
        let said = text.text.get(self.value.clone())?;
        if self.kind == Name::Password
            && self.is_among_others
            && (SHORTEST_PASSWORD..=128).contains(&said.len())
            && is_password(said)
        {
            let around = text.around(&self.name);
            if CONNECTS.iter().any(|word| around.contains(word)) {
                return Some(Is::Connection);
            }
        }
        match self.kind {
            Name::Password => (is_strong(said, self.is_quoted)).then_some(Is::Password),
            Name::Secret if self.is_quoted && is_strong(said, true) && said.len() < 24 => Some(Is::Password),
            _ => is_random(said).then_some(Is::Key),
        }
    }
}

/// Whether a text may be a password that somebody uses: of letters of several kinds, and no name.
fn is_strong(said: &str, is_quoted: bool) -> bool {
    // What takes long comes last: many values may be long, and few are of the right letters.
    if !(8..=128).contains(&said.len()) {
        return false;
    }
    let kinds = plausible::classes(said);
    let has_digit = said.bytes().any(|byte| byte.is_ascii_digit());
    let is_one = said.bytes().all(|byte| byte.is_ascii_graphic());
    let is_code = said.contains(['(', '[', '{']) && !is_quoted || said.contains("=>");
    is_one
        && has_digit
        && (kinds >= 3 || kinds == 2 && said.len() >= 10 && plausible::entropy(said.as_bytes()) >= 2.9)
        && is_password(said)
        && !is_code
        && !plausible::is_words(said)
        && !plausible::is_identifier(said)
        && !said.starts_with(['/', '.', '~'])
}
