//! Which host the first message of a TLS handshake names.
//!
//! **Threat.** A tunnel to an allowed host carries a handshake with another that is served from the same address. What names the host is
//! read here, before any byte of it leaves, by a parser that takes one reading and bounded memory; a handshake that hides
//! which host it is for is told.
//!
//! Sources: RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3, RFC 9849 (Encrypted Client Hello).

use crate::host::Host;

/// What is kept of a first message, records and all. Ones with post-quantum key shares and tickets take less than 4 KiB.
pub const LONGEST: usize = 32 * 1024;

/// A record of a handshake.
pub(crate) const HANDSHAKE: u8 = 22;
/// A message that is a ClientHello.
const CLIENT_HELLO: u8 = 1;
/// The largest record of plain text.
const LONGEST_RECORD: usize = 1 << 14;
const SERVER_NAME: u16 = 0;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
/// Drafts of the same, of which some servers may still speak one.
const ENCRYPTED_SERVER_NAME: [u16; 4] = [0xffce, 0xfe08, 0xfe09, 0xfe0a];

/// What a ClientHello says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The host that it names, if any.
    pub server_name: Option<Host>,
    /// Whether there is an encrypted part, which may name another.
    pub encrypted: bool,
}

/// What bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// A beginning of a ClientHello.
    Partial,
    /// A whole one.
    Whole(Hello),
    /// None, or one with more than one reading.
    Malformed,
}

/// Reads a ClientHello from the first bytes of a connection.
#[must_use]
pub fn read(bytes: &[u8]) -> Read {
    match message(bytes) {
        Some(Joined::Whole(body)) => hello(&body).map_or(Read::Malformed, Read::Whole),
        Some(Joined::Partial) if bytes.len() < LONGEST => Read::Partial,
        _ => Read::Malformed,
    }
}

enum Joined {
    Partial,
    Whole(Vec<u8>),
}

/// The body of the handshake message that begins the stream, of however many records it is.
fn message(bytes: &[u8]) -> Option<Joined> {
    let mut rest = Reader(bytes);
    let mut joined = Vec::new();
    while !rest.0.is_empty() {
        // What there is of a header has to be one already.
        let header = rest.0;
        let (kind, major) = (header.first(), header.get(1));
        if kind.is_some_and(|kind| *kind != HANDSHAKE) || major.is_some_and(|major| *major != 3) {
            return None;
        }
        let Some(length) = header.get(3..5) else { return Some(Joined::Partial) };
        let length = number(length);
        // An empty record means nothing, and only some readers take it.
        if length == 0 || length > LONGEST_RECORD {
            return None;
        }
        rest.take(5)?;
        let taken = length.min(rest.0.len());
        joined.extend_from_slice(rest.take(taken)?);
        if let Some(whole) = whole(&joined)? {
            // Nothing may stand behind it in the same record: a client waits for an answer, early data is another kind of record.
            return (whole.len() + 4 == joined.len() && taken == length).then(|| Joined::Whole(whole.to_vec()));
        }
        if taken < length {
            return Some(Joined::Partial);
        }
    }
    Some(Joined::Partial)
}

/// The body of a message if all of it is there; none if it is not the right one.
fn whole(joined: &[u8]) -> Option<Option<&[u8]>> {
    if joined.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return None;
    }
    let Some(length) = joined.get(1..4) else { return Some(None) };
    let length = number(length);
    if length > LONGEST {
        return None;
    }
    Some(joined.get(4..4 + length))
}

fn hello(body: &[u8]) -> Option<Hello> {
    let mut rest = Reader(body);
    let [3, _] = rest.take(2)? else { return None };
    rest.take(32)?;
    let session = rest.vector(1)?;
    let suites = rest.vector(2)?;
    let compressions = rest.vector(1)?;
    if session.0.len() > 32 || suites.0.is_empty() || !suites.0.len().is_multiple_of(2) || compressions.0.is_empty() {
        return None;
    }
    let mut found = Hello { server_name: None, encrypted: false };
    if rest.0.is_empty() {
        return Some(found);
    }
    let mut extensions = rest.vector(2)?;
    if !rest.0.is_empty() {
        return None;
    }
    let mut seen = Vec::new();
    while !extensions.0.is_empty() {
        let kind = u16::try_from(extensions.number(2)?).ok()?;
        let data = extensions.vector(2)?;
        // Two of one kind are read differently by different servers.
        if seen.contains(&kind) || seen.len() >= 256 {
            return None;
        }
        seen.push(kind);
        if kind == SERVER_NAME {
            found.server_name = Some(server_name(data)?);
        }
        found.encrypted |= kind == ENCRYPTED_CLIENT_HELLO || ENCRYPTED_SERVER_NAME.contains(&kind);
    }
    Some(found)
}

/// One name of the only kind there is.
fn server_name(mut data: Reader<'_>) -> Option<Host> {
    let mut names = data.vector(2)?;
    let kind = names.number(1)?;
    let name = names.vector(2)?;
    if kind != 0 || !names.0.is_empty() || !data.0.is_empty() {
        return None;
    }
    let text = std::str::from_utf8(name.0).ok().filter(|text| text.is_ascii())?;
    // An address is none (RFC 6066), and neither has a name a dot at the end.
    match Host::parse(text) {
        Ok(host @ Host::Name(_)) if !text.ends_with('.') => Some(host),
        _ => None,
    }
}

/// Takes from the beginning of bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, width: usize) -> Option<usize> {
        self.take(width).map(number)
    }

    /// What stands behind its length, which takes so many bytes.
    fn vector(&mut self, width: usize) -> Option<Reader<'a>> {
        let length = self.number(width)?;
        self.take(length).map(Reader)
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

#[cfg(test)]
mod tests;
