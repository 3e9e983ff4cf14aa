use super::*;

const VALUE: &str = "ghp_real-value-of-the-token";

fn secret(host: &str) -> Secret {
    Secret::new("github", host, header::AUTHORIZATION, Zeroizing::new(VALUE.to_owned())).unwrap()
}

fn headers(pairs: &[(&'static str, String)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

#[test]
fn a_value_stands_in_its_header_to_its_host_and_nowhere_else() {
    let secret = secret("api.example.com");
    let held = secret.placeholder().to_owned();
    let cut = held.strip_prefix('b').unwrap();
    let secrets = Secrets(vec![secret]);
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let here = Host::parse("api.example.com").unwrap();
    let elsewhere = Host::parse("evil.example.com").unwrap();
    let (bound, other, free) = (Some(&here), Some(&elsewhere), None);
    for (host, name, value, path, expected, put, kept) in [
        (bound, "authorization", format!("Bearer {held}"), "/", format!("Bearer {VALUE}"), true, false),
        (bound, "authorization", held.clone(), "/", VALUE.to_owned(), true, false),
        (bound, "authorization", format!("{held},{held}"), "/", format!("{VALUE},{VALUE}"), true, false),
        (bound, "authorization", basic(&format!("me:{held}")), "/", basic(&format!("me:{VALUE}")), true, false),
        (
            bound,
            "authorization",
            basic(&format!("{held}:")).replace("Basic", "basic "),
            "/",
            basic(&format!("{VALUE}:")),
            true,
            false,
        ),
        (bound, "authorization", format!("Bearer {cut}"), "/", format!("Bearer {cut}"), false, false),
        (bound, "x-token", held.clone(), "/", held.clone(), false, true),
        (bound, "x-token", basic(&held), "/", basic(&held), false, true),
        (bound, "x-other", "a".to_owned(), &format!("/?token={held}"), "a".to_owned(), false, true),
        (bound, "authorization", held.clone(), &format!("/{held}"), VALUE.to_owned(), true, true),
        (other, "authorization", format!("Bearer {held}"), "/", format!("Bearer {held}"), false, true),
        (other, "authorization", basic(&format!("me:{held}")), "/", basic(&format!("me:{held}")), false, true),
        (free, "authorization", format!("Bearer {held}"), "/", format!("Bearer {held}"), false, true),
        (bound, "authorization", "Bearer other".to_owned(), "/", "Bearer other".to_owned(), false, false),
    ] {
        let mut map = headers(&[(name, value.clone())]);
        let used = secrets.apply(host, &mut map, &path.parse().unwrap()).unwrap();
        assert_eq!(map[name], expected, "{value}");
        let named = |is: bool| if is { vec![Arc::from("github")] } else { Vec::new() };
        assert_eq!(used, Used { put: named(put), kept: named(kept) }, "{host:?} {name} {value} {path}");
        assert!(!put || map[name].is_sensitive());
    }
}

#[test]
fn a_secret_of_another_host_is_not_put_in_place() {
    let (one, other) = (secret("a.example"), secret("b.example"));
    let text = format!("{} {}", one.placeholder(), other.placeholder());
    assert_ne!(one.placeholder(), other.placeholder());
    let expected = format!("{VALUE} {}", other.placeholder());
    let secrets = Secrets(vec![one, other]);
    let mut map = headers(&[("authorization", text)]);
    secrets.apply(Some(&Host::parse("a.example").unwrap()), &mut map, &"/".parse().unwrap()).unwrap();
    assert_eq!(map["authorization"], expected);
}

#[test]
fn a_secret_of_several_hosts_and_headers_has_one_placeholder() {
    let token = HeaderName::from_static("x-token");
    let secret = secret("a.example").also("a.example", token.clone()).unwrap().also("b.example", token).unwrap();
    let held = secret.placeholder().to_owned();
    let secrets = Secrets(vec![secret]);
    for (host, name, put) in [
        ("a.example", "authorization", true),
        ("a.example", "x-token", true),
        ("b.example", "x-token", true),
        ("b.example", "authorization", false),
        ("c.example", "x-token", false),
    ] {
        let (host, mut map) = (Host::parse(host).unwrap(), headers(&[(name, held.clone())]));
        let used = secrets.apply(Some(&host), &mut map, &"/".parse().unwrap()).unwrap();
        assert_eq!((map[name] == VALUE, used.put.len(), used.kept.len()), (put, put.into(), (!put).into()), "{name}");
        assert_eq!(secrets.has_for(&host), host != Host::parse("c.example").unwrap());
    }
    assert!(
        Secret::new("x", "a.example", header::COOKIE, Zeroizing::new("v".to_owned()))
            .unwrap()
            .also("a b", header::COOKIE)
            .is_err()
    );
}

#[test]
fn a_secret_is_replaced_under_its_placeholder_and_withdrawn_with_its_name() {
    let before = secret("a.example");
    let held = before.placeholder().to_owned();
    let new = |name: &str, host: &str| {
        Secret::new(name, host, header::AUTHORIZATION, Zeroizing::new("the-new-one".to_owned())).unwrap()
    };
    for (now, host, expected, kept) in [
        (vec![new("github", "a.example"), new("other", "a.example")], "a.example", "the-new-one", 0),
        (vec![new("github", "b.example")], "a.example", &*held, 1),
        (vec![new("github", "b.example")], "b.example", "the-new-one", 0),
        (vec![new("other", "a.example")], "a.example", &*held, 1),
        (Vec::new(), "a.example", &*held, 1),
    ] {
        let secrets = Secrets(vec![before.clone()]).replaced_by(&now);
        let mut map = headers(&[("authorization", held.clone())]);
        let used = secrets.apply(Some(&Host::parse(host).unwrap()), &mut map, &"/".parse().unwrap()).unwrap();
        assert_eq!((map["authorization"].to_str().unwrap(), used.kept.len()), (expected, kept));
        assert_eq!(secrets.0.len(), 1, "one of a new name has no placeholder there");
    }
    // What was withdrawn can come back.
    let gone = Secrets(vec![before]).replaced_by(&[]);
    assert_eq!(gone.replaced_by(&[new("github", "a.example")]).0[0].placeholder(), held);
}

#[test]
fn a_header_with_a_secret_is_bounded() {
    let long = Zeroizing::new("x".repeat(LONGEST / 4));
    let secret = Secret::new("long", "a.example", header::AUTHORIZATION, long).unwrap();
    let mut map = headers(&[("authorization", secret.placeholder().repeat(8))]);
    let secrets = Secrets(vec![secret]);
    let refused = secrets.apply(Some(&Host::parse("a.example").unwrap()), &mut map, &"/".parse().unwrap());
    assert_eq!(refused, Err(Reason::Secret));
}

#[test]
fn what_cannot_be_bound_is_said_without_the_value() {
    let value = || Zeroizing::new(VALUE.to_owned());
    for wrong in [
        Secret::new("x", "a b", header::AUTHORIZATION, value()),
        Secret::new("x", "*.example.com", header::AUTHORIZATION, value()),
        Secret::new("x", "a.example", header::HOST, value()),
        Secret::new("x", "a.example", header::TRANSFER_ENCODING, value()),
        Secret::new("x", "a.example", header::CONNECTION, value()),
        Secret::new("x", "a.example", header::AUTHORIZATION, Zeroizing::new(format!("{VALUE}\r\nx: y"))),
        Secret::new("x", "a.example", header::AUTHORIZATION, Zeroizing::new(format!("{VALUE}\0"))),
        Secret::new("x", "a.example", header::AUTHORIZATION, Zeroizing::new(String::new())),
    ] {
        let error = wrong.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(VALUE), "{error:?}");
    }
    let secret = secret("a.example");
    let shown = format!("{secret:?} {:?}", Secrets(vec![secret.clone()]));
    assert!(!shown.contains(VALUE) && !shown.contains(secret.placeholder()), "{shown}");
    assert_eq!(secret.placeholder().len(), PREFIX.len() + 32);
}
