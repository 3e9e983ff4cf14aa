//! Requests that can be seen: each is checked, and what is passed on has one reading.
#![cfg(test)]

mod common;

use bartizan_egress::{Reason, RequestRule, Rule, What};
use common::{Host, With, World, here, read_rest};
use hyper::Method;
use tokio::io::AsyncWriteExt;

const CLOSE: &str = "connection: close\r\n\r\n";

/// A proxy that allows two of three hosts, which are all the same one.
async fn world() -> (World, Host) {
    let host = Host::http(None).await;
    let world = With::rules([here("a.example", host.port), here("b.example", host.port)]).world();
    for name in ["a.example", "b.example", "c.example"] {
        world.names.lead(name, &[&["127.0.0.1"]]);
    }
    (world, host)
}

#[tokio::test]
async fn each_request_of_a_connection_is_checked() {
    let (world, host) = world().await;
    let port = host.port;
    let get =
        |name: &str, path: &str| format!("GET http://{name}:{port}{path} HTTP/1.1\r\nhost: {name}:{port}\r\n\r\n");
    // All at once; the third is refused, and nothing behind it is read.
    let said = world
        .say(
            [get("a.example", "/1?secret=1"), get("b.example", "/2"), get("c.example", "/3"), get("a.example", "/4")]
                .concat(),
        )
        .await;
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 2, "{said}");
    assert!(
        said.contains("HTTP/1.1 403 Forbidden") && said.ends_with("Bartizan refused this: egress.not_allowed\n"),
        "{said}"
    );
    let asked = host.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].starts_with(&format!("GET /1?secret=1\nhost: a.example:{port}\n")), "{asked:?}");
    assert!(asked[1].starts_with(&format!("GET /2\nhost: b.example:{port}\n")), "{asked:?}");
    let requests: Vec<_> =
        world.log.of(What::Request).into_iter().map(|event| (event.host.unwrap(), event.path.unwrap())).collect();
    assert_eq!(requests, [("a.example".to_owned(), "/1".to_owned()), ("b.example".to_owned(), "/2".to_owned())]);
    let refused = world.log.of(What::Refused).remove(0);
    assert_eq!(
        (refused.reason, refused.host.as_deref(), refused.path.as_deref()),
        (Reason::NotAllowed, Some("c.example"), Some("/3"))
    );
    assert!(!format!("{:?}", world.log.all()).contains("secret=1"));
    assert_eq!(world.log.wait(What::Closed, 2).await.len(), 2);
}

#[tokio::test]
async fn a_redirect_is_just_another_request() {
    let (world, host) = world().await;
    let port = host.port;
    let asked =
        format!("GET http://a.example:{port}/to/c.example:{port} HTTP/1.1\r\nhost: a.example:{port}\r\n{CLOSE}");
    let said = world.say(asked).await;
    assert!(
        said.starts_with("HTTP/1.1 302 Found") && said.contains(&format!("location: http://c.example:{port}/")),
        "{said}"
    );
    let said = world.say(format!("GET http://c.example:{port}/ HTTP/1.1\r\nhost: c.example:{port}\r\n{CLOSE}")).await;
    assert!(said.contains("egress.not_allowed"), "{said}");
    assert_eq!(host.asked().len(), 1);
}

