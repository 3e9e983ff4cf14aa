//! Addresses that are told apart.

use std::net::{IpAddr, Ipv6Addr};

/// The address that stands for all those of one machine: of IPv6 it has as many as it likes of those that begin alike.
pub(crate) fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}
/// Whether it is a name of this machine for itself.
pub(crate) fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}
