use proptest::prelude::*;

use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn are_for(cases: &[(&str, Kind)]) {
    for (text, expected) in cases {
        assert_eq!(Kind::of(address(text)), *expected, "{text}");
    }
}

#[test]
fn what_addresses_of_version_4_are_for() {
    use Kind::{Loopback, Metadata, Private, Public, Unfit};
    are_for(&[
        ("1.1.1.1", Public),
        ("8.8.8.8", Public),
        ("9.255.255.255", Public),
        ("11.0.0.0", Public),
        ("100.63.255.255", Public),
        ("100.128.0.0", Public),
        ("126.255.255.255", Public),
        ("128.0.0.1", Public),
        ("169.253.255.255", Public),
        ("172.15.255.255", Public),
        ("172.32.0.0", Public),
        ("192.0.1.1", Public),
        ("192.167.255.255", Public),
        ("192.169.0.0", Public),
        ("198.17.255.255", Public),
        ("198.20.0.0", Public),
        ("223.255.255.255", Public),
        ("127.0.0.1", Loopback),
        ("127.255.255.255", Loopback),
        ("10.0.0.0", Private),
        ("10.255.255.255", Private),
        ("172.16.0.1", Private),
        ("172.31.255.255", Private),
        ("192.168.0.1", Private),
        ("100.64.0.1", Private),
        ("100.127.255.255", Private),
        ("169.254.169.254", Metadata),
        ("169.254.170.2", Metadata),
        ("168.63.129.16", Metadata),
        ("100.100.100.200", Metadata),
        ("192.0.0.192", Metadata),
        ("0.0.0.0", Unfit),
        ("0.1.2.3", Unfit),
        ("169.254.0.1", Unfit),
        ("192.0.0.1", Unfit),
        ("192.0.2.1", Unfit),
        ("192.88.99.1", Unfit),
        ("198.18.0.1", Unfit),
        ("198.19.255.255", Unfit),
        ("198.51.100.1", Unfit),
        ("203.0.113.1", Unfit),
        ("224.0.0.1", Unfit),
        ("239.255.255.255", Unfit),
        ("240.0.0.1", Unfit),
        ("255.255.255.255", Unfit),
    ]);
}

#[test]
fn what_addresses_of_version_6_are_for() {
    use Kind::{Loopback, Metadata, Private, Public, Unfit};
    are_for(&[
        ("2606:4700::1111", Public),
        ("2a00::1", Public),
        ("2001:200::1", Public),
        ("2001:4860:4860::8888", Public),
        ("::1", Loopback),
        ("fc00::1", Private),
        ("fdff::1", Private),
        ("fd00:ec2::254", Metadata),
        ("fd20:ce::254", Metadata),
        ("::", Unfit),
        ("::2", Unfit),
        ("::127.0.0.1", Unfit),
        ("::8.8.8.8", Unfit),
        ("::ffff:127.0.0.1", Loopback),
        ("::ffff:10.0.0.1", Private),
        ("::ffff:169.254.169.254", Metadata),
        ("::ffff:8.8.8.8", Public),
        ("::ffff:0:127.0.0.1", Unfit),
        ("64:ff9b::7f00:1", Unfit),
        ("64:ff9b::808:808", Unfit),
        ("64:ff9b:1::1", Unfit),
        ("100::1", Unfit),
        ("2001::1", Unfit),
        ("2001:2::1", Unfit),
        ("2001:10::1", Unfit),
        ("2001:db8::1", Unfit),
        ("2002:7f00:1::", Unfit),
        ("2002:808:808::1", Unfit),
        ("3fff::1", Unfit),
        ("4000::1", Unfit),
        ("5f00::1", Unfit),
        ("fe80::1", Unfit),
        ("fec0::1", Unfit),
        ("ff02::1", Unfit),
        ("ff0e::1", Unfit),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Unfit),
    ]);
}

