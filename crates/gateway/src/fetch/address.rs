//! Which addresses may be asked.

use std::net::IpAddr;

use bartizan_reach::address::Kind;
use bartizan_reach::host::Host;
use http::Uri;
use serde::{Deserialize, Serialize};

use crate::lookup;

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
        match Kind::of(address) {
            Kind::Public => Some(Reach::Public),
            Kind::Private => Some(Reach::Private),
            Kind::Loopback => Some(Reach::Machine),
            Kind::Metadata | Kind::Unfit => None,
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
            None => lookup::addresses(host).await.unwrap_or_default(),
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
fn literal(host: &str) -> Option<IpAddr> {
    Host::parse(host).ok()?.address()
}

/// Whether a host of a URL is this machine, by what it is called.
pub(super) fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Name(name) => &**name == "localhost" || name.ends_with(".localhost"),
        Host::Address(address) => Kind::of(*address) == Kind::Loopback,
    }
}

/// Those of the addresses of a name that are asked: all, or none if one of them is farther in than `reach`.
///
/// To leave out the bad ones would do, as nothing else is asked. But an answer that mixes them was made for this.
pub(super) fn covered(found: Vec<IpAddr>, reach: Reach) -> Vec<IpAddr> {
    if found.iter().all(|address| reach.covers(*address)) { found } else { Vec::new() }
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
    fn one_address_that_may_not_be_asked_refuses_them_all() {
        for (addresses, reach, expected) in [
            (&["8.8.8.8", "2606:4700::1111"][..], Reach::Public, true),
            (&["8.8.8.8", "10.0.0.1"], Reach::Public, false),
            (&["8.8.8.8", "10.0.0.1"], Reach::Private, true),
            (&["10.0.0.1", "127.0.0.1"], Reach::Private, false),
            (&["127.0.0.1", "169.254.169.254"], Reach::Machine, false),
            (&["127.0.0.1", "::1"], Reach::Machine, true),
        ] {
            let found: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            let all = covered(found.clone(), reach);
            assert_eq!(all, if expected { found } else { Vec::new() }, "{addresses:?} {reach:?}");
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
            // Metadata services are nobody's business wherever they are.
            ("100.100.100.200", None),
            ("168.63.129.16", None),
            ("fd00:ec2::254", None),
            ("3fff::1", None),
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
