use proptest::prelude::*;

use super::*;
use crate::address::{Kind, Range};
use bartizan_reach::{Limits, Policy, Rule};

struct Said(Vec<IpAddr>);

impl Resolve for Said {
    fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

/// Addresses near the edges of what is public and what is not, and any others.
fn address() -> impl Strategy<Value = IpAddr> {
    let near = prop::sample::select(vec![
        "8.8.8.8",
        "10.0.0.1",
        "10.255.255.255",
        "11.0.0.0",
        "127.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.32.0.1",
        "192.168.1.1",
        "93.184.216.34",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "fd00::1",
        "fd00:ec2::254",
        "fe80::1",
        "2606:4700::1",
        "2002:a00:1::",
        "64:ff9b::a00:1",
    ]);
    let near = near.prop_map(|text| text.parse().unwrap());
    prop_oneof![4 => near, 1 => any::<std::net::Ipv4Addr>().prop_map(IpAddr::V4), 1 => any::<std::net::Ipv6Addr>().prop_map(IpAddr::V6)]
}

proptest! {
    /// What is connected to is public and not ours, or named; one bad address among good ones refuses them all.
    #[test]
    fn a_name_that_passes_leads_to_nothing_that_is_refused(
        found in prop::collection::vec(address(), 1..5),
        near in prop::collection::vec(prop::sample::select(vec!["10.0.0.0/8", "127.0.0.0/8", "0.0.0.0/0", "::/0", "fc00::/7", "93.184.216.34"]), 0..3),
    ) {
        let own: IpAddr = "93.184.216.34".parse().unwrap();
        let ranges: Vec<_> = near.iter().map(|text| Range::parse(text).unwrap()).collect();
        let rule = Rule::parse("a.example:443").unwrap().near(ranges.clone());
        let target = Target::parse("a.example:443", None).unwrap();
        let permit = Policy::new([rule], Limits::default()).permit(&target).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let said = Said(found.clone());
        let passed = runtime.block_on(addresses(&target, &permit, &[own], &said, Duration::from_secs(60)));
        let is_named = |address: &IpAddr| {
            let address = address.to_canonical();
            ranges.iter().any(|range| range.names(address) && (address != own || range.bits() == 32))
        };
        let is_good = |address: &IpAddr| match Kind::of(*address) {
            Kind::Public if address.to_canonical() != own => true,
            Kind::Metadata | Kind::Unfit => false,
            _ => is_named(address),
        };
        match passed {
            Ok(passed) => prop_assert!(passed == found && found.iter().all(is_good), "{found:?} {near:?}"),
            Err(refusal) => {
                let bad = found.iter().find(|address| !is_good(address));
                prop_assert_eq!(refusal.address.as_ref(), bad);
                prop_assert!(bad.is_some());
            }
        }
    }
}
