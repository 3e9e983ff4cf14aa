//! Addresses of the Internet, and values that follow their name: e-mail, IP, MAC, URL, BIC, user names, lines of passports.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::context::{Words, class};
use super::{Hit, PersonalKind, bank, check};

/// What is searched for, made ready once: that takes longer than to search a short text.
static NAMES: LazyLock<Names> = LazyLock::new(|| Names {
    banks: ["BIC", "SWIFT", "bic", "swift"].map(Finder::new),
    users: ["sername", "ser name", "ser_name", "enutzername", "suario", "tilisateur"].map(Finder::new),
    lines: Finder::new("<<"),
});

struct Names {
    banks: [Finder<'static>; 4],
    users: [Finder<'static>; 6],
    lines: Finder<'static>,
}

/// Looks at everything in which there is a sign of an address.
pub(super) fn look(text: &str, words: &Words, hits: &mut Vec<Hit>) {
    emails(text, hits);
    colons(text, hits);
    v4(text, words, hits);
    bics(text, hits);
    user_names(text, hits);
    passports(text, hits);
}

/// The longest part before the sign (RFC 5321), and the longest name of a host.
const LOCAL: usize = 64;
const HOST: usize = 253;

fn emails(text: &str, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    for at in memchr::memchr_iter(b'@', bytes) {
        let before = bytes.get(from..at).unwrap_or_default();
        let is_local =
            |byte: &&u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(byte) || **byte >= 0x80;
        let mut length = before.iter().rev().take(LOCAL).take_while(is_local).count();
        // What quotes or delimits an address is not of it.
        while length > 0
            && bytes
                .get(at - length)
                .is_some_and(|byte| b"'`.|/={}&?*!#$%^~".contains(byte) || !text.is_char_boundary(at - length))
        {
            length -= 1;
        }
        if let Some(cut) =
            bytes.get(at - length..at).and_then(|local| local.iter().rposition(|byte| b"|={}&?/'`".contains(byte)))
        {
            length -= cut + 1;
        }
        let host = host(bytes, at + 1);
        from = at + 1;
        if length == 0 || host == 0 {
            continue;
        }
        from = at + 1 + host;
        let local = bytes.get(at - length..at).unwrap_or_default();
        if local.last() == Some(&b'.') {
            continue;
        }
        let span = at - length..from;
        let name = text.get(span.clone()).unwrap_or_default();
        // `git@host:path` names no person.
        let is_git = local.eq_ignore_ascii_case(b"git") || name.ends_with(".git");
        hits.push(Hit::new(PersonalKind::Email, "email", span, if is_git { 450 } else { 970 }));
    }
}

/// How long the name of a host is that begins here and ends in a domain of letters; 0 if there is none.
fn host(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    let is_host = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.') || **byte >= 0x80;
    let mut length = rest.iter().take(HOST).take_while(is_host).count();
    let name = |length: usize| rest.get(..length).unwrap_or_default();
    // Characters of other scripts may be signs of theirs, such as a full stop: of those only letters count.
    if let Ok(host) = str::from_utf8(name(length)) {
        length = host.find(|c: char| !c.is_ascii() && !c.is_alphanumeric()).unwrap_or(length);
    }
    while length > 0 && matches!(name(length).last(), Some(b'.' | b'-')) {
        length -= 1;
    }
    let labels = name(length);
    let Some(dot) = labels.iter().rposition(|byte| *byte == b'.') else { return 0 };
    let last = labels.get(dot + 1..).unwrap_or_default();
    let is_domain = last.len() >= 2 && last.iter().all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80);
    let whole = labels.first() != Some(&b'.') && !labels.windows(2).any(|two| two == b"..");
    if is_domain && whole && str::from_utf8(labels).is_ok() { length } else { 0 }
}

/// What a colon is a part of: an address of IPv6, of a network card, or of the web.
fn colons(text: &str, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    let mut next = 0;
    for at in memchr::memchr_iter(b':', bytes) {
        if at < next {
            continue;
        }
        if bytes.get(at + 1..at + 3) == Some(b"//") {
            let span = url(text, next, at);
            next = span.end.max(at + 1);
            if span.len() > at + 3 - span.start {
                hits.push(Hit::new(PersonalKind::Url, "url", span, 850));
            }
            continue;
        }
        let is_part = |byte: &&u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        let before = bytes.get(next..at).unwrap_or_default();
        let start = at - before.iter().rev().take(5).take_while(|byte| byte.is_ascii_hexdigit()).count();
        let rest = bytes.get(start..).unwrap_or_default();
        let length = rest.iter().take(64).take_while(is_part).count();
        next = start + length.max(at + 1 - start);
        let outside = |place: Option<&u8>| {
            !place.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b':')
        };
        if length < 6 || !outside(start.checked_sub(1).and_then(|at| bytes.get(at))) || !outside(bytes.get(next)) {
            continue;
        }
        let found = text.get(start..start + length).unwrap_or_default().trim_end_matches(['.', ':']);
        if is_mac(found.as_bytes()) {
            hits.push(Hit::new(PersonalKind::MacAddress, "mac_address", start..start + found.len(), 850));
        } else if let Ok(address) = found.parse::<Ipv6Addr>() {
            let groups = found.split(':').filter(|group| !group.is_empty()).count();
            let plain = address.is_loopback() || address.is_unspecified() || address.is_multicast();
            if groups >= 3 && !plain {
                hits.push(Hit::new(PersonalKind::IpAddress, "ipv6", start..start + found.len(), 850));
            }
        }
    }
    dashed_macs(text, hits);
}

