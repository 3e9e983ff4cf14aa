//! Where a secret may stand in a request, and which can stand there at all.

use http::{HeaderName, header};
use thiserror::Error;

use crate::host::{Host, HostError};

/// Octets of one header with its secrets in place.
pub const LONGEST_HEADER: usize = 64 * 1024;

/// What is for one hop only (RFC 9110 section 7.6.1), and what asks for another protocol.
pub const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// They say how a request is read.
const UNFIT: [HeaderName; 4] = [header::HOST, header::CONTENT_LENGTH, header::EXPECT, header::CONTENT_TYPE];

/// Why a secret cannot be bound. Its value is not in the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unbound {
    /// The host is none.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The header says how a request is read or where it goes.
    #[error("no secret is put into the header {0}")]
    Header(HeaderName),
    /// It cannot stand in a header.
    #[error("the secret is empty, too long, or has characters that no header has")]
    Value,
}

/// The host to which, and the header in which, a secret may stand.
///
/// # Errors
/// If there is no such host, or the header says how a request is read.
pub fn bound(host: &str, header: HeaderName) -> Result<(Host, HeaderName), Unbound> {
    let host = Host::parse(host)?;
    if UNFIT.contains(&header) || HOP_BY_HOP.contains(&header.as_str()) {
        return Err(Unbound::Header(header));
    }
    Ok((host, header))
}

/// Whether a value can stand in a header.
///
/// # Errors
/// If it cannot.
pub fn check(value: &str) -> Result<(), Unbound> {
    let fits = !value.is_empty()
        && value.len() <= LONGEST_HEADER / 4
        && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if fits { Ok(()) } else { Err(Unbound::Value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_secret_can_stand() {
        for (host, name, fits) in [
            ("a.example", "authorization", true),
            ("203.0.114.7", "x-token", true),
            ("a b", "authorization", false),
            ("*.example.com", "authorization", false),
            ("a.example", "host", false),
            ("a.example", "content-length", false),
            ("a.example", "transfer-encoding", false),
            ("a.example", "connection", false),
        ] {
            assert_eq!(bound(host, HeaderName::from_static(name)).is_ok(), fits, "{host} {name}");
        }
    }

    #[test]
    fn what_can_stand_in_a_header() {
        let longest = "x".repeat(LONGEST_HEADER / 4);
        for (value, fits) in
            [("Bearer a.b", true), (&*longest, true), ("", false), ("a\r\nx: y", false), ("a\0", false), ("ä", false)]
        {
            assert_eq!(check(value).is_ok(), fits, "{} bytes", value.len());
        }
        assert_eq!(check(&format!("{longest}x")), Err(Unbound::Value));
    }
}
