//! Which addresses may be asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use serde::{Deserialize, Serialize};

/// How near to the gateway what is asked may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Only what everybody can ask.
    Public,
    /// Also private networks.
    Private,
    /// Also this machine.
    Machine,
}

impl Reach {
    /// Whether it covers this address.
    #[must_use]
    pub fn covers(self, address: IpAddr) -> bool {
        Reach::needed(address).is_some_and(|needed| needed <= self)
    }

    /// The least that covers an address; none does for those that nobody has any business at.
    fn needed(address: IpAddr) -> Option<Reach> {
        match address.to_canonical() {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

/// Where the host of a URL is, looked up once.
///
/// Whoever a name belongs to says where it is, and may say something else each time. So what it may have the gateway ask
/// is decided by all addresses of one answer, and it is asked at these and no others.
#[derive(Debug, Clone)]
pub struct Spot {
    host: String,
    addresses: Vec<IpAddr>,
}

impl Spot {
    /// Looks up where `uri` is.
    pub async fn of(uri: &Uri) -> Spot {
        let host = uri.host().unwrap_or_default();
        let addresses = match literal(host) {
            Some(address) => vec![address],
            // What cannot be looked up reaches what everybody does, and is looked up again where it is asked.
            None => match tokio::net::lookup_host((host, 0)).await {
                Ok(found) => found.map(|address| address.ip()).collect(),
                Err(_) => Vec::new(),
            },
        };
        Spot { host: host.to_owned(), addresses }
    }

    /// What a server may point to that is there: nothing nearer than the farthest of its addresses, as each further one is
    /// there for its owner to choose from.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.addresses.iter().filter_map(|address| Reach::needed(*address)).min().unwrap_or(Reach::Public)
    }

    /// Where `host` is, if it was this one that was looked up.
    pub(super) fn addresses_of(&self, host: &str) -> Option<&[IpAddr]> {
        let is_it = !self.addresses.is_empty() && self.host.eq_ignore_ascii_case(host);
        is_it.then_some(&*self.addresses)
    }

    #[cfg(test)]
    pub(super) fn at(host: &str, addresses: &[&str]) -> Spot {
        Spot { host: host.to_owned(), addresses: addresses.iter().map(|address| address.parse().unwrap()).collect() }
    }
}

/// The address that a host of a URL is, if it is no name.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether a host of a URL is this machine, by what it is called.
pub(super) fn is_loopback(host: &str) -> bool {
    let named = host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    named || literal(host).is_some_and(|address| address.to_canonical().is_loopback())
}

fn of_v4(address: Ipv4Addr) -> Option<Reach> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (127, ..) => Some(Reach::Machine),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => Some(Reach::Private),
        // This network, links such as that of a cloud's metadata, protocols, examples, benchmarks, groups and the future.
        (0, ..)
        | (169, 254, _)
        | (192, 0, 0 | 2)
        | (192, 88, 99)
        | (198, 18 | 19, _)
        | (198, 51, 100)
        | (203, 0, 113) => None,
        (224.., ..) => None,
        _ => Some(Reach::Public),
    }
}

fn of_v6(address: Ipv6Addr) -> Option<Reach> {
    let [first, second, ..] = address.segments();
    match (first, second) {
        _ if address.is_loopback() => Some(Reach::Machine),
        (0xfc00..=0xfdff, _) => Some(Reach::Private),
        // Nothing, examples, and what holds an address of version 4 that was meant by it.
        (0x2001, 0 | 0xdb8) | (0x2002, _) => None,
        // Everything else that is handed out to machines.
        (0x2000..=0x3fff, _) => Some(Reach::Public),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reaches_no_nearer_than_the_farthest_of_its_addresses() {
        for (addresses, expected) in [
            (&["127.0.0.1", "8.8.8.8"][..], Reach::Public),
            (&["8.8.8.8", "127.0.0.1"], Reach::Public),
            (&["2606:4700::1111", "10.0.0.1"], Reach::Public),
            (&["127.0.0.1", "10.0.0.1"], Reach::Private),
            (&["10.0.0.1", "fd00::1"], Reach::Private),
            (&["127.0.0.1", "::1"], Reach::Machine),
            (&["1.1.1.1"], Reach::Public),
            // Nobody's business is none of it.
            (&["169.254.169.254", "8.8.8.8"], Reach::Public),
            (&["169.254.169.254"], Reach::Public),
            (&[], Reach::Public),
        ] {
            assert_eq!(Spot::at("a.example", addresses).reach(), expected, "{addresses:?}");
        }
    }

    #[test]
    fn how_near_an_address_is() {
        for (address, expected) in [
            ("127.0.0.1", Some(Reach::Machine)),
            ("127.255.1.2", Some(Reach::Machine)),
            ("::1", Some(Reach::Machine)),
            ("::ffff:127.0.0.1", Some(Reach::Machine)),
            ("10.1.2.3", Some(Reach::Private)),
            ("172.31.255.255", Some(Reach::Private)),
            ("::ffff:192.168.0.1", Some(Reach::Private)),
            ("100.64.0.1", Some(Reach::Private)),
            ("fd00::1", Some(Reach::Private)),
            ("172.32.0.1", Some(Reach::Public)),
            ("1.1.1.1", Some(Reach::Public)),
            ("2606:4700::1111", Some(Reach::Public)),
            ("169.254.169.254", None),
            ("::ffff:169.254.169.254", None),
            ("fe80::1", None),
            ("0.0.0.0", None),
            ("::", None),
            ("255.255.255.255", None),
            ("224.0.0.1", None),
            ("64:ff9b::7f00:1", None),
            ("2002:7f00:1::", None),
            ("2001::1", None),
            ("ff02::1", None),
            ("::127.0.0.1", None),
        ] {
            assert_eq!(Reach::needed(address.parse().unwrap()), expected, "{address}");
        }
        let covers = |reach: Reach, address: &str| reach.covers(address.parse().unwrap());
        for (reach, expected) in
            [(Reach::Public, [true, false, false]), (Reach::Private, [true, true, false]), (Reach::Machine, [true; 3])]
        {
            assert_eq!(["1.1.1.1", "10.0.0.1", "127.0.0.1"].map(|address| covers(reach, address)), expected);
            assert!(!covers(reach, "169.254.169.254"), "{reach:?}");
        }
    }
}
