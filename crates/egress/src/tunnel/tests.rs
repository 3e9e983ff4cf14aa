use super::*;

#[test]
fn what_first_bytes_are() {
    use First::{Http, Other, Refused};
    use Reason::{Malformed, NotTls};
    let long = [b"GET /", &vec![b'a'; LONGEST_LINE][..]].concat();
    for (bytes, port, expected) in [
        (&b"GET / HTTP/1.1\r\n"[..], 80, Some(Http)),
        (b"GET / HTTP/1.1\r\n", 8080, Some(Http)),
        (b"GET / HTTP/1.0\n", 8080, Some(Http)),
        (b"\r\nGET / HTTP/1.1\r\n", 8080, Some(Http)),
        (b"get / HTTP/1.1\r\n", 8080, Some(Http)),
        (b"BREW\t/pot\tHTTP/1.9 \r\n", 8080, Some(Http)),
        (b"GET / HTTP/1.1\r\n", 443, Some(Refused(NotTls))),
        (b"PRI * HTTP/2.0\r\n", 8080, Some(Refused(Malformed))),
        (b"PRI * HTTP/2.0\r\n", 80, Some(Refused(Malformed))),
        (b"G", 8080, None),
        (b"\r\n", 8080, None),
        (b"GET / HTTP/1.1", 8080, None),
        (b"GET / ", 80, None),
        (b"EHLO x\r\n", 25, Some(Other)),
        (b"EHLO x\r\n", 80, Some(Refused(Malformed))),
        (b"AMQP\0\0\x09\x01", 5672, Some(Other)),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", 5432, Some(Other)),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", 443, Some(Refused(NotTls))),
        (b"*1\r\n$4\r\nPING\r\n", 6379, Some(Other)),
        (b"PING\r\n", 6379, Some(Other)),
        (b" GET / HTTP/1.1\r\n", 8080, Some(Other)),
        (&long, 8080, Some(Other)),
        (&long, 80, Some(Refused(Malformed))),
        (&[22], 443, None),
        (&[22, 3, 1, 0], 8080, None),
        (&[22, 3, 1, 0, 1, 9], 8080, Some(Refused(Malformed))),
        (&[22, 4], 443, Some(Refused(NotTls))),
        (&[22, 4], 8080, Some(Other)),
        (&[0x80, 0x2e, 1], 443, Some(Refused(NotTls))),
        (b"", 443, None),
    ] {
        assert_eq!(classified(bytes, port, false), expected, "{:?} {port}", String::from_utf8_lossy(bytes));
    }
    // There will be no more.
    for (bytes, port, expected) in [
        (&b""[..], 443, Refused(NotTls)),
        (b"", 8080, Other),
        (b"G", 8080, Refused(Malformed)),
        (&[22, 3], 443, Refused(Malformed)),
        (&[22, 3], 8080, Refused(Malformed)),
    ] {
        assert_eq!(classified(bytes, port, true), Some(expected), "{bytes:?} {port}");
    }
}

#[test]
fn which_handshakes_are_with_the_target() {
    let hello =
        |name: Option<&str>, encrypted| Hello { server_name: name.map(|name| Host::parse(name).unwrap()), encrypted };
    for (name, encrypted, target, ended, expected) in [
        (Some("a.example"), false, "a.example:443", false, Ok(())),
        (Some("a.example"), false, "a.example:443", true, Ok(())),
        (Some("b.example"), false, "a.example:443", false, Err(Reason::OtherServerName)),
        (Some("b.example"), false, "a.example:443", true, Err(Reason::OtherServerName)),
        (Some("x.a.example"), false, "a.example:443", false, Err(Reason::OtherServerName)),
        (None, false, "a.example:443", false, Err(Reason::NoServerName)),
        (None, false, "8.8.8.8:443", false, Ok(())),
        (Some("a.example"), false, "8.8.8.8:443", false, Err(Reason::OtherServerName)),
        (Some("a.example"), true, "a.example:443", false, Err(Reason::EncryptedHello)),
        (Some("a.example"), true, "a.example:443", true, Ok(())),
        (None, true, "8.8.8.8:443", false, Err(Reason::EncryptedHello)),
    ] {
        let target = Target::parse(target, None).unwrap();
        assert_eq!(names(&hello(name, encrypted), &target, ended), expected, "{name:?} {target} {ended}");
    }
}