#[tokio::test]
async fn what_says_two_things_is_refused() {
    let (world, host) = world().await;
    let (port, a) = (host.port, format!("a.example:{}", host.port));
    for (request, reason) in [
        (format!("GET http://{a}/ HTTP/1.1\r\nhost: b.example:{port}\r\n"), Reason::OtherHost),
        (format!("GET http://{a}/ HTTP/1.1\r\nhost: a.example\r\n"), Reason::OtherHost),
        (format!("GET http://{a}/ HTTP/1.1\r\n"), Reason::OtherHost),
        (format!("GET http://{a}/ HTTP/1.1\r\nhost: {a}\r\nhost: {a}\r\n"), Reason::OtherHost),
        (format!("GET http://{a}/ HTTP/1.1\r\nhost: {a}, b.example\r\n"), Reason::Host),
        (format!("GET http://x@{a}/ HTTP/1.1\r\nhost: {a}\r\n"), Reason::Host),
        (format!("GET https://{a}/ HTTP/1.1\r\nhost: {a}\r\n"), Reason::Malformed),
        (format!("GET / HTTP/1.1\r\nhost: {a}\r\n"), Reason::Malformed),
        (format!("TRACE http://{a}/ HTTP/1.1\r\nhost: {a}\r\n"), Reason::Method),
        (format!("POST http://{a}/ HTTP/1.1\r\nhost: {a}\r\ntransfer-encoding: gzip, chunked\r\n"), Reason::Malformed),
        ("GET http://a.example:443/ HTTP/1.1\r\nhost: a.example:443\r\n".to_owned(), Reason::NotTls),
        // These do not get as far.
        (format!("GET http://{a}/ HTTP/1.1\r\nhost : {a}\r\n"), Reason::Malformed),
        (format!("GET http://{a}/ HTTP/1.1\r\nhost: {a}\r\n folded\r\n"), Reason::Malformed),
        (format!("GET http://{a}/\0 HTTP/1.1\r\nhost: {a}\r\n"), Reason::Malformed),
        (
            format!("POST http://{a}/ HTTP/1.1\r\nhost: {a}\r\ncontent-length: 1\r\ncontent-length: 2\r\n"),
            Reason::Malformed,
        ),
        (format!("POST http://{a}/ HTTP/1.1\r\nhost: {a}\r\ncontent-length: +1\r\n"), Reason::Malformed),
        (format!("POST http://{a}/ HTTP/1.1\r\nhost: {a}\r\ncontent-length: 1, 1\r\n"), Reason::Malformed),
        (format!("POST http://{a}/ HTTP/1.1\r\nhost: {a}\r\ntransfer-encoding: xchunked\r\n"), Reason::Malformed),
        (
            format!("POST http://{a}/ HTTP/1.1\r\nhost: {a}\r\ntransfer-encoding: chunked, identity\r\n"),
            Reason::Malformed,
        ),
    ] {
        let before = world.log.refused().len();
        let said = world.say(format!("{request}{CLOSE}")).await;
        assert!(said.starts_with("HTTP/1.1 4"), "{request}: {said}");
        assert_eq!(world.log.refused().split_off(before), [reason], "{request}: {said}");
    }
    assert_eq!((host.asked(), world.log.of(What::Opened)), (vec![], vec![]));
}

/// Where a body has a length and is in chunks, one of both counts here, and the other is not passed on; so nobody can read it by
/// the other.
#[tokio::test]
async fn a_body_has_one_end() {
    let (world, host) = world().await;
    let a = format!("a.example:{}", host.port);
    let hidden = format!("GET http://{a}/hidden HTTP/1.1\r\nhost: {a}\r\n\r\n");
    for both in
        ["transfer-encoding: chunked\r\ncontent-length: 5\r\n", "content-length: 5\r\ntransfer-encoding: chunked\r\n"]
    {
        let said = world
            .say(format!("POST http://{a}/ HTTP/1.1\r\nhost: {a}\r\n{both}{CLOSE}5\r\nhello\r\n0\r\n\r\n{hidden}"))
            .await;
        assert!(said.matches("HTTP/1.1 ").count() == 1, "{said}");
    }
    for asked in host.asked() {
        assert!(asked.contains("transfer-encoding: chunked") && !asked.contains("content-length"), "{asked}");
        assert!(asked.ends_with("\n\nhello") && !asked.contains("hidden"), "{asked}");
    }
    // And what is by itself passes.
    let (sent, chunked) = ("content-length: 5\r\n", "transfer-encoding: chunked\r\n");
    for (coding, body) in [(sent, "hello"), (chunked, "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")] {
        let said = world.say(format!("POST http://{a}/ HTTP/1.1\r\nhost: {a}\r\n{coding}{CLOSE}{body}")).await;
        assert!(said.starts_with("HTTP/1.1 200") && said.contains("hello"), "{said}");
    }
}

#[tokio::test]
async fn what_is_for_one_hop_is_not_passed_on() {
    let (world, host) = world().await;
    let a = format!("a.example:{}", host.port);
    let headers = "proxy-authorization: Basic x\r\nproxy-connection: keep-alive\r\nx-gone: 1\r\nx-kept: 1\r\nupgrade: h2c\r\n\
        te: trailers\r\nconnection: close, upgrade, x-gone\r\n\r\n";
    let said = world.say(format!("GET http://{a}/ HTTP/1.1\r\nhost: {a}\r\n{headers}")).await;
    let asked = host.asked().remove(0);
    assert_eq!(asked, format!("GET /\nhost: {a}\nx-kept: 1\n\n"));
    assert!(said.starts_with("HTTP/1.1 200") && !said.contains("keep-alive"), "{said}");
}

