use http::{HeaderName, Request};

use super::*;

fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> request::Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn where_a_tunnel_goes() {
    use Reason::{Host, Malformed, OtherHost};
    for (uri, headers, expected) in [
        ("a.example:443", &[("host", "a.example:443")][..], Ok("a.example:443")),
        ("a.example:443", &[("host", "a.example")], Ok("a.example:443")),
        ("A.example.:443", &[("host", "a.EXAMPLE")], Ok("a.example:443")),
        ("a.example:443", &[], Ok("a.example:443")),
        ("[::1]:443", &[], Ok("[::1]:443")),
        ("a.example:443", &[("host", "b.example:443")], Err(OtherHost)),
        ("a.example:443", &[("host", "a.example:80")], Err(OtherHost)),
        ("a.example:443", &[("host", "a.example"), ("host", "a.example")], Err(OtherHost)),
        ("a.example:443", &[("host", "x@a.example")], Err(OtherHost)),
        ("a.example", &[], Err(Host)),
        ("a.example:0", &[], Err(Host)),
        ("user@a.example:443", &[], Err(Host)),
        ("a.example@b.example:443", &[], Err(Host)),
        ("2130706433:443", &[], Err(Host)),
        ("0x7f.1:443", &[], Err(Host)),
        ("http://a.example:443/", &[], Err(Malformed)),
        ("/", &[], Err(Malformed)),
        ("a.example:443", &[("content-length", "1")], Err(Malformed)),
        ("a.example:443", &[("transfer-encoding", "chunked")], Err(Malformed)),
    ] {
        let read = connect(&parts("CONNECT", uri, headers)).map(|target| target.to_string());
        assert_eq!(read.as_deref(), expected.as_ref().copied(), "{uri} {headers:?}");
    }
}

type Case<'a> = (&'a Within, &'a str, &'a str, &'a [(&'a str, &'a str)], Result<(&'a str, &'a str, &'a str), Reason>);

