use proptest::prelude::*;

use super::*;

fn are_read(cases: &[(&str, Result<&str, HostError>)]) {
    for (text, expected) in cases {
        let read = Host::parse(text).map(|host| host.to_string());
        assert_eq!(read.as_deref(), expected.as_ref().copied(), "{text:?}");
    }
}

#[test]
fn hosts_have_one_form() {
    let most = format!("{}.example", vec!["a".repeat(60); 4].join("."));
    are_read(&[
        ("example.com", Ok("example.com")),
        ("EXAMPLE.com", Ok("example.com")),
        ("example.com.", Ok("example.com")),
        ("a-b.c_d.example", Ok("a-b.c_d.example")),
        ("xn--bcher-kva.example", Ok("xn--bcher-kva.example")),
        ("bücher.example", Ok("xn--bcher-kva.example")),
        ("BÜCHER.example", Ok("xn--bcher-kva.example")),
        ("example。com", Ok("example.com")),
        ("ｅxample.com", Ok("example.com")),
        ("localhost", Ok("localhost")),
        ("1.example", Ok("1.example")),
        ("0x7f.example", Ok("0x7f.example")),
        ("a1", Ok("a1")),
        (&most, Ok(&*most)),
        ("127.0.0.1", Ok("127.0.0.1")),
        ("127.0.0.1.", Ok("127.0.0.1")),
        ("8.8.8.8", Ok("8.8.8.8")),
        ("[::1]", Ok("[::1]")),
        ("[2001:DB8::1]", Ok("[2001:db8::1]")),
        ("[::ffff:127.0.0.1]", Ok("127.0.0.1")),
        ("[::ffff:7f00:1]", Ok("127.0.0.1")),
        ("[::ffff:169.254.169.254]", Ok("169.254.169.254")),
    ]);
}

#[test]
fn what_is_no_host() {
    use HostError::{Character, Empty, Idna, Label, TooLong};
    let (long, label) = (format!("{}example", "a.".repeat(124)), "a".repeat(64));
    are_read(&[
        ("", Err(Empty)),
        (".", Err(Label)),
        ("..", Err(Label)),
        ("example.com..", Err(Label)),
        (".example.com", Err(Label)),
        ("a..b", Err(Label)),
        ("-a.example", Err(Label)),
        ("a-.example", Err(Label)),
        (&label, Err(Label)),
        (&long, Err(TooLong)),
        (&"a".repeat(2000), Err(TooLong)),
        ("example.com\0.evil.example", Err(Character)),
        ("example.com\0", Err(Character)),
        ("\0", Err(Character)),
        ("example.com\r\nHost: evil.example", Err(Character)),
        ("example.com\n", Err(Character)),
        ("example.com\t", Err(Character)),
        (" example.com", Err(Character)),
        ("example.com\u{a0}", Err(Character)),
        ("example.com\u{7f}", Err(Character)),
        ("example.com\u{85}", Err(Character)),
        ("user@example.com", Err(Character)),
        ("user:pass@example.com", Err(Character)),
        ("example.com@evil.example", Err(Character)),
        ("example.com#evil.example", Err(Character)),
        ("example.com/evil", Err(Character)),
        ("example.com\\evil", Err(Character)),
        ("example.com?evil", Err(Character)),
        ("example%2ecom", Err(Character)),
        ("example.com%00", Err(Character)),
        ("%31%32%37.0.0.1", Err(Character)),
        ("fe80::1", Err(Character)),
        ("::1", Err(Character)),
        ("[::1", Err(Character)),
        ("::1]", Err(Character)),
        ("[]", Err(Character)),
        ("[127.0.0.1]", Err(Character)),
        ("[::1]a", Err(Character)),
        ("[v1.a]", Err(Character)),
        ("a\u{200d}.example", Err(Idna)),
        ("xn--a.example", Err(Idna)),
        ("xn--", Err(Idna)),
        ("a*.example", Err(Character)),
        ("*", Err(Character)),
        ("a,b.example", Err(Character)),
        ("a'b", Err(Character)),
        ("a!b.example", Err(Character)),
        ("a\u{fe56}b", Err(Idna)),
    ]);
}

