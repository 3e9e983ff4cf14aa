//! What a connection is asked to: a host and a port, in one form.
//!
//! **Threat.** A host that two programs read differently is checked as one and reached as another: with a NUL byte in the middle, a user
//! before an `@`, an address in octal, a letter that is mapped to another. So what has more than one reading is refused, and what is left
//! has one form, in which it is compared, looked up and written.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// Octets of a name, without the last dot (RFC 1035).
const LONGEST_NAME: usize = 253;
/// Octets of one label.
const LONGEST_LABEL: usize = 63;
/// What is read at all: names in other scripts are shorter in ASCII than in what they are typed in.
const LONGEST_TEXT: usize = 1024;

/// A host in its one form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name of DNS: ASCII, lower case, without a dot at the end.
    Name(Box<str>),
    /// An address, never one of version 4 in the form of version 6.
    Address(IpAddr),
}

/// Why a text is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HostError {
    /// There is nothing.
    #[error("the host is empty")]
    Empty,
    /// It is longer than names are.
    #[error("the host is too long")]
    TooLong,
    /// It has a byte that no host has, such as NUL, a line break, a space, `@`, `%` or `/`.
    #[error("the host has a character that no host has")]
    Character,
    /// It has an empty label, one of more than 63 octets, or one that begins or ends with a hyphen.
    #[error("a label of the host is empty, too long or begins or ends with a hyphen")]
    Label,
    /// It is no name by the rules of internationalised names.
    #[error("the host is not a name that IDNA allows")]
    Idna,
    /// It is an address in an unusual form: in octal, hexadecimal, one number, short, or with a zone.
    #[error("the host is an IP address in an unusual form")]
    AddressForm,
    /// The port is missing or none.
    #[error("the port is missing or not a number from 1 to 65535")]
    Port,
}

impl Host {
    /// Reads a host as it stands in a URL or an authority: a name, an IPv4 address, or an IPv6 address in brackets.
    ///
    /// # Errors
    /// If it has no or more than one reading.
    pub fn parse(text: &str) -> Result<Host, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text.len() > LONGEST_TEXT {
            return Err(HostError::TooLong);
        }
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(HostError::Character)?;
            return bracketed(inner);
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace() || REFUSED.contains(&c)) {
            return Err(HostError::Character);
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() || name.split('.').any(str::is_empty) {
            return Err(HostError::Label);
        }
        match url::Host::parse(name) {
            // It reads every form of an address that any resolver reads; only the usual one is meant by somebody honest.
            Ok(url::Host::Ipv4(address)) if address.to_string() == name => Ok(Host::Address(address.into())),
            Ok(url::Host::Ipv4(_)) => Err(HostError::AddressForm),
            Ok(url::Host::Domain(ascii)) => named(&ascii),
            Ok(url::Host::Ipv6(_)) => Err(HostError::AddressForm),
            Err(url::ParseError::InvalidIpv4Address) => Err(HostError::AddressForm),
            Err(_) => Err(HostError::Idna),
        }
    }

    /// The address, if it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Host::Address(address) => Some(*address),
            Host::Name(_) => None,
        }
    }

    /// Whether a cloud calls its metadata service so, wherever the name leads.
    #[must_use]
    pub fn is_metadata(&self) -> bool {
        match self {
            Host::Name(name) => METADATA.contains(&&**name),
            Host::Address(address) => crate::address::Kind::of(*address) == crate::address::Kind::Metadata,
        }
    }
}

/// Names by which clouds have their metadata services asked.
const METADATA: [&str; 9] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.internal",
    "metadata.azure.internal",
    "metadata.azure.com",
    "metadata.tencentyun.com",
    "instance-data",
    "instance-data.ec2.internal",
];

/// `%` would be decoded or begin a zone; the others end a host or mean something else in an authority.
const REFUSED: [char; 18] =
    ['%', '@', ':', '/', '\\', '?', '#', '[', ']', '<', '>', '^', '|', '"', '\'', '`', '{', '}'];

fn bracketed(inner: &str) -> Result<Host, HostError> {
    if inner.contains('%') {
        return Err(HostError::AddressForm);
    }
    let address: Ipv6Addr = inner.parse().map_err(|_| HostError::Character)?;
    Ok(Host::Address(IpAddr::V6(address).to_canonical()))
}

fn named(ascii: &str) -> Result<Host, HostError> {
    // IDNA maps other dots to this one.
    let ascii = ascii.strip_suffix('.').unwrap_or(ascii);
    if ascii.len() > LONGEST_NAME {
        return Err(HostError::TooLong);
    }
    for label in ascii.split('.') {
        if label.is_empty() || label.len() > LONGEST_LABEL || label.starts_with('-') || label.ends_with('-') {
            return Err(HostError::Label);
        }
        if !label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte)) {
            return Err(HostError::Character);
        }
    }
    // A number as the last label is read as an address by some, so no name ends with one.
    let last = ascii.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) || ascii.parse::<Ipv4Addr>().is_ok() {
        return Err(HostError::AddressForm);
    }
    Ok(Host::Name(ascii.into()))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V4(address)) => address.fmt(f),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The host.
    pub host: Host,
    /// The port, not 0.
    pub port: u16,
}

impl Target {
    /// Reads `host:port`; without a port it is `usual`, if there is one.
    ///
    /// # Errors
    /// If the host has no or more than one reading, or the port is none.
    pub fn parse(text: &str, usual: Option<u16>) -> Result<Target, HostError> {
        let (host, port) = match text.rsplit_once(':') {
            // The colon is one of the address.
            Some((_, rest)) if rest.ends_with(']') => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let port = match port {
            Some(port) if port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok(),
            Some(_) => None,
            None => usual,
        };
        let host = Host::parse(host)?;
        let port = port.filter(|port| *port != 0).ok_or(HostError::Port)?;
        Ok(Target { host, port })
    }

    /// As it stands in a `Host` header where `usual` is the port that is left out.
    #[must_use]
    pub fn authority(&self, usual: u16) -> String {
        if self.port == usual { self.host.to_string() } else { self.to_string() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests;
