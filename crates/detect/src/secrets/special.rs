//! Secrets that no shape tells: private keys in their armour, signed tokens, passwords in URLs and headers.

use std::ops::Range;

use memchr::memmem;

use super::format::Set;
use super::plausible;
use super::text::Text;

/// What was read of the rest of a text, so that it is not read again for each of many that begin in it.
#[derive(Default)]
pub(super) struct Ahead {
    /// For each sign of armour from where on it was looked for, and where it is; the end of the text if it is not.
    next: [Option<(usize, usize)>; SIGNS.len()],
}

/// What begins and ends armour.
const SIGNS: [&[u8]; 4] = [b"--END ", b"-- END ", b"BEGIN ", PUTTY_LINES];
/// What the private lines of a key of PuTTY follow.
const PUTTY_LINES: &[u8] = b"Private-Lines:";

impl Ahead {
    /// Where the next armour begins or ends from `at` on; the end of the text if none does.
    fn armour(&mut self, bytes: &[u8], at: usize) -> usize {
        let of_armour = SIGNS.into_iter().filter(|sign| *sign != PUTTY_LINES);
        of_armour.map(|sign| self.sign(bytes, at, sign)).min().unwrap_or(bytes.len())
    }

    /// Where one of the signs stands next.
    fn sign(&mut self, bytes: &[u8], at: usize, sign: &[u8]) -> usize {
        let held = SIGNS.into_iter().zip(&mut self.next).find(|(held, _)| *held == sign);
        let Some((_, held)) = held else { return bytes.len() };
        if let Some((from, next)) = held
            && (*from..=*next).contains(&at)
        {
            return *next;
        }
        let found = bytes.get(at..).and_then(|rest| memmem::find(rest, sign));
        let next = found.map_or(bytes.len(), |found| at + found);
        *held = Some((at, next));
        next
    }
}

/// Bytes before `PRIVATE KEY` in which its armour begins.
const LABEL: usize = 48;
/// The longest key that is read.
const LONGEST_KEY: usize = 64 * 1024;
/// Digits of base64 of the shortest private key there is.
const SHORTEST_KEY: usize = 60;

/// The private key of which that is the label, and whether it is one of PGP.
pub(super) fn pem(text: &Text<'_>, label: Range<usize>, ahead: &mut Ahead) -> Option<(Range<usize>, bool)> {
    let from = label.start.saturating_sub(LABEL);
    let before = text.bytes.get(from..label.start)?;
    let begin = memmem::rfind(before, b"BEGIN ")?;
    let kind = before.get(begin + 6..)?;
    if !kind.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ') {
        return None;
    }
    let dashes = before.get(..begin)?.iter().rev().take_while(|byte| matches!(byte, b'-' | b' ')).count();
    let rest = text.bytes.get(label.end..)?;
    let rest = rest.strip_prefix(b" BLOCK").unwrap_or(rest);
    let start =
        text.bytes.len() - rest.len() + rest.iter().take(8).take_while(|byte| matches!(byte, b'-' | b' ')).count();
    if dashes < 4 || !rest.starts_with(b"----") && !rest.starts_with(b" ----") {
        return None;
    }
    let armour = ahead.armour(text.bytes, start);
    let is_closed =
        text.bytes.get(armour..).is_some_and(|rest| rest.starts_with(b"--END") || rest.starts_with(b"-- END"));
    let end = armour.min(start + LONGEST_KEY);
    let inside = text.bytes.get(start..end)?;
    let is_of_key =
        |byte: &u8| Set::Base64.holds(*byte) || byte.is_ascii_whitespace() || b"=\\\"',:;-.()+>|#".contains(byte);
    let length = inside.iter().take_while(|byte| is_of_key(byte)).count();
    let body: Vec<u8> = inside.iter().take(length).copied().filter(|byte| Set::Base64.holds(*byte)).collect();
    let head = body.get(..SHORTEST_KEY).and_then(|head| str::from_utf8(head).ok())?;
    // What is no key stands in examples: points, and words.
    if plausible::distinct(head.as_bytes()) < 14 || plausible::is_placeholder(head.get(20..).unwrap_or(head)) {
        return None;
    }
    let start = from + begin - dashes;
    let start = start + text.bytes.get(start..)?.iter().take_while(|byte| **byte == b' ').count();
    let tail =
        || text.bytes.get(armour..(armour + 80).min(text.bytes.len())).and_then(|tail| memmem::find(tail, b"KEY"));
    let end = match is_closed.then(tail).flatten() {
        Some(key) => {
            let after = armour + key + 3;
            let rest = text.bytes.get(after..)?.iter().take(12);
            after + rest.take_while(|byte| b" BLOCK-".contains(byte)).count()
        }
        None => start.max(end - (inside.len() - length)),
    };
    Some((start..end, kind.starts_with(b"PGP")))
}

