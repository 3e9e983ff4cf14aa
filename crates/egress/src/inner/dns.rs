//! A name service that knows nothing: it gives each name an address of its own, and asks nobody.
//!
//! **Threat.** A name that is looked up is a message to whoever answers for its domain. Here none leaves: what is asked stays in the sandbox, whatever
//! it says.
//!
//! Source: RFC 1035 sections 4.1 and 4.2.

use std::net::Ipv4Addr;

use super::Names;
use crate::host::Host;

/// Octets of a query; what is longer is none that is answered (RFC 1035 section 2.3.4).
pub const LONGEST: usize = 512;

const HEADER: usize = 12;
const LONGEST_NAME: usize = 255;
/// Seconds for which an answer may be kept; it never changes.
const TTL: u32 = 60;
const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;

/// How an answer says what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    Good = 0,
    Malformed = 1,
    Failed = 2,
    NoSuchName = 3,
    NotImplemented = 4,
    Refused = 5,
}

/// What is asked.
struct Question<'a> {
    /// As it stands in the message, to be repeated.
    bytes: &'a [u8],
    name: Option<Host>,
    kind: u16,
    class: u16,
}

/// The answer to a query; none if it is no query.
#[must_use]
pub fn answer(query: &[u8], names: &mut Names) -> Option<Vec<u8>> {
    let (header, rest) = query.split_at_checked(HEADER)?;
    let [id0, id1, flags, ..] = header else { return None };
    let counts: Vec<u16> = header.get(4..)?.chunks_exact(2).filter_map(number).collect();
    let is_answer = flags & 0x80 != 0;
    if is_answer || query.len() > LONGEST {
        return None;
    }
    let (code, question, address) = match (flags >> 3 & 0x0f, &*counts) {
        (0, [1, 0, 0, more]) => match question(rest, *more > 0) {
            Some(question) => {
                let (code, address) = found(&question, names);
                (code, Some(question), address)
            }
            None => (Code::Malformed, None, None),
        },
        (0, _) => (Code::Malformed, None, None),
        _ => (Code::NotImplemented, None, None),
    };
    let mut said = Vec::with_capacity(LONGEST);
    // An answer, of who answers for the name, to what is asked so, which would be looked up further.
    let asked_for_more = flags & 0x01;
    said.extend([*id0, *id1, 0x84 | asked_for_more, 0x80 | code as u8]);
    said.extend([0, u8::from(question.is_some()), 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    said.extend(question.iter().flat_map(|question| question.bytes));
    if let Some(address) = address {
        // The name is the one of the question.
        said.extend([0xc0, 0x0c]);
        said.extend([TYPE_A, CLASS_IN].into_iter().flat_map(u16::to_be_bytes));
        said.extend(TTL.to_be_bytes());
        said.extend([0, 4]);
        said.extend(address.octets());
    }
    Some(said)
}

fn found(question: &Question<'_>, names: &mut Names) -> (Code, Option<Ipv4Addr>) {
    if question.class != CLASS_IN {
        return (Code::Refused, None);
    }
    let Some(Host::Name(name)) = &question.name else { return (Code::NoSuchName, None) };
    // Other kinds there are none of: no address of version 6, and no parameters of TLS.
    if question.kind != TYPE_A {
        return (Code::Good, None);
    }
    if &**name == "localhost" || name.ends_with(".localhost") {
        return (Code::Good, Some(Ipv4Addr::LOCALHOST));
    }
    match names.address_of(name) {
        Some(address) => (Code::Good, Some(address)),
        None => (Code::Failed, None),
    }
}

/// The only question of a query; behind it there may be `more`, which is not looked at, or nothing.
fn question(bytes: &[u8], more: bool) -> Option<Question<'_>> {
    let (mut rest, mut labels) = (bytes, Vec::new());
    let mut length = 1;
    loop {
        let (count, behind) = rest.split_first()?;
        let count = usize::from(*count);
        if count == 0 {
            rest = behind;
            break;
        }
        length += count + 1;
        // A longer one would be a pointer to what stands elsewhere, and there is nothing else.
        if count > 63 || length > LONGEST_NAME {
            return None;
        }
        let (label, behind) = behind.split_at_checked(count)?;
        labels.push(label);
        rest = behind;
    }
    let (end, behind) = rest.split_at_checked(4)?;
    if !more && !behind.is_empty() {
        return None;
    }
    let (kind, class) = end.split_at_checked(2)?;
    let bytes = bytes.get(..bytes.len() - behind.len())?;
    Some(Question { bytes, name: name(&labels), kind: number(kind)?, class: number(class)? })
}

/// The host of that name, if a host can have it.
fn name(labels: &[&[u8]]) -> Option<Host> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let plain = labels.iter().all(|label| label.iter().all(plain));
    let text = plain.then(|| labels.join(&b'.'))?;
    Host::parse(std::str::from_utf8(&text).ok()?).ok()
}

fn number(bytes: &[u8]) -> Option<u16> {
    bytes.try_into().ok().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests;