fn url(text: &str, from: usize, colon: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let before = bytes.get(from..colon).unwrap_or_default();
    let start = colon - before.iter().rev().take(12).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let is_part =
        |byte: &&u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'`' | b'{' | b'}' | b'|' | b'\\');
    let length = bytes.get(colon..).unwrap_or_default().iter().take_while(is_part).count();
    let rest = text.get(colon..colon + length).unwrap_or_default();
    start..colon + rest.trim_end_matches(['.', ',', ')', ';', ':', '\'', ']', '!', '?']).len()
}

/// Six numbers of two digits.
fn is_mac(text: &[u8]) -> bool {
    text.len() == 17
        && text.chunks(3).all(|part| {
            part.iter().take(2).all(u8::is_ascii_hexdigit) && part.get(2).is_none_or(|sign| matches!(sign, b':' | b'-'))
        })
        && text.iter().any(|byte| !matches!(byte, b'0' | b':' | b'-'))
        && text.iter().any(|byte| !matches!(byte, b'f' | b'F' | b':' | b'-'))
}

/// Addresses of network cards with hyphens, as Windows writes them.
fn dashed_macs(text: &str, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    let mut next = 0;
    for at in memchr::memchr_iter(b'-', bytes) {
        if at < next.max(2) || bytes.get(at + 3) != Some(&b'-') {
            continue;
        }
        let (start, end) = (at - 2, at + 15);
        let edge = |place: Option<usize>| {
            !place.and_then(|at| bytes.get(at)).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        };
        let found = bytes.get(start..end).unwrap_or_default();
        if is_mac(found) && edge(start.checked_sub(1)) && edge(Some(end)) && found.iter().any(u8::is_ascii_digit) {
            hits.push(Hit::new(PersonalKind::MacAddress, "mac_address", start..end, 800));
            next = end;
        }
    }
}

/// Four numbers below 256 with full stops between, found by their stops.
fn v4(text: &str, words: &Words, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    let mut next = 0;
    for at in memchr::memchr_iter(b'.', bytes) {
        let beside = |place: Option<usize>| place.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
        if at < next || !beside(at.checked_sub(1)) || !beside(Some(at + 1)) {
            continue;
        }
        let before = bytes.get(next..at).unwrap_or_default();
        let start = at - before.iter().rev().take(4).take_while(|byte| byte.is_ascii_digit()).count();
        let rest = bytes.get(start..).unwrap_or_default();
        let length = rest.iter().take(64).take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        next = start + length.max(at + 1 - start);
        let outside = |place: Option<&u8>| {
            !place.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+'))
        };
        if !outside(start.checked_sub(1).and_then(|at| bytes.get(at))) || !outside(bytes.get(next)) {
            continue;
        }
        let found = text.get(start..start + length).unwrap_or_default().trim_end_matches('.');
        let Ok(address) = found.parse::<Ipv4Addr>() else { continue };
        if address.is_loopback() || address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
            continue;
        }
        let [first, ..] = address.octets();
        let small = address.octets().iter().all(|octet| *octet < 20);
        let near = words.around(text, start, start + found.len()).near;
        let sure = match () {
            () if near.of(class::OTHER) && !near.of(class::IP) => 300,
            () if small || first == 0 => 350,
            () if address.is_private() || address.is_link_local() => 500,
            () => 780,
        };
        let sure = if near.of(class::IP) { sure + 150 } else { sure };
        if sure >= 400 {
            hits.push(Hit::new(PersonalKind::IpAddress, "ipv4", start..start + found.len(), sure));
        }
    }
}