#[tokio::test]
async fn requests_in_a_tunnel_are_checked_too() {
    let (world, host) = world().await;
    let a = format!("a.example:{}", host.port);
    let good = format!("GET /1 HTTP/1.1\r\nhost: {a}\r\n\r\n");
    for (second, passes, reason) in [
        (format!("GET /2 HTTP/1.1\r\nhost: {a}\r\n{CLOSE}"), true, None),
        (format!("GET http://{a}/2 HTTP/1.1\r\nhost: {a}\r\n{CLOSE}"), true, None),
        (format!("GET /2 HTTP/1.1\r\nhost: b.example:{}\r\n{CLOSE}", host.port), false, Some(Reason::OtherHost)),
        (
            format!("GET http://b.example:{}/2 HTTP/1.1\r\nhost: {a}\r\n{CLOSE}", host.port),
            false,
            Some(Reason::OtherHost),
        ),
        (format!("GET /2 HTTP/1.1\r\nhost: c.example:{}\r\n{CLOSE}", host.port), false, Some(Reason::OtherHost)),
        (format!("CONNECT {a} HTTP/1.1\r\nhost: {a}\r\n{CLOSE}"), false, Some(Reason::Method)),
    ] {
        let (asked, refused) = (host.asked().len(), world.log.refused().len());
        let said = common::ask(world.tunnel(&a).await.unwrap(), &format!("{good}{second}")).await;
        assert_eq!(host.asked().len() - asked, 1 + usize::from(passes), "{second}: {said}");
        assert_eq!(world.log.refused().split_off(refused), Vec::from_iter(reason), "{second}");
    }
    // The first as well, and what only lenient readers take for a request.
    for first in [
        format!("GET / HTTP/1.1\r\nhost: b.example:{}\r\n{CLOSE}", host.port),
        format!("\r\nGET / HTTP/1.1\r\nhost: b.example:{}\r\n{CLOSE}", host.port),
        format!("get / HTTP/1.1\r\nhost: b.example:{}\r\n{CLOSE}", host.port),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ] {
        let asked = host.asked().len();
        let mut tunnel = world.tunnel(&a).await.unwrap();
        tunnel.write_all(first.as_bytes()).await.unwrap();
        let said = read_rest(&mut tunnel).await;
        assert!(!said.contains("200 OK") && host.asked().len() == asked, "{first}: {said}");
    }
}

#[tokio::test]
async fn only_some_requests_may_be_allowed() {
    let host = Host::http(None).await;
    let (port, a) = (host.port, format!("a.example:{}", host.port));
    let narrow = here("a.example", port).requests([RequestRule::new([Method::GET], "/repos/acme").unwrap()]);
    let world = With::rules([narrow, Rule::parse(&format!("*.example.com:{port}")).unwrap()]).world();
    world.names.lead("a.example", &[&["127.0.0.1"]]);
    for (method, path, reason) in [
        ("GET", "/repos/acme", None),
        ("GET", "/repos/acme/x?y=../..", None),
        ("GET", "/repos/acme-evil", Some(Reason::Request)),
        ("POST", "/repos/acme", Some(Reason::Request)),
        ("GET", "/repos/acme/../evil", Some(Reason::PathForm)),
        ("GET", "/repos/acme/%2e%2e/evil", Some(Reason::PathForm)),
    ] {
        let proxied = world.say(format!("{method} http://{a}{path} HTTP/1.1\r\nhost: {a}\r\n{CLOSE}")).await;
        let tunnelled =
            common::ask(world.tunnel(&a).await.unwrap(), &format!("{method} {path} HTTP/1.1\r\nhost: {a}\r\n{CLOSE}"))
                .await;
        for said in [proxied, tunnelled] {
            let expected = reason.map_or("200 OK", Reason::id);
            assert!(said.contains(expected), "{method} {path}: {said}");
        }
    }
    // What cannot be seen is none of them.
    let mut tunnel = world.tunnel(&a).await.unwrap();
    tunnel.write_all(b"\0\0\0\x08").await.unwrap();
    assert_eq!(read_rest(&mut tunnel).await, "");
    assert_eq!(world.log.refused().pop(), Some(Reason::Request));
    assert_eq!(host.asked().len(), 4);
}

#[tokio::test]
async fn a_host_that_is_gone_or_says_nonsense_is_said_to_be() {
    for answer in
        ["", "nonsense\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"]
    {
        let host = Host::with(move |mut stream| async move {
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let world = World::allowing("a.example", host.port);
        let a = format!("a.example:{}", host.port);
        let said = world.say(format!("GET http://{a}/ HTTP/1.1\r\nhost: {a}\r\n{CLOSE}")).await;
        assert!(said.starts_with("HTTP/1.1 502"), "{answer}: {said}");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let world = World::allowing("a.example", port);
    assert!(world.tunnel(&format!("a.example:{port}")).await.unwrap_err().contains("egress.unreachable"));
}

#[tokio::test]
async fn a_connection_that_a_host_has_closed_is_made_anew() {
    let host = Host::with(|mut stream| async move {
        let mut said = [0; 4096];
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut said).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    })
    .await;
    let world = World::allowing("a.example", host.port);
    let a = format!("a.example:{}", host.port);
    let mut stream = world.connect().await;
    for count in 1..4 {
        stream.write_all(format!("GET http://{a}/ HTTP/1.1\r\nhost: {a}\r\n\r\n").as_bytes()).await.unwrap();
        assert!(common::read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
        let mut body = [0; 2];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut body).await.unwrap();
        world.log.wait(What::Closed, count).await;
    }
    assert_eq!(world.log.of(What::Opened).len(), 3);
}