#[test]
fn how_ranges_are_read() {
    for (text, expected) in [
        ("10.0.0.0/8", Ok("10.0.0.0/8")),
        ("0.0.0.0/0", Ok("0.0.0.0/0")),
        ("8.8.8.8", Ok("8.8.8.8")),
        ("8.8.8.8/32", Ok("8.8.8.8")),
        ("127.0.0.1", Ok("127.0.0.1")),
        ("::1", Ok("::1")),
        ("fd00::/8", Ok("fd00::/8")),
        ("2000::/3", Ok("2000::/3")),
        ("::/0", Ok("::/0")),
        ("10.0.0.1/8", Err(RangeError::Loose)),
        ("10.0.0.0/33", Err(RangeError::Bits)),
        ("10.0.0.0/+8", Err(RangeError::Bits)),
        ("10.0.0.0/", Err(RangeError::Bits)),
        ("10.0.0.0/08a", Err(RangeError::Bits)),
        ("fd00::/129", Err(RangeError::Bits)),
        ("fd00::/1000", Err(RangeError::Bits)),
        ("10.0.0/8", Err(RangeError::Address)),
        ("010.0.0.0/8", Err(RangeError::Address)),
        ("0x0a.0.0.0/8", Err(RangeError::Address)),
        ("::ffff:10.0.0.0/104", Err(RangeError::Address)),
        ("fe80::1%eth0", Err(RangeError::Address)),
        ("", Err(RangeError::Address)),
        ("169.254.169.254", Err(RangeError::Unfit)),
        ("169.254.0.0/16", Err(RangeError::Unfit)),
        ("224.0.0.0/4", Err(RangeError::Unfit)),
        ("100.100.100.200", Err(RangeError::Unfit)),
        ("0.0.0.0", Err(RangeError::Unfit)),
        ("fe80::/10", Err(RangeError::Unfit)),
        ("64:ff9b::/96", Err(RangeError::Unfit)),
        ("2002::/16", Err(RangeError::Unfit)),
    ] {
        assert_eq!(Range::parse(text).map(|range| range.to_string()).as_deref(), expected.as_ref().copied(), "{text}");
    }
}

#[test]
fn what_a_range_names() {
    for (range, text, expected) in [
        ("10.0.0.0/8", "10.1.2.3", true),
        ("10.0.0.0/8", "11.1.2.3", false),
        ("10.1.0.0/16", "10.1.2.3", true),
        ("10.1.0.0/16", "10.2.2.3", false),
        ("10.1.0.0/16", "::ffff:10.1.2.3", true),
        // What is wider than a private network names no private address.
        ("0.0.0.0/0", "10.1.2.3", false),
        ("8.0.0.0/6", "10.1.2.3", false),
        ("8.0.0.0/6", "8.8.8.8", true),
        ("0.0.0.0/0", "127.0.0.1", false),
        ("0.0.0.0/0", "8.8.8.8", true),
        ("::/0", "::1", false),
        ("::/0", "fd00::1", false),
        ("::/0", "2606:4700::1111", true),
        ("::/0", "8.8.8.8", false),
        ("fc00::/7", "fd00::1", true),
        // No range names what nobody may be sent to.
        ("fc00::/7", "fd00:ec2::254", false),
        ("100.64.0.0/10", "100.100.100.200", false),
        ("100.64.0.0/10", "100.100.100.201", true),
        ("0.0.0.0/0", "169.254.169.254", false),
        ("127.0.0.0/8", "127.0.0.1", true),
        ("127.0.0.1", "127.0.0.2", false),
    ] {
        assert_eq!(Range::parse(range).unwrap().names(address(text)), expected, "{range} {text}");
    }
}

proptest! {
    /// No form of an address is another kind than the address.
    #[test]
    fn a_mapped_address_is_what_it_is(bits: u32) {
        let address = Ipv4Addr::from_bits(bits);
        prop_assert_eq!(Kind::of(address.to_ipv6_mapped().into()), Kind::of(address.into()));
        // Compatible, translated, 6to4.
        for prefix in [0, 0x64_ff9b_u128 << 96, 0xffff << 48 << 16] {
            let held = IpAddr::V6(Ipv6Addr::from_bits(prefix | u128::from(bits)));
            prop_assert!(held == IpAddr::V6(Ipv6Addr::LOCALHOST) || Kind::of(held) == Kind::Unfit, "{}", held);
        }
        let six_to_four = Ipv6Addr::from_bits(0x2002 << 112 | u128::from(bits) << 80);
        prop_assert_eq!(Kind::of(six_to_four.into()), Kind::Unfit);
    }

    /// A range names what begins with its bits, and nothing that has no business to be asked.
    #[test]
    fn a_range_names_nothing_unfit(bits: u32, wide in 0_u8..=32, other: u32) {
        let first = Ipv4Addr::from_bits(bits & u32::try_from(mask(wide, 32)).unwrap());
        let Ok(range) = Range::parse(&format!("{first}/{wide}")) else { return Ok(()) };
        let other = IpAddr::V4(Ipv4Addr::from_bits(other));
        if range.names(other) {
            prop_assert!(range.contains(other) && Kind::of(other).can_be_named());
        }
    }
}