/// Bytes behind the head of a key of PuTTY in which its lines are.
const PUTTY: usize = 16 * 1024;

/// The key of PuTTY that begins there.
pub(super) fn putty(text: &Text<'_>, head: &Range<usize>, ahead: &mut Ahead) -> Option<Range<usize>> {
    let lines = ahead.sign(text.bytes, head.end, PUTTY_LINES) - head.end;
    let rest = text.bytes.get(head.end..)?;
    let rest = rest.get(..PUTTY).unwrap_or(rest);
    let after = rest.get(lines..)?;
    let digits = after.iter().skip(20).take(400).filter(|byte| Set::Base64.holds(**byte)).count();
    let end = match memmem::find(after, b"Private-MAC:") {
        Some(mac) => {
            lines
                + mac
                + 12
                + after.get(mac + 12..)?.iter().take_while(|byte| byte.is_ascii_hexdigit() || **byte == b' ').count()
        }
        None => rest.len(),
    };
    (digits >= SHORTEST_KEY / 2).then_some(head.start..head.end + end)
}

/// The shortest head of a token there is: of `{"alg":"x"}`.
const SHORTEST_HEAD: usize = 14;
/// The longest head of a token that is read.
const LONGEST_HEAD: usize = 2048;
const LONGEST_TOKEN: usize = 64 * 1024;
/// Digits of base64 of the shortest signature that is not guessed.
const SHORTEST_SIGNATURE: usize = 20;

/// The signed token that begins there.
pub(super) fn jwt(text: &mut Text<'_>, start: usize) -> Option<Range<usize>> {
    if text.before(start).is_some_and(|byte| Set::Url.holds(byte)) {
        return None;
    }
    let mut ends = Vec::new();
    let mut at = start;
    loop {
        let length = text.run(Set::Url, at, LONGEST_TOKEN);
        if length < SHORTEST_HEAD && ends.is_empty() {
            return None;
        }
        ends.push(at..at + length);
        at += length;
        if text.byte(at) != Some(b'.') || ends.len() == 5 {
            break;
        }
        at += 1;
    }
    let (head, payload, signature) = match ends.as_slice() {
        [head, payload, signature] => (head, payload, signature),
        // Encrypted, and so without a payload that one could read.
        [head, _, _, payload, signature] => (head, payload, signature),
        _ => return None,
    };
    let decoded = decode(text.text.get(head.clone()).filter(|head| head.len() <= LONGEST_HEAD)?)?;
    let said = str::from_utf8(&decoded).ok()?.trim();
    let is_head = said.starts_with('{') && said.ends_with('}') && said.contains("\"alg\"");
    let is_encrypted = ends.len() == 5;
    if !is_head || !is_encrypted && signature.len() < SHORTEST_SIGNATURE {
        return None;
    }
    let claims = decode(text.text.get(payload.clone())?).unwrap_or_default();
    let is_example = memmem::find(&claims, b"John Doe").is_some() || memmem::find(&claims, b"1234567890").is_some();
    let sign = text.text.get(signature.clone())?;
    (!is_example && !plausible::is_placeholder(sign)).then_some(start..at.min(signature.end))
}

/// The bytes that digits of base64 of either alphabet stand for; none if they are not all such.
pub(super) fn decode(digits: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0);
    for digit in digits.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    Some(bytes)
}

/// The longest name and the longest password that are read.
const LONGEST_WHO: usize = 300;
/// The shortest password that is one.
pub(super) const SHORTEST_PASSWORD: usize = 6;

