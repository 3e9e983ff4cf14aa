//! Hosts: what is read has one form, which reads as itself, also to whoever reads hosts as browsers do, and is an address or a name for all.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use bartizan_egress::host::{Host, Target};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(target) = Target::parse(text, Some(443)) {
        assert_eq!(Target::parse(&target.to_string(), None), Ok(target));
    }
    let Ok(host) = Host::parse(text) else { return };
    let form = host.to_string();
    assert_eq!(Host::parse(&form), Ok(host.clone()));
    match (url::Host::parse(&form).expect("what is read here is read there"), host) {
        (url::Host::Domain(name), Host::Name(ours)) => {
            assert!(name == *ours && ours.parse::<IpAddr>().is_err() && ours.len() <= 253);
            assert!(
                ours.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte))
            );
        }
        (url::Host::Ipv4(address), Host::Address(ours)) => assert_eq!(IpAddr::V4(address), ours),
        (url::Host::Ipv6(address), Host::Address(ours)) => {
            assert_eq!((IpAddr::V6(address), address.to_ipv4_mapped()), (ours, None::<Ipv4Addr>));
        }
        (theirs, ours) => panic!("{theirs:?} is {ours:?} here"),
    }
});
