use super::*;

fn policy(rules: &[&str]) -> Policy {
    Policy::new(rules.iter().map(|rule| Rule::parse(rule).unwrap()), Limits::default())
}

fn target(text: &str) -> Target {
    Target::parse(text, None).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn what_is_allowed() {
    let rules = [
        "api.example.com:443",
        "*.example.org:443",
        "93.184.216.34:443",
        "10.0.0.0/8:5432",
        "[fd00::/8]:443",
        "[::1]:80",
    ];
    let policy = policy(&rules);
    for (text, expected) in [
        ("api.example.com:443", true),
        ("API.example.com.:443", true),
        ("api.example.com:80", false),
        ("example.com:443", false),
        ("a.api.example.com:443", false),
        ("xapi.example.com:443", false),
        ("a.example.org:443", true),
        ("a.b.example.org:443", true),
        ("example.org:443", false),
        ("evilexample.org:443", false),
        ("example.org.evil.com:443", false),
        ("93.184.216.34:443", true),
        ("93.184.216.35:443", false),
        ("10.1.2.3:5432", true),
        ("[::ffff:10.1.2.3]:5432", true),
        ("10.1.2.3:443", false),
        ("11.1.2.3:5432", false),
        ("[fd00::1]:443", true),
        ("[fd00:ec2::254]:443", false),
        ("[::1]:80", true),
        ("localhost:80", false),
        ("metadata.google.internal:443", false),
    ] {
        assert_eq!(policy.permit(&target(text)).is_some(), expected, "{text}");
        assert!(Policy::default().permit(&target(text)).is_none(), "nothing allows nothing");
    }
}

#[test]
fn what_is_no_rule() {
    for (text, expected) in [
        ("example.com", RuleError::Host(HostError::Port)),
        ("*:443", RuleError::Host(HostError::Character)),
        ("*.com:443", RuleError::Star),
        ("*.*.com:443", RuleError::Host(HostError::Character)),
        ("a.*.example.com:443", RuleError::Host(HostError::Character)),
        ("*.10.0.0.1:443", RuleError::Star),
        ("10.0.0.1/8:443", RuleError::Range(RangeError::Loose)),
        ("10.0.0.0/8", RuleError::Host(HostError::Port)),
        ("10.0.0.0/8:0", RuleError::Host(HostError::Port)),
        ("169.254.169.254:80", RuleError::Metadata),
        ("metadata.google.internal:80", RuleError::Metadata),
        ("169.254.1.1:80", RuleError::Range(RangeError::Unfit)),
        ("0x7f.1:80", RuleError::Host(HostError::AddressForm)),
        ("https://example.com:443", RuleError::Range(RangeError::Address)),
    ] {
        assert_eq!(Rule::parse(text), Err(expected), "{text}");
    }
    for path in [
        "",
        "a",
        "//a",
        "/a/../b",
        "/a/./b",
        "/%2e%2e/a",
        "/a%2fb",
        "/a%5cb",
        "/%41",
        "/a?b",
        "/a#b",
        "/a;b",
        "/%",
        "/a b",
    ] {
        assert_eq!(RequestRule::new([], path), Err(RuleError::Path), "{path}");
    }
    assert_eq!(RequestRule::new([Method::TRACE], "/"), Err(RuleError::Method));
}

#[test]
fn which_addresses_a_name_may_lead_to() {
    use Reason::{AddressOwn, AddressPrivate, AddressUnfit, Metadata};
    let own = [address("93.184.216.34"), address("10.0.0.5")];
    let near = |ranges: &[&str]| {
        let ranges: Vec<_> = ranges.iter().map(|range| Range::parse(range).unwrap()).collect();
        Policy::new([Rule::parse("a.example:443").unwrap().near(ranges)], Limits::default())
    };
    for (ranges, text, expected) in [
        (&[][..], "8.8.8.8", Ok(())),
        (&[], "93.184.216.34", Err(AddressOwn)),
        (&[], "10.0.0.5", Err(AddressOwn)),
        (&[], "127.0.0.1", Err(AddressOwn)),
        (&[], "::1", Err(AddressOwn)),
        (&[], "::ffff:127.0.0.1", Err(AddressOwn)),
        (&[], "192.168.1.1", Err(AddressPrivate)),
        (&[], "169.254.169.254", Err(Metadata)),
        (&[], "2002:7f00:1::", Err(AddressUnfit)),
        (&["10.0.0.0/8"], "10.0.0.1", Ok(())),
        (&["10.0.0.0/8"], "10.0.0.5", Err(AddressOwn)),
        (&["10.0.0.5"], "10.0.0.5", Ok(())),
        (&["10.0.0.0/8"], "192.168.1.1", Err(AddressPrivate)),
        (&["0.0.0.0/0"], "10.0.0.1", Err(AddressPrivate)),
        (&["0.0.0.0/0"], "93.184.216.34", Err(AddressOwn)),
        (&["127.0.0.0/8"], "127.0.0.1", Ok(())),
        (&["::/0"], "169.254.169.254", Err(Metadata)),
        (&["100.64.0.0/10"], "100.100.100.200", Err(Metadata)),
    ] {
        let permit = near(ranges).permit(&target("a.example:443")).unwrap();
        assert_eq!(permit.reaches(address(text), &own), expected, "{ranges:?} {text}");
    }
    // A range that is a rule itself names what is in it.
    let permit = policy(&["10.0.0.0/8:443"]).permit(&target("10.0.0.1:443")).unwrap();
    assert_eq!(permit.reaches(address("10.0.0.1"), &[]), Ok(()));
}

#[test]
fn which_requests_are_allowed() {
    let get = |path: &str| RequestRule::new([Method::GET], path).unwrap();
    let narrow = Rule::parse("a.example.com:443").unwrap().requests([
        get("/repos/acme"),
        RequestRule::new([Method::POST, Method::PUT], "/repos/acme/issues/").unwrap(),
        RequestRule::new([], "/any").unwrap(),
    ]);
    let policy = Policy::new([narrow, Rule::parse("*.example.com:443").unwrap()], Limits::default());
    let permit = policy.permit(&target("a.example.com:443")).unwrap();
    assert!(permit.looks_at_requests(), "what is more specific counts alone");
    use Reason::{PathForm, Request};
    for (method, path, expected) in [
        (Method::GET, "/repos/acme", Ok(())),
        (Method::GET, "/repos/acme/x", Ok(())),
        (Method::GET, "/repos/acme-evil", Err(Request)),
        (Method::GET, "/repos", Err(Request)),
        (Method::GET, "/Repos/acme", Err(Request)),
        (Method::POST, "/repos/acme", Err(Request)),
        (Method::POST, "/repos/acme/issues/1", Ok(())),
        (Method::PUT, "/repos/acme/issues/", Ok(())),
        (Method::POST, "/repos/acme/issues", Err(Request)),
        (Method::DELETE, "/any", Ok(())),
        (Method::GET, "/any/b%20c", Ok(())),
        (Method::GET, "/any/../secret", Err(PathForm)),
        (Method::GET, "/any/..", Err(PathForm)),
        (Method::GET, "/any/%2e%2e/secret", Err(PathForm)),
        (Method::GET, "/any/%2E%2E/secret", Err(PathForm)),
        (Method::GET, "/any/..%2fsecret", Err(PathForm)),
        (Method::GET, "/any/..%5csecret", Err(PathForm)),
        (Method::GET, "/any/..;/secret", Err(PathForm)),
        (Method::GET, "/any/%252e%252e/secret", Err(PathForm)),
        (Method::GET, "/any//secret", Err(PathForm)),
        (Method::GET, "//any", Err(PathForm)),
        (Method::GET, "/any\\..\\secret", Err(PathForm)),
        (Method::GET, "/any%", Err(PathForm)),
        (Method::GET, "/any%zz", Err(PathForm)),
        (Method::GET, "/any%+1", Err(PathForm)),
        (Method::OPTIONS, "*", Err(PathForm)),
    ] {
        assert_eq!(permit.request(&method, path), expected, "{method} {path}");
    }
    let wide = policy.permit(&target("b.example.com:443")).unwrap();
    assert!(!wide.looks_at_requests());
    assert_eq!(wide.request(&Method::GET, "/any/../thing"), Ok(()));
}