#[test]
fn addresses_in_unusual_forms_are_refused() {
    use HostError::AddressForm;
    are_read(&[
        ("[fe80::1%eth0]", Err(AddressForm)),
        ("[fe80::1%25eth0]", Err(AddressForm)),
        ("2130706433", Err(AddressForm)),
        ("0x7f000001", Err(AddressForm)),
        ("0X7F000001", Err(AddressForm)),
        ("017700000001", Err(AddressForm)),
        ("127.1", Err(AddressForm)),
        ("127.0.1", Err(AddressForm)),
        ("0177.0.0.1", Err(AddressForm)),
        ("0x7f.0.0.1", Err(AddressForm)),
        ("0x7f.1", Err(AddressForm)),
        ("127.0.0.01", Err(AddressForm)),
        ("127.000.000.001", Err(AddressForm)),
        ("00.00.00.00", Err(AddressForm)),
        ("0", Err(AddressForm)),
        ("0x", Err(AddressForm)),
        ("256.0.0.1", Err(AddressForm)),
        ("1.2.3.4.5", Err(AddressForm)),
        ("4294967296", Err(AddressForm)),
        ("example.1", Err(AddressForm)),
        ("example.0x1", Err(AddressForm)),
        ("169.254.43518", Err(AddressForm)),
        ("2852039166", Err(AddressForm)),
        ("0xA9FEA9FE", Err(AddressForm)),
        ("0251.0376.0251.0376", Err(AddressForm)),
        ("１２７.0.0.1", Err(AddressForm)),
        ("①②⑦.0.0.1", Err(AddressForm)),
        ("127。0。0。1", Err(AddressForm)),
    ]);
}

#[test]
fn how_targets_are_read() {
    for (text, usual, expected) in [
        ("example.com:443", None, Ok("example.com:443")),
        ("example.com.:443", None, Ok("example.com:443")),
        ("example.com", Some(443), Ok("example.com:443")),
        ("example.com:1", Some(443), Ok("example.com:1")),
        ("[::1]:80", None, Ok("[::1]:80")),
        ("[::1]", Some(80), Ok("[::1]:80")),
        ("example.com:00443", None, Ok("example.com:443")),
        ("example.com", None, Err(HostError::Port)),
        ("example.com:", Some(443), Err(HostError::Port)),
        ("example.com:0", None, Err(HostError::Port)),
        ("example.com:65536", None, Err(HostError::Port)),
        ("example.com:+443", None, Err(HostError::Port)),
        ("example.com:443 ", None, Err(HostError::Port)),
        ("example.com:-1", None, Err(HostError::Port)),
        ("example.com:000443", None, Err(HostError::Port)),
        ("example.com:４43", None, Err(HostError::Port)),
        ("example.com:443:443", None, Err(HostError::Character)),
        ("::1:80", None, Err(HostError::Character)),
        (":443", None, Err(HostError::Empty)),
        ("user@example.com:443", None, Err(HostError::Character)),
        ("user:443@example.com:443", None, Err(HostError::Character)),
    ] {
        let read = Target::parse(text, usual).map(|target| target.to_string());
        assert_eq!(read.as_deref(), expected.as_ref().copied(), "{text:?}");
    }
    let target = Target::parse("[::1]:80", None).unwrap();
    assert_eq!((target.authority(80), target.authority(443)), ("[::1]".to_owned(), "[::1]:80".to_owned()));
}

#[test]
fn names_of_metadata_services_are_known() {
    for (text, expected) in [
        ("metadata.google.internal", true),
        ("METADATA.google.internal.", true),
        ("instance-data", true),
        ("169.254.169.254", true),
        ("[fd00:ec2::254]", true),
        ("[::ffff:169.254.169.254]", true),
        ("metadata.example.com", false),
        ("8.8.8.8", false),
    ] {
        assert_eq!(Host::parse(text).unwrap().is_metadata(), expected, "{text}");
    }
}

proptest! {
    /// What is accepted has one form, which is read as itself, is ASCII, and is no address in disguise.
    #[test]
    fn what_is_read_has_one_form(text in "\\PC{0,40}|[0-9a-fxX.:\\[\\]-]{1,24}|[a-z0-9.%@_-]{1,40}") {
        let Ok(host) = Host::parse(&text) else { return Ok(()) };
        let form = host.to_string();
        prop_assert_eq!(Host::parse(&form), Ok(host.clone()));
        prop_assert!(form.is_ascii() && !form.ends_with('.') && form == form.to_ascii_lowercase());
        // Read by the rules of browsers it is the same.
        match (url::Host::parse(&form).unwrap(), &host) {
            (url::Host::Domain(name), Host::Name(other)) => prop_assert_eq!(&*name, &**other),
            (url::Host::Ipv4(address), Host::Address(other)) => prop_assert_eq!(IpAddr::from(address), *other),
            (url::Host::Ipv6(address), Host::Address(other)) => prop_assert_eq!(IpAddr::from(address), *other),
            (read, _) => prop_assert!(false, "{:?}", read),
        }
        // And so it is by the system's own rules for addresses.
        if let Host::Name(name) = &host {
            prop_assert!(name.parse::<IpAddr>().is_err());
            prop_assert!(!name.rsplit('.').next().unwrap().bytes().all(|byte| byte.is_ascii_digit()));
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(text in any::<String>()) {
        let _ = Target::parse(&text, Some(1));
    }
}