fn go(cases: &[Case<'_>]) {
    for (within, method, uri, headers, expected) in cases {
        let mut head = parts(method, uri, headers);
        let read = forwarded(&mut head, within).map(|target| target.to_string());
        let shown =
            read.as_deref().map(|target| (target, head.uri.to_string(), head.headers[header::HOST].to_str().unwrap()));
        let shown = shown.as_ref().map(|(target, uri, host)| (*target, &**uri, *host));
        assert_eq!(shown.map_err(|reason| **reason), *expected, "{within:?} {method} {uri} {headers:?}");
    }
}

#[test]
fn where_a_request_to_the_proxy_goes() {
    use Reason::{Host, Malformed, Method, OtherHost};
    let proxy = Within::Proxy;
    go(&[
        (&proxy, "GET", "http://a.example/x?y", &[("host", "a.example")], Ok(("a.example:80", "/x?y", "a.example"))),
        (&proxy, "GET", "http://A.example.:80", &[("host", "a.example:80")], Ok(("a.example:80", "/", "a.example"))),
        (&proxy, "GET", "http://a.example:81/", &[("host", "a.example:81")], Ok(("a.example:81", "/", "a.example:81"))),
        (&proxy, "GET", "http://a.example/", &[("host", "b.example")], Err(OtherHost)),
        (&proxy, "GET", "http://a.example/", &[("host", "a.example:81")], Err(OtherHost)),
        (&proxy, "GET", "http://a.example/", &[], Err(OtherHost)),
        (&proxy, "GET", "http://a.example/", &[("host", "a.example"), ("host", "b.example")], Err(OtherHost)),
        (&proxy, "GET", "http://a.example/", &[("host", "a.example"), ("host", "a.example")], Err(OtherHost)),
        (&proxy, "GET", "http://a.example/", &[("host", "a.example, b.example")], Err(Host)),
        (&proxy, "GET", "http://a.example/", &[("host", "u@a.example")], Err(Host)),
        (&proxy, "GET", "http://u@a.example/", &[("host", "a.example")], Err(Host)),
        (&proxy, "GET", "http://127.1/", &[("host", "127.1")], Err(Host)),
        (&proxy, "GET", "http://0xa9fea9fe/", &[("host", "0xa9fea9fe")], Err(Host)),
        (&proxy, "GET", "https://a.example/", &[("host", "a.example")], Err(Malformed)),
        (&proxy, "GET", "ftp://a.example/", &[("host", "a.example")], Err(Malformed)),
        (&proxy, "GET", "/", &[("host", "a.example")], Err(Malformed)),
        (&proxy, "OPTIONS", "*", &[("host", "a.example")], Err(Malformed)),
        (&proxy, "TRACE", "http://a.example/", &[("host", "a.example")], Err(Method)),
        (
            &proxy,
            "POST",
            "http://a.example/",
            &[("host", "a.example"), ("transfer-encoding", "gzip, chunked")],
            Err(Malformed),
        ),
        (
            &proxy,
            "POST",
            "http://a.example/",
            &[("host", "a.example"), ("transfer-encoding", "chunked"), ("content-length", "1")],
            Err(Malformed),
        ),
        (
            &proxy,
            "POST",
            "http://a.example/",
            &[("host", "a.example"), ("content-length", "1"), ("content-length", "1")],
            Err(Malformed),
        ),
        (
            &proxy,
            "POST",
            "http://a.example/",
            &[("host", "a.example"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            Err(Malformed),
        ),
    ]);
}

#[test]
fn where_a_request_in_a_tunnel_goes() {
    use Reason::{Malformed, Method, OtherHost};
    let tunnel = |target: &str, secure| Within::Tunnel { target: Target::parse(target, None).unwrap(), secure };
    let (secure, plain) = (tunnel("a.example:443", true), tunnel("a.example:8080", false));
    go(&[
        (&secure, "GET", "/x", &[("host", "a.example")], Ok(("a.example:443", "/x", "a.example"))),
        (&secure, "GET", "/x", &[("host", "a.example:443")], Ok(("a.example:443", "/x", "a.example"))),
        (&secure, "OPTIONS", "*", &[("host", "a.example")], Ok(("a.example:443", "*", "a.example"))),
        (&secure, "GET", "https://a.example/x", &[("host", "a.example")], Ok(("a.example:443", "/x", "a.example"))),
        (&secure, "GET", "https://b.example/x", &[("host", "a.example")], Err(OtherHost)),
        (&secure, "GET", "http://a.example/x", &[("host", "a.example")], Err(Malformed)),
        (&secure, "GET", "/x", &[("host", "b.example")], Err(OtherHost)),
        (&secure, "GET", "/x", &[("host", "a.example:80")], Err(OtherHost)),
        (&secure, "GET", "/x", &[], Err(OtherHost)),
        (&secure, "CONNECT", "b.example:443", &[], Err(Method)),
        (&plain, "GET", "/x", &[("host", "a.example:8080")], Ok(("a.example:8080", "/x", "a.example:8080"))),
        (&plain, "GET", "/x", &[("host", "a.example")], Err(OtherHost)),
        (
            &plain,
            "GET",
            "http://a.example:8080/x",
            &[("host", "a.example:8080")],
            Ok(("a.example:8080", "/x", "a.example:8080")),
        ),
        (&plain, "GET", "http://b.example:8080/x", &[("host", "a.example:8080")], Err(OtherHost)),
    ]);
}

#[test]
fn what_is_for_one_hop_stays_there() {
    let headers = [
        ("host", "a.example"),
        ("connection", "close, X-Gone, host, authorization, content-length"),
        ("x-gone", "1"),
        ("x-kept", "1"),
        ("authorization", "x"),
        ("keep-alive", "1"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic eA=="),
        ("upgrade", "websocket"),
        ("te", "trailers"),
        ("trailer", "x"),
        ("expect", "100-continue"),
        ("content-length", "0"),
    ];
    let mut head = parts("POST", "http://a.example/", &headers);
    forwarded(&mut head, &Within::Proxy).unwrap();
    let mut names: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["authorization", "content-length", "host", "x-kept"]);
}
