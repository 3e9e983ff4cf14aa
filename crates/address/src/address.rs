//! Which addresses are of the Internet that everybody reaches, and which are somebody's own.
//!
//! **Threat.** A name that is allowed may lead anywhere, and whoever it belongs to decides where: to this machine, to a router,
//! to the service that hands a cloud's credentials to whoever asks from inside. So an address has to be known as public, and what
//! is not public has to be named by the operator, as an address or a range; some have no business to be asked at all.
//!
//! Sources: the IANA registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890 and its updates), and what clouds say of their
//! metadata services.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Of the Internet.
    Public,
    /// This machine.
    Loopback,
    /// A private network, also that between a provider and its customers.
    Private,
    /// Tells whoever asks from inside a cloud what it is and which credentials it has.
    Metadata,
    /// No destination of anybody: a link, a group, an example, a translation of another address, or not handed out.
    Unfit,
}

impl Kind {
    /// What `address` is for; one of version 4 in the form of version 6 is what it is in its own.
    #[must_use]
    pub fn of(address: IpAddr) -> Kind {
        let address = address.to_canonical();
        if METADATA.contains(&address) {
            return Kind::Metadata;
        }
        match block(address) {
            Some((_, kind)) => kind,
            // What is not known of version 6 is not handed out, or not to machines.
            None if address.is_ipv4() || GLOBAL_V6.contains(address) => Kind::Public,
            None => Kind::Unfit,
        }
    }

    /// Whether an operator may allow it by naming it.
    #[must_use]
    pub fn can_be_named(self) -> bool {
        matches!(self, Kind::Public | Kind::Loopback | Kind::Private)
    }
}

/// Everything that is handed out to machines.
const GLOBAL_V6: Range = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Azure's is in the middle of what is public, Alibaba's among private ones.
const METADATA: [IpAddr; 9] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Everything that is not public, by the widest range of one kind.
const BLOCKS: [(Range, Kind); 33] = [
    (v4([0, 0, 0, 0], 8), Kind::Unfit),
    (v4([10, 0, 0, 0], 8), Kind::Private),
    (v4([100, 64, 0, 0], 10), Kind::Private),
    (v4([127, 0, 0, 0], 8), Kind::Loopback),
    (v4([169, 254, 0, 0], 16), Kind::Unfit),
    (v4([172, 16, 0, 0], 12), Kind::Private),
    (v4([192, 0, 0, 0], 24), Kind::Unfit),
    (v4([192, 0, 2, 0], 24), Kind::Unfit),
    (v4([192, 31, 196, 0], 24), Kind::Unfit),
    (v4([192, 52, 193, 0], 24), Kind::Unfit),
    (v4([192, 88, 99, 0], 24), Kind::Unfit),
    (v4([192, 168, 0, 0], 16), Kind::Private),
    (v4([192, 175, 48, 0], 24), Kind::Unfit),
    (v4([198, 18, 0, 0], 15), Kind::Unfit),
    (v4([198, 51, 100, 0], 24), Kind::Unfit),
    (v4([203, 0, 113, 0], 24), Kind::Unfit),
    (v4([224, 0, 0, 0], 4), Kind::Unfit),
    (v4([240, 0, 0, 0], 4), Kind::Unfit),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Kind::Loopback),
    // Unspecified, and addresses of version 4 that were meant by it once.
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), Kind::Unfit),
    // NAT64 and its local form, translations of RFC 2765, discard.
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), Kind::Unfit),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), Kind::Unfit),
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), Kind::Unfit),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), Kind::Unfit),
    // Protocols: Teredo, benchmarks, ORCHID and others. Then examples, 6to4, and the newer examples.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Kind::Unfit),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), Kind::Unfit),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), Kind::Unfit),
    (v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), Kind::Unfit),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Kind::Unfit),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Kind::Private),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), Kind::Unfit),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), Kind::Unfit),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), Kind::Unfit),
];

/// The first that holds it; narrower ones that matter stand before wider ones.
fn block(address: IpAddr) -> Option<(Range, Kind)> {
    BLOCKS.into_iter().find(|(range, _)| range.contains(address))
}

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    first: IpAddr,
    bits: u8,
}

/// Why a text is no range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RangeError {
    /// What stands before the slash is no address in its usual form.
    #[error("it does not begin with an IP address")]
    Address,
    /// What stands behind it is no number of bits that such an address has.
    #[error("the number of bits behind the slash is not from 0 to 32, or to 128 for IPv6")]
    Bits,
    /// The address says more than the range.
    #[error("bits of the address are set that the range does not fix")]
    Loose,
    /// Nobody may be sent there.
    #[error(
        "no connection is ever made to these addresses: they are of a link, a group, a metadata service or of nobody"
    )]
    Unfit,
}

impl Range {
    /// Reads `10.0.0.0/8`, `fd00::/8`, or an address for itself alone.
    ///
    /// # Errors
    /// If it is none, or lies in what nobody may be sent to.
    pub fn parse(text: &str) -> Result<Range, RangeError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| RangeError::Address)?;
        if first != first.to_canonical() {
            return Err(RangeError::Address);
        }
        let most = width(first);
        let bits = match bits {
            Some(text) if text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().ok().filter(|bits| *bits <= most).ok_or(RangeError::Bits)?
            }
            Some(_) => return Err(RangeError::Bits),
            None => most,
        };
        let range = Range { first, bits };
        if bits_of(first) & !mask(bits, most) != 0 {
            return Err(RangeError::Loose);
        }
        // Wider ones allow what is public in them, narrower ones would allow nothing.
        let within_unfit = block(first).is_some_and(|(block, kind)| kind == Kind::Unfit && block.covers(range));
        if within_unfit || (bits == most && !Kind::of(first).can_be_named()) {
            return Err(RangeError::Unfit);
        }
        Ok(range)
    }

    /// One address.
    #[must_use]
    pub fn only(address: IpAddr) -> Range {
        let first = address.to_canonical();
        Range { first, bits: width(first) }
    }

    /// Whether the address is in it; one of version 4 in the form of version 6 is if it is in its own.
    #[must_use]
    pub const fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let most = width(self.first);
        most == width(address) && bits_of(address) & mask(self.bits, most) == bits_of(self.first)
    }

    /// Whether all of the other is in it.
    #[must_use]
    pub const fn covers(&self, other: Range) -> bool {
        self.bits <= other.bits && self.contains(other.first)
    }

    /// Whether naming this range allows the address: a public one if it is in it, another only if the range is no wider than what such
    /// addresses are set aside as, so that `0.0.0.0/0` means everything public and no private network.
    #[must_use]
    pub fn names(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if !self.contains(address) {
            return false;
        }
        match Kind::of(address) {
            Kind::Public => true,
            Kind::Loopback | Kind::Private => block(address).is_some_and(|(block, _)| block.covers(*self)),
            Kind::Metadata | Kind::Unfit => false,
        }
    }

    /// How many bits are fixed.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.bits
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == width(self.first) { self.first.fmt(f) } else { write!(f, "{}/{}", self.first, self.bits) }
    }
}

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Range {
    Range { first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], bits: u8) -> Range {
    Range { first: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), bits }
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

const fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits() as u128,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The first `bits` of `width` bits.
const fn mask(bits: u8, width: u8) -> u128 {
    let all = if width == 32 { u32::MAX as u128 } else { u128::MAX };
    match (width - bits) as u32 {
        128 => 0,
        loose => (all >> loose) << loose,
    }
}

#[cfg(test)]
mod tests;