/// The password in the URL of which that is the `://`.
pub(super) fn url(text: &Text<'_>, sign: &Range<usize>) -> Option<Range<usize>> {
    if !text.before(sign.start).is_some_and(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let rest = text.bytes.get(sign.end..)?;
    let rest = rest.get(..LONGEST_WHO).unwrap_or(rest);
    let ends = |byte: &u8| b"/?#\"'<>`\\".contains(byte) || byte.is_ascii_whitespace();
    let authority = rest.get(..rest.iter().position(ends).unwrap_or(rest.len()))?;
    let at = memchr::memrchr(b'@', authority)?;
    let colon = memchr::memchr(b':', authority.get(..at)?)?;
    let password = sign.end + colon + 1..sign.end + at;
    let (user, said) = (text.text.get(sign.end..sign.end + colon)?, text.text.get(password.clone())?);
    let host = authority.get(at + 1)?;
    let is_host = host.is_ascii_alphanumeric() || matches!(host, b'[' | b'_');
    (is_host && user != said && is_password(said)).then_some(password)
}

/// Whether somebody may be kept out by it, where it is said that it is a password.
pub(super) fn is_password(said: &str) -> bool {
    let is_letters = said.bytes().all(|byte| byte.is_ascii_lowercase());
    said.len() >= SHORTEST_PASSWORD
        && !plausible::is_template(said)
        && !plausible::is_common(said)
        && !plausible::is_placeholder(said)
        && (!is_letters || said.len() >= 12)
        && !(plausible::is_words(said) && said.contains(['_', '-', '.']))
}

/// The longest credential of a header.
const LONGEST_CREDENTIAL: usize = 4096;

/// What stands behind the name of a scheme of HTTP.
fn shown(text: &mut Text<'_>, scheme: &Range<usize>) -> Option<Range<usize>> {
    if text.before(scheme.start).is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let rest = text.bytes.get(scheme.end..)?;
    let rest = rest.get(..LONGEST_CREDENTIAL).unwrap_or(rest);
    let is_of_it = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    let length = rest.iter().take_while(|byte| is_of_it(byte)).count();
    let said = text.text.get(scheme.end..scheme.end + length)?;
    Some(scheme.end..scheme.end + said.trim_end_matches('.').len())
}

/// The credential behind `Bearer `.
pub(super) fn bearer(text: &mut Text<'_>, scheme: &Range<usize>) -> Option<Range<usize>> {
    let place = shown(text, scheme)?;
    let said = text.text.get(place.clone())?;
    is_random(said).then_some(place)
}

/// The name and the password behind `Basic `.
pub(super) fn basic(text: &mut Text<'_>, scheme: &Range<usize>) -> Option<Range<usize>> {
    let place = shown(text, scheme)?;
    let decoded = decode(text.text.get(place.clone())?)?;
    let said = str::from_utf8(&decoded).ok().filter(|said| !said.chars().any(char::is_control))?;
    let (user, password) = said.split_once(':')?;
    let is_example = user.eq_ignore_ascii_case("aladdin") || user == password;
    (!is_example && is_password(password)).then_some(place)
}

/// Letters of the shortest key that is told only by its name.
const SHORTEST_KEY_VALUE: usize = 16;
const LONGEST_KEY_VALUE: usize = 512;

/// Whether a machine has drawn it, as far as one can tell.
pub(super) fn is_random(said: &str) -> bool {
    let is_of_it = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=:".contains(&byte);
    let letters = said.bytes().filter(u8::is_ascii_alphabetic).count();
    let digits = said.bytes().filter(u8::is_ascii_digit).count();
    (SHORTEST_KEY_VALUE..=LONGEST_KEY_VALUE).contains(&said.len())
        && said.bytes().all(is_of_it)
        && digits > 0
        && letters > 2
        && digits * 25 >= said.len()
        && !plausible::is_template(said)
        && !plausible::is_placeholder(said)
        && !plausible::is_words(said)
        && !plausible::is_identifier(said)
        && plausible::entropy(said.as_bytes()) >= 3.1
        && most_is_one(said)
}

/// Whether most of it is one piece without signs: words, versions and addresses are of many.
fn most_is_one(said: &str) -> bool {
    let longest = said.split(['.', '-', '_', ':', '/', '+', '~']).map(str::len).max().unwrap_or_default();
    longest * 2 >= said.len() || longest >= 20
}
