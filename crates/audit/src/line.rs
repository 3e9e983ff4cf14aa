//! The form of one line, read strictly: every entry has exactly one spelling.

use serde::de::IgnoredAny;

use crate::chain::Chain;
use crate::fault::Problem;
use crate::id::Id;
use crate::time;

pub(crate) const SEQ: &[u8] = b"{\"seq\":";
pub(crate) const ID: &[u8] = b",\"id\":\"";
pub(crate) const AT: &[u8] = b"\",\"at\":\"";
pub(crate) const KIND: &[u8] = b"\",\"kind\":\"";
pub(crate) const CHAIN: &[u8] = b",\"chain\":\"";
pub(crate) const END: &[u8] = b"\"}";

const HEX: usize = 64;
const RESERVED: [&[u8]; 5] = [b"seq", b"id", b"at", b"kind", b"chain"];

/// Nesting inside the fields. JSON parsers commonly stop at 128.
const MAX_DEPTH: usize = 64;

/// One line taken apart, without its newline.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) seq: u64,
    pub(crate) id: Id,
    pub(crate) at_micros: i64,
    pub(crate) kind: &'a str,
    /// The bytes the chain covers.
    pub(crate) body: &'a [u8],
    pub(crate) chain: Chain,
    pub(crate) text: &'a str,
}

impl<'a> Line<'a> {
    /// Reads a line; its chain is compared by the caller, who knows the line before.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        let text = str::from_utf8(bytes).map_err(|_| Problem::Utf8)?;
        serde_json::from_str::<IgnoredAny>(text).map_err(Problem::Json)?;
        Self::take_apart(bytes, text).map_err(Problem::Shape)
    }

    fn take_apart(bytes: &'a [u8], text: &'a str) -> Result<Self, &'static str> {
        let (body, chain) = split_chain(bytes).ok_or("it does not end in a chain")?;
        let rest = body.strip_prefix(SEQ).ok_or("it does not start with a seq")?;
        let (seq, rest) = number(rest).ok_or("its seq is not a number")?;
        let rest = rest.strip_prefix(ID).ok_or("an id does not follow")?;
        let (id, rest) = rest.split_at_checked(Id::LEN).ok_or("its id is too short")?;
        let id = str::from_utf8(id).map_err(|_| "its id is not a ULID")?.parse().map_err(|_| "its id is not a ULID")?;
        let rest = rest.strip_prefix(AT).ok_or("a time does not follow")?;
        let (at, rest) = rest.split_at_checked(time::LEN).ok_or("its time is too short")?;
        let at_micros = time::parse(at).ok_or("its time is not RFC 3339 in UTC with microseconds")?;
        let rest = rest.strip_prefix(KIND).ok_or("a kind does not follow")?;
        let end = rest.iter().position(|&byte| byte == b'"').ok_or("its kind does not end")?;
        let (kind, rest) = rest.split_at_checked(end).ok_or("its kind does not end")?;
        let kind = str::from_utf8(kind).ok().filter(|kind| is_kind(kind)).ok_or("its kind has other characters")?;
        match rest.strip_prefix(b"\"") {
            Some([]) => {}
            Some([b',', members @ ..]) => check_members(members)?,
            _ => return Err("something else follows its kind"),
        }
        Ok(Self { seq, id, at_micros, kind, body, chain, text })
    }

    /// The text of one field of the line, when it has it.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let value: serde_json::Value = serde_json::from_str(self.text).ok()?;
        value.get(name)?.as_str().map(str::to_owned)
    }
}

/// Whether a line, of which only the start may have been written yet, belongs to the entry `id`.
pub(crate) fn has_id(bytes: &[u8], id: Id) -> bool {
    let id_follows = |rest: &[u8]| rest.starts_with(id.text(&mut [0; Id::LEN]).as_bytes());
    bytes.strip_prefix(SEQ).and_then(number).and_then(|(_, rest)| rest.strip_prefix(ID)).is_some_and(id_follows)
}

/// The number that a line claims.
pub(crate) fn seq(bytes: &[u8]) -> Option<u64> {
    number(bytes.strip_prefix(SEQ)?).map(|(seq, _)| seq)
}

/// The kind that a line claims, of which only so much was read.
pub(crate) fn kind(bytes: &[u8]) -> Option<&[u8]> {
    let (_, rest) = number(bytes.strip_prefix(SEQ)?)?;
    let rest = rest.strip_prefix(ID)?.get(Id::LEN..)?.strip_prefix(AT)?.get(time::LEN..)?.strip_prefix(KIND)?;
    rest.get(..rest.iter().position(|&byte| byte == b'"')?)
}

/// Whether `kind` is one to 64 of a few plain characters, which never need escaping.
pub(crate) fn is_kind(kind: &str) -> bool {
    (1..=64).contains(&kind.len())
        && kind.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

/// Checks the members of a JSON object for what would make the line ambiguous: a reserved name at the top (which
/// value would a reader see?), a newline between tokens, and nesting and numbers that readers refuse. They are valid JSON
/// already.
pub(crate) fn check_members(members: &[u8]) -> Result<(), &'static str> {
    let mut depth = 0_usize;
    let mut key_next = true;
    let mut rest = members;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'"' => {
                let (content, after) = string(tail).ok_or("its fields hold a string without an end")?;
                if depth == 0 && key_next {
                    key_next = false;
                    if is_reserved(content) {
                        return Err("a field is called seq, id, at, kind or chain");
                    }
                }
                rest = after;
            }
            b',' if depth == 0 => key_next = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err("its fields are nested too deeply");
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'0'..=b'9' => {
                let is_more = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
                let (more, after) = tail.split_at(tail.iter().take_while(|byte| is_more(byte)).count());
                if is_too_large(byte, more) {
                    return Err("its fields hold a number that is too large");
                }
                rest = after;
            }
            b'\n' => return Err("its fields hold a newline between tokens"),
            _ => {}
        }
    }
    Ok(())
}

/// Whether readers that know numbers of 64 bits find none here.
fn is_too_large(first: u8, more: &[u8]) -> bool {
    let may_be = more.len() > 300 || more.iter().any(|byte| matches!(byte, b'e' | b'E'));
    let read = || str::from_utf8(more).ok().and_then(|more| format!("{}{more}", char::from(first)).parse::<f64>().ok());
    may_be && !read().is_some_and(f64::is_finite)
}

fn is_reserved(key: &[u8]) -> bool {
    if !key.contains(&b'\\') {
        return RESERVED.contains(&key);
    }
    // An escaped spelling of a name is still that name.
    let quoted = [b"\"", key, b"\""].concat();
    serde_json::from_slice::<String>(&quoted).map_or(true, |key| RESERVED.contains(&key.as_bytes()))
}

/// Splits after the string whose opening quote was just read, into its content and what follows the closing quote.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == b'"' || byte == b'\\')?;
        if bytes.get(at) == Some(&b'"') {
            return Some((bytes.get(..at)?, bytes.get(at + 1..)?));
        }
        at += 2;
    }
}

fn split_chain(line: &[u8]) -> Option<(&[u8], Chain)> {
    let rest = line.strip_suffix(END)?;
    let (rest, hex) = rest.split_at_checked(rest.len().checked_sub(HEX)?)?;
    Some((rest.strip_suffix(CHAIN)?, Chain::from_hex(hex)?))
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = bytes.split_at_checked(end)?;
    if digits.len() > 1 && digits.first() == Some(&b'0') {
        return None;
    }
    Some((str::from_utf8(digits).ok()?.parse().ok()?, rest))
}