/// A value behind its name: `name: value`, `"name": "value"`, `name is value`.
fn value_behind(text: &str, from: usize) -> Option<Range<usize>> {
    let end = text.floor_char_boundary(from.saturating_add(32).min(text.len()));
    let rest = text.get(from..end)?;
    let signs = rest.find(|c: char| !matches!(c, '"' | '\'' | ':' | '=' | ' ' | '(' | ')' | '/' | '.' | '#'))?;
    let words = ["is ", "code ", "code: ", "nr ", "nr. ", "no. ", "number "];
    let skipped = rest.get(signs..)?;
    let word = words.iter().find(|word| skipped.starts_with(**word)).map_or(0, |word| word.len());
    if signs + word == 0 {
        return None;
    }
    let start = from + signs + word;
    let length = text
        .get(start..)?
        .bytes()
        .take(80)
        .take_while(|byte| !byte.is_ascii_whitespace() && !b"\"',;)(<>}".contains(byte))
        .count();
    Some(start..text.floor_char_boundary(start + length))
}

fn bics(text: &str, hits: &mut Vec<Hit>) {
    for name in &NAMES.banks {
        for at in name.find_iter(text.as_bytes()) {
            let mut from = at + name.needle().len();
            if let Some(rest) = text.get(from..).filter(|rest| rest.starts_with("/SWIFT") || rest.starts_with("/BIC")) {
                from += rest.find(['T', 'C']).map_or(0, |at| at + 1);
            }
            let Some(span) = value_behind(text, from) else { continue };
            let value = text.get(span.clone()).unwrap_or_default();
            let value = value.trim_end_matches('.');
            if bank::is_bic(value.as_bytes()) {
                hits.push(Hit::new(PersonalKind::BankId, "bic", span.start..span.start + value.len(), 930));
            }
        }
    }
}

fn user_names(text: &str, hits: &mut Vec<Hit>) {
    for name in &NAMES.users {
        for at in name.find_iter(text.as_bytes()) {
            let Some(span) = value_behind(text, at + name.needle().len()) else { continue };
            let value = text.get(span.clone()).unwrap_or_default();
            let value = value.trim_end_matches(['.', ':', '!', '?']);
            let signs = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
            // What looks like no word of a sentence.
            let unusual = value.bytes().any(|byte| !byte.is_ascii_lowercase())
                && value.bytes().any(|byte| byte.is_ascii_alphabetic());
            if (3..=40).contains(&value.len())
                && signs
                && unusual
                && value.bytes().any(|byte| byte.is_ascii_lowercase())
            {
                hits.push(Hit::new(PersonalKind::UserName, "user_name", span.start..span.start + value.len(), 650));
            }
        }
    }
}

/// Lines of a passport or card that machines read (ICAO 9303): letters, digits and `<`, with check digits.
fn passports(text: &str, hits: &mut Vec<Hit>) {
    let mut next = 0;
    for at in NAMES.lines.find_iter(text.as_bytes()) {
        if at < next {
            continue;
        }
        let bytes = text.as_bytes();
        let is_part = |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b'<';
        let before = bytes.get(next..at).unwrap_or_default();
        let start = at - before.iter().rev().take(44).take_while(is_part).count();
        let line = |start: usize| {
            let rest = bytes.get(start..).unwrap_or_default();
            rest.get(..rest.iter().take(45).take_while(is_part).count()).unwrap_or_default()
        };
        let first = line(start);
        next = start + first.len().max(2);
        let second_start = next
            + bytes
                .get(next..)
                .unwrap_or_default()
                .iter()
                .take(4)
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
        let second = line(second_start);
        let checked = |line: &[u8], from: usize, length: usize| {
            line.get(from..from + length).is_some_and(|part| check::icao(part) == check::digit(line, from + length))
        };
        let good = match (first.len(), second.len()) {
            (44 | 36, length) if length == first.len() => {
                checked(second, 0, 9) && checked(second, 13, 6) && checked(second, 21, 6)
            }
            (30, 30) => checked(first, 5, 9) && checked(second, 0, 6) && checked(second, 8, 6),
            _ => false,
        };
        if good {
            next = second_start + second.len();
            hits.push(Hit::new(PersonalKind::Passport, "machine_readable", start..next, 980));
        }
    }
}
